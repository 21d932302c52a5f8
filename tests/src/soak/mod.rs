//! Long trials against real servers: faults under load, outages longer than the server's history, stores that are put
//! back, and writers that race for one journal. Each trial has a size, so that a short form of the very same runs in CI.
//!
//! Invariants: every fault is counted when it has had its effect, and a trial fails if one it was asked for never
//! happened; the load is bounded and ends by itself.

mod conversion;
mod faults;
mod history;
mod lives;
mod rivals;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
pub use conversion::Conversion;
pub use faults::{Faults, faults};
pub use history::past_the_history;
use kube::Client;
pub use lives::{Lives, lives};
pub use rivals::{Rivals, rivals};
use serde_json::Value;

use crate::oracle::request;

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// One write that has to succeed.
async fn send(client: &Client, method: &str, path: &str, content: &str, body: &Value) -> Result<()> {
    let (status, answer) = request(client, method, path, Some(body.to_string().into_bytes()), content).await?;
    ensure!((200..300).contains(&status), "{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// Tries until it succeeds, or until nothing came of it for so long.
async fn until<F: Future<Output = Result<()>>>(bound: Duration, mut attempt: impl FnMut() -> F) -> Result<()> {
    let deadline = Instant::now() + bound;
    while let Err(error) = attempt().await {
        ensure!(Instant::now() < deadline, error);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
