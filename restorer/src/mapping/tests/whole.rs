//! A whole desired state under a mapping.

use std::{collections::BTreeSet, sync::Arc};

use hindcast_journal::{
    cut::{Cut, CutPoint},
    seal::Rules,
};

use super::*;
use crate::{
    desired::{Desired, Full, Source, Wanted},
    intent::Surroundings,
    message::Message,
};

fn wanted(object: &serde_json::Value) -> Wanted {
    Wanted {
        pos: 7,
        uid: "u-1".into(),
        rv: "12".into(),
        object: Ok(Arc::new(Full { value: value(object), managed: Some(value(&json!([{"manager": "helm"}]))) })),
        redact: Vec::new(),
    }
}

pub(super) fn desired(objects: &[(ObjectKey, serde_json::Value)]) -> Desired {
    Desired {
        cluster: "c".into(),
        cut: Cut { domains: BTreeMap::from([("main".to_owned(), CutPoint { incarnation: 0, rv: 20 })]) },
        time: 1_000,
        uncertain: false,
        source: Source::Journal,
        objects: objects.iter().map(|(key, object)| (key.clone(), wanted(object))).collect(),
        system: BTreeMap::new(),
        kinds: BTreeMap::new(),
        definitions: None,
        later: BTreeMap::new(),
        created: BTreeMap::new(),
        touched: BTreeMap::new(),
        left: BTreeMap::new(),
        around: Surroundings::default(),
        retained: BTreeSet::new(),
        scalers: BTreeMap::new(),
        key: None,
        older: Vec::new(),
        rules: Rules::default(),
    }
}

fn object(namespace: &str, name: &str) -> serde_json::Value {
    json!({"metadata": {"name": name, "namespace": namespace}, "data": {"a": "1"}})
}

#[test]
fn every_object_goes_and_keeps_its_origin() {
    let objects = [
        (
            key("namespaces", "", "shop"),
            json!({"metadata": {"name": "shop", "labels": {"kubernetes.io/metadata.name": "shop"}}}),
        ),
        (key("configmaps", "shop", "a"), object("shop", "a")),
        (key("configmaps", "other", "a"), object("other", "a")),
    ];
    let mut state = desired(&objects);
    state.later.insert(key("configmaps", "shop", "a"), vec!["/data/b".into()]);
    state.scalers.insert(
        key("autoscaling/horizontalpodautoscalers", "shop", "h"),
        Arc::new(Full { value: value(&object("shop", "h")), managed: None }),
    );
    let Moved { desired, mapped } = to(&[("shop", "store")]).desired(state).unwrap();

    let keys: Vec<&ObjectKey> = desired.objects.keys().collect();
    assert_eq!(
        keys,
        [&key("namespaces", "", "store"), &key("configmaps", "other", "a"), &key("configmaps", "store", "a")]
    );
    let store = &desired.objects[&key("configmaps", "store", "a")];
    assert_eq!((store.pos, store.uid.as_str(), store.rv.as_str()), (7, "u-1", ""));
    let full = store.object.as_ref().unwrap();
    assert_eq!(full.value, value(&object("store", "a")));
    assert!(full.managed.is_some());
    assert_eq!(desired.objects[&key("configmaps", "other", "a")].rv, "12");
    let namespace = desired.objects[&key("namespaces", "", "store")].object.as_ref().unwrap();
    assert_eq!(
        namespace.value.to_serde(),
        json!({"metadata": {"name": "store", "labels": {"kubernetes.io/metadata.name": "store"}}})
    );

    assert_eq!(desired.later.keys().collect::<Vec<_>>(), [&key("configmaps", "store", "a")]);
    assert_eq!(
        desired.scalers.keys().collect::<Vec<_>>(),
        [&key("autoscaling/horizontalpodautoscalers", "store", "h")]
    );
    assert_eq!(mapped.len(), 2);
    assert_eq!(mapped[&key("configmaps", "store", "a")].origin, key("configmaps", "shop", "a"));
}

#[test]
fn what_both_share_is_named() {
    let binding = |name: &str, namespace: &str| json!({"metadata": {"name": name}, "subjects": [{"kind": "ServiceAccount", "name": "web", "namespace": namespace}]});
    let kind = "rbac.authorization.k8s.io/clusterrolebindings";
    let objects = [
        (key(kind, "", "a"), binding("a", "shop")),
        (key(kind, "", "b"), binding("b", "other")),
        (key("configmaps", "shop", "a"), object("shop", "a")),
    ];
    let moved = to(&[("shop", "store")]).desired(desired(&objects)).unwrap();
    assert_eq!(moved.shared().map(|mapped| &mapped.key).collect::<Vec<_>>(), [&key(kind, "", "a")]);
}

#[test]
fn a_mapping_that_maps_nothing_leaves_the_state() {
    let objects = [
        (key("configmaps", "shop", "a"), object("shop", "a")),
        (key("services", "shop", "a"), json!({"spec": {"clusterIP": "10.0.0.1"}})),
    ];
    let Moved { desired, mapped } = Mapping::default().desired(desired(&objects)).unwrap();
    assert!(mapped.is_empty());
    for (key, before) in &objects {
        let now = &desired.objects[key];
        assert_eq!((&now.object.as_ref().unwrap().value, now.rv.as_str()), (&value(before), "12"));
    }
}

#[test]
fn two_objects_never_become_one() {
    let objects = [
        (key("configmaps", "a", "app"), object("a", "app")),
        (key("configmaps", "b", "app"), object("b", "app")),
        (key("configmaps", "b", "web"), object("b", "web")),
    ];
    let error = to(&[("a", "c"), ("b", "c")]).desired(desired(&objects)).unwrap_err();
    assert_eq!(error.to_string(), "configmaps/app in a and configmaps/app in b: would both become configmaps/app in c");
    assert!(error.hint().is_some());
    assert!(to(&[("a", "b")]).desired(desired(&objects)).is_err());
    let swapped = to(&[("a", "b"), ("b", "a")]).desired(desired(&objects)).unwrap().desired;
    assert_eq!(swapped.objects.len(), 3);
    let renamed =
        Mapping { set: vec![Set::parse("metadata.name=app", Filter::default()).unwrap()], ..Mapping::default() };
    assert!(renamed.desired(desired(&objects)).unwrap_err().to_string().contains("web in b"));
}

#[test]
fn what_cannot_be_mapped_is_said_of_the_object_and_the_rest_goes_on() {
    let objects = [
        (key("configmaps", "shop", "a"), object("shop", "a")),
        (
            key("services", "shop", "a"),
            json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"ports": [{"port": 1}]}}),
        ),
    ];
    let set = Set::parse("spec.ports[0].port=2", Filter { kinds: vec!["*".into()], ..Filter::default() }).unwrap();
    let list = Set::parse("data[0]=2", Filter { kinds: vec!["configmaps".into()], ..Filter::default() }).unwrap();
    let broken = Set::parse("data.a.b=2", Filter { kinds: vec!["configmaps".into()], ..Filter::default() }).unwrap();
    let mapping = Mapping { set: vec![set, list, broken], ..to(&[("shop", "store")]) };
    let Moved { desired, mapped } = mapping.desired(desired(&objects)).unwrap();
    let refused = desired.objects[&key("configmaps", "store", "a")].object.as_ref().unwrap_err().to_string();
    assert!(refused.contains("configmaps/a in shop"), "{refused}");
    let service = desired.objects[&key("services", "store", "a")].object.as_ref().unwrap();
    assert_eq!(service.value.pointer("/spec/ports/0/port").and_then(Value::as_i64), Some(2));
    assert_eq!(mapped.len(), 1);
}

#[test]
fn an_object_that_cannot_be_had_still_goes_by_its_name() {
    let mut state = desired(&[(key("secrets", "shop", "s"), object("shop", "s"))]);
    state.objects.get_mut(&key("secrets", "shop", "s")).unwrap().object = Err(Message::from("no key".to_owned()));
    let moved = to(&[("shop", "store")]).desired(state).unwrap();
    assert_eq!(moved.desired.objects[&key("secrets", "store", "s")].object.as_ref().unwrap_err().to_string(), "no key");
    let mut state = desired(&[(key("namespaces", "", "shop"), json!({}))]);
    state.objects.get_mut(&key("namespaces", "", "shop")).unwrap().object = Err(Message::default());
    assert!(to(&[("shop", "store")]).desired(state).unwrap().desired.objects.contains_key(&key(
        "namespaces",
        "",
        "store"
    )));
}

#[test]
fn values_of_secrets_are_in_no_change() {
    let secret = json!({"metadata": {"name": "s", "namespace": "shop"}, "data": {"password": "aHVudGVyMg=="}});
    let mapping = Mapping {
        set: vec![Set::parse("data.password=c2VjcmV0", Filter::default()).unwrap()],
        ..to(&[("shop", "store")])
    };
    let moved = mapping.desired(desired(&[(key("secrets", "shop", "s"), secret)])).unwrap();
    let told = format!("{:?}", moved.mapped);
    assert!(told.contains("/data/password") && !told.contains("aHVudGVyMg") && !told.contains("c2VjcmV0"), "{told}");
    let wanted = &moved.desired.objects[&key("secrets", "store", "s")];
    assert!(wanted.redact.contains(&"/data/password".to_owned()));
    assert_eq!(wanted.object.as_ref().unwrap().value.pointer("/data/password"), Some(&"c2VjcmV0".into()));
}

#[test]
fn an_undo_goes_nowhere_else() {
    let undo = Desired { source: Source::Undo("r-1".into()), ..desired(&[]) };
    let error = to(&[("a", "b")]).desired(undo).unwrap_err();
    assert!(error.to_string().contains("an undo") && error.hint().is_some());
}
