use std::time::Duration;

use hindcast_journal::segment::FrontierPoint;

use super::*;

fn change(n: u64) -> Change {
    let mut c = Change::new(Op::Modify, "main", 1, n);
    c.resource = if n.is_multiple_of(3) { "pods" } else { "configmaps" }.to_owned();
    c.namespace = "shop".into();
    c.name = format!("o{n}");
    c.uid = format!("u{n}");
    (c.time_lo, c.time_hi) = (-1, n as i64);
    c.base_rv = n.is_multiple_of(2).then_some(n - 1);
    c.state_hash = Some([n as u8; 8]);
    c.body = match n % 4 {
        0 => Body::None,
        1 => Body::Object(Bytes::from(format!("{{\"n\":{n}}}"))),
        _ => Body::Patch(Bytes::from(format!("[{n}]"))),
    };
    c.managed_fields = n.is_multiple_of(5).then(|| Bytes::from_static(b"[]"));
    if n.is_multiple_of(7) {
        let secret = Bytes::from_static(b"s");
        c.cells.push(Cell { path: "/data/a".into(), key_id: "k".into(), pos: 3, rv: n, secret });
    }
    c
}

fn frontier(rv: u64) -> FrontierVector {
    [("main".to_owned(), FrontierPoint { incarnation: 1, rv, time: 0 })].into()
}

#[test]
fn changes_leave_in_order_each_block_with_its_own_frontier() {
    let mut buffer = Buffer::default();
    for n in 1..=1000 {
        buffer.push(change(n), Duration::from_millis(n));
        if buffer.is_full(100, usize::MAX) {
            buffer.close(frontier(n), n);
        }
    }
    buffer.push(change(1001), Duration::from_secs(9));
    assert_eq!(buffer.open_since(), Some(Duration::from_secs(9)));
    let raw: usize = (1..=1001).map(|n| change(n).weight()).sum();
    assert!(buffer.bytes() < raw / 3, "{} of {raw}", buffer.bytes());
    let mut seen = Vec::new();
    for block in 1..=10 {
        let batch = buffer.take(|| frontier(0), 0);
        assert_eq!((batch.frontier, batch.demand), (frontier(block * 100), block * 100));
        seen.extend(batch.changes);
    }
    assert!(!buffer.has_full() && !buffer.is_empty());
    let last = buffer.take(|| frontier(1001), 1001);
    assert_eq!(last.frontier, frontier(1001));
    seen.extend(last.changes);
    assert_eq!(seen, (1..=1001).map(change).collect::<Vec<_>>());
    assert_eq!(buffer.noisiest(|_| true).as_deref(), Some("/configmaps"));
    assert_eq!(buffer.noisiest(|k| k == "/pods").as_deref(), Some("/pods"));
    buffer.done();
    assert_eq!((buffer.bytes(), buffer.noisiest(|_| true)), (0, None));
}
