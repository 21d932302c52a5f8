//! Running a command in a Pod.
//!
//! **Invariants.** (1) It ends within its time, whatever the Pod does [`Exec::run`]. (2) What it wrote is kept only as far
//! as an error needs it: the end of what it said. Not here: which commands, and what follows from a failure.

use std::time::Duration;

use async_trait::async_trait;
use hindcast_journal::{Error, Parts, point::Hook};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams};
use tokio::io::AsyncReadExt as _;

/// How much of what a command says is kept.
const KEPT: usize = 400;

/// Runs hooks.
#[async_trait]
pub trait Exec: Send + Sync + std::fmt::Debug {
    /// Runs one to its end, or until its time is up; the reason if it failed.
    async fn run(&self, hook: &Hook) -> Result<(), String>;
}

/// Runs them through the API server, as `kubectl exec` does.
pub struct PodExec {
    client: kube::Client,
    parts: Parts,
}

impl std::fmt::Debug for PodExec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PodExec")
    }
}

impl PodExec {
    /// With this client's rights.
    pub fn new(client: kube::Client, parts: Parts) -> Self {
        Self { client, parts }
    }

    async fn exec(&self, hook: &Hook) -> Result<(), String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &hook.namespace);
        let params = AttachParams::default().container(&hook.container).stdin(false).stdout(true).stderr(true);
        let mut process = pods.exec(&hook.pod, &hook.command, &params).await.map_err(|e| Error::causes(&e))?;
        let status = process.take_status();
        let (out, err) = (process.stdout(), process.stderr());
        let said = tokio::join!(end_of(out), end_of(err));
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        let joined = process.join().await;
        let Some(status) = status else {
            let why = joined.err().map_or_else(|| "the connection was cut".to_owned(), |e| Error::causes(&e));
            return Err(format!("nobody said how it ended: {why}"));
        };
        if status.status.as_deref() == Some("Success") {
            return Ok(());
        }
        let message = status.message.unwrap_or_else(|| "it failed".to_owned());
        let said = if said.1.is_empty() { said.0 } else { said.1 };
        Err(if said.is_empty() { message } else { format!("{message}: {said}") })
    }
}

/// The end of what a stream says.
async fn end_of(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let (mut kept, mut piece) = (Vec::new(), [0u8; 4096]);
    while let Ok(read) = stream.read(&mut piece).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(piece.get(..read).unwrap_or_default());
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

#[async_trait]
impl Exec for PodExec {
    async fn run(&self, hook: &Hook) -> Result<(), String> {
        let limit = Duration::from_millis(hook.timeout);
        let ran = self.parts.timeout(limit, self.exec(hook)).await;
        ran.unwrap_or_else(|| Err(format!("did not end within {} s", limit.as_secs_f32())))
    }
}
