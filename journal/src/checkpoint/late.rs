//! Intervals of a kind that were found to be lost only after moments in and behind them had been closed.
//!
//! A watch that swallows an event says nothing of it, so that the journal closes what it does not wholly have, and tells of it
//! when a proof shows it (the watcher): by a gap that reaches back, and the end of the kind's protection. A reader of a
//! moment in between stops reading where that is closed, which is before those rows. So the manifest, which every read
//! goes through, tells of them too.
//!
//! **Invariants.** (1) What is told here is a gap of the log, or will be: a writer that dies between the two finds the
//! difference again. (2) Telling too much makes a reservation but nothing wrong: when there are more than [`MOST`], the
//! oldest two of one kind become one [`Late::add`].

use serde::{Deserialize, Serialize};

use crate::{
    facts::{Gap, Grade, Uncovered},
    fold::State,
};

/// How many are told of one by one.
const MOST: usize = 256;

/// An interval that was found to be lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// The kind's key.
    pub kind: String,
    /// The life of its domain's counter.
    pub incarnation: u32,
    /// The interval.
    pub gap: Gap,
}

impl Late {
    /// Those that a state tells of: protection ended with each.
    pub fn of(state: &State) -> Vec<Self> {
        let mut found = Vec::new();
        for (key, kind) in &state.kinds {
            let ends = kind.covers.iter().filter_map(|cover| cover.end.as_ref());
            for (end, ..) in ends.filter(|(.., why)| why.reason == Uncovered::Differs) {
                let ended = |(life, gap): &&(u32, Gap)| {
                    *life == end.incarnation && gap.grade == Grade::Lost && gap.to == end.rv.saturating_add(1)
                };
                let told = kind.gaps.iter().filter(ended).map(|(life, gap)| (*life, gap.clone()));
                found.extend(told.map(|(incarnation, gap)| Self { kind: key.clone(), incarnation, gap }));
            }
        }
        found
    }

    /// Adds what is not told of yet, and says whether anything was.
    pub(super) fn add(told: &mut Vec<Self>, found: &[Self]) -> bool {
        let mut more = false;
        for late in found {
            if !told.iter().any(|known| known.holds(late)) {
                told.push(late.clone());
                more = true;
            }
        }
        while told.len() > MOST {
            let alike = |(at, first): (usize, &Self)| {
                let rest = told.get(at + 1..)?;
                let second =
                    rest.iter().position(|late| (&late.kind, late.incarnation) == (&first.kind, first.incarnation));
                Some((at, at + 1 + second?))
            };
            let Some((first, second)) = told.iter().enumerate().find_map(alike) else { break };
            let second = told.remove(second);
            if let Some(first) = told.get_mut(first) {
                first.gap.from = first.gap.from.min(second.gap.from);
                first.gap.to = first.gap.to.max(second.gap.to);
                first.gap.time_from = first.gap.time_from.min(second.gap.time_from);
                first.gap.time_to = first.gap.time_to.max(second.gap.time_to);
            }
        }
        more
    }

    /// Whether it tells of all that another one does.
    fn holds(&self, other: &Self) -> bool {
        (&self.kind, self.incarnation) == (&other.kind, other.incarnation) && self.spans(&other.gap)
    }

    fn spans(&self, gap: &Gap) -> bool {
        self.gap.from <= gap.from && gap.to <= self.gap.to
    }

    /// Lays it over a state that may not have read of it.
    pub(crate) fn tell(&self, state: &mut State) {
        let Some(kind) = state.kinds.get_mut(&self.kind) else { return };
        let known = |(life, gap): &(u32, Gap)| {
            *life == self.incarnation && gap.grade == Grade::Lost && gap.from <= self.gap.from && self.gap.to <= gap.to
        };
        if !kind.gaps.iter().any(known) {
            kind.gaps.push((self.incarnation, self.gap.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
