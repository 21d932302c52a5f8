//! Journals that are whole, and what somebody without the key would do to one: files with the right digests.

mod exhaustive;
mod expired;
mod moving;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::{ObjectStoreExt as _, memory::InMemory, path::Path};

use super::*;
use crate::{
    Change, Parts, Reader, Writer,
    checkpoint::{Checkpoint, Manifest},
    custody,
    cut::MAIN,
    encode::{Base, Encoder, Observation},
    facts::{self, Discovery},
    journal::Segment,
    level::Merged,
    proof::Ledger,
    row::{Op, Source},
    seal::{self, DataKeys, Key, Secrets},
    segment::{self, FrontierPoint, FrontierVector},
    writer::Identity,
};

fn key(name: &str, seed: u8) -> Arc<Key> {
    let created = String::new();
    Arc::new(Key { name: name.to_owned(), created, wrap: [seed; 32], hmac: [seed; 32], seal: [seed; 32] })
}

/// A journal that is written, step by step.
struct World {
    inner: Arc<InMemory>,
    journal: Journal,
    writer: Writer,
    encoder: Encoder,
    bases: BTreeMap<String, Base>,
    rv: u64,
}

fn kind() -> Discovery {
    let (resource, version, domain) = ("widgets".to_owned(), "v1".to_owned(), MAIN.to_owned());
    Discovery { resource, kind: "Widget".to_owned(), version, domain, ..Discovery::default() }
}

fn frontier(rv: u64) -> FrontierVector {
    FrontierVector::from([(MAIN.to_owned(), FrontierPoint { incarnation: 0, rv, time: rv as i64 * 1000 })])
}

async fn claim(journal: &Journal, keys: &[Arc<Key>]) -> Writer {
    let keys = DataKeys::new(journal.cluster(), keys.to_vec(), Parts::system());
    let identity = Identity { writer: "host/a".to_owned(), instance: "a".to_owned() };
    Writer::claim(journal, identity, Some(Arc::new(keys))).await.expect("claims")
}

impl World {
    async fn new(keys: &[Arc<Key>]) -> Self {
        let inner = Arc::new(InMemory::new());
        let journal = Journal::open(inner.clone(), &Path::from("p"), "uid-1", Parts::system());
        let writer = claim(&journal, keys).await;
        let encoder = Encoder::new(Secrets::Dropped);
        let mut world = Self { inner, journal, writer, encoder, bases: BTreeMap::new(), rv: 10 };
        let kind = kind();
        let facts = [
            Change { body: facts::body(&kind).expect("json"), ..facts::about(Op::Discovery, &kind, 0, 1) },
            Change { time_hi: 1000, ..facts::about(Op::CoverBegin, &kind, 0, 1) },
        ];
        world.commit(facts.to_vec()).await;
        world
    }

    async fn commit(&mut self, changes: Vec<Change>) {
        self.writer.stage(changes, frontier(self.rv)).await.expect("stages");
        self.writer.commit().await.expect("commits");
    }

    /// A segment with a version of each of these objects.
    async fn put(&mut self, names: &[&str]) {
        let kind = kind();
        let mut changes = Vec::new();
        for name in names {
            self.rv += 1;
            let (rv, pad) = (self.rv, "x".repeat(30));
            let bytes = format!(
                r#"{{"metadata":{{"name":"{name}","namespace":"ns","uid":"u-{name}","resourceVersion":"{rv}"}},"spec":{{"n":{rv},"pad":"{pad}"}}}}"#
            );
            let time = rv as i64 * 1000;
            let seen = Observation {
                kind: &kind,
                incarnation: 0,
                rv,
                source: Source::Watch,
                time_lo: time - 10,
                time_hi: time,
                bytes: bytes.as_bytes(),
            };
            let encoded = self.encoder.observe(&seen, self.bases.get(*name));
            self.bases.insert((*name).to_owned(), encoded.base);
            changes.push(encoded.change);
        }
        self.commit(changes).await;
    }

    async fn checkpoint(&self) {
        let mut reader = Reader::open(&self.journal).await.expect("opens");
        let (state, origin) = reader.at_closed_cut().await.expect("reads").expect("is closed");
        Checkpoint::write(&self.journal, &state, &origin, "w", 1).await.expect("writes");
    }

    async fn merge(&self, level: u8, numbers: std::ops::RangeInclusive<u64>) {
        let segments = self.journal.segments(*numbers.start()..numbers.end() + 1).await.expect("they are there");
        let merged = Merged::write(&self.journal, level, &segments).await.expect("writes");
        assert!(Manifest::add_merged(&self.journal, merged).await.expect("writes"));
    }

    async fn seal(&mut self) {
        let keys = self.writer.keys().to_vec();
        let (_, gathered) = Ledger::default().gather(self.journal.store(), &keys).await.expect("gathers");
        let sealed = self.writer.seal(MAIN, self.rv, Some(&gathered)).await.expect("seals");
        assert!(sealed.statement.is_some());
        self.commit(vec![sealed.change.expect("there is a key")]).await;
    }

    /// What everything here is about: objects that change, checkpoints, merged files, a second epoch, and a seal of it all.
    async fn full(keys: &[Arc<Key>]) -> Self {
        let mut world = Self::new(keys).await;
        world.put(&["a", "b"]).await;
        world.put(&["a", "c"]).await;
        world.checkpoint().await;
        world.commit(Vec::new()).await;
        world.seal().await;
        world.writer = claim(&world.journal, keys).await;
        world.put(&["b"]).await;
        world.put(&["c", "a"]).await;
        world.checkpoint().await;
        world.beside().await;
        world.merge(1, 2..=5).await;
        world.merge(2, 1..=8).await;
        world.seal().await;
        world
    }

    /// A file of each sort that stands beside the log.
    async fn beside(&self) {
        let store = self.journal.store();
        store.probe().await.expect("the store holds");
        assert!(self.writer.can_seal("ns").await, "makes a data key");
        if let Some(key) = self.writer.keys().first() {
            let deed = seal::Deed::Wrapped { keys: vec!["older-000000".to_owned()], to: key.id() };
            let by = custody::By { key, who: "host/a" };
            custody::state(&self.journal, by, deed, Vec::new(), Vec::new()).await.expect("is told");
        }
        let files = [
            ("meta/alias/00000000000000000001", r#"{"alias":"prod"}"#),
            ("meta/boundary/00000000000000000001", r#"{"segment":1}"#),
            ("meta/sealing/00000000000000000001", r#"{"places":[]}"#),
            ("points/nightly/begin", r#"{"id":"00112233445566778899"}"#),
            ("points/nightly/hold-000001", r#"{"by":"host/a","until":1}"#),
            ("points/nightly/point", r#"{"id":"00112233445566778899","time":7}"#),
            ("restores/r1/plan", r#"{"actions":[1]}"#),
            ("restores/r1/pre-1", r#"[{"name":"a"}]"#),
            ("restores/r1/outcome-1", r#"[{"name":"a","became":"done"}]"#),
        ];
        for (name, text) in files {
            store.create(&store.layout().named(name), Bytes::from(text)).await.expect("creates");
        }
    }

    async fn verify(&self, keys: &[Arc<Key>]) -> Report {
        let asked = Asked { trust: Trust::new(keys, Vec::new()).expect("keys"), ..Default::default() };
        verify(&self.journal, &asked, &|_| {}).await.expect("the store answers")
    }

    /// Whoever runs it beside other work has to send it to another thread.
    fn is_sent(&self) -> impl Send {
        let asked = Asked::default();
        let journal = self.journal.clone();
        async move { verify(&journal, &asked, &|_| {}).await }
    }

    async fn segments(&self) -> Vec<Segment> {
        let numbers = self.journal.segments_after(0).await.expect("lists");
        self.journal.read(numbers).try_collect().await.expect("reads")
    }

    async fn overwrite(&self, path: &Path, bytes: Bytes) {
        self.inner.put(path, bytes.into()).await.expect("puts");
    }

    /// Puts a segment in the place of another, with a digest and chain values that fit.
    async fn forge(&self, segment: &Segment) -> Segment {
        let mut meta = segment.meta.clone();
        let bytes = segment::encode(&mut meta, &segment.rows).expect("encodes");
        let path = self.journal.store().layout().segment(meta.segment);
        self.overwrite(&path, bytes).await;
        Segment { meta, ..segment.clone() }
    }
}

fn found(report: &Report) -> Vec<(&str, Verdict)> {
    report.findings.iter().map(|finding| (finding.file.as_str(), finding.verdict)).collect()
}

fn wal(number: u64) -> String {
    format!("wal/{number:020}.parquet")
}

#[tokio::test]
async fn a_whole_journal_is_found_whole_and_what_is_behind_its_seal_is_said() {
    let keys = [key("one", 1)];
    let mut world = World::full(&keys).await;
    drop(world.is_sent());
    let report = world.verify(&keys).await;
    assert_eq!((found(&report), &report.unproven), (vec![], &vec![]));
    assert_eq!((report.checkpoints, report.merged, report.seals), (2, 2, 2));
    assert_eq!(report.segments, (1, 10));
    let unsealed = Unsealed { segments: 1, ..Unsealed::default() };
    assert_eq!(report.unsealed, unsealed, "only the seal's own segment");
    let sealed = report.sealed.expect("it is sealed");
    assert!(sealed.checked && sealed.pos + 1 == report.last, "{sealed:?}");
    world.put(&["a"]).await;
    world.checkpoint().await;
    let report = world.verify(&keys).await;
    assert_eq!(found(&report), []);
    assert_eq!((report.unsealed.rows, report.unsealed.segments, report.checkpoints), (1, 2, 3));
    assert_eq!(report.unsealed.files.len(), 1, "the new manifest: {:?}", report.unsealed.files);
    // What was told once can be asked for later.
    let asked = |pos, chain: &str| Asked {
        trust: Trust::default(),
        known: Some((pos, chain.to_owned())),
        ..Default::default()
    };
    let ask = async |asked: &Asked| verify(&world.journal, asked, &|_| {}).await.expect("the store answers");
    assert_eq!(found(&ask(&asked(sealed.pos, &sealed.chain)).await), []);
    let other = ask(&asked(sealed.pos, &"0".repeat(64))).await;
    assert_eq!(found(&other), [(wal(9).as_str(), Verdict::Altered)]);
    let further = ask(&asked(sealed.pos + 99, &sealed.chain)).await;
    assert_eq!(found(&further), [(wal(12).as_str(), Verdict::Missing)]);
}

#[tokio::test]
async fn a_journal_older_than_the_seal_that_is_told_elsewhere_is_found_to_be() {
    let keys = [key("one", 1)];
    let mut world = World::full(&keys).await;
    let before: Vec<(Path, Bytes)> = {
        let store = world.journal.store();
        let listed = store.list(store.layout().root(), None).await.expect("lists");
        let mut files = Vec::new();
        for found in listed {
            files.push((found.path.clone(), store.get(&found.path).await.expect("is there")));
        }
        files
    };
    world.put(&["a"]).await;
    world.seal().await;
    let store = world.journal.store().clone();
    let newest = Newest::read(&store, &keys[0]).await.expect("reads").expect("is sealed");
    let trust = Trust::new(&keys, Vec::new()).expect("keys");
    assert!(newest.is_of("uid-1") && !newest.is_of("uid-2"));
    assert_eq!((newest.is_signed(&trust), newest.is_signed(&Trust::default())), (Some(true), None));
    assert_eq!(Newest { pos: newest.pos + 1, ..newest.clone() }.is_signed(&trust), Some(false));
    assert_eq!(Newest::read(&store, &key("two", 2)).await.expect("reads"), None, "another key says nothing of it");
    let told = |newest: &Newest, checked| Asked {
        trust: trust.clone(),
        told: vec![(newest.clone(), "the cluster".to_owned(), checked)],
        ..Asked::default()
    };
    let ask =
        async |journal: &Journal, asked: &Asked| verify(journal, asked, &|_| {}).await.expect("the store answers");
    assert_eq!(found(&ask(&world.journal, &told(&newest, true)).await), []);
    // The bucket as it was before: by itself it is whole.
    let inner = Arc::new(InMemory::new());
    for (path, bytes) in before {
        inner.put(&path, bytes.into()).await.expect("puts");
    }
    let older = Journal::open(inner, &Path::from("p"), "uid-1", Parts::system());
    assert!(
        newest.is_in(world.journal.store()).await.expect("reads") && !newest.is_in(older.store()).await.expect("reads")
    );
    let alone = Asked { trust: trust.clone(), ..Asked::default() };
    assert_eq!(found(&ask(&older, &alone).await), []);
    let report = ask(&older, &told(&newest, true)).await;
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert!(
        finding.verdict == Verdict::Missing && finding.reason.contains("the seal that the cluster tells of"),
        "{finding:?}"
    );
    // Another history of the same length.
    let other = Newest { chain: "0".repeat(64), ..newest };
    let report = ask(&world.journal, &told(&other, true)).await;
    assert!(report.findings.iter().any(|finding| finding.verdict == Verdict::Altered), "{:?}", report.findings);
}

#[tokio::test]
async fn the_log_of_the_delta_table_is_known_by_its_names_and_vouches_for_nothing() {
    let keys = [key("one", 1)];
    let world = World::full(&keys).await;
    let mut table = crate::delta::Table::default();
    table.follow(&world.journal, true).await.expect("follows").expect("there are merged files");
    let folder = world.journal.store().layout().table();
    let put = async |name: &str| world.overwrite(&folder.clone().join(name), Bytes::from("anything")).await;
    for name in ["_last_checkpoint", "00000000000000000100.json", "00000000000000000100.checkpoint.parquet"] {
        put(name).await;
    }
    assert_eq!(found(&world.verify(&keys).await), []);
    for name in ["100.json", "00000000000000000100.crc", "part-0.parquet"] {
        put(name).await;
        let file = format!("log/_delta_log/{name}");
        assert_eq!(found(&world.verify(&keys).await), [(file.as_str(), Verdict::Foreign)]);
        world.inner.delete(&folder.clone().join(name)).await.expect("is removed");
    }
}

#[tokio::test]
async fn older_seals_are_checked_with_older_keys_of_the_file() {
    let (old, new) = (key("one", 1), key("two", 2));
    let mut world = World::full(std::slice::from_ref(&old)).await;
    world.writer = claim(&world.journal, &[new.clone(), old.clone()]).await;
    world.put(&["b"]).await;
    world.seal().await;
    let report = world.verify(&[new.clone(), old.clone()]).await;
    assert_eq!((found(&report), report.seals, report.unchecked.len()), (vec![], 3, 0));
    let report = world.verify(std::slice::from_ref(&new)).await;
    assert_eq!((found(&report), report.seals), (vec![], 1));
    assert_eq!(report.unchecked, BTreeMap::from([("one".to_owned(), 4)]), "two rows and two statements");
    // Without any key the newest seal is named, and that it was not checked.
    let report = world.verify(&[]).await;
    assert_eq!((found(&report), report.seals), (vec![], 0));
    assert!(report.sealed.is_some_and(|sealed| !sealed.checked && sealed.key == "two"));
    // By another key of the same name, nothing holds.
    let mut other = (*old).clone();
    other.seal = [9; 32];
    let report = world.verify(&[Arc::new(other)]).await;
    assert_eq!((report.seals, report.sealed), (0, None));
}

#[tokio::test]
async fn below_the_boundary_merged_files_prove_themselves() {
    let keys = [key("one", 1)];
    let world = World::full(&keys).await;
    let layout = world.journal.store().layout().clone();
    for number in 1..=8 {
        world.inner.delete(&layout.segment(number)).await.expect("it was there");
    }
    let without = world.verify(&keys).await;
    assert_eq!(found(&without).len(), 8, "{:?}", without.findings);
    assert!(without.findings.iter().all(|f| f.verdict == Verdict::Missing && f.reason.contains("not lost")));
    assert_eq!((without.checkpoints, without.seals, &without.unproven), (2, 2, &vec![]), "all else is looked at");
    world.overwrite(&layout.meta("boundary", 2), Bytes::from_static(br#"{"segment":9}"#)).await;
    let report = world.verify(&keys).await;
    assert_eq!((found(&report), report.checkpoints, report.seals), (vec![], 2, 2));
    // Of two that hold the same, one is enough; without both, what is missing is said, and what stands behind it is looked at.
    world.inner.delete(&layout.merged(2, 1, 8)).await.expect("it was there");
    let report = world.verify(&keys).await;
    let missing: Vec<&str> = report.findings.iter().map(|f| f.file.as_str()).collect();
    assert!(missing.contains(&"log/2/00000000000000000001-00000000000000000008.parquet"), "{missing:?}");
    assert!(missing.contains(&wal(6).as_str()), "{missing:?}");
}

#[tokio::test]
async fn what_is_forged_with_right_digests_is_found_by_what_vouches_for_it() {
    let keys = [key("one", 1)];
    // A segment without rows that closes the log further than it was closed.
    let world = World::full(&keys).await;
    let segments = world.segments().await;
    let idle = segments.iter().find(|s| s.rows.is_empty() && s.meta.segment > 2).expect("there is one");
    let mut forged = idle.clone();
    forged.meta.frontier = frontier(99);
    world.forge(&forged).await;
    let report = world.verify(&keys).await;
    assert!(!report.findings.is_empty(), "the stretch of the seal, and the merged files, say otherwise");
    // The same without merged files to compare with: the seal alone says so.
    let layout = world.journal.store().layout().clone();
    for (level, first, last) in [(1, 2, 5), (2, 1, 8)] {
        world.inner.delete(&layout.merged(level, first, last)).await.expect("it was there");
    }
    let report = world.verify(&keys).await;
    assert!(report.findings.iter().any(|f| f.file.starts_with("wal/") && f.verdict == Verdict::Altered), "{report:#?}");
    // All of the log from a row on, made anew so that everything in it fits.
    let world = World::full(&keys).await;
    let mut chain = None;
    for mut segment in world.segments().await.into_iter().skip(2) {
        if let Some(chain) = chain {
            segment.meta.chain_before = chain;
        } else {
            let mut rows = segment.rows.to_vec();
            rows[0].change.manager = "somebody else".to_owned();
            segment.rows = rows.into();
        }
        chain = Some(world.forge(&segment).await.meta.chain_after);
    }
    let report = world.verify(&keys).await;
    assert!(report.findings.iter().any(|f| f.file.starts_with("wal/")), "{report:#?}");
    assert!(report.sealed.is_none(), "no seal holds");
}

#[tokio::test]
async fn a_checkpoint_that_holds_another_state_is_found_by_the_log() {
    let keys = [key("one", 1)];
    let mut world = World::new(&keys).await;
    world.put(&["a", "b"]).await;
    // Its file and its manifest agree, and nothing of either is sealed.
    let mut reader = Reader::open(&world.journal).await.expect("opens");
    let (mut state, origin) = reader.at_closed_cut().await.expect("reads").expect("is closed");
    state.objects.retain(|key, _| key.name != "b");
    Checkpoint::write(&world.journal, &state, &origin, "w", 1).await.expect("writes");
    let report = world.verify(&keys).await;
    let [finding] = report.findings.as_slice() else { panic!("{report:#?}") };
    assert!(finding.file.starts_with("checkpoints/") && finding.reason.contains("lacks /widgets/ns/b"), "{finding:?}");
    // A merged file of other rows.
    let segments = world.segments().await;
    let mut other = segments.clone();
    let mut rows = other[2].rows.to_vec();
    rows[0].change.manager = "somebody else".to_owned();
    other[2].rows = rows.into();
    other[2].meta.chain_after =
        other[2].rows.iter().fold(other[2].meta.chain_before, |h, row| crate::row::chain_step(&h, row));
    let merged = Merged::write(&world.journal, 1, &other).await.expect("writes");
    Manifest::add_merged(&world.journal, merged).await.expect("names");
    let report = world.verify(&keys).await;
    assert!(
        report.findings.iter().any(|f| f.file.starts_with("log/1/") && f.verdict == Verdict::Altered),
        "{report:#?}"
    );
}

#[tokio::test]
async fn behind_a_hole_the_log_and_its_checkpoints_are_looked_at_all_the_same() {
    let keys = [key("one", 1)];
    let mut world = World::new(&keys).await;
    for _ in 0..3 {
        world.put(&["a", "b", "c"]).await;
        world.checkpoint().await;
    }
    world.put(&["b"]).await;
    world.checkpoint().await;
    let layout = world.journal.store().layout().clone();
    world.inner.delete(&layout.segment(3)).await.expect("it was there");
    let report = world.verify(&keys).await;
    assert_eq!(found(&report), [(wal(3).as_str(), Verdict::Missing)]);
    assert_eq!((report.checkpoints, report.unproven.len()), (3, 1), "{:?}", report.unproven);
    // Strangers, and a journal of another cluster.
    world.overwrite(&layout.named("wal/1.parquet"), Bytes::from_static(b"x")).await;
    world.overwrite(&layout.named("meta/manifest/README"), Bytes::from_static(b"x")).await;
    let other = Journal::open(Arc::new(InMemory::new()), &Path::from("p"), "uid-2", Parts::system());
    drop(claim(&other, &keys).await);
    let foreign = other.store().get(&other.store().layout().segment(1)).await.expect("it is there");
    world.overwrite(&layout.segment(3), foreign).await;
    let report = world.verify(&keys).await;
    let foreign = [wal(3), "meta/manifest/README".to_owned(), "wal/1.parquet".to_owned()];
    for name in &foreign {
        assert!(found(&report).contains(&(name, Verdict::Foreign)), "{name}: {report:#?}");
    }
}
