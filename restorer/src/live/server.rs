//! Requests to the API server that a plan reads with, and what its answers mean.
//!
//! **Invariants.** (1) Every request has a deadline, and is a GET; but for who asks, a POST that keeps nothing. (2) A paged list is of one revision: where its pages expire, it is
//! begun anew. (3) Objects are parsed from the bytes received, so that their numbers keep their tokens.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use hindcast_cluster::{
    path::{self, page_query},
    request::{self, Ask, JSON, METADATA, METADATA_LIST, Refused, Sort, Unanswered},
};
use hindcast_journal::{
    Parts,
    exact::{self, Object, Value},
    facts::Discovery,
};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::Listed;
use crate::desired::Full;

/// How many requests run at once.
const AT_ONCE: usize = 16;

/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// How often a request is tried that the server is too busy for.
const TRIES: u32 = 6;

/// How many objects a page holds.
const PAGE: usize = 500;

/// Why a request gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// We may not.
    Forbidden(String),
    /// The server has no such path.
    NoPath(String),
    /// There is no such object.
    Absent,
    /// The pages of a list are gone.
    Expired,
    /// The server is too busy, or gone for now; it may have said for how long.
    Busy(String, Option<Duration>),
    /// It failed otherwise.
    Failed(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Forbidden(why) | Self::NoPath(why) | Self::Busy(why, _) | Self::Failed(why) => f.write_str(why),
            Self::Absent => f.write_str("there is no such object"),
            Self::Expired => f.write_str("the pages of its list expired again and again"),
        }
    }
}

impl Refusal {
    /// What it makes of a kind.
    pub(super) fn listed(&self) -> Listed {
        let why = self.to_string();
        match self {
            Self::Forbidden(_) => Listed::Forbidden(why),
            Self::NoPath(_) => Listed::NotServed(why),
            Self::Absent | Self::Expired | Self::Busy(..) | Self::Failed(_) => Listed::Failed(why),
        }
    }
}

/// What a list of metadata says of an object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) creation_timestamp: Option<String>,
    pub(super) deletion_timestamp: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) owner_references: Option<Vec<Owner>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) uid: String,
    pub(super) controller: bool,
}

#[derive(Deserialize)]
struct Item {
    metadata: Meta,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default)]
    items: Option<Vec<Item>>,
}

#[derive(Default, Deserialize)]
struct ListMeta {
    #[serde(rename = "continue", default)]
    next: String,
}

/// The API server.
pub(super) struct Server<'a> {
    client: &'a kube::Client,
    parts: &'a Parts,
    room: Semaphore,
}

impl<'a> Server<'a> {
    pub(super) fn new(client: &'a kube::Client, parts: &'a Parts) -> Self {
        Self { client, parts, room: Semaphore::new(AT_ONCE) }
    }

    /// The metadata of all objects of a kind.
    pub(super) async fn metas(&self, path: &str) -> Result<Vec<Meta>, Refusal> {
        self.pages(path, METADATA_LIST, |body, out| {
            let list: List = serde_json::from_slice(body).map_err(|e| e.to_string())?;
            out.extend(list.items.unwrap_or_default().into_iter().map(|item| item.metadata));
            Ok(list.metadata.next)
        })
        .await
    }

    /// All objects of a kind; `kind` and `version` are those that items of built-in lists lack.
    pub(super) async fn objects(&self, path: &str, kind: &Discovery, version: &str) -> Result<Vec<Full>, Refusal> {
        let api = path::api_version(&kind.group, version);
        self.pages(path, JSON, |body, out| {
            let mut list = exact::parse(body).map_err(|e| e.to_string())?;
            let items = list.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
            for mut item in items.unwrap_or_default() {
                if let Some(members) = item.as_object_mut() {
                    members.insert("apiVersion", Value::from(api.as_str()));
                    members.insert("kind", Value::from(kind.kind.as_str()));
                }
                out.push(full(item));
            }
            let next = list.pointer("/metadata/continue").and_then(Value::as_str);
            Ok(next.unwrap_or_default().to_owned())
        })
        .await
    }

    /// An object.
    pub(super) async fn object(&self, path: &str) -> Result<Full, Refusal> {
        let body = self.get(path, JSON).await?;
        exact::parse(&body).map(full).map_err(|e| Refusal::Failed(format!("{path}: {e}")))
    }

    /// What the server says of whoever asks.
    pub(super) async fn review(&self) -> Result<Value, Refusal> {
        let path = path::collection("authentication.k8s.io", "v1", "", "selfsubjectreviews");
        let members = [("apiVersion", "authentication.k8s.io/v1"), ("kind", "SelfSubjectReview")];
        let body: Object = members.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        let ask = Ask::write(http::Method::POST, path.clone(), &Value::Object(body));
        let body = self.ask(&path, &ask).await?;
        exact::parse(&body).map_err(|e| Refusal::Failed(format!("{path}: {e}")))
    }

    /// An object's metadata.
    pub(super) async fn meta(&self, path: &str) -> Result<Meta, Refusal> {
        let body = self.get(path, METADATA).await?;
        let item: Item = serde_json::from_slice(&body).map_err(|e| Refusal::Failed(format!("{path}: {e}")))?;
        Ok(item.metadata)
    }

    async fn pages<T>(
        &self,
        path: &str,
        accept: &'static str,
        take: impl Fn(&[u8], &mut Vec<T>) -> Result<String, String>,
    ) -> Result<Vec<T>, Refusal> {
        let mut attempts = 0;
        'whole: loop {
            let (mut out, mut next) = (Vec::new(), None);
            loop {
                let query = page_query(PAGE, next.as_deref());
                let body = match self.get(&format!("{path}?{query}"), accept).await {
                    Err(Refusal::Expired) if attempts < 3 => {
                        attempts += 1;
                        continue 'whole;
                    }
                    other => other?,
                };
                let token = take(&body, &mut out).map_err(|why| Refusal::Failed(format!("{path}: {why}")))?;
                if token.is_empty() {
                    return Ok(out);
                }
                next = Some(token);
            }
        }
    }

    async fn get(&self, path: &str, accept: &'static str) -> Result<Bytes, Refusal> {
        self.ask(path, &Ask::get(path).accepting(accept)).await
    }

    async fn ask(&self, path: &str, ask: &Ask) -> Result<Bytes, Refusal> {
        let mut tries = 0;
        loop {
            let asked = {
                let _room = self.room.acquire().await.map_err(|e| Refusal::Failed(e.to_string()))?;
                self.once(path, ask).await
            };
            tries += 1;
            match asked {
                Err(Refusal::Busy(_, after)) if tries < TRIES => {
                    let backoff = Duration::from_millis(100 << tries);
                    self.parts.clock.sleep(after.unwrap_or(backoff).min(Duration::from_secs(10))).await;
                }
                other => return other,
            }
        }
    }

    async fn once(&self, path: &str, ask: &Ask) -> Result<Bytes, Refusal> {
        let answer = request::send(self.client, self.parts, DEADLINE, ask).await;
        let reply = answer.map_err(|unanswered| match unanswered {
            Unanswered::Malformed(why) => Refusal::Failed(why),
            Unanswered::Unsent(why) | Unanswered::Cut { why, .. } => Refusal::Busy(why, None),
            // A server that hangs is not asked again and again.
            Unanswered::Late(limit) => Refusal::Failed(format!("{path}: no answer within {} s", limit.as_secs())),
        })?;
        Ok(reply.success()?.clone())
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let message = refused.message;
        match refused.sort {
            Sort::Forbidden => Self::Forbidden(message),
            Sort::Absent => Self::Absent,
            Sort::NoPath => Self::NoPath(message),
            Sort::Expired => Self::Expired,
            Sort::Throttled | Sort::Busy | Sort::TooLarge => Self::Busy(message, refused.after),
            Sort::Other => Self::Failed(message),
        }
    }
}

/// An object with its managedFields apart.
pub(super) fn full(mut value: Value) -> Full {
    let managed = exact::split_managed_fields(&mut value);
    Full { value, managed }
}

/// The path of a kind's objects in a namespace (empty for all, or for cluster-scoped kinds), or of one of them.
pub(super) fn path(kind: &Discovery, version: &str, namespace: &str, name: Option<&str>) -> String {
    let namespace = if kind.namespaced { namespace } else { "" };
    let path = path::collection(&kind.group, version, namespace, &kind.resource);
    match name {
        Some(name) => path::object(&path, name),
        None => path,
    }
}
