//! The book of fields is read as the server writes it.

use serde_json::json;

use super::*;

fn machines(book: &serde_json::Value) -> Vec<Vec<Step>> {
    of_machines(&Value::from_serde(book)).into_iter().map(|machine| machine.place.steps).collect()
}

fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

#[test]
fn a_set_names_members_elements_and_values() {
    let book = json!([{"manager": "kubelet", "fieldsV1": {
        "f:metadata": {"f:annotations": {".": {}, "f:a.b/c": {}}},
        "f:spec": {"f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {"f:hostPort": {}}}, "f:set": {"v:\"x\"": {}}}}}]);
    let port = Step::Item(vec![("containerPort".into(), "80".into()), ("protocol".into(), "\"TCP\"".into())]);
    let expected = vec![
        vec![key("metadata"), key("annotations"), key("a.b/c")],
        vec![key("spec"), key("ports"), port, key("hostPort")],
        vec![key("spec"), key("set"), Step::Element("\"x\"".into())],
    ];
    assert_eq!(machines(&book), expected);
}

#[test]
fn one_person_makes_a_field_a_persons() {
    let field = json!({"f:spec": {"f:replicas": {}}});
    let book = |second: &str, subresource: &str| json!([{"manager": "kubelet", "fieldsV1": field}, {"manager": second, "subresource": subresource, "fieldsV1": field}]);
    assert!(machines(&book("ci", "")).is_empty());
    assert_eq!(machines(&book("kube-scheduler", "")).len(), 1);
    assert_eq!(machines(&book("kubectl", "scale")).len(), 1);
    assert_eq!(machines(&book("shop-operator", "status")).len(), 1);
}

#[test]
fn a_container_is_a_persons_when_anything_in_it_is() {
    let book = json!([
        {"manager": "kubelet", "fieldsV1": {"f:spec": {"f:limits": {}}}},
        {"manager": "ci", "fieldsV1": {"f:spec": {"f:limits": {"f:cpu": {}}}}}]);
    assert!(machines(&book).is_empty());
}

#[test]
fn an_element_that_a_machine_brought_is_one_field() {
    let item = |fields: serde_json::Value| json!({"f:spec": {"f:volumes": {"k:{\"name\":\"a\"}": fields}}});
    let whole = item(json!({".": {}, "f:name": {}, "f:size": {}}));
    let element = vec![key("spec"), key("volumes"), Step::Item(vec![("name".into(), "\"a\"".into())])];
    assert_eq!(machines(&json!([{"manager": "kubelet", "fieldsV1": whole}])), std::slice::from_ref(&element));
    let mine = item(json!({"f:size": {}}));
    let shared = json!([{"manager": "kubelet", "fieldsV1": whole}, {"manager": "ci", "fieldsV1": mine}]);
    assert!(machines(&shared).is_empty(), "the name alone is not kept: the element would not be found by it");
}

#[test]
fn who_wrote_it_is_said() {
    let field = json!({"f:spec": {"f:replicas": {}}});
    let book = json!([{"manager": "kubectl", "operation": "Update", "subresource": "scale", "fieldsV1": field}]);
    let machine = of_machines(&Value::from_serde(&book)).remove(0);
    assert_eq!((machine.owner.as_str(), machine.by_hand, machine.scaled), ("kubectl through scale", true, true));
    for scaler in ["kube-controller-manager", "keda", "flagger", "cluster-proportional-autoscaler"] {
        let book = json!([{"manager": scaler, "subresource": "scale", "fieldsV1": field}]);
        assert!(!of_machines(&Value::from_serde(&book)).remove(0).by_hand, "{scaler}");
    }
}

#[test]
fn a_broken_book_names_nothing() {
    for book in [
        json!(null),
        json!("x"),
        json!([1, {"manager": 3, "fieldsV1": []}]),
        json!([{"manager": "kubelet", "fieldsV1":
        {"k:{broken": {}, "v:also broken": {}, "i:0": {}, ".": {}, "no colon": {}}}]),
    ] {
        assert!(machines(&book).is_empty(), "{book}");
    }
}
