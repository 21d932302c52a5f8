//! A plan that was written down is the plan that is read.

use std::collections::BTreeMap;

use hindcast_journal::{Cut, cut::CutPoint, exact::Value, fold::ObjectKey};

use crate::{
    plan::{Action, FieldChange, LiveRef, Plan, Propagation, Verb, WantedRef, Wave},
    selection::{Selection, What, Widen},
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
        selection: Selection {
            what: What::Namespace("shop".into()),
            labels: String::new(),
            only: Vec::new(),
            path: None,
            widen: Widen::default(),
        },
        actions: vec![action],
        left: Vec::new(),
        notes: Vec::new(),
        reservations: Vec::new(),
        unchanged: 9,
    };
    assert_eq!(Plan::from_json("a plan", &plan.to_json()).expect("it reads"), plan);
    assert!(Plan::from_json("a plan", b"{}").is_err());
}
