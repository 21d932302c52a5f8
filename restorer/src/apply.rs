//! Carries a plan out: waves, conflicts, ownership, verification; and finishes what an earlier process began.
//!
//! **Words**: what an action *became* is said before it is verified; *verified* is what a later reading showed.
//!
//! **Invariants.** (1) Nothing is sent that the plan does not hold, and nothing whose pre-image is not durable
//! ([`Record::begin`] writes all of them first). (2) A write is conditional on the uid and revision that were read; on a
//! conflict the object is read again, and written only if its intent is still what the plan looked at. (3) An action whose
//! outcome is not recorded is looked at before anything is sent for it, so that a process may die at any instant.
//! (4) When it is cancelled, what is under way is finished, and nothing more is begun.
//! (5) What is refused while the plan goes on is tried once more when all else is done.
//!
//! Not here: what is done and in which order ([`crate::plan`]), what intent is ([`crate::intent`]).
//!
//! Start reading at [`apply`], then `write::Work::act`.

mod check;
mod conflict;
mod filling;
mod ownership;
mod pace;
mod progress;
mod rehearsal;
mod request;
mod rollout;
mod settle;
mod verify;
mod webhooks;
mod write;

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use hindcast_journal::{Result, cut::Cut, fold::ObjectKey, parts::Micros};
use tokio::sync::watch;

pub use crate::outcome::{Became, Verified};

pub(crate) use self::check::check;
pub use self::{
    check::Check,
    progress::{Progress, Stage},
    rollout::{PodState, Rollout},
    settle::settle,
};
use self::{
    conflict::meta,
    progress::Meter,
    request::Link,
    write::{Did, Goes, Job, Work},
};
use crate::{
    intent,
    message::{Message, Note},
    plan::{Action, FieldChange, Plan, Prepared, Verb, quoted::Quoted},
    reason::Cause,
    record::{Entry, Record},
    selection::Reach,
};

/// How a restore goes about its work.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Requests at once in the beginning.
    pub first: usize,
    /// Requests at once at most.
    pub most: usize,
    /// How long one request may take.
    pub request: Duration,
    /// How long an API server is waited for that does not answer.
    pub deadline: Duration,
    /// How long an object that is being deleted is waited for.
    pub gone: Duration,
    /// How long claims that are filled from a snapshot are waited for.
    pub filled: Duration,
    /// How long rollouts are waited for; not at all if `None`.
    pub rollout: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            first: 8,
            most: 32,
            request: Duration::from_secs(30),
            deadline: Duration::from_mins(2),
            gone: Duration::from_mins(1),
            filled: Duration::from_mins(2),
            rollout: None,
        }
    }
}

/// One action's part of the outcome.
#[derive(Debug, Clone)]
pub struct Acted {
    /// The object.
    pub key: ObjectKey,
    /// Its Kind.
    pub kind: String,
    /// What was to be done.
    pub verb: Verb,
    /// What became of it.
    pub became: Became,
    /// What a later reading showed, where something was done.
    pub verified: Option<Verified>,
    /// Why, or what to know about it.
    pub message: Option<Message>,
    /// Fields: of a conflict, what changed since the plan; else, how the object differs from what was wanted.
    pub differences: Vec<FieldChange>,
}

/// What became of a restore.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its id; `hindcast undo ID` takes it back.
    pub id: String,
    /// The cluster.
    pub cluster: String,
    /// The cut that was restored.
    pub cut: Cut,
    /// Its time.
    pub time: Micros,
    /// For an undo: the id of the restore that was undone.
    pub undoes: Option<String>,
    /// Every action of the plan, in its order.
    pub actions: Vec<Acted>,
    /// How the workloads that were acted on came up.
    pub rollouts: Vec<Rollout>,
    /// What is worth knowing beside.
    pub notes: Vec<Note>,
    /// It was interrupted; it can be resumed.
    pub cancelled: bool,
}

impl Outcome {
    /// How many actions became that.
    pub fn count(&self, became: Became) -> usize {
        self.actions.iter().filter(|a| a.became == became).count()
    }

    /// Whether everything is as the plan wanted it.
    pub fn is_whole(&self) -> bool {
        let good = |a: &Acted| {
            matches!(a.became, Became::Done | Became::Already)
                && matches!(
                    a.verified,
                    None | Some(Verified::Equal | Verified::EqualButForControllerOwned | Verified::EqualButForKept)
                )
        };
        let admits = !self.notes.iter().any(|note| matches!(note, Note::StillBypassed { .. }));
        !self.cancelled && admits && self.actions.iter().all(good) && self.rollouts.iter().all(|r| r.ready)
    }
}

/// Who wants to know how far it is.
pub type Listener<'a> = &'a (dyn Fn(Progress<'_>) + Send + Sync);

/// Carries a plan out, with its record begun ([`Record::begin`]) or opened again ([`Record::open`], then the plan is
/// [`Record::prepared`]). `cancel` turning true ends it after what is under way.
pub(crate) async fn apply(
    prepared: &Prepared,
    client: &kube::Client,
    record: &Record,
    settings: &Settings,
    listener: Listener<'_>,
    cancel: watch::Receiver<bool>,
) -> Result<Outcome> {
    let parts = record.parts().clone();
    let link = Link::new(client, parts.clone(), settings, Some(cancel));
    let work = work(prepared, record, link);
    let meter = Meter::new(parts, prepared.plan.actions.len(), listener);
    let mut run = Run { work: &work, meter, did: BTreeMap::new(), notes: Vec::new() };
    // What an earlier process may have left switched off.
    run.notes.extend(work.end_bypass().await);
    run.waves().await;
    run.unsuspend().await;
    run.notes.extend(work.end_bypass().await);
    run.keep().await;
    run.verify().await;
    Ok(run.outcome().await)
}

fn work<'a>(prepared: &'a Prepared, record: &'a Record, link: Link<'a>) -> Work<'a> {
    let created = Mutex::new(record.created());
    let mut off = record.bypassed();
    off.extend(prepared.plan.switches_on.iter().flat_map(|off| off.webhooks.iter().cloned()));
    let bypassed = tokio::sync::Mutex::new(off);
    let goes = prepared.plan.actions.iter().filter(|action| matches!(action.verb, Verb::Delete | Verb::Recreate));
    let going = goes.filter_map(|action| {
        let live = action.live.as_ref()?;
        Some((live.uid.clone(), Goes { again: action.verb == Verb::Recreate, rv: live.rv.clone() }))
    });
    let going = going.collect();
    let parts = |action: &Action| Some((action.key.clone(), looked_at(&prepared.plan, action)?));
    let parts = prepared.plan.actions.iter().filter_map(parts).collect();
    let children = tokio::sync::Mutex::default();
    let (ended, waiting, leaving) = (Mutex::default(), Mutex::default(), Mutex::default());
    let resumed = record.is_resumed();
    let actions = prepared.plan.actions.iter().map(|action| (&action.key, action)).collect();
    Work {
        link,
        prepared,
        record,
        actions,
        created,
        children,
        going,
        parts,
        bypassed,
        ended,
        waiting,
        leaving,
        resumed,
    }
}

/// The parts of an object that the plan looked at, where that is not all of it.
fn looked_at(plan: &Plan, action: &Action) -> Option<Vec<String>> {
    if action.verb != Verb::Update {
        return None;
    }
    if let Some(path) = &plan.selection.path {
        return Some(vec![path.clone()]);
    }
    let itself = plan.undoes.is_none() && plan.selection.reach(&action.key) == Reach::Itself;
    itself.then(|| vec!["/metadata/annotations".to_owned(), "/metadata/labels".to_owned()])
}

/// One run over a plan.
struct Run<'a> {
    work: &'a Work<'a>,
    meter: Meter<'a>,
    did: BTreeMap<ObjectKey, (Did, Option<Verified>)>,
    notes: Vec<Note>,
}

impl<'a> Run<'a> {
    async fn waves(&mut self) {
        let mut actions: Vec<&'a Action> = self.work.prepared.plan.actions.iter().collect();
        // Stable: the plan's own order stands inside a wave.
        actions.sort_by_key(|a| a.wave);
        let mut held = Vec::new();
        for wave in actions.chunk_by(|a, b| a.wave == b.wave) {
            held.extend(self.wave(wave, None).await);
        }
        if self.work.link.is_cancelled() || self.work.link.is_gone() {
            for (action, did) in held {
                self.took(action, did);
            }
            return;
        }
        // What stood in the way may have gone by now (a port, a quota's room), what was needed may have come.
        let held: Vec<&Action> = held.into_iter().map(|(action, _)| action).collect();
        let since = self.work.link.parts.clock.monotonic();
        for wave in held.chunk_by(|a, b| a.wave == b.wave) {
            self.wave(wave, Some(since)).await;
        }
    }

    /// Carries the actions of one wave out. What was not let be done is returned, unless it is tried for the
    /// last time, in a round that began at `last`.
    async fn wave(&mut self, wave: &[&'a Action], last: Option<Duration>) -> Vec<(&'a Action, Did)> {
        let work = self.work;
        if wave.iter().any(|action| webhooks::is_configuration(&action.key.resource)) {
            self.notes.extend(work.end_bypass().await);
        }
        let mut held = Vec::new();
        let jobs = stream::iter(wave.iter().map(|action| one(work, action, last)));
        let mut running = jobs.buffer_unordered(work.link.settings.most.max(1));
        // Outcomes are kept beside the requests of the wave, which do not wait for it.
        let mut keeping: Option<BoxFuture<'_, Result<()>>> = None;
        loop {
            let kept = async {
                match keeping.as_mut() {
                    Some(keeping) => keeping.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                kept = kept => {
                    keeping = None;
                    self.notes.extend(kept.err().map(|e| unkept(&e)));
                }
                next = running.next() => match next {
                    Some((action, did)) if last.is_none() && did.may_yet_be() => held.push((action, did)),
                    Some((action, did)) => self.took(action, did),
                    None => break,
                },
            }
            if keeping.is_none() && work.record.is_due() {
                keeping = Some(work.record.keep().boxed());
            }
        }
        if let Some(keeping) = keeping {
            self.notes.extend(keeping.await.err().map(|e| unkept(&e)));
        }
        // Requests end in any order; the plan's is kept.
        held.sort_by(|(a, _), (b, _)| a.key.cmp(&b.key));
        held
    }

    fn took(&mut self, action: &Action, did: Did) {
        self.meter.done(action, &did);
        let waits = self.work.job(action).is_some_and(|j| j.bodies.unsuspend);
        if did.settled && !(waits && did.touched) {
            self.work.record.note(entry(self.work, action, &did, None));
        }
        self.did.insert(action.key.clone(), (did, None));
    }

    /// Ends what was created suspended, now that all else is done.
    async fn unsuspend(&mut self) {
        let work = self.work;
        for action in &work.prepared.plan.actions {
            let Some(job) = work.job(action).filter(|j| j.bodies.unsuspend) else { continue };
            let Some((did, _)) = self.did.get(&action.key) else { continue };
            if !did.touched || did.after.is_none() || work.link.is_cancelled() {
                continue;
            }
            let did = hushed(work, job, work.unsuspend(job, did.clone()).await);
            if did.settled {
                work.record.note(entry(work, action, &did, None));
            }
            self.did.insert(action.key.clone(), (did, None));
        }
    }

    async fn keep(&mut self) {
        if let Err(error) = self.work.record.keep().await {
            self.notes.push(unkept(&error));
        }
    }

    async fn verify(&mut self) {
        let work = self.work;
        self.meter.stage(Stage::Verifying);
        let mut jobs: Vec<(Job<'a>, Did)> = Vec::new();
        for action in &work.prepared.plan.actions {
            if let (Some(job), Some((did, _))) = (work.job(action), self.did.get(&action.key))
                && matches!(did.became, Became::Done | Became::Already)
            {
                jobs.push((job, did.clone()));
            }
        }
        let most = work.link.settings.most.max(1);
        let reads = stream::iter(jobs.into_iter().map(|(job, did)| async move {
            let verified = if work.link.is_cancelled() { None } else { verify::one(work, job, &did).await };
            (job, did, verified)
        }));
        let mut reads = reads.buffer_unordered(most);
        while let Some((job, mut did, verified)) = reads.next().await {
            let (action, Some(seen)) = (job.action, verified) else { continue };
            did.differences = seen.differences;
            did = hushed(work, job, did.with_note(seen.message));
            // What an undo compares with is the newest version that is known to be ours.
            did.after = seen.now.or(did.after);
            if did.settled {
                work.record.note(entry(work, action, &did, Some(seen.verified)));
            }
            self.did.insert(action.key.clone(), (did, Some(seen.verified)));
        }
        drop(reads);
        self.keep().await;
    }

    async fn outcome(mut self) -> Outcome {
        let work = self.work;
        let plan = &work.prepared.plan;
        let cancelled = work.link.is_cancelled();
        let mut actions = Vec::with_capacity(plan.actions.len());
        for action in &plan.actions {
            let (did, verified) = self.did.remove(&action.key).unwrap_or_else(|| (Did::skipped(Cause::NotBegun), None));
            actions.push(Acted {
                key: action.key.clone(),
                kind: action.kind.clone(),
                verb: action.verb,
                became: did.became,
                verified,
                message: did.message,
                differences: did.differences,
            });
        }
        let mut rollouts = Vec::new();
        if let Some(within) = work.link.settings.rollout.filter(|_| !cancelled) {
            self.meter.stage(Stage::RollingOut);
            rollouts = rollout::watch(work, &actions, within, &self.meter).await;
            self.notes.extend(rollout::readers(work, &actions).await.into_iter().map(Note::from));
        }
        if !cancelled {
            self.notes.extend(filling::clear(work, &actions, work.link.settings.filled).await);
        }
        self.notes.dedup();
        Outcome {
            id: work.record.id().to_owned(),
            cluster: plan.cluster.clone(),
            cut: plan.cut.clone(),
            time: plan.time,
            undoes: plan.undoes.clone(),
            actions,
            rollouts,
            notes: self.notes,
            cancelled: cancelled || work.link.is_cancelled(),
        }
    }
}

/// One action, unless it is done, or may not be begun.
async fn one<'a>(work: &'a Work<'a>, action: &'a Action, last: Option<Duration>) -> (&'a Action, Did) {
    if let Some(settled) = work.record.settled(&action.key) {
        return (action, Did::before(&settled));
    }
    if work.link.is_cancelled() {
        return (action, Did::skipped(Cause::NotBegun));
    }
    if work.link.is_gone() {
        return (action, Did { settled: false, ..Did::skipped(Cause::ServerGone) });
    }
    if let Some(why) = work.record.unrecorded(&action.key) {
        return (action, Did::refused(why.clone()));
    }
    if let Some(ending) = work.ended(&action.key.namespace) {
        return (action, Did::skipped(Cause::NamespaceEnds(ending)));
    }
    let did = match work.job(action) {
        Some(job) => {
            let mut did = work.act(Job { last, ..job }).await;
            if let Some(message) = did.message.take() {
                did.message = Some(work.link.named(message).await);
            }
            hushed(work, job, did)
        }
        None => Did::skipped(Cause::NoBody),
    };
    (action, did)
}

/// What became of an action, without the sealed values that a server may have named in what it said.
fn hushed(work: &Work<'_>, job: Job<'_>, mut did: Did) -> Did {
    let quoted = || Quoted::of(&job.action.key, job.bodies, &work.prepared.around.rules);
    did.message = did.message.take().map(|message| quoted().out_of(message));
    did
}

/// What the record keeps of an action.
fn entry(work: &Work<'_>, action: &Action, did: &Did, verified: Option<Verified>) -> Entry {
    let after = did.after.as_ref();
    let hash = after.map(|full| intent::fingerprint(&action.key, full, &work.prepared.around, work.record.hmac()));
    let of = |name: &str| after.map(|full| meta(&full.value, name).to_owned()).unwrap_or_default();
    Entry {
        key: action.key.clone(),
        became: did.became,
        touched: did.touched,
        uid: of("uid"),
        rv: of("resourceVersion"),
        hash: hash.unwrap_or_default(),
        verified,
        message: did.message.clone(),
    }
}

fn unkept(error: &hindcast_journal::Error) -> Note {
    format!("the record lacks some outcomes, so an undo may leave objects alone: {error}").into()
}
