//! What a schedule's points are called.
//!
//! **Invariants.** (1) A name is a label as of RFC 1123, so that it may stand in an object's name, in a label, and in a cloud's tag. (2) It
//! says the moment at which the run was due, so that the same run has the same name whoever makes it, and however often. (3) Two
//! schedules whose names differ have points whose names differ: what is changed to fit is told apart by a hash.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use xxhash_rust::xxh3::xxh3_64;

/// How long a name may be.
const LIMIT: usize = 63;

/// How long the moment is, with its dash, and the hash with its own.
const MOMENT: usize = 15;
const HASH: usize = 9;

/// The name of the point of a schedule that is due at a moment: `nightly-20261101023000`, in UTC.
pub fn point_name(schedule: &str, due: Timestamp) -> String {
    let moment = due.to_zoned(TimeZone::UTC).strftime("%Y%m%d%H%M%S").to_string();
    format!("{}-{moment}", label(schedule, LIMIT - MOMENT))
}

/// The moment at which the run was due that a point is named after; nothing for a name that was given in another way.
pub fn point_due(name: &str) -> Option<Timestamp> {
    let (_, moment) = name.rsplit_once('-')?;
    let digits = moment.len() == MOMENT - 1 && moment.bytes().all(|b| b.is_ascii_digit());
    let due = digits.then(|| DateTime::strptime("%Y%m%d%H%M%S", moment).ok())??;
    due.to_zoned(TimeZone::UTC).ok().map(|due| due.timestamp())
}

/// A name as a label of at most so many characters.
fn label(name: &str, limit: usize) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.len() <= limit && name.chars().all(fits) && name.starts_with(ends) && name.ends_with(ends) {
        return name.to_owned();
    }
    let kept = |c: char| if fits(c.to_ascii_lowercase()) { c.to_ascii_lowercase() } else { '-' };
    let text: String = name.chars().map(kept).take(limit - HASH).collect();
    let hash = xxh3_64(name.as_bytes()) >> 32;
    let text = text.trim_matches('-');
    if text.is_empty() { format!("s-{hash:08x}") } else { format!("{text}-{hash:08x}") }
}
