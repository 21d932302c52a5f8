use super::*;
use crate::fake::{Fake, Reply};
use crate::wire::{Dropped, Failure, ItemOutcome, Unchanged};

const ANSWER: Answer<'static> = Answer { who: "plugin sample", what: "Secret shop/db", method: Method::TRANSFORM };
const OWN: &str = "0123456789abcdef0123456789abcdef";

fn secret() -> Item {
    let json = br#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"db","namespace":"shop","uid":"u","labels":{"n":"1"}},
        "data":{"password":"c2VjcmV0"},"big":18446744073709551617}"#;
    Item { object: exact::parse(json).unwrap(), sealed: vec!["/data/password".into(), "/data/gone".into()] }
}

fn transform(sealed_values: bool) -> Transform {
    let kinds = vec![Kind { group: String::new(), kind: "Secret".into() }];
    Transform { name: "relabel".into(), kinds, sealed_values }
}

fn sent() -> Sent {
    send(0, &secret(), &transform(false), OWN)
}

fn came(outcome: Transformed) -> Result<Outcome> {
    outcome_of(ANSWER, &sent(), ItemOutcome { outcome: Some(outcome) }, OWN)
}

fn patched(patch: &str) -> Result<Outcome> {
    came(Transformed::Patch(patch.as_bytes().to_vec()))
}

fn refused(came: Result<Outcome>, said: &str) {
    let error = came.expect_err(said);
    assert!(error.to_string().contains(said), "{said}: {error}");
    assert!(error.kind() == ErrorKind::Refused && error.hint().is_some(), "{error:?}");
    assert!(!error.to_string().contains("c2VjcmV0"), "no value is told");
}

#[test]
fn a_sealed_value_is_not_sent_and_comes_back_in_its_place() {
    let sent = sent();
    let text = String::from_utf8(sent.json.clone()).unwrap();
    assert!(!text.contains("c2VjcmV0") && text.contains("18446744073709551617"), "{text}");
    let Outcome::Changed(object) = patched(r#"[{"op":"replace","path":"/metadata/labels/n","value":"2"}]"#).unwrap()
    else {
        panic!("it is changed");
    };
    assert_eq!(object.pointer("/data/password").unwrap().as_str(), Some("c2VjcmV0"));
    assert_eq!(object.pointer("/metadata/labels/n").unwrap().as_str(), Some("2"));
    assert_eq!(object.get("big").unwrap().as_number().unwrap().as_str(), "18446744073709551617");
    let open = send(0, &secret(), &transform(true), OWN);
    assert!(String::from_utf8(open.json).unwrap().contains("c2VjcmV0"), "it declared that it needs it");
}

#[test]
fn a_sealed_value_may_go_or_be_another_but_not_move() {
    let Outcome::Changed(object) = patched(r#"[{"op":"remove","path":"/data/password"}]"#).unwrap() else {
        panic!("it is changed");
    };
    assert!(object.pointer("/data/password").is_none());
    let Outcome::Changed(object) = patched(r#"[{"op":"replace","path":"/data/password","value":"eA=="}]"#).unwrap()
    else {
        panic!("it is changed");
    };
    assert_eq!(object.pointer("/data/password").unwrap().as_str(), Some("eA=="));
    for moved in [
        r#"[{"op":"move","from":"/data/password","path":"/metadata/labels/n"}]"#,
        r#"[{"op":"copy","from":"/data/password","path":"/data/other"}]"#,
    ] {
        refused(patched(moved), "moves a sealed value");
    }
    let decoded = format!(r#"[{{"op":"add","path":"/metadata/labels/x","value":"sealed {OWN} 0"}}]"#);
    refused(patched(&decoded), "moves a sealed value");
    let key = format!(r#"[{{"op":"add","path":"/data/{OWN}","value":"x"}}]"#);
    refused(patched(&key), "moves a sealed value");
}

#[test]
fn what_an_item_is_stays() {
    for path in ["apiVersion", "kind", "metadata/namespace", "metadata/name", "metadata/uid"] {
        let said = format!("changes {}", path.replace('/', "."));
        refused(patched(&format!(r#"[{{"op":"replace","path":"/{path}","value":"other"}}]"#)), &said);
        refused(patched(&format!(r#"[{{"op":"remove","path":"/{path}"}}]"#)), &said);
    }
    refused(patched(r#"[{"op":"remove","path":"/metadata"}]"#), "changes metadata.namespace");
    refused(patched(r#"[{"op":"replace","path":"","value":"x"}]"#), "no object");
}

#[test]
fn what_comes_back_is_checked() {
    refused(came(Transformed::Replaced(b"{".to_vec())), "cannot be read");
    refused(came(Transformed::Replaced(br#"{"a":1,"a":2}"#.to_vec())), "cannot be read");
    refused(came(Transformed::Replaced(vec![b' '; LARGEST + 1])), "more than");
    refused(patched(r#"{"a":1}"#), "does not fit");
    refused(patched(r#"[{"op":"remove","path":"/nowhere"}]"#), "does not fit");
    // Doubled with each step.
    let steps: Vec<String> = (0..20)
        .flat_map(|n| {
            let copy =
                |to: &str| format!(r#"{{"op":"copy","from":"/metadata/labels","path":"/metadata/annotations{to}"}}"#);
            let grow = format!(r#"{{"op":"copy","from":"/metadata/annotations","path":"/metadata/labels/l{n}"}}"#);
            [copy(""), grow]
        })
        .collect();
    refused(patched(&format!("[{}]", steps.join(","))), "more than");
    let none = outcome_of(ANSWER, &sent(), ItemOutcome { outcome: None }, OWN);
    refused(none, "there is no outcome");
}

#[test]
fn the_other_outcomes_are_told() {
    assert!(matches!(came(Transformed::Unchanged(Unchanged {})), Ok(Outcome::Unchanged)));
    assert!(matches!(patched("[]"), Ok(Outcome::Unchanged)));
    let Ok(Outcome::Dropped(why)) = came(Transformed::Dropped(Dropped { reason: "old\n".into() })) else {
        panic!("it is dropped");
    };
    assert_eq!(why, "plugin sample: old");
    let failure = Failure { code: 3, message: "no such label".into(), ..Failure::default() };
    let error = came(Transformed::Failure(failure)).unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("no such label"), "{error}");
}

#[test]
fn items_go_in_parts() {
    let many: Vec<Sent> = (0..250).map(|at| Sent { at, ..sent() }).collect();
    assert_eq!(parts(&many).iter().map(|part| part.len()).collect::<Vec<_>>(), [100, 100, 50]);
    let large = |at| Sent { at, json: vec![0; BYTES - 10], ..sent() };
    assert_eq!(parts(&[large(0), large(1), sent()]).len(), 3);
    assert!(parts(&[]).is_empty());
}

#[test]
fn a_sealed_value_within_another_one_goes_with_it() {
    let mut item = secret();
    item.sealed.extend(["/data".to_owned(), "/data/password".to_owned(), "/database".to_owned()]);
    assert_eq!(outermost(&item.sealed), ["/data", "/database"]);
    let sent = send(0, &item, &transform(false), OWN);
    assert!(!String::from_utf8(sent.json.clone()).unwrap().contains("c2VjcmV0"));
    let patch = br#"[{"op":"replace","path":"/metadata/labels/n","value":"2"}]"#;
    let outcome = ItemOutcome { outcome: Some(Transformed::Patch(patch.to_vec())) };
    let Outcome::Changed(object) = outcome_of(ANSWER, &sent, outcome, OWN).unwrap() else {
        panic!("it is changed");
    };
    assert_eq!(object.pointer("/data/password").unwrap().as_str(), Some("c2VjcmV0"));
}

#[tokio::test]
async fn a_plugin_that_declares_something_else_by_now_is_given_nothing() {
    let fake = Fake::start(|_, _| Reply::of(wire::TransformResponse { outcomes: vec![] }));
    let plugin = fake.plugin();
    let what = ("label", BTreeMap::new());
    let met = plugin.meet().await.unwrap();
    // It is started again between the look at what it declares and the call.
    fake.met.lock().unwrap().transforms[0].sealed_values = false;
    fake.cut();
    let own = secret();
    let parts = [send(0, &own, &met.transforms[0], OWN)];
    let error = loop {
        let error = plugin.transform_part(&met.transforms[0], &what.1, &parts, OWN).await.unwrap_err();
        // Whoever finds the connection cut first may be told so.
        if error.kind() != ErrorKind::Unavailable {
            break error;
        }
    };
    assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("declares the transform label otherwise"));
    assert!(error.hint().is_some(), "{error}");
    assert_eq!(fake.asked("Transform"), 0, "no value was sent that it does not need");
}
