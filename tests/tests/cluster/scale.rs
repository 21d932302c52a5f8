//! Many kinds: protected soon after the start, without keeping others from the API server; a new kind at once.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use hindcast_tests::{
    manifests::{DEFINITIONS, custom, definition},
    oracle::subject::{Hindcast, Running},
    real::{Cluster, process::Workdir},
};
use kube::Client;
use serde_json::json;

use crate::scene::{ask, create, create_when_served, exact, kinds, on_folder, rv, send, until};

const CRDS: usize = 300;

/// Requests at once while the scene is set.
const AT_ONCE: usize = 8;

fn group(n: usize) -> String {
    format!("g{}.scale.example.com", n / 10)
}

async fn make_kinds(client: &Client) -> Result<()> {
    futures::stream::iter(0..CRDS)
        .map(async |n| {
            let definition = definition(&group(n), &format!("kind{n}s"), &format!("Kind{n}"));
            create(client, DEFINITIONS, definition).await
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(async |_| Ok(()))
        .await?;
    futures::stream::iter(0..CRDS)
        .map(async |n| {
            let (group, kind) = (group(n), format!("Kind{n}"));
            let path = format!("/apis/{group}/v1/namespaces/default/kind{n}s");
            let object = custom(&format!("{group}/v1"), &kind, "one", json!({"n": n}));
            create_when_served(client, &path, &object).await
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(async |_| Ok(()))
        .await
}

/// Which of the kinds are durably protected, with their object.
async fn protected(hindcast: &Hindcast) -> Result<BTreeSet<String>> {
    let kinds = kinds(hindcast).await.unwrap_or_default();
    let whole = kinds.iter().filter(|kind| kind["protected"] == true && kind["objects"] == 1);
    let names = whole.filter_map(|kind| kind["name"].as_str());
    Ok(names.filter(|name| name.ends_with(".scale.example.com")).map(str::to_owned).collect())
}

/// Another client that lists all the while; how long the slowest list took, and how many there were.
async fn others(client: Client, done: Arc<AtomicBool>) -> Result<(Duration, usize)> {
    let (mut slowest, mut count) = (Duration::ZERO, 0);
    loop {
        let kind = count * 37 % CRDS;
        for path in ["/api/v1/configmaps".to_owned(), format!("/apis/{}/v1/kind{kind}s", group(kind))] {
            let began = Instant::now();
            send(&client, "GET", &path, None).await?;
            slowest = slowest.max(began.elapsed());
            count += 1;
        }
        if done.load(Ordering::Relaxed) {
            return Ok((slowest, count));
        }
        // Its pace: a client beside, not a load.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_definitions_are_protected_in_time_and_a_new_one_at_once() -> Result<()> {
    let _alone = crate::FIGURES.write().await;
    let cluster = Cluster::start().await?;
    let client = cluster.client();
    let began = Instant::now();
    make_kinds(&client).await?;
    let made = began.elapsed();

    // How slow this machine is without us.
    let done = Arc::new(AtomicBool::new(true));
    let mut alone = Duration::ZERO;
    for _ in 0..10 {
        alone = alone.max(others(client.clone(), done.clone()).await?.0);
    }
    let dir = Workdir::new()?;
    let hindcast = on_folder(&dir, "main", cluster.kubeconfig())?;
    done.store(false, Ordering::Relaxed);
    let began = Instant::now();
    let running = hindcast.launch(&[])?;
    let listing = tokio::spawn(others(cluster.client(), done.clone()));
    running.wait_ready(Duration::from_mins(1)).await?;
    let ready = began.elapsed();
    let all = async || Ok(protected(&hindcast).await?.len() == CRDS);
    until("every kind is protected", Duration::from_mins(1), all).await?;
    let durable = began.elapsed();
    done.store(true, Ordering::Relaxed);
    let (slowest, count) = listing.await??;

    // What else this machine does at the moment is not part of the promise: one try may fail.
    let mut fresh: Vec<New> = Vec::new();
    while fresh.len() < 3 && !fresh.iter().any(New::is_in_time) {
        fresh.push(new_kind(&client, &hindcast, &running, fresh.len()).await?);
    }
    println!(
        "scale: {CRDS} definitions (made in {made:.1?}) ready after {ready:.1?}, durably protected after {durable:.1?}; \
         {count} lists of others meanwhile, the slowest {slowest:.1?}; new kinds: {fresh:.1?}",
    );
    ensure!(durable < Duration::from_secs(30), "protected after {durable:?}");
    let limit = Duration::from_secs(2) + alone;
    ensure!(slowest < limit, "a list of another client took {slowest:?}, without us {alone:?}");
    ensure!(fresh.iter().any(New::is_in_time), "new kinds are protected late: {fresh:?}");
    running.stop().await
}

/// How long it took until a new kind was protected.
#[derive(Debug)]
#[expect(dead_code, reason = "printed whole")]
struct New {
    /// Since its definition was answered.
    answered: Duration,
    /// Since it was served.
    served: Duration,
    /// How long closing the cut of all kinds took afterwards.
    closed: Duration,
}

impl New {
    fn is_in_time(&self) -> bool {
        self.answered < Duration::from_secs(3)
    }
}

/// Makes a kind and an object of it at once.
async fn new_kind(client: &Client, hindcast: &Hindcast, running: &Running, n: usize) -> Result<New> {
    let (group, plural) = (format!("fresh{n}.example.com"), format!("newcomers{n}"));
    let definition = definition(&group, &plural, &format!("Newcomer{n}"));
    create(client, DEFINITIONS, definition).await?;
    let answered = Instant::now();
    let path = format!("/apis/{group}/v1/namespaces/default/{plural}");
    let object = custom(&format!("{group}/v1"), &format!("Newcomer{n}"), "first", json!({"size": 1}));
    let first = create_when_served(client, &path, &object).await?;
    let served = answered.elapsed();
    let covered = format!("hindcast_covered{{kind=\"{group}/{plural}\"}} 1");
    let shown = async || Ok(running.http("GET", "/metrics").await?.1.contains(&covered));
    until("the new kind is covered", Duration::from_secs(30), shown).await?;
    let protected = answered.elapsed();

    // The object that was there first, and its next version, as they were answered.
    let second = send(client, "PATCH", &format!("{path}/first"), Some(json!({"spec": {"size": 2}}))).await?;
    let closing = Instant::now();
    running.close().await?;
    let closed = closing.elapsed();
    let kind = format!("{plural}.{group}");
    for object in [first, second] {
        let at = format!("rev:{}", rv(&object));
        let said = ask(hindcast, &["get", &kind, "first", "-n", "default", "--at", &at, "-o", "json"]).await?;
        // The first version may be older than the list that the protection begins with.
        if said.code != 0 && object["spec"]["size"] == 1 {
            said.is(2, &["not protected at"])?.never(&["No resources found"])?;
            continue;
        }
        ensure!(said.is(0, &[])?.json()?["items"][0] == exact(object), "{said}");
    }
    Ok(New { answered: protected, served: protected.saturating_sub(served), closed })
}
