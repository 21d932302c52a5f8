//! `hindcast plan`: what a restore would do.

use hindcast_restorer::apply;

use super::Context;
use crate::{
    args::{self, Output},
    failure::{Exit, Result},
    moment, planfile, render, rollback, scope, view,
};

/// Answers `plan`.
pub(super) async fn run(context: &Context<'_>, args: &args::Plan) -> Result<Exit> {
    scope::check(&args.target)?;
    let t = moment::parse(&args.at, &context.wall)?;
    let mut past = rollback::open(context).await?;
    let cluster = rollback::cluster(context, &past).await?;
    let then = rollback::at(&mut past, &t).await?;
    let selection = scope::selection(context, &args.target, &args.widen, &mut past, &then).await?;
    let at = rollback::again(&t, then.moment());
    let rollback::Compared { prepared, gaps } = rollback::plan(context, &mut past, &cluster, &then, &selection).await?;
    let mut plan = view::Plan::new(&prepared, at);
    plan.gaps = gaps;
    if args.check {
        let settings = apply::Settings::default();
        let said = apply::check(&prepared, &cluster.client, &context.parts, &settings).await;
        plan.take_checks(&said);
    }
    plan.warnings.clone_from(&past.reservations);
    if let Some(path) = &args.out {
        planfile::write(path, &plan)?;
    }
    match context.common.output {
        Output::Json | Output::Yaml => {
            render::document(context.printer, context.common.output, &plan)?;
        }
        _ => render::plan::print(context, &plan),
    }
    if let Some(path) = &args.out {
        let path = path.display();
        context.printer.note(format!("kept in {path}; to do it: hindcast restore --plan {path}"));
    }
    let same = plan.actions.is_empty() && plan.left.is_empty();
    Ok(past.finish_with(if same { Exit::Done } else { Exit::Differences }))
}
