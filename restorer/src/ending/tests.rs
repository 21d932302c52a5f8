//! What a namespace says of its deletion, in words that help.

use hindcast_journal::exact::{self, Value};

use super::Ending;

fn value(text: &str) -> Value {
    exact::parse(text.as_bytes()).expect("a test's own JSON")
}

fn namespace(conditions: &str) -> Value {
    value(&format!(
        r#"{{"metadata":{{"name":"shop"}},"spec":{{"finalizers":["kubernetes"]}},"status":{{"conditions":[{conditions}]}}}}"#
    ))
}

fn condition(kind: &str, message: &str) -> String {
    format!(r#"{{"type":"{kind}","status":"True","message":"{message}"}}"#)
}

#[test]
fn a_dead_aggregated_api_is_named_with_its_service_and_the_command() {
    let failed = condition("NamespaceDeletionDiscoveryFailure", "Discovery failed for some groups, 1 failing: …");
    let remaining = condition("NamespaceContentRemaining", "Some resources are remaining: configmaps. has 2");
    let ending = Ending::of(&namespace(&format!("{failed},{remaining}"))).with_apis(&value(
        r#"{"items":[
            {"metadata":{"name":"v1.apps"},"status":{"conditions":[{"type":"Available","status":"True"}]}},
            {"metadata":{"name":"v1.dead.example.com"},"spec":{"service":{"namespace":"hooks","name":"dead"}},
             "status":{"conditions":[{"type":"Available","status":"False","message":"no endpoints"}]}}]}"#,
    ));
    assert!(ending.is_stuck());
    assert_eq!(
        ending.to_string(),
        "namespace shop is being deleted and cannot finish: API v1.dead.example.com is not answered by Service dead in namespace \
         hooks (no endpoints); bring it back, or if it is gone for good: kubectl delete apiservice v1.dead.example.com"
    );
}

#[test]
fn a_finalizer_is_named_with_its_objects() {
    let held = condition(
        "NamespaceFinalizersRemaining",
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances, b.c/d in 2 resource instances",
    );
    let mut ending = Ending::of(&namespace(&held));
    let object = value(r#"{"metadata":{"finalizers":["example.com/hold"]}}"#);
    ending.name_objects([("configmaps/held".to_owned(), &object)].into_iter());
    assert!(!ending.is_stuck(), "its controller may be about to do it");
    let text = ending.to_string();
    for part in [
        "example.com/hold is not done on configmaps/held;",
        "kubectl edit configmaps/held -n shop",
        "b.c/d is not done on 2 objects",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn one_that_is_on_its_way_says_no_more_than_that() {
    let remaining =
        condition("NamespaceContentRemaining", "Some resources are remaining: pods. has 1 resource instances");
    assert!(Ending::of(&namespace(&remaining)).to_string().ends_with("pods. has 1 resource instances"));
    assert_eq!(Ending::of(&namespace("")).to_string(), "namespace shop is being deleted");
    let own = value(r#"{"metadata":{"name":"shop","finalizers":["a.b/c"]}}"#);
    assert!(Ending::of(&own).to_string().contains("its own finalizers are not done: a.b/c"));
}
