use hindcast_journal::exact;

use super::*;

fn value(text: &str) -> Value {
    exact::parse(text.as_bytes()).unwrap()
}

fn definition(spec: &str) -> Value {
    value(&format!(
        r#"{{"spec":{{"versions":[{{"name":"v1","schema":{{"openAPIV3Schema":{{"type":"object","properties":{{"spec":{{"type":"object","properties":{spec}}}}}}}}}}}]}}}}"#
    ))
}

fn stripped(then: Option<&str>, later: &str, spec: &str, fields: &str) -> (String, Vec<String>) {
    let mut full = Full {
        value: value(&format!(r#"{{"apiVersion":"x.example.com/v1","kind":"W","spec":{spec}}}"#)),
        managed: Some(value(&format!(r#"[{{"manager":"m","operation":"Update","fieldsV1":{{"f:spec":{fields}}}}}]"#))),
    };
    let out = strip(&mut full, then.map(definition).as_ref(), &definition(later));
    (full.value.get("spec").unwrap().to_string(), out)
}

const MODE: &str = r#"{"mode":{"type":"string","default":"fast"},"size":{"type":"integer"}}"#;
const PLAIN: &str = r#"{"mode":{"type":"string"},"size":{"type":"integer"}}"#;

#[test]
fn what_a_later_definition_added_is_taken_out_and_nothing_else() {
    let spec = r#"{"mode":"fast","size":3}"#;
    let bare = (r#"{"size":3}"#.to_owned(), vec!["/spec/mode".to_owned()]);
    let whole = (spec.to_owned(), Vec::new());
    let size = r#"{"f:size":{}}"#;
    assert_eq!(stripped(Some(PLAIN), MODE, spec, size), bare, "added by the definition");
    assert_eq!(stripped(None, MODE, spec, size), bare, "of then nothing is known");
    assert_eq!(stripped(Some(MODE), MODE, spec, size), whole, "it was a default then, too");
    assert_eq!(stripped(Some(PLAIN), MODE, spec, r#"{"f:mode":{},"f:size":{}}"#), whole, "somebody wrote it");
    let slow = r#"{"mode":"slow","size":3}"#;
    assert_eq!(
        stripped(Some(PLAIN), MODE, slow, size),
        (slow.to_owned(), Vec::new()),
        "another value than the default"
    );
    assert_eq!(stripped(Some(PLAIN), PLAIN, spec, size), whole);
}

#[test]
fn maps_that_were_added_go_whole_and_elements_are_found_by_their_keys() {
    let nested =
        r#"{"limits":{"type":"object","default":{},"properties":{"cpu":{"type":"integer","default":1}}},"size":{}}"#;
    let (spec, out) = stripped(Some(PLAIN), nested, r#"{"limits":{"cpu":1},"size":3}"#, r#"{"f:size":{}}"#);
    assert_eq!((spec.as_str(), out), (r#"{"size":3}"#, vec!["/spec/limits".to_owned()]));
    let (spec, out) = stripped(Some(PLAIN), nested, r#"{"limits":{"cpu":1,"ram":2}}"#, r#"{"f:limits":{"f:ram":{}}}"#);
    assert_eq!((spec.as_str(), out), (r#"{"limits":{"ram":2}}"#, vec!["/spec/limits/cpu".to_owned()]));

    let list = |keys: &str| {
        format!(
            r#"{{"ports":{{"type":"array"{keys},"items":{{"type":"object","properties":{{"protocol":{{"default":"TCP"}}}}}}}}}}"#
        )
    };
    let ports = r#"{"ports":[{"n":1,"protocol":"TCP"},{"n":2,"protocol":"TCP"}]}"#;
    let fields = r#"{"f:ports":{"k:{\"n\":1}":{".":{},"f:n":{}},"k:{\"n\":2}":{".":{},"f:n":{},"f:protocol":{}}}}"#;
    let keyed = list(r#","x-kubernetes-list-map-keys":["n"]"#);
    let (spec, out) = stripped(None, &keyed, ports, fields);
    assert_eq!(spec, r#"{"ports":[{"n":1},{"n":2,"protocol":"TCP"}]}"#);
    assert_eq!(out, ["/spec/ports/0/protocol"]);
    assert_eq!(
        stripped(None, &list(""), ports, r#"{"f:ports":{}}"#),
        (ports.to_owned(), Vec::new()),
        "nobody can tell"
    );
}
