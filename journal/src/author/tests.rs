//! Who is told of, by what the server writes into managedFields: the entries are those of a real one.

use super::*;

/// An entry: manager, operation and subresource as `who`, the second of its time, its fields.
fn entry(who: (&str, &str, &str), second: u32, fields: &str) -> String {
    let (manager, operation, subresource) = who;
    let subresource = if subresource.is_empty() { String::new() } else { format!(r#","subresource":"{subresource}""#) };
    format!(
        r#"{{"apiVersion":"apps/v1","fieldsType":"FieldsV1","fieldsV1":{fields},"manager":"{manager}","operation":"{operation}"{subresource},"time":"2026-11-01T13:00:{second:02}Z"}}"#
    )
}

const CREATE: (&str, &str, &str) = ("kubectl-create", "Update", "");
const SCALE: (&str, &str, &str) = ("kubectl", "Update", "scale");
const SCALER: (&str, &str, &str) = ("kube-controller-manager", "Update", "scale");
const STATUS: (&str, &str, &str) = ("kube-controller-manager", "Update", "status");
const CI: (&str, &str, &str) = ("ci", "Apply", "");
const US: (&str, &str, &str) = ("hindcast", "Update", "");

const BOTH: &str = r#"{"f:spec":{"f:image":{},"f:replicas":{}}}"#;
const IMAGE: &str = r#"{"f:spec":{"f:image":{}}}"#;
const REPLICAS: &str = r#"{"f:spec":{"f:replicas":{}}}"#;
const READY: &str = r#"{"f:status":{"f:ready":{}}}"#;
const OBJECT: &str = r#"{"spec":{"image":"a","replicas":3},"status":{"ready":1}}"#;
const SCALED: &str = r#"[{"op":"replace","path":"/spec/replicas","value":3}]"#;

/// `manager subresource` of what made the second book of the first by a patch.
fn told(old: &[String], new: &[String], patch: &str) -> String {
    let book =
        |entries: &[String]| exact::to_canonical(&exact::parse(format!("[{}]", entries.join(",")).as_bytes()).unwrap());
    let (old, new) = (book(old), book(new));
    let written = Written { managed: (&old, &new), patch: Some(patch.as_bytes()), object: OBJECT.as_bytes() };
    let author = of_write(&written);
    format!("{} {}", author.manager, author.subresource).trim_end().to_owned()
}

#[test]
fn whoever_lost_a_field_is_not_who_took_it() {
    let created = entry(CREATE, 1, BOTH);
    // Within the second of the creation, where the time of the entry that lost the field is no older.
    for second in [1, 9] {
        for (by, expected) in [(SCALE, "kubectl scale"), (SCALER, "kube-controller-manager scale"), (CI, "ci")] {
            let new = [entry(by, second, REPLICAS), entry(CREATE, 1, IMAGE)];
            assert_eq!(told(std::slice::from_ref(&created), &new, SCALED), expected, "{second}");
            // In whatever order they stand.
            let new = [entry(CREATE, 1, IMAGE), entry(by, second, REPLICAS)];
            assert_eq!(told(std::slice::from_ref(&created), &new, SCALED), expected, "{second}");
        }
    }
}

#[test]
fn who_took_a_field_away_is_not_known_unless_the_fields_tell() {
    let gone = r#"[{"op":"remove","path":"/spec/replicas"},{"op":"replace","path":"/metadata/generation","value":2}]"#;
    let (old, new) = ([entry(CREATE, 1, BOTH)], [entry(CREATE, 1, IMAGE)]);
    assert_eq!(told(&old, &new, gone), "", "an edit leaves no mark of its own");
    let new = [entry(CREATE, 7, IMAGE)];
    assert_eq!(told(&old, &new, gone), "kubectl-create", "its time went on");
    let new = [entry(CREATE, 1, r#"{"f:spec":{"f:args":{},"f:image":{}}}"#)];
    assert_eq!(told(&old, &new, gone), "kubectl-create", "it set another field with the same write");
    let applied = ([entry(CI, 1, BOTH)], [entry(CI, 7, IMAGE)]);
    assert_eq!(told(&applied.0, &applied.1, gone), "ci", "an apply without the field");
    let marked = r#"[{"op":"add","path":"/metadata/deletionTimestamp","value":"2026-11-01T13:00:05Z"}]"#;
    assert_eq!(told(&old, &old, marked), "", "a delete is in no book");
}

#[test]
fn a_second_write_within_a_second_is_its_managers_by_what_it_set() {
    let book = [entry(CREATE, 1, IMAGE), entry(SCALER, 1, REPLICAS), entry(STATUS, 1, READY)];
    assert_eq!(told(&book, &book, SCALED), "kube-controller-manager scale");
    let ready = r#"[{"op":"replace","path":"/status/ready","value":1}]"#;
    assert_eq!(told(&book, &book, ready), "kube-controller-manager status");
    let two =
        r#"[{"op":"replace","path":"/status/ready","value":1},{"op":"replace","path":"/spec/image","value":"a"}]"#;
    assert_eq!(told(&book, &book, two), "", "what two managers own, nobody knows who wrote");
    let shared = [entry(CREATE, 1, IMAGE), entry(CI, 1, IMAGE)];
    let image = r#"[{"op":"replace","path":"/spec/image","value":"a"}]"#;
    assert_eq!(told(&shared, &shared, image), "");
    let shifted = r#"[{"op":"add","path":"/spec/list/0","value":1},{"op":"replace","path":"/spec/image","value":"a"}]"#;
    assert_eq!(told(&book, &book, shifted), "", "indexes of a list that moved name nothing");
}

#[test]
fn fields_that_are_given_back_are_nobodys_write() {
    let taken = [entry(CI, 1, REPLICAS), entry(US, 9, IMAGE)];
    let back = [entry(CI, 1, BOTH)];
    assert_eq!(told(&taken, &back, "[]"), "", "the same time, more fields, no change");
    let taken = [entry(US, 9, BOTH)];
    assert_eq!(told(&taken, &back, "[]"), "", "an entry that comes back with an old time");
    let taken = [entry(CI, 1, REPLICAS), entry(US, 9, IMAGE)];
    assert_eq!(told(&taken, &[entry(CI, 5, BOTH)], "[]"), "", "as an undo does it");
    assert_eq!(told(&back, &[entry(CI, 1, BOTH), entry(CREATE, 9, IMAGE)], "[]"), "kubectl-create", "co-ownership");
}

#[test]
fn entries_that_the_server_takes_together_are_not_the_writer() {
    let old = [entry(CREATE, 1, BOTH)];
    let ancient = entry(("ancient-changes", "Update", ""), 4, IMAGE);
    assert_eq!(told(&old, &[ancient, entry(CI, 4, REPLICAS)], SCALED), "ci");
    let before = entry(("before-first-apply", "Update", ""), 4, IMAGE);
    assert_eq!(told(&old, &[entry(CI, 4, REPLICAS), before], SCALED), "ci");
}

#[test]
fn owners_are_found_in_maps_lists_and_sets() {
    let parse = |text: &str| exact::parse(text.as_bytes()).expect("JSON");
    let managed = parse(
        r#"[{"manager":"a","operation":"Apply","time":"1","fieldsV1":{"f:c":{"k:{\"name\":\"w\"}":{".":{},"f:image":{}}},"f:s":{"v:\"q\"":{}},"f:atomic":{}}},
            {"manager":"b","operation":"Update","time":"2","subresource":"status","fieldsV1":{"f:c":{"k:{\"name\":\"w\"}":{"f:image":{}}}}}]"#,
    );
    let object = parse(r#"{"atomic":{"k":1},"c":[{"name":"o"},{"image":"1","name":"w"}],"s":["p","q"]}"#);
    let owner = |path: &str| of_field(&managed, &object, path).map(|author| author.manager);
    assert_eq!(owner("/c/1/image").as_deref(), Some("b"), "who wrote last");
    assert_eq!(owner("/s/1").as_deref(), Some("a"));
    assert_eq!(owner("/s/0"), None);
    assert_eq!(owner("/c/0/name"), None);
    assert_eq!(owner("/atomic/k").as_deref(), Some("a"), "an atomic value is owned whole");
}
