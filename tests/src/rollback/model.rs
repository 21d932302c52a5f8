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
        let claim = id.0 == Sort::PersistentVolumeClaim;
        match (self.then(id), self.before.get(id)) {
            (None, Some(_)) if claim => Fate::default().or_left(&["destroys-data"]),
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
            return Fate::default().or_silent();
        }
        // A binding's role cannot be changed, and nothing runs on a binding: it is made again.
        if then["roleRef"] == live["roleRef"] { Fate::act(&["update"]) } else { Fate::act(&["recreate"]) }
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
        if labels(itself) != labels(&self.moment.itself) {
            wrong.push(format!("the namespace's labels or annotations are not as then: {:?}", labels(itself)));
        }
        wrong
    }

    /// Whether an object that was put back is as it was, with what is left to its owner as it stood.
    fn as_then(&self, id: &Id, then: &Value, before: Option<&Value>, now: &Value, after: &Objects) -> Vec<String> {
        let except = before.map_or_else(Except::default, |_| self.except(id));
        let (a, b) = (project(id.0, then, except), project(id.0, now, except));
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
        let acted: BTreeMap<String, &Action> = actions.iter().map(|a| (a.id(), a)).collect();
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
                (None, Some(_)) if id.0 == Sort::PersistentVolumeClaim => {}
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

/// Every way in which the outcome of a restore is not what its plan said.
pub(super) fn against_outcome(plan: &Plan, restore: &Restore) -> Vec<String> {
    let of = |actions: &[Action]| actions.iter().map(|a| (a.id(), a.verb.clone())).collect::<BTreeSet<_>>();
    let mut wrong = Vec::new();
    if of(&plan.actions) != of(&restore.actions) {
        wrong.push("the restore did not do what the plan said".to_owned());
    }
    for action in &restore.actions {
        let verified = matches!(
            action.verified.as_deref(),
            Some("equal" | "equal-but-for-controller-owned" | "equal-but-for-kept")
        );
        if action.result.as_deref() != Some("done") || !(verified || action.verb == "delete") {
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
