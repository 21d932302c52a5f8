//! What a rule says of one object that it leaves alone.
//!
//! **Invariant.** A reason is about this object and says what to do instead, where there is something.

use std::fmt;

/// The rule that leaves an object alone, with what its sentence names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruled {
    /// A machine of the cluster.
    Node,
    /// A record that nothing acts on.
    Event,
    /// Who leads now.
    Lease,
    /// A request that is answered once.
    CertificateRequest,
    /// What is true of the nodes now.
    NodeState,
    /// What the server says of itself.
    ServerState,
    /// A revision that a controller makes of a template.
    ControllerRevision,
    /// The server's book of addresses.
    ServiceAddresses,
    /// A backup or restore that ran.
    BackupRun,
    /// A controller puts the `ConfigMap` of this name into every namespace.
    RootCa(String),
    /// It is about the API servers themselves.
    ApiServerService,
    /// Every namespace has one.
    DefaultServiceAccount,
    /// The server registers it by itself.
    AutomanagedApiService,
    /// It mirrors a static Pod.
    MirrorPod,
    /// It was being deleted at the moment.
    TerminatingThen,
    /// Its controller, in words, makes it.
    Owned(String),
    /// The Pod had ended at the moment, in this phase.
    PodFinished(String),
    /// The Job had finished at the moment.
    JobFinished,
    /// The Job was running at the moment.
    JobRunning,
    /// A token that lets nodes join.
    BootstrapToken,
    /// A token that the token controller makes.
    AccountToken,
    /// A Secret that a program makes.
    MadeSecret {
        /// The rule's id.
        rule: &'static str,
        /// The program.
        program: &'static str,
    },
    /// Endpoints of the Pods that are there.
    Endpoints,
    /// An `EndpointSlice` that a program makes of the Pods that are there.
    EndpointSlice(String),
    /// To create it takes a snapshot.
    VolumeSnapshot,
    /// It stands for a snapshot of a recovery point.
    PointSnapshot,
    /// Objects are stored in versions that the definition did not have.
    StoredVersions(Vec<String>),
    /// It stands for one run.
    RunOnce,
    /// Roles that the server keeps.
    RbacSystem,
    /// Request queues that the server keeps.
    FlowcontrolSystem,
    /// A priority class that the server makes.
    SystemPriorityClass,
    /// The storage behind the volume was deleted with it.
    ReclaimedVolume,
    /// The claim's volume is not there for it any more.
    EmptyClaim {
        /// The volume.
        volume: String,
        /// The claim that has it by now: namespace and name.
        belongs_to: Option<(String, String)>,
        /// Its storage was kept, though the volume is gone.
        retained: bool,
        /// Why a snapshot of it in a recovery point cannot be used.
        unused: Option<String>,
    },
}

impl Ruled {
    /// The rule's id.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Event => "event",
            Self::Lease => "lease",
            Self::CertificateRequest => "certificate-request",
            Self::NodeState => "node-state",
            Self::ServerState => "server-state",
            Self::ControllerRevision => "controller-revision",
            Self::ServiceAddresses => "service-addresses",
            Self::BackupRun => "backup-run",
            Self::MadeSecret { rule, .. } => rule,
            Self::RootCa(_) => "root-ca",
            Self::ApiServerService => "api-server-service",
            Self::DefaultServiceAccount => "default-service-account",
            Self::AutomanagedApiService => "automanaged-api-service",
            Self::MirrorPod => "mirror-pod",
            Self::TerminatingThen => "terminating-then",
            Self::Owned(_) => "owned",
            Self::PodFinished(_) => "pod-finished",
            Self::JobFinished => "job-finished",
            Self::JobRunning => "job-running",
            Self::BootstrapToken => "bootstrap-token",
            Self::AccountToken => "account-token",
            Self::Endpoints => "endpoints",
            Self::EndpointSlice(_) => "endpoint-slice",
            Self::VolumeSnapshot => "volume-snapshot",
            Self::PointSnapshot => "point-snapshot",
            Self::StoredVersions(_) => "crd-stored-versions",
            Self::RunOnce => "run-once",
            Self::RbacSystem => "rbac-system",
            Self::FlowcontrolSystem => "flowcontrol-system",
            Self::SystemPriorityClass => "system-priority-class",
            Self::ReclaimedVolume => "pv-reclaimed",
            Self::EmptyClaim { .. } => "pvc-empty",
        }
    }
}

impl fmt::Display for Ruled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "nodes join by themselves; an old one would be a machine that may not exist",
            Self::Event => "events are records, nothing acts on them",
            Self::Lease => "a lease says who leads now; an old holder would stop the one that does",
            Self::CertificateRequest => "a signing request is answered once; whoever needs a certificate asks again",
            Self::NodeState => "kubelets, drivers and the attach controller write what is true of the nodes now",
            Self::ServerState => "the server says this of itself",
            Self::ControllerRevision => "the StatefulSet or DaemonSet controller makes its revisions of the template",
            Self::ServiceAddresses => {
                "the server keeps the book of Service addresses; an old page would give one address to two Services"
            }
            Self::BackupRun => {
                "it stands for a backup or restore that ran; a new one would run again or vouch for files that are gone"
            }
            Self::RootCa(name) => {
                return write!(f, "a controller puts {name} into every namespace, with the certificates of now");
            }
            Self::ApiServerService => "the API servers write their own addresses into it",
            Self::DefaultServiceAccount => "a controller makes the default ServiceAccount of every namespace",
            Self::AutomanagedApiService => "the server registers its own groups, and those of each CRD, by itself",
            Self::MirrorPod => "it mirrors a static Pod: a file on its node is what counts",
            Self::TerminatingThen => "it was being deleted at that moment already: it counts as absent",
            Self::Owned(owner) => return write!(f, "{owner} makes it"),
            Self::PodFinished(phase) => {
                return write!(f, "it had ended ({phase}) at that moment; it would run again");
            }
            Self::JobFinished => "it had finished at that moment; it would run again",
            Self::JobRunning => "it was running at that moment; it would start over from the beginning",
            Self::BootstrapToken => "bootstrap tokens expire on purpose; an old one would open the door again",
            Self::AccountToken => "the token controller makes it; an old token would not be valid",
            Self::MadeSecret { program, .. } => {
                return write!(f, "{program} makes it; put back what it is made of, and it follows");
            }
            Self::Endpoints => "the endpoints controller makes it of the Pods that are there now",
            Self::EndpointSlice(by) => return write!(f, "{by} makes it of the Pods that are there now"),
            Self::VolumeSnapshot => "to create it takes a snapshot of the data of now, not of then",
            Self::PointSnapshot => "it stands for a snapshot of a recovery point",
            Self::StoredVersions(versions) => {
                return write!(
                    f,
                    "objects are stored as {}, which it did not have at that moment; they could not be read any more",
                    versions.join(", ")
                );
            }
            Self::RunOnce => "it stands for one run; created again, it would run again",
            Self::RbacSystem => "the server keeps its own roles as its version needs them",
            Self::FlowcontrolSystem => "the server keeps its own request queues",
            Self::SystemPriorityClass => "the server makes its own priority classes",
            Self::ReclaimedVolume => {
                "its storage was deleted with it (reclaim policy Delete); the object alone would point at nothing"
            }
            Self::EmptyClaim { volume, retained: true, .. } => {
                return write!(
                    f,
                    "its volume {volume} is gone, but not its storage (reclaim policy Retain): with the volume put back first the claim \
                     binds to it, without it the claim would come back empty"
                );
            }
            Self::EmptyClaim { volume, belongs_to, unused, .. } => {
                match belongs_to {
                    Some((of, other)) => write!(f, "its volume {volume} belongs to claim {of}/{other} now")?,
                    None => write!(f, "its volume {volume} is gone")?,
                }
                match unused {
                    Some(why) => write!(f, ", and {why}")?,
                    None => f.write_str(", and no recovery point up to the moment has a snapshot of it")?,
                }
                return f.write_str("; the claim would come back empty");
            }
        })
    }
}
