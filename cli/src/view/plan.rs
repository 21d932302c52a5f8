//! `hindcast plan -o json`, which is also what a plan file holds.

use std::collections::BTreeMap;

use hindcast_journal::{cut::MAIN, exact::Value, fold::ObjectKey, parts::Micros};
use hindcast_restorer::{
    Prepared, Selection,
    apply::Check,
    message::Words as _,
    plan,
    plan::{FieldChange, KeptChange, LiveRef, Verb, WantedRef, Wave},
    reason::Standing,
};
use serde::{Serialize, Serializer};

use super::{API_VERSION, Cut, Field, Gap, Warning};
use crate::{
    kinds,
    moment::rfc3339,
    paths,
    words::{self, CommandLine},
};

/// What a restore would do.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    api_version: &'static str,
    kind: &'static str,
    pub(crate) cluster: String,
    /// T, as it can be asked again at any time.
    pub(crate) at: String,
    pub(crate) cut: Cut,
    /// The restore that is undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) undoes: Option<String>,
    pub(crate) selection: Selection,
    pub(crate) actions: Vec<Action>,
    pub(crate) left: Vec<Left>,
    /// What is as it was but for fields that are left to their owners.
    pub(crate) kept: Vec<KeptIn>,
    pub(crate) notes: Vec<String>,
    pub(crate) unchanged: usize,
    /// What differs of the system, and was not asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) system: Vec<Name>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) warnings: Vec<Warning>,
    /// The moment, for people.
    #[serde(skip)]
    pub(crate) time: Micros,
    /// Whether webhooks are switched on first, which is something to do by itself.
    #[serde(skip)]
    pub(crate) switches_on: bool,
}

/// One object's part of a plan.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Action {
    pub(crate) verb: Verb,
    #[serde(flatten)]
    pub(crate) object: Name,
    pub(crate) version: String,
    pub(crate) wave: Wave,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) live: Option<LiveRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wanted: Option<WantedRef>,
    /// From what is live to what is wanted.
    pub(crate) changes: Vec<Field>,
    pub(crate) kept: Vec<Kept>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) evidence: Option<String>,
    pub(crate) warnings: Vec<String>,
    /// What the server said to a dry run: `ok`, `not kept: …`, `refused: …`, `not yet: …` or `can't be checked: …`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "check")]
    pub(crate) check: Option<Check>,
}

/// An object, as plans and restores name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Name {
    pub(crate) kind: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// A field that differs and is left to its owner.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Kept {
    #[serde(flatten)]
    pub(crate) field: Field,
    pub(crate) rule: String,
    pub(crate) owner: String,
    pub(crate) standing: Standing,
    /// What puts it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flag: Option<String>,
}

/// An object that is as it was but for such fields.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct KeptIn {
    #[serde(flatten)]
    pub(crate) object: Name,
    pub(crate) fields: Vec<Kept>,
}

/// What differs and is left alone.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Left {
    pub(crate) verb: Verb,
    #[serde(flatten)]
    pub(crate) object: Name,
    pub(crate) code: String,
    pub(crate) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flag: Option<String>,
    pub(crate) standing: Standing,
}

impl Name {
    /// The name of an object.
    pub(crate) fn new(kind: &str, key: &ObjectKey) -> Self {
        Self {
            kind: kind.to_owned(),
            group: key.group.clone(),
            resource: key.resource.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        }
    }

    fn key(&self) -> ObjectKey {
        ObjectKey {
            namespace: self.namespace.clone(),
            group: self.group.clone(),
            resource: self.resource.clone(),
            name: self.name.clone(),
        }
    }

    /// `Deployment/web`, and its namespace where several are meant; with its group where that is none of Kubernetes' own.
    pub(crate) fn text(&self, several: bool) -> String {
        let kind = match self.group.as_str() {
            group if kinds::is_built_in(group) => self.kind.clone(),
            group => format!("{}.{group}", self.kind),
        };
        match self.namespace.as_str() {
            namespace if several && !namespace.is_empty() => format!("{kind}/{} -n {namespace}", self.name),
            _ => format!("{kind}/{}", self.name),
        }
    }
}

impl Kept {
    fn new(kept: &KeptChange, field: Field) -> Self {
        let flag = (kept.standing == Standing::Wanting).then(|| CommandLine.part(&field.shown));
        Self { field, rule: kept.rule.clone(), owner: kept.owner.clone(), standing: kept.standing, flag }
    }
}

impl KeptIn {
    fn new(of: &plan::KeptIn) -> Self {
        let fields = of.fields.iter().map(|kept| Kept::new(kept, Field::spelled(&kept.field, None, None)));
        Self { object: Name::new(&of.kind, &of.key), fields: fields.collect() }
    }
}

impl Left {
    pub(crate) fn new(left: &plan::Left) -> Self {
        Self {
            verb: left.verb,
            object: Name::new(&left.kind, &left.key),
            code: left.reason.code().to_owned(),
            reason: words::reason(&left.reason),
            flag: left.permission(&CommandLine),
            standing: left.standing(),
        }
    }
}

impl Plan {
    /// A plan. `at` is T as it can be asked again.
    pub(crate) fn new(prepared: &Prepared, at: String) -> Self {
        let plan = &prepared.plan;
        let domains = &plan.cut.domains;
        Self {
            api_version: API_VERSION,
            kind: "Plan",
            cluster: plan.cluster.clone(),
            at,
            cut: Cut {
                rev: plan.cut.rev(),
                incarnation: domains.get(MAIN).map_or(0, |point| point.incarnation),
                time: Some(rfc3339(plan.time)),
                closed: true,
                domains: domains.iter().map(|(domain, point)| (domain.clone(), point.rv)).collect(),
                lagging: Vec::new(),
            },
            undoes: plan.undoes.clone(),
            selection: plan.selection.clone(),
            actions: plan.actions.iter().map(|action| Action::new(action, prepared)).collect(),
            left: plan.left.iter().map(Left::new).collect(),
            kept: plan.kept.iter().map(KeptIn::new).collect(),
            notes: plan.notes.iter().map(words::note).collect(),
            unchanged: plan.unchanged,
            system: plan.system.iter().map(|of| Name::new(&of.kind, &of.key)).collect(),
            gaps: Vec::new(),
            warnings: Vec::new(),
            time: plan.time,
            switches_on: !plan.switches_on.is_empty(),
        }
    }

    /// Takes in what the server said to a dry run of each action.
    pub(crate) fn take_checks(&mut self, said: &BTreeMap<ObjectKey, Check>) {
        for action in &mut self.actions {
            action.check = said.get(&action.object.key()).cloned();
        }
    }

    /// Leaves the values of fields out, and keeps their paths: what a plan file holds.
    pub(crate) fn leave_values_out(&mut self) {
        let changes = self.actions.iter_mut().flat_map(|action| {
            let kept = action.kept.iter_mut().map(|kept| &mut kept.field);
            action.changes.iter_mut().chain(kept)
        });
        let kept = self.kept.iter_mut().flat_map(|of| &mut of.fields).map(|kept| &mut kept.field);
        for field in changes.chain(kept) {
            (field.from, field.to) = (None, None);
        }
    }

    /// How what is not put back stands to what was asked for: objects, and fields of others.
    pub(crate) fn standings(&self) -> impl Iterator<Item = Standing> {
        let of_actions = self.actions.iter().flat_map(|action| &action.kept);
        let kept = self.kept.iter().flat_map(|of| &of.fields).chain(of_actions).map(|kept| kept.standing);
        self.left.iter().map(|left| left.standing).chain(kept)
    }

    /// Whether something that was asked for is not put back, and could be: by a flag, or once it can be done.
    pub(crate) fn is_open(&self) -> bool {
        self.standings().any(|standing| matches!(standing, Standing::Wanting | Standing::Unable))
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.actions.is_empty() && !self.switches_on
    }

    /// Whether objects of several namespaces are meant.
    pub(crate) fn is_wide(&self) -> bool {
        matches!(self.selection.what, hindcast_restorer::selection::What::All)
    }

    /// How many actions there are of a verb.
    pub(crate) fn count(&self, verb: Verb) -> usize {
        self.actions.iter().filter(|action| action.verb == verb).count()
    }
}

impl Action {
    /// Whether the server would refuse it.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.check, Some(Check::Refused(_)))
    }

    /// Why the server would refuse it.
    pub(crate) fn refusal(&self) -> Option<String> {
        match &self.check {
            Some(Check::Refused(why)) => Some(words::message(why)),
            _ => None,
        }
    }

    fn new(action: &plan::Action, prepared: &Prepared) -> Self {
        let bodies = prepared.bodies.get(&action.key);
        let live = bodies.and_then(|bodies| bodies.before.as_ref()).map(|full| &full.value);
        let target = bodies.and_then(|bodies| bodies.target.as_ref());
        let field = |field: &FieldChange| Field::spelled(field, live, target);
        let kept = action.kept.iter().map(|kept| Kept::new(kept, field(&kept.field)));
        Self {
            verb: action.verb,
            object: Name::new(&action.kind, &action.key),
            version: action.version.clone(),
            wave: action.wave,
            live: action.live.clone(),
            wanted: action.wanted.clone(),
            changes: action.changes.iter().map(field).collect(),
            kept: kept.collect(),
            evidence: action.evidence.clone(),
            warnings: action.warnings.clone(),
            check: None,
        }
    }
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn check<S: Serializer>(check: &Option<Check>, to: S) -> Result<S::Ok, S::Error> {
    check.as_ref().map(words::check).serialize(to)
}

impl Field {
    /// A field with its path as people read it, after the object that the pointer is into.
    pub(crate) fn spelled(field: &FieldChange, from: Option<&Value>, to: Option<&Value>) -> Self {
        let side = if field.from.is_some() { from.or(to) } else { to.or(from) };
        let shown = side.map_or_else(|| paths::spell(&field.path), |side| paths::spell_in(&field.path, side));
        Self { shown, ..Self::new(field) }
    }
}
