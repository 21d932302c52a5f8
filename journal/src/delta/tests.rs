//! The log against a naive reader of it, which knows the published format alone: lines of JSON, last word wins.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use object_store::{ObjectStoreExt as _, memory::InMemory, path::Path};
use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::*;
use crate::{
    Change, Parts, Writer,
    facts::{self, Discovery},
    parts::{BoxFuture, Clock, Micros, SystemRandom},
    row::Op,
    segment::FrontierVector,
    writer::Identity,
};

/// 2026-11-01 12:00 UTC.
const NOON: Micros = 1_793_534_400_000_000;
const HOUR: Micros = 3_600_000_000;

/// A clock that is set.
#[derive(Debug)]
struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> Micros {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.now().unsigned_abs())
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// A journal whose segments are merged by hand.
struct World {
    inner: Arc<InMemory>,
    journal: Journal,
    writer: Writer,
    clock: Arc<Set>,
}

impl World {
    async fn new() -> Self {
        let inner = Arc::new(InMemory::new());
        let clock = Arc::new(Set(AtomicI64::new(NOON)));
        let parts = Parts { clock: clock.clone(), random: Arc::new(SystemRandom::new()) };
        let journal = Journal::open(inner.clone(), &Path::from("p"), "uid-1", parts);
        let identity = Identity { writer: "host/a".to_owned(), instance: "a".to_owned() };
        let writer = Writer::claim(&journal, identity, None).await.expect("claims");
        Self { inner, journal, writer, clock }
    }

    /// A segment with so many rows.
    async fn segment(&mut self, rows: u64) {
        let kind = Discovery { resource: "widgets".to_owned(), version: "v1".to_owned(), ..Discovery::default() };
        let row = |n| Change {
            time_lo: n as i64 * 1000,
            time_hi: n as i64 * 1000 + 1,
            ..facts::about(Op::CoverBegin, &kind, 0, n)
        };
        self.writer.stage((1..=rows).map(row).collect(), FrontierVector::new()).await.expect("stages");
        self.writer.commit().await.expect("commits");
    }

    async fn segments(&mut self, rows: &[u64]) {
        for rows in rows {
            self.segment(*rows).await;
        }
    }

    fn last(&self) -> u64 {
        self.writer.segment()
    }

    /// Merges segments; whether the manifest takes it.
    async fn merge(&self, level: u8, numbers: RangeInclusive<u64>) -> bool {
        let segments = self.journal.segments(*numbers.start()..numbers.end() + 1).await.expect("they are there");
        let merged = Merged::write(&self.journal, level, &segments).await.expect("writes");
        Manifest::add_merged(&self.journal, merged).await.expect("writes")
    }

    fn pass(&self, time: Micros) {
        self.clock.0.fetch_add(time, Ordering::Relaxed);
    }

    async fn text(&self, path: &Path) -> String {
        String::from_utf8(self.journal.store().get(path).await.expect("is there").to_vec()).expect("is text")
    }

    /// The actions of each version.
    async fn log(&self) -> Vec<Vec<Value>> {
        let mut all = Vec::new();
        while let Some(bytes) = {
            let path = format!("p/uid-1/log/_delta_log/{:020}.json", all.len());
            self.journal.store().get_opt(&Path::from(path)).await.expect("answers")
        } {
            let text = String::from_utf8(bytes.to_vec()).expect("is text");
            all.push(text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect());
        }
        all
    }

    /// The positions in each live file.
    async fn positions(&self, live: &BTreeSet<String>) -> Vec<RangeInclusive<u64>> {
        let mut all = Vec::new();
        for path in live {
            let (level, first, last) = Layout::numbers(&format!("log/{path}")).expect("is a merged file");
            let segments = Merged::read_named(&self.journal, level, first..=last).await.expect("is there");
            all.extend(segments.iter().filter(|s| !s.rows.is_empty()).map(|s| s.meta.first..=s.meta.last));
        }
        all.sort_by_key(|range| *range.start());
        all
    }

    /// Every version has each row up to some position once, and that never falls; that of the newest, which ends where the
    /// manifest's files first have a hole.
    async fn check(&self) -> u64 {
        let (mut live, mut before) = (BTreeSet::new(), 0);
        for actions in self.log().await {
            let path = |action: &Value, what: &str| Some(action.get(what)?.get("path")?.as_str()?.to_owned());
            for gone in actions.iter().filter_map(|action| path(action, "remove")) {
                assert!(live.remove(&gone), "{gone} was not live");
            }
            for come in actions.iter().filter_map(|action| path(action, "add")) {
                assert!(live.insert(come.clone()), "{come} is live already");
            }
            let mut next = 1;
            for range in self.positions(&live).await {
                assert_eq!(*range.start(), next, "{live:?}");
                next = range.end() + 1;
            }
            assert!(next >= before, "it never goes back");
            before = next;
        }
        let mut end = 0;
        let manifest = Manifest::read(&self.journal).await.expect("reads");
        let run = manifest.merged.iter().take_while(|file| {
            let follows = file.first == end + 1;
            end = if follows { file.last } else { end };
            follows
        });
        let due = run.map(|file| file.rows.1 + 1).max().unwrap_or(1);
        assert_eq!(before.max(1), due, "it ends where the manifest has a hole");
        before
    }
}

#[tokio::test]
async fn a_commit_says_what_engines_expect() {
    let mut world = World::new().await;
    world.segments(&[2, 0, 3]).await;
    assert!(world.merge(1, 1..=4).await);
    let mut table = Table::default();
    let commit = table.follow(&world.journal, false).await.expect("follows").expect("there is something");
    assert_eq!(commit, Commit { version: 0, segment: 4, position: 5, added: 1, removed: 0 });
    assert_eq!(table.follow(&world.journal, true).await.expect("follows"), None, "nothing is left to do");
    let file = Manifest::read(&world.journal).await.expect("reads").merged.remove(0);
    let log = world.log().await;
    let now = NOON / 1000;
    let stats = r#"{"maxValues":{"pos":5,"rv":3,"time_hi":"1970-01-01T00:00:00.004Z","time_lo":"1970-01-01T00:00:00.003Z"},"minValues":{"pos":1,"rv":1,"time_hi":"1970-01-01T00:00:00.001Z","time_lo":"1970-01-01T00:00:00.001Z"},"numRecords":5}"#;
    let [info, protocol, metadata, end, add] = log[0].as_slice() else { panic!("{log:?}") };
    assert_eq!(info["commitInfo"]["operationParameters"]["position"], "5");
    assert_eq!(info["commitInfo"]["operationParameters"]["until"], "2026-11-01T12:00:00.000Z");
    assert_eq!(
        protocol,
        &json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["hindcast.readOnly"] } })
    );
    assert_eq!(metadata["metaData"]["id"], "uid-1");
    assert_eq!(metadata["metaData"]["partitionColumns"], json!(["day"]));
    assert_eq!(end, &json!({ "txn": { "appId": "hindcast", "version": 4, "lastUpdated": now } }));
    assert_eq!(
        add,
        &json!({ "add": {
            "path": "1/00000000000000000001-00000000000000000004.parquet",
            "partitionValues": { "day": "2026-11-01" },
            "size": file.bytes,
            "modificationTime": now,
            "dataChange": true,
            "stats": stats,
        }})
    );
    // The same rows in another file are no news.
    assert!(world.merge(2, 1..=4).await);
    world.pass(HOUR);
    table.follow(&world.journal, false).await.expect("follows").expect("there is something");
    let log = world.log().await;
    let [info, _, remove, add] = log[1].as_slice() else { panic!("{log:?}") };
    assert_eq!(info["commitInfo"]["operation"], "OPTIMIZE");
    assert_eq!(
        remove,
        &json!({ "remove": {
            "path": "1/00000000000000000001-00000000000000000004.parquet",
            "deletionTimestamp": now + HOUR / 1000,
            "dataChange": false,
            "extendedFileMetadata": true,
            "partitionValues": { "day": "2026-11-01" },
            "size": file.bytes,
        }})
    );
    assert_eq!(add["add"]["dataChange"], false);
}

#[test]
fn columns_are_those_of_the_files_in_types_that_every_engine_has() {
    let of = |is: &str| -> Vec<String> {
        let schema = action::schema();
        let named =
            schema.iter().filter(|field| field["type"] == is).map(|field| field["name"].as_str().map(str::to_owned));
        named.flatten().collect()
    };
    assert_eq!(of("long"), ["pos", "rv", "base_rv"]);
    assert_eq!(of("integer"), ["incarnation"]);
    assert_eq!(of("timestamp"), ["time_lo", "time_hi"]);
    assert_eq!(of("binary"), ["state_hash", "base_hash"]);
    assert_eq!(of("date"), ["day"]);
    assert_eq!(of("string").len(), 19);
    assert!(action::schema().iter().all(|field| field["nullable"] == true));
}

#[tokio::test]
async fn what_stands_behind_a_hole_waits_and_what_has_no_rows_is_left_out() {
    let mut world = World::new().await;
    world.segments(&[1, 1, 0, 0, 2, 1, 1, 1]).await;
    let mut table = Table::default();
    // The first ones wait for the next level, as few segments do.
    assert!(world.merge(1, 4..=6).await);
    assert_eq!(table.follow(&world.journal, false).await.expect("follows"), None);
    assert!(world.merge(2, 1..=3).await);
    let commit = table.follow(&world.journal, false).await.expect("follows").expect("there is something");
    assert_eq!((commit.segment, commit.added), (6, 2));
    assert!(world.merge(1, 8..=9).await);
    assert_eq!(table.follow(&world.journal, false).await.expect("follows"), None, "segment 7 is in none");
    assert_eq!(table.free_below(), 3, "until then the first may not be removed");
    assert!(world.merge(3, 1..=9).await);
    table.follow(&world.journal, false).await.expect("follows").expect("there is something");
    assert_eq!(table.free_below(), u64::MAX);
    assert_eq!(table.files().collect::<Vec<_>>(), ["3/00000000000000000001-00000000000000000009.parquet"]);
    // Idle stretches have no rows: the table does not change, and goes on behind them.
    world.segments(&[0, 0]).await;
    assert!(world.merge(3, 10..=11).await);
    assert_eq!(table.follow(&world.journal, false).await.expect("follows"), None);
    world.segments(&[1, 1]).await;
    assert!(world.merge(1, 12..=13).await);
    for mut table in [table.clone(), Table::default()] {
        let all = table.end() == 0;
        let commit = table.follow(&world.journal, all).await.expect("follows");
        assert_eq!(commit.map(|commit| commit.segment), (!all).then_some(13));
        assert_eq!((table.end(), table.files().count()), (13, 2));
    }
    world.check().await;
}

/// The manifest that the table followed is a page, so it stays, or is removed; what came behind it is removed in either case.
#[tokio::test]
async fn after_a_pause_in_which_manifests_were_removed_the_table_goes_on() {
    for page in [true, false] {
        let mut world = World::new().await;
        world.segments(&[1; 70]).await;
        for n in 1..=6 {
            assert!(world.merge(1, n..=n).await);
        }
        let mut table = Table::default();
        table.follow(&world.journal, true).await.expect("follows").expect("there is something");
        assert_eq!(table.follow(&world.journal, false).await.expect("follows"), None);
        let known = table.manifest.number;
        let path = world.journal.store().layout().meta("manifest", known);
        let bytes = world.journal.store().get(&path).await.expect("is there");
        // Another process, in which nothing of this one's is known.
        let other = Journal::open(world.inner.clone(), &Path::from("p"), "uid-1", world.journal.parts().clone());
        let mut pruner = crate::checkpoint::Pruner::default();
        for n in 7..=60 {
            let segments = other.segments(n..n + 1).await.expect("they are there");
            let merged = Merged::write(&other, 1, &segments).await.expect("writes");
            assert!(Manifest::add_merged(&other, merged).await.expect("writes"));
        }
        pruner.step(&other, Duration::from_hours(1)).await.expect("looks");
        world.pass(HOUR);
        assert!(pruner.step(&other, Duration::from_hours(1)).await.expect("removes") > 0);
        assert!(!other.store().exists(&path).await.expect("answers"), "{known} is no landmark");
        assert!(!other.store().exists(&other.store().layout().meta("manifest", known + 1)).await.expect("answers"));
        if page {
            other.store().create(&path, bytes).await.expect("creates");
        }
        let commit = table.follow(&world.journal, false).await.expect("follows").expect("there is something");
        assert_eq!(commit.segment, 60, "{page}");
        world.check().await;
    }
}

#[tokio::test]
async fn a_long_log_is_read_from_a_checkpoint_and_what_is_damaged_is_done_without() {
    let mut world = World::new().await;
    let mut table = Table::default();
    let count = 2 * EVERY + 5;
    for n in 0..count {
        world.segment(1).await;
        assert!(world.merge(1, n + 1..=n + 1).await);
        // The first is the claim, without rows.
        table.follow(&world.journal, false).await.expect("follows");
    }
    let layout = world.journal.store().layout().clone();
    assert_eq!(
        world.text(&layout.table_hint()).await,
        format!(r#"{{"size":{},"version":{}}}"#, 2 * EVERY + 4, 2 * EVERY)
    );
    let files: Vec<String> = table.files().map(str::to_owned).collect();
    assert_eq!(files.len() as u64, count - 1);
    let fresh = |journal: Journal| async move {
        let mut table = Table::default();
        assert_eq!(table.follow(&journal, true).await.expect("follows"), None);
        table.files().map(str::to_owned).collect::<Vec<_>>()
    };
    // A commit before the checkpoint is not read.
    let early = layout.table_commit(3);
    let kept = world.journal.store().get(&early).await.expect("is there");
    world.inner.delete(&early).await.expect("is removed");
    assert_eq!(fresh(world.journal.clone()).await, files);
    world.inner.put(&early, kept.into()).await.expect("is written");
    // Without the hint, and with damaged checkpoints.
    world.inner.delete(&layout.table_hint()).await.expect("is removed");
    assert_eq!(fresh(world.journal.clone()).await, files);
    for version in [2 * EVERY, EVERY] {
        let path = layout.table_checkpoint(version);
        let mut bytes = world.journal.store().get(&path).await.expect("is there").to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        world.inner.put(&path, bytes.into()).await.expect("is written");
        assert_eq!(fresh(world.journal.clone()).await, files);
    }
    for nonsense in ["{", r#"{"version":18446744073709551615}"#, r#"{"version":90000}"#, r#"{"version":"1"}"#] {
        world.inner.put(&layout.table_hint(), nonsense.into()).await.expect("is written");
        assert_eq!(fresh(world.journal.clone()).await, files);
    }
    // A commit that cannot be read is named, with what helps.
    world.inner.put(&layout.table_commit(7), "{\"add\":".into()).await.expect("is written");
    let error = Table::default().follow(&world.journal, true).await.expect_err("is refused");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("_delta_log/00000000000000000007.json"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("made anew")));
    // Which is to take the log away, also under a table that goes on.
    for listed in world.journal.store().list(&layout.table(), None).await.expect("lists") {
        world.inner.delete(&listed.path).await.expect("is removed");
    }
    let commit = table.follow(&world.journal, false).await.expect("follows").expect("it is made anew");
    assert_eq!((commit.version, commit.added as u64), (0, count - 1));
    assert_eq!(table.files().map(str::to_owned).collect::<Vec<_>>(), files);
}

#[tokio::test]
async fn what_others_put_into_the_table_is_let_go_of_and_what_they_took_comes_back() {
    let mut world = World::new().await;
    world.segments(&[1, 1, 1]).await;
    assert!(world.merge(1, 1..=2).await);
    assert!(world.merge(1, 3..=4).await);
    let mut table = Table::default();
    table.follow(&world.journal, false).await.expect("follows").expect("there is something");
    let [first, second] = [(1, 2), (3, 4)].map(|(first, last)| format!("1/{first:020}-{last:020}.parquet"));
    let lines = [
        json!({ "commitInfo": { "operation": "OPTIMIZE" } }),
        json!({ "remove": { "path": first, "dataChange": false } }),
        json!({ "add": { "path": "part-0.parquet", "size": 7, "partitionValues": {}, "dataChange": false } }),
        json!({ "somethingNew": 7 }),
        json!(null),
    ];
    let layout = world.journal.store().layout().clone();
    let bytes = lines.map(|line| format!("{line}\n")).concat();
    world.inner.put(&layout.table_commit(1), bytes.into()).await.expect("is written");
    let commit = table.follow(&world.journal, true).await.expect("follows").expect("it is put right");
    assert_eq!((commit.version, commit.added, commit.removed), (2, 1, 1));
    assert_eq!(table.files().collect::<Vec<_>>(), [first, second]);
}

/// A step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Segments(Vec<u64>),
    /// A merge at a level, of so many segments from one on, in parts of what there is.
    Merge(u8, f64, u64),
    /// One of two processes follows, perhaps as one that has just begun.
    Follow {
        which: usize,
        begins: bool,
        all: bool,
    },
    /// Both follow from the same version, so that one of them comes late.
    Race,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => vec(0_u64..3, 1..4).prop_map(Step::Segments),
        4 => (1_u8..=3, 0.0..1.0, 1_u64..6).prop_map(|(level, at, count)| Step::Merge(level, at, count)),
        3 => (0_usize..2, any::<bool>(), any::<bool>()).prop_map(|(which, begins, all)| Step::Follow { which, begins, all }),
        1 => Just(Step::Race),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_row_is_in_one_live_file_of_every_version_whoever_made_it(steps in vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new().await;
            let mut tables = [Table::default(), Table::default()];
            // The end of what is of days: they follow one another.
            let mut days = 0;
            for step in steps {
                match step {
                    Step::Segments(rows) => world.segments(&rows).await,
                    Step::Merge(level, at, count) => {
                        let first = 1 + (at * world.last() as f64) as u64;
                        let first = if level == HIGHEST { days + 1 } else { first };
                        let last = (first + count - 1).min(world.last());
                        if first <= last && world.merge(level, first..=last).await && level == HIGHEST {
                            days = last;
                        }
                    }
                    Step::Follow { which, begins, all } => {
                        if begins {
                            tables[which] = Table::default();
                        }
                        tables[which].follow(&world.journal, all).await.expect("follows");
                        world.check().await;
                    }
                    Step::Race => {
                        let [one, other] = &mut tables;
                        let (one, other) = tokio::join!(one.follow(&world.journal, false), other.follow(&world.journal, false));
                        assert!(!(one.expect("follows").is_some() && other.expect("follows").is_some()), "one has nothing to do");
                        world.check().await;
                    }
                }
            }
            let [one, other] = &mut tables;
            one.follow(&world.journal, true).await.expect("follows");
            other.follow(&world.journal, false).await.expect("follows");
            assert_eq!(one.files().collect::<Vec<_>>(), other.files().collect::<Vec<_>>());
            world.check().await;
        });
    }

    #[test]
    fn a_checkpoint_says_what_its_actions_said(
        files in vec(("[a-z0-9/ü-]{0,12}", any::<Option<u16>>(), any::<i64>(), any::<bool>()), 0..20),
        features in vec("[a-z]{1,4}", 0..3),
        options in proptest::collection::btree_map("[a-z]{1,3}", "[a-z]{0,3}", 0..3),
    ) {
        let mut actions: Vec<Value> = files
            .into_iter()
            .map(|(path, day, size, change)| {
                let day = day.map(|day| day.to_string());
                let add = json!({ "path": path, "partitionValues": { "day": day }, "size": size, "dataChange": change });
                json!({ "add": add })
            })
            .collect();
        actions.push(json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": features } }));
        let options: BTreeMap<String, String> = options;
        actions.push(json!({ "metaData": {
            "id": "x", "format": { "provider": "parquet", "options": options }, "partitionColumns": ["day"], "configuration": {}
        }}));
        actions.push(action::end(7, 8000));
        let bytes = columns::write(&actions).expect("is written");
        prop_assert_eq!(columns::read("a checkpoint", bytes).expect("is read"), actions);
    }
}
