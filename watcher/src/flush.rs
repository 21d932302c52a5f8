//! The flusher: blocks of the buffer become segments, one at a time.
//!
//! **Invariants.** (1) Exactly one segment is in flight; the buffer grows meanwhile. (2) A segment that the store did
//! not take is offered again, the same bytes, for ever; only being fenced or a bug ends the run. A value that cannot be
//! sealed ends nothing: its row goes without it, and its kind is let go until sealing works again
//! [`Flusher::seal_or_let_go`]. (3) The log is sealed every hour while rows come that are more than frontiers, else every day, and at
//! the end [`Flusher::seal_if_due`]; reading what a seal states holds no segment up. (4) The oldest buffered change waits at most `linger` before its PUT starts, if no PUT
//! is in flight.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hindcast_journal::{
    Change, Error, Journal, Parts, Writer,
    bundle::Bundle,
    cut::MAIN,
    error::ErrorKind,
    facts::{self, Mark},
    proof::{Gathered, Ledger},
    row::Op,
    seal::Key,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use crate::{
    Result,
    buffer::Batch,
    core::{Due, SharedCore, placed},
    handle::DurableState,
};

/// Where the flusher takes segments from, and where it reports what it did.
pub(crate) struct Flusher {
    pub(crate) core: SharedCore,
    pub(crate) parts: Parts,
    pub(crate) writer: Writer,
    pub(crate) wake: Arc<Notify>,
    pub(crate) durable: watch::Sender<DurableState>,
    /// The size of what it has committed.
    pub(crate) bytes: u64,
    /// Set when the run stops: what is buffered is flushed, then the flusher ends.
    pub(crate) stop: watch::Receiver<bool>,
    /// Namespaces whose values cannot be sealed, and when that is tried next, on the monotonic clock.
    pub(crate) broken: BTreeSet<String>,
    pub(crate) probe_at: Duration,
    pub(crate) sealing: Sealing,
    pub(crate) bundling: Bundling,
}

/// The bundle that is being written, beside the segments. One at a time: a store that is slow gets none of the next block.
#[derive(Debug, Default)]
pub(crate) struct Bundling(Option<JoinHandle<()>>);

impl Bundling {
    fn write(&mut self, bundle: Bundle, journal: &Journal) {
        if self.0.as_ref().is_some_and(|begun| !begun.is_finished()) {
            return;
        }
        let journal = journal.clone();
        self.0 = Some(tokio::spawn(async move {
            if let Err(error) = bundle.write(&journal).await {
                tracing::debug!(error = %Error::causes(&error), "a bundle of segments was not written; they are read");
            }
        }));
    }
}

impl Drop for Bundling {
    fn drop(&mut self) {
        if let Some(begun) = &self.0 {
            begun.abort();
        }
    }
}

/// How long sealing may fail, while the store answers, before the kind is let go.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it is tried again then.
const PROBE: Duration = Duration::from_secs(5);

/// How often the log is sealed while rows come, and how often while none do.
const SEAL: Duration = Duration::from_hours(1);
const SEAL_IDLE: Duration = Duration::from_hours(24);

/// When it is sealed for the first time: whoever is restarted often is sealed too.
const FIRST_SEAL: Duration = Duration::from_mins(10);

/// How long the files that a seal states may take to be read.
const GATHER: Duration = Duration::from_mins(2);

/// The same at the end of a run.
const GATHER_LAST: Duration = Duration::from_secs(2);

/// The files that a seal is to state, on their way.
type Gathering = JoinHandle<hindcast_journal::Result<(Ledger, Gathered)>>;

/// When the log is sealed next, and what for.
pub(crate) struct Sealing {
    journal: Journal,
    keys: Vec<Arc<Key>>,
    /// When it is due.
    at: Duration,
    /// Whether rows have come since that are more than frontiers, which come for ever.
    rows: bool,
    /// When the last seal was made.
    last: Duration,
    /// What has been stated of files.
    ledger: Option<Ledger>,
    gathering: Option<Gathering>,
}

impl Sealing {
    pub(crate) fn new(journal: &Journal, keys: Vec<Arc<Key>>) -> Self {
        let now = journal.parts().clock.monotonic();
        let journal = journal.clone();
        Self { journal, keys, at: now + FIRST_SEAL, rows: false, last: now, ledger: None, gathering: None }
    }

    /// Begins to read the files that the next seal states.
    fn gather(&mut self, limit: Duration) {
        let (journal, keys) = (self.journal.clone(), self.keys.clone());
        let ledger = self.ledger.take().unwrap_or_default();
        self.gathering = Some(tokio::spawn(async move {
            let gathering = ledger.gather(journal.store(), &keys);
            journal.parts().timeout(limit, gathering).await.unwrap_or_else(|| {
                let reason = "could not be read in time for a seal";
                Err(Error::new(ErrorKind::Unavailable, "the files beside the log", reason))
            })
        }));
    }

    /// What was gathered, once it is.
    async fn gathered(&mut self) -> Option<(Ledger, Gathered)> {
        match self.gathering.take()?.await {
            Ok(Ok(gathered)) => Some(gathered),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a seal is without its statement of files");
                None
            }
            Err(_) => None,
        }
    }
}

impl Flusher {
    /// Flushes until the run stops; then says how far everything was seen, and seals.
    pub(crate) async fn run(mut self) -> Result<()> {
        while !*self.stop.borrow_and_update() {
            if !self.broken.is_empty() && self.parts.clock.monotonic() >= self.probe_at {
                self.try_to_seal().await;
            }
            self.seal_if_due().await?;
            let due = match self.core.lock().due() {
                Due::In(wait) if !self.broken.is_empty() => Due::In(wait.min(PROBE)),
                due => due,
            };
            match due {
                Due::Now => self.flush().await?,
                Due::In(wait) => {
                    tokio::select! {
                        biased;
                        changed = self.stop.changed() => {
                            // The run was dropped, not stopped: nobody is left to flush for.
                            if changed.is_err() {
                                return Ok(());
                            }
                        }
                        () = self.wake.notified() => {}
                        () = self.parts.clock.sleep(wait) => {}
                    }
                }
            }
        }
        self.core.lock().demand();
        while !self.core.lock().is_flushed() {
            self.flush().await?;
        }
        // What was begun to be read may take too long now.
        if let Some(begun) = self.sealing.gathering.take() {
            begun.abort();
        }
        if !self.sealing.keys.is_empty() {
            self.sealing.gather(GATHER_LAST);
        }
        self.seal().await
    }

    /// Seals when that is due: what is to be stated is read beside the flushing.
    async fn seal_if_due(&mut self) -> Result<()> {
        let now = self.parts.clock.monotonic();
        if self.sealing.gathering.as_ref().is_some_and(JoinHandle::is_finished) {
            return self.seal().await;
        }
        if now >= self.sealing.at && self.sealing.gathering.is_none() && !self.sealing.keys.is_empty() {
            self.sealing.at = now + SEAL;
            if self.sealing.rows || now.saturating_sub(self.sealing.last) >= SEAL_IDLE {
                self.sealing.gather(GATHER);
            }
        }
        Ok(())
    }

    /// Signs what is durable, when there is a key to sign with.
    async fn seal(&mut self) -> Result<()> {
        let gathered = self.sealing.gathered().await;
        let frontier = self.writer.frontier().clone();
        let rv = frontier.get(MAIN).map_or(0, |point| point.rv);
        let sealed = self.writer.seal(MAIN, rv, gathered.as_ref().map(|(_, gathered)| gathered)).await?;
        if let (Some(number), Some((mut ledger, _))) = (sealed.statement, gathered) {
            ledger.stated(number);
            self.sealing.ledger = Some(ledger);
        }
        let Some(seal) = sealed.change else { return Ok(()) };
        self.commit(Batch { changes: vec![seal], frontier, demand: 0, knock: 0 }).await?;
        (self.sealing.rows, self.sealing.last) = (false, self.parts.clock.monotonic());
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let batch = self.core.lock().take();
        self.commit(batch).await
    }

    /// Commits a batch, however long the store takes.
    async fn commit(&mut self, mut batch: Batch) -> Result<()> {
        self.seal_or_let_go(&mut batch.changes).await;
        self.sealing.rows |= batch.changes.iter().any(is_news);
        self.writer.answer(batch.knock);
        // Every data key is at hand, so that only a bug can make this fail.
        self.writer.stage(batch.changes, batch.frontier.clone()).await?;
        let mut failures = 0;
        let done = loop {
            match self.writer.commit().await {
                Ok(done) => break done,
                Err(error) if error.kind().may_pass() => {
                    self.refused(&error, &mut failures).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        if let Some(bundle) = self.writer.bundle() {
            self.bundling.write(bundle, &self.sealing.journal);
        }
        let demand = self.core.lock().committed(done.bytes);
        self.bytes += done.bytes;
        self.durable.send_replace(DurableState {
            segment: done.segment,
            last: done.last,
            frontier: batch.frontier,
            time: self.parts.clock.now(),
            bytes: self.bytes,
            demand,
        });
        Ok(())
    }

    /// Prepares to seal the values of these changes. Values that cannot be sealed although the store answers are left
    /// out: a key that does not work, or that may not be read, must not stop the rest.
    async fn seal_or_let_go(&mut self, changes: &mut [Change]) {
        let began = self.parts.clock.monotonic();
        let mut failures = 0;
        let broken = loop {
            let broken = self.writer.unsealable(changes).await;
            let Some((_, error)) = broken.iter().find(|(_, error)| error.kind().may_pass()) else { break broken };
            // A store that is away takes no segment either, and what waits for it is not lost.
            // Changes of a kind that was let go already need not wait as long again.
            let long = self.parts.clock.monotonic().saturating_sub(began) >= PATIENCE || !self.broken.is_empty();
            if long && self.writer.store_answers().await {
                break broken;
            }
            self.refused(error, &mut failures).await;
        };
        if broken.is_empty() {
            return;
        }
        let mut lacking: BTreeMap<String, (BTreeSet<String>, String)> = BTreeMap::new();
        for change in changes.iter_mut().filter(|change| !change.cells.is_empty()) {
            let Some((_, error)) = broken.iter().find(|(namespace, _)| *namespace == change.namespace) else {
                continue;
            };
            for cell in &mut change.cells {
                // Neither ciphertext nor data key: a value that was not stored.
                cell.secret = Bytes::new();
            }
            let entry = lacking.entry(change.kind_key()).or_insert_with(|| (BTreeSet::new(), error.to_string()));
            entry.0.insert(placed(&change.namespace, &change.name));
        }
        self.broken.extend(broken.into_iter().map(|(namespace, _)| namespace));
        self.probe_at = self.parts.clock.monotonic() + PROBE;
        let mut core = self.core.lock();
        for (kind, (names, detail)) in lacking {
            core.unsealable(&kind, names, &detail);
        }
    }

    /// Checks whether values that could not be sealed can be sealed now.
    async fn try_to_seal(&mut self) {
        self.probe_at = self.parts.clock.monotonic() + PROBE;
        while let Some(namespace) = self.broken.first() {
            if !self.writer.can_seal(namespace).await {
                return;
            }
            self.broken.pop_first();
        }
        self.core.lock().sealable();
    }

    async fn refused(&self, error: &hindcast_journal::Error, failures: &mut u32) {
        if *failures == 0 {
            tracing::warn!(%error, "the store did not accept a segment; it is offered again");
        }
        self.core.lock().refused();
        let base = Duration::from_millis(100 << (*failures).min(6)).min(Duration::from_secs(5));
        let jitter = Duration::from_micros(self.parts.random.next_u64() % (base.as_micros() as u64 / 2 + 1));
        *failures += 1;
        self.parts.clock.sleep(base / 2 + jitter).await;
    }
}
/// Whether a row is worth a seal. In a cluster in which nothing happens rows say so, and that the proof within the run agrees.
fn is_news(change: &Change) -> bool {
    let proven = || matches!(facts::read(change), Ok(Mark::Proven { .. }));
    change.op != Op::Frontier && !(change.op == Op::Mark && proven())
}
