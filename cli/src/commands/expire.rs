//! `hindcast expire`: what `run` does by itself where a retention is given, for a journal of which it does not run, or at once.

use hindcast_compactor::expire::{self, Outlook, Retention, Settings};

use crate::{
    args::{Expire, Keeping, Output, retention},
    context::Context,
    failure::{Exit, Failure, Result},
    past, render,
    view::Expiration,
};

/// Who wrote what nobody's `run` did.
const WRITER: &str = "hindcast expire";

/// Answers `expire`.
pub(super) async fn run(context: &Context<'_>, args: &Expire) -> Result<Exit> {
    let retention = policy(&args.keeping)?.ok_or_else(|| {
        Failure::new("expire", "needs to be told what is to be kept")
            .hint("--retention all=7d,hourly=30d or --retention-file FILE")
    })?;
    let delete = !args.keeping.no_delete;
    let (journal, keys) = (past::open(context).await?.journal, past::keys(context)?);
    let expiration = match args.plan {
        true => Expiration::planned(&Outlook::of(&journal, &retention).await?, &retention, delete),
        false => {
            let settings = Settings { retention, key: keys.first().cloned(), delete };
            Expiration::done(&expire::expire(&journal, &settings, WRITER).await?, &settings)
        }
    };
    match context.common.output {
        Output::Json | Output::Yaml => render::document(context.printer, context.common.output, &expiration)?,
        _ => render::expire::print(context, &expiration),
    }
    Ok(if args.plan && !expiration.is_nothing() { Exit::Differences } else { Exit::Done })
}

/// What is to be kept, if that was said.
pub(in crate::commands) fn policy(keeping: &Keeping) -> Result<Option<Retention>> {
    let Some(file) = &keeping.retention_file else { return Ok(keeping.retention.clone()) };
    let what = || format!("--retention-file {}", file.display());
    let text = std::fs::read_to_string(file).map_err(|e| Failure::new(what(), e.to_string()))?;
    retention(&text).map(Some).map_err(|why| Failure::new(what(), why))
}
