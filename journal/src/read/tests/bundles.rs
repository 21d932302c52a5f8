//! What is read of bundles is what is read of their segments, in fewer requests.

use futures::TryStreamExt as _;
use object_store::{ObjectStoreExt as _, PutPayload};

use super::{
    counted::Metered,
    merged::{alike, all_told, answers, merge, same},
    *,
};
use crate::{bundle::SEGMENTS, journal::Segment, level::Merged, trim::Trim};

/// A journal of 82 segments, which begins in the first block, with its store.
async fn begun() -> (Arc<Metered>, Journal, u64) {
    let store = Arc::new(Metered::default());
    let journal = Journal::open(store.clone(), &Path::from("p"), "uid-1", Parts::system());
    let last = write(&journal, "ws", 2, 80).await.segment();
    (store, journal, last)
}

async fn raw(journal: &Journal, numbers: std::ops::RangeInclusive<u64>) -> Vec<Segment> {
    journal.read(*numbers.start()..numbers.end() + 1).try_collect().await.expect("they are there")
}

/// The names of bundles that are there.
async fn bundles(journal: &Journal) -> Vec<(u64, u64)> {
    let folder = journal.store().layout().levels().join("0");
    let listed = journal.store().list(&folder, None).await.expect("lists");
    let named = listed.iter().filter_map(|l| crate::layout::Layout::numbers(l.path.as_ref()));
    named.map(|(_, first, last)| (first, last)).collect()
}

/// Commits segments, and writes each bundle when it is there.
async fn commit(journal: &Journal, writer: &mut Writer, segments: u64) {
    for n in 0..segments {
        let rv = 1000 + writer.segment();
        let time = rv as i64 * 1000;
        let changes = if n % 3 == 0 {
            let kind = kind("ws");
            let body = facts::body(&kind).expect("json");
            vec![Change { time_lo: time - 5, time_hi: time, body, ..facts::about(Op::Discovery, &kind, 0, rv) }]
        } else {
            Vec::new()
        };
        writer.stage(changes, frontier(rv, time)).await.expect("stages");
        assert!(writer.bundle().is_none(), "nothing is bundled that is not durable");
        writer.commit().await.expect("commits");
        if let Some(bundle) = writer.bundle() {
            bundle.write(journal).await.expect("writes");
        }
    }
}

#[tokio::test]
async fn a_writer_bundles_the_blocks_that_it_wrote_whole() {
    let journal = journal();
    let mut first = Writer::claim(&journal, identity("a"), None).await.expect("claims");
    commit(&journal, &mut first, 2 * SEGMENTS + 5).await;
    assert_eq!(bundles(&journal).await, [(1, 32), (33, 64)]);
    // Another takes over within a block: nobody has all of that.
    let mut second = Writer::claim(&journal, identity("b"), None).await.expect("claims");
    first.stage(Vec::new(), frontier(5000, 5_000_000)).await.expect("stages");
    first.commit().await.expect_err("fenced");
    assert!(first.bundle().is_none());
    commit(&journal, &mut second, 2 * SEGMENTS).await;
    assert_eq!(bundles(&journal).await, [(1, 32), (33, 64), (97, 128)]);
    for (first, last) in bundles(&journal).await {
        let held = Merged::read_named(&journal, 0, first..=last).await.expect("reads");
        same(&held, &raw(&journal, first..=last).await);
    }
}

#[tokio::test]
async fn a_block_that_is_large_has_no_bundle() {
    let journal = journal();
    let mut writer = Writer::claim(&journal, identity("a"), None).await.expect("claims");
    let pad = "x".repeat(300 << 10);
    for _ in 1..SEGMENTS {
        let mut change = Change::new(Op::Add, MAIN, 0, 1);
        change.body = crate::row::Body::Object(format!(r#"{{"pad":"{pad}"}}"#).into());
        writer.stage(vec![change], FrontierVector::new()).await.expect("stages");
        writer.commit().await.expect("commits");
    }
    assert!(writer.bundle().is_none());
    for _ in 0..SEGMENTS {
        writer.stage(Vec::new(), FrontierVector::new()).await.expect("stages");
        writer.commit().await.expect("commits");
    }
    assert!(writer.bundle().is_some(), "the next one is small");
}

#[tokio::test]
async fn the_newest_segments_are_few_requests() {
    let (store, journal, last) = begun().await;
    assert_eq!(last, 82);
    let before = (answers(&journal, 20).await, all_told(&journal).await);
    store.requests("wal");
    at(&journal, At::NowOpen, &Scope::default()).await;
    assert!(store.requests("wal") >= last);
    for block in [1..=32, 33..=64] {
        Merged::write(&journal, 0, &raw(&journal, block).await).await.expect("writes");
    }
    store.requests("wal");
    at(&journal, At::NowOpen, &Scope::default()).await;
    let (wal, more) = (store.requests("wal"), last - 64 + 2);
    assert!(wal <= more, "{wal} requests for segments, where {more} do");
    alike(&answers(&journal, 20).await, &before.0);
    assert_eq!(all_told(&journal).await, before.1);
    let mut tail = journal.tail(1).await.expect("begins");
    let mut runs = Vec::new();
    while let Some(run) = tail.ready().await.expect("reads") {
        runs.push(run);
    }
    // The claim has no rows, so it comes before all of them.
    same(&runs, &raw(&journal, 2..=last).await);
    // They go with their segments.
    for numbers in [1..=40, 41..=70] {
        merge(&journal, crate::level::HIGHEST, numbers).await;
    }
    let trim = Trim::plan(&journal, Micros::MAX).await.expect("plans").expect("there is something");
    trim.execute(&journal).await.expect("removes");
    assert_eq!(bundles(&journal).await, []);
    alike(&answers(&journal, 20).await, &before.0);
}

#[tokio::test]
async fn a_bundle_that_does_not_prove_itself_is_none() {
    let (store, journal, _) = begun().await;
    let before = answers(&journal, 4).await;
    Merged::write(&journal, 0, &raw(&journal, 1..=32).await).await.expect("writes");
    let path = journal.store().layout().merged(0, 1, 32);
    let whole = journal.store().get(&path).await.expect("it is there");
    for at in (0..whole.len()).step_by(whole.len() / 9) {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 16;
        store.memory.put(&path, PutPayload::from(bytes)).await.expect("puts");
        alike(&answers(&journal, 4).await, &before);
    }
    // One of another log, whole in itself: of one that was never committed here.
    let (_, other, _) = begun().await;
    let mut segments = raw(&other, 1..=32).await;
    segments[31].meta.time += 1;
    let made = Merged::write(&other, 0, &segments).await.expect("writes");
    let foreign = other.store().get(&other.store().layout().merged(0, made.first, made.last)).await.expect("there");
    store.memory.put(&path, PutPayload::from(foreign)).await.expect("puts");
    alike(&answers(&journal, 4).await, &before);
}
