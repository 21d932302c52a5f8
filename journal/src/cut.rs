//! Cuts: consistent moments, and how a question about time becomes one.
//!
//! **Words**: a [`Cut`] is, per revision domain, the greatest revision that belongs to the moment. *Closed*: every
//! protected kind of the domain has been seen at or past it.
//!
//! **Invariants.** (1) State at a cut is all rows with a revision up to the cut's, never a prefix of positions. (2) A
//! moment after the closed time is "later than the journal knows", never the tip [`Moment::beyond`]. (3) A moment
//! belongs to the life of a counter that was the newest one seen by then, whatever revisions say: those of a later life
//! may be lower, and what a store held when it was put back had been committed before that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Change, Error, Position,
    parts::{Micros, utc_millis},
    row::Revision,
    segment::FrontierVector,
};

/// The name of the domain that `rev:N` is about.
pub const MAIN: &str = "main";

/// One domain's part of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CutPoint {
    /// Which life of the counter.
    pub incarnation: u32,
    /// The greatest revision that belongs to the cut.
    pub rv: Revision,
}

/// A consistent moment of the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cut {
    /// Per domain.
    pub domains: BTreeMap<String, CutPoint>,
}

impl Cut {
    /// The cut at a frontier.
    pub fn of(frontier: &FrontierVector) -> Self {
        let point = |p: &crate::segment::FrontierPoint| CutPoint { incarnation: p.incarnation, rv: p.rv };
        Self { domains: frontier.iter().map(|(d, p)| (d.clone(), point(p))).collect() }
    }

    /// Whether a row belongs to it.
    pub fn holds(&self, change: &Change) -> bool {
        let at = CutPoint { incarnation: change.incarnation, rv: change.rv };
        self.domains.get(&change.domain).is_some_and(|point| at <= *point)
    }

    /// Whether it lies at or past another in every domain of that one.
    pub(crate) fn reaches(&self, other: &Self) -> bool {
        other.domains.iter().all(|(domain, point)| self.domains.get(domain).is_some_and(|own| own >= point))
    }

    /// The revision in the main domain.
    pub fn rev(&self) -> Revision {
        self.domains.get(MAIN).map_or(0, |p| p.rv)
    }

    /// Whether everything in it is at or below `frontier`. A domain that the frontier lacks has no protected kind, so
    /// there is nothing in it to wait for.
    pub fn within(&self, frontier: &FrontierVector) -> bool {
        let reached = |(domain, point): (&String, &CutPoint)| {
            frontier.get(domain).is_none_or(|f| *point <= CutPoint { incarnation: f.incarnation, rv: f.rv })
        };
        !frontier.is_empty() && self.domains.iter().all(reached)
    }
}

/// What a reader asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The newest closed cut.
    Now,
    /// Everything durable, closed or not.
    NowOpen,
    /// A moment.
    Time(Micros),
    /// The state just before a moment.
    BeforeTime(Micros),
    /// A revision of the main domain, or of the named one; of an older incarnation if one is given.
    Rev {
        /// The revision.
        rv: Revision,
        /// The incarnation; the newest if `None`.
        incarnation: Option<u32>,
        /// The domain; main if `None`.
        domain: Option<String>,
    },
    /// The revision of the row at a position.
    Pos(Position),
    /// Just below the revision of the row at a position.
    BeforePos(Position),
}

/// What a question became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The cut.
    pub cut: Cut,
    /// The time asked for, or else by which everything in the cut was committed.
    pub time: Micros,
    /// Whether every protected kind has been seen at or past the cut.
    pub closed: bool,
    /// Set if the question is about a later moment than the journal knows: the last moment it does know.
    pub beyond: Option<Micros>,
    /// The question is about a moment before anything was recorded.
    pub before_start: bool,
    /// Rows that may be before or after the moment; at most 1000.
    pub uncertain: Vec<Uncertain>,
    /// How far the journal is closed.
    pub frontier: FrontierVector,
    /// Set if the moment is of a time of which only some cuts were kept, and none of them is of it: what is answered instead.
    pub thinned: Option<Thinned>,
    /// The domains in which the cut lies in a life of the counter that has ended, beyond what was closed of it.
    pub ended: Vec<Ended>,
    /// Set if a part of the log that the answer needs cannot be read, and was gone around: this is the last that is known before it.
    pub hole: Option<Box<Hole>>,
}

/// A part of the log that cannot be read, nor taken from any other file, with what is known on either side of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// Its first and its last segment.
    pub segments: (u64, u64),
    /// Its first position; its last, if anything of the log is behind it. No row is in it if the last is before the first.
    pub positions: (Position, Option<Position>),
    /// Up to which revision of the main domain the log was closed before it; the same behind it.
    pub revisions: (Option<Revision>, Option<Revision>),
    /// Everything that was committed up to this moment is known without it; `None` if the log begins with it.
    pub since: Option<Micros>,
    /// From this moment on all is known again, and the position of the checkpoint that says so; `None` if no checkpoint stands behind it.
    pub until: Option<(Micros, Position)>,
    /// Whether the chain value of that checkpoint proves the rows between it and the hole to be of the same log.
    pub proven: bool,
    /// The file, and why it cannot be read.
    pub why: String,
}

impl Hole {
    /// How many positions it takes; `None` if nothing behind it says.
    pub fn rows(&self) -> Option<u64> {
        self.positions.1.map(|last| (last + 1).saturating_sub(self.positions.0))
    }

    /// What cannot be read, in words.
    pub fn what(&self) -> String {
        let (first, last) = self.segments;
        let segments = if first == last { format!("segment {first}") } else { format!("segments {first} to {last}") };
        match (self.positions.0, self.positions.1) {
            (from, None) => format!("{segments}, from position {from} on"),
            (from, Some(to)) if to < from => format!("{segments}, without a row"),
            (from, Some(to)) if to == from => format!("{segments}, position {from}"),
            (from, Some(to)) => format!("{segments}, positions {from} to {to}"),
        }
    }

    /// The error for whoever needs what is in it.
    pub fn refused(&self, what: impl Into<String>) -> Error {
        let before = self.since.map_or("nothing before it".to_owned(), |since| {
            format!("the last moment before it, {}", utc_millis(since))
        });
        let behind = match self.until {
            Some((until, _)) => format!("from {} on all is known again", utc_millis(until)),
            None => "no checkpoint stands behind it".to_owned(),
        };
        Error::corrupt(what, format!("needs what cannot be read of the log: {} ({})", self.what(), self.why))
            .with_hint(format!("ask for {before}; {behind}; `hindcast doctor` says what helps"))
    }
}

/// What is known of a time that was thinned out by retention: the state at the newest kept cut that is not after the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thinned {
    /// The moment of that cut.
    pub kept: Micros,
    /// The moment of the next one, or from which on every moment is answered.
    pub next: Micros,
    /// From here on every moment is answered.
    pub whole: Micros,
}

impl Thinned {
    /// The error for whoever needs the moment itself.
    pub fn refused(&self, what: impl Into<String>) -> Error {
        let [kept, next, whole] = [self.kept, self.next, self.whole].map(utc_millis);
        Error::invalid(what, "is of a time that retention has thinned out: only some cuts of it are kept").with_hint(
            format!("ask for {kept}, the cut before it, or {next}, the next; from {whole} on every moment can be had"),
        )
    }
}

/// A change that may be before or after a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uncertain {
    /// Its position.
    pub pos: Position,
    /// It was not committed before this moment.
    pub lo: Micros,
    /// It was committed by this moment.
    pub hi: Micros,
    /// API group, plural resource name, namespace and name of its object.
    pub object: [String; 4],
}

/// A life of a domain's counter that ended when the server's store was put back to an older copy. Of its last moments,
/// each kind is known only as far as it had been seen [`crate::fold::KindState::known_at`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The domain.
    pub domain: String,
    /// Which life of its counter.
    pub incarnation: u32,
    /// For every kind, the journal has everything committed before this moment; 0 if there is no such moment.
    pub known: Micros,
    /// When the next life was first seen, if it was.
    pub next: Option<Micros>,
    /// The time asked for, if the question was about a time.
    pub asked: Option<Micros>,
}

/// One life of a domain's counter, and the revisions the journal knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Its number.
    pub incarnation: u32,
    /// The first revision from which a kind was protected.
    pub from: Revision,
    /// When that was.
    pub since: Micros,
    /// The last revision that was seen; `None` while it lasts.
    pub to: Option<Revision>,
}
