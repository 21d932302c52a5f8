//! Namespaces of mounts and processes in which a node lives, so that all of it ends at once.
//!
//! Invariants:
//! - What runs in one ends with it: the kernel kills every process of a process namespace whose first one is gone,
//!   containers and shims among them, however they were started. The first one is tied to us as every child is.
//! - What is mounted in one is mounted nowhere else, and goes away with the last process in it.
//! - Its `/run` and `/var/log` are its own, so that two containerds share no socket and no state.
//! - The control groups made in it are below one of its own, which goes away with it.
//!
//! Not here: networks, which are the machine's ([`super::Node`]). Start reading at [`Namespace::new`].

use super::super::process::{Janitor, Process};
use crate::until::until_blocking;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The namespaces. Dropping them ends every process in them.
#[derive(Debug)]
pub struct Namespace {
    holder: Process,
    /// The first process in it, as the machine numbers it.
    first: u32,
    entry: Vec<String>,
    _cgroups: Janitor,
}

/// What the first process does: it mounts what is its own, says so, and then only takes the exit codes of orphans.
const FIRST: &str = r#"
set -e
mount --make-rshared /
mount -t tmpfs tmpfs /run
for shared in log lib/cni; do
    mkdir -p "$1/var/$shared" "/var/$shared"
    mount --bind "$1/var/$shared" "/var/$shared"
done
for group in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -e "$group/cgroup.procs" ] || continue
    mkdir "$group/$2"
    # In the first version of control groups these are empty in a new one, and nothing may run there.
    for file in cpuset.mems cpuset.cpus; do
        [ ! -e "$group/$file" ] || cat "$group/$file" > "$group/$2/$file"
    done
    mount --bind "$group/$2" "$group"
done
echo $$ > "$1/namespace.ready"
set +e
while :; do sleep 1000000 & wait; done
"#;

/// Removes the control groups of that name, the inner ones first; for a moment after its end the kernel keeps a process
/// in them.
const SWEEP: &str = r#"for again in 1 2 3 4 5; do
    find /sys/fs/cgroup -depth -type d -path "*/$1*" -exec rmdir {} +
    [ -n "$(find /sys/fs/cgroup -type d -name "$1")" ] || exit
    sleep 1
done"#;

impl Namespace {
    /// Makes them. What is its own and should be looked at later lies in this folder.
    pub fn new(dir: &Path) -> Result<Self> {
        as_root()?;
        let cgroup = dir.file_name().context("a folder of a process has a name")?.to_string_lossy().into_owned();
        let cgroups = Janitor::new(SWEEP, [&cgroup])?;
        let holder = Process::new("namespace", PathBuf::from("unshare"), dir)
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "--"])
            .args(["sh", "-c", FIRST, "first"])
            .args([dir.display().to_string(), cgroup]);
        holder.start()?;
        let ready = dir.join("namespace.ready");
        until_blocking("the namespaces are there", Duration::from_secs(30), || {
            ready.is_file() || matches!(holder.exited(), Ok(Some(_)))
        })?;
        let Some(pid) = holder.pid() else {
            bail!("no namespaces of mounts and processes can be made here:\n{}", holder.log_tail());
        };
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let first = children.trim().parse().with_context(|| format!("`unshare` has one child: {children:?}"))?;
        let entry = [format!("--mount=/proc/{first}/ns/mnt"), format!("--pid=/proc/{first}/ns/pid")];
        Ok(Self { holder, first, entry: entry.to_vec(), _cgroups: cgroups })
    }

    /// A process in them that is not running yet. It ends when its [`Process`] is killed, and with them.
    pub fn process(&self, name: &str, program: &Path, dir: &Path) -> Process {
        Process::new(name, PathBuf::from("nsenter"), dir)
            .args(self.entry.iter().cloned())
            // `nsenter` has to fork, and does not take its child along when it is killed.
            .args(["--", "setpriv", "--pdeathsig", "KILL", "--"])
            .args([program.display().to_string()])
    }

    /// A command in them.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(&self.entry).args(["--", program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The first process, not the one outside that waits for it: that one ends when nothing is left.
        let _ = Command::new("sh").args(["-c", &format!("kill -s KILL {}", self.first)]).status();
        let _ = until_blocking("the namespaces are gone", Duration::from_secs(30), || self.holder.pid().is_none());
    }
}

/// Fails unless we are root: nothing else may mount, or make namespaces and bridges.
fn as_root() -> Result<()> {
    ensure!(
        fs::metadata("/proc/self")?.uid() == 0,
        "a node of the testbed mounts, and makes namespaces and a bridge, which only root may\n\
         hint: run the tests as root, as CI does"
    );
    Ok(())
}
