//! `Restore`: what is put back, to when, by whose rights, and what became of it.

#![expect(clippy::duplicated_attributes, reason = "each column is one of its own")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;

/// What is put back, to when, and by whose rights.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hindcast.dev",
    version = "v1alpha1",
    kind = "Restore",
    plural = "restores",
    category = "hindcast",
    namespaced,
    status = "RestoreStatus",
    derive = "PartialEq",
    doc = "Puts objects back as they were at a moment, with the rights of a service account of its namespace. Only what its plan shows \
           is done, and it is done once; `hindcast undo` with the id of its record takes it back.",
    printcolumn(name = "At", type_ = "string", json_path = ".spec.at"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Planned", type_ = "string", json_path = ".status.conditions[?(@.type==\"Planned\")].status"),
    printcolumn(name = "Applied", type_ = "string", json_path = ".status.conditions[?(@.type==\"Applied\")].reason"),
    printcolumn(name = "Verified", type_ = "string", json_path = ".status.conditions[?(@.type==\"Verified\")].reason"),
    printcolumn(name = "Record", type_ = "string", json_path = ".status.record"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct RestoreSpec {
    /// The service account of this namespace whose rights it has: it reads and writes as that one.
    #[schemars(length(min = 1))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("a restore stays what it is: make another one"))]
    pub service_account_name: String,
    /// The moment: a time as 2026-11-01T14:01:00Z, rev:N, pos:N, point:NAME, point:latest, or before:T. A time without an offset is in UTC.
    #[schemars(length(min = 1))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("a restore stays what it is: make another one"))]
    pub at: String,
    /// What is put back.
    #[x_kube(validation = Rule::new("self == oldSelf").message("a restore stays what it is: make another one"))]
    pub target: Target,
    /// Which claims get their data from recovery points, the newest no newer than the moment: Missing, those that are created and
    /// whose volume is not there any more; None; or All, also those that stand, which are rolled back.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("a restore stays what it is: make another one"))]
    pub volumes: FromPoints,
    /// What may be done beyond the default.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("a restore stays what it is: make another one"))]
    pub allow: Allow,
    /// Plan says in the status what would be done. Apply does it; what was planned before is done only if it is still the same.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf || self == 'Apply'").message("what is applied cannot be unsaid"))]
    pub mode: Mode,
    /// How long the rollouts of workloads are waited for, as in 5m; not at all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_for_rollouts: Option<String>,
}

/// What is put back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.allNamespaces ? self.namespace == '' && self.object == '' : self.namespace != '' || self.object != ''")
        .message("name a namespace, an object (of a namespace, or cluster-scoped), or allNamespaces"),
    validation = Rule::new("self.object == '' || self.only.size() == 0 && self.selector == ''")
        .message("one object cannot be narrowed by only or selector")
)]
pub struct Target {
    /// The objects of a namespace; of this one, unless the Restore is in Hindcast's own.
    #[serde(default)]
    pub namespace: String,
    /// The cluster, without its system namespaces.
    #[serde(default)]
    pub all_namespaces: bool,
    /// One object: KIND/NAME, as in deploy/web.
    #[serde(default)]
    pub object: String,
    /// Only these of them: KIND/NAME.
    #[serde(default)]
    pub only: Vec<String>,
    /// Only objects with these labels, then or now, as kubectl takes them with -l.
    #[serde(default)]
    pub selector: String,
    /// Only this part of each, as plans print it: spec.template, or /spec/template. Then nothing is created or deleted.
    #[serde(default)]
    pub path: String,
}

/// What may be done beyond the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a permission of its own")]
pub struct Allow {
    /// Cluster-scoped objects that the namespace needs.
    pub cluster_scoped: bool,
    /// System namespaces and infrastructure kinds.
    pub system: bool,
    /// Kinds whose deletes destroy data and may be done all the same, as in pvc.
    pub delete: Vec<String>,
    /// Delete and create again where a field cannot be changed.
    pub recreate: bool,
    /// Roll workloads that read changed configuration through their environment.
    pub restart: bool,
    /// Delete in spite of a lost gap since the moment.
    pub gap: bool,
    /// Create Jobs that were running at the moment.
    pub rerun_jobs: bool,
    /// Create claims whose volume is lost, empty.
    pub empty_volumes: bool,
    /// Disable webhooks that stand in the way, and put them back.
    pub bypass_webhooks: bool,
}

/// Which claims get their data from recovery points.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FromPoints {
    /// Those that are created and whose volume is not there any more.
    #[default]
    Missing,
    /// None.
    None,
    /// All: those that stand are rolled back.
    All,
}

/// How far it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// It is planned.
    #[default]
    Plan,
    /// It is planned and done.
    Apply,
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestoreStatus {
    /// The plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned: Option<Planned>,
    /// The id of its record in the bucket; `hindcast undo` with it takes it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// What is planned or was done: the first of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Done>,
    /// What differs and is left alone, with the reason: the first of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// What is worth knowing beside: the first of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The conditions: Planned, Applied, Verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// The moment, as it can be asked for again at any time.
    pub at: String,
    /// The revision of its cut in the main domain.
    pub revision: i64,
    /// By when everything in the cut was committed.
    #[schemars(extend("format" = "date-time"))]
    pub time: String,
    /// How many objects it is about.
    pub counts: Counts,
    /// What tells this plan from another one: objects, what is done to each, and what stands there.
    pub digest: String,
}

/// How many objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Are created.
    pub create: i64,
    /// Are changed.
    pub update: i64,
    /// Are deleted and created again.
    pub recreate: i64,
    /// Are deleted.
    pub delete: i64,
    /// Differ and are left alone.
    pub left: i64,
    /// Are as they were.
    pub unchanged: i64,
}

/// One object's part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// create, update, recreate or delete.
    pub verb: String,
    /// The object.
    pub object: ObjectName,
    /// How it ended: done, already, conflict, refused, failed or skipped. Before that, refused if a dry run was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// What reading it back showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<String>,
    /// Why, or what to know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// An object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectName {
    /// Its kind.
    pub kind: String,
    /// Its API group; empty for the core one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Its namespace; empty for what is cluster-scoped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
}
