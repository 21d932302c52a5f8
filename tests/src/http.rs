//! Requests and their answers: to an API server through a client of the cluster, and to a process that speaks plain
//! HTTP at an address.
//!
//! A request here is one try: what is refused is an error or a status, never hidden by a retry.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use http::Request;
use kube::{Client, client::Body};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::until::ends;

/// An object as JSON.
pub const JSON: &str = "application/json";
/// A patch by RFC 7386.
pub const MERGE: &str = "application/merge-patch+json";
/// A patch by RFC 6902.
pub const JSON_PATCH: &str = "application/json-patch+json";
/// A patch that merges lists by their keys.
pub const STRATEGIC_MERGE: &str = "application/strategic-merge-patch+json";
/// A server-side apply.
pub const APPLY: &str = "application/apply-patch+yaml";

/// One request to the API server; its status and the bytes of its answer.
pub async fn request(
    client: &Client,
    method: &str,
    path: &str,
    body: Option<Vec<u8>>,
    content_type: &str,
) -> Result<(u16, Vec<u8>)> {
    let mut builder = Request::builder().method(method).uri(path).header("Accept", JSON);
    if body.is_some() {
        builder = builder.header("Content-Type", content_type);
    }
    let answer = client.send(builder.body(Body::from(body.unwrap_or_default()))?).await?;
    let status = answer.status().as_u16();
    let bytes = http_body_util::BodyExt::collect(answer.into_body()).await?.to_bytes();
    Ok((status, bytes.to_vec()))
}

/// One request that has to succeed; its answer. A PATCH is a merge patch.
pub async fn send(client: &Client, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
    let content_type = if method == "PATCH" { MERGE } else { JSON };
    send_as(client, method, path, content_type, body.as_ref()).await
}

/// The same with a body of this content type.
pub async fn send_as(
    client: &Client,
    method: &str,
    path: &str,
    content_type: &str,
    body: Option<&Value>,
) -> Result<Value> {
    let bytes = body.map(|body| body.to_string().into_bytes());
    let (status, answer) = request(client, method, path, bytes, content_type).await?;
    ensure!((200..300).contains(&status), "{method} {path}: {status} {}", shortened(&answer));
    Ok(serde_json::from_slice(&answer)?)
}

/// Creates an object; as the server stored it.
pub async fn create(client: &Client, path: &str, object: Value) -> Result<Value> {
    send(client, "POST", path, Some(object)).await
}

/// Creates an object unless one by that name is there already.
pub async fn create_unless_there(client: &Client, path: &str, object: &Value) -> Result<()> {
    let (status, answer) = request(client, "POST", path, Some(serde_json::to_vec(object)?), JSON).await?;
    ensure!(matches!(status, 201 | 409), "POST {path}: {status} {}", shortened(&answer));
    Ok(())
}

/// An object, or a list; `None` if the server has no such.
pub async fn find(client: &Client, path: &str) -> Result<Option<Value>> {
    let (status, answer) = request(client, "GET", path, None, "").await?;
    match status {
        200 => Ok(Some(serde_json::from_slice(&answer)?)),
        404 => Ok(None),
        _ => bail!("GET {path}: {status} {}", shortened(&answer)),
    }
}

/// Whether a GET is answered with this status.
pub async fn answers_with(client: &Client, path: &str, status: u16) -> Result<bool> {
    Ok(request(client, "GET", path, None, "").await?.0 == status)
}

/// As much of an answer as a message has room for.
fn shortened(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).chars().take(2_000).collect()
}

/// One request without a body to a process at `address` that speaks plain HTTP; status and body.
pub async fn ask(address: &str, method: &str, path: &str) -> Result<(u16, String)> {
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: hindcast\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = ends(format!("{address} answers {method} {path}"), Duration::from_secs(30), talk).await??;
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).context("no HTTP status")?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
    Ok((status, body))
}
