//! What became of the actions of a restore that was killed, found out by looking: nothing is sent to the cluster.
//!
//! A restore that is to be undone must know first what it has touched. A resume finds that out too, but it goes on; whoever
//! undoes wants it to end.
//!
//! **Invariants.** (1) An object that stands as it was to be was written by the restore, one that stands as before was not; but
//! both count as touched: should a last request be carried out after we looked, an undo meets a change and says so.
//! (2) One that stands otherwise counts as left in no state that is known, so that an undo leaves it and says so. (3) What
//! cannot be read stays open.

use futures::{StreamExt as _, stream};
use hindcast_journal::{Error, Result};

use super::{
    Became, Settings, Work,
    conflict::{is_terminating, meta},
    entry,
    request::Link,
    work,
    write::{Did, Job},
};
use crate::{
    desired::Full,
    message::Remedy,
    plan::{Action, Verb},
    reason::Cause,
    record::Record,
    rules,
};

/// Stands for the fingerprint of an object that somebody else has changed; no object has it.
const UNKNOWN: &str = "unknown";

/// Writes down what became of every action that has no outcome; how many those were.
pub async fn settle(record: &Record, client: &kube::Client) -> Result<usize> {
    let open = record.open_ends();
    if open.is_empty() {
        return Ok(0);
    }
    let id = record.id();
    if !record.is_begun().await? {
        return Err(Error::invalid(
            format!("restore {id}"),
            "was interrupted before its first write: there is nothing to undo",
        ));
    }
    let prepared = record.prepared().await?;
    let settings = Settings::default();
    let work = work(&prepared, record, Link::new(client, record.parts().clone(), &settings, None));
    let mut actions: Vec<&Action> = prepared.plan.actions.iter().filter(|action| open.contains(&action.key)).collect();
    // What was created is known before what it owns is looked at.
    actions.sort_by_key(|action| action.wave);
    for wave in actions.chunk_by(|a, b| a.wave == b.wave) {
        let looks = stream::iter(wave).map(|&action| {
            let work = &work;
            async move { (action, look(work, action).await) }
        });
        for (action, found) in looks.buffer_unordered(settings.most).collect::<Vec<_>>().await {
            let found = found.map_err(|did| {
                let (resource, name) = (&action.key.resource, &action.key.name);
                let why = record.words().message(&did.message.unwrap_or_default());
                let what = format!("was interrupted, and what became of {resource}/{name} cannot be found out: {why}");
                Error::invalid(format!("restore {id}"), what).with_remedy(Remedy::RetryOrFinish(id.to_owned()))
            })?;
            work.stands(action, &found.did);
            let mut entry = entry(&work, action, &found.did, None);
            if found.changed {
                UNKNOWN.clone_into(&mut entry.hash);
            }
            record.note(entry);
        }
    }
    record.keep().await?;
    Ok(open.len())
}

/// What a look at an object showed.
struct Found {
    did: Did,
    /// It stands neither as before nor as it was to be.
    changed: bool,
}

impl Found {
    fn as_before(now: Option<Full>) -> Self {
        let did = Did::skipped(Cause::NotDone);
        Self { did: Did { touched: true, after: now, ..did }, changed: false }
    }

    fn done(after: Option<Full>) -> Self {
        Self { did: Did::done(after), changed: false }
    }

    fn changed(now: Option<Full>) -> Self {
        let did = Did { touched: true, after: now, ..Did::because(Became::Conflict, Cause::ChangedMeanwhile) };
        Self { did, changed: true }
    }
}

async fn look(work: &Work<'_>, action: &Action) -> Result<Found, Did> {
    let Some(job) = work.job(action) else { return Ok(Found::as_before(None)) };
    let now = work.read(&job).await?;
    let before = job.before().filter(|_| action.verb != Verb::Create);
    let instance = |full: &Full| meta(&full.value, "uid").to_owned();
    let same = before.zip(now.as_ref()).is_some_and(|(before, now)| instance(before) == instance(now));
    Ok(match (action.verb, now) {
        (Verb::Create, None) => Found::as_before(None),
        (Verb::Create, Some(now)) if is_terminating(&now.value) => Found::as_before(None),
        (Verb::Delete | Verb::Recreate, None) => Found::done(None),
        (Verb::Delete | Verb::Recreate, Some(now)) if same && is_terminating(&now.value) => Found::done(None),
        (Verb::Delete | Verb::Recreate, Some(now)) if same => Found::as_before(Some(now)),
        (Verb::Update, Some(now))
            if same
                && (before.is_some_and(|before| job.ground.same(before, &now))
                    || work.released(&job, &now).is_some()) =>
        {
            Found::as_before(Some(now))
        }
        (Verb::Update, Some(now)) if same && is_as_wanted(work, &job, &now) => Found::done(Some(now)),
        (Verb::Create | Verb::Recreate, Some(now)) if is_as_wanted(work, &job, &now) => Found::done(Some(now)),
        (_, now) => Found::changed(now),
    })
}

/// Whether an object stands as the plan wants it, or as a step on the way there.
fn is_as_wanted(work: &Work<'_>, job: &Job<'_>, now: &Full) -> bool {
    let Some(mut target) = job.target() else { return false };
    work.map_owners(job, &mut target.value);
    let mut staged = target.clone();
    if job.bodies.unsuspend {
        rules::suspend(&job.action.key.kind_key(), &mut staged.value);
    }
    job.ground.same(&target, now) || job.ground.same(&staged, now) || work.without_others(job, now, true).is_some()
}
