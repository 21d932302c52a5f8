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
    let old = object(
        5,
        r#"{"a":"1","b":"x","long":"some text so that the patch is shorter than all"}"#,
        r#"[{"manager":"a","operation":"Update","time":"2026-01-01T00:00:00Z"}]"#,
    );
    let new = object(
        6,
        r#"{"a":"2","b":"x","long":"some text so that the patch is shorter than all"}"#,
        r#"[{"manager":"a","operation":"Update","time":"2026-01-01T00:00:00Z"},{"manager":"b","operation":"Apply","subresource":"status","time":"2026-01-02T00:00:00Z"}]"#,
    );
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

fn named(name: &str, byte: u8) -> Arc<Key> {
    Arc::new(Key { name: name.into(), created: String::new(), wrap: [byte; 32], hmac: [byte; 32], seal: [byte; 32] })
}

fn patch_of(change: &Change) -> String {
    match &change.body {
        Body::Patch(patch) => String::from_utf8_lossy(patch).into_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_rotation_shows_as_no_change_and_a_change_after_it_is_seen() {
    let kind = kind("secrets");
    let (old, new) = (named("key-1", 1), named("key-2", 2));
    let before = Encoder::new(Secrets::Sealed(old.clone()));
    let after = Encoder::new(Secrets::Sealed(new.clone())).with_keys(&[new.clone(), old.clone()]);
    let first = before.observe(&see(&kind, 5, &object(5, r#"{"a":"b25l","b":"dHdv"}"#, "[]")), None);
    assert_eq!(first.change.hash_key, old.id());
    let same = object(5, r#"{"a":"b25l","b":"dHdv"}"#, "[]");
    assert!(after.reads_as(&see(&kind, 5, &same), &first.base), "a list after the rotation writes nothing");
    let changed = object(6, r#"{"a":"b25l","b":"dGhyZWU="}"#, "[]");
    let second = after.observe(&see(&kind, 6, &changed), Some(&first.base));
    let patch = patch_of(&second.change);
    assert!(patch.contains("/data/b") && !patch.contains("/data/a"), "{patch}");
    assert_eq!(second.change.cells.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["/data/b"]);
    assert_eq!(
        (second.change.hash_key, second.change.state_hash),
        (new.id(), Some(new.state_hash(&exact::ingest(&changed).expect("JSON").exact)))
    );
    // Without the older key nobody can tell that a value is the same: it counts as changed, never the other way round.
    let blind = Encoder::new(Secrets::Sealed(new)).observe(&see(&kind, 6, &changed), Some(&first.base));
    let shown = |base: &Base| exact::parse(&base.public).expect("canonical").pointer("/data/a").cloned();
    assert_ne!(shown(&blind.base), shown(&first.base));
    assert_eq!(shown(&second.base), shown(&first.base));
}

#[test]
fn what_was_kept_in_another_way_is_followed_by_a_full_object() {
    let kind = kind("secrets");
    let bytes = object(5, r#"{"a":"b25l"}"#, "[]");
    let next = object(6, r#"{"a":"b25l","b":"dHdv"}"#, "[]");
    let modes = [Secrets::Dropped, Secrets::Plaintext(None), sealed()];
    for from in &modes {
        for to in &modes {
            let base = Encoder::new(from.clone()).observe(&see(&kind, 5, &bytes), None).base;
            let row = Encoder::new(to.clone()).observe(&see(&kind, 6, &next), Some(&base)).change;
            let alike = from.as_str() == to.as_str();
            assert_eq!(matches!(row.body, Body::Patch(_)), alike, "{} to {}", from.as_str(), to.as_str());
            // Read again where values were not stored and are now, or were in clear and are sealed now.
            let again = !Encoder::new(to.clone()).reads_as(&see(&kind, 5, &bytes), &base);
            let wanted =
                matches!((from.as_str(), to.as_str()), ("dropped", "sealed" | "plaintext") | ("plaintext", "sealed"));
            assert_eq!(again, wanted, "{} to {}", from.as_str(), to.as_str());
        }
    }
}

#[test]
fn an_annotation_that_held_a_value_stays_sealed_while_it_says_the_same() {
    let kind = kind("secrets");
    let encoder = Encoder::new(sealed());
    let secret = |rv: u64, note: &str, value: &str| {
        format!(
            r#"{{"kind":"K","metadata":{{"annotations":{{"note":"{note}"}},"name":"n","namespace":"ns","uid":"u","resourceVersion":"{rv}"}},"data":{{"a":"{value}"}}}}"#
        )
    };
    let first = encoder.observe(&see(&kind, 5, secret(5, "planted-1", "cGxhbnRlZC0x").as_bytes()), None);
    assert!(!String::from_utf8_lossy(&first.base.public).contains("planted-1"));
    let second = encoder.observe(&see(&kind, 6, secret(6, "planted-1", "cGxhbnRlZC0y").as_bytes()), Some(&first.base));
    assert!(!String::from_utf8_lossy(&second.base.public).contains("planted-1"), "the older value is no less a secret");
    assert!(!patch_of(&second.change).contains("note"), "{}", patch_of(&second.change));
    let third = encoder.observe(&see(&kind, 7, secret(7, "harmless", "cGxhbnRlZC0y").as_bytes()), Some(&second.base));
    assert!(patch_of(&third.change).contains("harmless"), "{}", patch_of(&third.change));
}

#[test]
fn a_field_of_a_policy_is_sealed_and_the_rest_reads_without_the_key() {
    let kind = kind("configmaps");
    let rules = Rules::parse(&["configmaps:/data/a".to_owned()]).expect("a place");
    let encoder = Encoder::new(sealed()).with_rules(rules);
    let row = encoder.observe(&see(&kind, 5, &object(5, r#"{"a":"planted","b":"shown"}"#, "[]")), None);
    let text = String::from_utf8_lossy(&row.base.public).into_owned();
    assert!(!text.contains("planted") && text.contains("shown"), "{text}");
    assert_eq!(row.change.cells.len(), 1);
    let broken = encoder.observe(&see(&kind, 6, b"{\"a\":\"planted\",\"a\":1}"), None);
    assert!(!format!("{:?}", broken.change.body).contains("planted"), "bytes that cannot be read are sealed whole");
}
