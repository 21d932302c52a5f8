use std::sync::Arc;

use hindcast_journal::{
    Change, Journal, Parts, Writer,
    cut::At,
    encode::{Encoder, Observation},
    facts::{self, Discovery},
    fold::Scope,
    seal::Secrets,
    segment::{FrontierPoint, FrontierVector},
    writer::Identity,
};
use object_store::{memory::InMemory, path::Path};

use super::*;
use crate::{Range, Timeline, View};

/// What a version of the object is: revision, source, manager, and the object but for its metadata's own fields.
type Version<'a> = (u64, Source, &'a str, &'a str);

fn kind() -> Discovery {
    Discovery {
        resource: "pods".into(),
        kind: "Pod".into(),
        version: "v1".into(),
        domain: "main".into(),
        ..Discovery::default()
    }
}

fn object(rv: u64, manager: &str, rest: &str) -> String {
    format!(
        r#"{{"metadata":{{"managedFields":[{{"manager":"{manager}","operation":"Update","time":"2026-11-01T13:00:{rv:02}Z","fieldsV1":{{"f:spec":{{"f:x":{{}}}}}}}}],"name":"n","namespace":"ns","resourceVersion":"{rv}","uid":"u"}},{rest}}}"#
    )
}

async fn blame(versions: &[Version<'_>], at: u64) -> Result<Blame> {
    let journal = Journal::open(Arc::new(InMemory::new()), &Path::default(), "c", Parts::system());
    let identity = Identity { writer: "w".into(), instance: "i".into() };
    let mut writer = Writer::claim(&journal, identity, None).await.expect("claims");
    let encoder = Encoder::new(Secrets::Plaintext(None));
    let kind = kind();
    let mut changes = vec![
        Change { body: facts::body(&kind).expect("json"), ..facts::about(Op::Discovery, &kind, 0, 1) },
        Change { time_hi: 1000, ..facts::about(Op::CoverBegin, &kind, 0, 1) },
    ];
    let mut base = None;
    let mut last = 1;
    for (rv, source, manager, rest) in versions {
        let bytes = object(*rv, manager, rest);
        let time_hi = *rv as i64 * 1000;
        let seen = Observation {
            kind: &kind,
            incarnation: 0,
            rv: *rv,
            source: *source,
            time_lo: time_hi - 1,
            time_hi,
            bytes: bytes.as_bytes(),
        };
        let encoded = encoder.observe(&seen, base.as_ref());
        base = Some(encoded.base);
        changes.push(encoded.change);
        last = *rv;
    }
    let point = FrontierPoint { incarnation: 0, rv: last, time: last as i64 * 1000 };
    writer.stage(changes, FrontierVector::from([("main".to_owned(), point)])).await.expect("stages");
    writer.commit().await.expect("commits");
    let mut timeline = Timeline::open(&journal, Vec::new()).await?;
    let past = timeline.at(&At::Rev { rv: at, incarnation: None, domain: None }).await?;
    let view = View::of(&past, &Scope::default()).await?;
    let history = timeline.history(&Range::default(), &Scope::default()).await?;
    of(&history.events, &view.moment.cut, view.objects.first().expect("one object"))
}

/// `pointer value revision manager`, of the spec.
fn told(blame: &Blame) -> Vec<String> {
    let leaves = blame.leaves();
    let spec = leaves.iter().filter(|(path, ..)| path.starts_with("/spec"));
    spec.map(|(path, value, o)| format!("{path} {value} {} {}", o.rev, o.manager)).collect()
}

const VERSIONS: [Version<'_>; 4] = [
    (2, Source::Watch, "create", r#""spec":{"c":[{"name":"a","image":"1"},{"name":"b","image":"1"}],"x":1}"#),
    (3, Source::Watch, "edit", r#""spec":{"c":[{"name":"a","image":"1"},{"name":"b","image":"2"}],"x":1}"#),
    (
        4,
        Source::Watch,
        "inject",
        r#""spec":{"c":[{"name":"z","image":"9"},{"name":"a","image":"1"},{"name":"b","image":"2"}],"x":1}"#,
    ),
    (5, Source::Watch, "edit", r#""spec":{"c":[{"name":"z","image":"9"},{"name":"b","image":"2"}],"x":2}"#),
];

#[tokio::test]
async fn each_field_has_the_change_that_set_it() {
    let now = blame(&VERSIONS, 5).await.expect("blames");
    assert_eq!(
        told(&now),
        [
            r#"/spec/c/0/image "9" 4 inject"#,
            r#"/spec/c/0/name "z" 4 inject"#,
            r#"/spec/c/1/image "2" 3 edit"#,
            r#"/spec/c/1/name "b" 2 create"#,
            "/spec/x 2 5 edit",
        ]
    );
    assert_eq!(now.origin("/spec").map(|o| o.rev), Some(2), "a container is as old as itself");
    assert_eq!(now.origin("/metadata/resourceVersion").map(|o| o.rev), Some(5));
    assert!(now.origin("/spec/nothing").is_none() && now.origin("/spec/c/7").is_none());
    let earlier = blame(&VERSIONS, 3).await.expect("blames");
    assert_eq!(told(&earlier).last().map(String::as_str), Some("/spec/x 1 2 create"));
}

#[tokio::test]
async fn what_a_list_found_is_older_and_only_its_owner_is_named() {
    let found =
        [(2, Source::List, "last", r#""spec":{"x":1,"y":1}"#), (3, Source::Watch, "edit", r#""spec":{"x":1,"y":2}"#)];
    let blame = blame(&found, 3).await.expect("blames");
    let x = blame.origin("/spec/x").expect("there");
    assert!(x.listed && x.first && x.manager == "last", "the owner after managedFields: {x:?}");
    let y = blame.origin("/spec/y").expect("there");
    assert!(!y.listed && !y.first && y.manager == "edit", "{y:?}");
    let name = blame.origin("/metadata/name").expect("there");
    assert!(name.listed && name.manager.is_empty(), "nobody owns it: {name:?}");
}

#[test]
fn owners_are_found_in_maps_lists_and_sets() {
    let parse = |text: &str| exact::parse(text.as_bytes()).expect("JSON");
    let managed = parse(
        r#"[{"manager":"a","operation":"Apply","time":"1","fieldsV1":{"f:c":{"k:{\"name\":\"w\"}":{".":{},"f:image":{}}},"f:s":{"v:\"q\"":{}},"f:atomic":{}}},
            {"manager":"b","operation":"Update","time":"2","subresource":"status","fieldsV1":{"f:c":{"k:{\"name\":\"w\"}":{"f:image":{}}}}}]"#,
    );
    let object = parse(r#"{"atomic":{"k":1},"c":[{"name":"o"},{"image":"1","name":"w"}],"s":["p","q"]}"#);
    let owner = |path: &str| owners::of(&managed, &object, path).map(|(manager, ..)| manager);
    assert_eq!(owner("/c/1/image").as_deref(), Some("b"), "who wrote last");
    assert_eq!(owner("/s/1").as_deref(), Some("a"));
    assert_eq!(owner("/s/0"), None);
    assert_eq!(owner("/c/0/name"), None);
    assert_eq!(owner("/atomic/k").as_deref(), Some("a"), "an atomic value is owned whole");
}
