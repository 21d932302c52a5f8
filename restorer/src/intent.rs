//! What of an object is somebody's intent, and what the server and controllers set.
//!
//! **Words**: the *intent form* is the exact form without what a rule keeps; a [`Kept`] path is one that the rules leave to its
//! owner.
//!
//! **Invariants.** (1) `target` differs from the live object only where the intent forms differ. (2) Keeping is symmetrical:
//! a path kept on one side is kept on the other. (3) `form(target(wanted, live))` is `form(wanted)`, number tokens included.
//!
//! Where: [`fields`] has the rows, [`owners`] reads managedFields, [`place`] finds fields again when lists move.
//! Why: `rules`, under the same ids.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use hindcast_journal::{
    exact::Value,
    fold::ObjectKey,
    seal::{Key, Rules},
};
use serde::{Deserialize, Serialize};

use crate::{
    desired::Full,
    plan::{digest, form},
};

pub mod around;
mod fields;
pub mod owners;
mod pattern;
pub mod place;

pub use place::{Place, Step};

/// What the rules need to know of other objects, and of the question. [`around::gather`] makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Surroundings {
    /// What scales an object, live or at the moment: the object and the scalers.
    #[serde(with = "form::pairs")]
    pub scaled: BTreeMap<ObjectKey, BTreeSet<Scaler>>,
    /// What sets the requests of an object's containers: the object and the scalers.
    #[serde(with = "form::pairs")]
    pub resized: BTreeMap<ObjectKey, BTreeSet<Scaler>>,
    /// The volumes that are there, or come back with this restore, by the `PersistentVolume`'s name.
    pub volumes: BTreeMap<String, Volume>,
    /// What is sealed beside Secrets: no output may show it.
    #[serde(skip_serializing_if = "Rules::is_empty")]
    pub rules: Rules,
    /// The path that was asked for alone (`--path`), as a JSON pointer: it is somebody's intent to put it back.
    pub asked: Option<String>,
}

/// An object that sets fields of others; as text, and in records, `HorizontalPodAutoscaler web`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Scaler {
    /// Of which kind it is.
    pub sort: ScalerSort,
    /// Its name.
    pub name: String,
}

/// The kinds of scalers, in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScalerSort {
    /// Kubernetes' own, of replicas.
    Horizontal,
    /// KEDA's.
    Scaled,
    /// Of requests.
    Vertical,
}

impl ScalerSort {
    const ALL: [Self; 3] = [Self::Horizontal, Self::Scaled, Self::Vertical];

    /// Its Kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Horizontal => "HorizontalPodAutoscaler",
            Self::Scaled => "ScaledObject",
            Self::Vertical => "VerticalPodAutoscaler",
        }
    }
}

impl fmt::Display for Scaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sort.kind(), self.name)
    }
}

impl From<Scaler> for String {
    fn from(scaler: Scaler) -> Self {
        scaler.to_string()
    }
}

impl TryFrom<String> for Scaler {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let found = text.split_once(' ').and_then(|(kind, name)| {
            let sort = ScalerSort::ALL.into_iter().find(|sort| sort.kind() == kind)?;
            Some(Self { sort, name: name.to_owned() })
        });
        found.ok_or_else(|| format!("`{text}` is no scaler"))
    }
}

/// A volume that a claim may be bound to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Namespace and name of the claim it belongs to, if it belongs to one.
    pub claim: Option<(String, String)>,
    /// The uid of that claim that it was bound to: another claim of that name is refused until it is cleared.
    pub claim_uid: String,
    /// Its phase, as served.
    pub phase: String,
}

impl Surroundings {
    /// Whether a claim may be bound to a volume.
    pub fn can_bind(&self, volume: &str, namespace: &str, claim: &str) -> bool {
        let free = |volume: &Volume| match &volume.claim {
            None => true,
            Some((of, name)) => of == namespace && name == claim,
        };
        self.volumes.get(volume).is_some_and(|volume| volume.phase != "Failed" && free(volume))
    }
}

/// What a kept field is when its object is created, with nothing live to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fresh {
    /// Left out: whoever sets it will.
    Absent,
    /// As it was at the moment.
    AsThen,
}

/// A path that is left to its owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// JSON pointer into the live object (into the wanted one if the live one has no such place).
    pub path: String,
    /// The rule's id.
    pub rule: &'static str,
    /// Who sets it, in words: `HorizontalPodAutoscaler web`, `the server`.
    pub owner: String,
    /// Where it is in either side; indexes of lists may differ between them.
    pub place: Place,
    /// What it is in a new object.
    pub fresh: Fresh,
    /// It changes by itself all the time and nobody wants to read of it: plans don't show it.
    pub quiet: bool,
}

impl Kept {
    /// Whether two objects have the same here.
    pub fn is_same(&self, a: &Value, b: &Value) -> bool {
        self.place.get(a) == self.place.get(b)
    }
}

/// The paths of an object that are no intent, from both sides of it.
pub fn kept(key: &ObjectKey, wanted: Option<&Full>, live: Option<&Full>, around: &Surroundings) -> Vec<Kept> {
    let mut kept = fields::Sides::new(key, wanted, live, around).kept();
    kept.sort();
    kept
}

/// The intent form: the object without the kept paths, and without what is empty then.
pub fn form(value: &Value, kept: &[Kept]) -> Value {
    let mut form = value.clone();
    let kept = outermost_first(kept);
    for kept in &kept {
        kept.place.cut(&mut form);
    }
    for kept in kept.iter().rev() {
        kept.place.prune(&mut form);
    }
    form
}

/// The object to send so that the live one has the wanted intent: the wanted object, with the kept paths as they are live.
pub fn target(wanted: &Value, live: Option<&Value>, kept: &[Kept]) -> Value {
    let mut target = wanted.clone();
    for kept in outermost_first(kept) {
        match (live, kept.fresh) {
            (Some(live), _) => match kept.place.get(live) {
                Some(value) => kept.place.set(&mut target, value.clone()),
                None => kept.place.cut(&mut target),
            },
            (None, Fresh::Absent) => kept.place.cut(&mut target),
            (None, Fresh::AsThen) => {}
        }
    }
    target
}

/// A target made ready to be created where the live object has just been deleted: what only the old one could have is
/// left out, what was kept of it stays.
pub fn anew(target: &Value, kept: &[Kept]) -> Value {
    let mut anew = target.clone();
    for kept in outermost_first(kept).into_iter().filter(|kept| kept.fresh == Fresh::Absent) {
        kept.place.cut(&mut anew);
    }
    anew
}

/// Whole elements before fields in them, which could not be found without the fields that name them.
fn outermost_first(kept: &[Kept]) -> Vec<&Kept> {
    let mut kept: Vec<&Kept> = kept.iter().collect();
    kept.sort_by_key(|kept| kept.place.steps.len());
    kept
}

/// The 8-byte hash of an intent form, in hex.
pub fn hash(form: &Value) -> String {
    let canonical = hindcast_journal::exact::to_canonical(form);
    let hash = hindcast_journal::exact::state_hash(&canonical);
    format!("{:016x}", u64::from_be_bytes(hash))
}

/// The hash of an object's own intent, without a second side: what an undo compares with. Keyed, where the object has
/// values that no output may show.
pub fn fingerprint(key: &ObjectKey, object: &Full, around: &Surroundings, hmac: Option<&Key>) -> String {
    // Which part was asked for is no part of what the object is.
    let around = Surroundings { asked: None, ..around.clone() };
    let kept = kept(key, Some(object), Some(object), &around);
    let sealed = around.rules.sealed_paths(&key.group, &key.resource, &object.value);
    digest(&form(&object.value, &kept), &sealed, hmac)
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "objects are written where they are used")]
pub(crate) mod tests;
