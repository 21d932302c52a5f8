//! A history carried out on a real API server: what was asked, what was answered, what exists now.
//!
//! **Words**: an object's *body* is the server's last answer about it. The scene is the namespace's only writer, so the
//! bodies are the namespace.
//!
//! **Invariants.** (1) A body is what the server answered, never what was asked. (2) What the server refused had no
//! effect and is counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use kube::Client;
use serde_json::{Value, json};

use super::{
    Op, Sort, bodies,
    history::{Act, MANAGERS},
};
use crate::{
    http::{APPLY, JSON, MERGE, request},
    manifests,
    sim::rng::Rng,
    until::until,
};

/// An object of a scene: its kind and name.
pub type Id = (Sort, String);

/// Objects and their bodies.
pub type Objects = BTreeMap<Id, Value>;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const HOLD: &str = "example.com/hold";

/// How long an API server that has just started may say that it is not ready to list a custom kind.
const INITIALIZED: Duration = Duration::from_secs(20);

/// How long a write may be answered with an error of the server's own before the scene gives up.
const OVERLOADED: Duration = Duration::from_secs(5);

/// How long the garbage collector may take: it looks for new kinds every half minute.
const COLLECTED: Duration = Duration::from_mins(1);

/// Under which name the role stands that a limited account has in a namespace.
pub const LIMITED: &str = "rollback-limited";

/// A namespace with a history.
pub struct Scene {
    client: Client,
    /// The namespace.
    pub namespace: String,
    /// The objects as they are now.
    pub now: Objects,
    /// The namespace's own body.
    pub itself: Value,
    /// What each manager applied last, as long as the object lives.
    applied: BTreeMap<(Id, String), Value>,
    /// The moment, once it has been reached.
    pub moment: Option<Moment>,
    /// Whether who restores may not grant rights.
    pub limited: bool,
    /// Writes acknowledged.
    pub writes: u64,
    /// Writes refused, with the server's words.
    pub refused: Vec<String>,
}

/// The state that will be restored.
#[derive(Debug, Clone)]
pub struct Moment {
    /// `rev:N`.
    pub at: String,
    /// The objects.
    pub objects: Objects,
    /// The namespace's own body.
    pub itself: Value,
    /// What each manager's repeated apply, without force, was answered then.
    pub applies: BTreeMap<(Id, String), (Value, Answered)>,
}

/// What an apply without force is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The fields that somebody else owns with another value.
    pub conflicts: BTreeSet<String>,
}

impl Answered {
    /// The same without a field that should not be looked at.
    #[must_use]
    pub fn without(mut self, field: &str) -> Self {
        if self.conflicts.remove(field) && self.conflicts.is_empty() {
            self.status = 200;
        }
        self
    }
}

impl Scene {
    /// A new namespace.
    pub async fn new(client: &Client, namespace: &str) -> Result<Self> {
        let body = manifests::namespace(namespace);
        let mut scene = Self {
            client: client.clone(),
            namespace: namespace.to_owned(),
            now: Objects::new(),
            itself: Value::Null,
            applied: BTreeMap::new(),
            moment: None,
            limited: false,
            writes: 0,
            refused: Vec::new(),
        };
        let itself = scene.send("POST", manifests::NAMESPACES, Some(&body), JSON).await?;
        scene.itself = itself.ok_or_else(|| anyhow!("{namespace}: {:?}", scene.refused))?;
        Ok(scene)
    }

    /// Carries the steps out, and removes finalizers that would keep deletes from ending.
    pub async fn play(&mut self, ops: &[Op]) -> Result<()> {
        for op in ops {
            self.step(op).await.with_context(|| format!("{op:?}"))?;
        }
        let moment = self.moment.as_ref().context("a history has a moment")?;
        // Deleted by a restore is what was not there, and what was another one, where it cannot be made the same.
        let stays = |id: &Id, body: &Value| {
            let then = moment.objects.get(id);
            then.is_some_and(|then| then["metadata"]["uid"] == body["metadata"]["uid"])
        };
        let held = self.now.iter().filter(|(id, body)| {
            // Whoever serves the finalizer of a custom object may take down more than the object: it is not deleted.
            let kept = id.0.is_custom() && !moment.objects.contains_key(*id);
            body["metadata"].get("finalizers").is_some()
                && id.0 != Sort::PersistentVolumeClaim
                && (terminating(body) || !(kept || stays(id, body)))
        });
        for id in held.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.release(&id).await?;
        }
        Ok(())
    }

    async fn step(&mut self, op: &Op) -> Result<()> {
        let id = (op.sort, format!("{}-{}", op.sort.kind().to_lowercase(), op.n));
        let mut draw = Rng::new(op.salt);
        let manager = *draw.pick(&MANAGERS).unwrap_or(&"ci");
        let existing = self.now.get(&id).cloned();
        if existing.as_ref().is_some_and(terminating) && !matches!(op.act, Act::Release | Act::Moment | Act::Namespace)
        {
            return Ok(());
        }
        match (op.act, existing) {
            (Act::Moment, _) => self.mark(&id, op.salt).await,
            (Act::Namespace, _) => self.label_namespace(&mut draw).await,
            (Act::Limit, _) => self.limit(&id).await,
            (Act::Scale, Some(_)) if op.sort.scales() => self.scale(&id, &mut draw).await,
            (Act::Status, Some(_)) if op.sort.has_status() => {
                let status = bodies::status(op.sort, &mut draw);
                self.patch(&id, "/status?fieldManager=controller", &status, MERGE).await
            }
            (Act::Put, Some(body)) => self.put(&id, body, manager, &mut draw).await,
            (Act::Merge, Some(body)) => {
                let mut patch = bodies::manifest(op.sort, &id.1, &mut draw);
                keep_unchangeable(op.sort, &mut patch, Some(&body));
                self.patch(&id, &format!("?fieldManager={manager}"), &patch, MERGE).await
            }
            (Act::ClientApply, existing) => self.client_apply(&id, existing, &mut draw).await,
            (Act::Apply, existing) => self.apply(&id, existing.as_ref(), manager, &mut draw).await,
            (Act::Delete, Some(_)) => self.delete(&id).await,
            (Act::Recreate, Some(_)) => {
                self.delete(&id).await?;
                self.create(&id, manager, &mut draw).await
            }
            (Act::Hold, Some(_)) if !may_be_owned(op.sort) && op.sort != Sort::PersistentVolumeClaim => {
                let patch = json!({ "metadata": { "finalizers": [HOLD] } });
                self.patch(&id, "?fieldManager=operator", &patch, MERGE).await
            }
            (Act::Release, Some(_)) if op.sort != Sort::PersistentVolumeClaim => self.release(&id).await,
            (Act::Own, Some(_)) => self.own(&id, &mut draw).await,
            (Act::Disown, Some(_)) => {
                let patch = json!({ "metadata": { "ownerReferences": null } });
                self.patch(&id, "?fieldManager=operator", &patch, MERGE).await
            }
            (Act::Create | Act::Put | Act::Merge, None) => self.create(&id, manager, &mut draw).await,
            _ => Ok(()),
        }
    }

    async fn create(&mut self, id: &Id, manager: &str, draw: &mut Rng) -> Result<()> {
        if self.now.contains_key(id) {
            return Ok(());
        }
        let body = bodies::manifest(id.0, &id.1, draw);
        let path = format!("{}?fieldManager={manager}", id.0.collection(&self.namespace));
        let answer = self.send("POST", &path, Some(&body), JSON).await?;
        self.took(id, answer);
        Ok(())
    }

    async fn put(&mut self, id: &Id, mut body: Value, manager: &str, draw: &mut Rng) -> Result<()> {
        let wanted = bodies::manifest(id.0, &id.1, draw);
        let old = body["metadata"]["annotations"][LAST_APPLIED].clone();
        for field in bodies::main_fields(id.0) {
            body[*field] = wanted.get(*field).cloned().unwrap_or(Value::Null);
        }
        body["metadata"]["labels"] = wanted["metadata"]["labels"].clone();
        body["metadata"]["annotations"] = wanted["metadata"].get("annotations").cloned().unwrap_or_else(|| json!({}));
        if !old.is_null() {
            body["metadata"]["annotations"][LAST_APPLIED] = old;
        }
        let path = format!("{}?fieldManager={manager}", self.path(id));
        let answer = self.send("PUT", &path, Some(&body), JSON).await?;
        self.took(id, answer);
        Ok(())
    }

    async fn apply(&mut self, id: &Id, existing: Option<&Value>, manager: &str, draw: &mut Rng) -> Result<()> {
        let force = draw.below(2) == 0;
        let mut wanted = bodies::manifest(id.0, &id.1, draw);
        keep_unchangeable(id.0, &mut wanted, existing);
        let path = format!("{}?fieldManager={manager}&force={force}", self.path(id));
        let answer = self.send("PATCH", &path, Some(&wanted), APPLY).await?;
        if answer.is_some() {
            self.applied.insert((id.clone(), manager.to_owned()), wanted);
        }
        self.took(id, answer);
        Ok(())
    }

    async fn client_apply(&mut self, id: &Id, existing: Option<Value>, draw: &mut Rng) -> Result<()> {
        let mut wanted = bodies::manifest(id.0, &id.1, draw);
        keep_unchangeable(id.0, &mut wanted, existing.as_ref());
        let (method, path, body, content) = match existing {
            None => {
                let path = id.0.collection(&self.namespace);
                ("POST", path, with_last_applied(wanted), JSON)
            }
            Some(live) => ("PATCH", self.path(id), client_side(&live, wanted), MERGE),
        };
        let path = format!("{path}?fieldManager=kubectl-client-side-apply");
        let answer = self.send(method, &path, Some(&body), content).await?;
        self.took(id, answer);
        Ok(())
    }

    async fn scale(&mut self, id: &Id, draw: &mut Rng) -> Result<()> {
        let patch = json!({ "spec": { "replicas": draw.below(7) } });
        let path = format!("{}/scale?fieldManager=scaler", self.path(id));
        if self.send("PATCH", &path, Some(&patch), MERGE).await?.is_some() {
            self.reread(id).await?;
        }
        Ok(())
    }

    async fn delete(&mut self, id: &Id) -> Result<()> {
        let held_then = self.moment.as_ref().and_then(|m| m.objects.get(id)).is_some_and(is_held);
        if held_then {
            // What is created with a finalizer that nobody serves cannot be deleted again by the undo.
            return Ok(());
        }
        let path = format!("{}?propagationPolicy=Background", self.path(id));
        self.send("DELETE", &path, None, "").await?;
        self.reread(id).await?;
        if id.0 == Sort::PersistentVolumeClaim && self.now.contains_key(id) {
            // As the controller does once nothing uses the claim.
            self.release(id).await?;
        }
        self.collect().await?;
        let (objects, _) = self.read().await?;
        let same = |id: &Id| objects.get(id).map(version) == self.now.get(id).map(version);
        let others: Vec<Id> = self.now.keys().filter(|id| !same(id)).cloned().collect();
        for id in others {
            self.reread(&id).await?;
        }
        Ok(())
    }

    /// Waits until the garbage collector has nothing left to do: it takes objects whose owners are gone, takes dead owners
    /// out of the others, and lets go of what waited for that.
    pub async fn collect(&self) -> Result<()> {
        until(format!("the garbage of {} is collected", self.namespace), COLLECTED, async || {
            let (objects, _) = self.read().await?;
            Ok(!objects.values().any(|body| has_dead_owner(body, &objects) || is_at_the_collector(body)))
        })
        .await?;
        Ok(())
    }

    async fn release(&mut self, id: &Id) -> Result<()> {
        let patch = json!({ "metadata": { "finalizers": null } });
        self.patch(id, "?fieldManager=operator", &patch, MERGE).await?;
        self.reread(id).await
    }

    async fn own(&mut self, id: &Id, draw: &mut Rng) -> Result<()> {
        if !may_be_owned(id.0) {
            return Ok(());
        }
        // In the order of their names, so that nobody owns itself; the object of the moment owns nothing.
        let may_own = |o: &Id| matches!(o.0, Sort::Deployment | Sort::Shop | Sort::StatefulSet) || may_be_owned(o.0);
        let first = |o: &Id| !may_be_owned(o.0) || o < id;
        let marks = |o: &Id| o.1.ends_with("-9");
        let owners: Vec<&Id> = self.now.keys().filter(|o| may_own(o) && first(o) && !marks(o)).collect();
        let mut references: Vec<Value> = Vec::new();
        for _ in 0..draw.between(1, 2) {
            let Some(owner) = draw.pick(&owners) else { return Ok(()) };
            let uid = self.now[*owner]["metadata"]["uid"].clone();
            if references.iter().any(|reference| reference["uid"] == uid) {
                continue;
            }
            let controls = references.is_empty() && draw.below(2) == 0;
            references.push(json!({
                "apiVersion": owner.0.api_version(), "kind": owner.0.kind(), "name": owner.1, "uid": uid,
                "controller": controls, "blockOwnerDeletion": draw.below(2) == 0,
            }));
        }
        let patch = json!({ "metadata": { "ownerReferences": references } });
        self.patch(id, "?fieldManager=operator", &patch, MERGE).await
    }

    /// Gives the limited account what it has in this namespace.
    async fn limit(&mut self, id: &Id) -> Result<()> {
        let body = json!({
            "metadata": { "name": id.1 },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": LIMITED },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": LIMITED }],
        });
        let answer = self.send("POST", &id.0.collection(&self.namespace), Some(&body), JSON).await?;
        self.limited |= answer.is_some();
        self.took(id, answer);
        Ok(())
    }

    async fn label_namespace(&mut self, draw: &mut Rng) -> Result<()> {
        let patch = json!({ "metadata": { "labels": { "team": format!("t{}", draw.below(4)) },
            "annotations": { "example.com/contact": format!("c{}", draw.below(4)) } } });
        let path = format!("/api/v1/namespaces/{}?fieldManager=alice", self.namespace);
        if let Some(answer) = self.send("PATCH", &path, Some(&patch), MERGE).await? {
            self.itself = answer;
        }
        Ok(())
    }

    /// The moment: a write that surely has a revision of its own, and what everybody's next apply would be answered.
    async fn mark(&mut self, id: &Id, salt: u64) -> Result<()> {
        let mut body = manifests::empty_config_map(&id.1);
        body["metadata"]["annotations"] = json!({ "moment": salt.to_string() });
        let answer = self.send("POST", &id.0.collection(&self.namespace), Some(&body), JSON).await?;
        let answer = answer.with_context(|| format!("the moment was refused: {:?}", self.refused.last()))?;
        let at = format!("rev:{}", answer["metadata"]["resourceVersion"].as_str().unwrap_or_default());
        self.took(id, Some(answer));
        let mut applies = BTreeMap::new();
        for (key, wanted) in self.applied.clone() {
            let (answered, _) = self.would_apply(&key.0, &key.1, &wanted).await?;
            applies.insert(key, (wanted, answered));
        }
        self.moment = Some(Moment { at, objects: self.now.clone(), itself: self.itself.clone(), applies });
        Ok(())
    }

    /// What a manager's apply without force would be answered, by a dry run; and the answer's text.
    pub async fn would_apply(&self, id: &Id, manager: &str, wanted: &Value) -> Result<(Answered, String)> {
        let path = format!("{}?fieldManager={manager}&dryRun=All", self.path(id));
        let body = Some(wanted.to_string().into_bytes());
        let (status, answer) = request(&self.client, "PATCH", &path, body, APPLY).await?;
        let mut answered = Answered { status, conflicts: BTreeSet::new() };
        if status == 409 {
            let answer: Value = serde_json::from_slice(&answer)?;
            let causes = answer["details"]["causes"].as_array().into_iter().flatten();
            answered.conflicts = causes.filter_map(|c| c["field"].as_str().map(str::to_owned)).collect();
        }
        Ok((answered, String::from_utf8_lossy(&answer).into_owned()))
    }

    /// The namespace's objects as the server lists them now, and its own body.
    pub async fn read(&self) -> Result<(Objects, Value)> {
        read(&self.client, &self.namespace).await
    }

    /// Gives back what namespaces share: node ports and cluster addresses.
    pub async fn clean(&self) -> Result<()> {
        let path = Sort::Service.collection(&self.namespace);
        request(&self.client, "DELETE", &path, None, "").await?;
        Ok(())
    }

    async fn patch(&mut self, id: &Id, at: &str, patch: &Value, content: &str) -> Result<()> {
        let path = format!("{}{at}", self.path(id));
        let answer = self.send("PATCH", &path, Some(patch), content).await?;
        self.took(id, answer);
        Ok(())
    }

    async fn reread(&mut self, id: &Id) -> Result<()> {
        let (status, body) = request(&self.client, "GET", &self.path(id), None, "").await?;
        match status {
            200 => {
                self.now.insert(id.clone(), serde_json::from_slice(&body)?);
            }
            404 => {
                self.now.remove(id);
                self.applied.retain(|key, _| key.0 != *id);
            }
            _ => bail!("GET {}: {status}", self.path(id)),
        }
        Ok(())
    }

    fn took(&mut self, id: &Id, answer: Option<Value>) {
        if let Some(answer) = answer {
            self.now.insert(id.clone(), answer);
        }
    }

    fn path(&self, id: &Id) -> String {
        format!("{}/{}", id.0.collection(&self.namespace), id.1)
    }

    /// One write; `None` when the server refused it.
    async fn send(&mut self, method: &str, path: &str, body: Option<&Value>, content: &str) -> Result<Option<Value>> {
        let bytes = body.map(|body| body.to_string().into_bytes());
        let what = format!("{method} {path} is taken or refused");
        let (mut status, mut answer) = (0, Vec::new());
        let decided = until(&what, OVERLOADED, async || {
            (status, answer) = request(&self.client, method, path, bytes.clone(), content).await?;
            Ok(matches!(status, 200..300 | 400..429))
        });
        decided.await.map_err(|error| anyhow!("{error:#}: {status} {}", String::from_utf8_lossy(&answer)))?;
        if status < 300 {
            self.writes += 1;
            return Ok(Some(serde_json::from_slice(&answer)?));
        }
        self.refused.push(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&answer)));
        Ok(None)
    }
}

/// A namespace's objects as the server lists them now, and its own body.
pub async fn read(client: &Client, namespace: &str) -> Result<(Objects, Value)> {
    let mut objects = Objects::new();
    for sort in Sort::ALL {
        let path = sort.collection(namespace);
        let mut body = Vec::new();
        until(format!("{path} can be listed"), INITIALIZED, async || {
            let (status, answer) = request(client, "GET", &path, None, "").await?;
            ensure!(matches!(status, 200 | 429), "GET {path}: {status}");
            body = answer;
            Ok(status == 200)
        })
        .await?;
        let list: Value = serde_json::from_slice(&body)?;
        for item in list["items"].as_array().into_iter().flatten() {
            let name = item["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            objects.insert((sort, name), item.clone());
        }
    }
    let (_, body) = request(client, "GET", &format!("/api/v1/namespaces/{namespace}"), None, "").await?;
    Ok((objects, serde_json::from_slice(&body)?))
}

/// Whether an object is being deleted.
pub fn terminating(body: &Value) -> bool {
    body["metadata"].get("deletionTimestamp").is_some()
}

fn version(body: &Value) -> &Value {
    &body["metadata"]["resourceVersion"]
}

/// Whether it has an owner that does not live.
fn has_dead_owner(body: &Value, objects: &Objects) -> bool {
    let lives = |uid: &Value| objects.values().any(|object| object["metadata"]["uid"] == *uid);
    let mut owners = body["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.any(|owner| !lives(&owner["uid"]))
}

/// Whether the collector has to do with what it owns before it goes.
fn is_at_the_collector(body: &Value) -> bool {
    let finalizers = body["metadata"]["finalizers"].as_array().into_iter().flatten();
    terminating(body) && finalizers.into_iter().any(|f| f == "orphan" || f == "foregroundDeletion")
}

fn is_held(body: &Value) -> bool {
    body["metadata"]["finalizers"].as_array().into_iter().flatten().any(|f| f == HOLD)
}

/// Which kinds get owners; these are never held, so that whoever collects them meets no finalizer.
fn may_be_owned(sort: Sort) -> bool {
    matches!(sort, Sort::ConfigMap | Sort::Secret | Sort::ServiceAccount | Sort::Role | Sort::Blob)
}

/// A `RoleBinding`'s role cannot be changed.
fn keep_unchangeable(sort: Sort, wanted: &mut Value, existing: Option<&Value>) {
    if let Some(existing) = existing.filter(|_| sort == Sort::RoleBinding) {
        wanted["roleRef"] = existing["roleRef"].clone();
    }
}

fn with_last_applied(mut wanted: Value) -> Value {
    let text = wanted.to_string();
    wanted["metadata"]["annotations"][LAST_APPLIED] = json!(text);
    wanted
}

/// The merge patch that a client-side apply sends: what is wanted, and nothing where the last one had something.
pub fn client_side(live: &Value, wanted: Value) -> Value {
    let last = live["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap_or("{}");
    let last: Value = serde_json::from_str(last).unwrap_or_default();
    let mut patch = with_last_applied(wanted.clone());
    forget(&last, &wanted, &mut patch);
    patch
}

/// Sets to null what was in `last` and is no longer wanted.
fn forget(last: &Value, wanted: &Value, patch: &mut Value) {
    let (Some(last), Some(patch)) = (last.as_object(), patch.as_object_mut()) else { return };
    for (key, value) in last {
        match patch.get_mut(key) {
            Some(patch) => forget(value, wanted.get(key).unwrap_or(&Value::Null), patch),
            None if wanted.get(key).is_none() => {
                patch.insert(key.clone(), Value::Null);
            }
            None => {}
        }
    }
}
