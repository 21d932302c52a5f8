//! What says what is or was true, and is never written back: nodes, events, leases, the server's own state, records of
//! backups.

use super::{Family, Kind, Rule};
use crate::reason::Ruled;

/// A kind that the cluster keeps for itself, beside.
const fn own(group: &'static str, resource: &'static str, rule: &'static Ruled) -> Kind {
    Kind { infrastructure: true, ..Kind::never(group, resource, rule) }
}

const fn backup(resource: &'static str) -> Kind {
    Kind::never("velero.io", resource, &Ruled::BackupRun)
}

pub(super) const FAMILY: Family = Family {
    kinds: &[
        own("", "nodes", &Ruled::Node),
        own("", "events", &Ruled::Event),
        own("events.k8s.io", "events", &Ruled::Event),
        own("coordination.k8s.io", "leases", &Ruled::Lease),
        own("coordination.k8s.io", "leasecandidates", &Ruled::Lease),
        own("certificates.k8s.io", "certificatesigningrequests", &Ruled::CertificateRequest),
        own("storage.k8s.io", "csinodes", &Ruled::NodeState),
        own("storage.k8s.io", "volumeattachments", &Ruled::NodeState),
        own("storage.k8s.io", "csistoragecapacities", &Ruled::NodeState),
        Kind::never("resource.k8s.io", "resourceslices", &Ruled::NodeState),
        own("", "componentstatuses", &Ruled::ServerState),
        own("internal.apiserver.k8s.io", "storageversions", &Ruled::ServerState),
        own("storagemigration.k8s.io", "storageversionmigrations", &Ruled::ServerState),
        Kind::never("metrics.k8s.io", "nodes", &Ruled::ServerState),
        Kind::never("metrics.k8s.io", "pods", &Ruled::ServerState),
        backup("backups"),
        backup("restores"),
        backup("deletebackuprequests"),
        backup("downloadrequests"),
        backup("serverstatusrequests"),
        backup("podvolumebackups"),
        backup("podvolumerestores"),
        backup("backuprepositories"),
        backup("resticrepositories"),
        backup("datauploads"),
        backup("datadownloads"),
        Kind::never("hindcast.dev", "recoverypoints", &Ruled::BackupRun),
        Kind::never("hindcast.dev", "restores", &Ruled::BackupRun),
    ],
    rules: &[
        Rule { id: "node", kinds: &["/nodes"], what: "Nodes are left alone.", why: "They join by themselves." },
        Rule {
            id: "node-state",
            kinds: &[
                "storage.k8s.io/csinodes",
                "storage.k8s.io/volumeattachments",
                "storage.k8s.io/csistoragecapacities",
                "resource.k8s.io/resourceslices",
            ],
            what: "CSINodes, VolumeAttachments, storage capacities and resource slices are left alone.",
            why: "They say what is true of the nodes now.",
        },
        Rule {
            id: "event",
            kinds: &["/events", "events.k8s.io/events"],
            what: "Events are left alone.",
            why: "They are records; nothing acts on them.",
        },
        Rule {
            id: "lease",
            kinds: &["coordination.k8s.io/leases", "coordination.k8s.io/leasecandidates"],
            what: "Leases are left alone.",
            why: "An old holder would stop the one that leads.",
        },
        Rule {
            id: "certificate-request",
            kinds: &["certificates.k8s.io/certificatesigningrequests"],
            what: "CertificateSigningRequests are left alone.",
            why: "Each is answered once.",
        },
        Rule {
            id: "server-state",
            kinds: &[
                "/componentstatuses",
                "internal.apiserver.k8s.io/storageversions",
                "storagemigration.k8s.io/storageversionmigrations",
                "metrics.k8s.io/nodes",
                "metrics.k8s.io/pods",
            ],
            what: "Component statuses, storage versions and migrations, and metrics are left alone.",
            why: "The server says this of itself.",
        },
        Rule {
            id: "backup-run",
            kinds: &[
                "velero.io/backups",
                "velero.io/restores",
                "velero.io/deletebackuprequests",
                "velero.io/downloadrequests",
                "velero.io/serverstatusrequests",
                "velero.io/podvolumebackups",
                "velero.io/podvolumerestores",
                "velero.io/backuprepositories",
                "velero.io/resticrepositories",
                "velero.io/datauploads",
                "velero.io/datadownloads",
                "hindcast.dev/recoverypoints",
                "hindcast.dev/restores",
            ],
            what: "Records of backups and restores, Velero's and Hindcast's own, are left alone.",
            why: "Created again, a restore runs again, and a backup vouches for files that may be gone.",
        },
    ],
};
