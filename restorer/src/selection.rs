//! What a restore is about: never more than was said.
//!
//! **Words**: a selection *names* its objects (one, a namespace, all), *narrows* them and *widens* what may be done.
//!
//! **Invariants.** (1) There is no default: a selection always names what it is about. (2) Everything that can destroy
//! or surprise is off until a flag of [`Widen`] says otherwise.

use serde::{Deserialize, Serialize};

/// What a restore is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// The objects named.
    pub what: What,
    /// Only objects with these labels, at T or live (`-l`); empty for all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub labels: String,
    /// Only these, as (kind key, name); empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<(String, String)>,
    /// Only this part of each object: a JSON pointer such as `/spec/template`. Then nothing is created or deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What may be done beyond the default.
    #[serde(default)]
    pub widen: Widen,
}

/// The objects named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// One object.
    Object {
        /// Kind key.
        kind: String,
        /// Namespace; empty for cluster-scoped objects.
        namespace: String,
        /// Name.
        name: String,
    },
    /// The objects of a namespace, and its own labels and annotations.
    Namespace(String),
    /// The cluster, without its system namespaces and infrastructure.
    All,
}

/// What may be done beyond the default; each is a flag of the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Widen {
    /// Cluster-scoped objects that the namespace needs.
    pub with_cluster_scoped: bool,
    /// System namespaces and infrastructure kinds.
    pub include_system: bool,
    /// Kind keys whose deletes destroy data and may be done all the same.
    pub allow_delete: Vec<String>,
    /// Delete and create again where a field cannot be changed.
    pub allow_recreate: bool,
    /// Roll workloads that read changed configuration through their environment.
    pub restart: bool,
    /// Delete in spite of a `lost` gap since the cut.
    pub accept_gap: bool,
    /// Create Jobs that were running at the moment.
    pub rerun_jobs: bool,
    /// Create claims whose volume is lost, empty.
    pub allow_empty_volumes: bool,
    /// Disable webhooks that stand in the way, and put them back.
    pub bypass_webhooks: bool,
}
