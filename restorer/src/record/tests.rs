//! Records: begun before anything, sealed, opened again, and named when they are not there.

use std::{collections::BTreeMap, sync::Arc};

use hindcast_journal::{Parts, cut::Cut, exact, fold::ObjectKey, layout::Layout, seal::Key, store::Store};
use object_store::{ObjectStoreExt as _, memory::InMemory, path::Path};

use super::{Entry, Records};
use crate::{
    apply::Became,
    desired::Full,
    live::HeldIn,
    message::Remedy,
    plan::{Action, Bodies, LiveRef, Plan, Prepared, Propagation, Verb, Wave},
    selection::{Selection, What},
};

fn key(resource: &str, name: &str) -> ObjectKey {
    ObjectKey { namespace: "shop".into(), group: String::new(), resource: resource.into(), name: name.into() }
}

fn full(text: &str) -> Full {
    Full { value: exact::parse(text.as_bytes()).expect("a test's own JSON"), managed: None }
}

fn action(key: ObjectKey, verb: Verb) -> Action {
    let live = (verb != Verb::Create).then(|| LiveRef { uid: "u1".into(), rv: "5".into(), hash: "h".into() });
    Action {
        key,
        kind: "Thing".into(),
        version: "v1".into(),
        verb,
        wave: Wave { group: 0, depth: 0 },
        propagation: Propagation::Background,
        live,
        wanted: None,
        changes: Vec::new(),
        kept: Vec::new(),
        evidence: None,
        warnings: Vec::new(),
    }
}

/// A plan with an update of a Secret, a create and a delete of `ConfigMap`s, whose numbers have odd spellings.
fn prepared() -> Prepared {
    let mut bodies = BTreeMap::new();
    let body = |target: Option<&str>, before: Option<&str>| Bodies {
        target: target.map(|t| full(t).value),
        managed: None,
        before: before.map(|b| Arc::new(full(b))),
        owners: Vec::new(),
        held: vec![HeldIn {
            group: "g".into(),
            version: "v1".into(),
            resource: "things".into(),
            namespace: "shop".into(),
            name: "one".into(),
        }],
        along: vec!["w".into()],
        unsuspend: false,
        redact: Vec::new(),
    };
    let secret = |value: &str| {
        format!(
            r#"{{"data":{{"password":"{value}"}},"metadata":{{"name":"db","resourceVersion":"5","uid":"u1"}},"n":1.10}}"#
        )
    };
    bodies.insert(key("secrets", "db"), body(Some(&secret("d2FudGVk")), Some(&secret("YmVmb3Jl"))));
    bodies.insert(key("configmaps", "new"), body(Some(r#"{"metadata":{"name":"new"}}"#), None));
    bodies.insert(key("configmaps", "stray"), body(None, Some(r#"{"metadata":{"name":"stray","uid":"u1"}}"#)));
    let actions = vec![
        action(key("secrets", "db"), Verb::Update),
        action(key("configmaps", "new"), Verb::Create),
        action(key("configmaps", "stray"), Verb::Delete),
    ];
    let plan = Plan {
        cluster: "c1".into(),
        cut: Cut::default(),
        time: 1,
        undoes: None,
        selection: Selection::of(What::Namespace("shop".into())),
        actions,
        left: Vec::new(),
        notes: Vec::new(),
        reservations: Vec::new(),
        unchanged: 0,
        kept: Vec::new(),
        system: Vec::new(),
        switches_on: Vec::new(),
    };
    Prepared { plan, bodies, around: crate::intent::Surroundings::default(), places: Vec::new() }
}

fn records(inner: &Arc<InMemory>, keys: Vec<Arc<Key>>) -> Records {
    let layout = Layout::new(&Path::from("journal"), "c1");
    Records::new(Store::new(inner.clone(), layout, Parts::system()), keys, false)
}

fn test_key() -> Arc<Key> {
    Arc::new(Key::generate("k", "2026-01-01T00:00:00Z", &Parts::system()))
}

fn entry(key: ObjectKey, became: Became, uid: &str) -> Entry {
    let touched = became == Became::Done;
    let hash = if uid.is_empty() { String::new() } else { "f".to_owned() };
    Entry { key, became, touched, uid: uid.into(), rv: String::new(), hash, verified: None, message: None }
}

#[tokio::test]
async fn everything_comes_back_and_no_value_lies_open() {
    let (inner, key) = (Arc::new(InMemory::new()), test_key());
    let records = records(&inner, vec![key]);
    let prepared = prepared();
    let id = records.begin(&prepared, &|_| {}).await.expect("the store takes it").id().to_owned();
    let record = records.open(&id).await.expect("it is there");
    assert!(record.is_resumed() && record.open_ends().len() == 3);
    let back = record.prepared().await.expect("all pre-images are there");
    assert_eq!(back.plan, prepared.plan);
    for (key, bodies) in &prepared.bodies {
        let found = &back.bodies[key];
        assert_eq!(
            (&found.target, &found.before, &found.held),
            (&bodies.target, &bodies.before, &bodies.held),
            "{key:?}"
        );
    }
    let pre = inner.get(&Path::from(format!("journal/c1/restores/{id}/pre-1"))).await.expect("a batch");
    let pre = zstd::bulk::decompress(&pre.bytes().await.expect("its bytes"), 1 << 20).expect("it unpacks");
    let pre = String::from_utf8(pre).expect("text");
    assert!(pre.contains("redacted 6 bytes"), "placeholders stand for values");
    for value in ["d2FudGVk", "YmVmb3Jl", "wanted", "before"].map(str::to_owned) {
        let quoted = format!("\\\"{value}\\\"");
        assert!(!pre.contains(&quoted), "{value} lies open");
    }
}

#[tokio::test]
async fn without_a_key_secrets_are_not_recorded_and_not_acted_on() {
    let inner = Arc::new(InMemory::new());
    let record = records(&inner, Vec::new()).begin(&prepared(), &|_| {}).await.expect("the store takes it");
    assert!(record.unrecorded(&key("secrets", "db")).is_some_and(|why| why.remedies().eq([&Remedy::Key])));
    assert!(record.unrecorded(&key("configmaps", "stray")).is_none());
}

#[tokio::test]
async fn an_undo_is_of_what_was_touched() {
    let inner = Arc::new(InMemory::new());
    let records = records(&inner, vec![test_key()]);
    let record = records.begin(&prepared(), &|_| {}).await.expect("the store takes it");
    let id = record.id().to_owned();
    record.note(entry(key("secrets", "db"), Became::Done, "u1"));
    record.note(entry(key("configmaps", "new"), Became::Done, "u2"));
    record.keep().await.expect("the store takes it");
    let refused = records.open(&id).await.expect("it is there").desired().await.expect_err("one is open");
    assert!(refused.remedy() == Some(&Remedy::Finish(id.clone())), "{refused}");
    record.note(entry(key("configmaps", "stray"), Became::Conflict, ""));
    record.keep().await.expect("the store takes it");
    let desired = records.open(&id).await.expect("it is there").desired().await.expect("nothing is open");
    let wanted = desired.objects.values().next().expect("the Secret");
    let object = wanted.object.as_ref().expect("its pre-image");
    assert_eq!(object.value.pointer("/data/password").and_then(exact::Value::as_str), Some("YmVmb3Jl"));
    assert_eq!(wanted.redact, ["/data/password"]);
    assert_eq!(desired.objects.len(), 1, "the delete was a conflict, so there is nothing to put back");
    assert_eq!(desired.created[&key("configmaps", "new")], "u2");
    assert_eq!(desired.touched.len(), 2);
}

#[tokio::test]
async fn an_unknown_id_tells_the_newest() {
    let inner = Arc::new(InMemory::new());
    let records = records(&inner, vec![test_key()]);
    let none = records.open("2026").await.expect_err("there is none");
    assert!(none.to_string().contains("no records"), "{none}");
    let first = records.begin(&prepared(), &|_| {}).await.expect("the store takes it").id().to_owned();
    let wrong = records.open("nonsense").await.expect_err("there is none of that name");
    assert!(wrong.hint().is_some_and(|h| h.contains(&first)), "{wrong}");
    assert_eq!(records.open(&first[..13]).await.expect("one begins so").id(), first);
    let listed = records.list(5).await.expect("it lists");
    assert_eq!((listed.len(), listed[0].actions), (1, 3));
}

#[tokio::test]
async fn a_restore_that_ended_before_its_first_write_cannot_be_resumed() {
    let inner = Arc::new(InMemory::new());
    let records = records(&inner, vec![test_key()]);
    let id = records.begin(&prepared(), &|_| {}).await.expect("the store takes it").id().to_owned();
    inner.delete(&Path::from(format!("journal/c1/restores/{id}/pre-1"))).await.expect("it was there");
    let error = records.open(&id).await.expect("the plan is there").prepared().await.expect_err("nothing to go by");
    assert!(error.to_string().contains("nothing was changed"), "{error}");
}

#[tokio::test]
async fn a_record_that_was_not_all_kept_is_completed_by_the_same_plan_alone() {
    let inner = Arc::new(InMemory::new());
    let records = records(&inner, vec![test_key()]);
    let told = std::sync::Mutex::new(String::new());
    let tell = |id: &str| id.clone_into(&mut told.lock().expect("one thread"));
    let begun = records.begin(&prepared(), &tell).await.expect("the store takes it");
    let id = begun.id().to_owned();
    assert_eq!(*told.lock().expect("one thread"), id);
    assert!(begun.is_begun().await.expect("it lists"));
    inner.delete(&Path::from(format!("journal/c1/restores/{id}/pre-1"))).await.expect("it was there");
    let record = records.open(&id).await.expect("the plan is there");
    assert!(!record.is_begun().await.expect("it lists"));
    let mut other = prepared();
    if let Some(live) = &mut other.plan.actions[0].live {
        live.hash = "another".into();
    }
    let error = records.complete(&record, &other).await.expect_err("it is another plan");
    assert!(error.to_string().contains("secrets/db -n shop changed since"), "{error}");
    let whole = records.complete(&record, &prepared()).await.expect("it is the same plan");
    assert_eq!((whole.id(), whole.prepared().await.expect("all is there").plan), (id.as_str(), prepared().plan));
}
