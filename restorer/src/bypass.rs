//! Webhooks that a restore has switched off: how their configurations are marked, and how they are found and put right again.
//!
//! **Words**: a webhook is *off* while it has a match condition that never holds, under a name of our own; the condition names
//! the restore that put it there. Whoever reads the configuration sees what is the matter.
//!
//! **Invariants.** (1) A configuration without our condition is the one that was there before: nothing else of it is changed, so
//! nothing has to be remembered. (2) What a restore switched off is nobody's intent: a state of the past that has the
//! condition is put back without it.
//!
//! Not here: when it is done, and by whom (`apply`).

use std::{collections::BTreeSet, fmt};

use hindcast_journal::exact::{Object, Value};
use serde::{Deserialize, Serialize};

/// The name of the condition that never holds.
pub(crate) const CONDITION: &str = "hindcast-bypass";

/// The kinds of configurations: plural name and Kind.
pub(crate) const CONFIGURATIONS: [(&str, &str); 2] = [
    ("mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
    ("validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
];

/// Their API group.
pub(crate) const GROUP: &str = "admissionregistration.k8s.io";

/// Webhooks of one configuration that are off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bypassed {
    /// The Kind of the configuration; empty where only the webhooks are known.
    pub kind: String,
    /// Its name.
    pub configuration: String,
    /// The webhooks.
    pub webhooks: Vec<String>,
    /// The restore that switched them off, where the condition names it.
    pub restore: Option<String>,
}

impl Bypassed {
    /// What is off in a configuration, by the restore that switched it off.
    pub(crate) fn of(kind: &str, configuration: &Value) -> Vec<Self> {
        let mut out: Vec<Self> = Vec::new();
        let name = configuration.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        for webhook in configuration.get("webhooks").and_then(Value::as_array).unwrap_or_default() {
            let Some(condition) = conditions(webhook).iter().find(|condition| is_ours(condition)) else { continue };
            let restore = restore_of(condition).map(str::to_owned);
            let webhook = webhook.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            match out.iter_mut().find(|known| known.restore == restore) {
                Some(known) => known.webhooks.push(webhook),
                None => out.push(Self {
                    kind: kind.to_owned(),
                    configuration: name.to_owned(),
                    webhooks: vec![webhook],
                    restore,
                }),
            }
        }
        out
    }

    /// Webhooks of which no more is known than that a restore may have switched them off.
    pub(crate) fn told(restore: &str, webhooks: impl IntoIterator<Item = String>) -> Self {
        Self {
            kind: String::new(),
            configuration: String::new(),
            webhooks: webhooks.into_iter().collect(),
            restore: Some(restore.to_owned()),
        }
    }
}

/// `guard.example.com of ValidatingWebhookConfiguration guard`
impl fmt::Display for Bypassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.webhooks.join(", "))?;
        if self.configuration.is_empty() { Ok(()) } else { write!(f, " of {} {}", self.kind, self.configuration) }
    }
}

/// The configuration with a webhook switched off for a restore; `None` if it has none of that name that is on.
pub(crate) fn off(configuration: &Value, webhook: &str, restore: &str) -> Option<Value> {
    let mut out = configuration.clone();
    let mut changed = false;
    for hook in out.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
        if hook.get("name").and_then(Value::as_str) != Some(webhook) || conditions(hook).iter().any(is_ours) {
            continue;
        }
        let mut all = conditions(hook).to_vec();
        let expression = format!("\"restore {restore}\" == \"over\"");
        let condition = [("name", Value::from(CONDITION)), ("expression", Value::from(expression))];
        all.push(Value::Object(condition.into_iter().collect::<Object>()));
        let Some(members) = hook.as_object_mut() else { continue };
        members.insert("matchConditions", Value::Array(all));
        changed = true;
    }
    changed.then_some(out)
}

/// Switches on again what one of these restores switched off, and what no restore says it did; whether there was any. Without
/// restores all is switched on.
pub(crate) fn lift(configuration: &mut Value, restores: Option<&BTreeSet<String>>) -> bool {
    let theirs = |condition: &Value| {
        let wanted = |restore: &str| restores.is_none_or(|all| all.contains(restore));
        is_ours(condition) && restore_of(condition).is_none_or(wanted)
    };
    let mut changed = false;
    for hook in configuration.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
        if !conditions(hook).iter().any(theirs) {
            continue;
        }
        let rest: Vec<Value> = conditions(hook).iter().filter(|condition| !theirs(condition)).cloned().collect();
        let Some(members) = hook.as_object_mut() else { continue };
        changed = true;
        if rest.is_empty() {
            members.remove("matchConditions");
        } else {
            members.insert("matchConditions", Value::Array(rest));
        }
    }
    changed
}

/// A configuration of the past as it was without any restore.
pub(crate) fn lifted(configuration: &mut Value) -> bool {
    lift(configuration, None)
}

fn conditions(webhook: &Value) -> &[Value] {
    webhook.get("matchConditions").and_then(Value::as_array).unwrap_or_default()
}

fn is_ours(condition: &Value) -> bool {
    condition.get("name").and_then(Value::as_str) == Some(CONDITION)
}

/// The restore that a condition of ours names.
fn restore_of(condition: &Value) -> Option<&str> {
    let expression = condition.get("expression")?.as_str()?;
    expression.split('"').nth(1)?.strip_prefix("restore ")
}

#[cfg(test)]
mod tests;
