//! `cargo testbed`: the real servers for a person.
//!
//! Standard output carries shell `export` lines alone, so that `eval "$(cargo testbed up --detach)"` works.
//! One testbed runs per state folder: it holds a lock for as long as it lives, which is also how `down` knows that the
//! process id in the state file is still its own.

#![allow(clippy::disallowed_methods, reason = "real servers run on the real clock and environment")]

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use hindcast_tests::real::build::cache_dir;
use hindcast_tests::real::{Cluster, Csi, Image, Minio, Node, Program};
use hindcast_tests::until::until;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long a start may take, with the builds of the servers that a first one makes.
const STARTED_WITHIN: Duration = Duration::from_hours(1);

/// A private Kubernetes control plane and an S3 store, on loopback.
#[derive(Parser)]
#[command(name = "cargo testbed")]
struct Args {
    /// Where the running testbed is written down. Another folder allows another testbed.
    #[arg(long, global = true, value_name = "FOLDER")]
    state: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start a cluster (with controllers) and MinIO, print how to reach them, run until Ctrl-C.
    Up {
        /// Return when everything runs; `down` ends it.
        #[arg(long)]
        detach: bool,
        /// Start a node too, on which Pods run, with volumes and snapshots. Needs root.
        #[arg(long)]
        node: bool,
    },
    /// End what `up` started.
    Down,
    /// Build the servers, so that the first `up` or test need not.
    Build,
}

/// Where the running testbed is written down.
struct State {
    dir: PathBuf,
    exports: PathBuf,
    pid: PathBuf,
    lock: PathBuf,
    log: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    let state = State::open(args.state)?;
    let outcome = match args.verb {
        Verb::Up { detach: false, node } => runtime.block_on(up(&state, node)),
        Verb::Up { detach: true, node } => runtime.block_on(detach(&state, node)),
        Verb::Down => runtime.block_on(down(&state)),
        Verb::Build => build(),
    };
    // A build that Ctrl-C left behind must not hold up the end.
    runtime.shutdown_background();
    outcome
}

fn build() -> Result<()> {
    for program in Program::ALL {
        eprintln!("{}", program.ensure()?.display());
    }
    Ok(())
}

async fn up(state: &State, with_node: bool) -> Result<()> {
    let lock = File::create(&state.lock)?;
    if lock.try_lock().is_err() {
        bail!("a testbed is running already\nhint: `cargo testbed down` ends it");
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let told_to_end = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    };
    let run = async {
        let cluster = Cluster::builder().controller_manager().start().await?;
        let minio = Minio::start().await?;
        let node = if with_node { Some(add_node(&cluster).await?) } else { None };
        let exports = exports(&cluster, &minio)?;
        fs::write(&state.exports, &exports)?;
        fs::write(&state.pid, std::process::id().to_string())?;
        print!("{exports}");
        eprintln!("logs: {} and {}", cluster.dir().display(), minio.dir().display());
        if let Some((node, csi)) = &node {
            eprintln!("logs of the node and its volumes: {} and {}", node.dir().display(), csi.dir().display());
            eprintln!("images, with imagePullPolicy: Never: {}", Image::ALL.map(Image::reference).join(" "));
        }
        eprintln!("running; Ctrl-C ends it and removes everything");
        std::future::pending::<Result<()>>().await
    };
    let outcome = tokio::select! {
        ended = run => ended,
        () = told_to_end => Ok(()),
    };
    state.clear();
    outcome
}

/// A node with volumes, which knows every image.
async fn add_node(cluster: &Cluster) -> Result<(Node, Csi)> {
    let node = Node::start(cluster).await?;
    let csi = Csi::start(&node).await?;
    for image in Image::ALL {
        node.load(image).await?;
    }
    Ok((node, csi))
}

fn exports(cluster: &Cluster, minio: &Minio) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "export KUBECONFIG={}", cluster.kubeconfig().display())?;
    writeln!(text, "export HINDCAST_JOURNAL={}", minio.url("journal"))?;
    for (name, value) in minio.env() {
        writeln!(text, "export {name}={value}")?;
    }
    let kubectl = Program::Kubectl.ensure()?;
    let folder = kubectl.parent().context("kubectl lies in a folder")?;
    writeln!(text, "export PATH={}:$PATH", folder.display())?;
    Ok(text)
}

async fn detach(state: &State, with_node: bool) -> Result<()> {
    let log = File::create(&state.log)?;
    let mut child = Command::new(std::env::current_exe()?)
        .args([OsStr::new("up"), OsStr::new("--state"), state.dir.as_os_str()])
        .args(with_node.then_some("--node"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0)
        .spawn()?;
    eprintln!("starting; progress in {}", state.log.display());
    // Written last, so that the exports are there when it is.
    let pid = child.id().to_string();
    until("the testbed is up", STARTED_WITHIN, async || {
        if let Some(status) = child.try_wait()? {
            bail!("the testbed ended ({status}):\n{}", fs::read_to_string(&state.log)?);
        }
        Ok(fs::read_to_string(&state.pid).is_ok_and(|ready| ready == pid))
    })
    .await?;
    print!("{}", fs::read_to_string(&state.exports)?);
    Ok(())
}

async fn down(state: &State) -> Result<()> {
    let lock = File::create(&state.lock)?;
    if lock.try_lock().is_ok() {
        state.clear();
        eprintln!("no testbed is running");
        return Ok(());
    }
    let pid = fs::read_to_string(&state.pid).context("the testbed is still starting; try again")?;
    let sent = Command::new("sh").args(["-c", &format!("kill -s TERM {pid}")]).status()?;
    if !sent.success() {
        bail!("the testbed (pid {pid}) could not be sent SIGTERM");
    }
    // The lock is free when the process is gone, and its parts with it.
    tokio::task::spawn_blocking(move || lock.lock()).await??;
    eprintln!("ended");
    Ok(())
}

impl State {
    fn open(chosen: Option<PathBuf>) -> Result<Self> {
        let dir = chosen.map_or_else(|| Ok(cache_dir()?.join("testbed")), anyhow::Ok)?;
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(Self {
            dir: dir.clone(),
            exports: dir.join("env"),
            pid: dir.join("pid"),
            lock: dir.join("lock"),
            log: dir.join("log"),
        })
    }

    fn clear(&self) {
        let _ = fs::remove_file(&self.exports);
        let _ = fs::remove_file(&self.pid);
    }
}
