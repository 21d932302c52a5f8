use super::*;

#[test]
fn members_are_spans_of_the_received_bytes() {
    let bytes = br#" { "a" : 1.10 , "b":"x}\"]", "c":{"d":[1,{"e":"]"}]},"f" : [ ] } "#;
    let mut members = Members::of(bytes);
    let all: Vec<_> =
        members.by_ref().map(|(k, v)| (std::str::from_utf8(k).unwrap(), std::str::from_utf8(v).unwrap())).collect();
    assert_eq!(all, [("a", "1.10"), ("b", r#""x}\"]""#), ("c", r#"{"d":[1,{"e":"]"}]}"#), ("f", "[ ]")]);
    assert!(members.complete());
}

#[test]
fn broken_bytes_end_early_and_say_so() {
    for bytes in [&b"{\"a\":1"[..], b"{\"a\"", b"{\"a\":", b"[1]", b"", b"{\"a\":\"x", b"{\"a\":}", b"{,", b"{\"a\\"] {
        let mut members = Members::of(bytes);
        assert!(members.by_ref().count() <= 1);
        assert!(!members.complete(), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn elements_split_an_array() {
    let all = elements(br#" [ {"a":[1]} , "x,]" ,3]"#).unwrap();
    assert_eq!(all, [&br#"{"a":[1]}"#[..], br#""x,]""#, b"3"]);
    assert_eq!(elements(b"[]").unwrap().len(), 0);
    assert!(elements(b"[1,").is_none());
    assert!(elements(b"{}").is_none());
}

#[test]
fn text_undoes_escapes() {
    assert_eq!(text(br#""a/b""#).as_deref(), Some("a/b"));
    assert_eq!(text(br#""a\u0041""#).as_deref(), Some("aA"));
    assert_eq!(text(b"12"), None);
}
