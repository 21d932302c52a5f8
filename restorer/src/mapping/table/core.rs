//! References of Kubernetes' own kinds.

use super::{
    Row, account, any, class, host, image, manifest, namespace, namespaces, object, of_pods, packed, quota, row,
    search, selector,
};

const MUTATING: &str = "admissionregistration.k8s.io/mutatingwebhookconfigurations";
const VALIDATING: &str = "admissionregistration.k8s.io/validatingwebhookconfigurations";
const RBAC: &[&str] = &["rbac.authorization.k8s.io/rolebindings", "rbac.authorization.k8s.io/clusterrolebindings"];
const ROLES: &[&str] = &["rbac.authorization.k8s.io/roles", "rbac.authorization.k8s.io/clusterroles"];

pub(super) const EVERY: &[Row] = &[
    any("namespace", &[namespace("metadata namespace")]),
    any("last-applied", &[manifest("metadata annotations kubectl.kubernetes.io/last-applied-configuration")]),
    row(
        "namespace-itself",
        &["/namespaces"],
        &[namespace("metadata name"), namespace("metadata labels kubernetes.io/metadata.name")],
    ),
    any("helm-release", &[namespace("metadata annotations meta.helm.sh/release-namespace")]),
    any(
        "flux-owner",
        &[namespace("metadata labels kustomize.toolkit.fluxcd.io/namespace|helm.toolkit.fluxcd.io/namespace")],
    ),
    any("applyset", &[namespaces("metadata annotations applyset.kubernetes.io/additional-namespaces")]),
];

pub(super) const ACCESS: &[Row] = &[
    row(
        "role-binding-subjects",
        RBAC,
        &[
            namespace("subjects [kind=ServiceAccount] namespace"),
            account("subjects [kind=User] name"),
            account("subjects [kind=Group] name"),
        ],
    ),
    row(
        "role-resource-names",
        ROLES,
        &[namespace("rules [] {resources=namespaces} resourceNames []"), account("rules [] resourceNames []")],
    ),
    row("account-secrets", &["/serviceaccounts"], &[namespace("secrets [] namespace")]),
    row("account-token", &["/secrets"], &[packed("{type=kubernetes.io/service-account-token} data namespace")]),
    row(
        "webhooks",
        &[MUTATING, VALIDATING],
        &[
            namespace("webhooks [] clientConfig service namespace"),
            host("webhooks [] clientConfig url"),
            selector("webhooks [] namespaceSelector"),
        ],
    ),
    row(
        "admission-policies",
        &[
            "admissionregistration.k8s.io/validatingadmissionpolicies",
            "admissionregistration.k8s.io/mutatingadmissionpolicies",
        ],
        &[selector("spec matchConstraints namespaceSelector")],
    ),
    row(
        "admission-policy-bindings",
        &[
            "admissionregistration.k8s.io/validatingadmissionpolicybindings",
            "admissionregistration.k8s.io/mutatingadmissionpolicybindings",
        ],
        &[namespace("spec paramRef namespace"), selector("spec matchResources namespaceSelector")],
    ),
    row("api-services", &["apiregistration.k8s.io/apiservices"], &[namespace("spec service namespace")]),
    row(
        "definition-conversion",
        &["apiextensions.k8s.io/customresourcedefinitions"],
        &[
            namespace("spec conversion webhook clientConfig service namespace"),
            host("spec conversion webhook clientConfig url"),
            namespace("spec conversion webhookClientConfig service namespace"),
            host("spec conversion webhookClientConfig url"),
        ],
    ),
    row(
        "flow-schemas",
        &["flowcontrol.apiserver.k8s.io/flowschemas"],
        &[
            namespace("spec rules [] subjects [] serviceAccount namespace"),
            account("spec rules [] subjects [] user name"),
            account("spec rules [] subjects [] group name"),
            namespace("spec rules [] resourceRules [] namespaces []"),
        ],
    ),
];

pub(super) const WORKLOADS: &[Row] = &[
    of_pods(
        "pod-affinity",
        &[
            namespace(
                "spec affinity podAffinity|podAntiAffinity requiredDuringSchedulingIgnoredDuringExecution [] namespaces []",
            ),
            selector(
                "spec affinity podAffinity|podAntiAffinity requiredDuringSchedulingIgnoredDuringExecution [] namespaceSelector",
            ),
            namespace(
                "spec affinity podAffinity|podAntiAffinity preferredDuringSchedulingIgnoredDuringExecution [] podAffinityTerm namespaces []",
            ),
            selector(
                "spec affinity podAffinity|podAntiAffinity preferredDuringSchedulingIgnoredDuringExecution [] podAffinityTerm namespaceSelector",
            ),
        ],
    ),
    of_pods("pod-names", &[search("spec dnsConfig searches []"), host("spec hostAliases [] hostnames []")]),
    of_pods(
        "pod-volumes",
        &[
            namespace("spec volumes [] ephemeral volumeClaimTemplate spec dataSourceRef namespace"),
            class("spec volumes [] ephemeral volumeClaimTemplate spec storageClassName"),
        ],
    ),
    of_pods(
        "pod-images",
        &[
            image("spec containers|initContainers|ephemeralContainers [] image"),
            image("spec volumes [] image reference"),
        ],
    ),
    of_pods(
        "pod-annotations",
        &[
            object("metadata annotations k8s.v1.cni.cncf.io/networks"),
            object("metadata annotations v1.multus-cni.io/default-network"),
            object("metadata annotations instrumentation.opentelemetry.io/*"),
        ],
    ),
    row(
        "claim-templates",
        &["apps/statefulsets", "apps.kruise.io/statefulsets", "apps.kruise.io/clonesets"],
        &[
            namespace("spec volumeClaimTemplates [] metadata namespace"),
            namespace("spec volumeClaimTemplates [] spec dataSourceRef namespace"),
            class("spec volumeClaimTemplates [] spec storageClassName"),
            class("spec volumeClaimTemplates [] metadata annotations volume.beta.kubernetes.io/storage-class"),
        ],
    ),
];

pub(super) const VOLUMES: &[Row] = &[
    row(
        "claims",
        &["/persistentvolumeclaims"],
        &[
            namespace("spec dataSourceRef namespace"),
            class("spec storageClassName"),
            class("metadata annotations volume.beta.kubernetes.io/storage-class"),
        ],
    ),
    row(
        "volumes",
        &["/persistentvolumes"],
        &[
            namespace("spec claimRef namespace"),
            namespace(
                "spec csi controllerExpandSecretRef|controllerPublishSecretRef|nodeExpandSecretRef|nodePublishSecretRef|nodeStageSecretRef namespace",
            ),
            namespace("spec cephfs|cinder|flexVolume|iscsi|rbd|scaleIO|storageos secretRef namespace"),
            namespace("spec azureFile secretNamespace"),
            namespace("spec glusterfs endpointsNamespace"),
            class("spec storageClassName"),
            class("metadata annotations volume.beta.kubernetes.io/storage-class"),
        ],
    ),
    row(
        "class-secrets",
        &["storage.k8s.io/storageclasses"],
        &[
            namespace(
                "parameters csi.storage.k8s.io/provisioner-secret-namespace|csi.storage.k8s.io/controller-publish-secret-namespace|csi.storage.k8s.io/controller-expand-secret-namespace",
            ),
            namespace(
                "parameters csi.storage.k8s.io/node-stage-secret-namespace|csi.storage.k8s.io/node-publish-secret-namespace|csi.storage.k8s.io/node-expand-secret-namespace",
            ),
        ],
    ),
    row(
        "snapshot-class-secrets",
        &["snapshot.storage.k8s.io/volumesnapshotclasses", "groupsnapshot.storage.k8s.io/volumegroupsnapshotclasses"],
        &[
            namespace(
                "parameters csi.storage.k8s.io/snapshotter-secret-namespace|csi.storage.k8s.io/snapshotter-list-secret-namespace",
            ),
            namespace(
                "parameters csi.storage.k8s.io/group-snapshotter-secret-namespace|csi.storage.k8s.io/group-snapshotter-list-secret-namespace",
            ),
        ],
    ),
    row(
        "snapshot-contents",
        &["snapshot.storage.k8s.io/volumesnapshotcontents", "groupsnapshot.storage.k8s.io/volumegroupsnapshotcontents"],
        &[
            namespace("spec volumeSnapshotRef|volumeGroupSnapshotRef namespace"),
            namespace("metadata annotations snapshot.storage.kubernetes.io/deletion-secret-namespace"),
            namespace("metadata annotations groupsnapshot.storage.kubernetes.io/deletion-secret-namespace"),
        ],
    ),
    row("quota-classes", &["/resourcequotas"], &[quota("spec hard")]),
];

pub(super) const TRAFFIC: &[Row] = &[
    row(
        "services",
        &["/services"],
        &[host("spec externalName"), namespaces("metadata annotations networking.istio.io/exportTo")],
    ),
    row("endpoints", &["/endpoints"], &[namespace("subsets [] addresses|notReadyAddresses [] targetRef namespace")]),
    row("endpoint-slices", &["discovery.k8s.io/endpointslices"], &[namespace("endpoints [] targetRef namespace")]),
    row(
        "ingresses",
        &["networking.k8s.io/ingresses", "extensions/ingresses"],
        &[host("spec rules [] host"), host("spec tls [] hosts []")],
    ),
    row("ingress-classes", &["networking.k8s.io/ingressclasses"], &[namespace("spec parameters namespace")]),
    row(
        "network-policies",
        &["networking.k8s.io/networkpolicies"],
        &[selector("spec ingress [] from [] namespaceSelector"), selector("spec egress [] to [] namespaceSelector")],
    ),
];
