//! What is worth knowing beside the actions: who reads old configuration, who will undo it, what was not protected.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::{
    exact::{Object, Value},
    facts::{self, Grade, Uncovered},
    fold::ObjectKey,
};

use super::{
    Action, Bodies, FieldChange, LiveRef, Prepared, Propagation, Verb, Wave, narrow, prepare::Planner, ruled,
    side::Side,
};
use crate::{
    Bypassed, Protection,
    intent::{self, Form},
    kinds,
    live::{Listed, Present},
    message::Note,
    names::{kind_name, some},
    reason::{time, why_not},
    reservation::{Reservation, Unread},
    rules,
    selection::is_infrastructure,
};

/// The annotation that rolls a workload, as `kubectl rollout restart` sets it.
const RESTARTED: &str = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";

/// Adds notes, reservations, and with the flag the actions that roll workloads.
pub(super) fn add(planner: &mut Planner<'_>) {
    environment(planner);
    owners(planner);
    if !planner.desired.is_own() {
        unprotected(planner);
        last_known(planner);
        inside_gaps(planner);
        read_later(planner);
    }
    unread(planner);
    unseen(planner);
    bypass(planner);
}

impl Prepared {
    /// Takes on to switch on again what an interrupted restore, which is undone, had switched off: as the cluster shows it, or
    /// where that could not be read, as its record tells.
    pub(crate) fn switch_on(&mut self, restore: &str, recorded: BTreeSet<String>, live: Option<&[Bypassed]>) {
        let hers = |off: &&Bypassed| match &off.restore {
            Some(by) => by == restore,
            None => off.webhooks.iter().any(|webhook| recorded.contains(webhook)),
        };
        self.plan.switches_on = match live {
            Some(live) => live.iter().filter(hers).cloned().collect(),
            None if recorded.is_empty() => Vec::new(),
            None => vec![Bypassed::told(restore, recorded.iter().cloned())],
        };
        if !self.plan.switches_on.is_empty() {
            let webhooks: Vec<String> = self.plan.switches_on.iter().map(ToString::to_string).collect();
            let note = Note::SwitchesOn { webhooks: webhooks.join("; "), restore: restore.to_owned() };
            self.plan.notes.insert(0, note);
        }
    }
}

/// What a bypass of webhooks may write beside the actions: nothing is sent that the plan does not tell.
fn bypass(planner: &mut Planner<'_>) {
    if planner.selection.widen.bypass_webhooks && !planner.plan.actions.is_empty() {
        planner.plan.notes.push(
            "a webhook that stops any of this is switched off meanwhile, for every writer: its configuration gets the match condition \
             hindcast-bypass, which is taken out again at the end"
                .to_owned()
                .into(),
        );
    }
}

/// Workloads whose Pods read changed configuration through their environment and would not be replaced.
fn environment(planner: &mut Planner<'_>) {
    let config = |action: &&Action| kinds::of(&action.key).config.is_some();
    let touched: BTreeSet<(String, String, String)> = planner
        .plan
        .actions
        .iter()
        .filter(config)
        .map(|action| (action.key.namespace.clone(), action.key.kind_key(), action.key.name.clone()))
        .collect();
    if touched.is_empty() {
        return;
    }
    let live = planner.live;
    let workloads = live.objects.iter().chain(&live.readers);
    let workloads: BTreeMap<&ObjectKey, &Present> =
        // What a controller made is rolled by rolling what it made it of.
        workloads
            .filter(|(key, present)| {
                kinds::of(key).keeps_pods
                    && !present.terminating
                    && rules::controller(&present.object.value).is_none()
            })
            .collect();
    let templated = |action: &Action| action.changes.iter().any(|change| change.path.starts_with("/spec/template"));
    let acts = planner.plan.actions.iter().filter(|action| workloads.contains_key(&action.key));
    let acts: BTreeMap<ObjectKey, (Verb, bool)> =
        acts.map(|action| (action.key.clone(), (action.verb, templated(action)))).collect();
    for (key, present) in workloads {
        let rolls = rolls(key, &present.object.value);
        let anew = acts.get(key).is_some_and(|(verb, templated)| *verb != Verb::Update || (rolls && *templated));
        if anew {
            continue;
        }
        let reads = ruled::at_start(key, &present.object.value);
        let reads: Vec<String> = reads
            .into_iter()
            .filter(|(kind, name)| touched.contains(&(key.namespace.clone(), (*kind).to_owned(), name.clone())))
            .map(|(kind, name)| format!("{} {name}", kinds::find(kind).config.unwrap_or(kind)))
            .collect();
        if reads.is_empty() {
            continue;
        }
        let kind = present.object.value.get("kind").and_then(Value::as_str).unwrap_or(&key.resource).to_owned();
        let reads = reads.join(", ");
        if !rolls {
            let note = format!(
                "{kind} {} reads {reads} when its Pods start and replaces none of them: they keep the old values until they are \
                 deleted",
                key.name
            );
            planner.plan.notes.push(note.into());
        } else if planner.selection.widen.restart {
            restart(planner, key, present, &kind);
            let note = format!("{kind} {} reads {reads} when it starts: its Pods are rolled", key.name);
            planner.plan.notes.push(note.into());
        } else {
            let workload = format!("{kind} {}", key.name);
            planner.plan.notes.push(Note::KeepsOldValues { workload, reads });
        }
    }
}

/// Whether a changed template replaces the Pods that run: a standalone `ReplicaSet` leaves them.
fn rolls(key: &ObjectKey, workload: &Value) -> bool {
    let by_hand = workload.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete");
    kinds::of(key).rollout.is_some() && !by_hand
}

/// Rolls a workload: a stamp in its template, beside whatever else is done to it.
fn restart(planner: &mut Planner<'_>, key: &ObjectKey, present: &Present, kind: &str) {
    let stamp = Value::from(time(planner.known.closed.max(planner.desired.time)));
    let redact = planner.sealed(key, &[Some(&present.object.value)]);
    let hmac = planner.desired.key.as_deref();
    let from = Side::new(&present.object.value, &redact).at(RESTARTED).map(|stamp| stamp.shown(hmac));
    let change = FieldChange { path: RESTARTED.to_owned(), from, to: Some(stamp.clone()) };
    if let Some(action) = planner.plan.actions.iter_mut().find(|action| action.key == *key) {
        action.changes.push(change);
        if let Some(target) = planner.bodies.get_mut(key).and_then(|bodies| bodies.target.as_mut()) {
            set_stamp(target, &stamp);
        }
        return;
    }
    let object = &present.object;
    let mut target = object.value.clone();
    set_stamp(&mut target, &stamp);
    let kept = intent::kept(key, Some(object), Some(object), &planner.around);
    let hash = Form::new(&object.value, &kept, &redact).standing(&object.value, hmac);
    let api = object.value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let action = Action {
        key: key.clone(),
        kind: kind.to_owned(),
        version: api.rsplit('/').next().unwrap_or(api).to_owned(),
        verb: Verb::Update,
        wave: Wave { group: 0, depth: 0 },
        propagation: Propagation::default(),
        live: Some(LiveRef { uid: present.uid.clone(), rv: present.rv.clone(), hash }),
        wanted: None,
        changes: vec![change],
        kept: Vec::new(),
        evidence: None,
        warnings: vec!["its Pods are replaced one after the other, as its strategy says".to_owned()],
    };
    let bodies = Bodies {
        target: Some(target),
        managed: object.managed.clone(),
        before: Some(object.clone()),
        owners: Vec::new(),
        held: Vec::new(),
        along: Vec::new(),
        unsuspend: false,
        redact,
    };
    planner.act(action, bodies);
}

fn set_stamp(target: &mut Value, stamp: &Value) {
    let template = target.pointer_mut("/spec/template").and_then(Value::as_object_mut);
    if let Some(template) = template.filter(|template| template.get("metadata").is_none_or(Value::is_null)) {
        template.insert("metadata", Value::Object(Object::new()));
    }
    narrow::put(target, RESTARTED, Some(stamp));
}

/// Who deploys the objects, and would put their own version back.
fn owners(planner: &mut Planner<'_>) {
    let mut by: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for action in &planner.plan.actions {
        let before = planner.bodies.get(&action.key).and_then(|bodies| bodies.before.as_deref());
        let then = planner.desired.objects.get(&action.key).and_then(|wanted| wanted.object.as_deref().ok());
        let mut sides = before.into_iter().chain(then);
        if let Some(owner) = sides.find_map(|full| rules::gitops(&full.value)) {
            by.entry(owner).or_default().push(format!("{} {}", action.kind, action.key.name));
        }
    }
    for (owner, objects) in by {
        planner.plan.notes.push(format!("{}: {owner}", some(&objects)).into());
    }
}

/// Kinds of the selection that were not protected then: nothing of them is restored.
fn unprotected(planner: &mut Planner<'_>) {
    // The same for all that one rule leaves out, beside what names the kind.
    let mut left_out = Vec::new();
    for (key, state) in &planner.known.kinds {
        let kind = &state.discovery;
        let lists = kind.verbs.is_empty() || kind.verbs.iter().any(|verb| verb == "watch");
        let hers = !kind.resource.is_empty() && !kind.gone && lists;
        if !hers || is_infrastructure(key) || !planner.selection.wants_kind(key, kind.namespaced) {
            continue;
        }
        let why = match planner.desired.kinds.get(key).map(|(_, protection)| protection) {
            Some(Protection::Protected | Protection::LastKnown { .. }) => continue,
            _ if planner.desired.was_undefined(kind) => continue,
            Some(Protection::NotProtected(Some(end))) if end.reason == Uncovered::NotWatchable => continue,
            Some(Protection::NotProtected(Some(end))) => (end.shared(kind), why_not(Some(end))),
            Some(Protection::NotProtected(None)) | None => ("not yet".to_owned(), "not yet".to_owned()),
        };
        left_out.push((why.0, why.1, kind_name(key)));
    }
    left_out.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    for (why, kinds) in facts::by_cause(left_out) {
        planner.plan.reservations.push(Reservation::NotProtected { kinds, why });
    }
}

/// Kinds of the selection of which only what they last were in a life of the server's counter is known.
fn last_known(planner: &mut Planner<'_>) {
    let hers = planner
        .desired
        .kinds
        .iter()
        .filter(|(key, (kind, _))| !is_infrastructure(key) && planner.selection.wants_kind(key, kind.namespaced));
    let known: Vec<_> = hers
        .filter_map(|(key, (_, protection))| match protection {
            Protection::LastKnown { rv, time } => Some((kind_name(key), *rv, *time)),
            _ => None,
        })
        .collect();
    if !known.is_empty() {
        planner.plan.reservations.push(Reservation::LastKnown(known));
    }
}

/// Objects that are known only as a later definition of their kind reads them.
fn read_later(planner: &mut Planner<'_>) {
    let mut by: BTreeMap<String, (usize, BTreeSet<&str>)> = BTreeMap::new();
    for (key, added) in planner.desired.later.iter().filter(|(key, _)| planner.desired.objects.contains_key(*key)) {
        let (count, all) = by.entry(kind_name(&key.kind_key())).or_default();
        *count += 1;
        all.extend(added.iter().map(String::as_str));
    }
    for (kind, (objects, added)) in by {
        let added = added.into_iter().map(str::to_owned).collect();
        planner.plan.reservations.push(Reservation::ReadLater { kind, objects, added });
    }
}

/// Lost intervals that the moment lies in.
fn inside_gaps(planner: &mut Planner<'_>) {
    let kinds: BTreeSet<String> = planner.desired.objects.keys().map(ObjectKey::kind_key).collect();
    for kind in kinds {
        let Some(state) = planner.known.kinds.get(&kind) else { continue };
        let Some(point) = planner.desired.cut.domains.get(&state.discovery.domain) else { continue };
        for gap in state.gaps_at(*point).filter(|gap| gap.grade == Grade::Lost) {
            let (from, to) = (gap.time_from, gap.time_to);
            planner.plan.reservations.push(Reservation::InsideGap { kind: kind_name(&kind), from, to });
        }
    }
}

/// Kinds that could not be read, though the plan is about them.
fn unread(planner: &mut Planner<'_>) {
    let deletes = deletes(planner);
    for (kind, listed) in &planner.live.kinds {
        let Some(why) = unread_because(listed) else { continue };
        let scales = kinds::find(kind).scales.is_some();
        let owned = deletes && planner.live.unseen.contains_key(kind);
        planner.plan.reservations.push(Reservation::Unread { kind: kind_name(kind), why, scales, owned });
    }
}

/// Kinds that are told of by nothing else, among which what deleted objects own could not be looked for.
fn unseen(planner: &mut Planner<'_>) {
    if !deletes(planner) {
        return;
    }
    let live = planner.live;
    let told = |kind: &str| live.kinds.get(kind).is_some_and(|listed| unread_because(listed).is_some());
    let unseen: Vec<_> = live.unseen.iter().filter(|(kind, _)| !told(kind)).collect();
    let Some((_, refusal)) = unseen.first() else { return };
    let kinds: Vec<String> = unseen.iter().map(|(kind, _)| kind_name(kind)).collect();
    planner.plan.reservations.push(Reservation::Unseen { kinds, why: (*refusal).clone() });
}

/// Whether anything goes that the garbage collector takes others along with.
fn deletes(planner: &Planner<'_>) -> bool {
    let takes = |action: &Action| {
        matches!(action.verb, Verb::Delete | Verb::Recreate) && action.propagation != Propagation::Orphan
    };
    planner.plan.actions.iter().any(takes)
}

/// Why objects that are there might not be known; nothing for a kind that is not served: it has none.
fn unread_because(listed: &Listed) -> Option<Unread> {
    match listed {
        // What was there of it then is left, and says so.
        Listed::Whole | Listed::NotServed(_) => None,
        Listed::Forbidden(words) => Some(Unread::Forbidden(words.clone())),
        Listed::Failed(words) => Some(Unread::Failed(words.clone())),
    }
}
