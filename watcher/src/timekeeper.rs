//! What time it is, when no single clock can be trusted.
//!
//! Bounds of time stay in the journal for ever, and every clock is wrong now and then: a machine boots with a wrong
//! time and is corrected an hour later, a suspended one wakes up, a server is off by minutes. So time is kept on the
//! monotonic clock, and other clocks are witnesses of what has to be added to it.
//!
//! **Words.** An *anchor* is what has to be added to the monotonic clock to get the time. A *witness* is a clock: this
//! machine's, the API server's (`Date`), that of a lease's holder (`renewTime`). Its *window* is where the anchor
//! lies if that clock is right. A [`Span`] is a moment as far as it is known.
//!
//! **Invariants.** (1) A span contains the true time as long as more witnesses agree on it than on any other, and also
//! while none is believed more than the others: then it reaches from the earliest to the latest of them, and of what
//! they said before they were set [`Timekeeper::decide`]. (2) A step of this machine's clock, in either direction,
//! widens what is known until the other clocks have spoken; it never moves it silently. Clocks that differ by less than
//! [`AGREE`] count as the same time: it is not known any better than that. (3) A clock that is outvoted is named
//! [`Timekeeper::disagreement`] and does no harm; it counts again once it agrees. Not here: which revision was
//! committed when [`crate::clock`].

use std::{collections::BTreeMap, time::Duration};

use hindcast_journal::parts::{Clock, Micros};

/// A change of the machine's clock against the monotonic one of at least this much is a step, not the wander of a clock
/// that is being adjusted.
const STEP: Micros = 50_000;
/// A forward step as long as this may have been a suspend, during which the monotonic clock stands.
const SUSPEND: Micros = 1_000_000;
/// Clocks that are no further apart than this agree.
const AGREE: Micros = 250_000;
/// A `Date` is truncated to a second.
const DATE_GRAIN: Micros = 1_000_000;
/// An answer that took longer than this says nothing about the time.
const SLOW: Micros = 1_000_000;
/// A live lease is seen within this long of the `renewTime` in it.
const LEASE_GRAIN: Micros = 2_000_000;
/// What a witness said counts for this long.
const FRESH: Micros = 300_000_000;
/// Windows of one witness are narrowed by one another for this long: clocks drift.
const NARROW: Micros = 30_000_000;
/// After a step the machine's clock counts for less for this long.
const SHAKEN: Micros = 3_600_000_000;
/// Anchors that are still undecided; beyond this many only the outermost are kept.
const HELD: usize = 6;
/// The time between two warnings about a disagreement.
const BETWEEN: Micros = 60_000_000;
/// The API server's name among the witnesses.
const SERVER: &str = "the API server";
/// This machine's name among them.
const OWN: &str = "this machine";
/// Prefix of the leases that API servers renew for themselves, by the server's own clock.
const OWN_LEASES: &str = "apiserver-";

/// A moment, as well as it is known: not before `lo`, not after `hi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) lo: Micros,
    pub(crate) hi: Micros,
}

/// What a witness said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    lo: Micros,
    hi: Micros,
    /// When, on the monotonic clock.
    said: Micros,
    /// Since when it was narrowed, on the monotonic clock.
    since: Micros,
    /// Whether this machine may have stood still since, with all of its clocks: then it has no vote, though it may
    /// still be right.
    stale: bool,
}

/// Keeps the time.
#[derive(Debug, Default)]
pub(crate) struct Timekeeper {
    /// The machine's clock as it was last read: its anchor.
    wall: Option<Micros>,
    /// Anchors of the machine's clock that may be right, the newest last.
    held: Vec<Micros>,
    /// When the machine's clock was last seen to step, on the monotonic clock.
    stepped: Option<Micros>,
    witnesses: BTreeMap<String, Window>,
    /// While no clock is believed: where the anchor was by clocks that have been set since, which may have been right
    /// then.
    left: Option<(Micros, Micros)>,
    /// What all that amounts to: the least and the greatest anchor.
    anchor: Span,
    /// Who is outvoted, or that nobody is believed.
    disagreement: String,
    outvoted: Vec<String>,
    /// When that was last logged, on the monotonic clock.
    named: Option<Micros>,
}

impl Timekeeper {
    /// The time, with a look at the machine's clock. Also says whether that has stepped since the last look.
    pub(crate) fn read(&mut self, clock: &dyn Clock) -> (Span, bool) {
        let (now, wall) = look(clock);
        let stepped = self.hear_own(now, wall - now);
        (self.shift(now), stepped)
    }

    /// The time at a moment of the monotonic clock, as it is known now.
    pub(crate) fn at(&self, moment: Duration) -> Span {
        self.shift(micros(moment))
    }

    fn shift(&self, moment: Micros) -> Span {
        Span { lo: moment + self.anchor.lo, hi: moment + self.anchor.hi }
    }

    /// The API server dated an answer that was asked for, and began to arrive, at these moments.
    pub(crate) fn date(&mut self, date: Micros, asked: Duration, answered: Duration) {
        let (asked, answered) = (micros(asked), micros(answered));
        let (lo, hi) = (date - answered, date + DATE_GRAIN - asked);
        // An answer that took long agrees with everybody.
        if hi - lo > DATE_GRAIN + SLOW {
            return;
        }
        let window = Window { lo, hi, said: answered, since: answered, stale: false };
        self.hear(SERVER, window);
    }

    /// A lease was seen to be renewed at `renewed` by its holder's clock, as it happened.
    pub(crate) fn lease(&mut self, lease: &str, renewed: Micros, seen: Duration) {
        let seen = micros(seen);
        let (lo, hi) = (renewed - seen, renewed + LEASE_GRAIN - seen);
        let window = Window { lo, hi, said: seen, since: seen, stale: false };
        self.hear(lease, window);
    }

    /// Whether the API server's clock, whose timestamps are in every object, is one of those that are believed.
    pub(crate) fn believes_server(&self) -> bool {
        self.believes(SERVER)
    }

    /// Whether nothing is known against the clock of a lease's holder.
    pub(crate) fn believes(&self, witness: &str) -> bool {
        !self.outvoted.iter().any(|name| name == witness)
    }

    /// Which clocks disagree, in words; empty when none do.
    pub(crate) fn disagreement(&self) -> &str {
        &self.disagreement
    }

    /// The API server's clock minus this machine's, as far as it is known.
    pub(crate) fn server_offset(&self) -> Option<Micros> {
        let window = self.witnesses.get(SERVER)?;
        Some(i64::midpoint(window.lo, window.hi) - self.wall?)
    }

    fn hear_own(&mut self, now: Micros, wall: Micros) -> bool {
        let Some(before) = self.wall else {
            (self.wall, self.held) = (Some(wall), vec![wall]);
            self.decide(now);
            return false;
        };
        // The next look is still compared with where it began to wander, so that small steps add up to one.
        if (wall - before).abs() <= STEP {
            return false;
        }
        self.wall = Some(wall);
        self.held.retain(|anchor| (anchor - wall).abs() > STEP);
        self.held.push(wall);
        if self.held.len() > HELD {
            self.held = outermost(&self.held);
        }
        let set = (wall - before).abs() > AGREE;
        if set {
            self.stepped = Some(now);
            tracing::warn!(
                seconds = (wall - before) as f64 / 1e6,
                "this machine's clock was set; times are widened until other clocks tell which setting is right"
            );
        }
        if wall - before >= SUSPEND {
            self.doubt();
        }
        self.decide(now);
        set
    }

    fn hear(&mut self, name: &str, window: Window) {
        let said = window.said;
        self.witnesses.retain(|_, window| said - window.said <= FRESH);
        let before = self.witnesses.get(name).copied();
        if before.is_some_and(|before| before.hi + AGREE < window.lo || window.hi + AGREE < before.lo) {
            // Its clock was set, or this machine stood still.
            self.doubt();
            self.left = around(self.left.into_iter().chain(before.map(|before| (before.lo, before.hi))));
        }
        let narrowed = before.and_then(|before| narrow(&before, &window));
        self.witnesses.insert(name.to_owned(), narrowed.unwrap_or(window));
        self.decide(said);
    }

    /// What every witness has said so far may be worthless by now.
    fn doubt(&mut self) {
        for window in self.witnesses.values_mut() {
            window.stale = true;
        }
    }

    /// Decides whom to believe. A single clock is believed when nobody contradicts it; against others it takes two that
    /// agree and have more weight than any others that do.
    fn decide(&mut self, now: Micros) {
        let voters = self.voters(now);
        let (best, lo, hi) = most(voters.iter());
        let (second, ..) = most(voters.iter().filter(|v| v.hi < lo || hi < v.lo));
        let agreeing = voters.iter().filter(|v| v.weight > 0 && v.lo <= hi && lo <= v.hi).count();
        let unanimous = agreeing >= voters.iter().filter(|v| v.weight > 0).count();
        let certain = agreeing >= 2 || !self.shaken(now);
        let told = certain && (unanimous || (best > second && agreeing >= 2));
        // Clocks that agree may all be a little off, so an anchor is only excluded where a single witness excludes it.
        let believed = || self.witnesses.values().filter(|w| !w.stale && w.lo <= hi + AGREE && lo - AGREE <= w.hi);
        let fits = |anchor: &&Micros| believed().all(|w| (w.lo - AGREE..=w.hi + AGREE).contains(*anchor));
        let right: Vec<Micros> = self.held.iter().filter(fits).copied().collect();
        self.anchor = if !told {
            let witnesses = self.witnesses.values().map(|w| (w.lo, w.hi));
            hull(witnesses.chain(self.left).chain(self.held.iter().map(|anchor| (*anchor, *anchor))))
        } else if right.is_empty() {
            let both = believed().fold((Micros::MIN, Micros::MAX), |both, w| (both.0.max(w.lo), both.1.min(w.hi)));
            if both.0 <= both.1 { hull([both].into_iter()) } else { hull(believed().map(|w| (w.lo, w.hi))) }
        } else {
            hull(right.iter().map(|anchor| (*anchor, *anchor)))
        };
        if told {
            self.left = None;
        }
        let heard_since =
            |stepped: Micros| self.witnesses.values().any(|window| !window.stale && window.said > stepped);
        if told && !right.is_empty() && self.stepped.is_none_or(heard_since) {
            self.held = right;
        }
        self.name(&voters, told.then_some((lo, hi)), now);
    }

    /// Whether the machine's clock was set not long ago.
    fn shaken(&self, now: Micros) -> bool {
        self.stepped.is_some_and(|stepped| now - stepped < SHAKEN)
    }

    fn voters(&self, now: Micros) -> Vec<Voter> {
        let mut voters = Vec::with_capacity(self.witnesses.len() + 1);
        if let Some(wall) = self.wall {
            let own =
                |anchor: Micros, weight| Voter { name: OWN.to_owned(), lo: anchor - AGREE, hi: anchor + AGREE, weight };
            if self.shaken(now) {
                // The question is which of its settings is right: one that another clock supports has two votes, and
                // one that was refuted has none.
                let mut open: Vec<Micros> = Vec::new();
                for anchor in self.held.iter().rev() {
                    if open.iter().all(|other| (other - anchor).abs() > 2 * AGREE) {
                        open.push(*anchor);
                    }
                }
                if !open.contains(&wall) {
                    voters.push(own(wall, 0));
                }
                voters.extend(open.into_iter().map(|anchor| own(anchor, 1)));
            } else {
                voters.push(own(wall, 3));
            }
        }
        let server = self.witnesses.get(SERVER);
        for (name, window) in &self.witnesses {
            // An API server's own lease is stamped by the same clock as its `Date`: one clock has one vote.
            let echo = name.starts_with(OWN_LEASES)
                && server.is_some_and(|s| !s.stale && s.lo - AGREE <= window.hi && window.lo - AGREE <= s.hi);
            let weight = if echo || window.stale { 0 } else { 2 };
            voters.push(Voter { name: name.clone(), lo: window.lo, hi: window.hi, weight });
        }
        voters
    }

    /// Names the clocks that disagree; logged when that changes, though not with every answer of servers that take
    /// turns.
    fn name(&mut self, voters: &[Voter], believed: Option<(Micros, Micros)>, now: Micros) {
        let (lo, hi) = believed.unwrap_or((Micros::MAX, Micros::MIN));
        let standing = |v: &&Voter| v.name != OWN || self.wall == Some(v.lo + AGREE);
        let out = voters.iter().filter(standing).filter(|v| v.hi + AGREE < lo || hi < v.lo - AGREE);
        let out: Vec<String> = out.map(|v| v.name.clone()).collect();
        if out == self.outvoted {
            return;
        }
        let apart = (self.anchor.hi - self.anchor.lo) as f64 / 1e6;
        self.disagreement = match (out.is_empty(), believed) {
            (true, _) => String::new(),
            (false, Some(_)) => {
                format!("the clock of {} is not believed: the others agree on another time", out.join(", "))
            }
            (false, None) => format!(
                "the clocks of {} differ, and none is believed: times are ±{:.0} s",
                out.join(", "),
                apart / 2.0
            ),
        };
        let often = self.named.is_some_and(|named| now - named < BETWEEN);
        if often {
            tracing::debug!(disagreement = self.disagreement, "other clocks disagree now");
        } else if self.disagreement.is_empty() {
            tracing::info!("the clocks agree again");
        } else {
            self.named = Some(now);
            tracing::warn!("{}", self.disagreement);
        }
        self.outvoted = out;
    }
}

/// A witness, with the weight that it has now.
#[derive(Debug)]
struct Voter {
    name: String,
    lo: Micros,
    hi: Micros,
    weight: u32,
}

/// The interval that windows of the greatest total weight have in common, with that weight.
fn most<'a>(voters: impl Iterator<Item = &'a Voter> + Clone) -> (u32, Micros, Micros) {
    let mut best = (0, 0, 0);
    for from in voters.clone().filter(|voter| voter.weight > 0) {
        let here = || voters.clone().filter(|v| v.lo <= from.lo && from.lo <= v.hi);
        let weight = here().map(|v| v.weight).sum();
        if weight > best.0 {
            let end = here().filter(|v| v.weight > 0).map(|v| v.hi).min();
            best = (weight, from.lo, end.unwrap_or(from.hi));
        }
    }
    best
}

/// Two windows of one witness combined, if they agree and the older one is not too old to count.
fn narrow(before: &Window, now: &Window) -> Option<Window> {
    let both = Window { lo: before.lo.max(now.lo), hi: before.hi.min(now.hi), ..*now };
    let fresh = now.said - before.since <= NARROW;
    (fresh && both.lo <= both.hi).then_some(Window { since: before.since, ..both })
}

fn hull(all: impl Iterator<Item = (Micros, Micros)>) -> Span {
    around(all).map_or(Span::default(), |(lo, hi)| Span { lo, hi })
}

/// The span from the least to the greatest.
fn around(all: impl Iterator<Item = (Micros, Micros)>) -> Option<(Micros, Micros)> {
    all.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// The least, the greatest and the newest of the anchors.
fn outermost(held: &[Micros]) -> Vec<Micros> {
    let ends = [held.iter().min(), held.iter().max(), held.last()];
    let mut out: Vec<Micros> = Vec::with_capacity(ends.len());
    for anchor in ends.into_iter().flatten() {
        if out.last() != Some(anchor) {
            out.push(*anchor);
        }
    }
    out
}

/// Both clocks of the machine at one moment: they are read again if the process was stopped between the two readings.
fn look(clock: &dyn Clock) -> (Micros, Micros) {
    const APART: Micros = 5_000;
    let mut seen = (0, 0);
    for _ in 0..4 {
        let before = micros(clock.monotonic());
        let wall = clock.now();
        let after = micros(clock.monotonic());
        seen = (i64::midpoint(before, after), wall);
        if after - before <= APART {
            break;
        }
    }
    seen
}

fn micros(duration: Duration) -> Micros {
    duration.as_micros() as Micros
}

#[cfg(test)]
mod tests;
