//! One action, carried out: create, update, recreate, delete, each conditional on what the plan looked at.
//!
//! **Invariants.** (1) An update or delete names the uid and the revision of a version whose intent is the one that the plan
//! looked at. (2) What was begun by an earlier process is looked at before anything is sent [`Work::resumed`]. (3) An
//! object that was deleted to be created again is never left away silently: if it cannot be created, what was there is
//! put back. (4) An answer that was lost is no reason to take our own write for somebody else's.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use hindcast_journal::{
    exact::{Object, Value},
    fold::ObjectKey,
};
use http::Method;

use super::{
    Became,
    conflict::{Ground, finalizers, is_terminating, meta, named},
    ownership,
    request::{self, Ask, Link, Lost, Problem, Reply},
};
use crate::{
    desired::Full,
    plan::{Action, Bodies, FieldChange, Prepared, Propagation, Verb},
    record::{Entry, Record},
};

/// How often a write is made again after the object was written by somebody else.
const CONFLICTS: u32 = 5;

/// How often a write is tried whose webhook was switched off: the API server takes a moment to hear of it.
const BYPASSES: u32 = 20;

/// The time between these.
const HEARD: Duration = Duration::from_millis(250);

/// What became of an action, before it is verified.
#[derive(Debug, Clone)]
pub(crate) struct Did {
    pub(crate) became: Became,
    pub(crate) message: Option<String>,
    pub(crate) differences: Vec<FieldChange>,
    /// Whether the cluster is, or may be, other than before by this action.
    pub(crate) touched: bool,
    /// The object as the last answer showed it; `None` if it is not there.
    pub(crate) after: Option<Full>,
    /// What was sent, where it is not the plan's target: carried over to a newer version, or relaxed.
    pub(crate) sent: Option<Value>,
    /// What the write itself was answered with.
    pub(crate) answer: Option<Full>,
    /// Something that could not be found out must not be recorded: a resume looks again.
    pub(crate) settled: bool,
}

impl Did {
    fn new(became: Became) -> Self {
        Self {
            became,
            message: None,
            differences: Vec::new(),
            touched: became == Became::Done,
            after: None,
            sent: None,
            answer: None,
            settled: true,
        }
    }

    fn because(became: Became, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::new(became) }
    }

    /// The action was not begun.
    pub(crate) fn skipped(message: impl Into<String>) -> Self {
        Self::because(Became::Skipped, message)
    }

    /// The action may not be done.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::because(Became::Refused, message)
    }

    /// The action is through since an earlier process.
    pub(crate) fn before(entry: &Entry) -> Self {
        let did = Self::new(entry.became);
        // Its outcome is recorded; this one must not take its place.
        Self { message: entry.message.clone(), touched: entry.touched, settled: false, ..did }
    }

    fn done(after: Option<Full>) -> Self {
        Self { after, ..Self::new(Became::Done) }
    }

    fn lost(lost: &Lost) -> Self {
        let message = if lost.cancelled {
            format!("interrupted while it was not answered: {}", lost.why)
        } else {
            format!("the API server did not answer in time: {}", lost.why)
        };
        Self { settled: false, ..Self::because(Became::Failed, message) }
    }

    fn with_note(mut self, note: Option<String>) -> Self {
        self.message = match (self.message.take(), note) {
            (Some(one), Some(two)) => Some(format!("{one}; {two}")),
            (one, two) => one.or(two),
        };
        self
    }
}

/// The work that all actions share.
pub(crate) struct Work<'a> {
    pub(crate) link: Link<'a>,
    pub(crate) prepared: &'a Prepared,
    pub(crate) record: &'a Record,
    /// The uids of owners that were created.
    pub(crate) created: Mutex<BTreeMap<ObjectKey, String>>,
    /// The parts of objects that the plan looked at, where that is not all.
    pub(crate) parts: BTreeMap<ObjectKey, Vec<String>>,
    /// The webhooks that are switched off. Filled by [`Work::bypass`], emptied by [`Work::end_bypass`].
    pub(crate) bypassed: tokio::sync::Mutex<BTreeSet<String>>,
    /// An earlier process may have begun any of the actions.
    pub(crate) resumed: bool,
}

/// One action with its bodies.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) action: &'a Action,
    pub(crate) bodies: &'a Bodies,
    pub(crate) ground: Ground<'a>,
}

impl Job<'_> {
    fn path(&self) -> String {
        request::object(&self.action.key, &self.action.version)
    }

    fn before(&self) -> Option<&Full> {
        self.bodies.before.as_deref()
    }

    /// The target as it is compared: with the managedFields that it is to have.
    pub(crate) fn target(&self) -> Option<Full> {
        let value = self.bodies.target.clone()?;
        Some(Full { value, managed: self.bodies.managed.clone() })
    }
}

impl<'a> Work<'a> {
    /// Everything about one action.
    pub(crate) fn job(&'a self, action: &'a Action) -> Option<Job<'a>> {
        let bodies = self.prepared.bodies.get(&action.key)?;
        let ground = Ground {
            key: &action.key,
            around: &self.prepared.around,
            parts: self.parts.get(&action.key).map_or(&[], Vec::as_slice),
            redact: &bodies.redact,
            hmac: self.record.hmac(),
        };
        Some(Job { action, bodies, ground })
    }

    /// Carries one action out.
    pub(crate) async fn act(&self, job: Job<'_>) -> Did {
        let did = match job.action.verb {
            Verb::Create => self.create(job).await,
            Verb::Update => self.update(job).await,
            Verb::Recreate => self.recreate(job).await,
            Verb::Delete => self.delete(job).await,
        };
        let did = self.look_again(&job, did.unwrap_or_else(|stop| stop)).await;
        if job.action.verb != Verb::Delete
            && let Some(after) = &did.after
        {
            let uid = meta(&after.value, "uid").to_owned();
            let mut created = self.created.lock().expect("never poisoned: no panic under it");
            created.insert(job.action.key.clone(), uid);
        }
        did
    }

    /// Where it is not known whether a write was done, the object tells, if it can be read.
    async fn look_again(&self, job: &Job<'_>, did: Did) -> Did {
        if did.settled || did.became != Became::Failed || self.link.is_cancelled() || self.link.is_gone() {
            return did;
        }
        let Ok(now) = self.link.read(&job.path()).await else { return did };
        let untouched = |did: Did| Did { settled: true, touched: false, ..did };
        match (job.action.verb, now) {
            (Verb::Create, None) => untouched(did),
            (Verb::Create, Some(now)) if is_terminating(&now.value) => untouched(did),
            (Verb::Delete, None) => Did::done(None),
            (Verb::Create | Verb::Update, Some(now)) if job.target().is_some_and(|t| job.ground.same(&t, &now)) => {
                self.found(job, now, true).await
            }
            (Verb::Update | Verb::Delete | Verb::Recreate, Some(now)) => {
                let stands = |before: &Full| {
                    let same = meta(&before.value, "uid") == meta(&now.value, "uid");
                    same && !is_terminating(&now.value) && job.ground.same(before, &now)
                };
                if job.before().is_some_and(stands) { untouched(did) } else { did }
            }
            _ => did,
        }
    }

    async fn update(&self, job: Job<'_>) -> Result<Did, Did> {
        let (Some(before), Some(target)) = (job.before(), job.target()) else {
            return Err(Did::because(Became::Failed, "the plan holds no body for it"));
        };
        let live = job.action.live.as_ref();
        let uid = live.map_or_else(|| meta(&before.value, "uid"), |l| &l.uid).to_owned();
        let mut rv = live.map_or_else(|| meta(&before.value, "resourceVersion"), |l| &l.rv).to_owned();
        let mut sent = target.value.clone();
        let mut look = self.resumed;
        let mut doubtful = false;
        let mut refusals = 0;
        loop {
            if look {
                let now = self.read(&job).await?;
                let Some(now) = now else {
                    return Err(Did::because(Became::Conflict, "it was deleted since the plan was made"));
                };
                if meta(&now.value, "uid") != uid {
                    return Err(Did::because(
                        Became::Conflict,
                        "it was deleted and created again since the plan was made",
                    ));
                }
                if is_terminating(&now.value) {
                    let why = format!("it is being deleted{}", finalizers(&now.value));
                    return Err(Did::because(Became::Conflict, why));
                }
                if job.ground.same(&target, &now) {
                    return Ok(self.found(&job, now, doubtful).await);
                }
                let changed = job.ground.differences(before, &now, Some(&target));
                if !changed.is_empty() {
                    let message = format!("it was changed since the plan was made: {}", named(&changed));
                    let did = Did::because(Became::Conflict, message);
                    return Err(Did { differences: changed, ..did });
                }
                rv = meta(&now.value, "resourceVersion").to_owned();
                sent = job.ground.carry_over(&target.value, before, &now.value).ok_or_else(|| {
                    Did::because(Became::Conflict, "what is to be changed is not there any more")
                })?;
            }
            let body = self.body(&job, &sent, Some((&uid, &rv)))?;
            let path = format!("{}{}", job.path(), request::manners(false));
            let reply = self.send(&Ask::write(Method::PUT, path, &body)).await?;
            doubtful |= reply.doubtful;
            match reply.status {
                _ if reply.is_success() => return self.written(&job, &reply, sent).await,
                404 | 409 if refusals < CONFLICTS => refusals += 1,
                409 => {
                    let why = format!("it is being written too often by others: {}", reply.message());
                    return Err(Did::because(Became::Conflict, why));
                }
                _ => return Err(refusal(&job, "update", &reply)),
            }
            look = true;
            if refusals > 1 {
                // Many writers at once: step back for a random moment rather than in step with them.
                let spread = self.link.parts.random.next_u64() % (20 << refusals);
                self.link.parts.clock.sleep(Duration::from_millis(spread)).await;
            }
        }
    }

    async fn create(&self, job: Job<'_>) -> Result<Did, Did> {
        if self.resumed || job.action.live.is_some() {
            match self.read(&job).await? {
                None => {}
                Some(now) if is_terminating(&now.value) => self.gone(&job, meta(&now.value, "uid")).await?,
                Some(now) => return self.standing(&job, now, self.resumed).await,
            }
        }
        self.post(job).await
    }

    /// Creates what is not there.
    async fn post(&self, job: Job<'_>) -> Result<Did, Did> {
        let Some(mut sent) = job.bodies.target.clone() else {
            return Err(Did::because(Became::Failed, "the plan holds no body for it"));
        };
        self.adopt(&job, &mut sent)?;
        if job.bodies.unsuspend {
            suspend(&mut sent);
        }
        let mut note = None;
        for _ in 0..=CONFLICTS {
            let body = self.body(&job, &sent, None)?;
            let path = request::collection(&job.action.key, &job.action.version);
            let ask = Ask::write(Method::POST, format!("{path}{}", request::manners(false)), &body);
            let reply = self.send(&ask).await?;
            if reply.is_success() {
                return Ok(self.written(&job, &reply, sent).await?.with_note(note));
            }
            if reply.status == 409 {
                match self.read(&job).await? {
                    Some(now) if is_terminating(&now.value) => self.gone(&job, meta(&now.value, "uid")).await?,
                    Some(now) => return self.standing(&job, now, reply.doubtful).await,
                    None if reply.reason() == "AlreadyExists" => {}
                    None => return Err(refusal(&job, "create", &reply)),
                }
            } else if let Some(why) = relax(job.action, &mut sent, &reply) {
                note = Some(why);
            } else {
                return Err(refusal(&job, "create", &reply));
            }
        }
        Err(Did::because(Became::Conflict, "it is being created and deleted by others"))
    }

    /// An object stands where one is to be created.
    async fn standing(&self, job: &Job<'_>, now: Full, doubtful: bool) -> Result<Did, Did> {
        let Some(mut target) = job.target() else {
            return Err(Did::because(Became::Failed, "the plan holds no body for it"));
        };
        self.adopt(job, &mut target.value)?;
        let mut staged = target.clone();
        if job.bodies.unsuspend {
            suspend(&mut staged.value);
        }
        if job.ground.same(&target, &now) || job.ground.same(&staged, &now) {
            return Ok(self.found(job, now, doubtful).await);
        }
        let changed = job.ground.differences(&target, &now, None);
        let message = format!("somebody created it since the plan was made, otherwise: {}", named(&changed));
        Err(Did { differences: changed, ..Did::because(Became::Conflict, message) })
    }

    /// The object is as it is to be; by an earlier try of ours whose answer was lost, or by somebody else.
    async fn found(&self, job: &Job<'_>, now: Full, doubtful: bool) -> Did {
        let ours = doubtful || self.resumed;
        let now = if ours { self.own(job, now).await } else { (now, None) };
        let became = if doubtful && !self.resumed { Became::Done } else { Became::Already };
        Did { touched: ours, after: Some(now.0), ..Did::new(became) }.with_note(now.1)
    }

    async fn delete(&self, job: Job<'_>) -> Result<Did, Did> {
        let Some(before) = job.before() else {
            return Err(Did::because(Became::Failed, "the plan holds no pre-image of it"));
        };
        let uid = meta(&before.value, "uid").to_owned();
        let mut rv = meta(&before.value, "resourceVersion").to_owned();
        if let Some(live) = &job.action.live {
            rv.clone_from(&live.rv);
        }
        let mut look = self.resumed;
        let mut doubtful = self.resumed;
        for _ in 0..=CONFLICTS {
            if look {
                let Some(now) = self.read(&job).await? else {
                    return Ok(Did { touched: doubtful, ..Did::new(Became::Already) });
                };
                if meta(&now.value, "uid") != uid {
                    // Ours is gone; another of the same name was made by somebody.
                    let why = "another object of the same name is there by now";
                    return Err(Did::because(Became::Conflict, why));
                }
                if is_terminating(&now.value) {
                    let did = Did { touched: doubtful, ..Did::new(Became::Already) };
                    return Ok(did.with_note(Some(format!("it is being deleted{}", finalizers(&now.value)))));
                }
                let changed = job.ground.differences(before, &now, None);
                if !changed.is_empty() {
                    let message = format!("it was changed since the plan was made: {}", named(&changed));
                    let did = Did::because(Became::Conflict, message);
                    return Err(Did { differences: changed, ..did });
                }
                rv = meta(&now.value, "resourceVersion").to_owned();
            }
            let options = delete_options(&uid, &rv, job.action.propagation, false);
            let reply = self.send(&Ask::write(Method::DELETE, job.path(), &options)).await?;
            doubtful |= reply.doubtful;
            match reply.status {
                _ if reply.is_success() => return Ok(Did::done(None)),
                404 => return Ok(Did { touched: doubtful, ..Did::new(Became::Already) }),
                409 => look = true,
                _ => return Err(refusal(&job, "delete", &reply)),
            }
        }
        Err(Did::because(Became::Conflict, "it is being written too often by others"))
    }

    async fn recreate(&self, job: Job<'_>) -> Result<Did, Did> {
        let Some(before) = job.before() else {
            return Err(Did::because(Became::Failed, "the plan holds no pre-image of it"));
        };
        let uid = meta(&before.value, "uid").to_owned();
        if self.resumed
            && let Some(now) = self.read(&job).await?
            && meta(&now.value, "uid") != uid
        {
            return self.standing(&job, now, true).await;
        }
        let gone = self.delete(job).await?;
        let half = |mut did: Did| {
            did.touched = true;
            did
        };
        self.gone(&job, &uid).await.map_err(half)?;
        drop(gone);
        match self.post(job).await {
            Ok(did) => Ok(did),
            Err(did) if did.became == Became::Refused => {
                // Better what was there than nothing.
                let body = self.body(&job, &before.value, None)?;
                let path = request::collection(&job.action.key, &job.action.version);
                let ask = Ask::write(Method::POST, format!("{path}{}", request::manners(false)), &body);
                let back = self.send(&ask).await.map_err(half)?;
                let note = if back.is_success() {
                    "it had been deleted to be created again; what was there was put back".to_owned()
                } else {
                    format!("IT IS NOT THERE: it had been deleted to be created again, and what was there could not be put back: {}", back.message())
                };
                let after = back.object().ok().filter(|_| back.is_success());
                Err(half(Did { after, ..did }.with_note(Some(note))))
            }
            Err(did) => Err(half(did)),
        }
    }

    /// A write was answered; its fields are given back to their owners.
    async fn written(&self, job: &Job<'_>, reply: &Reply, sent: Value) -> Result<Did, Did> {
        let answer = reply.object().map_err(|why| Did::because(Became::Failed, why))?;
        let (after, note) = self.own(job, answer.clone()).await;
        let did = Did { answer: Some(answer), sent: Some(sent), ..Did::done(Some(after)) };
        Ok(did.with_note(note))
    }

    /// Sets managedFields as they were; the object then, and what to know about it if that did not work.
    pub(crate) async fn own(&self, job: &Job<'_>, mut now: Full) -> (Full, Option<String>) {
        let path = format!("{}{}", job.path(), request::manners(false));
        let mut why = String::new();
        for _ in 0..=CONFLICTS {
            let created = job.action.verb != Verb::Update;
            let managed = ownership::wanted(job.bodies.managed.as_ref(), now.managed.as_ref(), created);
            let Some(managed) = managed else { return (now, None) };
            let (rv, uid) = (meta(&now.value, "resourceVersion"), meta(&now.value, "uid"));
            let ask = Ask::merge_patch(path.clone(), &ownership::patch(managed, rv, uid));
            let reply = match self.send(&ask).await {
                Ok(reply) => reply,
                Err(lost) => return (now, Some(not_owned(&lost.message.unwrap_or_default()))),
            };
            if reply.is_success() {
                match reply.object() {
                    Ok(object) => return (object, None),
                    Err(odd) => return (now, Some(not_owned(&odd))),
                }
            }
            why = reply.message();
            if reply.status == 403 {
                why = format!("{why} (patch on {})", job.action.key.resource);
            }
            if reply.status != 409 {
                break;
            }
            match self.link.read(&job.path()).await {
                Ok(Some(live)) => now = live,
                _ => break,
            }
        }
        (now, Some(not_owned(&why)))
    }

    /// Ends what was created suspended.
    pub(crate) async fn unsuspend(&self, job: Job<'_>, mut did: Did) -> Did {
        let wanted = job.bodies.target.as_ref().and_then(|t| t.pointer("/spec/suspend")).cloned();
        let path = format!("{}{}", job.path(), request::manners(false));
        let mut why = "it is being written too often by others".to_owned();
        for _ in 0..=CONFLICTS {
            let now = match self.read(&job).await {
                Ok(Some(now)) => now,
                Ok(None) => {
                    why = "it is gone".to_owned();
                    break;
                }
                Err(failed) => {
                    why = failed.message.unwrap_or_default();
                    break;
                }
            };
            if now.value.pointer("/spec/suspend").and_then(Value::as_bool) != Some(true) {
                did.after = Some(now);
                return did;
            }
            let metadata: Object = [("resourceVersion", Value::from(meta(&now.value, "resourceVersion")))].into_iter().collect();
            let spec: Object = [("suspend", wanted.clone().unwrap_or(Value::Null))].into_iter().collect();
            let body = [("metadata", Value::Object(metadata)), ("spec", Value::Object(spec))];
            let ask = Ask::merge_patch(path.clone(), &Value::Object(body.into_iter().collect()));
            match self.send(&ask).await {
                Ok(reply) if reply.is_success() => {
                    let Ok(now) = reply.object() else { break };
                    let (now, note) = self.own(&job, now).await;
                    did.after = Some(now);
                    did.sent = None;
                    return did.with_note(note);
                }
                Ok(reply) if reply.status == 409 => {}
                Ok(reply) => {
                    why = reply.message();
                    break;
                }
                Err(failed) => {
                    why = failed.message.unwrap_or_default();
                    break;
                }
            }
        }
        did.became = Became::Failed;
        did.settled = false;
        did.with_note(Some(format!("it was created, and is still suspended: {why}")))
    }

    /// Waits until the object of that uid is gone.
    async fn gone(&self, job: &Job<'_>, uid: &str) -> Result<(), Did> {
        let clock = &self.link.parts.clock;
        let began = clock.monotonic();
        let mut wait = Duration::from_millis(20);
        loop {
            let Some(now) = self.read(job).await? else { return Ok(()) };
            if meta(&now.value, "uid") != uid {
                return Ok(());
            }
            let waited = clock.monotonic().saturating_sub(began);
            let why = || {
                let waited = waited.as_secs();
                format!("it is still being deleted after {waited} s{}", finalizers(&now.value))
            };
            if waited > self.link.settings.gone {
                return Err(Did { settled: false, ..Did::because(Became::Failed, why()) });
            }
            if self.link.cancelled_within(wait).await {
                return Err(Did { settled: false, ..Did::because(Became::Failed, format!("interrupted: {}", why())) });
            }
            wait = (wait * 2).min(Duration::from_secs(1));
        }
    }

    /// Sends a write; webhooks in its way are switched off first, where that is allowed.
    async fn send(&self, ask: &Ask) -> Result<Reply, Did> {
        let mut tries = 0;
        loop {
            let reply = self.link.send(ask).await.map_err(|lost| Did::lost(&lost))?;
            if reply.is_success() || tries == BYPASSES || !self.bypass(&reply).await {
                return Ok(reply);
            }
            tries += 1;
            if self.link.cancelled_within(HEARD).await {
                return Ok(reply);
            }
        }
    }

    pub(crate) async fn read(&self, job: &Job<'_>) -> Result<Option<Full>, Did> {
        self.link.read(&job.path()).await.map_err(|problem| match problem {
            Problem::Lost(lost) => Did::lost(&lost),
            Problem::Reply(reply) => refusal(job, "get", &reply),
            Problem::Odd(why) => Did::because(Became::Failed, why),
        })
    }

    /// Owner references of owners that were created in this restore get their new uids.
    fn adopt(&self, job: &Job<'_>, target: &mut Value) -> Result<(), Did> {
        for owner in &job.bodies.owners {
            let created = self.created.lock().expect("never poisoned: no panic under it");
            let Some(uid) = created.get(&owner.owner).cloned() else {
                let o = &owner.owner;
                return Err(Did::skipped(format!("its owner {}/{} was not created", o.resource, o.name)));
            };
            drop(created);
            if let Some(place) = target.pointer_mut(&format!("/metadata/ownerReferences/{}/uid", owner.at)) {
                *place = Value::from(uid);
            }
        }
        Ok(())
    }

    /// As [`Work::adopt`], as far as the owners are known.
    pub(crate) fn map_owners(&self, job: &Job<'_>, target: &mut Value) {
        // What is wanted of an owner is told with the action that needed it.
        let _ = self.adopt(job, target);
    }

    /// What is sent for an object: with the identity of the live one, or with none.
    fn body(&self, job: &Job<'_>, value: &Value, live: Option<(&str, &str)>) -> Result<Value, Did> {
        body(job.action, value, live)
            .ok_or_else(|| Did::because(Became::Failed, "what is to be written is no object"))
    }
}

/// What is sent for an object: with the identity of the live one, or with none.
pub(crate) fn body(action: &Action, value: &Value, live: Option<(&str, &str)>) -> Option<Value> {
    let mut body = value.clone();
    let root = body.as_object_mut()?;
    let group = &action.key.group;
    let version = &action.version;
    let api = if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
    root.insert("apiVersion", Value::from(api));
    root.insert("kind", Value::from(action.kind.as_str()));
    let metadata = root.get_mut("metadata")?.as_object_mut()?;
    for own in [
        "resourceVersion",
        "uid",
        "creationTimestamp",
        "generation",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
    ] {
        metadata.remove(own);
    }
    if let Some((uid, rv)) = live {
        metadata.insert("uid", Value::from(uid));
        metadata.insert("resourceVersion", Value::from(rv));
    }
    Some(body)
}

/// The body of a delete, which holds only for that version of that object. A dry run is asked for here: beside a body
/// the server does not look at the query.
pub(crate) fn delete_options(uid: &str, rv: &str, propagation: Propagation, dry_run: bool) -> Value {
    let propagation = match propagation {
        Propagation::Background => "Background",
        Propagation::Foreground => "Foreground",
        Propagation::Orphan => "Orphan",
    };
    let preconditions: Object = [("uid", uid), ("resourceVersion", rv)].into_iter().collect();
    let members = [
        ("apiVersion", Value::from("v1")),
        ("kind", Value::from("DeleteOptions")),
        ("preconditions", Value::Object(preconditions)),
        ("propagationPolicy", Value::from(propagation)),
    ];
    let mut options: Object = members.into_iter().collect();
    if dry_run {
        options.insert("dryRun", Value::Array(vec![Value::from("All")]));
    }
    Value::Object(options)
}

fn suspend(target: &mut Value) {
    if let Some(spec) = target.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("suspend", Value::Bool(true));
    }
}

/// Takes what the server could not give again out of a Service that is created, and says so.
fn relax(action: &Action, sent: &mut Value, reply: &Reply) -> Option<String> {
    if action.key.group.is_empty() && action.key.resource == "services" && reply.status == 422 {
        let message = reply.message();
        let spec = sent.get_mut("spec").and_then(Value::as_object_mut)?;
        let headless = spec.get("clusterIP").and_then(Value::as_str) == Some("None");
        if message.contains("spec.clusterIP") && !headless && spec.contains_key("clusterIP") {
            let old = spec.remove("clusterIP").and_then(|v| v.as_str().map(str::to_owned));
            spec.remove("clusterIPs");
            let old = old.unwrap_or_default();
            return Some(format!("its address {old} is taken: it has another one"));
        }
        if message.contains("odePort") {
            let mut taken = spec.remove("healthCheckNodePort").is_some();
            for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                taken |= port.as_object_mut().is_some_and(|p| p.remove("nodePort").is_some());
            }
            return taken.then(|| "a node port of it is taken: it has others".to_owned());
        }
    }
    None
}

/// What a refusing answer means, with the remedy.
fn refusal(job: &Job<'_>, verb: &str, reply: &Reply) -> Did {
    let words = reply.message();
    let failed = reply.status >= 500 && !words.contains("webhook");
    let became = if failed { Became::Failed } else { Became::Refused };
    // An error of the server does not say whether the write was done.
    Did { settled: !failed, ..Did::because(became, explain(job.action, verb, reply)) }
}

/// The server's words, with what can be done about them.
pub(crate) fn explain(action: &Action, verb: &str, reply: &Reply) -> String {
    let words = reply.message();
    let what = if action.key.group.is_empty() {
        action.key.resource.clone()
    } else {
        format!("{}.{}", action.key.resource, action.key.group)
    };
    let remedy = match reply.status {
        401 => Some("the credentials are not accepted (any more): log in again, then resume".to_owned()),
        403 if words.contains("not currently held") => {
            Some(format!("the account needs `escalate` or `bind` on {what}, or the rights it is to grant"))
        }
        403 if words.contains("is forbidden: User") => {
            Some(format!("the account needs `{verb}` on {what}"))
        }
        403 if words.contains("exceeded quota") => Some("make room in the quota, then resume".to_owned()),
        422 if words.contains("immutable") || words.contains("updates to statefulset spec") => {
            Some("--allow-recreate deletes and creates it again".to_owned())
        }
        500 if words.contains("failed calling webhook") => {
            Some("bring the webhook back, or give --bypass-webhooks".to_owned())
        }
        404 => Some(format!("no {what} in version {} here, or no such namespace", action.version)),
        _ => None,
    };
    match remedy {
        Some(remedy) => format!("{words}: {remedy}"),
        None => words,
    }
}

fn not_owned(why: &str) -> String {
    format!("its field owners could not be set again, so `kubectl apply --server-side` may meet a conflict: {why}")
}
