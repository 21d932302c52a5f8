//! fake-gcs-server, which holds objects as Google Cloud Storage does, as a child process.
//!
//! It speaks Google's JSON interface; the XML interface, by which the store's client writes, it has in parts. What is before it
//! translates one into the other ([`crate::stores::gcs`]).

use super::build::Program;
use super::process::{Port, Process, Workdir};
use anyhow::{Result, ensure};
use std::time::Duration;

const BUCKET: &str = "hindcast";

/// A running fake-gcs-server with one bucket. Dropping it ends it; what it held was in memory.
#[derive(Debug)]
pub struct FakeGcs {
    port: Port,
    _process: Process,
    _dir: Workdir,
}

impl FakeGcs {
    /// Builds it if needed, starts it, and returns when it answers.
    pub async fn start() -> Result<Self> {
        let program = tokio::task::spawn_blocking(|| Program::FakeGcs.ensure()).await??;
        let dir = Workdir::new()?;
        let port = Port::lease()?;
        let number = port.number();
        let process = Process::new("fake-gcs-server", program, dir.path())
            .args(["-scheme", "http", "-host", "127.0.0.1", "-backend", "memory", "-log-level", "error", "-port"])
            .args([number.to_string(), "-public-host".to_owned(), format!("127.0.0.1:{number}")]);
        process.start()?;
        process.wait_ready(Duration::from_mins(1), || port.listens()).await?;
        let server = Self { port, _process: process, _dir: dir };
        server.make_bucket().await?;
        Ok(server)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// A journal's URL in its bucket.
    pub fn url(&self, prefix: &str) -> String {
        format!("gs://{BUCKET}/{prefix}")
    }

    async fn make_bucket(&self) -> Result<()> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!("http://127.0.0.1:{}/storage/v1/b?project=testbed", self.port());
        let made = reqwest::Client::new().post(url).header("content-type", "application/json");
        let answer = made.body(format!("{{\"name\": \"{BUCKET}\"}}")).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "fake-gcs-server made no bucket: {status} {}", answer.text().await?);
        Ok(())
    }
}
