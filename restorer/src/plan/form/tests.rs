//! A plan that was written down is the plan that is read.

use std::collections::BTreeMap;

use hindcast_journal::{
    cut::{Cut, CutPoint},
    exact::Value,
    fold::ObjectKey,
};

use crate::{
    message::{Note, Plain, Words},
    plan::{Action, FieldChange, Left, LiveRef, Plan, Propagation, Verb, WantedRef, Wave},
    reason::Reason,
    selection::{Permission, Selection, What},
};

#[test]
fn comes_back_whole() {
    let key = ObjectKey {
        namespace: "shop".into(),
        group: "apps".into(),
        resource: "deployments".into(),
        name: "web".into(),
    };
    let change = |from, to| FieldChange { path: "/spec/replicas".into(), from, to };
    let action = Action {
        key,
        kind: "Deployment".into(),
        version: "v1".into(),
        verb: Verb::Update,
        wave: Wave { group: 2, depth: 1 },
        propagation: Propagation::Orphan,
        live: Some(LiveRef { uid: "u".into(), rv: "7".into(), hash: "h".into() }),
        wanted: Some(WantedRef { pos: 3, uid: "u".into(), hash: "g".into() }),
        changes: vec![change(Some(Value::Null), None), change(None, Some(Value::from(3_i64)))],
        kept: Vec::new(),
        evidence: None,
        warnings: vec!["mind".into()],
    };
    let point = CutPoint { incarnation: 1, rv: 42 };
    let plan = Plan {
        cluster: "c".into(),
        cut: Cut { domains: BTreeMap::from([("main".to_owned(), point)]) },
        time: 5,
        undoes: Some("x".into()),
        selection: Selection::of(What::Namespace("shop".into())),
        actions: vec![action],
        left: Vec::new(),
        notes: Vec::new(),
        reservations: Vec::new(),
        unchanged: 9,
        kept: Vec::new(),
        system: Vec::new(),
        switches_on: Vec::new(),
    };
    assert_eq!(Plan::from_json("a plan", &plan.to_json()).expect("it reads"), plan);
    assert!(Plan::from_json("a plan", b"{}").is_err());
}

/// The caller's words.
#[derive(Debug)]
struct Flags;

impl Words for Flags {
    fn permission(&self, permission: &Permission) -> String {
        match permission {
            Permission::AcceptGap => "--accept-gap".to_owned(),
            other => other.to_string(),
        }
    }

    fn note(&self, note: &Note) -> String {
        format!("{note}; --restart rolls them")
    }
}

/// As records have held it from the first version on.
const LEFT: &str = r#"{"key":{"group":"","resource":"configmaps","namespace":"shop","name":"a"},"kind":"ConfigMap","verb":"delete","code":"lost-gap","reason":"changes of its kind from 1970-01-01T00:00:00Z to 1970-01-01T00:00:01Z are lost, so it may have been there at the moment asked for","flag":"--accept-gap"}"#;
const NOTES: &str = r#"["Deployment web reads ConfigMap a when its Pods start and its template stays: they keep the old values; --restart rolls them"]"#;

#[test]
fn what_is_said_is_kept_in_the_callers_words_and_read_again_as_it_was() {
    let key =
        ObjectKey { namespace: "shop".into(), group: String::new(), resource: "configmaps".into(), name: "a".into() };
    let left = Left {
        key,
        kind: "ConfigMap".into(),
        verb: Verb::Delete,
        reason: Reason::Lost(0, 1_000_000),
        unless: Some(Permission::AcceptGap),
    };
    let reads = Note::KeepsOldValues { workload: "Deployment web".into(), reads: "ConfigMap a".into() };
    let plan = Plan {
        cluster: "c".into(),
        cut: Cut::default(),
        time: 5,
        undoes: None,
        selection: Selection::of(What::All),
        actions: Vec::new(),
        left: vec![left],
        notes: vec![reads],
        reservations: Vec::new(),
        unchanged: 0,
        kept: Vec::new(),
        system: Vec::new(),
        switches_on: Vec::new(),
    };
    let kept = plan.told(&Flags).to_json();
    let text = String::from_utf8(kept.clone()).expect("JSON is text");
    let told = LEFT.trim_end_matches('}').to_owned() + r#","standing":"wanting"}"#;
    assert!(text.contains(&format!(r#""left":[{told}],"notes":{NOTES}"#)), "{text}");
    let read = Plan::from_json("a plan", &kept).expect("it reads");
    let one = read.left.first().expect("what is left");
    assert_eq!((one.reason.code(), &one.unless), ("lost-gap", &None), "nobody decides by what was told");
    assert_eq!(one.permission(&Plain).as_deref(), Some("--accept-gap"));
    assert_eq!(read.told(&Plain).to_json(), kept, "whoever reads it says the same");
    let earlier = text.replace(&told, LEFT).replace(r#","kept":[],"system":[]"#, "");
    assert_ne!(earlier, text);
    assert_eq!(
        Plan::from_json("a plan", earlier.as_bytes()).expect("it reads"),
        read,
        "a flag says that one is wanting"
    );
}
