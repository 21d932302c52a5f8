use bytes::Bytes;
use hindcast_journal::{exact, fold::ObjectKey};

use super::*;
use crate::plan::{Propagation, Verb, Wave};

fn value(json: &str) -> Value {
    exact::parse(json.as_bytes()).expect("json")
}

fn action(group: &str, resource: &str, name: &str) -> Action {
    Action {
        key: ObjectKey { namespace: "shop".into(), group: group.into(), resource: resource.into(), name: name.into() },
        kind: "Thing".into(),
        version: "v1".into(),
        verb: Verb::Recreate,
        wave: Wave { group: 0, depth: 0 },
        propagation: Propagation::Background,
        live: None,
        wanted: None,
        changes: Vec::new(),
        kept: Vec::new(),
        evidence: None,
        warnings: Vec::new(),
    }
}

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, body: Bytes::copy_from_slice(body.as_bytes()), doubtful: false }
}

#[test]
fn a_rehearsal_is_a_dry_run_of_a_new_object_under_another_name() {
    let binding =
        action("rbac.authorization.k8s.io", "rolebindings", "team:deployers.of.the.shop.and.of.all-the-others");
    let target = value(r#"{"metadata":{"name":"x","uid":"u","resourceVersion":"7","generateName":"x-"},"roleRef":{}}"#);
    let ask = question(&binding, &target, 0xabc).expect("a question").ask;
    assert_eq!(ask.method, Method::POST);
    assert!(ask.path.starts_with("/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings?"), "{}", ask.path);
    assert!(ask.path.ends_with("dryRun=All"), "{}", ask.path);
    let body = exact::parse(&ask.body).expect("json");
    let metadata = body.get("metadata").expect("metadata").to_string();
    assert_eq!(metadata, r#"{"name":"team:deployers.of.the.shop.and.of.all-th-00000abc"}"#);
    // What a name ends with does not end a part of it.
    assert_eq!(another_name("a.b.", 1), "a.b-00000001");
}

#[test]
fn what_only_one_can_have_is_left_out_and_what_its_name_makes_is_not_tried() {
    let class = action("scheduling.k8s.io", "priorityclasses", "high");
    let target = value(r#"{"metadata":{"name":"high"},"globalDefault":true,"value":7}"#);
    let body = question(&class, &target, 1).expect("a question").ask.body;
    let body = String::from_utf8(body.to_vec()).expect("text");
    assert!(!body.contains("globalDefault") && body.contains("value"), "{body}");
    let definition = action("apiextensions.k8s.io", "customresourcedefinitions", "a.b");
    assert!(question(&definition, &value(r#"{"metadata":{"name":"a.b"}}"#), 1).is_none());
}

#[test]
fn a_refusal_of_the_name_or_of_trying_is_none_of_the_object() {
    let thing = action("example.com", "things", "t");
    let asked = question(&thing, &value(r#"{"metadata":{"name":"t"}}"#), 1).expect("a question");
    let refused = |status, body: &str| match judge(&thing, &asked, &reply(status, body)) {
        Rehearsed::Fine => "fine",
        Rehearsed::Refused(_) => "refused",
        Rehearsed::Unknown(_) => "unknown",
    };
    assert_eq!(refused(201, "{}"), "fine");
    assert_eq!(refused(403, r#"{"message":"user may not bind"}"#), "refused");
    let Rehearsed::Refused(why) = judge(&thing, &asked, &reply(403, r#"{"message":"things \"t-00000001\": no"}"#))
    else {
        panic!("it is refused")
    };
    assert_eq!(why.to_string(), r#"things "t": no"#);
    assert_eq!(refused(400, r#"{"message":"admission webhook \"w\" does not support dry run"}"#), "unknown");
    let causes = |field| format!(r#"{{"message":"m","details":{{"causes":[{{"field":"{field}"}}]}}}}"#);
    assert_eq!(refused(422, &causes("metadata.name")), "unknown");
    assert_eq!(refused(422, &causes("spec.size")), "refused");
}

#[test]
fn a_quota_is_overdrawn_where_more_is_used_than_it_allows() {
    let quota = |used: &str| {
        let items = format!(
            r#"{{"items":[{{"metadata":{{"name":"q"}},"status":{{"hard":{{"cpu":"1","pods":"5"}},"used":{{"cpu":"{used}","pods":"5"}}}}}}]}}"#
        );
        overdrawn(&value(&items)).map(str::to_owned)
    };
    assert_eq!(quota("1000m"), None);
    assert_eq!(quota("1001m").as_deref(), Some("q"));
    assert_eq!(overdrawn(&value(r#"{"items":[]}"#)), None);
}
