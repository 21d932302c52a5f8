//! moto, which answers as Amazon's services do, as a child process: a Python package in an environment of its own.
//!
//! The environment lies in the cache of built servers, named by the hash of its pinned requirements; it is made beside its
//! place and renamed, under a lock, as the Go servers are ([`super::build`]). It is run by its own `python`, since scripts
//! in it would name the folder that it was made in.

use super::build::{kept, sha256};
use super::process::{Port, Process, Workdir, tied_to_us};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// What is installed, each in one version.
const REQUIREMENTS: &str = include_str!("../../servers/moto/requirements.txt");

/// A running moto. Dropping it ends it.
#[derive(Debug)]
pub struct Moto {
    port: Port,
    _process: Process,
    _dir: Workdir,
}

impl Moto {
    /// Installs it if needed, starts it, and returns when it answers. It takes any credentials.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same, but that it knows nobody: every request is held to its access key and signature from the first on.
    pub async fn start_guarded() -> Result<Self> {
        Self::start_with(&[("INITIAL_NO_AUTH_ACTION_COUNT", "0")]).await
    }

    async fn start_with(env: &[(&str, &str)]) -> Result<Self> {
        let python = tokio::task::spawn_blocking(ensure).await??;
        let dir = Workdir::new()?;
        let port = Port::lease()?;
        let mut process = Process::new("moto", python, dir.path())
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p"])
            .args([port.number().to_string()])
            .env("MOTO_ENABLE_ISO_REGIONS", "false")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        for (name, value) in env {
            process = process.env(name, value);
        }
        process.start()?;
        process.wait_ready(Duration::from_mins(2), || port.listens()).await?;
        warm(port.number()).await?;
        Ok(Self { port, _process: process, _dir: dir })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port.number()
    }
}

/// Asks for something of EC2, whatever is answered: moto loads a service with the first request for it, for seconds.
async fn warm(port: u16) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let signed =
        "AWS4-HMAC-SHA256 Credential=warm/20260101/eu-west-1/ec2/aws4_request, SignedHeaders=host, Signature=0";
    let asked = reqwest::Client::new().post(format!("http://127.0.0.1:{port}/")).header("authorization", signed);
    let asked = asked.header("content-type", "application/x-www-form-urlencoded");
    asked.body("Action=DescribeVolumes&Version=2016-11-15").send().await.context("asking moto for the first time")?;
    Ok(())
}

/// The path of the environment's `python`.
fn ensure() -> Result<PathBuf> {
    kept("moto", &sha256(REQUIREMENTS), "bin/python", install)
}

fn install(into: &Path) -> Result<()> {
    eprintln!("installing moto, the first time about 1 min");
    let remedy = "moto needs Python 3.10 or newer with its venv module: install python3 and python3-venv";
    run(Path::new("python3"), &["-m", "venv", &into.display().to_string()]).context(remedy)?;
    let list = into.join("requirements.txt");
    fs::write(&list, REQUIREMENTS)?;
    let list = list.display().to_string();
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", &list];
    run(&into.join("bin/python"), &install).context("installing moto's packages from the package index (PyPI)")
}

fn run(program: &Path, args: &[&str]) -> Result<()> {
    let mut command = tied_to_us(program);
    let out = command
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} is missing", program.display()))?;
    if !out.status.success() {
        bail!("{} {}: {}\n{}", program.display(), args.join(" "), out.status, String::from_utf8_lossy(&out.stderr));
    }
    Ok(())
}
