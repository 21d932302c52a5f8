//! The testbed does what the other tests take for granted.

use bytes::Bytes;
use futures::StreamExt;
use hindcast_tests::manifests::empty_config_map;
use hindcast_tests::real::{
    AggregatedApi, Cluster, Fault, HttpProxy, Minio, Mode, Part, Program, Proxy, Verdict, Webhook, WebhookKind,
    aggregated, process,
};
use hindcast_tests::until::{SOON, ends, succeeds, until_blocking};
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams, WatchEvent, WatchParams};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutResult, RetryConfig};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(empty_config_map(name)).unwrap()
}

fn maps(client: kube::Client) -> Api<ConfigMap> {
    Api::namespaced(client, "default")
}

async fn create(store: &impl ObjectStore, path: &str, text: &'static str) -> object_store::Result<PutResult> {
    store.put_opts(&Path::from(path), text.into(), PutMode::Create.into()).await
}

async fn read(store: &impl ObjectStore, path: &str) -> object_store::Result<Bytes> {
    store.get(&Path::from(path)).await?.bytes().await
}

#[tokio::test]
async fn a_killed_apiserver_and_etcd_come_back_with_their_data() {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await.unwrap();
    let maps = maps(cluster.client());
    let made = maps.create(&PostParams::default(), &config_map("kept")).await.unwrap();

    cluster.kill(Part::Apiserver).unwrap();
    maps.get("kept").await.unwrap_err();
    cluster.stop(Part::Etcd).await.unwrap();
    assert_eq!(cluster.pid(Part::Etcd).unwrap(), None);
    cluster.restart(Part::Etcd).await.unwrap();
    cluster.restart(Part::Apiserver).await.unwrap();

    let kept = maps.get("kept").await.unwrap();
    assert_eq!(kept.metadata.uid, made.metadata.uid);
    assert_eq!(kept.metadata.resource_version, made.metadata.resource_version);

    cluster.pause(Part::Etcd).unwrap();
    // No answer while etcd stands still.
    tokio::time::timeout(Duration::from_millis(300), maps.get("kept")).await.unwrap_err();
    cluster.resume(Part::Etcd).unwrap();
    maps.get("kept").await.unwrap();
}

#[tokio::test]
async fn a_cluster_with_controllers_starts_within_ten_seconds() {
    let _beside = crate::FIGURES.read().await;
    // Builds are not part of the promise, nor is what else this machine does at the moment: one try may fail.
    for program in [Program::Etcd, Program::Apiserver] {
        program.ensure().unwrap();
    }
    let mut tries = Vec::new();
    while tries.len() < 3 && !tries.iter().any(|took| *took < Duration::from_secs(10)) {
        let began = Instant::now();
        let _cluster = Cluster::builder().controller_manager().start().await.unwrap();
        tries.push(began.elapsed());
    }
    eprintln!("started in {tries:?}");
    assert!(tries.iter().any(|took| *took < Duration::from_secs(10)), "{tries:?}");
}

#[tokio::test]
async fn events_in_their_own_etcd_count_their_own_revisions() {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::builder().events_etcd().start().await.unwrap();
    let maps = maps(cluster.client());
    let events: Api<Event> = Api::namespaced(cluster.client(), "default");
    for n in 0..20 {
        maps.create(&PostParams::default(), &config_map(&format!("m{n}"))).await.unwrap();
    }
    let number = |rv: Option<String>| rv.unwrap().parse::<u64>().unwrap();
    let main = number(maps.list(&ListParams::default()).await.unwrap().metadata.resource_version);
    let own = number(events.list(&ListParams::default()).await.unwrap().metadata.resource_version);
    assert!(own < main, "events are at {own}, the rest is at {main}");
}

#[tokio::test]
async fn a_user_may_do_what_its_rules_say_and_no_more() {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await.unwrap();
    let rule = PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["configmaps".to_owned()]),
        verbs: vec!["list".to_owned()],
        ..Default::default()
    };
    let kubeconfig = cluster.user("reader", vec![rule]).await.unwrap();
    let maps = maps(Cluster::client_from(&kubeconfig).await.unwrap());
    // The authoriser sees a new role a moment after it is made.
    let list = async || Ok(maps.list(&ListParams::default()).await?);
    succeeds("the role is in force", SOON, list).await.unwrap();
    let refused = maps.create(&PostParams::default(), &config_map("no")).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 403), "{refused:?}");
}

#[tokio::test]
async fn minio_creates_only_what_is_absent_and_keeps_it_over_a_kill() {
    let _beside = crate::FIGURES.read().await;
    let minio = Minio::start().await.unwrap();
    let store = minio.store();
    create(&store, "wal/1", "first").await.unwrap();
    let second = create(&store, "wal/1", "second").await.unwrap_err();
    assert!(matches!(second, object_store::Error::AlreadyExists { .. }), "{second:?}");

    minio.kill();
    minio.restart().await.unwrap();
    assert_eq!(read(&store, "wal/1").await.unwrap(), "first");
}

#[tokio::test]
async fn an_http_proxy_strikes_the_requests_its_rules_name() {
    let _beside = crate::FIGURES.read().await;
    let minio = Minio::start().await.unwrap();
    let proxy = HttpProxy::start(minio.port()).await.unwrap();
    // Without retries, so that each fault is seen.
    let retry = RetryConfig { max_retries: 0, ..Default::default() };
    let store = minio.builder_via(proxy.port()).with_retry(retry).build().unwrap();
    let direct = minio.store();

    let lost_answer = proxy.inject("PUT", "/wal/", 1, Fault::CutAfter);
    create(&store, "wal/1", "one").await.unwrap_err();
    assert_eq!(lost_answer.struck(), 1);
    assert_eq!(read(&direct, "wal/1").await.unwrap(), "one", "the store had acted");

    let lost_request = proxy.inject("PUT", "/wal/", 1, Fault::CutBefore);
    create(&store, "wal/2", "two").await.unwrap_err();
    assert_eq!(lost_request.struck(), 1);
    let absent = read(&direct, "wal/2").await.unwrap_err();
    assert!(matches!(absent, object_store::Error::NotFound { .. }), "{absent:?}");

    proxy.inject("PUT", "/wal/", 1, Fault::Status(412));
    let raced = create(&store, "wal/2", "two").await.unwrap_err();
    assert!(matches!(raced, object_store::Error::AlreadyExists { .. }), "{raced:?}");
    proxy.inject("*", "/wal/", 1, Fault::Status(403));
    let denied = read(&store, "wal/1").await.unwrap_err();
    assert!(matches!(denied, object_store::Error::PermissionDenied { .. }), "{denied:?}");
    proxy.inject("GET", "/wal/", 1, Fault::Status(503));
    read(&store, "wal/1").await.unwrap_err();

    let hanging = proxy.inject("PUT", "/wal/", 1, Fault::HangAfter);
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { create(&store, "wal/3", "three").await }
    });
    hanging.wait(1, SOON).await.unwrap();
    assert_eq!(read(&direct, "wal/3").await.unwrap(), "three");
    assert!(!waiting.is_finished(), "the answer is held back");
    hanging.withdraw();
    waiting.await.unwrap().unwrap_err();

    create(&store, "other/1", "passes").await.unwrap();
    create(&store, "wal/2", "every rule is used up").await.unwrap();
    assert_eq!(proxy.requests("PUT"), 6);
}

#[tokio::test]
async fn a_proxy_before_the_apiserver_delays_hangs_resets_and_refuses() {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await.unwrap();
    let proxy = Proxy::start(cluster.port()).await.unwrap();
    let kubeconfig = cluster.kubeconfig_via(proxy.port()).unwrap();
    let maps = maps(Cluster::client_from(&kubeconfig).await.unwrap());
    let list = async || maps.list(&ListParams::default()).await.map(|list| list.items.len());
    list().await.unwrap();

    proxy.set(Mode::Delay(Duration::from_millis(100))).await.unwrap();
    let began = Instant::now();
    list().await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());

    proxy.set(Mode::Hang).await.unwrap();
    tokio::time::timeout(Duration::from_millis(300), list()).await.unwrap_err();
    proxy.set(Mode::Refuse).await.unwrap();
    list().await.unwrap_err();
    proxy.set(Mode::Reset).await.unwrap();
    list().await.unwrap_err();

    proxy.set(Mode::Pass).await.unwrap();
    list().await.unwrap();
    let watch = maps.watch(&WatchParams::default(), "0").await.unwrap();
    proxy.cut().await.unwrap();
    let rest = watch.collect::<Vec<_>>();
    let rest = ends("a watch that was cut ends", SOON, rest).await.unwrap();
    assert!(rest.last().is_some_and(Result::is_err), "a cut is no orderly end: {rest:?}");
    list().await.unwrap();
}

#[tokio::test]
async fn an_aggregated_api_is_listed_and_watched_and_can_be_down() {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await.unwrap();
    let mut api = AggregatedApi::start(&cluster).await.unwrap();
    let gvk = GroupVersionKind::gvk(aggregated::GROUP, "v1", "Gadget");
    let gadgets: Api<DynamicObject> = Api::namespaced_with(cluster.client(), "default", &ApiResource::from_gvk(&gvk));

    let first = api.put("default", "one", json!({"size": 1}));
    let listed = gadgets.list(&ListParams::default()).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    assert_eq!(listed.metadata.resource_version, Some(first.to_string()));

    let from = first.to_string();
    let mut watch = gadgets.watch(&WatchParams::default(), &from).await.unwrap().boxed();
    api.put("default", "one", json!({"size": 2}));
    let deleted = api.delete("default", "one");
    let next = watch.next().await.unwrap().unwrap();
    assert!(matches!(&next, WatchEvent::Modified(one) if one.data["spec"]["size"] == 2), "{next:?}");
    let next = watch.next().await.unwrap().unwrap();
    let WatchEvent::Deleted(gone) = &next else { unreachable!("{next:?}") };
    assert_eq!(gone.metadata.resource_version, Some(deleted.to_string()));

    api.down().await;
    let error = gadgets.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 503), "{error:?}");
    maps(cluster.client()).list(&ListParams::default()).await.unwrap();
    api.up().await.unwrap();
    assert_eq!(gadgets.list(&ListParams::default()).await.unwrap().items.len(), 0);

    api.compact();
    let expired = gadgets.watch(&WatchParams::default(), "1").await.err();
    assert!(matches!(&expired, Some(kube::Error::Api(status)) if status.code == 410), "{expired:?}");
}

#[tokio::test]
async fn a_webhook_changes_refuses_and_can_be_down() {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await.unwrap();
    let rules = json!([{
        "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"],
    }]);
    let decide = |request: &serde_json::Value| match request["name"].as_str() {
        Some("refused") => Verdict::Deny("not this one".to_owned()),
        Some("changed") => Verdict::Patch(json!([
            {"op": "add", "path": "/data", "value": {"by": "webhook"}},
        ])),
        _ => Verdict::Allow,
    };
    let mut webhook = Webhook::start(&cluster, "w", WebhookKind::Mutating, rules, decide).await.unwrap();
    let maps = maps(cluster.client());
    let make = async |name: &str| maps.create(&PostParams::default(), &config_map(name)).await;

    assert_eq!(make("plain").await.unwrap().data, None);
    assert_eq!(make("changed").await.unwrap().data.unwrap()["by"], "webhook");
    let refused = make("refused").await.unwrap_err();
    assert!(refused.to_string().contains("not this one"), "{refused}");
    assert_eq!(webhook.asked(), 3);

    webhook.down().await;
    make("while-down").await.unwrap_err();
    webhook.up().await.unwrap();
    make("again-up").await.unwrap();
    webhook.remove().await.unwrap();
}

#[tokio::test]
async fn a_panic_leaves_nothing_running() {
    let _beside = crate::FIGURES.read().await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let fails = async {
        let cluster = Cluster::builder().events_etcd().start().await.unwrap();
        let parts = [Part::Etcd, Part::EventsEtcd, Part::Apiserver];
        let pids = parts.map(|part| cluster.pid(part).unwrap().unwrap());
        // A stopped process takes no other signal than the one that must be sent.
        cluster.pause(Part::Apiserver).unwrap();
        tell.send((pids, cluster.dir().to_owned())).unwrap();
        panic!("meant");
    };
    let local = tokio::task::LocalSet::new();
    let ended: Result<(), _> = local.run_until(async { tokio::task::spawn_local(fails).await }).await;
    assert!(ended.unwrap_err().is_panic());
    let (pids, dir) = told.await.unwrap();
    assert_eq!(pids.map(is_alive), [false; 3]);
    assert!(!dir.exists());
}

#[test]
fn a_testbed_that_is_killed_or_interrupted_leaves_nothing() {
    for signal in ["KILL", "INT", "TERM"] {
        let state = tempfile::tempdir().unwrap();
        let mut testbed = testbed(&["up", "--state", state.path().to_str().unwrap()]);
        until_blocking("the testbed is up", 4 * SOON, || state.path().join("pid").exists()).unwrap();
        let children = children(testbed.id());
        let folders = folders(&children);
        assert_eq!(children.len(), 6, "four servers and two janitors");
        assert_eq!(folders.len(), 2, "{folders:?}");

        let pid = testbed.id();
        Command::new("sh").args(["-c", &format!("kill -s {signal} {pid}")]).status().unwrap();
        testbed.wait().unwrap();
        // The janitors are among them, so that the folders are gone too.
        until_blocking("every child is gone", 4 * SOON, || !children.iter().any(|pid| is_alive(*pid))).unwrap();
        assert!(!folders.iter().any(|folder| folder.exists()), "{folders:?}");
    }
}

#[test]
fn without_go_the_testbed_says_what_to_install() {
    let cache = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .arg("build")
        .env("PATH", "/nonexistent")
        .env("HINDCAST_TESTBED_CACHE", cache.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("`go` is not on PATH") && said.contains("install Go 1."), "{said}");
}

#[test]
fn ports_are_leased_once_and_below_the_ephemeral_range() {
    let ports: Vec<_> = (0..50).map(|_| process::Port::lease().unwrap()).collect();
    let numbers: BTreeSet<_> = ports.iter().map(process::Port::number).collect();
    assert_eq!(numbers.len(), 50);
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let first: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
    assert!(numbers.iter().all(|number| *number < first), "{range}");
}

fn testbed(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_testbed"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The processes that `pid` started.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let files = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap());
    files.flat_map(|file| file.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
}

/// The folders a testbed works in: those its children's command lines name.
fn folders(children: &[u32]) -> BTreeSet<std::path::PathBuf> {
    children
        .iter()
        .flat_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
            let args = line.split(|byte| *byte == 0).map(|arg| String::from_utf8(arg.to_vec()).unwrap());
            args.collect::<Vec<_>>()
        })
        .filter(|arg| arg.starts_with(std::env::temp_dir().to_str().unwrap()))
        .filter(|arg| !arg.ends_with("/data"))
        .map(Into::into)
        .collect()
}

/// Whether the process exists and is more than an entry that waits to be reaped.
fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
