//! `Restore`: plans, and if it says so applies what was planned, as the service account it names.
//!
//! | condition | True | False | Unknown |
//! |---|---|---|---|
//! | Planned | the status has the plan | it cannot be planned, and why | it is not its turn, or what is needed is away |
//! | Applied | every action is done | not all, or nothing, and why | it is under way, or was interrupted |
//! | Verified | all was read back as it was wanted | not all | |
//!
//! **Invariants.** (1) A restore is begun once: the id of its record is made of its object's uid, so that whoever finds the record
//! goes on with it, whatever became of the status [`id_of`]. (2) The plan stands in the status before anything is written, and what was
//! shown with `mode: Plan` is what is applied, or nothing is. (3) One restore is under way at a time. (4) It ends when this
//! process is not the journal's writer any more.

mod plan;
mod tell;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hindcast_journal::{Error, Result, error::ErrorKind};
use hindcast_restorer::{
    Records, Session, Timeline,
    apply::{Outcome, Settings},
    session::Restore as Begun,
};
use hindcast_snapshotter::schedule::duration;
use kube::{Api, ResourceExt as _, core::DeserializeGuard, runtime::controller};
use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_64;

use self::plan::{Home, Plan, plan};
use crate::{
    account,
    api::{Condition, Mode, Restore, RestoreStatus, Verdict, set},
    operator::{AGAIN, NotNow, Operator, SELDOM},
    status::{self, is, unavailable},
    words::InSpec,
};

/// How long the server may take to say which cluster it is.
const ANSWER: Duration = Duration::from_secs(10);

/// How often it is made sure, while a restore is under way, that the journal is still this process's.
const STILL_OURS: Duration = Duration::from_secs(10);

/// How long after its start a process leaves alone what another one may have been at: by then that one knows.
const LET_GO: Duration = Duration::from_secs(25);

/// Reconciles a restore.
pub(crate) async fn reconcile(
    object: Arc<DeserializeGuard<Restore>>,
    operator: Arc<Operator>,
) -> Result<controller::Action, NotNow> {
    let Ok(object) = &object.0 else { return Ok(controller::Action::await_change()) };
    if is_over(object) {
        return Ok(controller::Action::await_change());
    }
    let _turn = match operator.restoring.try_lock() {
        Ok(turn) => turn,
        Err(_) => {
            let mut new = object.status.clone().unwrap_or_default();
            let waits = Verdict::unknown("Queued", "another restore is under way: they run one at a time");
            write(&operator, object, &mut new, "Planned", waits).await?;
            operator.restoring.lock().await
        }
    };
    // Much may have happened while it waited.
    let api: Api<Restore> = status::api_of(&operator.client, object);
    let name = object.name_any();
    let object = match api.get(&name).await {
        Ok(object) => object,
        Err(error) if is(&error, 404) => return Ok(controller::Action::await_change()),
        Err(error) => return Err(unavailable(&error).into()),
    };
    if is_over(&object) || *operator.stop.borrow() {
        return Ok(controller::Action::await_change());
    }
    let (here, work) = (operator.clone(), operator.clone());
    let carried = here.local.run(move || async move { carry(&work, &object).await }).await;
    match carried {
        Ok(wait) => Ok(controller::Action::requeue(wait)),
        Err(error) => {
            if let Ok(object) = api.get(&name).await {
                let mut new = object.status.clone().unwrap_or_default();
                let kind = if new.record.is_some() { "Applied" } else { "Planned" };
                let again = Verdict::unknown("Retrying", error.told());
                write(&operator, &object, &mut new, kind, again).await?;
            }
            Err(error.into())
        }
    }
}

/// Whether there is nothing to do any more.
fn is_over(object: &Restore) -> bool {
    let generation = object.metadata.generation.unwrap_or_default();
    let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let find = |kind: &str| conditions.iter().find(|condition| condition.kind == kind);
    let now = |condition: &&Condition| condition.observed_generation == generation;
    let applied = find("Applied").is_some_and(|condition| condition.status != "Unknown");
    let planned = find("Planned").filter(now).is_some_and(|condition| match condition.status.as_str() {
        "True" => object.spec.mode == Mode::Plan,
        // What may pass is tried again.
        "False" => matches!(condition.reason.as_str(), "Invalid" | "OtherNamespace"),
        _ => false,
    });
    applied || planned || object.metadata.deletion_timestamp.is_some()
}

/// The id of an object's record.
fn id_of(object: &Restore) -> String {
    let made = object.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default();
    let uid = object.uid().unwrap_or_default();
    format!("{}-{:016x}", made.strftime("%Y%m%d-%H%M%S"), xxh3_64(uid.as_bytes()))
}

/// Sees to a restore as far as it goes, and says when to look again.
async fn carry(operator: &Operator, object: &Restore) -> Result<Duration> {
    let mut new = object.status.clone().unwrap_or_default();
    let namespace = object.namespace().unwrap_or_default();
    let acts = match account::client(&operator.client, &namespace, &object.spec.service_account_name).await {
        Ok(acts) => acts,
        Err(why) => {
            write(operator, object, &mut new, "Planned", why).await?;
            return Ok(AGAIN.saturating_mul(4));
        }
    };
    let mut timeline = Timeline::open(&operator.journal, operator.keys.clone()).await?;
    let session = Session::open(operator.client.clone(), &timeline, ANSWER, operator.wait).await;
    let session = session.map_err(|why| Error::new(ErrorKind::Unavailable, "the cluster", why.to_string()))?;
    let session = session.acting(acts).with_movers(operator.movers.clone());
    let records = Records::of(&mut timeline, None).await?.with_words(&InSpec);
    let id = id_of(object);
    if records.has(&id).await? {
        let since = operator.journal.parts().clock.monotonic().saturating_sub(operator.since);
        if let Some(left) = LET_GO.checked_sub(since).filter(|left| !left.is_zero()) {
            return Ok(left);
        }
        new.record = Some(id.clone());
        write(operator, object, &mut new, "Applied", Verdict::unknown("Resuming", "it was interrupted and goes on"))
            .await?;
        return match session.resume(&mut timeline, &records, &id).await {
            Ok((restore, _)) => apply(operator, object, new, &restore).await,
            Err(error) if error.kind().may_pass() => Err(error),
            Err(error) => {
                write(operator, object, &mut new, "Applied", Verdict::failed("NotResumed", &error)).await?;
                Ok(SELDOM)
            }
        };
    }
    let home = Home { namespace: &namespace, confined: namespace != operator.namespace };
    // What was shown is what is done: its moment is settled.
    let shown = object.status.as_ref().and_then(|status| status.planned.clone());
    let at = shown.as_ref().map(|shown| shown.at.as_str());
    let made = async {
        object.spec.wait_for_rollouts.as_deref().map(|text| duration("waitForRollouts", text)).transpose()?;
        plan(&session, &mut timeline, &object.spec, at, &home).await
    };
    let planned = match made.await {
        Ok(planned) => planned,
        Err(error) => {
            let (passes, denied) = (error.kind().may_pass(), error.kind() == ErrorKind::Denied);
            let verdict = match (denied, passes) {
                (true, _) => Verdict::failed("OtherNamespace", &error),
                (false, true) => Verdict::unknown("Unavailable", error.told()),
                (false, false) => Verdict::failed("Invalid", &error),
            };
            write(operator, object, &mut new, "Planned", verdict).await?;
            return Ok(if passes && !denied { AGAIN } else { SELDOM });
        }
    };
    let said = session.check(&planned.compared.prepared).await;
    tell::planned(&planned, &said, &home, &mut new);
    let approved = shown.filter(|_| observed(object, "Planned") < object.metadata.generation);
    let same = approved.is_none_or(|approved| approved.digest == tell::digest(&planned.compared.prepared));
    let counts = planned.compared.prepared.plan.actions.len();
    write(operator, object, &mut new, "Planned", Verdict::yes("Planned", format!("{counts} actions"))).await?;
    if object.spec.mode == Mode::Plan {
        return Ok(SELDOM);
    }
    let verdict = if same { cannot(&planned, &said) } else { Some(changed()) };
    if let Some(verdict) = verdict {
        let nothing = verdict.status == "True";
        let generation = object.metadata.generation.unwrap_or_default();
        if nothing {
            let verdict = Verdict::yes("Verified", "all is as it was");
            set(&mut new.conditions, "Verified", verdict, generation, operator.now());
        }
        write(operator, object, &mut new, "Applied", verdict).await?;
        return Ok(SELDOM);
    }
    new.record = Some(id.clone());
    write(operator, object, &mut new, "Applied", Verdict::unknown("Applying", "it is under way")).await?;
    match session.begin_as(&records, &id, planned.compared.prepared).await? {
        Some(restore) => apply(operator, object, new, &restore).await,
        // Begun by somebody else in this moment: it is gone on with next time.
        None => Ok(AGAIN),
    }
}

/// The generation that a condition was said of.
fn observed(object: &Restore, kind: &str) -> Option<i64> {
    let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().find(|condition| condition.kind == kind).map(|condition| condition.observed_generation)
}

fn changed() -> Verdict {
    Verdict::no(
        "PlanChanged",
        "the plan is another one than the one that was shown, since the cluster changed: nothing was done; make another Restore",
    )
}

/// Why a plan is not begun.
fn cannot(
    planned: &Plan,
    said: &BTreeMap<hindcast_journal::fold::ObjectKey, hindcast_restorer::apply::Check>,
) -> Option<Verdict> {
    let prepared = &planned.compared.prepared;
    if prepared.plan.actions.is_empty() {
        return Some(tell::idle(prepared));
    }
    tell::refused(prepared, said).map(|why| Verdict::no("Refused", format!("every action would be refused; {why}")))
}

/// Carries a restore out, as long as the journal is this process's.
async fn apply(operator: &Operator, object: &Restore, mut new: RestoreStatus, restore: &Begun) -> Result<Duration> {
    let rollout = object.spec.wait_for_rollouts.as_deref().and_then(|text| duration("waitForRollouts", text).ok());
    let settings = Settings { rollout, ..Settings::default() };
    let (cancel, cancelled) = watch::channel(false);
    let guard = async {
        let mut stop = operator.stop.clone();
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = operator.journal.parts().clock.sleep(STILL_OURS) => {}
            }
            if let Err(why) = operator.closer.close().await {
                tracing::warn!("the restore {} stops where it is: {why}", restore.record().id());
                break;
            }
        }
        cancel.send_replace(true);
        std::future::pending::<Outcome>().await
    };
    let outcome = tokio::select! {
        biased;
        outcome = restore.apply(&settings, &|_| {}, cancelled) => outcome?,
        never = guard => never,
    };
    tell::outcome(&outcome, &mut new);
    if outcome.cancelled {
        let why = Verdict::unknown("Interrupted", "it goes on when `hindcast run` does");
        write(operator, object, &mut new, "Applied", why).await?;
        return Ok(AGAIN);
    }
    let (applied, verified) = tell::verdicts(&outcome);
    tracing::info!(restore = outcome.id, applied = applied.reason, verified = verified.reason, "a Restore is through");
    set(&mut new.conditions, "Verified", verified, object.metadata.generation.unwrap_or_default(), operator.now());
    write(operator, object, &mut new, "Applied", applied).await?;
    Ok(SELDOM)
}

/// Says something of a restore. The object as it is known here keeps the status of before, so that what is written is the difference to
/// what was read.
async fn write(
    operator: &Operator,
    object: &Restore,
    new: &mut RestoreStatus,
    kind: &str,
    verdict: Verdict,
) -> Result<()> {
    let generation = object.metadata.generation.unwrap_or_default();
    set(&mut new.conditions, kind, verdict, generation, operator.now());
    status::write(&operator.client, object, object.status.as_ref(), new).await
}
