//! References of what is widely run on Kubernetes: certificates, secrets, `GitOps`, monitoring, policy, backups.

use super::{
    Row, account, any, class, colon, host, image, namespace, namespaces, object, packed, principal, row, selector,
};

const PROMETHEUS: &[&str] = &["monitoring.coreos.com/prometheuses", "monitoring.coreos.com/prometheusagents"];
const MONITORS: &[&str] = &["monitoring.coreos.com/servicemonitors", "monitoring.coreos.com/podmonitors"];
const OPERATED: &[&str] = &[
    "monitoring.coreos.com/prometheuses",
    "monitoring.coreos.com/prometheusagents",
    "monitoring.coreos.com/alertmanagers",
    "monitoring.coreos.com/thanosrulers",
];
const STORES: &[&str] = &["external-secrets.io/clustersecretstores", "external-secrets.io/secretstores"];
const KYVERNO: &[&str] = &["kyverno.io/clusterpolicies", "kyverno.io/policies"];

pub(super) const SECRETS: &[Row] = &[
    any(
        "cert-manager-injection",
        &[object(
            "metadata annotations cert-manager.io/inject-ca-from|cert-manager.io/inject-ca-from-secret|certmanager.k8s.io/inject-ca-from",
        )],
    ),
    any("cert-manager-names", &[host("metadata annotations cert-manager.io/common-name|cert-manager.io/alt-names")]),
    row(
        "certificates",
        &["cert-manager.io/certificates"],
        &[host("spec dnsNames []"), host("spec commonName"), principal("spec uris []")],
    ),
    row(
        "issuers",
        &["cert-manager.io/issuers", "cert-manager.io/clusterissuers"],
        &[
            host("spec acme server"),
            host("spec vault server"),
            namespace("spec acme solvers [] http01 gatewayHTTPRoute parentRefs [] namespace"),
            host("spec acme solvers [] selector dnsNames|dnsZones []"),
        ],
    ),
    row(
        "request-policies",
        &["policy.cert-manager.io/certificaterequestpolicies"],
        &[namespace("spec selector namespace matchNames []"), selector("spec selector namespace")],
    ),
    row(
        "trust-bundles",
        &["trust.cert-manager.io/bundles", "trust-manager.io/clusterbundles"],
        &[selector("spec target namespaceSelector")],
    ),
    row(
        "secret-stores",
        STORES,
        &[
            namespace("spec provider ** {name} namespace"),
            namespace("spec conditions [] namespaces []"),
            selector("spec conditions [] namespaceSelector"),
            host("spec provider vault server"),
        ],
    ),
    row("secret-generators", &["generators.external-secrets.io/*"], &[namespace("spec ** {name} namespace")]),
    row(
        "cluster-external-secrets",
        &["external-secrets.io/clusterexternalsecrets", "external-secrets.io/clusterpushsecrets"],
        &[namespace("spec namespaces []"), selector("spec namespaceSelector"), selector("spec namespaceSelectors []")],
    ),
    row("sealed-secrets", &["bitnami.com/sealedsecrets"], &[namespace("spec template metadata namespace")]),
    any(
        "copied-secrets",
        &[
            object(
                "metadata annotations replicator.v1.mittwald.de/replicate-from|replicator.v1.mittwald.de/replicated-from|reflector.v1.k8s.emberstack.com/reflects",
            ),
            namespaces(
                "metadata annotations replicator.v1.mittwald.de/replicate-to|replicator.v1.mittwald.de/replication-allowed-namespaces|reflector.v1.k8s.emberstack.com/reflection-allowed-namespaces|reflector.v1.k8s.emberstack.com/reflection-auto-namespaces",
            ),
        ],
    ),
];

pub(super) const GITOPS: &[Row] = &[
    row(
        "argo-applications",
        &["argoproj.io/applications"],
        &[
            namespace("spec destination {server=https://kubernetes.default.svc} namespace"),
            namespace("spec destination {name=in-cluster} namespace"),
            namespace("spec source|sources|sourceHydrator ** helm|kustomize namespace"),
            namespace("spec source|sources|sourceHydrator ** kustomize patches [] target namespace"),
            namespace("spec ignoreDifferences [] namespace"),
        ],
    ),
    row(
        "argo-application-sets",
        &["argoproj.io/applicationsets"],
        &[
            namespace("spec template metadata namespace"),
            namespace("spec template spec destination {server=https://kubernetes.default.svc} namespace"),
            namespace("spec template spec destination {name=in-cluster} namespace"),
            namespace("spec template spec source|sources|sourceHydrator ** helm|kustomize namespace"),
            namespace("spec template spec source|sources|sourceHydrator ** kustomize patches [] target namespace"),
            namespace("spec template spec ignoreDifferences [] namespace"),
            namespace("spec generators ** template spec destination namespace"),
        ],
    ),
    row(
        "argo-projects",
        &["argoproj.io/appprojects"],
        &[
            namespace("spec destinations [] namespace"),
            namespace("spec sourceNamespaces []"),
            namespace("spec destinationServiceAccounts [] namespace"),
            colon("spec destinationServiceAccounts [] defaultServiceAccount"),
            namespace("spec syncWindows [] namespaces []"),
        ],
    ),
    row("argo-clusters", &["/secrets"], &[packed("data {server} {config} namespaces")]),
    row(
        "flux-kustomizations",
        &["kustomize.toolkit.fluxcd.io/kustomizations"],
        &[
            namespace("spec sourceRef namespace"),
            namespace("spec {!kubeConfig} targetNamespace"),
            namespace("spec dependsOn [] namespace"),
            namespace("spec {!kubeConfig} healthChecks [] namespace"),
            namespace("spec patches [] target namespace"),
        ],
    ),
    row(
        "flux-releases",
        &["helm.toolkit.fluxcd.io/helmreleases"],
        &[
            namespace("spec chart spec sourceRef namespace"),
            namespace("spec chartRef namespace"),
            namespace("spec {!kubeConfig} targetNamespace"),
            namespace("spec {!kubeConfig} storageNamespace"),
            namespace("spec dependsOn [] namespace"),
            namespace("spec postRenderers [] kustomize patches [] target namespace"),
            namespace("spec driftDetection ignore [] target namespace"),
        ],
    ),
    row(
        "flux-sources",
        &["source.toolkit.fluxcd.io/*"],
        &[host("spec url"), host("spec endpoint"), selector("spec accessFrom namespaceSelectors []")],
    ),
    row(
        "flux-artifacts",
        &["source.extensions.fluxcd.io/artifactgenerators"],
        &[namespace("spec sources [] namespace")],
    ),
    row(
        "flux-images",
        &["image.toolkit.fluxcd.io/*"],
        &[
            namespace("spec imageRepositoryRef namespace"),
            namespace("spec sourceRef namespace"),
            selector("spec accessFrom namespaceSelectors []"),
            image("spec image"),
        ],
    ),
    row(
        "flux-notifications",
        &["notification.toolkit.fluxcd.io/*"],
        &[namespace("spec eventSources [] namespace"), namespace("spec resources [] namespace"), host("spec address")],
    ),
];

pub(super) const MONITORING: &[Row] = &[
    row("prometheus-monitors", MONITORS, &[namespace("spec namespaceSelector matchNames []")]),
    row(
        "prometheus-probes",
        &["monitoring.coreos.com/probes"],
        &[
            namespace("spec targets ingress namespaceSelector matchNames []"),
            host("spec targets staticConfig static []"),
            host("spec prober url"),
        ],
    ),
    row(
        "prometheus-scrapes",
        &["monitoring.coreos.com/scrapeconfigs"],
        &[
            namespace("spec kubernetesSDConfigs [] namespaces names []"),
            host("spec staticConfigs [] targets []"),
            host("spec httpSDConfigs [] url"),
        ],
    ),
    row(
        "prometheus",
        PROMETHEUS,
        &[
            selector(
                "spec podMonitorNamespaceSelector|probeNamespaceSelector|ruleNamespaceSelector|scrapeConfigNamespaceSelector|serviceMonitorNamespaceSelector",
            ),
            namespace("spec alerting alertmanagers [] namespace"),
            namespace("spec excludedFromEnforcement [] namespace"),
            namespace("spec prometheusRulesExcludedFromEnforce [] ruleNamespace"),
            host("spec remoteRead|remoteWrite [] url"),
        ],
    ),
    row(
        "alertmanagers",
        &["monitoring.coreos.com/alertmanagers"],
        &[selector("spec alertmanagerConfigNamespaceSelector")],
    ),
    row(
        "thanos-rulers",
        &["monitoring.coreos.com/thanosrulers"],
        &[
            selector("spec ruleNamespaceSelector"),
            namespace("spec excludedFromEnforcement [] namespace"),
            namespace("spec prometheusRulesExcludedFromEnforce [] ruleNamespace"),
            host("spec queryEndpoints|alertmanagersUrl []"),
        ],
    ),
    row(
        "prometheus-operands",
        OPERATED,
        &[
            host("spec externalUrl"),
            image("spec image"),
            image("spec thanos image"),
            class("spec storage volumeClaimTemplate spec storageClassName"),
            namespace("spec storage volumeClaimTemplate spec dataSourceRef namespace"),
            class("spec storage ephemeral volumeClaimTemplate spec storageClassName"),
            namespace("spec storage ephemeral volumeClaimTemplate spec dataSourceRef namespace"),
        ],
    ),
    row(
        "keda-scalers",
        &["keda.sh/scaledobjects", "keda.sh/scaledjobs"],
        &[host("spec triggers [] metadata serverAddress|bootstrapServers|address|addresses|host|url")],
    ),
];

pub(super) const POLICY: &[Row] = &[
    row(
        "gatekeeper-constraints",
        &["constraints.gatekeeper.sh/*", "mutations.gatekeeper.sh/*"],
        &[
            namespace("spec match namespaces []"),
            namespace("spec match excludedNamespaces []"),
            selector("spec match namespaceSelector"),
        ],
    ),
    row("gatekeeper-config", &["config.gatekeeper.sh/configs"], &[namespace("spec match [] excludedNamespaces []")]),
    row(
        "kyverno-policies",
        KYVERNO,
        &[
            namespace("spec rules [] match|exclude ** namespaces []"),
            selector("spec rules [] match|exclude ** namespaceSelector"),
            namespace("spec rules [] match|exclude ** subjects [kind=ServiceAccount] namespace"),
            namespace("spec rules [] context [] configMap namespace"),
            namespace("spec rules [] generate namespace"),
            namespace("spec rules [] generate foreach [] namespace"),
            namespace("spec rules [] generate ** clone|cloneList namespace"),
            namespace("spec rules [] mutate targets [] namespace"),
        ],
    ),
    row("kyverno-expressions", &["policies.kyverno.io/*"], &[selector("spec matchConstraints namespaceSelector")]),
    row(
        "kyverno-exceptions",
        &["kyverno.io/policyexceptions"],
        &[namespace("spec match ** namespaces []"), selector("spec match ** namespaceSelector")],
    ),
    row("hnc-anchors", &["hnc.x-k8s.io/subnamespaceanchors"], &[namespace("metadata name")]),
    row("hnc-parents", &["hnc.x-k8s.io/hierarchyconfigurations"], &[namespace("spec parent")]),
    row(
        "openshift-constraints",
        &["security.openshift.io/securitycontextconstraints"],
        &[account("users []"), account("groups []")],
    ),
    row(
        "openshift-images",
        &["image.openshift.io/imagestreams", "apps.openshift.io/deploymentconfigs", "build.openshift.io/buildconfigs"],
        &[
            namespace("spec tags [] from namespace"),
            namespace("spec triggers [] imageChangeParams from namespace"),
            namespace("spec strategy ** from namespace"),
            namespace("spec output to namespace"),
        ],
    ),
];

pub(super) const PLATFORMS: &[Row] = &[
    row(
        "velero-schedules",
        &["velero.io/schedules"],
        &[
            namespace("spec template includedNamespaces|excludedNamespaces []"),
            namespace("spec template hooks resources [] includedNamespaces|excludedNamespaces []"),
        ],
    ),
    row("hindcast-schedules", &["hindcast.dev/schedules"], &[namespace("spec ** namespaces|excludedNamespaces []")]),
    row(
        "cluster-api",
        &["cluster.x-k8s.io/*"],
        &[
            namespace("spec controlPlaneRef|infrastructureRef namespace"),
            namespace("spec bootstrap configRef namespace"),
            namespace("spec template spec infrastructureRef namespace"),
            namespace("spec template spec bootstrap configRef namespace"),
        ],
    ),
    row(
        "crossplane-connections",
        &["*/providerconfigs", "*/clusterproviderconfigs"],
        &[namespace("spec credentials secretRef namespace")],
    ),
    any("crossplane-secrets", &[namespace("spec writeConnectionSecretToRef namespace")]),
    row(
        "knative-references",
        &["eventing.knative.dev/*", "messaging.knative.dev/*", "sources.knative.dev/*", "flows.knative.dev/*"],
        &[namespace("spec ** ref namespace"), host("spec ** {!ref} uri")],
    ),
    row(
        "knative-domains",
        &["serving.knative.dev/domainmappings"],
        &[host("metadata name"), namespace("spec ref namespace")],
    ),
    row(
        "databases",
        &["postgresql.cnpg.io/clusters"],
        &[
            class("spec storage|walStorage storageClass"),
            class("spec tablespaces [] storage storageClass"),
            image("spec imageName"),
            host("spec externalClusters [] connectionParameters host"),
        ],
    ),
    row(
        "data-volumes",
        &["cdi.kubevirt.io/datavolumes"],
        &[
            class("spec pvc|storage storageClassName"),
            namespace("spec source pvc|snapshot namespace"),
            namespace("spec sourceRef namespace"),
        ],
    ),
];
