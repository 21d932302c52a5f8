//! A kind that was not protected at a moment is said to be so, with the reason; it is never shown as having none.

use anyhow::{Result, ensure};
use hindcast_tests::{
    manifests::{empty_config_map, service_account},
    oracle::subject::{Hindcast, Running},
    real::{AggregatedApi, Cluster, aggregated, process::Workdir},
};
use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::json;

use crate::scene::{SOON, ask, create, kinds, moment, on_folder, send, until};

/// What nobody may say of a kind that was not protected.
const NONE: [&str; 3] = ["No resources found", "was not there", "\"items\": []"];

/// Rights to read everything but service accounts. RBAC only adds, so the rest is named.
async fn all_but_service_accounts(cluster: &Cluster) -> Result<Vec<PolicyRule>> {
    let client = cluster.client();
    let names = |list: &serde_json::Value, field: &str| -> Vec<String> {
        let items = list[field].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item["name"].as_str().map(str::to_owned)).collect()
    };
    let groups = names(&send(&client, "GET", "/apis", None).await?, "groups");
    let core = names(&send(&client, "GET", "/api/v1", None).await?, "resources");
    let allowed = core.into_iter().filter(|name| !name.starts_with("serviceaccounts"));
    let verbs = ["get", "list", "watch"].map(str::to_owned).to_vec();
    Ok(vec![
        PolicyRule {
            api_groups: Some(groups),
            resources: Some(vec!["*".to_owned()]),
            verbs: verbs.clone(),
            ..Default::default()
        },
        PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(allowed.collect()),
            verbs,
            ..Default::default()
        },
    ])
}

/// Whether the gadgets are protected, once that is known.
async fn gadgets_are_protected(hindcast: &Hindcast) -> Result<Option<bool>> {
    let kinds = kinds(hindcast).await?;
    let gadgets = kinds.iter().find(|kind| kind["name"] == format!("gadgets.{}", aggregated::GROUP));
    Ok(gadgets.and_then(|gadgets| gadgets["protected"].as_bool()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_protected_is_never_said_to_be_none() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let mut api = AggregatedApi::start(&cluster).await?;
    let client = cluster.client();
    let core = "/api/v1/namespaces/default";
    create(&client, &format!("{core}/limitranges"), json!({"metadata": {"name": "hidden"}, "spec": {"limits": []}}))
        .await?;
    create(&client, &format!("{core}/serviceaccounts"), service_account("hidden")).await?;
    create(&client, &format!("{core}/configmaps"), empty_config_map("seen")).await?;
    api.put("default", "one", json!({"size": 1}));

    let dir = Workdir::new()?;
    let protector = cluster.user("protector", all_but_service_accounts(&cluster).await?).await?;
    let hindcast = on_folder(&dir, "main", protector)?;
    let running = hindcast.run(&["--exclude", "limits"]).await?;
    until("the gadgets are protected", SOON, async || Ok(gadgets_are_protected(&hindcast).await? == Some(true)))
        .await?;
    let while_up = moment(&running).await?;

    for (kind, resource, reason) in [
        ("limits", "limitranges", "excluded"),
        ("sa", "serviceaccounts", "forbidden by RBAC (serviceaccounts is forbidden"),
        ("cs", "componentstatuses", "not watchable"),
        ("events", "events", "excluded"),
        ("lease", "leases.coordination.k8s.io", "excluded"),
    ] {
        unprotected(&hindcast, &while_up, kind, resource, reason).await?;
    }
    let gadgets = ["get", "gadgets", "-n", "default", "--at"];
    ask(&hindcast, &[&gadgets[..], &[&while_up]].concat()).await?.is(0, &["one"])?.never(&NONE)?;
    // A kind that is protected and has no objects is the one case where there are none.
    ask(&hindcast, &["get", "quota", "-n", "default", "--at", &while_up]).await?.is(0, &["No resources found"])?;

    api.down().await;
    until("the gadgets count as not protected", SOON, async || {
        Ok(gadgets_are_protected(&hindcast).await? == Some(false))
    })
    .await?;
    let while_down = moment(&running).await?;
    unprotected(&hindcast, &while_down, "gadgets", "gadgets.testbed.hindcast.io", "its API was down").await?;
    started_while_down(&cluster, &dir).await?;
    // The server notices within half a minute.
    dead_api_is_named(&hindcast, &running).await?;
    api.put("default", "two", json!({"size": 2}));

    api.up().await?;
    until("the gadgets are protected again", SOON, async || Ok(gadgets_are_protected(&hindcast).await? == Some(true)))
        .await?;
    let up_again = moment(&running).await?;
    ask(&hindcast, &[&gadgets[..], &[&up_again]].concat()).await?.is(0, &["one", "two"])?;
    // What came later changes nothing about the moments before.
    unprotected(&hindcast, &while_down, "gadgets", "gadgets.testbed.hindcast.io", "its API was down").await?;
    ask(&hindcast, &[&gadgets[..], &[&while_up]].concat()).await?.is(0, &["one"])?.never(&["two"])?;
    running.stop().await
}

/// `status` and the log of `run` name the aggregated API that does not answer, its Service and since when.
async fn dead_api_is_named(hindcast: &Hindcast, running: &Running) -> Result<()> {
    let name = format!("v1.{}", aggregated::GROUP);
    let said = format!("{name}: Service kube-system/aggregated does not answer since ");
    until("status names the dead API", SOON * 2, async || Ok(ask(hindcast, &["status"]).await?.out.contains(&said)))
        .await?;
    let status = ask(hindcast, &["status", "-o", "json"]).await?.json()?;
    ensure!(status["clusters"][0]["deadApis"][0]["name"] == name, "{status:#}");
    until("the log names the dead API", SOON, async || {
        let log = std::fs::read_to_string(running.process.log())?;
        let told = |line: &str| line.contains("an aggregated API does not answer") && line.contains(&name);
        Ok(log.lines().any(told))
    })
    .await?;
    Ok(())
}

/// Every way to ask for a kind that was not protected: alone, by name, among others, as JSON, as a log.
async fn unprotected(hindcast: &Hindcast, at: &str, kind: &str, resource: &str, reason: &str) -> Result<()> {
    let said = format!("{resource}: not protected at ");
    let here = ["-n", "default", "--at", at];
    ask(hindcast, &[&["get", kind][..], &here].concat())
        .await?
        .is(2, &["error: ", &said, reason, "hint: this does not say that there were none"])?
        .never(&NONE)?;
    ask(hindcast, &[&["get", kind, "hidden"][..], &here].concat()).await?.is(2, &[&said, reason])?.never(&NONE)?;
    let json = ask(hindcast, &[&["get", kind, "-o", "json"][..], &here].concat()).await?;
    json.is(2, &[&said, reason])?.never(&NONE)?;
    ensure!(json.out.is_empty(), "data for a kind that was not protected: {json}");
    let one = format!("{kind}/hidden");
    ask(hindcast, &[&["show", &one][..], &here].concat()).await?.is(2, &[&said, reason])?.never(&NONE)?;
    let both = format!("cm,{kind}");
    ask(hindcast, &[&["get", &both][..], &here].concat())
        .await?
        .is(3, &["seen", "warning: ", &said, reason])?
        .never(&NONE)?;
    let why = reason.split(" (").next().unwrap_or(reason);
    ask(hindcast, &["log", kind, "-n", "default", "--since", at, "--until", at])
        .await?
        .is(2, &["not protected", why])?;
    Ok(())
}

/// A kind whose API was down from the beginning has never been protected: an error.
async fn started_while_down(cluster: &Cluster, dir: &Workdir) -> Result<()> {
    let hindcast = on_folder(dir, "late", cluster.kubeconfig())?;
    let running = hindcast.run(&[]).await?;
    until("the gadgets are known not to be protected", SOON, async || {
        Ok(gadgets_are_protected(&hindcast).await? == Some(false))
    })
    .await?;
    let at = moment(&running).await?;
    ask(&hindcast, &["get", "gadgets", "-n", "default", "--at", &at])
        .await?
        .is(2, &["gadgets.testbed.hindcast.io: not protected at", "its API was down"])?
        .never(&NONE)?;
    running.stop().await
}
