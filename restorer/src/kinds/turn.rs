//! When changes are made.

/// When a change is made, so that the moment in which things don't fit together is as short as can be: in this order.
///
/// **Invariants.** (1) What others need comes before them; what takes away comes after what gives. (2) What shapes or intercepts
/// writes gives way before all that is written where it is stricter now than it was, and else comes last: whatever is written,
/// is under what it was recorded under, or under less. (3) Who lets go of a field does so before it is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Turn {
    /// What runs on claims whose data are replaced: it stops.
    Stops,
    /// What shapes writes and is stricter now than it was, or was not there: it goes, or becomes as it was.
    Loosens,
    /// Definitions of custom resources.
    Definitions,
    /// Namespaces.
    Namespaces,
    /// Configuration, accounts, roles, classes, growing quotas, volumes and claims.
    Configuration,
    /// Services and network policies; autoscalers that change or go, before they set again what is put back.
    Network,
    /// What runs.
    Workloads,
    /// Custom resources and everything else.
    Others,
    /// New autoscalers, disruption budgets, ingresses.
    OnTop,
    /// Deletes.
    Deletes,
    /// Shrinking quotas, limit ranges, namespaces that ask more of their Pods.
    Limits,
    /// Webhook configurations and admission policies.
    Admission,
    /// API services.
    ApiServices,
    /// Deletes of namespaces and definitions.
    Holders,
}

impl Turn {
    /// All, in their order.
    pub const ALL: [Self; 14] = [
        Self::Stops,
        Self::Loosens,
        Self::Definitions,
        Self::Namespaces,
        Self::Configuration,
        Self::Network,
        Self::Workloads,
        Self::Others,
        Self::OnTop,
        Self::Deletes,
        Self::Limits,
        Self::Admission,
        Self::ApiServices,
        Self::Holders,
    ];
}
