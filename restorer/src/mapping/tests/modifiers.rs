//! Velero's resource modifiers, by the examples of its documentation and the cases of its code.

use super::*;

pub(super) const STORAGE: &str = r#"
version: v1
resourceModifierRules:
- conditions:
    groupResource: persistentvolumeclaims
    resourceNameRegex: "^mysql.*$"
    namespaces:
    - bar
    - foo
    labelSelector:
      matchLabels:
        foo: bar
  patches:
  - operation: replace
    path: "/spec/storageClassName"
    value: "premium"
  - operation: remove
    path: "/metadata/labels/test"
"#;

fn mapping(text: &str) -> Mapping {
    Mapping { modifiers: Some(Modifiers::read("m.yaml", text).unwrap()), ..Mapping::default() }
}

/// What rules make of an object.
fn made(text: &str, kind: &str, object: &serde_json::Value) -> serde_json::Value {
    let pick = |pointer: &str| object.pointer(pointer).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    let mut value = value(object);
    let name = Some(pick("/metadata/name")).filter(|name| !name.is_empty()).unwrap_or("it".into());
    mapping(text).apply(&key(kind, &pick("/metadata/namespace"), &name), &mut value).unwrap();
    value.to_serde()
}

/// One rule for everything.
fn rule(patches: &str) -> String {
    format!("version: v1\nresourceModifierRules:\n- conditions: {{groupResource: '**'}}\n{patches}")
}

/// One operation for everything.
fn operation(operation: &str) -> String {
    rule(&format!("  patches:\n  - {operation}\n"))
}

#[test]
fn the_example_of_the_documentation_does_what_it_says() {
    let claim = |namespace: &str, name: &str, foo: &str| json!({"metadata": {"name": name, "namespace": namespace, "labels": {"foo": foo, "test": "x"}}, "spec": {"storageClassName": "standard"}});
    let done = |claim: &serde_json::Value| made(STORAGE, "persistentvolumeclaims", claim);
    let wanted = json!({"metadata": {"name": "mysql-0", "namespace": "bar", "labels": {"foo": "bar"}}, "spec": {"storageClassName": "premium"}});
    assert_eq!(done(&claim("bar", "mysql-0", "bar")), wanted);
    for other in [claim("other", "mysql-0", "bar"), claim("bar", "pg-mysql-0", "bar"), claim("bar", "mysql-0", "baz")] {
        assert_eq!(done(&other), other);
    }
    let claimed = claim("bar", "mysql-0", "bar");
    assert_eq!(made(STORAGE, "persistentvolumes", &claimed), claimed);
}

#[test]
fn changes_name_the_file_the_line_and_the_places() {
    let claim = json!({"metadata": {"name": "mysql", "namespace": "foo", "labels": {"foo": "bar", "test": "x"}}, "spec": {"storageClassName": "a"}});
    let mut after = value(&claim);
    let mapped = mapping(STORAGE).apply(&key("persistentvolumeclaims", "foo", "mysql"), &mut after).unwrap();
    let why = Why::Modifier("m.yaml".into(), 4);
    let change = |path: &str, from: &str, to: Option<&str>| Change {
        why: why.clone(),
        path: path.into(),
        from: Some(from.into()),
        to: to.map(Value::from),
    };
    let wanted = [change("/metadata/labels/test", "x", None), change("/spec/storageClassName", "a", Some("premium"))];
    assert_eq!(mapped.changed, wanted);
    assert_eq!(why.to_string(), "m.yaml, line 4");
}

#[test]
fn values_are_read_as_velero_reads_them() {
    let cases = [
        ("value: premium", json!("premium")),
        ("value: '3'", json!(3)),
        ("value: 3", json!(3)),
        ("value: true", json!(true)),
        ("value: 'null'", json!(null)),
        (r#"value: '"3"'"#, json!("3")),
        (r#"value: '"true"'"#, json!("true")),
        (
            r#"value: "{\"name\": \"nginx\", \"ports\": [{\"containerPort\": 80}]}""#,
            json!({"name": "nginx", "ports": [{"containerPort": 80}]}),
        ),
        ("value: '[1, 2]'", json!([1, 2])),
        ("value: 1.2.3", json!("1.2.3")),
        ("value: 007", json!("007")),
        (r"value: 'a\tb'", json!("a\tb")),
        (r"value: 'a\qb'", json!(r"a\qb")),
        ("value: ''", json!("")),
        ("from: /a", json!("")),
    ];
    for (text, wanted) in cases {
        assert_eq!(
            made(&operation(&format!("{{operation: add, path: /x, {text}}}")), "pods", &json!({}))["x"],
            wanted,
            "{text}"
        );
    }
    let exact = mapping(&operation("{operation: add, path: /x, value: 1.10}"));
    let mut object = value(&json!({}));
    exact.apply(&key("pods", "", "a"), &mut object).unwrap();
    assert_eq!(object.to_string(), r#"{"x":1.10}"#);
}

#[test]
fn operations_are_those_of_rfc_6902() {
    let object = json!({"a": {"b": [1, 2, 3]}, "c~d/e": 1});
    let cases = [
        ("{operation: add, path: /a/b/1, value: 9}", json!({"a": {"b": [1, 9, 2, 3]}, "c~d/e": 1})),
        ("{operation: add, path: /a/b/-, value: 9}", json!({"a": {"b": [1, 2, 3, 9]}, "c~d/e": 1})),
        ("{operation: add, path: /a/b/-1, value: 9}", json!({"a": {"b": [1, 2, 3, 9]}, "c~d/e": 1})),
        ("{operation: replace, path: /a/b/-1, value: 9}", json!({"a": {"b": [1, 2, 9]}, "c~d/e": 1})),
        ("{operation: remove, path: /a/b/0}", json!({"a": {"b": [2, 3]}, "c~d/e": 1})),
        ("{operation: remove, path: /c~0d~1e}", json!({"a": {"b": [1, 2, 3]}})),
        ("{operation: Move, from: /a/b, path: /b}", json!({"a": {}, "b": [1, 2, 3], "c~d/e": 1})),
        ("{operation: copy, from: /a/b/-2, path: /b}", json!({"a": {"b": [1, 2, 3]}, "b": 2, "c~d/e": 1})),
    ];
    for (text, wanted) in cases {
        assert_eq!(made(&operation(text), "pods", &object), wanted, "{text}");
    }
}

#[test]
fn a_test_that_fails_leaves_the_rule_undone() {
    let text = rule(
        "  patches:\n  - {operation: add, path: /x, value: 1}\n  - {operation: test, path: /class, value: premium}\n  - {operation: replace, path: /class, value: standard}\n",
    );
    assert_eq!(made(&text, "pods", &json!({"class": "premium"})), json!({"class": "standard", "x": 1}));
    assert_eq!(made(&text, "pods", &json!({"class": "other"})), json!({"class": "other"}));
    assert_eq!(made(&text, "pods", &json!({})), json!({}));
    let absent = operation("{operation: test, path: /a/b, value: 'null'}");
    assert_eq!(made(&absent, "pods", &json!({})), json!({}));
}

#[test]
fn a_patch_that_cannot_be_applied_is_an_error_of_the_object_and_leaves_it() {
    let object = value(&json!({"metadata": {"name": "a"}, "list": [1]}));
    let cases = [
        ("{operation: remove, path: /nothing}", "remove /nothing: nothing there"),
        ("{operation: replace, path: /nothing, value: 1}", "nothing there"),
        ("{operation: add, path: /no/where, value: 1}", "nothing there"),
        ("{operation: add, path: /list/7, value: 1}", "not an index"),
        ("{operation: remove, path: /list/-2}", "not so many elements"),
        ("{operation: copy, from: /nothing, path: /x}", "nothing there"),
        ("{operation: move, from: /list, path: /list/0}", "into itself"),
    ];
    for (text, reason) in cases {
        let text = rule(&format!("  patches:\n  - {{operation: add, path: /x, value: 1}}\n  - {text}\n"));
        let mut after = object.clone();
        let error = mapping(&text).apply(&key("apps/deployments", "shop", "a"), &mut after).unwrap_err();
        assert_eq!(after, object, "{text}");
        let said = error.to_string();
        assert!(said.contains("m.yaml (line 3): deployments.apps/a in shop") && said.contains(reason), "{said}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn conditions_hold_as_they_do_in_velero() {
    let holds = |conditions: &str, kind: &str, object: &serde_json::Value| {
        let text = format!(
            "version: v1\nresourceModifierRules:\n- conditions: {{{conditions}}}\n  patches: [{{operation: add, path: /done, value: 'true'}}]\n"
        );
        made(&text, kind, object).get("done").is_some()
    };
    let object = json!({"metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web", "n": "1"}}, "spec": {"type": "A", "n": 3}});
    let cases = [
        ("groupResource: deployments.apps", true),
        ("groupResource: '*.apps'", true),
        ("groupResource: 'deploy*.apps'", true),
        ("groupResource: '*'", false),
        ("groupResource: '**'", true),
        ("groupResource: 'deployment?.apps'", true),
        ("groupResource: '{services,deployments.apps}'", true),
        ("groupResource: '[a-e]eployments.apps'", true),
        ("groupResource: '[!a-e]eployments.apps'", false),
        ("groupResource: deployments", false),
        ("groupResource: deployments.apps, namespaces: [shop]", true),
        ("groupResource: deployments.apps, namespaces: ['*']", true),
        ("groupResource: deployments.apps, namespaces: ['sh*', other]", true),
        ("groupResource: deployments.apps, namespaces: [other]", false),
        ("groupResource: deployments.apps, resourceNameRegex: web", true),
        ("groupResource: deployments.apps, resourceNameRegex: '^eb'", false),
        ("groupResource: deployments.apps, resourceNameRegex: ''", true),
        ("groupResource: deployments.apps, labelSelector: {}", true),
        ("groupResource: deployments.apps, labelSelector: {matchLabels: {app: web, n: 1}}", true),
        (
            "groupResource: deployments.apps, labelSelector: {matchExpressions: [{key: app, operator: In, values: [a, web]}]}",
            true,
        ),
        (
            "groupResource: deployments.apps, labelSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [a]}]}",
            true,
        ),
        (
            "groupResource: deployments.apps, labelSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}",
            false,
        ),
        (
            "groupResource: deployments.apps, labelSelector: {matchExpressions: [{key: app, operator: Exists}, {key: x, operator: DoesNotExist}]}",
            true,
        ),
        ("groupResource: deployments.apps, matches: [{path: /spec/type, value: A}, {path: /spec/n, value: '3'}]", true),
        ("groupResource: deployments.apps, matches: [{path: /spec/type, value: B}]", false),
        ("groupResource: deployments.apps, matches: [{path: /spec/x/y, value: B}]", false),
    ];
    for (conditions, wanted) in cases {
        assert_eq!(holds(conditions, "apps/deployments", &object), wanted, "{conditions}");
    }
    let wide = json!({"metadata": {"name": "web-1"}});
    assert!(holds("groupResource: persistentvolumes, namespaces: [shop]", "persistentvolumes", &wide));
}

#[test]
fn conditions_are_asked_of_the_object_as_it_was_and_all_rules_are_carried_out() {
    let text = "
version: V1
resourceModifierRules:
- conditions: {groupResource: pods, matches: [{path: /a, value: '1'}]}
  mergePatches: [{patchData: '{\"a\": 2, \"first\": true}'}]
- conditions: {groupResource: pods, matches: [{path: /a, value: '1'}]}
  mergePatches: [{patchData: 'second: true'}]
- conditions: {groupResource: pods, matches: [{path: /a, value: '2'}]}
  mergePatches: [{patchData: 'third: true'}]
";
    assert_eq!(made(text, "pods", &json!({"a": 1})), json!({"a": 2, "first": true, "second": true}));
}

#[test]
fn modifiers_see_the_old_namespace_and_references_follow() {
    let text = "
version: v1
resourceModifierRules:
- conditions: {groupResource: rolebindings.rbac.authorization.k8s.io, namespaces: [shop]}
  patches:
  - {operation: add, path: /subjects/-, value: '{\"kind\": \"ServiceAccount\", \"name\": \"x\", \"namespace\": \"shop\"}'}
";
    let mapping = Mapping { namespaces: names(&[("shop", "store")]), ..mapping(text) };
    let mut object = value(&json!({"metadata": {"name": "a", "namespace": "shop"}, "subjects": []}));
    mapping.apply(&key("rbac.authorization.k8s.io/rolebindings", "shop", "a"), &mut object).unwrap();
    let wanted = json!({"metadata": {"name": "a", "namespace": "store"}, "subjects": [{"kind": "ServiceAccount", "name": "x", "namespace": "store"}]});
    assert_eq!(object.to_serde(), wanted);
}

#[test]
fn merge_patches_are_those_of_rfc_7386() {
    let text = rule(
        "  mergePatches:\n  - patchData: |\n      metadata:\n        annotations: {a: null, b: \"2\"}\n      spec: {list: [3], deep: {x: 1.10}}\n",
    );
    let object = json!({"metadata": {"annotations": {"a": "1", "c": "3"}}, "spec": {"list": [1, 2], "deep": "text"}});
    let mut after = value(&object);
    mapping(&text).apply(&key("x.io/y", "", "a"), &mut after).unwrap();
    assert_eq!(
        after.to_string(),
        r#"{"metadata":{"annotations":{"b":"2","c":"3"}},"spec":{"deep":{"x":1.10},"list":[3]}}"#
    );
}

#[test]
fn strategic_patches_merge_lists_by_their_keys() {
    let done = |kind: &str, object: &serde_json::Value, patch: &str| {
        made(&rule(&format!("  strategicPatches:\n  - patchData: '{patch}'\n")), kind, object)
    };
    let pod = json!({
        "metadata": {"finalizers": ["a"]},
        "spec": {
            "containers": [{"name": "web", "image": "w:1", "env": [{"name": "A", "value": "1"}], "args": ["x"]}, {"name": "side", "image": "s:1"}],
            "tolerations": [{"key": "a"}], "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "secret": {}}],
        },
    });
    let patch = r#"{"metadata": {"finalizers": ["a", "b"]}, "spec": {"containers": [
        {"name": "web", "image": "w:2", "env": [{"name": "B", "value": "2"}, {"name": "A", "$patch": "delete"}], "args": ["y"]},
        {"name": "new", "image": "n:1"}], "tolerations": [{"key": "b"}],
        "volumes": [{"name": "v", "$patch": "delete"}, {"name": "x", "emptyDir": {"$patch": "replace"}}]}}"#;
    let patch = patch.replace('\n', " ");
    let wanted = json!({
        "metadata": {"finalizers": ["a", "b"]},
        "spec": {
            "containers": [
                {"name": "web", "image": "w:2", "env": [{"name": "B", "value": "2"}], "args": ["y"]},
                {"name": "side", "image": "s:1"},
                {"name": "new", "image": "n:1"},
            ],
            "tolerations": [{"key": "b"}], "volumes": [{"name": "w", "secret": {}}, {"name": "x", "emptyDir": {}}],
        },
    });
    assert_eq!(done("pods", &pod, &patch), wanted);
    let job = json!({"spec": {"jobTemplate": {"spec": {"template": pod}}}});
    assert_eq!(
        done("batch/cronjobs", &job, &format!(r#"{{"spec": {{"jobTemplate": {{"spec": {{"template": {patch}}}}}}}}}"#)),
        json!({"spec": {"jobTemplate": {"spec": {"template": wanted}}}})
    );
    let service =
        json!({"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 443}], "selector": {"app": "x", "old": "y"}}});
    let ports = done(
        "services",
        &service,
        r#"{"spec": {"ports": [{"port": 80, "nodePort": 1}], "selector": {"$patch": "replace", "app": "z"}}}"#,
    );
    assert_eq!(
        ports,
        json!({"spec": {"ports": [{"port": 80, "name": "a", "nodePort": 1}, {"port": 443}], "selector": {"app": "z"}}})
    );
    let strategy = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let recreate =
        done("apps/deployments", &strategy, r#"{"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}"#);
    assert_eq!(recreate, json!({"spec": {"strategy": {"type": "Recreate"}}}));
    let list = done("pods", &pod, r#"{"spec": {"containers": [{"$patch": "replace"}, {"name": "only"}]}}"#);
    assert_eq!(list["spec"]["containers"], json!([{"name": "only"}]));
    let gone = done(
        "pods",
        &pod,
        r#"{"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}, "spec": {"tolerations": null}}"#,
    );
    assert_eq!((&gone["metadata"]["finalizers"], gone["spec"].get("tolerations")), (&json!([]), None));
    let hooks = json!({"webhooks": [{"name": "a", "failurePolicy": "Fail", "matchConditions": [{"name": "x", "expression": "1"}]}]});
    let ignored = done(
        "admissionregistration.k8s.io/validatingwebhookconfigurations",
        &hooks,
        r#"{"webhooks": [{"name": "a", "matchConditions": [{"name": "y", "expression": "2"}]}]}"#,
    );
    assert_eq!(ignored["webhooks"][0]["matchConditions"].as_array().unwrap().len(), 2);
}

#[test]
fn what_strategic_patches_do_not_do_is_refused() {
    let refused = |kind: &str, patch: &str| {
        let text = rule(&format!("  strategicPatches:\n  - patchData: '{patch}'\n"));
        let mut object = value(&json!({"spec": {"containers": [{"name": "a"}]}}));
        mapping(&text).apply(&key(kind, "", "a"), &mut object).unwrap_err().to_string()
    };
    assert!(refused("x.io/y", r#"{"a": 1}"#).contains("use mergePatches"));
    assert!(
        refused("pods", r#"{"spec": {"$setElementOrder/containers": [{"name": "a"}]}}"#).contains("not understood")
    );
    assert!(
        refused("pods", r#"{"spec": {"containers": [{"image": "x"}]}}"#)
            .contains("spec/containers: an element has no name")
    );
    assert!(refused("pods", r#"{"spec": {"$patch": "burn"}}"#).contains("burn"));
    assert!(refused("pods", r#"{"spec": {"$retainKeys": ["a"], "b": 1}}"#).contains("does not name b"));
}

#[test]
fn what_is_wrong_in_a_file_of_modifiers_is_said_with_its_line() {
    let conditions = "version: v1\nresourceModifierRules:\n- conditions: {groupResource: pods";
    let cases = [
        (String::new(), "(line 1)", "no version"),
        ("version: v2".to_owned(), "version (line 1)", "not known"),
        ("version: v1".to_owned(), "(line 1)", "no rules"),
        ("version: v1\nresourceModifierRules: []".to_owned(), "(line 1)", "no rules"),
        ("version: v1\nrules: []".to_owned(), "rules (line 2)", "no such field"),
        ("version: v1\nresourceModifierRules:\n- patches: []".to_owned(), "resourceModifierRules[0] (line 3)", "no conditions"),
        (format!("{conditions}}}"), "[0] (line 3)", "no patches"),
        (format!("{conditions}}}\n  patches: []"), "patches (line 4)", "no patches"),
        (format!("{conditions}}}\n  patches: [{{operation: test, path: /a}}]\n  mergePatches: [{{patchData: 'a: 1'}}]"), "(line 5)", "one sort"),
        (format!("{conditions}, kind: x}}\n  patches: [{{operation: test, path: /a}}]"), "kind (line 3)", "no such field"),
        (format!("{conditions}, resourceNameRegex: '('}}\n  patches: [{{operation: test, path: /a}}]"), "resourceNameRegex (line 3)", "regular expression"),
        (format!("{conditions}, resourceNameRegex: 'a{{99999}}{{99999}}'}}\n  patches: [{{operation: test, path: /a}}]"), "(line 3)", "too large"),
        ("version: v1\nresourceModifierRules:\n- conditions: {groupResource: '[a'}\n  patches: [{operation: test, path: /a}]".to_owned(), "groupResource (line 3)", "not closed"),
        (format!("{conditions}, labelSelector: {{matchExpressions: [{{key: a, operator: Is}}]}}}}\n  patches: [{{operation: test, path: /a}}]"), "operator (line 3)", "no operator"),
        (format!("{conditions}, labelSelector: {{matchExpressions: [{{key: a, operator: In}}]}}}}\n  patches: [{{operation: test, path: /a}}]"), "(line 3)", "no values"),
        (format!("{conditions}, matches: [{{value: a}}]}}\n  patches: [{{operation: test, path: /a}}]"), "matches[0] (line 3)", "no path"),
        (format!("{conditions}}}\n  patches:\n  - operation: burn\n    path: /a"), "operation (line 5)", "no operation"),
        (format!("{conditions}}}\n  patches:\n  - path: /a"), "patches[0] (line 5)", "no operation"),
        (format!("{conditions}}}\n  patches:\n  - operation: remove"), "patches[0] (line 5)", "no path"),
        (format!("{conditions}}}\n  patches:\n  - operation: remove\n    path: spec.x"), "path (line 6)", "no JSON pointer"),
        (format!("{conditions}}}\n  patches:\n  - operation: remove\n    path: /a~2"), "path (line 6)", "no JSON pointer"),
        (format!("{conditions}}}\n  patches:\n  - operation: copy\n    path: /a"), "patches[0] (line 5)", "no from"),
        (format!("{conditions}}}\n  patches:\n  - operation: add\n    path: /a\n    value: '{{'"), "value (line 7)", "is none"),
        (
            format!("{conditions}}}\n  patches:\n  - operation: add\n    path: /a\n    value: {{b: 1}}"),
            "value (line 7)",
            "is a text",
        ),
        (
            "version: v1\nresourceModifierRules:\n- conditions: {groupResource: ''}\n  patches: [{operation: test, path: /a}]".to_owned(),
            "groupResource (line 3)",
            "is empty",
        ),
        (format!("{conditions}}}\n  mergePatches:\n  - patchBytes: x"), "patchBytes (line 5)", "no such field"),
        (format!("{conditions}}}\n  mergePatches:\n  - patchData: |\n      a: [\n      b: 1"), "line", "no YAML"),
        (format!("{conditions}}}\n  strategicPatches:\n  - patchData: text"), "patchData (line 5)", "no mapping"),
    ];
    for (text, place, reason) in cases {
        let error = Modifiers::read("m.yaml", &text).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("m.yaml") && said.contains(place) && said.contains(reason), "{text}\n{said}");
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{said}");
    }
}

#[test]
fn a_config_map_has_one_key() {
    let data =
        |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), STORAGE.to_owned())).collect::<BTreeMap<_, _>>();
    assert!(Modifiers::of_config_map("m", &data(&["rules.yaml"])).is_ok());
    assert!(Modifiers::of_config_map("m", &data(&[])).unwrap_err().to_string().contains("no data"));
    assert!(Modifiers::of_config_map("m", &data(&["a", "b"])).unwrap_err().to_string().contains("2 data keys: a, b"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[-a-z:{}\\[\\]\"' \n|/~0-9$.&*?!#]{0,80}") {
        let _ = Modifiers::read("m.yaml", &text);
        let _ = Mapping::read("map.yaml", &text);
        let _ = Modifiers::read("m.yaml", &rule(&format!("  mergePatches:\n  - patchData: {text}\n")));
        let _ = Modifiers::read("m.yaml", &operation(&format!("{{operation: add, path: /x, value: {text}}}")));
        let _ = Set::parse(&text, Filter::default());
    }
}
