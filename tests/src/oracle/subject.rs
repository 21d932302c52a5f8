//! The process under test: the real `hindcast` binary as a child, and short calls of its other verbs.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use hindcast_journal::{
    Journal, Parts,
    seal::{Key, KeyFile},
};
use object_store::{ObjectStore, aws::AmazonS3, local::LocalFileSystem, path::Path as StorePath};

use crate::{
    http,
    real::{
        Minio,
        process::{Port, Process},
    },
    until::{ends, until},
};

/// Where the journal is.
#[derive(Debug, Clone)]
pub struct Place {
    /// As `--journal` takes it; empty for whoever is told otherwise.
    pub url: String,
    /// Environment that gives access to it.
    pub env: Vec<(String, String)>,
    store: Arc<dyn ObjectStore>,
    prefix: StorePath,
}

impl Place {
    /// A folder.
    pub fn folder(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let store = LocalFileSystem::new_with_prefix(dir)?;
        let url = format!("file://{}", dir.display());
        Ok(Self { url, env: Vec::new(), store: Arc::new(store), prefix: StorePath::default() })
    }

    /// A prefix in MinIO's bucket, reached by the process under test through `port`.
    pub fn minio(minio: &Minio, prefix: &str, port: u16) -> Self {
        let env = minio.env_via(port).into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let store: AmazonS3 = minio.store();
        Self { url: minio.url(prefix), env, store: Arc::new(store), prefix: StorePath::from(prefix) }
    }

    /// The journal of the only cluster there.
    pub async fn journal(&self) -> Result<Journal> {
        let clusters = Journal::clusters(self.store.as_ref(), &self.prefix).await?;
        let [cluster] = clusters.as_slice() else { bail!("{} holds {clusters:?}, not one cluster", self.url) };
        Ok(Journal::open(self.store.clone(), &self.prefix, cluster, Parts::system()))
    }
}

/// `hindcast`, with its settings.
#[derive(Debug, Clone)]
pub struct Hindcast {
    binary: PathBuf,
    /// The journal.
    pub place: Place,
    /// Kubeconfig of `run`; an empty path to name none.
    pub kubeconfig: PathBuf,
    /// The key file; an empty path for none.
    pub key_file: PathBuf,
    /// Environment of `run` alone.
    pub env: Vec<(String, String)>,
    dir: PathBuf,
}

impl Hindcast {
    /// The binary at `binary`, with a key file in `dir`.
    pub fn new(binary: impl Into<PathBuf>, dir: &Path, place: Place, kubeconfig: PathBuf) -> Result<Self> {
        let key_file = dir.join("hindcast.key");
        let file = KeyFile { keys: vec![Key::generate("test", "2026-01-01T00:00:00Z", &Parts::system())] };
        if !key_file.exists() {
            std::fs::write(&key_file, file.to_text())?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&key_file, mode)?;
        }
        Ok(Self { binary: binary.into(), place, kubeconfig, key_file, env: Vec::new(), dir: dir.to_owned() })
    }

    /// The newest key in the key file.
    pub fn key(&self) -> Result<Arc<Key>> {
        self.keys()?.into_iter().next().context("one key")
    }

    /// The keys in the key file, newest first.
    pub fn keys(&self) -> Result<Vec<Arc<Key>>> {
        let file = KeyFile::parse("the test's key file", &std::fs::read(&self.key_file)?)?;
        Ok(file.keys.into_iter().map(Arc::new).collect())
    }

    /// Adds a key to the key file, which is the one to seal with from the next start on.
    pub async fn rotate(&self) -> Result<()> {
        let output = self.call(&["key", "init"], false).await?;
        ensure!(output.status.success(), "key init: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Starts `hindcast run` and waits until every kind is protected.
    pub async fn run(&self, extra: &[&str]) -> Result<Running> {
        let running = self.launch(extra)?;
        running.wait_ready(Duration::from_mins(1)).await?;
        Ok(running)
    }

    /// Starts `hindcast run` without waiting.
    pub fn launch(&self, extra: &[&str]) -> Result<Running> {
        let port = Port::lease()?;
        let address = format!("127.0.0.1:{}", port.number());
        let mut process = Process::new("hindcast", self.binary.clone(), &self.dir).args([
            "run".to_owned(),
            "--listen".to_owned(),
            address.clone(),
        ]);
        if !self.place.url.is_empty() {
            process = process.args(["--journal".to_owned(), self.place.url.clone()]);
        }
        if !self.kubeconfig.as_os_str().is_empty() {
            process = process.args(["--kubeconfig".to_owned(), self.kubeconfig.display().to_string()]);
        }
        if !self.key_file.as_os_str().is_empty() {
            process = process.args(["--key-file".to_owned(), self.key_file.display().to_string()]);
        }
        process = process.args(extra.iter().map(|a| (*a).to_owned()));
        for (name, value) in self.place.env.iter().chain(&self.env) {
            process = process.env(name, value);
        }
        process.start()?;
        Ok(Running { process, address, _port: port })
    }

    /// Runs another verb to its end. `cluster` says whether it may reach the API server.
    pub async fn call(&self, args: &[&str], cluster: bool) -> Result<Output> {
        self.call_within(args, cluster, Duration::from_mins(1)).await
    }

    /// As [`Self::call`], with a deadline of its own.
    pub async fn call_within(&self, args: &[&str], cluster: bool, within: Duration) -> Result<Output> {
        let mut command = self.command(args, cluster);
        let what = format!("hindcast {} ends", args.join(" "));
        ends(&what, within, command.output()).await?.context("hindcast could not be started")
    }

    /// Another verb, to be started; it is killed when it is dropped.
    pub fn command(&self, args: &[&str], cluster: bool) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.binary);
        command.args(args);
        if !self.place.url.is_empty() {
            command.args(["--journal", &self.place.url]);
        }
        command.env("TZ", "UTC").env_remove("KUBECONFIG").env_remove("HINDCAST_KEY_FILE");
        if !self.key_file.as_os_str().is_empty() {
            command.env("HINDCAST_KEY_FILE", &self.key_file);
        }
        if cluster && !self.kubeconfig.as_os_str().is_empty() {
            command.args(["--kubeconfig", &self.kubeconfig.display().to_string()]);
        } else {
            command.env("HOME", &self.dir).env("KUBECONFIG", self.dir.join("none"));
        }
        command.envs(self.place.env.iter().map(|(k, v)| (k, v))).stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

/// A running `hindcast run`.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub process: Process,
    /// Where it listens.
    pub address: String,
    _port: Port,
}

impl Running {
    /// Waits until `/readyz` says yes.
    pub async fn wait_ready(&self, within: Duration) -> Result<()> {
        let ready = async || self.http("GET", "/readyz").await.is_ok_and(|(status, _)| status == 200);
        self.process.wait_ready(within, ready).await
    }

    /// One request to its address; status and body.
    pub async fn http(&self, method: &str, path: &str) -> Result<(u16, String)> {
        http::ask(&self.address, method, path).await
    }

    /// A metric without labels, or with these as they are written.
    pub async fn metric(&self, name: &str) -> Result<Option<f64>> {
        let (_, metrics) = self.http("GET", "/metrics").await?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.map(str::parse).transpose()?)
    }

    /// Waits until a metric is as it should be: what was done had its effect.
    pub async fn wait_metric(&self, name: &str, within: Duration, holds: impl Fn(f64) -> bool) -> Result<()> {
        let last = Cell::new(None);
        let waited = until(format!("{name} is as it should be"), within, async || {
            last.set(self.metric(name).await?);
            Ok(last.get().is_some_and(&holds))
        });
        waited.await.map_err(|error| anyhow!("{error:#}; it is {:?}", last.get()))?;
        Ok(())
    }

    /// Closes the cut of now.
    pub async fn close(&self) -> Result<()> {
        let (status, body) = self.http("POST", "/close").await?;
        ensure!(status == 200, "POST /close: {status} {body}");
        Ok(())
    }

    /// Stops it gracefully.
    pub async fn stop(self) -> Result<()> {
        self.process.stop(Duration::from_secs(20)).await
    }
}
