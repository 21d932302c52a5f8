use super::*;

const S: Micros = 1_000_000;

/// A moment that is known.
fn at(moment: Micros) -> Span {
    Span { lo: moment, hi: moment }
}

/// A lease's write, stamped in the second of the renewal.
fn renewal(rv: Revision, renewed: Micros) -> Renewal {
    Renewal { namespace: "kube-system".into(), name: "holder".into(), rv, renewed, written: renewed - renewed % S }
}

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
    clock.receipt(10, at(100 * S), true);
    clock.receipt(12, at(103 * S), true);
    assert_eq!(clock.bounds(12, at(103 * S), None, false), (100 * S - LIVE_DELAY, 103 * S));
}

#[test]
fn in_catch_up_leases_bound_a_row_to_its_moment_not_to_the_receipt() {
    let mut clock = RevisionClock::default();
    let now = 500 * S;
    clock.lease(&renewal(100, 300 * S), at(now), false);
    clock.lease(&renewal(200, 310 * S), at(now), false);
    clock.receipt(150, at(now), false);
    assert_eq!(clock.bounds(150, at(now), None, false), (300 * S, 312 * S));
    // The object's own stamp tightens it, and a fresh one bounds what the clock says.
    assert_eq!(clock.bounds(150, at(now), Some(305 * S), true), (305 * S, 312 * S));
    assert_eq!(clock.bounds(150, at(now), Some(299 * S), true), (300 * S, 312 * S));
    // A stamp in the future is none.
    assert_eq!(clock.bounds(150, at(now), Some(600 * S), true), (300 * S, 312 * S));
}

#[test]
fn a_lease_from_the_future_is_ignored() {
    let mut clock = RevisionClock::default();
    clock.lease(&renewal(10, 900 * S), at(100 * S), false);
    assert_eq!(clock.bounds(11, at(100 * S), None, false), (0, 100 * S));
}

#[test]
fn closed_time_needs_certainty() {
    let mut clock = RevisionClock::default();
    clock.receipt(10, at(100 * S), true);
    assert_eq!(clock.closed_time(10), 0);
    clock.list(10, at(90 * S), at(91 * S));
    assert_eq!(clock.closed_time(10), 90 * S);
    clock.lease(&renewal(11, 95 * S), at(96 * S), false);
    // The lease at 11 was written at or after 95 s: everything before 95 s is at most 10.
    assert_eq!(clock.closed_time(10), 95 * S);
    assert_eq!(clock.closed_time(9), 0);
}

#[test]
fn a_lease_that_another_outdoes_tells_nothing() {
    // The annotation on the last one was stamped by a clock that had been set back, so that it looks like the renewal
    // long ago.
    let all = [renewal(10, 20 * S), renewal(12, 21 * S), renewal(14, 0)];
    assert_eq!(outdone(&all), [false, false, true]);
}

#[test]
fn what_the_history_does_not_show_may_have_been_another_write() {
    let mut clock = RevisionClock::default();
    clock.list(20, at(90 * S), at(91 * S));
    clock.confirmed(15);
    assert_eq!(clock.bounds(18, at(200 * S), None, false).1, 200 * S);
    assert_eq!(
        clock.bounds(21, at(200 * S), None, false),
        (90 * S, 200 * S),
        "it came after the list, whichever it is"
    );
}

#[test]
fn what_was_closed_holds_against_the_clocks_of_the_time() {
    let mut clock = RevisionClock::default();
    clock.closed(10, 90 * S);
    // Holder and server had the same wrong clock, and nobody is left who could tell.
    assert!(!clock.lease(&renewal(12, 40 * S), at(200 * S), false));
    assert_eq!(clock.bounds(11, at(200 * S), None, false), (90 * S, 200 * S));
}

#[test]
fn a_guess_that_something_certain_contradicts_is_dropped() {
    let mut clock = RevisionClock::default();
    clock.list(5, at(90 * S), at(90 * S));
    clock.receipt(10, at(100 * S), true);
    // Everything up to 20 was committed by 99: then the row at 10 was no quick one.
    clock.list(20, at(98 * S), at(99 * S));
    assert_eq!(clock.bounds(15, at(101 * S), None, false), (90 * S, 99 * S));
    // A fresh stamp of 97 says as much.
    let mut clock = RevisionClock::default();
    clock.list(5, at(90 * S), at(90 * S));
    clock.receipt(10, at(100 * S), true);
    assert_eq!(clock.bounds(15, at(101 * S), Some(97 * S), true), (97 * S, 101 * S));
}

#[test]
fn a_moment_that_is_not_known_widens_both_bounds() {
    let mut clock = RevisionClock::default();
    let span = Span { lo: 100 * S, hi: 200 * S };
    clock.list(10, span, span);
    clock.receipt(12, Span { lo: 101 * S, hi: 201 * S }, false);
    assert_eq!(clock.bounds(12, Span { lo: 102 * S, hi: 202 * S }, None, false), (100 * S, 201 * S));
    assert_eq!(clock.closed_time(10), 100 * S);
}

/// A lease as the server has it: renewed by its holder at second `renewed`, last written by `other` at second
/// `written`.
fn lease(renewed: i64, written: i64) -> Vec<u8> {
    let time = |second: i64| jiff::Timestamp::from_second(second).expect("in range");
    format!(
        r#"{{"metadata":{{"name":"l","resourceVersion":"7","managedFields":[{{"manager":"m","time":"{}"}}]}},"spec":{{"renewTime":"{:.6}"}}}}"#,
        time(written), time(renewed)
    )
    .into_bytes()
}

#[test]
fn a_lease_counts_only_when_that_very_write_renewed_it() {
    let sample = Renewal::of(&lease(1_000, 1_000)).expect("it is a lease");
    assert_eq!((sample.name.as_str(), sample.rv, sample.renewed), ("l", 7, 1_000 * S));
    let counts = |renewed, written| Renewal::of(&lease(renewed, written)).is_some_and(|lease| lease.is_stamped());
    assert!(counts(1_000, 1_000), "renewed and stored within a second");
    assert!(!counts(1_000, 4_600), "an annotation on an abandoned lease");
    assert!(!counts(1_000, 1_004), "a holder whose clock is four seconds behind the server's");
    assert!(!counts(1_004, 1_000), "and one that is ahead");
    assert_eq!(Renewal::of(b"{}"), None);
}

#[test]
fn a_lease_that_contradicts_what_is_known_is_no_sample() {
    let mut clock = RevisionClock::default();
    clock.list(10, at(500 * S), at(501 * S));
    // Everything from 11 on was committed at 500 s or later: a lease at 20 that says 300 s has a clock that is behind.
    clock.lease(&renewal(20, 300 * S), at(510 * S), false);
    assert_eq!(clock.bounds(15, at(510 * S), None, false), (500 * S, 510 * S));
    // And one that says a revision was written after it was received has a clock that is ahead.
    clock.receipt(30, at(520 * S), false);
    clock.lease(&renewal(25, 530 * S), at(540 * S), false);
    assert_eq!(clock.bounds(40, at(540 * S), None, false), (500 * S, 540 * S));
}
