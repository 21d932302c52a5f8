//! What an event says, in both forms, read back by another reader of JSON.

use hindcast_journal::{
    encode::{Encoder, Observation},
    facts::{self, Discovery, Gap, Grade},
    row::Source,
    seal::{Key, Rules, Secrets},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Event, Filter, Format, Message, Topics};

fn topics() -> Topics {
    Topics { base: "hindcast".into(), per_kind: false }
}

fn structured(event: &Event) -> Value {
    let message = Message::of(event, Format::Structured, &topics());
    let content = ("content-type".to_owned(), "application/cloudevents+json; charset=UTF-8".to_owned());
    assert_eq!(message.headers, [content]);
    serde_json::from_slice(&message.value).unwrap()
}

/// The event of a binary message, put together as a structured one is.
fn binary(event: &Event) -> Value {
    let message = Message::of(event, Format::Binary, &topics());
    let mut whole = serde_json::Map::new();
    for (name, value) in &message.headers {
        match name.strip_prefix("ce_") {
            Some(name) => whole.insert(name.to_owned(), json!(value)),
            None if name == "content-type" => whole.insert("datacontenttype".into(), json!(value)),
            None => panic!("the header {name}"),
        };
    }
    whole.insert("data".into(), serde_json::from_slice(&message.value).unwrap());
    Value::Object(whole)
}

fn row(change: Change) -> Row {
    Row { pos: 4711, change }
}

#[test]
fn a_change_says_all_that_its_row_says() {
    let change = Change {
        base_rv: Some(811),
        state_hash: Some([0, 1, 2, 3, 4, 5, 6, 255]),
        base_hash: Some([9; 8]),
        manager: "kubectl".into(),
        manager_op: "Apply".into(),
        group: "apps".into(),
        resource: "deployments".into(),
        kind: "Deployment".into(),
        source: Source::Healed,
        ..change(Op::Modify, "shop", "web", 812)
    };
    let event = Event::of(CLUSTER, &row(change), &Rules::NONE);
    let key = format!("{CLUSTER}/deployments.apps/shop/web");
    assert_eq!(event.key, key);
    let data = json!({
                "cluster": CLUSTER,
                "position": "4711",
                "op": "modify",
                "source": "healed",
                "domain": "main",
                "incarnation": "0",
                "group": "apps",
                "version": "v1",
                "resource": "deployments",
                "kind": "Deployment",
                "namespace": "shop",
                "name": "web",
                "uid": "u-web",
                "resourceVersion": "812",
                "baseResourceVersion": "811",
                "stateHash": "00010203040506ff",
                "baseHash": "0909090909090909",
                "manager": "kubectl",
                "managerOperation": "Apply",
                "timeLow": "2023-11-14T22:13:20.811500Z",
                "timeHigh": "2023-11-14T22:13:20.812000Z",
                "patch": [{"op": "replace", "path": "/spec/n", "value": 812}],
    });
    assert_eq!(
        structured(&event),
        json!({
            "specversion": "1.0",
            "id": format!("{CLUSTER}/4711"),
            "source": format!("//hindcast.dev/clusters/{CLUSTER}"),
            "type": "dev.hindcast.change.modify",
            "subject": "deployments.apps/shop/web",
            "time": "2023-11-14T22:13:20.812000Z",
            "datacontenttype": "application/json",
            "position": "4711",
            "sequence": "00000000000000004711",
            "partitionkey": key,
            "rv": "812",
            "domain": "main",
            "incarnation": "0",
            "op": "modify",
            "origin": "healed",
            "timelo": "2023-11-14T22:13:20.811500Z",
            "uid": "u-web",
            "manager": "kubectl",
            "data": data,
        })
    );
    assert_eq!(binary(&event), structured(&event));
}

#[test]
fn the_journals_own_facts_are_events_and_a_gap_says_what_is_missing() {
    let kind = Discovery { resource: "pods".into(), domain: MAIN.into(), ..Discovery::default() };
    let gap = Gap {
        from: 5,
        to: 9,
        grade: Grade::Lost,
        time_from: 1,
        time_to: 2,
        reason: "410".into(),
        recovered: 0,
        unknown: vec!["shop/web".into()],
        unknown_total: 1,
    };
    let change = Change { body: facts::body(&gap).unwrap(), ..facts::about(Op::Gap, &kind, 0, 9) };
    let event = Event::of(CLUSTER, &row(change), &Rules::NONE);
    let told = structured(&event);
    assert_eq!(told, binary(&event));
    assert_eq!((&told["type"], &told["subject"]), (&json!("dev.hindcast.gap"), &json!("pods")));
    let fact = &told["data"]["fact"];
    assert_eq!((&fact["from"], &fact["to"], &fact["grade"]), (&json!(5), &json!(9), &json!("lost")));
    assert_eq!(fact["unknown"], json!(["shop/web"]));

    let whole = Event::of(CLUSTER, &row(Change::new(Op::Mark, MAIN, 0, 9)), &Rules::NONE);
    assert_eq!(whole.key, format!("{CLUSTER}/"));
    let told = structured(&whole);
    assert_eq!((told.get("subject"), &told["type"]), (None, &json!("dev.hindcast.mark")));
}

#[test]
fn a_pointer_says_where_to_look_and_leaves_the_body_out() {
    let change = change(Op::Add, "shop", "web", 812);
    let Body::Object(body) = &change.body else { panic!("an object") };
    let bytes = body.len();
    let row = row(change);
    let told = structured(&Event::pointer(CLUSTER, &row, &Rules::NONE));
    let whole = structured(&Event::of(CLUSTER, &row, &Rules::NONE));
    assert_eq!(told["dataref"], json!(format!("urn:hindcast:{CLUSTER}:pos:4711")));
    assert_eq!(told["data"]["omittedBytes"], json!(bytes));
    assert_eq!(told["data"].get("object"), None);
    assert_eq!((&told["id"], &told["type"]), (&whole["id"], &whole["type"]));
}

#[test]
fn numbers_stay_the_tokens_that_they_were() {
    let body = br#"{"a":1.10,"b":18446744073709551617,"c":1E5}"#;
    let change = Change { body: Body::Object(Bytes::from_static(body)), ..change(Op::Add, "shop", "web", 1) };
    let event = Event::of(CLUSTER, &row(change), &Rules::NONE);
    for format in [Format::Structured, Format::Binary] {
        let message = Message::of(&event, format, &topics());
        let text = String::from_utf8(message.value.to_vec()).unwrap();
        assert!(text.contains(std::str::from_utf8(body).unwrap()), "{text}");
    }
}

#[test]
fn topics_are_one_or_one_a_kind() {
    let each = Topics { base: "past".into(), per_kind: true };
    let of = |change: Change| each.of(&Event::of(CLUSTER, &row(change), &Rules::NONE));
    let apps = |op| Change { group: "apps".into(), resource: "deployments".into(), ..change(op, "shop", "web", 1) };
    assert_eq!(of(apps(Op::Add)), "past.deployments.apps");
    assert_eq!(of(change(Op::Add, "shop", "web", 1)), "past.pods");
    assert_eq!(of(Change { name: String::new(), ..apps(Op::Gap) }), "past.deployments.apps");
    assert_eq!(of(Change::new(Op::Mark, MAIN, 0, 9)), "past");
    assert_eq!(topics().of(&Event::of(CLUSTER, &row(apps(Op::Add)), &Rules::NONE)), "hindcast");
}

#[test]
fn a_filter_takes_what_was_asked_for_and_every_fact_about_it() {
    let filter = Filter { namespaces: vec!["shop".into()], kinds: vec!["Pod".into(), "deployments.apps".into()] };
    let apps = |group: &str, name: &str| Change {
        group: group.into(),
        resource: name.into(),
        kind: "X".into(),
        ..change(Op::Add, "shop", "web", 1)
    };
    let gap_of = |resource: &str| Change { resource: resource.into(), ..Change::new(Op::Gap, MAIN, 0, 1) };
    for (change, taken) in [
        (change(Op::Add, "shop", "web", 1), true),
        (change(Op::Delete, "shop", "web", 1), true),
        (change(Op::Add, "other", "web", 1), false),
        (change(Op::Add, "", "web", 1), false),
        (apps("apps", "deployments"), true),
        (apps("other", "deployments"), false),
        (apps("apps", "replicasets"), false),
        (gap_of("pods"), false),
        (Change { kind: "Pod".into(), ..gap_of("pods") }, true),
        (gap_of("secrets"), false),
        (Change::new(Op::Mark, MAIN, 0, 1), true),
        (Change::new(Op::Frontier, MAIN, 0, 1), true),
    ] {
        assert_eq!(filter.takes(&row(change.clone())), taken, "{change:?}");
        assert!(Filter::default().takes(&row(change)));
    }
}

fn key() -> Arc<Key> {
    Arc::new(Key { name: "k".into(), created: String::new(), wrap: [1; 32], hmac: [2; 32], seal: [3; 32] })
}

/// Two versions of a Secret, of a `ConfigMap` with a sealed place, and what came of them, however the journal keeps them.
fn kept(secrets: Secrets, rules: &Rules) -> Vec<Row> {
    let encoder = Encoder::new(secrets).with_rules(rules.clone());
    let mut rows = Vec::new();
    for (resource, kind) in [("secrets", "Secret"), ("configmaps", "ConfigMap")] {
        let kind = Discovery {
            resource: resource.into(),
            kind: kind.into(),
            version: "v1".into(),
            domain: MAIN.into(),
            ..Discovery::default()
        };
        let mut base = None;
        // The values are told apart from everything else by their letters; one is copied into an annotation.
        for (rv, value) in [(10, "c2Vzc2lvbi1vbmU="), (11, "c2Vzc2lvbi10d28="), (12, "broken")] {
            let text = format!(
                r#"{{"metadata":{{"name":"n","namespace":"shop","uid":"u","resourceVersion":"{rv}","annotations":{{"copy":"is {value}"}}}},"data":{{"password":"{value}","plain":"p{rv}"}}}}"#
            );
            let bytes = if value == "broken" { text.replace("plain", "password") } else { text };
            let seen = Observation {
                kind: &kind,
                incarnation: 0,
                rv,
                source: Source::Watch,
                time_lo: 0,
                time_hi: 1,
                bytes: bytes.as_bytes(),
            };
            let encoded = encoder.observe(&seen, base.as_ref());
            base = Some(encoded.base);
            rows.push(Row { pos: rv, change: encoded.change });
        }
    }
    rows
}

#[test]
fn no_secret_value_leaves_however_the_journal_keeps_it() {
    let rules = Rules::parse(&["configmaps:/data/password".to_owned()]).unwrap();
    for secrets in [Secrets::Sealed(key()), Secrets::Dropped, Secrets::Plaintext(None)] {
        let told = secrets.as_str();
        let rows = kept(secrets, &rules);
        let ops: Vec<Op> = rows.iter().map(|row| row.op).collect();
        assert_eq!(ops, [Op::Add, Op::Modify, Op::Unreadable, Op::Add, Op::Modify, Op::Unreadable]);
        for row in &rows {
            for format in [Format::Structured, Format::Binary] {
                let message = Message::of(&Event::of(CLUSTER, row, &rules), format, &topics());
                let text = format!("{message:?} {}", String::from_utf8_lossy(&message.value));
                for value in ["c2Vzc2lvbi", "session-", "broken"] {
                    assert!(!text.contains(value), "{told}, {}: {text}", row.op);
                }
                let raw = r#""raw":"e"#;
                assert!(!text.contains(raw), "{told}, {}: {text}", row.op);
                assert!(told != "plaintext" || !text.contains("stateHash"), "guessable: {text}");
            }
        }
    }
}

/// Placeholders are those of the journal, so that a consumer sees which value changed.
#[test]
fn a_sealed_value_is_as_it_is_stored() {
    let rows = kept(Secrets::Sealed(key()), &Rules::NONE);
    let told = structured(&Event::of(CLUSTER, &rows[0], &Rules::NONE));
    let Body::Object(body) = &rows[0].body else { panic!("an object") };
    let body: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(told["data"]["object"], body);
    assert!(body["data"]["password"].as_str().unwrap().starts_with("<redacted 11 bytes hmac:"), "{body}");
}

proptest! {
    /// Whatever names and managers are called, attributes are what the specification allows, and both forms agree.
    #[test]
    fn attributes_keep_to_the_specification(name in ".*", manager in ".*", uid in ".*") {
        let change = Change { manager, uid, ..change(Op::Add, "shop", &name, 1) };
        let event = Event::of(CLUSTER, &row(change), &Rules::NONE);
        let told = structured(&event);
        prop_assert_eq!(&told, &binary(&event));
        for (attribute, value) in told.as_object().unwrap() {
            prop_assert!(attribute.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{}", attribute);
            prop_assert!(attribute.len() <= 20);
            if attribute != "data" {
                let text = value.as_str().unwrap();
                prop_assert!(!text.is_empty() && !text.chars().any(char::is_control), "{}: {:?}", attribute, text);
            }
        }
    }
}
