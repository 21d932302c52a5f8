//! What the plan asks of the rules beside their verdict, in the plan's own types.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::{exact::Value, fold::ObjectKey, parts::Micros};

use super::{Action, Bodies, warnings};
use crate::{
    kinds::{self, crds},
    live::Present,
    reason::Reason,
    rules,
    selection::Permission,
};

/// Why an object has to be deleted and created again to be as wanted, and what that takes, if it disturbs anybody.
pub(super) fn recreate(key: &ObjectKey, target: &Value, live: &Value) -> Option<(Reason, Option<Permission>)> {
    let kind = key.kind_key();
    let fields = rules::recreate(&kind, target, live);
    if fields.is_empty() {
        return None;
    }
    let fields = fields.iter().map(|path| path.trim_start_matches('/').replace('/', ".")).collect();
    Some((Reason::NeedsRecreate(fields), rules::recreate_needs(&kind)))
}

/// When an action runs, by its kind.
pub(super) fn wave(action: &Action, bodies: Option<&Bodies>) -> u8 {
    let wanted = bodies.and_then(|bodies| bodies.target.as_ref());
    let live = bodies.and_then(|bodies| bodies.before.as_deref()).map(|full| &full.value);
    rules::wave(&action.key.kind_key(), action.verb, wanted, live)
}

/// What the Pods of a workload keep until they are replaced, as (kind key, name).
pub(super) fn at_start(key: &ObjectKey, workload: &Value) -> BTreeSet<rules::Source> {
    rules::pod_spec(&key.kind_key(), workload).map(|spec| rules::reads(spec).at_start).unwrap_or_default()
}

/// How many objects that were read hold fields that an older schema does not know, in words; by version.
pub(super) fn pruned(target: &Value, live: &Value, objects: &BTreeMap<ObjectKey, Present>) -> Vec<String> {
    let text = |path: &str| target.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
    let mut out = Vec::new();
    for (version, fields) in crds::pruned_fields(target, live) {
        let of_kind = objects.iter().filter(|(key, _)| key.group == group && key.resource == plural);
        let (mut all, mut holding) = (0, 0);
        for (_, present) in of_kind {
            all += 1;
            holding += usize::from(fields.iter().any(|field| crds::holds(&present.object.value, field)));
        }
        if holding > 0 {
            out.push(format!("{holding} of {all} objects of {version} hold such fields now"));
        }
    }
    out
}

/// What must be known of an object that was kept from starting work and is let go, if it is one.
pub(super) fn resumed(key: &ObjectKey, target: &Value, live: &Value, now: Micros) -> Option<String> {
    let pause = kinds::of(key).pause?;
    let resumes = (pause.starts)(target) && !(pause.starts)(live);
    resumes.then(|| warnings::resumed((pause.missed)(live, target, now)))
}

/// Whether it would start work by itself and must not start what it missed.
pub(super) fn suspended(key: &ObjectKey, target: &Value) -> bool {
    kinds::of(key).pause.is_some_and(|pause| (pause.starts)(target))
}
