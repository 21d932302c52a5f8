//! What the gates share: questions to the binary and their answers, writes to the cluster, moments.
//!
//! **Words**: what was [`Said`] is the whole of an answer: exit code, standard output, standard error.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    oracle::{
        request,
        subject::{Hindcast, Place, Running},
    },
    real::process::Workdir,
};
use kube::Client;
use serde_json::{Value, json};

pub(crate) use crate::oracle::BINARY;

/// How long a condition may take that takes a second when nothing else runs.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A whole answer of the binary.
#[derive(Debug)]
pub(crate) struct Said {
    /// The exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
    asked: String,
}

impl Said {
    pub(crate) fn new(asked: String, output: &std::process::Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            asked,
        }
    }

    /// The exit code, and phrases that the answer has on either stream.
    pub(crate) fn is(&self, code: i32, phrases: &[&str]) -> Result<&Self> {
        ensure!(self.code == code, "exit {}, not {code}: {self}", self.code);
        for phrase in phrases {
            ensure!(self.out.contains(phrase) || self.err.contains(phrase), "no {phrase:?} in {self}");
        }
        Ok(self)
    }

    /// Phrases that neither stream has.
    pub(crate) fn never(&self, phrases: &[&str]) -> Result<&Self> {
        for phrase in phrases {
            ensure!(!self.out.contains(phrase) && !self.err.contains(phrase), "{phrase:?} in {self}");
        }
        Ok(self)
    }

    /// The data as JSON.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("no JSON: {self}"))
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown: String = self.out.chars().take(4000).collect();
        write!(f, "$ hindcast {}\nexit {}\n{shown}\n--- stderr\n{}", self.asked, self.code, self.err)
    }
}

/// Asks with the bucket alone.
pub(crate) async fn ask(hindcast: &Hindcast, args: &[&str]) -> Result<Said> {
    Ok(Said::new(args.join(" "), &hindcast.call(args, false).await?))
}

/// Asks with a kubeconfig of the cluster.
pub(crate) async fn ask_with_cluster(hindcast: &Hindcast, args: &[&str]) -> Result<Said> {
    Ok(Said::new(args.join(" "), &hindcast.call(args, true).await?))
}

/// `run` to its end, with these arguments more.
pub(crate) async fn run_to_its_end(hindcast: &Hindcast, args: &[&str]) -> Result<Said> {
    ask_with_cluster(hindcast, &[&["run", "--listen", "127.0.0.1:0"], args].concat()).await
}

/// Hindcast with a `file://` journal in a folder of its own.
pub(crate) fn on_folder(dir: &Workdir, name: &str, kubeconfig: PathBuf) -> Result<Hindcast> {
    let dir = dir.path().join(name);
    let place = Place::folder(&dir.join("journal"))?;
    Hindcast::new(BINARY, &dir, place, kubeconfig)
}

/// One request that has to succeed; its answer.
pub(crate) async fn send(client: &Client, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
    let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let bytes = body.map(|body| body.to_string().into_bytes());
    let (status, answer) = request(client, method, path, bytes, content).await?;
    let text = String::from_utf8_lossy(&answer);
    ensure!((200..300).contains(&status), "{method} {path}: {status} {}", &text[..text.len().min(2000)]);
    Ok(serde_json::from_slice(&answer)?)
}

/// Creates an object.
pub(crate) async fn create(client: &Client, path: &str, object: Value) -> Result<Value> {
    send(client, "POST", path, Some(object)).await
}

/// The revision of an object as answered.
pub(crate) fn rv(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

/// An object as answered, without what the exact form leaves out.
pub(crate) fn exact(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    object
}

/// A moment of now that the journal is closed beyond.
pub(crate) async fn moment(running: &Running) -> Result<String> {
    let now = jiff::Timestamp::now();
    running.close().await?;
    Ok(format!("{now:.6}"))
}

/// Waits until something holds.
pub(crate) async fn until<F: Future<Output = Result<bool>>>(
    what: &str,
    within: Duration,
    holds: impl Fn() -> F,
) -> Result<Duration> {
    let began = Instant::now();
    while !holds().await? {
        ensure!(began.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(began.elapsed())
}

/// A custom resource definition without a schema.
pub(crate) fn crd(group: &str, plural: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                }},
            }],
        },
    })
}

/// Creates an object as soon as its kind is served.
pub(crate) async fn create_when_served(client: &Client, path: &str, object: &Value) -> Result<Value> {
    let deadline = Instant::now() + SOON;
    loop {
        let body = Some(object.to_string().into_bytes());
        let (status, answer) = request(client, "POST", path, body, "application/json").await?;
        if (200..300).contains(&status) {
            return Ok(serde_json::from_slice(&answer)?);
        }
        let text = String::from_utf8_lossy(&answer);
        ensure!(status == 404 && Instant::now() < deadline, "POST {path}: {status} {text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The kinds of `status`, and whether each is protected.
pub(crate) async fn kinds(hindcast: &Hindcast) -> Result<Vec<Value>> {
    let said = ask(hindcast, &["status", "-o", "json"]).await?;
    let status = said.is(0, &[])?.json()?;
    Ok(status["clusters"][0]["kinds"].as_array().context("status has kinds")?.clone())
}
