//! Objects of kinds that have moved on: recorded in a version that is not served now, or in another scope.
//!
//! **Invariants.** (1) A version is changed only where the server itself would do no more than that: the definition converts by
//! name alone. (2) While older objects of a kind cannot be
//! put back, newer ones are not deleted: what is there may be what they became.

use std::sync::Arc;

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::{
    judge::{Why, version},
    prepare::{Fate, Planner},
};
use crate::{
    desired::Full,
    kinds::crds::{self, definition},
    live::Present,
    reason::Reason,
    rules,
};

/// An object as it can be written.
pub(super) struct Written {
    pub(super) full: Arc<Full>,
    /// What must be known of it.
    pub(super) said: Vec<String>,
}

impl Planner<'_> {
    /// An object in a version that the server takes once the plan is done.
    pub(super) fn written(&self, key: &ObjectKey, full: &Arc<Full>, live: Option<&Present>) -> Result<Written, Why> {
        let kind = key.kind_key();
        let served = self.live.served.get(&kind).map(Vec::as_slice).unwrap_or_default();
        let recorded = version(&full.value);
        let since = self.known.moved.get(&kind).cloned();
        let as_it_was = || Written { full: full.clone(), said: Vec::new() };
        let Some(gone) = rules::not_served(recorded, served, since) else { return Ok(as_it_was()) };
        if self.will_serve(key, recorded) {
            return Ok(as_it_was());
        }
        let crd = self.live_definition(&definition(&key.group, &key.resource));
        if !crd.is_some_and(|crd| crds::converts_by_name(&crd.value)) {
            return Err(gone.into());
        }
        let preferred = self.known.kinds.get(&kind).map(|kind| kind.discovery.version.as_str());
        let now = live.map(|live| version(&live.object.value)).or(preferred);
        let now = now.filter(|now| served.iter().any(|name| name == now)).or(served.first().map(String::as_str));
        let Some(now) = now else { return Err(gone.into()) };
        let full = renamed(full, &key.group, recorded, now);
        let said = vec![format!(
            "it was recorded as {recorded}, which is not served now: it is written as {now}, to which its definition converts by name \
             alone"
        )];
        Ok(Written { full: Arc::new(full), said })
    }

    /// Whether the plan writes a definition that serves a version.
    fn will_serve(&self, key: &ObjectKey, version: &str) -> bool {
        let crd = definition(&key.group, &key.resource);
        let Some(wanted) = self.desired.objects.get(&crd).filter(|wanted| !wanted.is_absent()) else { return false };
        let Ok(full) = &wanted.object else { return false };
        if !crds::serves(&full.value, version) {
            return false;
        }
        let written = || {
            let live = self.live.objects.get(&crd).map(|present| &*present.object);
            self.selection.path.is_none() && self.allowed(&crd).is_ok() && self.ruled(&crd, Some(full), live).is_ok()
        };
        self.fates.get(&crd) == Some(&Fate::Comes) || written()
    }

    /// Why nothing is done to objects of a kind that was namespaced then and is not now, or the other way round.
    pub(super) fn same_scope(&self, key: &ObjectKey) -> Result<(), Why> {
        let kind = key.kind_key();
        let then = self.desired.kinds.get(&kind).map(|(then, _)| then.namespaced);
        let now = self.known.kinds.get(&kind).map(|now| &now.discovery);
        let now = now.filter(|now| !now.gone && !now.resource.is_empty()).map(|now| now.namespaced);
        match (then, now) {
            (Some(namespaced_then), Some(now)) if namespaced_then != now => {
                Err(Reason::ScopeChanged { kind: self.kind(key), namespaced_then }.into())
            }
            _ => Ok(()),
        }
    }

    /// Finds the kinds of which older objects cannot be put back, each with their version.
    pub(super) fn find_older(&mut self, keys: &[ObjectKey]) {
        for key in keys {
            let Some(wanted) = self.desired.objects.get(key).filter(|wanted| !wanted.is_absent()) else { continue };
            let Ok(full) = &wanted.object else { continue };
            if self.written(key, full, self.live.objects.get(key)).is_err() {
                self.older.insert(key.kind_key(), version(&full.value).to_owned());
            }
        }
    }

    /// Whether older objects of its kind, which cannot be put back, keep it.
    pub(super) fn no_older(&self, key: &ObjectKey) -> Result<(), Why> {
        self.older
            .get(&key.kind_key())
            .map_or(Ok(()), |version| Err(Reason::OlderStay { kind: self.kind(key), version: version.clone() }.into()))
    }
}

/// An object under the name of another version; its owners' fields too, which the server would forget.
fn renamed(full: &Full, group: &str, from: &str, to: &str) -> Full {
    let (from, to) = (format!("{group}/{from}"), format!("{group}/{to}"));
    let mut full = full.clone();
    if let Some(root) = full.value.as_object_mut() {
        root.insert("apiVersion", Value::from(to.as_str()));
    }
    for entry in full.managed.as_mut().and_then(Value::as_array_mut).into_iter().flatten() {
        if entry.get("apiVersion").and_then(Value::as_str) == Some(from.as_str())
            && let Some(entry) = entry.as_object_mut()
        {
            entry.insert("apiVersion", Value::from(to.as_str()));
        }
    }
    full
}
