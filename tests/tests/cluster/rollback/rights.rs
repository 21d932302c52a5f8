//! Bindings, restored by accounts that may not grant them, or that stand on them.

use anyhow::{Result, ensure};
use hindcast_tests::{manifests::role, real::Cluster};
use serde_json::{Value, json};

use super::{Stage, codes, verbs};
use crate::scene::{ask_with_cluster, rule};

const RBAC: &str = "rbac.authorization.k8s.io";

fn binding(name: &str, role: &str, user: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": RBAC, "kind": "Role", "name": role },
        "subjects": [{ "apiGroup": RBAC, "kind": "User", "name": user }],
    })
}

/// A role that grants something, and one that does not.
async fn roles(stage: &Stage, ns: &str) -> Result<()> {
    let roles = format!("/apis/{RBAC}/v1/namespaces/{ns}/roles");
    let mut deleter = role("deleter");
    deleter["rules"] = json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["delete"] }]);
    stage.post(&roles, deleter).await?;
    stage.post(&roles, role("other")).await?;
    Ok(())
}

/// A binding is to be bound to another role by an account that may not bind that: it is left as it is, before anything
/// is deleted, and the check says so as well.
pub(super) async fn a_binding_that_cannot_be_made_again_stays(stage: &Stage, cluster: &Cluster) -> Result<()> {
    let ns = "rights-bind";
    stage.namespace(ns).await?;
    roles(stage, ns).await?;
    let bindings = format!("/apis/{RBAC}/v1/namespaces/{ns}/rolebindings");
    stage.post(&bindings, binding("team", "deleter", "carol")).await?;
    let at = stage.moment(ns).await?;
    stage.delete(&format!("{bindings}/team")).await?;
    let other = stage.post(&bindings, binding("team", "other", "carol")).await?;

    let may = vec![
        rule(&["*"], &["*"], &["get", "list", "watch"]),
        rule(&[RBAC], &["rolebindings"], &["create", "update", "patch", "delete"]),
    ];
    let mut hindcast = stage.hindcast.clone();
    hindcast.kubeconfig = cluster.user("clerk", may).await?;
    let scope = ["RoleBinding/team", "-n", ns, "--at", at.as_str()];
    let said = ask_with_cluster(&hindcast, &[&["plan", "--check"], scope.as_slice()].concat()).await?;
    ensure!(said.out.contains("the server would refuse it") && said.out.contains("needs the verb bind"), "{said}");
    let clerk = Stage { client: stage.client.clone(), hindcast };
    let (said, restored) = clerk.try_restore(&scope).await?;
    said.is(1, &["nothing was deleted", "needs the verb bind"])?;
    ensure!(restored.summary.refused == 1, "{said}");
    let live = stage.get(&format!("{bindings}/team")).await?;
    ensure!(live["metadata"]["uid"] == other["metadata"]["uid"], "it was deleted: {live}");

    // Whoever may bind it does it, and takes it back.
    let restored = stage.restore(&scope).await?;
    ensure!(verbs(&restored.actions) == ["recreate RoleBinding/team"], "{:?}", restored.actions);
    ensure!(stage.get(&format!("{bindings}/team")).await?["roleRef"]["name"] == "deleter");
    stage.undo(&restored).await?;
    ensure!(stage.get(&format!("{bindings}/team")).await?["roleRef"]["name"] == "other");
    Ok(())
}

/// What gives an account its rights is neither deleted nor made again by it, and that is said.
pub(super) async fn whoever_restores_keeps_their_rights(stage: &Stage, cluster: &Cluster) -> Result<()> {
    let ns = "rights-own";
    stage.namespace(ns).await?;
    roles(stage, ns).await?;
    let bindings = format!("/apis/{RBAC}/v1/namespaces/{ns}/rolebindings");
    for user in ["keeper", "carol"] {
        stage.post(&bindings, binding(user, "deleter", user)).await?;
    }
    let at = stage.moment(ns).await?;
    for user in ["keeper", "carol"] {
        stage.delete(&format!("{bindings}/{user}")).await?;
        stage.post(&bindings, binding(user, "other", user)).await?;
        stage.post(&bindings, binding(&format!("{user}-added"), "other", user)).await?;
    }
    stage
        .patch(
            &format!("/apis/{RBAC}/v1/namespaces/{ns}/roles/other"),
            json!({ "rules": [{
        "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }] }),
        )
        .await?;
    let mut hindcast = stage.hindcast.clone();
    hindcast.kubeconfig = cluster.user("keeper", vec![rule(&["*"], &["*"], &["*"])]).await?;
    let keeper = Stage { client: stage.client.clone(), hindcast };
    let (said, restored) = keeper.try_restore(&["-n", ns, "--at", &at]).await?;
    let done = ["delete RoleBinding/carol-added", "recreate RoleBinding/carol"];
    ensure!(verbs(&restored.actions) == done, "{:?} {said}", restored.actions);
    let kept =
        ["Role/other callers-rights", "RoleBinding/keeper callers-rights", "RoleBinding/keeper-added callers-rights"];
    let (_, plan) = keeper.plan(&["-n", ns, "--at", &at]).await?;
    ensure!(codes(&plan.left) == kept, "{:?}", codes(&plan.left));
    ensure!(stage.get(&format!("{bindings}/keeper")).await?["roleRef"]["name"] == "other");
    Ok(())
}
