//! One object's action: what is sent, what it replaces, and what has to be known of it.
//!
//! **Invariant.** An object is written only where intent forms differ, and nothing is decided here about other objects:
//! what comes and goes is known by then (`prepare`).

use std::sync::Arc;

use hindcast_journal::{exact::Value, fold::ObjectKey, seal::is_within};

use super::{
    Bodies, FieldChange, KeptChange, KeptIn, LiveRef, OwnerRef, Verb, WantedRef, fields,
    holders::is_holder,
    judge::{Why, opened, version},
    narrow,
    owners::{self, Mapped, Settled},
    prepare::{Fate, Planner},
    ruled,
    schema::{self, Known},
    side::Side,
    since::Beside,
    versions::Written,
    warnings,
};
use crate::{
    desired::{Full, Wanted},
    intent::{self, Form, Kept},
    kinds::{self, Holds},
    live::Present,
    reason::{Reason, Standing},
    references::references,
    rules,
    selection::{Permission, Reach},
};

/// An object as an action is to make it.
pub(super) struct Made {
    pub(super) target: Value,
    /// Intent forms, as far as the selection looks at them.
    changes: Vec<FieldChange>,
    kept: Vec<KeptChange>,
    live_hash: Option<String>,
    pub(super) wanted_hash: String,
    redact: Vec<String>,
}

impl<'a> Planner<'a> {
    /// Deletes what was not there, or says why not.
    pub(super) fn delete(&mut self, key: &ObjectKey, live: &'a Present) -> Result<(), Why> {
        let evidence = match self.fates.get(key) {
            Some(Fate::Goes(evidence)) => evidence.clone(),
            Some(Fate::Follows(reason)) => return Err(reason.clone().into()),
            _ => self.may_go(key, live)?,
        };
        self.delete_for(key, live, evidence);
        Ok(())
    }

    /// The action that deletes an object, for that reason.
    pub(super) fn delete_for(&mut self, key: &ObjectKey, live: &'a Present, evidence: String) {
        let redact = self.sealed(key, &[Some(&live.object.value)]);
        let mut action = self.action(key, Verb::Delete, &live.object.value);
        let kept = intent::kept(key, None, Some(&live.object), &self.around);
        let form = Form::new(&live.object.value, &kept, &redact);
        action.propagation = rules::propagation(&key.kind_key(), false);
        action.live = Some(live_ref(live, form.standing(&live.object.value, self.desired.key.as_deref())));
        action.evidence = Some(evidence);
        action.warnings = warnings::of_delete(key, &live.object);
        let bodies = Bodies {
            before: Some(live.object.clone()),
            owners: self.going_owners(key, live),
            held: self.held_in(key),
            redact,
            ..Bodies::default()
        };
        self.act(action, bodies);
    }

    /// Creates what is missing, or says why not.
    pub(super) fn create(&mut self, key: &ObjectKey, wanted: &'a Wanted, live: Option<&'a Present>) -> Result<(), Why> {
        let full = self.may_come(key, wanted, live)?;
        let Written { full, said } = self.written(key, full, None)?;
        let mapped = self.mapped(key, &full.value, None);
        let full = mapped_full(&full, &mapped);
        let mut made = self.make(key, &full, None, &[])?;
        let kind = key.kind_key();
        let mut action = self.action(key, Verb::Create, &full.value);
        action.kept = made.kept;
        action.warnings = said;
        let filled = self.fill(key, &full.value, &mut made.target);
        // What becomes of its data is said by what it is filled from.
        let is_filled = !filled.is_empty();
        action.warnings.extend(filled);
        action.warnings.extend(rules::adjust(&kind, &mut made.target));
        let then = if is_filled { &made.target } else { &full.value };
        action.warnings.extend(rules::warnings(&kind, &made.target, then, None, false));
        let unsuspend = ruled::suspended(key, &made.target);
        if unsuspend {
            action.warnings.push(warnings::suspended());
        }
        action.wanted = Some(WantedRef { pos: wanted.pos, uid: wanted.uid.clone(), hash: made.wanted_hash });
        action.warnings.extend(mapped.dropped.iter().map(|owner| warnings::dropped(owner)));
        if let Some(live) = live {
            action.live = Some(live_ref(live, String::new()));
            if kinds::of(key).holds == Some(Holds::Namespace) && !self.ending(&key.name).holds.is_empty() {
                action.warnings.push(format!("{}; it is waited for, for a minute at most", self.ending(&key.name)));
            } else if !self.live.endings.contains_key(&key.namespace) {
                action.warnings.push(warnings::waits(live));
            }
        }
        let bodies = Bodies {
            target: Some(made.target),
            managed: full.managed.clone(),
            before: live.map(|live| live.object.clone()),
            owners: mapped.coming,
            unsuspend,
            redact: made.redact,
            ..Bodies::default()
        };
        self.act(action, bodies);
        self.rebind(key, &full);
        Ok(())
    }

    /// Changes what differs, or says why not.
    pub(super) fn update(&mut self, key: &ObjectKey, wanted: &'a Wanted, live: &'a Present) -> Result<(), Why> {
        if self.live.swaps.contains_key(key) {
            return self.swap(key, wanted, live);
        }
        self.without_filling(key);
        let follows = self.follows(key, live);
        if wanted.uid == live.uid && wanted.rv == live.rv && follows.is_empty() {
            self.plan.unchanged += 1;
            return Ok(());
        }
        let full = opened(wanted)?;
        let (beside, touched) = self.around_others(key, full, live);
        let full = beside.as_ref().map_or(full, |beside| &beside.full);
        self.same_scope(key)?;
        // Where it cannot be written it is compared all the same.
        let (full, moved) = match self.written(key, full, Some(live)) {
            Ok(Written { full, said }) => (full, said),
            Err(_) => (full.clone(), Vec::new()),
        };
        let mapped = self.mapped(key, &full.value, Some(live));
        let full = mapped_full(&full, &mapped);
        let parts = self.parts(key);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let mut made = self.make(key, &full, Some(live), &parts)?;
        if made.changes.is_empty() && follows.is_empty() {
            if made.kept.is_empty() {
                self.plan.unchanged += 1;
            } else {
                self.plan.kept.push(KeptIn { key: key.clone(), kind: self.kind(key), fields: made.kept });
            }
            return Ok(());
        }
        self.allowed(key)?;
        self.ruled(key, Some(&full), Some(&live.object))?;
        touched?;
        if version(&full.value) != version(&live.object.value) {
            self.served(key, &full)?;
            let (then, now) = (version(&full.value).to_owned(), version(&live.object.value).to_owned());
            return Err(Reason::OtherVersion { then, now }.into());
        }
        let kind = key.kind_key();
        let anew = self.needs_anew(key, &made.target, live, &parts)?;
        let recreated = anew.is_some();
        if recreated {
            let kept = intent::kept(key, Some(&full), Some(&live.object), &self.around);
            made.target = intent::anew(&made.target, &kept);
        }
        let verb = if recreated { Verb::Recreate } else { Verb::Update };
        let mut action = self.action(key, verb, &full.value);
        action.propagation = rules::propagation(&kind, recreated);
        action.live = Some(live_ref(live, made.live_hash.clone().unwrap_or_default()));
        action.wanted = Some(WantedRef { pos: wanted.pos, uid: wanted.uid.clone(), hash: made.wanted_hash.clone() });
        action.warnings = moved;
        action.warnings.extend(anew.map(|reason| reason.to_string()));
        if recreated {
            action.warnings.extend(warnings::held(&live.object));
        }
        if wanted.uid != live.uid && !recreated {
            action.warnings.push(warnings::replaced(&wanted.uid, &live.uid));
        }
        action.warnings.extend(rules::warnings(&kind, &made.target, &full.value, Some(&live.object.value), recreated));
        if kinds::of(key).holds == Some(Holds::Definition) {
            action.warnings.extend(ruled::pruned(&made.target, &live.object.value, &self.live.objects));
        }
        action.warnings.extend(mapped.dropped.iter().map(|owner| warnings::dropped(owner)));
        action.warnings.extend(beside.iter().map(|beside| warnings::beside(&beside.theirs)));
        action.warnings.extend(follows.iter().map(warnings::follows));
        let now = self.known.closed.max(self.desired.time);
        let resumed = if recreated { None } else { ruled::resumed(key, &made.target, &live.object.value, now) };
        let unsuspend = resumed.is_some();
        action.warnings.extend(resumed);
        action.changes = made.changes;
        action.kept = made.kept;
        let bodies = Bodies {
            target: Some(made.target),
            managed: full.managed.clone(),
            before: Some(live.object.clone()),
            owners: mapped.coming,
            held: if recreated { self.held_in(key) } else { Vec::new() },
            unsuspend,
            redact: made.redact,
            ..Bodies::default()
        };
        self.act(action, bodies);
        Ok(())
    }

    /// Why an object has to be deleted and created again to be as wanted, if it has; or why that, or the change, may not be.
    fn needs_anew(
        &self,
        key: &ObjectKey,
        target: &Value,
        live: &Present,
        parts: &[&str],
    ) -> Result<Option<Reason>, Why> {
        let kind = key.kind_key();
        let widen = &self.selection.widen;
        self.may_destroy(&kind, rules::destroys_by_change(&kind, target, &live.object.value))?;
        self.may_lose(key, &live.object.value, Some(target))?;
        let Some((reason, needed)) = ruled::recreate(key, target, &live.object.value) else { return Ok(None) };
        if !parts.is_empty() {
            return Err(reason.into());
        }
        // An undo puts its own work back, but destroys nothing for that.
        let allowed = |needed: &Permission| widen.allows(needed) || (self.desired.is_own() && !needed.destroys());
        if let Some(needed) = needed.filter(|needed| !allowed(needed)) {
            return Err(reason.unless(needed));
        }
        self.may_destroy(&kind, rules::destroys_outside(&kind, &live.object))?;
        self.may_leave(key)?;
        self.may_lose(key, &live.object.value, None)?;
        if is_holder(key) {
            self.takes_nothing_else(key)?;
        }
        Ok(Some(reason))
    }

    /// What an object is to be in spite of what others changed since the restore that is taken back; or that it may not be
    /// changed at all, and why.
    fn around_others(&self, key: &ObjectKey, full: &Full, live: &Present) -> (Option<Beside>, Result<(), Why>) {
        let Err(why) = self.touched(key, Some(live)) else { return (None, Ok(())) };
        match self.beside(key, full, live, why) {
            Ok(beside) => (Some(beside), Ok(())),
            Err(why) => (None, Err(why)),
        }
    }

    /// The parts of an object that are looked at; none for all of it.
    fn parts(&self, key: &ObjectKey) -> Vec<String> {
        match (&self.selection.path, self.reach(key)) {
            (Some(path), _) => vec![path.clone()],
            (None, Reach::Itself) => vec!["/metadata/annotations".to_owned(), "/metadata/labels".to_owned()],
            (None, _) => Vec::new(),
        }
    }

    /// Settles the owner references of an object that is to be written.
    pub(super) fn mapped(&self, key: &ObjectKey, value: &Value, live: Option<&Present>) -> Mapped {
        let now = live.map(|present| references(&present.object.value)).unwrap_or_default();
        owners::map(value, |reference| {
            if let Some(owner) = self.kinds.key(reference, &key.namespace) {
                match self.fates.get(&owner) {
                    _ if self.anew.contains(&owner) => return Settled::Coming(owner),
                    Some(Fate::Comes) => return Settled::Coming(owner),
                    Some(Fate::Goes(_) | Fate::Follows(_)) => return Settled::Gone,
                    None => {}
                }
                let present = self.live.objects.get(&owner).filter(|owner| !owner.terminating);
                if let Some(uid) = present.map(|owner| &owner.uid).or_else(|| self.live.owners.get(&owner)) {
                    return Settled::There(uid.clone());
                }
            }
            // Whatever is true of an owner that could not be looked at: the reference stands now, and may stay.
            if now.iter().any(|stands| stands.uid == reference.uid) {
                return Settled::There(reference.uid.clone());
            }
            Settled::Gone
        })
    }

    /// The owners of an object that are deleted and created again, so that its references have to follow them. What
    /// machines make follows by itself.
    fn follows(&self, key: &ObjectKey, live: &Present) -> Vec<ObjectKey> {
        if self.anew.is_empty() || rules::is_made_by_machines(&key.kind_key(), &live.object) {
            return Vec::new();
        }
        let owners = references(&live.object.value).into_iter().filter_map(|reference| {
            let owner = self.kinds.key(&reference, &key.namespace)?;
            let same = self.live.objects.get(&owner).is_some_and(|present| present.uid == reference.uid);
            (same && self.anew.contains(&owner)).then_some(owner)
        });
        owners.collect()
    }

    /// The places that no output may show, on any side.
    pub(super) fn sealed(&self, key: &ObjectKey, sides: &[Option<&Value>]) -> Vec<String> {
        let sides: Vec<&Value> = sides.iter().flatten().copied().collect();
        let mut sealed = self.around.rules.sealed_in_any(&key.group, &key.resource, &sides);
        // What was sealed when it was kept stays hidden, whatever is sealed now.
        sealed.extend(self.desired.objects.get(key).into_iter().flat_map(|wanted| wanted.redact.iter().cloned()));
        sealed.sort_unstable();
        sealed.dedup();
        sealed
    }

    /// What is to be sent, and how that differs from what is there.
    pub(super) fn make(
        &self,
        key: &ObjectKey,
        full: &Full,
        live: Option<&Present>,
        parts: &[&str],
    ) -> Result<Made, Why> {
        let before = live.map(|live| &*live.object);
        let whole = full;
        let Known { full, dropped } = self.known(key, whole);
        let full = &*full;
        let kept: Vec<Kept> = intent::kept(key, Some(full), before, &self.around);
        let redact = self.sealed(key, &[Some(&whole.value), before.map(|before| &before.value)]);
        let hmac = self.desired.key.as_deref();
        let wanted_form = Form::new(&full.value, &kept, &redact);
        let live_form = before.map(|before| Form::new(&before.value, &kept, &redact));
        let mut made = Made {
            target: intent::target(&full.value, before.map(|before| &before.value), &kept),
            changes: Vec::new(),
            kept: Vec::new(),
            live_hash: live_form.as_ref().zip(before).map(|(form, before)| form.standing(&before.value, hmac)),
            wanted_hash: wanted_form.digest(hmac),
            redact: Vec::new(),
        };
        // The rules keep the uid of an owner as it stands in the live child, where it may be a dead one.
        if let Some(value) = self.mapped(key, &made.target, live).value {
            made.target = value;
        }
        if let (Some(before), Some(live_form)) = (before, &live_form) {
            if parts.is_empty() {
                made.changes = fields::changes(live_form, &wanted_form, "", hmac);
            } else {
                let mut target = before.value.clone();
                for part in parts {
                    let changes = fields::changes(live_form, &wanted_form, part, hmac);
                    if changes.is_empty() {
                        continue;
                    }
                    made.changes.extend(changes);
                    if !narrow::put(&mut target, part, narrow::at(&made.target, part)) {
                        return Err(Reason::NoPart((*part).to_owned()).into());
                    }
                }
                made.target = target;
            }
            let (live, wanted) = (Side::new(&before.value, &redact), Side::new(&full.value, &redact));
            made.kept = fields::kept(&live, &wanted, &of_parts(kept, parts, &before.value), hmac);
            // An undo is asked for as a whole.
            if self.desired.is_own() {
                made.kept.iter_mut().filter(|kept| kept.standing == Standing::Wanting).for_each(|kept| {
                    kept.standing = Standing::Rule;
                });
            }
        }
        let dropped: Vec<String> =
            dropped.into_iter().filter(|path| parts.is_empty() || touches(parts, &whole.value, path)).collect();
        made.kept.extend(schema::told(whole, &redact, &dropped, hmac));
        made.redact = redact;
        Ok(made)
    }

    /// The owners of an object that goes which go as well, before it. Without them the garbage collector would take it in any
    /// case; as an action it has a pre-image, and an undo brings it back. An object that keeps an owner goes before the others:
    /// the collector would take their references out of it.
    fn going_owners(&mut self, key: &ObjectKey, live: &Present) -> Vec<OwnerRef> {
        let references = references(&live.object.value);
        let going = references.iter().enumerate().filter_map(|(at, reference)| {
            let owner = self.kinds.key(reference, &key.namespace)?;
            let same = self.live.objects.get(&owner).is_some_and(|present| present.uid == reference.uid);
            (same && matches!(self.fates.get(&owner), Some(Fate::Goes(_)))).then_some(OwnerRef { at, owner })
        });
        let going: Vec<OwnerRef> = going.collect();
        if going.len() == references.len() {
            return going;
        }
        for owner in going {
            self.after.entry(owner.owner).or_default().push(key.clone());
        }
        Vec::new()
    }
}

/// What is kept of these parts; of all of the object if there are none.
fn of_parts(mut kept: Vec<Kept>, parts: &[&str], live: &Value) -> Vec<Kept> {
    kept.retain(|kept| parts.is_empty() || touches(parts, live, &kept.path));
    kept
}

/// Whether a place is in one of the parts of an object, or holds one.
fn touches(parts: &[&str], object: &Value, path: &str) -> bool {
    parts.iter().any(|part| {
        let part = narrow::pointer(object, part).unwrap_or_else(|| (*part).to_owned());
        is_within(path, &part) || is_within(&part, path)
    })
}

pub(super) fn mapped_full(full: &Arc<Full>, mapped: &Mapped) -> Arc<Full> {
    match &mapped.value {
        Some(value) => Arc::new(Full { value: value.clone(), managed: full.managed.clone() }),
        None => full.clone(),
    }
}

fn live_ref(live: &Present, hash: String) -> LiveRef {
    LiveRef { uid: live.uid.clone(), rv: live.rv.clone(), hash }
}
