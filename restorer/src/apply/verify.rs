//! Reads again what was acted on, and says whether it is as wanted.
//!
//! **Invariants.** (1) The comparison is the planner's: intent forms, with what the rules keep on either side left out.
//! (2) *Changed by admission* is only said when the write itself was answered with what stands now.

use std::time::Duration;

use super::{
    Became, Verified,
    conflict::{finalizers, is_terminating, meta},
    write::{Did, Job, Work},
};
use crate::{
    desired::Full,
    filling::is_helper,
    message::Message,
    plan::{FieldChange, Verb},
    reason::{Cause, Standing},
};

/// How long accepted deletes may take, all of them together, before they are told as such that hang.
const GOING: Duration = Duration::from_secs(15);

/// What a reading showed.
pub(crate) struct Seen {
    pub(crate) verified: Verified,
    pub(crate) differences: Vec<FieldChange>,
    pub(crate) message: Option<Message>,
    /// The object, where it is as wanted.
    pub(crate) now: Option<Full>,
}

impl Seen {
    fn new(verified: Verified) -> Self {
        Self { verified, differences: Vec::new(), message: None, now: None }
    }

    fn different(message: impl Into<Message>) -> Self {
        Self { message: Some(message.into()), ..Self::new(Verified::Different) }
    }
}

/// Reads one object again; `None` when that cannot be said.
pub(crate) async fn one(work: &Work<'_>, job: Job<'_>, did: &Did) -> Option<Seen> {
    if job.action.verb == Verb::Delete {
        return deleted(work, job).await;
    }
    // It goes as soon as it was of use.
    if job.bodies.target.as_ref().is_some_and(is_helper) {
        return None;
    }
    let now = match work.read(&job).await {
        Ok(Some(now)) => now,
        Ok(None) => return Some(Seen::different(Cause::DeletedAgain)),
        Err(failed) => return Some(Seen::different(unread(failed.message?))),
    };
    let wanted = wanted(work, &job, did)?;
    let differences = job.ground.differences(&wanted, &now, None);
    if differences.is_empty() {
        return Some(Seen { now: Some(now), ..equal(&job) });
    }
    let by_admission = did.became == Became::Done && did.answer.as_ref().is_some_and(|a| job.ground.same(a, &now));
    let verified = if by_admission { Verified::ChangedByAdmission } else { Verified::Different };
    Some(Seen { differences, ..Seen::new(verified) })
}

fn equal(job: &Job<'_>) -> Seen {
    if job.action.kept.is_empty() {
        return Seen::new(Verified::Equal);
    }
    let kept = job.action.kept.iter().map(|k| k.field.clone()).collect();
    let by_machines = job.action.kept.iter().all(|kept| kept.standing == Standing::Machines);
    let verified = if by_machines { Verified::EqualButForControllerOwned } else { Verified::EqualButForKept };
    Seen { differences: kept, ..Seen::new(verified) }
}

/// What was sent, or was to be.
fn wanted(work: &Work<'_>, job: &Job<'_>, did: &Did) -> Option<Full> {
    let mut wanted = job.target()?;
    match &did.sent {
        Some(sent) if !job.bodies.unsuspend => wanted.value = sent.clone(),
        _ => work.map_owners(job, &mut wanted.value),
    }
    Some(wanted)
}

async fn deleted(work: &Work<'_>, job: Job<'_>) -> Option<Seen> {
    let uid = job.bodies.before.as_ref().map(|b| meta(&b.value, "uid").to_owned()).unwrap_or_default();
    let clock = &work.link.parts.clock;
    // However many of them hang, they hang side by side.
    let now = clock.monotonic();
    let began = *work.leaving.lock().expect("never poisoned: no panic under it").get_or_insert(now);
    let mut wait = Duration::from_millis(20);
    loop {
        let now = match work.read(&job).await {
            Ok(None) => return Some(Seen::new(Verified::Equal)),
            Ok(Some(now)) => now.value,
            Err(failed) => {
                let why = failed.message?;
                return Some(Seen::different(unread(why)));
            }
        };
        if meta(&now, "uid") != uid {
            return Some(Seen::different(Cause::AnotherSince));
        }
        if !is_terminating(&now) {
            return Some(Seen::different(Cause::StillThere));
        }
        if clock.monotonic().saturating_sub(began) > GOING || work.link.cancelled_within(wait).await {
            return Some(Seen::different(Cause::StillTerminating(None, finalizers(&now))));
        }
        wait = (wait * 2).min(Duration::from_secs(1));
    }
}

fn unread(why: Message) -> Message {
    Message::about("it could not be read again: ", why)
}
