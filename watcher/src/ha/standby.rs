//! The standby: an open watch of every kind, whose events are held until the leader has committed them.
//!
//! **Invariants.** (1) Nothing is written, to the cluster or to the bucket, and no object's state is kept. (2) A watch that
//! broke goes on where it was, or leaves a hole [`Shared::again`]; what was held when it broke is dropped if the server's
//! store does not have it, since then it was put back [`Shared::confirm`]. (3) What is committed is learnt from the newest
//! segment's frontier: a few requests a minute, more of them only as the memory fills [`Shared::follow`]. Too little is
//! trimmed by that, never what a takeover needs. Not here: who leads ([`super::elect`]), what a takeover makes of it
//! (`stream`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hindcast_cluster::{
    Api, Connector, Failure, Watch,
    discovery::{self, API_SERVICES, API_SERVICES_PATH, Aggregated, CRDS, LEASES, path, watchable},
    gate::Gate,
    header::Header,
    lines::{self, Event},
};
use hindcast_journal::{
    Journal, Parts, Reader,
    cut::{At, MAIN},
    facts::Discovery,
    fold::Scope,
    row::Revision,
    segment::FrontierVector,
};
use tokio::{
    sync::{Notify, oneshot},
    task::{JoinHandle, JoinSet},
};

use super::{
    Reach,
    bridge::{self, Bridge},
    ring::{Held, Hole, Newest, Ring, Rings},
};
use crate::{Metrics, Result, Settings, wanted::wanted};

/// How often the journal is looked at, and how often while memory fills.
const LOOK: Duration = Duration::from_secs(15);
const LOOK_OFTEN: Duration = Duration::from_secs(2);
/// A journal whose name after the newest is free for this long is looked for from its beginning.
const QUIET: Duration = Duration::from_secs(150);
/// It takes longer than this to put a store back.
const SWAP: Duration = Duration::from_secs(4);
/// A hole is bridged when it has stayed uncommitted for this long, and sooner if nobody leads.
const BRIDGE: Duration = Duration::from_secs(90);
const BRIDGE_SOON: Duration = Duration::from_secs(2);
/// How often that is looked at.
const MEND: Duration = Duration::from_secs(1);
/// Events about what is served are collected for this long.
const SETTLE: Duration = Duration::from_secs(1);
/// The longest wait after a failure, and after one that will not pass by itself.
const LONGEST: Duration = Duration::from_secs(5);
const NEVER: Duration = Duration::from_secs(30);

/// What a standby shares with its tasks.
pub(crate) struct Shared {
    api: Api,
    parts: Parts,
    settings: Arc<Settings>,
    journal: Journal,
    opens: Gate,
    metrics: Metrics,
    state: Mutex<State>,
    /// What is served may have changed.
    changed: Notify,
}

struct State {
    rings: Rings,
    holders: BTreeMap<String, Holder>,
    committed: FrontierVector,
    segment: u64,
    /// When the journal was last seen to have grown, and when it was last seen at all, on the monotonic clock.
    grown: Duration,
    looked: Duration,
    begun: Duration,
    /// Whether what is served was read once.
    read: bool,
    /// Kinds whose watch was tried.
    tried: BTreeSet<String>,
    /// Kinds whose watch cannot be opened now, and whether the server says that it never can.
    failing: BTreeMap<String, bool>,
    /// Whether nobody leads.
    orphaned: bool,
}

/// Whoever holds a kind's watch open.
struct Holder {
    kind: Arc<Discovery>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Option<Watch>>,
}

/// A standby at work; dropping it ends it.
pub(crate) struct Standby {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// One kind's part of what a standby held.
pub(crate) struct Taken {
    pub(crate) ring: Ring,
    /// The open watch that goes on where the ring ends.
    pub(crate) watch: Option<Watch>,
}

impl Standby {
    /// Begins to hold what the server sends.
    pub(crate) fn start(
        settings: Arc<Settings>,
        parts: &Parts,
        connector: Arc<dyn Connector>,
        journal: &Journal,
        metrics: Metrics,
    ) -> Result<Self> {
        let api = Api::new(parts.clone(), connector, settings.streams_per_client, settings.request_timeout)?;
        let now = parts.clock.monotonic();
        let shared = Arc::new(Shared {
            api,
            parts: parts.clone(),
            journal: journal.clone(),
            opens: Gate::new(settings.openings),
            metrics,
            state: Mutex::new(State {
                rings: Rings::new(settings.ring_bytes),
                holders: BTreeMap::new(),
                committed: FrontierVector::new(),
                segment: 0,
                grown: now,
                looked: now,
                begun: now,
                read: false,
                tried: BTreeSet::new(),
                failing: BTreeMap::new(),
                orphaned: false,
            }),
            changed: Notify::new(),
            settings,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(shared.clone().follow());
        tasks.spawn(shared.clone().discover());
        tasks.spawn(shared.clone().mend());
        Ok(Self { shared, tasks })
    }

    /// How far what is held reaches.
    pub(crate) fn reach(&self) -> Reach {
        self.shared.reach()
    }

    /// Whether every kind's watch was tried.
    pub(crate) fn is_set(&self) -> bool {
        let state = self.shared.state();
        state.read && state.holders.keys().all(|key| state.tried.contains(key))
    }

    /// For how long the journal is seen not to have grown.
    pub(crate) fn silence(&self) -> Duration {
        let (now, state) = (self.shared.now(), self.shared.state());
        silence(state.grown, state.looked, now)
    }

    /// Nobody leads, or somebody does again.
    pub(crate) fn orphaned(&self, orphaned: bool) {
        self.shared.state().orphaned = orphaned;
    }

    /// What is held is taken over from here on: what there is to hold no longer changes.
    pub(crate) fn settle(&mut self) {
        self.tasks.abort_all();
    }

    /// One kind's part, once.
    pub(crate) async fn take(&self, key: &str, path: &str) -> Option<Taken> {
        let holder = self.shared.state().holders.remove(key)?;
        // A holder that has ended does not receive it.
        let _ = holder.stop.send(());
        let watch = holder.task.await.ok().flatten();
        let ring = self.shared.state().rings.kinds.remove(key)?;
        (ring.from() > 0 && ring.path == path).then_some(Taken { ring, watch })
    }

    /// What was heard of leases, unless they are journaled: they tell when revisions were committed.
    pub(crate) fn leases(&self) -> Vec<Bytes> {
        let ring = {
            let mut state = self.shared.state();
            let journaled = state.holders.get(LEASES).is_some_and(|holder| wanted(&holder.kind, &self.shared.settings));
            if journaled { None } else { state.rings.kinds.remove(LEASES) }
        };
        let held = ring.into_iter().flat_map(Ring::into_held);
        held.filter_map(|held| match held {
            Held::Line(_, line) => match lines::event(&line)? {
                Event::Added(lease) | Event::Modified(lease) => Some(lease),
                _ => None,
            },
            _ => None,
        })
        .collect()
    }

    /// Ends what nobody has taken.
    pub(crate) fn clear(&self) {
        let mut state = self.shared.state();
        for (_, holder) in std::mem::take(&mut state.holders) {
            holder.task.abort();
        }
        state.rings.kinds.clear();
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Between calls the state is always consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.parts.clock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.parts.clock.sleep(duration).await;
    }

    /// Up to `limit`, at random.
    fn jitter(&self, limit: Duration) -> Duration {
        let micros = (limit.as_micros() as u64).max(1);
        Duration::from_micros(self.parts.random.next_u64() % micros)
    }

    /// Follows how far the journal is committed.
    async fn follow(self: Arc<Self>) {
        loop {
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "the journal cannot be looked at; what is held stays");
            }
            let wait = {
                let state = self.state();
                if state.rings.bytes() > state.rings.bound / 4 { LOOK_OFTEN } else { LOOK }
            };
            self.sleep(wait).await;
        }
    }

    async fn look(&self) -> Result<()> {
        let (known, silent) = {
            let state = self.state();
            (state.segment, self.now().saturating_sub(state.grown) >= QUIET)
        };
        let (segment, frontier) = if known == 0 || silent {
            let end = self.journal.end(0).await?;
            (end.segment, end.frontier)
        } else {
            let store = self.journal.store();
            let (mut newest, mut step) = (known, 1);
            while store.exists(&store.layout().segment(newest + step)).await? {
                newest += step;
                step *= 2;
            }
            if newest == known {
                self.state().looked = self.now();
                return Ok(());
            }
            (newest, self.journal.segment(newest).await?.meta.frontier)
        };
        let now = self.now();
        let mut state = self.state();
        if segment > known {
            (state.segment, state.grown) = (segment, now);
        }
        (state.looked, state.committed) = (now, frontier);
        let State { rings, holders, committed, .. } = &mut *state;
        for (key, ring) in &mut rings.kinds {
            let domain = holders.get(key).map(|holder| holder.kind.domain.as_str());
            if let Some(point) = domain.and_then(|domain| committed.get(domain)) {
                ring.trim(point.rv);
            }
        }
        Ok(())
    }

    /// Keeps a holder for each kind that is served.
    async fn discover(self: Arc<Self>) {
        let mut failures = 0;
        let mut known = loop {
            match self.known().await {
                Ok(known) => break known,
                Err(error) => {
                    failures += 1;
                    tracing::debug!(%error, "the journal cannot be read yet");
                    self.sleep(backoff(failures)).await;
                }
            }
        };
        failures = 0;
        loop {
            let wait = match self.served(&known).await {
                Ok(kinds) => {
                    failures = 0;
                    self.apply(&kinds);
                    known = kinds;
                    self.settings.discovery_every
                }
                Err(failure) => {
                    failures += 1;
                    if failures.is_power_of_two() {
                        tracing::warn!(%failure, failures, "discovery failed; what is known stays");
                    }
                    backoff(failures)
                }
            };
            tokio::select! {
                biased;
                () = self.changed.notified() => self.sleep(SETTLE).await,
                () = self.sleep(wait) => {}
            }
        }
    }

    /// The kinds that the journal knows, in the versions that the leader reads them in.
    async fn known(&self) -> Result<BTreeMap<String, Discovery>> {
        self.look().await?;
        if self.state().segment == 0 {
            return Ok(BTreeMap::new());
        }
        let mut reader = Reader::open(&self.journal).await?;
        let past = reader.at(&At::NowOpen).await?;
        let kinds = past.state(&Scope::nothing()).await?.state.kinds;
        let known = kinds.into_iter().map(|(key, kind)| (key, kind.discovery));
        Ok(known.filter(|(_, kind)| !kind.gone && !kind.resource.is_empty()).collect())
    }

    /// What is served, each kind in the version and the domain in which the leader counts it.
    async fn served(&self, known: &BTreeMap<String, Discovery>) -> Result<BTreeMap<String, Discovery>, Failure> {
        let services = self.api.page(API_SERVICES_PATH, "limit=500").await;
        let services: Vec<Aggregated> = match services {
            Ok(page) => page.items.iter().filter_map(|item| discovery::aggregated(item)).collect(),
            Err(failure @ Failure::Transport(_)) => return Err(failure),
            Err(_) => Vec::new(),
        };
        let mut kinds = discovery::read(&self.api).await?.settle(known, &BTreeMap::new());
        for kind in kinds.values_mut() {
            if services.iter().any(|service| service.group == kind.group) {
                kind.domain.clone_from(&kind.group);
            } else if kind.domain.is_empty() {
                MAIN.clone_into(&mut kind.domain);
            }
        }
        // What the leader reads leases for is the time.
        kinds.retain(|key, kind| watchable(kind) && (key == LEASES || wanted(kind, &self.settings)));
        Ok(kinds)
    }

    fn apply(self: &Arc<Self>, kinds: &BTreeMap<String, Discovery>) {
        let mut state = self.state();
        state.read = true;
        for (key, kind) in kinds {
            let same = |holder: &Holder| path(&holder.kind) == path(kind) && holder.kind.domain == kind.domain;
            if state.holders.get(key).is_some_and(same) {
                continue;
            }
            if let Some(before) = state.holders.remove(key) {
                before.task.abort();
                state.rings.kinds.remove(key);
            }
            let (stop, stopped) = oneshot::channel();
            let kind = Arc::new(kind.clone());
            let task = tokio::spawn(hold(self.clone(), key.clone(), kind.clone(), stopped));
            state.holders.insert(key.clone(), Holder { kind, stop, task });
        }
        // Of a kind that is no longer served what is held is kept until it is committed: its last events are in it.
        let gone: Vec<String> = state.holders.keys().filter(|key| !kinds.contains_key(*key)).cloned().collect();
        for key in gone {
            if state.rings.of(&key).is_empty()
                && let Some(holder) = state.holders.remove(&key)
            {
                holder.task.abort();
                state.rings.kinds.remove(&key);
                state.failing.remove(&key);
            }
        }
    }

    /// Opens a kind's watch, where the one before it ended.
    async fn open(&self, key: &str, kind: &Discovery) -> Result<Watch, Failure> {
        let target = path(kind);
        let (upto, heard, newest, committed) = {
            let mut state = self.state();
            let committed = state.committed.get(&kind.domain).map_or(0, |point| point.rv);
            let ring = state.rings.of(key);
            (ring.upto(), ring.heard, ring.newest.clone(), committed)
        };
        let mut from = upto;
        if upto == 0 {
            // From where the leader stands, so that what is held reaches from the first moment.
            from = if committed > 0 { committed } else { self.sample(&target).await? };
            let now = self.now();
            self.state().rings.of(key).begin(&target, from, now);
        } else if let Some(newest) = newest.filter(|_| self.now().saturating_sub(heard) >= SWAP) {
            self.confirm(key, kind, &newest).await?;
            from = self.state().rings.of(key).upto();
        }
        let limit = self.settings.watch_timeout;
        let seconds = (limit + self.jitter(limit / 5)).as_secs().max(1);
        let query = format!("resourceVersion={from}&timeoutSeconds={seconds}");
        let _place = self.opens.enter(0).await;
        self.api.watch(&target, &query).await
    }

    /// The revision of a consistent list.
    async fn sample(&self, target: &str) -> Result<Revision, Failure> {
        let _place = self.opens.enter(0).await;
        self.api.sample(target).await?.rv.ok_or(Failure::Opaque)
    }

    /// Whether the newest event that is held is in the server's history as it was received: whatever was put back did
    /// so before it or does not matter here. If it is not, all that is held of the kind is dropped. Where the history is
    /// gone, only a contradiction counts.
    async fn confirm(&self, key: &str, kind: &Discovery, newest: &Newest) -> Result<(), Failure> {
        let name = (newest.namespace.as_str(), newest.name.as_str());
        let stands = match bridge::at(&self.api, kind, name, newest.rv).await {
            Ok(found) => {
                let found = found.map(|(header, _)| (header.uid, header.rv));
                if newest.deleted {
                    // A name that was taken again at once is there at a later revision alone.
                    found.is_none()
                } else {
                    found == Some((newest.uid.clone(), Some(newest.rv)))
                }
            }
            Err(Failure::Expired(_)) => true,
            Err(Failure::TooLarge(_)) => false,
            Err(failure) => return Err(failure),
        };
        if !stands {
            tracing::warn!(kind = key, "the server's store was put back: what is held of the kind is dropped");
            let from = self.sample(&path(kind)).await?;
            let now = self.now();
            self.state().rings.of(key).begin(&path(kind), from, now);
        }
        Ok(())
    }

    /// The server does not take the revision where the watch was: the next one begins at a newer one.
    async fn again(&self, key: &str, kind: &Discovery, failure: &Failure) -> Result<(), Failure> {
        let target = path(kind);
        let at = self.sample(&target).await?;
        let now = self.now();
        let mut state = self.state();
        let ring = state.rings.of(key);
        if matches!(failure, Failure::TooLarge(_)) || at < ring.upto() {
            ring.begin(&target, at, now);
        } else {
            ring.broke(at, now, &failure.to_string());
        }
        Ok(())
    }

    /// Takes a line of a kind's watch.
    fn line(&self, key: &str, line: &Bytes) -> Result<(), Failure> {
        let event = lines::event(line);
        let event = event.ok_or_else(|| Failure::Server("the watch sent something that is not an event".to_owned()))?;
        let (object, deleted) = match &event {
            Event::Added(object) | Event::Modified(object) => (object, false),
            Event::Deleted(object) => (object, true),
            Event::Bookmark(object) => {
                let rv = Header::of(object).rv.ok_or(Failure::Opaque)?;
                let now = self.now();
                self.state().rings.of(key).seen(rv, now);
                return Ok(());
            }
            Event::Error(status) => return Err(Failure::of_event(status)),
        };
        let Header { namespace, name, uid, rv, .. } = Header::of(object);
        let rv = rv.ok_or(Failure::Opaque)?;
        let now = self.now();
        let mut state = self.state();
        let ring = state.rings.of(key);
        if !ring.is_news(rv, deleted) {
            return Ok(());
        }
        let newest = Newest { namespace, name, uid, rv, deleted };
        let emptied = state.rings.push(key, newest, now, line);
        drop(state);
        self.tell_of(emptied);
        if matches!(key, CRDS | API_SERVICES) {
            self.changed.notify_one();
        }
        Ok(())
    }

    fn tell_of(&self, emptied: Option<String>) {
        if let Some(kind) = emptied {
            self.metrics.ring_overflows.inc();
            tracing::warn!(
                kind,
                "the standby has no room for what is not yet committed: what it held of the kind is dropped, and a takeover \
                 before the leader has committed it depends on the server's own history"
            );
        }
    }

    /// Bridges holes, the oldest first. A kind whose history is not given just now rests, and holds up no other.
    async fn mend(self: Arc<Self>) {
        let mut rests = Rests::new();
        loop {
            while let Some((key, kind, hole)) = self.due(&rests) {
                match bridge::build(&self.api, &kind, &hole, self.settings.ring_bytes / 2).await {
                    Ok(bridge) => {
                        rests.remove(&key);
                        self.bridged(&key, bridge);
                    }
                    Err(failure @ (Failure::Expired(_) | Failure::TooLarge(_) | Failure::NotFound(_))) => {
                        tracing::warn!(kind = key, %failure, "what a standby's broken watch missed cannot be recovered");
                        self.state().rings.of(&key).forgotten();
                    }
                    Err(failure) => {
                        tracing::debug!(kind = key, %failure, "what a broken watch missed cannot be recovered yet");
                        let (tries, until) = rests.entry(key).or_default();
                        *tries += 1;
                        let asked = if let Failure::Throttled(after) = failure { after } else { None };
                        *until = self.now() + asked.unwrap_or_else(|| backoff(*tries)).max(MEND);
                    }
                }
            }
            self.sleep(MEND).await;
        }
    }

    /// The oldest hole that has to be bridged.
    fn due(&self, rests: &Rests) -> Option<(String, Arc<Discovery>, Hole)> {
        let now = self.now();
        let state = self.state();
        let after = if state.orphaned { BRIDGE_SOON } else { BRIDGE };
        let holes = state.rings.kinds.iter().filter_map(|(key, ring)| {
            let holder = state.holders.get(key).filter(|_| rests.get(key).is_none_or(|(_, until)| now >= *until))?;
            let hole = ring.hole().filter(|hole| !hole.forgotten && now.saturating_sub(hole.opened) >= after)?;
            Some((key.clone(), holder.kind.clone(), hole.clone()))
        });
        holes.min_by_key(|(.., hole)| hole.heard)
    }

    fn bridged(&self, key: &str, bridge: Bridge) {
        let objects = bridge.objects.len();
        let emptied = {
            let mut state = self.state();
            state.rings.of(key).bridge(bridge);
            state.rings.bounded()
        };
        tracing::debug!(kind = key, objects, "what a broken watch missed was recovered");
        self.tell_of(emptied);
    }

    fn reach(&self) -> Reach {
        let now = self.now();
        let state = self.state();
        let mut out = Reach { overflows: state.rings.overflows, ..Reach::default() };
        for (key, holder) in state.holders.iter().filter(|(key, _)| *key != LEASES) {
            // Of a domain without a frontier the leader has nothing that could be lost.
            let Some(committed) = state.committed.get(&holder.kind.domain) else { continue };
            let failing = state.failing.get(key);
            if failing.is_some_and(|never| *never) {
                continue;
            }
            out.kinds += 1;
            if failing.is_some() || !state.rings.kinds.get(key).is_some_and(|ring| ring.reaches(committed.rv)) {
                out.short.push(key.trim_start_matches('/').to_owned());
            }
        }
        let oldest = state.rings.kinds.iter().filter(|(key, _)| *key != LEASES);
        let oldest = oldest.filter_map(|(_, ring)| ring.since()).min();
        out.oldest_seconds = oldest.map_or(0, |oldest| now.saturating_sub(oldest).as_secs());
        out.bytes = state.rings.bytes();
        out.bound = state.rings.bound;
        let seconds = now.saturating_sub(state.begun).as_secs_f64().max(1.0);
        let rate = state.rings.received as f64 / seconds;
        let room = out.bound.saturating_sub(out.bytes) as f64;
        // What comes in is measured raw and held compressed, so this errs on the early side.
        out.seconds_until_full = if rate > 0.0 { (room / rate).min(1e9) as u64 } else { 1_000_000_000 };
        out
    }
}

/// Kinds that could not be bridged: how often in a row, and until when none of them is tried, on the monotonic clock.
type Rests = BTreeMap<String, (u32, Duration)>;

pub(super) fn backoff(failures: u32) -> Duration {
    Duration::from_millis(250 << failures.min(7)).min(LONGEST)
}

/// For how long a journal is seen not to have grown: of one that cannot be looked at nobody knows.
pub(super) fn silence(grown: Duration, looked: Duration, now: Duration) -> Duration {
    if now.saturating_sub(looked) < 2 * LOOK { now.saturating_sub(grown) } else { Duration::ZERO }
}

/// Holds a kind's watch open until it is told to hand it over.
async fn hold(
    shared: Arc<Shared>,
    key: String,
    kind: Arc<Discovery>,
    mut stop: oneshot::Receiver<()>,
) -> Option<Watch> {
    let (mut open, mut failures) = (None, 0);
    loop {
        tokio::select! {
            biased;
            _ = &mut stop => return open,
            () = turn(&shared, &key, &kind, &mut open, &mut failures) => {}
        }
    }
}

/// Opens the watch and takes what it brings until it ends; then waits, if it has to.
async fn turn(shared: &Shared, key: &str, kind: &Discovery, open: &mut Option<Watch>, failures: &mut u32) {
    let ended = read(shared, key, kind, open, failures).await;
    *open = None;
    let failure = match ended {
        Ok(heard) => {
            // One that ends without a word would be opened again in a tight loop.
            if !heard {
                *failures += 1;
                shared.sleep(backoff(*failures) / 2).await;
            }
            return;
        }
        Err(failure) => failure,
    };
    let gone = matches!(failure, Failure::Expired(_) | Failure::TooLarge(_));
    let failure = if gone { shared.again(key, kind, &failure).await.err() } else { Some(failure) };
    *failures += 1;
    let Some(failure) = failure else {
        // The first time at once: what comes now is missed.
        if *failures > 1 {
            shared.sleep(backoff(*failures)).await;
        }
        return;
    };
    tracing::debug!(kind = key, %failure, "the standby's watch broke");
    let never = matches!(failure, Failure::Forbidden(_) | Failure::NotFound(_) | Failure::Opaque);
    {
        let mut state = shared.state();
        state.tried.insert(key.to_owned());
        state.failing.insert(key.to_owned(), never);
    }
    let wait = match failure {
        Failure::Throttled(Some(after)) => after,
        _ if never => NEVER,
        _ => backoff(*failures),
    };
    shared.sleep(wait).await;
}

/// Takes what a watch brings, until it ends as watches do; whether it brought anything.
async fn read(
    shared: &Shared,
    key: &str,
    kind: &Discovery,
    open: &mut Option<Watch>,
    failures: &mut u32,
) -> Result<bool, Failure> {
    let watch = open.insert(shared.open(key, kind).await?);
    {
        let mut state = shared.state();
        state.tried.insert(key.to_owned());
        state.failing.remove(key);
    }
    let mut heard = false;
    while let Some(line) = watch.line(shared.settings.idle_timeout).await? {
        shared.line(key, &line)?;
        (heard, *failures) = (true, 0);
    }
    Ok(heard)
}
