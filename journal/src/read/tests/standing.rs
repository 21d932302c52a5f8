//! What the manifest says of a checkpoint, and the file that stands there.

use object_store::ObjectStoreExt as _;

use super::{counted::Metered, *};
use crate::{checkpoint::Checkpoint, error::ErrorKind, seal::Rules};

/// A journal in a store that can be looked into.
fn begun() -> (Arc<Metered>, Journal) {
    let store = Arc::new(Metered::default());
    (store.clone(), Journal::open(store, &Path::from("p"), "uid-1", Parts::system()))
}

async fn checkpoint(journal: &Journal, writer: &str) -> Result<Checkpoint> {
    let mut reader = Reader::open(journal).await?;
    let (state, origin) = reader.at_closed_cut().await?.expect("closed");
    Checkpoint::write(journal, &state, &origin, writer, 1).await
}

/// The newest manifest as JSON, which is taken away.
async fn take_manifest(store: &Metered, journal: &Journal) -> serde_json::Value {
    let number = Manifest::read(journal).await.expect("reads").number;
    let path = journal.store().layout().meta("manifest", number);
    let bytes = journal.store().get(&path).await.expect("stands");
    store.memory.delete(&path).await.expect("goes");
    serde_json::from_slice(&bytes).expect("json")
}

async fn put_manifest(journal: &Journal, manifest: &serde_json::Value) {
    let path = journal.store().layout().meta("manifest", 1);
    journal.store().create(&path, serde_json::to_vec(manifest).expect("json").into()).await.expect("writes");
}

/// Every question, in whole and in part, gives these revisions.
async fn reads(journal: &Journal, revisions: impl Iterator<Item = u64>, newest: u64) {
    let ns = Scope { namespace: Some("ns1".into()), ..Scope::default() };
    for rv in revisions {
        let all = at(journal, rev(rv), &Scope::default()).await.1;
        assert_eq!(all.objects.values().map(|e| e.row.rv).max(), Some(rv), "at {rv}");
        let part = at(journal, rev(rv), &ns).await.1;
        assert!(part.objects.len() <= all.objects.len());
        for (key, entry) in &part.objects {
            assert_eq!(entry.row.rv, all.objects[key].row.rv, "{key:?} at {rv}");
        }
        assert_eq!(part.objects.len(), all.objects.keys().filter(|key| key.namespace == "ns1").count());
    }
    let resumed = Reader::open(journal).await.expect("opens").resume().await.expect("folds");
    assert_eq!(resumed.objects.values().map(|e| e.row.rv).max(), Some(newest));
}

/// Whether the newest checkpoint is described as its file is.
async fn is_true(journal: &Journal) -> bool {
    let manifest = Manifest::read(journal).await.expect("reads");
    let newest = manifest.checkpoints.last().expect("one");
    let path = journal.store().layout().checkpoint(newest.pos);
    let bytes = journal.store().get(&path).await.expect("stands");
    newest.bytes == bytes.len() as u64 && newest.open(journal).await.is_ok()
}

#[tokio::test]
async fn a_file_whose_writer_died_before_the_manifest_is_described_as_it_is() {
    for counted in [true, false] {
        let (store, journal) = begun();
        write(&journal, "widgets", 6, 3).await;
        let rules = journal.store().layout().meta("sealing", 1);
        if !counted {
            // The file of a version that did not count.
            journal.store().create(&rules, "{".into()).await.expect("writes");
        }
        let first = checkpoint(&journal, "a writer with quite a long name").await.expect("writes");
        if !counted {
            store.memory.delete(&rules).await.expect("goes");
        }
        take_manifest(&store, &journal).await;
        // At the very cut, and then while the journal is idle.
        let second = checkpoint(&journal, "b").await.expect("describes");
        assert_eq!((second.bytes, &second.footer), (first.bytes, &first.footer));
        assert!(is_true(&journal).await);
        reads(&journal, 11..=28, 28).await;
        take_manifest(&store, &journal).await;
        let mut writer = Writer::claim(&journal, identity("b"), None).await.expect("claims");
        writer.stage(Vec::new(), frontier(40, 90_000)).await.expect("stages");
        writer.commit().await.expect("commits");
        let third = checkpoint(&journal, "b").await.expect("moves");
        assert!(third.segment > first.segment && third.cut() != first.cut());
        assert!(is_true(&journal).await);
        reads(&journal, 11..=28, 28).await;
        let (_, counts) =
            Reader::open(&journal).await.expect("opens").standing(&Rules::default()).await.expect("counts");
        assert_eq!(counts.objects()["/widgets"], 6);
    }
}

/// Rows up to revision 28, closed to 25 when the first checkpoint is made, and to 28 when its manifest is gone.
async fn of_two_cuts() -> (Arc<Metered>, Journal, Checkpoint) {
    let (store, journal) = begun();
    let mut writer = write(&journal, "widgets", 6, 2).await;
    let (mut changes, kind) = (Vec::new(), kind("widgets"));
    for rv in 23..=28 {
        let body = format!(
            r#"{{"metadata":{{"name":"m{rv}","namespace":"ns{}","uid":"v{rv}","resourceVersion":"{rv}"}},"data":{{}}}}"#,
            rv % 3
        );
        let seen = Observation {
            kind: &kind,
            incarnation: 0,
            rv,
            source: Source::Watch,
            time_lo: rv as i64 * 1000 - 10,
            time_hi: rv as i64 * 1000,
            bytes: body.as_bytes(),
        };
        changes.push(Encoder::new(Secrets::Dropped).observe(&seen, None).change);
    }
    writer.stage(changes, frontier(25, 25_000)).await.expect("stages");
    writer.commit().await.expect("commits");
    let first = checkpoint(&journal, "a").await.expect("writes");
    assert_eq!((first.cut().rev(), first.pos + 1 - first.fold_from), (25, 3));
    take_manifest(&store, &journal).await;
    writer.stage(Vec::new(), frontier(28, 28_000)).await.expect("stages");
    writer.commit().await.expect("commits");
    (store, journal, first)
}

#[tokio::test]
async fn a_file_of_an_earlier_cut_is_described_as_that() {
    let (_, journal, first) = of_two_cuts().await;
    let second = checkpoint(&journal, "b").await.expect("describes");
    assert_eq!((second.cut().rev(), second.pos, second.fold_from), (25, first.pos, first.fold_from));
    assert!(is_true(&journal).await);
    reads(&journal, 11..=28, 28).await;
}

#[tokio::test]
async fn a_manifest_that_misdescribes_a_file_is_read_past() {
    // Of the same cut.
    let (store, journal) = begun();
    write(&journal, "widgets", 6, 3).await;
    checkpoint(&journal, "a").await.expect("writes");
    let mut manifest = take_manifest(&store, &journal).await;
    let entry = &mut manifest["checkpoints"][0];
    for (bytes, footer) in [(-7, -7), (3000, 20), (100_000, 0)] {
        let mut entry = entry.clone();
        entry.as_object_mut().expect("a map").remove("read");
        entry["bytes"] = (entry["bytes"].as_i64().expect("a size") + bytes).into();
        entry["footer"][0] = (entry["footer"][0].as_i64().expect("a size") + footer).into();
        entry["footer"][1] = "00".repeat(32).into();
        put_manifest(&journal, &serde_json::json!({ "checkpoints": [entry] })).await;
        assert!(!is_true(&journal).await);
        reads(&journal, 11..=28, 28).await;
        take_manifest(&store, &journal).await;
    }
    // Of another cut: the file is of 25, and the manifest says 28.
    let (_, journal, first) = of_two_cuts().await;
    let mut entry = serde_json::to_value(&first).expect("json");
    entry.as_object_mut().expect("a map").remove("read");
    entry["domains"]["main"]["rv"] = 28.into();
    entry["domains"]["main"]["hi"] = 28_000.into();
    entry["fold_from"] = (first.pos + 1).into();
    entry["fold_from_segment"] = (first.segment + 1).into();
    entry["segment"] = (first.segment + 1).into();
    entry["footer"][1] = "00".repeat(32).into();
    put_manifest(&journal, &serde_json::json!({ "checkpoints": [entry] })).await;
    reads(&journal, 11..=28, 28).await;
    // And the next writer puts it right.
    let mut writer = Writer::claim(&journal, identity("b"), None).await.expect("claims");
    writer.stage(Vec::new(), frontier(30, 30_000)).await.expect("stages");
    writer.commit().await.expect("commits");
    checkpoint(&journal, "b").await.expect("describes");
    assert!(is_true(&journal).await);
    reads(&journal, 11..=28, 28).await;
}

#[tokio::test]
async fn a_damaged_or_foreign_file_takes_a_name_and_never_gets_into_the_manifest() {
    let (store, journal) = begun();
    write(&journal, "widgets", 6, 3).await;
    let made = checkpoint(&journal, "a").await.expect("writes");
    take_manifest(&store, &journal).await;
    let path = journal.store().layout().checkpoint(made.pos);
    let whole = journal.store().get(&path).await.expect("stands");
    let mut altered = whole.to_vec();
    altered[100] ^= 1;
    // A whole file that is of another log, and one that is no checkpoint.
    let (elsewhere, other) = begun();
    write(&other, "gadgets", 6, 3).await;
    let there = checkpoint(&other, "a").await.expect("writes");
    assert_eq!(there.pos, made.pos);
    let foreign = other.store().get(&path).await.expect("stands");
    let segment = other.store().get(&other.store().layout().segment(3)).await.expect("stands");
    drop(elsewhere);
    for bytes in [altered.into(), whole.slice(..200), foreign, segment] {
        store.memory.delete(&path).await.expect("goes");
        journal.store().create(&path, bytes).await.expect("writes");
        let error = checkpoint(&journal, "b").await.expect_err("is left out");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let said = format!("{error} {:?}", error.hint());
        assert!(said.contains("checkpoints/") && said.contains("move that file away"), "{said}");
        assert_eq!(Manifest::read(&journal).await.expect("reads").count(), 0);
        reads(&journal, 11..=28, 28).await;
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the time of the paused runtime")]
async fn a_store_that_keeps_the_rules_back_costs_a_checkpoint_its_counts_alone() {
    for sick in [super::counted::Sick::Fails, super::counted::Sick::Hangs] {
        let (store, journal) = begun();
        write(&journal, "widgets", 6, 3).await;
        tokio::time::pause();
        *store.sick.lock().expect("no holder panics") = Some(("/meta/sealing/", sick));
        let before = tokio::time::Instant::now();
        let made = checkpoint(&journal, "a").await.expect("writes");
        assert!(before.elapsed() < std::time::Duration::from_secs(6), "{sick:?}");
        assert!(made.open(&journal).await.expect("opens").counts().is_none());
        tokio::time::resume();
        reads(&journal, 11..=28, 28).await;
    }
}
