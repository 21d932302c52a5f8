use super::*;

#[test]
fn paths_become_pointers() {
    for (path, wanted) in [
        ("spec.template", "/spec/template"),
        (".spec.template", "/spec/template"),
        ("/spec/template/", "/spec/template"),
        ("spec.template.spec.containers[0].image", "/spec/template/spec/containers/0/image"),
        ("metadata.annotations[\"a.b/c\"]", "/metadata/annotations/a.b~1c"),
    ] {
        assert_eq!(scope::pointer(path).unwrap(), wanted);
    }
    for path in ["", ".", "spec.", "spec..x", "spec[0", "spec[]"] {
        let failure = scope::pointer(path).unwrap_err();
        assert!(failure.hint().is_some(), "{path}: {failure}");
    }
}

#[test]
fn a_scope_is_never_guessed() {
    let target = Target::default();
    let failure = check(&target).unwrap_err();
    assert_eq!(failure.hints.len(), 3, "the three choices: {:?}", failure.hints);
    let kind = |kind: &str| Target { kind: Some(kind.into()), ..Target::default() };
    assert!(check(&kind("deploy/web")).is_ok());
    assert!(check(&Target { namespace: Some("shop".into()), ..Target::default() }).is_ok());
    assert!(check(&Target { all_namespaces: true, ..Target::default() }).is_ok());
    assert!(check(&Target { name: Some("web".into()), ..kind("deploy") }).is_ok());
    for (target, text) in [
        (kind("deploy"), "a kind alone names no object"),
        (Target { all_namespaces: true, ..kind("deploy/web") }, "an object is of one namespace"),
        (Target { only: vec!["cm/a".into()], ..kind("deploy/web") }, "cannot be narrowed"),
    ] {
        let failure = check(&target).unwrap_err();
        assert!(failure.to_string().contains(text), "{failure}");
    }
}
