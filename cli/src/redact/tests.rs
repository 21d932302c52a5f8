use super::*;

const PLANTED: &str = "aHVudGVyMi1wbGFudGVk";

fn key() -> Key {
    Key { name: "k".to_owned(), created: String::new(), wrap: [1; 32], hmac: [2; 32], seal: [3; 32] }
}

/// Hides Secrets alone.
fn secrets(key: Option<&Key>) -> Hide<'_> {
    static RULES: Rules = Rules::NONE;
    Hide::new(&RULES, key)
}

fn value(json: &str) -> Value {
    exact::parse(json.as_bytes()).unwrap()
}

#[test]
fn an_object_in_clear_is_hidden_everywhere() {
    let mut secret = value(&format!(
        r#"{{"metadata":{{"annotations":{{"a":"stays","kubectl.kubernetes.io/last-applied-configuration":"{{\"data\":\"{PLANTED}\"}}"}}}},
        "data":{{"password":"{PLANTED}","n~/x":"{PLANTED}"}},"stringData":{{"p":"{PLANTED}"}},"type":"Opaque"}}"#
    ));
    object("", "secrets", &mut secret, secrets(Some(&key())));
    let text = secret.to_string();
    assert!(!text.contains(PLANTED), "{text}");
    assert!(text.contains(r#""a":"stays""#) && text.contains(r#""type":"Opaque""#), "{text}");
    let shown = secret.pointer("/data/password").and_then(Value::as_str).unwrap();
    assert!(shown.starts_with("<redacted 15 bytes hmac:"), "decoded length and a hash: {shown}");
    assert_eq!(shown.len(), "<redacted 15 bytes hmac:ab12cd34>".len());
    assert_eq!(secret.pointer("/data/password"), secret.pointer("/data/n~0~1x"), "equal values look equal");
}

#[test]
fn without_a_key_there_is_no_hash() {
    let mut secret = value(&format!(r#"{{"data":{{"p":"{PLANTED}"}}}}"#));
    object("", "secrets", &mut secret, secrets(None));
    assert_eq!(secret.pointer("/data/p").and_then(Value::as_str), Some("<redacted 15 bytes>"));
}

#[test]
fn patches_are_hidden_at_above_and_below_a_sealed_path() {
    for (path, body) in [
        ("/data/password", format!(r#""{PLANTED}""#)),
        ("/data", format!(r#"{{"password":"{PLANTED}"}}"#)),
        ("/data", format!(r#""{PLANTED}""#)),
        ("/data/password/deeper", format!(r#"["{PLANTED}"]"#)),
        ("/stringData", format!(r#"{{"x":{{"y":"{PLANTED}"}}}}"#)),
        ("", format!(r#"{{"data":{{"password":"{PLANTED}"}},"metadata":{{}}}}"#)),
        (
            "/metadata",
            format!(r#"{{"annotations":{{"kubectl.kubernetes.io/last-applied-configuration":"{PLANTED}"}}}}"#),
        ),
        ("/metadata/annotations", format!(r#"{{"kubectl.kubernetes.io/last-applied-configuration":"{PLANTED}"}}"#)),
        ("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration", format!(r#""{PLANTED}""#)),
    ] {
        let mut operations = value(&format!(r#"[{{"op":"add","path":"{path}","value":{body}}}]"#));
        patch(("", "secrets"), &mut operations, false, true, secrets(Some(&key())));
        let text = operations.to_string();
        assert!(!text.contains(PLANTED) && text.contains("<redacted "), "{path}: {text}");
    }
    let plain = r#"[{"op":"add","path":"/metadata/labels/a","value":"b"},{"op":"remove","path":"/data/x"}]"#;
    let mut operations = value(plain);
    patch(("", "secrets"), &mut operations, false, true, secrets(None));
    assert_eq!(operations, value(plain), "what is no value stays");
    let config = format!(r#"[{{"op":"add","path":"/data/release","value":"{PLANTED}"}}]"#);
    let config = config.replace("release", "chunk");
    let mut operations = value(&config);
    patch(("", "configmaps"), &mut operations, false, true, secrets(None));
    assert_eq!(operations, value(&config), "what an application is configured with is no secret");
    patch(("", "configmaps"), &mut operations, true, true, secrets(None));
    assert!(!operations.to_string().contains(PLANTED), "a Helm release in a ConfigMap");
}

#[test]
fn a_stored_placeholder_is_shown_short_and_nothing_else_passes_as_one() {
    let stored = "<redacted 12 bytes hmac:ab12cd34ab12cd34ab12cd34ab12cd34>";
    let mut secret = value(&format!(r#"{{"data":{{"p":"{stored}","q":"<not stored: no key>"}}}}"#));
    object("", "secrets", &mut secret, secrets(Some(&key())));
    assert_eq!(secret.pointer("/data/p").and_then(Value::as_str), Some("<redacted 12 bytes hmac:ab12cd34>"));
    assert_eq!(secret.pointer("/data/q").and_then(Value::as_str), Some("<not stored: no key>"));
    for text in [
        "<redacted hunter2 bytes>",
        "<redacted 1 bytes hunter2>",
        "<redacted 1 bytes hmac:hunter2>",
        "<redacted 1 bytes hmac:>",
        "<redacted 1 bytes",
        "x<redacted 1 bytes>",
        "<redacted 123456789 bytes>",
        "<redacted  bytes>",
        "<redacted 1 bytes hmac:ab12cd34ab12cd34ab12cd34ab12cd34f>",
    ] {
        assert!(!is_placeholder(text), "{text}");
        let mut secret = value(&format!(r#"{{"data":{{"p":"{text}"}}}}"#));
        object("", "secrets", &mut secret, secrets(None));
        let shown = secret.pointer("/data/p").and_then(Value::as_str).unwrap();
        assert!(is_placeholder(shown) && !shown.contains("hunter2"), "{text} became {shown}");
    }
}

fn row(op: Op, resource: &str) -> Row {
    let mut change = hindcast_journal::Change::new(op, "main", 0, 7);
    change.resource = resource.to_owned();
    Row { pos: 1, change }
}

#[test]
fn bytes_that_are_no_json_show_their_length_only() {
    let shown = bytes(&row(Op::Modify, "secrets"), format!("{{{PLANTED}").as_bytes(), false, secrets(None));
    assert_eq!(shown.as_str(), Some("<unreadable, 21 bytes>"));
}

#[test]
fn the_raw_bytes_of_an_unreadable_secret_are_hidden() {
    let body = format!(r#"{{"raw":"{PLANTED}","reason":"duplicate key at byte 3"}}"#);
    let shown = bytes(&row(Op::Unreadable, "secrets"), body.as_bytes(), false, secrets(Some(&key()))).to_string();
    assert!(!shown.contains(PLANTED) && shown.contains("duplicate key"), "{shown}");
    let shown = bytes(&row(Op::Unreadable, "pods"), body.as_bytes(), false, secrets(None)).to_string();
    assert!(shown.contains(PLANTED), "other kinds keep what was received");
}

#[test]
fn a_helm_payload_in_a_config_map_is_hidden_by_its_name_alone() {
    for (path, body) in
        [("/data/release", format!("\"{PLANTED}\"")), ("/data", format!(r#"{{"release":"{PLANTED}"}}"#))]
    {
        let operations = format!(r#"[{{"op":"add","path":"{path}","value":{body}}}]"#);
        let shown = bytes(&row(Op::Modify, "configmaps"), operations.as_bytes(), true, secrets(None)).to_string();
        assert!(!shown.contains(PLANTED), "{shown}");
    }
}

#[test]
fn of_rows_from_before_copies_were_sealed_every_annotation_of_a_secret_is_hidden() {
    let stored = "<redacted 15 bytes hmac:ab12cd34ab12cd34ab12cd34ab12cd34>";
    let body = format!(
        r#"{{"data":{{"p":"{stored}"}},"metadata":{{"annotations":{{"note":"{PLANTED}"}},"labels":{{"app":"shop"}}}}}}"#
    );
    let operations = format!(r#"[{{"op":"replace","path":"/metadata/annotations/note","value":"{PLANTED}"}}]"#);
    let mut old = row(Op::Modify, "secrets");
    for (text, is_patch) in [(&body, false), (&operations, true)] {
        let shown = bytes(&old, text.as_bytes(), is_patch, secrets(Some(&key()))).to_string();
        assert!(!shown.contains(PLANTED), "{shown}");
    }
    assert!(
        bytes(&old, body.as_bytes(), false, secrets(None)).to_string().contains(r#""app":"shop""#),
        "labels are shown"
    );
    // A row that names the key of its hash is in public form by the rules of now.
    old.change.hash_key = key().id();
    let shown = bytes(&old, operations.as_bytes(), true, secrets(Some(&key()))).to_string();
    assert!(shown.contains(PLANTED), "{shown}");
}

#[test]
fn places_of_a_policy_are_hidden_in_objects_patches_and_raw_bytes() {
    let rules = Rules::parse(&["widgets.example.com:/spec/users/*/token".to_owned()]).unwrap();
    let key = key();
    let hide = Hide::new(&rules, Some(&key));
    let mut change = hindcast_journal::Change::new(Op::Modify, "main", 0, 7);
    (change.group, change.resource) = ("example.com".to_owned(), "widgets".to_owned());
    let row = Row { pos: 1, change };
    let unreadable = Row { change: hindcast_journal::Change { op: Op::Unreadable, ..row.change.clone() }, pos: 2 };
    for (row, text, is_patch) in [
        (&row, format!(r#"{{"spec":{{"users":[{{"token":"{PLANTED}"}}]}}}}"#), false),
        (&row, format!(r#"[{{"op":"add","path":"/spec/users/0","value":{{"token":"{PLANTED}"}}}}]"#), true),
        (&row, format!(r#"[{{"op":"replace","path":"/spec/users/0/token","value":"{PLANTED}"}}]"#), true),
        (&unreadable, format!(r#"{{"raw":"{PLANTED}","reason":"no JSON"}}"#), false),
    ] {
        let shown = bytes(row, text.as_bytes(), is_patch, hide).to_string();
        assert!(!shown.contains(PLANTED) && shown.contains("<redacted "), "{shown}");
        assert!(
            bytes(row, text.as_bytes(), is_patch, secrets(Some(&key))).to_string().contains(PLANTED),
            "by the policy alone"
        );
    }
}
