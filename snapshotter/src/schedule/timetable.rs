//! When a schedule is due: a cron expression in a time zone, or an interval.
//!
//! **Words.** A *wall time* is what the zone's clock shows. Where a zone changes its clock, a *gap* is the wall times that are
//! left out and a *fold* those that are shown twice.
//!
//! **The rule at a change of the clock.**
//! 1. An expression that does not run in every hour is of *fixed times*. One that falls into a gap is due once, at the first
//!    moment after it (so that several times in one gap, or one right behind it, are one run). One in a fold is due
//!    at its first occurrence only. `0 2,3 * * *`, `*/10 1-5 * * *` and `0 */2 * * *` are of this sort: a list of times.
//! 2. An expression that runs in every hour (`*/15 * * * *`, `@hourly`) keeps its *spacing*: it is due whenever the clock shows a
//!    time of it, so twice in a fold and never in a gap. A change by less than an hour (Lord Howe's half) makes one
//!    interval of an hourly expression longer or shorter by that much.
//! 3. `@every 1h30m` knows no clock at all: it counts from the moment the schedule was made, in elapsed time.
//!
//! The expression is read and searched by `croner`, but in wall times only. Its own rule is another: it takes an expression with two
//! hours for an interval, which it leaves out in a gap and runs twice in a fold.
//!
//! **Invariants.** (1) `next` is later than the moment asked about, and `last` not later than it; both say the same moments. (2) What
//! was read has a next moment: an expression that never comes is refused.
//!
//! Not here: jitter, what is missed, what overlaps ([`super`]).

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    SignedDuration, Timestamp,
    civil::{self, DateTime},
    tz::{AmbiguousOffset, TimeZone},
};

use crate::go;

#[cfg(test)]
mod tests;

/// What of a schedule's fields is wrong, why, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) field: &'static str,
    pub(crate) value: String,
    pub(crate) reason: String,
    pub(crate) remedy: String,
}

impl Wrong {
    fn new(field: &'static str, value: &str, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { field, value: value.to_owned(), reason: reason.into(), remedy: remedy.into() }
    }
}

/// The moments at which a schedule is due.
#[derive(Debug, Clone)]
pub(crate) struct Timetable {
    zone: TimeZone,
    times: Times,
}

#[derive(Debug, Clone)]
enum Times {
    /// Times of an expression that is not of every hour.
    Fixed(Cron),
    /// Times of an expression of every hour.
    Spaced(Cron),
    /// Every so many seconds from a second on.
    Every { seconds: i64, from: i64 },
}

/// The forms that stand for an expression.
const MACROS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// The fields of an expression, in order, and what each takes.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of month", "1-31"),
    ("month", "1-12 or JAN-DEC"),
    ("day of week", "0-7 or SUN-SAT"),
];

const FORMS: &str = "write five fields (minute, hour, day of month, month, day of week) as in \"30 2 * * *\", @hourly, @daily, @weekly, \
     @monthly, @yearly, or @every with a duration as in \"@every 1h30m\"";

impl Timetable {
    /// Reads a schedule as Velero does, with the zone in front of it (`CRON_TZ=Europe/Berlin 30 2 * * *`) or beside it.
    /// Without one it is UTC. What runs `@every` so often counts from `made`.
    pub(crate) fn parse(text: &str, zone: Option<&str>, made: Timestamp) -> Result<Self, Wrong> {
        let (prefix, times) = split_zone(text)?;
        let zone = zone.filter(|zone| !zone.is_empty());
        let zone = match (prefix, zone) {
            (Some(prefix), Some(zone)) if prefix != zone => {
                let reason = format!("the schedule itself names the time zone {prefix:?}, and timeZone {zone:?}");
                return Err(Wrong::new("schedule", text, reason, "name the time zone once, best in timeZone"));
            }
            (Some(prefix), _) => zone_named(prefix).map_err(|e| Wrong { field: "schedule", ..e })?,
            (None, Some(zone)) => zone_named(zone)?,
            (None, None) => TimeZone::UTC,
        };
        if let Some(duration) = times.strip_prefix("@every") {
            let seconds = every(text, duration)?;
            return Ok(Self { zone, times: Times::Every { seconds, from: made.as_second() } });
        }
        let expression = MACROS.iter().find(|(name, _)| times.eq_ignore_ascii_case(name)).map(|(_, is)| *is);
        let expression = match expression {
            Some(expression) => expression,
            None if times.starts_with('@') => {
                return Err(Wrong::new("schedule", text, format!("there is no form {times}"), FORMS));
            }
            None => times,
        };
        let cron = cron(text, expression)?;
        // A calendar repeats every 400 years, so the day from which the first one is looked for does not matter.
        if cron.find_next_occurrence(&civil::date(2000, 1, 1).at(0, 0, 0, 0), true).is_err() {
            let reason = "it never comes: no month has that day";
            return Err(Wrong::new(
                "schedule",
                text,
                reason,
                "give a day that the months have; L is a month's last day",
            ));
        }
        let hours = cron.pattern.hours.values().len();
        let times = if hours == 24 { Times::Spaced(cron) } else { Times::Fixed(cron) };
        Ok(Self { zone, times })
    }

    /// The first moment after another.
    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.times {
            Times::Fixed(cron) => self.next_fixed(cron, after),
            Times::Spaced(cron) => self.next_spaced(cron, after),
            Times::Every { seconds, from } => {
                let turns = (after.as_second() - from).div_euclid(*seconds) + 1;
                Timestamp::from_second(from + turns.max(1) * seconds).ok()
            }
        }
    }

    /// The newest moment that is not later than `until`, if it is after `after`.
    pub(crate) fn last(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let last = match &self.times {
            Times::Fixed(cron) => self.last_fixed(cron, until),
            Times::Spaced(cron) => self.last_spaced(cron, until),
            Times::Every { seconds, from } => {
                let turns = (until.as_second() - from).div_euclid(*seconds);
                (turns >= 1).then(|| Timestamp::from_second(from + turns * seconds).ok()).flatten()
            }
        };
        last.filter(|last| *last > after)
    }

    fn next_fixed(&self, cron: &Cron, after: Timestamp) -> Option<Timestamp> {
        let mut wall = self.zone.to_datetime(after);
        loop {
            // In the second half of a fold the first ones found lie in its first half, which is past.
            wall = cron.find_next_occurrence(&wall, false).ok()?;
            let at = self.moment(wall)?;
            if at > after {
                return Some(at);
            }
        }
    }

    fn last_fixed(&self, cron: &Cron, until: Timestamp) -> Option<Timestamp> {
        let mut wall = self.zone.to_datetime(until);
        if let AmbiguousOffset::Fold { before, after } = self.zone.to_ambiguous_timestamp(wall).offset()
            && self.zone.to_offset(until) == after
        {
            // What the clock will show until the fold ends it has shown already.
            let again = i64::from(before.seconds() - after.seconds());
            wall = wall.checked_add(SignedDuration::from_secs(again)).ok()?;
        }
        let mut inclusive = true;
        loop {
            wall = cron.find_previous_occurrence(&wall, inclusive).ok()?;
            inclusive = false;
            let at = self.moment(wall)?;
            if at <= until {
                return Some(at);
            }
        }
    }

    /// Between two changes of the clock wall times are as good as moments.
    fn next_spaced(&self, cron: &Cron, after: Timestamp) -> Option<Timestamp> {
        let (mut from, mut inclusive) = (after, false);
        loop {
            let offset = self.zone.to_offset(from);
            let found = cron.find_next_occurrence(&offset.to_datetime(from), inclusive).ok()?;
            let at = offset.to_timestamp(found).ok()?;
            let change = self.zone.following(from).next().map(|change| change.timestamp());
            match change.filter(|change| at >= *change) {
                None => return Some(at),
                Some(change) => (from, inclusive) = (change, true),
            }
        }
    }

    fn last_spaced(&self, cron: &Cron, until: Timestamp) -> Option<Timestamp> {
        let mut to = until;
        loop {
            let offset = self.zone.to_offset(to);
            let found = cron.find_previous_occurrence(&offset.to_datetime(to), true).ok()?;
            let at = offset.to_timestamp(found).ok()?;
            match self.change_until(to)?.filter(|change| at < *change) {
                None => return Some(at),
                Some(change) => to = change.checked_sub(SignedDuration::from_nanos(1)).ok()?,
            }
        }
    }

    /// The newest change of the clock that is not later than a moment, if there was one.
    #[expect(clippy::option_option, reason = "out of range is not the same as that there was none")]
    fn change_until(&self, moment: Timestamp) -> Option<Option<Timestamp>> {
        let behind = moment.checked_add(SignedDuration::from_nanos(1)).ok()?;
        Some(self.zone.preceding(behind).next().map(|change| change.timestamp()))
    }

    /// When a fixed wall time is due.
    fn moment(&self, wall: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok(),
            // A clock that had not been changed shows it at or after the change, and before any other change.
            AmbiguousOffset::Gap { before, .. } => self.change_until(before.to_timestamp(wall).ok()?)?,
        }
    }
}

/// The zone of that name.
pub(crate) fn zone_named(name: &str) -> Result<TimeZone, Wrong> {
    TimeZone::get(name).map_err(|_| {
        let remedy = "give a name of the time zone database, as in UTC, Europe/Berlin or America/New_York";
        Wrong::new("timeZone", name, format!("there is no time zone {name:?} in the time zone database"), remedy)
    })
}

/// Takes the zone off the front.
fn split_zone(text: &str) -> Result<(Option<&str>, &str), Wrong> {
    let text = text.trim();
    let Some(rest) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) else {
        return Ok((None, text));
    };
    match rest.split_once(char::is_whitespace) {
        Some((zone, times)) => Ok((Some(zone), times.trim())),
        None => Err(Wrong::new("schedule", text, "behind the time zone stands no time", FORMS)),
    }
}

fn cron(text: &str, expression: &str) -> Result<Cron, Wrong> {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    match fields.len() {
        5 => {}
        6 | 7 => {
            let reason = format!("it has {} fields; nothing runs more often than each minute", fields.len());
            return Err(Wrong::new(
                "schedule",
                text,
                reason,
                "leave out the field of the seconds, and that of the years",
            ));
        }
        0 => return Err(Wrong::new("schedule", text, "it is empty", FORMS)),
        1 => return Err(Wrong::new("schedule", text, "it has 1 field", FORMS)),
        n => return Err(Wrong::new("schedule", text, format!("it has {n} fields"), FORMS)),
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).sloppy_ranges(true).build();
    parser.parse(expression).map_err(|whole| {
        // The parser does not say which of them it was: each is tried alone.
        let culprit = fields.iter().zip(FIELDS).enumerate().find(|(at, (field, _))| {
            let alone: Vec<&str> = (0..FIELDS.len()).map(|i| if i == *at { **field } else { "*" }).collect();
            parser.parse(&alone.join(" ")).is_err()
        });
        match culprit {
            Some((_, (field, (name, takes)))) => {
                let reason = format!("its {name} {field:?} is not to be read");
                let remedy = format!("the {name} takes {takes}, *, lists (1,2), ranges (1-5) and steps (*/5)");
                Wrong::new("schedule", text, reason, remedy)
            }
            None => Wrong::new("schedule", text, whole.to_string(), FORMS),
        }
    })
}

/// The seconds of `@every`, whose duration is one of Go: `1h30m`, `1.5h`, `90m`.
fn every(text: &str, duration: &str) -> Result<i64, Wrong> {
    let wrong = |reason: &str| {
        let remedy = "give a duration of at least a minute as in \"@every 1h30m\", with the units h, m and s";
        Wrong::new("schedule", text, reason, remedy)
    };
    let nanos = go::nanos(duration.trim()).ok_or_else(|| wrong("behind @every stands no duration"))?;
    let seconds = i64::try_from(nanos / 1_000_000_000).map_err(|_| wrong("it is longer than time is counted"))?;
    match seconds {
        ..60 => Err(wrong("nothing runs more often than each minute")),
        // A century: longer ones are a slip of the pen, and what is counted with them stays far from any limit.
        3_155_760_000.. => Err(wrong("it is longer than a century")),
        _ => Ok(seconds),
    }
}
