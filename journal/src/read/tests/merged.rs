//! What is read of merged files is what is read of their segments.

use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use proptest::prelude::*;

use super::*;
use crate::{
    fold::Scope,
    journal::Segment,
    level::{HIGHEST, Merged},
    segment::Meta,
};

/// Merges these segments at a level; `half` if that meets what is merged already.
pub(super) async fn merge_half(
    journal: &Journal,
    level: u8,
    numbers: std::ops::RangeInclusive<u64>,
    half: bool,
) -> Merged {
    let segments = journal.segments(*numbers.start()..numbers.end() + 1).await.expect("they are there");
    let merged = Merged::write(journal, level, &segments).await.expect("writes");
    assert!(Manifest::add_merged(journal, merged.clone()).await.expect("writes") || half);
    merged
}

pub(super) async fn merge(journal: &Journal, level: u8, numbers: std::ops::RangeInclusive<u64>) -> Merged {
    merge_half(journal, level, numbers, false).await
}

async fn raw(journal: &Journal, numbers: std::ops::RangeInclusive<u64>) -> Vec<Segment> {
    journal.read(*numbers.start()..numbers.end() + 1).try_collect().await.expect("they are there")
}

pub(super) fn same(left: &[Segment], right: &[Segment]) {
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        assert_eq!((&left.meta, left.bytes), (&right.meta, right.bytes));
        assert_eq!(left.rows, right.rows, "segment {}", left.meta.segment);
    }
}

/// The answers to a question at every revision, and now.
pub(super) async fn answers(journal: &Journal, revs: u64) -> Vec<(Moment, State)> {
    let mut all = Vec::new();
    for n in 0..=revs {
        all.push(at(journal, rev(10 + n), &Scope::default()).await);
        all.push(at(journal, At::Time((10 + n as i64) * 1000 + 1), &Scope::default()).await);
    }
    all.push(at(journal, At::Now, &Scope::default()).await);
    all
}

pub(super) fn alike(left: &[(Moment, State)], right: &[(Moment, State)]) {
    assert_eq!(left.len(), right.len());
    for ((moment, state), (other, that)) in left.iter().zip(right) {
        assert_eq!(moment, other);
        assert_eq!(format!("{state:?}"), format!("{that:?}"));
    }
}

#[tokio::test]
async fn merged_or_not_every_question_has_the_same_answer() {
    let journal = journal();
    let writer = write(&journal, "ws", 4, 40).await;
    let last = writer.segment();
    let before = answers(&journal, 160).await;
    let segments = raw(&journal, 1..=last).await;
    for (level, numbers) in [(1, 3..=9), (1, 10..=20), (2, 2..=25), (1, 26..=30), (3, 1..=31), (1, 32..=last)] {
        let merged = merge(&journal, level, numbers.clone()).await;
        same(&merged.read(&journal).await.expect("reads"), &raw(&journal, numbers).await);
        same(&journal.segments(1..last + 1).await.expect("reads"), &segments);
    }
    alike(&answers(&journal, 160).await, &before);
    let named: Vec<_> =
        Manifest::read(&journal).await.unwrap().merged.iter().map(|m| (m.level, m.first, m.last)).collect();
    assert_eq!(named, [(3, 1, 31), (1, 32, last)], "what a higher one holds is named no more");
    // Made again, it is the same file; half of one is not taken.
    merge(&journal, 3, 1..=31).await;
    merge_half(&journal, 3, 20..=32, true).await;
    let manifest = Manifest::read(&journal).await.unwrap();
    assert_eq!(manifest.merged.len(), 2);
    // Without the segments themselves, all that is in the middle of the log is read from it.
    for number in 2..=31 {
        journal.store().remove(&journal.store().layout().segment(number)).await.expect("removes");
    }
    same(&journal.segments(2..32).await.expect("reads"), &segments[1..31]);
}

#[tokio::test]
async fn what_cannot_be_read_merged_is_read_by_itself() {
    let inner = Arc::new(InMemory::new());
    let journal = Journal::open(inner.clone(), &Path::from("p"), "uid-1", Parts::system());
    let writer = write(&journal, "ws", 2, 10).await;
    let last = writer.segment();
    let before = answers(&journal, 20).await;
    let merged = merge(&journal, 1, 1..=last).await;
    let path = journal.store().layout().merged(1, 1, last);
    let whole = journal.store().get(&path).await.expect("it is there");
    // No byte can be another, and none missing.
    for at in 0..whole.len() {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1 << (at % 8);
        inner.put(&path, bytes.into()).await.expect("puts");
        assert!(merged.read(&journal).await.is_err(), "byte {at} of {}", whole.len());
    }
    inner.put(&path, whole.slice(..whole.len() - 1).into()).await.expect("puts");
    assert!(merged.read(&journal).await.is_err());
    alike(&answers(&journal, 20).await, &before);
    inner.delete(&path).await.expect("deletes");
    alike(&answers(&journal, 20).await, &before);
    // One of other segments than its name says.
    let of_others = Merged::write(&journal, 2, &raw(&journal, 2..=last).await).await.expect("writes");
    let bytes = journal.store().get(&journal.store().layout().merged(2, of_others.first, last)).await.unwrap();
    inner.put(&path, bytes.into()).await.expect("puts");
    let error = merged.read(&journal).await.expect_err("it is another");
    assert!(error.to_string().contains("other segments"), "{error}");
    let error = Merged::write(&journal, 1, &raw(&journal, 1..=last).await).await.expect_err("its name is taken");
    assert!(error.hint().is_some_and(|hint| hint.contains("move that file away")), "{error}");
    alike(&answers(&journal, 20).await, &before);
}

/// What a history says: its rows and facts, how far the log is closed at its end and where that is, and the objects that it begins with.
type Told = (Vec<Row>, FrontierVector, u64, Vec<String>);

/// From the beginning, and from moments in between.
const SINCE: [i64; 3] = [i64::MIN, 60_000, 120_000];

/// What the history of a scope says.
pub(super) async fn told(journal: &Journal, since: i64, scope: &Scope) -> Told {
    let reader = Reader::open(journal).await.expect("opens");
    let (state, mut segments) = reader.history(since, scope, true).await.expect("reads");
    let (mut rows, mut last) = (Vec::new(), 0);
    while let Some(run) = segments.next().await.expect("reads") {
        assert!(run.rows.is_sorted_by_key(|row| row.pos));
        rows.extend(run.rows.iter().filter(|row| !row.op.is_object() || scope.wants_row(row)).cloned());
        last = run.meta.last;
    }
    let frontier = segments.frontier().clone();
    let mut tail = segments.into_tail();
    assert!(tail.ready().await.expect("reads").is_none(), "all that there is has come");
    (rows, frontier, last, state.objects.keys().map(|key| format!("{key:?}")).collect())
}

/// Everything, a kind, a namespace, an object, one that never was, and nothing.
fn scopes() -> Vec<Scope> {
    let kinds = |kinds: &[&str]| Some(kinds.iter().map(|kind| (*kind).to_owned()).collect());
    let of = |kind: &[&str], namespace: Option<&str>, name: Option<&str>| Scope {
        kinds: kinds(kind),
        namespace: namespace.map(str::to_owned),
        name: name.map(str::to_owned),
    };
    vec![
        Scope::default(),
        Scope::nothing(),
        of(&["/ws"], None, None),
        of(&["/ws"], Some("ns1"), None),
        of(&["/ws"], Some("ns2"), Some("n2")),
        of(&["/ws", "/others"], Some("ns0"), Some("n3")),
        of(&["/ws"], None, Some("n1")),
        of(&["/ws"], Some("ns0"), Some("n1")),
        of(&["/others"], None, None),
        Scope { namespace: Some("ns0".to_owned()), ..Scope::default() },
    ]
}

/// What the histories of all scopes say.
pub(super) async fn all_told(journal: &Journal) -> Vec<Told> {
    let mut all = Vec::new();
    for scope in scopes() {
        for since in SINCE {
            all.push(told(journal, since, &scope).await);
        }
    }
    all
}

#[tokio::test]
async fn a_history_is_the_same_whatever_part_of_merged_files_it_reads() {
    let inner = Arc::new(InMemory::new());
    let journal = Journal::open(inner.clone(), &Path::from("p"), "uid-1", Parts::system());
    let last = write(&journal, "ws", 4, 40).await.segment();
    let before = all_told(&journal).await;
    for (level, numbers) in [(1, 3..=9), (1, 10..=20), (2, 2..=25), (1, 26..=30), (3, 1..=31), (1, 32..=36)] {
        let merged = merge(&journal, level, numbers).await;
        let told = all_told(&journal).await;
        assert_eq!(told, before);
        // A part that was altered is met, and the segments say the same.
        let path = journal.store().layout().merged(merged.level, merged.first, merged.last);
        let whole = journal.store().get(&path).await.expect("it is there");
        for at in [0, 40, whole.len() / 2, whole.len() - 200] {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 4;
            inner.put(&path, bytes.into()).await.expect("puts");
            assert_eq!(all_told(&journal).await, before, "byte {at} of {}", whole.len());
        }
        inner.put(&path, whole.into()).await.expect("puts");
    }
    // With a checkpoint in the middle of a file, which takes in what stands before it.
    let mut reader = Reader::open(&journal).await.expect("opens");
    let (state, origin) = reader.at_cut(&rev(70)).await.expect("reads").expect("closed");
    crate::checkpoint::Checkpoint::write(&journal, &state, &origin, "w", 1).await.expect("writes");
    let begun = all_told(&journal).await;
    let rows = |told: &[Told]| told.iter().map(|t| t.0.len()).collect::<Vec<_>>();
    assert!(rows(&begun) < rows(&before), "the checkpoint has the earlier ones");
    for (index, ((rows, frontier, end, _), (all, that, other, _))) in begun.iter().zip(&before).enumerate() {
        assert!(all.ends_with(rows), "question {index}");
        assert_eq!((frontier, end), (that, other));
    }
    assert!(last > 36);
}

/// Segments of which every part may be anything that a segment's can be.
fn segments() -> impl Strategy<Value = Vec<Segment>> {
    let row = (0..5_u8, 0..4_u64, any::<bool>(), 0..3_u8);
    let point =
        (0..3_u32, 0..9_u64, -5..9_i64).prop_map(|(incarnation, rv, time)| FrontierPoint { incarnation, rv, time });
    let frontier = proptest::collection::btree_map("main|events", point, 0..3);
    let segment = (proptest::collection::vec(row, 0..6), frontier, 0..3_u64, "[a-c]", 0..9_i64, any::<bool>());
    proptest::collection::vec(segment, 1..12).prop_map(|drawn| {
        let (mut out, mut pos, mut chain) = (Vec::new(), 7, [9; 32]);
        let mut epoch = 1;
        for (number, (rows, frontier, step, writer, time, agreed)) in (5_u64..).zip(drawn) {
            epoch += step;
            let (first, before) = (pos, chain);
            let rows: Vec<Row> = rows
                .into_iter()
                .map(|(name, rv, based, body)| {
                    let mut change = Change::new(Op::Modify, "main", 0, rv);
                    (change.group, change.resource, change.name) = ("g".into(), "rs".into(), format!("n{name}"));
                    change.state_hash = Some([rv as u8; 8]);
                    if based {
                        (change.base_rv, change.base_hash) =
                            (Some(rv.saturating_sub(1)), Some([rv as u8 - u8::from(rv > 0); 8]));
                    }
                    change.body = match body {
                        0 => crate::row::Body::None,
                        1 => crate::row::Body::Patch("[]".into()),
                        _ => crate::row::Body::Object("{}".into()),
                    };
                    let row = Row { pos, change };
                    chain = crate::row::chain_step(&chain, &row);
                    pos += 1;
                    row
                })
                .collect();
            let extra = if agreed { [("clock".to_owned(), "agreed".to_owned())].into() } else { BTreeMap::new() };
            let meta = Meta {
                role: "segment".into(),
                cluster: "uid-1".into(),
                writer,
                epoch,
                segment: number,
                first,
                last: pos - 1,
                chain_before: before,
                chain_after: chain,
                frontier,
                time,
                extra,
            };
            out.push(Segment { meta, rows: Arc::new(rows), bytes: number * 10 });
        }
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Nothing that a segment can say is lost or changed.
    #[test]
    fn a_merged_file_gives_its_segments_as_they_were(segments in segments(), level in 1..=HIGHEST) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let journal = journal();
            let merged = Merged::write(&journal, level, &segments).await.expect("writes");
            same(&merged.read(&journal).await.expect("reads"), &segments);
            let again = Merged::write(&journal, level, &segments).await.expect("it is the same");
            assert_eq!(merged, again);
        });
    }
}
