//! Narrowing by path.

use super::scene::{Scene, value};
use crate::plan::{
    narrow::{at, put},
    nowhere,
};

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

#[test]
fn a_path_that_is_nowhere_names_the_nearest_that_there_is() {
    const DEPLOYMENT: &str = r#"{"metadata":{"labels":{"app":"web"}},"spec":{"replicas":3,"template":{"spec":{"containers":[{"name":"web","image":"a","ports":[]}]}}},"data":{"password":"x"}}"#;
    let find = |path: &str| {
        let mut scene = Scene::shop().then("Deployment web", DEPLOYMENT).now("Deployment web", DEPLOYMENT);
        scene.selection.path = Some(path.to_owned());
        nowhere::find(&scene.selection, &scene.desired, &scene.live).map(|nowhere| nowhere.nearest.unwrap_or_default())
    };
    for (path, nearest) in [
        ("/spec/replicas", None),
        ("/spec/template/spec/containers/[name=web]/image", None),
        ("", None),
        ("/spec/replica", Some("/spec/replicas")),
        ("/spec/Replicas", Some("/spec/replicas")),
        ("/replicas", Some("/spec/replicas")),
        ("/spec/tmplate/spec/containers", Some("/spec/template/spec/containers")),
        ("/spec/template/spec/containers/[name=web]/imag", Some("/spec/template/spec/containers/[name=web]/image")),
        ("/template/spec/containers/[name=web]/image", Some("/spec/template/spec/containers/[name=web]/image")),
        ("/spec/template/spec/containers/[name=nope]/image", Some("")),
        ("/spec/anything/else", Some("")),
    ] {
        assert_eq!(find(path).as_deref(), nearest, "{path}");
    }
    // What nobody could read may hold it.
    let mut scene = Scene::shop().then("Deployment web", DEPLOYMENT);
    scene.desired.objects.values_mut().for_each(|wanted| wanted.object = Err("sealed".into()));
    scene.selection.path = Some("/nope".into());
    assert_eq!(nowhere::find(&scene.selection, &scene.desired, &scene.live), None);
    // An undo is of what was touched, whatever its path.
    let mut scene = Scene::shop();
    scene.selection.path = Some("/nope".into());
    assert_eq!(nowhere::find(&scene.selection, &scene.desired, &scene.live), None, "there is no object at all");
}
