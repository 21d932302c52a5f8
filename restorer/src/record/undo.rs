//! What a restore replaced, as a desired state: undoing is an ordinary plan towards it.
//!
//! **Invariants.** (1) Only what the restore touched is in it. (2) What it created is to be deleted only with the uid that it
//! was given. (3) A restore that has open ends is not undone before they are known.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hindcast_journal::{Error, Result, cut::MAIN, facts::Discovery};

use super::{Record, body};
use crate::{
    Desired, Protection,
    desired::{Full, Source, Wanted},
    message::Remedy,
    plan::Verb,
};

impl Record {
    /// The state before this restore, of the objects that it touched.
    pub async fn desired(&self) -> Result<Desired> {
        let open = self.open_ends();
        if let Some(one) = open.first() {
            let id = &self.id;
            return Err(Error::invalid(
                format!("restore {id}"),
                format!(
                    "was interrupted: what became of {} of its actions is not known ({}/{} …)",
                    open.len(),
                    one.resource,
                    one.name
                ),
            )
            .with_remedy(Remedy::Finish(id.clone())));
        }
        let outcomes = self.outcomes();
        let body::All { mut bodies, around, .. } = body::read_all(self).await?;
        let mut desired = Desired {
            cluster: self.plan.cluster.clone(),
            cut: self.plan.cut.clone(),
            time: self.began,
            uncertain: false,
            source: Source::Undo(self.id.clone()),
            objects: BTreeMap::new(),
            kinds: BTreeMap::new(),
            definitions: None,
            later: BTreeMap::new(),
            system: BTreeMap::new(),
            created: BTreeMap::new(),
            touched: BTreeMap::new(),
            left: BTreeMap::new(),
            retained: BTreeSet::new(),
            scalers: BTreeMap::new(),
            around,
            key: self.keys.key().cloned(),
            older: self.keys.keys().iter().skip(1).cloned().collect(),
            rules: self.rules.clone(),
        };
        for action in &self.plan.actions {
            let Some(entry) = outcomes.get(&action.key).filter(|e| e.touched) else { continue };
            let discovery = Discovery {
                group: action.key.group.clone(),
                version: action.version.clone(),
                resource: action.key.resource.clone(),
                kind: action.kind.clone(),
                namespaced: !action.key.namespace.is_empty(),
                domain: MAIN.to_owned(),
                ..Discovery::default()
            };
            desired.kinds.insert(action.key.kind_key(), (discovery, Protection::Protected));
            desired.touched.insert(action.key.clone(), entry.hash.clone());
            let bodies = bodies.remove(&action.key);
            let (target, managed, before) =
                bodies.map(|bodies| (bodies.target, bodies.managed, bodies.before)).unwrap_or_default();
            if let Some(value) = target {
                desired.left.insert(action.key.clone(), Arc::new(Full { value, managed }));
            }
            if action.verb == Verb::Create {
                desired.created.insert(action.key.clone(), entry.uid.clone());
                continue;
            }
            let live = action.live.as_ref();
            let redact = before
                .as_ref()
                .map(|b| self.rules.sealed_paths(&action.key.group, &action.key.resource, &b.value))
                .unwrap_or_default();
            let mut wanted = Wanted {
                pos: 0,
                uid: live.map(|l| l.uid.clone()).unwrap_or_default(),
                rv: live.map(|l| l.rv.clone()).unwrap_or_default(),
                object: Err("its pre-image is not in the record".into()),
                redact,
            };
            if let Some(before) = before {
                let value = wanted.without_meanwhile(&action.key.kind_key(), before.value.clone());
                wanted.object = Ok(Arc::new(Full { value, managed: before.managed.clone() }));
            }
            desired.objects.insert(action.key.clone(), wanted);
        }
        Ok(desired)
    }
}
