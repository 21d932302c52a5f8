mod around;
mod bundles;
mod counted;
mod looked;
mod merged;
mod random;
mod standing;
mod tail;
mod thinned;
mod trimmed;

use std::{collections::BTreeMap, sync::Arc};

use object_store::{memory::InMemory, path::Path};

use super::*;
use crate::{
    Change, Error, Parts, Writer,
    cut::Moment,
    encode::{Encoder, Observation},
    facts::{self, Discovery},
    fold::{Knowledge, Scope, State},
    row::Source,
    seal::{DataKeys, Key, Secrets},
    segment::FrontierPoint,
    writer::Identity,
};

fn kind(resource: &str) -> Discovery {
    Discovery {
        resource: resource.into(),
        kind: "W".into(),
        version: "v1".into(),
        domain: "main".into(),
        ..Discovery::default()
    }
}

fn identity(instance: &str) -> Identity {
    Identity { writer: format!("host/{instance}"), instance: instance.into() }
}

fn key() -> Arc<Key> {
    Arc::new(Key { name: "k".into(), created: String::new(), wrap: [1; 32], hmac: [2; 32], seal: [3; 32] })
}

fn journal() -> Journal {
    Journal::open(Arc::new(InMemory::new()), &Path::from("p"), "uid-1", Parts::system())
}

fn frontier(rv: u64, time: i64) -> FrontierVector {
    FrontierVector::from([(MAIN.to_owned(), FrontierPoint { incarnation: 0, rv, time })])
}

/// Writes `rounds` versions of `objects` objects, one segment a round; revision r is committed at time 1000 r.
async fn write(journal: &Journal, resource: &str, objects: u64, rounds: u64) -> Writer {
    let keys = Arc::new(DataKeys::new(journal.cluster(), vec![key()], Parts::system()));
    let mut writer = Writer::claim(journal, identity("a"), Some(keys)).await.expect("claims");
    let encoder = Encoder::new(Secrets::Sealed(key()));
    let kind = kind(resource);
    let mut bases: BTreeMap<String, crate::encode::Base> = BTreeMap::new();
    let mut rv = 10;
    let start = [
        Change { body: facts::body(&kind).expect("json"), ..facts::about(Op::Discovery, &kind, 0, 1) },
        Change { time_hi: 1000, ..facts::about(Op::CoverBegin, &kind, 0, 1) },
    ];
    writer.stage(start.to_vec(), frontier(1, 1000)).await.expect("stages");
    writer.commit().await.expect("commits");
    for round in 0..rounds {
        let mut changes = Vec::new();
        for object in 0..objects {
            rv += 1;
            let (name, namespace) = (format!("n{object}"), format!("ns{}", object % 3));
            let value = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("value {round}"));
            let bytes = format!(
                r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","uid":"u{object}","resourceVersion":"{rv}"}},"data":{{"v":"{value}","pad":"{}"}}}}"#,
                "eHh4".repeat(30)
            );
            let (lo, hi) = (rv as i64 * 1000 - 10, rv as i64 * 1000);
            let seen = Observation {
                kind: &kind,
                incarnation: 0,
                rv,
                source: Source::Watch,
                time_lo: lo,
                time_hi: hi,
                bytes: bytes.as_bytes(),
            };
            let encoded = encoder.observe(&seen, bases.get(&name));
            bases.insert(name, encoded.base);
            changes.push(encoded.change);
        }
        writer.stage(changes, frontier(rv, rv as i64 * 1000)).await.expect("stages");
        writer.commit().await.expect("commits");
    }
    writer
}

fn datum(entry: &crate::fold::Entry) -> String {
    let value = crate::exact::parse(&entry.public()).expect("json");
    let text = value.pointer("/data/v").and_then(crate::exact::Value::as_str).expect("a value").to_owned();
    let raw = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &text);
    raw.map_or(text, |raw| String::from_utf8(raw).expect("utf-8"))
}

async fn at(journal: &Journal, question: At, scope: &Scope) -> (Moment, State) {
    let mut reader = Reader::open(journal).await.expect("opens");
    let past = reader.at(&question).await.expect("resolves");
    let state = past.state(scope).await.expect("folds").state;
    (past.moment().clone(), state)
}

fn rev(rv: u64) -> At {
    At::Rev { rv, incarnation: None, domain: None }
}

#[tokio::test]
async fn any_revision_and_any_time_read_back_with_and_without_checkpoints() {
    let journal = journal();
    write(&journal, "widgets", 5, 8).await;
    let mut expected = Vec::new();
    for rv in 11..=50 {
        let (moment, state) = at(&journal, rev(rv), &Scope::default()).await;
        assert!(moment.closed, "rev {rv}");
        let values: Vec<_> = state.objects.values().map(|e| (e.row.rv, datum(e))).collect();
        assert_eq!(values.len() as u64, (rv - 10).min(5));
        expected.push(values);
    }
    // A checkpoint after the fact, and a longer log, change no answer.
    let mut reader = Reader::open(&journal).await.expect("opens");
    let (state, origin) = reader.at_closed_cut().await.expect("reads").expect("closed");
    assert_eq!(origin.cut.rev(), 50);
    crate::checkpoint::Checkpoint::write(&journal, &state, &origin, "w", 1).await.expect("writes");
    for rv in 11..=50 {
        for question in [rev(rv), At::Time(rv as i64 * 1000), At::BeforeTime(rv as i64 * 1000 + 1)] {
            let (moment, state) = at(&journal, question.clone(), &Scope::default()).await;
            assert_eq!(moment.cut.rev(), rv, "{question:?}");
            let values: Vec<_> = state.objects.values().map(|e| (e.row.rv, datum(e))).collect();
            assert_eq!(values, expected[rv as usize - 11], "{question:?}");
        }
    }
    let (moment, _) = at(&journal, At::Time(20_995), &Scope::default()).await;
    assert_eq!(moment.cut.rev(), 20);
    assert_eq!(moment.uncertain.len(), 1, "revision 21 has bounds [20990, 21000]");
}

#[tokio::test]
async fn a_kind_was_seen_as_far_as_its_newest_row() {
    let journal = journal();
    let mut writer = write(&journal, "widgets", 2, 3).await;
    let kind = kind("widgets");
    let bytes =
        br#"{"metadata":{"name":"new","namespace":"ns0","uid":"new","resourceVersion":"20"},"data":{"v":"dg=="}}"#;
    let seen = Observation {
        kind: &kind,
        incarnation: 0,
        rv: 20,
        source: Source::Watch,
        time_lo: 19_990,
        time_hi: 20_000,
        bytes,
    };
    let change = Encoder::new(Secrets::Sealed(key())).observe(&seen, None).change;
    // Another kind of the domain was not seen so far: it is closed up to where it was.
    writer.stage(vec![change], frontier(16, 16_000)).await.expect("stages");
    writer.commit().await.expect("commits");
    let (moment, state) = at(&journal, At::NowOpen, &Scope::default()).await;
    assert_eq!(moment.frontier, frontier(16, 16_000));
    let cursor = state.kinds.values().next().and_then(|kind| kind.cursor);
    assert_eq!(cursor.map(|point| point.rv), Some(20), "closing goes on from there");
}

#[tokio::test]
async fn later_than_the_journal_knows_is_said() {
    let journal = journal();
    write(&journal, "widgets", 2, 3).await;
    let (moment, _) = at(&journal, At::Time(99_000), &Scope::default()).await;
    assert_eq!((moment.beyond, moment.closed), (Some(16_000), false));
    let (moment, _) = at(&journal, rev(99), &Scope::default()).await;
    assert_eq!((moment.beyond, moment.closed), (Some(16_000), false));
    let (moment, state) = at(&journal, At::Time(500), &Scope::default()).await;
    assert!(moment.before_start && state.objects.is_empty());
}

#[tokio::test]
async fn a_checkpoint_gives_one_namespace_or_object_like_the_whole() {
    let journal = journal();
    write(&journal, "widgets", 9, 2).await;
    let mut reader = Reader::open(&journal).await.expect("opens");
    let (state, origin) = reader.at_closed_cut().await.expect("reads").expect("closed");
    crate::checkpoint::Checkpoint::write(&journal, &state, &origin, "w", 1).await.expect("writes");
    let scope = Scope { namespace: Some("ns1".into()), ..Scope::default() };
    let (_, state) = at(&journal, At::Now, &scope).await;
    let names: Vec<_> = state.objects.keys().map(|k| k.name.as_str()).collect();
    assert_eq!(names, ["n1", "n4", "n7"]);
    let scope = Scope { kinds: Some(vec!["/widgets".into()]), namespace: Some("ns1".into()), name: Some("n4".into()) };
    let (_, state) = at(&journal, At::Now, &scope).await;
    assert_eq!(state.objects.len(), 1);
}

#[tokio::test]
async fn sealed_values_open_with_the_key_after_any_number_of_patches_and_a_checkpoint() {
    let journal = journal();
    write(&journal, "secrets", 3, 4).await;
    let keys = DataKeys::new(journal.cluster(), vec![key()], Parts::system());
    for with_checkpoint in [false, true] {
        if with_checkpoint {
            let mut reader = Reader::open(&journal).await.expect("opens");
            let (state, origin) = reader.at_closed_cut().await.expect("reads").expect("closed");
            crate::checkpoint::Checkpoint::write(&journal, &state, &origin, "w", 1).await.expect("writes");
        }
        let (_, state) = at(&journal, At::Now, &Scope::default()).await;
        assert_eq!(state.objects.len(), 3);
        for entry in state.objects.values() {
            assert!(datum(entry).starts_with("<redacted 7 bytes hmac:"), "{}", datum(entry));
            let key = entry.row.key();
            let place = crate::seal::Place { cluster: "uid-1", key: &key, namespace: &entry.row.namespace };
            let cell = &entry.cells["/data/v"];
            let value = keys.open(journal.store(), place, cell).await.expect("opens");
            assert_eq!(value.as_str(), Some("dmFsdWUgMw=="), "value 3 in base64");
        }
    }
}

#[tokio::test]
async fn an_idle_journal_is_read_from_where_its_checkpoint_moved_on_to() {
    let journal = journal();
    let mut writer = write(&journal, "widgets", 5, 3).await;
    let checkpoint = async || {
        let mut reader = Reader::open(&journal).await.expect("opens");
        let (state, origin) = reader.at_closed_cut().await.expect("reads").expect("closed");
        crate::checkpoint::Checkpoint::write(&journal, &state, &origin, "w", 1).await.expect("writes")
    };
    let first = checkpoint().await;
    let (_, before) = at(&journal, At::Now, &Scope::default()).await;
    for n in 1..=40 {
        writer.stage(Vec::new(), frontier(25 + n, 25_000 + n as i64 * 1000)).await.expect("stages");
        writer.commit().await.expect("commits");
    }
    let moved = checkpoint().await;
    assert_eq!((moved.pos, moved.segment, moved.cut().rev()), (first.pos, first.segment + 40, 65));
    let mut reader = Reader::open(&journal).await.expect("opens");
    assert_eq!(reader.manifest().count(), 1);
    let past = reader.at(&At::Now).await.expect("resolves");
    let moment = past.moment();
    assert!(moment.closed && moment.cut.rev() == 65 && reader.tail_size().0 == 1, "{:?}", reader.tail_size());
    let state = past.state(&Scope::default()).await.expect("folds").state;
    let read = |state: &State| state.objects.values().map(|e| (e.row.rv, datum(e))).collect::<Vec<_>>();
    assert_eq!(read(&state), read(&before));
    for rv in [12, 24, 25, 30, 64] {
        let (moment, state) = at(&journal, rev(rv), &Scope::default()).await;
        assert!(moment.closed && state.objects.len() as u64 == (rv - 10).min(5), "rev {rv}: {moment:?}");
    }
}

#[tokio::test]
async fn a_second_writer_fences_the_first() {
    let journal = journal();
    let mut old = write(&journal, "widgets", 1, 1).await;
    let mut new = Writer::claim(&journal, identity("b"), None).await.expect("claims");
    assert_eq!(new.epoch(), old.epoch() + 1);
    let mark = || Change::new(Op::Seal, MAIN, 0, 99);
    old.stage(vec![mark()], frontier(50, 50)).await.expect("stages");
    let error = old.commit().await.expect_err("fenced");
    assert_eq!(error.kind(), crate::error::ErrorKind::Fenced);
    assert!(error.to_string().contains("fenced by host/b b with epoch 2"), "{error}");
    new.stage(vec![mark()], frontier(50, 50)).await.expect("stages");
    new.commit().await.expect("the newest wins");
    let mut reader = Reader::open(&journal).await.expect("opens");
    reader.resume().await.expect("one unbroken chain");
}

#[tokio::test]
async fn instances_that_take_turns_are_refused() {
    let journal = journal();
    for instance in ["a", "b", "a"] {
        Writer::claim(&journal, identity(instance), None).await.expect("claims");
    }
    let error = Writer::claim(&journal, identity("b"), None).await.expect_err("a fight");
    assert_eq!(error.kind(), crate::error::ErrorKind::Fenced);
    assert!(error.to_string().contains("changed hands 3 times in the last minute"), "{error}");
    Writer::claim(&journal, identity("a"), None).await.expect("the holder may go on");
}

#[tokio::test]
async fn a_missing_segment_is_named() {
    let journal = journal();
    write(&journal, "widgets", 1, 4).await;
    let inner = Arc::new(InMemory::new());
    let copy = Journal::open(inner, &Path::from("p"), "uid-1", Parts::system());
    for n in [1, 2, 4, 5] {
        let bytes = journal.store().get(&journal.store().layout().segment(n)).await.expect("there");
        copy.store().create(&copy.store().layout().segment(n), bytes).await.expect("writes");
    }
    let error = copy.end(0).await.expect_err("a hole");
    assert!(error.to_string().contains("wal/00000000000000000003.parquet: is missing"), "{error}");
}

/// A clock that stands where it is put.
#[derive(Debug, Default)]
struct Hand(std::sync::atomic::AtomicI64);

impl crate::parts::Clock for Hand {
    fn now(&self) -> Micros {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }

    fn sleep(&self, _: std::time::Duration) -> crate::parts::BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn closed_times_that_a_clock_had_put_ahead_are_doubted_from_the_next_start_on() {
    const S: i64 = 1_000_000;
    let hand = Arc::new(Hand::default());
    let set = |second: i64| hand.0.store(second * S, std::sync::atomic::Ordering::Relaxed);
    let parts = Parts { clock: hand.clone(), ..Parts::system() };
    let journal = Journal::open(Arc::new(InMemory::new()), &Path::from("p"), "uid-1", parts);
    set(1000);
    let mut writer = Writer::claim(&journal, identity("a"), None).await.expect("claims");
    let kind = kind("widgets");
    let begin = Change { time_hi: 1000 * S, ..facts::about(Op::CoverBegin, &kind, 0, 10) };
    let add = |rv: u64, second: i64| {
        let name = format!("n{rv}");
        let body =
            crate::row::Body::Object(format!(r#"{{"metadata":{{"name":"{name}","resourceVersion":"{rv}"}}}}"#).into());
        Change { name, body, time_lo: second * S, time_hi: second * S, ..facts::about(Op::Add, &kind, 0, rv) }
    };
    // A clock that jumps ahead by an hour and back, as an earlier version stored it: the closed time stays ahead.
    let steps = [(1000, 11, 1000, 1000), (4600, 12, 4600, 4600), (1010, 13, 1010, 4600), (1020, 14, 1020, 4600)];
    for (clock, rv, at, closed) in steps {
        set(clock);
        let changes = if rv == 11 { vec![begin.clone(), add(rv, at)] } else { vec![add(rv, at)] };
        writer.stage(changes, frontier(rv, closed * S)).await.expect("stages");
        writer.commit().await.expect("commits");
    }
    let asked = async || {
        let mut reader = Reader::open(&journal).await.expect("opens");
        let past = reader.at(&At::Time(1015 * S)).await.expect("resolves");
        let moment = past.moment();
        (moment.cut.rev(), moment.closed)
    };
    assert_eq!(asked().await, (11, true), "what came by 1010 s is missing, and nobody says so");
    let mut reader = Reader::open(&journal).await.expect("opens");
    reader.resume().await.expect("folds");
    reader.doubt(1025 * S).await.expect("doubts");
    let numbers = (reader.manifest().number, Manifest::read(&journal).await.expect("reads").number);
    assert_eq!(numbers, (1, 1));
    reader.doubt(1025 * S).await.expect("doubts");
    assert_eq!(reader.manifest().number, 1, "what is known is not written again");
    assert!(!asked().await.1, "nothing closes that moment yet");
    set(1030);
    writer.stage(vec![add(15, 1030)], frontier(15, 1030 * S)).await.expect("stages");
    writer.commit().await.expect("commits");
    assert_eq!(asked().await, (13, true));
}

/// Two lives: in the first, `/widgets` is seen to revision 20 and complete to 18 s, then the store is put back; the
/// second begins with a list at 15, at 40 s. What stands between the two closes `between`.
async fn two_lives(between: FrontierVector) -> Journal {
    let journal = journal();
    let mut writer = Writer::claim(&journal, identity("a"), None).await.expect("claims");
    let (kind, encoder) = (kind("widgets"), Encoder::new(Secrets::Dropped));
    let version = |life: u32, rv: u64, hi: i64, source: Source, base: Option<&crate::encode::Base>| {
        let bytes =
            format!(r#"{{"metadata":{{"name":"a","namespace":"ns","uid":"u","resourceVersion":"{rv}"}},"n":{rv}}}"#);
        let seen = Observation {
            kind: &kind,
            incarnation: life,
            rv,
            source,
            time_lo: hi - 10,
            time_hi: hi,
            bytes: bytes.as_bytes(),
        };
        encoder.observe(&seen, base)
    };
    let point =
        |incarnation, rv, time| FrontierVector::from([(MAIN.to_owned(), FrontierPoint { incarnation, rv, time })]);
    let first = version(0, 12, 12_000, Source::Watch, None);
    let second = version(0, 20, 20_000, Source::Watch, Some(&first.base));
    let begin = vec![
        Change { body: facts::body(&kind).expect("json"), ..facts::about(Op::Discovery, &kind, 0, 10) },
        Change { time_hi: 10_000, ..facts::about(Op::CoverBegin, &kind, 0, 10) },
        first.change,
    ];
    writer.stage(begin, point(0, 12, 12_000)).await.expect("stages");
    writer.commit().await.expect("commits");
    writer.stage(vec![second.change], point(0, 20, 18_000)).await.expect("stages");
    writer.commit().await.expect("commits");
    let end = facts::CoverEnd { reason: facts::Uncovered::Incarnation, detail: String::new() };
    let last = vec![Change {
        time_hi: 18_000,
        body: facts::body(&end).expect("json"),
        ..facts::about(Op::CoverEnd, &kind, 0, 20)
    }];
    writer.stage(last, between).await.expect("stages");
    writer.commit().await.expect("commits");
    // The listed version is older, and by its stamps it was committed long before the list.
    let listed = version(1, 12, 12_500, Source::List, Some(&second.base));
    let next = vec![listed.change, Change { time_hi: 40_000, ..facts::about(Op::CoverBegin, &kind, 1, 15) }];
    writer.stage(next, point(1, 15, 40_000)).await.expect("stages");
    writer.commit().await.expect("commits");
    journal
}

#[tokio::test]
async fn the_last_moments_before_a_store_was_put_back_are_the_last_known() {
    last_known(two_lives(FrontierVector::new()).await).await;
}

/// A domain with a store of its own goes on closing while the main one's is put back.
#[tokio::test]
async fn they_are_so_too_where_another_domain_closes_in_between() {
    let other = FrontierPoint { incarnation: 0, rv: 7, time: 100_000 };
    last_known(two_lives(FrontierVector::from([("events".to_owned(), other)])).await).await;
}

async fn last_known(journal: Journal) {
    for (time, rv, closed) in [(13_000, 12, true), (17_000, 12, true), (21_000, 20, false), (39_000, 20, false)] {
        let (moment, state) = at(&journal, At::Time(time), &Scope::default()).await;
        let point = moment.cut.domains.get(MAIN).copied();
        assert_eq!(point, Some(CutPoint { incarnation: 0, rv }), "at {time}");
        assert_eq!((moment.closed, moment.beyond), (closed, None), "at {time}");
        let kind = state.kinds.get("/widgets").expect("known");
        let expected = match closed {
            true => Knowledge::All,
            false => Knowledge::UpTo(CutPoint { incarnation: 0, rv: 20 }, 18_000),
        };
        assert_eq!(kind.known_at(&moment), expected, "at {time}");
        assert_eq!(state.objects.values().map(|e| e.object_rv).collect::<Vec<_>>(), [rv], "at {time}");
    }
    let (moment, state) = at(&journal, At::Time(40_000), &Scope::default()).await;
    assert_eq!((moment.closed, moment.cut.rev(), state.objects.len()), (true, 15, 1));
    assert_eq!(state.objects.values().map(|e| e.object_rv).collect::<Vec<_>>(), [12]);
}

#[tokio::test]
async fn a_revision_that_stands_in_two_lives_asks_which() {
    let journal = two_lives(FrontierVector::new()).await;
    let mut reader = Reader::open(&journal).await.expect("opens");
    let error = reader.at(&rev(16)).await.expect_err("is in both");
    let hint = error.hint().unwrap_or_default().to_owned();
    assert!(hint.contains("rev:16@0 (1970-01-01T00:00:00.012Z)") && hint.contains("rev:16@1 ("), "{hint}");
    // Only the first life was seen at 12, since protection in the second begins at its list.
    let (moment, _) = at(&journal, rev(12), &Scope::default()).await;
    assert_eq!(moment.cut.domains.get(MAIN).map(|p| p.incarnation), Some(0));
    assert!(moment.closed, "{moment:?}");
    let exact = At::Rev { rv: 20, incarnation: Some(0), domain: None };
    let (moment, state) = at(&journal, exact, &Scope::default()).await;
    assert!(moment.closed && moment.ended.is_empty(), "everything up to it was seen: {moment:?}");
    assert_eq!(state.objects.values().map(|e| e.object_rv).collect::<Vec<_>>(), [20]);
}

/// `/widgets`, of which the newest row is 16, is let go at 20, up to where it was seen; `/nodes` is followed on to 30.
async fn let_go() -> Journal {
    let journal = journal();
    let mut writer = write(&journal, "widgets", 2, 3).await;
    let nodes = kind("nodes");
    let end = CoverEnd { reason: Uncovered::Excluded, detail: String::new() };
    let end = |kind: &Discovery, rv: u64, time_hi: i64| Change {
        time_hi,
        body: facts::body(&end).expect("json"),
        ..facts::about(Op::CoverEnd, kind, 0, rv)
    };
    let metrics = Discovery { domain: "metrics.k8s.io".into(), group: "metrics.k8s.io".into(), ..kind("pods") };
    let changes = vec![
        Change { time_hi: 17_000, ..facts::about(Op::CoverBegin, &nodes, 0, 16) },
        Change { body: facts::body(&metrics).expect("json"), ..facts::about(Op::Discovery, &metrics, 0, 0) },
        end(&metrics, 0, 17_000),
        end(&kind("widgets"), 20, 20_000),
    ];
    writer.stage(changes, frontier(16, 17_000)).await.expect("stages");
    writer.commit().await.expect("commits");
    for rv in [25, 30] {
        writer.stage(Vec::new(), frontier(rv, rv as i64 * 1000)).await.expect("stages");
        writer.commit().await.expect("commits");
    }
    journal
}

#[tokio::test]
async fn a_kind_that_was_let_go_is_not_protected_though_nothing_came_since() {
    let journal = let_go().await;
    for (time, protected) in [(19_000, true), (20_000, false), (29_000, false)] {
        let (moment, state) = at(&journal, At::Time(time), &Scope::default()).await;
        assert!(moment.closed, "at {time}");
        let known = state.kinds["/widgets"].known_at(&moment);
        assert_eq!(
            (known == Knowledge::All, state.objects.len()),
            (protected, if protected { 2 } else { 0 }),
            "at {time}"
        );
    }
}

#[tokio::test]
async fn a_domain_without_a_protected_kind_keeps_no_checkpoint_back() {
    let journal = let_go().await;
    let mut reader = Reader::open(&journal).await.expect("opens");
    let (_, origin) = reader.at_closed_cut().await.expect("reads").expect("closed");
    assert_eq!(origin.fold_from, (origin.last + 1, origin.segment));
    // Who goes on from here knows what was reached also where nobody is protected.
    let reached = Reader::open(&journal).await.expect("opens").resume().await.expect("folds").reached;
    assert_eq!(reached, origin.cut);
    assert!(reached.domains.contains_key("metrics.k8s.io"));
    let (moment, state) = at(&journal, At::Now, &Scope::default()).await;
    let why = CoverEnd { reason: Uncovered::Excluded, detail: String::new() };
    assert_eq!(state.kinds["metrics.k8s.io/pods"].known_at(&moment), Knowledge::Not(Some(why)));
}
