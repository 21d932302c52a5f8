//! `cargo demo`: the main job on a real private control plane and a `file://` journal. An application is deployed,
//! changed and broken; `log`, `get --at` and `show --at` tell what happened.
//!
//! Under the name `hindcast` this program is `hindcast` itself, so that one build serves the story and its subject.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use hindcast_tests::{
    oracle::{request, subject::{Hindcast, Place}},
    real::{Cluster, process::Workdir},
};
use kube::Client;
use serde_json::json;

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
    say("Deploying the shop, then giving it one good change …");
    deploy(&client).await?;
    pause().await;
    patch(&client, "/api/v1/namespaces/shop/configmaps/settings", json!({ "data": { "currency": "EUR" } })).await?;
    pause().await;
    let good = clock_of_now();
    pause().await;
    say("… and a bad one: another image, a setting removed, the Service deleted, a stray object added.");
    let web = "/apis/apps/v1/namespaces/shop/deployments/web";
    patch(&client, web, json!({ "spec": { "template": { "spec": { "containers": [{ "name": "web", "image": "registry.local/shop:v2-broken" }] } } } })).await?;
    patch(&client, "/api/v1/namespaces/shop/configmaps/settings", json!({ "data": { "database": null } })).await?;
    send(&client, "DELETE", "/api/v1/namespaces/shop/services/web", None).await?;
    create(&client, "/api/v1/namespaces/shop/configmaps", json!({ "metadata": { "name": "stray" }, "data": { "left": "behind" } })).await?;
    pause().await;

    say("What happened in the last five minutes?");
    let log = tell(&hindcast, &["log", "-n", "shop", "--since", "5m"], &[0]).await?;
    for expected in ["deployments/web", "configmaps/settings", "services/web", "configmaps/stray"] {
        let short = expected.split('/').next_back().unwrap_or(expected);
        ensure!(log.contains(short), "the log does not tell of {expected}");
    }
    say(&format!("What was there at {good}?"));
    let then = tell(&hindcast, &["get", "deploy,svc,cm", "-n", "shop", "--at", &good], &[0]).await?;
    ensure!(then.contains("settings") && !then.contains("stray"), "the past is not shown as it was");
    say("And now?");
    let now = tell(&hindcast, &["get", "deploy,svc,cm", "-n", "shop", "--at", "now"], &[0, 3]).await?;
    ensure!(now.contains("stray"), "the present is not shown");
    say("The settings as they were, exactly:");
    let past = tell(&hindcast, &["show", "cm/settings", "-n", "shop", "--at", &good], &[0]).await?;
    ensure!(past.contains("database") && past.contains("EUR"), "the past settings are not shown");
    say("A Secret shows its keys, never its values, unless asked:");
    let secret = tell(&hindcast, &["show", "secret/db", "-n", "shop", "--at", &good], &[0]).await?;
    ensure!(secret.contains("<redacted 8 bytes") && !secret.contains("aHVudGVyMjI="), "the Secret is not redacted");
    say("How much is protected?");
    tell(&hindcast, &["status"], &[0]).await?;
    say(&format!("Done in {:.0} s.", start.elapsed().as_secs_f64()));

    if args.keep {
        keep(&cluster, &hindcast, &binary, &good).await?;
    }
    running.stop().await?;
    Ok(())
}

async fn keep(cluster: &Cluster, hindcast: &Hindcast, binary: &Path, good: &str) -> Result<()> {
    println!("\nLeft running until Ctrl-C. Try:\n");
    println!("  export KUBECONFIG={} HINDCAST_JOURNAL={}", cluster.kubeconfig().display(), hindcast.place.url);
    println!("  export HINDCAST_KEY_FILE={}", hindcast.key_file.display());
    for verb in ["log -A --since 10m".to_owned(), format!("get po -A --at {good}"), "status".to_owned()] {
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
    Ok(out.into_owned())
}

/// Long enough that two moments of the story are not the same second.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(1200)).await;
}

fn clock_of_now() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

async fn deploy(client: &Client) -> Result<()> {
    create(client, "/api/v1/namespaces", json!({ "metadata": { "name": "shop" } })).await?;
    let labels = json!({ "app": "web" });
    create(client, "/api/v1/namespaces/shop/configmaps", json!({
        "metadata": { "name": "settings" },
        "data": { "database": "postgres://db.shop.svc/shop", "currency": "USD", "theme": "dark" },
    })).await?;
    create(client, "/api/v1/namespaces/shop/secrets", json!({
        "metadata": { "name": "db" }, "data": { "password": "aHVudGVyMjI=" },
    })).await?;
    create(client, "/apis/apps/v1/namespaces/shop/deployments", json!({
        "metadata": { "name": "web", "labels": labels },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "web", "image": "registry.local/shop:v1" }] },
            },
        },
    })).await?;
    create(client, "/api/v1/namespaces/shop/services", json!({
        "metadata": { "name": "web" }, "spec": { "selector": labels, "ports": [{ "port": 80 }] },
    })).await
}

async fn create(client: &Client, path: &str, object: serde_json::Value) -> Result<()> {
    send(client, "POST", path, Some((object, "application/json"))).await
}

async fn patch(client: &Client, path: &str, change: serde_json::Value) -> Result<()> {
    send(client, "PATCH", path, Some((change, "application/strategic-merge-patch+json"))).await
}

async fn send(client: &Client, method: &str, path: &str, body: Option<(serde_json::Value, &str)>) -> Result<()> {
    let (bytes, content_type) = match body {
        Some((body, content_type)) => (Some(serde_json::to_vec(&body)?), content_type),
        None => (None, ""),
    };
    let path = format!("{path}?fieldManager=shop-team");
    let (status, answer) = request(client, method, &path, bytes, content_type).await?;
    ensure!((200..300).contains(&status), "{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
    Ok(())
}
