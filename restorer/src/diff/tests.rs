use hindcast_journal::exact;

use super::*;

fn value(text: &str) -> Value {
    exact::parse(text.as_bytes()).expect("JSON")
}

/// `path: old -> new`, `-` for what is not there.
fn differs(from: &str, to: &str) -> Vec<String> {
    let text = |side: &Option<Value>| side.as_ref().map_or("-".to_owned(), Value::to_string);
    fields(&value(from), &value(to))
        .iter()
        .map(|f| format!("{}: {} -> {}", f.path, text(&f.from), text(&f.to)))
        .collect()
}

#[test]
fn a_difference_is_named_as_small_as_it_is() {
    assert_eq!(differs(r#"{"a":{"b":1,"c":[1]}}"#, r#"{"a":{"b":1,"c":[1]}}"#), [""; 0]);
    assert_eq!(
        differs(r#"{"a":{"b":1,"c":2},"x/y":null}"#, r#"{"a":{"b":"1","d":{"e":1}}}"#),
        ["/a/b: 1 -> \"1\"", "/a/c: 2 -> -", "/a/d: - -> {\"e\":1}", "/x~1y: null -> -"]
    );
    assert_eq!(differs(r#"{"n":1.10}"#, r#"{"n":1.1}"#), ["/n: 1.10 -> 1.1"], "numbers are tokens");
    assert_eq!(differs(r#"{"a":[]}"#, r#"{"a":[1]}"#), ["/a: [] -> [1]"]);
}

#[test]
fn elements_are_matched_by_what_names_them() {
    let from = r#"{"c":[{"name":"a","image":"1"},{"name":"b","image":"1"}]}"#;
    let put_first = r#"{"c":[{"name":"z","image":"9"},{"name":"a","image":"1"},{"name":"b","image":"2"}]}"#;
    assert_eq!(differs(from, put_first), [r#"/c/0: - -> {"image":"9","name":"z"}"#, r#"/c/1/image: "1" -> "2""#]);
    let gone = r#"{"c":[{"name":"b","image":"1"}]}"#;
    assert_eq!(differs(from, gone), [r#"/c/0: {"image":"1","name":"a"} -> -"#]);
    let mounts = r#"{"m":[{"name":"v","mountPath":"/a"},{"name":"v","mountPath":"/b"}]}"#;
    let other = r#"{"m":[{"name":"v","mountPath":"/b","readOnly":true}]}"#;
    assert_eq!(differs(mounts, other), [r#"/m/0: {"mountPath":"/a","name":"v"} -> -"#, "/m/1/readOnly: - -> true"]);
    let turned = r#"{"c":[{"name":"b","image":"1"},{"name":"a","image":"1"}]}"#;
    assert_eq!(differs(from, turned).len(), 1, "an order that changed is the list's own difference");
}

#[test]
fn plain_elements_are_matched_by_their_runs() {
    assert_eq!(differs(r#"["a","b","c"]"#, r#"["a","x","b","c"]"#), [r#"/1: - -> "x""#]);
    assert_eq!(differs(r#"["a","b","c"]"#, r#"["a","y","c"]"#), [r#"/1: "b" -> "y""#]);
    assert_eq!(differs(r#"["a","b","c"]"#, r#"["a","y"]"#), [r#"/1: "b" -> "y""#, r#"/2: "c" -> -"#]);
    let same = r#"[{"name":"a"},{"name":"a"}]"#;
    assert_eq!(differs(same, r#"[{"name":"a"}]"#).len(), 1, "names that are not unique name nothing");
}

#[test]
fn the_servers_own_fields_are_left_out_unless_asked_for() {
    let object = value(
        r#"{"metadata":{"name":"a","uid":"u","generation":3,"resourceVersion":"9","creationTimestamp":"t"},"spec":1,"status":{}}"#,
    );
    assert_eq!(Detail::Wanted.of(object.clone()), value(r#"{"metadata":{"name":"a"},"spec":1}"#));
    assert_eq!(Detail::All.of(object.clone()), object);
}
