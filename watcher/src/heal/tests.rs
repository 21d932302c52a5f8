use std::collections::BTreeMap;

use super::*;

/// A server whose whole past of one object is a list of writes.
struct Past {
    writes: BTreeMap<Revision, Option<&'static str>>,
    compacted: Revision,
    calls: AtomicU64,
}

impl Past {
    fn new(writes: &[(Revision, Option<&'static str>)]) -> Self {
        Self { writes: writes.iter().copied().collect(), compacted: 0, calls: AtomicU64::new(0) }
    }

    fn state(&self, rv: Revision) -> Option<Bytes> {
        let (rv, uid) = self.writes.range(..=rv).next_back()?;
        uid.map(|uid| object(*rv, uid))
    }
}

impl History for Past {
    async fn at(&self, _: &str, _: &str, rv: Revision) -> Result<Option<Bytes>, Failure> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if rv < self.compacted {
            return Err(Failure::Expired("too old".into()));
        }
        Ok(self.state(rv))
    }
}

fn object(rv: Revision, uid: &str) -> Bytes {
    format!(r#"{{"metadata":{{"name":"x","uid":"{uid}","resourceVersion":"{rv}"}}}}"#).into()
}

async fn walk(past: &Past, known: Option<(&str, Revision)>, from: Revision, to: Revision) -> Recovered {
    let walk = Walk { namespace: "n", name: "x", known, from, to, end: past.state(to) };
    walk.run(past, &AtomicU64::new(0)).await.unwrap()
}

/// The steps as `+rv` and `-rv`.
fn brief(recovered: &Recovered) -> Vec<i64> {
    recovered
        .steps
        .iter()
        .map(|step| match step {
            Step::Version { rv, .. } => *rv as i64,
            Step::Delete { rv } => -(*rv as i64),
        })
        .collect()
}

#[tokio::test]
async fn every_version_since_the_cursor_is_found() {
    let past = Past::new(&[(5, Some("a")), (12, Some("a")), (13, Some("a")), (40, Some("a"))]);
    let found = walk(&past, Some(("a", 5)), 10, 50).await;
    assert_eq!((brief(&found), found.complete), (vec![12, 13, 40], true));
    assert_eq!(past.calls.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_delete_is_found_at_its_own_revision_with_the_versions_before() {
    let past = Past::new(&[(5, Some("a")), (700, Some("a")), (800, None)]);
    let found = walk(&past, Some(("a", 5)), 10, 100_000).await;
    assert_eq!((brief(&found), found.complete), (vec![700, -800], true));
    assert!(past.calls.load(Ordering::Relaxed) < 25);
}

#[tokio::test]
async fn delete_and_rebirth_under_one_name_is_told_apart() {
    let past = Past::new(&[(5, Some("a")), (20, None), (30, Some("b")), (31, Some("b"))]);
    let found = walk(&past, Some(("a", 5)), 10, 50).await;
    assert_eq!((brief(&found), found.complete), (vec![-20, 30, 31], true));
    let found = walk(&past, None, 24, 50).await;
    assert_eq!((brief(&found), found.complete), (vec![30, 31], true));
}

#[tokio::test]
async fn a_delete_right_after_the_cursor_needs_no_call() {
    let past = Past::new(&[(5, Some("a")), (11, None)]);
    let found = walk(&past, Some(("a", 5)), 10, 11).await;
    assert_eq!((brief(&found), past.calls.load(Ordering::Relaxed)), (vec![-11], 0));
}

#[tokio::test]
async fn what_was_recovered_before_is_not_recovered_again() {
    let past = Past::new(&[(5, Some("a")), (12, Some("a")), (13, Some("a")), (40, Some("a"))]);
    let found = walk(&past, Some(("a", 13)), 10, 50).await;
    assert_eq!(brief(&found), [40]);
}

#[tokio::test]
async fn a_known_object_that_was_not_written_needs_nothing() {
    let past = Past::new(&[(5, Some("a"))]);
    assert!(walk(&past, Some(("a", 5)), 10, 50).await.steps.is_empty());
}

#[tokio::test]
async fn beyond_the_history_it_says_incomplete() {
    let mut past = Past::new(&[(5, Some("a")), (12, Some("a")), (30, Some("a")), (40, Some("a"))]);
    past.compacted = 30;
    let found = walk(&past, Some(("a", 5)), 10, 50).await;
    assert_eq!((brief(&found), found.complete), (vec![30, 40], false));
    let mut past = Past::new(&[(5, Some("a")), (12, None)]);
    past.compacted = 30;
    let found = walk(&past, Some(("a", 5)), 10, 50).await;
    assert_eq!((brief(&found), found.complete), (vec![-30], false));
    let mut past = Past::new(&[(5, Some("a")), (12, None), (20, Some("b"))]);
    past.compacted = 30;
    let found = walk(&past, Some(("a", 5)), 10, 50).await;
    assert_eq!((brief(&found), found.complete), (vec![-19, 20], false));
}

#[tokio::test]
async fn random_pasts_are_recovered_but_for_those_born_and_gone_inside() {
    let mut seed = 11_u64;
    let mut draw = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    let uids = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for _ in 0..500 {
        let (mut rv, mut life, mut alive) = (1, 0, false);
        let mut past = Past::new(&[]);
        while life < uids.len() - 1 && rv < 200 {
            rv += 1 + draw(20);
            if alive && draw(4) == 0 {
                past.writes.insert(rv, None);
                (alive, life) = (false, life + 1);
            } else {
                past.writes.insert(rv, Some(uids[life]));
                alive = true;
            }
        }
        let (from, to) = (1 + draw(100), 220);
        let known_state = past.state(from).map(|b| Header::of(&b));
        let known = known_state.as_ref().map(|h| (h.uid.as_str(), h.rv.unwrap()));
        let found = walk(&past, known, from, to).await;
        assert!(found.complete);
        let truth: BTreeMap<Revision, Option<&str>> = past.writes.range(from + 1..).map(|(r, u)| (*r, *u)).collect();
        let mut previous = 0;
        for step in &found.steps {
            let (rv, is_delete) = match step {
                Step::Version { rv, .. } => (*rv, false),
                Step::Delete { rv } => (*rv, true),
            };
            assert!(rv > previous, "ascending");
            previous = rv;
            assert_eq!(truth.get(&rv).map(Option::is_none), Some(is_delete), "a real write");
        }
        // What is missing was born and gone inside.
        let found: Vec<Revision> = brief(&found).iter().map(|rv| rv.unsigned_abs()).collect();
        for (rv, uid) in &truth {
            if found.contains(rv) {
                continue;
            }
            let uid = uid.or_else(|| past.writes.range(..rv).next_back().and_then(|(_, u)| *u)).unwrap();
            let born_inside = past.writes.iter().find(|(_, u)| **u == Some(uid)).is_some_and(|(r, _)| *r > from);
            let gone_inside = past.state(to).is_none_or(|b| Header::of(&b).uid != uid);
            assert!(born_inside && gone_inside, "{rv} of {uid} is missing: {:?} from {from}", past.writes);
        }
    }
}
