//! What is a conflict, and what is not.

use hindcast_journal::{
    exact::{self, Value},
    fold::ObjectKey,
    seal::Rules,
};
use proptest::prelude::*;

use super::Ground;
use crate::{desired::Full, intent::Surroundings, plan::FieldChange};

fn full(text: &str) -> Full {
    Full { value: exact::parse(text.as_bytes()).expect("a test's own JSON"), managed: None }
}

/// `/data/a: "1" → "2"`
fn words(fields: &[FieldChange]) -> String {
    let side = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
    fields.iter().map(|f| format!("{}: {} → {}\n", f.path, side(&f.from), side(&f.to))).collect()
}

fn key(resource: &str) -> ObjectKey {
    ObjectKey { namespace: "shop".into(), group: String::new(), resource: resource.into(), name: "one".into() }
}

#[test]
fn a_target_is_carried_over_by_what_it_changes() {
    let (key, around) = (key("configmaps"), Surroundings::default());
    let ground = Ground { key: &key, around: &around, parts: &[], redact: &[], hmac: None };
    let before = full(r#"{"metadata":{"resourceVersion":"1"},"data":{"a":"old","b":"same"},"status":{"n":1}}"#);
    let target: Value =
        full(r#"{"metadata":{"resourceVersion":"1"},"data":{"a":"new","b":"same"},"status":{"n":1}}"#).value;
    let now = full(r#"{"metadata":{"resourceVersion":"7"},"data":{"a":"old","b":"same"},"status":{"n":99}}"#);
    let sent = ground.carry_over(&target, &before, &now.value).expect("all places are there");
    let expected = r#"{"data":{"a":"new","b":"same"},"metadata":{"resourceVersion":"7"},"status":{"n":99}}"#;
    assert_eq!(sent.to_string(), expected, "what the target does not change stays as it is now");
    let gone = full(r#"{"metadata":{"resourceVersion":"7"}}"#);
    assert_eq!(ground.carry_over(&target, &before, &gone.value), None);
}

#[test]
fn differences_name_fields_and_hide_values() {
    // Of a kind that no rule seals: the plan's own places count.
    let (key, around) = (key("configmaps"), Surroundings::default());
    let redact = ["/data/password".to_owned()];
    let ground = Ground { key: &key, around: &around, parts: &[], redact: &redact, hmac: None };
    let one = full(r#"{"data":{"password":"c2VjcmV0","user":"YQ=="}}"#);
    let two = full(r#"{"data":{"password":"b3RoZXI=","user":"Yg=="}}"#);
    let fields = ground.differences(&one, &two, None);
    let text = words(&fields);
    assert!(text.contains("/data/user: \"YQ==\" → \"Yg==\""), "{text}");
    assert!(text.contains("<redacted 6 bytes>") && !text.contains("c2VjcmV0"), "{text}");
    // Also where a whole map is replaced.
    let none = full(r"{}");
    let text = words(&ground.differences(&one, &none, None));
    assert!(!text.contains("c2VjcmV0") && text.contains("redacted"), "{text}");
    assert!(ground.differences(&one, &one, None).is_empty());
}

#[test]
fn what_the_plan_did_not_look_at_is_no_conflict() {
    let (key, around, parts) = (key("configmaps"), Surroundings::default(), ["/data/a".to_owned()]);
    let ground = Ground { key: &key, around: &around, parts: &parts, redact: &[], hmac: None };
    let one = full(r#"{"data":{"a":"1","b":"1"}}"#);
    let elsewhere = full(r#"{"data":{"a":"1","b":"2"}}"#);
    assert!(ground.same(&one, &elsewhere) && ground.differences(&one, &elsewhere, None).is_empty());
    let there = full(r#"{"data":{"a":"2","b":"1"}}"#);
    assert!(!ground.same(&one, &there));
    assert_eq!(words(&ground.differences(&one, &there, None)), "/data/a: \"1\" → \"2\"\n");
}

#[test]
fn what_was_written_since_the_plan_is_hidden_by_its_own_places() {
    let rules = Rules::parse(&["configmaps:/spec/users/*/token".to_owned()]).expect("a place");
    let (key, around) = (key("configmaps"), Surroundings { rules, ..Surroundings::default() });
    let redact = ["/spec/users/0/token".to_owned()];
    let one = full(r#"{"spec":{"users":[{"name":"a","token":"S3CRET1"}]}}"#);
    let two = full(r#"{"spec":{"users":[{"name":"b","token":"S3CRET2"},{"name":"a","token":"S3CRET3"}]}}"#);
    for parts in [vec![], vec!["/spec/users".to_owned()], vec!["/spec/users/[name=a]/token".to_owned()]] {
        let ground = Ground { key: &key, around: &around, parts: &parts, redact: &redact, hmac: None };
        let text = words(&ground.differences(&one, &two, None));
        assert!(text.contains("/spec/users/[name=a]/token") && !text.contains("S3CRET"), "{text}");
    }
}

fn users() -> impl Strategy<Value = Full> {
    let user = (0..4_u8, 0..4_u8, 0..2_u8, any::<bool>()).prop_map(|(name, token, v, bare)| {
        let name = if bare { String::new() } else { format!(r#""name":"n{name}","#) };
        format!(r#"{{{name}"token":{{"key":"S3CRET{token}"}},"v":{v}}}"#)
    });
    let list = prop::collection::vec(user, 0..5).prop_map(|users| format!("[{}]", users.join(",")));
    (list, 0..2_u8).prop_map(|(users, v)| full(&format!(r#"{{"spec":{{"users":{users},"v":{v}}}}}"#)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_difference_shows_what_is_sealed((one, two, wanted) in (users(), users(), users()), known in 0..3_usize) {
        let rules = Rules::parse(&["configmaps:/spec/users/*/token".to_owned()]).expect("a place");
        let (key, around) = (key("configmaps"), Surroundings { rules, ..Surroundings::default() });
        // What the plan knew of is less than what stands.
        let redact: Vec<String> = (0..known).map(|at| format!("/spec/users/{at}/token")).collect();
        for part in ["", "/spec", "/spec/users/[name=n1]", "/spec/users/1/token/key"] {
            let parts: Vec<String> = Some(part).filter(|part| !part.is_empty()).map(str::to_owned).into_iter().collect();
            let ground = Ground { key: &key, around: &around, parts: &parts, redact: &redact, hmac: None };
            let fields = ground.differences(&one, &two, Some(&wanted));
            prop_assert_eq!(fields.is_empty(), ground.same(&one, &two));
            let text = words(&fields);
            prop_assert!(!text.contains("S3CRET"), "{text}");
        }
    }
}
