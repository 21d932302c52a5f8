//! The plan: what a restore would do, in order, with the reason for each step; and everything it leaves alone.
//!
//! [`prepare`] is pure. **Words**: an *action* is one object's part; a *wave* is a group of actions that may run at once; *left* is
//! what differs and is not touched.
//!
//! **Invariants.** (1) A delete carries its evidence. (2) A plan holds no bodies and no Secret values: positions and hashes stand for
//! them. (3) The same inputs give the same plan.

use std::collections::BTreeMap;

use hindcast_journal::{Position, cut::Cut, exact::Value, fold::ObjectKey, parts::Micros};
use serde::{Deserialize, Serialize};

use crate::{
    Bypassed, Selection,
    desired::Full,
    intent::Surroundings,
    json, kinds,
    live::HeldIn,
    message::{Note, Words},
    reason::{Reason, Standing},
    reservation::Reservation,
    selection::Permission,
};

mod around;
mod dependents;
mod evidence;
pub(crate) mod fields;
mod filling;
mod form;
mod holders;
mod judge;
pub(crate) mod narrow;
pub(crate) mod notes;
pub(crate) mod nowhere;
mod order;
pub(crate) mod owners;
mod prepare;
pub(crate) mod quoted;
mod ruled;
mod schema;
mod settle;
pub(crate) mod side;
mod since;
mod swapping;
mod system;
#[cfg(test)]
mod tests;
mod versions;
mod volumes;
mod warnings;

pub(crate) use prepare::prepare;

pub use self::nowhere::Nowhere;
pub use crate::{
    diff::FieldChange,
    verb::{Propagation, Verb},
};

/// What a restore would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The cluster.
    pub cluster: String,
    /// The cut that is restored.
    #[serde(with = "json::cut")]
    pub cut: Cut,
    /// Its time.
    pub time: Micros,
    /// For an undo: the id of the restore that is undone.
    pub undoes: Option<String>,
    /// What it is about.
    pub selection: Selection,
    /// What is done, in this order.
    pub actions: Vec<Action>,
    /// What differs and is left alone.
    pub left: Vec<Left>,
    /// What is worth knowing beside: who will undo it, who reads old configuration.
    pub notes: Vec<Note>,
    /// Reservations: kinds that were not protected, gaps.
    pub reservations: Vec<Reservation>,
    /// How many objects are as they were.
    pub unchanged: usize,
    /// Objects that are as they were but for fields that are left to their owners.
    #[serde(default)]
    pub kept: Vec<KeptIn>,
    /// Objects of the system that differ, by people's hands as far as that can be told, and are not looked at any further
    /// since they were not asked for; as `Kind` and object.
    #[serde(default)]
    pub system: Vec<System>,
    /// Webhooks that the restore that is undone had switched off, and that are switched on before all else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub switches_on: Vec<Bypassed>,
}

impl Plan {
    /// The plan with all that is said in it in somebody's words, as a record keeps it.
    pub(crate) fn told(&self, words: &dyn Words) -> Self {
        let mut plan = self.clone();
        for left in &mut plan.left {
            let (permission, standing) = (left.permission(words), left.standing());
            let (code, text) = (left.reason.code().to_owned(), words.reason(&left.reason));
            left.reason = Reason::Told { code, text, permission, standing };
            left.unless = None;
        }
        for note in &mut plan.notes {
            *note = Note::Text(words.note(note));
        }
        plan
    }

    /// Whether a quota of the namespace may have more room once the plan is done than it has now.
    pub(crate) fn makes_room(&self, namespace: &str) -> bool {
        let frees = |a: &Action| match a.verb {
            Verb::Delete | Verb::Recreate => true,
            Verb::Update => kinds::of(&a.key).makes_room,
            Verb::Create => false,
        };
        self.actions.iter().any(|a| a.key.namespace == namespace && frees(a))
    }
}

/// When an action runs: lower first; equal ones together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wave {
    /// The group: see `order`.
    pub group: u8,
    /// Owners before children.
    pub depth: u8,
}

/// One object's part of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The object.
    #[serde(with = "json::key")]
    pub key: ObjectKey,
    /// Its Kind.
    pub kind: String,
    /// The version it is written in.
    pub version: String,
    /// What is done.
    pub verb: Verb,
    /// When.
    pub wave: Wave,
    /// What becomes of the objects it owns when it is deleted (also for a moment, to be created again).
    pub propagation: Propagation,
    /// The live object the plan looked at.
    pub live: Option<LiveRef>,
    /// The version that is put back.
    pub wanted: Option<WantedRef>,
    /// What changes, field by field; Secret values are placeholders.
    pub changes: Vec<FieldChange>,
    /// What differs and is left to its owner.
    pub kept: Vec<KeptChange>,
    /// Why a delete is allowed.
    pub evidence: Option<String>,
    /// What must be known of it: a load balancer's address may change.
    pub warnings: Vec<String>,
}

/// The live object that an action is planned against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRef {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub rv: String,
    /// Hash of its intent form.
    pub hash: String,
}

/// The past version that an action puts back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedRef {
    /// Where in the journal it stands.
    pub pos: Position,
    /// Its uid then.
    pub uid: String,
    /// Hash of its intent form.
    pub hash: String,
}

/// A field that differs and is left to its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptChange {
    /// The field: live and wanted.
    pub field: FieldChange,
    /// The rule's id.
    pub rule: String,
    /// Who sets it.
    pub owner: String,
    /// Whether it counts as a difference, and whether asking for it alone puts it back.
    #[serde(default = "KeptChange::of_machines")]
    pub standing: Standing,
}

impl KeptChange {
    /// What all kept fields were before that was told.
    fn of_machines() -> Standing {
        Standing::Machines
    }
}

/// An object that is as it was but for fields that are left to their owners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptIn {
    /// The object.
    #[serde(with = "json::key")]
    pub key: ObjectKey,
    /// Its Kind.
    pub kind: String,
    /// The fields.
    pub fields: Vec<KeptChange>,
}

/// An object of the system that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// The object.
    #[serde(with = "json::key")]
    pub key: ObjectKey,
    /// Its Kind.
    pub kind: String,
}

/// What differs and is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "form::Left", from = "form::Left")]
pub struct Left {
    /// The object.
    pub key: ObjectKey,
    /// Its Kind.
    pub kind: String,
    /// What would have been done.
    pub verb: Verb,
    /// Why.
    pub reason: Reason,
    /// What would have to be allowed to do it, if that helps.
    pub unless: Option<Permission>,
}

impl Left {
    /// How it stands to what was asked for.
    pub fn standing(&self) -> Standing {
        Standing::of(&self.reason, self.unless.as_ref())
    }

    /// What would have to be allowed to do it, in somebody's words.
    pub fn permission(&self, words: &dyn Words) -> Option<String> {
        match (&self.unless, &self.reason) {
            (Some(permission), _) => Some(words.permission(permission)),
            (None, Reason::Told { permission, .. }) => permission.clone(),
            (None, _) => None,
        }
    }
}

/// A plan and the bodies it stands for.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The plan.
    pub plan: Plan,
    /// What each action sends, and what it replaces.
    pub bodies: BTreeMap<ObjectKey, Bodies>,
    /// What the intent forms were made with, live and at the moment; conflicts and verification compare with the same.
    pub around: Surroundings,
    /// Where to look, before each delete, for what it owns.
    pub places: Vec<HeldIn>,
}

/// One action's bodies.
#[derive(Debug, Clone, Default)]
pub struct Bodies {
    /// The whole object to send; `None` for a delete.
    pub target: Option<Value>,
    /// The managedFields it had then, whose owners are set again.
    pub managed: Option<Value>,
    /// The object as it stands: the pre-image.
    pub before: Option<std::sync::Arc<Full>>,
    /// Owner references of the target whose owner this plan creates: their uid is set once the owner is there. Of a delete:
    /// those of the object whose owner this plan deletes before it.
    pub owners: Vec<OwnerRef>,
    /// For a delete: where the objects are that it would take along if they were still there, or still named it.
    pub held: Vec<HeldIn>,
    /// The uids of what the plan saw that it would take along without an action: named with the action, or made by machines.
    pub along: Vec<String>,
    /// What is written in two steps: a cron job suspended, so that no missed run fires in the middle, a workload without replicas
    /// while its volumes are replaced, a volume retained until it is bound. The second comes when all else is done.
    pub unsuspend: bool,
    /// JSON pointers, of either side, whose values no output may show.
    pub redact: Vec<String>,
}

/// An owner reference whose owner the plan creates, so that its uid is known only then; or deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerRef {
    /// Its index in `/metadata/ownerReferences`.
    pub at: usize,
    /// The owner, whose action comes in an earlier wave.
    pub owner: ObjectKey,
}
