//! The rows of the table about programs that destroy something elsewhere.

use crate::kinds::Rule;

/// The rows about them.
pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "outside-deployed",
        kinds: &[
            "argoproj.io/applications",
            "argoproj.io/applicationsets",
            "helm.toolkit.fluxcd.io/helmreleases",
            "kustomize.toolkit.fluxcd.io/kustomizations",
            "fleet.cattle.io/bundles",
            "work.open-cluster-management.io/manifestworks",
            "work.karmada.io/works",
        ],
        what: "What deploys is deleted only with `{delete KIND}` where its finalizer takes along what it deployed: Argo CD Applications and ApplicationSets with `resources-finalizer.argocd.argoproj.io`, Flux Kustomizations and HelmReleases, bundles of Rancher Fleet, works of Open Cluster Management and Karmada.",
        why: "Everything that they deployed goes, in this cluster and others. An Application without the finalizer leaves all of it where it is, and is deleted like any object.",
    },
    Rule {
        id: "outside-cloud",
        kinds: &[
            "apiextensions.crossplane.io/compositeresourcedefinitions",
            "*.services.k8s.aws/*",
            "elbv2.k8s.aws/targetgroupbindings",
            "*.cnrm.cloud.google.com/*",
            "*.azure.com/*",
            "app.terraform.io/workspaces",
            "infra.contrib.fluxcd.io/terraforms",
        ],
        what: "What stands for resources of a cloud is deleted only with `{delete KIND}`: Crossplane managed resources, claims, composites and their definitions, AWS Controllers for Kubernetes, the AWS Load Balancer Controller, Config Connector, Azure Service Operator, controllers of Terraform and OpenTofu.",
        why: "Their finalizers delete the databases, buckets and networks themselves.",
    },
    Rule {
        id: "outside-machines",
        kinds: &[
            "cluster.x-k8s.io/clusters",
            "cluster.x-k8s.io/machines",
            "cluster.x-k8s.io/machinedeployments",
            "karpenter.sh/nodepools",
            "karpenter.sh/nodeclaims",
            "metal3.io/baremetalhosts",
            "kubevirt.io/virtualmachines",
            "kubevirt.io/virtualmachineinstances",
            "management.cattle.io/*",
        ],
        what: "Machines and what is made of them are deleted only with `{delete KIND}`: Cluster API, Karpenter, Metal3, KubeVirt, Rancher.",
        why: "Nodes, hosts and virtual machines go with them, and whatever runs there.",
    },
    Rule {
        id: "outside-names",
        kinds: &[
            "externaldns.k8s.io/dnsendpoints",
            "cert-manager.io/*",
            "acme.cert-manager.io/challenges",
            "secrets.hashicorp.com/*",
            "external-secrets.io/pushsecrets",
        ],
        what: "DNS records, certificates and secrets of other systems: DNSEndpoints of external-dns, and what has a finalizer of cert-manager and its issuers, the Vault Secrets Operator or External Secrets (PushSecrets), are deleted only with `{delete KIND}`.",
        why: "Names stop resolving and credentials stop working outside of the cluster, and an undo does not bring the old ones back.",
    },
    Rule {
        id: "outside-namespaces",
        kinds: &[
            "hnc.x-k8s.io/subnamespaceanchors",
            "hnc.x-k8s.io/hierarchyconfigurations",
            "capsule.clastix.io/tenants",
            "external-secrets.io/clusterexternalsecrets",
            "kyverno.io/clusterpolicies",
            "kyverno.io/policies",
        ],
        what: "What makes or fills other namespaces is deleted only with `{delete KIND}`, with a finalizer or without: anchors and hierarchies of Hierarchical Namespaces, Tenants of Capsule, ClusterExternalSecrets of External Secrets, policies of Kyverno.",
        why: "Their controllers delete objects of namespaces that no owner reference leads to, so that no plan shows them.",
    },
    Rule {
        id: "outside-data",
        kinds: &[
            "kafka.strimzi.io/kafkatopics",
            "kafka.strimzi.io/kafkausers",
            "acid.zalan.do/postgresqls",
            "postgresql.cnpg.io/databases",
            "k8s.mariadb.com/*",
            "postgres-operator.crunchydata.com/postgresclusters",
            "*.percona.com/*",
            "ceph.rook.io/*",
            "longhorn.io/*",
            "argoproj.io/workflows",
            "velero.io/*",
            "*.knative.dev/*",
        ],
        what: "What data hang on is deleted only with `{delete KIND}`: topics and users of Strimzi, databases of Zalando's operator, CloudNativePG, the MariaDB operator, Crunchy, Percona, storage of Rook and Longhorn, artifacts of Argo Workflows, Velero, what Knative made in brokers.",
        why: "Their programs delete the data behind the object, or what leads to them.",
    },
];
