//! Owners and what they own, where something comes between the plan and the write: nothing is collected that its own action
//! would have left, and nothing loses its owner for a restore that did not happen.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hindcast_restorer::{
    Outcome,
    apply::{Acted, Became},
    plan::Verb,
};
use hindcast_tests::{real::Cluster, real::process::Workdir, until::never};
use serde_json::{Value, json};

use super::{Scene, finish, whole};
use crate::scene::{create, on_folder, send, until};

/// How long the garbage collector is looked at that is to take nothing.
const WATCHED: Duration = Duration::from_secs(8);

/// How long a policy may take to be followed.
const LONG: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_and_what_they_own_are_held_together_whatever_comes_between() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::builder().controller_manager().start().await?;
    let dir = Workdir::new()?;
    let hindcast = on_folder(&dir, "owned", cluster.kubeconfig())?;
    let scene = Scene::new(hindcast, cluster, dir).await?;
    what_was_let_go_of_gets_its_owner_back(&scene).await.context("let go")?;
    a_child_that_was_changed_keeps_its_owner(&scene).await.context("changed")?;
    what_could_not_be_made_again_is_not_collected(&scene).await.context("refused")?;
    what_is_put_back_names_the_new_owner(&scene).await.context("put back")
}

fn maps(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

fn map(name: &str, v: &str, owner: Option<&Value>) -> Value {
    let reference = |of: &Value| {
        let metadata = &of["metadata"];
        json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"] }])
    };
    let owners = owner.map_or_else(|| json!([]), reference);
    json!({ "metadata": { "name": name, "ownerReferences": owners }, "data": { "v": v } })
}

fn fixed(name: &str, v: &str, owner: Option<&Value>) -> Value {
    let mut map = map(name, v, owner);
    map["immutable"] = json!(true);
    map
}

/// Deletes an object and leaves what it owns.
async fn forget(scene: &Scene, namespace: &str, name: &str) -> Result<()> {
    let path = format!("{}/{name}", maps(namespace));
    send(&scene.client, "DELETE", &format!("{path}?propagationPolicy=Orphan"), None).await?;
    until("it is gone", LONG, async || Ok(scene.get(&path).await.is_err())).await?;
    Ok(())
}

fn of<'o>(outcome: &'o Outcome, name: &str) -> Result<&'o Acted> {
    outcome.actions.iter().find(|acted| acted.key.name == name).with_context(|| format!("{name}: {outcome:#?}"))
}

/// Whether a map stands and belongs to the other, as both stand now.
async fn belongs(scene: &Scene, namespace: &str, child: &str, owner: &str) -> Result<bool> {
    let get = async |name: &str| scene.get(&format!("{}/{name}", maps(namespace))).await.ok();
    let (Some(child), Some(owner)) = (get(child).await, get(owner).await) else { return Ok(false) };
    Ok(child["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"])
}

/// The owner cannot be deleted after all, for a child that was born since the plan: what it owns belongs to it as before.
async fn what_was_let_go_of_gets_its_owner_back(scene: &Scene) -> Result<()> {
    let ns = "let-go";
    scene.namespace(ns).await?;
    let first = create(&scene.client, &maps(ns), fixed("owner", "then", None)).await?;
    create(&scene.client, &maps(ns), map("child", "v", Some(&first))).await?;
    let at = scene.now().await?;
    forget(scene, ns, "owner").await?;
    let second = create(&scene.client, &maps(ns), fixed("owner", "now", None)).await?;
    let owners =
        json!({ "metadata": { "ownerReferences": map("", "", Some(&second))["metadata"]["ownerReferences"] } });
    send(&scene.client, "PATCH", &format!("{}/child", maps(ns)), Some(owners)).await?;

    let prepared = scene.plan(&whole(ns), at).await?;
    create(&scene.client, &maps(ns), map("born", "v", Some(&second))).await?;
    let outcome = scene.apply(&prepared).await?;
    let owner = of(&outcome, "owner")?;
    ensure!((owner.verb, owner.became) == (Verb::Recreate, Became::Refused), "{outcome:#?}");
    ensure!(belongs(scene, ns, "child", "owner").await?, "it lost its owner for nothing: {outcome:#?}");
    ensure!(belongs(scene, ns, "born", "owner").await?, "the child that was born was lost");
    let stands = scene.get(&format!("{}/owner", maps(ns))).await?;
    ensure!(stands["metadata"]["uid"] == second["metadata"]["uid"], "it is another: {stands}");

    // The same where somebody changed the owner.
    send(&scene.client, "DELETE", &format!("{}/born", maps(ns)), None).await?;
    let prepared = scene.plan(&whole(ns), at).await?;
    let label = json!({ "metadata": { "labels": { "team": "blue" } } });
    send(&scene.client, "PATCH", &format!("{}/owner", maps(ns)), Some(label)).await?;
    let outcome = scene.apply(&prepared).await?;
    ensure!(of(&outcome, "owner")?.became == Became::Conflict, "{outcome:#?}");
    ensure!(belongs(scene, ns, "child", "owner").await?, "it lost its owner to a conflict: {outcome:#?}");
    Ok(())
}

/// Both were to be deleted, and somebody has changed the child since: it is not collected after its owner.
async fn a_child_that_was_changed_keeps_its_owner(scene: &Scene) -> Result<()> {
    let ns = "changed-child";
    scene.namespace(ns).await?;
    let at = scene.now().await?;
    let owner = create(&scene.client, &maps(ns), map("owner", "v", None)).await?;
    create(&scene.client, &maps(ns), map("child", "v", Some(&owner))).await?;
    let prepared = scene.plan(&whole(ns), at).await?;
    send(&scene.client, "PATCH", &format!("{}/child", maps(ns)), Some(json!({ "data": { "v": "theirs" } }))).await?;
    let outcome = scene.apply(&prepared).await?;
    let (owner, child) = (of(&outcome, "owner")?, of(&outcome, "child")?);
    ensure!((owner.became, child.became) == (Became::Refused, Became::Conflict), "{outcome:#?}");
    let stands = async || belongs(scene, ns, "child", "owner").await;
    never("what somebody had changed was collected", WATCHED, async || Ok(!stands().await?)).await?;

    // Planned anew both go; what only a status or a machine's write would change is no such thing.
    let prepared = scene.plan(&whole(ns), at).await?;
    let outcome = scene.apply(&prepared).await?;
    ensure!(outcome.is_whole(), "{outcome:#?}");
    Ok(())
}

/// The child was to be created again without its owner, which goes, and may not be: then it must not go with the owner.
async fn what_could_not_be_made_again_is_not_collected(scene: &Scene) -> Result<()> {
    let ns = "not-again";
    scene.namespace(ns).await?;
    create(&scene.client, &maps(ns), fixed("child", "then", None)).await?;
    let at = scene.now().await?;
    forget(scene, ns, "child").await?;
    let owner = create(&scene.client, &maps(ns), map("owner", "v", None)).await?;
    create(&scene.client, &maps(ns), fixed("child", "now", Some(&owner))).await?;
    let prepared = scene.plan(&whole(ns), at).await?;
    let verbs: Vec<(&str, Verb)> =
        prepared.plan.actions.iter().map(|action| (action.key.name.as_str(), action.verb)).collect();
    ensure!(verbs == [("child", Verb::Recreate), ("owner", Verb::Delete)], "{verbs:?}");
    refuse(scene, ns, "object.data.v == 'then'").await?;
    let outcome = scene.apply(&prepared).await?;
    ensure!(of(&outcome, "child")?.became == Became::Refused, "{outcome:#?}");
    ensure!(of(&outcome, "owner")?.became == Became::Refused, "{outcome:#?}");
    let stands = async || belongs(scene, ns, "child", "owner").await;
    never("what could not be made again was collected", WATCHED, async || Ok(!stands().await?)).await
}

/// A child is deleted to be created again, and refused under its own name only: what was there is put back, and belongs to the
/// owner that was made again before it.
async fn what_is_put_back_names_the_new_owner(scene: &Scene) -> Result<()> {
    let ns = "put-back";
    scene.namespace(ns).await?;
    let first = create(&scene.client, &maps(ns), fixed("owner", "then", None)).await?;
    create(&scene.client, &maps(ns), fixed("child", "then", Some(&first))).await?;
    let at = scene.now().await?;
    forget(scene, ns, "child").await?;
    forget(scene, ns, "owner").await?;
    let second = create(&scene.client, &maps(ns), fixed("owner", "now", None)).await?;
    create(&scene.client, &maps(ns), fixed("child", "now", Some(&second))).await?;
    let prepared = scene.plan(&whole(ns), at).await?;
    refuse(scene, ns, "object.metadata.name == 'child' && object.data.v == 'then'").await?;
    let restore = scene.begin(&prepared).await?;
    let outcome = finish(&restore).await?;
    let (owner, child) = (of(&outcome, "owner")?, of(&outcome, "child")?);
    ensure!((owner.became, child.became) == (Became::Done, Became::Refused), "{outcome:#?}");
    let said = child.message.clone().unwrap_or_default().to_string();
    ensure!(said.contains("what was there was put back"), "{said}");
    let stands = async || belongs(scene, ns, "child", "owner").await;
    ensure!(stands().await?, "it names an owner that is gone");
    never("what was put back was collected", WATCHED, async || Ok(!stands().await?)).await
}

/// Has the server refuse what fits an expression in a namespace, and waits until it does.
async fn refuse(scene: &Scene, namespace: &str, expression: &str) -> Result<()> {
    let group = "/apis/admissionregistration.k8s.io/v1";
    let policy = json!({
        "metadata": { "name": namespace },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"],
            }] },
            "validations": [{ "expression": format!("!(has(object.data) && 'v' in object.data && {expression})") }],
        },
    });
    create(&scene.client, &format!("{group}/validatingadmissionpolicies"), policy).await?;
    let binding = json!({
        "metadata": { "name": namespace },
        "spec": {
            "policyName": namespace, "validationActions": ["Deny"],
            "matchResources": { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } } },
        },
    });
    create(&scene.client, &format!("{group}/validatingadmissionpolicybindings"), binding).await?;
    let path = format!("{}?dryRun=All", maps(namespace));
    until("the policy is followed", LONG, async || {
        let refused = send(&scene.client, "POST", &path, Some(fixed("child", "then", None))).await;
        Ok(refused.is_err_and(|refused| refused.to_string().contains("denied")))
    })
    .await?;
    Ok(())
}
