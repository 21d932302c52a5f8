use super::*;

const S: Micros = 1_000_000;

#[test]
fn staircases_agree_with_the_naive_search() {
    let mut seed = 7_u64;
    let mut draw = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    for _ in 0..200 {
        let (mut rising, mut falling, mut all) = (Rising::default(), Falling::default(), Vec::new());
        for _ in 0..40 {
            let sample = (draw(50), draw(50) as Micros);
            all.push(sample);
            rising.add(sample.0, sample.1);
            falling.add(sample.0, sample.1);
            for rv in 0..52 {
                assert_eq!(rising.at(rv), all.iter().filter(|s| s.0 <= rv).map(|s| s.1).max());
                assert_eq!(falling.at(rv), all.iter().filter(|s| s.0 >= rv).map(|s| s.1).min());
            }
        }
    }
}

#[test]
fn a_live_row_lies_between_the_row_before_and_its_receipt() {
    let mut clock = RevisionClock::default();
    clock.receipt(10, 100 * S, true);
    clock.receipt(12, 103 * S, true);
    assert_eq!(clock.bounds(12, 103 * S, None, false), (100 * S - LIVE_DELAY, 103 * S));
}

#[test]
fn in_catch_up_leases_bound_a_row_to_its_moment_not_to_the_receipt() {
    let mut clock = RevisionClock::default();
    let now = 500 * S;
    clock.lease(100, 300 * S, now);
    clock.lease(200, 310 * S, now);
    clock.receipt(150, now, false);
    assert_eq!(clock.bounds(150, now, None, false), (300 * S, 312 * S));
    // The object's own stamp tightens it, and a fresh one bounds what the clock says.
    assert_eq!(clock.bounds(150, now, Some(305 * S), true), (305 * S, 312 * S));
    assert_eq!(clock.bounds(150, now, Some(299 * S), true), (300 * S, 312 * S));
    // A stamp in the future is none.
    assert_eq!(clock.bounds(150, now, Some(600 * S), true), (300 * S, 312 * S));
}

#[test]
fn a_lease_from_the_future_is_ignored() {
    let mut clock = RevisionClock::default();
    clock.lease(10, 900 * S, 100 * S);
    assert_eq!(clock.bounds(11, 100 * S, None, false), (0, 100 * S));
}

#[test]
fn closed_time_needs_certainty() {
    let mut clock = RevisionClock::default();
    clock.receipt(10, 100 * S, true);
    assert_eq!(clock.closed_time(10), 0);
    clock.list(10, 90 * S, 91 * S);
    assert_eq!(clock.closed_time(10), 90 * S);
    clock.lease(11, 95 * S, 96 * S);
    // The lease at 11 was written at or after 95 s: everything before 95 s is at most 10.
    assert_eq!(clock.closed_time(10), 95 * S);
    assert_eq!(clock.closed_time(9), 0);
}

#[test]
fn a_clock_that_steps_back_is_held() {
    let mut clock = RevisionClock::default();
    assert_eq!(clock.receive(10), 10);
    assert_eq!(clock.receive(5), 10);
    assert_eq!(clock.receive(11), 11);
}

#[test]
fn a_guess_that_something_certain_contradicts_is_dropped() {
    let mut clock = RevisionClock::default();
    clock.list(5, 90 * S, 90 * S);
    clock.receipt(10, 100 * S, true);
    // Everything up to 20 was committed by 99: then the row at 10 was no quick one.
    clock.list(20, 98 * S, 99 * S);
    assert_eq!(clock.bounds(15, 101 * S, None, false), (90 * S, 99 * S));
    // A fresh stamp of 97 says as much.
    let mut clock = RevisionClock::default();
    clock.list(5, 90 * S, 90 * S);
    clock.receipt(10, 100 * S, true);
    assert_eq!(clock.bounds(15, 101 * S, Some(97 * S), true), (97 * S, 101 * S));
}
