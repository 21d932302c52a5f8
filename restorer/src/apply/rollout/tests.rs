//! When a workload is rolled out, and why a Pod is not ready.

use hindcast_journal::{
    exact::{self, Value},
    fold::ObjectKey,
};

use super::{reads, reason, selector};
use crate::kinds;

fn progress(resource: &str, object: &Value) -> (bool, String) {
    super::progress(kinds::find(&format!("apps/{resource}")), object)
}

fn json(text: &str) -> Value {
    exact::parse(text.as_bytes()).expect("a test's own JSON")
}

#[test]
fn a_deployment_is_ready_when_its_new_pods_are_and_the_old_ones_are_gone() {
    let deployment = |generation: u32, updated: u32, available: u32, total: u32| {
        json(&format!(
            r#"{{"metadata":{{"generation":2}},"spec":{{"replicas":3}},"status":{{"observedGeneration":{generation},"updatedReplicas":{updated},"availableReplicas":{available},"replicas":{total}}}}}"#
        ))
    };
    assert!(!progress("deployments", &deployment(1, 3, 3, 3)).0, "not seen yet");
    assert_eq!(
        progress("deployments", &deployment(2, 1, 3, 4)),
        (false, "3 of 3 ready, 1 of them new, 1 old to go".into())
    );
    assert!(!progress("deployments", &deployment(2, 3, 2, 3)).0, "one is not available");
    assert!(progress("deployments", &deployment(2, 3, 3, 3)).0);
}

#[test]
fn a_stateful_set_held_back_by_its_partition_is_not_waited_for() {
    let set = json(
        r#"{"metadata":{"generation":1},"spec":{"replicas":3,"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":2}}},"status":{"observedGeneration":1,"updatedReplicas":1,"readyReplicas":3,"replicas":3}}"#,
    );
    assert!(progress("statefulsets", &set).0);
}

#[test]
fn a_pod_says_why_it_is_not_ready() {
    let waiting = json(
        r#"{"status":{"phase":"Pending","containerStatuses":[{"name":"app","state":{"waiting":{"reason":"ImagePullBackOff","message":"no such image"}}}]}}"#,
    );
    assert_eq!(reason(&waiting).as_deref(), Some("app: ImagePullBackOff: no such image"));
    let nowhere = json(
        r#"{"status":{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"0/3 nodes"}]}}"#,
    );
    assert_eq!(reason(&nowhere).as_deref(), Some("Unschedulable: 0/3 nodes"));
    let ready = json(r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#);
    assert_eq!(reason(&ready), None);
    let bare = json(r#"{"status":{"phase":"Pending"}}"#);
    assert_eq!(reason(&bare).as_deref(), Some("is Pending"));
}

#[test]
fn finds_who_reads_an_object_when_it_starts() {
    let key = |resource: &str, name: &str| ObjectKey {
        namespace: "shop".into(),
        group: String::new(),
        resource: resource.into(),
        name: name.into(),
    };
    let pod = json(
        r#"{"spec":{"containers":[{"envFrom":[{"configMapRef":{"name":"app"}}]}],"initContainers":[{"env":[{"name":"P","valueFrom":{"secretKeyRef":{"name":"db","key":"p"}}}]}],"volumes":[{"configMap":{"name":"files"}}]}}"#,
    );
    let by_sub_path = json(
        r#"{"spec":{"containers":[{"volumeMounts":[{"name":"v","subPath":"a.conf"}]}],"volumes":[{"name":"v","configMap":{"name":"files"}}]}}"#,
    );
    assert!(reads(&by_sub_path, &key("configmaps", "files")), "a file mounted by its path stays as it was");
    assert!(reads(&pod, &key("configmaps", "app")));
    assert!(reads(&pod, &key("secrets", "db")));
    assert!(!reads(&pod, &key("secrets", "app")));
    assert!(!reads(&pod, &key("configmaps", "files")), "a mounted one follows by itself");
}

#[test]
fn a_selector_becomes_a_query() {
    let object = json(
        r#"{"spec":{"selector":{"matchLabels":{"app":"web"},"matchExpressions":[{"key":"tier","operator":"In","values":["a","b"]},{"key":"old","operator":"DoesNotExist"}]}}}"#,
    );
    assert_eq!(selector(&object).as_deref(), Some("app=web,tier in (a,b),!old"));
}
