use std::collections::BTreeMap;

use hindcast_journal::point::{About, FORMAT, PointScope};
use hindcast_snapshotter::schedule::{Settings, point_name};

use super::*;
use crate::shelf::Book;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn hourly(settings: Settings) -> schedule::Schedule {
    let settings = Settings { schedule: "0 * * * *".to_owned(), ..settings };
    schedule::Schedule::new("hourly", &settings, at("2026-11-01T00:30:00Z"), None).unwrap()
}

fn about(name: &str, schedule: &str, began: &str) -> About {
    About {
        format: FORMAT,
        name: name.to_owned(),
        id: "0".repeat(32),
        schedule: schedule.to_owned(),
        scope: PointScope::default(),
        began: at(began).as_microsecond(),
        expires: None,
        labels: BTreeMap::new(),
    }
}

fn being_made(points: &[About]) -> Books {
    Books(points.iter().map(|about| (about.name.clone(), Book::Making(Some(Arc::new(about.clone()))))).collect())
}

/// What is done now, as it is told.
fn done(
    books: &Books,
    here: &[&str],
    not_begun: Option<(String, NotBegun)>,
    status: &ScheduleStatus,
    now: &str,
) -> String {
    let here = here.iter().map(|name| (*name).to_owned()).collect();
    let runs = runs("hourly", books, here, not_begun, status);
    decide(&hourly(Settings::default()), &runs, status, at(now)).action.to_string()
}

fn failed(may_pass: bool, when: &str) -> NotBegun {
    NotBegun { why: "the store is away".to_owned(), may_pass, at: at(when).as_microsecond() }
}

#[test]
fn the_bucket_says_what_was_started_whatever_became_of_the_status() {
    let (none, lost) = (Books::default(), ScheduleStatus::default());
    let first = point_name("hourly", at("2026-11-01T01:00:00Z"));
    assert!(done(&none, &[], None, &lost, "2026-11-01T01:00:05Z").starts_with(&format!("makes {first}")));
    let begun = being_made(&[about(&first, "hourly", "2026-11-01T01:00:06Z")]);
    assert_eq!(done(&begun, &[], None, &lost, "2026-11-01T01:30:00Z"), "nothing is due");
    // One of another schedule is nothing to it.
    let other = being_made(&[about("o-20261101010000", "other", "2026-11-01T01:00:00Z")]);
    assert!(done(&other, &[], None, &lost, "2026-11-01T01:30:00Z").starts_with("makes"));
    // What retention or a person took away is not made again.
    let told = ScheduleStatus { last_scheduled: Some("2026-11-01T01:00:00Z".to_owned()), ..ScheduleStatus::default() };
    assert_eq!(done(&none, &[], None, &told, "2026-11-01T01:30:00Z"), "nothing is due");
    let skip = Skip { due: "2026-11-01T01:00:00Z".to_owned(), reason: String::new() };
    let skipped = ScheduleStatus { last_skipped: Some(skip), ..ScheduleStatus::default() };
    assert_eq!(done(&none, &[], None, &skipped, "2026-11-01T01:30:00Z"), "nothing is due");
}

#[test]
fn what_is_on_its_way_is_not_started_twice_and_what_comes_due_meanwhile_is_skipped() {
    let (none, lost) = (Books::default(), ScheduleStatus::default());
    let first = point_name("hourly", at("2026-11-01T01:00:00Z"));
    assert_eq!(done(&none, &[&first], None, &lost, "2026-11-01T01:00:07Z"), "nothing is due");
    let begun = being_made(&[about(&first, "hourly", "2026-11-01T01:00:06Z")]);
    let skips = done(&begun, &[&first], None, &lost, "2026-11-01T02:00:01Z");
    assert!(skips.starts_with("skips") && skips.contains(&first), "{skips}");
}

#[test]
fn a_run_that_could_not_begin_is_tried_again_unless_it_never_can() {
    let (none, lost) = (Books::default(), ScheduleStatus::default());
    let first = point_name("hourly", at("2026-11-01T01:00:00Z"));
    let away = || Some((first.clone(), failed(true, "2026-11-01T01:00:10Z")));
    assert_eq!(done(&none, &[], away(), &lost, "2026-11-01T01:00:12Z"), "nothing is due");
    assert!(done(&none, &[], away(), &lost, "2026-11-01T01:00:30Z").starts_with(&format!("makes {first}")));
    let never = || Some((first.clone(), failed(false, "2026-11-01T01:00:10Z")));
    assert_eq!(done(&none, &[], never(), &lost, "2026-11-01T01:00:30Z"), "nothing is due");
    let mut status = ScheduleStatus::default();
    let seen = runs("hourly", &none, Vec::new(), never(), &status);
    tell_runs("hourly", &none, &seen, &mut status, 1, 0);
    assert_eq!(status.last_scheduled.as_deref(), Some("2026-11-01T01:00:00Z"));
    assert_eq!(status.conditions[0].reason, "NotBegun");
}
