//! The kinds that histories are made of: where each is served, and which subresources it has.

use serde::{Deserialize, Serialize};

/// The group of the custom kinds.
pub const GROUP: &str = "rollback.hindcast.dev";

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "named as their kinds")]
pub enum Sort {
    ConfigMap,
    Secret,
    Service,
    Deployment,
    StatefulSet,
    DaemonSet,
    CronJob,
    ServiceAccount,
    Role,
    RoleBinding,
    Ingress,
    NetworkPolicy,
    PodDisruptionBudget,
    HorizontalPodAutoscaler,
    PersistentVolumeClaim,
    ResourceQuota,
    LimitRange,
    EndpointSlice,
    Pod,
    /// A custom kind that keeps whatever it is given.
    Blob,
    /// A custom kind with a schema, defaults, `status` and `scale`.
    Shop,
}

impl Sort {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::ConfigMap,
        Self::Secret,
        Self::Service,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::CronJob,
        Self::ServiceAccount,
        Self::Role,
        Self::RoleBinding,
        Self::Ingress,
        Self::NetworkPolicy,
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
        Self::PersistentVolumeClaim,
        Self::ResourceQuota,
        Self::LimitRange,
        Self::EndpointSlice,
        Self::Pod,
        Self::Blob,
        Self::Shop,
    ];

    /// Its kind, group, version and plural.
    fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::ConfigMap => ("ConfigMap", "", "v1", "configmaps"),
            Self::Secret => ("Secret", "", "v1", "secrets"),
            Self::Service => ("Service", "", "v1", "services"),
            Self::ServiceAccount => ("ServiceAccount", "", "v1", "serviceaccounts"),
            Self::PersistentVolumeClaim => ("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims"),
            Self::ResourceQuota => ("ResourceQuota", "", "v1", "resourcequotas"),
            Self::LimitRange => ("LimitRange", "", "v1", "limitranges"),
            Self::Pod => ("Pod", "", "v1", "pods"),
            Self::EndpointSlice => ("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices"),
            Self::Deployment => ("Deployment", "apps", "v1", "deployments"),
            Self::StatefulSet => ("StatefulSet", "apps", "v1", "statefulsets"),
            Self::DaemonSet => ("DaemonSet", "apps", "v1", "daemonsets"),
            Self::CronJob => ("CronJob", "batch", "v1", "cronjobs"),
            Self::Role => ("Role", "rbac.authorization.k8s.io", "v1", "roles"),
            Self::RoleBinding => ("RoleBinding", "rbac.authorization.k8s.io", "v1", "rolebindings"),
            Self::Ingress => ("Ingress", "networking.k8s.io", "v1", "ingresses"),
            Self::NetworkPolicy => ("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies"),
            Self::PodDisruptionBudget => ("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets"),
            Self::HorizontalPodAutoscaler => {
                ("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers")
            }
            Self::Blob => ("Blob", GROUP, "v1", "blobs"),
            Self::Shop => ("Shop", GROUP, "v1", "shops"),
        }
    }

    /// `Deployment`.
    pub fn kind(self) -> &'static str {
        self.names().0
    }

    /// `apps/v1`.
    pub fn api_version(self) -> String {
        let (_, group, version, _) = self.names();
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
    }

    /// `deployments`.
    pub fn resource(self) -> &'static str {
        self.names().3
    }

    /// Where a namespace's objects are served.
    pub fn collection(self, namespace: &str) -> String {
        let root = if self.names().1.is_empty() { "/api" } else { "/apis" };
        format!("{root}/{}/namespaces/{namespace}/{}", self.api_version(), self.resource())
    }

    /// Whether it is one of the custom kinds.
    pub fn is_custom(self) -> bool {
        self.names().1 == GROUP
    }

    /// Whether it has a `scale` subresource.
    pub fn scales(self) -> bool {
        matches!(self, Self::Deployment | Self::StatefulSet | Self::Shop)
    }

    /// Whether it has a `status` subresource that histories write.
    pub fn has_status(self) -> bool {
        matches!(
            self,
            Self::Deployment
                | Self::StatefulSet
                | Self::DaemonSet
                | Self::CronJob
                | Self::Ingress
                | Self::PodDisruptionBudget
                | Self::HorizontalPodAutoscaler
                | Self::PersistentVolumeClaim
                | Self::Shop
        )
    }
}
