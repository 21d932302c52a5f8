//! What the fuzzer does for hours, for a moment: real files and texts, changed at random.

use hindcast_tests::{fuzz, sim::rng::Rng};

/// How often each is changed.
const TIMES: usize = 150;

#[test]
fn what_nobody_is_to_be_trusted_for_is_an_answer_or_an_error() {
    let mut rng = Rng::new(17);
    fuzz::every(TIMES, || rng.below(u64::MAX));
}

#[test]
fn every_target_has_something_to_begin_with() {
    for (name, _) in fuzz::TARGETS {
        assert!(!fuzz::seeds(name).is_empty(), "{name}");
    }
}
