//! The committed rows in order, from any position.

use super::*;

/// The positions of rows that are there by now.
async fn ready(tail: &mut Tail) -> Vec<Position> {
    let mut out = Vec::new();
    while let Some(run) = tail.ready().await.expect("reads") {
        out.extend(run.rows.iter().map(|row| row.pos));
    }
    out
}

async fn more(writer: &mut Writer, rv: u64) {
    let change = Change::new(Op::Frontier, MAIN, 0, rv);
    writer.stage(vec![change], frontier(rv, rv as i64 * 1000)).await.expect("stages");
    writer.commit().await.expect("commits");
}

#[tokio::test]
async fn every_row_from_any_position_comes_once_and_those_that_are_committed_later() {
    let journal = journal();
    let mut writer = write(&journal, "widgets", 3, 6).await;
    let mut reader = Reader::open(&journal).await.expect("opens");
    let (state, origin) = reader.at_closed_cut().await.expect("reads").expect("closed");
    crate::checkpoint::Checkpoint::write(&journal, &state, &origin, "w", 1).await.expect("writes");
    for n in 0..4 {
        more(&mut writer, 100 + n).await;
    }
    let last = writer.last();
    let mut tails = Vec::new();
    for from in 1..=last + 3 {
        let mut tail = journal.tail(from).await.expect("opens");
        assert_eq!(ready(&mut tail).await, (from..=last).collect::<Vec<_>>(), "from {from}");
        tails.push((from, tail));
    }
    more(&mut writer, 110).await;
    more(&mut writer, 111).await;
    for (from, mut tail) in tails {
        let expected: Vec<Position> = (last + 1..=last + 2).filter(|pos| *pos >= from).collect();
        assert_eq!(ready(&mut tail).await, expected, "from {from}");
    }
}

#[tokio::test]
async fn an_empty_log_is_followed_from_its_first_row_on() {
    let journal = journal();
    let mut tail = journal.tail(1).await.expect("opens");
    assert_eq!(ready(&mut tail).await, [0; 0]);
    write(&journal, "widgets", 1, 1).await;
    assert_eq!(ready(&mut tail).await, [1, 2, 3]);
}

/// A run says how far the log is closed, also where it has no rows; and waiting ends with it.
#[tokio::test]
async fn a_segment_without_rows_comes_too() {
    let journal = journal();
    let mut writer = write(&journal, "widgets", 1, 1).await;
    let mut tail = journal.tail(4).await.expect("opens");
    assert_eq!(ready(&mut tail).await, [0; 0]);
    writer.stage(Vec::new(), frontier(99, 99_000)).await.expect("stages");
    writer.commit().await.expect("commits");
    let run = tail.next().await.expect("reads");
    assert_eq!((run.rows.len(), run.meta.frontier), (0, frontier(99, 99_000)));
}

#[tokio::test]
async fn after_a_failure_it_goes_on_behind_the_last_run() {
    let source = journal();
    write(&source, "widgets", 1, 5).await;
    let segment = async |n| source.store().get(&source.store().layout().segment(n)).await.expect("there");
    let copy = Journal::open(Arc::new(InMemory::new()), &Path::from("p"), "uid-1", Parts::system());
    let put = async |n, bytes| copy.store().create(&copy.store().layout().segment(n), bytes).await.expect("writes");
    for n in [1, 2, 3, 5] {
        put(n, segment(n).await).await;
    }
    let mut tail = copy.tail(1).await.expect("opens");
    let mut rows = 0;
    for _ in 2..=3 {
        rows += tail.ready().await.expect("reads").expect("is there").rows.len();
    }
    assert_eq!(tail.ready().await.expect_err("a hole").kind(), crate::error::ErrorKind::Corrupt);
    put(4, segment(4).await).await;
    rows += ready(&mut tail).await.len();
    assert_eq!(rows, 5, "of segments 2 to 5: the start and three versions");
}
