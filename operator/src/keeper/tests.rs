use std::sync::Arc;

use hindcast_journal::point::{About, FORMAT, Point, PointScope};

use super::*;

const DAY: Micros = 86_400_000_000;

/// A complete point of a day, with a ttl in days.
fn point(name: &str, schedule: &str, day: i64, ttl: Option<i64>) -> Point {
    Point {
        about: About {
            format: FORMAT,
            name: name.to_owned(),
            id: "0".repeat(32),
            schedule: schedule.to_owned(),
            scope: PointScope::default(),
            began: day * DAY,
            expires: ttl.map(|ttl| (day + ttl) * DAY),
            labels: BTreeMap::new(),
        },
        state: PointState::Complete,
        made: day * DAY,
        cut: BTreeMap::new(),
        time: day * DAY,
        between: (1, 1),
        volumes: Vec::new(),
        hooks: Vec::new(),
        missing: Vec::new(),
        warnings: Vec::new(),
    }
}

fn books(points: &[Point]) -> Books {
    Books(points.iter().map(|point| (point.about.name.clone(), Book::Made(Arc::new(point.clone())))).collect())
}

fn gone(books: &Books, policies: &[(&str, Option<Policy>)], day: i64) -> Vec<String> {
    let policies = policies.iter().map(|(name, policy)| ((*name).to_owned(), policy.clone())).collect();
    doomed(books, &policies, day * DAY).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn each_schedule_goes_by_its_own_rules_and_the_last_good_one_stays() {
    let all = books(&[
        point("a-1", "a", 1, None),
        point("a-2", "a", 2, None),
        point("b-1", "b", 1, Some(1)),
        point("b-2", "b", 2, Some(1)),
        point("by-hand", "", 1, None),
    ]);
    let one = Some(Policy { last: 1, ..Policy::default() });
    assert_eq!(gone(&all, &[("a", one.clone())], 9), ["a-1", "b-1"]);
    // Without a schedule of that name its points stay for their ttl.
    assert_eq!(gone(&all, &[], 9), ["b-1"]);
    // What cannot be understood keeps all.
    assert_eq!(gone(&all, &[("a", one), ("b", None)], 9), ["a-1"]);
}
