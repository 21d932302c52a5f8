//! `hindcast plan`: what a restore would do.

use crate::{
    args::{self, Output},
    context::Context,
    ending,
    failure::{Exit, Result},
    moment, planfile, render, rollback, scope, view,
};

/// Answers `plan`.
pub(super) async fn run(context: &Context<'_>, args: &args::Plan) -> Result<Exit> {
    scope::check(&args.target)?;
    let t = moment::parse(&args.at, &context.wall)?;
    let mut past = rollback::open(context).await?;
    let cluster = rollback::cluster(context, &past).await?;
    let then = past.at(&t, false).await?;
    let selection = scope::selection(context, &args.target, &args.widen, &mut past, &then).await?;
    let at = t.again(then.moment());
    let compared = cluster.session.plan(&mut past.timeline, &then, &selection).await?;
    let gaps = rollback::judge(context, &mut past, &compared).await?;
    let mut plan = view::Plan::new(&compared.prepared, at);
    plan.gaps = gaps;
    if args.check {
        plan.take_checks(&cluster.session.check(&compared.prepared).await);
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
    let reserved = past.finish() == Exit::Reserved;
    Ok(ending::plan(&plan, reserved))
}
