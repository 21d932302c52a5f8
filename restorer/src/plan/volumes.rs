//! Claims that come back to their old volume: the volume still names the claim that was deleted, by its uid, and takes no
//! other until it is told.

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::{
    Bodies, FieldChange, LiveRef, Verb,
    judge::Why,
    prepare::{Fate, Planner},
    side::Side,
};
use crate::{
    desired::Full,
    intent::{self, Form},
    kinds::volumes::{CLAIMS, VOLUMES, rebind},
    reason::Reason,
    selection::{Permission, What},
};

const UID: &str = "/spec/claimRef/uid";

/// A volume, as an object.
fn object(name: &str) -> ObjectKey {
    ObjectKey { namespace: String::new(), group: String::new(), resource: VOLUMES.to_owned(), name: name.to_owned() }
}

impl Planner<'_> {
    /// The volume that a claim comes back to and that has to be told, with what it is told.
    fn released(&self, key: &ObjectKey, claim: &Full) -> Option<(ObjectKey, std::sync::Arc<Full>, Value)> {
        if key.kind_key() != CLAIMS {
            return None;
        }
        let name = claim.value.pointer("/spec/volumeName")?.as_str()?;
        if !self.around.can_bind(name, &key.namespace, &key.name) {
            return None;
        }
        let volume = object(name);
        let stands = self.live.objects.get(&volume).map(|present| &present.object);
        let stands = stands.or_else(|| self.live.volumes.get(name))?.clone();
        let told = rebind(&stands.value)?;
        Some((volume, stands, told))
    }

    /// Whether a claim's volume may be told, if it has to be.
    pub(super) fn may_rebind(&self, key: &ObjectKey, claim: &Full) -> Result<(), Why> {
        let free =
            self.desired.is_own() || self.selection.widen.with_cluster_scoped || self.selection.what == What::All;
        match self.released(key, claim).filter(|_| !free) {
            None => Ok(()),
            Some((volume, ..)) => Err(Reason::ReleasedVolume(volume.name).unless(Permission::ClusterScoped)),
        }
    }

    /// Tells the volume of a claim that is created.
    pub(super) fn rebind(&mut self, key: &ObjectKey, claim: &Full) {
        if key.kind_key() == CLAIMS
            && let Some(name) = claim.value.pointer("/spec/volumeName").and_then(Value::as_str)
            && self.fates.get(&object(name)) == Some(&Fate::Comes)
        {
            self.after.entry(key.clone()).or_default().push(object(name));
        }
        let Some((volume, stands, target)) = self.released(key, claim) else { return };
        self.after.entry(key.clone()).or_default().push(volume.clone());
        if self.bodies.contains_key(&volume) {
            return;
        }
        let text = |path: &str| stands.value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kept = intent::kept(&volume, Some(&stands), Some(&stands), &self.around);
        let redact = self.sealed(&volume, &[Some(&stands.value)]);
        let hash = Form::new(&stands.value, &kept, &redact).digest(self.desired.key.as_deref());
        let mut action = self.action(&volume, Verb::Update, &stands.value);
        action.live = Some(LiveRef { uid: text("/metadata/uid"), rv: text("/metadata/resourceVersion"), hash });
        let from = Side::new(&stands.value, &redact).at(UID).map(|uid| uid.shown(self.desired.key.as_deref()));
        action.changes = vec![FieldChange { path: UID.to_owned(), from, to: None }];
        action.warnings = vec![format!("it is given to claim {}/{} again", key.namespace, key.name)];
        let bodies = Bodies {
            target: Some(target),
            managed: stands.managed.clone(),
            before: Some(stands),
            owners: Vec::new(),
            held: Vec::new(),
            along: Vec::new(),
            unsuspend: false,
            redact,
        };
        self.act(action, bodies);
    }
}
