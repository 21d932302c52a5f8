//! `hindcast restore -o json`, also of `undo` and `restore --resume`.

use std::path::Path;

use hindcast_restorer::{
    Outcome,
    apply::{self, Acted, Became, Verified},
    plan::Verb,
};
use serde::Serialize;

use super::{
    API_VERSION, Cut, Field, Gap, Plan, Warning,
    plan::{KeptIn, Left, Name},
};
use crate::words;

/// What became of a restore.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Restore {
    api_version: &'static str,
    kind: &'static str,
    pub(crate) id: String,
    pub(crate) cluster: String,
    pub(crate) cut: Cut,
    /// The restore that was undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) undoes: Option<String>,
    pub(crate) actions: Vec<Done>,
    pub(crate) left: Vec<Left>,
    /// What is as it was but for fields that are left to their owners.
    pub(crate) kept: Vec<KeptIn>,
    pub(crate) rollouts: Vec<Rollout>,
    pub(crate) notes: Vec<String>,
    /// The command that puts back what this restore replaced; empty where nothing was.
    pub(crate) undo: String,
    pub(crate) summary: Summary,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) warnings: Vec<Warning>,
    /// Whether all that was done is as it was asked for.
    #[serde(skip)]
    pub(crate) whole: bool,
    /// Whether something else that was asked for was left alone.
    #[serde(skip)]
    pub(crate) open: bool,
    /// Notes that were shown with the plan, for people.
    #[serde(skip)]
    pub(crate) shown: Vec<String>,
}

/// What became of an action.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Done {
    pub(crate) verb: Verb,
    #[serde(flatten)]
    pub(crate) object: Name,
    /// How it ended: `done`, `already`, `conflict`, `refused`, `failed` or `skipped`.
    pub(crate) result: Became,
    /// What reading it back said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) verified: Option<Verified>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// Of a conflict, what was changed meanwhile; else what is not as it was asked for.
    pub(crate) differences: Vec<Field>,
}

/// A workload that was waited for.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Rollout {
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) ready: bool,
    pub(crate) message: String,
    /// The Pods that are not ready.
    pub(crate) pods: Vec<Pod>,
}

/// A Pod that is not ready, and why.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// How many actions ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(crate) done: usize,
    pub(crate) already: usize,
    pub(crate) conflicts: usize,
    pub(crate) refused: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Summary {
    /// Counts.
    pub(crate) fn of(actions: &[Done]) -> Self {
        let mut summary = Self::default();
        for action in actions {
            *match action.result {
                Became::Done => &mut summary.done,
                Became::Already => &mut summary.already,
                Became::Conflict => &mut summary.conflicts,
                Became::Refused => &mut summary.refused,
                Became::Failed => &mut summary.failed,
                Became::Skipped => &mut summary.skipped,
            } += 1;
        }
        summary
    }
}

impl Done {
    fn new(acted: &Acted) -> Self {
        Self {
            verb: acted.verb,
            object: Name::new(&acted.kind, &acted.key),
            result: acted.became,
            verified: acted.verified,
            message: acted.message.as_ref().map(words::message),
            differences: acted.differences.iter().map(Field::new).collect(),
        }
    }

    /// Whether it is as it was asked for.
    pub(crate) fn is_right(&self) -> bool {
        matches!(self.result, Became::Done | Became::Already)
            && !matches!(self.verified, Some(Verified::ChangedByAdmission | Verified::Different))
    }
}

impl Rollout {
    fn new(rollout: &apply::Rollout) -> Self {
        let pods = rollout.pods.iter();
        let pods = pods.map(|pod| Pod { name: pod.name.clone(), reason: pod.reason.clone() });
        Self {
            kind: rollout.kind.clone(),
            namespace: rollout.namespace.clone(),
            name: rollout.name.clone(),
            ready: rollout.ready,
            message: rollout.message.clone(),
            pods: pods.collect(),
        }
    }
}

/// The option that says where a restore's record is, if it is not in the journal's bucket.
pub(crate) fn folder(record_dir: Option<&Path>) -> String {
    record_dir.map_or(String::new(), |dir| format!(" --record-dir {}", dir.display()))
}

impl Restore {
    /// What became of a plan.
    pub(crate) fn new(outcome: &Outcome, plan: &Plan, record_dir: Option<&Path>) -> Self {
        let actions: Vec<Done> = outcome.actions.iter().map(Done::new).collect();
        let summary = Summary::of(&actions);
        Self {
            id: outcome.id.clone(),
            actions,
            rollouts: outcome.rollouts.iter().map(Rollout::new).collect(),
            notes: plan.notes.iter().cloned().chain(outcome.notes.iter().map(words::note)).collect(),
            undo: format!("hindcast undo {}{}", outcome.id, folder(record_dir)),
            summary,
            whole: outcome.is_whole(),
            ..Self::nothing(plan)
        }
    }

    /// What became of a plan that has nothing to do.
    pub(crate) fn nothing(plan: &Plan) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "Restore",
            id: String::new(),
            cluster: plan.cluster.clone(),
            cut: plan.cut.clone(),
            undoes: plan.undoes.clone(),
            actions: Vec::new(),
            left: plan.left.clone(),
            kept: plan.kept.clone(),
            rollouts: Vec::new(),
            notes: plan.notes.clone(),
            undo: String::new(),
            summary: Summary::default(),
            gaps: plan.gaps.clone(),
            warnings: Vec::new(),
            whole: true,
            open: plan.is_open(),
            shown: Vec::new(),
        }
    }
}
