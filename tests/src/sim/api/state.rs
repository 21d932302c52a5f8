//! What the simulated server stores: kinds, every version of every object, the watch caches' bounds.
//!
//! **Words.** A *domain* is one revision counter with its own etcd; an *event* is one write; a kind's *cache* is
//! described by the revision of its first list (older cursors get 410), its progress (what bookmarks may say) and
//! its generation (a reset ends every watch of the one before).
//! **Invariants.** (1) Events of a kind are in rising revision order and never removed, so that the oracle knows
//! all; what a client may still read is bounded by `compacted` alone. (2) A write that changes nothing makes no
//! event and answers the old revision. Not here: HTTP.

use std::{collections::BTreeMap, sync::Arc};

use hindcast_journal::parts::Micros;

use crate::sim::{
    faults::Fault,
    json::{Json, obj},
};

/// Namespace and name.
pub type Key = (String, String);

/// What a kind is called and where it counts.
#[derive(Debug, Clone)]
pub struct Kind {
    /// API group, empty for core.
    pub group: String,
    /// Served versions, the preferred first.
    pub served: Vec<String>,
    /// Plural.
    pub resource: String,
    /// Kind.
    pub kind: String,
    /// Whether its objects have a namespace.
    pub namespaced: bool,
    /// The domain it counts in: 0 is the main etcd.
    pub domain: usize,
    /// Whether a CRD defines it.
    pub custom: bool,
}

impl Kind {
    /// A built-in kind.
    pub fn built_in(group: &str, version: &str, resource: &str, kind: &str, namespaced: bool) -> Self {
        Self {
            group: group.to_owned(),
            served: vec![version.to_owned()],
            resource: resource.to_owned(),
            kind: kind.to_owned(),
            namespaced,
            domain: 0,
            custom: false,
        }
    }

    /// `group/resource`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.group, self.resource)
    }

    /// `apiVersion` of a version.
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }
}

/// What a custom resource's schema does to objects as they are read and written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// Fields of `spec` that are filled in where absent.
    pub defaults: Vec<(String, Json)>,
    /// Fields of `spec` that are dropped.
    pub pruned: Vec<String>,
}

impl Schema {
    /// The object as this schema has it.
    pub fn apply(&self, object: &mut Json) {
        if self.defaults.is_empty() && self.pruned.is_empty() {
            return;
        }
        let spec = object.at("spec");
        for name in &self.pruned {
            spec.remove(name);
        }
        for (name, value) in &self.defaults {
            if spec.get(name).is_none() && !self.pruned.contains(name) {
                spec.set(name, value.clone());
            }
        }
    }
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Created.
    Added,
    /// Changed.
    Modified,
    /// Deleted.
    Deleted,
}

impl Verb {
    /// Its name in a watch.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One write.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its revision.
    pub rv: u64,
    /// What it did.
    pub verb: Verb,
    /// To which object.
    pub key: Key,
    /// Of which uid.
    pub uid: String,
    /// The object after it (for a delete: before it), without `resourceVersion`, `apiVersion` and `kind`.
    pub object: Arc<Json>,
    /// When.
    pub at: Micros,
}

/// How list and watch of one kind fail, while others are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// With 500, as when the webhook that converts it is dead.
    Fails,
    /// With 429.
    Busy,
    /// No answer ever comes.
    Hangs,
    /// Lists are answered and watches open, and say nothing any more.
    Silent,
    /// With 500, while watches that are open go on.
    Refuses,
    /// Watches send no bookmarks, as those that the server takes to its store without a cache.
    Mute,
}

/// A kind and all of its past, in one life of its counter.
#[derive(Debug, Clone)]
pub struct KindState {
    /// The kind.
    pub kind: Kind,
    /// Whether it is served; a CRD may be gone.
    pub served: bool,
    /// From when it answers, a moment after its CRD was made.
    pub answers_at: Micros,
    /// Whether list and watch are refused to the process.
    pub forbidden: bool,
    /// How list and watch fail.
    pub trouble: Option<Trouble>,
    /// What one of its watches is to do wrong, once.
    pub bug: Option<Fault>,
    /// Whether its watches ever fell silent, and brought what there was long after.
    pub delayed: bool,
    /// The schemas it has had, each with the revision from which it held.
    pub schemas: Vec<(u64, Schema)>,
    /// All writes.
    pub events: Vec<Event>,
    /// Index of each object's newest event.
    pub newest: BTreeMap<Key, usize>,
    /// The revision of the cache's first list.
    pub listed_at: u64,
    /// How far the cache knows that it has seen everything.
    pub progress: u64,
    /// Counts the cache's lives.
    pub generation: u64,
}

impl KindState {
    /// A kind without objects.
    pub fn new(kind: Kind, at: u64) -> Self {
        Self {
            kind,
            served: true,
            answers_at: 0,
            forbidden: false,
            trouble: None,
            bug: None,
            delayed: false,
            schemas: vec![(0, Schema::default())],
            events: Vec::new(),
            newest: BTreeMap::new(),
            listed_at: at,
            progress: at,
            generation: 0,
        }
    }

    /// The schema in force.
    pub fn schema(&self) -> &Schema {
        &self.schemas.last().expect("a kind always has a schema").1
    }

    /// The newest event of a living object.
    pub fn living(&self, key: &Key) -> Option<&Event> {
        let event = self.events.get(*self.newest.get(key)?)?;
        (event.verb != Verb::Deleted).then_some(event)
    }

    /// Every object as of a revision, by key.
    pub fn at(&self, rv: u64) -> BTreeMap<&Key, &Event> {
        let mut state = BTreeMap::new();
        for event in self.events.iter().take_while(|e| e.rv <= rv) {
            if event.verb == Verb::Deleted {
                state.remove(&event.key);
            } else {
                state.insert(&event.key, event);
            }
        }
        state
    }

    /// An event's object as it is read under a schema, without `apiVersion` and `kind`.
    pub fn read(event: &Event, schema: &Schema) -> Json {
        let mut object = (*event.object).clone();
        schema.apply(&mut object);
        object.at("metadata").set("resourceVersion", event.rv.to_string());
        object
    }

    /// The cache starts anew: cursors older than now are refused, open watches end.
    pub fn reset_cache(&mut self, at: u64) {
        self.listed_at = at;
        self.progress = at;
        self.generation += 1;
    }
}

/// One revision counter and its etcd.
#[derive(Debug)]
pub struct Domain {
    /// The newest revision.
    pub revision: u64,
    /// Revisions below this are gone.
    pub compacted: u64,
    /// The revision at the last tick of the compactor.
    pub ticked: u64,
}

/// Why a write was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The kind is not served.
    NoKind,
    /// The object exists, or does not.
    Object,
}

/// Everything the server stores.
#[derive(Debug)]
pub struct State {
    /// How far the server's clock is off: what it stamps and dates is wrong by this.
    pub clock_off: Micros,
    /// From when to when it was off.
    pub times_off: Vec<(Micros, Micros)>,
    /// The counters.
    pub domains: Vec<Domain>,
    /// The kinds by `group/resource`.
    pub kinds: BTreeMap<String, KindState>,
    /// When the main etcd was put back, and what it held before.
    pub ended: Option<(Micros, BTreeMap<String, KindState>)>,
}

impl State {
    /// Creates an object from its content, which lacks server-set metadata.
    pub fn create(
        &mut self,
        kind: &str,
        key: &Key,
        (uid, manager): (String, &str),
        mut object: Json,
        at: Micros,
    ) -> Result<u64, Refused> {
        let clock_off = self.clock_off;
        let ks = self.kinds.get_mut(kind).filter(|k| k.served).ok_or(Refused::NoKind)?;
        if ks.living(key).is_some() {
            return Err(Refused::Object);
        }
        ks.schema().apply(&mut object);
        let metadata = object.at("metadata");
        metadata.set("name", key.1.as_str());
        if !key.0.is_empty() {
            metadata.set("namespace", key.0.as_str());
        }
        metadata.set("uid", uid.as_str());
        metadata.set("generation", 1);
        metadata.set("creationTimestamp", rfc3339(at + clock_off));
        stamp(&mut object, manager, "", at + clock_off);
        Ok(self.commit(kind, Verb::Added, key, uid, object, at))
    }

    /// Changes a living object as `by` (manager and subresource); answers the old revision when nothing changes.
    pub fn update(
        &mut self,
        kind: &str,
        key: &Key,
        by: (&str, &str),
        at: Micros,
        change: impl FnOnce(&mut Json),
    ) -> Result<u64, Refused> {
        let ks = self.kinds.get(kind).filter(|k| k.served).ok_or(Refused::NoKind)?;
        let event = ks.living(key).ok_or(Refused::Object)?;
        let (rv, uid) = (event.rv, event.uid.clone());
        let mut object = (*event.object).clone();
        // What a writer gets to see is already read through the schema in force.
        ks.schema().apply(&mut object);
        let seen = object.clone();
        change(&mut object);
        ks.schema().apply(&mut object);
        if object == seen {
            return Ok(rv);
        }
        if object.get("spec") != seen.get("spec") {
            let generation = match object.get("metadata").and_then(|m| m.get("generation")) {
                Some(Json::Num(token)) => token.parse::<u64>().unwrap_or(1) + 1,
                _ => 1,
            };
            object.at("metadata").set("generation", generation);
        }
        let managed = |object: &Json| object.get("metadata").and_then(|m| m.get("managedFields")).cloned();
        if managed(&object) == managed(&seen) {
            stamp(&mut object, by.0, by.1, at + self.clock_off);
        }
        Ok(self.commit(kind, Verb::Modified, key, uid, object, at))
    }

    /// Deletes a living object.
    pub fn delete(&mut self, kind: &str, key: &Key, at: Micros) -> Result<u64, Refused> {
        let ks = self.kinds.get(kind).filter(|k| k.served).ok_or(Refused::NoKind)?;
        let event = ks.living(key).ok_or(Refused::Object)?;
        let (uid, object) = (event.uid.clone(), (*event.object).clone());
        Ok(self.commit(kind, Verb::Deleted, key, uid, object, at))
    }

    /// Puts the main etcd back to what it held at revision `to`, as from a copy, and its counter up by `bump`. With a
    /// bump all before it counts as compacted.
    pub fn put_back(&mut self, to: u64, bump: u64, at: Micros) {
        self.ended = Some((at, self.kinds.clone()));
        let Some(domain) = self.domains.first_mut() else { return };
        domain.revision = to + bump;
        let compacted = if bump > 0 { domain.revision } else { domain.compacted.min(to) };
        (domain.compacted, domain.ticked) = (compacted, domain.ticked.min(to).max(compacted));
        let revision = domain.revision;
        for ks in self.kinds.values_mut().filter(|ks| ks.kind.domain == 0) {
            ks.events.retain(|event| event.rv <= to);
            ks.newest = ks.events.iter().enumerate().map(|(at, event)| (event.key.clone(), at)).collect();
            ks.schemas.retain(|(from, _)| *from <= to);
            if ks.schemas.is_empty() {
                ks.schemas.push((0, Schema::default()));
            }
            ks.reset_cache(revision);
        }
        let defined: Vec<String> = self.kinds.get(super::CRDS).map_or_else(Vec::new, |crds| {
            let living = crds.newest.keys().filter(|key| crds.living(key).is_some());
            living.map(|key| key.1.clone()).collect()
        });
        for ks in self.kinds.values_mut().filter(|ks| ks.kind.custom) {
            ks.served = defined.contains(&format!("{}.{}", ks.kind.resource, ks.kind.group));
        }
    }

    /// The newest revision of a kind's domain.
    pub fn revision_of(&self, ks: &KindState) -> u64 {
        self.domains.get(ks.kind.domain).map_or(0, |d| d.revision)
    }

    fn commit(&mut self, kind: &str, verb: Verb, key: &Key, uid: String, object: Json, at: Micros) -> u64 {
        let ks = self.kinds.get_mut(kind).expect("the caller found the kind");
        let domain = self.domains.get_mut(ks.kind.domain).expect("every kind's domain exists");
        domain.revision += 1;
        let rv = domain.revision;
        ks.newest.insert(key.clone(), ks.events.len());
        ks.events.push(Event { rv, verb, key: key.clone(), uid, object: Arc::new(object), at });
        ks.progress = rv;
        rv
    }
}

/// Sets `managedFields` as the server would for this writer.
fn stamp(object: &mut Json, manager: &str, subresource: &str, at: Micros) {
    let mut fields = vec![("manager", manager.into())];
    fields.push(("operation", "Update".into()));
    fields.push(("apiVersion", "v1".into()));
    fields.push(("time", rfc3339(at).into()));
    fields.push(("fieldsType", "FieldsV1".into()));
    fields.push(("fieldsV1", obj([("f:spec", obj([("f:x", obj([]))]))])));
    if !subresource.is_empty() {
        fields.push(("subresource", subresource.into()));
    }
    let entry = Json::Obj(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
    let metadata = object.at("metadata");
    let mut entries = match metadata.remove("managedFields") {
        Some(Json::Arr(entries)) => entries,
        _ => Vec::new(),
    };
    entries.retain(|e| {
        e.get("manager").and_then(Json::text) != Some(manager)
            || e.get("subresource").and_then(Json::text).unwrap_or("") != subresource
    });
    entries.push(entry);
    metadata.set("managedFields", Json::Arr(entries));
}

/// A moment to the second, as `metav1.Time`.
pub fn rfc3339(at: Micros) -> String {
    let seconds = jiff::Timestamp::from_second(at.div_euclid(1_000_000));
    seconds.expect("simulated time is in range").to_string()
}

/// A moment to the microsecond, as `metav1.MicroTime`.
pub fn rfc3339_micro(at: Micros) -> String {
    let moment = jiff::Timestamp::from_microsecond(at).expect("simulated time is in range");
    format!("{moment:.6}")
}

/// A moment as an HTTP `Date`.
pub fn http_date(at: Micros) -> String {
    let moment = jiff::Timestamp::from_second(at.div_euclid(1_000_000));
    moment.expect("simulated time is in range").strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
