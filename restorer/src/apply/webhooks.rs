//! Webhooks that stand in the way of a restore: which they are and whose, and where they may be bypassed, switched off for the
//! time and on again.
//!
//! **Invariants.** (1) Nothing is switched off without that permission, and only what refused a write of this restore. (2) It is in
//! the record before it is done, so that a resume or an undo switches it on again whatever happened. (3) All are on again before a
//! configuration is itself restored. (4) Only what this restore, or the one that it takes back, switched off is switched on.
//!
//! Not here: how a webhook is marked as switched off ([`crate::bypass`]).

use std::collections::BTreeSet;

use hindcast_cluster::path;
use hindcast_journal::exact::{self, Value};
use http::Method;

use super::{
    conflict::meta,
    request::{self, Ask, Link, Reply},
    write::Work,
};
use crate::{
    bypass::{self, CONFIGURATIONS, GROUP},
    message::{Message, Note},
    reason::Cause,
    said::Part,
};

/// How often a configuration is written again that others write to.
const TRIES: u32 = 5;

/// Whether an action's object is a configuration of webhooks.
pub(crate) fn is_configuration(resource: &str) -> bool {
    CONFIGURATIONS.iter().any(|(name, _)| *name == resource)
}

fn path(resource: &str, name: &str) -> String {
    let collection = path::collection(GROUP, "v1", "", resource);
    format!("{}{}", path::object(&collection, name), request::manners(false))
}

impl Link<'_> {
    /// A message with each webhook that could not be called named: its configuration, and what is the matter with the Service
    /// behind it. The server's own words differ from one call to the next.
    pub(crate) async fn named(&self, message: Message) -> Message {
        let down = |cause: &Cause| match cause {
            Cause::WebhookDown { webhook, of: None, .. } => Some(webhook.clone()),
            _ => None,
        };
        let Some(webhook) = message.causes().find_map(down) else { return message };
        let mut known = self.hooks.lock().await;
        if !known.contains_key(&webhook) {
            let found = self.look_up(&webhook).await;
            known.insert(webhook.clone(), found);
        }
        let found = known.get(&webhook).cloned().flatten();
        message.each(|part| match part {
            Part::Cause(Cause::WebhookDown { webhook, said, .. }) => {
                Part::Cause(Cause::WebhookDown { webhook, said, of: found.clone() })
            }
            part => part,
        })
    }

    /// Which configuration has a webhook, and what is behind it, in words.
    async fn look_up(&self, webhook: &str) -> Option<(String, String)> {
        for (resource, kind) in CONFIGURATIONS {
            let Ok(Some(list)) = self.read(&path(resource, "")).await else { continue };
            for item in list.value.get("items").and_then(Value::as_array).unwrap_or_default() {
                let hooks = item.get("webhooks").and_then(Value::as_array).unwrap_or_default();
                let named = |hook: &&Value| hook.get("name").and_then(Value::as_str) == Some(webhook);
                if let Some(hook) = hooks.iter().find(named) {
                    let configuration = format!("{kind} {}", meta(item, "name"));
                    return Some((configuration, self.behind(hook).await));
                }
            }
        }
        None
    }

    /// What is the matter with what a webhook is answered by.
    async fn behind(&self, hook: &Value) -> String {
        let text = |path: &str| hook.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/clientConfig/service/namespace"), text("/clientConfig/service/name"));
        if name.is_empty() {
            return format!("{} does not answer", text("/clientConfig/url"));
        }
        let service = format!("its Service {name} in namespace {namespace}");
        match self.read(&path::object(&path::collection("", "v1", namespace, "services"), name)).await {
            Ok(None) => return format!("{service} is not there"),
            Ok(Some(_)) => {}
            Err(_) => return format!("{service} does not answer"),
        }
        let slices = path::collection("discovery.k8s.io", "v1", namespace, "endpointslices");
        let slices = format!("{slices}?labelSelector=kubernetes.io%2Fservice-name%3D{name}");
        let Ok(Some(slices)) = self.read(&slices).await else { return format!("{service} does not answer") };
        let items = slices.value.get("items").and_then(Value::as_array).unwrap_or_default();
        let endpoints = items.iter().flat_map(|slice| {
            let endpoints = slice.get("endpoints").and_then(Value::as_array).unwrap_or_default();
            endpoints.iter()
        });
        // An endpoint that does not say counts as ready.
        let ready = |endpoint: &Value| endpoint.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false);
        if endpoints.into_iter().any(ready) {
            format!("{service} does not answer")
        } else {
            format!("{service} has no Pods that are ready")
        }
    }
}

impl Work<'_> {
    /// Switches a webhook off that stopped a write, if that is allowed; whether the write may now be tried again.
    pub(crate) async fn bypass(&self, reply: &Reply) -> bool {
        if !self.prepared.plan.selection.widen.bypass_webhooks {
            return false;
        }
        let Some(webhook) = reply.webhook() else { return false };
        let mut off = self.bypassed.lock().await;
        if off.contains(&webhook) {
            // Another write met it first; the server takes a moment to hear of it.
            return true;
        }
        if self.record.note_bypass(&webhook).await.is_err() {
            return false;
        }
        let done = self.switch(Some(&webhook)).await;
        if done {
            off.insert(webhook);
        }
        done
    }

    /// Switches on again what this restore, or the one it takes back, switched off; what to tell.
    pub(crate) async fn end_bypass(&self) -> Vec<Note> {
        let mut off = self.bypassed.lock().await;
        if off.is_empty() {
            return Vec::new();
        }
        let names: Vec<String> = std::mem::take::<BTreeSet<String>>(&mut off).into_iter().collect();
        let list = names.join(", ");
        if self.switch(None).await {
            return vec![Note::BypassEnded(list)];
        }
        off.extend(names);
        vec![Note::StillBypassed { webhooks: list, restore: self.record.id().to_owned() }]
    }

    /// The restores whose bypass this one ends.
    fn whose(&self) -> BTreeSet<String> {
        let plan = &self.prepared.plan;
        let undone = plan.switches_on.iter().filter_map(|off| off.restore.clone());
        undone.chain(plan.undoes.clone()).chain([self.record.id().to_owned()]).collect()
    }

    /// A configuration with one webhook switched off, or all of ours on; `None` if that changes nothing.
    fn switched(&self, configuration: &Value, webhook: Option<&str>) -> Option<Value> {
        match webhook {
            Some(webhook) => bypass::off(configuration, webhook, self.record.id()),
            None => {
                let mut on = configuration.clone();
                bypass::lift(&mut on, Some(&self.whose())).then_some(on)
            }
        }
    }

    /// Switches one webhook off, or all of ours on; whether that worked.
    async fn switch(&self, webhook: Option<&str>) -> bool {
        let mut worked = webhook.is_none();
        for (resource, kind) in CONFIGURATIONS {
            let Ok(Some(list)) = self.link.read(&path(resource, "")).await else { return false };
            let items = list.value.get("items").and_then(Value::as_array).unwrap_or_default();
            for item in items.iter().filter(|item| self.switched(item, webhook).is_some()) {
                let done = self.switch_one(resource, kind, meta(item, "name"), webhook).await;
                worked = if webhook.is_some() { worked | done } else { worked & done };
            }
        }
        worked
    }

    async fn switch_one(&self, resource: &str, kind: &str, name: &str, webhook: Option<&str>) -> bool {
        for _ in 0..TRIES {
            let now = match self.link.read(&path(resource, name)).await {
                Ok(Some(now)) => now,
                // What is gone stops nobody.
                Ok(None) => return true,
                Err(_) => return false,
            };
            let Some(mut body) = self.switched(&now.value, webhook) else { return true };
            if let Some(root) = body.as_object_mut() {
                root.insert("apiVersion", format!("{GROUP}/v1").into());
                root.insert("kind", kind.into());
            }
            exact::set_resource_version(&mut body, meta(&now.value, "resourceVersion"));
            match self.link.send(&Ask::write(Method::PUT, path(resource, name), &body)).await {
                Ok(reply) if reply.is_success() => {
                    // The owners of the configuration stay its owners.
                    return true;
                }
                Ok(reply) if reply.status == 409 => {}
                _ => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
