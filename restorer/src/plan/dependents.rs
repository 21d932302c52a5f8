//! What the garbage collector would take after a delete, beside what the plan deletes itself.
//!
//! **Words**: a *dependent* names an owner that goes and none that stays, so that the collector takes it. It is *freed* where the plan
//! takes the reference out of it first.
//!
//! **Invariant.** An owner stays if it would take along what was there at the moment, or data that nobody allowed to be destroyed.
//! Whatever else it takes along is named with its action.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::{Propagation, Verb, judge::Why, prepare::Planner};
use crate::{
    live::{HeldIn, Present},
    names,
    reason::Reason,
    references::references,
    rules,
    selection::Permission,
};

/// What goes with one owner, or keeps it.
#[derive(Default)]
struct Along<'p> {
    /// These may not go, and what would let the first of them.
    keep: Vec<String>,
    unless: Option<Permission>,
    takes: Vec<&'p ObjectKey>,
    freed: Vec<&'p ObjectKey>,
}

impl Planner<'_> {
    /// Says what goes with whom, and what has to be freed first; or which owners have to stay, for what would go with them.
    pub(super) fn take_leave(&mut self) -> BTreeMap<ObjectKey, Why> {
        let mut staying = BTreeMap::new();
        let mut gone = BTreeMap::new();
        let mut said = Vec::new();
        for (owner, along) in self.along() {
            if !along.keep.is_empty() {
                staying.insert(owner, stays(along.keep, along.unless));
                continue;
            }
            for key in &along.takes {
                gone.insert((*key).clone(), owner.clone());
            }
            let named: Vec<String> = along.takes.iter().map(|key| names::object(key)).collect();
            let places: Vec<HeldIn> = along.freed.iter().filter_map(|key| self.place(key)).collect();
            said.push((owner, named, places));
        }
        if !staying.is_empty() {
            return staying;
        }
        for (owner, named, places) in said {
            if let Some(bodies) = self.bodies.get_mut(&owner) {
                bodies.held.extend(places);
            }
            let action = self.plan.actions.iter_mut().find(|action| action.key == owner);
            if let Some(action) = action.filter(|_| !named.is_empty()) {
                let named = names::some(&named);
                action.warnings.push(format!("what it owns goes with it, and no undo brings that back: {named}"));
            }
        }
        for left in &mut self.plan.left {
            if let Some(owner) = gone.get(&left.key) {
                left.reason = Reason::GoesWithOwner(owner.clone());
                left.unless = None;
            }
        }
        staying
    }

    /// What goes with each owner that goes.
    fn along(&self) -> Vec<(ObjectKey, Along<'_>)> {
        let goes = |verb: Verb, propagation: Propagation| {
            matches!(verb, Verb::Delete | Verb::Recreate) && propagation != Propagation::Orphan
        };
        let going = self.plan.actions.iter().filter(|action| goes(action.verb, action.propagation));
        let going: BTreeMap<&str, &ObjectKey> =
            going.filter_map(|action| Some((action.live.as_ref()?.uid.as_str(), &action.key))).collect();
        if going.is_empty() {
            return Vec::new();
        }
        let dependents = self.dependents(&going);
        let mut out = Vec::new();
        for (uid, owner) in &going {
            let mut along = Along::default();
            let mut lost = BTreeSet::from([*uid]);
            let mut seen = BTreeSet::new();
            // Breadth first: what a dependent owns goes with it.
            loop {
                let next = dependents
                    .iter()
                    .filter(|(key, d)| !seen.contains(*key) && d.uids.iter().any(|uid| lost.contains(uid.as_str())));
                let next: Vec<_> = next.map(|(key, d)| (*key, d)).collect();
                if next.is_empty() {
                    break;
                }
                for (key, dependent) in next {
                    seen.insert(key);
                    self.judge(key, dependent, &mut along);
                    if !dependent.freed {
                        lost.insert(dependent.present.uid.as_str());
                    }
                }
            }
            out.push(((*owner).clone(), along));
        }
        out
    }

    /// Whether a dependent may go with its owner.
    fn judge<'p>(&self, key: &'p ObjectKey, dependent: &Dependent<'p>, along: &mut Along<'p>) {
        let object = &dependent.present.object;
        if dependent.freed {
            along.freed.push(key);
            return;
        }
        if dependent.deleted || dependent.present.terminating || rules::is_made_by_machines(&key.kind_key(), object) {
            return;
        }
        let kind = key.kind_key();
        let needed = Permission::Delete(kind.clone());
        if rules::destroys(&kind, object).is_some() && !self.selection.widen.allows(&needed) {
            along.keep.push(names::object(key));
            along.unless.get_or_insert(needed);
        } else if self.was_there(key, dependent.present) {
            along.keep.push(names::object(key));
        } else {
            along.takes.push(key);
        }
    }

    /// Whether an object was there at the moment, as far as that is known.
    fn was_there(&self, key: &ObjectKey, present: &Present) -> bool {
        if let Some(wanted) = self.desired.objects.get(key) {
            return !wanted.is_absent();
        }
        let created = present.object.value.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
        let created = created.and_then(|stamp| stamp.parse::<jiff::Timestamp>().ok());
        !self.desired.is_own() && created.is_some_and(|created| created.as_microsecond() <= self.desired.time)
    }

    /// The objects that would be collected once these uids are gone, and those that are freed before.
    fn dependents(&self, going: &BTreeMap<&str, &ObjectKey>) -> BTreeMap<&ObjectKey, Dependent<'_>> {
        let there = || self.live.objects.iter().chain(&self.live.dependents);
        let alive: BTreeSet<&str> = there()
            .map(|(_, present)| present.uid.as_str())
            .chain(self.live.owners.values().map(String::as_str))
            .collect();
        let mut lost: BTreeSet<String> = going.keys().map(|uid| (*uid).to_owned()).collect();
        let verbs: BTreeMap<&ObjectKey, Verb> =
            self.plan.actions.iter().map(|action| (&action.key, action.verb)).collect();
        let mut out: BTreeMap<&ObjectKey, Dependent<'_>> = BTreeMap::new();
        loop {
            let mut more = false;
            for (key, present) in there() {
                if out.contains_key(key) {
                    continue;
                }
                let uids: Vec<String> = references(&present.object.value).into_iter().map(|r| r.uid).collect();
                let stays = uids.iter().any(|uid| alive.contains(uid.as_str()) && !lost.contains(uid));
                if stays || !uids.iter().any(|uid| lost.contains(uid)) {
                    continue;
                }
                let verb = verbs.get(key).copied();
                let target = self.bodies.get(key).and_then(|bodies| bodies.target.as_ref());
                let freed = matches!(verb, Some(Verb::Update))
                    && target.is_some_and(|target| !references(target).iter().any(|r| lost.contains(&r.uid)));
                let deleted = matches!(verb, Some(Verb::Delete | Verb::Recreate));
                if !freed {
                    lost.insert(present.uid.clone());
                }
                out.insert(key, Dependent { present, uids, freed, deleted });
                more = true;
            }
            if !more {
                return out;
            }
        }
    }

    fn place(&self, key: &ObjectKey) -> Option<HeldIn> {
        let action = self.plan.actions.iter().find(|action| action.key == *key)?;
        Some(HeldIn {
            group: key.group.clone(),
            version: action.version.clone(),
            resource: key.resource.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        })
    }
}

struct Dependent<'p> {
    present: &'p Present,
    /// Of its owners.
    uids: Vec<String>,
    freed: bool,
    /// By an action of its own.
    deleted: bool,
}

/// Why an object stays that would take others along.
pub(super) fn stays(others: Vec<String>, unless: Option<Permission>) -> Why {
    Why { reason: Reason::HoldsOthers(others), unless }
}
