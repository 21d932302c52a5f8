//! What the cluster tests share: questions to the binary and their answers, writes to the cluster, moments.
//!
//! **Words**: what was [`Said`] is the whole of an answer: exit code, standard output, standard error.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    http::{JSON, find, request},
    oracle::subject::{Hindcast, Place, Running},
    real::process::Workdir,
};
pub(crate) use hindcast_tests::{
    http::{create, send},
    until::{SOON, until},
};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::Client;
use serde_json::{Value, json};

pub(crate) use crate::oracle::BINARY;

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

/// Asks without access to the cluster: the bucket is all there is.
pub(crate) async fn ask(hindcast: &Hindcast, args: &[&str]) -> Result<Said> {
    Ok(Said::new(args.join(" "), &hindcast.call(args, false).await?))
}

/// Asks with a kubeconfig of the cluster.
pub(crate) async fn ask_with_cluster(hindcast: &Hindcast, args: &[&str]) -> Result<Said> {
    Ok(Said::new(args.join(" "), &hindcast.call(args, true).await?))
}

/// The same of what may take its time, which is shown for whoever has to find out why.
pub(crate) async fn ask_within(hindcast: &Hindcast, args: &[&str], within: Duration) -> Result<Said> {
    let said = Said::new(args.join(" "), &hindcast.call_within(args, true, within).await?);
    println!("{said}");
    Ok(said)
}

/// Makes a namespace.
pub(crate) async fn namespace(client: &Client, name: &str) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    create(client, "/api/v1/namespaces", namespace).await.map(|_| ())
}

/// Deletes a namespace, and waits until it is gone.
pub(crate) async fn namespace_goes(client: &Client, name: &str, within: Duration) -> Result<()> {
    let path = format!("/api/v1/namespaces/{name}");
    send(client, "DELETE", &path, None).await?;
    let gone = async || Ok(find(client, &path).await?.is_none());
    until("the namespace is gone", within, gone).await.map(|_| ())
}

/// Makes a claim in `shop` that is bound to a volume made by hand, both of this name and size, with this source.
pub(crate) async fn volume_by_hand(client: &Client, name: &str, size: &str, source: &Value) -> Result<()> {
    const CLAIMS: &str = "/api/v1/namespaces/shop/persistentvolumeclaims";
    let mut volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "manual",
            "claimRef": {"namespace": "shop", "name": name},
        },
    });
    if let (Some(spec), Some(source)) = (volume["spec"].as_object_mut(), source.as_object()) {
        spec.extend(source.clone());
    }
    create(client, "/api/v1/persistentvolumes", volume).await?;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "manual", "volumeName": name,
            "resources": {"requests": {"storage": size}},
        },
    });
    create(client, CLAIMS, claim).await?;
    let path = format!("{CLAIMS}/{name}");
    until("the claim is bound", SOON, async || {
        Ok(find(client, &path).await?.is_some_and(|claim| claim["status"]["phase"] == "Bound"))
    })
    .await?;
    Ok(())
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

/// Creates an object as soon as its kind is served.
pub(crate) async fn create_when_served(client: &Client, path: &str, object: &Value) -> Result<Value> {
    let mut made = None;
    until(format!("{path} is served"), SOON, async || {
        let (status, answer) = request(client, "POST", path, Some(object.to_string().into_bytes()), JSON).await?;
        ensure!(status == 404 || status < 300, "POST {path}: {status} {}", String::from_utf8_lossy(&answer));
        made = (status < 300).then_some(answer);
        Ok(made.is_some())
    })
    .await?;
    Ok(serde_json::from_slice(&made.context("it was waited for")?)?)
}

/// The kinds of `status`, and whether each is protected.
pub(crate) async fn kinds(hindcast: &Hindcast) -> Result<Vec<Value>> {
    let said = ask(hindcast, &["status", "-o", "json"]).await?;
    let status = said.is(0, &[])?.json()?;
    Ok(status["clusters"][0]["kinds"].as_array().context("status has kinds")?.clone())
}

/// What an account may do.
pub(crate) fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(strings(groups)),
        resources: Some(strings(resources)),
        verbs: strings(verbs),
        ..PolicyRule::default()
    }
}
