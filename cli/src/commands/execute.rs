//! Carrying a plan out before somebody's eyes: show, ask, begin, apply, and say what became of it.
//!
//! **Invariants.** (1) What is carried out was shown and confirmed, or `--yes` stands for that. (2) Until the record is
//! begun nothing was written, and an interruption says so; from then on it ends with what was done and how to go on.

use std::{future::Future, time::Duration};

use hindcast_restorer::{
    Prepared,
    apply::{Became, Outcome, Progress, Settings},
    session::Restore,
};
use tokio::sync::watch;

use super::confirm;
use crate::{
    args::{Going, Output},
    context::Context,
    ending,
    failure::{Exit, Result},
    past::Reading,
    printer::Text,
    progress::Watch,
    render,
    rollback::{self, Cluster},
    view::{self, Gap},
};

/// How long rollouts are waited for by whoever looks on.
const ROLLOUT: Duration = Duration::from_mins(5);

/// What is to be carried out.
pub(super) struct Work<'a> {
    past: Reading<'a>,
    cluster: Cluster,
    plan: view::Plan,
    restore: State,
}

/// How far it is.
enum State {
    Planned(Box<Prepared>),
    Begun(Box<Restore>),
}

impl<'a> Work<'a> {
    /// A plan to the moment that is asked for again by `at`, with what the server says to it.
    pub(super) async fn planned(
        past: Reading<'a>,
        cluster: Cluster,
        prepared: Prepared,
        (at, gaps): (String, Vec<Gap>),
        going: &Going,
    ) -> Result<Self> {
        let mut plan = view::Plan::new(&prepared, at);
        if !going.no_check && !plan.actions.is_empty() {
            plan.take_checks(&cluster.session.check(&prepared).await);
        }
        plan.gaps = gaps;
        Ok(Self { past, cluster, plan, restore: State::Planned(Box::new(prepared)) })
    }

    /// A restore that was confirmed by whoever began it.
    pub(super) fn begun(past: Reading<'a>, cluster: Cluster, restore: Restore, plan: view::Plan) -> Self {
        Self { past, cluster, plan, restore: State::Begun(Box::new(restore)) }
    }
}

/// Gathers the work, shows it, asks, carries it out, and says what became of it.
pub(super) async fn run<'a>(
    context: &Context<'_>,
    going: &Going,
    gathering: impl Future<Output = Result<Work<'a>>>,
) -> Result<Exit> {
    let Some(work) = before(context, gathering).await? else { return Ok(Exit::Interrupted) };
    let Work { mut past, cluster, plan, restore } = work;
    let resumed = matches!(restore, State::Begun(_));
    let nothing = plan.is_idle();
    if !resumed {
        show(context, &plan, going);
    }
    if nothing {
        let mut answer = view::Restore::nothing(&plan);
        let reserved = past.finish() == Exit::Reserved;
        let exit = ending::restore(&answer, reserved);
        if answer.open {
            context.printer.note("nothing was done: what was asked for is left alone, as the plan says");
        }
        if !is_text(context) {
            finish_document(context, &past, &mut answer)?;
        }
        return Ok(exit);
    }
    let restore = match restore {
        State::Begun(restore) => restore,
        State::Planned(prepared) => {
            let asking = async {
                if !going.yes {
                    let Cluster { context: name, server, .. } = &cluster;
                    confirm::ask(context, &plan, &confirm::Place { context: name, server }).await?;
                }
                let told = |id: &str| context.printer.note(format!("restore {id}"));
                let records = rollback::records(context, &mut past, going.record_dir.as_deref()).await?;
                Ok(cluster.session.begin(&records, *prepared, &told).await?)
            };
            let Some(restore) = before(context, asking).await? else { return Ok(Exit::Interrupted) };
            Box::new(restore)
        }
    };
    let Some(outcome) = carry_out(context, &restore, going).await? else { return Ok(Exit::Interrupted) };
    let mut answer = view::Restore::new(&outcome, &plan, going.record_dir.as_deref());
    if is_text(context) {
        if !resumed {
            answer.shown.clone_from(&plan.notes);
        }
        context.printer.line(&Text::default());
        render::restore::print(context, &answer, plan.is_wide());
    } else {
        finish_document(context, &past, &mut answer)?;
    }
    advise(context, &outcome, going);
    if answer.open && !outcome.cancelled {
        context.printer.note("not all that was asked for was done: the plan names what is left, and what does it");
    }
    let reserved = past.finish() == Exit::Reserved;
    Ok(if outcome.cancelled { Exit::Interrupted } else { ending::restore(&answer, reserved) })
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

fn is_text(context: &Context<'_>) -> bool {
    matches!(context.common.output, Output::Text | Output::Wide | Output::Name)
}

/// Shows the plan. Where a document is asked for, that is the only thing on standard output.
fn show(context: &Context<'_>, plan: &view::Plan, going: &Going) {
    let text = is_text(context);
    if text || (!plan.actions.is_empty() && !going.yes) {
        for line in render::plan::lines(plan, &context.wall) {
            if text { context.printer.line(&line) } else { context.printer.say(&line) }
        }
    }
}

fn finish_document(context: &Context<'_>, past: &Reading<'_>, answer: &mut view::Restore) -> Result<()> {
    answer.warnings.clone_from(&past.reservations);
    render::document(context.printer, context.common.output, answer)
}

/// How to go on where not all is done.
fn advise(context: &Context<'_>, outcome: &Outcome, going: &Going) {
    let open = [Became::Failed, Became::Skipped, Became::Refused];
    if outcome.cancelled || open.iter().any(|became| outcome.count(*became) > 0) {
        let why = if outcome.cancelled { "interrupted" } else { "not all was done" };
        let folder = view::restore::folder(going.record_dir.as_deref());
        context.printer.note(format!("{why}; to go on: hindcast restore --resume {}{folder}", outcome.id));
    }
    if outcome.count(Became::Conflict) > 0 {
        context.printer.note("what others changed meanwhile takes a new plan: give the same command again");
    }
}

/// Applies, until it is through or interrupted; nothing if it was interrupted twice.
async fn carry_out(context: &Context<'_>, restore: &Restore, going: &Going) -> Result<Option<Outcome>> {
    let printer = context.printer;
    let rollout = match (going.no_wait, going.wait_rollout) {
        (true, _) => None,
        (false, Some(time)) => Some(time),
        (false, None) => Some(ROLLOUT).filter(|_| printer.is_watched()),
    };
    let mut settings = Settings { rollout, ..Settings::default() };
    if going.no_wait {
        settings.filled = std::time::Duration::ZERO;
    }
    let progress = Watch::new(printer, &context.parts);
    let tell = |said: Progress<'_>| progress.tell(&said);
    let (stop, stopped) = watch::channel(false);
    let mut applying = std::pin::pin!(restore.apply(&settings, &tell, stopped));
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
            let id = restore.record().id();
            printer.note(format!("left at once; to go on: {resume} {id}{folder}; to take it back: {undo} {id}{folder}"));
            Ok(None)
        }
    }
}
