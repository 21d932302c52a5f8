//! `cargo demo`: the main job on a real private control plane and a `file://` journal. An application is deployed,
//! changed and broken; `log`, `diff`, `blame` and `show` tell what happened; `plan` and `restore` put it back, `undo`
//! takes that back. Both are held against the API server's own answers. A schedule makes a recovery point, and that is restored.
//!
//! Under the name `hindcast` this program is `hindcast` itself, so that one build serves the story and its subject.
#![allow(clippy::disallowed_methods, reason = "the story runs on the real clock")]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use hindcast_tests::{
    http::{create, find, send},
    manifests,
    oracle::subject::{Hindcast, Place},
    real::{Cluster, Program, process::Workdir},
    shop,
    until::{SOON, succeeds, until},
};
use kube::Client;
use serde_json::{Value, json};

/// Shows what Hindcast does, on a private Kubernetes control plane of its own.
#[derive(Debug, Parser)]
struct Args {
    /// Leave everything running at the end, and print commands to try.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let program = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    if program.file_name().is_some_and(|name| name == "hindcast") {
        return hindcast_cli::main(std::env::args_os());
    }
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let story = async {
        tokio::select! {
            done = demo(&args) => done,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    };
    match runtime.block_on(story) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(args: &Args) -> Result<()> {
    let start = Instant::now();
    say(
        "This deploys a small application to a private control plane of its own, breaks it, and has hindcast tell what happened \
         and put it back. It takes about half a minute, and touches no other cluster.",
    );
    let servers = [Program::Etcd, Program::Apiserver, Program::ControllerManager];
    if servers.map(Program::is_built).into_iter().collect::<Result<Vec<_>>>()?.contains(&false) {
        say("The servers are built from their Go sources first, once: about eight minutes on two cores.");
    }
    say("Starting a private control plane (etcd, kube-apiserver, kube-controller-manager) …");
    let cluster = Cluster::builder().controller_manager().start().await?;
    let dir = Workdir::new()?;
    let binary = dir.path().join("hindcast");
    std::os::unix::fs::symlink(std::env::current_exe()?, &binary)?;
    let place = Place::folder(&dir.path().join("journal"))?;
    let hindcast = Hindcast::new(&binary, dir.path(), place, cluster.kubeconfig())?;
    say(&format!("Protecting it: hindcast run --journal {}", hindcast.place.url));
    let running = hindcast.run(&[]).await?;
    let client = cluster.client();
    paused_schedule(&client).await?;
    say(
        "Deploying the shop: two Deployments, configuration, a Secret, a Service, an autoscaler, and coupons of a kind of its own …",
    );
    shop::deploy(&client).await?;
    pause().await;
    shop::good_change(&client).await?;
    pause().await;
    let good = clock_of_now();
    let before = shop::intent(&client).await?;
    pause().await;
    say(
        "… and a bad deploy: a broken image, a setting removed, the Service and a coupon deleted, a stray object added.",
    );
    shop::bad_deploy(&client).await?;
    pause().await;
    let broken = shop::intent(&client).await?;

    what_happened(&hindcast, &good).await?;
    say(&format!("What would putting the namespace back to {good} do? (Nothing is changed by asking.)"));
    let plan = tell(&hindcast, &["plan", "-n", "shop", "--at", &good], &[1]).await?;
    for expected in ["web", "settings", "welcome", "stray"] {
        ensure!(plan.contains(expected), "the plan does not tell of {expected}");
    }
    ensure!(shop::intent(&client).await? == broken, "planning changed something");
    say("Put it back.");
    let restored = tell(&hindcast, &["restore", "-n", "shop", "--at", &good, "--yes"], &[0]).await?;
    ensure!(shop::intent(&client).await? == before, "the shop is not as it was");
    say("The shop is as it was, compared field by field with the API server's own answers of before.");
    say("Had that been a mistake, one command takes it back:");
    let id = undo_id(&restored).context("the restore does not say how it is undone")?;
    tell(&hindcast, &["undo", &id, "--yes"], &[0]).await?;
    ensure!(shop::intent(&client).await? == broken, "the undo did not bring back what the restore replaced");
    say("And so it is again as the bad deploy left it.");
    recovery_points(&client, &hindcast, &good).await?;
    say("How much is protected?");
    tell(&hindcast, &["status"], &[0]).await?;
    say(&format!("Done in {:.0} s.", start.elapsed().as_secs_f64()));

    if args.keep {
        keep(&cluster, &hindcast, &binary, &good).await?;
    }
    running.stop().await?;
    Ok(())
}

/// The questions of somebody who was woken up.
async fn what_happened(hindcast: &Hindcast, good: &str) -> Result<()> {
    say("What happened in the last five minutes?");
    let log = tell(hindcast, &["log", "-n", "shop", "--since", "5m"], &[0]).await?;
    for expected in ["web", "settings", "welcome", "stray"] {
        ensure!(log.contains(expected), "the log does not tell of {expected}");
    }
    say(&format!("What differs from {good}?"));
    let diff = tell(hindcast, &["diff", "-n", "shop", "--from", good], &[1, 3]).await?;
    ensure!(diff.contains("v2-broken") && diff.contains("database"), "the diff does not show the bad deploy");
    say("Since when is the Deployment like that, and by whom?");
    let blame = tell(hindcast, &["blame", "deploy/web", "-n", "shop"], &[0, 3]).await?;
    ensure!(blame.contains("v2-broken") && blame.contains("ci"), "the blame does not name who set the image");
    say("The settings as they were, exactly:");
    let past = tell(hindcast, &["show", "cm/settings", "-n", "shop", "--at", good], &[0]).await?;
    ensure!(past.contains("database") && past.contains("EUR"), "the past settings are not shown");
    say("A Secret shows its keys, never its values, unless asked:");
    let secret = tell(hindcast, &["show", "secret/db", "-n", "shop", "--at", good], &[0]).await?;
    ensure!(secret.contains("<redacted 8 bytes") && !secret.contains("aHVudGVyMjI="), "the Secret is not redacted");
    Ok(())
}

/// Where schedules are.
const SCHEDULES: &str = "/apis/hindcast.dev/v1alpha1/namespaces/hindcast/schedules";

/// Installs the kinds of `hindcast.dev`, and a schedule that is paused.
async fn paused_schedule(client: &Client) -> Result<()> {
    for (_, definition) in hindcast_operator::api::definitions() {
        let definition = serde_json::to_value(definition)?;
        create(client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).await?;
    }
    create(client, "/api/v1/namespaces", manifests::namespace("hindcast")).await?;
    let schedule = json!({
        "apiVersion": "hindcast.dev/v1alpha1", "kind": "Schedule", "metadata": {"name": "often"},
        "spec": {"schedule": "* * * * *", "paused": true, "template": {"namespaces": ["shop"]}, "retention": {"last": 3}},
    });
    succeeds("the kind is served", SOON, async || create(client, SCHEDULES, schedule.clone()).await).await.map(|_| ())
}

/// A schedule, with the API server alone; its point is a moment as any other.
async fn recovery_points(client: &Client, hindcast: &Hindcast, good: &str) -> Result<()> {
    // What is worth a point is the shop as it should be.
    tell(hindcast, &["restore", "-n", "shop", "--at", good, "--yes"], &[0]).await?;
    let fixed = shop::intent(client).await?;
    say("A Schedule was created with the cluster, and paused. Now it may run, and makes up for what it missed:");
    println!("\n$ kubectl patch schedule often -n hindcast --type merge -p '{{\"spec\": {{\"paused\": false}}}}'");
    let schedule = &format!("{SCHEDULES}/often");
    send(client, "PATCH", schedule, Some(json!({"spec": {"paused": false}}))).await?;
    let points = "/apis/hindcast.dev/v1alpha1/namespaces/hindcast/recoverypoints";
    until("a point appears", 2 * SOON, async || {
        let list = find(client, points).await?.unwrap_or_default();
        let complete = |point: &Value| point["status"]["phase"] == "Complete";
        Ok(list["items"].as_array().is_some_and(|all| all.iter().any(complete)))
    })
    .await?;
    let paused = json!({"spec": {"paused": true}});
    send(client, "PATCH", schedule, Some(paused)).await?;
    say("It made a recovery point, which is an object too, and the log has it as it has all else:");
    let listed = tell(hindcast, &["point", "list"], &[0]).await?;
    ensure!(listed.contains("often-"), "the list does not have the point");
    let log = ["log", "recoverypoints", "-n", "hindcast", "--since", "1m"];
    // What was just written is told of once it is durable and closed.
    until("the log tells of the point", SOON, async || {
        Ok(String::from_utf8_lossy(&hindcast.call(&log, true).await?.stdout).contains("often-"))
    })
    .await?;
    let log = tell(hindcast, &log, &[0]).await?;
    ensure!(log.contains("often-"), "the log does not tell of the point");
    say("And after another bad deploy, back to it by its name:");
    shop::bad_deploy(client).await?;
    pause().await;
    tell(hindcast, &["restore", "-n", "shop", "--at", "point:latest", "--yes"], &[0]).await?;
    ensure!(shop::intent(client).await? == fixed, "the shop is not as it was at the point");
    Ok(())
}

/// The id in the last line: `undo: hindcast undo ID`.
fn undo_id(text: &str) -> Option<String> {
    let at = text.rfind("hindcast undo ")?;
    text.get(at..)?.split_whitespace().nth(2).map(str::to_owned)
}

async fn keep(cluster: &Cluster, hindcast: &Hindcast, binary: &Path, good: &str) -> Result<()> {
    println!("\nLeft running until Ctrl-C. Try:\n");
    println!("  export KUBECONFIG={} HINDCAST_JOURNAL={}", cluster.kubeconfig().display(), hindcast.place.url);
    println!("  export HINDCAST_KEY_FILE={}", hindcast.key_file.display());
    let verbs = [
        "log -n shop --since 10m".to_owned(),
        format!("diff -n shop --from {good}"),
        "blame deploy/web -n shop".to_owned(),
        format!("plan -n shop --at {good}"),
        format!("restore -n shop --at {good}"),
        "status".to_owned(),
    ];
    for verb in verbs {
        println!("  {} {verb}", binary.display());
    }
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")
}

fn say(text: &str) {
    println!("\n── {text}");
}

/// Runs a verb as a person would, and shows the command with what it printed.
async fn tell(hindcast: &Hindcast, args: &[&str], codes: &[i32]) -> Result<String> {
    println!("\n$ hindcast {}", args.join(" "));
    let output = hindcast.call(args, true).await?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{out}");
    for line in err.lines() {
        println!("  {line}");
    }
    let code = output.status.code().unwrap_or(-1);
    ensure!(codes.contains(&code), "hindcast {} ended with exit code {code}", args.join(" "));
    Ok(format!("{out}{err}"))
}

/// Long enough that two moments of the story are not the same second.
async fn pause() {
    // The story is told by the second.
    tokio::time::sleep(Duration::from_millis(1200)).await;
}

fn clock_of_now() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
