use super::*;

/// Shapes as Kubernetes 1.36 answers them, cut to what matters.
const GROUPS: &str = r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},"items":[
 {"metadata":{"creationTimestamp":null},"versions":[{"version":"v1","freshness":"Current","resources":[
   {"resource":"pods","responseKind":{"group":"","version":"","kind":"Pod"},"scope":"Namespaced","singularResource":"pod",
    "verbs":["watch","list","get"],"shortNames":["po"],"categories":["all"],
    "subresources":[{"subresource":"status","responseKind":{"group":"","version":"","kind":"Pod"},"verbs":["get"]}]},
   {"resource":"events","responseKind":{"group":"","version":"","kind":"Event"},"scope":"Namespaced","singularResource":"event","verbs":["list","watch"],"shortNames":["ev"]},
   {"resource":"bindings","responseKind":{"group":"","version":"","kind":"Binding"},"scope":"Namespaced","singularResource":"binding","verbs":["create"]}]}]},
 {"metadata":{"name":"autoscaling"},"versions":[
   {"version":"v2","freshness":"Current","resources":[{"resource":"horizontalpodautoscalers","responseKind":{"kind":"HorizontalPodAutoscaler"},"scope":"Namespaced","singularResource":"horizontalpodautoscaler","verbs":["list","watch"],"shortNames":["hpa"]}]},
   {"version":"v1","freshness":"Current","resources":[{"resource":"horizontalpodautoscalers","responseKind":{"kind":"HorizontalPodAutoscaler"},"scope":"Namespaced","singularResource":"horizontalpodautoscaler","verbs":["list","watch"],"shortNames":["hpa"]}]}]},
 {"metadata":{"name":"metrics.k8s.io"},"versions":[{"version":"v1beta1","freshness":"Stale","resources":null}]}
]}"#;

fn served() -> Served {
    let mut served = Served::default();
    served.take(serde_json::from_str(GROUPS).unwrap());
    served
}

#[test]
fn kinds_are_read_with_all_their_versions() {
    let served = served();
    let keys: Vec<&str> = served.kinds.keys().map(String::as_str).collect();
    assert_eq!(keys, ["/bindings", "/events", "/pods", "autoscaling/horizontalpodautoscalers"]);
    let hpa = &served.kinds["autoscaling/horizontalpodautoscalers"];
    assert_eq!((hpa.version.as_str(), hpa.served.as_slice()), ("v2", &["v2".to_owned(), "v1".to_owned()][..]));
    assert!(watchable(hpa) && !watchable(&served.kinds["/bindings"]));
    assert_eq!(served.stale.iter().collect::<Vec<_>>(), ["metrics.k8s.io"]);
    assert_eq!(path(&served.kinds["/pods"]), "/api/v1/pods");
    assert_eq!(path_in(hpa, "shop"), "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers");
}

#[test]
fn the_pinned_version_stays_while_it_is_served_and_stale_groups_keep_their_kinds() {
    let mut known = served().kinds;
    known.get_mut("autoscaling/horizontalpodautoscalers").unwrap().version = "v1".to_owned();
    let nodes = Discovery {
        group: "metrics.k8s.io".into(),
        version: "v1beta1".into(),
        resource: "nodes".into(),
        ..Discovery::default()
    };
    known.insert(nodes.kind_key(), nodes);
    let settled = served().settle(&known, &BTreeMap::new());
    assert_eq!(settled["autoscaling/horizontalpodautoscalers"].version, "v1");
    assert!(settled.contains_key("metrics.k8s.io/nodes"));
    known.get_mut("autoscaling/horizontalpodautoscalers").unwrap().version = "v2beta2".to_owned();
    let settled = served().settle(&known, &BTreeMap::new());
    assert_eq!(settled["autoscaling/horizontalpodautoscalers"].version, "v2");
}

#[test]
fn crds_give_uid_columns_and_whether_they_are_established() {
    let crd = crd(br#"{"metadata":{"name":"widgets.example.com","uid":"u-1"},"spec":{"group":"example.com",
      "names":{"plural":"widgets","kind":"Widget"},"versions":[{"name":"v1","schema":{"openAPIV3Schema":{"type":"object"}},
      "additionalPrinterColumns":[{"name":"Size","type":"integer","jsonPath":".spec.size"}]}]},
      "status":{"conditions":[{"type":"Established","status":"True"}]}}"#)
    .unwrap();
    assert_eq!((crd.kind_key.as_str(), crd.uid.as_str(), crd.established), ("example.com/widgets", "u-1", true));
    assert_eq!(crd.columns["v1"][0].json_path, ".spec.size");
}

#[test]
fn only_groups_of_other_servers_are_aggregated() {
    let of = |text: &str| aggregated(text.as_bytes());
    let spec = r#""metadata":{"name":"v1.metrics.k8s.io"},"spec":{"group":"metrics.k8s.io","service":{"name":"m","namespace":"n"}}"#;
    let alive = Aggregated {
        name: "v1.metrics.k8s.io".into(),
        group: "metrics.k8s.io".into(),
        service: "n/m".into(),
        dead: None,
    };
    assert_eq!(of(&format!("{{{spec}}}")), Some(alive.clone()));
    let status = |status: &str, message: &str| {
        format!(
            r#"{{{spec},"status":{{"conditions":[{{"type":"Available","status":"{status}","reason":"MissingEndpoints","message":"{message}","lastTransitionTime":"2026-11-01T13:00:00Z"}}]}}}}"#
        )
    };
    assert_eq!(of(&status("True", "all checks passed")), Some(alive.clone()));
    for (message, why) in [("no addresses", "no addresses"), ("", "MissingEndpoints")] {
        let dead = Some(Dead { since: "2026-11-01T13:00:00Z".into(), why: why.into() });
        assert_eq!(of(&status("False", message)), Some(Aggregated { dead, ..alive.clone() }));
    }
    assert_eq!(of(r#"{"spec":{"group":"apps","service":null}}"#), None);
    assert_eq!(of(r#"{"spec":{"group":"apps"}}"#), None);
}
