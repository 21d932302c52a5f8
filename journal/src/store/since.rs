//! The newest of names that are numbered, of which older ones are removed meanwhile.
//!
//! **Words**: a number is *fresh* for as long as nothing can have been removed that came after it.
//!
//! **Invariants.** (1) Behind a number that was the newest a moment ago all are there that came since: nothing is removed that others
//! followed less than an age ago ([`crate::checkpoint::Pruner`]), and [`FRESH`] is far below that. (2) Behind an older one only those may be
//! there that a search from 0 asks for, so no others decide [`Store::newest_of_few`]. (3) A number is as old as the question that found it
//! is, not as the answer [`Store::newest_since`]; and by whichever clock says more, since one may stand still while a machine sleeps.

#[cfg(test)]
mod tests;

use std::time::Duration;

use object_store::path::Path;

use super::Store;
use crate::{Parts, Result, parts::Micros};

/// For how long a number is fresh.
const FRESH: Duration = Duration::from_mins(10);

/// Into how many parts what is between two names is cut at once.
const PARTS: u64 = 16;

/// A number that was found to be the newest, and when.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    /// The number; 0 for none.
    pub(crate) number: u64,
    monotonic: Duration,
    time: Micros,
}

impl Known {
    /// What is known now.
    pub(crate) fn now(number: u64, parts: &Parts) -> Self {
        Self { number, monotonic: parts.clock.monotonic(), time: parts.clock.now() }
    }

    /// The same of another number.
    pub(crate) fn of(self, number: u64) -> Self {
        Self { number, ..self }
    }

    /// Whether names may have been removed that came after it.
    pub(crate) fn is_old(&self, parts: &Parts) -> bool {
        let now = Self::now(0, parts);
        let passed = Duration::from_micros(now.time.abs_diff(self.time));
        passed.max(now.monotonic.saturating_sub(self.monotonic)) >= FRESH
    }
}

impl Store {
    /// The newest number, searched from one that was the newest.
    pub(crate) async fn newest_since(&self, name: impl Fn(u64) -> Path, known: &Known) -> Result<Known> {
        let asked = Known::now(0, &self.parts);
        if known.number == 0 || !known.is_old(&self.parts) {
            let number = self.newest(&name, known.number).await?;
            // Unless it slept meanwhile.
            if known.number == 0 || !known.is_old(&self.parts) {
                return Ok(asked.of(number));
            }
        }
        Ok(asked.of(self.newest_of_few(&name, known.number).await?))
    }

    /// The same where of all names only those need be there that a search from 0 may ask for.
    ///
    /// Counted from 0, these are the newest number's own leading bits, with zeros behind them. In the first bit in which it differs from a
    /// lower one it has a 1 and that a 0: so that one's bits up to a 0, with a 1 for it, are a name which is there.
    async fn newest_of_few(&self, name: &impl Fn(u64) -> Path, known: u64) -> Result<u64> {
        let from = known.saturating_sub(1);
        let bits = (u64::BITS - from.leading_zeros()).min(u64::BITS - 1);
        let zeros = (0..=bits).filter(|bit| (from >> bit) & 1 == 0);
        let steps: Vec<(u64, u64)> =
            zeros.map(|bit| ((((from >> bit) | 1) << bit).saturating_add(1), 1 << bit)).collect();
        let asked: Vec<u64> = std::iter::once(known).chain(steps.iter().map(|(number, _)| *number)).collect();
        let found = self.which(name, &asked).await?.last().copied().unwrap_or(0);
        let (mut low, mut width) = match steps.iter().find(|(number, _)| *number == found) {
            // It has more bits, and perhaps many more; or the bucket is not the one that it was.
            Some((_, width)) if *width == 1 << bits => return self.newest(name, 0).await,
            None if found != known => return self.newest(name, 0).await,
            None => return Ok(known),
            Some(step) => *step,
        };
        while width > 1 {
            let part = (width / PARTS).max(1);
            let asked: Vec<u64> = (1..width / part).map(|n| low + n * part).collect();
            low = self.which(name, &asked).await?.last().copied().unwrap_or(low);
            width = part;
        }
        Ok(low)
    }
}
