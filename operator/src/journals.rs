//! `Journal`: the object that a process takes its settings from, followed while it runs.
//!
//! | `Applied` | reason | when |
//! |---|---|---|
//! | True | `Applied` | what it says is what is done |
//! | Unknown | `Unavailable` | a Secret that it names cannot be read now |
//! | Unknown | `BeginningAnew` | it is taken up by writing what there is and beginning anew |
//! | False | `Refused` | it cannot be meant: what was said before stays in force |
//!
//! `Ready` says whether the cluster is protected, and why not.
//!
//! **Words**: a *steward* is the process as far as such an object concerns it. *News* are changes of objects that are no `Journal`s.
//!
//! **Invariants.** (1) Whatever an object says, or that it is gone, what protects the cluster goes on by what was said last that could be
//! meant: what to do decides the steward alone [`Steward::take`], and nobody else hears of the object. (2) A status makes no news: in a cluster
//! in which nothing else is written it is not written either [`Telling::is_due`]. (3) Only who writes the journal writes the status
//! [`Steward::report`]. (4) No text has anything that a Secret holds.
//!
//! Not here: what a field means (whoever implements [`Steward`]).

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use hindcast_journal::{
    Error, Journal as Log, Reader, Result,
    checkpoint::Manifest,
    cut::At,
    error::ErrorKind,
    fold::Scope,
    parts::{Clock, Micros},
};
use hindcast_snapshotter::cloud::Hidden;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{WatchStreamExt as _, watcher},
};

use crate::{
    api::{Committed, Journal, JournalSpec, JournalStatus, Verdict, Window, seconds, set},
    status::{self, is, unavailable},
};

#[cfg(test)]
mod tests;

/// How often it is looked at what there is to tell.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often an object is taken again though it is as it was: a Secret that it names may have changed.
const TAKE_EVERY: Duration = Duration::from_mins(1);

/// How often a status that only goes on is told.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// How often it is read which moments can be asked for.
const WINDOW_EVERY: Duration = Duration::from_mins(10);

/// An object that is named, and the cluster that has it.
#[derive(Clone)]
pub struct Named {
    /// The cluster.
    pub client: Client,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What the Secrets hold that an object names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// As whom the store is asked, if that is said.
    pub credentials: Option<BTreeMap<String, Hidden>>,
    /// The key file, if one is named.
    pub key: Option<Hidden>,
}

/// What becomes of what an object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is in force; what is to be said of it.
    InForce(String),
    /// It is not, for these reasons; what was said before is.
    Refused(String),
    /// The process ends in order and begins anew by it, for what is named.
    Anew(String),
}

/// The process as far as an object concerns it.
#[expect(async_fn_in_trait, reason = "it is polled where it is made")]
pub trait Steward {
    /// Takes up what an object says, as far as it can be meant.
    async fn take(&self, spec: &JournalSpec, secrets: Secrets) -> Taken;

    /// What there is to tell; nothing while another process writes the journal, or none does yet.
    fn report(&self) -> Option<Report>;
}

/// What a process tells of its journal.
#[derive(Debug, Clone)]
pub struct Report {
    /// The journal.
    pub log: Log,
    /// Where it is, as it is printed.
    pub store: String,
    /// Whether the cluster is protected; if not, why not.
    pub ready: Result<(), String>,
    /// How long the past is kept, in words.
    pub retention: String,
    /// The position of the newest durable row.
    pub position: u64,
    /// How many changes this process recorded of objects that are no `Journal`s.
    pub changes: u64,
    /// By when every write is in the journal, once that is known.
    pub time: Option<Micros>,
    /// When segments were last merged.
    pub merge: Option<Micros>,
    /// When it was last looked what had expired.
    pub expiry: Option<Micros>,
    /// When every kind was last compared with the cluster's own lists.
    pub proof: Option<Micros>,
}

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Journal {}/{}", self.namespace, self.name)
    }
}

impl Named {
    /// The object; `None` if there is none, or not even its kind.
    pub async fn read(&self) -> Result<Option<Journal>> {
        let api: Api<Journal> = Api::namespaced(self.client.clone(), &self.namespace);
        match api.get(&self.name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if is(&error, 404) => Ok(None),
            Err(error) => Err(unavailable(&error).about(format!("{self:?}"))),
        }
    }

    /// Says in its status that no process can begin with what it says; who cannot say so has said it elsewhere.
    pub async fn refuse(&self, object: &Journal, why: &str, now: Micros) {
        let ready = Verdict::no("NotStarted", "nothing is protected: a process could not begin with what it says");
        self.say(object, [("Ready", ready), ("Applied", Verdict::no("Refused", why))], now).await;
    }

    /// Says in its status that nobody tells how it is any more, and why.
    pub async fn stopped(&self, why: &str, now: Micros) {
        if let Ok(Some(object)) = self.read().await {
            self.say(&object, [("Ready", Verdict::no("Stopped", why))], now).await;
        }
    }

    async fn say(&self, object: &Journal, said: impl IntoIterator<Item = (&str, Verdict)>, now: Micros) {
        let (mut new, generation) =
            (object.status.clone().unwrap_or_default(), object.metadata.generation.unwrap_or_default());
        for (kind, verdict) in said {
            set(&mut new.conditions, kind, verdict, generation, now);
        }
        if let Err(error) = status::write(&self.client, object, object.status.as_ref(), &new).await {
            tracing::debug!(error = %Error::causes(&error), "the status of {self:?} could not be written");
        }
    }

    /// What the Secrets hold that it names.
    pub async fn secrets(&self, spec: &JournalSpec) -> Result<Secrets> {
        let mut held = Secrets::default();
        if let Some(credentials) = &spec.store.credentials {
            let (name, at) = (&credentials.secret_name, "spec.store.credentials");
            let data = self.secret(name, at).await?.data.unwrap_or_default();
            let mut variables = BTreeMap::new();
            for (key, value) in data {
                // A Secret may hold more than is asked for.
                let Ok(text) = std::str::from_utf8(&value.0) else { continue };
                variables.insert(key, Hidden::new(text.trim()));
            }
            held.credentials = Some(variables);
        }
        if let Some(key) = &spec.key {
            let (name, at) = (&key.secret_ref.name, "spec.key.secretRef");
            let data = self.secret(name, at).await?.data.unwrap_or_default();
            let there = || data.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let value = data.get(&key.secret_ref.key).ok_or_else(|| {
                let reason = format!("holds no {}", key.secret_ref.key);
                Error::new(ErrorKind::NotFound, of_secret(name, at), reason)
                    .with_hint(format!("it holds {}: name one of them as spec.key.secretRef.key", there()))
            })?;
            let text = std::str::from_utf8(&value.0).map_err(|_| {
                Error::invalid(of_secret(name, at), format!("holds what is no text as {}", key.secret_ref.key))
                    .with_hint("put the file there that `hindcast key init` made")
            })?;
            held.key = Some(Hidden::new(text));
        }
        Ok(held)
    }

    async fn secret(&self, name: &str, at: &str) -> Result<Secret> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        api.get(name).await.map_err(|error| match is(&error, 404) {
            true => Error::new(ErrorKind::NotFound, of_secret(name, at), "is not there")
                .with_hint(format!("create it in namespace {}, or name another", self.namespace)),
            false => unavailable(&error).about(of_secret(name, at)),
        })
    }
}

fn of_secret(name: &str, at: &str) -> String {
    format!("Secret {name} of {at}")
}

/// Follows the object: has the steward take it as it changes, and tells in its status how things are. It never ends; whoever has enough of
/// it drops it.
pub async fn follow<S: Steward>(named: &Named, steward: &S, clock: Arc<dyn Clock>) -> Infallible {
    let api: Api<DeserializeGuard<Journal>> = Api::namespaced(named.client.clone(), &named.namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={}", named.name));
    let events = watcher(api, only).default_backoff();
    let mut events = std::pin::pin!(events.chain(stream::pending()));
    let mut seen = Seen::default();
    let mut telling = Telling::default();
    loop {
        tokio::select! {
            biased;
            event = events.next() => match event {
                Some(Ok(event)) => seen.hear(named, event),
                Some(Err(error)) => tracing::debug!(error = %Error::causes(&error), "the Journals are not heard of now"),
                None => {}
            },
            () = clock.sleep(LOOK_EVERY) => {}
        }
        let Some(object) = &seen.object else { continue };
        let now = clock.monotonic();
        let version = (object.uid(), object.metadata.generation);
        let again =
            seen.taken.as_ref().is_none_or(|(of, at, _)| *of != version || now.saturating_sub(*at) >= TAKE_EVERY);
        if again {
            let applied = take(named, steward, object).await;
            seen.taken = Some((version, now, applied));
        }
        let (Some(report), Some((_, _, applied))) = (steward.report(), &seen.taken) else { continue };
        if let Err(error) = telling.tell(named, object, &report, applied, &*clock).await {
            tracing::debug!(error = %Error::causes(&error), "the status of {named:?} could not be written");
        }
    }
}

/// Has the steward take an object.
async fn take<S: Steward>(named: &Named, steward: &S, object: &Journal) -> Verdict {
    let secrets = match named.secrets(&object.spec).await {
        Ok(secrets) => secrets,
        Err(error) if error.kind().may_pass() => return Verdict::unknown("Unavailable", error.told()),
        Err(error) => return refused(&error.told()),
    };
    match steward.take(&object.spec, secrets).await {
        Taken::InForce(message) => Verdict::yes("Applied", message),
        Taken::Refused(why) => refused(&why),
        Taken::Anew(what) => Verdict::unknown("BeginningAnew", what),
    }
}

fn refused(why: &str) -> Verdict {
    Verdict::no("Refused", format!("{why}; what was said before stays in force"))
}

/// What tells an object, as it is, from any other: its uid and generation.
type Version = (Option<String>, Option<i64>);

/// The object, as it was heard of.
#[derive(Default)]
struct Seen {
    object: Option<Journal>,
    /// Whether it was found while all are listed.
    listed: bool,
    /// What became of it, as which version, and when.
    taken: Option<(Version, Duration, Verdict)>,
}

impl Seen {
    fn hear(&mut self, named: &Named, event: watcher::Event<DeserializeGuard<Journal>>) {
        match event {
            watcher::Event::Init => self.listed = false,
            watcher::Event::InitDone => {
                if !self.listed {
                    self.gone(named);
                }
            }
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => self.put(named, object),
            watcher::Event::Delete(_) => self.gone(named),
        }
    }

    fn put(&mut self, named: &Named, object: DeserializeGuard<Journal>) {
        self.listed = true;
        match object.0 {
            Ok(object) => self.object = Some(object),
            // The definition in the cluster is another than ours.
            Err(error) => {
                tracing::warn!(error = error.error, "{named:?} cannot be read: what it said before stays in force");
            }
        }
    }

    fn gone(&mut self, named: &Named) {
        if self.object.take().is_some() {
            self.taken = None;
            tracing::warn!(
                "{named:?} was deleted: nothing of the journal goes by that, and protection goes on by what it said last; a process that is \
                 started waits until it is there again"
            );
        }
    }
}

/// What was told.
#[derive(Debug, Default)]
struct Telling {
    /// After how many changes it was told last, and when.
    told: Option<(u64, Duration)>,
    /// The moments that can be asked for, and when that was read.
    window: Option<(Option<Window>, Duration)>,
    /// Since when anything is protected.
    since: Option<Micros>,
}

impl Telling {
    async fn tell(
        &mut self,
        named: &Named,
        object: &Journal,
        report: &Report,
        applied: &Verdict,
        clock: &dyn Clock,
    ) -> Result<()> {
        let old = object.status.clone().unwrap_or_default();
        let (now, wall) = (clock.monotonic(), clock.now());
        let mut new = stands(&old, report);
        let generation = object.metadata.generation.unwrap_or_default();
        let ready = match &report.ready {
            Ok(()) => Verdict::yes("Protecting", "every change is written"),
            Err(why) => Verdict::no("NotReady", why.clone()),
        };
        set(&mut new.conditions, "Ready", ready, generation, wall);
        set(&mut new.conditions, "Applied", applied.clone(), generation, wall);
        if !self.is_due(&old, &new, report.changes, now) {
            return Ok(());
        }
        let fresh = self.window.as_ref().is_some_and(|(_, read)| now.saturating_sub(*read) < WINDOW_EVERY);
        if !fresh {
            match self.window(&report.log).await {
                Ok(window) => self.window = Some((window, now)),
                // It is told without.
                Err(error) => {
                    tracing::debug!(error = %Error::causes(&error), "which moments can be asked for is not known");
                }
            }
        }
        progress(&mut new, report);
        if let Some((Some(window), _)) = &self.window {
            new.window = Some(window.clone());
        }
        status::write(&named.client, object, object.status.as_ref(), &new).await?;
        self.told = Some((report.changes, now));
        Ok(())
    }

    /// Whether there is something to tell: at once what is another than before, and now and then in which words, and how far it is, if
    /// others than `Journal`s were written.
    fn is_due(&self, old: &JournalStatus, new: &JournalStatus, changes: u64, now: Duration) -> bool {
        let Some((told, at)) = self.told else { return true };
        if without_words(old) != without_words(new) {
            return true;
        }
        now.saturating_sub(at) >= TELL_EVERY && (old != new || changes != told)
    }

    /// The moments that can be asked for.
    async fn window(&mut self, log: &Log) -> Result<Option<Window>> {
        if self.since.is_none() {
            let newest = Reader::open(log).await?.at(&At::NowOpen).await?;
            let kinds = newest.state(&Scope::nothing()).await?.state.kinds;
            self.since = kinds.values().flat_map(|kind| &kind.covers).map(|cover| cover.from_time).min();
        }
        let Some(since) = self.since else { return Ok(None) };
        let manifest = Manifest::read(log).await?;
        let expired = manifest.expired();
        Ok(Some(Window {
            from: seconds(expired.map_or(since, |expired| expired.oldest.max(since))),
            whole_from: expired.map(|expired| seconds(expired.whole)),
            kept_cuts: expired.map(|expired| i64::try_from(expired.kept).unwrap_or(i64::MAX)),
        }))
    }
}

/// A status without what may count seconds.
fn without_words(status: &JournalStatus) -> JournalStatus {
    let mut status = status.clone();
    status.conditions.iter_mut().for_each(|condition| condition.message.clear());
    status
}

/// What is told at once, beside what was told of how far it is.
fn stands(old: &JournalStatus, report: &Report) -> JournalStatus {
    JournalStatus {
        cluster_id: report.log.cluster().to_owned(),
        store: report.store.clone(),
        retention: report.retention.clone(),
        ..old.clone()
    }
}

/// How far it is.
fn progress(new: &mut JournalStatus, report: &Report) {
    let position = i64::try_from(report.position).unwrap_or(i64::MAX);
    new.committed = report.time.map(|time| Committed { position, time: seconds(time) });
    for (told, time) in [
        (&mut new.last_merge, report.merge),
        (&mut new.last_expiry, report.expiry),
        (&mut new.last_proof, report.proof),
    ] {
        // A process that has just begun knows nothing of it, and takes nothing back.
        if let Some(time) = time {
            *told = Some(seconds(time));
        }
    }
}
