//! Definitions that move on: objects recorded in one version, and put back when the server has another.
//!
//! **Words**: a *move* is what becomes of a definition after the moment; an *age* is the version that objects are written
//! in before it.
//!
//! What comes back is predicted from the server's answers of the moment and the definition of now: the same spec, without
//! what the schema of now does not know, in whichever version is served.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::{answer::Said, fields::differences, sorts::GROUP, trial::World};
use crate::{
    http::{answers_with, create, find, request, send},
    manifests::{DEFINITIONS, NAMESPACES, namespace},
    sim::rng::Rng,
    until::{SOON, until},
};

/// What becomes of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    /// Its labels change.
    Nothing,
    /// The old version stays, served beside the new one.
    Beside,
    /// The old version is listed, and served no more.
    Unserved,
    /// The old version is served no more, and the new one's schema knows less.
    Narrower,
}

const MOVES: [Move; 4] = [Move::Nothing, Move::Beside, Move::Unserved, Move::Narrower];
const OLD: &str = "v1alpha1";
const NEW: &str = "v1";

/// How long `run` may take to follow a definition.
const FOLLOWED: Duration = Duration::from_mins(1);

/// A definition, and objects of it in a namespace of its own.
struct Relics<'a> {
    world: &'a World,
    kind: String,
    moved: Move,
    namespace: String,
    draw: Rng,
}

/// Plays every move with objects drawn from a seed, and restores; how many objects were put back.
pub async fn moved(binary: &str, seed: u64) -> Result<usize> {
    let world = World::start(binary).await?;
    let mut all: Vec<Relics<'_>> = Vec::new();
    for (n, moved) in MOVES.into_iter().enumerate() {
        let kind = format!("Relic{}", ["a", "b", "c", "d"][n]);
        let namespace = format!("relics-{n}");
        all.push(Relics { world: &world, kind, moved, namespace, draw: Rng::new(seed + n as u64) });
    }
    try_join_all(all.iter().map(Relics::define)).await?;
    let mut moments = Vec::new();
    for relics in &mut all {
        moments.push(relics.fill().await?);
    }
    world.running().close().await?;
    try_join_all(all.iter().map(Relics::move_on)).await?;
    for relics in &mut all {
        relics.disturb().await?;
    }
    let mut count = 0;
    for (relics, (at, then)) in all.iter().zip(&moments) {
        count += relics.restore(at, then).await.map_err(|error| error.context(format!("{:?}", relics.moved)))?;
    }
    world.stop().await?;
    Ok(count)
}

/// A version of the definition; one that knows less does not know `spec.extra`.
fn version(name: &str, served: bool, storage: bool, knows_less: bool) -> Value {
    let mut spec = json!({
        "type": "object",
        "properties": { "size": { "type": "integer" }, "name": { "type": "string" }, "extra": { "type": "string" } },
    });
    if knows_less && let Some(properties) = spec["properties"].as_object_mut() {
        properties.remove("extra");
    }
    let schema = json!({ "type": "object", "properties": { "spec": spec } });
    json!({ "name": name, "served": served, "storage": storage, "schema": { "openAPIV3Schema": schema } })
}

impl Relics<'_> {
    fn plural(&self) -> String {
        format!("{}s", self.kind.to_lowercase())
    }

    fn collection(&self, version: &str) -> String {
        format!("/apis/{GROUP}/{version}/namespaces/{}/{}", self.namespace, self.plural())
    }

    async fn define(&self) -> Result<()> {
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{}.{GROUP}", self.plural()) },
            "spec": {
                "group": GROUP,
                "scope": "Namespaced",
                "names": { "plural": self.plural(), "singular": self.kind.to_lowercase(), "kind": self.kind },
                "versions": [version(OLD, true, true, false)],
            },
        });
        create(&self.world.client, DEFINITIONS, definition).await?;
        create(&self.world.client, NAMESPACES, namespace(&self.namespace)).await?;
        self.is_served(OLD).await
    }

    async fn is_served(&self, version: &str) -> Result<()> {
        let path = self.collection(version);
        until(format!("{path} is served"), SOON, async || answers_with(&self.world.client, &path, 200).await).await?;
        Ok(())
    }

    fn body(&mut self, version: &str, name: &str) -> Value {
        let mut spec = json!({ "size": self.draw.below(1000), "name": format!("n{}", self.draw.below(10)) });
        if self.draw.below(2) == 0 {
            spec["extra"] = json!("known to the old");
        }
        json!({ "apiVersion": format!("{GROUP}/{version}"), "kind": self.kind, "metadata": { "name": name }, "spec": spec })
    }

    /// Objects, and the moment at which they stand, as a revision.
    async fn fill(&mut self) -> Result<(String, Vec<Value>)> {
        let path = self.collection(OLD);
        let mut then = Vec::new();
        for n in 0..4 {
            let body = self.body(OLD, &format!("relic-{n}"));
            then.push(create(&self.world.client, &path, body).await?);
        }
        let last = then.last().map_or("", |body: &Value| body["metadata"]["resourceVersion"].as_str().unwrap_or(""));
        Ok((format!("rev:{last}"), then))
    }

    /// The definition moves on, as its authors would have it.
    async fn move_on(&self) -> Result<()> {
        let narrower = self.moved == Move::Narrower;
        let both = |served| json!([version(NEW, true, true, narrower), version(OLD, served, false, false)]);
        let versions = match self.moved {
            Move::Nothing => json!([version(OLD, true, true, false)]),
            Move::Beside => both(true),
            Move::Unserved | Move::Narrower => both(false),
        };
        let path = format!("{DEFINITIONS}/{}.{GROUP}", self.plural());
        let client = &self.world.client;
        let labels = json!({ "metadata": { "labels": { "moved": "on" } }, "spec": { "versions": versions } });
        send(client, "PATCH", &path, Some(labels)).await?;
        if self.moved == Move::Nothing {
            return Ok(());
        }
        self.is_served(NEW).await
    }

    fn now(&self) -> &'static str {
        if self.moved == Move::Nothing { OLD } else { NEW }
    }

    /// One is changed, one deleted, one made anew, one stays; another comes.
    async fn disturb(&mut self) -> Result<()> {
        let path = self.collection(self.now());
        let client = self.world.client.clone();
        let change = json!({ "spec": { "size": 5000 + self.draw.below(100) } });
        send(&client, "PATCH", &format!("{path}/relic-0"), Some(change)).await?;
        for gone in ["relic-1", "relic-2"] {
            request(&client, "DELETE", &format!("{path}/{gone}"), None, "").await?;
        }
        for new in ["relic-2", "relic-9"] {
            let mut body = self.body(self.now(), new);
            body["spec"]["size"] = json!(7000 + self.draw.below(100));
            create(&client, &path, body).await?;
        }
        Ok(())
    }

    async fn restore(&self, at: &str, then: &[Value]) -> Result<usize> {
        let scope = ["-n", &self.namespace, "--at", at, "-o", "json"];
        let mut said = None;
        let what = format!("run follows {} and a plan has no reservation", self.kind);
        until(&what, FOLLOWED, async || {
            self.world.running().close().await?;
            let plan = self.world.ask(&[&["plan", "--check"][..], &scope].concat()).await?;
            let ready = plan.code == 1 && plan.plan()?.warnings.is_empty();
            said = Some(plan);
            Ok(ready)
        })
        .await
        .map_err(|error| error.context(said.as_ref().map(Said::to_string).unwrap_or_default()))?;
        let said = self.world.ask(&[&["restore", "--yes"][..], &scope].concat()).await?;
        let done = said.restore()?;
        ensure!(done.actions.iter().all(|a| a.result.as_deref() == Some("done")), "{said}");
        self.stands_as(then, &said).await?;
        let id = done.id.unwrap_or_default();
        let undone = self.world.ask(&["undo", &id, "--yes", "-o", "json"]).await?;
        ensure!(undone.restore()?.actions.iter().all(|a| a.result.as_deref() == Some("done")), "{undone}");
        Ok(done.actions.len())
    }

    /// Holds the objects of now against those of then.
    async fn stands_as(&self, then: &[Value], said: &Said) -> Result<()> {
        let list = find(&self.world.client, &self.collection(self.now())).await?.unwrap_or_default();
        let items = list["items"].as_array().cloned().unwrap_or_default();
        ensure!(items.len() == then.len(), "{} objects, and {} then: {said}", items.len(), then.len());
        for object in then {
            let name = &object["metadata"]["name"];
            let mut wanted = object["spec"].clone();
            if self.moved == Move::Narrower
                && let Some(spec) = wanted.as_object_mut()
            {
                spec.remove("extra");
            }
            let now = items.iter().find(|item| item["metadata"]["name"] == *name).map(|item| item["spec"].clone());
            let now = now.unwrap_or_default();
            ensure!(wanted == now, "{name}: {:?}: {said}", differences(&wanted, &now));
        }
        Ok(())
    }
}
