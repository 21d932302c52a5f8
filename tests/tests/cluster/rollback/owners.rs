//! Owners and what they own, and an operator with its definition, its objects and its webhooks.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    http::{JSON_PATCH, send_as},
    manifests::{DEFINITIONS, claim_spec, custom, definition, role},
    real::{Cluster, Verdict, Webhook, WebhookKind},
    until::never,
};
use serde_json::{Value, json};

use super::{Stage, codes, verbs};
use crate::scene::{SOON, ask_with_cluster, create_when_served, send, until};

fn owner(of: &Value, kind: &str, api: &str) -> Value {
    json!([{ "apiVersion": api, "kind": kind, "name": of["metadata"]["name"], "uid": of["metadata"]["uid"] }])
}

fn child(name: &str, owners: Value) -> Value {
    json!({ "metadata": { "name": name, "ownerReferences": owners }, "data": { "k": "v" } })
}

/// A chain of three is deleted at its head and collected; restored, each belongs to its new owner and is not collected.
pub(super) async fn children_stay_with_their_owner(stage: &Stage) -> Result<()> {
    let ns = "owners";
    stage.namespace(ns).await?;
    // Kinds that the garbage collector knows from its start; of new ones it learns every half minute.
    let heads = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles");
    let maps = format!("/api/v1/namespaces/{ns}/configmaps");
    let head = stage.post(&heads, role("head")).await?;
    let owners = owner(&head, "Role", "rbac.authorization.k8s.io/v1");
    let first = stage.post(&maps, child("child", owners)).await?;
    stage.post(&maps, child("grandchild", owner(&first, "ConfigMap", "v1"))).await?;
    let at = stage.moment(ns).await?;

    stage.delete(&format!("{heads}/head")).await?;
    until("the children are collected", SOON, async || {
        Ok(stage.find(&format!("{maps}/child")).await?.is_none()
            && stage.find(&format!("{maps}/grandchild")).await?.is_none())
    })
    .await?;
    let scope = ["-n", ns, "--at", at.as_str()];
    let (said, plan) = stage.plan(&scope).await?;
    let wanted = ["create ConfigMap/child", "create ConfigMap/grandchild", "create Role/head"];
    ensure!(verbs(&plan.actions) == wanted, "{said}");
    stage.restore(&scope).await?;
    let belongs = async || -> Result<bool> {
        let (head, child, grandchild) = (
            stage.find(&format!("{heads}/head")).await?,
            stage.find(&format!("{maps}/child")).await?,
            stage.find(&format!("{maps}/grandchild")).await?,
        );
        let (Some(head), Some(child), Some(grandchild)) = (head, child, grandchild) else {
            return Ok(false);
        };
        let owned =
            |child: &Value, owner: &Value| child["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"];
        Ok(owned(&child, &head) && owned(&grandchild, &child))
    };
    ensure!(belongs().await?, "the children don't belong to their owners");
    never("the garbage collector took a child", Duration::from_secs(15), async || Ok(!belongs().await?)).await?;
    added_chains_come_back(stage, ns).await
}

/// A chain that was added since goes with its head, and the undo brings all of it back, not the head alone.
async fn added_chains_come_back(stage: &Stage, ns: &str) -> Result<()> {
    let roles = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles");
    let maps = format!("/api/v1/namespaces/{ns}/configmaps");
    let at = stage.moment(ns).await?;
    let head = stage.post(&roles, role("new-head")).await?;
    let owners = owner(&head, "Role", "rbac.authorization.k8s.io/v1");
    let first = stage.post(&maps, child("new-child", owners)).await?;
    stage.post(&maps, child("new-grandchild", owner(&first, "ConfigMap", "v1"))).await?;
    let restored = stage.restore(&["-n", ns, "--at", &at]).await?;
    let wanted = ["delete ConfigMap/new-child", "delete ConfigMap/new-grandchild", "delete Role/new-head"];
    ensure!(verbs(&restored.actions) == wanted, "{:?}", restored.actions);
    stage.undo(&restored).await?;
    let (head, child, grandchild) = (
        stage.get(&format!("{roles}/new-head")).await?,
        stage.get(&format!("{maps}/new-child")).await?,
        stage.get(&format!("{maps}/new-grandchild")).await?,
    );
    for (child, owner) in [(&child, &head), (&grandchild, &child)] {
        let (of, is) = (&child["metadata"]["ownerReferences"][0]["uid"], &owner["metadata"]["uid"]);
        ensure!(of == is && child["data"]["k"] == "v", "{child} is not of {owner}");
    }
    Ok(())
}

/// An owner that has to be deleted to be changed is made again, and what it owns is not collected: neither what the
/// restore makes nor what is there, and no undo loses it.
pub(super) async fn children_follow_an_owner_that_is_made_again(stage: &Stage) -> Result<()> {
    let ns = "owners-again";
    stage.namespace(ns).await?;
    let maps = format!("/api/v1/namespaces/{ns}/configmaps");
    let fixed = |v: &str| json!({ "metadata": { "name": "fixed" }, "immutable": true, "data": { "v": v } });
    let first = stage.post(&maps, fixed("then")).await?;
    stage.post(&maps, child("lost", owner(&first, "ConfigMap", "v1"))).await?;
    let stays = stage.post(&maps, child("stays", owner(&first, "ConfigMap", "v1"))).await?;
    stage.post(&maps, child("below", owner(&stays, "ConfigMap", "v1"))).await?;
    let at = stage.moment(ns).await?;

    send(&stage.client, "DELETE", &format!("{maps}/fixed?propagationPolicy=Orphan"), None).await?;
    until("the owner is gone", SOON, async || Ok(stage.find(&format!("{maps}/fixed")).await?.is_none())).await?;
    let second = stage.post(&maps, fixed("now")).await?;
    let owners = json!({ "metadata": { "ownerReferences": owner(&second, "ConfigMap", "v1") } });
    stage.patch(&format!("{maps}/stays"), owners).await?;
    stage.delete(&format!("{maps}/lost")).await?;

    let owned = async |name: &str, by: &str| -> Result<bool> {
        let (child, owner) = (stage.find(&format!("{maps}/{name}")).await?, stage.find(&format!("{maps}/{by}")).await?);
        let (Some(child), Some(owner)) = (child, owner) else { return Ok(false) };
        Ok(child["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"])
    };
    let restored = stage.restore(&["-n", ns, "--at", &at]).await?;
    let wanted = ["create ConfigMap/lost", "recreate ConfigMap/fixed", "update ConfigMap/stays"];
    ensure!(verbs(&restored.actions) == wanted, "{:?}", restored.actions);
    let whole = async || -> Result<bool> {
        Ok(owned("lost", "fixed").await? && owned("stays", "fixed").await? && owned("below", "stays").await?)
    };
    ensure!(whole().await?, "the references do not follow");
    ensure!(stage.get(&format!("{maps}/stays")).await?["metadata"]["uid"] == stays["metadata"]["uid"], "it is another");
    never("the garbage collector took a child", Duration::from_secs(10), async || Ok(!whole().await?)).await?;

    stage.undo(&restored).await?;
    let back = async || -> Result<bool> {
        let gone = stage.find(&format!("{maps}/lost")).await?.is_none();
        Ok(gone && owned("stays", "fixed").await? && owned("below", "stays").await?)
    };
    ensure!(back().await? && stage.get(&format!("{maps}/fixed")).await?["data"]["v"] == "now", "it is not taken back");
    never("the garbage collector took a child after the undo", Duration::from_secs(10), async || Ok(!back().await?))
        .await
}

/// A claim that an added object owns would be collected with it: the owner stays, whether or not the claim is asked
/// about.
pub(super) async fn data_is_not_collected(stage: &Stage) -> Result<()> {
    let ns = "owned-data";
    stage.namespace(ns).await?;
    let at = stage.moment(ns).await?;
    let roles = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles");
    let claims = format!("/api/v1/namespaces/{ns}/persistentvolumeclaims");
    let maps = format!("/api/v1/namespaces/{ns}/configmaps");
    let owner = owner(&stage.post(&roles, role("database")).await?, "Role", "rbac.authorization.k8s.io/v1");
    stage.post(&maps, child("settings", owner.clone())).await?;
    stage
        .post(&claims, json!({ "metadata": { "name": "data", "ownerReferences": owner }, "spec": claim_spec() }))
        .await?;
    for scope in [["-n", ns, "--at", &at].as_slice(), &["role/database", "-n", ns, "--at", &at]] {
        let (said, plan) = stage.plan(scope).await?;
        ensure!(codes(&plan.left).contains(&"Role/database holds-others".to_owned()), "{said}");
        ensure!(!verbs(&plan.actions).iter().any(|verb| verb.contains("Role/")), "{said}");
        ensure!(said.out.contains("persistentvolumeclaims/data in owned-data"), "{said}");
    }
    let restored = stage.restore(&["-n", ns, "--at", &at, "--allow-delete", "persistentvolumeclaims"]).await?;
    let wanted = ["delete ConfigMap/settings", "delete PersistentVolumeClaim/data", "delete Role/database"];
    ensure!(verbs(&restored.actions) == wanted, "{:?}", restored.actions);
    Ok(())
}

const HOOKS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const SHOPS: &str = "/apis/operator.example.com/v1/namespaces/operator/shops";

/// The whole of an operator is lost and put back; the CA that was injected since then stays.
pub(super) async fn an_operator(stage: &Stage, cluster: &Cluster) -> Result<()> {
    let (operator, webhook) = Operator::deploy(stage, cluster).await.context("deploying the operator")?;
    operator.a_renewed_ca_stays(cluster).await.context("a CA that was renewed")?;
    operator.lose_the_definition().await.context("the definition is deleted")?;
    operator.without_its_kind_objects_are_left().await.context("a plan without the kind")?;
    operator.comes_back_whole(&webhook).await.context("the operator comes back")?;
    webhook.remove().await
}

/// An operator at its moment: the definition of shops, two of them, a webhook that marks shops and is made between the
/// two, and another configuration.
struct Operator<'a> {
    stage: &'a Stage,
    /// The moment.
    at: String,
}

impl<'a> Operator<'a> {
    async fn deploy(stage: &'a Stage, cluster: &Cluster) -> Result<(Self, Webhook)> {
        stage.namespace("operator").await?;
        stage.post(DEFINITIONS, definition("operator.example.com", "shops", "Shop")).await?;
        let shop = |name: &str, size: u64| custom("operator.example.com/v1", "Shop", name, json!({ "size": size }));
        create_when_served(&stage.client, SHOPS, &shop("one", 1)).await?;
        let rules = json!([{
            "apiGroups": ["operator.example.com"], "apiVersions": ["*"], "resources": ["shops"],
            "operations": ["CREATE", "UPDATE"],
        }]);
        let marks = |request: &Value| {
            let has = request["object"]["metadata"]["labels"].is_object();
            let value = if has { json!("yes") } else { json!({ "marked": "yes" }) };
            let path = if has { "/metadata/labels/marked" } else { "/metadata/labels" };
            Verdict::Patch(json!([{ "op": "add", "path": path, "value": value }]))
        };
        let webhook = Webhook::start(cluster, "shop-marker", WebhookKind::Mutating, rules.clone(), marks).await?;
        stage.post(SHOPS, shop("two", 2)).await?;
        // A configuration whose CA an injector renews; its rules meet nothing.
        let hook = json!({ "metadata": { "name": "operator-hook" }, "webhooks": [{
            "name": "hook.operator.example.com",
            "clientConfig": { "url": "https://127.0.0.1:1/validate", "caBundle": ca(cluster, "") },
            "rules": rules, "objectSelector": { "matchLabels": { "nobody": "has-this" } },
            "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 5 }] });
        stage.post(HOOKS, hook).await?;
        let at = stage.moment("operator").await?;
        Ok((Self { stage, at }, webhook))
    }

    /// The CA is renewed by its injector, and somebody breaks the rest.
    async fn a_renewed_ca_stays(&self, cluster: &Cluster) -> Result<()> {
        let stage = self.stage;
        let renewed = ca(cluster, "# renewed\n");
        let inject = json!([{ "op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": renewed }]);
        let slower = json!([{ "op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 29 }]);
        for (manager, patch) in [("cainjector", inject), ("alice", slower)] {
            let path = format!("{HOOKS}/operator-hook?fieldManager={manager}");
            send_as(&stage.client, "PATCH", &path, JSON_PATCH, Some(&patch)).await?;
        }
        stage.restore(&["validatingwebhookconfigurations/operator-hook", "--at", &self.at]).await?;
        let hook = stage.get(&format!("{HOOKS}/operator-hook")).await?;
        ensure!(hook["webhooks"][0]["timeoutSeconds"] == 5, "{hook}");
        ensure!(hook["webhooks"][0]["clientConfig"]["caBundle"] == renewed.as_str(), "the renewed CA was rolled back");
        Ok(())
    }

    /// Deletes the definition, and waits until a plan can be made: until it is noted that the kind is gone, the moment
    /// cannot be closed.
    async fn lose_the_definition(&self) -> Result<()> {
        let stage = self.stage;
        stage.delete(&format!("{DEFINITIONS}/shops.operator.example.com")).await?;
        until("the kind is gone", SOON, async || Ok(stage.find(SHOPS).await?.is_none())).await?;
        let without = ["plan", "-n", "operator", "--at", &self.at];
        let took = until("a plan can be made without the kind", SOON * 2, async || {
            Ok(ask_with_cluster(&stage.hindcast, &without).await?.code != 2)
        })
        .await?;
        println!("operator: planned {:.1} s after its definition was deleted", took.as_secs_f64());
        Ok(())
    }

    async fn without_its_kind_objects_are_left(&self) -> Result<()> {
        let (said, plan) = self.stage.plan(&["-n", "operator", "--at", &self.at]).await?;
        ensure!(verbs(&plan.actions).is_empty(), "objects of a kind that isn't served: {said}");
        ensure!(codes(&plan.left).iter().any(|l| l.starts_with("Shop/one")), "{said}");
        Ok(())
    }

    async fn comes_back_whole(&self, webhook: &Webhook) -> Result<()> {
        let stage = self.stage;
        let scope = ["-n", "operator", "--at", self.at.as_str(), "--with-cluster-scoped"];
        let (said, plan) = stage.plan(&scope).await?;
        let wanted =
            ["create CustomResourceDefinition/shops.operator.example.com", "create Shop/one", "create Shop/two"];
        ensure!(verbs(&plan.actions) == wanted, "{:?} {said}", verbs(&plan.actions));
        let asked = webhook.asked();
        let (said, restored) = stage.try_restore(&scope).await?;
        ensure!(restored.actions.iter().all(|a| a.result.as_deref() == Some("done")), "{said}");
        ensure!(webhook.asked() > asked, "the operator's webhook is asked as at any write");
        // `one` was made before the webhook was; it marks it now, and that is told.
        let one = restored.actions.iter().find(|a| a.id() == "Shop/one");
        ensure!(one.is_some_and(|a| a.verified.as_deref() == Some("changed-by-admission")), "{said}");
        said.is(1, &["marked"])?;
        for (name, size) in [("one", 1), ("two", 2)] {
            ensure!(stage.get(&format!("{SHOPS}/{name}")).await?["spec"]["size"] == size);
        }
        Ok(())
    }
}

/// A CA bundle, with a comment so that two differ.
fn ca(cluster: &Cluster, comment: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    BASE64_STANDARD.encode(format!("{comment}{}", cluster.authority().pem()))
}
