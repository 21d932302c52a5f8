//! Closed times that are not to be believed.
//!
//! A segment says up to which moment it closes each domain, and that cannot be corrected, since segments are never
//! rewritten. When a clock had jumped ahead, an earlier version stored a moment in the future. A reader asking for that
//! moment would stop at that segment and miss what came after it. Such a time is noticed when a later segment, or the
//! present, turns out to be earlier than it. The manifest, which every read goes through, then lists those segments and
//! what is believed instead.
//!
//! **Invariant.** Doubting too much makes a read longer but never wrong: some later segment closes the same moment and
//! is believed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    parts::Micros,
    segment::{AGREED, CLOCK, Meta},
};

/// The clock that made a segment and the one that closed its domains may differ by this much.
const APART: Micros = 2_000_000;

/// Segments whose closed times are not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Doubt {
    /// The first of them.
    first: u64,
    /// The last of them.
    last: u64,
    /// Domain → the latest moment that they are believed to close.
    until: BTreeMap<String, Micros>,
}

impl Doubt {
    /// Whether it covers everything another one doubts.
    pub(super) fn holds(&self, other: &Self) -> bool {
        let believes_less = |(domain, time): (&String, &Micros)| self.until.get(domain).is_some_and(|t| t <= time);
        self.first <= other.first && other.last <= self.last && other.until.iter().all(believes_less)
    }

    /// Takes the closed times of a segment back to what is believed.
    pub(super) fn correct(&self, meta: &mut Meta) {
        if !(self.first..=self.last).contains(&meta.segment) {
            return;
        }
        for (domain, point) in &mut meta.frontier {
            if let Some(until) = self.until.get(domain) {
                point.time = point.time.min(*until);
            }
        }
    }
}

/// Looks for such segments, from the newest back.
#[derive(Debug)]
pub(crate) struct Doubts {
    /// Newer segments show that none of those still to be looked at was made after this moment.
    bound: Micros,
    found: Option<Doubt>,
}

impl Doubts {
    /// Nothing is found yet; `now` is the time.
    pub(crate) fn new(now: Micros) -> Self {
        Self { bound: now, found: None }
    }

    /// Takes in the next older segment.
    pub(crate) fn look(&mut self, meta: &Meta) {
        if meta.extra.get(CLOCK).is_some_and(|clock| clock == AGREED) {
            // Its closed times come from several clocks; the segment's own time is from one clock and proves nothing.
            return;
        }
        self.bound = self.bound.min(meta.time);
        let ahead = meta.frontier.iter().filter(|(_, point)| point.time > self.bound + APART);
        let ahead: Vec<&String> = ahead.map(|(domain, _)| domain).collect();
        if ahead.is_empty() {
            // They are believed only as far as the last segment before them closes.
            for doubt in self.found.iter_mut().filter(|doubt| doubt.first == meta.segment + 1) {
                for (domain, until) in &mut doubt.until {
                    *until = meta.frontier.get(domain).map_or(0, |point| point.time);
                }
            }
            return;
        }
        let doubt = self.found.get_or_insert_with(|| Doubt { first: 0, last: meta.segment, until: BTreeMap::new() });
        doubt.first = meta.segment;
        doubt.until.extend(ahead.into_iter().map(|domain| (domain.clone(), 0)));
    }

    /// Whether segment `n`, the oldest looked at, is doubted: then those before it may have to be, too.
    pub(crate) fn reaches(&self, n: u64) -> bool {
        self.found.as_ref().is_some_and(|doubt| doubt.first == n)
    }

    /// What was found.
    pub(crate) fn sum(self) -> Option<Doubt> {
        self.found
    }
}
