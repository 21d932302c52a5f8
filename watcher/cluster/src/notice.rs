//! A notice: a `ConfigMap` in which a process tells the cluster something, under a label by which it is found.
//!
//! **Words**: what is told is a text under the key [`KEY`]; a [`Posted`] is a notice as it was read.
//!
//! **Invariants.** (1) Every write is for the version that was read, or for none: of two who write at once one is refused
//! [`Notice::write`]. (2) What others have written into the object stays there. Not here: what is told, and how often.

use std::time::Duration;

use bytes::Bytes;
use hindcast_journal::Parts;
use http::Method;
use serde_json::{Value, json};

use crate::{
    Failure,
    path::{collection, escape, object},
    request::{self, Ask},
};

/// Under which key the text stands.
pub const KEY: &str = "seal";

/// The label that notices bear.
pub const LABEL: &str = "hindcast.dev/newest-seal";

/// One notice, and how it is reached.
pub struct Notice {
    client: kube::Client,
    parts: Parts,
    namespace: String,
    name: String,
    /// The value of the label.
    of: String,
    deadline: Duration,
}

/// A notice as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Posted(Value);

impl Posted {
    /// What it tells.
    pub fn text(&self) -> Option<&str> {
        self.0.pointer("/data")?.get(KEY)?.as_str()
    }

    /// Namespace and name, as people write them.
    pub fn label(&self) -> String {
        let text = |field: &str| self.0.pointer("/metadata").and_then(|m| m.get(field)).and_then(Value::as_str);
        format!("{}/{}", text("namespace").unwrap_or_default(), text("name").unwrap_or_default())
    }
}

impl Notice {
    /// The notice of that name; every request may take `deadline`.
    pub fn new(
        (client, parts): (kube::Client, Parts),
        (namespace, name): (&str, &str),
        of: &str,
        deadline: Duration,
    ) -> Self {
        let (namespace, name, of) = (namespace.to_owned(), name.to_owned(), of.to_owned());
        Self { client, parts, namespace, name, of, deadline }
    }

    /// Namespace and name, as people write them.
    pub fn label(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Reads it; nothing if there is none.
    pub async fn read(&self) -> Result<Option<Posted>, Failure> {
        match self.ask(&Ask::get(object(&self.collection(), &self.name))).await {
            Ok(body) => Ok(Some(Posted(json_of(&body)?))),
            Err(Failure::NotFound(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Tells another text, as long as it is as it was read.
    pub async fn write(&self, read: Option<&Posted>, text: &str) -> Result<(), Failure> {
        let new = || json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "namespace": self.namespace, "name": self.name } });
        let mut notice = read.map_or_else(new, |read| read.0.clone());
        for field in ["metadata", "data"] {
            if !notice.get(field).is_some_and(Value::is_object) {
                notice[field] = json!({});
            }
        }
        if !notice["metadata"].get("labels").is_some_and(Value::is_object) {
            notice["metadata"]["labels"] = json!({});
        }
        notice["metadata"]["labels"][LABEL] = json!(self.of);
        notice["data"][KEY] = json!(text);
        let (method, path) = match read {
            None => (Method::POST, self.collection()),
            Some(_) => (Method::PUT, object(&self.collection(), &self.name)),
        };
        let ask = Ask { method, path, accept: request::JSON, content: request::JSON, body: notice.to_string().into() };
        self.ask(&ask).await.map(|_| ())
    }

    fn collection(&self) -> String {
        collection("", "v1", &self.namespace, "configmaps")
    }

    async fn ask(&self, ask: &Ask) -> Result<Bytes, Failure> {
        let reply = request::send(&self.client, &self.parts, self.deadline, ask).await?;
        Ok(reply.success()?.clone())
    }
}

/// All notices whose label has a value, of whatever namespace.
pub async fn find(client: &kube::Client, parts: &Parts, of: &str, deadline: Duration) -> Result<Vec<Posted>, Failure> {
    let selector = escape(&format!("{LABEL}={of}"));
    let path = format!("{}?labelSelector={selector}", collection("", "v1", "", "configmaps"));
    let reply = request::send(client, parts, deadline, &Ask::get(path)).await?;
    let mut list = json_of(reply.success()?)?;
    let items = list.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
    Ok(items.unwrap_or_default().into_iter().map(Posted).collect())
}

fn json_of(body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::Server(format!("the ConfigMap cannot be read: {error}")))
}
