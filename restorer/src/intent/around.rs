//! What is around an object: who scales it, what sets its requests, which volumes there are.
//!
//! **Invariant.** A scaler counts whether it stands live, stood at the moment, or both: to fight it would be wrong in
//! each case.

use std::collections::BTreeMap;

use hindcast_journal::{exact::Value, facts::Discovery, fold::ObjectKey};

use super::{Surroundings, Volume};
use crate::{Desired, Live, desired::Full};

/// Kinds that set `spec.replicas` of other objects.
pub const SCALERS: &[&str] = &["autoscaling/horizontalpodautoscalers", "keda.sh/scaledobjects"];

/// Kinds that set the requests of other objects' containers.
pub const RESIZERS: &[&str] = &["autoscaling.k8s.io/verticalpodautoscalers"];

/// What the rules need to know. `asked` is the selection's path.
pub fn gather(desired: &Desired, live: &Live, asked: Option<&str>) -> Surroundings {
    let mut out = Surroundings { asked: asked.map(str::to_owned), ..Surroundings::default() };
    let kinds: Vec<&Discovery> = desired.kinds.values().map(|(kind, _)| kind).collect();
    let then = desired
        .objects
        .iter()
        .filter_map(|(key, wanted)| Some((key, wanted.object.as_ref().ok()?)));
    let now = live.objects.iter().map(|(key, present)| (key, &present.object));
    for (key, object) in
        then.clone().chain(&desired.scalers).chain(now.clone()).chain(&live.scalers)
    {
        scaler(key, object, &kinds, &mut out);
    }
    for (key, object) in now.filter(|(key, _)| is_volume(key)) {
        out.volumes.insert(key.name.clone(), volume(&object.value));
    }
    for (name, object) in &live.volumes {
        out.volumes.insert(name.clone(), volume(&object.value));
    }
    for (key, object) in then.filter(|(key, object)| is_volume(key) && outlives_its_object(object))
    {
        out.volumes.entry(key.name.clone()).or_insert_with(|| volume(&object.value));
    }
    out
}

fn is_volume(key: &ObjectKey) -> bool {
    key.group.is_empty() && key.resource == "persistentvolumes"
}

/// Whether the storage behind a `PersistentVolume` is kept when the object is deleted.
pub(crate) fn outlives_its_object(volume: &Full) -> bool {
    volume.value.pointer("/spec/persistentVolumeReclaimPolicy").and_then(Value::as_str)
        == Some("Retain")
}

fn volume(value: &Value) -> Volume {
    let text =
        |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (namespace, name) = (text("/spec/claimRef/namespace"), text("/spec/claimRef/name"));
    Volume {
        claim: (!name.is_empty()).then_some((namespace, name)),
        claim_uid: text("/spec/claimRef/uid"),
        phase: text("/status/phase"),
    }
}

fn scaler(key: &ObjectKey, object: &Full, kinds: &[&Discovery], out: &mut Surroundings) {
    let kind = key.kind_key();
    let (scales, reference) = match kind.as_str() {
        "autoscaling/horizontalpodautoscalers" | "keda.sh/scaledobjects" => {
            (true, "/spec/scaleTargetRef")
        }
        "autoscaling.k8s.io/verticalpodautoscalers" => (false, "/spec/targetRef"),
        _ => return,
    };
    if !scales
        && object.value.pointer("/spec/updatePolicy/updateMode").and_then(Value::as_str)
            == Some("Off")
    {
        return;
    }
    let Some(target) = target(&key.namespace, object.value.pointer(reference), kinds) else {
        return;
    };
    let words = match kind.as_str() {
        "autoscaling/horizontalpodautoscalers" => "HorizontalPodAutoscaler",
        "keda.sh/scaledobjects" => "ScaledObject",
        _ => "VerticalPodAutoscaler",
    };
    let map: &mut BTreeMap<_, std::collections::BTreeSet<String>> =
        if scales { &mut out.scaled } else { &mut out.resized };
    map.entry(target).or_default().insert(format!("{words} {}", key.name));
}

/// The object that a reference by apiVersion, kind and name means.
fn target(namespace: &str, reference: Option<&Value>, kinds: &[&Discovery]) -> Option<ObjectKey> {
    let text = |field: &str| reference?.get(field)?.as_str();
    let name = text("name")?;
    // KEDA leaves both out for a Deployment.
    let kind = text("kind").unwrap_or("Deployment");
    let version = text("apiVersion").unwrap_or(if kind == "ReplicationController" {
        "v1"
    } else {
        "apps/v1"
    });
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let known = kinds.iter().find(|known| known.group == group && known.kind == kind);
    let resource = known.map_or_else(|| plural(kind), |known| known.resource.clone());
    Some(ObjectKey {
        namespace: namespace.to_owned(),
        group: group.to_owned(),
        resource,
        name: name.to_owned(),
    })
}

/// The plural of a kind that no discovery names.
fn plural(kind: &str) -> String {
    format!("{}s", kind.to_lowercase())
}

#[cfg(test)]
mod tests;
