use std::sync::Arc;

use object_store::memory::InMemory;
use proptest::prelude::*;

use super::*;
use crate::{Parts, layout::Layout};

fn store() -> Store {
    Store::new(Arc::new(InMemory::new()), Layout::new(&Path::from("p"), "uid"), Parts::system())
}

fn about(name: &str, id: &str, schedule: &str, began: Micros) -> About {
    About {
        format: FORMAT,
        name: name.to_owned(),
        id: id.to_owned(),
        schedule: schedule.to_owned(),
        scope: PointScope::default(),
        began,
        expires: None,
        labels: BTreeMap::new(),
    }
}

fn begin(name: &str, id: &str) -> Begin {
    Begin {
        about: about(name, id, "", 5),
        orders: Vec::new(),
        drivers: Vec::new(),
        left: Vec::new(),
        hooks: Vec::new(),
        warnings: Vec::new(),
    }
}

fn point(name: &str, schedule: &str, state: PointState, time: Micros) -> Point {
    Point {
        about: about(name, &format!("id-{name}"), schedule, time),
        state,
        made: time,
        cut: BTreeMap::from([("main".to_owned(), (1, 7))]),
        time,
        between: (7, 8),
        volumes: Vec::new(),
        hooks: Vec::new(),
        missing: Vec::new(),
        warnings: Vec::new(),
    }
}

async fn made(points: &Points, point: &Point) {
    points.begin(&begin(&point.about.name, &point.about.id)).await.unwrap();
    points.make(point).await.unwrap();
}

#[tokio::test]
async fn a_name_is_one_points_until_nothing_of_that_is_left() {
    let points = Points::new(&store());
    points.begin(&begin("a", "1")).await.unwrap();
    // The same intent again: the first answer was lost.
    points.begin(&begin("a", "1")).await.unwrap();
    let refused = points.begin(&begin("a", "2")).await.unwrap_err();
    assert!(refused.to_string().contains("there is a recovery point of that name"), "{refused}");
    let first = points.make(&point("a", "", PointState::Complete, 9)).await.unwrap();
    let second = points.make(&point("a", "", PointState::Failed, 10)).await.unwrap();
    assert_eq!(first, second, "the first that was made is the point");
    points.condemn("a", &Deletion { time: 11, why: "by hand".to_owned() }).await.unwrap();
    assert!(points.begin(&begin("a", "3")).await.is_err());
    points.remove("a").await.unwrap();
    assert!(points.list().await.unwrap().is_empty());
    points.begin(&begin("a", "4")).await.unwrap();
}

#[tokio::test]
async fn a_list_tells_stages_without_reading() {
    let store = store();
    let points = Points::new(&store);
    for name in ["a", "b", "c", "d", "e"] {
        points.begin(&begin(name, name)).await.unwrap();
    }
    points.hold("b", "me", Duration::from_mins(1)).await.unwrap();
    points.freeze("b", &Frozen { revision: 4, time: 5, hooks: Vec::new() }).await.unwrap();
    points.make(&point("c", "", PointState::Complete, 1)).await.unwrap();
    points.make(&point("d", "", PointState::Complete, 1)).await.unwrap();
    points.condemn("d", &Deletion { time: 1, why: "x".to_owned() }).await.unwrap();
    points.write("e", "deleted", &1).await.unwrap();
    let listed = points.list().await.unwrap();
    let stages: Vec<(&str, Stage, u64)> = listed.iter().map(|l| (l.name.as_str(), l.stage, l.hold)).collect();
    assert_eq!(
        stages,
        [
            ("a", Stage::Begun, 0),
            ("b", Stage::Frozen, 1),
            ("c", Stage::Made, 0),
            ("d", Stage::Deleting, 0),
            ("e", Stage::Deleted, 0)
        ]
    );
    assert_eq!(points.made().await.unwrap().0.len(), 1);
}

#[tokio::test]
async fn two_never_hold_a_point_at_once() {
    let points = Points::new(&store());
    points.begin(&begin("a", "1")).await.unwrap();
    let during = Duration::from_mins(1);
    let takes = (0..8).map(|n| {
        let points = points.clone();
        async move { points.hold("a", &format!("p{n}"), during).await.unwrap() }
    });
    let held: Vec<Hold> = futures::future::join_all(takes).await.into_iter().flatten().collect();
    assert_eq!(held.len(), 1, "{held:?}");
    let again = points.hold("a", &held[0].by, during).await.unwrap().unwrap();
    assert_eq!(again.number, 2, "whoever has it renews it");
    let renewed = points.renew("a", &again, during).await.unwrap().unwrap();
    assert_eq!(renewed.number, 3);
    // Whoever renews an older one has lost it, unless its own answer was.
    assert_eq!(points.renew("a", &again, during).await.unwrap(), Some(renewed.clone()));
    let lost = Hold { by: "another".to_owned(), ..again };
    assert_eq!(points.renew("a", &lost, during).await.unwrap(), None);
    let again = renewed;
    assert!(points.hold("a", "another", during).await.unwrap().is_none());
    points.release("a", &again).await.unwrap();
    assert!(points.is_free("a", 4).await.unwrap());
    assert_eq!(points.hold("a", "another", during).await.unwrap().unwrap().number, 5);
}

#[tokio::test]
async fn the_newest_that_is_complete_is_the_latest() {
    let points = Points::new(&store());
    let none = points.named(LATEST).await.unwrap_err();
    assert!(none.to_string().contains("no recovery point was made yet"), "{none}");
    made(&points, &point("a", "nightly", PointState::Partial, 30)).await;
    assert_eq!(points.named(LATEST).await.unwrap().about.name, "a", "better than nothing");
    made(&points, &point("b", "nightly", PointState::Complete, 10)).await;
    made(&points, &point("c", "", PointState::Complete, 20)).await;
    made(&points, &point("d", "", PointState::Failed, 40)).await;
    assert_eq!(points.named(LATEST).await.unwrap().about.name, "c");
    assert_eq!(points.named("nightly/latest").await.unwrap().about.name, "b");
    assert!(points.named("weekly/latest").await.unwrap_err().to_string().contains("of the schedule weekly"));
    assert!(points.named("d").await.unwrap_err().to_string().contains("failed"));
    points.begin(&begin("e", "e")).await.unwrap();
    assert!(points.named("e").await.unwrap_err().to_string().contains("is being made"));
    assert!(points.named("nope").await.unwrap_err().to_string().contains("there is no recovery point"));
}

#[tokio::test]
async fn a_damaged_point_hides_no_other() {
    let store = store();
    let points = Points::new(&store);
    made(&points, &point("a", "", PointState::Complete, 10)).await;
    points.begin(&begin("b", "b")).await.unwrap();
    store.create(&points.path("b", "point"), Bytes::from_static(b"{")).await.unwrap();
    points.begin(&begin("c", "c")).await.unwrap();
    store.create(&points.path("c", "point"), Bytes::from_static(b"{\"format\":9}")).await.unwrap();
    let (read, errors) = points.made().await.unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(errors.len(), 2);
    assert!(errors[1].to_string().contains("format 9"), "{}", errors[1]);
    assert_eq!(points.named(LATEST).await.unwrap().about.name, "a");
}

#[tokio::test]
async fn ids_tell_whose_points_they_are_of() {
    let (one, other) = (Points::new(&store()), Points::new(&store()));
    assert_eq!(one.own_ids().await.unwrap(), None);
    let drawn: Vec<String> =
        futures::future::join_all((0..4).map(|_| one.draw())).await.into_iter().map(Result::unwrap).collect();
    let own = one.own_ids().await.unwrap().unwrap();
    assert!(drawn.iter().all(|id| id.len() == 32 && id.starts_with(&own)), "{drawn:?}");
    assert_eq!(drawn.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    assert!(!other.draw().await.unwrap().starts_with(&own));
}

#[test]
fn names_are_keys_and_names_of_objects() {
    for name in ["nightly-20261101", "a", "a.b-c", "0"] {
        check_name(name).unwrap();
    }
    for name in ["", "A", "a/b", "..", "a..b", "-a", "a-", "latest", "ä", "a b", &"a".repeat(201)] {
        assert!(check_name(name).is_err(), "{name}");
    }
}

/// What a pattern means, told the slow way.
fn slow(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|n| slow(rest, &text[n..])),
        Some((c, rest)) => text.split_first().is_some_and(|(t, more)| (*c == '?' || c == t) && slow(rest, more)),
    }
}

proptest! {
    #[test]
    fn patterns_mean_what_the_slow_way_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(name::fits(&pattern, &text), slow(&chars(&pattern), &chars(&text)));
    }
}
