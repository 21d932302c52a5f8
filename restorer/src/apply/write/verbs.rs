//! The four things that are done to an object, and how a `CronJob` is let run again.
//!
//! **Words**: an object *stands* where it is there though it is to be created; it is *found* where it is as wanted without
//! anything being sent.

use std::time::Duration;

use hindcast_journal::exact::{Object, Value};
use http::Method;

use super::{
    CONFLICTS, Did, Job, Work,
    did::joined,
    handing::Handed,
    sent::{delete_options, refusal, relax},
};
use crate::{
    apply::{
        Became,
        conflict::{finalizers, is_terminating, meta},
        request::{self, Ask},
    },
    desired::Full,
    message::Message,
    plan::Verb,
    reason::Cause,
    rules,
};

/// How long what was written in two steps may take to be ready for the second, and how often it is looked at.
const GOES_ON: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Work<'_> {
    pub(super) async fn update(&self, job: Job<'_>) -> Result<Did, Did> {
        let (Some(before), Some(mut target)) = (job.before(), job.target()) else {
            return Err(Did::because(Became::Failed, Cause::NoBody));
        };
        self.adopt_or_leave(&job, &mut target.value).await?;
        let mut before = before.clone();
        let ready = target.clone();
        if job.bodies.unsuspend {
            rules::suspend(&job.action.key.kind_key(), &mut target.value);
        }
        let kind = job.action.key.kind_key();
        let live = job.action.live.as_ref();
        let uid = live.map_or_else(|| meta(&before.value, "uid"), |l| &l.uid).to_owned();
        let mut rv = live.map_or_else(|| meta(&before.value, "resourceVersion"), |l| &l.rv).to_owned();
        let mut sent = target.value.clone();
        let mut look = self.resumed;
        let mut doubtful = false;
        let mut refusals = 0;
        let (mut note, mut whole) = (None, None);
        loop {
            if look {
                let now = self.read(&job).await?;
                let Some(now) = now else {
                    return Err(Did::because(Became::Conflict, Cause::Deleted));
                };
                if meta(&now.value, "uid") != uid {
                    return Err(Did::because(
                        Became::Conflict,
                        "it was deleted and created again since the plan was made",
                    ));
                }
                if is_terminating(&now.value) {
                    let why = Cause::Terminating(finalizers(&now.value));
                    return Err(Did::because(Became::Conflict, why));
                }
                let stands = job.ground.same(&target, &now) || job.ground.same(&ready, &now);
                // One that is to stop must be seen stopped.
                let stopped =
                    !job.bodies.unsuspend || !rules::stops(&kind) || rules::waits(&kind, &now.value).is_some();
                if stands && stopped && self.follows(&job, &now) {
                    return Ok(self.found(&job, now, doubtful).await.with_note(note));
                }
                let changed = job.ground.differences(&before, &now, Some(&target));
                if let Some(released) = self.released(&job, &now).filter(|_| !changed.is_empty()) {
                    before = released;
                } else if !changed.is_empty() {
                    if let Some(given) = self.without_others(&job, &now, doubtful) {
                        return Ok(self.found(&job, now, doubtful).await.with_note(Some(given)));
                    }
                    let did = Did::because(Became::Conflict, Cause::Changed);
                    return Err(Did { differences: changed, ..did });
                }
                meta(&now.value, "resourceVersion").clone_into(&mut rv);
                sent = job
                    .ground
                    .carry_over(&target.value, &before, &now.value)
                    .ok_or_else(|| Did::because(Became::Conflict, Cause::Gone))?;
                // The uid of an owner is kept as it stands, and is that of the one that was deleted.
                self.adopt(&job, &mut sent)?;
            }
            let body = Self::body(&job, &sent, Some((&uid, &rv)))?;
            let path = format!("{}{}", job.path(), request::manners(false));
            let reply = self.send(&job, &Ask::write(Method::PUT, path, &body)).await?;
            doubtful |= reply.doubtful;
            match reply.status {
                _ if reply.is_success() => {
                    let sent = whole.unwrap_or(sent);
                    return Ok(self.written(&job, &reply, sent).await?.with_note(note));
                }
                _ if job.last.is_some() && relax(job.action, &mut target.value, &reply).is_some() => {
                    whole.get_or_insert_with(|| sent.clone());
                    note = joined(note, relax(job.action, &mut sent, &reply));
                    continue;
                }
                404 | 409 if refusals < CONFLICTS => refusals += 1,
                409 => {
                    let why = Cause::Contended(Some(reply.message()));
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

    pub(super) async fn create(&self, job: Job<'_>) -> Result<Did, Did> {
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
            return Err(Did::because(Became::Failed, Cause::NoBody));
        };
        let source = self.source(&job).await?;
        self.adopt(&job, &mut sent)?;
        if job.bodies.unsuspend {
            rules::suspend(&job.action.key.kind_key(), &mut sent);
        }
        let (mut note, mut whole) = (None, None);
        if let Some(Handed { volume, note: differs }) = source
            && let Some(spec) = sent.get_mut("spec").and_then(Value::as_object_mut)
        {
            spec.insert("volumeName", Value::from(volume));
            note = differs.map(Message::from);
        }
        let mut others = 0;
        loop {
            let body = Self::body(&job, &sent, None)?;
            let path = request::collection(&job.action.key, &job.action.version);
            let ask = Ask::write(Method::POST, format!("{path}{}", request::manners(false)), &body);
            let reply = self.send(&job, &ask).await?;
            if reply.is_success() {
                let sent = whole.unwrap_or(sent);
                return Ok(self.written(&job, &reply, sent).await?.with_note(note));
            }
            if reply.status == 409 && others < CONFLICTS {
                others += 1;
                match self.read(&job).await? {
                    Some(now) if is_terminating(&now.value) => self.gone(&job, meta(&now.value, "uid")).await?,
                    Some(now) => return self.standing(&job, now, reply.doubtful).await,
                    None if reply.reason() == "AlreadyExists" => {}
                    None => return Err(refusal(&job, "create", &reply)),
                }
            } else if reply.status == 409 {
                return Err(Did::because(Became::Conflict, Cause::CreatedAndDeleted));
            } else if job.last.is_some() || job.action.verb == Verb::Recreate {
                let asked = sent.clone();
                let Some(why) = relax(job.action, &mut sent, &reply) else {
                    return Err(refusal(&job, "create", &reply));
                };
                whole.get_or_insert(asked);
                note = joined(note, Some(why));
            } else {
                return Err(refusal(&job, "create", &reply));
            }
        }
    }

    /// An object stands where one is to be created.
    async fn standing(&self, job: &Job<'_>, now: Full, doubtful: bool) -> Result<Did, Did> {
        let Some(mut target) = job.target() else {
            return Err(Did::because(Became::Failed, Cause::NoBody));
        };
        self.adopt(job, &mut target.value)?;
        let mut staged = target.clone();
        if job.bodies.unsuspend {
            rules::suspend(&job.action.key.kind_key(), &mut staged.value);
        }
        if job.ground.same(&target, &now) || job.ground.same(&staged, &now) {
            return Ok(self.found(job, now, doubtful).await);
        }
        if let Some(given) = self.without_others(job, &now, doubtful) {
            return Ok(self.found(job, now, doubtful).await.with_note(Some(given)));
        }
        let changed = job.ground.differences(&target, &now, None);
        Err(Did { differences: changed, ..Did::because(Became::Conflict, Cause::CreatedOtherwise) })
    }

    /// Whether an earlier try of ours, whose answer or outcome was lost, wrote the object without what others held (see
    /// [`relax`]); what it was given instead, in words.
    pub(crate) fn without_others(&self, job: &Job<'_>, now: &Full, doubtful: bool) -> Option<String> {
        if !doubtful && !self.resumed {
            return None;
        }
        let given = |wanted: &Full| {
            let (value, words) = rules::as_given(&job.action.key.kind_key(), &wanted.value, &now.value)?;
            Some((Full { value, managed: wanted.managed.clone() }, words))
        };
        let mut target = job.target()?;
        self.map_owners(job, &mut target.value);
        let (wanted, words) = given(&target)?;
        // Where nothing else was to change, it was not us who gave it another one.
        let untouched = job.before().and_then(given).is_some_and(|(before, _)| job.ground.same(&before, now));
        (job.ground.same(&wanted, now) && !untouched).then_some(words)
    }

    /// The object is as it is to be; by an earlier try of ours whose answer was lost, or by somebody else.
    pub(super) async fn found(&self, job: &Job<'_>, now: Full, doubtful: bool) -> Did {
        let ours = doubtful || self.resumed;
        let now = if ours { self.own(job, now).await } else { (now, None) };
        let became = if doubtful && !self.resumed { Became::Done } else { Became::Already };
        Did { touched: ours, after: Some(now.0), ..Did::new(became) }.with_note(now.1)
    }

    pub(super) async fn delete(&self, job: Job<'_>) -> Result<Did, Did> {
        let Some(before) = job.before() else {
            return Err(Did::because(Became::Failed, Cause::NoPreImage));
        };
        let uid = meta(&before.value, "uid").to_owned();
        let mut rv = meta(&before.value, "resourceVersion").to_owned();
        if let Some(live) = &job.action.live {
            rv.clone_from(&live.rv);
        }
        let mut look = self.resumed;
        let mut doubtful = self.resumed;
        // Once an owner of it is gone by us, the garbage collector may come before us.
        let mut owners = job.bodies.owners.iter();
        let follows = job.action.verb == Verb::Delete && owners.any(|o| self.record.touched(&o.owner));
        let gone = |doubtful: bool| {
            if follows {
                Did::done(None).with_note(Some(Cause::WentWithOwner))
            } else {
                Did { touched: doubtful, ..Did::new(Became::Already) }
            }
        };
        for _ in 0..=CONFLICTS {
            if look {
                let Some(now) = self.read(&job).await? else { return Ok(gone(doubtful)) };
                if meta(&now.value, "uid") != uid {
                    // Ours is gone; another of the same name was made by somebody.
                    let why = Cause::Another;
                    return Err(Did::because(Became::Conflict, why));
                }
                if is_terminating(&now.value) {
                    let note = Cause::Terminating(finalizers(&now.value));
                    return Ok(gone(doubtful).with_note(Some(note)));
                }
                let changed = job.ground.differences(before, &now, None);
                if !changed.is_empty() && self.released(&job, &now).is_none() {
                    let did = Did::because(Became::Conflict, Cause::Changed);
                    return Err(Did { differences: changed, ..did });
                }
                meta(&now.value, "resourceVersion").clone_into(&mut rv);
            }
            self.emptied(&job).await?;
            self.owns_nothing_else(&job).await?;
            let options = delete_options(&uid, Some(&rv), job.action.propagation, false);
            let reply = self.send(&job, &Ask::write(Method::DELETE, job.path(), &options)).await?;
            doubtful |= reply.doubtful;
            match reply.status {
                _ if reply.is_success() => return Ok(Did::done(None)),
                404 => return Ok(gone(doubtful)),
                409 => look = true,
                _ => return Err(refusal(&job, "delete", &reply)),
            }
        }
        Err(Did::because(Became::Conflict, Cause::Contended(None)))
    }

    pub(super) async fn recreate(&self, job: Job<'_>) -> Result<Did, Did> {
        let Some(before) = job.before() else {
            return Err(Did::because(Became::Failed, Cause::NoPreImage));
        };
        let uid = meta(&before.value, "uid").to_owned();
        let now = if self.resumed { self.read(&job).await? } else { None };
        let is_there = !self.resumed || now.as_ref().is_some_and(|now| !is_terminating(&now.value));
        match now {
            Some(now) if meta(&now.value, "uid") != uid => return self.standing(&job, now, true).await,
            // An earlier process has deleted it: there is nothing to lose.
            Some(now) if is_terminating(&now.value) => {}
            None if self.resumed => {}
            _ => self.prepare(&job).await.map_err(|did| Self::still(&job, did))?,
        }
        if is_there {
            self.keeps_its_volume(&job).await.map_err(|did| Self::still(&job, did))?;
            self.source(&job).await.map_err(|did| Self::still(&job, did))?;
            self.unused(&job).await.map_err(|did| Self::still(&job, did))?;
        }
        let gone = self.delete(job).await.map_err(|did| Self::still(&job, did))?;
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
                let body = Self::body(&job, &self.as_owned_now(&before.value), None)?;
                let path = request::collection(&job.action.key, &job.action.version);
                let ask = Ask::write(Method::POST, format!("{path}{}", request::manners(false)), &body);
                let back = self.send(&job, &ask).await.map_err(half)?;
                if back.is_success() {
                    self.give_back(&before.value).await;
                }
                let note = if back.is_success() {
                    "it had been deleted to be created again; what was there was put back".to_owned()
                } else {
                    format!(
                        "IT IS NOT THERE: it had been deleted to be created again, and what was there could not be put back: {}",
                        back.message()
                    )
                };
                let after = back.object().ok().filter(|_| back.is_success());
                Err(half(Did { after, ..did }.with_note(Some(note))))
            }
            Err(did) => Err(half(did)),
        }
    }

    /// Makes sure that an object can be created again, and that nothing goes with it until then.
    async fn prepare(&self, job: &Job<'_>) -> Result<(), Did> {
        self.rehearse(job).await?;
        self.let_go(job).await
    }

    /// Where an object is not made again and will not be tried again, what it owns is told of the one that stands: what was
    /// let go of gets its reference back.
    fn still(job: &Job<'_>, did: Did) -> Did {
        let over = job.last.is_some() || !did.may_yet_be();
        let refused = matches!(did.became, Became::Refused | Became::Conflict) && !did.touched;
        let another = did.message.as_ref().is_some_and(|why| why.causes().any(|cause| *cause == Cause::Another));
        let stands = refused && over && !another;
        Did { after: job.before().filter(|_| stands).cloned(), ..did }
    }

    /// As [`Work::adopt`]; what was let go of by an owner that is not there is told as touched.
    async fn adopt_or_leave(&self, job: &Job<'_>, target: &mut Value) -> Result<(), Did> {
        let Err(did) = self.adopt(job, target) else { return Ok(()) };
        let now = self.read(job).await?;
        let released = now.filter(|now| self.released(job, now).is_some());
        Err(Did { touched: released.is_some() && job.last.is_some(), after: released, ..did })
    }

    /// Whether the references to owners that were created are to those that stand.
    fn follows(&self, job: &Job<'_>, now: &Full) -> bool {
        let mut followed = now.value.clone();
        self.adopt(job, &mut followed).is_ok() && followed == now.value
    }

    /// Ends what was written suspended, or stopped.
    pub(crate) async fn unsuspend(&self, job: Job<'_>, mut did: Did) -> Did {
        let kind = job.action.key.kind_key();
        let path = format!("{}{}", job.path(), request::manners(false));
        let mut why = Message::from(Cause::Contended(None));
        let (began, mut conflicts) = (self.link.parts.clock.monotonic(), 0);
        while conflicts <= CONFLICTS {
            let now = match self.read(&job).await {
                Ok(Some(now)) => now,
                Ok(None) => {
                    why = "it is gone".into();
                    break;
                }
                Err(failed) => {
                    why = failed.message.unwrap_or_default();
                    break;
                }
            };
            let Some((member, ready)) = rules::waits(&kind, &now.value) else {
                did.after = Some(now);
                return did;
            };
            if !ready {
                why = "what it waits for is not there yet".into();
                let waited = self.link.parts.clock.monotonic().saturating_sub(began);
                if waited > GOES_ON || self.link.cancelled_within(LOOK_EVERY).await {
                    break;
                }
                continue;
            }
            let wanted = job.bodies.target.as_ref().and_then(|target| target.get("spec")?.get(member)).cloned();
            let metadata: Object =
                [("resourceVersion", Value::from(meta(&now.value, "resourceVersion")))].into_iter().collect();
            let spec: Object = [(member, wanted.unwrap_or(Value::Null))].into_iter().collect();
            let body = [("metadata", Value::Object(metadata)), ("spec", Value::Object(spec))];
            let ask = Ask::merge_patch(path.clone(), &Value::Object(body.into_iter().collect()));
            match self.send(&job, &ask).await {
                Ok(reply) if reply.is_success() => {
                    let Ok(now) = reply.object() else { break };
                    let (now, note) = self.own(&job, now).await;
                    did.after = Some(now);
                    did.sent = None;
                    return did.with_note(note);
                }
                Ok(reply) if reply.status == 409 => conflicts += 1,
                Ok(reply) => {
                    why = reply.message().into();
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
        let kept = "it was written, but for what was to follow when all else was done: ";
        did.with_note(Some(Message::about(kept, why)))
    }
}
