//! Objects of the system, of a selection that is of all but them: read only as far as is needed to say how many differ.
//!
//! **Invariants.** (1) Nothing that is read here is planned with. (2) A kind that could not be read says nothing.

use std::{collections::BTreeSet, sync::Arc};

use hindcast_journal::fold::ObjectKey;

use super::{BY_NAME, Found, Reading, Task, key_of, key_of_object, unchanged};
use crate::{
    desired::Full,
    kinds::{self, Made},
    live::{
        Counted,
        server::{Meta, Refusal, path},
    },
};

impl<'a> Reading<'a> {
    /// Counts what the metadata of a kind show of the system.
    pub(super) async fn count(&self, task: &Task<'a>, metas: Vec<Meta>, found: &mut Found) {
        if !task.protected || !self.selection.counts_kind(&task.kind.kind_key()) {
            return;
        }
        let made = kinds::find(&task.kind.kind_key()).made != Made::No;
        let controlled = |meta: &Meta| meta.owner_references.iter().flatten().any(|owner| owner.controller);
        let mut counted = Vec::new();
        let mut needed = Vec::new();
        for meta in metas {
            let key = key_of(task.kind, &meta);
            if made && controlled(&meta) {
                // The like of it was left out of what was, too.
                counted.push((key, Counted::Same));
            } else if self.desired.system.get(&key).is_some_and(|wanted| unchanged(wanted, &meta)) {
                counted.push((key, Counted::Same));
            } else {
                needed.push(key);
            }
        }
        let Ok(read) = self.counted(task, needed).await else { return };
        counted.extend(read.into_iter().map(|(key, object)| (key, Counted::Stands(Arc::new(object)))));
        found.system = Some(counted);
    }

    async fn counted(&self, task: &Task<'a>, needed: Vec<ObjectKey>) -> Result<Vec<(ObjectKey, Full)>, Refusal> {
        if needed.len() <= BY_NAME {
            return self.each(task, needed).await;
        }
        let mut out = Vec::new();
        let namespaces: BTreeSet<&str> = needed.iter().map(|key| key.namespace.as_str()).collect();
        for namespace in namespaces {
            let target = path(task.kind, &task.version, namespace, None);
            let objects = self.server.objects(&target, task.kind, &task.version).await?;
            let keyed = objects.into_iter().map(|object| (key_of_object(task.kind, &object.value), object));
            out.extend(keyed.filter(|(key, _)| needed.contains(key)));
        }
        Ok(out)
    }
}
