//! Hooks: what is run in Pods before their volumes are taken and after.
//!
//! They come from a Pod's annotations, written as Velero takes them, or from a template. **Invariants.** (1) A Pod with an
//! annotation for a hook takes none from a template, as in Velero. (2) What is not set has the *documented* default: the
//! first container, 30 s, and a failure counts. (3) What cannot be read is an error that names the Pod and the
//! annotation: the hook counts as failed before anything is taken [`Found::wrong`].
//!
//! Not here: running them ([`crate::exec`]), and in which order (`make`).

use std::collections::BTreeMap;

use hindcast_journal::{
    labels::Selector,
    point::{Hook, OnError, Phase, PointScope},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    go,
    scene::{map, text},
};

#[cfg(test)]
mod tests;

/// How long a hook may take if nothing is said, in milliseconds.
const TIMEOUT: u64 = 30_000;

/// The longest a hook may be given: longer ones hold writers for ever.
const LONGEST: u64 = 4 * 3_600_000;

/// A hook of a template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookSpec {
    /// What it is called.
    pub name: String,
    /// In which Pods: their namespaces and labels.
    #[serde(default)]
    pub scope: PointScope,
    /// What is run before.
    #[serde(default)]
    pub pre: Vec<ExecSpec>,
    /// What is run after.
    #[serde(default)]
    pub post: Vec<ExecSpec>,
}

/// What is run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecSpec {
    /// In which container; the first one if it is not said.
    #[serde(default)]
    pub container: String,
    /// The command, without a shell.
    pub command: Vec<String>,
    /// What follows from a failure.
    #[serde(default)]
    pub on_error: OnError,
    /// How long it may take: `30s`, `2m`.
    #[serde(default)]
    pub timeout: String,
}

/// The hooks of a scope.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Hooks that run before, with the number of the round they run in.
    pub(crate) hooks: Vec<(usize, Hook)>,
    /// Pods whose hooks cannot be understood, and why.
    pub(crate) wrong: BTreeMap<(String, String), String>,
}

/// The hooks of these Pods, by namespace and name. Those of annotations run in round 0, those of the template's n-th hook in round n.
pub(crate) fn find<'p>(
    pods: impl IntoIterator<Item = (&'p (String, String), &'p Value)>,
    specs: &[HookSpec],
) -> Result<Found, String> {
    let mut selectors = Vec::new();
    for spec in specs {
        let selector = Selector::parse(&spec.scope.selector).map_err(|e| format!("hook {}: {e}", spec.name))?;
        selectors.push(selector);
    }
    let mut found = Found::default();
    for ((namespace, name), pod) in pods {
        if !runs(pod) {
            continue;
        }
        match annotated(pod) {
            Err(why) => _ = found.wrong.insert((namespace.clone(), name.clone()), why),
            Ok(hooks) if !hooks.is_empty() => {
                let hooks = hooks.into_iter().map(|(phase, exec)| hook(pod, phase, exec, "annotations"));
                found.hooks.extend(hooks.map(|hook| (0, hook)));
            }
            Ok(_) => {
                let labels = map(pod, "/metadata/labels");
                for (round, (spec, selector)) in specs.iter().zip(&selectors).enumerate() {
                    if !spec.scope.wants(namespace) || !selector.matches(|key| labels.get(key).map(String::as_str)) {
                        continue;
                    }
                    let pre = spec.pre.iter().map(|exec| (Phase::Pre, exec));
                    for (phase, exec) in pre.chain(spec.post.iter().map(|exec| (Phase::Post, exec))) {
                        match checked(pod, exec) {
                            Ok(exec) => found.hooks.push((round + 1, hook(pod, phase, exec, &spec.name))),
                            Err(why) => {
                                let why = format!("hook {}: {why}", spec.name);
                                found.wrong.insert((namespace.clone(), name.clone()), why);
                            }
                        }
                    }
                }
            }
        }
    }
    found.hooks.sort_by_key(|(round, hook)| (hook.phase, *round));
    Ok(found)
}

/// Whether something can be run in it.
fn runs(pod: &Value) -> bool {
    text(pod, "/status/phase") == "Running" && pod.pointer("/metadata/deletionTimestamp").is_none()
}

fn hook(pod: &Value, phase: Phase, exec: Ready, source: &str) -> Hook {
    Hook {
        namespace: text(pod, "/metadata/namespace"),
        pod: text(pod, "/metadata/name"),
        uid: text(pod, "/metadata/uid"),
        container: exec.container,
        phase,
        command: exec.command,
        on_error: exec.on_error,
        timeout: exec.timeout,
        source: source.to_owned(),
    }
}

/// A hook with its defaults filled in.
struct Ready {
    container: String,
    command: Vec<String>,
    on_error: OnError,
    timeout: u64,
}

fn checked(pod: &Value, exec: &ExecSpec) -> Result<Ready, String> {
    if exec.command.is_empty() {
        return Err("has no command".to_owned());
    }
    let timeout = if exec.timeout.is_empty() { TIMEOUT } else { duration(&exec.timeout)? };
    let container = container(pod, &exec.container)?;
    Ok(Ready { container, command: exec.command.clone(), on_error: exec.on_error, timeout })
}

/// The container of that name, or the first one.
fn container(pod: &Value, wanted: &str) -> Result<String, String> {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    let names: Vec<String> = containers.into_iter().flatten().map(|c| text(c, "/name")).collect();
    match (wanted.is_empty(), names.iter().any(|name| name == wanted), names.first()) {
        (true, _, Some(first)) => Ok(first.clone()),
        (false, true, _) => Ok(wanted.to_owned()),
        (true, _, None) => Err("the Pod has no container".to_owned()),
        (false, false, _) => Err(format!("there is no container {wanted}, only {}", names.join(", "))),
    }
}

/// The hooks that a Pod's annotations ask for.
fn annotated(pod: &Value) -> Result<Vec<(Phase, Ready)>, String> {
    let annotations = map(pod, "/metadata/annotations");
    // The keys without a phase are those of its first versions, and mean before.
    let prefixes = [
        (Phase::Pre, "pre.hook.backup.velero.io/"),
        (Phase::Pre, "hook.backup.velero.io/"),
        (Phase::Post, "post.hook.backup.velero.io/"),
    ];
    let mut hooks: Vec<(Phase, Ready)> = Vec::new();
    for (phase, prefix) in prefixes {
        let value = |key: &str| annotations.get(&format!("{prefix}{key}")).map_or("", |value| value.trim());
        let command = value("command");
        // The newer keys win.
        if command.is_empty() || hooks.iter().any(|(taken, _)| *taken == phase) {
            continue;
        }
        let named = |key: &str, why: String| format!("annotation {prefix}{key}: {why}");
        let on_error = match value("on-error") {
            "" | "Fail" => OnError::Fail,
            "Continue" => OnError::Continue,
            other => return Err(named("on-error", format!("`{other}` is neither Fail nor Continue"))),
        };
        let timeout = match value("timeout") {
            "" => TIMEOUT,
            text => duration(text).map_err(|why| named("timeout", why))?,
        };
        let command = words(command).map_err(|why| named("command", why))?;
        let container = container(pod, value("container")).map_err(|why| named("container", why))?;
        hooks.push((phase, Ready { container, command, on_error, timeout }));
    }
    Ok(hooks)
}

/// A command: a JSON list of words, or one word that is the whole text.
fn words(text: &str) -> Result<Vec<String>, String> {
    if !text.starts_with('[') {
        return Ok(vec![text.to_owned()]);
    }
    let words: Vec<String> =
        serde_json::from_str(text).map_err(|e| format!("begins like a list of words and is none: {e}"))?;
    if words.is_empty() { Err("has no word".to_owned()) } else { Ok(words) }
}

/// The time that a hook may take, in milliseconds.
fn duration(text: &str) -> Result<u64, String> {
    let nanos = go::nanos(text.trim()).ok_or_else(|| format!("`{text}` is no duration, as in 30s, 2m or 1h30m"))?;
    match u64::try_from(nanos / 1_000_000) {
        Ok(0) => Err(format!("`{text}` leaves no time")),
        Ok(millis) if millis <= LONGEST => Ok(millis),
        _ => Err(format!("`{text}` is longer than 4 h: nothing may hold its writers for so long")),
    }
}
