//! What is to be kept of the past, and from where on the log is: a function of what there is.
//!
//! **Rules.** What any rule keeps is kept; of the time before the base what none keeps goes.
//! 1. Every moment that is not older than [`Retention::all`] is answered, and every one since a recovery point that is being made was
//!    begun: the log goes back to what they need, and to the beginning of the day's file that has it.
//! 2. Of each [`Tier`], for each of its marks (hours, days, months, in UTC) that is not older than it reaches, the state at that very
//!    moment is kept.
//! 3. The cut of each recovery point that can be restored is kept.
//! 4. The newest checkpoint, and all of the log behind it, is kept, whatever its age.
//!
//! Of a time that was thinned out before only what was kept then is left: there a mark is served by the newest kept cut that is not
//! after it.
//!
//! **Invariant.** [`plan`] is a function of its arguments, and never plans to lose more the second time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hindcast_journal::{
    Position,
    checkpoint::Checkpoint,
    cut::{CutPoint, MAIN},
    expiry::Kept,
    parts::Micros,
};
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

/// An hour, in microseconds.
const HOUR: Micros = 3_600_000_000;

/// How long what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Every change.
    pub all: Duration,
    /// Cuts of the time before.
    pub tiers: Vec<Tier>,
    /// How long what goes stays there, for readers that began before.
    pub grace: Duration,
}

impl Retention {
    /// How long what goes stays there at least: whoever began to read before should have come to an end.
    pub const GRACE: Duration = Duration::from_mins(15);
}

/// Cuts at regular moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    /// At which.
    pub every: Every,
    /// For how long.
    pub keep: Duration,
}

/// The moments of a tier, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Every {
    /// Each full hour.
    Hour,
    /// Each midnight.
    Day,
    /// Each month's first midnight.
    Month,
    /// Whole multiples of so many microseconds since the epoch.
    Span(Micros),
}

impl Every {
    /// The word for it.
    pub fn word(self) -> String {
        match self {
            Self::Hour => "hourly".to_owned(),
            Self::Day => "daily".to_owned(),
            Self::Month => "monthly".to_owned(),
            Self::Span(span) => format!("every {} s", span / 1_000_000),
        }
    }

    /// Its first moment that is not before a time; `None` beyond all calendars.
    pub fn first_from(self, time: Micros) -> Option<Micros> {
        let multiple = |span: Micros| {
            let span = span.max(1);
            time.checked_add(span - 1).map(|time| time.div_euclid(span) * span)
        };
        match self {
            Self::Hour => multiple(HOUR),
            Self::Day => multiple(24 * HOUR),
            Self::Span(span) => multiple(span),
            Self::Month => {
                let zoned = Timestamp::from_microsecond(time).ok()?.to_zoned(TimeZone::UTC);
                let first = zoned.first_of_month().ok()?.start_of_day().ok()?;
                let next =
                    if first.timestamp().as_microsecond() < time { first.checked_add(1.month()).ok()? } else { first };
                Some(next.timestamp().as_microsecond())
            }
        }
    }
}

/// A cut that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The position of its checkpoint.
    pub pos: Position,
    /// By when everything in it was committed.
    pub time: Micros,
    /// Its point in the main domain.
    pub main: Option<CutPoint>,
    /// The segment from which on a reader who starts from it needs the log.
    pub needs: u64,
    /// The moments that it is exactly the answer to.
    pub exactly: Vec<Micros>,
    /// Whether it is just what a recovery point of that revision asks for.
    pub revision: bool,
}

impl From<&Checkpoint> for Cut {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self {
            pos: checkpoint.pos,
            time: checkpoint.time(),
            main: checkpoint.cut().domains.get(MAIN).copied(),
            needs: checkpoint.fold_from_segment,
            exactly: Vec::new(),
            revision: false,
        }
    }
}

impl From<&Kept> for Cut {
    fn from(kept: &Kept) -> Self {
        let exactly = kept.exactly.iter().map(|exactly| exactly.time).collect();
        Self { exactly, revision: kept.revision, ..Self::from(&kept.checkpoint) }
    }
}

/// A recovery point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its name.
    pub name: String,
    /// Its cut in the main domain.
    pub main: CutPoint,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The first segment of the log.
    pub begin: u64,
    /// When anything came under protection.
    pub since: Micros,
    /// The live checkpoints, oldest first; the first is the base where something was thinned out.
    pub live: Vec<Cut>,
    /// The cuts that were kept, the base last; none where nothing was thinned out.
    pub kept: Vec<Cut>,
    /// The files of days, by first and last segment, from the first of the log on.
    pub days: Vec<(u64, u64)>,
    /// The recovery points.
    pub points: Vec<Pin>,
    /// When the oldest of those that are being made was begun.
    pub making: Option<Micros>,
}

/// A cut that is to be made of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Make {
    /// The state at a moment.
    At(Micros),
    /// The cut of a recovery point.
    Point(CutPoint),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Every moment from here on is to be answered.
    pub edge: Micros,
    /// The first segment that the log keeps.
    pub segment: u64,
    /// The position of the base, and its moment.
    pub base: (Position, Micros),
    /// Whether the log begins later than before.
    pub moves: bool,
    /// The cuts to be made, and why.
    pub make: BTreeMap<Make, BTreeSet<String>>,
    /// Of those that were kept, by their places in [`Known::kept`], those that stay, and why.
    pub stay: BTreeMap<usize, BTreeSet<String>>,
    /// And those that go.
    pub go: Vec<usize>,
}

impl Plan {
    /// Whether there is nothing to decide.
    pub fn is_nothing(&self) -> bool {
        !self.moves && self.go.is_empty()
    }
}

/// What is to be done; `None` where nothing can be thinned out and nothing was.
pub fn plan(known: &Known, retention: &Retention, now: Micros) -> Option<Plan> {
    let micros = |duration: Duration| Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX);
    let edge = now.saturating_sub(micros(retention.all)).min(known.making.unwrap_or(Micros::MAX));
    let begin = begin(known, edge.saturating_sub(micros(retention.grace)));
    let moves = begin > known.begin;
    if !moves && known.kept.is_empty() {
        return None;
    }
    // Whoever starts from any later one needs no more of the log than from there on.
    let whole = known.live.iter().rev().take_while(|cut| cut.needs >= begin).last()?;
    let mut out = Plan {
        edge,
        segment: begin,
        base: (whole.pos, whole.time),
        moves,
        make: BTreeMap::new(),
        stay: BTreeMap::new(),
        go: Vec::new(),
    };
    let thinned = known.kept.last().map(|base| base.time);
    for tier in &retention.tiers {
        let oldest = known.kept.iter().map(|cut| cut.time).min().unwrap_or(known.since);
        let mut next = tier.every.first_from(now.saturating_sub(micros(tier.keep)).max(oldest));
        while let Some(mark) = next.filter(|mark| *mark <= whole.time) {
            if thinned.is_some_and(|thinned| mark <= thinned) {
                let serves = |cut: &Cut| (cut.time <= mark).then(|| (cut.exactly.contains(&mark), cut.time, cut.pos));
                stay(&mut out, known, serves, tier.every.word());
            } else {
                out.make.entry(Make::At(mark)).or_default().insert(tier.every.word());
            }
            next = mark.checked_add(1).and_then(|after| tier.every.first_from(after));
        }
    }
    for Pin { name, main } in &known.points {
        // A reader of a revision starts from a checkpoint before it.
        if whole.main.is_some_and(|whole| whole < *main) {
            continue;
        }
        let why = format!("point {name}");
        if known.kept.last().is_none_or(|base| base.main.is_none_or(|base| base < *main)) {
            out.make.entry(Make::Point(*main)).or_default().insert(why);
        } else {
            let serves =
                |cut: &Cut| cut.main.filter(|own| own <= main).map(|own| (own, cut.revision && own == *main, cut.pos));
            stay(&mut out, known, serves, why);
        }
    }
    if !moves && let Some(base) = known.kept.len().checked_sub(1) {
        out.stay.entry(base).or_default().insert("base".to_owned());
    }
    out.go = (0..known.kept.len()).filter(|at| !out.stay.contains_key(at)).collect();
    Some(out)
}

/// The first segment that is needed to answer every moment from an edge on: the log goes on being whole files of days before it.
fn begin(known: &Known, edge: Micros) -> u64 {
    let Some(at) = known.live.iter().rposition(|cut| cut.time < edge) else { return known.begin };
    let needed = known.live.iter().skip(at).map(|cut| cut.needs).min().unwrap_or(known.begin);
    let mut begin = known.begin;
    for (first, last) in &known.days {
        if *first != begin || *last >= needed {
            break;
        }
        begin = last + 1;
    }
    begin
}

/// The cut that serves best of those that were kept stays.
fn stay<K: Ord>(out: &mut Plan, known: &Known, serves: impl Fn(&Cut) -> Option<K>, why: String) {
    let best = known.kept.iter().enumerate().filter_map(|(at, cut)| Some((serves(cut)?, at))).max();
    if let Some((_, at)) = best {
        out.stay.entry(at).or_default().insert(why);
    }
}
