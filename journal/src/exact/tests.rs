//! What the exact form promises, trap by trap. The properties are in [`properties`].

mod properties;

use super::{
    Document, Kind, MAX_DEPTH, Number, Object, ParseReason, PatchReason, Value, apply, diff, diff_bytes, diff_state,
    diff_state_bytes, ingest, ingest_node, parse, parse_canonical, set_resource_version, split_managed_fields,
    state_hash, to_canonical,
};

fn value(text: &str) -> Value {
    parse(text.as_bytes()).unwrap()
}

fn canonical(text: &str) -> String {
    String::from_utf8(to_canonical(&value(text))).unwrap()
}

fn refusal(text: impl AsRef<[u8]>) -> (usize, ParseReason) {
    let error = parse(text.as_ref()).unwrap_err();
    (error.offset, error.reason)
}

fn patch(old: &str, new: &str) -> String {
    diff(&value(old), &value(new)).to_string()
}

#[test]
fn numbers_keep_their_tokens() {
    for token in [
        "1.10",
        "1.1",
        "1E5",
        "1e+5",
        "1e5",
        "-0",
        "-0.0",
        "0",
        "18446744073709551616",
        "18446744073709551617",
        "1e400",
        "123456789012345678901234567890.000",
    ] {
        assert_eq!(canonical(token), token);
        assert_eq!(canonical(&format!(r#"{{"n": [ {token} ]}}"#)), format!(r#"{{"n":[{token}]}}"#));
        assert_eq!(Number::parse(token).unwrap().as_str(), token);
    }
    assert_ne!(value("1.10"), value("1.1"));
    assert_ne!(value("1E5"), value("100000"));
    assert_ne!(value("-0"), value("0"));
}

#[test]
fn a_changed_token_is_a_change() {
    assert_eq!(patch(r#"{"a":1.10}"#, r#"{"a":1.1}"#), r#"[{"op":"replace","path":"/a","value":1.1}]"#);
    assert_eq!(patch(r#"{"a":1}"#, r#"{"a":12}"#), r#"[{"op":"replace","path":"/a","value":12}]"#);
    assert_eq!(patch(r#"{"a":12}"#, r#"{"a":1}"#), r#"[{"op":"replace","path":"/a","value":1}]"#);
    assert_eq!(patch("1", "2"), r#"[{"op":"replace","path":"","value":2}]"#);
    assert_eq!(patch("[1,2]", "[1,2]"), "[]");
}

#[test]
fn numbers_outside_the_grammar_are_refused() {
    for text in ["01", "-", "-01", "1.", ".5", "1e", "1e+", "+1", "0x1", "1.e5", "00", "--1"] {
        assert!(parse(text.as_bytes()).is_err(), "{text}");
        assert!(Number::parse(text).is_none(), "{text}");
    }
    for text in ["NaN", "Infinity", "1 ", " 1", ""] {
        assert!(Number::parse(text).is_none(), "{text}");
    }
}

#[test]
fn keys_are_sorted_by_bytes_after_decoding() {
    // U+FF5E sorts before U+10000 in UTF-8, after it in UTF-16.
    assert_eq!(canonical("{\"\u{10000}\":1,\"\u{ff5e}\":2}"), "{\"\u{ff5e}\":2,\"\u{10000}\":1}");
    assert_eq!(canonical(r#"{"b":1,"\u0061":2,"":3}"#), r#"{"":3,"a":2,"b":1}"#);
    assert_eq!(canonical(r#"{"a/b":1,"a-b":2,"a":3}"#), r#"{"a":3,"a-b":2,"a/b":1}"#);
    // An escaped key and its raw spelling sort by what they stand for.
    assert_eq!(canonical(r#"{"\n":1,"\u0001":2,"A":3}"#), r#"{"\u0001":2,"\n":1,"A":3}"#);
    // Same first eight bytes, and a key that is another's beginning with NULs.
    assert_eq!(
        canonical(r#"{"abcdefghz":1,"abcdefgha":2,"a\u0000":3,"a":4}"#),
        r#"{"a":4,"a\u0000":3,"abcdefgha":2,"abcdefghz":1}"#
    );
}

#[test]
fn strings_have_the_shortest_escape() {
    assert_eq!(canonical(r#""\u003ca\/b\u003e\u2028\u007f""#), "\"<a/b>\u{2028}\u{7f}\"");
    assert_eq!(canonical(r#""\u000A\u0009\u0008\u000c\u000d\u0022\u005C""#), r#""\n\t\b\f\r\"\\""#);
    assert_eq!(canonical(r#""\u0000\u001F\u001f\u000b""#), r#""\u0000\u001f\u001f\u000b""#);
    assert_eq!(canonical(r#""\ud83d\ude00\uD83D\uDE00""#), "\"😀😀\"");
    assert_eq!(value(r#""\u00e9""#), value("\"é\""));
}

#[test]
fn what_is_ambiguous_is_refused() {
    use ParseReason as R;
    assert_eq!(refusal(r#"{"a":1,"a":1}"#), (7, R::DuplicateKey));
    assert_eq!(refusal(r#"{"a":1,"\u0061":2}"#), (7, R::DuplicateKey));
    assert_eq!(refusal(r#"{"b":{"x":1},"a":1,"b":1}"#), (19, R::DuplicateKey));
    assert_eq!(refusal(r#"[{"z":1,"y":1,"\u007a":1}]"#), (14, R::DuplicateKey));
    for lone in [r#""\ud800""#, r#""\udc00""#, r#""\ud800x""#, r#""\ud800\n""#, r#""\ud800\ud800""#] {
        assert_eq!(refusal(lone), (1, R::LoneSurrogate), "{lone}");
    }
    assert_eq!(refusal(b"[\"\xff\"]"), (2, R::InvalidUtf8));
    assert_eq!(refusal(b"\"\xed\xa0\x80\""), (1, R::InvalidUtf8));
    assert_eq!(refusal("\"a\nb\""), (2, R::ControlCharacter));
    assert_eq!(refusal(r#""\x""#), (1, R::InvalidEscape));
    assert_eq!(refusal(r#""\u12g4""#), (3, R::InvalidEscape));
    assert_eq!(refusal("{} x"), (3, R::TrailingBytes));
    assert_eq!(refusal("[1,]"), (3, R::Expected("a value")));
    assert_eq!(refusal(r#"{"a":1,}"#), (7, R::Expected("a key")));
    assert_eq!(refusal("[1 2]"), (3, R::Expected("',' or ']'")));
    assert_eq!(refusal("\u{c}1"), (0, R::Expected("a value")));
    assert_eq!(refusal("\u{feff}1"), (0, R::Expected("a value")));
    for cut in ["", " ", "[", "[1", "[1,", "{", r#"{"a""#, r#"{"a":"#, r#""a"#, r#""\"#, r#""\u00"#] {
        assert_eq!(refusal(cut).1, R::UnexpectedEnd, "{cut}");
    }
    assert_eq!(refusal("[tru]").1, R::Expected("a value"));
}

#[test]
fn errors_name_what_and_where_but_no_content() {
    let error = parse(br#"{"password":"hunter2","password":1}"#).unwrap_err();
    assert_eq!(error.to_string(), "duplicate key at byte 22");
}

#[test]
fn depth_is_bounded_without_the_thread_stack() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deepest = nested(MAX_DEPTH);
    assert_eq!(canonical(&deepest), deepest);
    assert_eq!(refusal(nested(MAX_DEPTH + 1)), (MAX_DEPTH, ParseReason::TooDeep));
    assert_eq!(refusal("[".repeat(100_000)), (MAX_DEPTH, ParseReason::TooDeep));
    assert_eq!(refusal("{\"a\":".repeat(100_000)).1, ParseReason::TooDeep);
    // Two values at the limit still have a difference, and no unreadable patch.
    let (old, new) = (value(&deepest), value(&nested(MAX_DEPTH - 1)));
    let mut patched = old.clone();
    apply(&mut patched, &diff(&old, &new)).unwrap();
    assert_eq!(patched, new);
    assert_eq!(diff_bytes(nested(MAX_DEPTH - 1).as_bytes(), deepest.as_bytes()), None);
}

#[test]
fn only_canonical_bytes_pass_as_canonical() {
    for text in [r#"{"a":[1,{"b":"x\n"}],"b":null}"#, "1.10", "\"\"", "[]"] {
        assert_eq!(parse_canonical(text.as_bytes()).unwrap(), value(text));
    }
    for text in [r#"{"b":1,"a":2}"#, r#"{"a": 1}"#, "1 ", " 1", r#""\/""#, r#"["\u000A"]"#, "[ ]"] {
        let reason = parse_canonical(text.as_bytes()).unwrap_err().reason;
        assert_eq!(reason, ParseReason::NotCanonical, "{text}");
    }
    assert!(parse_canonical(br#"{"a":1,"a":2}"#).is_err());
}

#[test]
fn the_hash_is_the_one_other_tools_print() {
    // `printf '' | xxhsum -H2` begins 99aa06d3014798d8.
    assert_eq!(state_hash(b""), 0x99aa_06d3_0147_98d8_u64.to_be_bytes());
}

const OBJECT: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"n",
  "uid":"u","resourceVersion":"7","creationTimestamp":"2026-01-01T00:00:00Z",
  "managedFields":[{"time":"t","manager":"m"}],"labels":{"b":"\u003c","a":"1"}},"spec":{"n":1.10}}"#;

#[test]
fn ingest_gives_the_exact_form_and_the_header() {
    let taken = ingest(OBJECT.as_bytes()).unwrap();
    assert_eq!(
        String::from_utf8(taken.exact.clone()).unwrap(),
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"creationTimestamp":"2026-01-01T00:00:00Z","labels":{"a":"1","b":"<"},"name":"a","namespace":"n","resourceVersion":"7","uid":"u"},"spec":{"n":1.10}}"#
    );
    assert_eq!(taken.managed_fields.as_deref(), Some(&br#"[{"manager":"m","time":"t"}]"#[..]));
    let header = &taken.header;
    assert_eq!(header.api_version.as_deref(), Some("v1"));
    assert_eq!(header.kind.as_deref(), Some("Pod"));
    assert_eq!(header.name.as_deref(), Some("a"));
    assert_eq!(header.namespace.as_deref(), Some("n"));
    assert_eq!(header.uid.as_deref(), Some("u"));
    assert_eq!(header.resource_version.as_deref(), Some("7"));
    assert_eq!(header.creation_timestamp.as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(header.deletion_timestamp, None);
    assert_eq!(taken.state_hash(), state_hash(&taken.exact));
    // Inside an event it is the same object.
    let event = format!(r#"{{"type":"ADDED","object":{OBJECT}}}"#);
    let event = Document::parse(event.as_bytes()).unwrap();
    assert_eq!(event.root().get("type").unwrap().as_str().as_deref(), Some("ADDED"));
    let object = event.root().get("object").unwrap();
    assert_eq!((object.kind(), object.raw()), (Kind::Object, OBJECT.as_bytes()));
    assert_eq!(ingest_node(object).unwrap(), taken);
}

#[test]
fn ingest_takes_objects_as_odd_as_they_come() {
    let only = ingest(br#"{"metadata":{"managedFields":[]}}"#).unwrap();
    assert_eq!(only.exact, br#"{"metadata":{}}"#);
    assert_eq!(only.managed_fields.as_deref(), Some(&b"[]"[..]));
    let none = ingest(br#"{"metadata":{"name":5},"kind":null}"#).unwrap();
    assert_eq!(none.exact, br#"{"kind":null,"metadata":{"name":5}}"#);
    assert_eq!((none.header, none.managed_fields), (super::Header::default(), None));
    let flat = ingest(br#"{"metadata":[{"managedFields":1}],"managedFields":2}"#).unwrap();
    assert_eq!(flat.exact, br#"{"managedFields":2,"metadata":[{"managedFields":1}]}"#);
    assert_eq!(flat.managed_fields, None);
    assert_eq!(ingest(b" [1]").unwrap_err().reason, ParseReason::Expected("an object"));
    assert_eq!(ingest(b" [1]").unwrap_err().offset, 1);
}

#[test]
fn managed_fields_and_versions_of_values() {
    let mut object = value(OBJECT);
    let managed = split_managed_fields(&mut object).unwrap();
    let taken = ingest(OBJECT.as_bytes()).unwrap();
    assert_eq!(to_canonical(&object), taken.exact);
    assert_eq!(Some(to_canonical(&managed)), taken.managed_fields);
    assert_eq!(split_managed_fields(&mut object), None);
    set_resource_version(&mut object, "8");
    assert_eq!(object.pointer("/metadata/resourceVersion").unwrap().as_str(), Some("8"));
    let mut bare = value("{}");
    set_resource_version(&mut bare, "1");
    assert_eq!(bare, value(r#"{"metadata":{"resourceVersion":"1"}}"#));
    let mut list = value("[]");
    set_resource_version(&mut list, "1");
    assert_eq!(list, value("[]"));
}

#[test]
fn a_list_changes_by_as_little_as_changed() {
    // Without an identity: one operation for one element, wherever it is.
    let list = r#"["a","b","c","d","e","f"]"#;
    assert_eq!(patch(list, r#"["b","c","d","e","f"]"#), r#"[{"op":"remove","path":"/0"}]"#);
    assert_eq!(patch(list, r#"["x","a","b","c","d","e","f"]"#), r#"[{"op":"add","path":"/0","value":"x"}]"#);
    assert_eq!(
        patch(r#"["alpha","beta","gamma","delta"]"#, r#"["beta","gamma","eta","delta"]"#),
        r#"[{"op":"remove","path":"/0"},{"op":"add","path":"/2","value":"eta"}]"#
    );
    // By name: the head goes, another changes inside, one comes.
    let pad = "x".repeat(200);
    let old = format!(r#"[{{"name":"a","v":"{pad}"}},{{"name":"b","v":"1","w":"{pad}"}},{{"name":"c","v":"{pad}"}}]"#);
    let new = format!(r#"[{{"name":"b","v":"2","w":"{pad}"}},{{"name":"n"}},{{"name":"c","v":"{pad}"}}]"#);
    assert_eq!(
        patch(&old, &new),
        r#"[{"op":"remove","path":"/0"},{"op":"replace","path":"/0/v","value":"2"},{"op":"add","path":"/1","value":{"name":"n"}}]"#
    );
    // Moved to the end: it goes and comes again, and the others stay as they are.
    let list = |names: [&str; 3]| {
        let of = |name: &str| format!(r#"{{"name":"{name}","v":"{name}{pad}"}}"#);
        format!("[{}]", names.map(of).join(","))
    };
    let moved = diff(&value(&list(["a", "b", "c"])), &value(&list(["b", "c", "a"])));
    let steps: Vec<_> = moved
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step.get("op").unwrap().as_str().unwrap(), step.get("path").unwrap().as_str().unwrap()))
        .collect();
    assert_eq!(steps, [("remove", "/0"), ("add", "/2")]);
}

#[test]
fn a_patch_longer_than_the_object_is_no_patch() {
    assert_eq!(diff_bytes(br#"{"a":1}"#, br#"{"a":2}"#), None);
    assert_eq!(diff_bytes(b"[]", b"[]").unwrap(), b"[]");
    assert_eq!(diff_bytes(br#"{"b":1,"a":1}"#, br#"{"a":1}"#), None);
    assert_eq!(diff_bytes(br#"{"a":1,"b":1}"#, br#"{"b":1,"a":1}"#), None);
    assert_eq!(diff_bytes(br#"{"a":1"#, br#"{"a":1}"#), None);
}

#[test]
fn the_version_is_never_named_by_a_state_patch() {
    let pad = "x".repeat(200);
    let state = |version: &str, label: &str| {
        format!(r#"{{"metadata":{{"labels":{{"l":"{label}"}},"name":"{pad}"{version}}},"spec":"{pad}"}}"#)
    };
    let old = state(r#","resourceVersion":"1""#, "a");
    for (new, expected) in [
        (state(r#","resourceVersion":"2""#, "a"), "[]"),
        (state("", "a"), "[]"),
        (state(r#","resourceVersion":"2""#, "b"), r#"[{"op":"replace","path":"/metadata/labels/l","value":"b"}]"#),
    ] {
        let bytes = diff_state_bytes(old.as_bytes(), new.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        assert_eq!(diff_state(&value(&old), &value(&new)).to_string(), expected);
    }
    // Elsewhere a field of that name is like any other.
    assert_eq!(
        diff_state(
            &value(r#"{"spec":{"resourceVersion":"1"},"status":"0123456789"}"#),
            &value(r#"{"spec":{"resourceVersion":"2"},"status":"0123456789"}"#)
        )
        .to_string(),
        r#"[{"op":"replace","path":"/spec/resourceVersion","value":"2"}]"#
    );
}

#[test]
fn pointers_escape_slash_and_tilde() {
    let pad = "x".repeat(100);
    let old = value(&format!(r#"{{"a/b":{{"~1":1,"\n":1}},"pad":"{pad}"}}"#));
    let new = value(&format!(r#"{{"a/b":{{"~1":2}},"pad":"{pad}"}}"#));
    let patch = diff(&old, &new);
    assert_eq!(
        patch.to_string(),
        r#"[{"op":"replace","path":"/a~1b","value":{"~1":2}}]"#,
        "the shorter of the two ways"
    );
    assert_eq!(old.pointer("/a~1b/~01"), Some(&value("1")));
    assert_eq!(old.pointer("/a~1b/\n"), Some(&value("1")));
    assert_eq!(old.pointer("/a~2b"), None);
    assert_eq!(old.pointer("a"), None);
    assert_eq!(value("[[1,2]]").pointer("/0/1"), Some(&value("2")));
    assert_eq!(value("[[1,2]]").pointer("/0/01"), None);
    assert_eq!(value("[[1,2]]").pointer("/0/+1"), None);
}

#[test]
fn patches_apply_as_rfc_6902_says() {
    for (base, patch, expected) in [
        (r#"{"a":1}"#, r#"[{"op":"add","path":"/b","value":2}]"#, r#"{"a":1,"b":2}"#),
        (r#"{"a":1}"#, r#"[{"op":"add","path":"/a","value":2}]"#, r#"{"a":2}"#),
        ("[1,3]", r#"[{"op":"add","path":"/1","value":2}]"#, "[1,2,3]"),
        ("[1]", r#"[{"op":"add","path":"/-","value":2}]"#, "[1,2]"),
        ("[1]", r#"[{"op":"add","path":"/1","value":2}]"#, "[1,2]"),
        (r#"{"-":1}"#, r#"[{"op":"remove","path":"/-"}]"#, "{}"),
        ("1", r#"[{"op":"replace","path":"","value":{"a":1.10}}]"#, r#"{"a":1.10}"#),
        ("1", r#"[{"op":"add","path":"","value":null}]"#, "null"),
        (r#"{"a":{"b":1}}"#, r#"[{"op":"move","from":"/a/b","path":"/c"}]"#, r#"{"a":{},"c":1}"#),
        (r#"{"a":1}"#, r#"[{"op":"move","from":"/a","path":"/a"}]"#, r#"{"a":1}"#),
        (r#"{"a":[1]}"#, r#"[{"op":"copy","from":"/a","path":"/b"}]"#, r#"{"a":[1],"b":[1]}"#),
        (r#"{"a/b":1,"c~d":2}"#, r#"[{"op":"remove","path":"/a~1b"},{"op":"remove","path":"/c~0d"}]"#, "{}"),
        (r#"{"a":1}"#, r#"[{"op":"test","path":"/a","value":1},{"op":"remove","path":"/a","x":1}]"#, "{}"),
        (r#"{"":{"":1}}"#, r#"[{"op":"replace","path":"//","value":2}]"#, r#"{"":{"":2}}"#),
    ] {
        let mut value = value(base);
        apply(&mut value, &parse(patch.as_bytes()).unwrap()).unwrap();
        assert_eq!(value.to_string(), expected, "{patch}");
    }
}

#[test]
fn patches_that_do_not_apply_say_why() {
    use PatchReason as R;
    for (base, operation, reason) in [
        ("{}", r#"{"op":"remove","path":"/a"}"#, R::NotFound),
        ("{}", r#"{"op":"replace","path":"/a","value":1}"#, R::NotFound),
        ("{}", r#"{"op":"add","path":"/a/b","value":1}"#, R::NotFound),
        ("1", r#"{"op":"add","path":"/a","value":1}"#, R::NotFound),
        ("[]", r#"{"op":"add","path":"/1","value":1}"#, R::InvalidIndex),
        ("[1]", r#"{"op":"remove","path":"/-"}"#, R::InvalidIndex),
        ("[1]", r#"{"op":"remove","path":"/00"}"#, R::InvalidIndex),
        ("[1]", r#"{"op":"remove","path":"/a"}"#, R::InvalidIndex),
        ("{}", r#"{"op":"add","path":"a","value":1}"#, R::InvalidPointer),
        ("{}", r#"{"op":"add","path":"/~","value":1}"#, R::InvalidPointer),
        ("{}", r#"{"op":"add","path":"/a"}"#, R::Missing("value")),
        ("{}", r#"{"op":"add","value":1}"#, R::Missing("path")),
        ("{}", r#"{"path":"/a","value":1}"#, R::Missing("op")),
        ("{}", r#"{"op":"merge","path":"/a","value":1}"#, R::UnknownOperation),
        ("{}", r#"{"op":"copy","path":"/a"}"#, R::Missing("from")),
        (r#"{"a":{}}"#, r#"{"op":"move","from":"/a","path":"/a/b"}"#, R::IntoItself),
        ("{}", r#"{"op":"remove","path":""}"#, R::WholeDocument),
        (r#"{"a":1.0}"#, r#"{"op":"test","path":"/a","value":1}"#, R::TestFailed),
    ] {
        let first = r#"{"op":"test","path":"","value":"#;
        let patch = value(&format!("[{first}{base}}},{operation}]"));
        let error = apply(&mut value(base), &patch).unwrap_err();
        assert_eq!((error.index, error.reason), (1, reason), "{operation}");
    }
    let error = apply(&mut value("{}"), &value(r#"[{"op":"remove","path":"/a"}]"#)).unwrap_err();
    assert_eq!(error.to_string(), r#"patch operation 0 at path "/a": nothing there"#);
    assert_eq!(apply(&mut value("{}"), &value("{}")).unwrap_err().reason, R::NotAnArray);
}

#[test]
fn patches_cannot_nest_without_end() {
    let mut base = value("{}");
    let mut path = String::new();
    let mut applied = 0;
    let error = loop {
        let operation = [("op", "add"), ("path", &format!("{path}/a"))];
        let mut operation: Object = operation.into_iter().collect();
        operation.insert("value", Value::Object(Object::new()));
        match apply(&mut base, &Value::Array(vec![operation.into()])) {
            Ok(()) => applied += 1,
            Err(error) => break error,
        }
        path += "/a";
        assert!(applied < MAX_DEPTH);
    };
    assert_eq!((applied, error.reason), (MAX_DEPTH - 1, PatchReason::TooDeep));
    assert!(parse(&to_canonical(&base)).is_ok());
}

#[test]
fn edges_convert_and_say_what_they_lose() {
    let json = serde_json::json!({"a": [1, -1, 1.5, null, true, "x"], "b": u64::MAX});
    assert_eq!(Value::from_serde(&json).to_serde(), json);
    assert_eq!(value("-0").to_serde(), serde_json::json!(-0.0));
    assert_eq!(value("1.10").to_serde(), serde_json::json!(1.1));
    assert_eq!(value("1e400").to_serde(), serde_json::json!(f64::MAX));
    assert_eq!(value("18446744073709551616").to_serde(), serde_json::json!(2_f64.powi(64)));
}
