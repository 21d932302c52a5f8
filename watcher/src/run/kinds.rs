//! Which kinds have a stream, as discovery says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use hindcast_cluster::{
    Failure,
    discovery::{self, API_SERVICES, API_SERVICES_PATH, Aggregated, CRDS, CRDS_PATH, Crd, Dead, LEASES, watchable},
};
use hindcast_journal::{
    cut::MAIN,
    facts::{Discovery, Uncovered},
    row::Revision,
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use super::resume::oldest_cursor;
use crate::{
    access::{Access, LEASES_PATH},
    core::Hint,
    domains::{self, Found, references},
    life, stream,
    wanted::wanted,
};

/// Rounds with a write in between before a domain counts as known.
const ROUNDS: u32 = 5;
/// The time between rounds, in which somebody has to write.
const BETWEEN: Duration = Duration::from_secs(7);
/// A kind that no definition explains counts as gone after discovery left it out for this long.
const MISSING: Duration = Duration::from_secs(10);
/// Readings of discovery that wait for a definition to be served.
const WAITS: u32 = 50;

/// The kinds and their streams.
pub(crate) struct Kinds {
    access: Arc<Access>,
    pub(crate) hints: mpsc::UnboundedReceiver<Hint>,
    tasks: JoinSet<()>,
    /// Kind key → its stream.
    streams: BTreeMap<String, AbortHandle>,
    /// Kinds that are only listened to.
    overheard: BTreeMap<&'static str, AbortHandle>,
    crds: BTreeMap<String, Crd>,
    aggregated: BTreeSet<String>,
    /// The aggregated APIs that do not answer, by the names of their `APIService`s.
    dead: BTreeSet<String>,
    /// Established definitions whose kinds are not yet served, with how often that was looked for.
    awaited: BTreeMap<String, u32>,
    /// Kinds that discovery no longer names, and since when, on the monotonic clock.
    missing: BTreeMap<String, Duration>,
    /// Kinds that were found to be in the main domain before they were begun. The others find out for themselves.
    placed: BTreeSet<String>,
    rounds: u32,
    /// Whether all definitions were read once.
    crds_read: bool,
}

impl Kinds {
    pub(crate) fn new(access: Arc<Access>, hints: mpsc::UnboundedReceiver<Hint>) -> Self {
        Self {
            access,
            hints,
            tasks: JoinSet::new(),
            streams: BTreeMap::new(),
            overheard: BTreeMap::new(),
            crds: BTreeMap::new(),
            aggregated: BTreeSet::new(),
            dead: BTreeSet::new(),
            awaited: BTreeMap::new(),
            missing: BTreeMap::new(),
            placed: BTreeSet::new(),
            rounds: 0,
            crds_read: false,
        }
    }

    /// Reads what is served, takes the first sample of the clock, finds the domains, starts the streams.
    pub(crate) async fn start(&mut self) -> Result<(), Failure> {
        self.look_at_the_clock().await?;
        self.read_crds().await?;
        let kinds = self.read().await?;
        let began_in = self.access.core.lock().life(MAIN);
        match self.access.any_sample(&references(kinds.values())).await {
            Ok(rv) => {
                life::confirm(&self.access, MAIN, Duration::ZERO).await?;
                self.catch_up(rv, began_in).await;
            }
            // Each stream finds out for itself then.
            Err(Failure::Forbidden(_) | Failure::NotFound(_)) => {}
            Err(failure) => return Err(failure),
        }
        let kinds = self.first_probe(kinds).await?;
        self.apply(kinds).await;
        self.start_overhearing();
        Ok(())
    }

    /// What is not newer than `rv` was committed before the start; when, the leases of the time tell. Unless the store
    /// was put back meanwhile: then nothing is followed that anybody would have to catch up with.
    async fn catch_up(&self, rv: Revision, began_in: u32) {
        let oldest = {
            let mut core = self.access.core.lock();
            if core.life(MAIN) != began_in {
                return;
            }
            core.domain(MAIN).caught_up = rv;
            oldest_cursor(&core)
        };
        if let Some(oldest) = oldest {
            self.access.read_leases(oldest, rv).await;
        }
    }

    /// Reads discovery and applies it. Says whether nothing is awaited any more.
    pub(crate) async fn discover(&mut self) -> Result<bool, Failure> {
        let kinds = self.read().await?;
        self.awaited.retain(|key, tries| {
            *tries += 1;
            !kinds.contains_key(key) && *tries < WAITS
        });
        if !self.crds_read {
            self.read_crds().await?;
        }
        self.apply(kinds).await;
        self.start_overhearing();
        let now = self.access.parts.clock.monotonic();
        let fresh = |since: &Duration| now.saturating_sub(*since) < 3 * MISSING;
        Ok(self.awaited.is_empty() && !self.missing.values().any(fresh))
    }

    /// Applies what an event said about discovery.
    pub(crate) fn take_hint(&mut self, hint: Hint) {
        if let Hint::Crd(crd) = hint {
            if crd.established && !self.streams.contains_key(&crd.kind_key) {
                self.awaited.insert(crd.kind_key.clone(), 0);
            }
            self.crds.insert(crd.kind_key.clone(), *crd);
        }
    }

    async fn look_at_the_clock(&self) -> Result<(), Failure> {
        match self.access.api.get("/version", "application/json").await {
            Ok(answer) => self.access.core.lock().dated(&answer.when),
            Err(failure @ Failure::Transport(_)) => return Err(failure),
            // Every later answer tells the time as well.
            Err(_) => {}
        }
        Ok(())
    }

    /// Reads all definitions: only at the start; later they come as events.
    async fn read_crds(&mut self) -> Result<(), Failure> {
        let mut next = None::<String>;
        loop {
            let page = match self.access.page(CRDS_PATH, next.as_deref()).await {
                Ok(page) => page,
                // Without them columns and uids are missing, but kinds are found all the same.
                Err(Failure::Forbidden(_) | Failure::NotFound(_)) => break,
                Err(failure @ Failure::Transport(_)) => return Err(failure),
                Err(failure) => {
                    tracing::warn!(%failure, "definitions cannot be read; trying again");
                    return Ok(());
                }
            };
            for crd in page.items.iter().filter_map(|item| discovery::crd(item)) {
                self.crds.insert(crd.kind_key.clone(), crd);
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        self.crds_read = true;
        Ok(())
    }

    /// What is served now, with pinned versions and domains.
    async fn read(&mut self) -> Result<BTreeMap<String, Discovery>, Failure> {
        let services = self.access.page(API_SERVICES_PATH, None).await;
        match services {
            Ok(page) => {
                let services: Vec<Aggregated> =
                    page.items.iter().filter_map(|item| discovery::aggregated(item)).collect();
                self.tell_of_dead(&services);
                self.aggregated = services.into_iter().map(|service| service.group).collect();
            }
            Err(failure @ Failure::Transport(_)) => return Err(failure),
            // What is known stays; of a kind whose group nobody names, a probe tells how it counts [`domains::place`].
            Err(_) => {}
        }
        let served = discovery::read(&self.access.api).await?;
        let known: BTreeMap<String, Discovery> = {
            let core = self.access.core.lock();
            let alive = core.kinds.iter().filter(|(_, kind)| !kind.discovery.gone);
            alive.map(|(key, kind)| (key.clone(), (*kind.discovery).clone())).collect()
        };
        let mut kinds = served.settle(&known, &self.crds);
        for kind in kinds.values_mut() {
            if self.aggregated.contains(&kind.group) {
                kind.domain.clone_from(&kind.group);
            } else if kind.domain.is_empty() {
                MAIN.clone_into(&mut kind.domain);
            }
        }
        Ok(kinds)
    }

    /// Names an aggregated API when it stops to answer, and when it answers again.
    fn tell_of_dead(&mut self, services: &[Aggregated]) {
        let mut dead = BTreeSet::new();
        for Aggregated { name, service, dead: state, .. } in services {
            if let Some(Dead { since, why }) = state {
                if !self.dead.contains(name) {
                    tracing::warn!(
                        api = name,
                        service,
                        since,
                        why,
                        "an aggregated API does not answer: its kinds are not protected"
                    );
                }
                dead.insert(name.clone());
            } else if self.dead.contains(name) {
                tracing::info!(api = name, service, "the aggregated API answers again");
            }
        }
        self.dead = dead;
    }

    /// Finds the domain of all kinds that are not followed yet, in one go before the first lists. Those that do not
    /// answer are left to their streams.
    async fn first_probe(
        &mut self,
        mut kinds: BTreeMap<String, Discovery>,
    ) -> Result<BTreeMap<String, Discovery>, Failure> {
        let settings = &self.access.settings;
        let fresh = {
            let core = self.access.core.lock();
            let new = |kind: &&Discovery| {
                let key = kind.kind_key();
                let known = core.kinds.get(&key);
                // A kind that did not answer when the journal was left would hold up all others.
                let failed =
                    known.is_some_and(|kind| matches!(kind.ended, Some(Uncovered::Stuck | Uncovered::ApiDown)));
                known.is_none_or(|kind| kind.cursor == 0) && !failed && (key == LEASES || wanted(kind, settings))
            };
            let fresh: Vec<_> = kinds.values().filter(new).map(|k| Arc::new(k.clone())).collect();
            domains::candidates(fresh.into_iter())
        };
        if fresh.is_empty() {
            return Ok(kinds);
        }
        let references = references(kinds.values());
        let _turn = self.access.placing.lock().await;
        let mut others = domains::others(&self.access.core.lock());
        let round = match domains::any_round(&self.access, &references, &fresh, &mut others).await {
            Ok(round) => round,
            // There is nothing to compare with; each stream finds out for itself.
            Err(Failure::Forbidden(_) | Failure::NotFound(_)) => return Ok(kinds),
            Err(failure) => return Err(failure),
        };
        for (key, found) in round.found {
            if let (Some(kind), Found::Domain(domain)) = (kinds.get_mut(&key), found) {
                tracing::info!(kind = key, domain, "counted in its own revision domain");
                kind.domain = domain;
            }
        }
        self.placed = round.fits;
        Ok(kinds)
    }

    async fn apply(&mut self, kinds: BTreeMap<String, Discovery>) {
        let absent: Vec<Arc<Discovery>> = {
            let core = self.access.core.lock();
            let known = core.kinds.iter().filter(|(key, kind)| !kind.discovery.gone && !kinds.contains_key(*key));
            known.map(|(_, kind)| kind.discovery.clone()).collect()
        };
        self.missing.retain(|key, _| absent.iter().any(|kind| kind.kind_key() == *key));
        for kind in absent {
            let key = kind.kind_key();
            if self.is_gone(&kind).await {
                self.missing.remove(&key);
                self.end(&key);
                self.crds.remove(&key);
                // What a standby held of it ends with its last events.
                stream::bring_kept(&self.access, &key).await;
                let mut core = self.access.core.lock();
                core.gone(&key);
                // Whatever comes back under its name may be served by somebody else.
                core.place(&key, false);
            }
        }
        for (key, kind) in kinds {
            self.apply_one(key, kind);
        }
    }

    /// Whether a kind that discovery does not name is really gone: a server that just started, or one whose
    /// aggregated API went down, names less than it serves.
    async fn is_gone(&mut self, kind: &Discovery) -> bool {
        if !kind.crd_uid.is_empty() {
            let path = format!("{CRDS_PATH}/{}.{}", kind.resource, kind.group);
            match self.access.api.get(&path, "application/json").await {
                Err(Failure::NotFound(_)) => return true,
                Err(Failure::Forbidden(_)) => {}
                _ => {
                    self.missing.entry(kind.kind_key()).or_insert_with(|| self.access.parts.clock.monotonic());
                    return false;
                }
            }
        }
        if self.aggregated.contains(&kind.group) {
            return false;
        }
        let now = self.access.parts.clock.monotonic();
        let since = *self.missing.entry(kind.kind_key()).or_insert(now);
        now.saturating_sub(since) >= MISSING
    }

    fn apply_one(&mut self, key: String, mut kind: Discovery) {
        let before = self.access.core.lock().kinds.get(&key).map(|kind| kind.discovery.clone());
        // Discovery names aggregated groups, and assumes for the rest what was known when it was read.
        if let Some(before) = before.as_ref().filter(|before| !before.gone && kind.domain == MAIN) {
            kind.domain.clone_from(&before.domain);
        }
        let why = if !wanted(&kind, &self.access.settings) {
            Some(Uncovered::Excluded)
        } else if !watchable(&kind) {
            Some(Uncovered::NotWatchable)
        } else {
            None
        };
        if let Some(why) = why {
            self.end(&key);
            self.describe(&key, kind);
            self.access.core.lock().uncover(&key, why, "");
            return;
        }
        let running = self.streams.contains_key(&key);
        let mut broken = None;
        if let Some(before) = before.filter(|before| !before.gone) {
            let known = !before.crd_uid.is_empty() && !kind.crd_uid.is_empty();
            if known && before.crd_uid != kind.crd_uid {
                // Deleted and created again under the same name: another kind.
                self.end(&key);
                self.access.core.lock().replaced(&key);
            } else if before.version != kind.version {
                self.end(&key);
                broken = Some(format!("version {} is no longer served", before.version));
            } else if running && before.domain == kind.domain {
                self.describe(&key, kind);
                return;
            }
            if before.domain != kind.domain {
                self.end(&key);
            }
        }
        self.describe(&key, kind);
        if !self.streams.contains_key(&key) {
            self.begin(key, broken);
        }
    }

    /// Applies what is new about a kind. If it counts in another domain than was believed, its stream does not go on.
    fn describe(&mut self, key: &str, kind: Discovery) {
        let mut core = self.access.core.lock();
        if core.kinds.get(key).is_some_and(|before| !before.discovery.gone) {
            core.change_domain(key, &kind.domain);
        }
        core.describe(kind);
        if self.placed.remove(key) {
            core.place(key, true);
        }
    }

    fn begin(&mut self, key: String, broken: Option<String>) {
        let task = stream::protect(self.access.clone(), key.clone(), broken);
        let handle = self.tasks.spawn(task);
        self.streams.insert(key, handle);
    }

    fn end(&mut self, key: &str) {
        if let Some(stream) = self.streams.remove(key) {
            stream.abort();
        }
    }

    /// Streams of kinds whose domain began anew wait for events of their old life, those of kinds that differ from what the
    /// server has wait for any, and that of one that was let go
    /// waits for a watch that is silent: they are started again. So is one that ended by a bug: the rest goes on, and
    /// the kind resumes from its cursor.
    pub(crate) fn mend(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if ended.is_err_and(|error| error.is_panic()) {
                tracing::error!("a stream ended unexpectedly; it is started again");
            }
        }
        let dead = self.streams.iter().filter(|(_, stream)| stream.is_finished());
        for key in dead.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.end(&key);
            self.begin(key, None);
        }
        let stuck: Vec<String> = {
            let core = self.access.core.lock();
            let waiting = core.kinds.iter().filter(|(_, kind)| {
                kind.phase == crate::Phase::Unprotected
                    && match kind.ended {
                        Some(Uncovered::Incarnation | Uncovered::DomainChanged | Uncovered::Differs) => true,
                        Some(Uncovered::Stuck) => kind.pace.deaf,
                        _ => false,
                    }
            });
            waiting.map(|(key, _)| key.clone()).filter(|key| self.streams.contains_key(key)).collect()
        };
        for key in stuck {
            self.end(&key);
            self.access.core.lock().phase(&key, crate::Phase::Starting);
            self.begin(key, None);
        }
    }

    /// Leases, definitions and API services are listened to even if they are not journaled.
    fn start_overhearing(&mut self) {
        let paths = [(LEASES, LEASES_PATH), (CRDS, CRDS_PATH), (API_SERVICES, API_SERVICES_PATH)];
        for (key, path) in paths {
            let needed = !self.streams.contains_key(key)
                && self.access.core.lock().kinds.get(key).is_some_and(|kind| !kind.discovery.gone);
            if needed && !self.overheard.contains_key(key) {
                let task = stream::overhear(self.access.clone(), key, path.to_owned());
                self.overheard.insert(key, self.tasks.spawn(task));
            } else if !needed && let Some(task) = self.overheard.remove(key) {
                task.abort();
            }
        }
    }

    /// One round of domain probes; returns when the next is due.
    pub(crate) async fn probe(&mut self) -> Duration {
        let access = self.access.clone();
        let _turn = access.placing.lock().await;
        let (kinds, main, mut others) = {
            let core = access.core.lock();
            let asked = core.kinds.values().filter(|kind| kind.covered);
            let kinds = domains::candidates(asked.map(|kind| kind.discovery.clone()));
            let main = references(kinds.iter().map(AsRef::as_ref));
            (kinds, main, domains::others(&core))
        };
        let Ok(round) = domains::any_round(&self.access, &main, &kinds, &mut others).await else { return BETWEEN };
        for (key, found) in round.found {
            match found {
                Found::Domain(domain) => {
                    self.end(&key);
                    self.access.core.lock().change_domain(&key, &domain);
                    self.begin(key, None);
                }
                Found::Opaque => {
                    self.end(&key);
                    self.access.core.lock().uncover(&key, Uncovered::NotWatchable, &Failure::Opaque.to_string());
                }
            }
        }
        self.rounds += u32::from(round.written);
        if self.rounds < ROUNDS { BETWEEN } else { self.access.settings.probe_every }
    }
}
