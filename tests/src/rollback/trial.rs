//! The property, checked history by history: it is rolled back as predicted, undone, rolled back again, and then
//! nothing is left to do.
//!
//! Many histories run at once, each in a namespace of its own, under one `hindcast run`. A violation is reported
//! with its seed; `cargo soak rollback SEED` runs that history alone, and removes steps as long as it still fails.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::{
    Op, Scene, Sort,
    answer::{Action, Restore, Said},
    bodies,
    cases::{CASES, Case},
    fields::differences,
    history::history,
    model::{Model, against_outcome, against_undone, name},
    scene::{Answered, LIMITED, Objects},
    shrink::shrink,
};
use crate::{
    http::{answers_with, create},
    manifests::DEFINITIONS,
    oracle::{
        self,
        subject::{Hindcast, Place, Running},
    },
    real::{Cluster, Part, process::Workdir},
    until::{SOON, until},
};

/// The size of a trial.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// The first seed.
    pub first: u64,
    /// How many.
    pub histories: u64,
    /// How many at once.
    pub at_once: usize,
    /// How many in one cluster.
    pub per_cluster: u64,
}

/// What was done, for the record.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    histories: u64,
    /// By an account that may not grant rights.
    limited: u64,
    writes: u64,
    refused: u64,
    /// Actions by verb and kind.
    actions: BTreeMap<String, u64>,
    /// What was left alone, by code.
    left: BTreeMap<String, u64>,
    /// Repeated server-side applies that were answered as at the moment.
    reapplied: u64,
    /// Longest plan and restore, in seconds.
    slowest: (f64, f64),
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.histories += other.histories;
        self.limited += other.limited;
        self.writes += other.writes;
        self.refused += other.refused;
        self.reapplied += other.reapplied;
        self.slowest = (self.slowest.0.max(other.slowest.0), self.slowest.1.max(other.slowest.1));
        for (to, from) in [(&mut self.actions, other.actions), (&mut self.left, other.left)] {
            for (key, n) in from {
                *to.entry(key).or_default() += n;
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut verbs: BTreeMap<&str, u64> = BTreeMap::new();
        for (key, n) in &self.actions {
            *verbs.entry(key.split(' ').next().unwrap_or_default()).or_default() += n;
        }
        let kinds: std::collections::BTreeSet<&str> =
            self.actions.keys().filter_map(|key| key.split(' ').nth(1)).collect();
        write!(
            f,
            "{} histories ({} by a limited account), {} writes ({} refused), actions {verbs:?} on {} kinds, left {:?}, {} applies repeated, slowest plan {:.1} s, restore {:.1} s",
            self.histories,
            self.limited,
            self.writes,
            self.refused,
            kinds.len(),
            self.left,
            self.reapplied,
            self.slowest.0,
            self.slowest.1
        )
    }
}

/// A cluster with `hindcast run`.
pub struct World {
    // In the order of dropping.
    running: Running,
    /// The binary.
    pub hindcast: Hindcast,
    /// The same, for whom a history limits ([`super::history::Act::Limit`]).
    limited: Hindcast,
    /// A client with every right.
    pub client: Client,
    /// The cluster.
    pub cluster: Cluster,
    turns: Semaphore,
    /// How often the cut was closed; see [`Self::closing`].
    closed: watch::Sender<u64>,
    _dir: Workdir,
}

impl World {
    /// A cluster with the custom kinds and, of all controllers, the garbage collector: what the others do, nobody could
    /// predict object by object.
    pub async fn start(binary: &str) -> Result<Self> {
        // Many histories share the node ports: the range is wide, so that none takes a port that another wants back.
        let ports = "--service-node-port-range=20000-65000";
        let builder = oracle::builder().apiserver_flag(ports).only_controllers(&["garbage-collector-controller"]);
        Self::start_on(binary, builder.start().await?).await
    }

    /// The same on a cluster of choices.
    pub async fn start_on(binary: &str, cluster: Cluster) -> Result<Self> {
        let dir = Workdir::new()?;
        let client = cluster.client();
        define(&client).await?;
        if cluster.pid(Part::ControllerManager).is_ok() {
            // Of kinds that came after its start it hears late.
            cluster.restart(Part::ControllerManager).await?;
        }
        let limited = limited(&cluster).await?;
        let place = Place::folder(&dir.path().join("journal"))?;
        let hindcast = Hindcast::new(binary, dir.path(), place.clone(), cluster.kubeconfig())?;
        let limited = Hindcast::new(binary, dir.path(), place, limited)?;
        let running = hindcast.run(&[]).await?;
        // The calls share two cores; more at once would only wait for one another within their own deadlines.
        running.close().await?;
        let (turns, closed) = (Semaphore::new(6), watch::Sender::new(0));
        Ok(Self { running, hindcast, limited, client, cluster, turns, closed, _dir: dir })
    }

    /// The running `hindcast run`.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Asks the binary, with access to the cluster.
    pub async fn ask(&self, args: &[&str]) -> Result<Said> {
        self.ask_as(&self.hindcast, args).await
    }

    async fn ask_as(&self, hindcast: &Hindcast, args: &[&str]) -> Result<Said> {
        let _turn = self.turns.acquire().await?;
        Ok(Said::new(args, &hindcast.call_within(args, true, Duration::from_mins(3)).await?))
    }

    /// Does some work while the cut is closed over and over, once for all that wait for it ([`Self::until_closed`]); if
    /// every call closed it by itself, each would read every kind, and dozens at once would only measure the machine.
    pub async fn closing<T>(&self, work: impl Future<Output = T>) -> T {
        let beat = async {
            loop {
                if self.running.close().await.is_err() {
                    // Whoever waits has a deadline of its own; this goes on, without pressing a server that is away.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                self.closed.send_modify(|n| *n += 1);
            }
        };
        tokio::select! {
            done = work => done,
            () = beat => unreachable!("it beats for ever"),
        }
    }

    /// Waits until the cut was closed after now.
    pub async fn until_closed(&self) -> Result<()> {
        let mut closed = self.closed.subscribe();
        let now = *closed.borrow();
        // The one under way may have begun before.
        closed.wait_for(|n| *n >= now + 2).await?;
        Ok(())
    }

    /// Stops `hindcast run` gracefully.
    pub async fn stop(self) -> Result<()> {
        self.running.stop().await
    }
}

/// Makes the role that a history binds to a limited account in its namespace: everything but to grant rights; and the
/// account, which may look at everything and change nothing outside.
async fn limited(cluster: &Cluster) -> Result<PathBuf> {
    let strings = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    let rules: Vec<Value> = Sort::ALL
        .into_iter()
        .map(|sort| {
            let group = sort.api_version().split_once('/').map_or(String::new(), |(group, _)| group.to_owned());
            let verbs = ["get", "list", "watch", "create", "update", "patch", "delete"];
            json!({ "apiGroups": [group], "resources": [sort.resource()], "verbs": verbs })
        })
        .collect();
    let role = json!({ "metadata": { "name": LIMITED }, "rules": rules });
    create(&cluster.client(), "/apis/rbac.authorization.k8s.io/v1/clusterroles", role).await?;
    let look = PolicyRule {
        api_groups: strings(&["*"]),
        resources: strings(&["*"]),
        verbs: vec!["get".to_owned(), "list".to_owned(), "watch".to_owned()],
        ..Default::default()
    };
    cluster.user(LIMITED, vec![look]).await
}

/// Makes the custom kinds, and waits until they are served.
pub async fn define(client: &Client) -> Result<()> {
    for definition in bodies::definitions() {
        create(client, DEFINITIONS, definition).await?;
    }
    for sort in [Sort::Blob, Sort::Shop] {
        let path = sort.collection("default");
        until(format!("{path} is served"), SOON, async || answers_with(client, &path, 200).await).await?;
    }
    Ok(())
}

/// A history to be tried, and what it is called.
struct Try {
    name: String,
    namespace: String,
    ops: Vec<Op>,
}

impl Try {
    fn seed(seed: u64) -> Self {
        Self { name: format!("seed {seed}"), namespace: format!("h-{seed}"), ops: history(seed) }
    }

    fn cases() -> Result<Vec<Self>> {
        let named = |(n, case): (usize, &Case)| {
            Ok(Self { name: case.name.to_owned(), namespace: format!("case-{n}"), ops: case.ops()? })
        };
        CASES.iter().enumerate().map(named).collect()
    }
}

/// Runs histories, those that once failed among the first; an error has the violations and a shrunk history.
pub async fn property(binary: &str, size: Size) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut next = size.first;
    let end = size.first + size.histories;
    while next < end {
        let seeds = next..end.min(next + size.per_cluster);
        next = seeds.end;
        let known = seeds.start == size.first && size.histories > 1;
        let mut tries = if known { Try::cases()? } else { Vec::new() };
        tries.extend(seeds.map(Try::seed));
        let world = World::start(binary).await?;
        let work = stream::iter(&tries)
            .map(|one| {
                let world = &world;
                async move { (one, self::one(world, &one.namespace, &one.ops).await) }
            })
            .buffer_unordered(size.at_once)
            .collect::<Vec<_>>();
        let mut failed = Vec::new();
        for (one, result) in world.closing(work).await {
            match result {
                Ok(one) => tally.add(one),
                Err(error) => failed.push((one, format!("{error:#}"))),
            }
        }
        failed.sort_by_key(|(one, _)| one.ops.len());
        if let Some((one, reason)) = failed.first() {
            let told: Vec<String> = failed.iter().map(|(one, why)| format!("{}: {why}", one.name)).collect();
            // Removing steps takes long; what failed is reported before that.
            println!("rollback: {}", told.join("\n"));
            let (ops, why) = world.closing(shrink(&world, one.ops.clone(), reason)).await;
            anyhow::bail!(
                "{} of {} histories fail\n\n{} shrunk to {} steps: {}\nwhich fail: {why}",
                failed.len(),
                tries.len(),
                one.name,
                ops.len(),
                serde_json::to_string(&ops)?
            );
        }
        world.stop().await?;
        println!("rollback: up to seed {next}: {tally}");
    }
    Ok(tally)
}

/// One seed alone, shrunk if it fails.
pub async fn replay(binary: &str, seed: u64) -> Result<Tally> {
    property(binary, Size { first: seed, histories: 1, at_once: 1, per_cluster: 1 }).await
}

/// One history from its beginning to the restore that has nothing to do; an error says everything that is not as it
/// must be.
pub async fn one(world: &World, namespace: &str, ops: &[Op]) -> Result<Tally> {
    let mut scene = Scene::new(&world.client, namespace).await?;
    scene.play(ops).await?;
    let (before, itself) = scene.read().await?;
    bodies_are_the_namespace(&scene, &before)?;
    let moment = scene.moment.clone().context("a history has a moment")?;
    let model = Model { moment: &moment, before: &before, itself: &itself, limited: scene.limited };
    let caller = if scene.limited { &world.limited } else { &world.hindcast };
    let at = moment.at.as_str();
    let scope = ["-n", namespace, "--at", at, "-o", "json"];
    let mut tally = Tally {
        histories: 1,
        limited: u64::from(scene.limited),
        writes: scene.writes,
        refused: scene.refused.len() as u64,
        ..Tally::default()
    };

    world.until_closed().await?;
    let began = Instant::now();
    // The server's dry run of each action is part of what must change nothing.
    let said = ask(world, caller, &[&["plan", "--check"][..], &scope].concat()).await?;
    tally.slowest.0 = began.elapsed().as_secs_f64();
    let plan = said.plan()?;
    ensure!(said.code == plan.code(), "the exit code of {said}");
    none(&model.against_plan(&plan), &said)?;
    let (unplanned, _) = scene.read().await?;
    ensure!(unplanned == before, "the plan changed something");

    let began = Instant::now();
    let said = ask(world, caller, &[&["restore", "--yes"][..], &scope].concat()).await?;
    tally.slowest.1 = began.elapsed().as_secs_f64();
    let restore = said.restore()?;
    none(&against_outcome(&model, &plan, &restore), &said)?;
    ensure!(exit(&restore) == said.code, "the exit code of {said}");
    scene.collect().await?;
    let (after, now) = scene.read().await?;
    none(&model.against_state(&restore.actions, &after, &now), &said)?;
    tally.reapplied = owners_are_back(&scene, &model, &restore.actions).await?;

    if let Some(id) = restore.id.as_deref().filter(|_| !restore.actions.is_empty()) {
        let said = ask(world, caller, &["undo", id, "--yes", "-o", "json"]).await?;
        let undone = said.restore()?;
        none(&against_undone(&model, &undone), &said)?;
        ensure!(exit(&undone) == said.code, "the exit code of {said}");
        scene.collect().await?;
        let (after, now) = scene.read().await?;
        none(&model.against_undo(&restore.actions, &after, &now), &said)?;

        let model = Model { moment: &moment, before: &after, itself: &now, limited: scene.limited };
        world.until_closed().await?;
        let said = ask(world, caller, &[&["restore", "--yes"][..], &scope].concat()).await?;
        let again = said.restore()?;
        ensure!(exit(&again) == said.code, "the exit code of {said}");
        scene.collect().await?;
        let (after, now) = scene.read().await?;
        none(&model.against_state(&again.actions, &after, &now), &said)?;
    }
    let (before, itself) = scene.read().await?;
    let model = Model { moment: &moment, before: &before, itself: &itself, limited: scene.limited };
    let said = ask(world, caller, &[&["restore", "--yes"][..], &scope].concat()).await?;
    let (after, _) = scene.read().await?;
    let all = |objects: &Objects| -> Value { objects.iter().map(|(id, body)| (name(id), body.clone())).collect() };
    let last = said.restore()?;
    ensure!(
        last.actions.iter().all(|action| model.is_refused(action)) && before == after,
        "a second restore has nothing to do, and changed {:?}: {said}",
        differences(&all(&before), &all(&after))
    );

    scene.clean().await?;
    for action in &plan.actions {
        *tally.actions.entry(format!("{} {}", action.verb, action.kind)).or_default() += 1;
    }
    for left in &plan.left {
        *tally.left.entry(left.code.clone()).or_default() += 1;
    }
    Ok(tally)
}

/// The exit code of a restore that ended like this.
fn exit(restore: &Restore) -> i32 {
    let done = |action: &Action| matches!(action.result.as_deref(), Some("done" | "already"));
    if !restore.actions.is_empty() && !restore.actions.iter().any(done) {
        return 2;
    }
    i32::from(restore.is_open() || !restore.actions.iter().all(Action::is_well))
}

/// Asks, and lets no value of a Secret through.
async fn ask(world: &World, caller: &Hindcast, args: &[&str]) -> Result<Said> {
    let said = world.ask_as(caller, args).await?;
    let sealed = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bodies::PLANTED);
    for planted in [bodies::PLANTED, &sealed[..24]] {
        ensure!(!said.out.contains(planted) && !said.err.contains(planted), "a Secret's value in {said}");
    }
    Ok(said)
}

fn none(wrong: &[String], said: &Said) -> Result<()> {
    ensure!(wrong.is_empty(), "{}\n{said}", wrong.join("\n"));
    Ok(())
}

/// The model is worthless if the scene is not what is in the namespace.
fn bodies_are_the_namespace(scene: &Scene, listed: &Objects) -> Result<()> {
    let bare = |objects: &Objects| -> Vec<(String, Value)> {
        let strip = |mut body: Value| {
            for field in ["apiVersion", "kind"] {
                body.as_object_mut().map(|body| body.remove(field));
            }
            body
        };
        objects.iter().map(|(id, body)| (name(id), strip(body.clone()))).collect()
    };
    let (a, b) = (bare(&scene.now), bare(listed));
    let odd = a.iter().filter(|x| !b.contains(x)).chain(b.iter().filter(|x| !a.contains(x))).next();
    ensure!(odd.is_none(), "the scene is not its namespace: {odd:?}");
    Ok(())
}

/// Whoever applied an object before the moment is answered to the next apply as at the moment: no conflict with the
/// restore.
async fn owners_are_back(scene: &Scene, model: &Model<'_>, actions: &[Action]) -> Result<u64> {
    let mut count = 0;
    for ((id, manager), (wanted, then)) in &model.moment.applies {
        let put_back = |a: &Action| a.id() == name(id) && a.verb != "delete" && a.result.as_deref() == Some("done");
        if !actions.iter().any(put_back) {
            continue;
        }
        let (now, said) = scene.would_apply(id, manager, wanted).await?;
        // What is scaled is its scaler's, and stays so.
        let judged = |answered: Answered| {
            if model.except(id).replicas { answered.without(".spec.replicas") } else { answered }
        };
        ensure!(
            judged(now.clone()) == judged(then.clone()),
            "{}: an apply by {manager} was answered {then:?} at the moment and now {now:?} {said}",
            name(id)
        );
        count += 1;
    }
    Ok(count)
}
