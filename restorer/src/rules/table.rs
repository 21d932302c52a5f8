//! The rows of the table that are about any kind, or about several families: what is done and why, for someone who reads
//! them at 3 a.m.
//!
//! Not here: the rows about one family, which stand with its descriptors ([`crate::kinds`]); how it is done.

use super::Rule;

/// The rules about any kind.
pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "scale-written",
        kinds: &[],
        what: "A field that a program known to scale wrote through the subresource `scale` stays as it is live. What anybody else wrote through it, as `kubectl scale` does, is restored like any field, unless an autoscaler is there (`hpa-replicas`).",
        why: "An autoscaler answers to the load of now; whoever scales by hand decides, and may have erred.",
    },
    Rule {
        id: "controller-written",
        kinds: &[],
        what: "A field whose only owners in `managedFields` are parts of Kubernetes (controller manager, scheduler, kubelet, …) stays as it is live, unless a person has set it since. A new object gets it as it was.",
        why: "A controller writes what is true now, and would write it again.",
    },
    Rule {
        id: "server-metadata",
        kinds: &[],
        what: "`uid`, `resourceVersion`, `generation`, `creationTimestamp`, `selfLink`, the deletion marks and `managedFields` are never sent as they were.",
        why: "The server sets them. Who owns which field is set back afterwards, in a write of its own.",
    },
    Rule {
        id: "status",
        kinds: &[],
        what: "`status` is never written.",
        why: "It says what is; the controller of the kind observes that anew.",
    },
    Rule {
        id: "finalizers",
        kinds: &[],
        what: "Finalizers of a live object stay as they are. Where one is missing, or a person added one, that is told as a difference, and asking for them alone puts them back: `{part metadata.finalizers}`. A new object gets those of then, without the marks of a deletion; finalizers of other programs are named in the plan.",
        why: "Taking one away skips somebody's cleaning up; adding one whose program is gone makes the object undeletable.",
    },
    Rule {
        id: "leader-annotation",
        kinds: &[],
        what: "The annotation `control-plane.alpha.kubernetes.io/leader` stays as it is live.",
        why: "It says who leads now.",
    },
    Rule {
        id: "owner-uid",
        kinds: &[],
        what: "An owner reference is compared by kind and name; its `uid` is the live owner's.",
        why: "An owner that was made again has another uid. A child that names a dead uid is deleted by the garbage collector within seconds.",
    },
    Rule {
        id: "owners-first",
        kinds: &[],
        what: "Owners are created before what they own, and the new uid is set in the child before it is created. Where an owner is deleted and created again, the reference to it is taken out of what it owns before, and set anew after.",
        why: "The garbage collector removes a child whose owner does not exist.",
    },
    Rule {
        id: "owner-missing",
        kinds: &[],
        what: "A reference to an owner that is not there and does not come back is dropped, and the plan says so.",
        why: "With it, the object would be deleted at once.",
    },
    Rule {
        id: "owned",
        kinds: &[
            "/endpoints",
            "/persistentvolumeclaims",
            "/pods",
            "apps/replicasets",
            "batch/jobs",
            "discovery.k8s.io/endpointslices",
            "resource.k8s.io/resourceclaims",
        ],
        what: "What a controller makes of its owner (ReplicaSets of a Deployment, Pods of a ReplicaSet, Jobs of a CronJob, …) is neither restored nor deleted by itself.",
        why: "Put the owner back and they follow; deleting the owner deletes them.",
    },
    Rule {
        id: "owned-deleted",
        kinds: &[],
        what: "What else an added object owns is deleted after it as an action of its own, shown and recorded like any other.",
        why: "The garbage collector would take it in any case, and no undo would know of it.",
    },
    Rule {
        id: "propagation",
        kinds: &[],
        what: "Deletes say what becomes of children: they are deleted in the background; those of a StatefulSet that is made again are left. What an object took over and did not make is let go of and stays.",
        why: "The server's own choice differs from kind to kind: a Job's Pods would be left running.",
    },
    Rule {
        id: "terminating-then",
        kinds: &[],
        what: "An object that was being deleted at the moment counts as absent.",
        why: "Nobody wanted it any more; put back, it would never finish going.",
    },
    Rule {
        id: "terminating",
        kinds: &[],
        what: "An object that is being deleted now is waited for, then created. In a namespace that is being deleted nothing is created until it is gone; both with a deadline.",
        why: "A write to an object on its way out is lost with it.",
    },
    Rule {
        id: "holds-others",
        kinds: &[],
        what: "What takes others along is deleted only if they may go. A namespace or a definition goes after all that it holds, each by an action of its own or made by machines, and stays if anything else is in it or cannot be read. An owner stays if the garbage collector would take after it what was there at the moment, or data; what else it would take is named. What it owns is looked for once more right before the delete.",
        why: "Nothing goes that the plan does not show.",
    },
    Rule {
        id: "immutable-fields",
        kinds: &[],
        what: "Where a field differs that cannot change, the object is deleted and created again, only with `{recreate}` unless nobody can notice (immutable ConfigMaps and Secrets, quota scopes).",
        why: "The server refuses the change, and what happens in between depends on the kind.",
    },
    Rule {
        id: "gitops-owner",
        kinds: &[],
        what: "Argo CD, Flux and Helm are named with what they will do and the command that stops it.",
        why: "What is declared elsewhere is put back from there, and the restore is undone.",
    },
    Rule {
        id: "version-not-served",
        kinds: &[],
        what: "An object recorded in a version that is no longer served is read in one that is, if the server still converts it; else it is left, and the plan says which version is missing.",
        why: "The server takes no writes in a version that it does not serve.",
    },
    Rule {
        id: "destroys-outside",
        kinds: &[],
        what: "A custom object with a finalizer of any program is deleted, also to be created again, only with `{delete KIND}`; the plan names the finalizer, and what its program is known to destroy. The rules `outside-…` name those that are known, also without a finalizer. Of built-in kinds, finalizers are named beside the delete.",
        why: "A finalizer lets its program destroy what no plan shows and no undo brings back: cloud resources, other clusters, other namespaces.",
    },
    Rule {
        id: "destroys-data",
        kinds: &[
            "/persistentvolumeclaims",
            "/persistentvolumes",
            "/namespaces",
            "apiextensions.k8s.io/customresourcedefinitions",
            "batch/jobs",
            "/pods",
            "apps/statefulsets",
            "snapshot.storage.k8s.io/volumesnapshots",
            "snapshot.storage.k8s.io/volumesnapshotcontents",
            "groupsnapshot.storage.k8s.io/volumegroupsnapshots",
            "groupsnapshot.storage.k8s.io/volumegroupsnapshotcontents",
        ],
        what: "Deletes of claims, volumes, namespaces, definitions, Jobs that run, Pods without a controller, snapshots and StatefulSets that take their claims along are listed, and done only with `{delete KIND}`. So is an update that takes claims along: fewer replicas of a StatefulSet with `whenScaled: Delete`.",
        why: "No undo brings back what goes with them.",
    },
];
