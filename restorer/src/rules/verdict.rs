//! What the rules say of one object: whether a restore may touch it at all.
//!
//! **Invariants.** (1) The first rule that fits decides, the most dangerous kinds first. (2) What is
//! said of an object is data ([`Ruled`]): its words are elsewhere.

use std::fmt;

use hindcast_journal::exact::Value;

use super::{Verdict, crd, secrets};
use crate::{
    desired::Full,
    intent::{Surroundings, around::outlives_its_object},
    reason::Ruled,
    selection::{Permission, Widen},
};

/// Kinds that are never restored nor deleted, whatever the permissions: the rule, the kinds.
const NEVER: &[(Ruled, &[&str])] = &[
    (Ruled::Node, &["/nodes"]),
    (Ruled::Event, &["/events", "events.k8s.io/events"]),
    (Ruled::Lease, &["coordination.k8s.io/leases", "coordination.k8s.io/leasecandidates"]),
    (Ruled::CertificateRequest, &["certificates.k8s.io/certificatesigningrequests"]),
    (
        Ruled::NodeState,
        &[
            "storage.k8s.io/csinodes",
            "storage.k8s.io/volumeattachments",
            "storage.k8s.io/csistoragecapacities",
            "resource.k8s.io/resourceslices",
        ],
    ),
    (
        Ruled::ServerState,
        &[
            "/componentstatuses",
            "internal.apiserver.k8s.io/storageversions",
            "storagemigration.k8s.io/storageversionmigrations",
            "metrics.k8s.io/nodes",
            "metrics.k8s.io/pods",
        ],
    ),
    (Ruled::ControllerRevision, &["apps/controllerrevisions"]),
    (Ruled::ServiceAddresses, &["networking.k8s.io/ipaddresses", "networking.k8s.io/servicecidrs"]),
    (
        Ruled::BackupRun,
        &[
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
        ],
    ),
];

/// Kinds whose objects run once, like Jobs.
const RUNS: &[&str] = &[
    "acme.cert-manager.io/challenges",
    "acme.cert-manager.io/orders",
    "argoproj.io/analysisruns",
    "argoproj.io/workflows",
    "cert-manager.io/certificaterequests",
    "tekton.dev/pipelineruns",
    "tekton.dev/taskruns",
];

/// Kinds of which each object with a controller is made by it, and made again by it.
const MADE: &[&str] = &[
    "/endpoints",
    "/persistentvolumeclaims",
    "/pods",
    "apps/controllerrevisions",
    "apps/replicasets",
    "batch/jobs",
    "discovery.k8s.io/endpointslices",
    "resource.k8s.io/resourceclaims",
];

/// `ConfigMap`s that a controller puts into every namespace.
const ROOT_CERTIFICATES: &[&str] = &["istio-ca-root-cert", "kube-root-ca.crt", "openshift-service-ca.crt"];

/// What the rules say of one object, given both sides of it.
pub(super) fn verdict(kind_key: &str, wanted: Option<&Full>, live: Option<&Full>, widen: &Widen) -> Verdict {
    let object = Object { kind: kind_key, wanted: wanted.map(|full| &full.value), live: live.map(|full| &full.value) };
    let verdict = object
        .never()
        .or_else(|| object.terminating_then())
        .or_else(|| object.owned())
        .or_else(|| match kind_key {
            "/pods" => object.pod(),
            "batch/jobs" => object.job(widen),
            "/secrets" => object.secret(),
            "/endpoints" | "discovery.k8s.io/endpointslices" => object.endpoints(),
            "/persistentvolumes" => volume_is_gone(wanted, live),
            "snapshot.storage.k8s.io/volumesnapshots" | "snapshot.storage.k8s.io/volumesnapshotcontents" => {
                object.volume_snapshot()
            }
            "apiextensions.k8s.io/customresourcedefinitions" => object.crd(),
            _ => None,
        })
        .or_else(|| object.run(widen))
        .or_else(|| object.system(widen));
    verdict.unwrap_or(Verdict::Act)
}

/// What the rules say of a claim that has to be created, whose data may be gone.
pub fn claim(wanted: &Full, around: &Surroundings, widen: &Widen) -> Verdict {
    let text = |path: &str| wanted.value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name, volume) = (text("/metadata/namespace"), text("/metadata/name"), text("/spec/volumeName"));
    // A claim that never had a volume has nothing to lose.
    if widen.allow_empty_volumes || volume.is_empty() || around.can_bind(volume, namespace, name) {
        return Verdict::Act;
    }
    let belongs_to = around.volumes.get(volume).and_then(|volume| volume.claim.clone());
    let rule = Ruled::EmptyClaim { volume: volume.to_owned(), belongs_to };
    Verdict::Leave { rule, unless: Some(Permission::EmptyVolumes) }
}

/// Whether an object counts as absent at the moment: it was being deleted.
pub fn absent_then(wanted: &Full) -> bool {
    wanted.value.pointer("/metadata/deletionTimestamp").is_some_and(|stamp| !stamp.is_null())
}

/// Who controls an object; its text is `Kind name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Controller<'o> {
    /// Its Kind.
    pub kind: &'o str,
    /// Its name.
    pub name: &'o str,
}

impl fmt::Display for Controller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// The controller of an object.
pub fn controller(value: &Value) -> Option<Controller<'_>> {
    let owners = value.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))?;
    Some(Controller { kind: owner.get("kind")?.as_str()?, name: owner.get("name")?.as_str()? })
}

/// Whether a Job has run to its end, well or not.
pub fn is_finished(job: &Value) -> bool {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array).unwrap_or_default();
    let ended = |condition: &Value| {
        let text = |field: &str| condition.get(field).and_then(Value::as_str);
        matches!(text("type"), Some("Complete" | "Failed")) && text("status") == Some("True")
    };
    conditions.iter().any(ended) || job.pointer("/status/completionTime").is_some_and(|time| !time.is_null())
}

#[expect(clippy::unnecessary_wraps, reason = "it is what a rule that fits answers")]
fn leave(rule: Ruled) -> Option<Verdict> {
    Some(Verdict::Leave { rule, unless: None })
}

#[expect(clippy::unnecessary_wraps, reason = "it is what a rule that fits answers")]
fn leave_unless(rule: Ruled, permission: Permission) -> Option<Verdict> {
    Some(Verdict::Leave { rule, unless: Some(permission) })
}

fn volume_is_gone(wanted: Option<&Full>, live: Option<&Full>) -> Option<Verdict> {
    let gone = live.is_none() && wanted.is_some_and(|volume| !outlives_its_object(volume));
    gone.then(|| leave(Ruled::ReclaimedVolume))?
}

struct Object<'o> {
    kind: &'o str,
    wanted: Option<&'o Value>,
    live: Option<&'o Value>,
}

impl<'o> Object<'o> {
    fn sides(&self) -> impl Iterator<Item = &'o Value> {
        self.wanted.into_iter().chain(self.live)
    }

    fn text(&self, path: &str) -> &'o str {
        self.sides().find_map(|side| side.pointer(path)?.as_str()).unwrap_or_default()
    }

    fn marked(&self, name: &str) -> bool {
        self.sides().any(|side| secrets::mark(side, name).is_some())
    }

    /// Whether a wanted object would have to be created: nothing is there, or another of its name.
    fn is_new(&self) -> bool {
        let uid = |side: Option<&'o Value>| side.and_then(|side| side.pointer("/metadata/uid"));
        self.wanted.is_some() && (self.live.is_none() || uid(self.wanted) != uid(self.live))
    }

    fn never(&self) -> Option<Verdict> {
        if let Some((rule, _)) = NEVER.iter().find(|(_, kinds)| kinds.contains(&self.kind)) {
            return leave(rule.clone());
        }
        let name = self.text("/metadata/name");
        match self.kind {
            "/configmaps" if ROOT_CERTIFICATES.contains(&name) => leave(Ruled::RootCa(name.to_owned())),
            "/services" | "/endpoints" | "discovery.k8s.io/endpointslices"
                if name == "kubernetes" && self.text("/metadata/namespace") == "default" =>
            {
                leave(Ruled::ApiServerService)
            }
            "/serviceaccounts" if name == "default" => leave(Ruled::DefaultServiceAccount),
            "apiregistration.k8s.io/apiservices" if self.marked("kube-aggregator.kubernetes.io/automanaged") => {
                leave(Ruled::AutomanagedApiService)
            }
            "/pods" if self.marked("kubernetes.io/config.mirror") => leave(Ruled::MirrorPod),
            _ => None,
        }
    }

    fn terminating_then(&self) -> Option<Verdict> {
        let stamp = self.wanted?.pointer("/metadata/deletionTimestamp").is_some_and(|stamp| !stamp.is_null());
        stamp.then(|| leave(Ruled::TerminatingThen))?
    }

    fn owned(&self) -> Option<Verdict> {
        if !MADE.contains(&self.kind) {
            return None;
        }
        let owner = self.sides().find_map(controller)?;
        let by_pod = owner.kind == "Pod";
        // Of these only what a Pod asked for is made again; other owners only tie their lifetime to theirs.
        if matches!(self.kind, "/persistentvolumeclaims" | "resource.k8s.io/resourceclaims") && !by_pod {
            return None;
        }
        leave(Ruled::Owned(owner.to_string()))
    }

    fn pod(&self) -> Option<Verdict> {
        let phase = self.wanted?.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
        let finished = self.is_new() && matches!(phase, "Succeeded" | "Failed");
        finished.then(|| leave(Ruled::PodFinished(phase.to_owned())))?
    }

    fn job(&self, widen: &Widen) -> Option<Verdict> {
        let job = self.wanted.filter(|_| self.is_new())?;
        if is_finished(job) {
            return leave(Ruled::JobFinished);
        }
        if widen.rerun_jobs || job.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true) {
            return None;
        }
        leave_unless(Ruled::JobRunning, Permission::RerunJobs)
    }

    fn secret(&self) -> Option<Verdict> {
        if self.sides().any(|secret| secrets::sort(secret) == "bootstrap.kubernetes.io/token") {
            return leave(Ruled::BootstrapToken);
        }
        if self.sides().any(secrets::is_automatic_token) {
            return leave(Ruled::AccountToken);
        }
        let (rule, program) = self.sides().find_map(secrets::maker)?;
        leave(Ruled::MadeSecret { rule, program })
    }

    fn endpoints(&self) -> Option<Verdict> {
        if self.kind == "/endpoints" {
            let made = self.marked("endpoints.kubernetes.io/managed-by")
                || self.marked("endpoints.kubernetes.io/last-change-trigger-time");
            return made.then(|| leave(Ruled::Endpoints))?;
        }
        let by = self.sides().find_map(|side| secrets::mark(side, "endpointslice.kubernetes.io/managed-by"))?;
        leave(Ruled::EndpointSlice(by.to_owned()))
    }

    fn volume_snapshot(&self) -> Option<Verdict> {
        let source = self.wanted.filter(|_| self.is_new())?.pointer("/spec/source")?;
        let dynamic = source.get("persistentVolumeClaimName").or_else(|| source.get("volumeHandle")).is_some();
        dynamic.then(|| leave(Ruled::VolumeSnapshot))?
    }

    fn crd(&self) -> Option<Verdict> {
        let missing = crd::stored_versions_lost(self.wanted?, self.live?);
        if missing.is_empty() {
            return None;
        }
        leave(Ruled::StoredVersions(missing))
    }

    fn run(&self, widen: &Widen) -> Option<Verdict> {
        let new = RUNS.contains(&self.kind) && self.is_new() && !widen.rerun_jobs;
        new.then(|| leave_unless(Ruled::RunOnce, Permission::RerunJobs))?
    }

    fn system(&self, widen: &Widen) -> Option<Verdict> {
        if widen.include_system {
            return None;
        }
        let name = self.text("/metadata/name");
        let truth = |mark: &str| self.sides().any(|side| secrets::mark(side, mark) == Some("true"));
        match self.kind.split_once('/')? {
            ("rbac.authorization.k8s.io", _)
                if name.starts_with("system:")
                    || truth("rbac.authorization.kubernetes.io/autoupdate")
                    || self.marked("kubernetes.io/bootstrapping") =>
            {
                leave_unless(Ruled::RbacSystem, Permission::System)
            }
            ("flowcontrol.apiserver.k8s.io", _)
                if truth("apf.kubernetes.io/autoupdate-spec") || matches!(name, "exempt" | "catch-all") =>
            {
                leave_unless(Ruled::FlowcontrolSystem, Permission::System)
            }
            ("scheduling.k8s.io", "priorityclasses") if name.starts_with("system-") => {
                leave_unless(Ruled::SystemPriorityClass, Permission::System)
            }
            _ => None,
        }
    }
}
