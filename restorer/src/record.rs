//! A restore's record in the bucket: its plan, what each action replaces and sends, what became of each.
//!
//! Under `restores/<id>/`, each written once: `plan`; `pre-<n>`, batches of pre-images with the bodies that are to be
//! sent; `outcome-<n>`, batches of outcomes, of which the newest of an object counts; `bypass-<n>`, webhooks that are
//! switched off for the time. Records that are kept in a folder of their own are the
//! same there, under the cluster's name.
//!
//! **Words**: [`Records`] is the place; a [`Record`] is one restore's. An action is *settled* when its outcome says that it was done.
//!
//! **Invariants.** (1) Every pre-image is durable before the first write of the restore: [`Records::begin`] writes them all.
//! (2) The record alone is enough to finish a restore and to take it back: it holds the bodies, not only positions.
//! (3) Values of Secrets are sealed as in the journal; what cannot be sealed is not recorded, and then not acted on
//! [`Record::unrecorded`]. (4) A restore whose pre-images are not all there has changed nothing.

mod body;
mod undo;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hindcast_journal::{
    Error, Parts, Result,
    error::ErrorKind,
    fold::ObjectKey,
    parts::Micros,
    seal::{DataKeys, Key, Rules, Secrets},
    store::{Put, Store},
};
use serde::{Deserialize, Serialize};

use crate::{
    json,
    message::{Message, Plain, Remedy, Words},
    outcome::{Became, Verified},
    plan::{Action, Plan, Prepared},
};

/// Actions in one batch of pre-images; and the bytes that end one early.
const BATCH: usize = 128;

/// Outcomes that are written together.
const OUTCOMES: usize = 64;

/// Batches under way at once.
const AT_ONCE: usize = 4;

/// How long a store is waited for that does not answer.
const PATIENCE: Duration = Duration::from_mins(1);
/// The same for the first one: nothing has been done yet, and somebody waits for the answer.
const FIRST_PATIENCE: Duration = Duration::from_secs(10);

/// How many records an unknown id is told.
const TOLD: usize = 5;

/// Where records are kept, and the keys of their values.
#[derive(Debug, Clone)]
pub struct Records {
    store: Store,
    keys: Vec<Arc<Key>>,
    rules: Rules,
    plaintext: bool,
    words: &'static dyn Words,
}

/// A record in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its id.
    pub id: String,
    /// For an undo: what it undoes.
    pub undoes: Option<String>,
    /// The moment that was restored.
    pub time: Micros,
    /// How many actions its plan has.
    pub actions: usize,
}

/// What is kept of an action's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The object.
    #[serde(with = "json::key")]
    pub key: ObjectKey,
    /// What became of the action.
    pub became: Became,
    /// Whether the cluster is other than before by it.
    pub touched: bool,
    /// The object's uid afterwards; empty if it is not there.
    #[serde(default)]
    pub uid: String,
    /// Its resourceVersion afterwards.
    #[serde(default)]
    pub rv: String,
    /// The [fingerprint](crate::intent::fingerprint) of its intent afterwards.
    #[serde(default)]
    pub hash: String,
    /// What a later reading showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// Why, or what to know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
}

#[derive(Serialize, Deserialize)]
struct Outcomes {
    format: u32,
    outcomes: Vec<Entry>,
}

/// The format of what is written here.
const FORMAT: u32 = 1;

/// One restore's record.
#[derive(Debug)]
pub struct Record {
    id: String,
    store: Store,
    keys: DataKeys,
    rules: Rules,
    plan: Plan,
    /// Actions whose values cannot be recorded, and why.
    unrecorded: BTreeMap<ObjectKey, Message>,
    /// Outcomes that were there when it was opened, or were noted since.
    outcomes: Mutex<BTreeMap<ObjectKey, Entry>>,
    /// Outcomes that are not durable yet. Filled by [`Record::note`], emptied by [`Record::keep`].
    pending: Mutex<Vec<Entry>>,
    /// Webhooks that were switched off by an earlier process, or by this one.
    bypassed: Mutex<Vec<String>>,
    /// The number of the next batch of outcomes.
    next: AtomicU64,
    resumed: bool,
    began: Micros,
    words: &'static dyn Words,
}

impl Records {
    /// The records in the folder of a journal, or in one of their own. The first key seals; all of them open. Without a key
    /// values are only recorded if the journal holds them in clear as well.
    pub fn new(store: Store, keys: Vec<Arc<Key>>, plaintext: bool) -> Self {
        Self { store, keys, plaintext, rules: Rules::default(), words: &Plain }
    }

    /// With what is sealed beside Secrets.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// In the words of whoever shows people what a record says.
    #[must_use]
    pub fn with_words(mut self, words: &'static dyn Words) -> Self {
        self.words = words;
        self
    }

    fn secrets(&self) -> Secrets {
        match self.keys.first() {
            Some(key) if self.plaintext => Secrets::Plaintext(Some(key.clone())),
            Some(key) => Secrets::Sealed(key.clone()),
            None if self.plaintext => Secrets::Plaintext(None),
            None => Secrets::Dropped,
        }
    }

    fn data_keys(&self, cluster: &str) -> DataKeys {
        DataKeys::new(cluster, self.keys.clone(), self.store.parts().clone())
    }

    /// Begins the record of a restore: writes its plan and everything that it replaces. Until this has returned nothing may
    /// be written to the cluster. `told` hears of the id before anything is kept under it, so that whoever is killed from
    /// then on has said which restore it is.
    pub async fn begin(&self, prepared: &Prepared, told: &(dyn Fn(&str) + Send + Sync)) -> Result<Record> {
        let began = self.store.parts().clock.now();
        loop {
            let id = self.draw(began);
            told(&id);
            // An id that is taken is another restore's of the same second.
            if let Some(record) = self.begin_as(&id, prepared).await? {
                return Ok(record);
            }
        }
    }

    /// Begins the record of that id; `None` if it is taken. Who knows beforehand which id is theirs begins a restore once, however often it
    /// is tried.
    pub async fn begin_as(&self, id: &str, prepared: &Prepared) -> Result<Option<Record>> {
        let plan = Bytes::from(prepared.plan.told(self.words).to_json());
        let began = self.store.parts().clock.now();
        let path = self.store.layout().restore(id, "plan");
        if !create_within(&self.store, &path, plan, FIRST_PATIENCE).await.map_err(unwritable)? {
            return Ok(None);
        }
        let record = Record {
            keys: self.data_keys(&prepared.plan.cluster),
            store: self.store.clone(),
            plan: prepared.plan.clone(),
            unrecorded: body::unrecorded(prepared, &self.secrets()),
            rules: self.rules.clone(),
            outcomes: Mutex::default(),
            pending: Mutex::default(),
            bypassed: Mutex::default(),
            next: AtomicU64::new(1),
            resumed: false,
            words: self.words,
            began,
            id: id.to_owned(),
        };
        self.keep_bodies(&record, prepared, |_| true).await?;
        Ok(Some(record))
    }

    /// Whether there is a record of exactly that id.
    pub async fn has(&self, id: &str) -> Result<bool> {
        self.store.exists(&self.store.layout().restore(id, "plan")).await
    }

    /// Keeps the batches of pre-images whose numbers are wanted.
    async fn keep_bodies(&self, record: &Record, prepared: &Prepared, wanted: impl Fn(u64) -> bool) -> Result<()> {
        let secrets = self.secrets();
        let actions: Vec<_> = record.plan.actions.iter().collect();
        let batches = actions.chunks(BATCH).zip(1_u64..).filter(|(_, n)| wanted(*n)).map(|(batch, n)| {
            let secrets = &secrets;
            async move {
                let bytes = body::batch(record, prepared, secrets, batch, n == 1).await?;
                let path = record.store.layout().restore(&record.id, &format!("pre-{n}"));
                create(&record.store, &path, bytes).await
            }
        });
        stream::iter(batches).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await.map_err(unwritable)?;
        Ok(())
    }

    /// Finishes what [`Records::begin`] was interrupted in, out of the same plan made again: nothing was written to the
    /// cluster before. Gives the record as it is opened then.
    pub async fn complete(&self, record: &Record, prepared: &Prepared) -> Result<Record> {
        let same = |one: &Action, other: &Action| {
            let live = |action: &Action| action.live.as_ref().map(|live| (live.uid.clone(), live.hash.clone()));
            let wanted = |action: &Action| action.wanted.as_ref().map(|wanted| (wanted.pos, wanted.hash.clone()));
            one.key == other.key && one.verb == other.verb && live(one) == live(other) && wanted(one) == wanted(other)
        };
        let now: BTreeMap<&ObjectKey, &Action> = prepared.plan.actions.iter().map(|a| (&a.key, a)).collect();
        let changed = record.plan.actions.iter().find(|a| !now.get(&a.key).is_some_and(|now| same(a, now)));
        if let Some(action) = changed {
            let ObjectKey { resource, namespace, name, .. } = &action.key;
            return Err(Error::invalid(
                format!("restore {}", record.id),
                format!("was interrupted before its first write, and {resource}/{name} -n {namespace} changed since"),
            )
            .with_remedy(Remedy::PlanAgain { unchanged: true }));
        }
        let missing = record.missing().await?;
        self.keep_bodies(record, prepared, |n| missing.contains(&n)).await?;
        self.open(&record.id).await
    }

    /// `20261123-140211-ab3f`
    fn draw(&self, now: Micros) -> String {
        let stamp = jiff::Timestamp::from_microsecond(now).unwrap_or_default();
        let drawn = self.store.parts().random.next_u64() & 0xffff;
        format!("{}-{drawn:04x}", stamp.strftime("%Y%m%d-%H%M%S"))
    }

    /// The ids of all records, newest first.
    pub async fn ids(&self) -> Result<Vec<String>> {
        let folder = self.store.layout().restores();
        let listed = self.store.list(&folder, None).await?;
        let mut ids: Vec<String> = listed
            .iter()
            .filter_map(|l| {
                let mut below = l.path.prefix_match(&folder)?;
                Some(below.next()?.as_ref().to_owned())
            })
            .collect();
        ids.dedup();
        ids.reverse();
        Ok(ids)
    }

    /// The newest records, newest first.
    pub async fn list(&self, most: usize) -> Result<Vec<Summary>> {
        let mut out = Vec::new();
        for id in self.ids().await?.into_iter().take(most) {
            let Some(plan) = self.plan(&id).await? else { continue };
            let (undoes, time) = (plan.undoes.clone(), plan.time);
            out.push(Summary { id, undoes, time, actions: plan.actions.len() });
        }
        Ok(out)
    }

    async fn plan(&self, id: &str) -> Result<Option<Plan>> {
        let path = self.store.layout().restore(id, "plan");
        let Some(bytes) = self.store.get_opt(&path).await? else { return Ok(None) };
        Plan::from_json(path.as_ref(), &bytes).map(Some)
    }

    /// Opens a record; the beginning of an id is enough where only one begins so.
    pub async fn open(&self, id: &str) -> Result<Record> {
        let ids = self.ids().await?;
        let fits: Vec<&String> = ids.iter().filter(|i| !id.is_empty() && i.starts_with(id)).collect();
        let found = match fits.as_slice() {
            _ if ids.iter().any(|i| i == id) => id.to_owned(),
            [one] => (*one).clone(),
            _ => return Err(unknown(id, &ids)),
        };
        let plan = self.plan(&found).await?.ok_or_else(|| unknown(id, &ids))?;
        let folder = self.store.layout().restores().join(found.as_str());
        let listed = self.store.list(&folder, None).await?;
        let mut numbers: Vec<u64> = listed.iter().filter_map(|l| number(l.path.filename()?, "outcome-")).collect();
        numbers.sort_unstable();
        let mut outcomes = BTreeMap::new();
        for n in &numbers {
            let path = self.store.layout().restore(&found, &format!("outcome-{n}"));
            let bytes = self.store.get(&path).await?;
            let batch: Outcomes = serde_json::from_slice(&bytes)
                .map_err(|e| Error::corrupt(path.as_ref(), format!("is no batch of outcomes: {e}")))?;
            known_format(path.as_ref(), batch.format)?;
            outcomes.extend(batch.outcomes.into_iter().map(|entry| (entry.key.clone(), entry)));
        }
        let mut bypassed = Vec::new();
        for found in listed.iter().filter(|l| l.path.filename().and_then(|n| number(n, "bypass-")).is_some()) {
            bypassed.push(String::from_utf8_lossy(&self.store.get(&found.path).await?).into_owned());
        }
        Ok(Record {
            keys: self.data_keys(&plan.cluster),
            store: self.store.clone(),
            unrecorded: BTreeMap::new(),
            rules: self.rules.clone(),
            outcomes: Mutex::new(outcomes),
            pending: Mutex::default(),
            bypassed: Mutex::new(bypassed),
            next: AtomicU64::new(numbers.last().map_or(1, |n| n + 1)),
            resumed: true,
            words: self.words,
            began: moment(&found).unwrap_or(plan.time),
            id: found,
            plan,
        })
    }
}

impl Record {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether everything that it replaces is kept. Until then it has written nothing to the cluster.
    pub async fn is_begun(&self) -> Result<bool> {
        Ok(self.missing().await?.is_empty())
    }

    /// The numbers of the batches of pre-images that are not there.
    async fn missing(&self) -> Result<Vec<u64>> {
        let folder = self.store.layout().restores().join(self.id.as_str());
        let listed = self.store.list(&folder, None).await?;
        let there: Vec<u64> = listed.iter().filter_map(|l| number(l.path.filename()?, "pre-")).collect();
        let batches = self.plan.actions.len().div_ceil(BATCH) as u64;
        Ok((1..=batches).filter(|n| !there.contains(n)).collect())
    }

    /// The clock and randomness.
    pub fn parts(&self) -> &Parts {
        self.store.parts()
    }

    /// When the restore was begun.
    pub fn began(&self) -> Micros {
        self.began
    }

    /// The key that placeholders are made with.
    pub(crate) fn hmac(&self) -> Option<&Key> {
        self.keys.key().map(|k| &**k)
    }

    /// Whether it was begun by an earlier process.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// What is known of every action that has an outcome.
    pub fn outcomes(&self) -> BTreeMap<ObjectKey, Entry> {
        lock(&self.outcomes).clone()
    }

    /// How many actions are through.
    pub fn through(&self) -> usize {
        let through = |entry: &&Entry| matches!(entry.became, Became::Done | Became::Already);
        lock(&self.outcomes).values().filter(through).count()
    }

    /// The actions that have no outcome: they may have been begun, or not.
    pub fn open_ends(&self) -> Vec<ObjectKey> {
        let outcomes = lock(&self.outcomes);
        let keys = self.plan.actions.iter().map(|a| &a.key);
        keys.filter(|k| !outcomes.contains_key(k)).cloned().collect()
    }

    /// Whether an object is other than before by this restore.
    pub(crate) fn touched(&self, key: &ObjectKey) -> bool {
        lock(&self.outcomes).get(key).is_some_and(|entry| entry.touched)
    }

    /// The outcome of an action that is through.
    pub(crate) fn settled(&self, key: &ObjectKey) -> Option<Entry> {
        let outcomes = lock(&self.outcomes);
        let entry = outcomes.get(key).filter(|_| self.resumed)?;
        matches!(entry.became, Became::Done | Became::Already).then(|| entry.clone())
    }

    /// The uids of what was created.
    pub(crate) fn created(&self) -> BTreeMap<ObjectKey, String> {
        let outcomes = lock(&self.outcomes);
        let there = outcomes.values().filter(|e| !e.uid.is_empty());
        there.map(|e| (e.key.clone(), e.uid.clone())).collect()
    }

    /// In whose words it is kept.
    pub(crate) fn words(&self) -> &'static dyn Words {
        self.words
    }

    /// Why an action must not be carried out: what it replaces could not be recorded.
    pub(crate) fn unrecorded(&self, key: &ObjectKey) -> Option<&Message> {
        self.unrecorded.get(key)
    }

    /// The webhooks that may be switched off.
    pub(crate) fn bypassed(&self) -> std::collections::BTreeSet<String> {
        lock(&self.bypassed).iter().cloned().collect()
    }

    /// Writes down that a webhook is about to be switched off.
    pub(crate) async fn note_bypass(&self, webhook: &str) -> Result<()> {
        let mut n = lock(&self.bypassed).len() + 1;
        loop {
            let path = self.store.layout().restore(&self.id, &format!("bypass-{n}"));
            if create(&self.store, &path, Bytes::copy_from_slice(webhook.as_bytes())).await? {
                lock(&self.bypassed).push(webhook.to_owned());
                return Ok(());
            }
            n += 1;
        }
    }

    /// Takes an outcome; it is durable after [`Record::keep`].
    pub(crate) fn note(&self, entry: Entry) {
        lock(&self.outcomes).insert(entry.key.clone(), entry.clone());
        lock(&self.pending).push(entry);
    }

    /// Whether enough outcomes wait to be written.
    pub(crate) fn is_due(&self) -> bool {
        lock(&self.pending).len() >= OUTCOMES
    }

    /// Writes the outcomes that wait.
    pub(crate) async fn keep(&self) -> Result<()> {
        let mut outcomes = std::mem::take(&mut *lock(&self.pending));
        if outcomes.is_empty() {
            return Ok(());
        }
        for entry in &mut outcomes {
            entry.message = entry.message.take().map(|message| message.told(self.words));
        }
        let batch = Outcomes { format: FORMAT, outcomes };
        let bytes = Bytes::from(serde_json::to_vec(&batch).expect("strings always serialise"));
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let path = self.store.layout().restore(&self.id, &format!("outcome-{n}"));
            match create(&self.store, &path, bytes.clone()).await {
                Ok(true) => return Ok(()),
                // Another process resumes the same restore; both may say what they saw.
                Ok(false) => {}
                Err(error) => {
                    lock(&self.pending).extend(batch.outcomes);
                    return Err(error);
                }
            }
        }
    }

    /// The plan with its bodies, as it was begun.
    pub async fn prepared(&self) -> Result<Prepared> {
        let bodies = body::read_all(self).await?;
        let lacking = self.plan.actions.iter().filter(|a| !bodies.bodies.contains_key(&a.key)).count();
        if lacking > 0 {
            return Err(Error::invalid(
                format!("restore {}", self.id),
                format!(
                    "was interrupted before its first write: {lacking} pre-images are missing, and nothing was changed"
                ),
            )
            .with_remedy(Remedy::PlanAgain { unchanged: false }));
        }
        Ok(Prepared { plan: self.plan.clone(), bodies: bodies.bodies, around: bodies.around, places: bodies.places })
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(name: &str, prefix: &str) -> Option<u64> {
    name.strip_prefix(prefix)?.parse().ok()
}

fn known_format(what: &str, format: u32) -> Result<()> {
    if format == FORMAT {
        return Ok(());
    }
    Err(Error::corrupt(what, format!("has format {format}; this version reads {FORMAT}"))
        .with_hint("read it with a newer hindcast"))
}

/// The moment in an id.
fn moment(id: &str) -> Option<Micros> {
    let (stamp, _) = id.rsplit_once('-')?;
    let civil = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", stamp).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

fn unknown(id: &str, ids: &[String]) -> Error {
    let what = format!("restore {id}");
    if ids.is_empty() {
        return Error::not_found(what, "is not known: there are no records of restores here")
            .with_remedy(Remedy::WhoseRecords);
    }
    let newest: Vec<&str> = ids.iter().take(TOLD).map(String::as_str).collect();
    Error::not_found(what, "is not known").with_hint(format!("the newest are {}", newest.join(", ")))
}

/// A record that cannot be begun: nothing was changed, and it can be kept elsewhere.
fn unwritable(error: Error) -> Error {
    let more = error.hint().map(str::to_owned);
    Error::new(error.kind(), "the record of this restore cannot be written", error.to_string())
        .with_remedy(Remedy::KeepElsewhere(more))
        .with_source(error)
}

/// Writes an object; false if another one stands there. An answer that was lost is asked for again.
async fn create(store: &Store, path: &object_store::path::Path, bytes: Bytes) -> Result<bool> {
    create_within(store, path, bytes, PATIENCE).await
}

async fn create_within(
    store: &Store,
    path: &object_store::path::Path,
    bytes: Bytes,
    patience: Duration,
) -> Result<bool> {
    let clock = &store.parts().clock;
    let began = clock.monotonic();
    let mut wait = Duration::from_millis(100);
    let mut again = false;
    loop {
        match store.create(path, bytes.clone()).await {
            Ok(Put::Created) => return Ok(true),
            Ok(Put::Exists) => return Ok(again && store.get(path).await? == bytes),
            Err(error) => {
                let over = clock.monotonic().saturating_sub(began) + wait > patience;
                if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Refused) || over {
                    return Err(error);
                }
            }
        }
        again = true;
        clock.sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(5));
    }
}

#[cfg(test)]
mod tests;
