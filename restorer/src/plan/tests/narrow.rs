//! Narrowing by path.

use super::scene::value;
use crate::plan::narrow::{at, put};

#[test]
fn a_part_is_found_and_put_back() {
    let object = r#"{"a":{"b":[{"name":"x","v":1},{"name":"y/z","v":2}],"~k":3}}"#;
    for (path, expected) in [
        ("", Some(object)),
        ("/a/b/0/v", Some("1")),
        ("/a/b/[name=x]/v", Some("1")),
        ("/a/b/[name=y~1z]/v", Some("2")),
        ("/a/b/[v=2]/name", Some("\"y/z\"")),
        ("/a/~0k", Some("3")),
        ("/a/b/[name=no]/v", None),
        ("/a/b/9", None),
        ("/a/b/x", None),
        ("/no", None),
    ] {
        assert_eq!(at(&value(object), path), expected.map(value).as_ref(), "{path}");
    }
    for (path, new, expected) in [
        ("/a/b/[name=x]/v", Some("9"), Some(r#"{"a":{"b":[{"name":"x","v":9},{"name":"y/z","v":2}],"~k":3}}"#)),
        ("/a/b/[name=x]", None, Some(r#"{"a":{"b":[{"name":"y/z","v":2}],"~k":3}}"#)),
        (
            "/a/b/[name=n]",
            Some(r#"{"name":"n"}"#),
            Some(r#"{"a":{"b":[{"name":"x","v":1},{"name":"y/z","v":2},{"name":"n"}],"~k":3}}"#),
        ),
        ("/a", None, Some("{}")),
        (
            "/x/y/z",
            Some("1"),
            Some(r#"{"a":{"b":[{"name":"x","v":1},{"name":"y/z","v":2}],"~k":3},"x":{"y":{"z":1}}}"#),
        ),
        ("/x/y/z", None, Some(object)),
        ("/a/b/[name=no]/v", Some("1"), None),
        ("/a/b/[name=no]/v", None, Some(object)),
        ("/x/[name=n]", Some("1"), None),
        ("/a/~0k/deep", Some("1"), None),
        ("", Some("{}"), Some("{}")),
    ] {
        let mut object = value(object);
        let done = put(&mut object, path, new.map(value).as_ref());
        assert_eq!(done.then(|| object.to_string()), expected.map(|e| value(e).to_string()), "{path} {new:?}");
    }
}
