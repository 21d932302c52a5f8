use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use hindcast_journal::{cut::Cut, exact};
use kube::client::Body;

use super::*;
use crate::{
    Desired, Protection, Selection,
    desired::{Source, Wanted},
    selection::What,
};
use hindcast_journal::{Parts, exact::Value, facts::Discovery};

/// Where it refuses, how often, and with what status and message.
type Refused = (String, u32, u16, &'static str);

/// Serves objects, and remembers what was asked: `GET path`, or `META path` for metadata.
#[derive(Clone, Default)]
struct Fake {
    objects: Arc<Mutex<BTreeMap<String, Vec<serde_json::Value>>>>,
    /// Answers of their own: for paths that begin so, this often, a status and a message.
    refuses: Arc<Mutex<Vec<Refused>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

fn status(code: u16, message: &str, name: &str) -> (u16, serde_json::Value) {
    (code, serde_json::json!({"kind": "Status", "message": message, "details": {"name": name}}))
}

impl Fake {
    fn put(&self, collection: &str, name: &str, uid: &str, rv: &str, extra: &serde_json::Value) {
        let namespace =
            collection.split("/namespaces/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let mut object = serde_json::json!({
            "metadata": {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": rv, "managedFields": [{"manager": "m"}]}
        });
        for (field, value) in extra.as_object().into_iter().flatten() {
            if field == "metadata" {
                for (field, value) in value.as_object().into_iter().flatten() {
                    object["metadata"][field] = value.clone();
                }
            } else {
                object[field] = value.clone();
            }
        }
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.entry(collection.to_owned()).or_default().push(object);
    }

    fn refuse(&self, path: &str, times: u32, code: u16, message: &'static str) {
        self.refuses.lock().unwrap_or_else(PoisonError::into_inner).push((path.to_owned(), times, code, message));
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner));
        asked.sort();
        asked
    }

    fn answer(&self, request: &http::Request<Body>) -> (u16, serde_json::Value) {
        let accept = request.headers().get(http::header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let meta = accept.contains("PartialObjectMetadata");
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let verb = if meta { "META" } else { "GET" };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{verb} {path}"));
        let whole = format!("{path}?{query}");
        for (refused, times, code, message) in self.refuses.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            if *times > 0 && whole.starts_with(refused.as_str()) {
                *times -= 1;
                return status(*code, message, "");
            }
        }
        let show = |object: &serde_json::Value| {
            if meta { serde_json::json!({"metadata": object["metadata"]}) } else { object.clone() }
        };
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let number = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).and_then(|(_, value)| value.parse::<usize>().ok())
        };
        if let Some(list) = objects.get(path) {
            let (from, limit) = (number("continue").unwrap_or(0), number("limit").unwrap_or(usize::MAX));
            let items: Vec<_> = list.iter().skip(from).take(limit).map(show).collect();
            let next = if from + items.len() < list.len() { (from + items.len()).to_string() } else { String::new() };
            return (200, serde_json::json!({"metadata": {"resourceVersion": "9", "continue": next}, "items": items}));
        }
        let Some((collection, name)) = path.rsplit_once('/') else { return status(404, "no path", "") };
        match objects.get(collection) {
            None if collection.contains("/namespaces/") => status(404, "no path", ""),
            None => status(404, "404 page not found", ""),
            Some(list) => match list.iter().find(|o| o["metadata"]["name"] == name) {
                Some(object) => {
                    let mut object = show(object);
                    object["apiVersion"] = "v1".into();
                    object["kind"] = "Thing".into();
                    (200, object)
                }
                None => status(404, "not found", name),
            },
        }
    }

    fn client(&self) -> kube::Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (code, body) = fake.answer(&request);
            let body = http_body_util::Full::new(Bytes::from(body.to_string()));
            let response = http::Response::builder().status(code).body(body);
            async move { response }
        });
        kube::Client::new(service, "default")
    }

    async fn read(&self, kinds: &[Discovery], selection: &Selection, desired: &Desired) -> Live {
        let client = self.client();
        let read = read((&client, &client), &Parts::system(), kinds, selection, desired).await;
        read.unwrap_or_else(|e| panic!("{e}"))
    }
}

fn kind(group: &str, resource: &str, namespaced: bool) -> Discovery {
    Discovery {
        group: group.into(),
        version: "v1".into(),
        served: vec!["v1".into(), "v1beta1".into()],
        resource: resource.into(),
        kind: "Thing".into(),
        namespaced,
        domain: "main".into(),
        verbs: vec!["list".into(), "watch".into()],
        ..Discovery::default()
    }
}

fn kinds() -> Vec<Discovery> {
    vec![
        kind("", "configmaps", true),
        kind("apps", "deployments", true),
        kind("", "namespaces", false),
        kind("autoscaling", "horizontalpodautoscalers", true),
        kind("coordination.k8s.io", "leases", true),
        kind("", "persistentvolumeclaims", true),
        kind("example.com", "widgets", true),
    ]
}

fn fake() -> Fake {
    let fake = Fake::default();
    fake.put("/api/v1/namespaces", "kube-system", "c", "1", &serde_json::json!({}));
    fake.put("/api/v1/namespaces", "shop", "ns", "1", &serde_json::json!({}));
    for path in [
        "/api/v1/namespaces/shop/configmaps",
        "/api/v1/namespaces/shop/persistentvolumeclaims",
        "/apis/apps/v1/namespaces/shop/deployments",
        "/apis/autoscaling/v1/namespaces/shop/horizontalpodautoscalers",
        "/apis/example.com/v1/namespaces/shop/widgets",
        "/api/v1/persistentvolumes",
    ] {
        fake.objects.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), Vec::new());
    }
    fake
}

fn selection(what: What) -> Selection {
    Selection::of(what)
}

fn shop() -> Selection {
    selection(What::Namespace("shop".into()))
}

fn key(resource: &str, name: &str) -> ObjectKey {
    let kind = kinds().into_iter().find(|kind| kind.resource == resource).unwrap_or_default();
    ObjectKey {
        namespace: if kind.namespaced { "shop".into() } else { String::new() },
        group: kind.group,
        resource: resource.into(),
        name: name.into(),
    }
}

fn desired(objects: &[(&str, &str, &str, &str)]) -> Desired {
    let mut out = Desired {
        cluster: "c".into(),
        cut: Cut::default(),
        time: 0,
        uncertain: false,
        source: Source::Journal,
        objects: BTreeMap::new(),
        kinds: kinds().into_iter().map(|kind| (kind.kind_key(), (kind, Protection::Protected))).collect(),
        definitions: None,
        later: BTreeMap::new(),
        system: BTreeMap::new(),
        created: BTreeMap::new(),
        touched: BTreeMap::new(),
        left: BTreeMap::new(),
        retained: std::collections::BTreeSet::new(),
        scalers: BTreeMap::new(),
        around: crate::intent::Surroundings::default(),
        key: None,
        older: Vec::new(),
        rules: hindcast_journal::seal::Rules::default(),
    };
    for (resource, name, rv, body) in objects {
        let value = exact::parse(body.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
        let object = Ok(Arc::new(Full { value, managed: None }));
        let wanted = Wanted { pos: 1, uid: format!("u-{name}"), rv: (*rv).into(), object, redact: Vec::new() };
        out.objects.insert(key(resource, name), wanted);
    }
    out
}

const CONFIG: &str = "/api/v1/namespaces/shop/configmaps";

#[tokio::test]
async fn only_what_differs_is_read_in_full() {
    let fake = fake();
    fake.put(CONFIG, "same", "u-same", "5", &serde_json::json!({"data": {"a": "1"}}));
    fake.put(CONFIG, "changed", "u-changed", "7", &serde_json::json!({"data": {"a": 1.10}}));
    fake.put(CONFIG, "added", "x", "8", &serde_json::json!({}));
    let v1 = r#"{"apiVersion":"v1"}"#;
    let desired = desired(&[
        ("configmaps", "same", "5", v1),
        ("configmaps", "changed", "6", v1),
        ("configmaps", "gone", "6", v1),
    ]);
    let live = fake.read(&kinds(), &shop(), &desired).await;
    assert_eq!(live.cluster, "c");
    let config: Vec<String> = fake.asked().into_iter().filter(|path| path.contains("configmaps")).collect();
    assert_eq!(config, [format!("GET {CONFIG}/added"), format!("GET {CONFIG}/changed"), format!("META {CONFIG}")]);
    let names: Vec<&str> =
        live.objects.keys().filter(|key| key.resource == "configmaps").map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["added", "changed", "same"]);
    let then = desired.objects.get(&key("configmaps", "same")).and_then(|w| w.object.as_ref().ok());
    let now = live.objects.get(&key("configmaps", "same")).map(|p| &p.object);
    assert!(then.zip(now).is_some_and(|(then, now)| Arc::ptr_eq(then, now)), "the body is shared");
    let changed = live.objects.get(&key("configmaps", "changed")).map(|p| (p.rv.as_str(), p.object.managed.is_some()));
    assert_eq!(changed, Some(("7", true)));
    assert_eq!(live.kinds.get("/configmaps"), Some(&Listed::Whole));
    assert_eq!(live.namespaces, BTreeMap::from([("shop".to_owned(), NamespacePhase::Active)]));
    assert!(!live.kinds.contains_key("coordination.k8s.io/leases"), "infrastructure is not looked at");
}

#[tokio::test]
async fn where_many_differ_the_kind_is_listed_in_full_page_by_page() {
    let fake = fake();
    for n in 0..1200 {
        fake.put(CONFIG, &format!("c{n}"), &format!("u{n}"), "5", &serde_json::json!({"data": {"n": n.to_string()}}));
    }
    // The second page of the first try is gone.
    fake.refuse(&format!("{CONFIG}?limit=500&continue=500"), 1, 410, "expired");
    let live = fake.read(&kinds(), &shop(), &desired(&[])).await;
    let config: Vec<String> = fake.asked().into_iter().filter(|path| path.contains("configmaps")).collect();
    assert_eq!(config.iter().filter(|path| **path == format!("META {CONFIG}")).count(), 5);
    assert_eq!(config.iter().filter(|path| **path == format!("GET {CONFIG}")).count(), 3);
    assert_eq!(config.len(), 8);
    let objects: Vec<&Present> =
        live.objects.iter().filter(|(key, _)| key.resource == "configmaps").map(|(_, p)| p).collect();
    assert_eq!(objects.len(), 1200);
    let kinds = objects.iter().all(|p| p.object.value.get("kind").and_then(Value::as_str) == Some("Thing"));
    assert!(kinds, "items of lists get the kind that they lack");
}

#[tokio::test]
async fn what_cannot_be_read_is_said_and_the_rest_goes_on() {
    let fake = fake();
    fake.put(CONFIG, "a", "x", "8", &serde_json::json!({}));
    fake.refuse("/apis/apps/", 99, 403, "no list on deployments");
    fake.refuse("/apis/example.com/", 99, 404, "404 page not found");
    fake.refuse("/api/v1/namespaces/shop/persistentvolumeclaims", 99, 422, "odd");
    fake.refuse("/apis/autoscaling", 2, 429, "slow down");
    let live = fake.read(&kinds(), &shop(), &desired(&[])).await;
    assert_eq!(live.kinds.get("apps/deployments"), Some(&Listed::Forbidden("no list on deployments".into())));
    assert_eq!(live.kinds.get("example.com/widgets"), Some(&Listed::NotServed("404 page not found".into())));
    assert_eq!(live.kinds.get("/persistentvolumeclaims"), Some(&Listed::Failed("odd".into())));
    assert_eq!(live.kinds.get("autoscaling/horizontalpodautoscalers"), Some(&Listed::Whole), "it is tried again");
    assert!(live.objects.contains_key(&key("configmaps", "a")));
    fake.refuse("/api/v1/namespaces/kube-system", 99, 403, "no get on namespaces");
    let client = fake.client();
    let error = read((&client, &client), &Parts::system(), &kinds(), &shop(), &desired(&[]))
        .await
        .expect_err("which cluster is it?");
    assert!(error.to_string().contains("no get on namespaces") && error.hint().is_some(), "{error}");
}

#[tokio::test]
async fn one_object_takes_few_requests() {
    let fake = fake();
    fake.put(CONFIG, "a", "x", "8", &serde_json::json!({}));
    fake.put("/apis/apps/v1/namespaces/shop/deployments", "web", "w", "8", &serde_json::json!({}));
    let one = selection(What::Object { kind: "/configmaps".into(), namespace: "shop".into(), name: "a".into() });
    let live = fake.read(&kinds(), &one, &desired(&[])).await;
    assert_eq!(live.objects.len(), 1);
    assert_eq!(live.readers.keys().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["web"], "who may read it");
    assert!(fake.asked().iter().all(|path| !path.contains("widgets")));
    let gone = selection(What::Object { kind: "/configmaps".into(), namespace: "shop".into(), name: "no".into() });
    let live = fake.read(&kinds(), &gone, &desired(&[])).await;
    assert_eq!((live.objects.len(), live.kinds.get("/configmaps")), (0, Some(&Listed::Whole)));
}

#[tokio::test]
async fn objects_are_read_in_the_version_they_were_recorded_in() {
    let fake = fake();
    let old = "/apis/example.com/v1beta1/namespaces/shop/widgets";
    fake.put(old, "w", "x", "8", &serde_json::json!({}));
    let recorded = |version: &str| {
        let body = format!(r#"{{"apiVersion":"example.com/{version}"}}"#);
        desired(&[("widgets", "w", "5", &body)])
    };
    let live = fake.read(&kinds(), &shop(), &recorded("v1beta1")).await;
    assert!(live.objects.contains_key(&key("widgets", "w")));
    assert!(fake.asked().contains(&format!("GET {old}/w")));
    fake.read(&kinds(), &shop(), &recorded("v1alpha1")).await;
    assert!(fake.asked().iter().all(|path| !path.contains("v1alpha1")), "that is not served");
}

#[tokio::test]
async fn of_kinds_without_a_past_only_the_stamps_are_read() {
    let fake = fake();
    let created = serde_json::json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}});
    fake.put(CONFIG, "a", "x", "8", &created);
    let mut desired = desired(&[]);
    desired.kinds.insert("/configmaps".into(), (kind("", "configmaps", true), Protection::NotProtected(None)));
    let live = fake.read(&kinds(), &shop(), &desired).await;
    assert_eq!(live.unprotected, BTreeMap::from([(key("configmaps", "a"), "2026-01-01T00:00:00Z".to_owned())]));
    assert!(live.objects.keys().all(|key| key.resource != "configmaps"));
}

#[tokio::test]
async fn what_stands_around_is_read() {
    let fake = fake();
    let dying = serde_json::json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    fake.put("/api/v1/namespaces", "dying", "d", "1", &dying);
    fake.put("/api/v1/persistentvolumes", "v", "v", "1", &serde_json::json!({"spec": {}}));
    fake.put("/apis/autoscaling/v1/namespaces/shop/horizontalpodautoscalers", "h", "h", "1", &serde_json::json!({}));
    let claim = r#"{"apiVersion":"v1","spec":{"volumeName":"v"}}"#;
    let child = r#"{"apiVersion":"v1","metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Thing","name":"shop","uid":"old"}]}}"#;
    let mut desired = desired(&[("persistentvolumeclaims", "d", "5", claim), ("configmaps", "c", "5", child)]);
    // The only kind of that name is the namespace's, which is not in the lists of the namespace.
    let mut kinds = kinds();
    for kind in &mut kinds {
        kind.kind = if kind.resource == "namespaces" { "Thing".into() } else { format!("Not{}", kind.resource) };
    }
    desired.kinds = kinds.iter().map(|kind| (kind.kind_key(), (kind.clone(), Protection::Protected))).collect();
    let mut one = shop();
    one.only = vec![("/configmaps".into(), "c".into()), ("/persistentvolumeclaims".into(), "d".into())];
    let live = fake.read(&kinds, &one, &desired).await;
    assert_eq!(live.volumes.keys().collect::<Vec<_>>(), ["v"]);
    assert_eq!(live.scalers.keys().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["h"]);
    assert_eq!(live.owners, BTreeMap::from([(key("namespaces", "shop"), "ns".to_owned())]));
    let all = fake.read(&kinds, &selection(What::All), &desired).await;
    assert_eq!(all.namespaces.get("dying"), Some(&NamespacePhase::Terminating));
}

#[tokio::test]
async fn an_undo_reads_its_own_objects_alone() {
    let fake = fake();
    for n in 0..60 {
        fake.put(CONFIG, &format!("c{n}"), "x", "8", &serde_json::json!({}));
    }
    let mut desired = desired(&[("configmaps", "c1", "5", r#"{"apiVersion":"v1"}"#)]);
    desired.source = Source::Undo("r".into());
    desired.created.insert(key("configmaps", "c2"), "x".into());
    desired.touched.insert(key("configmaps", "c3"), String::new());
    let live = fake.read(&kinds(), &shop(), &desired).await;
    assert_eq!(live.objects.keys().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["c1", "c2", "c3"]);
    assert!(!fake.asked().contains(&format!("META {CONFIG}")));
    for n in 0..50 {
        desired.touched.insert(key("configmaps", &format!("c{n}")), String::new());
    }
    let live = fake.read(&kinds(), &shop(), &desired).await;
    assert_eq!(live.objects.len(), 50);
}
