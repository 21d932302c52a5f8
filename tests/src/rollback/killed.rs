//! Restores that are killed, the process at any instant or the API server midway, then resumed, and right every time.
//!
//! One namespace goes back and forth between two states: a restore brings one back, the undo of that restore the other.
//! Each of them is killed at a random instant, or stopped as by Ctrl-C, and then resumed or taken back as it is, some
//! of them several times.
//!
//! **Words**: a port is *leaked* when no Service has it and the API server gives it to none: an update whose client
//! vanished between the commit and the answer does not free the ports of before, until a repair some minutes later.
//!
//! **Invariants.** (1) After a restore or undo that was resumed to its end, every object is as it should be and what
//! nobody acts on has kept its revision. Once something was killed, the addresses that the server chose for Services
//! aren't compared: they may be leaked. (2) A kill that came after the end isn't counted.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::{
    Sort,
    answer::{Action, Said},
    bodies,
    fields::{Except, differences, project},
    scene::{Id, Objects, read},
    trial::World,
};
use crate::{
    http::{self, send},
    manifests::{NAMESPACES, namespace},
    real::Part,
    sim::rng::Rng,
    until::{SOON, ends, succeeds, until_every},
};

/// The size of the trial.
#[derive(Debug, Clone, Copy)]
pub struct Killed {
    /// Objects of the namespace.
    pub objects: u64,
    /// Kills of the process that count.
    pub kills: u32,
    /// Kills of the API server.
    pub apiserver_kills: u32,
    /// Seed.
    pub seed: u64,
}

const NAMESPACE: &str = "killed";

/// Runs the trial; what happened, in words.
pub async fn killed(binary: &str, size: Killed) -> Result<String> {
    let world = World::start(binary).await?;
    let mut trial = Trial::prepare(&world, size).await?;
    let mut kills = 0;
    let mut rounds = 0;
    let mut mid_way = 0;
    let mut apiserver = 0;
    let (mut stopped, mut taken_back) = (0, 0);
    // The first goes undisturbed and says how long one takes.
    let began = Instant::now();
    let first = trial.restore(Side::Then, None).await?;
    ensure!(trial.is_well(&first.said), "{}", first.said);
    trial.check(Side::Then).await?;
    let usual = began.elapsed();
    let mut last = first.id;
    ensure!(last.is_some(), "a restore has an id");
    trial.leaks = true;
    let mut side = Side::Before;
    while kills < size.kills || apiserver < size.apiserver_kills || taken_back == 0 {
        rounds += 1;
        ensure!(rounds < 20 + 6 * (size.kills + size.apiserver_kills), "of {rounds} kills only {kills} came in time");
        let break_server = apiserver < size.apiserver_kills && (kills >= size.kills || rounds % 4 == 0);
        if break_server {
            apiserver += 1;
            last = Some(trial.with_the_server_killed(side, last.as_deref(), usual).await?);
        } else {
            let wanted = size.kills - kills.min(size.kills);
            let round = trial.killed(side, last.as_deref(), usual, wanted).await?;
            kills += round.kills;
            mid_way += round.mid_way;
            stopped += round.stopped;
            taken_back += u32::from(round.taken_back);
            if round.taken_back {
                side = side.other();
            }
            last = round.id;
        }
        trial.check(side).await.with_context(|| format!("round {rounds}, {side:?}"))?;
        side = side.other();
    }
    let said = format!(
        "{} objects, {} acted on: {kills} kills ({mid_way} with some writes done), {stopped} stops, {apiserver} of the API server, in {rounds} restores and undos, {taken_back} of them taken back as they were; undisturbed one took {:.1} s",
        size.objects,
        trial.acted.len(),
        usual.as_secs_f64()
    );
    world.stop().await?;
    Ok(said)
}

/// Which of the two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Then,
    Before,
}

impl Side {
    fn other(self) -> Self {
        if self == Self::Then { Self::Before } else { Self::Then }
    }
}

struct Trial<'a> {
    world: &'a World,
    /// The moments of both sides.
    at: String,
    at_before: String,
    then: Objects,
    before: Objects,
    /// What differs between the two.
    acted: BTreeSet<Id>,
    draw: Rng,
    log: PathBuf,
    /// Ports may have been leaked.
    leaks: bool,
}

/// When a call is killed.
#[derive(Debug, Clone, Copy)]
struct Kill {
    after: Duration,
    /// Counted from when its record is there, so that the kill comes while it writes and not while it plans.
    begun: bool,
    /// As Ctrl-C does: it may finish what is under way, and says what was done.
    gently: bool,
}

/// A restore or undo that was disturbed, and came to an end.
#[derive(Default)]
struct Round {
    /// The id that another undo of it would name; none if it was taken back.
    id: Option<String>,
    kills: u32,
    /// The kills among them that came when some of the writes were done.
    mid_way: u32,
    stopped: u32,
    taken_back: bool,
}

/// A call that ended, or was killed.
struct Ended {
    said: Said,
    id: Option<String>,
}

impl<'a> Trial<'a> {
    async fn prepare(world: &'a World, size: Killed) -> Result<Self> {
        let mut draw = Rng::new(size.seed);
        http::create(&world.client, NAMESPACES, namespace(NAMESPACE)).await?;
        let sorts = [Sort::ConfigMap, Sort::Secret, Sort::Deployment, Sort::Role, Sort::Blob, Sort::Service];
        let mut ids = Vec::new();
        for n in 0..size.objects {
            let sort = sorts[n as usize % sorts.len()];
            ids.push((sort, format!("{}-{n}", sort.kind().to_lowercase()), draw.number(), draw.below(100)));
        }
        // Four in five at the moment; of these half change and some go; the others come later.
        let (early, late): (Vec<_>, Vec<_>) = ids.into_iter().partition(|(.., roll)| *roll < 80);
        each(&early, async |(sort, name, salt, _)| create(world, *sort, name, *salt).await).await?;
        let marker = create(world, Sort::ConfigMap, "moment", 1).await?;
        let at = position(&marker);
        let (then, _) = read(&world.client, NAMESPACE).await?;
        each(&early, async |(sort, name, salt, roll)| {
            let path = format!("{}/{name}", sort.collection(NAMESPACE));
            match roll {
                0..40 => {
                    let mut body = manifest(*sort, name, salt ^ 0x5555);
                    body["metadata"]["labels"]["changed"] = json!("yes");
                    send(&world.client, "PATCH", &path, Some(body)).await
                }
                40..55 => send(&world.client, "DELETE", &path, None).await,
                _ => Ok(Value::Null),
            }
        })
        .await?;
        each(&late, async |(sort, name, salt, _)| create(world, *sort, name, *salt).await).await?;
        let marker = create(world, Sort::ConfigMap, "moment-before", 2).await?;
        let at_before = position(&marker);
        let (before, _) = read(&world.client, NAMESPACE).await?;
        let ids: BTreeSet<Id> = then.keys().chain(before.keys()).cloned().collect();
        let acted = ids.into_iter().filter(|id| then.get(id) != before.get(id)).collect();
        let log = world.cluster.dir().join("killed");
        fs::create_dir_all(&log)?;
        Ok(Self { world, at, at_before, then, before, acted, draw, log, leaks: false })
    }

    /// A restore of one side from its beginning, killed after a while if one is given.
    async fn restore(&self, side: Side, kill: Option<Kill>) -> Result<Ended> {
        let at = if side == Side::Then { &self.at } else { &self.at_before };
        self.call(&["restore", "-n", NAMESPACE, "--at", at, "--yes", "-o", "json"], kill).await
    }

    async fn undo(&self, id: &str, kill: Option<Kill>) -> Result<Ended> {
        self.call(&["undo", id, "--yes", "-o", "json"], kill).await
    }

    async fn resume(&self, id: &str, kill: Option<Kill>) -> Result<Ended> {
        self.call(&["restore", "--resume", id, "--yes", "-o", "json"], kill).await
    }

    /// Starts over to one side: a restore, or the undo of the last one where that leads there.
    async fn begin(&self, side: Side, last: Option<&str>, kill: Option<Kill>) -> Result<Ended> {
        if let (Side::Before, Some(last)) = (side, last) {
            return self.undo(last, kill).await;
        }
        // Nothing is deleted that the journal has not seen come; after a kill of the server that takes a while.
        succeeds("the cut closes", SOON * 2, async || self.world.running().close().await).await?;
        self.restore(side, kill).await
    }

    /// A call, and the restore it made if it made one. Killed when it still runs at that time.
    async fn call(&self, args: &[&str], kill: Option<Kill>) -> Result<Ended> {
        let ids = self.ids()?;
        let (out, err) = (self.log.join("out"), self.log.join("err"));
        let mut command = self.world.hindcast.command(args, true);
        command.stdout(fs::File::create(&out)?).stderr(fs::File::create(&err)?);
        let mut child = command.spawn()?;
        if kill.is_some_and(|kill| kill.begun) {
            let begun = async || Ok(self.ids()? != ids || child.try_wait()?.is_some());
            until_every(Duration::from_millis(5), "a restore has a record", Duration::from_mins(4), begun).await?;
        }
        let within = kill.map_or(Duration::from_mins(4), |kill| kill.after);
        let status = match tokio::time::timeout(within, child.wait()).await {
            Ok(status) => Some(status?),
            Err(_) if kill.is_some_and(|kill| kill.gently) => {
                let pid = child.id().context("it runs")?;
                std::process::Command::new("kill").args(["-s", "INT", &pid.to_string()]).status()?;
                Some(ends("it ends after Ctrl-C", SOON, child.wait()).await??)
            }
            Err(_) if kill.is_some() => {
                child.kill().await?;
                None
            }
            Err(_) => bail!("hindcast {} still runs after {within:?}", args.join(" ")),
        };
        let output = std::process::Output {
            status: status.unwrap_or_else(|| std::os::unix::process::ExitStatusExt::from_raw(9)),
            stdout: fs::read(&out)?,
            stderr: fs::read(&err)?,
        };
        let said = Said::new(args, &output);
        let id = self.ids()?.difference(&ids).next().cloned();
        if let Some(id) = &id {
            // Whoever is killed after the record exists must have said how to go on.
            ensure!(said.err.contains(id) || said.out.contains(id), "the restore {id} exists and was not told: {said}");
        }
        Ok(Ended { said, id })
    }

    /// The restores that have a record.
    fn ids(&self) -> Result<BTreeSet<String>> {
        let root = PathBuf::from(self.world.hindcast.place.url.trim_start_matches("file://"));
        let mut ids = BTreeSet::new();
        for cluster in fs::read_dir(root)?.flatten() {
            let Ok(restores) = fs::read_dir(cluster.path().join("restores")) else { continue };
            ids.extend(restores.flatten().map(|e| e.file_name().to_string_lossy().into_owned()));
        }
        Ok(ids)
    }

    /// Killed or stopped at random, now and then more than once, and resumed; or taken back as it is, which may be
    /// killed as well and is resumed then.
    async fn killed(&mut self, side: Side, last: Option<&str>, usual: Duration, wanted: u32) -> Result<Round> {
        let mut round = Round::default();
        // What is taken back, once that is so.
        let mut back: Option<String> = None;
        loop {
            let disturbed = round.kills + round.stopped;
            let again = disturbed == 0 || (round.kills < wanted && self.draw.below(3) == 0);
            // Two in three while it writes, which is a small part of its time.
            let begun = round.id.is_none() && self.draw.below(3) > 0;
            let most = usual.as_micros() as u64;
            let after = self.draw.below(if begun { most / 4 } else { most * 11 / 10 });
            let gently = self.draw.below(4) == 0;
            let kill = again.then_some(Kill { after: Duration::from_micros(after), begun, gently });
            let to = if back.is_some() { side.other() } else { side };
            let (written, _) = self.progress(to).await?;
            let ended = match (&round.id, &back) {
                (Some(id), _) => self.resume(id, kill).await?,
                (None, Some(id)) => self.undo(id, kill).await?,
                (None, None) => self.begin(side, last, kill).await?,
            };
            round.id = round.id.or(ended.id);
            match ended.said.code {
                -1 => {
                    round.kills += 1;
                    let (now, all) = self.progress(to).await?;
                    round.mid_way += u32::from(now > written && now < all);
                }
                130 => {
                    round.stopped += 1;
                    says_what_became_of_each_action(&ended.said)?;
                }
                2 if back.is_some() && ended.said.err.contains("nothing to undo") => {
                    return Ok(Round { id: None, taken_back: true, ..round });
                }
                _ => {
                    ensure!(self.is_well(&ended.said), "{}", ended.said);
                    let id = round.id.filter(|_| back.is_none());
                    ensure!(id.is_some() || back.is_some(), "a restore has an id: {}", ended.said);
                    return Ok(Round { id, taken_back: back.is_some(), ..round });
                }
            }
            if back.is_none() && self.draw.below(2) == 0 {
                back = round.id.take();
            }
        }
    }

    async fn with_the_server_killed(&mut self, side: Side, last: Option<&str>, usual: Duration) -> Result<String> {
        let after = Duration::from_micros(usual.as_micros() as u64 / 4 + self.draw.below(usual.as_micros() as u64 / 2));
        let kill = async {
            // At any moment of the restore.
            tokio::time::sleep(after).await;
            self.world.cluster.kill(Part::Apiserver)?;
            // Long enough for requests to meet nobody.
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.world.cluster.restart(Part::Apiserver).await
        };
        let (ended, killed) = tokio::join!(self.begin(side, last, None), kill);
        killed?;
        let ended = ended?;
        self.world.running().wait_ready(Duration::from_mins(1)).await?;
        let mut id = ended.id;
        let mut said = ended.said;
        // It may have waited the server out; if not, it says so, and is resumed (or begun again if it had not begun).
        for _ in 0..3 {
            if self.is_well(&said) {
                break;
            }
            ensure!(matches!(said.code, 1 | 2), "{said}");
            let next = match &id {
                Some(id) => self.resume(id, None).await?,
                None => self.begin(side, last, None).await?,
            };
            id = id.or(next.id);
            said = next.said;
        }
        ensure!(self.is_well(&said), "{said}");
        id.context("a restore has an id")
    }

    /// Whether all was done as asked, but for node ports that may be leaked.
    fn is_well(&self, said: &Said) -> bool {
        let ports = |action: &Action| {
            let paths = action.differences.iter().map(|d| d.path.as_str());
            let done = matches!(action.result.as_deref(), Some("done" | "already"));
            action.kind == "Service" && done && paths.into_iter().all(|p| p.ends_with("/nodePort"))
        };
        let only_ports = || said.restore().is_ok_and(|r| r.actions.iter().all(|a| a.is_well() || ports(a)));
        let only_left = || said.restore().is_ok_and(|r| r.is_open() && r.actions.iter().all(Action::is_well));
        said.code == 0 || (said.code == 1 && (only_left() || (self.leaks && only_ports())))
    }

    /// How many of the objects that are acted on stand as on one side, and how many there are.
    async fn progress(&self, side: Side) -> Result<(usize, usize)> {
        let (now, _) = read(&self.world.client, NAMESPACE).await?;
        let wrong = self.wrong(side, &now);
        Ok((self.acted.len() - wrong.len(), self.acted.len()))
    }

    async fn check(&self, side: Side) -> Result<()> {
        let (now, _) = read(&self.world.client, NAMESPACE).await?;
        let wrong = self.wrong(side, &now);
        ensure!(
            wrong.is_empty(),
            "{} objects are not as they should be: {:#?}",
            wrong.len(),
            wrong.iter().take(5).collect::<Vec<_>>()
        );
        for (id, before) in self.before.iter().filter(|(id, _)| !self.acted.contains(id)) {
            ensure!(now.get(id) == Some(before), "{id:?} was not to be touched");
        }
        ensure!(
            now.keys().all(|id| self.acted.contains(id) || self.before.contains_key(id)),
            "something new stands there"
        );
        Ok(())
    }

    fn wrong(&self, side: Side, now: &Objects) -> Vec<String> {
        let wanted = if side == Side::Then { &self.then } else { &self.before };
        let other = if side == Side::Then { &self.before } else { &self.then };
        let wrong = self.acted.iter().filter_map(|id| {
            let uid = |side: &Objects| side.get(id).map(|body| body["metadata"]["uid"].clone());
            // Where an instance replaces another, the addresses are a new one's to be given.
            let except = Except {
                addresses: self.leaks || (uid(wanted) != uid(other) && uid(wanted).is_some() && uid(other).is_some()),
                node_ports: self.leaks,
                ..Except::default()
            };
            let of = |side: &Objects| side.get(id).map_or(Value::Null, |body| project(id.0, body, except));
            let found = differences(&of(wanted), &of(now));
            (!found.is_empty()).then(|| format!("{id:?}: {found:?}"))
        });
        wrong.collect()
    }
}

/// Whoever stops a restore is told of every action what became of it, unless it was stopped before it began.
fn says_what_became_of_each_action(said: &Said) -> Result<()> {
    if said.out.is_empty() {
        return said.err.contains("interrupted: nothing was done").then_some(()).with_context(|| said.to_string());
    }
    let restore = said.restore()?;
    ensure!(restore.actions.iter().all(|action| action.result.is_some()), "{said}");
    ensure!(said.err.contains("--resume"), "{said}");
    Ok(())
}

/// An object's revision, as a moment.
fn position(object: &Value) -> String {
    format!("rev:{}", object["metadata"]["resourceVersion"].as_str().unwrap_or_default())
}

async fn each<T>(items: &[T], work: impl AsyncFn(&T) -> Result<Value>) -> Result<()> {
    stream::iter(items).map(|item| work(item)).buffer_unordered(16).try_for_each(|_| async { Ok(()) }).await
}

async fn create(world: &World, sort: Sort, name: &str, salt: u64) -> Result<Value> {
    http::create(&world.client, &sort.collection(NAMESPACE), manifest(sort, name, salt)).await
}

/// A manifest that every other one of its name can follow.
fn manifest(sort: Sort, name: &str, salt: u64) -> Value {
    let mut body = bodies::manifest(sort, name, &mut Rng::new(salt));
    body.as_object_mut().map(|body| body.remove("immutable"));
    body
}
