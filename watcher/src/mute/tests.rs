use super::*;

#[test]
fn a_large_kind_waits_for_its_turn_and_a_small_one_never() {
    let looked = Looked::default();
    let at = Duration::from_secs;
    assert!(looked.turn("/small", FEW, at(100)) && looked.turn("/small", FEW, at(101)));
    assert!(looked.turn("/large", 10_000, at(100)), "the first time at once");
    assert!(!looked.turn("/large", 10_000, at(199)));
    assert!(looked.turn("/large", 10_000, at(200)));
}
