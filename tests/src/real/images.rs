//! Images for the node's Pods, made here, for there is no registry: archives that containerd imports.
//!
//! Words: a *recipe* is everything that decides what an image holds: the packages it is made from, our own files in it,
//! its settings. An *archive* is the image as one tar, in the form that `docker save` writes.
//!
//! Invariants:
//! - An archive is named by its recipe's hash in the cache of [`super::build`], and appears whole or not at all.
//! - An image has one layer, and its files are of packages of the system's own archive, or are here.
//! - A Pod names one by [`Image::reference`], with `imagePullPolicy: Never`.
//!
//! Not here: loading an image into a node ([`super::Node::load`]). Start reading at [`Image::archive`].

use super::build::{cache_dir, hex};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// An image that a Pod of the testbed can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Image {
    /// Holds a Pod's namespaces; every node has it.
    Pause,
    /// A shell and the small tools.
    Busybox,
    /// PostgreSQL. Its data are in `PGDATA`, `/data/pgdata` if nothing else is said, made at the first start; the
    /// superuser is `postgres` and needs no password; it runs as user and group 999.
    Postgres,
    /// MariaDB. Its data are in `/data/mysql`, made at the first start; the superuser is `root` and needs no password;
    /// its socket is `/tmp/mysql.sock`; it runs as user and group 999.
    Mariadb,
}

/// What an image is made from.
struct Recipe {
    /// Packages to unpack. Of what they depend on, the libraries are unpacked too.
    packages: &'static [&'static str],
    /// Whether the first package stands for another, which has its version in its name.
    newest: bool,
    /// Text files of ours, executable.
    files: &'static [(&'static str, &'static str)],
    /// A C program of ours that becomes `/pause`.
    program: Option<&'static str>,
    user: &'static str,
    entrypoint: &'static [&'static str],
}

const USERS: &str = "root:x:0:0:root:/root:/bin/sh\ndatabase:x:999:999:database:/data:/bin/sh\n\
                     nobody:x:65534:65534:nobody:/:/bin/sh\n";
const GROUPS: &str = "root:x:0:\ndatabase:x:999:\nnogroup:x:65534:\n";

const PAUSE: Recipe = Recipe {
    packages: &[],
    newest: false,
    files: &[],
    program: Some(include_str!("images/pause.c")),
    user: "0:0",
    entrypoint: &["/pause"],
};

const BUSYBOX: Recipe = Recipe {
    packages: &["busybox-static"],
    newest: false,
    files: &[],
    program: None,
    user: "0:0",
    entrypoint: &["/bin/sh"],
};

const POSTGRES: Recipe = Recipe {
    packages: &["postgresql", "postgresql-client", "tzdata", "busybox-static"],
    newest: true,
    files: &[("entrypoint", include_str!("images/postgres.sh"))],
    program: None,
    user: "999:999",
    entrypoint: &["/bin/sh", "/entrypoint"],
};

const MARIADB: Recipe = Recipe {
    packages: &["mariadb-server", "mariadb-server-core", "mariadb-client-core", "mariadb-common", "busybox-static"],
    newest: false,
    files: &[("entrypoint", include_str!("images/mariadb.sh"))],
    program: None,
    user: "999:999",
    entrypoint: &["/bin/sh", "/entrypoint"],
};

/// What packages depend on and an image does without: compilers for queries, other languages' runtimes, daemons.
const LEFT_OUT: &[&str] =
    &["libllvm", "libperl", "libpython", "libz3-", "libdebian-installer", "libnewt", "libslang", "libelogind"];

impl Image {
    /// Every image.
    pub const ALL: [Self; 4] = [Self::Pause, Self::Busybox, Self::Postgres, Self::Mariadb];

    /// What a Pod's `image` says.
    pub fn reference(self) -> &'static str {
        match self {
            Self::Pause => "testbed.hindcast.dev/pause:1",
            Self::Busybox => "testbed.hindcast.dev/busybox:1",
            Self::Postgres => "testbed.hindcast.dev/postgres:1",
            Self::Mariadb => "testbed.hindcast.dev/mariadb:1",
        }
    }

    /// Its archive, made first if the cache does not hold it; blocks meanwhile.
    pub fn archive(self) -> Result<std::path::PathBuf> {
        let images = cache_dir()?.join("images");
        let place = images.join(self.recipe().hash());
        let archive = place.join("image.tar");
        if archive.is_file() {
            return Ok(archive);
        }
        fs::create_dir_all(&images).with_context(|| format!("creating the cache {}", images.display()))?;
        let lock = File::create(images.join(format!("{self:?}.lock")))?;
        lock.lock().context("waiting for another build of the same image")?;
        if !archive.is_file() {
            let building = tempfile::Builder::new().prefix(".building-").tempdir_in(&images)?;
            self.build_into(building.path()).with_context(|| format!("making the image {}", self.reference()))?;
            fs::create_dir_all(&place)?;
            fs::rename(building.path().join("image.tar"), &archive)?;
        }
        Ok(archive)
    }

    fn recipe(self) -> &'static Recipe {
        match self {
            Self::Pause => &PAUSE,
            Self::Busybox => &BUSYBOX,
            Self::Postgres => &POSTGRES,
            Self::Mariadb => &MARIADB,
        }
    }

    /// Makes `image.tar` in a folder of its own.
    fn build_into(self, dir: &Path) -> Result<()> {
        let recipe = self.recipe();
        let root = dir.join("root");
        Recipe::lay_out(&root)?;
        recipe.unpack(&root, &dir.join("packages"))?;
        recipe.add_ours(&root)?;
        let layer = dir.join("layer.tar");
        run(Command::new("tar")
            .args(["--sort=name", "--mtime=@0", "--numeric-owner", "--owner=0", "--group=0", "-C"])
            .arg(&root)
            .arg("-cf")
            .arg(&layer)
            .arg("."))?;
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {
                "User": recipe.user,
                "Entrypoint": recipe.entrypoint,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "WorkingDir": "/",
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", digest_of(&layer)?)] },
        });
        let manifest = json!([{ "Config": "config.json", "RepoTags": [self.reference()], "Layers": ["layer.tar"] }]);
        fs::write(dir.join("config.json"), config.to_string())?;
        fs::write(dir.join("manifest.json"), manifest.to_string())?;
        let image = dir.join("image.tar");
        run(Command::new("tar").arg("-C").arg(dir).arg("-cf").arg(&image).args([
            "manifest.json",
            "config.json",
            "layer.tar",
        ]))
    }
}

impl Recipe {
    fn hash(&self) -> String {
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        let files = self.files.iter().flat_map(|(name, text)| [*name, *text]);
        let parts =
            self.packages.iter().copied().chain(files).chain(self.program).chain(self.entrypoint.iter().copied());
        // What every recipe shares, with a number to be raised when how an image is put together changes.
        for part in parts.chain(LEFT_OUT.iter().copied()).chain([self.user, USERS, GROUPS, "1"]) {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hex(hash.finish().as_ref())
    }

    /// The folders that every system has. `/bin` and its like are links, as packages expect today.
    fn lay_out(root: &Path) -> Result<()> {
        for folder in ["etc", "tmp", "data", "run", "proc", "sys", "dev", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"]
        {
            fs::create_dir_all(root.join(folder))?;
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), root.join(name))?;
        }
        for shared in ["tmp", "run", "data"] {
            fs::set_permissions(root.join(shared), fs::Permissions::from_mode(0o1777))?;
        }
        fs::write(root.join("etc/passwd"), USERS)?;
        fs::write(root.join("etc/group"), GROUPS)?;
        Ok(())
    }

    /// Unpacks its packages and the libraries they need.
    fn unpack(&self, root: &Path, dir: &Path) -> Result<()> {
        if self.packages.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(dir)?;
        let mut wanted: BTreeSet<String> = self.packages.iter().map(|&name| name.to_owned()).collect();
        if self.newest {
            let versioned = |found: &String| self.packages.iter().any(|name| found.starts_with(&format!("{name}-")));
            wanted.extend(depends(&wanted, false)?.into_iter().filter(versioned));
        }
        wanted.extend(depends(&wanted, true)?.into_iter().filter(|name| is_library(name)));
        // As root, `apt-get` would hand the download to a user that can't write here.
        run(Command::new("apt-get")
            .args(["download", "-q", "-o", "APT::Sandbox::User=root"])
            .args(&wanted)
            .current_dir(dir))
        .context("hint: `apt-get update` renews the lists of packages that a download needs")?;
        for package in fs::read_dir(dir)? {
            let unpack = r#"dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2""#;
            run(Command::new("sh").args(["-ec", unpack, "unpack"]).arg(package?.path()).arg(root))?;
        }
        Ok(())
    }

    /// What no package has: links to the small tools, our own files and program.
    fn add_ours(&self, root: &Path) -> Result<()> {
        let busybox = root.join("usr/bin/busybox");
        if busybox.is_file() {
            let listed = Command::new(&busybox).arg("--list").output().context("running busybox")?;
            for tool in String::from_utf8(listed.stdout)?.lines() {
                let place = root.join("usr/bin").join(tool);
                if fs::symlink_metadata(&place).is_err() && !root.join("usr/sbin").join(tool).exists() {
                    symlink("busybox", place)?;
                }
            }
        }
        // Servers and tools of PostgreSQL are where no PATH looks.
        if let Ok(versions) = fs::read_dir(root.join("usr/lib/postgresql")) {
            for version in versions {
                let version = version?.file_name();
                for tool in ["psql", "pg_dump", "pg_isready", "pg_controldata"] {
                    let real = Path::new("/usr/lib/postgresql").join(&version).join("bin").join(tool);
                    symlink(real, root.join("usr/bin").join(tool))?;
                }
            }
        }
        for (name, text) in self.files {
            fs::write(root.join(name), text)?;
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o755))?;
        }
        if let Some(program) = self.program {
            let source = root.with_extension("c");
            fs::write(&source, program)?;
            run(Command::new("cc").args(["-O2", "-static", "-o"]).arg(root.join("pause")).arg(source))?;
        }
        Ok(())
    }
}

/// Whether a package that another depends on is a library that an image takes along.
fn is_library(name: &str) -> bool {
    (name.starts_with("lib") || name.starts_with("galera-") || name == "zlib1g")
        && !name.ends_with("-perl")
        && !LEFT_OUT.iter().any(|left| name.starts_with(left))
}

/// What packages depend on: what they name, or with all that those depend on.
fn depends(packages: &BTreeSet<String>, recurse: bool) -> Result<BTreeSet<String>> {
    let mut apt = Command::new("apt-cache");
    apt.args(["depends", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces"]);
    apt.args(["--no-enhances"]).args(recurse.then_some("--recurse")).args(packages);
    let output = apt.output().context("running `apt-cache`, which images are made with, on Debian or Ubuntu")?;
    ensure!(
        output.status.success(),
        "asking what {packages:?} depend on: {}\nhint: `apt-get update` fetches the lists of packages",
        String::from_utf8_lossy(&output.stderr)
    );
    // Of alternatives every one is listed; a virtual package is in angle brackets and is no package.
    let said = String::from_utf8_lossy(&output.stdout);
    let names = said.lines().filter_map(|line| line.rsplit(' ').next()).filter(|name| !name.starts_with('<'));
    Ok(names.map(|name| name.trim_end_matches(":any").to_owned()).collect())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed ({}):\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn digest_of(path: &Path) -> Result<String> {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    let mut file = File::open(path)?;
    let mut part = vec![0; 1 << 20];
    loop {
        let read = std::io::Read::read(&mut file, &mut part)?;
        if read == 0 {
            return Ok(hex(hash.finish().as_ref()));
        }
        hash.update(&part[..read]);
    }
}
