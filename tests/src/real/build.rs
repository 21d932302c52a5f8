//! Builds the real servers from their pinned module versions, once, into a cache outside the checkout.
//!
//! Words: a *recipe* is everything that decides what comes out: `go.mod`, `go.sum`, linker flags and the packages.
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
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

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
}

impl Program {
    /// Every program the testbed can build.
    pub const ALL: [Self; 6] =
        [Self::Etcd, Self::Etcdutl, Self::Apiserver, Self::ControllerManager, Self::Kubectl, Self::Minio];

    /// The path of the built program. Builds its recipe first if the cache does not hold it; blocks meanwhile.
    pub fn ensure(self) -> Result<PathBuf> {
        let (recipe, name) = match self {
            Self::Etcd => (&ETCD, "etcd"),
            Self::Etcdutl => (&ETCDUTL, "etcdutl"),
            Self::Apiserver => (&KUBERNETES, "kube-apiserver"),
            Self::ControllerManager => (&KUBERNETES, "kube-controller-manager"),
            Self::Kubectl => (&KUBERNETES, "kubectl"),
            Self::Minio => (&MINIO, "minio"),
        };
        Ok(recipe.ensure()?.join(name))
    }
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
}

const KUBERNETES: Recipe = Recipe {
    folder: "kubernetes",
    version: "1.36.3",
    go_mod: include_str!("../../servers/kubernetes/go.mod"),
    go_sum: include_str!("../../servers/kubernetes/go.sum"),
    // Without these the server's version cannot be parsed, and clients complain.
    ldflags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
              -X k8s.io/component-base/version.gitMajor=1 \
              -X k8s.io/component-base/version.gitMinor=36",
    packages: &[
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", "5 min"),
        ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", "1 min"),
        ("kubectl", "k8s.io/kubernetes/cmd/kubectl", "1 min"),
    ],
};

const ETCD: Recipe = Recipe {
    folder: "etcd",
    version: "3.6.12",
    go_mod: include_str!("../../servers/etcd/go.mod"),
    go_sum: include_str!("../../servers/etcd/go.sum"),
    ldflags: "-s -w",
    packages: &[("etcd", "go.etcd.io/etcd/server/v3", "30 s")],
};

const ETCDUTL: Recipe = Recipe {
    folder: "etcdutl",
    version: "3.6.14",
    go_mod: include_str!("../../servers/etcdutl/go.mod"),
    go_sum: include_str!("../../servers/etcdutl/go.sum"),
    ldflags: "-s -w",
    packages: &[("etcdutl", "go.etcd.io/etcd/etcdutl/v3", "40 s")],
};

const MINIO: Recipe = Recipe {
    folder: "minio",
    version: "2026-02-12",
    go_mod: include_str!("../../servers/minio/go.mod"),
    go_sum: include_str!("../../servers/minio/go.sum"),
    ldflags: "-s -w",
    packages: &[("minio", "github.com/minio/minio", "3 min")],
};

impl Recipe {
    /// The folder with this recipe's binaries, built if it is not there.
    fn ensure(&self) -> Result<PathBuf> {
        let servers = cache_dir()?.join("servers");
        let place = servers.join(self.hash());
        let bin = place.join("bin");
        if bin.is_dir() {
            return Ok(bin);
        }
        fs::create_dir_all(&servers).with_context(|| format!("creating the build cache {}", servers.display()))?;
        let lock = File::create(servers.join(format!("{}.lock", self.folder)))?;
        lock.lock().context("waiting for another build of the same servers")?;
        if !bin.is_dir() {
            let building = tempfile::Builder::new().prefix(".building-").tempdir_in(&servers)?;
            self.build_into(&building.path().join("bin"))?;
            fs::rename(building.keep(), &place)
                .with_context(|| format!("moving the built servers to {}", place.display()))?;
        }
        Ok(bin)
    }

    fn hash(&self) -> String {
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        let packages = self.packages.iter().flat_map(|(name, package, _)| [*name, *package]);
        for part in [self.go_mod, self.go_sum, self.ldflags].into_iter().chain(packages) {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hex(hash.finish().as_ref())
    }

    fn build_into(&self, bin: &Path) -> Result<()> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers").join(self.folder);
        self.check_go()?;
        for (name, package, estimate) in self.packages {
            eprintln!("building {name} {}: the first time takes about {estimate}", self.version);
            let began = Instant::now();
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
                .stdout(Stdio::null());
            let status = spawn(go).and_then(|mut child| child.wait()).context("running `go build`")?;
            ensure!(
                status.success(),
                "building {name} {} failed ({status}); what `go` said stands above",
                self.version
            );
            eprintln!("built {name} in {:.0} s", began.elapsed().as_secs_f64());
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
