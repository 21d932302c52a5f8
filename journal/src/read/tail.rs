//! The committed rows from a position on, in order, and on as more are committed: what following, replaying and publishing
//! the log stand on.
//!
//! **Invariants.** (1) Every row at or behind the position comes once, in order, and no other; what was seen in the live cluster
//! and is not committed does not. (2) A run comes for each segment, also one without rows, since it says how far the log is
//! closed by then. (3) After a failure it goes on behind the last run that came. So whoever keeps the last position that they
//! dealt with can begin again from there.

use std::time::Duration;

use futures::{StreamExt as _, stream::BoxStream};

use super::rows::{Place, Sources};
use crate::{Journal, Position, Result, checkpoint::Manifest, journal::Segment, segment::Meta};

/// How often newer segments are looked for while there are none.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Reads the committed log on and on.
pub struct Tail {
    journal: Journal,
    sources: Sources,
    /// Runs that are being read, from `next` on; `None` when they are all taken, or one failed.
    runs: Option<BoxStream<'static, Result<Segment>>>,
    /// The index of the next source.
    next: usize,
    /// The newest run that was taken.
    last: Option<Meta>,
    from: Position,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("from", &self.from).field("last", &self.last).finish_non_exhaustive()
    }
}

impl Journal {
    /// The committed rows from a position on. One that is not committed yet is waited for.
    pub async fn tail(&self, from: Position) -> Result<Tail> {
        let manifest = Manifest::read(self).await?.into();
        let mut sources = Sources::new(self, &manifest);
        sources.seek_position(from).await?;
        Ok(Tail::new(self, sources, from))
    }
}

impl Tail {
    fn new(journal: &Journal, sources: Sources, from: Position) -> Self {
        Self { journal: journal.clone(), sources, runs: None, next: 0, last: None, from }
    }

    /// From the start of the segment of a place, rows before it too.
    pub(super) async fn from_segment(
        journal: &Journal,
        manifest: &std::sync::Arc<Manifest>,
        place: Place,
    ) -> Result<Self> {
        Ok(Self::new(journal, Sources::from(journal, manifest, place).await?, 0))
    }

    /// The next run, once it is committed.
    pub async fn next(&mut self) -> Result<Segment> {
        loop {
            if let Some(run) = self.ready().await? {
                return Ok(run);
            }
            self.journal.parts().clock.sleep(LOOK_EVERY).await;
        }
    }

    /// The next run, if it is committed by now.
    pub async fn ready(&mut self) -> Result<Option<Segment>> {
        if let Some(run) = self.found().await? {
            return Ok(Some(run));
        }
        if self.sources.look().await? { self.found().await } else { Ok(None) }
    }

    /// The next run, of those that were found when this was looked for the last time.
    pub(super) async fn found(&mut self) -> Result<Option<Segment>> {
        let runs = match &mut self.runs {
            Some(runs) => runs,
            none => none.insert(self.sources.runs(self.next..self.sources.len(), self.last.as_ref())?.boxed()),
        };
        let run = runs.next().await;
        let Some(Ok(mut run)) = run else {
            self.runs = None;
            return run.transpose();
        };
        self.next += 1;
        self.last = Some(run.meta.clone());
        if run.meta.first < self.from {
            run.rows = run.rows.iter().filter(|row| row.pos >= self.from).cloned().collect::<Vec<_>>().into();
        }
        Ok(Some(run))
    }
}
