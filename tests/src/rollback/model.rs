//! What the result of a history must be, predicted from the server's answers alone, and the comparison with what it
//! was.
//!
//! **Words**: a [`Fate`] is what may happen to an object. A *violation* is a sentence that says what is wrong.
//!
//! **Invariants.** (1) Where [`Fate`] leaves a choice, the code says why. (2) Whatever is not acted on must
//! be as it was, but for revision and managedFields.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Sort,
    answer::{Action, Left, Plan, Restore},
    fields::{Except, differences, project, untouched},
    scene::{Id, Moment, Objects, terminating},
};

/// What may happen to an object: the verbs it may be acted on with, the codes it may be left with, and whether it may
/// go without mention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fate {
    verbs: &'static [&'static str],
    codes: &'static [&'static str],
    silent: bool,
}

impl Fate {
    fn act(verbs: &'static [&'static str]) -> Self {
        Self { verbs, ..Self::default() }
    }

    fn or_left(self, codes: &'static [&'static str]) -> Self {
        Self { codes, ..self }
    }

    fn or_silent(self) -> Self {
        Self { silent: true, ..self }
    }
}

/// A moment against what stood before the restore. What was being deleted at the moment counts as absent then.
pub(super) struct Model<'a> {
    pub(super) moment: &'a Moment,
    pub(super) before: &'a Objects,
    pub(super) itself: &'a Value,
    /// Whether who restores may not grant rights.
    pub(super) limited: bool,
}

impl Model<'_> {
    fn then(&self, id: &Id) -> Option<&Value> {
        self.moment.objects.get(id).filter(|body| !terminating(body))
    }

    /// What is left to an object's owner: the replicas of what an autoscaler scales once everything is back; the addresses
    /// of a Service that is another instance by now.
    pub(super) fn except(&self, id: &Id) -> Except {
        let sides = [self.then(id), self.before.get(id)];
        let uid = |side: Option<&Value>| side.map(|body| body["metadata"]["uid"].clone());
        Except {
            replicas: self.autoscaled(id),
            addresses: sides.iter().all(Option::is_some) && uid(sides[0]) != uid(sides[1]),
            node_ports: false,
        }
    }

    fn autoscaled(&self, id: &Id) -> bool {
        let scalers =
            self.moment.objects.iter().filter(|(id, body)| id.0 == Sort::HorizontalPodAutoscaler && !terminating(body));
        scalers.into_iter().any(|(_, scaler)| {
            let target = &scaler["spec"]["scaleTargetRef"];
            target["kind"] == id.0.kind() && target["name"] == id.1.as_str()
        })
    }

    /// What may happen to each object.
    fn fates(&self) -> BTreeMap<String, Fate> {
        let ids: BTreeSet<&Id> = self.moment.objects.keys().chain(self.before.keys()).collect();
        let mut fates: BTreeMap<String, Fate> = ids.into_iter().map(|id| (name(id), self.fate(id))).collect();
        let labels = |body: &Value| (body["metadata"]["labels"].clone(), body["metadata"]["annotations"].clone());
        if labels(&self.moment.itself) != labels(self.itself) {
            let name = self.itself["metadata"]["name"].as_str().unwrap_or_default();
            fates.insert(format!("Namespace/{name}"), Fate::act(&["update"]));
        }
        fates
    }

    fn fate(&self, id: &Id) -> Fate {
        match (self.then(id), self.before.get(id)) {
            (None, Some(_)) if is_kept(id.0) => Fate::default().or_left(&["destroys-data"]),
            // Who serves the finalizer of a custom object may take down more than the object.
            (None, Some(live)) if id.0.is_custom() && has_finalizers(live) => {
                Fate::default().or_left(&["destroys-outside"])
            }
            (None, Some(_)) => Fate::act(&["delete"]),
            // Claims too: these were never bound, so nothing is lost by making them again.
            (Some(_), None) => Fate::act(&["create"]),
            (Some(then), Some(live)) => self.changed(id, then, live),
            (None, None) => Fate::default().or_silent(),
        }
    }

    fn changed(&self, id: &Id, then: &Value, live: &Value) -> Fate {
        let except = self.except(id);
        if project(id.0, then, except) == project(id.0, live, except) {
            // Its owner is another instance by then, whose uid it is given.
            let moves = self.before.iter().any(|(owner, body)| owns(body, live) && self.is_made_anew(owner));
            return if moves { Fate::act(&["update"]).or_silent() } else { Fate::default().or_silent() };
        }
        // Somebody would have to start it again.
        if id.0 == Sort::Pod && without_image(then) != without_image(live) {
            return Fate::default().or_left(&["needs-recreate"]);
        }
        if self.is_made_anew(id) { Fate::act(&["recreate"]) } else { Fate::act(&["update"]) }
    }

    /// Whether it can't be changed, and nothing runs on it: it is made again.
    fn is_made_anew(&self, id: &Id) -> bool {
        let (Some(then), Some(live)) = (self.then(id), self.before.get(id)) else { return false };
        let content = |body: &Value| [body["data"].clone(), body["binaryData"].clone(), body["immutable"].clone()];
        let fixed = live["immutable"] == true && content(then) != content(live);
        fixed || then["roleRef"] != live["roleRef"]
    }

    /// Whether the server refuses what the plan does to an object: a right that whoever restores does not have is given
    /// by it; or a range says no that stood at the moment already, when the object was older.
    pub(super) fn is_refused(&self, action: &Action) -> bool {
        if action.kind == "Namespace" {
            return self.limited;
        }
        let Some(id) = self.moment.objects.keys().find(|id| name(id) == action.id()) else { return false };
        let side = |body: Option<&Value>| {
            let mut side = body.map_or(Value::Null, |body| project(id.0, body, Except::default()));
            side.as_object_mut().map(|side| side.remove("metadata.ownerReferences"));
            side
        };
        match id.0 {
            // The server looks at what it grants whenever anything but its owners changes.
            Sort::Role | Sort::RoleBinding => {
                self.limited && action.verb != "delete" && side(self.then(id)) != side(self.before.get(id))
            }
            Sort::PersistentVolumeClaim => {
                action.verb == "create" && self.has_range_throughout("PersistentVolumeClaim")
            }
            _ => false,
        }
    }

    /// Whether a range of the namespace that says something of a kind stands before the plan and after.
    fn has_range_throughout(&self, of: &str) -> bool {
        let says = |range: Option<&Value>| range.is_some_and(|range| range["spec"]["limits"][0]["type"] == of);
        let ranges = self.before.keys().filter(|id| id.0 == Sort::LimitRange);
        ranges.into_iter().any(|id| says(self.before.get(id)) && says(self.then(id)))
    }

    /// Every way in which a plan is not what it must be.
    pub(super) fn against_plan(&self, plan: &Plan) -> Vec<String> {
        let mut wrong = Vec::new();
        let actions: BTreeMap<String, &Action> = plan.actions.iter().map(|a| (a.id(), a)).collect();
        let left: BTreeMap<String, &Left> = plan.left.iter().map(|l| (l.id(), l)).collect();
        if actions.len() != plan.actions.len() || left.len() != plan.left.len() {
            wrong.push("the plan names an object twice".to_owned());
        }
        let fates = self.fates();
        for (id, fate) in &fates {
            match (actions.get(id), left.get(id)) {
                (Some(action), None) if fate.verbs.contains(&action.verb.as_str()) => {
                    wrong.extend(evidence(action));
                }
                (None, Some(left)) if fate.codes.contains(&left.code.as_str()) => {}
                (None, None) if fate.silent => {}
                (action, left) => {
                    let verb = action.map_or("nothing", |a| a.verb.as_str());
                    let code = left.map_or("", |l| l.code.as_str());
                    wrong.push(format!("{id}: planned {verb}, left {code:?}; expected {fate:?}"));
                }
            }
        }
        let known = |id: &String| fates.contains_key(id);
        wrong.extend(
            actions.keys().filter(|id| !known(id)).map(|id| format!("{id}: planned, though there is nothing to do")),
        );
        wrong
            .extend(left.keys().filter(|id| !known(id)).map(|id| format!("{id}: left, though there is nothing to do")));
        wrong
    }

    /// Every way in which the state after the restore is not what it must be.
    pub(super) fn against_state(&self, actions: &[Action], after: &Objects, itself: &Value) -> Vec<String> {
        let acted: BTreeMap<String, &Action> = actions.iter().map(|a| (a.id(), a)).collect();
        let mut wrong = Vec::new();
        let ids: BTreeSet<&Id> = self.moment.objects.keys().chain(self.before.keys()).chain(after.keys()).collect();
        for id in ids {
            let (then, before, now) = (self.then(id), self.before.get(id), after.get(id));
            match acted.get(&name(id)) {
                None => wrong.extend(as_before(id, before, now)),
                Some(action) if self.is_refused(action) && action.result.as_deref() != Some("done") => {
                    wrong.extend(as_before(id, before, now));
                }
                Some(action) if action.verb == "delete" => {
                    if now.is_some() {
                        wrong.push(format!("{}: deleted, and still there", name(id)));
                    }
                }
                Some(_) => match (then, now) {
                    (Some(then), Some(now)) => {
                        wrong.extend(self.as_then(id, then, before, now, after));
                    }
                    _ => wrong.push(format!("{}: put back, and not there", name(id))),
                },
            }
        }
        let labels = |body: &Value| (body["metadata"]["labels"].clone(), body["metadata"]["annotations"].clone());
        let wanted = if self.limited { self.itself } else { &self.moment.itself };
        if labels(itself) != labels(wanted) {
            wrong.push(format!("the namespace's labels or annotations are not as then: {:?}", labels(itself)));
        }
        wrong
    }

    /// Whether an object that was put back is as it was, with what is left to its owner as it stood.
    fn as_then(&self, id: &Id, then: &Value, before: Option<&Value>, now: &Value, after: &Objects) -> Vec<String> {
        let except = before.map_or_else(Except::default, |_| self.except(id));
        let (mut a, mut b) = (project(id.0, then, except), project(id.0, now, except));
        if id.0 == Sort::Pod && before.is_none() && self.has_range_throughout("Container") {
            for side in [&mut a, &mut b] {
                side["spec"]["containers"][0]["resources"] = Value::Null;
            }
        }
        let mut wrong: Vec<String> =
            differences(&a, &b).into_iter().map(|d| format!("{}: then and now: {d}", name(id))).collect();
        if let Some(before) = before.filter(|_| except.replicas) {
            let replicas = |body: &Value| body["spec"]["replicas"].clone();
            if replicas(before) != replicas(now) {
                wrong.push(format!(
                    "{}: scaled by an autoscaler, and its replicas went from {} to {}",
                    name(id),
                    replicas(before),
                    replicas(now)
                ));
            }
        }
        for owner in now["metadata"]["ownerReferences"].as_array().into_iter().flatten() {
            let lives = after.iter().find(|(id, _)| id.0.kind() == owner["kind"] && owner["name"] == id.1.as_str());
            if lives.is_some_and(|(_, body)| body["metadata"]["uid"] != owner["uid"]) {
                wrong.push(format!("{}: its owner {} lives with another uid", name(id), owner["name"]));
            }
        }
        wrong
    }

    /// Every way in which the state after the undo is not the one before the restore.
    pub(super) fn against_undo(&self, actions: &[Action], after: &Objects, itself: &Value) -> Vec<String> {
        let done = actions.iter().filter(|a| a.result.as_deref() == Some("done"));
        let acted: BTreeMap<String, &Action> = done.map(|a| (a.id(), a)).collect();
        let ids: BTreeSet<&Id> = self.before.keys().chain(after.keys()).collect();
        let mut wrong = Vec::new();
        for id in ids {
            let (before, now) = (self.before.get(id), after.get(id));
            if !acted.contains_key(&name(id)) {
                wrong.extend(as_before(id, before, now));
                continue;
            }
            match (before, now) {
                (Some(before), Some(now)) => {
                    let (a, b) = (project(id.0, before, Except::default()), project(id.0, now, Except::default()));
                    wrong.extend(
                        differences(&a, &b)
                            .into_iter()
                            .map(|d| format!("{}: before and after the undo: {d}", name(id))),
                    );
                }
                // The claim that the restore made holds no data yet, but deleting claims takes a flag all the same.
                (None, Some(_)) if is_kept(id.0) => {}
                (Some(_), None) if self.limited && grants(id.0) => {}
                (None, Some(_)) => {
                    wrong.push(format!("{}: created by the restore, and still there after the undo", name(id)));
                }
                (Some(_), None) => {
                    wrong.push(format!("{}: deleted by the restore, and not there after the undo", name(id)));
                }
                (None, None) => {}
            }
        }
        let labels = |body: &Value| (body["metadata"]["labels"].clone(), body["metadata"]["annotations"].clone());
        if labels(itself) != labels(self.itself) {
            wrong.push(format!("the namespace's labels or annotations are not as before: {:?}", labels(itself)));
        }
        wrong
    }
}

/// Every way in which the outcome of a restore is not what its plan said, or the server would have taken.
pub(super) fn against_outcome(model: &Model<'_>, plan: &Plan, restore: &Restore) -> Vec<String> {
    let of = |actions: &[Action]| actions.iter().map(|a| (a.id(), a.verb.clone())).collect::<BTreeSet<_>>();
    let mut wrong = Vec::new();
    if of(&plan.actions) != of(&restore.actions) {
        wrong.push("the restore did not do what the plan said".to_owned());
    }
    for action in &restore.actions {
        let admitted = action.kind == "Pod" && model.has_range_throughout("Container");
        let verified = match action.verified.as_deref() {
            Some("equal" | "equal-but-for-controller-owned" | "equal-but-for-kept") => true,
            Some("changed-by-admission") => admitted,
            _ => action.verb == "delete",
        };
        let refused = action.result.as_deref() == Some("refused");
        if refused != model.is_refused(action) || !(refused || (action.result.as_deref() == Some("done") && verified)) {
            wrong.push(format!(
                "{} {}: {:?}, verified {:?}: {:?} {:?}",
                action.verb,
                action.id(),
                action.result,
                action.verified,
                action.message,
                action.differences
            ));
        }
    }
    wrong
}

/// Every way in which the outcome of an undo is not what it must be.
pub(super) fn against_undone(model: &Model<'_>, undone: &Restore) -> Vec<String> {
    // What granted rights was deleted by somebody who may not grant them.
    let granted = |action: &Action| {
        let sort = if action.kind == "Role" { Sort::Role } else { Sort::RoleBinding };
        model.limited && action.verb == "create" && grants(sort) && action.kind == sort.kind()
    };
    let wrong = undone.actions.iter().filter(|action| {
        let expected = if granted(action) { "refused" } else { "done" };
        action.result.as_deref() != Some(expected)
    });
    wrong
        .map(|action| format!("{} {} was {:?}: {:?}", action.verb, action.id(), action.result, action.message))
        .collect()
}

/// Whether deleting one takes a flag.
fn is_kept(sort: Sort) -> bool {
    matches!(sort, Sort::PersistentVolumeClaim | Sort::Pod)
}

/// Whether objects of the kind give rights.
fn grants(sort: Sort) -> bool {
    matches!(sort, Sort::Role | Sort::RoleBinding)
}

fn has_finalizers(body: &Value) -> bool {
    body["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

fn owns(owner: &Value, object: &Value) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.into_iter().any(|reference| reference["uid"] == owner["metadata"]["uid"])
}

/// What of a Pod can't be changed.
fn without_image(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    spec["containers"][0]["image"] = Value::Null;
    spec
}

fn evidence(action: &Action) -> Option<String> {
    let missing = match action.verb.as_str() {
        "delete" => action.evidence.as_ref().is_none_or(Value::is_null),
        "update" | "recreate" => action.changes.is_empty(),
        _ => false,
    };
    missing.then(|| format!("{}: {} without a reason", action.id(), action.verb))
}

fn as_before(id: &Id, before: Option<&Value>, now: Option<&Value>) -> Vec<String> {
    match (before, now) {
        (Some(before), Some(now)) => differences(&untouched(before), &untouched(now))
            .into_iter()
            .map(|d| format!("{}: not acted on, and changed: {d}", name(id)))
            .collect(),
        (None, None) => Vec::new(),
        (before, _) => {
            vec![format!("{}: not acted on, and {}", name(id), if before.is_some() { "gone" } else { "new" })]
        }
    }
}

/// `Kind/name`.
pub(super) fn name(id: &Id) -> String {
    format!("{}/{}", id.0.kind(), id.1)
}
