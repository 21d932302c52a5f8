//! Bundles: the newest segments once more, many in one file, so that the newest minutes are few reads.
//!
//! **Words**: a *bundle* is a merged file of level 0. It holds the segments of a *block*: [`SEGMENTS`] of them, whose numbers
//! follow from the first of them, so that a reader knows its name without asking anybody.
//!
//! **Cost.** One PUT for every [`SEGMENTS`] segments; for a reader two requests for a block instead of one for each segment, and
//! one more where a block has no bundle.
//!
//! **Invariants.**
//! 1. A bundle is written by the writer of all of its segments, after the last of them is durable, of what that has in memory
//!    [`Gathering::add`]. A writer that was fenced, that died, or that began within a block has none for it, and nobody else
//!    makes one.
//! 2. What is kept for the next one is bounded [`WEIGHT`]: a block of which there is more has none, for its segments are no
//!    small reads.
//! 3. Nothing depends on a bundle: readers take one only if it proves itself [`proven`], and read the segments else. No
//!    manifest names it, and nothing is merged of it.
//! 4. It goes with its segments (`trim.rs`).
//!
//! Not here: when a reader takes one (`read/shelf.rs`).

use std::ops::RangeInclusive;

use crate::{Error, Journal, Result, error::ErrorKind, journal::Segment, level::Merged};

/// How many segments a block has.
pub const SEGMENTS: u64 = 32;

/// The level of bundles.
pub(crate) const LEVEL: u8 = 0;

/// Roughly how much memory what is gathered may take.
const WEIGHT: u64 = 8 << 20;

/// The block of a segment.
pub(crate) fn block(number: u64) -> RangeInclusive<u64> {
    let before = number.saturating_sub(1) / SEGMENTS * SEGMENTS;
    before + 1..=before.saturating_add(SEGMENTS)
}

/// Whether these are the segments of a block.
pub(crate) fn is_block(first: u64, last: u64) -> bool {
    block(first) == (first..=last)
}

/// The segments of the block that is being written.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    segments: Vec<Segment>,
    weight: u64,
}

impl Gathering {
    /// Whether a segment would be one more of it.
    pub(crate) fn wants(&self, number: u64) -> bool {
        let held = *block(number).start() + self.segments.len() as u64;
        number == *block(number).start() || (number == held && !self.segments.is_empty())
    }

    /// Takes in a segment that is durable. The bundle, once its block is whole.
    pub(crate) fn add(&mut self, segment: Segment) -> Option<Bundle> {
        let number = segment.meta.segment;
        if number == *block(number).start() {
            *self = Self::default();
        }
        if !self.wants(number) {
            return None;
        }
        self.weight += segment.rows.iter().map(|row| row.weight() as u64).sum::<u64>();
        if self.weight > WEIGHT {
            *self = Self::default();
            return None;
        }
        self.segments.push(segment);
        (number == *block(number).end()).then(|| Bundle { segments: std::mem::take(self).segments })
    }
}

/// A bundle that is to be written.
#[derive(Debug)]
pub struct Bundle {
    segments: Vec<Segment>,
}

impl Bundle {
    /// Writes it. It is not tried twice: readers do without.
    pub async fn write(self, journal: &Journal) -> Result<Merged> {
        Merged::write(journal, LEVEL, &self.segments).await
    }
}

/// The segments of a block, of its bundle, if there is one that proves itself: the last of them is what the log says, and
/// with the chain value of that all rows before it are. `None` if they are to be read by themselves.
pub(crate) async fn proven(journal: &Journal, block: RangeInclusive<u64>) -> Result<Option<Vec<Segment>>> {
    let last = *block.end();
    let held = match Merged::read_named(journal, LEVEL, block).await {
        Ok(held) => held,
        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            tracing::warn!(error = %Error::causes(&error), "a bundle of segments cannot be read; they are");
            return Ok(None);
        }
    };
    match journal.segment(last).await {
        Ok(raw) if held.last().is_some_and(|held| held.meta == raw.meta) => Ok(Some(held)),
        Ok(_) => {
            tracing::warn!(segment = last, "a bundle does not say what its last segment says; its segments are read");
            Ok(None)
        }
        Err(error) if error.kind() == ErrorKind::Unavailable => Err(error),
        // Whoever reads the segment itself is told why.
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_follows_from_any_of_its_segments() {
        for (number, first, last) in [(1, 1, 32), (32, 1, 32), (33, 33, 64), (64, 33, 64), (65, 65, 96)] {
            assert_eq!(block(number), first..=last, "of {number}");
            assert!(is_block(first, last) && !is_block(first + 1, last) && !is_block(first, last + 1));
        }
        assert!(!is_block(0, 32) && !is_block(u64::MAX, u64::MAX), "of any number there is a block");
    }
}
