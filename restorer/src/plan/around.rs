//! What is around an object: who scales it, what sets its requests, which volumes there are.
//!
//! **Invariants.** (1) A scaler counts whether it stood at the moment or stands after the plan, or both: to fight it would
//! be wrong in each case. (2) What the plan takes away or turns to something else does not count for what it leaves behind:
//! nobody sets that any more, and a second plan would find it otherwise. (3) What an undo acts on counts only for what it
//! scales before and after alike: what changed hands with the restore goes back as it was.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::{exact::Value, facts::Discovery, fold::ObjectKey};

use crate::{
    Desired, Live, Selection,
    filling::title,
    kept::{Scaler, ScalerSort, Surroundings, Volume},
    kinds::{
        self,
        volumes::{VOLUMES, outlives_its_object},
    },
    references::plural,
    rules,
    selection::Reach,
};

/// What a plan makes of objects: the new state, or `None` where they go. Those it does not act on are left out.
pub(super) type Planned = BTreeMap<ObjectKey, Option<Value>>;

/// Whether it is of a kind that sets fields of other objects.
pub(super) fn is_scaler(key: &ObjectKey) -> bool {
    kinds::of(key).scales.is_some()
}

/// What the rules need to know. `asked` is the selection's path; `planned` is what the plan does to scalers, as far as
/// that is known.
pub(super) fn gather(desired: &Desired, live: &Live, asked: Option<&str>, planned: &Planned) -> Surroundings {
    let rules = desired.rules.clone();
    let mut out = Surroundings { asked: asked.map(str::to_owned), rules, ..Surroundings::default() };
    let kinds: Vec<&Discovery> = desired.kinds.values().map(|(kind, _)| kind).collect();
    let then = desired
        .objects
        .iter()
        .filter_map(|(key, wanted)| Some((key, wanted.object.as_ref().ok()?)))
        .chain(&desired.scalers)
        // What was being deleted then is as good as absent.
        .filter(|(_, full)| !rules::absent_then(full));
    let now = live.objects.iter().map(|(key, present)| (key, &present.object));
    let stood = then.clone().filter(|(key, _)| is_scaler(key));
    let stood: BTreeMap<&ObjectKey, &Value> = stood.map(|(key, full)| (key, &full.value)).collect();
    let stands = now.clone().chain(&live.scalers).filter(|(key, _)| is_scaler(key));
    let stands: BTreeMap<&ObjectKey, &Value> = stands.map(|(key, full)| (key, &full.value)).collect();
    let keys: BTreeSet<&ObjectKey> = stood.keys().chain(stands.keys()).copied().collect();
    for key in keys {
        let then = stood.get(key).and_then(|object| target(key, object, &kinds));
        let now = stands.get(key).and_then(|object| target(key, object, &kinds));
        let targets = match planned.get(key) {
            _ if desired.touched.contains_key(key) => [then.filter(|then| now.as_ref() == Some(then)), None],
            None => [then, now],
            Some(to) => [then, to.as_ref().and_then(|object| target(key, object, &kinds))],
        };
        let Some(scales) = kinds::of(key).scales else { continue };
        let map = if scales.sort == ScalerSort::Vertical { &mut out.resized } else { &mut out.scaled };
        for target in targets.into_iter().flatten() {
            map.entry(target).or_default().insert(Scaler { sort: scales.sort, name: key.name.clone() });
        }
    }
    for (key, object) in now.filter(|(key, _)| is_volume(key)) {
        out.volumes.insert(key.name.clone(), volume(&object.value));
    }
    for (name, object) in &live.volumes {
        out.volumes.insert(name.clone(), volume(&object.value));
    }
    for (key, object) in then.filter(|(key, object)| is_volume(key) && outlives_its_object(object)) {
        out.volumes.entry(key.name.clone()).or_insert_with(|| volume(&object.value));
    }
    out
}

/// The same as a selection sees it: a volume that is gone comes back only with a plan that may put it back.
pub(super) fn seen(selection: &Selection, desired: &Desired, live: &Live, planned: &Planned) -> Surroundings {
    let mut out = gather(desired, live, selection.path.as_deref(), planned);
    let there = |name: &str| {
        let stands = live.objects.keys().any(|key| is_volume(key) && key.name == name);
        stands || live.volumes.contains_key(name)
    };
    let comes = |key: &ObjectKey| {
        desired.is_own() || selection.widen.with_cluster_scoped || selection.reach(key) == Reach::Named
    };
    for (key, wanted) in desired.objects.iter().filter(|(key, _)| is_volume(key)) {
        let kept = wanted.object.as_ref().is_ok_and(|volume| outlives_its_object(volume));
        if kept && !comes(key) && !there(&key.name) {
            out.volumes.remove(&key.name);
            out.retained.insert(key.name.clone(), true);
        }
    }
    for name in desired.retained.iter().filter(|name| !there(name)) {
        out.retained.entry(name.clone()).or_insert(false);
    }
    out.fillings = live.fillings.keys().map(|key| (title(key), live.unfilled.get(key).cloned())).collect();
    out
}

fn is_volume(key: &ObjectKey) -> bool {
    key.group.is_empty() && key.resource == VOLUMES
}

fn volume(value: &Value) -> Volume {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (namespace, name) = (text("/spec/claimRef/namespace"), text("/spec/claimRef/name"));
    Volume {
        claim: (!name.is_empty()).then_some((namespace, name)),
        claim_uid: text("/spec/claimRef/uid"),
        phase: text("/status/phase"),
    }
}

/// What a scaler sets fields of.
fn target(key: &ObjectKey, object: &Value, kinds: &[&Discovery]) -> Option<ObjectKey> {
    meant(&key.namespace, (kinds::of(key).scales?.target)(object), kinds)
}

/// The object that a reference by apiVersion, kind and name means.
fn meant(namespace: &str, reference: Option<&Value>, kinds: &[&Discovery]) -> Option<ObjectKey> {
    let text = |field: &str| reference?.get(field)?.as_str();
    let name = text("name")?;
    // KEDA leaves both out for a Deployment.
    let kind = text("kind").unwrap_or("Deployment");
    let version = text("apiVersion").unwrap_or(if kind == "ReplicationController" { "v1" } else { "apps/v1" });
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let known = kinds.iter().find(|known| known.group == group && known.kind == kind);
    let resource = known.map_or_else(|| plural(kind), |known| known.resource.clone());
    Some(ObjectKey { namespace: namespace.to_owned(), group: group.to_owned(), resource, name: name.to_owned() })
}

#[cfg(test)]
mod tests;
