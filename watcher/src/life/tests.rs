use super::*;

fn witness(objects: &[(&str, &str, Revision)], last: Option<&str>) -> Witness {
    let kind = Discovery { resource: "things".into(), domain: "main".into(), ..Discovery::default() };
    let pair = |(name, uid, rv): &(&str, &str, Revision)| ((*name).to_owned(), (Box::from(*uid), *rv));
    Witness {
        kind: kind.into(),
        cursor: 100,
        heard: 0,
        objects: objects.iter().map(pair).collect(),
        last: last.map(str::to_owned),
        newest: Vec::new(),
        torn: false,
        astray: false,
    }
}

fn header(name: &str, uid: &str, rv: Revision) -> Header {
    Header { name: name.into(), uid: uid.into(), rv: Some(rv), ..Header::default() }
}

#[test]
fn a_page_of_the_history_must_be_what_is_retained() {
    let known = witness(&[("a", "u1", 10), ("b", "u2", 20)], None);
    let (a, b) = (header("a", "u1", 10), header("b", "u2", 20));
    assert_eq!(compare(&known, &[a.clone(), b.clone()], true, true), Ok(20));
    assert!(compare(&known, std::slice::from_ref(&a), true, true).is_err(), "b was there at the cursor");
    assert_eq!(compare(&known, std::slice::from_ref(&a), false, true), Ok(10), "b is on a later page");
    assert!(compare(&known, &[a.clone(), b.clone(), header("c", "u3", 90)], true, true).is_err());
    assert!(compare(&known, &[a.clone(), header("b", "u9", 20)], true, true).is_err());
}

#[test]
fn what_is_gone_now_contradicts_nothing() {
    let known = witness(&[("a", "u1", 10), ("b", "u2", 20)], None);
    assert_eq!(compare(&known, &[header("a", "u1", 10)], true, false), Ok(10));
    assert_eq!(compare(&known, &[header("a", "u1", 110), header("c", "u3", 120)], true, false), Ok(0));
    assert!(compare(&known, &[header("b", "u2", 15)], true, false).is_err(), "an older version than was seen");
}

#[test]
fn beyond_the_sample_nothing_is_judged() {
    let known = witness(&[("a", "u1", 10)], Some("a"));
    assert_eq!(compare(&known, &[header("a", "u1", 10), header("b", "u2", 20)], true, true), Ok(10));
}

#[test]
fn no_cluster_writes_a_leap_like_a_bump() {
    let sample = [Arc::new(witness(&[], None))];
    assert!(leapt(&sample, 1_000_000_100, 60_000_000));
    assert!(!leapt(&sample, 1_000_000, 60_000_000));
    assert!(!leapt(&sample, 1_000_000_100, 86_400_000_000), "within a day it may have been written");
}
