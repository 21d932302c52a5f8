//! The revision clock: between which moments a revision was committed.
//!
//! Watch events carry no time. The clock of a domain collects samples of two sorts and answers with bounds.
//! **Words**: a *lower* sample `(rv, τ)` says that every write at `rv` or later was committed at `τ` or later; an
//! *upper* sample `(rv, t)` says that every write up to `rv` was committed by `t`.
//!
//! **Invariants.** (1) Both bounds grow with the revision [the staircases drop what would break it; a property test
//! compares with the naive search]. (2) Time never goes back: receipts are clamped to the newest one. (3) The closed
//! time uses only what is certain (leases and lists), never the guess that a watch is quick.

use std::collections::BTreeMap;

use hindcast_journal::{Micros, Revision};

/// A live watch event is received within this long of its commit; older ones are caught by the catch-up mark.
const LIVE_DELAY: Micros = 500_000;
/// A lease is committed within this long of the `renewTime` in it.
const LEASE_DELAY: Micros = 2_000_000;
/// A stamp is cut to a second.
const STAMP_GRAIN: Micros = 1_000_000;
/// Steps kept in each staircase.
const KEPT: usize = 4096;

/// The clock of one revision domain.
#[derive(Debug, Clone, Default)]
pub(crate) struct RevisionClock {
    certain: Rising,
    guessed: Rising,
    upper: Falling,
    newest: Micros,
}

/// Steps `rv → τ` with both growing; the value at `rv` is that of the last step at or below.
#[derive(Debug, Clone, Default)]
struct Rising(BTreeMap<Revision, Micros>);

/// Steps `rv → t` with both growing; the value at `rv` is that of the first step at or above.
#[derive(Debug, Clone, Default)]
struct Falling(BTreeMap<Revision, Micros>);

impl Rising {
    fn at(&self, rv: Revision) -> Option<Micros> {
        self.0.range(..=rv).next_back().map(|(_, t)| *t)
    }

    fn add(&mut self, rv: Revision, time: Micros) {
        if self.at(rv).is_some_and(|t| t >= time) {
            return;
        }
        while let Some((&next, &t)) = self.0.range(rv..).next() {
            if t > time {
                break;
            }
            self.0.remove(&next);
        }
        self.0.insert(rv, time);
        if self.0.len() > KEPT {
            self.0.pop_first();
        }
    }
}

impl Falling {
    fn at(&self, rv: Revision) -> Option<Micros> {
        self.0.range(rv..).next().map(|(_, t)| *t)
    }

    fn add(&mut self, rv: Revision, time: Micros) {
        if self.at(rv).is_some_and(|t| t <= time) {
            return;
        }
        while let Some((&before, &t)) = self.0.range(..=rv).next_back() {
            if t < time {
                break;
            }
            self.0.remove(&before);
        }
        self.0.insert(rv, time);
        if self.0.len() > KEPT {
            self.0.pop_first();
        }
    }
}

impl RevisionClock {
    /// The moment of a receipt: our clock, but never before an earlier receipt.
    pub(crate) fn receive(&mut self, now: Micros) -> Micros {
        self.newest = self.newest.max(now);
        self.newest
    }

    /// A row of revision `rv` was received; `live` when its stream is past catching up.
    pub(crate) fn receipt(&mut self, rv: Revision, at: Micros, live: bool) {
        self.upper.add(rv, at);
        if live {
            self.guessed.add(rv + 1, at - LIVE_DELAY);
        }
    }

    /// A consistent list, begun and ended then, returned revision `rv`.
    pub(crate) fn list(&mut self, rv: Revision, began: Micros, ended: Micros) {
        self.certain.add(rv + 1, began);
        self.upper.add(rv, ended);
    }

    /// A lease of revision `rv` was renewed at `renewed`, and seen at `seen`. One whose holder's clock is ahead is
    /// ignored.
    pub(crate) fn lease(&mut self, rv: Revision, renewed: Micros, seen: Micros) {
        if renewed <= seen {
            self.certain.add(rv, renewed);
            self.upper.add(rv, renewed + LEASE_DELAY);
        }
    }

    /// The bounds of the commit of `rv`, received at `at`, of an object whose newest stamp is `stamp`; `fresh` when
    /// this very write set the stamp.
    pub(crate) fn bounds(
        &self,
        rv: Revision,
        at: Micros,
        stamp: Option<Micros>,
        fresh: bool,
    ) -> (Micros, Micros) {
        let hi = self.upper.at(rv).map_or(at, |t| t.min(at));
        // A deletionTimestamp lies ahead by the grace period, and a client may write any time: past `hi` it is no stamp.
        let stamp = stamp.filter(|s| *s <= at);
        // What is certain contradicts a guess that a slow server made false.
        let latest = stamp.filter(|_| fresh).map_or(hi, |stamp| hi.min(stamp + STAMP_GRAIN));
        let guessed = self.guessed.at(rv).filter(|guess| *guess <= latest);
        let lo = self.certain.at(rv).max(guessed).max(stamp).unwrap_or(0);
        (lo.min(latest), hi)
    }

    /// The moment at or after which `rv` was certainly committed.
    pub(crate) fn not_before(&self, rv: Revision) -> Micros {
        self.certain.at(rv).unwrap_or(0)
    }

    /// The latest moment of which it is certain that every change committed before it has a revision up to `closed`.
    pub(crate) fn closed_time(&self, closed: Revision) -> Micros {
        self.certain.at(closed + 1).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
