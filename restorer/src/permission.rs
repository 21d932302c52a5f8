//! What may be done beyond the default, once whoever asks allows it.

use std::fmt;

use serde::{Deserialize, Serialize};

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
