//! What is read after segments were removed is what was read before.

use object_store::ObjectStoreExt as _;

use super::{
    merged::{alike, all_told, answers, merge, same, told},
    *,
};
use crate::{
    journal::Segment,
    trim::{Trim, Trimmed, sweep},
};

const EVERYTHING: Micros = Micros::MAX;

async fn numbers(journal: &Journal) -> Vec<u64> {
    let listed = journal.store().list(&journal.store().layout().segments(), None).await.expect("lists");
    listed.iter().filter_map(|l| crate::layout::Layout::number(&l.path)).collect()
}

async fn from_position(journal: &Journal, pos: Position) -> Vec<Segment> {
    let mut tail = journal.tail(pos).await.expect("begins");
    let mut runs = Vec::new();
    while let Some(run) = tail.ready().await.expect("reads") {
        runs.push(run);
    }
    runs
}

#[tokio::test]
async fn removed_or_not_every_question_has_the_same_answer() {
    let inner = Arc::new(InMemory::new());
    let journal = Journal::open(inner.clone(), &Path::from("p"), "uid-1", Parts::system());
    let last = write(&journal, "ws", 4, 40).await.segment();
    let early = Reader::open(&journal).await.expect("opens");
    assert_eq!(Trim::plan(&journal, EVERYTHING).await.expect("plans"), None, "nothing is merged");
    for (level, numbers) in [(1, 3..=9), (2, 1..=20), (1, 32..=36)] {
        merge(&journal, level, numbers).await;
    }
    assert_eq!(
        Trim::plan(&journal, EVERYTHING).await.expect("plans"),
        None,
        "only what is of the highest level counts"
    );
    for numbers in [1..=20, 21..=31] {
        merge(&journal, crate::level::HIGHEST, numbers).await;
    }
    let mut reader = Reader::open(&journal).await.expect("opens");
    let (state, origin) = reader.at_cut(&rev(70)).await.expect("reads").expect("closed");
    crate::checkpoint::Checkpoint::write(&journal, &state, &origin, "w", 1).await.expect("writes");
    let before = answers(&journal, 160).await;
    let histories = all_told(&journal).await;
    let mut tails = Vec::new();
    for pos in 1..=origin.last + 3 {
        tails.push(from_position(&journal, pos).await);
    }
    assert_eq!(Trim::plan(&journal, 0).await.expect("plans"), None, "all of it is too new");
    let trim = Trim::plan(&journal, EVERYTHING).await.expect("plans").expect("there is something");
    assert_eq!((trim.segments.clone(), trim.files.len()), (1..32, 2));

    // What cannot be proven is not removed: without one of its segments a damaged file cannot be made anew.
    let path = journal.store().layout().merged(crate::level::HIGHEST, 21, 31);
    let whole = journal.store().get(&path).await.expect("it is there");
    let mut bytes = whole.to_vec();
    bytes[whole.len() / 2] ^= 1;
    inner.put(&path, bytes.clone().into()).await.expect("puts");
    let other = Journal::open(Arc::new(inner.fork()), &Path::from("p"), "uid-1", Parts::system());
    other.store().remove(&other.store().layout().segment(25)).await.expect("removes");
    let error = trim.execute(&other).await.expect_err("a file is damaged");
    assert!(error.hint().is_some_and(|hint| hint.contains("copy of the bucket")), "{error}");
    assert_eq!(other.boundary().await.expect("reads"), 21, "up to it all is proven");
    assert_eq!(numbers(&other).await.first(), Some(&21));
    // With all of them it is.
    other
        .store()
        .create(
            &other.store().layout().segment(25),
            journal.store().get(&journal.store().layout().segment(25)).await.unwrap(),
        )
        .await
        .expect("puts");
    let rest = Trim::plan(&other, EVERYTHING).await.expect("plans").expect("there is one");
    assert_eq!(rest.execute(&other).await.expect("removes").segments, 11);
    assert_eq!(other.store().get(&path).await.expect("it is there"), whole, "it is the same file again");
    inner.put(&path, whole.into()).await.expect("puts");

    let trimmed = trim.execute(&journal).await.expect("removes");
    assert_eq!((trimmed.segments, trimmed.files), (31, 2));
    assert_eq!(numbers(&journal).await, (32..=last).collect::<Vec<_>>());
    let levels = journal.store().list(&journal.store().layout().levels(), None).await.expect("lists");
    assert_eq!(levels.len(), 3, "two of the highest level, and what they do not hold");
    alike(&answers(&journal, 160).await, &before);
    assert_eq!(all_told(&journal).await, histories);
    for (pos, tail) in (1..).zip(&tails) {
        same(&from_position(&journal, pos).await, tail);
    }
    // Whoever began before anything was merged goes on.
    let mut early = early;
    let past = early.at(&At::Now).await.expect("reads");
    assert_eq!(past.moment(), &before.last().expect("there are some").0);

    // What a process that died left is removed by the next one, and then there is nothing left to do.
    let left = journal.store().get(&journal.store().layout().segment(40)).await.expect("it is there");
    for number in [29, 30, 31] {
        inner.put(&journal.store().layout().segment(number), left.clone().into()).await.expect("puts");
    }
    assert_eq!(Trim::plan(&journal, EVERYTHING).await.expect("plans"), None);
    assert_eq!(sweep(&journal).await.expect("removes").segments, 3);
    assert_eq!(sweep(&journal).await.expect("removes"), Trimmed::default());
    assert_eq!(numbers(&journal).await, (32..=last).collect::<Vec<_>>());

    // The manifest may forget what it named: the files have names of their own.
    let forgetful = Journal::open(Arc::new(inner.fork()), &Path::from("p"), "uid-1", Parts::system());
    let manifests = forgetful.store().list(&forgetful.store().layout().metas("manifest"), None).await.expect("lists");
    for manifest in manifests {
        forgetful.store().remove(&manifest.path).await.expect("removes");
    }
    // Without a checkpoint it is folded from the beginning.
    let hashes = |state: &State| state.objects.values().map(|e| (e.row.rv, e.hash())).collect::<Vec<_>>();
    for ((moment, state), (other, that)) in answers(&forgetful, 160).await.iter().zip(&before) {
        assert_eq!((moment, hashes(state)), (other, hashes(that)));
    }
    assert_eq!(told(&forgetful, i64::MIN, &Scope::default()).await, histories[0]);

    // The log goes on, and so does merging.
    let writer = Writer::claim(&journal, identity("b"), None).await.expect("claims");
    assert_eq!(writer.segment(), last + 1);
    merge(&journal, crate::level::HIGHEST, 32..=last).await;
    let trim = Trim::plan(&journal, EVERYTHING).await.expect("plans").expect("there is more");
    trim.execute(&journal).await.expect("removes");
    assert_eq!(numbers(&journal).await, [last + 1]);
    let claimed = answers(&journal, 160).await;
    alike(&claimed[..claimed.len() - 1], &before[..before.len() - 1]);
    Writer::claim(&journal, identity("c"), None).await.expect("claims");
}
