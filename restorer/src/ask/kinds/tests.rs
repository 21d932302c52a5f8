use super::*;

fn kind(group: &str, version: &str, resource: &str, kind: &str, short: &[&str]) -> Discovery {
    Discovery {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: resource.to_owned(),
        singular: kind.to_lowercase(),
        kind: kind.to_owned(),
        short_names: short.iter().map(|s| (*s).to_owned()).collect(),
        namespaced: true,
        ..Discovery::default()
    }
}

fn cluster() -> Vec<Discovery> {
    vec![
        kind("", "v1", "pods", "Pod", &["po"]),
        kind("", "v1", "services", "Service", &["svc"]),
        kind("", "v1", "configmaps", "ConfigMap", &["cm"]),
        kind("", "v1", "events", "Event", &["ev"]),
        kind("events.k8s.io", "v1", "events", "Event", &["ev"]),
        kind("apps", "v1", "deployments", "Deployment", &["deploy"]),
        kind("apps", "v1", "statefulsets", "StatefulSet", &["sts"]),
        kind("networking.k8s.io", "v1", "ingresses", "Ingress", &["ing"]),
        kind("serving.knative.dev", "v1", "services", "Service", &["ksvc"]),
        kind("a.example.com", "v1", "widgets", "Widget", &["w"]),
        kind("b.example.com", "v1beta1", "widgets", "Widget", &["w"]),
        kind("c.example.com", "v1", "gadgets", "Gadget", &["po"]),
    ]
}

fn found(word: &str) -> String {
    label(&resolve(word, &cluster()).unwrap_or_else(|e| panic!("{word}: {e}")))
}

fn refused(word: &str) -> String {
    let failure = resolve(word, &cluster()).expect_err(word);
    format!("{failure} / {}", failure.hint().unwrap_or_default())
}

#[test]
fn every_spelling_of_kubectl() {
    for (word, expected) in [
        ("pods", "pods"),
        ("pod", "pods"),
        ("Pod", "pods"),
        ("PODS", "pods"),
        ("po", "pods"),
        ("pods.v1", "pods"),
        ("pods.v1.", "pods"),
        ("deploy", "deployments.apps"),
        ("deploy.apps", "deployments.apps"),
        ("Deployment.apps", "deployments.apps"),
        ("deployments.v1.apps", "deployments.apps"),
        ("deployment.v1.apps", "deployments.apps"),
        ("ing", "ingresses.networking.k8s.io"),
        ("ingresses.networking.k8s.io", "ingresses.networking.k8s.io"),
        ("ingresses.v1.networking.k8s.io", "ingresses.networking.k8s.io"),
        ("widgets.a.example.com", "widgets.a.example.com"),
        ("widget.v1beta1.b.example.com", "widgets.b.example.com"),
        ("w.b.example.com", "widgets.b.example.com"),
        ("ksvc", "services.serving.knative.dev"),
        ("services.serving.knative.dev", "services.serving.knative.dev"),
    ] {
        assert_eq!(found(word), expected, "{word}");
    }
}

#[test]
fn an_ambiguous_word_means_what_kubernetes_itself_has() {
    assert_eq!(found("services"), "services");
    assert_eq!(found("svc"), "services");
    assert_eq!(found("events"), "events");
    assert_eq!(found("events.events.k8s.io"), "events.events.k8s.io");
    assert_eq!(found("po"), "pods", "a custom kind cannot take a short name over");
}

#[test]
fn an_ambiguous_word_among_custom_kinds_is_refused_with_the_candidates() {
    let text = refused("widgets");
    assert!(text.contains("ambiguous: widgets.a.example.com, widgets.b.example.com"), "{text}");
    assert!(refused("w").contains("ambiguous"));
}

#[test]
fn an_unknown_word_gets_its_neighbours() {
    for (word, near) in [
        ("deploymnets", "deployments.apps"),
        ("pdos", "pods"),
        ("deployment.app", "deployments.apps (read as v1)"),
        ("deployments.v1beta1.apps", "deployments.apps (read as v1)"),
        ("configmpas", "configmaps"),
        ("ingress.extensions", "ingresses.networking.k8s.io"),
    ] {
        let text = refused(word);
        assert!(text.contains(near), "{word}: {text}");
        assert!(text.contains(&format!("kind `{word}`")), "{text}");
    }
    assert!(refused("zebracrossings").contains("hindcast status"));
    assert!(refused("all").contains("deploy,sts"));
}

#[test]
fn a_kind_that_is_gone_gives_way_to_one_that_is_served() {
    let mut known = cluster();
    known.retain(|kind| kind.group != "b.example.com");
    known.push(Discovery { gone: true, ..kind("b.example.com", "v1", "widgets", "Widget", &[]) });
    assert_eq!(label(&resolve("widgets", &known).unwrap()), "widgets.a.example.com");
    assert_eq!(label(&resolve("widgets.b.example.com", &known).unwrap()), "widgets.b.example.com");
}

#[test]
fn lists_and_names() {
    let known = cluster();
    let asked = parse("deploy,svc,deployments", None, &known).unwrap();
    let kinds: Vec<String> = asked.kinds.iter().map(label).collect();
    assert_eq!((kinds, asked.name), (vec!["deployments.apps".to_owned(), "services".to_owned()], None));
    assert_eq!(parse("deploy/web", None, &known).unwrap().name.as_deref(), Some("web"));
    assert_eq!(parse("deploy", Some("web"), &known).unwrap().name.as_deref(), Some("web"));
    for (kind, name) in [("deploy/web", Some("web")), ("deploy/", None), ("deploy/a/b", None), ("", None)] {
        assert!(parse(kind, name, &known).is_err(), "{kind} {name:?}");
    }
    assert!(parse("deploy,svc", Some("web"), &known).is_err());
    assert!(parse("deploy,,svc", None, &known).is_err());
}
