use super::*;

fn kind(group: &str, resource: &str, crd: &str, domain: &str) -> Arc<Discovery> {
    Arc::new(Discovery {
        group: group.into(),
        resource: resource.into(),
        crd_uid: crd.into(),
        domain: domain.into(),
        verbs: vec!["list".into(), "watch".into()],
        ..Discovery::default()
    })
}

#[test]
fn custom_resources_are_probed_by_one_and_other_domains_not_at_all() {
    let kinds = [
        kind("", "pods", "", MAIN),
        kind("a.io", "as", "u1", MAIN),
        kind("b.io", "bs", "u2", MAIN),
        kind("", "events", "", "events"),
    ];
    let probed: Vec<String> = candidates(kinds.into_iter()).iter().map(|k| k.kind_key()).collect();
    assert_eq!(probed, ["/pods", "a.io/as"]);
}

#[test]
fn a_domain_is_named_by_its_first_kind_without_clashes() {
    let events = kind("", "events", "", MAIN);
    let mut others = BTreeMap::new();
    assert_eq!(name(&events, &others), "events");
    others.insert("events".to_owned(), events);
    assert_eq!(name(&kind("events.k8s.io", "events", "", MAIN), &others), "events.events.k8s.io");
}
