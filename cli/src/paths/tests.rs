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
