//! Where a new cursor begins.
//!
//! **Invariant.** From a moment on, every row is published that was not known to be before it: rows stand in the order
//! in which they came to be known, so what a moment's cut lacks may stand before the first row of later, and that of
//! before among those after. Raw segments may be gone, so the place is found in what readers of the log are given
//! ([`Journal::tail`]). What retention took is named, and never skipped in silence [`still_there`].

use hindcast_journal::{
    Error, Journal, Position, Result,
    checkpoint::Manifest,
    parts::{Micros, utc_millis},
};

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
            Self::Beginning => {
                let manifest = Manifest::read(journal).await?;
                Ok(manifest.expired().map_or(0, |expired| expired.first.saturating_sub(1)))
            }
            Self::Position(position) => {
                let manifest = Manifest::read(journal).await?;
                match manifest.expired().filter(|expired| position < expired.first) {
                    Some(expired) => Err(Error::invalid(format!("position {position}"), gone(expired.first))
                        .with_hint("begin there, which is what `beginning` says too, or later")),
                    None => Ok(position.saturating_sub(1)),
                }
            }
            Self::Now => {
                let known = Manifest::read(journal).await?.checkpoints.last().map_or(0, |c| c.segment);
                newest(journal, known.saturating_sub(1)).await
            }
            Self::Time(time) => since(journal, time).await,
        }
    }
}

fn gone(first: Position) -> String {
    format!("is not in the log any more, which retention has begin at position {first}")
}

/// Refuses to go on behind a position if retention has taken what follows it.
pub(crate) async fn still_there(journal: &Journal, name: &str, done: Position) -> Result<()> {
    let manifest = Manifest::read(journal).await?;
    let Some(expired) = manifest.expired().filter(|expired| done.saturating_add(1) < expired.first) else {
        return Ok(());
    };
    let (first, next) = (expired.first, done.saturating_add(1));
    let reason = format!("was to go on at position {next}, which {}", gone(first));
    Err(Error::not_found(format!("the fan-out `{name}`"), reason).with_hint(format!(
        "have it go on from position {first}: `--rewind --from {first}`, or in the file of `run --fanout` `from: {first}` and a \
         new word at `rewind:`; what was before cannot be published any more, and who mirrors state begins anew with that of {}",
        utc_millis(expired.whole)
    )))
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
    let manifest = Manifest::read(journal).await?;
    if let Some(expired) = manifest.expired().filter(|expired| time <= expired.whole) {
        let reason = format!(
            "is not in the log any more, which retention has begin at position {}: it is whole as of {}",
            expired.first,
            utc_millis(expired.whole)
        );
        return Err(Error::invalid(format!("the moment {}", utc_millis(time)), reason)
            .with_hint("begin with a later moment, or with `beginning`, which is that position"));
    }
    let begin = manifest.expired().map_or(1, |expired| expired.first);
    let (made, mut earlier) = (time.saturating_sub(CLOCKS), 0);
    // What stands up to the position of a checkpoint is older if the segment of that position was made before: that all of
    // its cut is says nothing of rows beyond the cut.
    let from = loop {
        let limit = made.saturating_sub(earlier);
        let Some(known) = manifest.newest(journal, |checkpoint| checkpoint.time() < limit).await? else { break begin };
        let from = known.pos.max(begin);
        if journal.tail(from).await?.ready().await?.is_some_and(|run| run.meta.time < made) {
            break from;
        }
        earlier = earlier.saturating_mul(2).max(CLOCKS);
    };
    let mut tail = journal.tail(from).await?;
    let mut last = from.saturating_sub(1);
    while let Some(run) = tail.ready().await? {
        if let Some(row) = run.rows.iter().find(|row| row.time_hi >= time) {
            return Ok(row.pos.saturating_sub(1));
        }
        last = last.max(run.meta.last);
    }
    Ok(last)
}
