//! Decisions: one by one by hand, and for a whole year in which they are all that happens.

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{Action, Decision, Overlap, Schedule, Settings, Skipped, decide, point_name};

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

fn hourly() -> Settings {
    Settings { schedule: "@hourly".to_owned(), ..Settings::default() }
}

const MADE: &str = "2026-01-01T00:10:00Z";

fn schedule(settings: &Settings) -> Schedule {
    Schedule::new("nightly", settings, time(MADE), None).expect("a schedule")
}

fn run(due: &str, missed: usize) -> Action {
    let due = time(due);
    Action::Run { due, point: point_name("nightly", due), missed }
}

fn ask(settings: &Settings, last: Option<&str>, running: &[&str], now: &str) -> Decision {
    let running: Vec<String> = running.iter().map(ToString::to_string).collect();
    decide(&schedule(settings), last.map(time), &running, time(now))
}

#[test]
fn a_run_is_due_once_and_then_not_until_the_next() {
    let before = ask(&hourly(), None, &[], "2026-01-01T00:59:59.999Z");
    assert_eq!(before, Decision { action: Action::Idle, wake: Some(time("2026-01-01T01:00:00Z")) });
    let at = ask(&hourly(), None, &[], "2026-01-01T01:00:00Z");
    assert_eq!(at, Decision { action: run("2026-01-01T01:00:00Z", 0), wake: Some(time("2026-01-01T02:00:00Z")) });
    let done = ask(&hourly(), Some("2026-01-01T01:00:00Z"), &[], "2026-01-01T01:00:00Z");
    assert_eq!(done, Decision { action: Action::Idle, wake: Some(time("2026-01-01T02:00:00Z")) });
    // A clock that was put back runs nothing again.
    let back = ask(&hourly(), Some("2026-01-01T05:00:00Z"), &[], "2026-01-01T03:30:00Z");
    assert_eq!(back, Decision { action: Action::Idle, wake: Some(time("2026-01-01T06:00:00Z")) });
}

#[test]
fn of_missed_runs_the_newest_is_caught_up_within_the_deadline() {
    let missed = ask(&hourly(), Some("2026-01-01T01:00:00Z"), &[], "2026-01-01T05:20:00Z");
    assert_eq!(missed.action, run("2026-01-01T05:00:00Z", 3));
    assert_eq!(
        missed.action.to_string(),
        "makes nightly-20260101050000, due 2026-01-01T05:00:00Z; 3 before it were missed and are not made up"
    );
    let many = ask(&hourly(), Some("2026-01-01T01:00:00Z"), &[], "2026-11-01T05:20:00Z");
    assert_eq!(many.action, run("2026-11-01T05:00:00Z", 100));
    assert!(many.action.to_string().contains("100 or more before it"));

    let strict = Settings { starting_deadline: Some(minutes(15)), ..hourly() };
    let just = ask(&strict, None, &[], "2026-01-01T05:15:00Z");
    assert_eq!(just.action, run("2026-01-01T05:00:00Z", 4));
    let late = ask(&strict, None, &[], "2026-01-01T05:20:00Z");
    let reason = Skipped::TooLate(minutes(5));
    assert_eq!(late.action, Action::Skip { due: time("2026-01-01T05:00:00Z"), reason });
    assert_eq!(late.wake, Some(time("2026-01-01T06:00:00Z")));
    assert_eq!(late.action.to_string(), "skips the run due 2026-01-01T05:00:00Z: its starting deadline was 5m ago");
}

#[test]
fn what_comes_due_during_a_run_is_skipped_or_waits_or_runs_beside() {
    let now = "2026-01-01T03:05:00Z";
    let last = Some("2026-01-01T01:00:00Z");
    let with = |overlap| Settings { overlap, starting_deadline: Some(minutes(90)), ..hourly() };
    let running = ["nightly-20260101010000"];
    let due = time("2026-01-01T03:00:00Z");
    let names: Vec<String> = running.iter().map(ToString::to_string).collect();

    let forbid = ask(&with(Overlap::Forbid), last, &running, now).action;
    assert_eq!(forbid, Action::Skip { due, reason: Skipped::Overlap(names.clone()) });
    assert_eq!(
        forbid.to_string(),
        "skips the run due 2026-01-01T03:00:00Z: nightly-20260101010000 is still being made"
    );
    // The two o'clock run gave its place to the newer one; the next one will take this one's.
    let queue = ask(&with(Overlap::Queue), last, &running, now);
    assert_eq!(
        queue,
        Decision { action: Action::Wait { due, running: names }, wake: Some(time("2026-01-01T04:00:00Z")) }
    );
    assert_eq!(ask(&with(Overlap::Queue), last, &[], now).action, run("2026-01-01T03:00:00Z", 1));
    assert_eq!(ask(&with(Overlap::Allow), last, &running, now).action, run("2026-01-01T03:00:00Z", 1));
    // What waits beyond its deadline is skipped, and the clock wakes for that.
    let short = Settings { starting_deadline: Some(minutes(30)), ..with(Overlap::Queue) };
    let wake = ask(&short, last, &running, now).wake.expect("it wakes");
    assert_eq!(wake, time("2026-01-01T03:30:00.001Z"));
    let expired = decide(&schedule(&short), last.map(time), &["x".to_owned()], wake).action;
    assert_eq!(expired, Action::Skip { due, reason: Skipped::TooLate(Duration::from_millis(1)) });
}

#[test]
fn a_paused_schedule_starts_nothing_and_may_skip_what_it_missed() {
    let paused = Settings { paused: true, ..hourly() };
    assert_eq!(ask(&paused, None, &[], "2026-01-01T05:00:00Z"), Decision { action: Action::Paused, wake: None });
    let unpaused = |skip_immediately| {
        let settings = Settings { skip_immediately, ..hourly() };
        let since = Some(time("2026-01-01T05:30:00Z"));
        let schedule = Schedule::new("nightly", &settings, time(MADE), since).expect("a schedule");
        decide(&schedule, Some(time("2026-01-01T01:00:00Z")), &[], time("2026-01-01T05:30:00Z")).action
    };
    assert_eq!(unpaused(false), run("2026-01-01T05:00:00Z", 3));
    assert_eq!(unpaused(true), Action::Idle);
}

#[test]
fn jitter_is_a_schedules_own_and_never_reaches_the_next_run() {
    let due = time("2026-01-01T02:00:00Z");
    let shift = |name: &str, jitter: Duration| {
        let settings = Settings { jitter, ..hourly() };
        let schedule = Schedule::new(name, &settings, time(MADE), None).expect("a schedule");
        schedule.start(due).duration_since(due)
    };
    let names: Vec<String> = (0..200).map(|n| format!("schedule-{n}")).collect();
    let all: Vec<SignedDuration> = names.iter().map(|name| shift(name, minutes(20))).collect();
    assert_eq!(all, names.iter().map(|name| shift(name, minutes(20))).collect::<Vec<_>>(), "always the same");
    assert!(all.iter().all(|shift| !shift.is_negative() && shift.as_mins() <= 20));
    assert!(all.iter().collect::<BTreeSet<_>>().len() > 150, "they are spread");
    assert!(all.iter().any(|shift| shift.as_mins() < 4) && all.iter().any(|shift| shift.as_mins() > 16));
    for name in &names {
        assert!(shift(name, minutes(24 * 60)) < SignedDuration::from_hours(1), "{name}");
        assert_eq!(shift(name, Duration::ZERO), SignedDuration::ZERO);
    }
    // While the newest one waits for its jitter, the one before it is the one to catch up.
    let settings = Settings { jitter: minutes(50), ..hourly() };
    let schedule = schedule(&settings);
    let start = schedule.start(due);
    assert!(start > due, "this name has some");
    let early = start.checked_sub(SignedDuration::from_secs(1)).unwrap();
    let caught_up = Decision { action: run("2026-01-01T01:00:00Z", 0), wake: Some(start) };
    assert_eq!(decide(&schedule, None, &[], early), caught_up);
    let idle = Decision { action: Action::Idle, wake: Some(start) };
    assert_eq!(decide(&schedule, Some(time("2026-01-01T01:00:00Z")), &[], early), idle);
    assert_eq!(
        decide(&schedule, Some(time("2026-01-01T01:00:00Z")), &[], start).action,
        run("2026-01-01T02:00:00Z", 0)
    );
}

#[test]
fn bad_input_names_the_schedule_the_field_the_reason_and_the_remedy() {
    let settings = Settings { schedule: "0 0 30 2 *".to_owned(), ..Settings::default() };
    let error = Schedule::new("nightly", &settings, time(MADE), None).expect_err("there is no such day");
    assert_eq!(error.to_string(), "schedule nightly: schedule \"0 0 30 2 *\": it never comes: no month has that day");
    assert_eq!(error.hint(), Some("give a day that the months have; L is a month's last day"));
}

#[test]
fn points_are_called_by_their_schedule_and_moment() {
    let due = time("2026-11-01T02:30:00Z");
    assert_eq!(point_name("nightly", due), "nightly-20261101023000");
    let long = "a".repeat(48);
    assert_eq!(point_name(&long, due), format!("{long}-20261101023000"), "as long as fits");
    let names = [
        "a".repeat(49),
        "a".repeat(50),
        "b".repeat(253),
        "My.Schedule".into(),
        "my-schedule".into(),
        "-x-".into(),
        "ä".into(),
        String::new(),
    ];
    let points: BTreeSet<String> = names.iter().map(|name| point_name(name, due)).collect();
    assert_eq!(points.len(), names.len(), "names that differ stay apart: {points:?}");
    for point in points {
        assert!(point.len() <= 63, "{point}");
        assert!(point.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{point}");
        assert!(!point.starts_with('-') && point.ends_with("-20261101023000"), "{point}");
    }
}

/// What drives a schedule through a year: the clock goes from wake to wake, points take as long as `takes` says, and the service is
/// down now and then.
struct Year<'t> {
    settings: Settings,
    takes: &'t dyn Fn(Timestamp) -> Duration,
    down: Vec<(Timestamp, Timestamp)>,
}

#[derive(Default)]
struct Story {
    started: Vec<(Timestamp, Timestamp)>,
    skipped: Vec<Timestamp>,
    missed: usize,
    most_at_once: usize,
}

impl Year<'_> {
    fn live(&self) -> Story {
        let (mut now, end) = (time("2026-01-01T00:00:00Z"), time("2027-01-01T00:00:00Z"));
        let schedule = Schedule::new("nightly", &self.settings, now, None).expect("a schedule");
        let mut last = None;
        let mut running: Vec<(Timestamp, String)> = Vec::new();
        let mut story = Story::default();
        while now < end {
            if let Some((_, up)) = self.down.iter().find(|(from, to)| (*from..*to).contains(&now)) {
                now = *up;
            }
            running.retain(|(until, _)| *until > now);
            let names: Vec<String> = running.iter().map(|(_, name)| name.clone()).collect();
            let decision = decide(&schedule, last, &names, now);
            assert!(decision.wake.is_some_and(|wake| wake > now), "the clock goes on: {decision:?} at {now}");
            match decision.action {
                Action::Run { due, point, missed } => {
                    story.started.push((due, now));
                    story.missed += missed;
                    running.push((now.checked_add((self.takes)(due)).unwrap(), point));
                    story.most_at_once = story.most_at_once.max(running.len());
                    last = Some(due);
                    continue;
                }
                Action::Skip { due, .. } => {
                    story.skipped.push(due);
                    last = Some(due);
                    continue;
                }
                Action::Wait { .. } | Action::Idle | Action::Paused => {}
            }
            now = running.iter().map(|(until, _)| *until).chain(decision.wake).min().expect("there is a wake");
        }
        story
    }
}

fn berlin(schedule: &str) -> Settings {
    Settings { schedule: schedule.to_owned(), time_zone: Some("Europe/Berlin".to_owned()), ..Settings::default() }
}

fn distinct(moments: impl Iterator<Item = Timestamp>) -> usize {
    moments.collect::<BTreeSet<_>>().len()
}

#[test]
fn a_year_of_nights_has_a_run_each_through_both_changes_of_the_clock() {
    let story = Year { settings: berlin("30 2 * * *"), takes: &|_| minutes(40), down: Vec::new() }.live();
    assert_eq!(story.started.len(), 365);
    assert!(story.started.iter().all(|(due, at)| due == at), "each at its time");
    assert_eq!((story.missed, story.skipped.len(), story.most_at_once), (0, 0, 1));
    let gaps: Vec<i64> = story.started.windows(2).map(|w| w[1].0.duration_since(w[0].0).as_mins()).collect();
    let odd: Vec<i64> = gaps.into_iter().filter(|gap| *gap != 24 * 60).collect();
    // To 03:00 of the spring day, which is 23.5 hours on, to 02:30 of the next, and the long day of autumn.
    assert_eq!(odd, [23 * 60 + 30, 23 * 60 + 30, 25 * 60]);
}

#[test]
fn a_year_of_quarters_keeps_its_spacing() {
    let story = Year { settings: berlin("*/15 * * * *"), takes: &|_| minutes(3), down: Vec::new() }.live();
    // The year's first midnight is when the schedule was made.
    assert_eq!(story.started.len(), 365 * 96 - 1);
    assert!(story.started.windows(2).all(|w| w[1].0.duration_since(w[0].0).as_mins() == 15));
}

#[test]
fn a_year_with_outages_catches_each_up_once() {
    let down = vec![
        // Over the spring change: the run of the night is late.
        (time("2026-03-29T00:30:00Z"), time("2026-03-29T05:00:00Z")),
        // Ten days, then over the autumn change.
        (time("2026-06-01T12:00:00Z"), time("2026-06-11T12:00:00Z")),
        (time("2026-10-24T23:00:00Z"), time("2026-10-25T03:00:00Z")),
    ];
    let takes = &|_: Timestamp| minutes(20);
    let story = Year { settings: berlin("30 2 * * *"), takes, down: down.clone() }.live();
    let late: Vec<_> =
        story.started.iter().filter(|(due, at)| due != at).map(|(due, at)| (due.to_string(), at.to_string())).collect();
    let pair = |due: &str, at: &str| (due.to_owned(), at.to_owned());
    assert_eq!(
        late,
        [
            pair("2026-03-29T01:00:00Z", "2026-03-29T05:00:00Z"),
            pair("2026-06-11T00:30:00Z", "2026-06-11T12:00:00Z"),
            pair("2026-10-25T00:30:00Z", "2026-10-25T03:00:00Z"),
        ]
    );
    assert_eq!((story.started.len(), story.missed), (365 - 9, 9));

    let settings = Settings { starting_deadline: Some(Duration::from_hours(6)), ..berlin("30 2 * * *") };
    let strict = Year { settings, takes, down }.live();
    assert_eq!(strict.skipped, [time("2026-06-11T00:30:00Z")], "eleven hours are too late, four are not");
    assert_eq!(strict.started.len(), 365 - 10);
}

#[test]
fn a_year_of_overlaps_by_each_policy() {
    // Every Sunday at noon a point takes three and a half hours; all others ten minutes.
    let is_slow = |due: Timestamp| due.as_second().rem_euclid(7 * 86400) == 3 * 86400 + 12 * 3600;
    let takes = &|due: Timestamp| if is_slow(due) { minutes(210) } else { minutes(10) };
    let story = |overlap| {
        let settings = Settings { overlap, jitter: minutes(5), ..berlin("@hourly") };
        Year { settings, takes, down: Vec::new() }.live()
    };
    let sundays = 52;
    let all = 365 * 24 - 1;

    let forbid = story(Overlap::Forbid);
    assert_eq!((forbid.most_at_once, forbid.skipped.len()), (1, 3 * sundays));
    assert_eq!(forbid.started.len(), all - 3 * sundays);

    // Of one, two and three o'clock three is made, at half past.
    let queue = story(Overlap::Queue);
    assert_eq!((queue.most_at_once, queue.skipped.len(), queue.missed), (1, 0, 2 * sundays));
    assert_eq!(queue.started.len(), all - 2 * sundays);

    let allow = story(Overlap::Allow);
    assert_eq!((allow.most_at_once, allow.skipped.len(), allow.missed), (2, 0, 0));
    assert_eq!(allow.started.len(), all);

    for story in [forbid, queue, allow] {
        assert_eq!(distinct(story.started.iter().map(|(due, _)| *due)), story.started.len(), "no moment twice");
        assert!(story.started.is_sorted(), "in order");
    }
}
