//! Making the plan: what becomes of each object, one at a time, then what they mean for one another.
//!
//! First what is missing and what was added is sorted, since owners that come or go decide about the references of what
//! they own; then each object is settled. **Invariant.** Whatever differs becomes an action or a [`Left`], never nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::{
    Action, Bodies, FieldChange, KeptChange, Left, LiveRef, OwnerRef, Plan, Prepared, Propagation, Verb, WantedRef,
    Wave,
    around::{self, Planned},
    fields::{self, Hidden},
    holders::is_holder,
    judge::{Why, opened, version},
    narrow, notes, order,
    owners::{self, Mapped, Settled},
    ruled, warnings,
};
use crate::{
    Desired, Known, Live, Protection, Selection,
    desired::{Full, Wanted},
    intent::{self, Kept, Surroundings, digest},
    kinds::{self, Holds, namespaces::home},
    live::{NamespacePhase, Present},
    reason::Reason,
    references::{Kinds, references},
    rules,
    selection::{Permission, Reach, Selector, What},
};

/// Makes the plan; pure.
pub fn prepare(selection: &Selection, desired: &Desired, live: &Live, known: &Known) -> Prepared {
    let mut staying = BTreeMap::new();
    loop {
        let mut planner = Planner::new(selection, desired, live, known);
        planner.staying.clone_from(&staying);
        planner.settle_all();
        // That an owner stays decides about what it owns.
        let more = planner.take_leave();
        if more.is_empty() {
            planner.unprotected();
            notes::add(&mut planner);
            order::arrange(&mut planner);
            let Planner { plan, bodies, around, .. } = planner;
            return Prepared { plan, bodies, around };
        }
        staying.extend(more);
    }
}

/// What the plan does to an object that others ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is created.
    Comes,
    /// It is deleted, and why that may be.
    Goes(String),
    /// It goes with its namespace or its definition.
    Follows(Reason),
}

/// One object's sides. What was being deleted then is as good as absent.
#[derive(Clone, Copy)]
struct Sides<'a> {
    wanted: Option<&'a Wanted>,
    live: Option<&'a Present>,
}

/// The plan in the making.
pub(super) struct Planner<'a> {
    pub(super) selection: &'a Selection,
    pub(super) desired: &'a Desired,
    pub(super) live: &'a Live,
    pub(super) known: &'a Known,
    pub(super) around: Surroundings,
    pub(super) plan: Plan,
    pub(super) bodies: BTreeMap<ObjectKey, Bodies>,
    kinds: Kinds<'a>,
    labels: Option<Selector>,
    pub(super) fates: BTreeMap<ObjectKey, Fate>,
    /// What may not go, for what would go with it.
    pub(super) staying: BTreeMap<ObjectKey, Why>,
    /// What runs after what, beside owners.
    pub(super) after: BTreeMap<ObjectKey, Vec<ObjectKey>>,
}

/// An object as an action is to make it.
struct Made {
    target: Value,
    /// Intent forms, as far as the selection looks at them.
    changes: Vec<FieldChange>,
    kept: Vec<KeptChange>,
    live_hash: Option<String>,
    wanted_hash: String,
    redact: Vec<String>,
}

impl<'a> Planner<'a> {
    fn new(selection: &'a Selection, desired: &'a Desired, live: &'a Live, known: &'a Known) -> Self {
        let kinds = desired.kinds.values().map(|(kind, _)| kind);
        Self {
            selection,
            desired,
            live,
            known,
            around: around::gather(desired, live, selection.path.as_deref(), &Planned::new()),
            plan: Plan {
                cluster: desired.cluster.clone(),
                cut: desired.cut.clone(),
                time: desired.time,
                undoes: desired.source.undoes().map(str::to_owned),
                selection: selection.clone(),
                actions: Vec::new(),
                left: Vec::new(),
                notes: Vec::new(),
                reservations: Vec::new(),
                unchanged: 0,
            },
            bodies: BTreeMap::new(),
            kinds: Kinds::new(kinds.chain(known.kinds.values().map(|kind| &kind.discovery))),
            // A selector that cannot be read matches nothing; gathering refuses it with the reason.
            labels: selection.selector().ok(),
            fates: BTreeMap::new(),
            staying: BTreeMap::new(),
            after: BTreeMap::new(),
        }
    }

    /// The objects of the selection, on either side.
    fn keys(&self) -> Vec<ObjectKey> {
        let keys: BTreeSet<&ObjectKey> = self.desired.keys().chain(self.live.objects.keys()).collect();
        let belongs = |key: &&ObjectKey| {
            self.desired.is_own() || self.houses(key) || (self.reach(key) != Reach::Out && self.labelled(key))
        };
        keys.into_iter().filter(belongs).cloned().collect()
    }

    /// Whether it is the namespace of the one object that is asked for, and is gone.
    fn houses(&self, key: &ObjectKey) -> bool {
        let What::Object { namespace, .. } = &self.selection.what else { return false };
        !namespace.is_empty() && *key == home(namespace) && !self.live.namespaces.contains_key(namespace)
    }

    pub(super) fn reach(&self, key: &ObjectKey) -> Reach {
        if self.desired.is_own() { Reach::Named } else { self.selection.reach(key) }
    }

    /// Whether the labels then or now match.
    fn labelled(&self, key: &ObjectKey) -> bool {
        let Some(labels) = &self.labels else { return false };
        let then = self.desired.objects.get(key).and_then(|wanted| wanted.object.as_ref().ok());
        let now = self.live.objects.get(key).map(|present| &present.object);
        labels.is_empty() || then.into_iter().chain(now).any(|full| labels.matches_object(&full.value))
    }

    fn sides(&self, key: &ObjectKey) -> Sides<'a> {
        Sides {
            wanted: self.desired.objects.get(key).filter(|wanted| !wanted.is_absent()),
            live: self.live.objects.get(key),
        }
    }

    /// Makes the action of each object, or says why it is left.
    fn settle_all(&mut self) {
        let keys = self.keys();
        self.sort(&keys);
        self.holders();
        // What becomes of scalers decides what is left to them.
        let (scalers, rest): (Vec<_>, Vec<_>) = keys.iter().partition(|key| around::is_scaler(key));
        for key in &scalers {
            self.settle(key);
        }
        let planned = self.planned(&scalers);
        if !planned.is_empty() {
            self.around = around::gather(self.desired, self.live, self.selection.path.as_deref(), &planned);
        }
        for key in rest {
            self.settle(key);
        }
    }

    /// Finds what comes and what goes. Definitions and namespaces first: the others depend on them.
    fn sort(&mut self, keys: &[ObjectKey]) {
        let (first, rest): (Vec<_>, Vec<_>) = keys.iter().partition(|key| is_holder(key));
        for key in first.into_iter().chain(rest) {
            let fate = match self.sides(key) {
                Sides { wanted: Some(wanted), live: None } => {
                    self.may_come(key, wanted, None).ok().map(|_| Fate::Comes)
                }
                Sides { wanted: Some(wanted), live: Some(live) } if self.terminating(key, live) => {
                    self.may_come(key, wanted, Some(live)).ok().map(|_| Fate::Comes)
                }
                Sides { wanted: None, live: Some(live) } => self.may_go(key, live).ok().map(Fate::Goes),
                _ => None,
            };
            if let Some(fate) = fate {
                self.fates.insert(key.clone(), fate);
            }
        }
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

    /// What becomes of these, as far as it is settled.
    fn planned(&self, keys: &[&ObjectKey]) -> Planned {
        let becomes = |key: &&ObjectKey| match (self.bodies.get(*key), self.fates.get(*key)) {
            (Some(bodies), _) => Some(((*key).clone(), bodies.target.clone())),
            (None, Some(Fate::Follows(_))) => Some(((*key).clone(), None)),
            _ => None,
        };
        keys.iter().filter_map(becomes).collect()
    }

    /// Makes an object's action, or says why it is left alone.
    fn settle(&mut self, key: &ObjectKey) {
        // A volume may have been told of its claim already.
        if self.bodies.contains_key(key) {
            return;
        }
        let sides = self.sides(key);
        let (verb, settled) = match sides {
            Sides { wanted: None, live: None } => return,
            Sides { wanted: Some(wanted), live: None } => (Verb::Create, self.create(key, wanted, None)),
            Sides { wanted: Some(wanted), live: Some(live) } if self.terminating(key, live) => {
                (Verb::Create, self.create(key, wanted, Some(live)))
            }
            Sides { wanted: Some(wanted), live: Some(live) } => (Verb::Update, self.update(key, wanted, live)),
            Sides { wanted: None, live: Some(live) } => (Verb::Delete, self.delete(key, live)),
        };
        if let Err(why) = settled {
            self.leave(key, verb, why);
        }
    }

    fn leave(&mut self, key: &ObjectKey, verb: Verb, why: Why) {
        let left = Left { key: key.clone(), kind: self.kind(key), verb, reason: why.reason, unless: why.unless };
        self.plan.left.push(left);
    }

    /// The Kind of an object.
    pub(super) fn kind(&self, key: &ObjectKey) -> String {
        let kind_key = key.kind_key();
        let discovery = self.desired.kinds.get(&kind_key).map(|(kind, _)| kind);
        let discovery = discovery.or_else(|| Some(&self.known.kinds.get(&kind_key)?.discovery));
        if let Some(kind) = discovery.filter(|kind| !kind.kind.is_empty()) {
            return kind.kind.clone();
        }
        let sides = self.sides(key);
        let then = sides.wanted.and_then(|wanted| wanted.object.as_ref().ok());
        let full = then.or(sides.live.map(|present| &present.object));
        let kind = full.and_then(|full| full.value.get("kind")?.as_str());
        kind.unwrap_or(&key.resource).to_owned()
    }

    /// Whether an object is being deleted, by itself or with its namespace.
    pub(super) fn terminating(&self, key: &ObjectKey, live: &Present) -> bool {
        let home = self.live.namespaces.get(&key.namespace);
        live.terminating || home == Some(&NamespacePhase::Terminating)
    }

    fn delete(&mut self, key: &ObjectKey, live: &'a Present) -> Result<(), Why> {
        let evidence = match self.fates.get(key) {
            Some(Fate::Goes(evidence)) => evidence.clone(),
            Some(Fate::Follows(reason)) => return Err(reason.clone().into()),
            _ => self.may_go(key, live)?,
        };
        let redact = self.sealed(key, &[Some(&live.object.value)]);
        let mut action = self.action(key, Verb::Delete, &live.object.value);
        let kept = intent::kept(key, None, Some(&live.object), &self.around);
        let form = intent::form(&live.object.value, &kept);
        action.propagation = rules::propagation(&key.kind_key(), false);
        action.live = Some(live_ref(live, digest(&form, &redact, self.desired.key.as_deref())));
        action.evidence = Some(evidence);
        action.warnings = warnings::of_delete(key, &live.object);
        let bodies = Bodies {
            target: None,
            managed: None,
            before: Some(live.object.clone()),
            owners: self.going_owners(key, live),
            held: self.held_in(key),
            unsuspend: false,
            redact,
        };
        self.act(action, bodies);
        Ok(())
    }

    fn create(&mut self, key: &ObjectKey, wanted: &'a Wanted, live: Option<&'a Present>) -> Result<(), Why> {
        let full = self.may_come(key, wanted, live)?;
        let mapped = self.mapped(key, &full.value, None);
        let full = mapped_full(full, &mapped);
        let mut made = self.make(key, &full, None, &[])?;
        let kind = key.kind_key();
        let mut action = self.action(key, Verb::Create, &full.value);
        action.warnings = rules::adjust(&kind, &mut made.target);
        action.warnings.extend(rules::warnings(&kind, &made.target, &full.value, None, false));
        let unsuspend = ruled::suspended(key, &made.target);
        if unsuspend {
            action.warnings.push(warnings::suspended());
        }
        action.wanted = Some(WantedRef { pos: wanted.pos, uid: wanted.uid.clone(), hash: made.wanted_hash });
        action.warnings.extend(mapped.dropped.iter().map(|owner| warnings::dropped(owner)));
        if let Some(live) = live {
            action.live = Some(live_ref(live, String::new()));
            action.warnings.push(warnings::waits(live));
        }
        let bodies = Bodies {
            target: Some(made.target),
            managed: full.managed.clone(),
            before: live.map(|live| live.object.clone()),
            owners: mapped.coming,
            held: Vec::new(),
            unsuspend,
            redact: made.redact,
        };
        self.act(action, bodies);
        self.rebind(key, &full);
        Ok(())
    }

    fn update(&mut self, key: &ObjectKey, wanted: &'a Wanted, live: &'a Present) -> Result<(), Why> {
        if wanted.uid == live.uid && wanted.rv == live.rv {
            self.plan.unchanged += 1;
            return Ok(());
        }
        let full = opened(wanted)?;
        let mapped = self.mapped(key, &full.value, Some(live));
        let full = mapped_full(full, &mapped);
        let parts = self.parts(key);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let mut made = self.make(key, &full, Some(live), &parts)?;
        if made.changes.is_empty() {
            self.plan.unchanged += 1;
            return Ok(());
        }
        self.allowed(key)?;
        self.ruled(key, Some(&full), Some(&live.object))?;
        self.touched(key, Some(live))?;
        if version(&full.value) != version(&live.object.value) {
            self.served(key, &full)?;
            let (then, now) = (version(&full.value).to_owned(), version(&live.object.value).to_owned());
            return Err(Reason::OtherVersion { then, now }.into());
        }
        let kind = key.kind_key();
        let widen = &self.selection.widen;
        let needed = Permission::Delete(kind.clone());
        if let Some(loss) = rules::destroys_by_change(&kind, &made.target, &live.object.value)
            && !widen.allows(&needed)
        {
            return Err(Reason::Destroys(loss).unless(needed));
        }
        let mut verb = Verb::Update;
        let mut said = Vec::new();
        if let Some((reason, needed)) = ruled::recreate(key, &made.target, &live.object.value) {
            if !parts.is_empty() {
                return Err(reason.into());
            }
            // An undo puts its own work back, but destroys nothing for that.
            let allowed = |needed: &Permission| widen.allows(needed) || (self.desired.is_own() && !needed.destroys());
            if let Some(needed) = needed.filter(|needed| !allowed(needed)) {
                return Err(reason.unless(needed));
            }
            self.may_leave(key)?;
            if is_holder(key) {
                self.takes_nothing_else(key)?;
            }
            verb = Verb::Recreate;
            said.push(reason.to_string());
            let kept = intent::kept(key, Some(&full), Some(&live.object), &self.around);
            made.target = intent::anew(&made.target, &kept);
        }
        let recreated = verb == Verb::Recreate;
        let mut action = self.action(key, verb, &full.value);
        action.propagation = rules::propagation(&kind, recreated);
        action.live = Some(live_ref(live, made.live_hash.clone().unwrap_or_default()));
        action.wanted = Some(WantedRef { pos: wanted.pos, uid: wanted.uid.clone(), hash: made.wanted_hash.clone() });
        action.warnings = said;
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
        action.changes = made.changes;
        action.kept = made.kept;
        let bodies = Bodies {
            target: Some(made.target),
            managed: full.managed.clone(),
            before: Some(live.object.clone()),
            owners: mapped.coming,
            held: if recreated { self.held_in(key) } else { Vec::new() },
            unsuspend: false,
            redact: made.redact,
        };
        self.act(action, bodies);
        Ok(())
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
    fn mapped(&self, key: &ObjectKey, value: &Value, live: Option<&Present>) -> Mapped {
        let now = live.map(|present| references(&present.object.value)).unwrap_or_default();
        owners::map(value, |reference| {
            if let Some(owner) = self.kinds.key(reference, &key.namespace) {
                match self.fates.get(&owner) {
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

    /// The places that no output may show, on any side.
    fn sealed(&self, key: &ObjectKey, sides: &[Option<&Value>]) -> Vec<String> {
        let sides: Vec<&Value> = sides.iter().flatten().copied().collect();
        self.around.rules.sealed_in_any(&key.group, &key.resource, &sides)
    }

    /// What is to be sent, and how that differs from what is there.
    fn make(&self, key: &ObjectKey, full: &Full, live: Option<&Present>, parts: &[&str]) -> Result<Made, Why> {
        let before = live.map(|live| &*live.object);
        let kept: Vec<Kept> = intent::kept(key, Some(full), before, &self.around);
        let wanted_form = intent::form(&full.value, &kept);
        let live_form = before.map(|before| intent::form(&before.value, &kept));
        let redact = self.sealed(key, &[Some(&full.value), before.map(|before| &before.value)]);
        let hmac = self.desired.key.as_deref();
        let hidden = Hidden { paths: &redact, key: hmac };
        let mut made = Made {
            target: intent::target(&full.value, before.map(|before| &before.value), &kept),
            changes: Vec::new(),
            kept: Vec::new(),
            live_hash: live_form.as_ref().map(|form| digest(form, &redact, hmac)),
            wanted_hash: digest(&wanted_form, &redact, hmac),
            redact: Vec::new(),
        };
        // The rules keep the uid of an owner as it stands in the live child, where it may be a dead one.
        if let Some(value) = self.mapped(key, &made.target, live).value {
            made.target = value;
        }
        if let (Some(before), Some(live_form)) = (before, &live_form) {
            if parts.is_empty() {
                made.changes = fields::changes(Some(live_form), Some(&wanted_form), "", hidden);
            } else {
                let mut target = before.value.clone();
                for part in parts {
                    let (from, to) = (narrow::at(live_form, part), narrow::at(&wanted_form, part));
                    let changes = fields::changes(from, to, part, hidden);
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
            if !made.changes.is_empty() && parts.is_empty() {
                made.kept = fields::kept(&before.value, &full.value, &kept, hidden);
            }
        }
        made.redact = redact;
        Ok(made)
    }

    pub(super) fn action(&self, key: &ObjectKey, verb: Verb, value: &Value) -> Action {
        Action {
            key: key.clone(),
            kind: self.kind(key),
            version: version(value).to_owned(),
            verb,
            wave: Wave { group: 0, depth: 0 },
            propagation: Propagation::default(),
            live: None,
            wanted: None,
            changes: Vec::new(),
            kept: Vec::new(),
            evidence: None,
            warnings: Vec::new(),
        }
    }

    pub(super) fn act(&mut self, action: Action, bodies: Bodies) {
        self.bodies.insert(action.key.clone(), bodies);
        self.plan.actions.push(action);
    }

    /// Objects of kinds whose past is not known, where they were made since.
    fn unprotected(&mut self) {
        for (key, created) in &self.live.unprotected {
            let since = created.parse::<jiff::Timestamp>().map_or(i64::MAX, jiff::Timestamp::as_microsecond);
            let known_then = since <= self.desired.time || self.desired.objects.contains_key(key);
            // What no rule would ever let go need not be named.
            let never = self.ruled(key, None, None).is_err();
            if self.desired.is_own() || known_then || never || self.reach(key) == Reach::Out {
                continue;
            }
            let end = match self.desired.kinds.get(&key.kind_key()) {
                Some((_, Protection::NotProtected(end))) => end.clone(),
                _ => None,
            };
            self.leave(key, Verb::Delete, Reason::MadeUnprotected(end).into());
        }
    }
}

fn mapped_full(full: &Arc<Full>, mapped: &Mapped) -> Arc<Full> {
    match &mapped.value {
        Some(value) => Arc::new(Full { value: value.clone(), managed: full.managed.clone() }),
        None => full.clone(),
    }
}

fn live_ref(live: &Present, hash: String) -> LiveRef {
    LiveRef { uid: live.uid.clone(), rv: live.rv.clone(), hash }
}
