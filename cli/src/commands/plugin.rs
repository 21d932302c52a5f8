//! `hindcast plugin check`.

use crate::{
    args::{Output, PluginVerb},
    context::Context,
    failure::{Exit, Result},
    plugins, render,
};

/// Looks at a plugin.
pub(super) async fn run(context: &Context<'_>, verb: &PluginVerb) -> Result<Exit> {
    let PluginVerb::Check { address } = verb;
    let plugin = plugins::check(context, address).await?;
    match context.common.output {
        Output::Json | Output::Yaml => render::document(context.printer, context.common.output, &plugin)?,
        _ => render::plugin(context.printer, &plugin),
    }
    Ok(if plugin.works() { Exit::Done } else { Exit::Failed })
}
