//! What restores made to fill claims from snapshots, and left behind: a claim that was not bound while the restore waited for
//! it, a process that died.
//!
//! **Invariant.** A helper goes once its claim is bound, or is not there an hour after the helper was made: until then a
//! restore may be about to create it.

use hindcast_cluster::path::{collection, object};
use hindcast_journal::{Result, parts::Micros, point::tags};
use serde_json::Value;

use super::{Csi, contents, snapshots, text, time};
use crate::{driver::Helper, scene::map};

/// How long a claim may come after its helpers.
const COMES: Micros = 3_600_000_000;

impl Csi {
    /// The helpers that need not stay.
    pub(super) async fn idle_helpers(&self) -> Result<Vec<Helper>> {
        let mut idle = Vec::new();
        for all in [snapshots(""), contents()] {
            for helper in self.api.listed(&all, tags::FILLS).await? {
                if !self.is_idle(&helper).await? {
                    continue;
                }
                let (namespace, name) = (text(&helper, "/metadata/namespace"), text(&helper, "/metadata/name"));
                let (kind, folder) = match namespace.is_empty() {
                    true => ("VolumeSnapshotContent", contents()),
                    false => ("VolumeSnapshot", snapshots(&namespace)),
                };
                let uid = text(&helper, "/metadata/uid");
                idle.push(Helper { title: format!("{kind} {name}"), path: object(&folder, &name), uid });
            }
        }
        Ok(idle)
    }

    async fn is_idle(&self, helper: &Value) -> Result<bool> {
        let claim = map(helper, "/metadata/annotations").remove(tags::CLAIM).unwrap_or_default();
        let Some((namespace, name)) = claim.split_once('/') else { return Ok(false) };
        let path = collection("", "v1", namespace, "persistentvolumeclaims");
        match self.api.get(&object(&path, name)).await? {
            Some(claim) => Ok(text(&claim, "/status/phase") == "Bound"),
            None => {
                let made = time(&text(helper, "/metadata/creationTimestamp"));
                Ok(made.is_some_and(|made| self.api.parts.clock.now().saturating_sub(made) > COMES))
            }
        }
    }
}
