//! A child process that cannot outlive us, the folder it works in, and the ports it may bind.
//!
//! Invariants, each checked by `tests/cluster/testbed.rs`:
//! - A child is killed and reaped when its [`Process`] is dropped: on success, failure and panic.
//! - A child dies when we are killed without a chance to clean up: it runs under `setpriv --pdeathsig KILL`.
//!   The kernel sends that signal when the *thread* that spawned it ends, hence one thread that lives for ever.
//! - A [`Workdir`] goes away with its owner however that ends: a [`Janitor`] (a shell in its own process group)
//!   waits for its standard input to close, which the kernel does for us in every case.
//! - A [`Port`] is ours from lease to drop, against other processes of the testbed (a file lock) and against
//!   outgoing connections (it lies below the ephemeral range), so that a server can come back on its port.
//!
//! Signals are sent by `sh -c kill`: std sends none but SIGKILL, and the workspace forbids unsafe code.

use super::build;
use crate::until::{SOON, until, until_blocking};
use anyhow::{Context, Result, anyhow, bail};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;
use tokio::net::TcpStream;

/// A server: how to start it, and the running child if there is one.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// A process that is not running yet. Its output goes to `<dir>/<name>.log`.
    pub fn new(name: &str, program: PathBuf, dir: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program,
            args: Vec::new(),
            env: Vec::new(),
            log: dir.join(format!("{name}.log")),
            child: Mutex::new(None),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Spawns it; a running one is left alone.
    pub fn start(&self) -> Result<()> {
        let mut child = self.child();
        if child.as_mut().and_then(running).is_some() {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = tied_to_us(&self.program);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in a terminal reaches its whole foreground group; only our own process should act on it.
            .process_group(0);
        let spawned = spawn(command)
            .with_context(|| format!("starting {} (under `setpriv`, of the package util-linux)", self.name))?;
        *child = Some(spawned);
        Ok(())
    }

    /// The process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child().as_mut().and_then(running).map(|child| child.id())
    }

    /// The file its output goes to, over all its starts.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            // Both fail only if it is gone already, which is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, and waits until it is gone. An API server can take a minute over its watches.
    pub async fn stop(&self, within: Duration) -> Result<()> {
        if self.pid().is_some() {
            self.signal("TERM")?;
            self.wait(within).await?;
        }
        Ok(())
    }

    /// Waits until it ends by itself; returns how.
    pub async fn wait(&self, within: Duration) -> Result<ExitStatus> {
        let mut ended = None;
        let waited = until(format!("{} ends", self.name), within, async || {
            ended = self.exited()?;
            Ok(ended.is_some())
        });
        waited.await.map_err(|error| self.with_log(&error))?;
        ended.context("it was waited for until it had ended")
    }

    /// SIGSTOP: alive, holding its connections, answering nothing. On a busy machine it goes on for a while after the signal
    /// is sent, since one of its threads has to run to take it: so it is waited for.
    pub fn pause(&self) -> Result<()> {
        self.signal("STOP")?;
        let pid = self.pid().with_context(|| format!("{} has ended", self.name))?;
        // What cannot be read is asked for again: a thread may end while it is looked at.
        until_blocking(format!("{} stands still", self.name), SOON, || stands_still(pid).unwrap_or_default())?;
        Ok(())
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal("CONT")
    }

    /// How it ended, if it was started and has ended by itself.
    pub fn exited(&self) -> Result<Option<ExitStatus>> {
        match self.child().as_mut() {
            Some(child) => Ok(child.try_wait()?),
            None => Ok(None),
        }
    }

    /// The last lines of its output, for messages.
    pub fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Waits until `ready` says so; fails with the log's end if it exits before, or is not ready `within`.
    pub async fn wait_ready<F: Future<Output = bool>>(&self, within: Duration, ready: impl Fn() -> F) -> Result<()> {
        let waited = until(format!("{} is ready", self.name), within, async || {
            if let Some(status) = self.exited()? {
                bail!("{} ended while starting ({status})", self.name);
            }
            // A question that hangs is asked again.
            Ok(tokio::time::timeout(Duration::from_secs(2), ready()).await.unwrap_or(false))
        });
        waited.await.map_err(|error| self.with_log(&error))?;
        Ok(())
    }

    fn with_log(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow!("{error:#}\n{}", self.log_tail())
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let mut child = self.child();
        // Held over the signal: the child is not reaped meanwhile, so its pid is not another process's.
        let child = child.as_mut().and_then(running);
        let pid = child.with_context(|| format!("{} is not running", self.name))?.id();
        let status = Command::new("sh").args(["-c", &format!("kill -s {signal} {pid}")]).status()?;
        if !status.success() {
            bail!("{} (pid {pid}) could not be sent SIG{signal}", self.name);
        }
        Ok(())
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        // A panic while the lock was held leaves a valid `Option<Child>`.
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether every thread of a process is stopped.
fn stands_still(pid: u32) -> io::Result<bool> {
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = fs::read_to_string(thread?.path().join("stat"))?;
        // The state follows the name, which is in brackets and may hold any sign.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if state != Some('T') {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The child if it has not ended. A child that has ended is reaped by asking.
fn running(child: &mut Child) -> Option<&mut Child> {
    matches!(child.try_wait(), Ok(None)).then_some(child)
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A command whose process gets SIGKILL when we are gone.
pub fn tied_to_us(program: &Path) -> Command {
    if cfg!(target_os = "linux") {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// Spawns on the one thread that lives as long as we do; see the module's second invariant.
pub fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, queue) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in queue {
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, outcome) = mpsc::channel();
    // The thread only ends with the process; if it were gone, the answer's sender would be gone too.
    let _ = spawner.send((command, answer));
    outcome.recv().map_err(|_| io::Error::other("the spawning thread is gone"))?
}

/// Cleans up when it is dropped or when we die: a shell that waits until then.
#[derive(Debug)]
pub struct Janitor(Child);

impl Janitor {
    /// Will run this script of `sh`, with these arguments as `$1`, `$2` and so on.
    pub fn new<S: AsRef<OsStr>>(script: &str, args: impl IntoIterator<Item = S>) -> Result<Self> {
        let script = format!(r#"trap "" INT TERM HUP; cat; {script}"#);
        let mut command = Command::new("sh");
        command.args(["-c", &script, "janitor"]).args(args).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().context("starting `sh` to clean up after the testbed")?))
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A folder of our own, removed when dropped or when we die. `HINDCAST_TESTBED_KEEP=1` keeps it, for its logs.
#[derive(Debug)]
pub struct Workdir {
    path: PathBuf,
    _janitor: Option<Janitor>,
}

impl Workdir {
    /// Makes the folder.
    pub fn new() -> Result<Self> {
        let path = tempfile::Builder::new()
            .prefix("hindcast-testbed-")
            .tempdir()
            .context("making a folder for the testbed; is TMPDIR writable?")?
            .keep();
        if std::env::var_os("HINDCAST_TESTBED_KEEP").is_some() {
            eprintln!("keeping {}", path.display());
            return Ok(Self { path, _janitor: None });
        }
        // The second try is for a server that still wrote while it was being killed with us.
        let janitor = Janitor::new(r#"rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }"#, [&path])?;
        Ok(Self { path, _janitor: Some(janitor) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A loopback port that no other process of the testbed takes while this is held.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Leases a free port.
    pub fn lease() -> Result<Self> {
        const FIRST: u32 = 20_000;
        const COUNT: u32 = 12_000;
        let locks = build::cache_dir()?.join("ports");
        fs::create_dir_all(&locks)?;
        let clock = std::time::UNIX_EPOCH.elapsed()?.subsec_micros();
        // Anywhere, so that parallel processes rarely meet; a locked or bound one is passed over.
        let begin = clock.wrapping_mul(7919).wrapping_add(std::process::id());
        for step in 0..COUNT {
            let number = (FIRST + begin.wrapping_add(step) % COUNT) as u16;
            let lock = File::create(locks.join(number.to_string()))?;
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        bail!("no free port from {FIRST} to {}", FIRST + COUNT);
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Whether somebody listens there.
    pub async fn listens(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.number)).await.is_ok()
    }
}
