//! Where a new cursor begins.
//!
//! **Invariant.** From a moment on, every row is published that was not known to be before it: rows stand in the order
//! in which they came to be known, so what a moment's cut lacks may stand before the first row of later, and that of
//! before among those after.

use futures::StreamExt as _;
use hindcast_journal::{Journal, Position, Result, checkpoint::Manifest, parts::Micros};

/// How far the clocks of those who wrote segments may have been off.
const CLOCKS: Micros = 5 * 60_000_000;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the first row.
    Beginning,
    /// With what is committed from now on.
    Now,
    /// With this position.
    Position(Position),
    /// With the first row of this moment or later.
    Time(Micros),
}

impl From {
    /// The position before the first that is published.
    pub async fn cursor(self, journal: &Journal) -> Result<Position> {
        match self {
            Self::Beginning => Ok(0),
            Self::Position(position) => Ok(position.saturating_sub(1)),
            Self::Now => {
                let known = Manifest::read(journal).await?.checkpoints.last().map_or(0, |c| c.segment);
                newest(journal, known.saturating_sub(1)).await
            }
            Self::Time(time) => since(journal, time).await,
        }
    }
}

/// The newest position, looked for behind this segment.
async fn newest(journal: &Journal, after: u64) -> Result<Position> {
    let segments = journal.segments_after(after).await?;
    match segments.end.checked_sub(1).filter(|newest| *newest >= 1) {
        Some(newest) => Ok(journal.segment(newest).await?.meta.last),
        None => Ok(0),
    }
}

/// The position before the first row that may be of this moment or later.
async fn since(journal: &Journal, time: Micros) -> Result<Position> {
    let segments = journal.segments_after(0).await?;
    // The first segment that was made by a clock that may have been at that moment: what was received then is in it or
    // behind it.
    let (mut low, mut high) = (segments.start, segments.end);
    while low < high {
        let middle = low + (high - low) / 2;
        match journal.segment(middle).await?.meta.time < time.saturating_sub(CLOCKS) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    let mut read = std::pin::pin!(journal.read(low..segments.end));
    let mut last = None;
    while let Some(segment) = read.next().await {
        let segment = segment?;
        if let Some(row) = segment.rows.iter().find(|row| row.time_hi >= time) {
            return Ok(row.pos.saturating_sub(1));
        }
        last = Some(segment.meta.last);
    }
    match last {
        Some(last) => Ok(last),
        None => newest(journal, segments.end.saturating_sub(2)).await,
    }
}
