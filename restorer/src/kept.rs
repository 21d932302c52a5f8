//! Fields that are left to their owners: what is known of them, and how they are found in either side of an object.
//!
//! **Words**: a [`Kept`] path is one that the rules leave to its owner; [`Surroundings`] are what the rules have to know of
//! other objects.
//!
//! Where: [`place`] finds fields again when lists move, `pattern` writes places as text, [`owners`] reads managedFields,
//! `keeping` gathers the kept places of one object. Not here: which fields these are ([`crate::kinds`], [`crate::intent`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use hindcast_journal::{exact::Value, fold::ObjectKey, seal::Rules};
use serde::{Deserialize, Serialize};

use crate::{json, reason::Standing};

mod keeping;
pub(crate) mod owners;
pub(crate) mod pattern;
pub(crate) mod place;

pub(crate) use keeping::{Keeping, Row, holds_something, keys};
pub use place::{Place, Step};

/// What the rules need to know of other objects, and of the question. The planner gathers it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Surroundings {
    /// What scales an object, live or at the moment: the object and the scalers.
    #[serde(with = "json::pairs")]
    pub scaled: BTreeMap<ObjectKey, BTreeSet<Scaler>>,
    /// What sets the requests of an object's containers: the object and the scalers.
    #[serde(with = "json::pairs")]
    pub resized: BTreeMap<ObjectKey, BTreeSet<Scaler>>,
    /// The volumes that are there, or come back with this restore, by the `PersistentVolume`'s name.
    pub volumes: BTreeMap<String, Volume>,
    /// Volumes that are gone though their storage was kept, by name; and whether the plan would put them back if it might.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub retained: BTreeMap<String, bool>,
    /// Claims of which a recovery point has a snapshot, as `namespace/name`; and why that cannot be used, if it cannot.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fillings: BTreeMap<String, Option<String>>,
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
    /// Datadog's.
    Datadog,
    /// Kubernetes' own, of replicas.
    Horizontal,
    /// KEDA's.
    Scaled,
    /// Of requests.
    Vertical,
    /// Datadog's, by marks of a metric.
    Watermark,
}

impl ScalerSort {
    const ALL: [Self; 5] = [Self::Datadog, Self::Horizontal, Self::Scaled, Self::Vertical, Self::Watermark];

    /// Its Kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Datadog => "DatadogPodAutoscaler",
            Self::Horizontal => "HorizontalPodAutoscaler",
            Self::Scaled => "ScaledObject",
            Self::Vertical => "VerticalPodAutoscaler",
            Self::Watermark => "WatermarkPodAutoscaler",
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
    /// What it means that it differs.
    pub standing: Standing,
}

impl Kept {
    /// Whether two objects have the same here.
    pub fn is_same(&self, a: &Value, b: &Value) -> bool {
        self.place.get(a) == self.place.get(b)
    }
}
