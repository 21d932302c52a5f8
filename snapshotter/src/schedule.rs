//! Schedules: when a recovery point is to be made, and when not.
//!
//! **Words.** A run is *due* at the moment its timetable names (`timetable`), and *starts* that much later by *jitter*. What is
//! due and neither started nor skipped is *missed*; what starts late for that is a run that is *caught up*.
//!
//! **Rules.**
//! 1. However many runs were missed, one is caught up: the newest that is due. The points between are not made up: their
//!    moments are past, and the journal has the resources of each of them anyway.
//! 2. A starting deadline limits how late a run may start; what is later is skipped.
//! 3. While a point of the schedule is being made, what comes due is skipped ([`Overlap::Forbid`]), waits, one at most, the
//!    newest ([`Overlap::Queue`]), or is made beside it ([`Overlap::Allow`]).
//! 4. A paused schedule starts nothing. What came due meanwhile is missed like any other, unless
//!    [`Settings::skip_immediately`] is set: then nothing is caught up that was due before the schedule was made or unpaused.
//! 5. Jitter is a share of a schedule's own, made of its name: always the same for one, different among many. A run starts before the
//!    next one is due, however long the jitter.
//!
//! **Invariants.** (1) [`decide`] is a function of its arguments: there is no clock here. (2) Whoever records the moment of each run
//! and each skip as `last`, and asks again at each `wake` and whenever a point is done, misses nothing and starts nothing twice: a
//! moment's name is always the same.
//!
//! Not here: making the point, and where `last` is kept.
//!
//! Start reading at [`decide`].

use std::{fmt, time::Duration};

use hindcast_journal::{Error, Result};
use jiff::{SignedDuration, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use self::timetable::{Timetable, Wrong};
use crate::go;

mod name;
#[cfg(test)]
mod tests;
mod timetable;

pub use name::{point_due, point_name};
pub(crate) use timetable::zone_named;

/// What to do with a run that comes due while a point of the schedule is being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Forbid,
    /// The newest one waits.
    Queue,
    /// It is made beside the other.
    Allow,
}

/// A schedule as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Five fields of cron, `@daily` and the like, or `@every 1h30m`; with `CRON_TZ=` in front if need be.
    pub schedule: String,
    /// The time zone. UTC without one.
    pub time_zone: Option<String>,
    /// How much later than due a run may start.
    pub jitter: Duration,
    /// How late a run may start; as late as it likes without one. It counts from when the run is due with its jitter.
    pub starting_deadline: Option<Duration>,
    /// What to do with a run that comes due while a point is being made.
    pub overlap: Overlap,
    /// Whether nothing is started.
    pub paused: bool,
    /// Whether what was due before the schedule was made or unpaused is skipped.
    pub skip_immediately: bool,
}

/// A schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    name: String,
    timetable: Timetable,
    made: Timestamp,
    /// When it was made or last unpaused.
    since: Timestamp,
    settings: Settings,
}

/// A duration as schedules and points are given it: `30s`, `1h30m`, and in whole days and weeks `30d`, `2w`; `what` is how an error
/// calls it.
pub fn duration(what: &str, text: &str) -> Result<Duration> {
    let text = text.trim();
    let whole = |unit: char, hours: u64| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(hours * 3_600);
    let seconds = whole('d', 24).or_else(|| whole('w', 7 * 24)).map(Duration::from_secs);
    let found = seconds.or_else(|| u64::try_from(go::nanos(text)?).ok().map(Duration::from_nanos));
    found.ok_or_else(|| {
        Error::invalid(format!("{what} {text:?}"), "is no duration").with_hint("as in 30s, 5m, 1h30m, 30d or 2w")
    })
}

/// How many missed runs are counted.
pub const COUNTED: usize = 100;

impl Schedule {
    /// Reads a schedule that was made at a moment, and last unpaused at another. Without any run yet the first one is the first that
    /// is due after it was made.
    pub fn new(name: &str, settings: &Settings, made: Timestamp, unpaused: Option<Timestamp>) -> Result<Self> {
        let timetable = Timetable::parse(&settings.schedule, settings.time_zone.as_deref(), made).map_err(
            |Wrong { field, value, reason, remedy }| {
                Error::invalid(format!("schedule {name}: {field} {value:?}"), reason).with_hint(remedy)
            },
        )?;
        let since = unpaused.map_or(made, |unpaused| unpaused.max(made));
        Ok(Self { name: name.to_owned(), timetable, made, since, settings: settings.clone() })
    }

    /// The name of the schedule.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first run that is due after a moment.
    pub fn next_due(&self, after: Timestamp) -> Option<Timestamp> {
        self.timetable.next(after)
    }

    /// When a run that is due at a moment starts at the earliest.
    pub fn start(&self, due: Timestamp) -> Timestamp {
        let gap = self.timetable.next(due).map_or(u64::MAX, |next| next.duration_since(due).as_secs().unsigned_abs());
        // In whole seconds, and a second before the next one is due at the latest.
        let most = self.settings.jitter.as_secs().min(gap.saturating_sub(1));
        let share = most.checked_add(1).map_or(0, |turns| xxh3_64(self.name.as_bytes()) % turns);
        due.checked_add(Duration::from_secs(share)).unwrap_or(due)
    }
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A point is to be made. Its moment is the next `last`.
    Run {
        /// When it was due.
        due: Timestamp,
        /// The point's name.
        point: String,
        /// How many runs before it were missed and are not made up: [`COUNTED`] stands for that many or more.
        missed: usize,
    },
    /// A run is to be noted as skipped. Its moment is the next `last`.
    Skip {
        /// When it was due.
        due: Timestamp,
        /// Why.
        reason: Skipped,
    },
    /// A run waits until the point that is being made is done.
    Wait {
        /// When it was due.
        due: Timestamp,
        /// The points that are being made.
        running: Vec<String>,
    },
    /// Nothing is due.
    Idle,
    /// Nothing is started while the schedule is paused.
    Paused,
}

/// Why a run is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skipped {
    /// A point of the schedule is being made.
    Overlap(Vec<String>),
    /// It could only start later than its deadline allows, by so much.
    TooLate(Duration),
}

/// What is to be done, and when to ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is to be done.
    pub action: Action,
    /// The first moment at which the clock alone makes another answer. There is none where only a change of the schedule does. A
    /// point that is done is another reason to ask again.
    pub wake: Option<Timestamp>,
}

/// What is to be done about a schedule.
///
/// `last` is the moment, as it was due, of the newest run that was started or skipped; `running` are the names of the points of this
/// schedule that are being made.
pub fn decide(schedule: &Schedule, last: Option<Timestamp>, running: &[String], now: Timestamp) -> Decision {
    let Schedule { timetable, settings, .. } = schedule;
    if settings.paused {
        return Decision { action: Action::Paused, wake: None };
    }
    let mut after = last.unwrap_or(schedule.made);
    if settings.skip_immediately {
        after = after.max(schedule.since);
    }
    let newest = timetable.last(after, now);
    // Where the newest one has yet to wait for its jitter, the one before it has not: it started before this one was due.
    let (due, waits) = match newest {
        Some(newest) if schedule.start(newest) > now => (before(timetable, after, newest), Some(newest)),
        newest => (newest, timetable.next(now.max(after))),
    };
    let wake = waits.map(|next| schedule.start(next));
    let Some(due) = due else { return Decision { action: Action::Idle, wake } };
    let late = now.duration_since(schedule.start(due)).unsigned_abs();
    let deadline = settings.starting_deadline;
    if let Some(over) = deadline.and_then(|deadline| late.checked_sub(deadline)).filter(|over| !over.is_zero()) {
        return Decision { action: Action::Skip { due, reason: Skipped::TooLate(over) }, wake };
    }
    match settings.overlap {
        Overlap::Forbid if !running.is_empty() => {
            Decision { action: Action::Skip { due, reason: Skipped::Overlap(running.to_vec()) }, wake }
        }
        Overlap::Queue if !running.is_empty() => {
            // What waits may wait too long.
            let expires = deadline.and_then(|deadline| schedule.start(due).checked_add(deadline).ok());
            let expires = expires.and_then(|last| last.checked_add(SignedDuration::from_millis(1)).ok());
            let wake = wake.into_iter().chain(expires).min();
            Decision { action: Action::Wait { due, running: running.to_vec() }, wake }
        }
        _ => {
            let missed = missed(timetable, after, due);
            Decision { action: Action::Run { due, point: point_name(&schedule.name, due), missed }, wake }
        }
    }
}

/// The newest moment before another.
fn before(timetable: &Timetable, after: Timestamp, due: Timestamp) -> Option<Timestamp> {
    timetable.last(after, due.checked_sub(SignedDuration::from_nanos(1)).ok()?)
}

fn missed(timetable: &Timetable, after: Timestamp, due: Timestamp) -> usize {
    let earlier = std::iter::successors(before(timetable, after, due), |due| before(timetable, after, *due));
    earlier.take(COUNTED).count()
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap(running) => write!(f, "{} is still being made", running.join(", ")),
            Self::TooLate(over) => {
                let over = SignedDuration::try_from(*over).unwrap_or(SignedDuration::MAX);
                write!(f, "its starting deadline was {over:#} ago")
            }
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run { due, point, missed: 0 } => write!(f, "makes {point}, due {due}"),
            Self::Run { due, point, missed } => {
                let more = if *missed == COUNTED { " or more" } else { "" };
                write!(f, "makes {point}, due {due}; {missed}{more} before it were missed and are not made up")
            }
            Self::Skip { due, reason } => write!(f, "skips the run due {due}: {reason}"),
            Self::Wait { due, running } => write!(f, "the run due {due} waits for {}", running.join(", ")),
            Self::Idle => f.write_str("nothing is due"),
            Self::Paused => f.write_str("paused"),
        }
    }
}
