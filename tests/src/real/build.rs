//! Builds the real servers from their pinned module versions, once, into a cache outside the checkout.
//!
//! Words: a *recipe* is everything that decides what comes out: `go.mod`, `go.sum`, linker flags, the packages, and
//! the sources where they are ours.
//!
//! Invariants:
//! - A cache folder is named by its recipe's hash, so that a changed pin is never served an old binary.
//! - A folder appears whole or not at all: it is built beside its place and renamed ([`Recipe::ensure`]).
//! - Processes that need the same recipe at the same time build it once: the first holds a file lock.
//!
//! Not here: starting what was built ([`super::process`]). Start reading at [`Program::ensure`].

use super::process::{spawn, tied_to_us};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// A server or tool of the testbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The API server's store.
    Etcd,
    /// Puts a copy of etcd's data back, as an operator does.
    Etcdutl,
    /// The API server.
    Apiserver,
    /// Garbage collection, namespace deletion, deployments, service accounts.
    ControllerManager,
    /// The command line, of the API server's own version.
    Kubectl,
    /// The S3-compatible object store.
    Minio,
    /// Runs a node's containers.
    Containerd,
    /// Speaks with containerd.
    Ctr,
    /// Runs a node's Pods.
    Kubelet,
    /// Says on which node a Pod runs.
    Scheduler,
    /// Makes volumes for claims.
    CsiProvisioner,
    /// Binds snapshots to what they are of.
    SnapshotController,
    /// Takes snapshots.
    CsiSnapshotter,
    /// The conformance suite of CSI drivers.
    CsiSanity,
    /// The testbed's own CSI driver.
    CsiDriver,
    /// The sample of a plugin.
    PluginSample,
    /// Reads repositories of files.
    Restic,
    /// Answers as Google Cloud Storage does.
    FakeGcs,
}

impl Program {
    /// Every program the testbed can build.
    pub const ALL: [Self; 18] = [
        Self::Etcd,
        Self::Etcdutl,
        Self::Apiserver,
        Self::ControllerManager,
        Self::Kubectl,
        Self::Minio,
        Self::Containerd,
        Self::Ctr,
        Self::Kubelet,
        Self::Scheduler,
        Self::CsiProvisioner,
        Self::SnapshotController,
        Self::CsiSnapshotter,
        Self::CsiSanity,
        Self::CsiDriver,
        Self::PluginSample,
        Self::Restic,
        Self::FakeGcs,
    ];

    /// The path of the built program. Builds its recipe first if the cache does not hold it; blocks meanwhile.
    pub fn ensure(self) -> Result<PathBuf> {
        let (recipe, name) = self.recipe();
        Ok(recipe.ensure()?.join(name))
    }

    /// Whether the cache holds it.
    pub fn is_built(self) -> Result<bool> {
        let (recipe, _) = self.recipe();
        Ok(recipe.place()?.join("bin").is_dir())
    }

    /// What it is built by, and its name.
    fn recipe(self) -> (&'static Recipe, &'static str) {
        match self {
            Self::Etcd => (&ETCD, "etcd"),
            Self::Etcdutl => (&ETCDUTL, "etcdutl"),
            Self::Apiserver => (&KUBERNETES, "kube-apiserver"),
            Self::ControllerManager => (&KUBERNETES, "kube-controller-manager"),
            Self::Kubectl => (&KUBERNETES, "kubectl"),
            Self::Minio => (&MINIO, "minio"),
            Self::Containerd => (&CONTAINERD, "containerd"),
            Self::Ctr => (&CONTAINERD, "ctr"),
            Self::Kubelet => (&KUBELET, "kubelet"),
            Self::Scheduler => (&KUBELET, "kube-scheduler"),
            Self::CsiProvisioner => (&PROVISIONER, "csi-provisioner"),
            Self::SnapshotController => (&SNAPSHOTTER, "snapshot-controller"),
            Self::CsiSnapshotter => (&SNAPSHOTTER, "csi-snapshotter"),
            Self::CsiSanity => (&CSI_SANITY, "csi-sanity"),
            Self::CsiDriver => (&CSI_DRIVER, "csi-driver"),
            Self::PluginSample => (&PLUGIN_SAMPLE, "plugin-sample"),
            Self::Restic => (&RESTIC, "restic"),
            Self::FakeGcs => (&FAKE_GCS, "fake-gcs-server"),
        }
    }
}

/// The definitions of snapshots, of group snapshots and of what belongs to them, of the version that the
/// snapshotter is built from.
pub fn snapshot_definitions() -> Result<Vec<PathBuf>> {
    let folder = SNAPSHOTTER.ensure()?.with_file_name("crd");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)?.flatten().map(|entry| entry.path()).collect();
    // Beside the definitions is a file that only lists them.
    files.retain(|file| file.file_name().is_some_and(|name| name.to_string_lossy().contains(".storage.k8s.io_")));
    files.sort();
    ensure!(!files.is_empty(), "no definitions of snapshots in {}", folder.display());
    Ok(files)
}

/// One Go module's share of the testbed: changing it rebuilds its programs and no others.
struct Recipe {
    folder: &'static str,
    version: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    ldflags: &'static str,
    /// Name of the binary, package, and roughly how long its first build takes on two cores.
    packages: &'static [(&'static str, &'static str, &'static str)],
    /// The text of the module's own sources.
    sources: &'static [&'static str],
    /// A folder of a module that is taken along: its name beside `bin`, the module, where it is there.
    folder_of: Option<(&'static str, &'static str, &'static str)>,
}

/// What most recipes have of.
const PLAIN: Recipe = Recipe {
    folder: "",
    version: "",
    go_mod: "",
    go_sum: "",
    ldflags: "-s -w",
    packages: &[],
    sources: &[],
    folder_of: None,
};

// Without these a Kubernetes server's version cannot be parsed, and clients complain.
const KUBERNETES_FLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
                                -X k8s.io/component-base/version.gitMajor=1 \
                                -X k8s.io/component-base/version.gitMinor=36";

const KUBERNETES: Recipe = Recipe {
    folder: "kubernetes",
    version: "1.36.3",
    go_mod: include_str!("../../servers/kubernetes/go.mod"),
    go_sum: include_str!("../../servers/kubernetes/go.sum"),
    ldflags: KUBERNETES_FLAGS,
    packages: &[
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", "5 min"),
        ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", "1 min"),
        ("kubectl", "k8s.io/kubernetes/cmd/kubectl", "1 min"),
    ],
    ..PLAIN
};

const ETCD: Recipe = Recipe {
    folder: "etcd",
    version: "3.6.12",
    go_mod: include_str!("../../servers/etcd/go.mod"),
    go_sum: include_str!("../../servers/etcd/go.sum"),
    packages: &[("etcd", "go.etcd.io/etcd/server/v3", "30 s")],
    ..PLAIN
};

const ETCDUTL: Recipe = Recipe {
    folder: "etcdutl",
    version: "3.6.14",
    go_mod: include_str!("../../servers/etcdutl/go.mod"),
    go_sum: include_str!("../../servers/etcdutl/go.sum"),
    packages: &[("etcdutl", "go.etcd.io/etcd/etcdutl/v3", "40 s")],
    ..PLAIN
};

const MINIO: Recipe = Recipe {
    folder: "minio",
    version: "2026-02-12",
    go_mod: include_str!("../../servers/minio/go.mod"),
    go_sum: include_str!("../../servers/minio/go.sum"),
    packages: &[("minio", "github.com/minio/minio", "3 min")],
    ..PLAIN
};

const CONTAINERD: Recipe = Recipe {
    folder: "containerd",
    version: "2.4.2",
    go_mod: include_str!("../../servers/containerd/go.mod"),
    go_sum: include_str!("../../servers/containerd/go.sum"),
    ldflags: "-s -w -X github.com/containerd/containerd/v2/version.Version=2.4.2",
    packages: &[
        ("containerd", "github.com/containerd/containerd/v2/cmd/containerd", "2 min"),
        ("containerd-shim-runc-v2", "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", "10 s"),
        ("ctr", "github.com/containerd/containerd/v2/cmd/ctr", "20 s"),
    ],
    ..PLAIN
};

const KUBELET: Recipe = Recipe {
    folder: "kubelet",
    version: "1.36.3",
    go_mod: include_str!("../../servers/kubelet/go.mod"),
    go_sum: include_str!("../../servers/kubelet/go.sum"),
    ldflags: KUBERNETES_FLAGS,
    packages: &[
        ("kubelet", "k8s.io/kubernetes/cmd/kubelet", "1 min"),
        ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", "1 min"),
    ],
    ..PLAIN
};

const PROVISIONER: Recipe = Recipe {
    folder: "provisioner",
    version: "5.1.0",
    go_mod: include_str!("../../servers/provisioner/go.mod"),
    go_sum: include_str!("../../servers/provisioner/go.sum"),
    ldflags: "-s -w -X main.version=v5.1.0",
    packages: &[("csi-provisioner", "github.com/kubernetes-csi/external-provisioner/v5/cmd/csi-provisioner", "2 min")],
    ..PLAIN
};

const SNAPSHOTTER: Recipe = Recipe {
    folder: "snapshotter",
    version: "8.6.0",
    go_mod: include_str!("../../servers/snapshotter/go.mod"),
    go_sum: include_str!("../../servers/snapshotter/go.sum"),
    ldflags: "-s -w -X main.version=v8.6.0",
    packages: &[
        ("snapshot-controller", "github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller", "2 min"),
        ("csi-snapshotter", "github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter", "10 s"),
    ],
    folder_of: Some(("crd", "github.com/kubernetes-csi/external-snapshotter/client/v8", "config/crd")),
    ..PLAIN
};

const CSI_SANITY: Recipe = Recipe {
    folder: "csi-sanity",
    version: "5.4.0",
    go_mod: include_str!("../../servers/csi-sanity/go.mod"),
    go_sum: include_str!("../../servers/csi-sanity/go.sum"),
    packages: &[("csi-sanity", "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity", "20 s")],
    ..PLAIN
};

const CSI_DRIVER: Recipe = Recipe {
    folder: "csi-driver",
    version: "1.0.0",
    go_mod: include_str!("../../servers/csi-driver/go.mod"),
    go_sum: include_str!("../../servers/csi-driver/go.sum"),
    packages: &[("csi-driver", ".", "20 s")],
    sources: &[
        include_str!("../../servers/csi-driver/main.go"),
        include_str!("../../servers/csi-driver/controller.go"),
        include_str!("../../servers/csi-driver/node.go"),
        include_str!("../../servers/csi-driver/store.go"),
        include_str!("../../servers/csi-driver/control.go"),
    ],
    ..PLAIN
};

const PLUGIN_SAMPLE: Recipe = Recipe {
    folder: "plugin-sample",
    version: "1.0.0",
    go_mod: include_str!("../../servers/plugin-sample/go.mod"),
    go_sum: include_str!("../../servers/plugin-sample/go.sum"),
    packages: &[("plugin-sample", ".", "20 s")],
    sources: &[
        include_str!("../../servers/plugin-sample/main.go"),
        include_str!("../../servers/plugin-sample/driver.go"),
        include_str!("../../servers/plugin-sample/store.go"),
        include_str!("../../servers/plugin-sample/strikes.go"),
        include_str!("../../servers/plugin-sample/transform.go"),
        include_str!("../../servers/plugin-sample/pluginv1/plugin.pb.go"),
        include_str!("../../servers/plugin-sample/pluginv1/plugin_grpc.pb.go"),
    ],
    ..PLAIN
};

const RESTIC: Recipe = Recipe {
    folder: "restic",
    version: "0.18.1",
    go_mod: include_str!("../../servers/restic/go.mod"),
    go_sum: include_str!("../../servers/restic/go.sum"),
    packages: &[("restic", "github.com/restic/restic/cmd/restic", "1 min")],
    ..PLAIN
};

const FAKE_GCS: Recipe = Recipe {
    folder: "fake-gcs-server",
    version: "1.56.1",
    go_mod: include_str!("../../servers/fake-gcs-server/go.mod"),
    go_sum: include_str!("../../servers/fake-gcs-server/go.sum"),
    packages: &[("fake-gcs-server", "github.com/fsouza/fake-gcs-server", "1 min")],
    ..PLAIN
};

impl Recipe {
    /// The folder of what it builds.
    fn place(&self) -> Result<PathBuf> {
        Ok(cache_dir()?.join("servers").join(self.hash()))
    }

    /// The folder with this recipe's binaries, built if it is not there.
    fn ensure(&self) -> Result<PathBuf> {
        kept(self.folder, &self.hash(), "bin", |building| {
            self.build_into(&building.join("bin"))?;
            self.take_along(building)
        })
    }

    fn hash(&self) -> String {
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        let packages = self.packages.iter().flat_map(|(name, package, _)| [*name, *package]);
        let taken_along = self.folder_of.iter().flat_map(|(name, module, path)| [*name, *module, *path]);
        let sources = self.sources.iter().copied().chain(taken_along);
        for part in [self.go_mod, self.go_sum, self.ldflags].into_iter().chain(packages).chain(sources) {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hex(hash.finish().as_ref())
    }

    fn build_into(&self, bin: &Path) -> Result<()> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers").join(self.folder);
        self.check_go()?;
        for (name, package, estimate) in self.packages {
            let what = format!("building {name} {}, the first time about {estimate}", self.version);
            let mut go = tied_to_us(Path::new("go"));
            go.args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags"])
                .args([self.ldflags, "-o"])
                .arg(bin.join(name))
                .arg(package)
                .current_dir(&source)
                .env("CGO_ENABLED", "0")
                // Not empty, for an empty value would let a GOFLAGS of `go env -w` through.
                .env("GOFLAGS", "-mod=readonly")
                .env("GOWORK", "off")
                .env_remove("GOOS")
                .env_remove("GOARCH")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            let mut child = spawn(go).context("running `go build`")?;
            let told = child.stderr.take().context("its messages are piped")?;
            let (said, took) = Progress::new(what).follow(told)?;
            let status = child.wait().context("running `go build`")?;
            ensure!(status.success(), "building {name} {} failed ({status}); `go` said:\n{said}", self.version);
            eprintln!("built {name} {} in {}", self.version, spoken(took));
        }
        Ok(())
    }

    /// Copies the folder of a module that is wanted beside the programs. The module is there: the build needed it.
    fn take_along(&self, place: &Path) -> Result<()> {
        let Some((name, module, path)) = self.folder_of else { return Ok(()) };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers").join(self.folder);
        let mut go = Command::new("go");
        go.args(["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module]).current_dir(source).env("GOWORK", "off");
        let said = go.output().context("running `go list`")?;
        ensure!(said.status.success(), "`go list {module}` failed:\n{}", String::from_utf8_lossy(&said.stderr));
        let from = Path::new(String::from_utf8(said.stdout)?.trim()).join(path);
        fs::create_dir(place.join(name))?;
        for file in fs::read_dir(&from).with_context(|| format!("reading {}", from.display()))? {
            let file = file?;
            // Read and written, since a module's files may not be written to.
            fs::write(place.join(name).join(file.file_name()), fs::read(file.path())?)?;
        }
        Ok(())
    }

    /// Says which Go to install before `go build` fails with less to go by.
    fn check_go(&self) -> Result<()> {
        let wanted = self.go_mod.lines().find_map(|line| line.strip_prefix("go ")).unwrap_or("1.26");
        match Command::new("go").arg("version").output() {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => bail!(
                "`go` is not on PATH, and the testbed builds {} {} from source\n\
                 hint: install Go {wanted} or newer (https://go.dev/dl), then run again",
                self.folder,
                self.version
            ),
            Err(error) => Err(error).context("running `go version`"),
        }
    }
}

/// One line about a build that goes on: what it is, how long it has taken and how many modules were fetched for it.
struct Progress {
    what: String,
    began: Instant,
    /// A terminal's line is written over; elsewhere a line comes once a minute.
    every: Duration,
    over: bool,
    fetched: usize,
}

impl Progress {
    fn new(what: String) -> Self {
        let over = std::io::stderr().is_terminal();
        let every = if over { Duration::from_secs(1) } else { Duration::from_mins(1) };
        Self { what, began: Instant::now(), every, over, fetched: 0 }
    }

    /// Follows what `go` says until it ends: fetched modules are counted, the rest is kept. That, and how long it took.
    fn follow(mut self, said: impl Read + Send) -> Result<(String, Duration)> {
        self.tell();
        let (tell, told) = mpsc::channel();
        let rest = std::thread::scope(|scope| {
            scope.spawn(move || {
                for line in BufReader::new(said).lines() {
                    if tell.send(line).is_err() {
                        return;
                    }
                }
            });
            let mut rest = Vec::new();
            let mut due = self.began + self.every;
            loop {
                match told.recv_timeout(due.saturating_duration_since(Instant::now())) {
                    Ok(line) => rest.extend(self.take(line?)),
                    Err(RecvTimeoutError::Timeout) => {
                        due += self.every;
                        self.tell();
                    }
                    Err(RecvTimeoutError::Disconnected) => return Ok::<_, anyhow::Error>(rest),
                }
            }
        })?;
        if self.over {
            eprint!("\r\x1b[2K");
        }
        Ok((rest.join("\n"), self.began.elapsed()))
    }

    /// A line of `go`, unless it only says that a module is fetched.
    fn take(&mut self, line: String) -> Option<String> {
        if line.starts_with("go: downloading ") {
            self.fetched += 1;
            return None;
        }
        Some(line)
    }

    fn tell(&self) {
        let line = self.line(self.began.elapsed());
        if self.over { eprint!("\r\x1b[2K{line}") } else { eprintln!("{line}") }
    }

    fn line(&self, elapsed: Duration) -> String {
        let fetched = if self.fetched == 0 { String::new() } else { format!(", modules fetched: {}", self.fetched) };
        if elapsed < Duration::from_secs(1) {
            self.what.clone()
        } else {
            format!("{}: {} so far{fetched}", self.what, spoken(elapsed))
        }
    }
}

/// `75 s` as `1 min 15 s`.
fn spoken(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// `part` of what is kept of `name` in the cache of servers under a hash; made if it is not there, beside its place and
/// renamed, under a lock.
pub(super) fn kept(name: &str, hash: &str, part: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let servers = cache_dir()?.join("servers");
    let place = servers.join(hash);
    let part = place.join(part);
    if part.exists() {
        return Ok(part);
    }
    fs::create_dir_all(&servers).with_context(|| format!("creating the build cache {}", servers.display()))?;
    let lock = File::create(servers.join(format!("{name}.lock")))?;
    lock.lock().with_context(|| format!("waiting for another who makes {name}"))?;
    if !part.exists() {
        let making = tempfile::Builder::new().prefix(".building-").tempdir_in(&servers)?;
        make(making.path())?;
        fs::rename(making.keep(), &place).with_context(|| format!("moving {name} to {}", place.display()))?;
    }
    Ok(part)
}

/// The SHA-256 of a text in hexadecimal digits.
pub(super) fn sha256(text: &str) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Where what outlives a checkout is kept: `$HINDCAST_TESTBED_CACHE`, or the user's cache folder.
pub fn cache_dir() -> Result<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(chosen) = var("HINDCAST_TESTBED_CACHE") {
        return Ok(chosen);
    }
    let user = var("XDG_CACHE_HOME")
        .or_else(|| var("HOME").map(|home| home.join(".cache")))
        .context("no cache folder: set HINDCAST_TESTBED_CACHE, XDG_CACHE_HOME or HOME")?;
    Ok(user.join("hindcast"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_one_line_and_what_it_complains_of_is_kept() {
        let mut progress = Progress::new("building x 1".to_owned());
        assert_eq!(progress.line(Duration::ZERO), "building x 1");
        assert_eq!(progress.take("go: downloading k8s.io/api v0.36.0".to_owned()), None);
        assert_eq!(progress.take("x.go:1: syntax error".to_owned()).as_deref(), Some("x.go:1: syntax error"));
        assert_eq!(progress.line(Duration::from_secs(75)), "building x 1: 1 min 15 s so far, modules fetched: 1");
        let said = "go: downloading a v1\nundefined: y\ngo: downloading b v1\nmore\n";
        let (kept, _) = progress.follow(said.as_bytes()).expect("text is read");
        assert_eq!(kept, "undefined: y\nmore");
    }
}
