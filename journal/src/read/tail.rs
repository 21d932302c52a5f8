//! The committed rows from a position on, in order, and more as they are committed: the base for following, replaying
//! and publishing the log.
//!
//! **Invariants.** (1) Every committed row from the position on comes exactly once, in order, and nothing else does.
//! (2) Each segment gives a run, even one without rows, since it says how far the log is closed by then. (3) After a
//! failure the tail goes on behind the last run that came. So a consumer that keeps the last position it dealt with can
//! start again from there.

use std::time::Duration;

use futures::{StreamExt as _, stream::BoxStream};

use super::rows::{Place, Sources};
use crate::{Error, Journal, Position, Result, checkpoint::Manifest, cut::Hole, journal::Segment, segment::Meta};

/// How often newer segments are looked for while there are none.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Reads the committed log, and goes on as it grows.
pub struct Tail {
    journal: Journal,
    sources: Sources,
    /// The runs being read, from `next` on; `None` once all have been taken or one failed.
    runs: Option<BoxStream<'static, Result<Segment>>>,
    /// The index of the next source.
    next: usize,
    /// The last run that was taken.
    last: Option<Meta>,
    from: Position,
    /// Whether it goes around what cannot be read, where readers do.
    around: bool,
    /// What was gone around, until it is taken.
    hole: Option<Hole>,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("from", &self.from).field("last", &self.last).finish_non_exhaustive()
    }
}

impl Journal {
    /// The committed rows from a position on, which need not be committed yet.
    pub async fn tail(&self, from: Position) -> Result<Tail> {
        let manifest = Manifest::read(self).await?.into();
        let mut sources = Sources::new(self, &manifest);
        sources.seek_position(from).await?;
        Ok(Tail::new(self, sources, from))
    }
}

impl Tail {
    fn new(journal: &Journal, sources: Sources, from: Position) -> Self {
        Self { journal: journal.clone(), sources, runs: None, next: 0, last: None, from, around: false, hole: None }
    }

    /// From the start of a place's segment, including rows before its position.
    pub(super) async fn from_segment(
        journal: &Journal,
        manifest: &std::sync::Arc<Manifest>,
        place: Place,
    ) -> Result<Self> {
        Ok(Self::new(journal, Sources::from(journal, manifest, place).await?, 0))
    }

    /// What it reads.
    pub(super) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Begins at a later segment, before any has come.
    pub(super) fn skip_to(&mut self, segment: u64) {
        self.sources.skip_to(segment);
    }

    /// Says which run came before the first one.
    pub(super) fn go_on_behind(&mut self, run: Meta) {
        self.last = Some(run);
    }

    /// Goes on behind what cannot be read, which is told by [`Tail::hole`].
    pub(super) fn go_around(&mut self) {
        self.around = true;
    }

    /// What was gone around right before the last run that came, or behind it if none came since.
    pub(super) fn hole(&mut self) -> Option<Hole> {
        self.hole.take()
    }

    /// The next run; waits until it is committed.
    pub async fn next(&mut self) -> Result<Segment> {
        loop {
            if let Some(run) = self.ready().await? {
                return Ok(run);
            }
            self.journal.parts().clock.sleep(LOOK_EVERY).await;
        }
    }

    /// The next run, if it is committed already.
    pub async fn ready(&mut self) -> Result<Option<Segment>> {
        if let Some(run) = self.found().await? {
            return Ok(Some(run));
        }
        if self.sources.look().await? { self.found().await } else { Ok(None) }
    }

    /// The next run among those found by the last look for newer ones.
    pub(super) async fn found(&mut self) -> Result<Option<Segment>> {
        let mut run = loop {
            let runs = match &mut self.runs {
                Some(runs) => runs,
                none => none.insert(self.sources.runs(self.next..self.sources.len(), self.last.as_ref())?.boxed()),
            };
            match runs.next().await {
                Some(Ok(run)) => break run,
                None => {
                    self.runs = None;
                    return Ok(None);
                }
                Some(Err(error)) => {
                    self.runs = None;
                    self.step_around(error).await?;
                }
            }
        };
        self.next += 1;
        self.last = Some(run.meta.clone());
        if run.meta.first < self.from {
            run.rows = run.rows.iter().filter(|row| row.pos >= self.from).cloned().collect::<Vec<_>>().into();
        }
        Ok(Some(run))
    }

    /// Goes on behind what failed.
    async fn step_around(&mut self, error: Error) -> Result<()> {
        let number = self.sources.raw().start + self.next as u64;
        if !self.around || !self.sources.raw().contains(&number) {
            return Err(error);
        }
        let hole = self.sources.hole(number, self.last.as_ref(), error).await?;
        self.next += usize::try_from(hole.segments.1 + 1 - number).unwrap_or(usize::MAX);
        // What is behind it follows from nothing that was read.
        self.last = None;
        self.hole = Some(hole);
        Ok(())
    }
}
