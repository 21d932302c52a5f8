//! The real node and its volumes: that Pods run and are reached, that the CSI driver is one, that snapshots hold what
//! was there, and that nothing is left.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use hindcast_tests::http::{create, find, send};
use hindcast_tests::real::process::{Process, Workdir};
use hindcast_tests::real::{CallFault, Cluster, Csi, Image, Namespace, Node, Program};
use hindcast_tests::until::until_blocking;
use serde_json::{Value, json};

use crate::scene::{SOON, until};

const PODS: &str = "/api/v1/namespaces/default/pods";
const SNAPSHOTS: &str = "/apis/snapshot.storage.k8s.io/v1/namespaces/default/volumesnapshots";
const GROUPS: &str = "/apis/groupsnapshot.storage.k8s.io/v1/namespaces/default/volumegroupsnapshots";

/// A Pod of the small tools with a claim at `/data`, which runs this script.
fn pod(name: &str, claim: &str, script: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 1, "restartPolicy": "Never",
            "containers": [{
                "name": "c", "image": Image::Busybox.reference(), "imagePullPolicy": "Never",
                "command": ["sh", "-c", script],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        },
    })
}

/// A stateful set of one Pod with a database whose data are on a volume.
pub(crate) fn database(name: &str, image: Image, ready: &[&str]) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name},
        "spec": {
            "serviceName": name, "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{
                    "name": "db", "image": image.reference(), "imagePullPolicy": "Never",
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    "readinessProbe": {"exec": {"command": ready}, "periodSeconds": 1, "timeoutSeconds": 10},
                }]},
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"], "storageClassName": Csi::CLASS_WAITING,
                    "resources": {"requests": {"storage": "64Mi"}},
                },
            }],
        },
    })
}

/// The suite looks at answers of every service, and mounts: so it runs where mounts are its own.
#[test]
fn the_csi_driver_passes_the_conformance_suite() -> Result<()> {
    let (driver, suite) = (Program::CsiDriver.ensure()?, Program::CsiSanity.ensure()?);
    let dir = Workdir::new()?;
    let namespace = Namespace::new(dir.path())?;
    let file = |name: &str| dir.path().join(name).display().to_string();
    let driver = namespace.process("csi-driver", &driver, dir.path()).args([
        format!("--socket={}", file("csi.sock")),
        format!("--control={}", file("control.sock")),
        format!("--store={}", file("store")),
    ]);
    driver.start()?;
    until_blocking("the driver listens", SOON, || Path::new(&file("csi.sock")).exists())?;
    let output = namespace
        .command(&suite.display().to_string())
        .args(["--ginkgo.no-color", "--ginkgo.seed=1", "--csi.testvolumesize=1048576"])
        .arg(format!("--csi.endpoint={}", file("csi.sock")))
        .arg(format!("--csi.mountdir={}", file("mount")))
        .arg(format!("--csi.stagingdir={}", file("staging")))
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let result =
        said.lines().find(|line| line.contains(" Passed | ")).with_context(|| format!("no result:\n{said}"))?;
    ensure!(output.status.success() && result.contains("| 0 Failed |"), "{said}");
    // What the driver can't do is skipped; of what it says it can, nothing is.
    let passed = result.split_whitespace().zip(result.split_whitespace().skip(1)).find(|(_, word)| *word == "Passed");
    let passed: u32 = passed.context("a number of passed tests")?.0.parse()?;
    ensure!(passed >= 56, "only {passed} tests were run:\n{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_finds_in_its_volume_what_a_snapshot_of_anothers_held() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::builder().controller_manager().start().await?;
    let client = cluster.client();
    let node = Node::start(&cluster).await?;
    let csi = Csi::start(&node).await?;

    csi.claim("default", "first", None).await?;
    create(&client, PODS, pod("writer", "first", "echo one >/data/file; echo written; sleep 1000")).await?;
    node.ready("default", "writer").await?;
    until("the file is written", SOON, async || Ok(node.logs("default", "writer").await? == "written\n")).await?;
    ensure!(node.exec("default", "writer", &["cat", "/data/file"]).await?.ok()? == "one\n");
    let fails = node.exec("default", "writer", &["sh", "-c", "echo no >&2; exit 7"]).await?;
    ensure!(fails.code == Some(7) && fails.err.starts_with("no\n"), "{fails:?}");

    csi.snapshot("default", "then", "first").await?;
    csi.taken("default", "then").await?;
    node.exec("default", "writer", &["sh", "-c", "echo two >/data/file"]).await?.ok()?;
    csi.claim("default", "second", Some("then")).await?;
    create(&client, PODS, pod("reader", "second", "cat /data/file; echo too >/data/more")).await?;
    ensure!(node.done("default", "reader").await? == "one\n");
    ensure!(node.exec("default", "writer", &["cat", "/data/file"]).await?.ok()? == "two\n");

    // A snapshot is of one moment, whatever is written meanwhile: the counter and its copy never differ by more than
    // the one step that may lie between the two writes.
    let count = "i=0; while true; do i=$((i+1)); echo $i >/data/a; echo $i >/data/b; done";
    csi.claim("default", "third", None).await?;
    create(&client, PODS, pod("counter", "third", count)).await?;
    node.ready("default", "counter").await?;
    for taken in 0..5 {
        let name = format!("count-{taken}");
        csi.snapshot("default", &name, "third").await?;
        let handle = csi.taken("default", &name).await?;
        let read = |file: &str| std::fs::read_to_string(csi.content(&handle).join(file));
        let (a, b) = (read("a")?, read("b")?);
        let number = |text: &str| text.trim().parse::<u64>().ok();
        // A file is empty between being opened and being written.
        if let (Some(a), Some(b)) = (number(&a), number(&b)) {
            ensure!(a == b || a == b + 1, "snapshot {taken} has {a} and {b}");
        }
    }
    let goes_on = node.exec("default", "counter", &["cat", "/data/b"]).await?.ok()?;
    until("the counter counts on", SOON, async || {
        Ok(node.exec("default", "counter", &["cat", "/data/b"]).await?.ok()? != goes_on)
    })
    .await?;

    let (node_dir, csi_dir, namespace) = (node.dir().to_owned(), csi.dir().to_owned(), pids(node.dir())?);
    ensure!(namespace.len() > 5, "containerd, the kubelet, the shims and the containers: {namespace:?}");
    let writer = find(&client, &format!("{PODS}/writer")).await?.context("it is there")?;
    let container = writer["status"]["containerStatuses"][0]["containerID"].as_str().context("it has a container")?;
    let container = container.trim_start_matches("containerd://").to_owned();
    ensure!(!control_groups(&container)?.is_empty(), "a container has control groups");
    let bridge = Command::new("ip").args(["-brief", "link", "show", "type", "bridge"]).output()?.stdout;
    ensure!(String::from_utf8_lossy(&bridge).contains("hindcast"), "a node has a bridge");
    // Pods write to the volumes for as long as there is a node.
    drop(node);
    drop(csi);
    ensure!(!node_dir.exists() && !csi_dir.exists(), "folders are left");
    ensure!(pids(&node_dir)?.is_empty(), "processes are left");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    ensure!(!mounts.contains(node_dir.to_str().context("a path of text")?), "mounts are left");
    ensure!(control_groups(&container)?.is_empty(), "control groups are left");
    Ok(())
}

/// The control groups of a container, one a line.
fn control_groups(container: &str) -> Result<String> {
    let found = Command::new("find").args(["/sys/fs/cgroup", "-type", "d", "-name", container]).output()?;
    Ok(String::from_utf8(found.stdout)?)
}

/// The processes that work in a folder, by their command lines; those that are in it by more than that are among them.
fn pids(folder: &Path) -> Result<Vec<String>> {
    let folder = folder.to_str().context("a path of text")?;
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mounts = std::fs::read_to_string(entry.path().join("mountinfo")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(folder) || mounts.contains(folder) {
            pids.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(pids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_are_bound_and_snapshotted_without_a_node_and_faults_strike() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::builder().controller_manager().eager_controllers().start().await?;
    let client = cluster.client();
    let csi = Csi::start_without_node(&cluster).await?;
    let names: Vec<String> = (0..20).map(|number| format!("claim-{number}")).collect();
    try_join_all(names.iter().map(|name| csi.claim("default", name, None))).await?;
    let handles = try_join_all(names.iter().map(|name| csi.bound("default", name))).await?;
    for (name, handle) in names.iter().zip(&handles) {
        std::fs::write(csi.content(handle).join("name"), name)?;
    }
    try_join_all(names.iter().map(|name| csi.snapshot("default", name, name))).await?;
    let snapshots = try_join_all(names.iter().map(|name| csi.taken("default", name))).await?;
    for (name, handle) in names.iter().zip(&snapshots) {
        ensure!(std::fs::read_to_string(csi.content(handle).join("name"))? == *name, "{name} has another's content");
    }
    let volume = find(&client, "/api/v1/persistentvolumes").await?.context("volumes are listed")?["items"][0].clone();
    let zone = &volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0];
    ensure!(zone["values"] == json!([Csi::ZONE]), "a volume is in a zone: {volume}");

    // One that fails twice, one whose answer is lost: each ends in one snapshot.
    let calls_of = async |method: &str| {
        let calls = csi.calls().await?;
        anyhow::Ok(calls.into_iter().filter(|call| call.method == method).collect::<Vec<_>>())
    };
    let before = calls_of("CreateSnapshot").await?.len();
    csi.fault(CallFault::fails("CreateSnapshot").times(2).code(8, "too many requests")).await?;
    csi.snapshot("default", "struck", "claim-0").await?;
    csi.taken("default", "struck").await?;
    let codes: Vec<_> = calls_of("CreateSnapshot").await?[before..].iter().map(|call| call.code.clone()).collect();
    ensure!(codes.starts_with(&["ResourceExhausted".to_owned(), "ResourceExhausted".to_owned()]), "{codes:?}");
    let kept = folders(&csi)?;
    csi.fault(CallFault::loses_answer("CreateSnapshot").times(1)).await?;
    csi.snapshot("default", "lost", "claim-0").await?;
    csi.taken("default", "lost").await?;
    ensure!(folders(&csi)? == kept + 1, "a lost answer doubled a snapshot");

    // One that hangs and is never ready until it is let go.
    csi.fault(CallFault::hangs("CreateSnapshot").times(1)).await?;
    csi.fault(CallFault::not_ready("CreateSnapshot")).await?;
    csi.fault(CallFault::not_ready("ListSnapshots")).await?;
    csi.snapshot("default", "late", "claim-1").await?;
    until("the call hangs", SOON, async || {
        Ok(calls_of("CreateSnapshot").await?.last().is_some_and(|call| call.ended == 0))
    })
    .await?;
    let late = format!("{SNAPSHOTS}/late");
    ensure!(find(&client, &late).await?.context("it is there")?["status"]["readyToUse"] != true);
    csi.clear_faults().await?;
    csi.taken("default", "late").await?;

    // A group is taken in one call, and goes as one.
    for name in &names[..3] {
        let path = format!("/api/v1/namespaces/default/persistentvolumeclaims/{name}");
        send(&client, "PATCH", &path, Some(json!({"metadata": {"labels": {"group": "g"}}}))).await?;
    }
    let group = json!({
        "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": "VolumeGroupSnapshot", "metadata": {"name": "g"},
        "spec": {
            "volumeGroupSnapshotClassName": Csi::GROUP_CLASS,
            "source": {"selector": {"matchLabels": {"group": "g"}}},
        },
    });
    create(&client, GROUPS, group).await?;
    let path = format!("{GROUPS}/g");
    until("the group is taken", 2 * SOON, async || {
        Ok(find(&client, &path).await?.is_some_and(|group| group["status"]["readyToUse"] == true))
    })
    .await?;
    ensure!(calls_of("CreateVolumeGroupSnapshot").await?.iter().any(|call| call.code == "OK"), "no group was taken");
    let of_group = || async {
        let all = find(&client, SNAPSHOTS).await?.context("snapshots are listed")?;
        let all = all["items"].as_array().cloned().unwrap_or_default();
        anyhow::Ok(all.into_iter().filter(|one| one["metadata"]["ownerReferences"][0]["kind"] == "VolumeGroupSnapshot"))
    };
    until("each claim of the group has a snapshot", SOON, async || Ok(of_group().await?.count() == 3)).await?;
    send(&client, "DELETE", &path, None).await?;
    until("its snapshots are gone", 2 * SOON, async || Ok(of_group().await?.count() == 0)).await?;

    // What a killed driver had is there when it is back.
    csi.kill_driver();
    csi.restart_driver().await?;
    ensure!(folders(&csi)? == 43, "20 volumes and 23 snapshots, not {}", folders(&csi)?);
    Ok(())
}

/// How many volumes and snapshots the driver keeps.
fn folders(csi: &Csi) -> Result<usize> {
    Ok(std::fs::read_dir(csi.dir().join("store/volumes"))?.count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_run_on_volumes() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::builder().controller_manager().start().await?;
    let client = cluster.client();
    let node = Node::start(&cluster).await?;
    let _csi = Csi::start(&node).await?;
    let psql = ["psql", "-h", "/tmp", "-U", "postgres", "-qtAc"];
    let mariadb = ["mariadb", "--no-defaults", "-S", "/tmp/mysql.sock", "-uroot", "-NBe"];
    let sql = "CREATE DATABASE shop; CREATE TABLE shop.t (a int); INSERT INTO shop.t VALUES (42); SELECT a FROM shop.t";
    for (name, image, ask, make, read) in [
        (
            "pg",
            Image::Postgres,
            &psql,
            "CREATE TABLE t (a int); INSERT INTO t VALUES (42); SELECT a FROM t",
            "SELECT a FROM t",
        ),
        ("my", Image::Mariadb, &mariadb, sql, "SELECT a FROM shop.t"),
    ] {
        node.load(image).await?;
        let path = "/apis/apps/v1/namespaces/default/statefulsets";
        create(&client, path, database(name, image, &[&ask[..], &["SELECT 1"]].concat())).await?;
        let pod = format!("{name}-0");
        let path = format!("{PODS}/{pod}");
        until(format!("{pod} is made"), SOON, async || Ok(find(&client, &path).await?.is_some())).await?;
        let first = node.ready("default", &pod).await?;
        let exec = async |sql: &str| node.exec("default", &pod, &[&ask[..], &[sql]].concat()).await?.ok();
        ensure!(exec(make).await?.trim() == "42", "{name} keeps a row");
        // The Pod is another one, and the row is still there.
        send(&client, "DELETE", &path, None).await?;
        until(format!("{pod} is another"), 4 * SOON, async || {
            let now = find(&client, &path).await?;
            Ok(now.is_some_and(|now| now["metadata"]["uid"].as_str() != first.metadata.uid.as_deref()))
        })
        .await?;
        node.ready("default", &pod).await?;
        ensure!(exec(read).await?.trim() == "42", "{name} has kept the row");
    }
    Ok(())
}

/// The pieces that only the tests of the driver need; kept here so that a change of them is seen at once.
#[test]
fn what_a_killed_test_had_is_ended_with_it() -> Result<()> {
    let dir = Workdir::new()?;
    let namespace = Namespace::new(dir.path())?;
    let sleeper = namespace.process("sleeper", Path::new("sleep"), dir.path()).args(["100000"]);
    sleeper.start()?;
    let stray = namespace.command("sh").args(["-c", "setsid sleep 99999 >/dev/null 2>&1 &"]).status()?;
    ensure!(stray.success());
    let strays = || {
        let mut found = 0;
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found += usize::from(line == b"sleep\x0099999\x00" || line == b"sleep\x00100000\x00");
        }
        found
    };
    until_blocking("both sleep", SOON, || strays() == 2)?;
    drop(namespace);
    until_blocking("neither does", Duration::from_secs(5), || strays() == 0)?;
    drop::<Process>(sleeper);
    Ok(())
}
