//! When a `CronJob` would have run: its schedule, read as its controller reads it.
//!
//! Not here: the macro `@every`, which counts from no fixed time; of that, and of what cannot be read, nothing is told.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, tz::TimeZone};

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    cron: Cron,
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
            "@midnight" => "@daily",
            text => text,
        };
        let zone = match named.or(zone).filter(|zone| !zone.is_empty()) {
            Some(zone) => TimeZone::get(zone).ok()?,
            None => TimeZone::UTC,
        };
        // A step from one number on goes to the end, as the controller has it.
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).sloppy_ranges(true).build();
        Some(Self { cron: parser.parse(text).ok()?, zone })
    }

    /// The newest run after one time and not after another.
    pub(super) fn last(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let last = self.cron.find_previous_occurrence(&until.to_zoned(self.zone.clone()), true).ok()?.timestamp();
        Some(last).filter(|last| *last > after)
    }
}

#[cfg(test)]
mod tests;
