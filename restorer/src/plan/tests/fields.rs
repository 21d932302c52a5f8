//! The fields of a change, and how they are told.

use hindcast_journal::exact::Value;

use super::scene::value;
use crate::{
    intent::Form,
    plan::{FieldChange, fields},
};

fn changes(from: &str, to: &str, sealed: &[String]) -> Vec<FieldChange> {
    let form = |text: &str| Form::new(&value(text), &[], sealed);
    fields::changes(&form(from), &form(to), "", None)
}

fn diff(from: &str, to: &str) -> Vec<String> {
    let show = |v: &Option<Value>| v.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let out = changes(from, to, &[]);
    out.iter().map(|c| format!("{} {} {}", c.path, show(&c.from), show(&c.to))).collect()
}

#[test]
fn each_field_is_named_as_small_as_it_can_be() {
    for (from, to, expected) in [
        (r#"{"a":1}"#, r#"{"a":1}"#, vec![]),
        (r#"{"a":1.0}"#, r#"{"a":1.00}"#, vec!["/a 1.0 1.00"]),
        (r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"b":1,"d":3}}"#, vec!["/a/c 2 -", "/a/d - 3"]),
        (r#"{"x/y":{"~":1}}"#, r#"{"x/y":{"~":2}}"#, vec!["/x~1y/~0 1 2"]),
        (r#"{"a":{}}"#, r#"{"a":[]}"#, vec!["/a {} []"]),
        (
            r#"{"c":[{"name":"web","image":"2"}]}"#,
            r#"{"c":[{"name":"side","image":"s"},{"name":"web","image":"1"}]}"#,
            vec![r#"/c/[name=web]/image "2" "1""#, r#"/c/[name=side] - {"image":"s","name":"side"}"#],
        ),
        (
            r#"{"m":[{"mountPath":"/a","name":"v"},{"mountPath":"/b","name":"v"}]}"#,
            r#"{"m":[{"mountPath":"/b","name":"v"}]}"#,
            vec![r#"/m/[mountPath=~1a] {"mountPath":"/a","name":"v"} -"#],
        ),
        (
            r#"{"p":[{"containerPort":80},{"containerPort":81}]}"#,
            r#"{"p":[{"containerPort":81},{"containerPort":80}]}"#,
            vec![r#"/p/[order] ["80","81"] ["81","80"]"#],
        ),
        (r#"{"args":["a","b"]}"#, r#"{"args":["b"]}"#, vec![r#"/args ["a","b"] ["b"]"#]),
        (r#"{"r":[{"verbs":["*"]}]}"#, r#"{"r":[{"verbs":["get"]}]}"#, vec![r#"/r/0/verbs ["*"] ["get"]"#]),
        (r#"{"r":[{"v":1}]}"#, r#"{"r":[{"v":1},{"v":2}]}"#, vec![r#"/r [{"v":1}] [{"v":1},{"v":2}]"#]),
        (r#"{"r":[]}"#, r#"{"r":[{"name":"a"}]}"#, vec![r#"/r [] [{"name":"a"}]"#]),
    ] {
        assert_eq!(diff(from, to), expected, "{from} {to}");
    }
}

#[test]
fn elements_of_the_same_port_and_another_protocol_are_two() {
    let ports = |udp: u32| {
        let tcp = r#"{"port":53,"protocol":"TCP","nodePort":1}"#;
        format!(r#"{{"p":[{tcp},{{"port":53,"protocol":"UDP","nodePort":{udp}}}]}}"#)
    };
    assert_eq!(diff(&ports(2), &ports(3)), ["/p/[port=53,protocol=UDP]/nodePort 2 3"]);
    let turned = r#"{"p":[{"port":53,"protocol":"UDP","nodePort":2},{"port":53,"protocol":"TCP","nodePort":1}]}"#;
    assert_eq!(diff(&ports(2), turned), [r#"/p/[order] ["53/TCP","53/UDP"] ["53/UDP","53/TCP"]"#]);
}

#[test]
fn elements_without_a_name_are_told_one_by_one_only_in_their_places() {
    let rules = |rules: &str| format!(r#"{{"r":[{rules}]}}"#);
    let (a, b, c) = (r#"{"v":[1]}"#, r#"{"v":[2]}"#, r#"{"v":[3]}"#);
    assert_eq!(diff(&rules(&format!("{a},{b}")), &rules(&format!("{a},{c}"))), ["/r/1/v [2] [3]"]);
    let moved = diff(&rules(&format!("{a},{b}")), &rules(&format!("{b},{c}")));
    assert_eq!(moved, [r#"/r [{"v":[1]},{"v":[2]}] [{"v":[2]},{"v":[3]}]"#]);
}

#[test]
fn sealed_values_are_hidden_at_above_and_below() {
    let paths = ["/data/pw".to_owned(), "/data/k".to_owned()];
    for (from, to) in [
        (r#"{"data":{"pw":"c2VjcmV0"}}"#, r#"{"data":{"pw":"b3RoZXI="}}"#),
        (r#"{"data":{"pw":"c2VjcmV0","k":"c2VjcmV0"}}"#, "{}"),
        (r#"{"data":"c2VjcmV0"}"#, r#"{"data":{"pw":"c2VjcmV0"}}"#),
        (r#"{"data":{"pw":{"x":"c2VjcmV0"}}}"#, r#"{"data":{"pw":{"x":"b3RoZXI="}}}"#),
    ] {
        let out = changes(from, to, &paths);
        let text = format!("{out:?}");
        let below = from.contains(r#""data":{"#);
        assert!(!below || !text.contains("c2VjcmV0") && !text.contains("b3RoZXI="), "{text}");
        assert!(text.contains("<redacted "), "{text}");
        assert!(!out.is_empty());
    }
}

#[test]
fn what_is_sealed_names_no_element_and_shows_none_of_its_inside() {
    let paths = |places: &[&str]| places.iter().map(|place| (*place).to_owned()).collect::<Vec<_>>();
    let users =
        |first: &str, second: &str| format!(r#"{{"u":[{{"name":"{first}","v":1}},{{"name":"{second}","v":2}}]}}"#);
    let (one, two) = (users("c2VjcmV0", "b"), users("b", "c2VjcmV0"));
    for (places, expected) in [
        // The key field of the elements; one whole element; all of them; the list.
        (paths(&["/u/0/name", "/u/1/name"]), vec!["/u/0/name", "/u/1/name"]),
        (paths(&["/u/0", "/u/1/name"]), vec!["/u/0", "/u/1/name"]),
        (paths(&["/u/0", "/u/1"]), vec!["/u/0", "/u/1"]),
        (paths(&["/u"]), vec!["/u"]),
    ] {
        let out = changes(&one, &two, &places);
        assert_eq!(out.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), expected, "{places:?}");
        let text = format!("{out:?}");
        assert!(!text.contains("c2VjcmV0"), "{text}");
    }
    // By its place where it can be; by another field where that is open.
    let changed = r#"{"u":[{"name":"x","v":1},{"name":"y","v":3}]}"#;
    let out = changes(&users("x", "y"), changed, &paths(&["/u/0/name", "/u/1/name"]));
    assert_eq!(out.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["/u/1/v"]);
    let by_uid = |v: u8| format!(r#"{{"u":[{{"uid":"c2VjcmV0","name":"n","v":{v}}}]}}"#);
    let out = changes(&by_uid(1), &by_uid(2), &paths(&["/u/0/uid"]));
    assert_eq!(out.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["/u/[name=n]/v"]);
}
