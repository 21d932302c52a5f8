//! Scalers are found on both sides, and what they mean by a reference.

use std::{collections::BTreeMap, sync::Arc};

use hindcast_journal::{cut::Cut, parts::Micros};
use serde_json::json;

use super::*;
use crate::{
    Protection,
    desired::Source,
    intent::tests::{full, key},
};

fn desired(scalers: Vec<(ObjectKey, serde_json::Value)>) -> Desired {
    let rollouts = Discovery {
        group: "argoproj.io".into(),
        resource: "rollouts".into(),
        kind: "Rollout".into(),
        ..Discovery::default()
    };
    Desired {
        cluster: String::new(),
        cut: Cut::default(),
        time: Micros::default(),
        uncertain: false,
        source: Source::Journal,
        objects: BTreeMap::new(),
        kinds: BTreeMap::from([(rollouts.kind_key(), (rollouts, Protection::Protected))]),
        definitions: None,
        later: BTreeMap::new(),
        system: BTreeMap::new(),
        created: BTreeMap::new(),
        touched: BTreeMap::new(),
        left: BTreeMap::new(),
        around: Surroundings::default(),
        retained: std::collections::BTreeSet::new(),
        scalers: scalers.into_iter().map(|(key, json)| (key, Arc::new(full(json)))).collect(),
        key: None,
        older: Vec::new(),
        rules: hindcast_journal::seal::Rules::default(),
    }
}

fn reference(field: &str, api: &str, kind: &str) -> serde_json::Value {
    json!({"spec": {field: {"apiVersion": api, "kind": kind, "name": "web"}}})
}

#[test]
fn a_scaler_of_then_or_now_counts_once_each() {
    let hpa = key("autoscaling/horizontalpodautoscalers", "web");
    let desired = desired(vec![
        (hpa.clone(), reference("scaleTargetRef", "apps/v1", "Deployment")),
        (key("keda.sh/scaledobjects", "queue"), json!({"spec": {"scaleTargetRef": {"name": "web"}}})),
    ]);
    let mut live = Live::default();
    live.scalers.insert(hpa, Arc::new(full(reference("scaleTargetRef", "apps/v1", "StatefulSet"))));
    let around = gather(&desired, &live, Some("/spec/replicas"), &Planned::new());
    let words = |kind: &str| {
        around
            .scaled
            .get(&key(kind, "web"))
            .map(|set| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    };
    assert_eq!(words("apps/deployments").as_deref(), Some("HorizontalPodAutoscaler web, ScaledObject queue"));
    assert_eq!(words("apps/statefulsets").as_deref(), Some("HorizontalPodAutoscaler web"));
    assert_eq!(around.asked.as_deref(), Some("/spec/replicas"));
}

#[test]
fn a_custom_workload_is_found_by_its_kind() {
    let desired = desired(vec![(
        key("autoscaling/horizontalpodautoscalers", "web"),
        reference("scaleTargetRef", "argoproj.io/v1alpha1", "Rollout"),
    )]);
    let around = gather(&desired, &Live::default(), None, &Planned::new());
    assert!(around.scaled.contains_key(&key("argoproj.io/rollouts", "web")), "{:?}", around.scaled);
}

#[test]
fn a_vertical_autoscaler_that_only_recommends_sets_nothing() {
    let vpa = |mode: &str| {
        let mut vpa = reference("targetRef", "apps/v1", "Deployment");
        vpa["spec"]["updatePolicy"] = json!({"updateMode": mode});
        vec![(key("autoscaling.k8s.io/verticalpodautoscalers", "web"), vpa)]
    };
    let resized = |mode: &str| gather(&desired(vpa(mode)), &Live::default(), None, &Planned::new()).resized.len();
    assert_eq!((resized("Off"), resized("Auto"), resized("Initial")), (0, 1, 1));
}

#[test]
fn volumes_are_the_live_ones_and_those_whose_storage_was_kept() {
    let volume = |policy: &str, claim: &str| {
        json!({"spec": {"persistentVolumeReclaimPolicy": policy, "claimRef": {"namespace": "shop", "name": claim, "uid": "u"}},
            "status": {"phase": "Released"}})
    };
    let mut desired = desired(Vec::new());
    for (name, policy) in [("kept", "Retain"), ("gone", "Delete")] {
        let object = Arc::new(full(volume(policy, "a")));
        let wanted = crate::desired::Wanted {
            pos: hindcast_journal::Position::default(),
            uid: String::new(),
            rv: String::new(),
            object: Ok(object),
            redact: Vec::new(),
        };
        desired.objects.insert(key("/persistentvolumes", name), wanted);
    }
    let mut live = Live::default();
    live.volumes.insert("there".to_owned(), Arc::new(full(volume("Delete", "b"))));
    let around = gather(&desired, &live, None, &Planned::new());
    assert_eq!(around.volumes.keys().collect::<Vec<_>>(), ["kept", "there"]);
    assert!(
        around.can_bind("there", "shop", "b")
            && !around.can_bind("there", "shop", "a")
            && !around.can_bind("gone", "shop", "a")
    );
}
