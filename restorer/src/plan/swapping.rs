//! Claims that stand and whose data are replaced: what runs on them stops, their volume is kept beside, they are created
//! again from a snapshot or, in an undo, for the volume they had, and what was stopped starts.
//!
//! **Invariants.** (1) No data are destroyed: the volume that a claim leaves is retained before the claim goes. (2) Nothing is
//! swapped under what runs: who cannot be stopped and started again keeps the claim as it is, and that is said.

use std::collections::BTreeSet;

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::{
    Bodies, FieldChange, LiveRef, Verb, WantedRef,
    judge::{Why, opened},
    prepare::Planner,
    settle::mapped_full,
    side::Side,
    warnings,
};
use crate::{
    desired::{Full, Wanted},
    intent::{self, Form},
    kinds::volumes::{self, is_claim, keeps_storage},
    live::Present,
    reason::Reason,
    rules,
    selection::{Reach, Volumes},
};

const POLICY: &str = "/spec/persistentVolumeReclaimPolicy";

impl<'a> Planner<'a> {
    /// Replaces the data of a claim that stands, or says why not.
    pub(super) fn swap(&mut self, key: &ObjectKey, wanted: &'a Wanted, live: &'a Present) -> Result<(), Why> {
        let Some(swap) = self.live.swaps.get(key) else { return Ok(()) };
        self.allowed(key)?;
        let full = opened(wanted)?;
        self.ruled(key, Some(full), Some(&live.object))?;
        self.touched(key, Some(live))?;
        self.same_scope(key)?;
        self.may_leave(key)?;
        if let Some(why) = &swap.hindered {
            return Err(Reason::InUse(why.clone()).into());
        }
        let stands = live.object.value.pointer("/spec/volumeName").and_then(Value::as_str).unwrap_or_default();
        if swap.volume.is_none() && !stands.is_empty() {
            let why = format!("its volume {stands} cannot be read, and so not be kept beside");
            return Err(Reason::InUse(why).into());
        }
        let then = full.value.pointer("/spec/volumeName").and_then(Value::as_str).unwrap_or_default();
        if self.desired.is_own() && !self.around.can_bind(then, &key.namespace, &key.name) {
            return Err(Reason::VolumeTaken(then.to_owned()).into());
        }
        // As one that is created: nothing is kept of how it is bound now.
        let mapped = self.mapped(key, &full.value, Some(live));
        let full = &mapped_full(full, &mapped);
        let mut made = self.make(key, full, None, &[])?;
        let kept = intent::kept(key, Some(full), Some(&live.object), &self.around);
        let redact = self.sealed(key, &[Some(&full.value), Some(&live.object.value)]);
        let standing =
            Form::new(&live.object.value, &kept, &redact).standing(&live.object.value, self.desired.key.as_deref());
        let mut action = self.action(key, Verb::Recreate, &full.value);
        action.propagation = rules::propagation(&key.kind_key(), true);
        action.live = Some(LiveRef { uid: live.uid.clone(), rv: live.rv.clone(), hash: standing });
        action.wanted = Some(WantedRef { pos: wanted.pos, uid: wanted.uid.clone(), hash: made.wanted_hash });
        action
            .warnings
            .push(format!("its data are replaced; those of now stay on volume {stands}, which is kept beside"));
        action.warnings.extend(mapped.dropped.iter().map(|owner| warnings::dropped(owner)));
        let filled = self.fill(key, &full.value, &mut made.target);
        action.warnings.extend(filled);
        let side = |value: &Value| Side::new(value, &redact).at("/spec/volumeName").map(|at| at.shown(None));
        let (from, to) = (side(&live.object.value), side(&made.target));
        action.changes = vec![FieldChange { path: "/spec/volumeName".to_owned(), from, to }];
        let bodies = Bodies {
            target: Some(made.target),
            managed: full.managed.clone(),
            before: Some(live.object.clone()),
            owners: mapped.coming,
            held: self.held_in(key),
            redact,
            ..Bodies::default()
        };
        self.act(action, bodies);
        if let Some(volume) = &swap.volume {
            self.keep_beside(key, volume);
        }
        self.rebind(key, full);
        for user in &swap.users {
            self.stops.entry(user.clone()).or_default().push(key.clone());
        }
        Ok(())
    }

    /// Says of a claim that stands, where all were asked for, that there is nothing to fill it from.
    pub(super) fn without_filling(&mut self, key: &ObjectKey) {
        let asked = self.selection.volumes == Volumes::All && !self.desired.is_own() && self.selection.path.is_none();
        if asked && is_claim(key) && self.reach(key) == Reach::Named && !self.live.swaps.contains_key(key) {
            let why = self.live.unfilled.get(key).cloned();
            self.leave(key, Verb::Recreate, Reason::NoSnapshot(why).into());
        }
    }

    /// Has the volume that a claim leaves keep its data.
    fn keep_beside(&mut self, claim: &ObjectKey, volume: &std::sync::Arc<Full>) {
        if keeps_storage(&volume.value) {
            return;
        }
        let name = volume.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let key = volumes::key(name);
        self.after.entry(claim.clone()).or_default().push(key.clone());
        if self.bodies.contains_key(&key) {
            return;
        }
        let mut target = volume.value.clone();
        set(&mut target, Value::from("Retain"));
        let said = format!(
            "it is retained and left beside: delete it when claim {}/{} is as it should be",
            claim.namespace, claim.name
        );
        let changes = vec![change(&volume.value, &target)];
        self.write_beside(&key, volume, target, changes, said, false);
    }

    /// An update of what the plan needs beside its objects, from what stands to `target`.
    pub(super) fn write_beside(
        &mut self,
        key: &ObjectKey,
        stands: &std::sync::Arc<Full>,
        target: Value,
        changes: Vec<FieldChange>,
        said: String,
        staged: bool,
    ) {
        let text = |path: &str| stands.value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kept = intent::kept(key, Some(stands), Some(stands), &self.around);
        let redact = self.sealed(key, &[Some(&stands.value)]);
        let hash = Form::new(&stands.value, &kept, &redact).digest(self.desired.key.as_deref());
        let mut action = self.action(key, Verb::Update, &stands.value);
        action.live = Some(LiveRef { uid: text("/metadata/uid"), rv: text("/metadata/resourceVersion"), hash });
        action.changes = changes;
        action.warnings = vec![said];
        let bodies = Bodies {
            target: Some(target),
            managed: stands.managed.clone(),
            before: Some(stands.clone()),
            unsuspend: staged,
            redact,
            ..Bodies::default()
        };
        self.act(action, bodies);
    }

    /// Stops what runs on claims that are swapped before, and starts it after.
    pub(super) fn stop_users(&mut self) {
        for (user, claims) in self.stops.clone() {
            let names: BTreeSet<&str> = claims.iter().map(|claim| claim.name.as_str()).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            let said = format!(
                "it is stopped (0 replicas) while the data of {names} are replaced, and started when all else is done"
            );
            let acts = self.plan.actions.iter_mut().find(|action| action.key == user);
            match (acts, self.live.users.get(&user)) {
                (Some(action), _) if action.verb == Verb::Delete => {
                    for claim in claims {
                        self.after.entry(claim).or_default().push(user.clone());
                    }
                }
                (Some(action), _) => {
                    action.warnings.push(said);
                    if let Some(bodies) = self.bodies.get_mut(&user) {
                        bodies.unsuspend = true;
                    }
                }
                (None, Some(present)) => {
                    let (stands, target) = (present.object.clone(), present.object.value.clone());
                    self.write_beside(&user, &stands, target, Vec::new(), said, true);
                }
                (None, None) => {}
            }
        }
    }
}

/// The reclaim policy that a volume had before the restore that is taken back, in the target that frees it for its claim.
pub(super) fn policy_of(target: &mut Value, before: &Value) -> Option<FieldChange> {
    let policy = before.pointer(POLICY).cloned()?;
    if target.pointer(POLICY) == Some(&policy) {
        return None;
    }
    let stands = target.clone();
    set(target, policy);
    Some(change(&stands, target))
}

fn set(volume: &mut Value, policy: Value) {
    if let Some(spec) = volume.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("persistentVolumeReclaimPolicy", policy);
    }
}

fn change(from: &Value, to: &Value) -> FieldChange {
    let at = |value: &Value| Side::new(value, &[]).at(POLICY).map(|at| at.shown(None));
    FieldChange { path: POLICY.to_owned(), from: at(from), to: at(to) }
}
