//! Whose fields they are afterwards.

use hindcast_journal::exact::{self, Value};

use super::wanted;

fn entries(list: &[(&str, &str, &str, &str)]) -> Value {
    let items: Vec<String> = list
        .iter()
        .map(|(manager, operation, subresource, field)| {
            let sub = if subresource.is_empty() { String::new() } else { format!(r#","subresource":"{subresource}""#) };
            format!(
                r#"{{"apiVersion":"v1","manager":"{manager}","operation":"{operation}"{sub},"fieldsV1":{{"f:{field}":{{}}}}}}"#
            )
        })
        .collect();
    exact::parse(format!("[{}]", items.join(",")).as_bytes()).expect("a test's own JSON")
}

#[test]
fn the_past_owners_come_back_and_controllers_stay() {
    let past = entries(&[
        ("ci", "Apply", "", "image"),
        ("kube-controller-manager", "Update", "", "old"),
        ("kube-controller-manager", "Update", "status", "old"),
        ("hindcast", "Update", "", "earlier"),
    ]);
    let live = entries(&[
        ("ci", "Apply", "", "name"),
        ("someone", "Apply", "", "name"),
        ("kube-controller-manager", "Update", "", "new"),
        ("kube-controller-manager", "Update", "status", "new"),
        ("hindcast", "Update", "", "image"),
    ]);
    let expected = entries(&[
        ("ci", "Apply", "", "image"),
        ("kube-controller-manager", "Update", "", "new"),
        ("kube-controller-manager", "Update", "status", "new"),
    ]);
    assert_eq!(wanted(Some(&past), Some(&live), false), Some(expected));
}

#[test]
fn a_new_object_has_all_owners_of_its_fields() {
    let past = entries(&[
        ("kubectl", "Update", "", "spec"),
        ("kube-controller-manager", "Update", "", "annotation"),
        ("kube-controller-manager", "Update", "status", "old"),
    ]);
    let live = entries(&[("hindcast", "Update", "", "spec")]);
    let expected =
        entries(&[("kubectl", "Update", "", "spec"), ("kube-controller-manager", "Update", "", "annotation")]);
    assert_eq!(wanted(Some(&past), Some(&live), true), Some(expected));
}

#[test]
fn nothing_is_set_without_need() {
    let past = entries(&[("ci", "Apply", "", "image")]);
    assert_eq!(wanted(Some(&past), Some(&past), false), None, "they stand already");
    assert_eq!(wanted(None, Some(&past), false), None, "nothing is known of the moment");
    let ours = entries(&[("hindcast", "Update", "", "image")]);
    let none = exact::parse(b"[{}]").expect("a test's own JSON");
    assert_eq!(wanted(Some(&ours), Some(&ours), false), Some(none), "an empty list would be taken for none given");
}

#[test]
fn what_machines_alone_own_is_given_to_nobody_else() {
    let list = |entries: &[(&str, &str, &str)]| {
        let items: Vec<String> = entries
            .iter()
            .map(|(manager, sub, fields)| {
                format!(r#"{{"apiVersion":"apps/v1","manager":"{manager}","operation":"Update","subresource":"{sub}","fieldsV1":{fields}}}"#)
            })
            .collect();
        exact::parse(format!("[{}]", items.join(",")).as_bytes()).expect("a test's own JSON")
    };
    let both = r#"{"f:spec":{"f:replicas":{},"f:template":{}}}"#;
    let (rest, replicas) = (r#"{"f:spec":{"f:template":{}}}"#, r#"{"f:spec":{"f:replicas":{}}}"#);
    let past = list(&[("ci", "", both), ("helper", "", replicas)]);
    let live = list(&[("bad", "", rest), ("scaler", "scale", replicas)]);
    let expected = list(&[("ci", "", rest), ("scaler", "scale", replicas)]);
    assert_eq!(wanted(Some(&past), Some(&live), false), Some(expected));
    // Where a person owns it beside, it is not the machine's.
    let live = list(&[("bad", "", both), ("scaler", "scale", replicas)]);
    let expected = list(&[("ci", "", both), ("helper", "", replicas), ("scaler", "scale", replicas)]);
    assert_eq!(wanted(Some(&past), Some(&live), false), Some(expected));
}

#[test]
fn what_was_put_back_belongs_to_who_wrote_it_through_a_subresource() {
    let past = entries(&[
        ("ci", "Apply", "", "image"),
        ("person", "Update", "scale", "replicas"),
        ("kubelet", "Update", "status", "phase"),
    ]);
    let live = entries(&[
        ("ci", "Apply", "", "replicas"),
        ("hindcast", "Update", "", "replicas"),
        ("kubelet", "Update", "status", "now"),
    ]);
    let expected = entries(&[
        ("ci", "Apply", "", "image"),
        ("person", "Update", "scale", "replicas"),
        ("kubelet", "Update", "status", "now"),
    ]);
    assert_eq!(wanted(Some(&past), Some(&live), false), Some(expected));
    // What stands as others wrote it stays theirs.
    let live = entries(&[("other", "Update", "scale", "replicas"), ("hindcast", "Update", "", "image")]);
    let expected = entries(&[("ci", "Apply", "", "image"), ("other", "Update", "scale", "replicas")]);
    assert_eq!(wanted(Some(&past), Some(&live), false), Some(expected));
}
