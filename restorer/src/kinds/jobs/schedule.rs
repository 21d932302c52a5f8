//! When a `CronJob` would have run: its schedule, read as its controller reads it.
//!
//! Not here: the macro `@every`, which counts from no fixed time; of that, and of what cannot be read, nothing is told.

use std::collections::BTreeSet;

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, Time},
    tz::TimeZone,
};

/// How far back a run is looked for: every day comes within that, a 29th of February too.
const DAYS: usize = 366 * 8;

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    minutes: BTreeSet<i8>,
    hours: BTreeSet<i8>,
    days: BTreeSet<i8>,
    months: BTreeSet<i8>,
    /// From Sunday, 0.
    weekdays: BTreeSet<i8>,
    /// Whether the day of the month, and that of the week, is given at all: where both are, either will do.
    given: (bool, bool),
    zone: TimeZone,
}

impl Schedule {
    /// Reads a schedule; `zone` is what the object says beside. Without one it is the controller's own zone, which is UTC
    /// wherever nobody has changed it.
    pub(super) fn parse(text: &str, zone: Option<&str>) -> Option<Self> {
        let (named, text) = match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
            Some(rest) => rest.split_once(' ').map(|(zone, rest)| (Some(zone), rest))?,
            None => (None, text),
        };
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            text => text,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else { return None };
        let zone = match named.or(zone).filter(|zone| !zone.is_empty()) {
            Some(zone) => TimeZone::get(zone).ok()?,
            None => TimeZone::UTC,
        };
        let any = |field: &str| field.starts_with(['*', '?']);
        Some(Self {
            minutes: field(minutes, 0, 59, &[])?,
            hours: field(hours, 0, 23, &[])?,
            days: field(days, 1, 31, &[])?,
            months: field(months, 1, 12, &MONTHS)?,
            weekdays: field(weekdays, 0, 6, &WEEKDAYS)?,
            given: (!any(days), !any(weekdays)),
            zone,
        })
    }

    /// The newest run after one time and not after another.
    pub(super) fn last(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let end = until.to_zoned(self.zone.clone());
        let mut date = end.date();
        for _ in 0..DAYS {
            if self.is_on(date) {
                let at = |hour: &i8, minute: &i8| {
                    let time = Time::new(*hour, *minute, 0, 0).ok()?;
                    Some(date.to_datetime(time).to_zoned(self.zone.clone()).ok()?.timestamp())
                };
                let runs = self.hours.iter().rev().flat_map(|h| self.minutes.iter().rev().map(move |m| (h, m)));
                let found = runs.filter_map(|(hour, minute)| at(hour, minute)).find(|run| *run <= until);
                if let Some(found) = found {
                    return Some(found).filter(|found| *found > after);
                }
            }
            date = date.checked_sub(1.day()).ok()?;
            if date.to_zoned(self.zone.clone()).ok()?.timestamp() < after && !self.may_be_on(date, after) {
                return None;
            }
        }
        None
    }

    /// Whether the end of a day is after a time.
    fn may_be_on(&self, date: Date, after: Timestamp) -> bool {
        let next = date.checked_add(1.day()).and_then(|next| next.to_zoned(self.zone.clone()));
        next.is_ok_and(|next| next.timestamp() > after)
    }

    fn is_on(&self, date: Date) -> bool {
        let day = self.days.contains(&date.day());
        let weekday = self.weekdays.contains(&date.weekday().to_sunday_zero_offset());
        let on = match self.given {
            (true, true) => day || weekday,
            _ => day && weekday,
        };
        on && self.months.contains(&date.month())
    }
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// `*`, `5`, `1-5`, `*/15`, `10-40/10`, and several of them.
fn field(text: &str, least: i8, most: i8, names: &[&str]) -> Option<BTreeSet<i8>> {
    let number = |text: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(at) => least + i8::try_from(at).ok()?,
            None => text.parse().ok()?,
        };
        (least..=most).contains(&number).then_some(number)
    };
    let mut out = BTreeSet::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<usize>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            // A step from one number on goes to the end.
            None if part.contains('/') => (number(range)?, most),
            None => (number(range)?, number(range)?),
        };
        out.extend((from..=to).step_by(step));
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests;
