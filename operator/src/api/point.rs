//! `RecoveryPoint`: a recovery point of the bucket, or the wish for one.

#![expect(clippy::duplicated_attributes, reason = "each column is one of its own")]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;

/// A recovery point. Created by a user it is made; those that are in the bucket appear by themselves.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hindcast.dev",
    version = "v1alpha1",
    kind = "RecoveryPoint",
    plural = "recoverypoints",
    shortname = "rp",
    category = "hindcast",
    namespaced,
    status = "RecoveryPointStatus",
    derive = "PartialEq",
    doc = "A named closed cut of the cluster with the snapshots of volumes that were taken around it. The bucket is the truth: \
           a point that is made in any other way appears as such an object, and an object whose point is gone goes.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Schedule", type_ = "string", json_path = ".metadata.labels.hindcast\\.dev/schedule"),
    printcolumn(name = "Revision", type_ = "integer", json_path = ".status.revision"),
    printcolumn(name = "Snapshots", type_ = "integer", json_path = ".status.snapshots"),
    printcolumn(name = "Missing", type_ = "integer", json_path = ".status.missingCount"),
    printcolumn(name = "Expires", type_ = "date", json_path = ".status.expires"),
    printcolumn(name = "Moment", type_ = "date", json_path = ".status.time")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(oldSelf.template) || has(self.template) && self.template == oldSelf.template")
        .message("a point stays what it was made of: make another one")
)]
pub struct RecoveryPointSpec {
    /// What the point is of.
    #[serde(default)]
    pub template: Template,
    /// What becomes of the point and its snapshots when this object is deleted: Retain keeps them, and the object comes back;
    /// Delete deletes them first.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// What a point is of, and how it is made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Template {
    /// Namespaces, with * and ? as in file names; all if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Namespaces that are left out, written alike.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excluded_namespaces: Vec<String>,
    /// Labels that Pods and claims must have, as kubectl takes them with -l; empty for all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// How volumes are taken.
    pub volumes: VolumesMode,
    /// Whether snapshots of CSI drivers are moved into the bucket: copied file by file by movers, then deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub move_snapshots: bool,
    /// How long the point is kept at least, as in 720h or 30d; for ever without one, unless its schedule's retention drops it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// Labels of the point.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What is run in Pods before their volumes are taken and after, beside what their annotations ask for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    /// A ConfigMap of volume policies, in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_policies: Option<String>,
}

/// How volumes are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VolumesMode {
    /// As Pods' annotations say, else by a snapshot where a driver can, else file by file; the rest is said to be missing.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// By a snapshot.
    Snapshot,
    /// File by file, where a running Pod has them mounted.
    Files,
}

/// What becomes of a point whose object is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It stays.
    #[default]
    Retain,
    /// It is deleted, with its snapshots.
    Delete,
}

/// What is run in Pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// What it is called.
    pub name: String,
    /// Namespaces of the Pods, with * and ? as in file names; all of the point's if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Namespaces that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded_namespaces: Vec<String>,
    /// Labels of the Pods, as kubectl takes them with -l.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// What is run before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre: Vec<Exec>,
    /// What is run after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post: Vec<Exec>,
}

/// A command in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exec {
    /// The container; the Pod's first one if it is not said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// The command, without a shell.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// What follows from a failure.
    #[serde(default)]
    pub on_error: OnError,
    /// How long it may take, as in 30s or 2m; 30 s if it is not said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub timeout: String,
}

/// What follows from a hook that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnError {
    /// The volumes of its Pod are not taken.
    #[default]
    Fail,
    /// It is only said.
    Continue,
}

/// How far a point is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Not begun.
    #[default]
    Pending,
    /// It is being made.
    InProgress,
    /// All that was wanted is there.
    Complete,
    /// Something is missing, by name.
    Partial,
    /// It came to nothing.
    Failed,
    /// It is being deleted.
    Deleting,
}

/// What a point is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RecoveryPointStatus {
    /// How far it is.
    pub phase: Phase,
    /// What its snapshots bear.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The revision of its cut in the main domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// By when everything in the cut was committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub time: Option<String>,
    /// When it was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub began: Option<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub made: Option<String>,
    /// When it may be deleted by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub expires: Option<String>,
    /// How many volumes it is of.
    pub volumes: i64,
    /// How many snapshots it has.
    pub snapshots: i64,
    /// How many bytes these need at least, as far as it is known.
    pub bytes: i64,
    /// How many hooks ran.
    pub hooks: i64,
    /// What is missing, by name, with the reason: the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// How many are missing.
    pub missing_count: i64,
    /// What else there is to know: the first of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The conditions: Made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
