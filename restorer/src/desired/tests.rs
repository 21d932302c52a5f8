use bytes::Bytes;
use hindcast_journal::{
    Change, Journal, Parts, Writer,
    cut::At,
    encode::{Encoder, Observation},
    exact::Value,
    facts,
    row::{Op, Source as From},
    seal::Secrets,
    segment::{FrontierPoint, FrontierVector},
    writer::Identity,
};
use object_store::{memory::InMemory, path::Path};

use super::*;
use crate::{Selection, Timeline, message::Remedy, selection::What};

fn key() -> Arc<Key> {
    Arc::new(Key { name: "k".into(), created: String::new(), wrap: [1; 32], hmac: [2; 32], seal: [3; 32] })
}

fn kind(group: &str, resource: &str, kind: &str, namespaced: bool) -> Discovery {
    Discovery {
        group: group.into(),
        resource: resource.into(),
        kind: kind.into(),
        namespaced,
        version: "v1".into(),
        domain: "main".into(),
        ..Discovery::default()
    }
}

fn kinds() -> Vec<Discovery> {
    let rbac = "rbac.authorization.k8s.io";
    vec![
        kind("", "configmaps", "ConfigMap", true),
        kind("", "secrets", "Secret", true),
        kind("", "namespaces", "Namespace", false),
        kind(rbac, "rolebindings", "RoleBinding", true),
        kind(rbac, "clusterroles", "ClusterRole", false),
        kind(rbac, "clusterrolebindings", "ClusterRoleBinding", false),
        kind("apps", "deployments", "Deployment", true),
        kind("scheduling.k8s.io", "priorityclasses", "PriorityClass", false),
        kind("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", false),
        kind("storage.k8s.io", "storageclasses", "StorageClass", false),
        kind("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler", true),
    ]
}

/// A journal that closed every cut up to `closed`, with objects of ascending revision from 10.
async fn timeline(
    secrets: Secrets,
    objects: &[(&str, &str, &str, &str)],
    closed: u64,
    keys: Vec<Arc<Key>>,
) -> Timeline {
    let journal = Journal::open(Arc::new(InMemory::new()), &Path::default(), "c", Parts::system());
    let sealing = Arc::new(hindcast_journal::seal::DataKeys::new("c", vec![key()], Parts::system()));
    let identity = Identity { writer: "w".into(), instance: "i".into() };
    let mut writer = Writer::claim(&journal, identity, Some(sealing)).await.expect("claims");
    let encoder = Encoder::new(secrets);
    let mut changes = Vec::new();
    for kind in kinds() {
        changes.push(Change { body: facts::body(&kind).expect("json"), ..facts::about(Op::Discovery, &kind, 0, 1) });
        changes.push(Change { time_hi: 1000, ..facts::about(Op::CoverBegin, &kind, 0, 1) });
    }
    for (rv, (resource, namespace, name, rest)) in (10..).zip(objects) {
        let kind = kinds().into_iter().find(|kind| kind.resource == *resource).expect("a kind");
        let bytes = Bytes::from(format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","resourceVersion":"{rv}","uid":"u-{name}"}}{rest}}}"#
        ));
        let (time_lo, time_hi) = (rv as i64 * 1000 - 1, rv as i64 * 1000);
        let seen =
            Observation { kind: &kind, incarnation: 0, rv, source: From::Watch, time_lo, time_hi, bytes: &bytes };
        changes.push(encoder.observe(&seen, None).change);
    }
    let point = FrontierPoint { incarnation: 0, rv: closed, time: closed as i64 * 1000 };
    writer.stage(changes, FrontierVector::from([("main".to_owned(), point)])).await.expect("stages");
    writer.commit().await.expect("commits");
    Timeline::open(&journal, keys).await.expect("opens")
}

fn selection(what: What) -> Selection {
    Selection::of(what)
}

fn shop() -> Selection {
    selection(What::Namespace("shop".into()))
}

async fn gather(timeline: &mut Timeline, at: At, selection: &Selection) -> Result<Desired, hindcast_journal::Error> {
    let past = timeline.at(&at).await.expect("resolves");
    Desired::gather(timeline, &past, selection).await
}

fn names(desired: &Desired) -> Vec<String> {
    desired.objects.keys().map(|key| format!("{}/{}", key.resource, key.name)).collect()
}

#[tokio::test]
async fn a_namespace_comes_with_itself_and_what_it_needs() {
    let objects = [
        ("namespaces", "", "shop", ""),
        ("namespaces", "", "other", ""),
        ("configmaps", "shop", "a", ""),
        ("configmaps", "other", "b", ""),
        ("rolebindings", "shop", "r", r#","roleRef":{"kind":"ClusterRole","name":"bound"}"#),
        ("rolebindings", "shop", "local", r#","roleRef":{"kind":"Role","name":"free"}"#),
        ("clusterroles", "", "bound", ""),
        ("clusterroles", "", "free", ""),
        ("clusterroles", "", "wide", ""),
        (
            "clusterrolebindings",
            "",
            "names-shop",
            r#","roleRef":{"kind":"ClusterRole","name":"wide"},"subjects":[{"kind":"ServiceAccount","name":"x","namespace":"shop"}]"#,
        ),
        (
            "clusterrolebindings",
            "",
            "names-other",
            r#","subjects":[{"kind":"ServiceAccount","name":"x","namespace":"other"}]"#,
        ),
        ("deployments", "shop", "web", r#","spec":{"template":{"spec":{"priorityClassName":"high"}}}"#),
        ("priorityclasses", "", "high", ""),
        ("priorityclasses", "", "low", ""),
        ("storageclasses", "", "fast", ""),
        ("horizontalpodautoscalers", "shop", "web", ""),
        ("customresourcedefinitions", "", "widgets.example.com", ""),
    ];
    let mut timeline = timeline(Secrets::Dropped, &objects, 90, Vec::new()).await;
    let desired = gather(&mut timeline, At::Time(80_000), &shop()).await.expect("gathers");
    assert_eq!(
        names(&desired),
        [
            "namespaces/shop",
            "clusterrolebindings/names-shop",
            "clusterroles/bound",
            "clusterroles/wide",
            "priorityclasses/high",
            "configmaps/a",
            "deployments/web",
            "horizontalpodautoscalers/web",
            "rolebindings/local",
            "rolebindings/r",
        ]
    );
    assert_eq!(desired.scalers.len(), 1);
    assert_eq!(desired.definitions, Some(BTreeSet::from(["widgets.example.com".to_owned()])));
    assert_eq!(desired.kinds.get("/configmaps").map(|(_, p)| p.clone()), Some(Protection::Protected));
    let wanted = desired.objects.values().next().expect("the namespace");
    assert_eq!((wanted.uid.as_str(), wanted.rv.as_str()), ("u-shop", "10"));
    let known = Known::gather(&mut timeline, &shop()).await.expect("gathers");
    assert_eq!(known.present.len(), 6, "the namespace and what is in it: {:?}", known.present);
    assert_eq!(known.closed, 90_000);
    assert!(known.kinds.contains_key("/configmaps"));
    let one = selection(What::Object { kind: "/configmaps".into(), namespace: "shop".into(), name: "a".into() });
    let desired = gather(&mut timeline, At::Time(80_000), &one).await.expect("gathers");
    assert_eq!(names(&desired), ["namespaces/shop", "configmaps/a"], "a home, should it be gone");
    assert_eq!(desired.scalers.len(), 1);
    let none = selection(What::Object { kind: "/configmaps".into(), namespace: "shop".into(), name: "no".into() });
    assert!(gather(&mut timeline, At::Time(80_000), &none).await.expect("gathers").objects.is_empty());
    let all = gather(&mut timeline, At::Time(80_000), &selection(What::All)).await.expect("gathers");
    assert_eq!(all.objects.len(), objects.len());
    assert!(gather(&mut timeline, At::Time(13_500), &shop()).await.expect("gathers").objects.len() == 2, "as of then");
}

#[tokio::test]
async fn a_moment_that_is_not_known_exactly_is_refused() {
    let objects = [("configmaps", "shop", "a", "")];
    let mut timeline = timeline(Secrets::Dropped, &objects, 9, Vec::new()).await;
    for (at, expected) in [
        (At::Time(100), "is before the journal begins"),
        (At::Time(90_000), "is later than the journal knows"),
        (At::Pos(23), "is not closed yet"),
    ] {
        let error = gather(&mut timeline, at.clone(), &shop()).await.expect_err(expected);
        assert!(error.to_string().contains(expected), "{at:?}: {error}");
        assert!(error.hint().is_some() || error.remedy::<Remedy>().is_some());
    }
    let pod = selection(What::Object { kind: "/pods".into(), namespace: "shop".into(), name: "p".into() });
    let error = gather(&mut timeline, At::Time(8_000), &pod).await.expect_err("no such kind then");
    assert!(error.to_string().contains("pods/p: was not protected at the moment asked for (not yet)"), "{error}");
    let custom = What::Object { kind: "example.com/widgets".into(), namespace: "shop".into(), name: "w".into() };
    let nothing = gather(&mut timeline, At::Time(8_000), &selection(custom)).await.expect("it was not defined");
    assert!(nothing.objects.is_empty());
    let mut bad = shop();
    bad.labels = "app=(".into();
    assert!(gather(&mut timeline, At::Time(8_000), &bad).await.is_err(), "a selector that cannot be read");
}

#[tokio::test]
async fn secrets_are_opened_with_the_key_and_errors_without() {
    let objects = [("secrets", "shop", "s", r#","data":{"pw":"c2VjcmV0"}"#)];
    let of = |desired: Desired| desired.objects.into_values().next().expect("the secret");
    let mut open = timeline(Secrets::Sealed(key()), &objects, 90, vec![key()]).await;
    let wanted = of(gather(&mut open, At::Time(80_000), &shop()).await.expect("gathers"));
    let value = wanted.object.expect("opens").value.clone();
    assert_eq!(value.pointer("/data/pw").and_then(Value::as_str), Some("c2VjcmV0"));
    assert_eq!(wanted.redact, ["/data/pw"]);
    let mut blind = timeline(Secrets::Sealed(key()), &objects, 90, Vec::new()).await;
    let wanted = of(gather(&mut blind, At::Time(80_000), &shop()).await.expect("gathers"));
    let reason = wanted.object.expect_err("no key");
    assert!(reason.to_string().contains("there is no key") && reason.remedies().eq([&Remedy::Key]), "{reason}");
    assert_eq!(wanted.redact, ["/data/pw"], "what tells sealed from unreadable");
    let mut dropped = timeline(Secrets::Dropped, &objects, 90, vec![key()]).await;
    let wanted = of(gather(&mut dropped, At::Time(80_000), &shop()).await.expect("gathers"));
    let reason = wanted.object.expect_err("never stored");
    assert!(reason.to_string().contains("were not stored"), "{reason}");
    let mut plain = timeline(Secrets::Plaintext(None), &objects, 90, Vec::new()).await;
    let wanted = of(gather(&mut plain, At::Time(80_000), &shop()).await.expect("gathers"));
    assert!(wanted.object.is_ok());
    assert_eq!(wanted.redact, ["/data/pw"], "in clear in the journal, and hidden in outputs all the same");
    let twice = [("configmaps", "shop", "a", r#","data":{"x":"1","x":"2"}"#)];
    let mut odd = timeline(Secrets::Dropped, &twice, 90, Vec::new()).await;
    let wanted = of(gather(&mut odd, At::Time(80_000), &shop()).await.expect("gathers"));
    assert!(wanted.object.expect_err("unreadable").to_string().contains("could not be read as JSON"));
}
