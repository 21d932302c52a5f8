use std::sync::Arc;

use hindcast_journal::{
    Change, Writer,
    encode::{Encoder, Observation},
    facts,
    row::{Body, Op, Source},
    seal::Secrets,
    segment::FrontierPoint,
    writer::Identity,
};
use object_store::{memory::InMemory, path::Path};

use super::*;

fn key() -> Arc<Key> {
    Arc::new(Key { name: "k".into(), created: String::new(), wrap: [1; 32], hmac: [2; 32], seal: [3; 32] })
}

fn kind(resource: &str) -> Discovery {
    Discovery {
        resource: resource.into(),
        kind: "S".into(),
        version: "v1".into(),
        domain: "main".into(),
        ..Discovery::default()
    }
}

fn frontier(rv: u64) -> FrontierVector {
    let point = FrontierPoint { incarnation: 0, rv, time: rv as i64 * 1000 };
    FrontierVector::from([("main".to_owned(), point)])
}

fn secret(rv: u64, label: &str, value: &str) -> String {
    format!(
        r#"{{"data":{{"pw":"{value}"}},"metadata":{{"labels":{{"app":"{label}"}},"name":"n","namespace":"ns","resourceVersion":"{rv}","uid":"u"}}}}"#
    )
}

/// A kind comes under protection at revision 1.
fn begun(kind: &Discovery) -> [Change; 2] {
    [
        Change { body: facts::body(kind).expect("json"), ..facts::about(Op::Discovery, kind, 0, 1) },
        Change { time_hi: 1000, ..facts::about(Op::CoverBegin, kind, 0, 1) },
    ]
}

/// A version as a watch brought it.
fn seen<'a>(kind: &'a Discovery, rv: u64, bytes: &'a str) -> Observation<'a> {
    let (time_lo, time_hi) = (rv as i64 * 1000 - 1, rv as i64 * 1000);
    Observation { kind, incarnation: 0, rv, source: Source::Watch, time_lo, time_hi, bytes: bytes.as_bytes() }
}

async fn journal() -> Journal {
    let journal = Journal::open(Arc::new(InMemory::new()), &Path::default(), "c", Parts::system());
    let keys = Arc::new(DataKeys::new("c", vec![key()], Parts::system()));
    let identity = Identity { writer: "w".into(), instance: "i".into() };
    let mut writer = Writer::claim(&journal, identity, Some(keys)).await.expect("claims");
    let encoder = Encoder::new(Secrets::Sealed(key()));
    let kind = kind("secrets");
    let mut changes = begun(&kind).to_vec();
    let mut base = None;
    for (rv, label, value) in [(2, "a", "b25l"), (3, "b", "dHdv")] {
        let bytes = secret(rv, label, value);
        let seen = seen(&kind, rv, &bytes);
        let encoded = encoder.observe(&seen, base.as_ref());
        base = Some(encoded.base);
        changes.push(encoded.change);
    }
    writer.stage(changes, frontier(3)).await.expect("stages");
    writer.commit().await.expect("commits");
    journal
}

#[tokio::test]
async fn a_sealed_object_is_revealed_exactly_and_only_with_its_key() {
    let journal = journal().await;
    for (rv, label, value) in [(2, "a", "b25l"), (3, "b", "dHdv")] {
        let mut timeline = Timeline::open(&journal, vec![key()]).await.expect("opens");
        let past = timeline.at(&At::Rev { rv, incarnation: None, domain: None }).await.expect("resolves");
        let view = View::of(&past, &Scope::default()).await.expect("views");
        let object = view.objects.first().expect("one object");
        assert!(!object.value.to_string().contains(value));
        let revealed = timeline.reveal(object).await.expect("reveals");
        assert_eq!(revealed.to_string(), secret(rv, label, value));
        assert_eq!(view.protection("/secrets"), Protection::Protected);
        assert_eq!(view.protection("/pods"), Protection::NotProtected(None));
    }
    let mut blind = Timeline::open(&journal, Vec::new()).await.expect("opens");
    let past = blind.at(&At::Now).await.expect("resolves");
    let view = View::of(&past, &Scope::default()).await.expect("reads without a key");
    let error = blind.reveal(view.objects.first().expect("one object")).await.expect_err("no key");
    assert!(error.to_string().contains("are sealed, and there is no key"), "{error}");
    let wrong = Key { wrap: [9; 32], ..(*key()).clone() };
    let wrong = Timeline::open(&journal, vec![Arc::new(wrong)]).await.expect("opens");
    let error = wrong.reveal(view.objects.first().expect("one object")).await.expect_err("wrong key");
    assert!(error.to_string().contains("does not open with key \"k\""), "{error}");
}

#[tokio::test]
async fn history_has_the_labels_before_and_after() {
    let journal = journal().await;
    let mut timeline = Timeline::open(&journal, Vec::new()).await.expect("opens");
    let range = Range { labels: true, ..Range::default() };
    let history = timeline.history(&range, &Scope::default()).await.expect("reads");
    let labels: Vec<_> = history
        .events
        .iter()
        .map(|e| [&e.labels_before, &e.labels_after].map(|l| l.as_ref().map(Value::to_string).unwrap_or_default()))
        .collect();
    assert_eq!(labels, [["", r#"{"app":"a"}"#], [r#"{"app":"a"}"#, r#"{"app":"b"}"#]]);
    let range = Range { since: Some(2500), ..Range::default() };
    assert_eq!(timeline.history(&range, &Scope::default()).await.expect("reads").events.len(), 1);
}

#[tokio::test]
async fn an_overlay_closes_a_cut_without_writing() {
    let journal = journal().await;
    let mut timeline = Timeline::open(&journal, vec![key()]).await.expect("opens");
    let at = At::Time(9000);
    assert_eq!(timeline.at(&at).await.expect("resolves").moment().beyond, Some(3000));
    let kind = kind("secrets");
    let bytes = secret(7, "c", "dGhyZWU=");
    let seen = Observation {
        kind: &kind,
        incarnation: 0,
        rv: 7,
        source: Source::Watch,
        time_lo: 6999,
        time_hi: 7000,
        bytes: bytes.as_bytes(),
    };
    let change = Encoder::new(Secrets::Sealed(key())).observe(&seen, None).change;
    assert!(matches!(change.body, Body::Object(_)));
    timeline.reader.overlay(vec![change], frontier(9));
    let past = timeline.at(&at).await.expect("resolves");
    assert!(past.moment().closed, "{:?}", past.moment());
    let view = View::of(&past, &Scope::default()).await.expect("views");
    let revealed = timeline.reveal(view.objects.first().expect("one object")).await.expect("reveals");
    assert_eq!(revealed.to_string(), bytes);
}

fn named(name: &str, byte: u8) -> Arc<Key> {
    Arc::new(Key { name: name.into(), created: String::new(), wrap: [byte; 32], hmac: [byte; 32], seal: [byte; 32] })
}

/// A journal that was written before rows named the key of their hash: a Secret under `key-1`, then, with `key-2` first in
/// the file, another label and another value.
async fn written_before() -> Journal {
    use base64::Engine as _;
    use object_store::ObjectStoreExt as _;
    let store = InMemory::new();
    let files: BTreeMap<String, String> =
        serde_json::from_str(include_str!("../../../tests/golden/v1/two-keys.json")).expect("a map of files");
    for (name, text) in files {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
        store.put(&Path::from(name), bytes.into()).await.expect("memory takes it");
    }
    Journal::open(Arc::new(store), &Path::default(), "c", Parts::system())
}

async fn at(timeline: &mut Timeline, rv: u64) -> View {
    let past = timeline.at(&At::Rev { rv, incarnation: None, domain: None }).await.expect("resolves");
    View::of(&past, &Scope::default()).await.expect("views")
}

#[tokio::test]
async fn a_journal_from_before_keys_were_named_reads_after_its_rotation() {
    let journal = written_before().await;
    let (old, new) = (named("key-1", 1), named("key-2", 2));
    let mut timeline = Timeline::open(&journal, vec![new.clone(), old.clone()]).await.expect("opens");
    for (rv, value) in [(2, "cGxhbnRlZC1vbmU="), (3, "cGxhbnRlZC1vbmU="), (4, "cGxhbnRlZC10d28=")] {
        let view = at(&mut timeline, rv).await;
        let revealed = timeline.reveal(view.objects.first().expect("one")).await.expect("opens and is checked");
        assert_eq!(revealed.pointer("/data/pw").and_then(Value::as_str), Some(value), "rev:{rv}");
    }
    // What the older program took for a change of the value is none; the next one is.
    let before = at(&mut timeline, 2).await;
    for (rv, changed) in [(3, false), (4, true)] {
        let mut after = at(&mut timeline, rv).await;
        assert_eq!(timeline.align(&before.objects, &mut after.objects).await, []);
        let [from, to] =
            [&before, &after].map(|view| view.objects.first().and_then(|o| o.value.pointer("/data/pw").cloned()));
        assert_eq!(from != to, changed, "rev:{rv}");
    }
    // Without the keys nobody can tell, and that is said; the difference stays in sight.
    let mut blind = Timeline::open(&journal, Vec::new()).await.expect("opens");
    let (before, mut after) = (at(&mut blind, 2).await, at(&mut blind, 3).await);
    let unsure = blind.align(&before.objects, &mut after.objects).await;
    assert_eq!(unsure.iter().map(|one| one.stored).collect::<Vec<_>>(), [true]);
    assert_ne!(before.objects.first().map(|o| &o.value), after.objects.first().map(|o| &o.value));
}

#[tokio::test]
async fn a_hash_whose_key_is_not_at_hand_names_it_and_a_value_that_was_not_stored_is_no_change() {
    let journal = Journal::open(Arc::new(InMemory::new()), &Path::default(), "c", Parts::system());
    let (old, new) = (named("key-1", 1), named("key-2", 2));
    let kind = kind("secrets");
    let mut base = None;
    let modes = [
        (2, "a", Secrets::Dropped, vec![old.clone()]),
        (3, "b", Secrets::Sealed(old.clone()), vec![old.clone()]),
        (4, "c", Secrets::Sealed(new.clone()), vec![new.clone(), old.clone()]),
    ];
    for (rv, label, secrets, keys) in modes {
        let data = Arc::new(DataKeys::new("c", keys.clone(), Parts::system()));
        let identity = Identity { writer: "w".into(), instance: "i".into() };
        let mut writer = Writer::claim(&journal, identity, Some(data)).await.expect("claims");
        let mut changes = Vec::new();
        if base.is_none() {
            changes.extend(begun(&kind));
        }
        let bytes = secret(rv, label, "b25l");
        let seen = seen(&kind, rv, &bytes);
        let encoded = Encoder::new(secrets).with_keys(&keys).observe(&seen, base.as_ref());
        base = Some(encoded.base);
        changes.push(encoded.change);
        writer.stage(changes, frontier(rv)).await.expect("stages");
        writer.commit().await.expect("commits");
    }
    let mut timeline = Timeline::open(&journal, vec![old.clone()]).await.expect("opens");
    let view = at(&mut timeline, 4).await;
    let error = timeline
        .reveal(view.objects.first().expect("one"))
        .await
        .expect_err("only a label changed, under the newer key");
    assert!(error.to_string().contains(&new.id()) && error.hint().is_some(), "{error}");
    let mut timeline = Timeline::open(&journal, vec![new, old]).await.expect("opens");
    let view = at(&mut timeline, 4).await;
    assert_eq!(
        timeline.reveal(view.objects.first().expect("one")).await.expect("opens").to_string(),
        secret(4, "c", "b25l")
    );
    let (before, mut after) = (at(&mut timeline, 2).await, at(&mut timeline, 3).await);
    assert_eq!(before.objects.first().map(|o| o.unstored.as_slice()), Some(["/data/pw".to_owned()].as_slice()));
    let unsure = timeline.align(&before.objects, &mut after.objects).await;
    assert_eq!(unsure.iter().map(|one| one.stored).collect::<Vec<_>>(), [false]);
    let [from, to] =
        [&before, &after].map(|view| view.objects.first().and_then(|o| o.value.pointer("/data/pw").cloned()));
    assert_eq!(from, to);
}

/// Followed, a log tells the same as a history does, and on, with the labels before and after each change.
#[tokio::test]
async fn who_follows_is_told_each_change_once() {
    let journal = Journal::open(Arc::new(InMemory::new()), &Path::from("p"), "uid-1", Parts::system());
    let mut writer = Writer::claim(&journal, Identity { writer: "host/a".into(), instance: "a".into() }, None)
        .await
        .expect("claims");
    let (kind, encoder) = (kind("widgets"), Encoder::new(Secrets::Dropped));
    let mut base = None;
    let mut commit = async |rv: u64| {
        let text = format!(
            r#"{{"metadata":{{"labels":{{"rv":"{rv}"}},"name":"a","namespace":"ns","uid":"u","resourceVersion":"{rv}"}}}}"#
        );
        let seen = Observation {
            kind: &kind,
            incarnation: 0,
            rv,
            source: Source::Watch,
            time_lo: rv as i64 * 1000,
            time_hi: rv as i64 * 1000,
            bytes: text.as_bytes(),
        };
        let encoded = encoder.observe(&seen, base.as_ref());
        base = Some(encoded.base);
        writer.stage(vec![encoded.change], FrontierVector::new()).await.expect("stages");
        writer.commit().await.expect("commits");
    };
    commit(10).await;
    commit(11).await;
    let range = Range { since: Some(10_500), labels: true, ..Range::default() };
    let mut timeline = Timeline::open(&journal, Vec::new()).await.expect("opens");
    let mut log = timeline.follow(&range, &Scope::default()).await.expect("reads");
    let mut told = Vec::new();
    let label = |labels: &Option<Value>| labels.as_ref().and_then(|l| l.get("rv")?.as_str().map(str::to_owned));
    for rv in 12..15 {
        commit(rv).await;
        log.more().await.expect("reads");
        let (events, ..) = log.take();
        told.extend(events.iter().map(|e| (e.row.rv, label(&e.labels_before), label(&e.labels_after))));
    }
    let expected: Vec<_> = (11..15_u64).map(|rv| (rv, Some((rv - 1).to_string()), Some(rv.to_string()))).collect();
    assert_eq!(told, expected);
}

/// A domain that is held back says nothing of whether somebody writes.
#[tokio::test]
async fn a_journal_is_written_as_long_as_any_domain_goes_on() {
    let journal = journal().await;
    let mut timeline = Timeline::open(&journal, Vec::new()).await.expect("opens");
    assert!(!timeline.is_being_written().await.expect("reads"), "it was closed long ago");
    let now = Parts::system().clock.now();
    let point = |rv, time| FrontierPoint { incarnation: 0, rv, time };
    let both = [("main".to_owned(), point(4, now)), ("metrics".to_owned(), point(2, now - 600_000_000))];
    timeline.reader.overlay(Vec::new(), FrontierVector::from(both));
    assert!(timeline.is_being_written().await.expect("reads"));
}

/// Lists whose elements come, go, move and change: each operation's place names the element that it is in.
#[tokio::test]
async fn a_change_of_one_object_says_which_element_it_is_in() {
    let journal = Journal::open(Arc::new(InMemory::new()), &Path::default(), "c", Parts::system());
    let identity = Identity { writer: "w".into(), instance: "i".into() };
    let mut writer = Writer::claim(&journal, identity, None).await.expect("claims");
    let encoder = Encoder::new(Secrets::Dropped);
    let kind = kind("pods");
    let mut changes = begun(&kind).to_vec();
    let mut base = None;
    let versions = [
        r#"[{"image":"a:1","name":"web"},{"image":"b:1","name":"side"}]"#,
        r#"[{"image":"a:2","name":"web"},{"image":"b:1","name":"side"}]"#,
        r#"[{"image":"i:1","name":"init"},{"image":"a:2","name":"web"},{"image":"b:2","name":"side"}]"#,
        r#"[{"image":"i:1","name":"init"},{"image":"b:3","name":"side"}]"#,
    ];
    for (rv, containers) in (2..).zip(versions) {
        let bytes = format!(
            r#"{{"metadata":{{"name":"n","namespace":"ns","resourceVersion":"{rv}","uid":"u"}},"spec":{{"containers":{containers}}}}}"#
        );
        let encoded = encoder.observe(&seen(&kind, rv, &bytes), base.as_ref());
        base = Some(encoded.base);
        changes.push(encoded.change);
    }
    writer.stage(changes, frontier(5)).await.expect("stages");
    writer.commit().await.expect("commits");
    let mut timeline = Timeline::open(&journal, Vec::new()).await.expect("opens");
    for since in [None, Some(2500)] {
        let range = Range { named: true, since, ..Range::default() };
        let events = timeline.history(&range, &Scope::default()).await.expect("reads").events;
        let mut told = 0;
        for event in &events {
            let Body::Patch(patch) = &event.row.body else { continue };
            let before = versions.get(event.row.rv as usize - 3).expect("a version before");
            let mut object = exact::parse(format!(r#"{{"spec":{{"containers":{before}}}}}"#).as_bytes()).expect("json");
            let patch = exact::parse(patch).expect("a patch");
            let operations = patch.as_array().expect("operations");
            assert_eq!(operations.len(), event.places.len(), "{patch}");
            for (operation, place) in operations.iter().zip(&event.places) {
                let own = operation.get("path").and_then(Value::as_str).expect("a path");
                let element: String = own.split_inclusive('/').take(4).collect();
                let element = element.trim_end_matches('/');
                let adds = element == own && operation.get("op").and_then(Value::as_str) == Some("add");
                let name = object.pointer(&format!("{element}/name")).and_then(Value::as_str).filter(|_| !adds);
                match name {
                    Some(name) => assert!(place.contains(&format!("/[name={name}]")), "{own} of {object} is {place}"),
                    None => assert_eq!(place, own),
                }
                told += usize::from(name.is_some());
                exact::apply(&mut object, &Value::Array(vec![operation.clone()])).expect("applies");
            }
        }
        assert!(told >= 3, "{told} elements are named");
    }
}
