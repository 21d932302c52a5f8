//! Making the plan: what becomes of each object, one at a time, then what they mean for one another.
//!
//! The passes, each with what it is given and what it adds to the [`Planner`]:
//!
//! | pass | of | makes |
//! |---|---|---|
//! | `keys` | both sides, the selection | the objects it is about |
//! | `sort` | the objects | `fates`: what is missing and comes, what was added and goes |
//! | `holders` | `fates` | `fates` of what follows, `staying` holders, `after` |
//! | `settle_each` | scalers | their actions, or why they are left |
//! | `look_around` | these actions | `around`: what sets fields of the rest |
//! | `settle_each` | the rest | actions, or why they are left |
//! | `stop_users` | claims whose data are replaced | what stops before and starts after |
//! | `made_again` | the actions | which owners get another uid: then all is done again |
//! | `take_leave` | the actions | what would go along, and so what has to stay: then all is done again |
//! | `unprotected`, `notes`, `order` | the actions | what is left unseen, notes, waves |
//!
//! Owners that come or go decide about the references of what they own, so `fates` come before any action.
//! **Invariant.** Whatever differs becomes an action or a [`Left`], never nothing.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::{
    Action, Bodies, Left, Plan, Prepared, Propagation, Verb, Wave,
    around::{self, Planned},
    holders::is_holder,
    judge::{Why, version},
    notes, order,
    quoted::Quoted,
};
use crate::{
    Desired, Known, Live, Protection, Selection,
    desired::Wanted,
    filling::Filling,
    intent::Surroundings,
    kinds::namespaces::home,
    live::{NamespacePhase, Present},
    reason::Reason,
    references::Kinds,
    selection::{Reach, Selector, What},
};

/// Makes the plan; pure.
pub(crate) fn prepare(selection: &Selection, desired: &Desired, live: &Live, known: &Known) -> Prepared {
    let mut staying = BTreeMap::new();
    let mut anew = BTreeSet::new();
    loop {
        let mut planner = Planner::new(selection, desired, live, known, (&staying, &anew));
        let keys = planner.keys();
        planner.find_older(&keys);
        planner.sort(&keys);
        planner.holders();
        // What becomes of scalers decides what is left to them.
        let (scalers, mut rest): (Vec<_>, Vec<_>) = keys.iter().partition(|key| around::is_scaler(key));
        // What becomes of a definition decides what it keeps of its objects.
        // Of a volume that a claim leaves or gets back, the claim decides.
        rest.sort_by_key(|key| (!is_holder(key), !live.swaps.contains_key(*key)));
        planner.settle_each(&scalers);
        planner.look_around(&scalers);
        planner.settle_each(&rest);
        planner.stop_users();
        // That an owner is made again decides about the references to it, but never about whether another one is.
        let made_again = planner.made_again();
        if made_again != anew {
            anew = made_again;
            continue;
        }
        // That an owner stays decides about what it owns.
        let more = planner.take_leave();
        if more.is_empty() {
            planner.unprotected();
            planner.count_system();
            planner.tell_filled();
            notes::add(&mut planner);
            order::arrange(&mut planner);
            let deletes = planner.plan.actions.iter().any(|a| matches!(a.verb, Verb::Delete | Verb::Recreate));
            let places = if deletes { live.places.clone() } else { Vec::new() };
            let Planner { plan, bodies, around, .. } = planner;
            return Prepared { plan, bodies, around, places };
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
    pub(super) kinds: Kinds<'a>,
    labels: Option<Selector>,
    pub(super) fates: BTreeMap<ObjectKey, Fate>,
    /// What may not go, for what would go with it.
    pub(super) staying: BTreeMap<ObjectKey, Why>,
    /// What is deleted and created again.
    pub(super) anew: BTreeSet<ObjectKey>,
    /// What runs after what, beside owners.
    pub(super) after: BTreeMap<ObjectKey, Vec<ObjectKey>>,
    /// Kinds of which objects of the moment cannot be put back, with the version of these.
    pub(super) older: BTreeMap<String, String>,
    /// Claims that are filled from a recovery point.
    pub(super) filled: Vec<(ObjectKey, Filling)>,
    /// What is stopped while the data of claims are replaced, with these claims.
    pub(super) stops: BTreeMap<ObjectKey, Vec<ObjectKey>>,
}

impl<'a> Planner<'a> {
    fn new(
        selection: &'a Selection,
        desired: &'a Desired,
        live: &'a Live,
        known: &'a Known,
        (staying, anew): (&BTreeMap<ObjectKey, Why>, &BTreeSet<ObjectKey>),
    ) -> Self {
        let kinds = desired.kinds.values().map(|(kind, _)| kind);
        Self {
            selection,
            desired,
            live,
            known,
            around: around::seen(selection, desired, live, &Planned::new()),
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
                kept: Vec::new(),
                system: Vec::new(),
                switches_on: Vec::new(),
            },
            bodies: BTreeMap::new(),
            kinds: Kinds::new(kinds.chain(known.kinds.values().map(|kind| &kind.discovery))),
            // A selector that cannot be read matches nothing; gathering refuses it with the reason.
            labels: selection.selector().ok(),
            fates: BTreeMap::new(),
            staying: staying.clone(),
            anew: anew.clone(),
            after: BTreeMap::new(),
            older: BTreeMap::new(),
            filled: Vec::new(),
            stops: BTreeMap::new(),
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

    /// What the actions delete and create again.
    fn made_again(&self) -> BTreeSet<ObjectKey> {
        let again = self.plan.actions.iter().filter(|action| action.verb == Verb::Recreate);
        again.map(|action| action.key.clone()).collect()
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

    /// Looks again at what is around the objects, once it is settled what becomes of scalers.
    fn look_around(&mut self, scalers: &[&ObjectKey]) {
        let becomes = |key: &&ObjectKey| match (self.bodies.get(*key), self.fates.get(*key)) {
            (Some(bodies), _) => Some(((*key).clone(), bodies.target.clone())),
            (None, Some(Fate::Follows(_))) => Some(((*key).clone(), None)),
            _ => None,
        };
        let planned: Planned = scalers.iter().filter_map(becomes).collect();
        if !planned.is_empty() {
            self.around = around::seen(self.selection, self.desired, self.live, &planned);
        }
    }

    /// Makes the action of each object, or says why it is left.
    fn settle_each(&mut self, keys: &[&ObjectKey]) {
        for key in keys {
            self.settle(key);
        }
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

    pub(super) fn leave(&mut self, key: &ObjectKey, verb: Verb, why: Why) {
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

    pub(super) fn act(&mut self, mut action: Action, bodies: Bodies) {
        let quoted = Quoted::of(&action.key, &bodies, &self.around.rules);
        for warning in &mut action.warnings {
            *warning = quoted.taken_out(warning);
        }
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
