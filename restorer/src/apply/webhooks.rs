//! Webhooks that stand in the way of a restore, where they may be bypassed: switched off for the time, and on again.
//!
//! A webhook is switched off by a match condition that never holds, under a name of our own: nothing of it has to be
//! remembered to switch it on again, and whoever reads the configuration sees what is the matter.
//!
//! **Invariants.** (1) Nothing is switched off without that permission, and only what refused a write of this restore. (2) It is in
//! the record before it is done, so that a resume switches it on again whatever happened. (3) All are on again before a
//! configuration is itself restored.

use std::collections::BTreeSet;

use hindcast_cluster::path;
use hindcast_journal::exact::{self, Object, Value};
use http::Method;

use super::{
    conflict::meta,
    request::{self, Ask, Reply},
    write::Work,
};
use crate::message::Note;

/// The name of the condition that never holds.
const CONDITION: &str = "hindcast-bypass";

/// How often a configuration is written again that others write to.
const TRIES: u32 = 5;

const CONFIGURATIONS: [(&str, &str); 2] = [
    ("validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
    ("mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
];

/// Whether an action's object is a configuration of webhooks.
pub(crate) fn is_configuration(resource: &str) -> bool {
    CONFIGURATIONS.iter().any(|(name, _)| *name == resource)
}

/// The webhook that refused a write, or could not be called for it, in the words of the API server.
pub(crate) fn in_the_way(reply: &Reply) -> Option<String> {
    let words = reply.message();
    let before = ["failed calling webhook \"", "admission webhook \""];
    let rest = before.iter().find_map(|b| words.split_once(b).map(|(_, rest)| rest))?;
    rest.split_once('"').map(|(name, _)| name.to_owned())
}

fn path(resource: &str, name: &str) -> String {
    let collection = path::collection("admissionregistration.k8s.io", "v1", "", resource);
    format!("{}{}", path::object(&collection, name), request::manners(false))
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().collect::<Object>())
}

/// The configuration with a webhook switched off or on; `None` if that changes nothing.
fn switched(configuration: &Value, webhook: Option<&str>) -> Option<Value> {
    let mut out = configuration.clone();
    let mut changed = false;
    for hook in out.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = hook.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(members) = hook.as_object_mut() else { continue };
        let mut conditions: Vec<Value> =
            members.get("matchConditions").and_then(Value::as_array).unwrap_or_default().to_vec();
        let ours = |c: &Value| c.get("name").and_then(Value::as_str) == Some(CONDITION);
        let is_off = conditions.iter().any(ours);
        match webhook {
            Some(wanted) if wanted == name && !is_off => {
                conditions.push(object([("name", CONDITION.into()), ("expression", "false".into())]));
            }
            None if is_off => conditions.retain(|c| !ours(c)),
            _ => continue,
        }
        changed = true;
        if conditions.is_empty() {
            members.remove("matchConditions");
        } else {
            members.insert("matchConditions", Value::Array(conditions));
        }
    }
    changed.then_some(out)
}

impl Work<'_> {
    /// Switches a webhook off that stopped a write, if that is allowed; whether the write may now be tried again.
    pub(crate) async fn bypass(&self, reply: &Reply) -> bool {
        if !self.prepared.plan.selection.widen.bypass_webhooks {
            return false;
        }
        let Some(webhook) = in_the_way(reply) else { return false };
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

    /// Switches on again what this restore switched off; what to tell.
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
        let left = names.clone();
        off.extend(left);
        let note = format!(
            "these webhooks ARE STILL BYPASSED: {list}; remove the match condition {CONDITION} from their configurations, \
             or resume this restore"
        );
        vec![note.into()]
    }

    /// Switches one webhook off, or all of ours on; whether that worked.
    async fn switch(&self, webhook: Option<&str>) -> bool {
        let mut found = webhook.is_none();
        for (resource, kind) in CONFIGURATIONS {
            let Ok(Some(list)) = self.link.read(&path(resource, "")).await else { return false };
            let items = list.value.get("items").and_then(Value::as_array).unwrap_or_default();
            for item in items.iter().filter(|item| switched(item, webhook).is_some()) {
                found |= self.switch_one(resource, kind, meta(item, "name"), webhook).await;
            }
        }
        found
    }

    async fn switch_one(&self, resource: &str, kind: &str, name: &str, webhook: Option<&str>) -> bool {
        for _ in 0..TRIES {
            let Ok(Some(now)) = self.link.read(&path(resource, name)).await else { return false };
            let Some(mut body) = switched(&now.value, webhook) else { return true };
            if let Some(root) = body.as_object_mut() {
                root.insert("apiVersion", "admissionregistration.k8s.io/v1".into());
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
