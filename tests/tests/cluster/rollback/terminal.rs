//! What somebody at a terminal sees, whole, of each way that a restore may go. The snapshots are to be read as at 3
//! a.m.
//!
//! **Invariant.** Only what differs from run to run is masked: times, revisions, identities, addresses.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    oracle::subject::Running,
    real::{Cluster, Terminal, Verdict, Webhook, WebhookKind, process::Workdir},
    shop,
};
use serde_json::json;

use super::Stage;
use crate::scene::{ask_with_cluster, rule, until};

const NS: &str = "shop";
const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";

/// How long any of this may take under load.
const LONG: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_shows_all_that_matters() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::builder().controller_manager().start().await?;
    let dir = Workdir::new()?;
    let (stage, running) = Stage::open(&cluster, &dir).await?;
    let at = broken_shop(&stage).await?;

    let plan = ["plan", "-n", NS, "--at", &at, "--check"];
    let (code, screen) = watched(&stage, &plan, &[]).await?;
    ensure!(code == 1, "{code}\n{screen}");
    shows("plan", &screen);
    refusals(&stage, &at, &running, &cluster).await?;

    let restore = ["restore", "-n", NS, "--at", &at];
    let (code, screen) = watched(&stage, &[&restore[..], &["--no-wait"]].concat(), &[NS]).await?;
    ensure!(code == 0, "{code}\n{screen}");
    shows("restore", &screen);
    let id = id_of(&screen)?;
    // No node ever runs the Pods, so that no rollout comes to its end.
    controllers_are_done(&stage, "registry.local/shop:v1", 4).await?;
    let (code, screen) = watched(&stage, &["undo", &id, "--wait-rollout", "2s"], &[NS]).await?;
    ensure!(code == 1, "{code}\n{screen}");
    shows("undo", &screen);
    controllers_are_done(&stage, "registry.local/shop:v2-broken", 4).await?;

    conflict(&stage, &restore).await?;
    controllers_are_done(&stage, "registry.local/shop:v2-broken", 4).await?;
    partial_failure(&stage, &cluster, &restore).await?;
    running.stop().await
}

/// The shop of the demo after its bad deploy; the moment before that.
async fn broken_shop(stage: &Stage) -> Result<String> {
    shop::deploy(&stage.client).await?;
    shop::good_change(&stage.client).await?;
    controllers_are_done(stage, "registry.local/shop:v1", 3).await?;
    let at = stage.moment("default").await?;
    shop::bad_deploy(&stage.client).await?;
    controllers_are_done(stage, "registry.local/shop:v2-broken", 4).await?;
    Ok(at)
}

/// Waits until the controllers have made what there is to make: a `ReplicaSet` for the image, and that many Pods.
async fn controllers_are_done(stage: &Stage, image: &str, pods: usize) -> Result<()> {
    until(&format!("{pods} Pods with {image}"), LONG, async || {
        let made = stage.list("/api/v1/namespaces/shop/pods").await?;
        let sets = stage.list("/apis/apps/v1/namespaces/shop/replicasets").await?;
        let runs = |set: &serde_json::Value| {
            set["spec"]["template"]["spec"]["containers"][0]["image"] == image && set["status"]["replicas"] != 0
        };
        let web = stage.get(WEB).await?;
        let seen = web["status"]["observedGeneration"] == web["metadata"]["generation"];
        let service = stage.find("/api/v1/namespaces/shop/services/web").await?.is_some();
        let slices = stage.list("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices").await?;
        Ok(made.len() == pods && sets.iter().any(runs) && seen && slices.is_empty() != service)
    })
    .await?;
    Ok(())
}

/// Runs the binary on a terminal, and answers its questions.
async fn watched(stage: &Stage, args: &[&str], answers: &[&str]) -> Result<(i32, String)> {
    let mut terminal = Terminal::start(command(stage, args))?;
    for answer in answers {
        terminal.until("to go on: ", LONG).await?;
        terminal.enter(answer)?;
    }
    terminal.end(LONG).await
}

fn command(stage: &Stage, args: &[&str]) -> tokio::process::Command {
    let mut command = stage.hindcast.command(args, true);
    // Colour is the terminal's, and is not what the snapshots are about.
    command.env("NO_COLOR", "1");
    command
}

fn id_of(screen: &str) -> Result<String> {
    let (_, id) = screen.rsplit_once("hindcast undo ").with_context(|| format!("no undo command in {screen}"))?;
    Ok(id.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Nothing is done: nobody to ask, the wrong word, a misspelt namespace, a moment before the journal, no rights.
async fn refusals(stage: &Stage, at: &str, running: &Running, cluster: &Cluster) -> Result<()> {
    let before = shop::intent(&stage.client).await?;
    let restore = ["restore", "-n", NS, "--at", at];
    let said = ask_with_cluster(&stage.hindcast, &restore).await?;
    said.is(2, &[])?;
    // The plan is the same as on the terminal.
    ensure!(said.out.starts_with("plan: "), "{said}");
    shows("refusal-nobody-to-ask", &said.err);
    let (code, screen) = watched(stage, &restore, &["y"]).await?;
    ensure!(code == 2, "{code}\n{screen}");
    shows("refusal-declined", &after_the_plan(&screen));
    let (code, screen) = watched(stage, &["restore", "-n", "shpo", "--at", at], &[]).await?;
    ensure!(code == 2, "{code}\n{screen}");
    shows("refusal-misspelt", &screen);
    let (code, screen) = watched(stage, &["restore", "-n", NS, "--at", "2020-01-01T00:00:00Z"], &[]).await?;
    ensure!(code == 2, "{code}\n{screen}");
    shows("refusal-before-the-journal", &screen);
    // Somebody who may only read: each refusal names the verb and the kind.
    let may = vec![rule(&["*"], &["*"], &["get", "list", "watch"])];
    let mut reader = Stage { client: stage.client.clone(), hindcast: stage.hindcast.clone() };
    reader.hindcast.kubeconfig = cluster.user("reader", may).await?;
    running.close().await?;
    let (code, screen) = watched(&reader, &[&restore[..], &["--no-wait"]].concat(), &[NS]).await?;
    ensure!(code == 2, "{code}\n{screen}");
    shows("refusal-missing-rights", &after_the_plan(&screen));
    ensure!(shop::intent(&stage.client).await? == before, "something was done");
    Ok(())
}

/// What follows the plan's last line.
fn after_the_plan(screen: &str) -> String {
    let end = screen.find("as they were; about").unwrap_or_default();
    let rest = screen.get(end..).unwrap_or_default();
    rest.split_once('\n').map_or("", |(_, rest)| rest).to_owned()
}

/// Somebody changes an object while the question stands.
async fn conflict(stage: &Stage, restore: &[&str]) -> Result<()> {
    let mut terminal = Terminal::start(command(stage, &[restore, &["--no-wait"]].concat()))?;
    terminal.until("to go on: ", LONG).await?;
    let hotfix = json!({ "spec": { "minReadySeconds": 5 } });
    stage.patch(&format!("{WEB}?fieldManager=alice"), hotfix).await?;
    terminal.enter(NS)?;
    let (code, screen) = terminal.end(LONG).await?;
    ensure!(code == 1, "{code}\n{screen}");
    shows("conflict", &after_the_plan(&screen));
    // Back to how it was before: the rest by the undo, the hotfix by hand.
    let said = ask_with_cluster(&stage.hindcast, &["undo", &id_of(&screen)?, "--yes"]).await?;
    said.is(0, &[])?;
    let undone = json!({ "spec": { "minReadySeconds": null } });
    stage.patch(&format!("{WEB}?fieldManager=alice"), undone).await?;
    Ok(())
}

/// The server refuses some of it; when what was in the way is gone, the rest is done.
async fn partial_failure(stage: &Stage, cluster: &Cluster, restore: &[&str]) -> Result<()> {
    let rules = json!([{ "apiGroups": ["", "apps"], "apiVersions": ["*"], "resources": ["configmaps", "deployments"], "operations": ["UPDATE"] }]);
    let guard = Webhook::start(cluster, "images.policy.example", WebhookKind::Validating, rules, |request| {
        if request["name"] == "web"
            && request["namespace"] == NS
            && request["userInfo"]["username"] != "system:serviceaccount:kube-system:deployment-controller"
        {
            Verdict::Deny("image registry.local/shop:v1 is not signed".to_owned())
        } else {
            Verdict::Allow
        }
    })
    .await?;
    let (code, screen) = watched(stage, &[restore, &["--no-wait"]].concat(), &[NS]).await?;
    ensure!(code == 1, "{code}\n{screen}");
    shows("partial-failure", &screen);
    guard.remove().await?;
    let id = id_of(&screen)?;
    let (code, screen) = watched(stage, &["restore", "--resume", &id, "--no-wait"], &[]).await?;
    ensure!(code == 0, "{code}\n{screen}");
    shows("resumed", &screen);
    Ok(())
}

/// Holds what was shown against the snapshot of that name.
fn shows(name: &str, screen: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, mask) in [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
        (r"\d{8}-\d{6}-[0-9a-f]{4}", "ID"),
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|UTC|[+-]\d\d:\d\d))?", "TIME"),
        (r"\b\d\d:\d\d:\d\d(\.\d+)?\b", "TIME"),
        (r"https://[^ /]+/?", "SERVER"),
        (r"\b10\.\d+\.\d+\.\d+\b", "ADDRESS"),
        (r"\b(rev:? ?|revision |position |pos:? ?)\d+(@\d+)?", "${1}N"),
        (r"\b(web|worker)-[0-9a-f]{6,10}(-[a-z0-9]{5})?\b", "${1}-HASH"),
        (r"\b(web)-[a-z0-9]{5}\b", "${1}-HASH"),
        (r"file://\S+", "JOURNAL"),
        (r"\b\d+(\.\d+)? (s|ms)\b", "N s"),
        (r"\b\d+/s\b", "N/s"),
    ] {
        settings.add_filter(pattern, mask);
    }
    settings.bind(|| insta::assert_snapshot!(name, screen));
}
