//! Volumes and snapshots: the testbed's CSI driver with the real provisioner, snapshotter and snapshot controller.
//!
//! Words: a *fault* is what the next calls of one of the driver's methods do instead of, or beside, their work. The
//! *handle* of a volume or snapshot is the driver's own id of it.
//!
//! - A volume is a folder, a snapshot a copy of it as it was at one moment: containers with the volume are stopped
//!   while it is copied. So a volume is no file system of its own: **never freeze one** (`fsfreeze`), it would be the
//!   machine's.
//! - The driver's classes are there: [`Csi::CLASS`], [`Csi::CLASS_WAITING`], [`Csi::SNAPSHOT_CLASS`],
//!   [`Csi::GROUP_CLASS`].
//! - With a node ([`Csi::start`]) Pods use the volumes. Without one ([`Csi::start_without_node`]) claims are bound and
//!   snapshots taken just the same, a hundred in seconds. The cluster needs all controllers in both cases.
//!
//! The driver itself is in `servers/csi-driver`. Start reading at [`Csi::start`].

use super::build::{Program, snapshot_definitions};
use super::process::{Process, Workdir};
use super::{Cluster, Node};
use crate::http::{JSON, create, create_unless_there, find, request};
use crate::until::until;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use kube::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// How long a part, a claim or a snapshot may take. Generous: other tests may load the machine at the same time.
const WITHIN: Duration = Duration::from_mins(1);

/// A running driver and its sidecars. Dropping it ends them and removes every volume.
pub struct Csi {
    // In the order of dropping: who asks before whom they ask.
    sidecars: [Process; 3],
    driver: Process,
    client: Client,
    dir: Workdir,
}

/// A call of the driver, from its own record. Times are microseconds since 1970.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    /// The method, as CSI names it: `CreateSnapshot`.
    pub method: String,
    /// The name that the caller gave to what was to be made, or the id of what the call was about.
    pub name: String,
    /// When it came.
    pub began: i64,
    /// When it was answered; 0 while it was not.
    pub ended: i64,
    /// How it was answered: `OK`, or the name of gRPC's code.
    pub code: String,
    /// The error's words.
    pub message: String,
}

/// What the next calls of a method do.
#[derive(Clone, Debug, Serialize)]
pub struct CallFault {
    method: &'static str,
    kind: &'static str,
    times: u32,
    code: u32,
    message: String,
    milliseconds: u64,
}

impl CallFault {
    fn new(method: &'static str, kind: &'static str) -> Self {
        Self { method, kind, times: 0, code: 0, message: String::new(), milliseconds: 0 }
    }

    /// They fail, as unavailable if nothing else is said, and do nothing.
    pub fn fails(method: &'static str) -> Self {
        Self::new(method, "fail").code(14, "the testbed's fault")
    }

    /// They do what they are for, and then fail: the answer is lost.
    pub fn loses_answer(method: &'static str) -> Self {
        Self::new(method, "lost").code(14, "the testbed's fault: the answer is lost")
    }

    /// They hang until the faults are cleared or the caller goes, and do nothing before.
    pub fn hangs(method: &'static str) -> Self {
        Self::new(method, "hang")
    }

    /// They take this much longer.
    pub fn slow(method: &'static str, by: Duration) -> Self {
        Self { milliseconds: by.as_millis() as u64, ..Self::new(method, "slow") }
    }

    /// They answer that what they made or list is not ready to use. To keep a snapshot from getting ready: of
    /// `CreateSnapshot` and `ListSnapshots`, for a group of `CreateVolumeGroupSnapshot` and `GetVolumeGroupSnapshot`.
    pub fn not_ready(method: &'static str) -> Self {
        Self::new(method, "not-ready")
    }

    /// Only so many calls; otherwise all until the faults are cleared.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// The error's code, by gRPC's numbers, and its words.
    #[must_use]
    pub fn code(self, code: u32, message: &str) -> Self {
        Self { code, message: message.to_owned(), ..self }
    }
}

impl std::fmt::Debug for Csi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Csi").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Csi {
    /// The driver's name.
    pub const DRIVER: &str = "csi.testbed.hindcast.dev";
    /// The storage class, also the default one; its volumes are made at once.
    pub const CLASS: &str = "testbed";
    /// The storage class whose volumes are made when a Pod needs them.
    pub const CLASS_WAITING: &str = "testbed-waiting";
    /// The class of snapshots, also the default one. A snapshot is deleted with its object.
    pub const SNAPSHOT_CLASS: &str = "testbed";
    /// The class of group snapshots.
    pub const GROUP_CLASS: &str = "testbed";
    /// The zone of every volume.
    pub const ZONE: &str = "zone-a";

    /// Starts it on a node. Returns when the kubelet knows the driver.
    pub async fn start(node: &Node) -> Result<Self> {
        let dir = Workdir::new()?;
        let program = tokio::task::spawn_blocking(|| Program::CsiDriver.ensure()).await??;
        let registry = node.kubelet_dir().join("plugins_registry");
        let driver = node
            .namespace()
            .process("csi-driver", &program, dir.path())
            .args([format!("--node={}", node.name()), format!("--register={}", registry.display())]);
        let csi = Self::bring_up(node.client(), node.kubeconfig(), driver, dir).await?;
        let path = format!("/apis/storage.k8s.io/v1/csinodes/{}", node.name());
        until("the kubelet knows the CSI driver", WITHIN, async || {
            let known = csi.get(&path).await?;
            Ok(known["spec"]["drivers"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == Self::DRIVER)))
        })
        .await?;
        Ok(csi)
    }

    /// Starts it beside a cluster without nodes: everything but the use of volumes.
    pub async fn start_without_node(cluster: &Cluster) -> Result<Self> {
        let dir = Workdir::new()?;
        let program = tokio::task::spawn_blocking(|| Program::CsiDriver.ensure()).await??;
        let driver = Process::new("csi-driver", program, dir.path());
        Self::bring_up(cluster.client(), &cluster.kubeconfig(), driver, dir).await
    }

    async fn bring_up(client: Client, kubeconfig: &Path, driver: Process, dir: Workdir) -> Result<Self> {
        let wanted = [Program::CsiProvisioner, Program::CsiSnapshotter, Program::SnapshotController, Program::Kubectl];
        let programs = tokio::task::spawn_blocking(move || wanted.map(Program::ensure)).await?;
        let definitions = tokio::task::spawn_blocking(snapshot_definitions).await??;
        let [provisioner, snapshotter, controller, kubectl] = programs;
        let file = |name: &str| dir.path().join(name).display().to_string();
        let driver = driver.args([
            format!("--name={}", Self::DRIVER),
            format!("--zone={}", Self::ZONE),
            format!("--socket={}", file("csi.sock")),
            format!("--control={}", file("control.sock")),
            format!("--store={}", file("store")),
        ]);
        let sidecar = |name: &str, program: PathBuf| {
            Process::new(name, program, dir.path()).args([
                format!("--kubeconfig={}", kubeconfig.display()),
                // By default they ask so seldom that a test would wait for that alone, and wait long after an error.
                "--kube-api-qps=500".to_owned(),
                "--kube-api-burst=1000".to_owned(),
                "--worker-threads=100".to_owned(),
                "--retry-interval-start=200ms".to_owned(),
                "--retry-interval-max=2s".to_owned(),
            ])
        };
        let of_driver = [format!("--csi-address={}", file("csi.sock")), "--timeout=10s".to_owned()];
        let groups = ["--feature-gates=CSIVolumeGroupSnapshot=true"];
        let sidecars = [
            sidecar("csi-provisioner", provisioner?)
                .args(of_driver.clone())
                .args(["--extra-create-metadata", "--immediate-topology=false"]),
            sidecar("csi-snapshotter", snapshotter?).args(of_driver).args(["--extra-create-metadata"]).args(groups),
            sidecar("snapshot-controller", controller?).args(groups),
        ];
        let csi = Self { sidecars, driver, client, dir };
        csi.restart_driver().await?;
        csi.define(&kubectl?, kubeconfig, &definitions).await?;
        for sidecar in &csi.sidecars {
            sidecar.start()?;
        }
        Ok(csi)
    }

    /// Stops the sidecar of snapshots where it is, until it goes on.
    pub fn pause_snapshotter(&self) -> Result<()> {
        self.sidecars[1].pause()
    }

    /// Lets it go on.
    pub fn resume_snapshotter(&self) -> Result<()> {
        self.sidecars[1].resume()
    }

    /// Creates the definitions and the classes. Those that another driver brought are left.
    async fn define(&self, kubectl: &Path, kubeconfig: &Path, definitions: &[PathBuf]) -> Result<()> {
        let mut apply = tokio::process::Command::new(kubectl);
        apply.arg("--kubeconfig").arg(kubeconfig).args(["apply", "--server-side"]).kill_on_drop(true);
        apply.env("KUBECACHEDIR", self.dir.path().join("kubectl"));
        for file in definitions {
            apply.arg("-f").arg(file);
        }
        let output = apply.output().await.context("running kubectl")?;
        ensure!(output.status.success(), "defining snapshots: {}", String::from_utf8_lossy(&output.stderr));
        let class = |name: &str, binding: &str, default: bool| {
            json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                "metadata": {"name": name, "annotations": {
                    "storageclass.kubernetes.io/is-default-class": default.to_string(),
                }},
                "provisioner": Self::DRIVER, "volumeBindingMode": binding, "reclaimPolicy": "Delete",
            })
        };
        let (storage, snapshots) = ("/apis/storage.k8s.io/v1", "/apis/snapshot.storage.k8s.io/v1");
        let groups = "/apis/groupsnapshot.storage.k8s.io/v1";
        let driver = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": Self::DRIVER},
            "spec": {"attachRequired": false, "podInfoOnMount": false, "fsGroupPolicy": "File"},
        });
        create_unless_there(&self.client, &format!("{storage}/csidrivers"), &driver).await?;
        let classes = format!("{storage}/storageclasses");
        create_unless_there(&self.client, &classes, &class(Self::CLASS, "Immediate", true)).await?;
        create_unless_there(&self.client, &classes, &class(Self::CLASS_WAITING, "WaitForFirstConsumer", false)).await?;
        let of_snapshots = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass",
            "metadata": {"name": Self::SNAPSHOT_CLASS, "annotations": {
                "snapshot.storage.kubernetes.io/is-default-class": "true",
            }},
            "driver": Self::DRIVER, "deletionPolicy": "Delete",
        });
        let of_groups = json!({
            "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": "VolumeGroupSnapshotClass",
            "metadata": {"name": Self::GROUP_CLASS}, "driver": Self::DRIVER, "deletionPolicy": "Delete",
        });
        for (path, class) in [
            (format!("{snapshots}/volumesnapshotclasses"), of_snapshots),
            (format!("{groups}/volumegroupsnapshotclasses"), of_groups),
        ] {
            until(format!("{path} is served"), WITHIN, async || {
                let body = class.to_string().into_bytes();
                let (status, answer) = request(&self.client, "POST", &path, Some(body), JSON).await?;
                ensure!(
                    matches!(status, 201 | 404 | 409),
                    "POST {path}: {status} {}",
                    String::from_utf8_lossy(&answer)
                );
                Ok(status != 404)
            })
            .await?;
        }
        Ok(())
    }

    /// The folder of its logs, and of its volumes and snapshots: `store/volumes/<handle>/data`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The content of a volume or snapshot, by its handle.
    pub fn content(&self, handle: &str) -> PathBuf {
        self.dir.path().join("store/volumes").join(handle).join("data")
    }

    /// Sets a fault, behind those that are set already.
    pub async fn fault(&self, fault: CallFault) -> Result<()> {
        self.ask("POST", "/faults", serde_json::to_vec(&fault)?).await?;
        Ok(())
    }

    /// No faults any more; calls that hang go on.
    pub async fn clear_faults(&self) -> Result<()> {
        self.ask("DELETE", "/faults", Vec::new()).await?;
        Ok(())
    }

    /// Every call of the driver since it was started, in the order in which they came.
    pub async fn calls(&self) -> Result<Vec<Call>> {
        Ok(serde_json::from_slice(&self.ask("GET", "/calls", Vec::new()).await?)?)
    }

    /// SIGKILL for the driver.
    pub fn kill_driver(&self) {
        self.driver.kill();
    }

    /// Kills the driver if it runs and starts it on its volumes, without faults. The provisioner and the snapshotter
    /// end when they lose it; those that did are started again.
    pub async fn restart_driver(&self) -> Result<()> {
        let began = self.driver.pid().is_some();
        self.driver.kill();
        self.driver.start()?;
        self.driver.wait_ready(WITHIN, || async { self.calls().await.is_ok() }).await?;
        for sidecar in &self.sidecars[..2] {
            if began {
                sidecar.kill();
                sidecar.start()?;
            }
        }
        Ok(())
    }

    /// Creates a claim of 1 MiB, empty or with a snapshot's content.
    pub async fn claim(&self, namespace: &str, name: &str, from: Option<&str>) -> Result<()> {
        let mut claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": Self::CLASS,
                "resources": {"requests": {"storage": "1Mi"}},
            },
        });
        if let Some(snapshot) = from {
            claim["spec"]["dataSource"] =
                json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": snapshot});
        }
        create(&self.client, &format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims"), claim).await?;
        Ok(())
    }

    /// Waits until a claim is bound; the handle of its volume.
    pub async fn bound(&self, namespace: &str, claim: &str) -> Result<String> {
        let path = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}");
        let bound = self.until_it(&path, |claim| claim["status"]["phase"] == "Bound").await?;
        let volume = bound["spec"]["volumeName"].as_str().context("a bound claim names its volume")?;
        let volume = self.get(&format!("/api/v1/persistentvolumes/{volume}")).await?;
        Ok(volume["spec"]["csi"]["volumeHandle"].as_str().context("a volume of the driver has a handle")?.to_owned())
    }

    /// Creates a snapshot of a claim.
    pub async fn snapshot(&self, namespace: &str, name: &str, claim: &str) -> Result<()> {
        let snapshot = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {"name": name},
            "spec": {
                "volumeSnapshotClassName": Self::SNAPSHOT_CLASS,
                "source": {"persistentVolumeClaimName": claim},
            },
        });
        create(&self.client, &snapshots(namespace), snapshot).await?;
        Ok(())
    }

    /// Waits until a snapshot is ready to use; its handle.
    pub async fn taken(&self, namespace: &str, snapshot: &str) -> Result<String> {
        let path = format!("{}/{snapshot}", snapshots(namespace));
        let ready = self.until_it(&path, |snapshot| snapshot["status"]["readyToUse"] == true).await?;
        let content = ready["status"]["boundVolumeSnapshotContentName"].as_str().context("it has a content")?;
        let content = self.get(&format!("/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents/{content}")).await?;
        Ok(content["status"]["snapshotHandle"].as_str().context("a snapshot that is ready has a handle")?.to_owned())
    }

    /// Waits until an object is as it should be; the object.
    async fn until_it(&self, path: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut object = Value::Null;
        let waited = until(format!("{path} is as it should be"), WITHIN, async || {
            object = self.get(path).await?;
            Ok(is(&object))
        });
        let waited = waited.await.map(|_| ());
        let logs = || self.sidecars.iter().map(Process::log_tail).collect::<Vec<_>>().join("\n");
        waited.with_context(|| format!("status: {}\nlogs:\n{}", object["status"], logs()))?;
        Ok(object)
    }

    async fn get(&self, path: &str) -> Result<Value> {
        find(&self.client, path).await?.with_context(|| format!("there is no {path}"))
    }

    /// A question to the driver's control socket.
    async fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> Result<Bytes> {
        let socket = self.dir.path().join("control.sock");
        let stream =
            UnixStream::connect(&socket).await.with_context(|| format!("connecting to {}", socket.display()))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let question = hyper::Request::builder().method(method).uri(path).header("host", "driver");
        let answer = sender.send_request(question.body(Full::new(Bytes::from(body)))?).await?;
        let status = answer.status();
        let said = answer.into_body().collect().await?.to_bytes();
        connection.abort();
        ensure!(status.is_success(), "the CSI driver answered {status}: {}", String::from_utf8_lossy(&said));
        Ok(said)
    }
}

fn snapshots(namespace: &str) -> String {
    format!("/apis/snapshot.storage.k8s.io/v1/namespaces/{namespace}/volumesnapshots")
}
