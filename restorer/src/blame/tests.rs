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
    let text = |(rv, source, manager, rest): &Version<'_>| (*rv, *source, object(*rv, manager, rest));
    blame_of(&versions.iter().map(text).collect::<Vec<_>>(), at).await
}

async fn blame_of(versions: &[(u64, Source, String)], at: u64) -> Result<Blame> {
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
    for (rv, source, bytes) in versions {
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

/// What a write within the second of the one before sets is its owner's; who takes a field away is not known.
#[tokio::test]
async fn a_write_without_a_mark_is_whose_the_field_is_and_a_removal_is_nobodys() {
    let entry = |manager: &str, subresource: &str, fields: &str| {
        format!(
            r#"{{"manager":"{manager}","operation":"Update"{subresource},"time":"2026-11-01T13:00:00Z","fieldsV1":{{"f:spec":{fields}}}}}"#
        )
    };
    let text = |rv: u64, book: &[String], spec: &str| {
        let text = format!(
            r#"{{"metadata":{{"managedFields":[{}],"name":"n","namespace":"ns","resourceVersion":"{rv}","uid":"u"}},"spec":{spec}}}"#,
            book.join(",")
        );
        (rv, Source::Watch, text)
    };
    let made = entry("create", "", r#"{"f:c":{"f:y":{}},"f:x":{}}"#);
    let scaled =
        [entry("create", "", r#"{"f:c":{"f:y":{}}}"#), entry("hpa", r#","subresource":"scale""#, r#"{"f:x":{}}"#)];
    let less = [entry("create", "", r#"{"f:c":{}}"#), scaled[1].clone()];
    let versions = [
        text(2, &[made], r#"{"c":{"y":1},"x":1}"#),
        text(3, &scaled, r#"{"c":{"y":1},"x":2}"#),
        text(4, &scaled, r#"{"c":{"y":1},"x":3}"#),
        text(5, &less, r#"{"c":{},"x":3}"#),
    ];
    let by = |blame: &Blame, path: &str| {
        let origin = blame.origin(path).expect("there");
        (origin.rev, origin.manager, origin.subresource)
    };
    let signed = blame_of(&versions, 3).await.expect("blames");
    assert_eq!(by(&signed, "/spec/x"), (3, "hpa".to_owned(), "scale".to_owned()), "in the second of the creation");
    let again = blame_of(&versions, 4).await.expect("blames");
    assert_eq!(by(&again, "/spec/x"), (4, "hpa".to_owned(), "scale".to_owned()));
    let removed = blame_of(&versions, 5).await.expect("blames");
    assert_eq!(by(&removed, "/spec/c"), (2, "create".to_owned(), String::new()), "a container is as old as itself");
    assert_eq!(by(&removed, "/metadata/resourceVersion").1, "", "who took the field away is not known");
}
