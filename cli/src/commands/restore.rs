//! `hindcast restore` and `hindcast undo`: plan, confirm, apply, verify.
//!
//! **Invariants.** (1) What is carried out was shown and confirmed, or `--yes` stands for that. (2) Until the record is
//! begun nothing was written, and an interruption says so; from then on it ends with what was done and how to go on.

use std::future::Future;

use hindcast_restorer::{
    Prepared, Record,
    apply::{self, Became, Settings},
    message::Note,
};
use tokio::sync::watch;

use super::{Context, confirm};
use crate::{
    args::{self, Going, Output, Widen},
    failure::{Exit, Failure, Result},
    moment,
    past::{self, Reading},
    planfile,
    printer::Text,
    progress::Watch,
    render,
    rollback::{self, Cluster},
    scope, view,
};

/// How long rollouts are waited for by whoever looks on.
const ROLLOUT: std::time::Duration = std::time::Duration::from_mins(5);

/// What is to be carried out.
struct Work<'a> {
    past: Reading<'a>,
    cluster: Cluster,
    prepared: Prepared,
    plan: view::Plan,
    /// The record of a restore that is finished now.
    record: Option<Record>,
}

/// Answers `restore`.
pub(super) async fn run(context: &Context<'_>, args: &args::Restore) -> Result<Exit> {
    let Some(work) = before(context, gather(context, args)).await? else { return Ok(Exit::Interrupted) };
    go(context, work, &args.going).await
}

/// Answers `undo`.
pub(super) async fn undo(context: &Context<'_>, args: &args::Undo) -> Result<Exit> {
    let gathering = gather_undo(context, &args.id, &args.widen, &args.going);
    let Some(work) = before(context, gathering).await? else { return Ok(Exit::Interrupted) };
    go(context, work, &args.going).await
}

/// Work that writes nothing: it ends at Ctrl-C.
async fn before<T>(context: &Context<'_>, work: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    tokio::select! {
        done = work => done.map(Some),
        _ = tokio::signal::ctrl_c() => {
            context.printer.note("interrupted: nothing was done");
            Ok(None)
        }
    }
}

async fn gather<'a>(context: &'a Context<'a>, args: &args::Restore) -> Result<Work<'a>> {
    if let Some(id) = &args.resume {
        alone(args, "--resume")?;
        return gather_rest(context, id, &args.going).await;
    }
    let file = args.plan.as_deref().map(planfile::read).transpose()?;
    let at = match &file {
        Some(file) => {
            alone(args, "--plan")?;
            file.at.clone()
        }
        None => {
            scope::check(&args.target)?;
            args.at.clone().unwrap_or_default()
        }
    };
    let t = moment::parse(&at, &context.wall)?;
    let mut past = rollback::open(context).await?;
    if let Some(file) = file.as_ref().filter(|file| file.cluster != past.journal.cluster()) {
        return Err(Failure::new(
            "the plan",
            format!("is of cluster {}, the journal is of {}", file.cluster, past.journal.cluster()),
        )
        .hint("--journal and --cluster choose another journal"));
    }
    let cluster = rollback::cluster(context, &past).await?;
    let then = rollback::at(&mut past, &t).await?;
    let at = rollback::again(&t, then.moment());
    let selection = match &file {
        Some(file) => file.selection.clone(),
        None => scope::selection(context, &args.target, &args.widen, &mut past, &then).await?,
    };
    let rollback::Compared { mut prepared, gaps } =
        rollback::plan(context, &mut past, &cluster, &then, &selection).await?;
    if let Some(file) = &file {
        let notes = file.confine(&mut prepared)?;
        prepared.plan.notes.extend(notes.into_iter().map(Note::Text));
    }
    let mut plan = checked(context, &cluster, &prepared, at, &args.going).await;
    plan.gaps = gaps;
    Ok(Work { past, cluster, prepared, plan, record: None })
}

/// A plan file or a record says what is done; nothing else may.
fn alone(args: &args::Restore, with: &str) -> Result<()> {
    if args.target == args::Target::default() && args.widen == Widen::default() {
        return Ok(());
    }
    Err(Failure::new(with, "says what is done: a scope and its flags cannot be given beside it")
        .hint("leave them out, or make a plan with them"))
}

async fn gather_undo<'a>(context: &'a Context<'a>, id: &str, widen: &Widen, going: &Going) -> Result<Work<'a>> {
    let mut past = rollback::open(context).await?;
    let cluster = rollback::cluster(context, &past).await?;
    let records = rollback::records(context, &mut past, going.record_dir.as_deref()).await?;
    let record = records.open(id).await?;
    let open = apply::settle(&record, &cluster.client).await?;
    let desired = record.desired().await?;
    let mut selection = record.plan().selection.clone();
    scope::widen(&mut selection.widen, widen, &mut past).await?;
    let rollback::Compared { mut prepared, gaps } =
        rollback::compare(context, &mut past, &cluster, &selection, &desired).await?;
    if open > 0 {
        prepared.plan.notes.push(Note::Text(format!(
            "restore {id} was interrupted; what became of {} was found out by looking: make sure that it does not run any more",
            past::count(open, "action")
        )));
    }
    let mut plan = checked(context, &cluster, &prepared, String::new(), going).await;
    plan.gaps = gaps;
    Ok(Work { past, cluster, prepared, plan, record: None })
}

async fn gather_rest<'a>(context: &'a Context<'a>, id: &str, going: &Going) -> Result<Work<'a>> {
    let mut past = rollback::open(context).await?;
    let cluster = rollback::cluster(context, &past).await?;
    let records = rollback::records(context, &mut past, going.record_dir.as_deref()).await?;
    let mut record = records.open(id).await?;
    if !record.is_begun().await? {
        let prepared = rollback::anew(context, &mut past, &cluster, &records, record.plan()).await?;
        record = records.complete(&record, &prepared).await?;
    }
    let prepared = record.prepared().await?;
    let plan = view::Plan::new(&prepared, String::new());
    context.printer.note(format!(
        "resuming {}: {} of {} actions are through",
        record.id(),
        record.through(),
        plan.actions.len()
    ));
    Ok(Work { past, cluster, prepared, plan, record: Some(record) })
}

/// The plan as it is shown, with what the server says to it.
async fn checked(
    context: &Context<'_>,
    cluster: &Cluster,
    prepared: &Prepared,
    at: String,
    going: &Going,
) -> view::Plan {
    let mut plan = view::Plan::new(prepared, at);
    if !going.no_check && !plan.actions.is_empty() {
        let settings = Settings::default();
        let said = apply::check(prepared, &cluster.client, &context.parts, &settings).await;
        plan.take_checks(&said);
    }
    plan
}

/// Shows, asks, carries out, and says what became of it.
async fn go(context: &Context<'_>, mut work: Work<'_>, going: &Going) -> Result<Exit> {
    let text = matches!(context.common.output, Output::Text | Output::Wide | Output::Name);
    let nothing = work.plan.actions.is_empty();
    let resumed = work.record.is_some();
    // Where a document is asked for, it is the only thing on standard output.
    if !resumed && (text || (!nothing && !going.yes)) {
        for line in render::plan::lines(&work.plan, &context.wall) {
            if text { context.printer.line(&line) } else { context.printer.say(&line) }
        }
    }
    if nothing {
        if !text {
            let answer = view::Restore::nothing(&work.plan);
            finish_document(context, &mut work, answer)?;
        }
        return Ok(work.past.finish());
    }
    if !resumed && !going.yes {
        let Cluster { context: name, server, .. } = &work.cluster;
        let place = confirm::Place { context: name, server };
        let asked = before(context, confirm::ask(context, &work.plan, &place)).await?;
        if asked.is_none() {
            return Ok(Exit::Interrupted);
        }
    }
    let record = match work.record.take() {
        Some(record) => record,
        None => {
            let folder = going.record_dir.as_deref();
            let told = |id: &str| context.printer.note(format!("restore {id}"));
            let begun = async {
                let records = rollback::records(context, &mut work.past, folder).await?;
                Ok(records.begin_as(&work.prepared, &told).await?)
            };
            match before(context, begun).await? {
                Some(record) => record,
                None => return Ok(Exit::Interrupted),
            }
        }
    };
    let Some(outcome) = carry_out(context, &work, &record, going).await? else {
        return Ok(Exit::Interrupted);
    };
    let exit = match (outcome.cancelled, outcome.is_whole()) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Done,
        (false, false) => Exit::Partly,
    };
    let mut answer = view::Restore::new(&outcome, &work.plan, going.record_dir.as_deref());
    if text {
        if !resumed {
            answer.shown.clone_from(&work.plan.notes);
        }
        context.printer.line(&Text::default());
        render::restore::print(context, &answer, work.plan.is_wide());
    } else {
        finish_document(context, &mut work, answer)?;
    }
    let open = [Became::Failed, Became::Skipped, Became::Refused];
    if outcome.cancelled || open.iter().any(|became| outcome.count(*became) > 0) {
        let why = if outcome.cancelled { "interrupted" } else { "not all was done" };
        let folder = view::restore::folder(going.record_dir.as_deref());
        context.printer.note(format!("{why}; to go on: hindcast restore --resume {}{folder}", outcome.id));
    }
    if outcome.count(Became::Conflict) > 0 {
        context.printer.note("what others changed meanwhile takes a new plan: give the same command again");
    }
    if outcome.cancelled {
        work.past.finish();
        return Ok(exit);
    }
    Ok(work.past.finish_with(exit))
}

fn finish_document(context: &Context<'_>, work: &mut Work<'_>, mut answer: view::Restore) -> Result<()> {
    answer.warnings.clone_from(&work.past.reservations);
    render::document(context.printer, context.common.output, &answer)
}

/// Applies, until it is through or interrupted; nothing if it was interrupted twice.
async fn carry_out(
    context: &Context<'_>,
    work: &Work<'_>,
    record: &Record,
    going: &Going,
) -> Result<Option<apply::Outcome>> {
    let printer = context.printer;
    let rollout = match (going.no_wait, going.wait_rollout) {
        (true, _) => None,
        (false, Some(time)) => Some(time),
        (false, None) => Some(ROLLOUT).filter(|_| printer.is_watched()),
    };
    let settings = Settings { rollout, ..Settings::default() };
    let progress = Watch::new(printer, &context.parts);
    let tell = |said: apply::Progress<'_>| progress.tell(&said);
    let (stop, stopped) = watch::channel(false);
    let applying = apply::apply(&work.prepared, &work.cluster.client, record, &settings, &tell, stopped);
    let mut applying = std::pin::pin!(applying);
    tokio::select! {
        outcome = &mut applying => return Ok(Some(outcome?)),
        _ = tokio::signal::ctrl_c() => {}
    }
    printer.note("stopping after what is under way; Ctrl-C again leaves at once");
    // Nobody waits for it only when it is through.
    let _ = stop.send(true);
    tokio::select! {
        outcome = &mut applying => Ok(Some(outcome?)),
        _ = tokio::signal::ctrl_c() => {
            let folder = view::restore::folder(going.record_dir.as_deref());
            let (resume, undo) = ("hindcast restore --resume", "hindcast undo");
            let id = record.id();
            printer.note(format!("left at once; to go on: {resume} {id}{folder}; to take it back: {undo} {id}{folder}"));
            Ok(None)
        }
    }
}
