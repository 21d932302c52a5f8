use hindcast_journal::exact;

use super::*;

#[test]
fn elements_go_by_their_names() {
    let object = exact::parse(
        br#"{"spec":{"containers":[{"name":"web","args":["a"]},{"name":"x"},{"name":"x"}],"0":{"a.b/c":1}}}"#,
    )
    .unwrap();
    for (pointer, bare, named) in [
        ("", "(everything)", "(everything)"),
        ("/spec/containers/0/args/0", "spec.containers[0].args[0]", "spec.containers[web].args[0]"),
        ("/spec/containers/1/image", "spec.containers[1].image", "spec.containers[1].image"),
        ("/spec/containers/9", "spec.containers[9]", "spec.containers[9]"),
        ("/spec/0/a.b~1c", "spec[0][\"a.b/c\"]", "spec.0[\"a.b/c\"]"),
    ] {
        assert_eq!((spell(pointer).as_str(), spell_in(pointer, &object).as_str()), (bare, named));
    }
}

#[test]
fn elements_that_a_plan_names_keep_their_names() {
    for (pointer, expected) in [
        ("/spec/containers/[name=web]/image", "spec.containers[web].image"),
        ("/spec/ports/[containerPort=80]/name", "spec.ports[containerPort=80].name"),
        ("/spec/mounts/[mountPath=~1a]", "spec.mounts[mountPath=/a]"),
        ("/spec/env/[order]", "spec.env[order]"),
    ] {
        assert_eq!(spell(pointer), expected);
        assert_eq!(spell_in(pointer, &Value::Null), expected);
    }
    let object = exact::parse(br#"{"a":[{"name":"x"},{"name":"web","b":[{"name":"y"}]}]}"#).unwrap();
    assert_eq!(spell_in("/a/[name=web]/b/0", &object), "a[web].b[y]");
    let object =
        exact::parse(br#"{"p":[{"port":53,"protocol":"TCP"},{"port":53,"protocol":"UDP","b":[{"name":"y"}]}]}"#);
    let shown = spell_in("/p/[port=53,protocol=UDP]/b/0", &object.unwrap());
    assert_eq!(shown, "p[port=53,protocol=UDP].b[y]", "a label of several fields");
}

#[test]
fn paths_are_read_as_people_write_them() {
    for (path, wanted) in [
        ("spec.template.spec.containers[web].image", "/spec/template/spec/containers/[name=web]/image"),
        ("spec.ports[port=53,protocol=UDP].name", "/spec/ports/[port=53,protocol=UDP]/name"),
        ("spec[\"\"]", "/spec/"),
        ("[\"a\\\"b\"].c", "/a\"b/c"),
        ("spec.env[order]", "/spec/env"),
        ("spec[0][1]", "/spec/0/1"),
        ("(everything)", ""),
    ] {
        assert_eq!(pointer(path).as_deref(), Ok(wanted), "{path}");
    }
    for path in ["spec[\"a]", "spec[\"a\"x]", "spec[0]x", "spec[a", "spec[a].", "spec[order].x", "[]"] {
        assert!(pointer(path).is_err() || path == "spec[order].x", "{path}: {:?}", pointer(path));
    }
}

/// Names that maps and lists may have, the odd ones first.
const NAMES: [&str; 22] = [
    "",
    "0",
    "07",
    "-",
    ".",
    "a.b",
    "a/b",
    "~1",
    "[x]",
    "[name=x]",
    "a=b",
    "]",
    "a]b",
    "\\",
    "\"",
    "\"q\"",
    " ",
    "é\n",
    "order",
    "web",
    "(everything)",
    "name",
];

/// Every place of a value, as a pointer.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    let mut below = |token: &str, value: &Value| places(value, &format!("{at}/{}", escape_pointer(token)), out);
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| below(name, value)),
        Value::Array(list) => list.iter().enumerate().for_each(|(at, value)| below(&at.to_string(), value)),
        _ => {}
    }
}

/// What a pointer with labels means in an object.
fn find<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    hindcast_journal::seal::pointer_tokens(pointer).iter().try_fold(value, |value, token| match value {
        Value::Object(members) => members.get(token),
        Value::Array(list) => match token.strip_prefix('[').and_then(|token| token.strip_suffix(']')) {
            Some(label) => list.get(lists::labelled(list, label)?),
            None => list.get(token.parse::<usize>().ok()?),
        },
        _ => None,
    })
}

#[test]
fn every_path_that_is_printed_is_read_as_the_same_place() {
    let quoted = |text: &str| Value::from(text).to_string();
    let members: Vec<String> =
        NAMES.iter().map(|name| format!("{}:{{\"v\":{}}}", quoted(name), quoted(name))).collect();
    let mut elements: Vec<String> = NAMES.iter().map(|name| format!("{{\"name\":{}}}", quoted(name))).collect();
    let named = format!("[{}]", elements.join(","));
    elements.push(r#"{"name":"web","v":2}"#.to_owned());
    let twice = format!("[{}]", elements.join(","));
    let text = format!(
        "{{\"map\":{{{}}},\"named\":{named},\"twice\":{twice},\"plain\":[1,[2]],{}}}",
        members.join(","),
        members.join(",")
    );
    let object = exact::parse(text.as_bytes()).unwrap();
    let mut all = Vec::new();
    places(&object, "", &mut all);
    assert!(all.len() > 150, "{}", all.len());
    for place in &all {
        let path = spell_in(place, &object);
        let read = pointer(&path).unwrap_or_else(|reason| panic!("{path} of {place}: {reason}"));
        let (there, here) = (object.pointer(place).unwrap(), find(&object, &read));
        assert!(
            here.is_some_and(|here| std::ptr::eq(here, there)),
            "{place} is printed {path}, which is read as {read}"
        );
    }
    // Without an object at hand the tokens themselves come back: indexes, labels and members.
    let labels = ["[name=web]", "[name=0]", "[name=a]b]", "[port=53,protocol=UDP]", "[mountPath=/a]", "[name=]"];
    for one in NAMES.iter().chain(&labels) {
        for other in NAMES.iter().chain(&labels) {
            let place = format!("/{}/{}", escape_pointer(one), escape_pointer(other));
            let path = spell(&place);
            assert_eq!(pointer(&path).as_ref(), Ok(&place), "{path}");
        }
    }
}
