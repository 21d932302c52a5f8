//! Where the templates of Pods are in the kinds that have some.
//!
//! **Invariant** (`tests/rows.rs`). The built-in kinds are those whose descriptors name the spec of their Pods.

/// Kind keys, and the way to the template: what has the Pods' `metadata` and `spec`.
const TEMPLATES: &[(&str, &str)] = &[
    ("/pods", ""),
    ("/podtemplates", "template"),
    ("/replicationcontrollers", "spec template"),
    ("apps/daemonsets", "spec template"),
    ("apps/deployments", "spec template"),
    ("apps/replicasets", "spec template"),
    ("apps/statefulsets", "spec template"),
    ("batch/jobs", "spec template"),
    ("batch/cronjobs", "spec jobTemplate spec template"),
    ("apps.kruise.io/clonesets", "spec template"),
    ("apps.kruise.io/daemonsets", "spec template"),
    ("apps.kruise.io/statefulsets", "spec template"),
    ("apps.openshift.io/deploymentconfigs", "spec template"),
    ("argoproj.io/rollouts", "spec template"),
    ("jobset.x-k8s.io/jobsets", "spec replicatedJobs [] template spec template"),
    ("keda.sh/scaledjobs", "spec jobTargetRef template"),
    // These run Pods, and have the fields of a Pod's `spec` in their own.
    ("monitoring.coreos.com/alertmanagers", ""),
    ("monitoring.coreos.com/prometheusagents", ""),
    ("monitoring.coreos.com/prometheuses", ""),
    ("monitoring.coreos.com/thanosrulers", ""),
    ("leaderworkerset.x-k8s.io/leaderworkersets", "spec leaderWorkerTemplate leaderTemplate|workerTemplate"),
    ("serving.knative.dev/configurations", "spec template"),
    ("serving.knative.dev/services", "spec template"),
    ("serving.knative.dev/revisions", ""),
];

/// The templates, by kind.
pub(super) fn templates() -> impl Iterator<Item = (&'static str, &'static str)> {
    TEMPLATES.iter().copied()
}
