//! The revision clock: between which moments a revision was committed.
//!
//! Watch events carry no time. The clock of a domain collects samples of two sorts and answers with bounds.
//! **Words**: a *lower* sample `(rv, τ)` says that every write at `rv` or later was committed at `τ` or later; an
//! *upper* sample `(rv, t)` says that every write up to `rv` was committed by `t`.
//!
//! **Invariants.** (1) Both bounds grow with the revision [the staircases drop what would break it; a property test
//! compares with the naive search]. (2) A moment that is known only to lie in a [`Span`] counts with its early end for
//! lower samples and with its late end for upper ones. (3) The closed time uses only what is certain (leases and
//! lists), never the guess that a watch is quick. Not here: which clock to believe [`crate::timekeeper`].

use std::collections::BTreeMap;

use hindcast_cluster::{
    header::{Header, micros},
    json,
};
use hindcast_journal::{parts::Micros, row::Revision};

use crate::timekeeper::Span;

/// A live watch event is received within this long of its commit; older ones are caught by the catch-up mark.
const LIVE_DELAY: Micros = 500_000;
/// A lease is committed within this long of the `renewTime` in it.
const LEASE_DELAY: Micros = 2_000_000;
/// A stamp is cut to a second.
const STAMP_GRAIN: Micros = 1_000_000;
/// The holder of a lease and the server that stored its renewal agree on the time if it is not stamped before the
/// second of the renewal, but for this.
const HOLDER_AHEAD: Micros = 250_000;
/// What the names of our own leases begin with.
const OWN: &str = "hindcast-";
/// Steps kept in each staircase.
const KEPT: usize = 4096;

/// The clock of one revision domain.
#[derive(Debug, Clone, Default)]
pub(crate) struct RevisionClock {
    certain: Rising,
    guessed: Rising,
    upper: Falling,
    /// When this life of the counter was first seen: none of it belongs to a moment before.
    born: Micros,
}

/// Which writes of leases are outdone: an earlier write has a later renewal, so that the clock of one of the two
/// holders is wrong, or this was not a renewal.
pub(crate) fn outdone(renewals: &[Renewal]) -> Vec<bool> {
    let outdone =
        |late: &Renewal| renewals.iter().any(|early| early.rv < late.rv && is_outdone(late.renewed, early.renewed));
    renewals.iter().map(outdone).collect()
}

/// Whether a lease that was renewed at `known` and written before outdoes a renewal.
pub(crate) fn is_outdone(renewed: Micros, known: Micros) -> bool {
    known > renewed + LEASE_DELAY
}

/// A write of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Renewal {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// The write's revision.
    pub(crate) rv: Revision,
    /// When the lease was renewed, by its holder's clock.
    pub(crate) renewed: Micros,
    /// When it was written, by the server's clock, cut to a second.
    written: Micros,
}

impl Renewal {
    /// Reads a lease.
    pub(crate) fn of(lease: &[u8]) -> Option<Self> {
        Self::with(Header::of(lease), lease)
    }

    /// Reads a lease whose header is known.
    pub(crate) fn with(header: Header, lease: &[u8]) -> Option<Self> {
        let renewed = json::member(lease, "spec").and_then(|spec| json::member(spec, "renewTime"));
        let renewed = renewed.and_then(json::text).and_then(|text| micros(&text))?;
        let Header { namespace, name, rv: Some(rv), stamp: Some(written), .. } = header else { return None };
        Some(Self { namespace, name, rv, renewed, written })
    }

    /// Whether it is one of the control plane's: few, by clocks that the cluster depends on.
    pub(crate) fn is_of_system(&self) -> bool {
        // Our own may be there too: it is renewed by a clock that is asked already.
        self.namespace == "kube-system" && !self.name.starts_with(OWN)
    }

    /// Whether the server's stamp shows that this very write renewed it, and that its holder's clock is the server's:
    /// an annotation on an abandoned lease is no renewal.
    pub(crate) fn is_stamped(&self) -> bool {
        self.written <= self.renewed + LEASE_DELAY && self.renewed < self.written + STAMP_GRAIN + HOLDER_AHEAD
    }
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
    /// The clock of a life that was first seen then. Its older revisions were committed in the life before, so that
    /// their own samples of time would date this life too early.
    pub(crate) fn born(at: Micros) -> Self {
        Self { born: at, ..Self::default() }
    }

    /// When this life was first seen, if it is not the first.
    pub(crate) fn begin(&self) -> Option<Micros> {
        (self.born > 0).then_some(self.born)
    }

    /// A row of revision `rv` was received; `live` when its stream is past catching up.
    pub(crate) fn receipt(&mut self, rv: Revision, at: Span, live: bool) {
        self.upper.add(rv, at.hi);
        if live {
            self.guessed.add(rv + 1, at.lo - LIVE_DELAY);
        }
    }

    /// A consistent list, begun and ended then, returned revision `rv`.
    pub(crate) fn list(&mut self, rv: Revision, began: Span, ended: Span) {
        self.certain.add(rv + 1, began.lo);
        self.upper.add(rv, ended.hi);
    }

    /// Everything committed before `time` is known to have a revision up to `rv`.
    pub(crate) fn closed(&mut self, rv: Revision, time: Micros) {
        self.certain.add(rv + 1, time);
    }

    /// The store may have been put back to a copy that holds the history up to `rv`: of what is newer it is not known
    /// any more by when it was committed.
    pub(crate) fn confirmed(&mut self, rv: Revision) {
        self.upper.0.split_off(&(rv + 1));
    }

    /// A lease's write, seen at `seen`, `live` if it was seen as it happened. Samples that contradict what is known
    /// from others show a wrong clock, not the time, and are dropped; says whether this one was accepted.
    pub(crate) fn lease(&mut self, lease: &Renewal, seen: Span, live: bool) -> bool {
        let Renewal { rv, renewed, written, .. } = *lease;
        // An annotation may have come within the two seconds.
        let stamp = if lease.is_stamped() { written } else { renewed };
        let late = (renewed + LEASE_DELAY).max(stamp + STAMP_GRAIN + LEASE_DELAY / 2);
        let early = self.certain.at(rv).is_some_and(|known| late < known);
        let ahead = self.upper.at(rv).is_some_and(|known| renewed > known) || renewed > seen.hi;
        if early || ahead {
            return false;
        }
        // Where it may lie ahead of now, it may be ahead by as much as now is unknown.
        let doubt = if renewed > seen.lo { seen.hi - seen.lo } else { 0 };
        self.certain.add(rv, renewed - doubt);
        // A store that stalls commits later than that.
        self.upper.add(rv, if live { seen.hi } else { late });
        true
    }

    /// The bounds of the commit of `rv`, received at `at`, of an object whose newest stamp is `stamp`; `fresh` when
    /// this very write set the stamp.
    pub(crate) fn bounds(&self, rv: Revision, at: Span, stamp: Option<Micros>, fresh: bool) -> (Micros, Micros) {
        let hi = self.upper.at(rv).map_or(at.hi, |t| t.min(at.hi)).max(self.born.min(at.hi));
        // A deletionTimestamp lies ahead by the grace period, and a client may write any time: past `hi` it is no
        // stamp.
        let stamp = stamp.filter(|s| *s <= at.lo);
        // Where a slow server made a guess false, what is certain contradicts it.
        let latest = stamp.filter(|_| fresh).map_or(hi, |stamp| hi.min(stamp + STAMP_GRAIN));
        let guessed = self.guessed.at(rv).filter(|guess| *guess <= latest);
        let lo = self.certain.at(rv).max(guessed).max(stamp).unwrap_or(0);
        (lo.min(latest), hi)
    }

    /// The latest moment of which it is certain that every change committed before it has a revision up to `closed`.
    pub(crate) fn closed_time(&self, closed: Revision) -> Micros {
        self.certain.at(closed + 1).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
