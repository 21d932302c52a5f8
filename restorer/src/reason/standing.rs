//! How what is not put back stands to what was asked for: from this alone commands know how to end.

use serde::{Deserialize, Serialize};

use super::{Reason, Ruled};
use crate::permission::Permission;

/// How what differs and is not put back stands to what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Machines make it, and make it again: that it is otherwise is no difference.
    Machines,
    /// A rule leaves it, whatever is allowed.
    Rule,
    /// It is beside what was asked for, which may need it.
    Beside,
    /// It is done if it is allowed, or asked for by itself.
    Wanting,
    /// It cannot be done as things are: it is not proven, not known, not readable, or on its way out.
    Unable,
}

impl Standing {
    /// Of an object that is left for a reason.
    pub(crate) fn of(reason: &Reason, unless: Option<&Permission>) -> Self {
        match (reason, unless) {
            (Reason::Told { standing, .. }, _) => *standing,
            (Reason::ClusterScoped(_), _) => Self::Beside,
            (_, Some(_)) => Self::Wanting,
            (Reason::Rule(rule), None) if rule.is_of_machines() => Self::Machines,
            (
                Reason::Rule(_)
                | Reason::PartOfAdded
                | Reason::GoesWithOwner(_)
                | Reason::GoesWithNamespace(_)
                | Reason::GoesWithDefinition(_),
                None,
            ) => Self::Rule,
            (_, None) => Self::Unable,
        }
    }
}

impl Ruled {
    /// Whether machines make what it is about, and make it again.
    pub(crate) fn is_of_machines(&self) -> bool {
        matches!(
            self,
            Self::Event
                | Self::Lease
                | Self::NodeState
                | Self::ServerState
                | Self::ControllerRevision
                | Self::ServiceAddresses
                | Self::RootCa(_)
                | Self::ApiServerService
                | Self::DefaultServiceAccount
                | Self::AutomanagedApiService
                | Self::MirrorPod
                | Self::PointSnapshot
                | Self::Owned(_)
                | Self::AccountToken
                | Self::MadeSecret { .. }
                | Self::Endpoints
                | Self::EndpointSlice(_)
        )
    }
}
