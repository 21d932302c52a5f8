//! Claims that come back to their old volume: the volume still names the claim that was deleted, by its uid, and takes no
//! other until it is told.

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::{
    FieldChange,
    judge::Why,
    prepare::{Fate, Planner},
    side::Side,
    swapping::policy_of,
};
use crate::{
    desired::Full,
    kinds::volumes::{self, is_claim, keeps_storage, rebind},
    reason::Reason,
    selection::{Permission, What},
};

const UID: &str = "/spec/claimRef/uid";

impl Planner<'_> {
    /// The volume that a claim comes back to and that has to be told, with what it is told.
    fn released(&self, key: &ObjectKey, claim: &Full) -> Option<(ObjectKey, std::sync::Arc<Full>, Value)> {
        if !is_claim(key) {
            return None;
        }
        let name = claim.value.pointer("/spec/volumeName")?.as_str()?;
        if !self.around.can_bind(name, &key.namespace, &key.name) {
            return None;
        }
        let volume = volumes::key(name);
        let stands = self.live.objects.get(&volume).map(|present| &present.object);
        let stands = stands.or_else(|| self.live.volumes.get(name))?.clone();
        let told = rebind(&stands.value)?;
        Some((volume, stands, told))
    }

    /// Whether a claim's volume may be told, if it has to be.
    pub(super) fn may_rebind(&self, key: &ObjectKey, claim: &Full) -> Result<(), Why> {
        if self.filling(key, &claim.value).is_some() {
            return Ok(());
        }
        let free =
            self.desired.is_own() || self.selection.widen.with_cluster_scoped || self.selection.what == What::All;
        match self.released(key, claim).filter(|_| !free) {
            None => Ok(()),
            Some((volume, ..)) => Err(Reason::ReleasedVolume(volume.name).unless(Permission::ClusterScoped)),
        }
    }

    /// Tells the volume of a claim that is created.
    pub(super) fn rebind(&mut self, key: &ObjectKey, claim: &Full) {
        if self.filled.iter().any(|(filled, _)| filled == key) {
            return;
        }
        if is_claim(key)
            && let Some(name) = claim.value.pointer("/spec/volumeName").and_then(Value::as_str)
            && self.fates.get(&volumes::key(name)) == Some(&Fate::Comes)
        {
            self.after.entry(key.clone()).or_default().push(volumes::key(name));
        }
        let Some((volume, stands, mut target)) = self.released(key, claim) else { return };
        self.after.entry(key.clone()).or_default().push(volume.clone());
        if self.bodies.contains_key(&volume) {
            return;
        }
        // Its policy only once it is bound: released and to be deleted, it would be gone at once.
        let before = self.desired.objects.get(&volume).filter(|_| self.desired.is_own());
        let policy = before.and_then(|before| policy_of(&mut target, &before.object.as_ref().ok()?.value));
        let redact = self.sealed(&volume, &[Some(&stands.value)]);
        let from = Side::new(&stands.value, &redact).at(UID).map(|uid| uid.shown(self.desired.key.as_deref()));
        let mut changes = vec![FieldChange { path: UID.to_owned(), from, to: None }];
        let staged = policy.is_some() && !keeps_storage(&target);
        changes.extend(policy);
        let then = if staged { "; its policy follows once it is bound" } else { "" };
        let said = format!("it is given to claim {}/{} again{then}", key.namespace, key.name);
        self.write_beside(&volume, &stands, target, changes, said, staged);
    }
}
