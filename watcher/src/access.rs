//! The access that the streams of a run have in common, to the API server and to the core, and how their requests wait
//! for one another.
//!
//! **Words**: a request is *late* if it has no answer after a short while ([`PROMPT`]); until one comes, everything
//! asked of that path counts as late.
//!
//! **Invariants.** (1) A late request gives up its place: it moves behind a gate of its own, and what follows on that
//! path waits there. So as many paths as that gate has places may hang at the same time, and hold up the others for no
//! more than a moment [`Access::behind`]. (2) No more requests are under way than the two gates have places.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hindcast_cluster::{
    Api, Failure, Page,
    discovery::{self, LEASES},
    gate::Gate,
    path::page_query,
};
use hindcast_journal::{Parts, cut::MAIN, facts::Discovery, row::Revision};

use crate::{Settings, core::SharedCore, ha::Kept};

/// A request without an answer after this long is late.
const PROMPT: Duration = Duration::from_secs(1);

/// The access of a run's streams to the API server and to the core.
pub(crate) struct Access {
    pub(crate) api: Api,
    pub(crate) core: SharedCore,
    pub(crate) parts: Parts,
    pub(crate) settings: Arc<Settings>,
    /// Bounds lists and openings of watches.
    pub(crate) opens: Gate,
    /// Bounds the calls that recover versions.
    pub(crate) heals: Gate,
    /// Bounds the late requests of both.
    pub(crate) strays: Gate,
    /// Paths whose newest request is late.
    pub(crate) late: Mutex<BTreeSet<String>>,
    /// Intervals of the main domain whose leases were read back.
    pub(crate) leases: tokio::sync::Mutex<Vec<(Revision, Revision)>>,
    /// When kinds without bookmarks were last listed.
    pub(crate) mute: Turns,
    /// Locked by whoever is finding out which domain a kind counts in, so that no two domains get the same name.
    pub(crate) placing: tokio::sync::Mutex<()>,
    /// When each domain's life was last confirmed.
    pub(crate) confirmed: Confirmed,
    /// What this process held before it led.
    pub(crate) kept: Option<Kept>,
}

/// When each domain's life was last confirmed: the moment that this began, on the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Confirmed(Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Option<Duration>>>>>);

impl Confirmed {
    pub(crate) fn of(&self, domain: &str) -> Arc<tokio::sync::Mutex<Option<Duration>>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(domain.to_owned()).or_default().clone()
    }
}

/// When each kind last had its turn, on the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<BTreeMap<String, Duration>>);

impl Turns {
    /// Whether it is a kind's turn, which comes that long after its last one. If so, the turn is taken by this.
    pub(crate) fn take(&self, key: &str, apart: Duration, now: Duration) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.get(key).is_none_or(|last| now.saturating_sub(*last) >= apart);
        if due {
            last.insert(key.to_owned(), now);
        }
        due
    }
}

impl Access {
    /// Waits.
    pub(crate) async fn sleep(&self, duration: Duration) {
        self.parts.clock.sleep(duration).await;
    }

    /// Up to `limit`, at random.
    pub(crate) fn jitter(&self, limit: Duration) -> Duration {
        let micros = (limit.as_micros() as u64).max(1);
        Duration::from_micros(self.parts.random.next_u64() % micros)
    }

    /// How long to wait after the `failures`th failure in a row.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        let base = Duration::from_millis(100 << failures.min(6));
        base.min(Duration::from_secs(5)) / 2 + self.jitter(base.min(Duration::from_secs(5)) / 2)
    }

    /// A consistent list of one object of a kind, for its revision.
    pub(crate) async fn sample(&self, kind: &Discovery) -> Result<Revision, Failure> {
        let path = discovery::path(kind);
        let list = async {
            let reached = self.core.lock().reached(&kind.domain);
            Ok((reached, self.api.sample(&path).await?))
        };
        let (reached, page) = self.asked(&path, list).await?;
        let rv = page.rv.ok_or(Failure::Opaque)?;
        let shown = self.core.lock().shown(&kind.domain, reached, rv, &page.when);
        shown.map(|_| rv).ok_or_else(another_life)
    }

    /// The revision of the first kind out of some of a domain that answers: a stuck one is passed over.
    pub(crate) async fn any_sample(&self, kinds: &[Arc<Discovery>]) -> Result<Revision, Failure> {
        let mut last = Failure::NotFound("there is nothing to list".to_owned());
        for kind in kinds {
            match self.sample(kind).await {
                Ok(rv) => return Ok(rv),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    /// A page of a kind's consistent list.
    pub(crate) async fn page(&self, path: &str, next: Option<&str>) -> Result<Page, Failure> {
        let query = page_query(self.settings.page, next);
        self.asked(path, self.api.page(path, &query)).await
    }

    /// A request to a path, once there is a place for it.
    pub(crate) async fn asked<T>(
        &self,
        path: &str,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.behind(&self.opens, 0, path, request).await
    }

    /// A request to a path behind a gate, which it leaves when it is late.
    async fn behind<T>(
        &self,
        gate: &Gate,
        urgency: u64,
        path: &str,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let late = || self.late.lock().unwrap_or_else(PoisonError::into_inner);
        let known = late().contains(path);
        let mut place = if known { &self.strays } else { gate }.enter(urgency).await;
        let mut request = std::pin::pin!(request);
        let answer = match self.parts.timeout(PROMPT, &mut request).await {
            Some(answer) => answer,
            None => {
                late().insert(path.to_owned());
                if let (false, Some(stray)) = (known, self.strays.try_enter()) {
                    place = stray;
                }
                request.await
            }
        };
        drop(place);
        // One that cannot be reached has not answered.
        if !matches!(answer, Err(Failure::Transport(_))) {
            late().remove(path);
        }
        answer
    }

    /// A call to the server's history, behind the gate; waits out "too many requests".
    pub(crate) async fn exact(
        &self,
        path: &str,
        query: &str,
        rv: Revision,
        urgency: Revision,
    ) -> Result<Page, Failure> {
        let query = format!("{query}&resourceVersion={rv}&resourceVersionMatch=Exact");
        let mut failures = 0;
        loop {
            let answer = self.behind(&self.heals, urgency, path, self.api.page(path, &query)).await;
            let wait = match answer {
                Err(Failure::Throttled(after)) => after.unwrap_or_else(|| self.backoff(failures)),
                Err(Failure::Transport(_) | Failure::Server(_) | Failure::Opaque) if failures < 4 => {
                    self.backoff(failures)
                }
                other => return other,
            };
            failures += 1;
            self.sleep(wait).await;
        }
    }

    /// Finds out when revisions in `(from, to]` of the main domain were committed, from the leases of that time.
    pub(crate) async fn read_leases(&self, mut from: Revision, to: Revision) {
        const ENOUGH: i64 = 4_000_000;
        const CALLS: usize = 64;
        let mut done = self.leases.lock().await;
        let domain = self.core.lock().kinds.get(LEASES).map(|kind| kind.discovery.domain.clone());
        if domain.is_some_and(|domain| domain != MAIN) {
            return;
        }
        let begin = from;
        // Kinds that heal one after another ask for nearly the same interval: only what is new is read.
        while let Some((_, high)) = done.iter().find(|(low, high)| *low <= from && from < *high) {
            from = *high;
        }
        if from >= to {
            return;
        }
        let mut calls = 2;
        let ends = futures::future::join(self.newest_lease(from), self.newest_lease(to)).await;
        let mut wave = vec![((from, ends.0), (to, ends.1))];
        while !wave.is_empty() && calls < CALLS {
            let far = |((low, then), (high, now)): &(Sample, Sample)| {
                high - low > 1 && now.is_some_and(|now| then.is_none_or(|then| now - then > ENOUGH))
            };
            wave.retain(far);
            calls += wave.len();
            let middles = wave.iter().map(|((low, _), (high, _))| low + (high - low) / 2);
            let asked = middles.map(async |rv| (rv, self.newest_lease(rv).await));
            let answers = futures::future::join_all(asked).await;
            wave = wave
                .iter()
                .zip(answers)
                .flat_map(|((low, high), middle)| {
                    // Where the server has forgotten the history there is nothing to split.
                    let lower = middle.1.is_some().then_some((*low, middle));
                    lower.into_iter().chain([(middle, *high)])
                })
                .collect();
        }
        done.retain(|(low, high)| *low < begin || to < *high);
        done.push((begin, to));
    }

    /// The newest `renewTime` at a revision; takes every lease there as a sample.
    async fn newest_lease(&self, rv: Revision) -> Option<i64> {
        let life = self.core.lock().life(MAIN);
        let page = self.exact(LEASES_PATH, "limit=500", rv, rv).await.ok()?;
        let mut core = self.core.lock();
        // Leases of another life would be taken for samples of this one.
        if core.life(MAIN) != life {
            return None;
        }
        core.past_leases(MAIN, &page.items)
    }
}

/// A revision, and the newest `renewTime` then.
type Sample = (Revision, Option<i64>);

/// Leases of the control plane: few, and renewed all the time.
pub(crate) const LEASES_PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";

/// The failure of work that began in a life of the counter that has since ended.
pub(crate) fn another_life() -> Failure {
    Failure::Transport("the server's store was put back".to_owned())
}
