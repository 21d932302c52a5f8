use super::*;

#[test]
fn any_bound_makes_a_checkpoint_due_and_says_which() {
    let policy = Policy { segments: 10, rows: 100, bytes: 1000, ..Policy::default() };
    assert_eq!(plan(Tail { segments: 9, rows: 99, bytes: 999 }, &policy), None);
    let reason = |tail| plan(tail, &policy).map(|p| p.reason).expect("due");
    assert_eq!(reason(Tail { segments: 10, rows: 0, bytes: 0 }), "the tail has 10 segments, the bound is 10");
    assert_eq!(reason(Tail { segments: 0, rows: 150, bytes: 0 }), "the tail has 150 rows, the bound is 100");
    assert_eq!(reason(Tail { segments: 0, rows: 0, bytes: 1000 }), "the tail has 1000 bytes, the bound is 1000");
}

#[test]
fn an_empty_segment_adds_no_rows() {
    let empty = Durable { segment: 3, first: 8, last: 7, bytes: 50 };
    assert_eq!(Tail::default().with(&empty), Tail { segments: 1, rows: 0, bytes: 50 });
}

/// Whoever compacts beside other work sends it to another thread.
#[test]
fn compaction_is_sent() {
    fn sent(_: impl Send) {}
    let whole = |parts| sent(run(Policy::default(), parts, std::future::pending()));
    let _: fn(Parts) = whole;
}
