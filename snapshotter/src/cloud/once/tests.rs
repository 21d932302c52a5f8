use super::*;

const SETTLE: Duration = Duration::from_secs(15);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn what_was_asked_for_is_in_doubt_until_it_would_be_listed() {
    let once = Once::new(at(100), false);
    assert_eq!(once.doubt("a", at(100), SETTLE), None, "nobody asked");
    once.asking("a", at(100));
    assert_eq!(once.doubt("a", at(104), SETTLE), Some(at(11)));
    assert_eq!(once.doubt("b", at(104), SETTLE), None, "another name");
    assert_eq!(once.doubt("a", at(115), SETTLE), None, "it would be listed by now");
    once.asking("a", at(120));
    once.refused("a");
    assert_eq!(once.doubt("a", at(120), SETTLE), None, "it was refused");
}

#[test]
fn a_driver_that_may_have_had_an_earlier_life_doubts_everything_at_first() {
    let once = Once::new(at(100), true);
    assert_eq!(once.doubt("a", at(101), SETTLE), Some(at(14)));
    assert_eq!(once.doubt("a", at(115), SETTLE), None);
}

#[test]
fn what_is_old_and_not_held_is_forgotten() {
    let once = Once::new(at(0), false);
    once.asking("old", at(1));
    once.asking("new", at(10));
    once.asking("held", at(1));
    let held = once.with("held", |asked| Arc::clone(&asked.turn));
    once.sweep(at(20), SETTLE);
    let mut left: Vec<String> = once.names.lock().unwrap().keys().cloned().collect();
    left.sort();
    assert_eq!(left, ["held", "new"]);
    drop(held);
    once.sweep(at(40), SETTLE);
    assert!(once.names.lock().unwrap().is_empty());
}
