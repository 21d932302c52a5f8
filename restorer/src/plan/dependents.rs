//! What the garbage collector would take after a delete, beside what the plan deletes itself.
//!
//! **Words**: a *dependent* names an owner that goes and none that stays, so that the collector takes it. It is *freed* where the
//! reference is taken out of it first: by its own action, or, where the owner is created again, by that of the owner.
//!
//! **Invariant.** An owner stays if it would take along what was there at the moment, or data that nobody allowed to be destroyed.
//! Whatever else it takes along is named with its action.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::{Propagation, Verb, judge::Why, prepare::Planner};
use crate::{
    live::{HeldIn, Present},
    names,
    reason::{Loss, Reason},
    references::{Reference, references},
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
    /// These were there before the owner was, and it took them over.
    adopted: Vec<&'p ObjectKey>,
    /// What it made itself.
    own: Vec<(&'p ObjectKey, &'p Present)>,
    /// The uids of all that goes with it without an action.
    uids: Vec<String>,
}

impl<'a> Planner<'a> {
    /// Says what goes with whom, and what has to be freed first; or which owners have to stay, for what would go with them.
    pub(super) fn take_leave(&mut self) -> BTreeMap<ObjectKey, Why> {
        let mut staying = BTreeMap::new();
        let mut gone = BTreeMap::new();
        let (mut said, mut adopters) = (Vec::new(), Vec::new());
        let versions: BTreeMap<&ObjectKey, &str> =
            self.plan.actions.iter().map(|action| (&action.key, action.version.as_str())).collect();
        for (owner, along) in self.along() {
            if !along.keep.is_empty() {
                staying.insert(owner, stays(along.keep, along.unless));
                continue;
            }
            let places: Vec<HeldIn> =
                along.freed.iter().filter_map(|key| Some(place(key, versions.get(key)?))).collect();
            let names = |keys: &[&ObjectKey]| keys.iter().map(|key| names::object(key)).collect::<Vec<_>>();
            if along.adopted.is_empty() {
                gone.extend(along.takes.iter().map(|key| ((*key).clone(), owner.clone())));
            } else {
                let own: Vec<_> = along.own.iter().map(|(key, present)| ((*key).clone(), *present)).collect();
                adopters.push((owner.clone(), names(&along.adopted), own));
            }
            let named = if along.adopted.is_empty() { names(&along.takes) } else { Vec::new() };
            said.push((owner, named, places, along.uids));
        }
        if !staying.is_empty() {
            return staying;
        }
        for (owner, adopted, own) in adopters {
            self.let_adopted_go(&owner, &adopted, own);
        }
        let mut along = BTreeMap::new();
        for (owner, named, places, uids) in said {
            if let Some(bodies) = self.bodies.get_mut(&owner) {
                bodies.held.extend(places);
                bodies.along = uids;
            }
            if !named.is_empty() {
                along.insert(owner, names::some(&named));
            }
        }
        for action in &mut self.plan.actions {
            if let Some(named) = along.get(&action.key) {
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

    /// Lets what an owner took over stay when it goes, by leaving all that it owns; what it made itself is deleted after it,
    /// unless another one takes that over as well.
    fn let_adopted_go(&mut self, owner: &ObjectKey, adopted: &[String], own: Vec<(ObjectKey, &'a Present)>) {
        let Some(action) = self.plan.actions.iter_mut().find(|action| action.key == *owner) else { return };
        action.propagation = Propagation::Orphan;
        let adopted = names::some(adopted);
        action.warnings.push(format!("what was there before it and belongs to it now is let go, and stays: {adopted}"));
        if action.verb != Verb::Delete {
            return;
        }
        for (key, present) in own {
            let made = format!("{} made it", names::object(owner));
            self.delete_for(&key, present, made);
        }
    }

    /// What goes with each owner that goes.
    fn along(&self) -> Vec<(ObjectKey, Along<'a>)> {
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
        let mut of: BTreeMap<&str, Vec<(&'a ObjectKey, &Dependent<'a>)>> = BTreeMap::new();
        for (&key, dependent) in &dependents {
            for owner in &dependent.uids {
                of.entry(owner).or_default().push((key, dependent));
            }
        }
        let mut out = Vec::new();
        for (uid, owner) in &going {
            let mut along = Along::default();
            let mut seen = BTreeSet::new();
            // What a dependent owns goes with it.
            let mut next = vec![*uid];
            while let Some(lost) = next.pop() {
                for (key, dependent) in of.get(lost).into_iter().flatten().copied() {
                    if !seen.insert(key) {
                        continue;
                    }
                    let direct = dependent.uids.iter().any(|of| of == uid);
                    if direct && self.is_adopted(key, dependent, owner) {
                        along.adopted.push(key);
                        continue;
                    }
                    if direct && self.is_made(key, dependent, owner) {
                        along.own.push((key, dependent.present));
                    }
                    self.judge(key, dependent, owner, &mut along);
                    if !dependent.freed {
                        // What has an action goes by that alone, and may be taken out of the plan.
                        along.uids.extend((!dependent.deleted).then(|| dependent.present.uid.clone()));
                        next.push(dependent.present.uid.as_str());
                    }
                }
            }
            for keys in [&mut along.takes, &mut along.freed, &mut along.adopted] {
                keys.sort_unstable();
            }
            along.keep.sort_unstable();
            along.own.sort_unstable_by_key(|(key, _)| *key);
            out.push(((*owner).clone(), along));
        }
        out
    }

    /// Whether the owner made a dependent, and it is not by an action of its own that it goes.
    fn is_made(&self, key: &ObjectKey, dependent: &Dependent<'_>, owner: &ObjectKey) -> bool {
        let present = dependent.present;
        let owner = self.live.objects.get(owner).map(|owner| owner.uid.as_str());
        let controls = |reference: &Reference| reference.controller && Some(reference.uid.as_str()) == owner;
        !dependent.freed
            && !dependent.deleted
            && !present.terminating
            && references(&present.object.value).iter().any(controls)
            && rules::is_made_by_machines(&key.kind_key(), &present.object)
    }

    /// Whether the owner took a dependent over that was there before it: it controls what machines make and is older than
    /// itself. What a restore created, and is taken back, took over all that is older, whoever gave it to it.
    fn is_adopted(&self, key: &ObjectKey, dependent: &Dependent<'_>, owner: &ObjectKey) -> bool {
        let present = dependent.present;
        if dependent.freed || dependent.deleted || present.terminating || !self.is_older(present, owner) {
            return false;
        }
        let uid = self.live.objects.get(owner).map(|owner| owner.uid.as_str());
        let own = self.desired.is_own();
        let names = |reference: &Reference| Some(reference.uid.as_str()) == uid && (own || reference.controller);
        (own || rules::is_made_by_machines(&key.kind_key(), &present.object))
            && references(&present.object.value).iter().any(names)
    }

    /// Whether an object was there before what owns it. To the second, as the server stamps it: what was made within the same
    /// one counts as made by it.
    fn is_older(&self, present: &Present, owner: &ObjectKey) -> bool {
        let owner = self.live.objects.get(owner).and_then(|owner| owner.object.created());
        present.object.created().zip(owner).is_some_and(|(child, owner)| child < owner)
    }

    /// Whether a dependent may go with its owner.
    fn judge(&self, key: &'a ObjectKey, dependent: &Dependent<'a>, owner: &ObjectKey, along: &mut Along<'a>) {
        let object = &dependent.present.object;
        if dependent.freed {
            along.freed.push(key);
            return;
        }
        if dependent.deleted || dependent.present.terminating {
            return;
        }
        let kind = key.kind_key();
        let needed = Permission::Delete(kind.clone());
        let made = rules::is_made_by_machines(&kind, object);
        // What machines make, they make again; but not the work that a Job has done so far.
        let loses = rules::destroys(&kind, object).is_some_and(|loss| !made || loss == Loss::Job);
        if loses && !self.selection.widen.allows(&needed) {
            along.keep.push(names::object(key));
            along.unless.get_or_insert(needed);
        } else if made {
            // It is made again, or goes with what it was made of.
        } else if self.was_there(key, dependent.present, owner) {
            along.keep.push(names::object(key));
        } else {
            along.takes.push(key);
        }
    }

    /// Whether an object was there at the moment, as far as that is known; for an undo, before the restore made its owner.
    fn was_there(&self, key: &ObjectKey, present: &Present, owner: &ObjectKey) -> bool {
        if let Some(wanted) = self.desired.objects.get(key) {
            return !wanted.is_absent();
        }
        if self.desired.is_own() {
            return self.is_older(present, owner);
        }
        present.object.created().is_some_and(|created| created <= self.desired.time)
    }

    /// The objects that would be collected once these uids are gone, and those that are freed before.
    fn dependents(&self, going: &BTreeMap<&str, &ObjectKey>) -> BTreeMap<&'a ObjectKey, Dependent<'a>> {
        let live = self.live;
        let there = || live.objects.iter().chain(&live.dependents);
        let alive: BTreeSet<&str> = there()
            .map(|(_, present)| present.uid.as_str())
            .chain(self.live.owners.values().map(String::as_str))
            .collect();
        let mut lost: BTreeSet<String> = going.keys().map(|uid| (*uid).to_owned()).collect();
        let verbs: BTreeMap<&ObjectKey, Verb> =
            self.plan.actions.iter().map(|action| (&action.key, action.verb)).collect();
        let is_again = |key: &ObjectKey| verbs.get(key) == Some(&Verb::Recreate);
        let again: BTreeSet<&str> = going.iter().filter(|(_, key)| is_again(key)).map(|(uid, _)| *uid).collect();
        let mut out: BTreeMap<&'a ObjectKey, Dependent<'a>> = BTreeMap::new();
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
                let named: Vec<&String> = uids.iter().filter(|uid| lost.contains(*uid)).collect();
                // By the action of an owner that is created again, of whatever has an action as well.
                let let_go = |uid: &str| verb.is_some() && again.contains(uid);
                let dropped = |uid: &str| {
                    let kept = |target: &Value| references(target).iter().any(|reference| reference.uid == uid);
                    verb == Some(Verb::Update) && target.is_some_and(|target| !kept(target))
                };
                let freed = named.iter().all(|uid| let_go(uid) || dropped(uid));
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
}

/// Where one object is.
fn place(key: &ObjectKey, version: &str) -> HeldIn {
    HeldIn {
        group: key.group.clone(),
        version: version.to_owned(),
        resource: key.resource.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
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
