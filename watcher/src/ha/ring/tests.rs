use super::*;

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn newest(rv: Revision) -> Newest {
    Newest { namespace: "shop".into(), name: format!("o{rv}"), uid: format!("u{rv}"), rv, deleted: false }
}

/// A line of a size that compresses.
fn line(rv: Revision, len: usize) -> Vec<u8> {
    format!("{rv}{}", "x".repeat(len)).into_bytes()
}

fn revisions(held: impl Iterator<Item = Held>) -> Vec<String> {
    held.map(|held| match held {
        Held::Line(at, line) => {
            let rv = String::from_utf8(line.to_vec()).unwrap();
            format!("{}@{}", rv.trim_end_matches('x'), at.as_secs())
        }
        Held::Bridge(bridge) => format!("{}-{}", bridge.from, bridge.to),
        Held::Upto(rv, at) => format!("up to {rv}@{}", at.as_secs()),
        Held::Hole => "hole".to_owned(),
    })
    .collect()
}

fn rings(bound: usize) -> Rings {
    let mut rings = Rings::new(bound);
    rings.of("/pods").begin("/api/v1/pods", 100, second(1));
    rings
}

#[test]
fn what_goes_in_comes_out_with_its_moment_in_whatever_blocks_it_lies() {
    let mut rings = rings(64 << 20);
    for rv in 101..=400 {
        assert_eq!(rings.push("/pods", newest(rv), second(rv), &line(rv, 3_000)), None);
    }
    let bytes = rings.bytes();
    assert!(bytes < 300 * 3_000 / 4, "{bytes} bytes: full blocks are compressed");
    let ring = rings.kinds.remove("/pods").unwrap();
    assert!(ring.reaches(100) && ring.reaches(350) && !ring.reaches(99));
    let expected = (101..=400).map(|rv| format!("{rv}@{rv}")).chain(["up to 400@400".to_owned()]);
    let expected: Vec<String> = expected.collect();
    assert_eq!(revisions(ring.into_held()), expected);
}

#[test]
fn what_is_committed_goes_and_the_ring_says_from_where_it_reaches() {
    let mut rings = rings(64 << 20);
    for rv in 101..=400 {
        rings.push("/pods", newest(rv), second(rv), &line(rv, 3_000));
    }
    let before = rings.bytes();
    let ring = rings.of("/pods");
    ring.trim(250);
    // A block goes as a whole, so some of what is committed may stay.
    assert!(ring.from() <= 250 && ring.from() > 100 && ring.reaches(250), "{}", ring.from());
    assert!(ring.newest.is_some());
    ring.trim(400);
    assert!(ring.is_empty() && ring.newest.is_none());
    assert_eq!((ring.from(), ring.upto()), (400, 400));
    // A bookmark is all that there is to know; what is committed beyond was not heard here.
    ring.seen(420, second(401));
    ring.trim(500);
    assert_eq!((ring.from(), ring.upto()), (420, 420));
    assert!(rings.bytes() < before && rings.bytes() == 0);
}

#[test]
fn deletes_that_share_a_revision_are_all_news_and_nothing_else_of_it_is() {
    let mut rings = rings(64 << 20);
    let ring = rings.of("/pods");
    assert!(ring.is_news(101, false) && !ring.is_news(100, true), "nothing was heard of 100 but that it was reached");
    rings.push("/pods", Newest { deleted: true, ..newest(101) }, second(2), b"101");
    let ring = rings.of("/pods");
    assert!(ring.is_news(101, true) && !ring.is_news(101, false) && !ring.is_news(99, true));
    // What is committed of it was only the first.
    ring.trim(101);
    assert!(ring.is_news(101, true));
    ring.seen(102, second(3));
    assert!(!ring.is_news(101, true) && !ring.is_news(102, true));
}

#[test]
fn the_fullest_ring_is_emptied_for_want_of_room_and_reaches_again_from_there_on() {
    let mut rings = rings(200_000);
    rings.of("/secrets").begin("/api/v1/secrets", 100, second(1));
    rings.push("/secrets", newest(101), second(1), b"a secret");
    let noise: Vec<u8> = (0..100_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut emptied = Vec::new();
    for rv in 102..110 {
        emptied.extend(rings.push("/pods", newest(rv), second(rv), &noise));
    }
    assert!(!emptied.is_empty() && emptied.iter().all(|key| key == "/pods"), "{emptied:?}");
    assert_eq!(rings.overflows, emptied.len() as u64);
    assert!(rings.bytes() <= 200_000);
    let pods = rings.of("/pods");
    assert!(!pods.reaches(105) && pods.reaches(109) && pods.newest.is_none());
    assert!(rings.of("/secrets").reaches(100));
}

#[test]
fn a_hole_is_a_hole_until_it_is_bridged_or_committed() {
    let mut rings = rings(64 << 20);
    rings.push("/pods", newest(101), second(2), b"101");
    let ring = rings.of("/pods");
    ring.broke(110, second(9), "expired");
    let hole = ring.hole().unwrap().clone();
    assert_eq!((hole.from, hole.to, hole.heard, hole.opened), (101, 110, second(2), second(9)));
    assert!(!ring.reaches(100));
    rings.push("/pods", newest(111), second(10), b"111");
    let ring = rings.of("/pods");
    ring.bridge(Bridge { from: 50, to: 60, ..Bridge::default() });
    assert!(ring.hole().is_some(), "of another interval");
    ring.bridge(Bridge { from: 101, to: 110, ..Bridge::default() });
    assert!(ring.reaches(100));
    ring.broke(120, second(20), "again");
    ring.trim(119);
    assert!(!ring.reaches(119), "the second one stands");
    ring.trim(120);
    assert!(ring.reaches(120) && ring.is_empty());
    ring.broke(130, second(30), "and again");
    rings.push("/pods", newest(131), second(31), b"131");
    let ring = rings.kinds.remove("/pods").unwrap();
    assert_eq!(revisions(ring.into_held()), ["up to 120@20", "hole", "131@31", "up to 131@31"]);
}
