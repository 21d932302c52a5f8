//! The flusher: blocks of the buffer become segments, one at a time.
//!
//! **Invariants.** (1) Exactly one segment is in flight; the buffer grows meanwhile. (2) A segment that the store did
//! not take is offered again, the same bytes, for ever; only being fenced or a mistake of ours ends the run.
//! (3) The oldest buffered change waits at most `linger` before its PUT starts, if no PUT is in flight.

use std::{sync::Arc, time::Duration};

use hindcast_journal::{Parts, Writer, cut::MAIN};
use tokio::sync::{Notify, watch};

use crate::{
    Result,
    buffer::Batch,
    core::{Due, Shared},
    handle::DurableState,
};

/// Where the flusher takes from and tells of what it did.
pub(crate) struct Flusher {
    pub(crate) core: Shared,
    pub(crate) parts: Parts,
    pub(crate) writer: Writer,
    pub(crate) wake: Arc<Notify>,
    pub(crate) durable: watch::Sender<DurableState>,
    /// Set when the run stops: what is buffered is flushed, then the flusher ends.
    pub(crate) stop: watch::Receiver<bool>,
}

/// How often the chain is sealed.
const SEAL: Duration = Duration::from_hours(1);

impl Flusher {
    /// Flushes until the run stops; then says how far everything was seen, and seals.
    pub(crate) async fn run(mut self) -> Result<()> {
        let mut seal_at = self.parts.clock.monotonic() + SEAL;
        while !*self.stop.borrow_and_update() {
            if self.parts.clock.monotonic() >= seal_at {
                seal_at += SEAL;
                self.seal().await?;
            }
            let due = self.core.lock().due();
            match due {
                Due::Now => self.flush().await?,
                Due::In(wait) => {
                    tokio::select! {
                        biased;
                        changed = self.stop.changed() => {
                            // The run was dropped, not stopped: there is nobody to flush for.
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
        self.seal().await
    }

    /// Signs what is durable, when there is a key to sign with.
    async fn seal(&mut self) -> Result<()> {
        let frontier = self.writer.frontier().clone();
        let rv = frontier.get(MAIN).map_or(0, |point| point.rv);
        let Some(seal) = self.writer.seal(MAIN, rv)? else { return Ok(()) };
        self.commit(Batch { changes: vec![seal], frontier }).await
    }

    async fn flush(&mut self) -> Result<()> {
        let batch = self.core.lock().take();
        self.commit(batch).await
    }

    /// Commits a batch, however long the store takes.
    async fn commit(&mut self, batch: Batch) -> Result<()> {
        // Sealing may need the store for a new data key, so changes with sealed values can fail to stage.
        let spare = batch.changes.iter().any(|c| !c.cells.is_empty()).then(|| batch.changes.clone());
        let mut changes = Some(batch.changes);
        let mut failures = 0;
        while !self.writer.is_pending() {
            let next = changes.take().or_else(|| spare.clone()).unwrap_or_default();
            match self.writer.stage(next, batch.frontier.clone()).await {
                Ok(()) => {}
                Err(error) if error.kind().may_pass() && spare.is_some() => {
                    self.refused(&error, &mut failures).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let done = loop {
            match self.writer.commit().await {
                Ok(done) => break done,
                Err(error) if error.kind().may_pass() => {
                    self.refused(&error, &mut failures).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        self.core.lock().committed(done.bytes);
        self.durable.send_replace(DurableState {
            segment: done.segment,
            last: done.last,
            frontier: batch.frontier,
            time: self.parts.clock.now(),
        });
        Ok(())
    }

    async fn refused(&self, error: &hindcast_journal::Error, failures: &mut u32) {
        if *failures == 0 {
            tracing::warn!(%error, "the store did not take a segment; it is offered again");
        }
        self.core.lock().refused();
        let base = Duration::from_millis(100 << (*failures).min(6)).min(Duration::from_secs(5));
        let jitter = Duration::from_micros(self.parts.random.next_u64() % (base.as_micros() as u64 / 2 + 1));
        *failures += 1;
        self.parts.clock.sleep(base / 2 + jitter).await;
    }
}
