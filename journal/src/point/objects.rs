//! What the objects of a recovery point say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    name::fits,
    volume::{Order, Taken, Volume},
};
use crate::{
    cut::{Cut, CutPoint},
    parts::Micros,
    row::Revision,
};

/// How much longer than it says a hold is respected: clocks differ.
pub(super) const SKEW: Micros = 30_000_000;

/// What a point is of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PointScope {
    /// Namespaces, with `*` and `?` as in file names; all if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Namespaces that are left out, written alike.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excluded_namespaces: Vec<String>,
    /// Labels that Pods and claims must have; empty for all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
}

impl PointScope {
    /// Whether a namespace belongs to it.
    pub fn wants(&self, namespace: &str) -> bool {
        let any = |globs: &[String]| globs.iter().any(|glob| fits(glob, namespace));
        (self.namespaces.is_empty() || any(&self.namespaces)) && !any(&self.excluded_namespaces)
    }
}

/// How volumes are to be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Volumes {
    /// As Pods' annotations say; else by a snapshot where a driver can, else file by file, and otherwise said to be missing.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// By a snapshot.
    Snapshot,
    /// File by file, where a running Pod mounts them.
    Files,
}

/// One hook that is to run, or ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// The Pod's namespace.
    pub namespace: String,
    /// The Pod.
    pub pod: String,
    /// The Pod's uid: another Pod of that name is not asked.
    pub uid: String,
    /// The container.
    pub container: String,
    /// Before the volumes or after.
    pub phase: Phase,
    /// What is run, without a shell.
    pub command: Vec<String>,
    /// Whether its failure is the point's.
    pub on_error: OnError,
    /// How long it may take, in milliseconds.
    pub timeout: u64,
    /// What it comes from: the Pod's annotations or a named hook of the template.
    pub source: String,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before the volumes are taken.
    Pre,
    /// After.
    Post,
}

/// What follows from a hook that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnError {
    /// The volumes of its Pod are not taken, and the point says that they are missing.
    #[default]
    Fail,
    /// It is only said.
    Continue,
}

/// What became of a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ran {
    /// The hook.
    pub hook: Hook,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub took: u64,
}

/// A volume that is not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The volume.
    pub volume: Volume,
    /// Why.
    pub why: String,
    /// Whether that was wanted (a policy, `--volumes none`): then nothing is missing.
    #[serde(default)]
    pub wanted: bool,
}

/// What a point is, from its intent on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// The format.
    pub format: u32,
    /// Its name.
    pub name: String,
    /// What its snapshots bear.
    pub id: String,
    /// The schedule it was made by.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schedule: String,
    /// What it is of.
    #[serde(default)]
    pub scope: PointScope,
    /// When it was begun.
    pub began: Micros,
    /// When it may be deleted by itself; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Micros>,
    /// Labels of the point, as of its schedule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The intent: what is going to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Begin {
    /// What it is.
    #[serde(flatten)]
    pub about: About,
    /// The snapshots that will be asked for.
    pub orders: Vec<Order>,
    /// By which driver, of each order.
    pub drivers: Vec<String>,
    /// Volumes of the scope that will not be taken.
    #[serde(default)]
    pub left: Vec<Left>,
    /// Hooks, in their order.
    #[serde(default)]
    pub hooks: Vec<Hook>,
    /// What is already known to be less than wished.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What the cluster had come to before the first volume was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// R0: a revision of the main domain.
    pub revision: Revision,
    /// When that was.
    pub time: Micros,
    /// What became of the hooks before.
    pub hooks: Vec<Ran>,
}

/// Who works at a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who: drawn anew by each process.
    pub by: String,
    /// Until when, unless it is renewed.
    pub until: Micros,
    /// The number of this hold.
    #[serde(skip)]
    pub number: u64,
}

impl Hold {
    /// Whether it is to be respected.
    pub(super) fn lasts(&self, now: Micros) -> bool {
        self.until > 0 && self.until.saturating_add(SKEW) > now
    }
}

/// How a point came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PointState {
    /// It came to nothing: there is no closed cut.
    Failed,
    /// Something is missing, named in [`Point::missing`].
    Partial,
    /// All that was wanted is there.
    Complete,
}

/// One volume of a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointVolume {
    /// The volume.
    pub volume: Volume,
    /// Its snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Taken>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether that was wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wanted: bool,
}

/// A recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// What it is.
    #[serde(flatten)]
    pub about: About,
    /// How it came out.
    pub state: PointState,
    /// When it was made.
    pub made: Micros,
    /// The closed cut; empty if it failed.
    #[serde(default)]
    pub cut: BTreeMap<String, (u32, Revision)>,
    /// By when everything in the cut was committed.
    #[serde(default)]
    pub time: Micros,
    /// R0 and R1: between them the volumes were taken, and the cut lies.
    #[serde(default)]
    pub between: (Revision, Revision),
    /// The volumes.
    pub volumes: Vec<PointVolume>,
    /// What became of the hooks.
    #[serde(default)]
    pub hooks: Vec<Ran>,
    /// What is missing, by name, with the reason.
    #[serde(default)]
    pub missing: Vec<String>,
    /// What else there is to know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl Point {
    /// The cut.
    pub fn cut(&self) -> Cut {
        let point = |(domain, (incarnation, rv)): (&String, &(u32, Revision))| {
            (domain.clone(), CutPoint { incarnation: *incarnation, rv: *rv })
        };
        Cut { domains: self.cut.iter().map(point).collect() }
    }

    /// Whether a moment can be restored from it.
    pub fn is_usable(&self) -> bool {
        self.state != PointState::Failed
    }

    /// Bytes that its snapshots need at least, as far as it is known.
    pub fn bytes(&self) -> u64 {
        self.volumes.iter().filter_map(|volume| volume.taken.as_ref()).map(|taken| taken.size).sum()
    }

    /// How many snapshots it has.
    pub fn snapshots(&self) -> usize {
        self.volumes.iter().filter(|volume| volume.taken.is_some()).count()
    }
}

/// Why a point goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// When that was decided.
    pub time: Micros,
    /// Why: by hand, or by which rule of retention.
    pub why: String,
}
