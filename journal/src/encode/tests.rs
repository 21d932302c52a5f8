use std::sync::Arc;

use super::*;
use crate::seal::Key;

fn kind(resource: &str) -> Discovery {
    Discovery {
        resource: resource.to_owned(),
        kind: "K".to_owned(),
        version: "v1".to_owned(),
        domain: "main".to_owned(),
        namespaced: true,
        ..Discovery::default()
    }
}

fn see<'a>(kind: &'a Discovery, rv: u64, bytes: &'a [u8]) -> Observation<'a> {
    Observation { kind, incarnation: 0, rv, source: Source::Watch, time_lo: 1, time_hi: 2, bytes }
}

fn object(rv: u64, data: &str, managed: &str) -> Vec<u8> {
    format!(
        r#"{{"kind":"K","metadata":{{"name":"n","namespace":"ns","uid":"u","resourceVersion":"{rv}","managedFields":{managed}}},"data":{data}}}"#
    )
    .into_bytes()
}

fn sealed() -> Secrets {
    Secrets::Sealed(Arc::new(Key {
        name: "k".into(),
        created: String::new(),
        wrap: [1; 32],
        hmac: [2; 32],
        seal: [3; 32],
    }))
}

#[test]
fn the_second_version_is_a_patch_that_gives_it_back() {
    let kind = kind("widgets");
    let encoder = Encoder::new(Secrets::Dropped);
    let old = object(5, r#"{"a":"1","b":"x","long":"some text so that the patch is shorter than all"}"#,
        r#"[{"manager":"a","operation":"Update","time":"2026-01-01T00:00:00Z"}]"#);
    let new = object(6, r#"{"a":"2","b":"x","long":"some text so that the patch is shorter than all"}"#,
        r#"[{"manager":"a","operation":"Update","time":"2026-01-01T00:00:00Z"},{"manager":"b","operation":"Apply","subresource":"status","time":"2026-01-02T00:00:00Z"}]"#);
    let first = encoder.observe(&see(&kind, 5, &old), None);
    assert_eq!((first.change.op, first.change.manager.as_str()), (Op::Add, "a"));
    let second = encoder.observe(&see(&kind, 6, &new), Some(&first.base));
    assert_eq!(second.change.op, Op::Modify);
    assert_eq!((second.change.base_rv, second.change.base_hash), (Some(5), first.base.hash));
    assert_eq!(
        (second.change.manager.as_str(), second.change.manager_op.as_str(), second.change.subresource.as_str()),
        ("b", "Apply", "status")
    );
    let Body::Patch(patch) = &second.change.body else { panic!("a patch: {:?}", second.change.body) };
    assert_eq!(patch.as_ref(), br#"[{"op":"replace","path":"/data/a","value":"2"}]"#);
    let mut state = exact::parse(&first.base.public).expect("canonical");
    exact::apply(&mut state, &exact::parse(patch).expect("json")).expect("applies");
    exact::set_resource_version(&mut state, "6");
    assert_eq!(exact::to_canonical(&state), second.base.public);
    assert_eq!(second.base.hash, Some(exact::state_hash(&second.base.public)));
}

#[test]
fn another_uid_begins_a_new_chain() {
    let kind = kind("widgets");
    let encoder = Encoder::new(Secrets::Dropped);
    let first = encoder.observe(&see(&kind, 5, &object(5, "{}", "[]")), None);
    let base = Base { uid: "other".into(), ..first.base };
    let again = encoder.observe(&see(&kind, 6, &object(6, "{}", "[]")), Some(&base));
    assert_eq!((again.change.op, again.change.base_rv), (Op::Add, None));
    assert!(matches!(again.change.body, Body::Object(_)));
}

#[test]
fn chains_are_bounded() {
    let kind = kind("widgets");
    let encoder = Encoder::new(Secrets::Dropped);
    let mut base = None;
    let mut fulls = 0;
    for rv in 1..=200 {
        let data = format!(r#"{{"n":"{rv}","pad":"{}"}}"#, "x".repeat(100));
        let encoded = encoder.observe(&see(&kind, rv, &object(rv, &data, "[]")), base.as_ref());
        fulls += usize::from(matches!(encoded.change.body, Body::Object(_)));
        assert!(encoded.base.chain <= CHAIN_LIMIT);
        base = Some(encoded.base);
    }
    assert_eq!(fulls, 200_usize.div_ceil(65));
}

#[test]
fn a_changed_secret_value_is_one_cell_and_never_in_the_body() {
    let kind = kind("secrets");
    let encoder = Encoder::new(sealed());
    let old = object(5, r#"{"a":"aGVsbG8=","b":"d29ybGQ="}"#, "[]");
    let new = object(6, r#"{"a":"aGVsbG8=","b":"cGxhbnRlZA=="}"#, "[]");
    let first = encoder.observe(&see(&kind, 5, &old), None);
    assert_eq!(first.change.cells.len(), 2);
    let second = encoder.observe(&see(&kind, 6, &new), Some(&first.base));
    assert_eq!(second.change.cells.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["/data/b"]);
    for change in [&first.change, &second.change] {
        let (Body::Patch(body) | Body::Object(body)) = &change.body else { panic!("a body") };
        let text = String::from_utf8_lossy(body);
        assert!(!text.contains("aGVsbG8") && !text.contains("cGxhbnRlZA"), "{text}");
    }
    assert_ne!(second.change.state_hash, Some(exact::state_hash(&second.base.public)));
}

#[test]
fn without_a_key_values_are_dropped_and_the_names_stay() {
    let kind = kind("secrets");
    let encoder = Encoder::new(Secrets::Dropped);
    let seen = object(5, r#"{"pw":"aGVsbG8="}"#, "[]");
    let first = encoder.observe(&see(&kind, 5, &seen), None);
    assert_eq!(first.change.state_hash, None);
    let Body::Object(body) = &first.change.body else { panic!("a body") };
    let text = String::from_utf8_lossy(body);
    assert!(text.contains("\"pw\":\"<not stored: no key>\"") && !text.contains("aGVsbG8"), "{text}");
    assert!(first.change.cells.iter().all(|c| c.secret.is_empty()));
}

#[test]
fn bytes_that_are_not_exact_json_are_kept_as_unreadable() {
    let kind = kind("widgets");
    let encoder = Encoder::new(Secrets::Dropped);
    let raw = br#"{"metadata":{"name":"n","namespace":"ns","uid":"u","resourceVersion":"5"},"a":1,"a":2}"#;
    let row = encoder.observe(&see(&kind, 5, raw), None);
    assert_eq!((row.change.op, row.change.name.as_str(), row.change.uid.as_str()), (Op::Unreadable, "n", "u"));
    let Body::Object(body) = &row.change.body else { panic!("a body") };
    let body = exact::parse(body).expect("json");
    let kept = body.get("raw").and_then(Value::as_str).expect("raw");
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(kept).expect("base64"), raw);
    // The next good version starts afresh from it.
    let next = encoder.observe(&see(&kind, 6, &object(6, "{}", "[]")), Some(&row.base));
    assert_eq!((next.change.op, next.change.base_rv), (Op::Modify, Some(5)));
    assert!(matches!(next.change.body, Body::Object(_)));
}

#[test]
fn a_delete_says_what_its_last_state_changed() {
    let kind = kind("widgets");
    let encoder = Encoder::new(Secrets::Dropped);
    let first = encoder.observe(&see(&kind, 5, &object(5, r#"{"a":"1"}"#, "[]")), None);
    let same = encoder.delete(&see(&kind, 9, &object(9, r#"{"a":"1"}"#, "[]")), Some(&first.base));
    assert_eq!((same.op, same.rv, same.base_rv, &same.body), (Op::Delete, 9, Some(5), &Body::None));
    let other = encoder.delete(&see(&kind, 9, &object(9, r#"{"a":"2"}"#, "[]")), Some(&first.base));
    assert!(matches!(other.body, Body::Patch(_) | Body::Object(_)), "{:?}", other.body);
}
