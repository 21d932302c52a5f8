//! The one place where events become rows: cursors, retained versions, coverage, and the buffer.
//!
//! Every stream hands its events to the [`Core`] under one lock, in the order it received them; nothing is awaited
//! while it is held. **Words**: a kind is *covered* while the journal protects it; its *cursor* is the revision up to
//! which every change of it has been handed over.
//!
//! **Invariants.**
//! 1. A kind's rows are written in the order of its revisions, per object, and none twice: what is not newer than the
//!    cursor or the retained version is dropped [`Core::event`].
//! 2. The cursor moves only after all that it promises is in the buffer, and a block's frontier is taken when the block
//!    is closed, so a durable frontier covers only durable rows [`Core::frontier`].
//! 3. The closed revision of a domain is the least cursor of its covered kinds.
//! 4. A kind that is not covered says why, in a row [`Core::uncover`].
//!
//! Not here: talking to the server ([`crate::stream`]), committing ([`crate::flush`]). Start at [`Core::event`].

mod cover;
mod life;
mod observe;
mod proof;
mod status;
mod stuck;
mod told;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hindcast_cluster::When;
use hindcast_journal::{
    Change, Parts,
    cut::MAIN,
    encode::Encoder,
    facts::{self, Discovery, Frontier, Uncovered},
    parts::Micros,
    row::{Op, Revision, Source},
    segment::{FrontierPoint, FrontierVector},
};
use tokio::sync::{Notify, mpsc};

use self::stuck::Pace;
pub(crate) use self::{
    cover::{Healed, Known, Resumed},
    life::{Witness, contradicts},
    observe::{Sighting, Verdict, object_name, placed},
    proof::Ended,
};
use crate::{
    Settings,
    buffer::{Batch, Buffer},
    clock::RevisionClock,
    handle::Phase,
    metrics::Metrics,
    retained::{Entry, Packer},
    timekeeper::{Span, Timekeeper},
};

/// The process stood still if it was not known to run for this long: the time that a live event is taken to be under
/// way.
const STALL: Duration = Duration::from_millis(500);

/// Something that a stream saw and discovery needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hint {
    /// A custom resource definition is there.
    Crd(Box<hindcast_cluster::discovery::Crd>),
    /// What is served may have changed.
    Changed,
}

/// One kind.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, none of which excludes another")]
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) discovery: Arc<Discovery>,
    pub(crate) covered: bool,
    /// Why it is not covered, as the newest row about it says.
    pub(crate) ended: Option<Uncovered>,
    /// 0 before the first list.
    pub(crate) cursor: Revision,
    /// The revision of the newest event, which is not that of a bookmark or a list.
    told: Revision,
    pub(crate) objects: BTreeMap<String, Entry>,
    pub(crate) phase: Phase,
    pub(crate) detail: String,
    /// When it was last heard of, by our clock.
    pub(crate) heard: Micros,
    listing: u32,
    /// Whether the domain's counter went back since its last list: any other revision is a newer one.
    reborn: bool,
    /// Whether the newest discovery row says what `discovery` says.
    described: bool,
    /// Whether a row or list told of the cursor since the last frontier row.
    moved: bool,
    /// When its watch was opened after the newest outage or list, on the monotonic clock.
    opened: Duration,
    /// How its stream is doing.
    pub(crate) pace: Pace,
    /// Where and when its protection ended, while it is not covered and what it missed may still be recovered.
    left: Option<(Revision, Micros)>,
    /// When its stream last brought anything, on the monotonic clock.
    pub(crate) alive: Duration,
    /// The newest revision that a healing recorded. If it lies beyond the cursor, the healing did not finish.
    ahead: Revision,
    /// Whether its watches send bookmarks, as far as is known since one was opened after an outage or a list.
    pub(crate) bookmarks: Option<bool>,
    /// Whether its revisions were found to be those of its domain, or were followed as such.
    pub(crate) placed: bool,
    /// What is known of it by the cluster's own lists.
    proofs: proof::Proofs,
}

/// One revision domain.
#[derive(Debug, Default)]
pub(crate) struct Domain {
    pub(crate) incarnation: u32,
    pub(crate) clock: RevisionClock,
    /// The revision of the list at the start: what is not newer was committed before it.
    pub(crate) caught_up: Revision,
    /// Only what is newer counts as received live: set by a list after this process stood still.
    pub(crate) live_from: Revision,
    /// When a stream of it last broke, on the monotonic clock.
    pub(crate) doubted: Duration,
    /// How far the journal was closed when it was taken up: life, revision and moment.
    pub(crate) resumed: Option<(u32, Revision, Micros)>,
    /// When a watch was last opened that follows on an outage or a list, on the monotonic clock.
    opened: Duration,
    /// When the newest list of it was begun, on the monotonic clock, and its revision.
    listed: (Duration, Revision),
    /// The highest revision that a list of this life showed.
    pub(crate) shown: Revision,
    /// The newest write of a lease that was heard of in this life.
    renewed: Option<Renewed>,
    /// When this life was begun, on the monotonic clock.
    begun: Duration,
    /// When its time was last known for certain, on the monotonic clock.
    told: Duration,
    /// Since when that has been so again and again, on the monotonic clock: its server answers.
    pub(crate) answers_since: Option<Duration>,
    /// Counts the lists that failed, so that the next one asks for another kind.
    failed: usize,
}

/// A write of a lease that was heard of.
#[derive(Debug, Clone)]
struct Renewed {
    name: String,
    uid: Box<str>,
    rv: Revision,
    /// When, on the monotonic clock.
    heard: Duration,
}

/// The state behind the lock.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) parts: Parts,
    pub(crate) settings: Arc<Settings>,
    pub(crate) metrics: Metrics,
    pub(crate) kinds: BTreeMap<String, Kind>,
    pub(crate) domains: BTreeMap<String, Domain>,
    encoder: Encoder,
    packer: Packer,
    pub(crate) buffer: Buffer,
    hints: mpsc::UnboundedSender<Hint>,
    wake: Arc<Notify>,
    /// When the last frontier row was written, on the monotonic clock.
    framed: Duration,
    /// How often a segment was asked for at once, for a demanded close or the end of the run.
    demands: u64,
    /// The newest knock, and the demand that answers it.
    knock: (u64, u64),
    /// When an object was last written, on the monotonic clock.
    written: Duration,
    /// How many of these the segments taken answer.
    met: u64,
    /// Since when the store refuses, on the monotonic clock.
    pub(crate) store_down: Option<Duration>,
    /// Bytes taken in while the store is down, for the estimate of how long the buffer lasts.
    outage_bytes: usize,
    pub(crate) timekeeper: Timekeeper,
    pub(crate) started: bool,
    /// When the process was last known to run, on the monotonic clock.
    beat: Duration,
    /// When each lease said last that it was renewed.
    leases: BTreeMap<String, Micros>,
    /// When the process was last seen to have stood still, on the monotonic clock.
    pub(crate) stalled_at: Duration,
    /// Domains that stood still and wait for a list.
    stalled: BTreeSet<String>,
    durable_kinds: BTreeSet<String>,
    untold: told::Untold,
    values: values::Values,
    proving: proof::Told,
}

/// The core, shared between streams.
#[derive(Debug, Clone)]
pub(crate) struct SharedCore(Arc<Mutex<Core>>);

impl SharedCore {
    pub(crate) fn new(core: Core) -> Self {
        Self(Arc::new(Mutex::new(core)))
    }

    /// The core. Never held across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        // A stream that panicked has ended the run already; between calls the core is always consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the flusher should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Now,
    In(Duration),
}

impl Core {
    pub(crate) fn new(
        parts: Parts,
        settings: Arc<Settings>,
        metrics: Metrics,
        encoder: Encoder,
        hints: mpsc::UnboundedSender<Hint>,
        wake: Arc<Notify>,
    ) -> Self {
        let framed = parts.clock.monotonic();
        let packer = Packer::new(settings.hot_objects);
        let mut timekeeper = Timekeeper::default();
        timekeeper.read(&*parts.clock);
        Self {
            parts,
            settings,
            metrics,
            kinds: BTreeMap::new(),
            domains: BTreeMap::new(),
            encoder,
            packer,
            buffer: Buffer::default(),
            hints,
            wake,
            framed,
            demands: 0,
            knock: (0, 0),
            written: framed,
            met: 0,
            store_down: None,
            outage_bytes: 0,
            timekeeper,
            started: false,
            beat: Duration::ZERO,
            leases: BTreeMap::new(),
            stalled_at: Duration::ZERO,
            stalled: BTreeSet::new(),
            durable_kinds: BTreeSet::new(),
            untold: told::Untold::default(),
            values: values::Values::default(),
            proving: proof::Told::default(),
        }
    }

    /// The domain of that name.
    pub(crate) fn domain(&mut self, name: &str) -> &mut Domain {
        if !self.domains.contains_key(name) {
            self.domains.insert(name.to_owned(), Domain::default());
        }
        self.domains.get_mut(name).expect("it was put in just above")
    }

    /// Now.
    pub(crate) fn now(&mut self) -> Span {
        let clock = self.parts.clock.clone();
        let (now, stepped) = self.timekeeper.read(&*clock);
        if stepped {
            // It is the same after the process was suspended.
            self.stall();
        }
        now
    }

    /// An answer of the API server gave the time.
    pub(crate) fn dated(&mut self, when: &When) {
        self.now();
        if let Some(date) = when.date {
            self.timekeeper.date(date, when.began, when.answered);
        }
    }

    /// The process is running. If it stood still (paused, starved, suspended), events were waiting to be read: until a
    /// list separates them from newer ones, times of receipt are no lower bounds.
    pub(crate) fn beat(&mut self) {
        let now = self.parts.clock.monotonic();
        if self.beat > Duration::ZERO && now.saturating_sub(self.beat) > STALL {
            self.stall();
        }
        self.beat = now;
        self.now();
    }

    /// Events may have been waiting to be read: only what is newer than a list begun from here on is live.
    fn stall(&mut self) {
        self.stalled_at = self.parts.clock.monotonic();
        for (name, domain) in &mut self.domains {
            domain.live_from = Revision::MAX;
            self.stalled.insert(name.clone());
        }
    }

    /// What has to be listed, so that receipts are lower bounds again and the closed time goes on: a kind of each
    /// domain that stood still, whose watches were opened since its newest list, or whose time nothing has told for a
    /// while.
    pub(crate) fn to_sample(&self) -> Vec<Arc<Discovery>> {
        let now = self.parts.clock.monotonic();
        let due = self.domains.iter().filter(|(name, domain)| {
            domain.opened > domain.listed.0
                || self.stalled.contains(*name)
                || now.saturating_sub(domain.told) >= self.settings.sample_every
        });
        due.filter_map(|(name, domain)| self.sampled_kind(name, domain.failed)).collect()
    }

    /// Per domain, covered kinds whose lists tell its revision; those that are watched first.
    pub(crate) fn references(&self) -> BTreeMap<String, Vec<Arc<Discovery>>> {
        const STAND_INS: usize = 3;
        let of_domain = |name: &String| {
            let kinds = self.covered_in(name);
            let chosen: Vec<_> = kinds.into_iter().take(STAND_INS).map(|kind| kind.discovery.clone()).collect();
            (!chosen.is_empty()).then(|| (name.clone(), chosen))
        };
        self.domains.keys().filter_map(of_domain).collect()
    }

    /// Whether a kind's revisions may be taken for those of its domain. A kind that is named to be elsewhere than in
    /// the main domain is; so are custom resources, which share one store, and kinds that are gone from here have
    /// nothing to be placed.
    pub(crate) fn is_placed(&self, key: &str) -> bool {
        self.kinds
            .get(key)
            .is_none_or(|kind| kind.placed || kind.discovery.domain != MAIN || !kind.discovery.crd_uid.is_empty())
    }

    /// A kind was found to count in its domain; or may no longer do so, when another one can appear under its name.
    pub(crate) fn place(&mut self, key: &str, placed: bool) {
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.placed = placed;
        }
    }

    /// A covered kind of a domain to ask for; another one after each failure.
    fn sampled_kind(&self, domain: &str, failed: usize) -> Option<Arc<Discovery>> {
        let kinds = self.covered_in(domain);
        let chosen = failed.checked_rem(kinds.len()).and_then(|at| kinds.get(at));
        chosen.map(|kind| kind.discovery.clone())
    }

    /// The covered kinds of a domain, those that are watched first.
    fn covered_in(&self, domain: &str) -> Vec<&Kind> {
        let covered = self.kinds.values().filter(|kind| kind.covered && kind.discovery.domain == domain);
        let mut kinds: Vec<&Kind> = covered.collect();
        kinds.sort_by_key(|kind| kind.phase != Phase::Watching);
        kinds
    }

    /// A list that should have told a domain's time failed.
    pub(crate) fn not_sampled(&mut self, domain: &str) {
        let domain = self.domain(domain);
        domain.failed = domain.failed.wrapping_add(1);
    }

    /// A kind's watch is open after an outage or a list: what it brings first was waiting to be sent, so that the time
    /// of receipt says nothing about the commit until there is a list that is begun from here on.
    pub(crate) fn opened(&mut self, key: &str) {
        let Some(kind) = self.kinds.get(key) else { return };
        let domain = kind.discovery.domain.clone();
        let at = self.parts.clock.monotonic();
        self.domain(&domain).opened = at;
        if let Some(kind) = self.kinds.get_mut(key) {
            kind.opened = at;
            // The server may have been started anew, without a cache for it.
            kind.bookmarks = kind.bookmarks.filter(|sent| !sent);
        }
    }

    /// Whether a kind's watches may be of those that send no bookmarks.
    pub(crate) fn may_be_mute(&self, key: &str) -> bool {
        self.kinds.get(key).is_some_and(|kind| kind.bookmarks != Some(true) || kind.discovery.domain != MAIN)
    }

    /// Whether they are known to be of those.
    pub(crate) fn is_mute(&self, key: &str) -> bool {
        self.kinds.get(key).is_some_and(|kind| kind.bookmarks == Some(false))
    }

    /// A kind whose cursor stood at `from` when a list of it was begun, at `at`, is known up to that list's revision
    /// `rv`: [`crate::mute`] says why. Says whether the cursor still stands there.
    pub(crate) fn still(&mut self, key: &str, from: Revision, rv: Revision, at: Span) -> bool {
        // A kind that is being recovered does not watch.
        let stands =
            |kind: &&mut Kind| kind.covered && !kind.is_torn() && kind.phase == Phase::Watching && kind.cursor == from;
        let Some(kind) = self.kinds.get_mut(key).filter(stands) else { return false };
        kind.bookmarks = kind.bookmarks.or(Some(false));
        if rv > from {
            (kind.cursor, kind.moved) = (rv, true);
        }
        kind.heard = kind.heard.max(at.lo);
        self.looked(key);
        true
    }

    /// A domain that stood still was listed at `rv`, by a list that was begun then. One from before tells nothing of
    /// what was written while nobody looked.
    pub(crate) fn runs_again(&mut self, domain: &str, rv: Revision, began: Duration) {
        if began >= self.stalled_at && self.stalled.remove(domain) {
            self.domain(domain).live_from = rv;
        }
    }

    /// A consistent list of a domain's kind told its revision.
    fn sample(&mut self, domain: &str, rv: Revision, when: &When) {
        let (began, ended) = (self.timekeeper.at(when.began), self.timekeeper.at(when.ended));
        let domain = self.domain(domain);
        domain.clock.list(rv, began, ended);
        if when.began > domain.listed.0 {
            domain.listed = (when.began, rv);
        }
        domain.shown = domain.shown.max(rv);
        domain.told = domain.told.max(when.began);
    }

    /// Whether a watch that was opened then has received `rv` as it was committed: no sooner than a list that was begun
    /// since.
    fn is_live(&self, domain: &str, opened: Duration, rv: Revision) -> bool {
        self.domains.get(domain).is_some_and(|domain| {
            let (began, list) = domain.listed;
            began >= opened && rv > list.max(domain.live_from)
        })
    }

    /// Puts a change in the buffer.
    fn push(&mut self, change: Change) {
        let now = self.parts.clock.monotonic();
        if self.store_down.is_some() {
            self.outage_bytes += change.weight();
        }
        if change.op.is_object() {
            self.written = now;
            self.metrics.changes.with_label_values(&[&change.kind_key()]).inc();
            if change.source == Source::Watch
                && let Some(kind) = self.kinds.get_mut(&change.kind_key())
            {
                kind.moved = false;
            }
        }
        let was_empty = self.buffer.is_empty();
        self.buffer.push(change, now);
        if self.buffer.is_full(self.settings.segment_rows, self.settings.segment_bytes) {
            // The row just added may be one of several at its cursor: the frontier is made of the cursors as they are,
            // which never run ahead of the rows.
            let frontier = self.frontier();
            self.buffer.close(frontier, self.demands);
            self.wake.notify_one();
        } else if was_empty {
            self.wake.notify_one();
        }
    }

    /// Puts a fact about a kind in the buffer.
    fn fact<T: serde::Serialize>(&mut self, op: Op, discovery: &Discovery, rv: Revision, body: Option<&T>) {
        let now = self.now();
        let (_, hi) = self.domain(&discovery.domain).clock.bounds(rv, now, None, false);
        self.fact_at(op, discovery, rv, body, hi);
    }

    /// The same for what holds from a moment of its own, not from that of its revision: protection can end and begin
    /// again while nothing is written.
    fn fact_at<T: serde::Serialize>(
        &mut self,
        op: Op,
        discovery: &Discovery,
        rv: Revision,
        body: Option<&T>,
        hi: Micros,
    ) {
        let domain = self.domain(&discovery.domain);
        let mut change = facts::about(op, discovery, domain.incarnation, rv);
        let at = Span { lo: hi, hi };
        (change.time_lo, change.time_hi) = (domain.clock.bounds(rv, at, None, false).0, hi);
        if let Some(body) = body {
            change.body = facts::body(body).expect("facts are plain structs, which serialise");
        }
        self.push(change);
    }

    /// How far each domain is closed by what is in the buffer.
    pub(crate) fn frontier(&self) -> FrontierVector {
        let mut closed: BTreeMap<&str, Revision> = BTreeMap::new();
        for kind in self.kinds.values().filter(|k| k.covered) {
            let least = closed.entry(&kind.discovery.domain).or_insert(Revision::MAX);
            *least = (*least).min(kind.cursor);
        }
        let mut out = FrontierVector::new();
        let now = self.timekeeper.at(self.parts.clock.monotonic());
        for (name, rv) in closed {
            if let Some(domain) = self.domains.get(name) {
                // What is only now becoming durable says nothing about any later moment, whatever a clock said.
                let time = domain.clock.closed_time(rv).min(now.lo);
                out.insert(name.to_owned(), FrontierPoint { incarnation: domain.incarnation, rv, time });
            }
        }
        out
    }

    /// Whether a segment should be made now, and if not, when to ask again.
    pub(crate) fn due(&self) -> Due {
        let now = self.parts.clock.monotonic();
        if self.buffer.has_full() || self.is_demanded() {
            return Due::Now;
        }
        let mut at = self.framed + self.frontier_every(now);
        if let Some(since) = self.buffer.open_since() {
            at = at.min(since + self.settings.linger);
        }
        if at <= now { Due::Now } else { Due::In(at.saturating_sub(now)) }
    }

    /// How often it is said how far all has been seen: less often where nothing has been written for long.
    fn frontier_every(&self, now: Duration) -> Duration {
        let idle = now.saturating_sub(self.written) >= self.settings.idle_after;
        if idle { self.settings.idle_frontier_every } else { self.settings.frontier_every }
    }

    /// Whether nothing waits to be flushed.
    pub(crate) fn is_flushed(&self) -> bool {
        self.buffer.is_empty() && !self.is_demanded()
    }

    /// Asks for a segment at once that says how far all is closed now; which of these demands it is.
    pub(crate) fn demand(&mut self) -> u64 {
        self.demand_answering(0)
    }

    /// The same, where that answers the knocks up to one.
    pub(crate) fn demand_answering(&mut self, knock: u64) -> u64 {
        self.demands += 1;
        if knock > 0 {
            self.knock = (self.demands, knock);
        }
        self.wake.notify_one();
        self.demands
    }

    fn is_demanded(&self) -> bool {
        self.met < self.demands
    }

    /// Takes the next segment out of the buffer.
    pub(crate) fn take(&mut self) -> Batch {
        let now = self.parts.clock.monotonic();
        let due = self.is_demanded() || now >= self.framed + self.frontier_every(now);
        if due && !self.buffer.has_full() {
            self.write_frontier();
            self.framed = now;
        }
        let frontier = self.frontier();
        let mut batch = self.buffer.take(|| frontier, self.demands);
        self.met = self.met.max(batch.demand);
        let (demand, knock) = self.knock;
        batch.knock = if batch.demand >= demand { knock } else { 0 };
        self.durable_kinds = batch.changes.iter().map(Change::kind_key).collect();
        batch
    }

    /// A row per domain that says how far quiet kinds have been seen.
    fn write_frontier(&mut self) {
        let mut moved: BTreeMap<String, Frontier> = BTreeMap::new();
        for (key, kind) in &mut self.kinds {
            if kind.covered && std::mem::take(&mut kind.moved) {
                let frontier = moved.entry(kind.discovery.domain.clone()).or_default();
                frontier.cursors.insert(key.clone(), kind.cursor);
            }
        }
        let (closed, now) = (self.frontier(), self.now());
        self.write_proven(&closed);
        for (domain, frontier) in moved {
            let Some(point) = closed.get(&domain) else { continue };
            let mut change = Change::new(Op::Frontier, domain, point.incarnation, point.rv);
            (change.time_lo, change.time_hi) = (point.time.min(now.lo), now.hi);
            change.body = facts::body(&frontier).expect("a map of numbers serialises");
            let at = self.parts.clock.monotonic();
            self.buffer.push(change, at);
        }
    }

    /// The segment in flight is durable; the newest demand that is met by it.
    pub(crate) fn committed(&mut self, bytes: u64) -> u64 {
        self.buffer.done();
        self.store_down = None;
        self.outage_bytes = 0;
        self.metrics.segments.inc();
        self.metrics.segment_bytes.inc_by(bytes);
        let now = self.parts.clock.now() as f64 / 1e6;
        for kind in &self.durable_kinds {
            self.metrics.last_durable.with_label_values(&[kind]).set(now);
        }
        self.met
    }

    /// The store refused a segment.
    pub(crate) fn refused(&mut self) {
        self.metrics.store_errors.inc();
        let now = self.parts.clock.monotonic();
        self.store_down.get_or_insert(now);
    }

    /// Lets the noisiest kind go when the buffer is over its bound. Its rows are still waiting, so each kind that was
    /// let go raises the bound a little: the rest goes on.
    fn keep_bound(&mut self) {
        if self.buffer.bytes() <= self.settings.buffer_bytes {
            return;
        }
        let gone = self.kinds.values().filter(|k| !k.covered && k.ended == Some(Uncovered::BufferFull));
        let bound = self.settings.buffer_bytes + gone.count() * (self.settings.buffer_bytes / 64);
        if self.buffer.bytes() <= bound {
            return;
        }
        let kinds = &self.kinds;
        let covered = |key: &str| kinds.get(key).is_some_and(|kind| kind.covered);
        if let Some(noisiest) = self.buffer.noisiest(covered) {
            tracing::warn!(kind = noisiest, "buffer full: the noisiest kind is let go");
            self.uncover(&noisiest, Uncovered::BufferFull, "the store was away for too long");
        }
    }

    /// Whether lists should wait: what they bring can be asked for later as well, and must not displace what cannot.
    pub(crate) fn is_crowded(&self) -> bool {
        self.buffer.bytes() > self.settings.buffer_bytes / 2
    }

    /// Whether the kind was let go and it is too early, or there is no room yet, for it to come back.
    pub(crate) fn must_wait(&self, key: &str) -> bool {
        let kind = self.kinds.get(key);
        let let_go = kind.is_some_and(|k| !k.covered && k.ended == Some(Uncovered::BufferFull));
        let rests = kind.is_some_and(|k| !k.covered && self.parts.clock.monotonic() < k.pace.rests_until);
        let room = self.store_down.is_none() && self.buffer.bytes() < self.settings.buffer_bytes / 2;
        let_go && !room || rests || self.waits_to_seal(key) || self.waits_to_move(key)
    }
}

#[cfg(test)]
pub(crate) mod tests;
