//! Single objects: what is taken out, set, told and refused.

use super::*;

fn applied(mapping: &Mapping, kind: &str, namespace: &str, object: &serde_json::Value) -> (serde_json::Value, Mapped) {
    let mut value = value(object);
    let mapped = mapping.apply(&key(kind, namespace, "web"), &mut value).unwrap();
    (value.to_serde(), mapped)
}

fn told(mapping: &Mapping, kind: &str, object: &serde_json::Value) -> Vec<String> {
    applied(mapping, kind, "other", object).1.told.into_iter().map(|told| told.path).collect()
}

#[test]
fn a_clone_of_a_service_asks_for_no_address_that_was_allocated() {
    let service = json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "type": "LoadBalancer", "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "healthCheckNodePort": 31000,
            "ipFamilies": ["IPv4"], "ports": [{"port": 80, "nodePort": 30080}, {"port": 81}],
        },
    });
    let (clone, mapped) = applied(&to(&[("shop", "store")]), "services", "shop", &service);
    let wanted = json!({
        "metadata": {"name": "web", "namespace": "store"},
        "spec": {"type": "LoadBalancer", "ipFamilies": ["IPv4"], "ports": [{"port": 80}, {"port": 81}]},
    });
    assert_eq!(clone, wanted);
    let taken: Vec<&str> = mapped
        .changed
        .iter()
        .filter(|change| change.why == Why::Allocated)
        .map(|change| change.path.as_str())
        .collect();
    assert_eq!(taken, ["/spec/clusterIP", "/spec/clusterIPs", "/spec/healthCheckNodePort", "/spec/ports/0/nodePort"]);

    let kept = Mapping { addresses: Addresses::Kept, ..to(&[("shop", "store")]) };
    assert_eq!(applied(&kept, "services", "shop", &service).0["spec"], service["spec"]);
    let elsewhere = Mapping { addresses: Addresses::All, ..Mapping::default() };
    assert_eq!(applied(&elsewhere, "services", "shop", &service).0["spec"], wanted["spec"]);
    assert_eq!(applied(&to(&[("other", "store")]), "services", "shop", &service).0, service);
}

#[test]
fn a_headless_service_stays_headless() {
    let service = json!({"metadata": {"namespace": "shop"}, "spec": {"clusterIP": "None", "clusterIPs": ["None"]}});
    assert_eq!(applied(&to(&[("shop", "store")]), "services", "shop", &service).0["spec"], service["spec"]);
}

#[test]
fn a_claim_keeps_its_volume_for_the_plan_to_judge() {
    let claim = json!({"metadata": {"namespace": "shop"}, "spec": {"volumeName": "pv-1", "storageClassName": "fast"}});
    assert_eq!(applied(&to(&[("shop", "store")]), "persistentvolumeclaims", "shop", &claim).0["spec"], claim["spec"]);
}

#[test]
fn namespaces_change_places() {
    let swap = to(&[("a", "b"), ("b", "a")]);
    let binding = json!({
        "metadata": {"name": "web", "namespace": "a"},
        "subjects": [
            {"kind": "ServiceAccount", "namespace": "a"},
            {"kind": "ServiceAccount", "namespace": "b"},
            {"kind": "User", "name": "system:serviceaccount:b:x"},
        ],
    });
    let (mapped, of) = applied(&swap, "rbac.authorization.k8s.io/rolebindings", "a", &binding);
    assert_eq!(of.key.namespace, "b");
    let wanted = json!({
        "metadata": {"name": "web", "namespace": "b"},
        "subjects": [
            {"kind": "ServiceAccount", "namespace": "b"},
            {"kind": "ServiceAccount", "namespace": "a"},
            {"kind": "User", "name": "system:serviceaccount:a:x"},
        ],
    });
    assert_eq!(mapped, wanted);
    assert!(of.told.is_empty(), "{:?}", of.told);
}

#[test]
fn names_are_of_the_cluster_only_where_they_say_so() {
    let own = Mapping { cluster_domain: Some("k8s.acme.io".into()), ..everything() };
    let hosts = json!({"spec": {"hosts": ["a.shop.svc.k8s.acme.io", "a.shop.svc.cluster.local", "a.shop.svc.acme.io", "svc", "shop.svc"]}});
    let (mapped, _) = applied(&own, "networking.istio.io/serviceentries", "other", &hosts);
    let wanted =
        json!(["a.store.svc.k8s.acme.io", "a.shop.svc.cluster.local", "a.shop.svc.acme.dev", "svc", "shop.svc"]);
    assert_eq!(mapped["spec"]["hosts"], wanted);
}

#[test]
fn the_longest_name_wins() {
    let mapping = Mapping {
        images: names(&[("ghcr.io", "a.io"), ("ghcr.io/acme", "b.io/x"), ("nginx", "c.io/nginx")]),
        domains: names(&[("acme.io", "one.io"), ("eu.acme.io", "two.io")]),
        hosts: names(&[("web.eu.acme.io", "three.io")]),
        ..Mapping::default()
    };
    let pod = json!({"spec": {
        "containers": [
            {"image": "ghcr.io/acme/web"}, {"image": "ghcr.io/other/web:1"}, {"image": "nginx:1.25@sha256:ab"},
            {"image": "localhost:5000/nginx"}, {"image": "registry:5000/ghcr.io/acme"}, {"image": ""},
        ],
        "hostAliases": [{"hostnames": ["web.eu.acme.io", "a.eu.acme.io", "eu.acme.io", "b.acme.io", "xacme.io"]}],
    }});
    let (mapped, _) = applied(&mapping, "pods", "other", &pod);
    let images: Vec<&serde_json::Value> =
        mapped["spec"]["containers"].as_array().unwrap().iter().map(|c| &c["image"]).collect();
    let wanted = [
        "b.io/x/web",
        "a.io/other/web:1",
        "c.io/nginx:1.25@sha256:ab",
        "localhost:5000/nginx",
        "registry:5000/ghcr.io/acme",
        "",
    ];
    assert_eq!(images, wanted);
    assert_eq!(
        mapped["spec"]["hostAliases"][0]["hostnames"],
        json!(["three.io", "a.two.io", "two.io", "b.one.io", "xacme.io"])
    );
}

#[test]
fn text_that_names_a_namespace_is_told_and_stays() {
    let deployment = json!({
        "metadata": {"name": "web", "namespace": "other", "labels": {"app": "shop"}},
        "spec": {"template": {"spec": {
            "serviceAccountName": "shop",
            "containers": [{
                "name": "shop",
                "image": "shop/web:1",
                "args": ["--watch-namespace=shop", "--app=shop", "-n", "shop", "--peer", "shop/web", "/srv/shop/x"],
                "env": [
                    {"name": "DB", "value": "postgres://db.shop.svc:5432/shop"},
                    {"name": "CACHE", "value": "redis.shop:6379"},
                    {"name": "POD_NAMESPACE", "value": "shop"},
                    {"name": "APP", "value": "shop"},
                    {"name": "WHO", "value": "system:serviceaccount:shop:web"},
                    {"name": "URL", "value": "https://shop.example.com"},
                    {"name": "OTHER", "value": "db.shop-eu.svc"},
                ],
            }],
        }}},
        "status": {"note": "db.shop.svc"},
    });
    let mapping = to(&[("shop", "store")]);
    let before = deployment.clone();
    let (after, mapped) = applied(&mapping, "apps/deployments", "other", &deployment);
    assert_eq!(after, before);
    assert!(!mapped.is_changed());
    let paths: Vec<&str> = mapped.told.iter().map(|told| told.path.as_str()).collect();
    let container = "/spec/template/spec/containers/0";
    let wanted = ["args/0", "args/3", "args/5", "env/0/value", "env/1/value", "env/2/value", "env/4/value"];
    assert_eq!(paths, wanted.map(|path| format!("{container}/{path}")));
    assert!(mapped.told.iter().all(|told| told.namespace == "shop" && told.wherefore == Wherefore::Text));
}

#[test]
fn values_of_secrets_are_looked_into_and_not_told() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let secret = json!({"data": {"dsn": STANDARD.encode("postgres://u:p@db.shop.svc/x"), "key": STANDARD.encode([0xff, 0xfe]), "app": "c2hvcA=="}});
    let (_, mapped) = applied(&to(&[("shop", "store")]), "secrets", "shop", &secret);
    assert_eq!(mapped.told.iter().map(|told| told.path.as_str()).collect::<Vec<_>>(), ["/data/dsn"]);
    assert!(!format!("{:?}", mapped.told).contains("postgres"));
}

#[test]
fn what_is_packed_or_sealed_for_its_namespace_is_told() {
    let mapping = to(&[("shop", "store")]);
    let release = json!({"type": "helm.sh/release.v1", "data": {"release": "SDRzSUFBQUFBQUFD"}});
    let (_, mapped) = applied(&mapping, "secrets", "shop", &release);
    assert_eq!(mapped.told[0].wherefore, Wherefore::Release);
    assert!(told(&mapping, "secrets", &release).is_empty());
    let sealed = json!({"spec": {"encryptedData": {"a": "AgB"}}});
    assert_eq!(applied(&mapping, "bitnami.com/sealedsecrets", "shop", &sealed).1.told[0].wherefore, Wherefore::Sealed);
    let wide = json!({"metadata": {"annotations": {"sealedsecrets.bitnami.com/cluster-wide": "true"}}, "spec": {"encryptedData": {}}});
    assert!(applied(&mapping, "bitnami.com/sealedsecrets", "shop", &wide).1.told.is_empty());
}

#[test]
fn expressions_and_middlewares_are_told() {
    let mapping = to(&[("shop", "store")]);
    let policy = json!({"spec": {"validations": [{"expression": "request.namespace != 'shop'"}, {"expression": "object.name != 'shop'"}]}});
    assert_eq!(
        told(&mapping, "admissionregistration.k8s.io/validatingadmissionpolicies", &policy),
        ["/spec/validations/0/expression"]
    );
    let rule = json!({"spec": {"groups": [{"rules": [{"expr": "up{namespace=\"shop\"} == 0"}]}]}});
    assert_eq!(told(&mapping, "monitoring.coreos.com/prometheusrules", &rule), ["/spec/groups/0/rules/0/expr"]);
    let ingress = json!({"metadata": {"annotations": {
        "traefik.ingress.kubernetes.io/router.middlewares": "other-x@kubernetescrd,shop-auth@kubernetescrd",
        "traefik.ingress.kubernetes.io/router.tls": "true",
    }}});
    assert_eq!(told(&mapping, "networking.k8s.io/ingresses", &ingress).len(), 1);
    let remote = json!({"spec": {"destination": {"server": "https://10.1.2.3", "namespace": "shop"}}});
    assert_eq!(told(&mapping, "argoproj.io/applications", &remote), ["/spec/destination/namespace"]);
}

#[test]
fn what_no_output_may_show_is_hidden() {
    let secret = json!({"type": "kubernetes.io/service-account-token", "metadata": {"namespace": "shop"}, "data": {"namespace": "c2hvcA=="}});
    let (_, mut mapped) = applied(&to(&[("shop", "store")]), "secrets", "shop", &secret);
    mapped.hide(&["/data/namespace".to_owned(), "/data/token".to_owned()]);
    let of = |path: &str| mapped.changed.iter().find(|change| change.path == path).unwrap();
    assert_eq!((&of("/data/namespace").from, &of("/data/namespace").to), (&None, &None));
    assert_eq!(of("/metadata/namespace").to, Some("store".into()));
}

fn set(path: &str, only: Filter) -> Mapping {
    Mapping { set: vec![Set::parse(path, only).unwrap()], ..Mapping::default() }
}

#[test]
fn a_path_is_set_made_and_taken_out() {
    let object = json!({"metadata": {"name": "web"}, "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b"}]}}}});
    let done = |text: &str| applied(&set(text, Filter::default()), "apps/deployments", "shop", &object);
    assert_eq!(done("spec.replicas=1").0["spec"]["replicas"], json!(1));
    assert_eq!(
        done("spec.template.spec.containers[b].image=y:1").0["spec"]["template"]["spec"]["containers"][1]["image"],
        "y:1"
    );
    assert_eq!(
        done("spec.template.spec.containers[name=a].image=a=b").0["spec"]["template"]["spec"]["containers"][0]["image"],
        "a=b"
    );
    assert_eq!(done(r#"metadata.labels["a.b/c"]=true"#).0["metadata"]["labels"], json!({"a.b/c": true}));
    let (gone, mapped) = done("spec.replicas=null");
    assert_eq!(gone["spec"].get("replicas"), None);
    assert_eq!(
        mapped.changed,
        [Change { why: Why::Set, path: "/spec/replicas".into(), from: Some(value(&json!(3))), to: None }]
    );
    assert!(done("spec.nothing.at.all=null").1.changed.is_empty());
    assert_eq!(done("metadata.name=store").1.key.name, "store");
}

#[test]
fn a_path_is_set_where_the_filter_holds() {
    let only = |kinds: &[&str], names: &[&str], namespaces: &[&str], labels: &str| {
        let list = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Filter { kinds: list(kinds), names: list(names), namespaces: list(namespaces), labels: labels.to_owned() }
    };
    let object = json!({"metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}}});
    let holds = |only: Filter| {
        let mapping = Mapping { namespaces: names(&[("shop", "store")]), ..set("spec.x=1", only) };
        applied(&mapping, "apps/deployments", "shop", &object).0.pointer("/spec/x").is_some()
    };
    assert!(holds(only(&[], &[], &[], "")));
    assert!(holds(only(&["deployments.apps"], &["w*b"], &["sh?p"], "app=web")));
    assert!(holds(only(&["services", "deployments"], &["*"], &["a", "shop"], "app in (a,web)")));
    assert!(!holds(only(&["services"], &[], &[], "")));
    assert!(!holds(only(&[], &["web?"], &[], "")));
    assert!(!holds(only(&[], &[], &["store"], "")));
    assert!(!holds(only(&[], &[], &[], "app!=web")));
}

#[test]
fn what_cannot_be_set_leaves_the_object_as_it_was() {
    let object = value(
        &json!({"apiVersion": "apps/v1", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"list": [{"name": "a"}], "n": 1}}),
    );
    let refused = |text: &str| {
        let mapping = Mapping { namespaces: names(&[("shop", "store")]), ..set(text, Filter::default()) };
        let mut after = object.clone();
        let error = mapping.apply(&key("apps/deployments", "shop", "web"), &mut after).unwrap_err();
        assert_eq!(after, object);
        assert!(error.hint().is_some());
        error.to_string()
    };
    assert!(refused("spec.list[b].x=1").contains("there is no element"), "{}", refused("spec.list[b].x=1"));
    assert!(refused("spec.list[7]=1").contains("there is no element"));
    assert!(refused("spec.none[0].x=1").contains("there is no list none"));
    assert!(refused("spec.none[name=a]=1").contains("there is no list none"));
    assert!(refused("spec.n.x=1").contains("a single value"));
    assert!(refused("metadata.namespace=other").contains("it would be in other"));
    assert!(refused("apiVersion=v1").contains("API group"));
    assert!(refused("metadata.name=\"\"").contains("no name"));
    for text in ["spec.replicas", "=1", "spec[a", "spec..x=1", "(everything)=1"] {
        let error = Set::parse(text, Filter::default()).unwrap_err();
        assert!(error.hint().is_some(), "{text}");
    }
}

#[test]
fn objects_of_no_shape_are_passed_over() {
    for object in [
        json!(null),
        json!(1),
        json!([]),
        json!({}),
        json!({"metadata": 1, "subjects": {"a": []}, "spec": [], "webhooks": [[]]}),
    ] {
        for kind in ["services", "rbac.authorization.k8s.io/rolebindings", "pods", "secrets", "x.io/y"] {
            let mut after = value(&object);
            let mapped = everything().apply(&key(kind, "shop", "web"), &mut after).unwrap();
            assert_eq!(after, value(&object));
            assert_eq!(mapped.key.namespace, "store");
        }
    }
}
