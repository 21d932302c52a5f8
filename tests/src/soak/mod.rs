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

use anyhow::{Result, ensure};
pub use conversion::Conversion;
pub use faults::{Faults, faults};
pub use history::past_the_history;
use kube::Client;
pub use lives::{Lives, lives};
pub use rivals::{Rivals, rivals};
use serde_json::Value;

use crate::oracle::{Kind, request};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// One write that has to succeed.
async fn send(client: &Client, method: &str, path: &str, content: &str, body: &Value) -> Result<()> {
    let (status, answer) = request(client, method, path, Some(body.to_string().into_bytes()), content).await?;
    ensure!((200..300).contains(&status), "{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// The newest revision of a kind's domain.
async fn newest_revision(client: &Client, kind: &Kind) -> Result<u64> {
    let (_, body) = request(client, "GET", &format!("{}/{}?limit=1", kind.api, kind.resource), None, "").await?;
    let list: Value = serde_json::from_slice(&body)?;
    let rv = list.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
    Ok(rv.parse()?)
}
