//! After the writes: whether workloads came up, which Pods did not and why, and who still reads what was replaced.
//!
//! **Invariants.** (1) Every request is a GET. (2) What cannot be read is said to be so, never taken for ready.
//!
//! Not here: making anybody restart; that is an action of a plan.

use std::time::Duration;

use hindcast_cluster::path;
use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::{
    Acted, Became, Stage,
    conflict::meta,
    progress::Meter,
    request::{self, Ask},
    write::Work,
};
use crate::{
    kinds::{self, Counted, Kind},
    plan::Verb,
    rules,
};

/// How many Pods of a workload are named.
const NAMED: usize = 10;

/// How a workload came up.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// Its Kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether every Pod it wants is there, new and ready.
    pub ready: bool,
    /// How far it is, in words.
    pub message: String,
    /// The Pods that are not ready.
    pub pods: Vec<PodState>,
}

/// A Pod that is not ready, and why.
#[derive(Debug, Clone)]
pub struct PodState {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Waits for the workloads that were acted on, at most that long.
pub(crate) async fn watch(work: &Work<'_>, acted: &[Acted], within: Duration, meter: &Meter<'_>) -> Vec<Rollout> {
    let waits = acted.iter().filter(|a| is_workload(&a.key) && a.verb != Verb::Delete);
    let waits: Vec<&Acted> = waits.filter(|a| matches!(a.became, Became::Done | Became::Already)).collect();
    let clock = &work.link.parts.clock;
    let began = clock.monotonic();
    let mut out: Vec<Option<Rollout>> = vec![None; waits.len()];
    loop {
        let over = clock.monotonic().saturating_sub(began) >= within || work.link.is_cancelled();
        for (acted, place) in waits.iter().zip(&mut out) {
            if !place.as_ref().is_some_and(|r| r.ready) {
                *place = Some(look(work, acted).await);
            }
        }
        if over || out.iter().flatten().all(|r| r.ready) {
            break;
        }
        meter.stage(Stage::RollingOut);
        work.link.cancelled_within(Duration::from_millis(500)).await;
    }
    let mut done: Vec<Rollout> = out.into_iter().flatten().collect();
    for (rollout, acted) in done.iter_mut().zip(&waits) {
        if !rollout.ready {
            rollout.pods = unready(work, acted).await;
        }
    }
    done
}

fn is_workload(key: &ObjectKey) -> bool {
    kinds::of(key).rollout.is_some()
}

async fn look(work: &Work<'_>, acted: &Acted) -> Rollout {
    let (ready, message) = match work.link.read(&path(work, acted)).await {
        Ok(Some(now)) => progress(kinds::of(&acted.key), &now.value),
        Ok(None) => (false, "it is gone".to_owned()),
        Err(_) => (false, "it could not be read".to_owned()),
    };
    Rollout {
        kind: acted.kind.clone(),
        namespace: acted.key.namespace.clone(),
        name: acted.key.name.clone(),
        ready,
        message,
        pods: Vec::new(),
    }
}

fn path(work: &Work<'_>, acted: &Acted) -> String {
    let action = work.actions.get(&acted.key);
    request::object(&acted.key, action.map_or("v1", |a| &a.version))
}

/// Whether a workload is rolled out, and how far it is.
pub(crate) fn progress(kind: &Kind, object: &Value) -> (bool, String) {
    let number = |path: &str| object.pointer(path).and_then(Value::as_i64);
    let observed = number("/status/observedGeneration").unwrap_or(0);
    let seen = observed >= number("/metadata/generation").unwrap_or(0);
    let counted = kind.rollout.map(|rollout| rollout(object)).unwrap_or_default();
    let Counted { wanted, updated, ready, total } = counted;
    let strategy = object.pointer("/spec/updateStrategy/type").and_then(Value::as_str).unwrap_or_default();
    let partition = number("/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    // Pods that are replaced only by hand, or are held back, are not waited for.
    let wants_new = if strategy == "OnDelete" { 0 } else { (wanted - partition).max(0) };
    if !seen {
        return (false, "its controller has not seen the change yet".to_owned());
    }
    let is_ready = updated >= wants_new && ready >= wanted && total <= wanted;
    let mut message = format!("{ready} of {wanted} ready");
    if updated < wants_new {
        message = format!("{message}, {updated} of them new");
    }
    if total > wanted {
        message = format!("{message}, {} old to go", total - wanted);
    }
    (is_ready, message)
}

/// The Pods of a workload that are not ready.
async fn unready(work: &Work<'_>, acted: &Acted) -> Vec<PodState> {
    let Ok(Some(now)) = work.link.read(&path(work, acted)).await else { return Vec::new() };
    let Some(selector) = selector(&now.value) else { return Vec::new() };
    let query = format!("?labelSelector={}", path::escape(&selector));
    let mut out: Vec<PodState> = pods(work, &acted.key.namespace, &query)
        .await
        .iter()
        .filter_map(|pod| Some(PodState { name: meta(pod, "name").to_owned(), reason: reason(pod)? }))
        .collect();
    out.truncate(NAMED);
    out
}

async fn pods(work: &Work<'_>, namespace: &str, query: &str) -> Vec<Value> {
    let path = format!("{}{query}", path::collection("", "v1", namespace, "pods"));
    let Ok(reply) = work.link.send(&Ask::get(path)).await else { return Vec::new() };
    let Ok(list) = reply.object() else { return Vec::new() };
    let items = list.value.get("items").and_then(Value::as_array).unwrap_or_default();
    items.to_vec()
}

/// A workload's selector as a query takes it.
fn selector(object: &Value) -> Option<String> {
    let selector = object.pointer("/spec/selector")?;
    let mut terms = Vec::new();
    if let Some(labels) = selector.get("matchLabels").and_then(Value::as_object) {
        for (key, value) in labels.iter() {
            terms.push(format!("{key}={}", value.as_str()?));
        }
    }
    for term in selector.get("matchExpressions").and_then(Value::as_array).unwrap_or_default() {
        let key = term.get("key")?.as_str()?;
        let values = term.get("values").and_then(Value::as_array).unwrap_or_default();
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        let values = values.join(",");
        terms.push(match term.get("operator")?.as_str()? {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    Some(terms.join(","))
}

/// Why a Pod is not ready; `None` if it is.
pub(crate) fn reason(pod: &Value) -> Option<String> {
    let condition = |kind: &str| {
        let all = pod.pointer("/status/conditions").and_then(Value::as_array).unwrap_or_default();
        all.iter().find(|c| text(c, "type") == kind)
    };
    if condition("Ready").is_some_and(|c| text(c, "status") == "True") {
        return None;
    }
    if !meta(pod, "deletionTimestamp").is_empty() {
        return Some("is being deleted".to_owned());
    }
    for statuses in ["/status/initContainerStatuses", "/status/containerStatuses"] {
        for container in pod.pointer(statuses).and_then(Value::as_array).unwrap_or_default() {
            if let Some(why) = container_reason(container) {
                return Some(why);
            }
        }
    }
    if let Some(scheduled) = condition("PodScheduled").filter(|c| text(c, "status") == "False") {
        return Some(told(text(scheduled, "reason"), text(scheduled, "message")));
    }
    let ready = condition("Ready").map(|c| told(text(c, "reason"), text(c, "message")));
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or("Pending");
    Some(ready.filter(|r| !r.is_empty()).unwrap_or_else(|| format!("is {phase}")))
}

fn container_reason(container: &Value) -> Option<String> {
    let name = text(container, "name");
    if let Some(waiting) = container.pointer("/state/waiting") {
        let why = text(waiting, "reason");
        // These say only that it is on its way.
        if !matches!(why, "" | "ContainerCreating" | "PodInitializing") {
            return Some(format!("{name}: {}", told(why, text(waiting, "message"))));
        }
    }
    let ended = container.pointer("/state/terminated")?;
    let code = ended.get("exitCode").and_then(Value::as_i64).unwrap_or(0);
    (code != 0).then(|| format!("{name}: {} (exit code {code})", text(ended, "reason")))
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn told(reason: &str, message: &str) -> String {
    match (reason, message) {
        ("", message) => message.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

/// Running Pods that were started before `when` and read an acted configuration object through their environment.
pub(crate) async fn readers(work: &Work<'_>, acted: &[Acted]) -> Vec<String> {
    let config = |a: &&Acted| kinds::of(&a.key).config.is_some();
    let changed: Vec<&Acted> = acted.iter().filter(config).filter(|a| a.became == Became::Done).collect();
    let mut namespaces: Vec<&str> = changed.iter().map(|a| a.key.namespace.as_str()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let began = work.record.began();
    let mut notes = Vec::new();
    for namespace in namespaces {
        let all = pods(work, namespace, "").await;
        for acted in changed.iter().filter(|a| a.key.namespace == namespace) {
            let stale: Vec<&str> = all
                .iter()
                .filter(|pod| started_before(pod, began) && reads(pod, &acted.key))
                .map(|pod| meta(pod, "name"))
                .collect();
            if let Some(note) = stale_note(acted, &stale) {
                notes.push(note);
            }
        }
    }
    notes
}

fn stale_note(acted: &Acted, stale: &[&str]) -> Option<String> {
    const SHOWN: usize = 5;
    let first = stale.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    let rest = stale.len().saturating_sub(SHOWN);
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let (kind, name, namespace) = (&acted.kind, &acted.key.name, &acted.key.namespace);
    (!stale.is_empty()).then(|| {
        format!("still run with the old {kind} {name} of {namespace}, which they read when they start: {first}{rest}; a restart of them ends it")
    })
}

fn started_before(pod: &Value, moment: hindcast_journal::parts::Micros) -> bool {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        return false;
    }
    let started = pod.pointer("/status/startTime").and_then(Value::as_str);
    let started = started.unwrap_or_else(|| meta(pod, "creationTimestamp"));
    let started: Option<jiff::Timestamp> = started.parse().ok();
    started.is_some_and(|s| s.as_microsecond() < moment)
}

/// Whether a Pod reads the object once, when its containers start.
pub(crate) fn reads(pod: &Value, key: &ObjectKey) -> bool {
    let at_start = pod.get("spec").map(|spec| rules::reads(spec).at_start).unwrap_or_default();
    at_start.iter().any(|(kind, name)| *kind == key.kind_key() && *name == key.name)
}

#[cfg(test)]
mod tests;
