//! One action, carried out: create, update, recreate, delete, each conditional on what the plan looked at.
//!
//! **Invariants.** (1) An update or delete names the uid and the revision of a version whose intent is the one that the plan
//! looked at. (2) What was begun by an earlier process is looked at before anything is sent [`Work::resumed`]. (3) An
//! object that was deleted to be created again is never left away silently: if it cannot be created, what was there is
//! put back. (4) An answer that was lost is no reason to take our own write for somebody else's.
//!
//! Start reading at [`Work::act`]; the verbs are in [`verbs`], what is sent and what answers mean in [`sent`].

mod claims;
mod closure;
mod did;
mod handing;
mod held;
mod let_go;
mod rehearse;
mod sent;
mod verbs;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use hindcast_cluster::discovery::API_SERVICES_PATH;
use hindcast_journal::{exact::Value, fold::ObjectKey};

use self::sent::{not_owned, refusal};
pub(crate) use self::{
    closure::Goes,
    did::Did,
    sent::{body, delete_options, explain},
};
use super::{
    Became,
    conflict::{Ground, finalizers, is_terminating, meta},
    ownership,
    request::{self, Ask, Link, Problem, Reply},
};
use crate::{
    desired::Full,
    ending::Ending,
    kinds::{crds::definition, namespaces::home},
    message::Message,
    plan::{Action, Bodies, Prepared, Verb},
    reason::Cause,
    record::Record,
};

/// How often a write is made again after the object was written by somebody else.
const CONFLICTS: u32 = 5;

/// How often a write is tried whose webhook was switched off: the API server takes a moment to hear of it.
const BYPASSES: u32 = 20;

/// The time between these.
const HEARD: Duration = Duration::from_millis(250);

/// How long a controller may take to count what was deleted out of a quota.
const COUNTED: Duration = Duration::from_secs(15);

/// How long a kind may take to be served after its definition was written.
const SERVED: Duration = Duration::from_mins(1);

/// The work that all actions share.
pub(crate) struct Work<'a> {
    pub(crate) link: Link<'a>,
    pub(crate) prepared: &'a Prepared,
    pub(crate) record: &'a Record,
    /// The plan's actions by their object.
    pub(crate) actions: BTreeMap<&'a ObjectKey, &'a Action>,
    /// The uids of owners that were created.
    pub(crate) created: Mutex<BTreeMap<ObjectKey, String>>,
    /// What has owners now. Filled by [`Work::delete`], before each delete that finds it too old.
    pub(crate) children: tokio::sync::Mutex<Option<std::sync::Arc<closure::Children>>>,
    /// What the plan deletes, for good or to create it again, by its uid.
    pub(crate) going: BTreeMap<String, Goes>,
    /// The parts of objects that the plan looked at, where that is not all.
    pub(crate) parts: BTreeMap<ObjectKey, Vec<String>>,
    /// The webhooks that are switched off. Filled by [`Work::bypass`], emptied by [`Work::end_bypass`].
    pub(crate) bypassed: tokio::sync::Mutex<BTreeSet<String>>,
    /// Namespaces that are being deleted and do not go: nothing more is tried in them. Filled by [`Work::ends`].
    pub(crate) ended: Mutex<BTreeMap<String, Ending>>,
    /// When the first wait began for what was being deleted before: all of it is waited for together. On the monotonic clock.
    pub(crate) waiting: Mutex<Option<Duration>>,
    /// The same for what is verified to be deleted.
    pub(crate) leaving: Mutex<Option<Duration>>,
    /// An earlier process may have begun any of the actions.
    pub(crate) resumed: bool,
}

/// One action with its bodies.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) action: &'a Action,
    pub(crate) bodies: &'a Bodies,
    pub(crate) ground: Ground<'a>,
    /// When the last round began, on the monotonic clock, if this is it: it will not be tried again, and is rather done
    /// without what others hold than not at all.
    pub(crate) last: Option<Duration>,
}

impl Job<'_> {
    fn path(&self) -> String {
        request::object(&self.action.key, &self.action.version)
    }

    pub(crate) fn before(&self) -> Option<&Full> {
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
        Some(Job { action, bodies, ground, last: None })
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
        self.stands(job.action, &did);
        // In one sentence for all of them, whoever met it first.
        match self.ended(&job.action.key.namespace) {
            Some(ending) if did.became == Became::Refused && !did.touched => Did::skipped(Cause::NamespaceEnds(ending)),
            _ => did,
        }
    }

    /// Why nothing can be done in a namespace.
    pub(crate) fn ended(&self, namespace: &str) -> Option<Ending> {
        self.ended.lock().expect("never poisoned: no panic under it").get(namespace).cloned()
    }

    /// Finds out why a namespace that is being deleted does not go; nothing more is tried in it.
    async fn ends(&self, name: &str) {
        if self.ended(name).is_some() {
            return;
        }
        let mut ending = Ending { namespace: name.to_owned(), ..Ending::default() };
        let path = request::object(&home(name), "v1");
        if let Ok(Some(namespace)) = self.link.read(&path).await {
            let services = async { self.link.read(API_SERVICES_PATH).await.ok().flatten() };
            ending = Ending::found(&namespace.value, services).await;
        }
        let mut ended = self.ended.lock().expect("never poisoned: no panic under it");
        ended.entry(name.to_owned()).or_insert(ending);
    }

    /// Remembers the uid of an object that stands, for what it owns.
    pub(crate) fn stands(&self, action: &Action, did: &Did) {
        if action.verb != Verb::Delete
            && let Some(after) = &did.after
        {
            let uid = meta(&after.value, "uid").to_owned();
            let mut created = self.created.lock().expect("never poisoned: no panic under it");
            created.insert(action.key.clone(), uid);
        }
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
            (Verb::Create | Verb::Update, Some(now)) if let Some(given) = self.without_others(job, &now, true) => {
                self.found(job, now, true).await.with_note(Some(given))
            }
            (Verb::Recreate, None) => did.with_note(Some(Cause::Away)),
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

    /// A write was answered; its fields are given back to their owners.
    async fn written(&self, job: &Job<'_>, reply: &Reply, sent: Value) -> Result<Did, Did> {
        let answer = reply.object().map_err(|why| Did::because(Became::Failed, why))?;
        let (after, note) = self.own(job, answer.clone()).await;
        let did = Did { answer: Some(answer), sent: Some(sent), ..Did::done(Some(after)) };
        Ok(did.with_note(note))
    }

    /// Sets managedFields as they were; the object then, and what to know about it if that did not work.
    pub(crate) async fn own(&self, job: &Job<'_>, mut now: Full) -> (Full, Option<Message>) {
        let path = format!("{}{}", job.path(), request::manners(false));
        let mut why = String::new();
        for _ in 0..=CONFLICTS {
            let created = job.action.verb != Verb::Update;
            let managed = ownership::wanted(job.bodies.managed.as_ref(), now.managed.as_ref(), created);
            let Some(managed) = managed else { return (now, None) };
            let (rv, uid) = (meta(&now.value, "resourceVersion"), meta(&now.value, "uid"));
            let ask = Ask::merge_patch(path.clone(), &ownership::patch(managed, rv, uid));
            let reply = match self.send(job, &ask).await {
                Ok(reply) => reply,
                Err(lost) => return (now, Some(not_owned(lost.message.unwrap_or_default()))),
            };
            if reply.is_success() {
                match reply.object() {
                    Ok(object) => return (object, None),
                    Err(odd) => return (now, Some(not_owned(odd.into()))),
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
        (now, Some(not_owned(why.into())))
    }

    /// Waits until the object of that uid is gone.
    async fn gone(&self, job: &Job<'_>, uid: &str) -> Result<(), Did> {
        let clock = &self.link.parts.clock;
        let mut began = clock.monotonic();
        // What was going before this restore may never go, however many there are of it.
        if job.action.verb == Verb::Create {
            began = *self.waiting.lock().expect("never poisoned: no panic under it").get_or_insert(began);
        }
        let mut wait = Duration::from_millis(20);
        loop {
            let Some(now) = self.read(job).await? else { return Ok(()) };
            if meta(&now.value, "uid") != uid {
                return Ok(());
            }
            let waited = clock.monotonic().saturating_sub(began);
            let why = || Message::from(Cause::StillTerminating(Some(waited.as_secs()), finalizers(&now.value)));
            if waited > self.link.settings.gone {
                if job.action.key == home(&job.action.key.name) {
                    self.ends(&job.action.key.name).await;
                }
                return Err(Did { settled: false, ..Did::because(Became::Failed, why()) });
            }
            if self.link.cancelled_within(wait).await {
                return Err(Did {
                    settled: false,
                    ..Did::because(Became::Failed, Message::about("interrupted: ", why()))
                });
            }
            wait = (wait * 2).min(Duration::from_secs(1));
        }
    }

    /// Sends a write. Webhooks in its way are switched off first, where that is allowed; a kind whose definition was
    /// written just before is waited for, and so is a quota's room that a deletion made.
    async fn send(&self, job: &Job<'_>, ask: &Ask) -> Result<Reply, Did> {
        let clock = &self.link.parts.clock;
        let began = clock.monotonic();
        let mut tries = 0;
        loop {
            let reply = self.link.send(ask).await.map_err(|lost| Did::lost(&lost))?;
            if reply.ends_namespace() {
                self.ends(&job.action.key.namespace).await;
                return Ok(reply);
            }
            if reply.is_unserved() {
                let waited = clock.monotonic().saturating_sub(began);
                if waited > SERVED || !self.defines(&job.action.key) {
                    return Ok(reply);
                }
            } else if reply.is_over_quota() && self.prepared.plan.makes_room(&job.action.key.namespace) {
                // Room is made by deletes, which come last, or by the delete of the same action.
                let since = job.last.or((job.action.verb == Verb::Recreate).then_some(began));
                if since.is_none_or(|since| clock.monotonic().saturating_sub(since) > COUNTED) {
                    return Ok(reply);
                }
            } else if reply.is_success() || tries == BYPASSES || !self.bypass(&reply).await {
                return Ok(reply);
            } else {
                tries += 1;
            }
            if self.link.cancelled_within(HEARD).await {
                return Ok(reply);
            }
        }
    }

    /// Whether the definition of the object's kind was written by this restore.
    fn defines(&self, key: &ObjectKey) -> bool {
        let definition = definition(&key.group, &key.resource);
        self.created.lock().expect("never poisoned: no panic under it").contains_key(&definition)
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
                return Err(Did::skipped(Cause::OwnerNotCreated(o.resource.clone(), o.name.clone())));
            };
            drop(created);
            let list = |value: &Value| {
                value.pointer("/metadata/ownerReferences").and_then(Value::as_array).unwrap_or_default().to_vec()
            };
            // Where it was carried over to a newer version, the list may be in another order.
            let wanted = job.bodies.target.as_ref().and_then(|target| list(target).into_iter().nth(owner.at));
            let is = |value: &Value| {
                ["kind", "name"].iter().all(|f| Some(value.get(f)) == wanted.as_ref().map(|w| w.get(f)))
            };
            let Some(at) = list(target).iter().position(is) else { continue };
            let reference = target.pointer_mut(&format!("/metadata/ownerReferences/{at}"));
            if let Some(reference) = reference.and_then(Value::as_object_mut) {
                reference.insert("uid", Value::from(uid));
            }
        }
        Ok(())
    }

    /// An object of before as it can be put back now: of owners that this restore deleted, it names those that were made of
    /// them, and none that is gone. With a dead one the garbage collector would take it within seconds.
    fn as_owned_now(&self, before: &Value) -> Value {
        let now = |uid: &str| -> Option<String> {
            let is = |action: &&Action| action.live.as_ref().is_some_and(|live| live.uid == uid);
            let owner = self.prepared.plan.actions.iter().filter(|action| action.verb != Verb::Update).find(is);
            let Some(owner) = owner else { return Some(uid.to_owned()) };
            match owner.verb {
                Verb::Delete if !self.record.touched(&owner.key) => Some(uid.to_owned()),
                Verb::Delete => None,
                _ => self.created.lock().expect("never poisoned: no panic under it").get(&owner.key).cloned(),
            }
        };
        let mut value = before.clone();
        let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else { return value };
        let mut owners = metadata.get("ownerReferences").and_then(Value::as_array).unwrap_or_default().to_vec();
        owners.retain_mut(|owner| {
            let uid = owner.get("uid").and_then(Value::as_str).and_then(&now);
            match (uid, owner.as_object_mut()) {
                (Some(uid), Some(owner)) => owner.insert("uid", Value::from(uid)).is_some(),
                _ => false,
            }
        });
        if owners.is_empty() {
            metadata.remove("ownerReferences");
        } else {
            metadata.insert("ownerReferences", Value::Array(owners));
        }
        value
    }

    /// As [`Work::adopt`], as far as the owners are known.
    pub(crate) fn map_owners(&self, job: &Job<'_>, target: &mut Value) {
        // What is wanted of an owner is told with the action that needed it.
        let _ = self.adopt(job, target);
    }

    /// What is sent for an object: with the identity of the live one, or with none.
    fn body(job: &Job<'_>, value: &Value, live: Option<(&str, &str)>) -> Result<Value, Did> {
        body(job.action, value, live).ok_or_else(|| Did::because(Became::Failed, Cause::NoObject))
    }
}
