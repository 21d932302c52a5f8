//! The testbed does what the other tests take for granted.

use hindcast_tests::real::{Cluster, Minio, Part};
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use std::time::{Duration, Instant};

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        ..Default::default()
    }
}

#[tokio::test]
async fn a_killed_apiserver_and_etcd_come_back_with_their_data() {
    let cluster = Cluster::start().await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client(), "default");
    let made = maps.create(&PostParams::default(), &config_map("kept")).await.unwrap();

    cluster.kill(Part::Apiserver).unwrap();
    maps.get("kept").await.unwrap_err();
    cluster.restart(Part::Etcd).await.unwrap();
    cluster.restart(Part::Apiserver).await.unwrap();

    let kept = maps.get("kept").await.unwrap();
    assert_eq!(kept.metadata.uid, made.metadata.uid);
    assert_eq!(kept.metadata.resource_version, made.metadata.resource_version);
}

#[tokio::test]
async fn a_cluster_with_controllers_starts_within_ten_seconds() {
    // Builds are not part of the promise.
    hindcast_tests::real::Program::Apiserver.ensure().unwrap();
    let began = Instant::now();
    let cluster = Cluster::builder().controller_manager().start().await.unwrap();
    let took = began.elapsed();
    eprintln!("started in {took:?}");
    drop(cluster);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn events_in_their_own_etcd_count_their_own_revisions() {
    let cluster = Cluster::builder().events_etcd().start().await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client(), "default");
    let events: Api<Event> = Api::namespaced(cluster.client(), "default");
    for n in 0..20 {
        maps.create(&PostParams::default(), &config_map(&format!("m{n}"))).await.unwrap();
    }
    let list = |rv: Option<String>| rv.unwrap().parse::<u64>().unwrap();
    let main = list(maps.list(&ListParams::default()).await.unwrap().metadata.resource_version);
    let own = list(events.list(&ListParams::default()).await.unwrap().metadata.resource_version);
    assert!(own < main, "events are at {own}, the rest is at {main}");
}

#[tokio::test]
async fn minio_creates_only_what_is_absent_and_keeps_it_over_a_kill() {
    let minio = Minio::start().await.unwrap();
    let store = minio.store();
    let path = Path::from("wal/1");
    let create = |text: &'static str| {
        let (store, path) = (store.clone(), path.clone());
        async move { store.put_opts(&path, text.into(), PutMode::Create.into()).await }
    };
    create("first").await.unwrap();
    let second = create("second").await.unwrap_err();
    assert!(matches!(second, object_store::Error::AlreadyExists { .. }), "{second:?}");

    minio.kill();
    minio.restart().await.unwrap();
    let kept = store.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(kept.as_ref(), b"first");
}
