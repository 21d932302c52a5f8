use super::*;

#[test]
fn a_large_kind_waits_for_its_turn_and_a_small_one_never() {
    let looked = crate::access::Turns::default();
    let turn = |key: &str, objects: usize, now: Duration| looked.take(key, apart(objects), now);
    let at = Duration::from_secs;
    assert!(turn("/small", FEW, at(100)) && turn("/small", FEW, at(101)));
    assert!(turn("/large", 10_000, at(100)), "the first time at once");
    assert!(!turn("/large", 10_000, at(199)));
    assert!(turn("/large", 10_000, at(200)));
}
