use super::*;
use crate::{
    cut::CutPoint,
    facts::CoverEnd,
    fold::{Cover, KindState},
};

fn late(kind: &str, from: u64, to: u64) -> Late {
    let gap = Gap {
        from,
        to,
        grade: Grade::Lost,
        time_from: from as i64,
        time_to: to as i64,
        reason: String::new(),
        recovered: 0,
        unknown: Vec::new(),
        unknown_total: 0,
    };
    Late { kind: kind.to_owned(), incarnation: 0, gap }
}

#[test]
fn what_ended_a_protection_is_told_and_no_other_gap() {
    let point = |rv| CutPoint { incarnation: 0, rv };
    let end = CoverEnd { reason: Uncovered::Differs, detail: String::new() };
    let cover = Cover { from: point(1), from_time: 1, end: Some((point(20), 20, end)) };
    let gaps = vec![(0, late("", 5, 8).gap), (0, late("", 10, 21).gap), (1, late("", 10, 21).gap)];
    let kind = KindState { covers: vec![cover], gaps, ..KindState::default() };
    let state = State { kinds: [("/pods".to_owned(), kind)].into(), ..State::default() };
    assert_eq!(Late::of(&state), [late("/pods", 10, 21)]);
}

#[test]
fn each_is_told_once_and_many_become_fewer_that_span_them() {
    let mut told = Vec::new();
    assert!(Late::add(&mut told, &[late("/pods", 5, 9), late("/secrets", 5, 9)]));
    assert!(!Late::add(&mut told, &[late("/pods", 5, 9)]));
    let all: Vec<Late> = (1..=600).map(|n| late("/pods", 10 * n, 10 * n + 3)).collect();
    assert!(Late::add(&mut told, &all));
    assert_eq!(told.len(), MOST);
    for one in all.iter().chain(&[late("/pods", 5, 9), late("/secrets", 5, 9)]) {
        assert!(told.iter().any(|known| known.holds(one)), "{one:?}");
    }
}

#[test]
fn a_state_that_read_of_it_is_left_as_it_is() {
    let mut state = State { kinds: [("/pods".to_owned(), KindState::default())].into(), ..State::default() };
    late("/pods", 5, 9).tell(&mut state);
    late("/pods", 5, 9).tell(&mut state);
    late("/secrets", 5, 9).tell(&mut state);
    assert_eq!(state.kinds.len(), 1);
    assert_eq!(state.kinds["/pods"].gaps, [(0, late("/pods", 5, 9).gap)]);
}
