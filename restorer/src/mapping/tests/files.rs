//! Mappings as files, and as they are kept.

use super::*;

const FILE: &str = "\
namespaces: { shop: store, front: web-eu }
storageClasses:
  fast: slow
images: { docker.io: mirror.example.com/hub }
hosts: { '*.example.com': shop.test }
domains: { acme.io: acme.dev }
clusterDomain: k8s.acme.io
addresses: kept
set:
  - path: spec.replicas
    value: 1.10
    kinds: deployments.apps
    names: [web-*, api]
    namespaces: shop
    labels: app=web
  - { path: spec.suspend, value: null }
";

#[test]
fn a_file_says_what_becomes_what() {
    let mapping = Mapping::read("map.yaml", FILE).unwrap();
    let wanted = Mapping {
        namespaces: names(&[("shop", "store"), ("front", "web-eu")]),
        storage_classes: names(&[("fast", "slow")]),
        images: names(&[("docker.io", "mirror.example.com/hub")]),
        hosts: names(&[("*.example.com", "shop.test")]),
        domains: names(&[("acme.io", "acme.dev")]),
        cluster_domain: Some("k8s.acme.io".into()),
        addresses: Addresses::Kept,
        set: vec![
            Set {
                path: "spec.replicas".into(),
                value: exact::parse(b"1.10").unwrap(),
                only: Filter {
                    kinds: vec!["deployments.apps".into()],
                    names: vec!["web-*".into(), "api".into()],
                    namespaces: vec!["shop".into()],
                    labels: "app=web".into(),
                },
            },
            Set { path: "spec.suspend".into(), value: Value::Null, only: Filter::default() },
        ],
        modifiers: None,
    };
    assert_eq!(mapping, wanted);
    assert!(mapping.check().is_ok() && !mapping.is_empty());
    assert!(Mapping::read("map.yaml", "").unwrap().is_empty());
    assert!(Mapping::read("map.yaml", "addresses: all").unwrap().is_empty());
}

#[test]
fn a_mapping_is_kept_as_it_is() {
    let modifiers = Modifiers::read("m.yaml", super::modifiers::STORAGE).unwrap();
    let mapping = Mapping { modifiers: Some(modifiers), ..Mapping::read("map.yaml", FILE).unwrap() };
    let kept = serde_json::to_string(&mapping).unwrap();
    assert_eq!(serde_json::from_str::<Mapping>(&kept).unwrap(), mapping);
    assert!(kept.contains("1.10"), "{kept}");
    for wrong in [
        r#"{"namespace":{}}"#,
        r#"{"set":[{"path":"a","value":"{","only":{}}]}"#,
        r#"{"set":[{"path":"a","value":"1","of":{}}]}"#,
    ] {
        assert!(serde_json::from_str::<Mapping>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_wrong_in_a_file_is_said_with_its_line() {
    let cases = [
        ("namespaces: [a]", "namespaces (line 1)", "no mapping"),
        ("namespaces:\n  shop: Store", "namespaces.shop (line 2)", "no name of a namespace"),
        ("namespaces:\n  Shop: store", "namespaces.Shop (line 2)", "no name of a namespace"),
        ("namespaces:\n  a:\n    b: c", "namespaces.a (line 2)", "no text"),
        ("namespaces:\n  a: null", "namespaces.a (line 2)", "it is empty"),
        ("\n\nnamespace: { a: b }", "namespace (line 3)", "no such field"),
        ("images:\n  nginx: nginx:1.26", "images.nginx (line 2)", "tag or a digest"),
        ("images:\n  https://docker.io: a.io", "(line 2)", "no registry"),
        ("hosts:\n  a.com: 'b com'", "hosts.a.com (line 2)", "is not written"),
        ("domains:\n  a.com: '*.b.com'", "domains.a.com (line 2)", "is not written"),
        ("addresses: some", "addresses (line 1)", "no such choice"),
        ("set:\n  - value: 1", "set[0] (line 2)", "no path"),
        ("set:\n  - path: spec.x", "set[0] (line 2)", "no value"),
        ("set:\n  - path: spec[x\n    value: 1", "set[0].path (line 2)", "not closed"),
        ("set:\n  - path: spec.x\n    value: 1\n    labels: 'a in (b'", "set[0].path (line 2)", "parenthes"),
        ("set:\n  - path: spec.x\n    value: .inf", "", ""),
        ("set:\n  - path: spec.x\n    kind: a", "set[0].kind (line 3)", "no such field"),
        ("a: b\na: c", "line", "no YAML"),
        ("a: [", "line", "no YAML"),
        ("- a", "map.yaml (line 1)", "no mapping"),
        ("text", "map.yaml (line 1)", "no mapping"),
        ("a:\n\t- b\n  c", "", ""),
    ];
    for (text, place, reason) in cases {
        let error = Mapping::read("map.yaml", text).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("map.yaml") && said.contains(place) && said.contains(reason), "{text:?}: {said}");
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{text:?}: {said}");
    }
}

#[test]
fn a_text_of_any_depth_is_read_or_refused() {
    for deep in ["[".repeat(100_000), "{a: ".repeat(100_000), format!("{}{}", "[".repeat(400), "]".repeat(400))] {
        assert!(Mapping::read("map.yaml", &format!("set: {deep}")).is_err());
        let rules = format!(
            "version: v1\nresourceModifierRules:\n- conditions: {{groupResource: '**'}}\n  mergePatches: [{{patchData: '{{a: {deep}}}'}}]"
        );
        let Ok(modifiers) = Modifiers::read("m.yaml", &rules) else { continue };
        let mut object = value(&json!({"a": {"a": 1}}));
        let _ = Mapping { modifiers: Some(modifiers), ..everything() }.apply(&key("pods", "shop", "a"), &mut object);
    }
}

#[test]
fn names_that_are_none_are_refused_wherever_they_come_from() {
    for wrong in ["", "a.b", "A", "-a", "a-", "a_b", &"a".repeat(64)] {
        assert!(to(&[("a", wrong)]).check().is_err(), "{wrong:?}");
        assert!(to(&[(wrong, "a")]).desired(super::whole::desired(&[])).is_err(), "{wrong:?}");
    }
    let image = |from: &str| Mapping { images: names(&[(from, "a.io")]), ..Mapping::default() }.check();
    assert!(
        image("docker.io").is_ok()
            && image("localhost:5000").is_ok()
            && image("nginx").is_ok()
            && image("ghcr.io/acme/web").is_ok()
    );
    assert!(
        image("nginx:1.25").is_err()
            && image("a.io/x@sha256:00").is_err()
            && image("a b").is_err()
            && image("").is_err()
    );
}
