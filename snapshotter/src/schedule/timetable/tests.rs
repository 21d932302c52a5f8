//! Timetables against a year of minutes, each of which is asked whether the clock shows a time of the expression.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

use super::Timetable;

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn timetable(text: &str, zone: &str) -> Timetable {
    Timetable::parse(text, Some(zone), time("2026-01-01T00:00:00Z")).expect("a schedule")
}

/// An expression as the oracle reads it: sets, and whether each of the two days is given.
struct Naive {
    sets: Vec<BTreeSet<i64>>,
    day_given: bool,
    weekday_given: bool,
}

impl Naive {
    /// Numbers, ranges, steps and lists only: names and macros are tested by hand.
    fn new(expression: &str) -> Self {
        let bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
        let fields: Vec<&str> = expression.split(' ').collect();
        let set = |(field, (least, most)): (&&str, (i64, i64))| {
            let mut out = BTreeSet::new();
            for part in field.split(',') {
                let (range, step) = part.split_once('/').unwrap_or((part, "1"));
                let (from, to) = match range.split_once('-') {
                    _ if range == "*" => (least, most),
                    Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
                    None => (range.parse().unwrap(), range.parse().unwrap()),
                };
                let step: i64 = step.parse().unwrap();
                out.extend((from..=to).filter(|n| (n - from) % step == 0));
            }
            out
        };
        let sets = fields.iter().zip(bounds).map(set).collect();
        Self { sets, day_given: fields[2] != "*", weekday_given: fields[4] != "*" }
    }

    fn shows(&self, wall: DateTime) -> bool {
        let weekday = i64::from(wall.weekday().to_sunday_zero_offset());
        let has = |at: usize, n: i64| self.sets[at].contains(&n);
        let (day, weekday) = (has(2, i64::from(wall.day())), has(4, weekday));
        let on = if self.day_given && self.weekday_given { day || weekday } else { day && weekday };
        on && has(3, i64::from(wall.month())) && has(1, i64::from(wall.hour())) && has(0, i64::from(wall.minute()))
    }

    /// Every minute at which it is due: the clock is looked at each minute, and the rule is told in terms of what it has
    /// shown so far.
    fn due(&self, clock: &Clock) -> Vec<Timestamp> {
        let spaced = self.sets[1].len() == 24;
        let mut out = Vec::new();
        let mut shown = clock.before;
        for (now, wall) in &clock.minutes {
            let due = if spaced {
                self.shows(*wall)
            } else {
                // All that the clock has not shown before, with what it has left out.
                let after = |shown: &DateTime| shown.checked_add(MINUTE).ok().filter(|next| next <= wall);
                std::iter::successors(after(&shown), after).any(|wall| self.shows(wall))
            };
            if due {
                out.push(*now);
            }
            shown = shown.max(*wall);
        }
        out
    }
}

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// What a clock on the wall shows at each minute.
struct Clock {
    /// What it showed a minute before the first of them.
    before: DateTime,
    minutes: Vec<(Timestamp, DateTime)>,
}

impl Clock {
    fn new(zone: &str, from: Timestamp, to: Timestamp) -> Self {
        let zone = TimeZone::get(zone).expect("a zone");
        let minutes = std::iter::successors(Some(from), |now| now.checked_add(MINUTE).ok()).take_while(|now| *now < to);
        let before = zone.to_datetime(from.checked_sub(MINUTE).unwrap());
        Self { before, minutes: minutes.map(|now| (now, zone.to_datetime(now))).collect() }
    }
}

const ZONES: [&str; 4] = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"];

const EXPRESSIONS: [&str; 22] = [
    "* * * * *",
    "*/15 * * * *",
    "0 * * * *",
    "30 * * * *",
    "7,37 * * * 1-5",
    "0 0 * * *",
    "0 2 * * *",
    "15 2 * * *",
    "30 2 * * *",
    "45 1 * * *",
    "0 3 * * *",
    "0 1,2,3 * * *",
    "30 2,14 * * *",
    "*/10 1-5 * * *",
    "*/20 2 * * *",
    "0 */2 * * *",
    "15 */6 * * 0",
    "0 2 29 2 *",
    "30 2 1 * 0",
    "0 2 1-7 3,4,10,11 *",
    "59 23 31 12 *",
    "5-50/15 2-3 * 3,10 0",
];

#[test]
fn every_minute_of_a_year_is_due_or_not_as_a_clock_on_the_wall_says() {
    // A leap year, and in Lord Howe half an hour is skipped and repeated.
    let (from, to) = (time("2028-01-01T00:00:00Z"), time("2029-01-01T00:00:00Z"));
    for zone in ZONES {
        let clock = Clock::new(zone, from, to);
        for expression in EXPRESSIONS {
            if expression == "* * * * *" && zone != "Australia/Lord_Howe" {
                // Half a million runs take their time; the others are asked of those around the changes below.
                continue;
            }
            let expected = Naive::new(expression).due(&clock);
            let table = timetable(expression, zone);
            let just_before = from.checked_sub(SignedDuration::from_secs(1)).unwrap();
            let forward: Vec<Timestamp> = std::iter::successors(table.next(just_before), |at| table.next(*at))
                .take_while(|at| *at < to)
                .collect();
            assert_eq!(forward, expected, "{expression} in {zone}, forward");
            let just_within = to.checked_sub(SignedDuration::from_millis(1)).unwrap();
            let back = |until: Timestamp| table.last(just_before, until);
            let previous = |at: &Timestamp| back(at.checked_sub(SignedDuration::from_nanos(1)).ok()?);
            let mut backward: Vec<Timestamp> = std::iter::successors(back(just_within), previous).collect();
            backward.reverse();
            assert_eq!(backward, expected, "{expression} in {zone}, backward");
        }
    }
}

#[test]
fn from_any_moment_the_next_and_the_last_are_neighbours() {
    let (from, to) = (time("2028-03-25T00:00:00Z"), time("2028-04-08T00:00:00Z"));
    for zone in ZONES {
        let clock = Clock::new(zone, from, to);
        for expression in EXPRESSIONS {
            let due = Naive::new(expression).due(&clock);
            let table = timetable(expression, zone);
            // Steps that fall on no round minute, too.
            let mut now = from;
            while now < to {
                let at = due.partition_point(|at| *at <= now);
                let last = at.checked_sub(1).and_then(|at| due.get(at));
                assert_eq!(
                    table.last(from.checked_sub(SignedDuration::from_nanos(1)).unwrap(), now),
                    last.copied(),
                    "{expression} in {zone} until {now}"
                );
                if let Some(next) = due.get(at) {
                    assert_eq!(table.next(now), Some(*next), "{expression} in {zone} after {now}");
                }
                now = now.checked_add(SignedDuration::from_millis(601_500)).unwrap();
            }
        }
    }
}

fn some(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let table = timetable(text, zone);
    std::iter::successors(table.next(time(after)), |at| table.next(*at)).take(count).map(|at| at.to_string()).collect()
}

#[test]
fn both_changes_of_the_clock_by_hand() {
    // Berlin: 29 March 2026 02:00 → 03:00 at 01:00Z; 25 October 03:00 → 02:00 at 01:00Z.
    let spring = "2026-03-28T12:00:00Z";
    assert_eq!(some("30 2 * * *", "Europe/Berlin", spring, 2), ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    // Both hours of the gap, and the one behind it, are one run.
    assert_eq!(
        some("0,30 2,3 * * *", "Europe/Berlin", spring, 3),
        ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:00:00Z"]
    );
    let autumn = "2026-10-24T12:00:00Z";
    assert_eq!(some("30 2 * * *", "Europe/Berlin", autumn, 2), ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    assert_eq!(
        some("30 * * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", 4),
        ["2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]
    );
    assert_eq!(
        some("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2),
        ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"]
    );
    // Lord Howe: 4 October 2026 02:00 → 02:30 at 15:30Z of the third.
    assert_eq!(some("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 1), ["2026-10-03T15:30:00Z"]);
    // Cairo: 24 April 2026 00:00 → 01:00: the day begins an hour late, and its run with it.
    assert_eq!(some("@daily", "Africa/Cairo", "2026-04-23T12:00:00Z", 1), ["2026-04-23T22:00:00Z"]);
    // Samoa had no 30 December 2011 at all.
    assert_eq!(some("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", 1), ["2011-12-30T10:00:00Z"]);
}

#[test]
fn every_form_that_velero_takes_is_taken() {
    let after = "2026-01-01T00:30:00Z";
    let cases = [
        ("@hourly", "2026-01-01T01:00:00Z"),
        ("@daily", "2026-01-02T00:00:00Z"),
        ("@midnight", "2026-01-02T00:00:00Z"),
        ("@weekly", "2026-01-04T00:00:00Z"),
        ("@monthly", "2026-02-01T00:00:00Z"),
        ("@yearly", "2027-01-01T00:00:00Z"),
        ("@annually", "2027-01-01T00:00:00Z"),
        ("@every 1h30m", "2026-01-01T01:30:00Z"),
        ("@every 1.5h", "2026-01-01T01:30:00Z"),
        ("@every 90m0s", "2026-01-01T01:30:00Z"),
        ("  0 9 * JAN mon-FRI ", "2026-01-01T09:00:00Z"),
        ("0 9 ? * 7", "2026-01-04T09:00:00Z"),
        ("10/20 * * * *", "2026-01-01T00:50:00Z"),
        ("0 0 L * *", "2026-01-31T00:00:00Z"),
    ];
    for (text, expected) in cases {
        assert_eq!(some(text, "UTC", after, 1), [expected], "{text}");
    }
    for text in ["CRON_TZ=Asia/Tokyo 0 9 * * *", "TZ=Asia/Tokyo 0 9 * * *", "CRON_TZ=Asia/Tokyo  @every 30m"] {
        let made = time("2025-12-31T23:30:00Z");
        for beside in [None, Some(""), Some("Asia/Tokyo")] {
            let table = Timetable::parse(text, beside, made).expect("a schedule");
            assert_eq!(table.next(made), Some(time("2026-01-01T00:00:00Z")), "{text} beside {beside:?}");
        }
    }
}

#[test]
fn an_interval_counts_from_when_the_schedule_was_made_whatever_the_clock_does() {
    let made = time("2026-03-28T22:40:30.750Z");
    let table = Timetable::parse("@every 1h", Some("Europe/Berlin"), made).expect("a schedule");
    assert_eq!(table.next(made), Some(time("2026-03-28T23:40:30Z")));
    assert_eq!(
        table.next(time("2020-01-01T00:00:00Z")),
        Some(time("2026-03-28T23:40:30Z")),
        "nothing before it was made"
    );
    assert_eq!(table.last(Timestamp::MIN, time("2026-03-28T23:40:29Z")), None);
    let all: Vec<Timestamp> = std::iter::successors(table.next(made), |at| table.next(*at)).take(500).collect();
    assert!(all.windows(2).all(|pair| pair[1].duration_since(pair[0]).as_secs() == 3600));
    assert!(all.iter().all(|at| table.last(Timestamp::MIN, *at) == Some(*at)));
}

#[test]
fn what_is_no_schedule_says_which_field_why_and_what_to_do() {
    let made = Timestamp::UNIX_EPOCH;
    let cases = [
        ("", None, "schedule", "it is empty"),
        ("* * *", None, "schedule", "it has 3 fields"),
        ("daily", None, "schedule", "it has 1 field"),
        ("0 0 2 * * *", None, "schedule", "it has 6 fields; nothing runs more often than each minute"),
        ("61 * * * *", None, "schedule", "its minute \"61\" is not to be read"),
        ("0 24 * * *", None, "schedule", "its hour \"24\" is not to be read"),
        ("0 0 0 * *", None, "schedule", "its day of month \"0\" is not to be read"),
        ("0 0 * 13 *", None, "schedule", "its month \"13\" is not to be read"),
        ("0 0 * * blu", None, "schedule", "its day of week \"blu\" is not to be read"),
        ("*/0 * * * *", None, "schedule", "its minute \"*/0\" is not to be read"),
        ("0 5-2 * * *", None, "schedule", "its hour \"5-2\" is not to be read"),
        ("0 0 30 2 *", None, "schedule", "it never comes: no month has that day"),
        ("0 0 31 4,6 *", None, "schedule", "it never comes: no month has that day"),
        ("@reboot", None, "schedule", "there is no form @reboot"),
        ("@every", None, "schedule", "behind @every stands no duration"),
        ("@every 5", None, "schedule", "behind @every stands no duration"),
        ("@every 1h30", None, "schedule", "behind @every stands no duration"),
        ("@every 30s", None, "schedule", "nothing runs more often than each minute"),
        ("@every 59.9s", None, "schedule", "nothing runs more often than each minute"),
        ("@every 9999999h", None, "schedule", "it is longer than a century"),
        ("CRON_TZ=Europe/Berlin", None, "schedule", "behind the time zone stands no time"),
        (
            "* * * * *",
            Some("Mars/Olympus"),
            "timeZone",
            "there is no time zone \"Mars/Olympus\" in the time zone database",
        ),
        (
            "TZ=Mars/Olympus @daily",
            None,
            "schedule",
            "there is no time zone \"Mars/Olympus\" in the time zone database",
        ),
        (
            "CRON_TZ=Europe/Berlin @daily",
            Some("UTC"),
            "schedule",
            "the schedule itself names the time zone \"Europe/Berlin\", and timeZone \"UTC\"",
        ),
    ];
    for (text, zone, field, reason) in cases {
        let wrong = Timetable::parse(text, zone, made).expect_err(text);
        assert_eq!((wrong.field, wrong.reason.as_str()), (field, reason), "{text}");
        assert!(!wrong.remedy.is_empty(), "{text}");
    }
}
