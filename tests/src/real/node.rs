//! A node: Pods run on it, and `exec` and logs work.
//!
//! Words: a node consists of containerd, a kubelet and a scheduler, and of the namespaces they live in
//! ([`Namespace`]). Its *folder* has their state and logs.
//!
//! Invariants:
//! - Whatever ends the test, nothing of a node is left: no process, container, mount, bridge, control group or file.
//! - Two nodes may run at the same time, of one cluster or of two.
//! - Images are loaded from archives ([`Image`]); nothing is fetched, so Pods need `imagePullPolicy: Never`.
//!
//! Not here: services and names of the cluster's network. Pods reach one another and their node by address; what
//! listens on the machine's loopback, such as the API server, is reached by Pods with `hostNetwork: true` alone.
//! Start reading at [`Node::start`].

mod namespace;
mod network;

pub use self::namespace::Namespace;
use self::network::Network;
use super::build::Program;
use super::process::{Port, Process, Workdir};
use super::{Cluster, Image};
use crate::until::until;
use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod};
use kube::{Api, Client};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Mutex;

/// How long a part of a node, or a Pod, may take to get ready. Generous: other tests may load the machine.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// A running node. Dropping it ends all that runs on it.
pub struct Node {
    // In the order of dropping: who starts containers, then everything at once, then what they leave behind.
    scheduler: Process,
    kubelet: Process,
    containerd: Process,
    namespace: Namespace,
    _network: Network,
    _port: Port,
    loaded: Mutex<BTreeSet<Image>>,
    name: String,
    client: Client,
    kubeconfig: PathBuf,
    programs: Programs,
    dir: Workdir,
}

#[derive(Clone, Debug)]
struct Programs {
    containerd: PathBuf,
    ctr: PathBuf,
    kubelet: PathBuf,
    scheduler: PathBuf,
    kubectl: PathBuf,
}

/// What a command in a container said and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code; `None` if it was not run or did not end by itself.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Answer {
    /// Standard output of a command that succeeded.
    pub fn ok(self) -> Result<String> {
        ensure!(self.code == Some(0), "exit code {:?}\n{}{}", self.code, self.out, self.err);
        Ok(self.out)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.name).field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Node {
    /// Starts a node named `node-1` in `zone-a`. The cluster must have all controllers
    /// ([`super::Builder::controller_manager`]).
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        Self::start_as(cluster, "node-1", "zone-a").await
    }

    /// Starts a node of this name in this zone, with a scheduler. Returns when it is ready and has the small tools'
    /// image.
    pub async fn start_as(cluster: &Cluster, name: &str, zone: &str) -> Result<Self> {
        let runc = ["/usr/sbin/runc", "/usr/bin/runc"].map(PathBuf::from).into_iter().find(|path| path.is_file());
        let runc = runc.context("`runc`, which starts containers, is missing\nhint: apt-get install runc")?;
        let programs = tokio::task::spawn_blocking(Programs::ensure).await??;
        let dir = Workdir::new()?;
        let network = Network::new()?;
        let port = Port::lease()?;
        let places = Places { dir: dir.path() };
        places.write_containerd(&runc)?;
        places.write_kubelet(cluster, &network, port.number())?;
        let namespace = Namespace::new(dir.path())?;
        let kubelet_config = cluster.part_kubeconfig(&format!("system:node:{name}"), Some("system:nodes"))?;
        let scheduler_config = cluster.part_kubeconfig("system:kube-scheduler", None)?;
        let scheduler = Process::new("kube-scheduler", programs.scheduler.clone(), dir.path()).args([
            format!("--kubeconfig={}", scheduler_config.display()),
            "--secure-port=0".to_owned(),
            "--leader-elect=false".to_owned(),
        ]);
        let containerd = namespace
            .process("containerd", &programs.containerd, dir.path())
            .args([format!("--config={}", places.file("containerd.toml"))])
            // Shims are found beside containerd, runc's helpers and the network's tools where they usually are.
            .env("PATH", &format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder_of(&programs.containerd)?.display()));
        let kubelet = namespace.process("kubelet", &programs.kubelet, dir.path()).args([
            format!("--config={}", places.file("kubelet.json")),
            format!("--kubeconfig={}", kubelet_config.display()),
            format!("--root-dir={}", places.file("kubelet")),
            format!("--cert-dir={}", places.file("kubelet-certs")),
            format!("--hostname-override={name}"),
            format!("--node-ip={}", network.address()),
            format!("--node-labels=topology.kubernetes.io/zone={zone}"),
        ]);
        let node = Self {
            scheduler,
            kubelet,
            containerd,
            namespace,
            _network: network,
            _port: port,
            loaded: Mutex::default(),
            name: name.to_owned(),
            client: cluster.client(),
            kubeconfig: cluster.kubeconfig(),
            programs,
            dir,
        };
        node.bring_up().await?;
        Ok(node)
    }

    async fn bring_up(&self) -> Result<()> {
        self.scheduler.start()?;
        self.containerd.start()?;
        self.containerd.wait_ready(READY_WITHIN, || async { self.ctr(&["version"]).await.is_ok() }).await?;
        // Both before the kubelet asks for them: it does not ask again at once.
        self.load(Image::Pause).await?;
        self.load(Image::Busybox).await?;
        self.kubelet.start()?;
        let nodes: Api<NodeObject> = Api::all(self.client.clone());
        self.kubelet.wait_ready(READY_WITHIN, || async { is_ready(&nodes, &self.name).await }).await
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder, with the logs of its parts, and of its Pods below `var/log/pods`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where its processes live, for more of them: what mounts for its Pods has to be there.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The kubelet's folder.
    pub fn kubelet_dir(&self) -> PathBuf {
        self.dir.path().join("kubelet")
    }

    /// A client of its cluster with every right.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The admin's kubeconfig of its cluster.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Makes an image known to the node, built first if it never was. One that is known costs nothing.
    pub async fn load(&self, image: Image) -> Result<()> {
        let mut loaded = self.loaded.lock().await;
        if !loaded.contains(&image) {
            let archive = tokio::task::spawn_blocking(move || image.archive()).await??;
            self.ctr(&["images", "import", "--local", &archive.display().to_string()])
                .await
                .with_context(|| format!("loading the image {}", image.reference()))?;
            loaded.insert(image);
        }
        Ok(())
    }

    /// Waits until a Pod is ready; fails at once, with its container's log, when a container has failed.
    pub async fn ready(&self, namespace: &str, pod: &str) -> Result<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
        let mut last = None;
        let waited = until(format!("the Pod {namespace}/{pod} is ready"), READY_WITHIN, async || {
            last = pods.get_opt(pod).await?;
            let status = last.as_ref().and_then(|pod| pod.status.as_ref());
            let Some(status) = status else { return Ok(false) };
            if status.phase.as_deref() == Some("Failed") {
                bail!("it failed:\n{}", self.logs(namespace, pod).await.unwrap_or_default());
            }
            let mut conditions = status.conditions.iter().flatten();
            Ok(conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True"))
        });
        if let Err(error) = waited.await {
            let logs = self.logs(namespace, pod).await.unwrap_or_default();
            let told = serde_json::to_string(&last.and_then(|pod| pod.status)).unwrap_or_default();
            return Err(error.context(format!("status {told}\nlogs:\n{logs}\nkubelet:\n{}", self.kubelet.log_tail())));
        }
        last.context("it was waited for")
    }

    /// Waits until a Pod has ended well; its log.
    pub async fn done(&self, namespace: &str, pod: &str) -> Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
        until(format!("the Pod {namespace}/{pod} is done"), READY_WITHIN, async || {
            let phase = pods.get(pod).await?.status.and_then(|status| status.phase);
            if phase.as_deref() == Some("Failed") {
                bail!("it failed:\n{}", self.logs(namespace, pod).await.unwrap_or_default());
            }
            Ok(phase.as_deref() == Some("Succeeded"))
        })
        .await?;
        self.logs(namespace, pod).await
    }

    /// What a Pod's container has printed.
    pub async fn logs(&self, namespace: &str, pod: &str) -> Result<String> {
        self.kubectl(&["logs", "-n", namespace, pod, "--all-containers"]).await?.ok()
    }

    /// Runs a command in a Pod's container, by way of the API server and the kubelet.
    pub async fn exec(&self, namespace: &str, pod: &str, command: &[&str]) -> Result<Answer> {
        self.kubectl(&[&["exec", "-n", namespace, pod, "--"], command].concat()).await
    }

    /// SIGKILL to the processes of a Pod's first container; the kubelet starts it again if it is to.
    pub async fn kill_container(&self, namespace: &str, pod: &str) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
        let status = pods.get(pod).await?.status.context("the Pod has a status")?;
        let id = status.container_statuses.into_iter().flatten().find_map(|status| status.container_id);
        let id = id.with_context(|| format!("{namespace}/{pod} has a container"))?;
        let id = id.trim_start_matches("containerd://");
        self.ctr(&["tasks", "kill", "--signal", "SIGKILL", id]).await
    }

    /// Runs the command line of Kubernetes.
    pub async fn kubectl(&self, args: &[&str]) -> Result<Answer> {
        let mut command = tokio::process::Command::new(&self.programs.kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args).kill_on_drop(true);
        // Where answers of discovery are kept, which otherwise is in the user's home.
        command.env("KUBECACHEDIR", self.dir.path().join("kubectl"));
        let output = command.output().await.context("running kubectl")?;
        Ok(Answer {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// SIGKILL for the kubelet; the containers go on.
    pub fn kill_kubelet(&self) {
        self.kubelet.kill();
    }

    /// Starts a kubelet that was killed.
    pub fn start_kubelet(&self) -> Result<()> {
        self.kubelet.start()
    }

    async fn ctr(&self, args: &[&str]) -> Result<()> {
        let mut command = tokio::process::Command::new(&self.programs.ctr);
        command.arg("--address").arg(self.dir.path().join("containerd.sock")).args(["--namespace", "k8s.io"]);
        let output = command.args(args).kill_on_drop(true).output().await.context("running ctr")?;
        ensure!(output.status.success(), "ctr {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

impl Programs {
    fn ensure() -> Result<Self> {
        Ok(Self {
            containerd: Program::Containerd.ensure()?,
            ctr: Program::Ctr.ensure()?,
            kubelet: Program::Kubelet.ensure()?,
            scheduler: Program::Scheduler.ensure()?,
            kubectl: Program::Kubectl.ensure()?,
        })
    }
}

/// Where things of a node are, for the settings of its parts.
struct Places<'a> {
    dir: &'a Path,
}

impl Places<'_> {
    fn file(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn write_containerd(&self, runc: &Path) -> Result<()> {
        let text = format!(
            r#"version = 3
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[ttrpc]
  address = "{socket}.ttrpc"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{pause}"
[plugins.'io.containerd.cri.v1.runtime']
  # Where even root may not lower a process's score, no Pod would start.
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = "runc"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = "{runc}"
  SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{plugins}"]
  conf_dir = "{cni}"
"#,
            root = self.file("containerd"),
            state = self.file("containerd-state"),
            socket = self.file("containerd.sock"),
            pause = Image::Pause.reference(),
            runc = runc.display(),
            plugins = Network::plugins(),
            cni = self.file("cni"),
        );
        Ok(fs::write(self.dir.join("containerd.toml"), text)?)
    }

    fn write_kubelet(&self, cluster: &Cluster, network: &Network, port: u16) -> Result<()> {
        let serving = cluster.authority().serving(&[&network.address()])?;
        fs::create_dir_all(self.dir.join("cni"))?;
        fs::write(self.dir.join("cni/testbed.conflist"), network.settings(&self.dir.join("addresses")))?;
        fs::write(self.dir.join("kubelet.crt"), serving.cert)?;
        fs::write(self.dir.join("kubelet.key"), serving.key)?;
        fs::write(self.dir.join("ca.crt"), cluster.authority().pem())?;
        let settings = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": network.address(),
            "port": port,
            "readOnlyPort": 0,
            "healthzPort": 0,
            "tlsCertFile": self.file("kubelet.crt"),
            "tlsPrivateKeyFile": self.file("kubelet.key"),
            "authentication": {
                "anonymous": { "enabled": false },
                "webhook": { "enabled": false },
                "x509": { "clientCAFile": self.file("ca.crt") },
            },
            "authorization": { "mode": "AlwaysAllow" },
            "containerRuntimeEndpoint": format!("unix://{}", self.file("containerd.sock")),
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": false,
            "enforceNodeAllocatable": [],
            // A machine may still have the first version of control groups.
            "failCgroupV1": false,
            "localStorageCapacityIsolation": false,
            "failSwapOn": false,
            // A full disk of the machine is not what a test is about.
            "evictionHard": { "nodefs.available": "0%", "imagefs.available": "0%", "memory.available": "0%" },
            "imageGCHighThresholdPercent": 100,
            "makeIPTablesUtilChains": false,
            "resolvConf": "",
            "podLogsDir": "/var/log/pods",
            "volumePluginDir": self.file("kubelet-plugins"),
            "syncFrequency": "10s",
        });
        Ok(fs::write(self.dir.join("kubelet.json"), settings.to_string())?)
    }
}

fn folder_of(program: &Path) -> Result<&Path> {
    program.parent().context("a program lies in a folder")
}

async fn is_ready(nodes: &Api<NodeObject>, name: &str) -> bool {
    let Ok(node) = nodes.get(name).await else { return false };
    let tainted = node.spec.and_then(|spec| spec.taints).is_some_and(|taints| !taints.is_empty());
    let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
    // A new node is tainted until the controllers have seen it ready; no Pod would run.
    !tainted && conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
