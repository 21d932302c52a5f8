//! Schedules against times that were written down by hand.

use jiff::Timestamp;

use super::Schedule;

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn last(schedule: &str, zone: Option<&str>, after: &str, until: &str) -> Option<String> {
    let schedule = Schedule::parse(schedule, zone).expect("a schedule");
    schedule.last(time(after), time(until)).map(|run| run.to_string())
}

#[test]
fn the_newest_missed_run_is_found() {
    let (after, until) = ("2026-01-05T10:30:00Z", "2026-01-07T09:10:00Z");
    let cases = [
        ("*/15 * * * *", None, Some("2026-01-07T09:00:00Z")),
        ("30 2 * * *", None, Some("2026-01-07T02:30:00Z")),
        ("30 10 * * *", None, Some("2026-01-06T10:30:00Z")),
        ("@daily", Some("America/New_York"), Some("2026-01-07T05:00:00Z")),
        ("TZ=Asia/Tokyo 0 9 * * mon-fri", None, Some("2026-01-07T00:00:00Z")),
        // A Monday; and it is a Wednesday.
        ("0 12 * * 1", None, Some("2026-01-05T12:00:00Z")),
        ("0 0 1 1 *", None, None),
        ("0 10 5 * *", None, None),
        // Either day will do where both are given.
        ("0 12 6 * 1", None, Some("2026-01-06T12:00:00Z")),
        ("5-10/5,50 8 * JAN *", None, Some("2026-01-07T08:50:00Z")),
    ];
    for (schedule, zone, expected) in cases {
        assert_eq!(last(schedule, zone, after, until).as_deref(), expected, "{schedule}");
    }
    assert_eq!(last("@yearly", None, "2024-05-01T00:00:00Z", until).as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(last("0 0 29 2 *", None, "2023-01-01T00:00:00Z", until).as_deref(), Some("2024-02-29T00:00:00Z"));
}

#[test]
fn what_cannot_be_read_is_no_schedule() {
    for text in ["", "* * * *", "61 * * * *", "@every 5m", "* * * * blu", "*/0 * * * *"] {
        assert_eq!(Schedule::parse(text, None), None, "{text}");
    }
    assert_eq!(Schedule::parse("* * * * *", Some("Nowhere/At_All")), None);
}
