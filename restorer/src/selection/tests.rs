use super::*;

fn key(kind: &str, namespace: &str, name: &str) -> ObjectKey {
    let (group, resource) = kind.split_once('/').expect("a kind key");
    ObjectKey {
        namespace: namespace.to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        name: name.to_owned(),
    }
}

fn of(what: What) -> Selection {
    Selection::of(what)
}

#[test]
fn a_selection_reaches_what_it_names() {
    let shop = of(What::Namespace("shop".into()));
    let all = of(What::All);
    let one = of(What::Object { kind: "/configmaps".into(), namespace: "shop".into(), name: "a".into() });
    for (key, in_shop, in_all, in_one) in [
        (key("/configmaps", "shop", "a"), Reach::Named, Reach::Named, Reach::Named),
        (key("/configmaps", "shop", "b"), Reach::Named, Reach::Named, Reach::Out),
        (key("/configmaps", "other", "a"), Reach::Out, Reach::Named, Reach::Out),
        (key("/namespaces", "", "shop"), Reach::Itself, Reach::Named, Reach::Out),
        (key("/namespaces", "", "other"), Reach::Out, Reach::Named, Reach::Out),
        (key("rbac.authorization.k8s.io/clusterroles", "", "r"), Reach::Beside, Reach::Named, Reach::Out),
        (key("/configmaps", "kube-system", "a"), Reach::Out, Reach::Out, Reach::Out),
        (key("/namespaces", "", "kube-system"), Reach::Out, Reach::Out, Reach::Out),
        (key("coordination.k8s.io/leases", "shop", "l"), Reach::Out, Reach::Out, Reach::Out),
        (key("/nodes", "", "n"), Reach::Out, Reach::Out, Reach::Out),
    ] {
        let reach = [&shop, &all, &one].map(|selection| selection.reach(&key));
        assert_eq!(reach, [in_shop, in_all, in_one], "{key:?}");
    }
    let mut system = of(What::All);
    system.widen.include_system = true;
    assert_eq!(system.reach(&key("/nodes", "", "n")), Reach::Named);
    let mut only = of(What::All);
    only.only = vec![("/configmaps".into(), "a".into())];
    assert_eq!(only.reach(&key("/configmaps", "shop", "a")), Reach::Named);
    assert_eq!(only.reach(&key("/secrets", "shop", "a")), Reach::Out);
    assert!(only.wants_kind("/configmaps", true) && !only.wants_kind("/secrets", true));
    assert_eq!(only.scope().kinds, Some(vec!["/configmaps".to_owned()]));
}

#[test]
fn a_selection_reads_back_from_json() {
    let mut shop = of(What::Namespace("shop".into()));
    shop.path = Some("/spec/template".into());
    shop.widen.allow_delete = vec!["/persistentvolumeclaims".into()];
    let text = serde_json::to_string(&shop).expect("writes");
    assert_eq!(serde_json::from_str::<Selection>(&text).expect("reads"), shop);
    let least = r#"{"what":"all"}"#;
    assert_eq!(serde_json::from_str::<Selection>(least).expect("reads"), of(What::All));
}
