//! What goes elsewhere with an object, program by program: each test is named by the rule's id.

use serde_json::json;

use super::*;
use crate::{full::Full, rules};

/// What the delete of an object with these finalizers destroys, in words, and the rule about it.
fn lost(kind: &str, finalizers: &[&str]) -> Option<(&'static str, String)> {
    let object = json!({"metadata": {"name": "x", "finalizers": finalizers}});
    let object = Full { value: Value::from_serde(&object), managed: None };
    let loss = rules::destroys(kind, &object)?;
    Some((loss.rule(), loss.to_string()))
}

fn is(kind: &str, finalizers: &[&str], rule: &str, words: &str) {
    let (of, text) = lost(kind, finalizers).unwrap_or_else(|| panic!("{kind} {finalizers:?} destroys nothing"));
    assert_eq!(of, rule, "{kind}: {text}");
    assert!(text.contains(words), "{kind}: {text}");
    assert!(finalizers.first().is_none_or(|finalizer| text.contains(finalizer)), "{kind}: {text}");
}

#[test]
fn outside_deployed_goes_with_what_deployed_it() {
    let argo = "resources-finalizer.argocd.argoproj.io";
    is("argoproj.io/applications", &[argo], "outside-deployed", "everything that it deployed");
    is("argoproj.io/applications", &[&format!("{argo}/background")], "outside-deployed", "Argo CD");
    is("argoproj.io/applicationsets", &[argo], "outside-deployed", "Argo CD");
    assert_eq!(lost("argoproj.io/applications", &[]), None, "without the finalizer what it deployed stays");
    is("kustomize.toolkit.fluxcd.io/kustomizations", &["finalizers.fluxcd.io"], "outside-deployed", "if it prunes");
    is("helm.toolkit.fluxcd.io/helmreleases", &["finalizers.fluxcd.io"], "outside-deployed", "Helm release");
    assert_eq!(lost("helm.toolkit.fluxcd.io/helmreleases", &[]), None);
}

#[test]
fn outside_cloud_goes_with_what_stands_for_it() {
    let managed = "finalizer.managedresource.crossplane.io";
    is("s3.aws.upbound.io/buckets", &[managed], "outside-cloud", "in the cloud");
    is("shop.example/databases", &["finalizer.apiextensions.crossplane.io"], "outside-cloud", "composed of");
    is("shop.example/xdatabases", &["composite.apiextensions.crossplane.io"], "outside-cloud", "composed of");
    let definitions = "apiextensions.crossplane.io/compositeresourcedefinitions";
    is(definitions, &["defined.apiextensions.crossplane.io"], "outside-cloud", "every object");
    is("s3.services.k8s.aws/buckets", &["finalizers.s3.services.k8s.aws/Bucket"], "outside-cloud", "AWS");
    is("sql.cnrm.cloud.google.com/sqlinstances", &["cnrm.cloud.google.com/finalizer"], "outside-cloud", "Google Cloud");
    is("storage.azure.com/storageaccounts", &["serviceoperator.azure.com/finalizer"], "outside-cloud", "Azure");
    is("infra.contrib.fluxcd.io/terraforms", &["finalizers.tf.contrib.fluxcd.io"], "outside-cloud", "Terraform");
}

#[test]
fn outside_machines_go_with_their_objects() {
    is("cluster.x-k8s.io/clusters", &["cluster.cluster.x-k8s.io"], "outside-machines", "machines");
    let machine = "infrastructure.cluster.x-k8s.io/awsmachines";
    is(machine, &["awsmachine.infrastructure.cluster.x-k8s.io"], "outside-machines", "Cluster API");
    is("karpenter.sh/nodepools", &["karpenter.sh/termination"], "outside-machines", "nodes");
    is("metal3.io/baremetalhosts", &["baremetalhost.metal3.io"], "outside-machines", "host");
    let machine = "kubevirt.io/virtualmachineControllerFinalize";
    is("kubevirt.io/virtualmachines", &[machine], "outside-machines", "virtual machine");
}

#[test]
fn outside_names_stop_to_answer() {
    is("externaldns.k8s.io/dnsendpoints", &[], "outside-names", "DNS records");
    is("acme.cert-manager.io/challenges", &["acme.cert-manager.io/finalizer"], "outside-names", "DNS records");
    assert_eq!(lost("cert-manager.io/certificates", &[]), None, "its Secret is told as what it owns");
    let push = "pushsecret.externalsecrets.io/finalizer";
    is("external-secrets.io/pushsecrets", &[push], "outside-names", "deletionPolicy");
}

#[test]
fn outside_namespaces_are_emptied_without_a_reference() {
    is("hnc.x-k8s.io/subnamespaceanchors", &[], "outside-namespaces", "the namespace of its name");
    is("hnc.x-k8s.io/subnamespaceanchors", &["hnc.x-k8s.io"], "outside-namespaces", "the namespace of its name");
    is("capsule.clastix.io/tenants", &[], "outside-namespaces", "its namespaces");
    is("external-secrets.io/clusterexternalsecrets", &[], "outside-namespaces", "every namespace");
    is("kyverno.io/clusterpolicies", &[], "outside-namespaces", "if they synchronize");
    assert_eq!(lost("external-secrets.io/externalsecrets", &[]), None);
}

#[test]
fn outside_data_goes_with_what_holds_it() {
    is("kafka.strimzi.io/kafkatopics", &[], "outside-data", "messages");
    is("acid.zalan.do/postgresqls", &[], "outside-data", "PostgreSQL");
    is("ceph.rook.io/cephblockpools", &["cephblockpool.ceph.rook.io"], "outside-data", "Ceph");
    is("longhorn.io/volumes", &["longhorn.io"], "outside-data", "replicas");
    assert_eq!(lost("argoproj.io/workflows", &[]), None);
}

#[test]
fn destroys_outside_whatever_an_unknown_finalizer_lets_be_cleaned_up() {
    is("shop.example/carts", &["shop.example/cleanup"], "destroys-outside", "is not known");
    assert_eq!(lost("shop.example/carts", &["foregroundDeletion", "orphan"]), None, "the collector's");
    assert_eq!(lost("/configmaps", &["shop.example/cleanup"]), None, "of built-in kinds the warning is enough");
    assert_eq!(lost("apps/deployments", &["shop.example/cleanup"]), None);
}

#[test]
fn every_program_is_named_by_its_row() {
    for known in known::PROGRAMS {
        let row = rules::find(known.rule).expect("a row of the table");
        for name in known.program.split(", ") {
            assert!(row.what.contains(name), "{} does not name {name}", known.rule);
        }
        assert!(!known.destroys.ends_with('.'), "{}", known.destroys);
    }
}
