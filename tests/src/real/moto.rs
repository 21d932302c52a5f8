//! moto, which answers as Amazon's services do, as a child process: a Python package in an environment of its own.
//!
//! Not here: the environment ([`super::python`]).

use super::process::{Port, Process, Workdir};
use super::python;
use anyhow::{Context, Result};
use std::path::PathBuf;
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
    python::environment("moto", REQUIREMENTS, "1 min")
}
