//! T: what a person writes after `--at`, `--since`, `--until` and `--around`.
//!
//! **Words**: a *fold* is a clock time that happens twice, a *hole* one that does not happen, both where a zone
//! changes its clocks.
//!
//! **Invariants.**
//! 1. What is written means one moment or is refused, and the refusal names the moments it could mean: nothing is
//!    guessed in a fold or a hole.
//! 2. The clock and the zone are passed in, so that `14:01` means the same in a test as at night.
//!
//! Not here: which cut a moment is; that needs the journal (`past`).

use hindcast_journal::{
    Error, Moment, Result,
    cut::{At, MAIN},
    parts::Micros,
    point::{Point, Points},
    store::Store,
};
use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, DateTime, Time},
    tz::{AmbiguousOffset, TimeZone},
};

#[cfg(test)]
mod tests;

/// A moment as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum T {
    /// A time, inclusive.
    Time(Micros),
    /// A revision of the main domain, with its incarnation where one was given.
    Rev(u64, Option<u32>),
    /// The revision of the row at a position.
    Pos(u64),
    /// Just below a moment.
    Before(Box<T>),
    /// The newest moment that is closed and durable.
    Now,
    /// The cut of the recovery point of that name.
    Point(String),
}

impl T {
    /// As the journal takes it; with `open`, now is the newest that is durable, closed or not.
    pub fn question(&self, open: bool) -> Result<At> {
        Ok(match self {
            Self::Time(time) => At::Time(*time),
            Self::Rev(rv, incarnation) => At::Rev { rv: *rv, incarnation: *incarnation, domain: None },
            Self::Pos(pos) => At::Pos(*pos),
            Self::Now if open => At::NowOpen,
            Self::Now => At::Now,
            Self::Before(t) => match &**t {
                Self::Time(time) => At::BeforeTime(*time),
                Self::Pos(pos) => At::BeforePos(*pos),
                Self::Rev(rv, incarnation) => {
                    At::Rev { rv: rv.saturating_sub(1), incarnation: *incarnation, domain: None }
                }
                Self::Now | Self::Before(_) | Self::Point(_) => {
                    return Err(Error::invalid("before:", "stands before a time, rev:N or pos:N"));
                }
            },
            Self::Point(name) => return Err(Error::invalid(format!("point:{name}"), "was not looked up")),
        })
    }

    /// With the cut of a recovery point in the place of its name; and that point.
    pub async fn settled(&self, store: &Store) -> Result<(Self, Option<Point>)> {
        let (name, before) = match self {
            Self::Point(name) => (name, false),
            Self::Before(t) => match &**t {
                Self::Point(name) => (name, true),
                _ => return Ok((self.clone(), None)),
            },
            _ => return Ok((self.clone(), None)),
        };
        let point = Points::new(store).named(name).await?;
        let Some(main) = point.cut().domains.get(MAIN).copied() else {
            return Err(Error::invalid(format!("point:{name}"), "has no closed cut"));
        };
        let cut = Self::Rev(main.rv, Some(main.incarnation));
        Ok((if before { Self::Before(Box::new(cut)) } else { cut }, Some(point)))
    }

    /// As it can be asked again at any time and means the same.
    pub fn again(&self, moment: &Moment) -> String {
        let main = moment.cut.domains.get(MAIN).copied();
        match self {
            Self::Time(time) => rfc3339(*time),
            Self::Rev(rv, incarnation) => {
                format!("rev:{rv}@{}", incarnation.or(main.map(|p| p.incarnation)).unwrap_or(0))
            }
            Self::Pos(pos) => format!("pos:{pos}"),
            // A point may be deleted; its cut stays what it is.
            Self::Now | Self::Point(_) => format!("rev:{}@{}", moment.cut.rev(), main.map_or(0, |p| p.incarnation)),
            Self::Before(t) => format!("before:{}", t.again(moment)),
        }
    }
}

/// What a moment is written against.
#[derive(Debug, Clone)]
pub struct Wall {
    /// The time.
    pub now: Timestamp,
    /// The zone of times without one.
    pub zone: TimeZone,
}

impl Wall {
    /// A wall clock in the zone of that name, or in the machine's own.
    pub fn new(now: Micros, zone: Option<&str>) -> Result<Self> {
        let now = Timestamp::from_microsecond(now).map_err(|e| Error::invalid("the machine's clock", e.to_string()))?;
        let zone = match zone {
            None => TimeZone::system(),
            Some(name) => TimeZone::get(name).map_err(|_| {
                Error::invalid(format!("time zone {name}"), "not a zone this machine knows")
                    .with_hint("a name is as in the zone database: UTC, Europe/Berlin, America/New_York")
            })?,
        };
        Ok(Self { now, zone })
    }

    /// A time as it is shown: milliseconds (more where there is more) and the offset.
    pub fn show(&self, time: Micros) -> String {
        let Ok(time) = Timestamp::from_microsecond(time) else { return format!("{time} µs") };
        let digits = if time.subsec_microsecond() % 1000 == 0 { "%.3f" } else { "%.6f" };
        time.to_zoned(self.zone.clone()).strftime(&format!("%Y-%m-%d %H:%M:%S{digits}%:z")).to_string()
    }

    /// A time to the millisecond, where it is read and not given as T.
    pub fn show_millis(&self, time: Micros) -> String {
        self.show(time - time.rem_euclid(1000))
    }

    /// A time of a change as a list shows it: without the offset, and rounded *up* to the millisecond, so that
    /// the printed time, given as T, includes the change.
    pub fn show_change(&self, time: Micros) -> String {
        let millis = time.div_euclid(1000) + i64::from(time.rem_euclid(1000) != 0);
        let Ok(time) = Timestamp::from_millisecond(millis) else { return format!("{time} µs") };
        time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
    }

    /// The name of the zone, for headings.
    pub fn zone_name(&self) -> String {
        self.zone
            .iana_name()
            .map_or_else(|| self.now.to_zoned(self.zone.clone()).strftime("%:z").to_string(), str::to_owned)
    }
}

/// RFC 3339 in UTC, as JSON has it.
pub fn rfc3339(time: Micros) -> String {
    Timestamp::from_microsecond(time).map_or_else(|_| time.to_string(), |t| format!("{t:.6}"))
}

/// Reads a moment.
pub fn parse(text: &str, wall: &Wall) -> Result<T> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("before:") {
        if rest.trim().is_empty() || rest.trim().starts_with("before:") {
            return Err(malformed(text, "behind `before:` stands one of the other forms"));
        }
        return Ok(T::Before(Box::new(parse(rest, wall)?)));
    }
    if let Some(rest) = text.strip_prefix("rev:") {
        let (revision, incarnation) = match rest.split_once('@') {
            None => (rest, None),
            Some((revision, incarnation)) => (revision, Some(number(text, incarnation, "an incarnation")?)),
        };
        return Ok(T::Rev(number(text, revision, "a revision")?, incarnation));
    }
    if let Some(rest) = text.strip_prefix("pos:") {
        return Ok(T::Pos(number(text, rest, "a position")?));
    }
    if let Some(name) = text.strip_prefix("point:") {
        if name.trim().is_empty() {
            return Err(malformed(text, "behind `point:` stands the name of a recovery point, or `latest`"));
        }
        return Ok(T::Point(name.trim().to_owned()));
    }
    if text == "now" {
        return Ok(T::Now);
    }
    time(text, wall).map(|time| T::Time(time.as_microsecond()))
}

fn number<N: std::str::FromStr>(whole: &str, digits: &str, what: &str) -> Result<N> {
    // `parse` alone would also take a sign.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(malformed(whole, &format!("{what} is a whole number")));
    }
    digits.parse().map_err(|_| malformed(whole, &format!("{what} is too large a number")))
}

fn malformed(text: &str, reason: &str) -> Error {
    Error::invalid(format!("time `{text}`"), reason).with_hint(
        "T is 14:01, 14:01:30.250, \"yesterday 22:00\", \"2026-11-01 14:01\", 2026-11-01T14:01:00Z, 5m, \
         \"2h30m ago\", now, rev:N[@I], pos:N, point:NAME, or before:T",
    )
}

fn time(text: &str, wall: &Wall) -> Result<Timestamp> {
    if let Some(span) = ago(text)? {
        return wall
            .now
            .checked_sub(jiff::SignedDuration::from_micros(span))
            .map_err(|_| malformed(text, "longer ago than time is counted"));
    }
    let today = wall.now.to_zoned(wall.zone.clone()).date();
    if let Some(rest) = text.strip_prefix("yesterday") {
        let clock = clock(rest.trim())
            .ok_or_else(|| malformed(text, "`yesterday` needs a clock time, as in \"yesterday 22:00\""))?;
        let day = today.checked_sub(1.day()).map_err(|_| malformed(text, "out of range"))?;
        return civil(day.to_datetime(clock), wall);
    }
    if let Some(clock) = clock(text) {
        return latest(today, clock, wall);
    }
    dated(text, wall)
}

/// The latest such clock time that is not in the future.
fn latest(today: Date, clock: Time, wall: &Wall) -> Result<Timestamp> {
    let at = today.to_datetime(clock);
    let first = match wall.zone.to_ambiguous_timestamp(at).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(at),
        // The first moment that the time may mean decides whether today's is meant at all.
        AmbiguousOffset::Gap { after, .. } => after.to_timestamp(at),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(at),
    };
    if first.is_ok_and(|first| first <= wall.now) {
        return civil(at, wall);
    }
    let day = today.checked_sub(1.day()).map_err(|e| malformed(&at.to_string(), &e.to_string()))?;
    civil(day.to_datetime(clock), wall)
}

/// `YYYY-MM-DD`, with a clock time, with an offset.
fn dated(text: &str, wall: &Wall) -> Result<Timestamp> {
    let (day, rest) = match text.get(10..) {
        Some(rest) if text.is_char_boundary(10) => (text.get(..10).unwrap_or_default(), rest),
        _ => return Err(malformed(text, "not a time")),
    };
    let day = date(day).ok_or_else(|| malformed(text, "not a time"))?;
    let day = day.map_err(|reason| malformed(text, &reason))?;
    let Some(rest) = rest.strip_prefix(['T', 't', ' ']) else {
        return if rest.is_empty() {
            civil(day.to_datetime(Time::midnight()), wall)
        } else {
            Err(malformed(text, "after the date stands `T` or a space, then the clock time"))
        };
    };
    let end = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(end);
    let time = clock(time.trim_end())
        .ok_or_else(|| malformed(text, "the clock time is HH:MM, HH:MM:SS or HH:MM:SS.fff, up to 23:59:59"))?;
    let at = day.to_datetime(time);
    if zone.is_empty() {
        return civil(at, wall);
    }
    offset(zone)
        .and_then(|offset| offset.to_timestamp(at).ok())
        .ok_or_else(|| malformed(text, "the offset is Z, +HH:MM or -HH:MM"))
}

/// The moment of a civil time in the zone, if there is exactly one.
fn civil(at: DateTime, wall: &Wall) -> Result<Timestamp> {
    let zone = wall.zone_name();
    let (before, after, fold) = match wall.zone.to_ambiguous_timestamp(at).offset() {
        AmbiguousOffset::Unambiguous { offset } => {
            return offset.to_timestamp(at).map_err(|_| malformed(&at.to_string(), "out of range"));
        }
        AmbiguousOffset::Fold { before, after } => (before, after, true),
        AmbiguousOffset::Gap { before, after } => (before, after, false),
    };
    // In a hole each offset gives a moment on the other side of it, which is written in the offset in force there.
    let spell = |offset: jiff::tz::Offset| {
        offset.to_timestamp(at).map_or_else(
            |_| at.to_string(),
            |moment| moment.to_zoned(wall.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string(),
        )
    };
    let (first, second) = if fold { (spell(before), spell(after)) } else { (spell(after), spell(before)) };
    let clock = at.strftime("%Y-%m-%d %H:%M:%S%.f");
    Err(if fold {
        Error::invalid(format!("time {clock}"), format!("happens twice in {zone}, where the clocks go back"))
            .with_hint(format!("write {first} (the first) or {second} (the second)"))
    } else {
        Error::invalid(
            format!("time {clock}"),
            format!("does not happen in {zone}, where the clocks go forward over it"),
        )
        .with_hint(format!("write {first} (before the change) or {second} (after it)"))
    })
}

/// Exactly `width` digits.
fn digits(text: &str, width: usize) -> Option<i32> {
    (text.len() == width && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// `YYYY-MM-DD`: nothing if it has not that shape, an error if there is no such day.
fn date(text: &str) -> Option<Result<Date, String>> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    if parts.next().is_some() {
        return None;
    }
    Some(Date::new(year as i16, month as i8, day as i8).map_err(|_| "no such day in the calendar".to_owned()))
}

/// `HH:MM[:SS[.fff]]`; an hour may have one digit.
fn clock(text: &str) -> Option<Time> {
    let (hour, rest) = text.split_once(':')?;
    let hour = digits(hour, 2).or_else(|| digits(hour, 1))?;
    let (minute, second) = match rest.split_once(':') {
        None => (rest, "00"),
        Some((minute, second)) => (minute, second),
    };
    let (second, fraction) = match second.split_once('.') {
        None => (second, None),
        Some((second, fraction)) => (second, Some(fraction)),
    };
    let nanos = match fraction {
        None => 0,
        Some(fraction) => {
            if fraction.is_empty() || fraction.len() > 9 {
                return None;
            }
            digits(&format!("{fraction:0<9}"), 9)?
        }
    };
    let (minute, second) = (digits(minute, 2)?, digits(second, 2)?);
    Time::new(hour as i8, minute as i8, second as i8, nanos).ok()
}

/// `Z`, `+HH:MM` or `-HH:MM`.
fn offset(text: &str) -> Option<jiff::tz::Offset> {
    if matches!(text, "Z" | "z") {
        return Some(jiff::tz::Offset::UTC);
    }
    let (sign, rest) = text.split_at_checked(1)?;
    let sign = match sign {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    jiff::tz::Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// `5m`, `2h30m ago`, in microseconds: nothing if it has not that shape. A day is 24 hours, whatever the clocks did.
fn ago(text: &str) -> Result<Option<i64>> {
    let span = text.strip_suffix("ago").map_or(text, str::trim_end);
    match duration(span) {
        Some(micros) => Ok(Some(micros)),
        None if span.len() != text.len() => Err(malformed(text, "before `ago` stands a duration, as in 2h30m")),
        None => Ok(None),
    }
}

/// A duration of whole numbers with units, each unit once and the larger first: `1d2h`, `2h30m`, `90s`, `250ms`.
pub fn duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 6] = [
        ("w", 604_800_000_000),
        ("d", 86_400_000_000),
        ("h", 3_600_000_000),
        ("m", 60_000_000),
        ("s", 1_000_000),
        ("ms", 1_000),
    ];
    let mut rest = text;
    let (mut total, mut next) = (0_i64, 0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (count, tail) = rest.split_at(end);
        let end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let at = UNITS.iter().position(|(name, _)| *name == unit)?;
        if at < next {
            return None;
        }
        let (_, micros) = UNITS.get(at)?;
        total = total.checked_add(count.parse::<i64>().ok()?.checked_mul(*micros)?)?;
        (rest, next) = (tail.trim_start(), at + 1);
    }
    (next > 0).then_some(total)
}
