//! Closed times that are not to be believed.
//!
//! A segment says up to which moment it closes each domain, and nobody can take that back: a segment is never written
//! again. Where a clock had jumped ahead, an earlier version stored a moment of the future, and a reader that asks for it
//! would stop there, without what came since. What shows it is that segments were made later, or are made now, at a time
//! before that moment. The manifest, through which everything is read, then names those segments and what is believed
//! of them.
//!
//! **Invariant.** To doubt too much costs a reader a longer read and no answer: some later segment closes the same moment
//! and is believed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Micros,
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
    /// Whether it doubts all that another does.
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
    /// No segment looked at was made after this moment, by what newer ones say.
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
            // Closed by clocks that were compared; its own time is that of one alone, and no measure for others.
            return;
        }
        self.bound = self.bound.min(meta.time);
        let ahead = meta.frontier.iter().filter(|(_, point)| point.time > self.bound + APART);
        let ahead: Vec<&String> = ahead.map(|(domain, _)| domain).collect();
        if ahead.is_empty() {
            // What the last segment before them closes is all that is believed of them.
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

    /// Whether segment `n`, the oldest looked at, is one to doubt: those before it may be as well.
    pub(crate) fn reaches(&self, n: u64) -> bool {
        self.found.as_ref().is_some_and(|doubt| doubt.first == n)
    }

    /// What was found.
    pub(crate) fn sum(self) -> Option<Doubt> {
        self.found
    }
}
