//! What a restore is about: never more than was said.
//!
//! **Words**: a selection *names* its objects (one, a namespace, all), *narrows* them and *widens* what may be done; its
//! [`Reach`] says how an object belongs to it.
//!
//! **Invariants.** (1) There is no default: a selection always names what it is about. (2) Everything that can destroy
//! or surprise is off until [`Widen`] says otherwise.

use std::fmt;

use hindcast_journal::{Result, Scope, fold::ObjectKey};
use serde::{Deserialize, Serialize};

mod labels;
#[cfg(test)]
mod tests;

pub use labels::Selector;

/// Namespaces that the cluster itself lives in.
pub const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// Kinds that the cluster keeps for itself: what it is made of, and what runs it.
pub const INFRASTRUCTURE: [&str; 14] = [
    "/componentstatuses",
    "/events",
    "/nodes",
    "certificates.k8s.io/certificatesigningrequests",
    "coordination.k8s.io/leasecandidates",
    "coordination.k8s.io/leases",
    "events.k8s.io/events",
    "flowcontrol.apiserver.k8s.io/flowschemas",
    "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations",
    "internal.apiserver.k8s.io/storageversions",
    "storage.k8s.io/csinodes",
    "storage.k8s.io/csistoragecapacities",
    "storage.k8s.io/volumeattachments",
    "storagemigration.k8s.io/storageversionmigrations",
];

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

/// What may be done beyond the default; each is a [`Permission`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "each is a permission of its own")]
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

/// One thing that may be done beyond the default, once whoever asks allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// Cluster-scoped objects that the namespace needs.
    ClusterScoped,
    /// System namespaces and infrastructure kinds.
    System,
    /// Deletes that destroy data, of a kind by its key.
    Delete(String),
    /// To delete and create again.
    Recreate,
    /// To roll workloads.
    Restart,
    /// Deletes in spite of a lost gap.
    AcceptGap,
    /// Jobs that were running at the moment.
    RerunJobs,
    /// Claims that come back empty.
    EmptyVolumes,
    /// To disable webhooks that stand in the way.
    BypassWebhooks,
}

impl Permission {
    /// Whether it lets data be destroyed. Not even an undo does that unasked.
    pub fn destroys(&self) -> bool {
        matches!(self, Self::Delete(_))
    }
}

/// What is allowed, whoever says so and however.
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClusterScoped => "cluster-scoped objects",
            Self::System => "the cluster's own objects",
            Self::Delete(kind) => return write!(f, "deletes of {}", kind.trim_start_matches('/')),
            Self::Recreate => "delete and create again",
            Self::Restart => "restarts",
            Self::AcceptGap => "a gap",
            Self::RerunJobs => "Jobs that run again",
            Self::EmptyVolumes => "empty volumes",
            Self::BypassWebhooks => "bypassed webhooks",
        })
    }
}

impl Widen {
    /// Whether something is allowed.
    pub fn allows(&self, permission: &Permission) -> bool {
        match permission {
            Permission::ClusterScoped => self.with_cluster_scoped,
            Permission::System => self.include_system,
            Permission::Delete(kind) => self.allow_delete.contains(kind),
            Permission::Recreate => self.allow_recreate,
            Permission::Restart => self.restart,
            Permission::AcceptGap => self.accept_gap,
            Permission::RerunJobs => self.rerun_jobs,
            Permission::EmptyVolumes => self.allow_empty_volumes,
            Permission::BypassWebhooks => self.bypass_webhooks,
        }
    }

    /// Allows what another allows, too.
    pub fn add(&mut self, other: &Self) {
        for kind in &other.allow_delete {
            if !self.allow_delete.contains(kind) {
                self.allow_delete.push(kind.clone());
            }
        }
        self.with_cluster_scoped |= other.with_cluster_scoped;
        self.include_system |= other.include_system;
        self.allow_recreate |= other.allow_recreate;
        self.restart |= other.restart;
        self.accept_gap |= other.accept_gap;
        self.rerun_jobs |= other.rerun_jobs;
        self.allow_empty_volumes |= other.allow_empty_volumes;
        self.bypass_webhooks |= other.bypass_webhooks;
    }
}

/// How an object belongs to a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It does not.
    Out,
    /// It is one of the objects named.
    Named,
    /// It is the namespace whose objects are named: of itself only labels and annotations.
    Itself,
    /// It is cluster-scoped, and the namespace may need it.
    Beside,
}

impl Selection {
    /// How an object belongs to it, by its key alone.
    pub fn reach(&self, key: &ObjectKey) -> Reach {
        let kind = key.kind_key();
        if !self.only.is_empty() && !self.only.iter().any(|(k, n)| *k == kind && *n == key.name) {
            return Reach::Out;
        }
        match &self.what {
            What::Object { kind: wanted, namespace, name } => {
                let it = *wanted == kind && *namespace == key.namespace && *name == key.name;
                if it { Reach::Named } else { Reach::Out }
            }
            What::Namespace(_) if !self.widen.include_system && INFRASTRUCTURE.contains(&kind.as_str()) => Reach::Out,
            What::Namespace(namespace) if *namespace == key.namespace => Reach::Named,
            What::Namespace(namespace) if kind == "/namespaces" => {
                if *namespace == key.name {
                    Reach::Itself
                } else {
                    Reach::Out
                }
            }
            What::Namespace(_) if key.namespace.is_empty() => Reach::Beside,
            What::Namespace(_) => Reach::Out,
            What::All if is_system(key) && !self.widen.include_system => Reach::Out,
            What::All => Reach::Named,
        }
    }

    /// Whether objects of a kind can belong to it.
    pub fn wants_kind(&self, kind_key: &str, namespaced: bool) -> bool {
        if !self.only.is_empty() && self.only.iter().all(|(kind, _)| kind != kind_key) {
            return false;
        }
        match &self.what {
            What::Object { kind, .. } => kind == kind_key,
            What::Namespace(_) if !namespaced => false,
            What::Namespace(_) | What::All => self.widen.include_system || !INFRASTRUCTURE.contains(&kind_key),
        }
    }

    /// The namespace that its objects are in; `None` for all.
    pub fn namespace(&self) -> Option<&str> {
        match &self.what {
            What::Object { namespace, .. } | What::Namespace(namespace) => Some(namespace),
            What::All => None,
        }
    }

    /// What has to be read of the journal for the objects named.
    pub fn scope(&self) -> Scope {
        let kinds = match &self.what {
            What::Object { kind, .. } => Some(vec![kind.clone()]),
            _ if self.only.is_empty() => None,
            _ => Some(self.only.iter().map(|(kind, _)| kind.clone()).collect()),
        };
        let name = match &self.what {
            What::Object { name, .. } => Some(name.clone()),
            _ => None,
        };
        Scope { kinds, namespace: self.namespace().map(str::to_owned), name }
    }

    /// The label selector.
    pub fn selector(&self) -> Result<Selector> {
        Selector::parse(&self.labels)
    }

    /// Whether it leaves out objects of the kinds and namespaces it names.
    pub fn is_narrowed(&self) -> bool {
        !self.labels.is_empty() || !self.only.is_empty() || matches!(self.what, What::Object { .. })
    }
}

/// Whether an object is the cluster's own: in a system namespace, or of a kind that the cluster keeps for itself.
pub fn is_system(key: &ObjectKey) -> bool {
    let kind = key.kind_key();
    SYSTEM_NAMESPACES.contains(&key.namespace.as_str())
        || (kind == "/namespaces" && SYSTEM_NAMESPACES.contains(&key.name.as_str()))
        || INFRASTRUCTURE.contains(&kind.as_str())
}
