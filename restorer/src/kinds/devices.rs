//! What Pods ask of nodes: devices and runtimes.

use super::{Family, Kind, Made};

pub(super) const FAMILY: Family = Family {
    kinds: &[
        Kind { made: Made::ByPod, immutable: &["/spec"], ..Kind::of("resource.k8s.io", "resourceclaims") },
        Kind { immutable: &["/spec"], ..Kind::of("resource.k8s.io", "resourceclaimtemplates") },
        Kind::configuration("resource.k8s.io", "deviceclasses"),
        Kind { immutable: &["/handler"], ..Kind::configuration("node.k8s.io", "runtimeclasses") },
    ],
    rules: &[],
};
