//! When kinds stopped being served in the versions that objects were recorded in.

use std::collections::BTreeMap;

use hindcast_journal::{Result, cut::At, fold::Scope};

use super::{Desired, Known};
use crate::{
    Range, Timeline, View,
    kinds::crds::{DEFINITIONS, definition, serves},
    reason::Moved,
};

/// How many changes of a definition are looked at.
const CHANGES: usize = 64;

impl Known {
    /// Finds the change of each definition that took away a version of objects of the moment.
    pub(crate) async fn find_moved(&mut self, timeline: &mut Timeline, desired: &Desired) -> Result<()> {
        let mut gone: BTreeMap<String, (String, String)> = BTreeMap::new();
        for (key, wanted) in &desired.objects {
            let Ok(full) = &wanted.object else { continue };
            let api = full.value.get("apiVersion").and_then(|api| api.as_str()).unwrap_or_default();
            let version = api.rsplit('/').next().unwrap_or(api);
            let kind = key.kind_key();
            let served = self.kinds.get(&kind).map(|kind| kind.discovery.served.as_slice()).unwrap_or_default();
            if !served.is_empty() && !served.iter().any(|served| served == version) {
                gone.entry(kind).or_insert_with(|| (definition(&key.group, &key.resource).name, version.to_owned()));
            }
        }
        for (kind, (name, version)) in gone {
            let scope = Scope {
                kinds: Some(vec![DEFINITIONS.to_owned()]),
                namespace: Some(String::new()),
                name: Some(name.clone()),
            };
            let range = Range { since: Some(desired.time), ..Range::default() };
            let events = timeline.history(&range, &scope).await?.events;
            for event in events.iter().rev().take(CHANGES).rev() {
                let past = timeline.at(&At::Pos(event.row.pos)).await?;
                let stood = View::of(&past, &scope).await?.objects;
                if stood.iter().any(|crd| !serves(&crd.value, &version)) {
                    let moved = Moved { definition: name, pos: event.row.pos, time: event.row.time_hi };
                    self.moved.insert(kind, moved);
                    break;
                }
            }
        }
        Ok(())
    }
}
