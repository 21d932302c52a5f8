//! `hindcast restore`: plan, confirm, apply, verify.

use hindcast_restorer::message::Note;

use super::execute::{self, Work};
use crate::{
    args::{self, Widen},
    context::Context,
    failure::{Exit, Failure, Result},
    moment,
    planfile::{self, PlanFile},
    rollback, scope, view,
};

/// Answers `restore`.
pub(super) async fn run(context: &Context<'_>, args: &args::Restore) -> Result<Exit> {
    execute::run(context, &args.going, async {
        match (&args.resume, &args.plan) {
            (Some(id), _) => {
                alone(args, "--resume")?;
                resumed(context, id, &args.going).await
            }
            (None, Some(path)) => {
                alone(args, "--plan")?;
                kept(context, &planfile::read(path)?, &args.going).await
            }
            (None, None) => asked(context, args).await,
        }
    })
    .await
}

/// A plan file or a record says what is done; nothing else may.
fn alone(args: &args::Restore, with: &str) -> Result<()> {
    if args.target == args::Target::default() && args.widen == Widen::default() {
        return Ok(());
    }
    Err(Failure::new(with, "says what is done: a scope and its flags cannot be given beside it")
        .hint("leave them out, or make a plan with them"))
}

/// What the arguments ask for.
async fn asked<'a>(context: &'a Context<'a>, args: &args::Restore) -> Result<Work<'a>> {
    scope::check(&args.target)?;
    let t = moment::parse(args.at.as_deref().unwrap_or_default(), &context.wall)?;
    let mut past = rollback::open(context).await?;
    let cluster = rollback::cluster(context, &past).await?;
    let then = past.at(&t, false).await?;
    let at = t.again(then.moment());
    let selection = scope::selection(context, &args.target, &args.widen, &mut past, &then).await?;
    let compared = cluster.session.plan(&mut past.timeline, &then, &selection).await?;
    let gaps = rollback::judge(context, &mut past, &compared).await?;
    Work::planned(past, cluster, compared.prepared, (at, gaps), &args.going).await
}

/// What a kept plan says, and no more.
async fn kept<'a>(context: &'a Context<'a>, file: &PlanFile, going: &args::Going) -> Result<Work<'a>> {
    let t = moment::parse(&file.at, &context.wall)?;
    let mut past = rollback::open(context).await?;
    let journal = past.journal.cluster();
    if file.cluster != journal {
        let reason = format!("is of cluster {}, the journal is of {journal}", file.cluster);
        return Err(Failure::new("the plan", reason).hint("--journal and --cluster choose another journal"));
    }
    let cluster = rollback::cluster(context, &past).await?;
    let then = past.at(&t, false).await?;
    let at = t.again(then.moment());
    let mut compared = cluster.session.plan(&mut past.timeline, &then, &file.selection).await?;
    let gaps = rollback::judge(context, &mut past, &compared).await?;
    let notes = file.confine(&mut compared.prepared)?;
    compared.prepared.plan.notes.extend(notes.into_iter().map(Note::Text));
    Work::planned(past, cluster, compared.prepared, (at, gaps), going).await
}

/// The rest of a restore that was interrupted.
async fn resumed<'a>(context: &'a Context<'a>, id: &str, going: &args::Going) -> Result<Work<'a>> {
    let mut past = rollback::open(context).await?;
    let cluster = rollback::cluster(context, &past).await?;
    let records = rollback::records(context, &mut past, going.record_dir.as_deref()).await?;
    let (restore, again) = cluster.session.resume(&mut past.timeline, &records, id).await?;
    if let Some(compared) = &again {
        rollback::judge(context, &mut past, compared).await?;
    }
    let plan = view::Plan::new(restore.prepared(), String::new());
    let (id, through) = (restore.record().id(), restore.record().through());
    context.printer.note(format!("resuming {id}: {through} of {} actions are through", plan.actions.len()));
    Ok(Work::begun(past, cluster, restore, plan))
}
