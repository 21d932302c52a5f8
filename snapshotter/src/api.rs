//! Objects of the API server that stand for snapshots: made, read, marked and removed by requests of their own.
//!
//! **Invariants.** (1) An object without our labels is never touched: who changes or removes one looks at them first [`bears`].
//! (2) What is removed is the object that was seen, by its uid [`Api::remove`].

use std::time::Duration;

use bytes::Bytes;
use hindcast_cluster::{
    Failure,
    path::{escape, object, page_query},
    request::{self, Ask, Reply, Sort},
};
use hindcast_journal::{
    Error, Parts, Result,
    error::ErrorKind,
    parts::Micros,
    point::{Tag, tags},
};
use http::Method;
use serde_json::{Value, json};

use crate::scene::{map, text};

/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// Names on a page of a list.
const PAGE: usize = 500;

/// What a request came to.
pub(crate) enum Came {
    /// The object.
    Object(Value),
    /// There is no such object.
    Absent,
    /// One of that name stands already, or it changed meanwhile.
    Conflict,
}

/// The API server, with one client's rights.
#[derive(Clone)]
pub(crate) struct Api {
    client: kube::Client,
    pub(crate) parts: Parts,
    /// The rights that are asked for, for whoever lacks them.
    rights: &'static str,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Api")
    }
}

impl Api {
    pub(crate) fn new(client: kube::Client, parts: Parts, rights: &'static str) -> Self {
        Self { client, parts, rights }
    }

    async fn ask(&self, method: Method, path: &str, content: &'static str, body: Option<&Value>) -> Result<Reply> {
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let ask = Ask { method, path: path.to_owned(), accept: "application/json, */*", content, body };
        let reply = request::send(&self.client, &self.parts, DEADLINE, &ask).await;
        reply.map_err(|e| Error::new(ErrorKind::Unavailable, path, Failure::from(e).to_string()))
    }

    async fn send(&self, method: Method, path: &str, content: &'static str, body: Option<&Value>) -> Result<Came> {
        let reply = self.ask(method, path, content, body).await?;
        self.came(path, &reply)
    }

    /// Creates an object in a collection.
    pub(crate) async fn create(&self, path: &str, body: &Value) -> Result<Came> {
        self.send(Method::POST, path, request::JSON, Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Option<Value>> {
        match self.send(Method::GET, path, request::JSON, None).await? {
            Came::Object(object) => Ok(Some(object)),
            Came::Absent | Came::Conflict => Ok(None),
        }
    }

    /// One of a collection, by its name; none of an empty one.
    pub(crate) async fn named(&self, folder: &str, name: &str) -> Result<Option<Value>> {
        match name.is_empty() {
            true => Ok(None),
            false => self.get(&object(folder, name)).await,
        }
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<Option<Value>> {
        match self.send(Method::PATCH, path, "application/merge-patch+json", Some(body)).await? {
            Came::Object(object) => Ok(Some(object)),
            Came::Absent | Came::Conflict => Ok(None),
        }
    }

    /// Removes an object, if it is this one.
    pub(crate) async fn remove(&self, path: &str, uid: &str) -> Result<()> {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
        self.send(Method::DELETE, path, request::JSON, Some(&options)).await.map(|_| ())
    }

    /// The text at a path that has no object; empty if there is none yet.
    pub(crate) async fn text(&self, path: &str) -> Result<String> {
        let reply = self.ask(Method::GET, path, request::JSON, None).await?;
        Ok(reply.success().map(|body| String::from_utf8_lossy(body).into_owned()).unwrap_or_default())
    }

    /// The objects of a collection with these labels; none where it is not served.
    pub(crate) async fn listed(&self, path: &str, selector: &str) -> Result<Vec<Value>> {
        let (mut all, mut next) = (Vec::new(), None);
        loop {
            let page = format!("{path}?{}&labelSelector={}", page_query(PAGE, next.as_deref()), escape(selector));
            let Some(mut list) = self.get(&page).await? else { return Ok(all) };
            next = Some(text(&list, "/metadata/continue")).filter(|token| !token.is_empty());
            if let Some(items) = list.get_mut("items").and_then(Value::as_array_mut) {
                all.append(items);
            }
            if next.is_none() {
                return Ok(all);
            }
        }
    }

    /// What an answer means here.
    fn came(&self, path: &str, reply: &Reply) -> Result<Came> {
        if reply.status == 409 {
            return Ok(Came::Conflict);
        }
        let refused = match reply.success() {
            Ok(body) => {
                let object = serde_json::from_slice(body);
                return object.map(Came::Object).map_err(|e| Error::new(ErrorKind::Unavailable, path, e.to_string()));
            }
            Err(refused) => refused,
        };
        let error = |kind| Error::new(kind, path, refused.message.clone());
        Err(match refused.sort {
            Sort::Absent | Sort::NoPath => return Ok(Came::Absent),
            Sort::Forbidden => error(ErrorKind::Denied).with_hint(self.rights),
            Sort::Throttled | Sort::Busy | Sort::Expired | Sort::TooLarge => error(ErrorKind::Unavailable),
            Sort::Other => error(ErrorKind::Invalid),
        })
    }
}

/// Whether an object is being deleted.
pub(crate) fn is_going(object: &Value) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty()
}

/// The labels of what stands for a snapshot.
pub(crate) fn labels(tag: &Tag) -> Value {
    json!({(tags::CLUSTER): tag.cluster, (tags::ID): tag.id, (tags::INDEX): tag.index.to_string()})
}

/// Whether an object bears this cluster and id.
pub(crate) fn bears(object: &Value, cluster: &str, id: &str) -> bool {
    tag_of(object).is_some_and(|tag| tag.cluster == cluster && tag.id == id)
}

/// The tag that an object bears.
pub(crate) fn tag_of(object: &Value) -> Option<Tag> {
    let labels = map(object, "/metadata/labels");
    Some(Tag {
        cluster: labels.get(tags::CLUSTER)?.clone(),
        id: labels.get(tags::ID)?.clone(),
        index: labels.get(tags::INDEX)?.parse().ok()?,
        point: map(object, "/metadata/annotations").remove(tags::POINT).unwrap_or_default(),
    })
}

/// The labels that select what bears a cluster, and the id of one point or of any.
pub(crate) fn bearing(cluster: &str, id: Option<&str>) -> String {
    match id {
        Some(id) => format!("{}={cluster},{}={id}", tags::CLUSTER, tags::ID),
        None => format!("{}={cluster},{}", tags::CLUSTER, tags::ID),
    }
}

/// The labels that select what stands for a snapshot.
pub(crate) fn selector(tag: &Tag) -> String {
    format!("{},{}={}", bearing(&tag.cluster, Some(&tag.id)), tags::INDEX, tag.index)
}

/// A moment as Kubernetes writes it.
pub(crate) fn time(text: &str) -> Option<Micros> {
    let time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time = serde_json::from_value(Value::from(text)).ok()?;
    Some(time.0.as_microsecond())
}
