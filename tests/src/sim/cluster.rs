//! A whole cluster under `run`, checkpoints included: writes, faults and crashes drawn from a seed, then the oracle.
//!
//! **Words.** A *member* is one process that protects the cluster; the newest is the one that should win. An *event* is
//! one of the big things that happen to members, server or store; the small ones (a 429, a cut stream, a lost answer)
//! are drawn wherever they may happen, each seed with its own selection of them. In some seeds members agree by a Lease on
//! who *leads*, and the others stand by; in some they *prove* meanwhile, again and again, that what they retain is what the cluster's own
//! lists show, whatever was healed and taken over. **Checked beside the oracle**
//! ([`super::check`]): who ends by itself ended fenced or unavailable, never corrupt or by a panic; a member that was
//! overtaken does end; and when faults stop, the rest settles and closes a cut.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use hindcast_compactor::{Policy, merge::Levels};
use hindcast_journal::{Journal, cut::MAIN, segment::FrontierPoint, writer::Sabotage};
use hindcast_watcher::{ErrorKind, Handle, Settings};
use object_store::path::Path;
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    api::{Server, state::Trouble},
    check::{self, CLOCKS_AGREE, PREFIX},
    expire::Expiring,
    faults::Fault,
    harness::{Outcome, in_simulated_time, some},
    json::Json,
    life::{Setup, life},
    restore::{Restored, restore},
    store::Bucket,
    workload::{self, CUSTOM},
    world::{Process, World},
};

/// What a run is like, apart from its seed.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// Steps; each is a write and a moment.
    pub steps: u64,
    /// Big events; at least so many faults fire.
    pub events: u64,
    /// How the commit is broken on purpose.
    pub sabotage: Sabotage,
    /// Whether broken intervals are declared healed without asking the server.
    pub skip_heal: bool,
    /// Events dropped by the server in a thousand, which nobody could notice from the stream alone.
    pub dropped: u64,
    /// Whether the past is thinned out meanwhile, by processes that die at any step.
    pub expire: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self { steps: 200, events: 4, sabotage: Sabotage::None, skip_heal: false, dropped: 0, expire: false }
    }
}

impl Profile {
    /// Whether server and members do what they should, as far as they can. Of what is broken on purpose a proof makes an interval that is
    /// said to be lost: that excuses what the oracle is to find, or the oracle finds no reason for it. So nothing is proven there.
    fn is_honest(&self) -> bool {
        matches!(self.sabotage, Sabotage::None) && !self.skip_heal && self.dropped == 0
    }
}

/// The small faults, with the rate each may get.
const SMALL: [(Fault, u64); 18] = [
    (Fault::ApiRefused, 40),
    (Fault::ApiTooMany, 40),
    (Fault::ApiInternal, 40),
    (Fault::ApiHang, 15),
    (Fault::ApiSlow, 40),
    (Fault::StreamCut, 2),
    (Fault::StreamReset, 2),
    (Fault::StreamClosed, 2),
    (Fault::StreamExpired, 2),
    (Fault::StreamDuplicate, 40),
    (Fault::PutErrorBefore, 30),
    (Fault::PutErrorAfter, 30),
    (Fault::PutLostAnswer, 15),
    (Fault::PutLate, 30),
    (Fault::PutConflict, 30),
    (Fault::PutSlow, 20),
    (Fault::ReadError, 30),
    (Fault::ListHole, 200),
];

/// How long after a round of proofs the next one is begun.
const PROVE: Duration = Duration::from_secs(10);

/// One seed in so many ends with a restore.
const RESTORES: u64 = 5;

/// Runs one seed.
pub fn simulate(seed: u64, profile: &Profile) -> Outcome {
    let profile = *profile;
    in_simulated_time(async move {
        let world = World::new(seed, []);
        let chosen = world.draw(|rng| SMALL.map(|(fault, rate)| (fault, if rng.permille(400) { rate } else { 0 })));
        world.faults.set(chosen);
        world.faults.set([(Fault::StreamDrop, profile.dropped)]);
        let mut cluster = Cluster::new(&world, profile);
        let expiring = profile.expire.then(|| Expiring::start(&world, &cluster.server, &cluster.bucket));
        cluster.live().await;
        let mut problems = cluster.calm_down().await;
        let whole = match expiring {
            Some(expiring) => {
                expiring.stop();
                let whole = cluster.bucket.whole().await;
                problems.extend(expiring.check(&whole).await);
                whole
            }
            None => cluster.bucket.clone(),
        };
        problems.extend(check::check(&cluster.server, &whole, cluster.events).await);
        // Of a bucket as if nothing had expired there is no table, and nobody vouches for it.
        if !profile.expire {
            problems.extend(check::files(&cluster.server, &cluster.bucket).await);
        }
        let mut restored = Restored::default();
        if seed.is_multiple_of(RESTORES) && problems.is_empty() && !cluster.has_lost_history() {
            restored = restore(&cluster.server, &whole).await;
            problems.append(&mut restored.problems);
        }
        let outcome = Outcome::of(seed, &world, &cluster.bucket, some(problems)).await;
        Outcome { restored: restored.done, ..outcome }
    })
}

/// One process that protects the cluster.
struct Member {
    process: Arc<Process>,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), (ErrorKind, String)>>,
    leads: Arc<AtomicBool>,
}

impl Member {
    fn leads(&self) -> bool {
        self.leads.load(Ordering::Relaxed)
    }
}

struct Cluster {
    world: Arc<World>,
    server: Server,
    bucket: Bucket,
    profile: Profile,
    members: Vec<Member>,
    started: u64,
    problems: Vec<String>,
    /// Whether Events are journaled, and count apart.
    events: bool,
    /// The revision from which the cluster is whole.
    first: u64,
    /// Whether etcd was put back.
    swapped: bool,
    /// Whether members stand by for one another.
    ha: bool,
    /// Whether they prove.
    proves: bool,
}

impl Cluster {
    fn new(world: &Arc<World>, profile: Profile) -> Self {
        let events = world.draw(|rng| rng.permille(300));
        let server = Server::start(world, events);
        for (group, resource, kind, served) in CUSTOM {
            server.add_crd(group, resource, kind, served);
        }
        Self {
            bucket: Bucket::new(world),
            world: world.clone(),
            // The two leases come a moment later.
            first: server.revision() + 2,
            swapped: false,
            ha: world.draw(|rng| rng.permille(400)),
            proves: world.draw(|rng| rng.permille(300)) && profile.is_honest(),
            server,
            profile,
            members: Vec::new(),
            started: 0,
            problems: Vec::new(),
            events,
        }
    }

    /// Whether a restore may find that what it needs is not known.
    fn has_lost_history(&self) -> bool {
        let fired = self.world.faults.fired();
        [Fault::EtcdSwap, Fault::LongOutage].iter().any(|fault| fired.contains_key(fault))
    }

    /// Writes and breaks things.
    async fn live(&mut self) {
        for _ in 0..20 {
            self.write();
        }
        self.start();
        let gap = self.profile.steps / (self.profile.events + 1);
        for step in 1..=self.profile.steps {
            self.write();
            self.world.dawdle(5, 450).await;
            if step % gap == 0 && step / gap <= self.profile.events {
                self.event().await;
            }
            if self.world.draw(|rng| rng.permille(100)) {
                self.supervise();
            }
        }
    }

    fn write(&self) {
        let mut rng = self.world.draw(super::rng::Rng::fork);
        if self.events && rng.permille(100) {
            let name = format!("e{}", rng.number());
            let _ = self.server.create("/events", "shop", &name, Json::Obj(Vec::new()));
        }
        workload::write(&self.server, &mut rng);
    }

    /// Starts a member; the one before it, if it still runs, is to be fenced.
    fn start(&mut self) {
        let process = Process::new(format!("m{}", self.started), &self.world);
        self.started += 1;
        let wrong = self.world.draw(|rng| rng.permille(60));
        // With two clocks wrong from the start nobody could tell which time it is.
        if wrong && !self.server.is_clock_off() {
            self.world.fired(Fault::ClockWrong);
            process.step_clock(self.world.draw(|rng| rng.below(20_000_000_000)) as i64 - 10_000_000_000);
        }
        self.world.note(format_args!("{} starts", process.name));
        let (handle, commands) = hindcast_watcher::channel();
        let (stop, stopped) = oneshot::channel();
        let settings = Settings {
            include: if self.events { vec!["events".into()] } else { Vec::new() },
            page: 7,
            skip_heal: self.profile.skip_heal,
            prove_every: self.proves.then_some(PROVE),
            ..Settings::default()
        };
        // So often that a seed reads from several.
        let levels = Levels { lengths: [3_000_000, 12_000_000, 60_000_000], least: 3, weight: 64 << 10 };
        let keep = Some(Duration::from_secs(40));
        let policy = Policy { segments: self.world.draw(|rng| rng.between(4, 24)), levels, keep, ..Policy::default() };
        let leads = Arc::new(AtomicBool::new(!self.ha));
        let ha = self.ha.then(|| leads.clone());
        let setup = Setup { settings, sabotage: self.profile.sabotage, checkpoints: Some(policy), keys: None, ha };
        let life = life(
            process.clone(),
            self.server.clone(),
            self.bucket.clone(),
            setup,
            (handle.clone(), commands),
            stopped.map(|_| ()),
        );
        let this = process.clone();
        let task = tokio::task::spawn_local(async move {
            tokio::select! {
                biased;
                () = this.died() => Err((ErrorKind::Unavailable, "killed".to_owned())),
                ended = life => {
                    this.world().note(format_args!("{} ends: {ended:?}", this.name));
                    // What it left behind must not go on: a process that has ended is gone.
                    this.kill();
                    ended
                }
            }
        });
        self.members.push(Member { process, handle, stop: Some(stop), task, leads });
    }

    /// Takes note of who ended, and starts a member when none runs.
    fn supervise(&mut self) {
        let mut members = Vec::new();
        for member in self.members.drain(..) {
            if !member.task.is_finished() {
                members.push(member);
                continue;
            }
            let name = &member.process.name;
            match member.task.now_or_never() {
                Some(Ok(Ok(()) | Err((ErrorKind::Fenced | ErrorKind::Unavailable, _)))) => {}
                Some(Ok(Err((kind, said)))) => self.problems.push(format!("{name} ended with {kind:?}: {said}")),
                Some(Err(e)) => self.problems.push(format!("{name} ended badly: {e}")),
                None => {}
            }
        }
        self.members = members;
        let wanted = if self.ha { 2 } else { 1 };
        while self.members.len() < wanted {
            self.start();
        }
    }

    /// Whoever protects the cluster, as far as it knows itself.
    fn leader(&self) -> Option<&Member> {
        self.members.iter().rev().find(|member| member.leads())
    }

    /// Something big happens.
    async fn event(&mut self) {
        let world = self.world.clone();
        let chosen = if world.draw(|rng| rng.permille(700)) { self.leader() } else { self.members.last() };
        let process = chosen.or(self.members.last()).map(|m| m.process.clone());
        let Some(process) = process else { return };
        // No two of three clocks are wrong at once.
        let what = match world.draw(|rng| rng.below(35)) {
            23..27 if self.server.is_clock_off() => 28,
            27 if self.members.iter().any(|member| member.process.is_clock_off()) => 28,
            what => what,
        };
        match what {
            0..3 => process.die_at_step(world.draw(|rng| rng.between(1, 60))),
            3..6 => process.die_at_put(world.draw(|rng| rng.between(1, 3))),
            6..9 => self.pause(&process),
            9..12 => {
                world.fired(Fault::SecondWriter);
                if world.draw(|rng| rng.permille(500)) {
                    self.pause(&process);
                }
                self.start();
            }
            12..14 => {
                let down = Duration::from_millis(world.draw(|rng| rng.between(100, 8000)));
                let server = self.server.clone();
                tokio::spawn(async move { server.restart(down).await });
            }
            14..16 => {
                world.fired(Fault::Partition);
                process.partition(true);
                tokio::spawn(async move {
                    process.world().dawdle(500, 50_000).await;
                    process.partition(false);
                });
            }
            16..18 => self.bucket.go_down(Duration::from_secs(world.draw(|rng| rng.between(1, 60)))),
            18..21 => self.change_schema(),
            21..23 => self.remove_crd(),
            23..26 => {
                world.fired(Fault::ClockStep);
                // Seconds, a leap second, or hours.
                let scale = world.draw(|rng| *rng.pick(&[1_000_000, 60_000_000, 10_000_000_000]).unwrap_or(&1));
                process.step_clock(world.draw(|rng| rng.below(2 * scale)) as i64 - scale as i64);
            }
            26 => {
                world.fired(Fault::ClockDrift);
                process.drift_clock(if world.draw(|rng| rng.permille(500)) { 10 } else { -10 });
            }
            27 => self.server_clock(),
            28..31 => self.trouble(),
            31..34 => self.swap_etcd().await,
            _ => self.long_outage().await,
        }
    }

    /// etcd is put back to an older copy, once in a run: while somebody watches, or while nobody does and its counter
    /// overtakes what was known.
    async fn swap_etcd(&mut self) {
        if std::mem::replace(&mut self.swapped, true) {
            return;
        }
        let (back, bump, unwatched, down) = self.world.draw(|rng| {
            let bump = [0, 0, 500, 1_000_000_000][rng.below(4) as usize];
            (rng.between(1, 120), bump, rng.permille(500), rng.between(5_000, 12_000))
        });
        if unwatched {
            for member in &self.members {
                member.process.kill();
            }
        }
        self.server.put_back(self.first, back, bump, Duration::from_millis(down)).await;
        if unwatched {
            for _ in 0..self.world.draw(|rng| rng.below(200)) {
                self.write();
                self.world.dawdle(0, 100).await;
            }
            self.supervise();
        }
    }

    fn pause(&self, process: &Arc<Process>) {
        self.world.fired(Fault::Stopped);
        process.stop(true);
        let (process, world) = (process.clone(), self.world.clone());
        tokio::spawn(async move {
            world.dawdle(100, 60_000).await;
            process.stop(false);
        });
    }

    /// The API server's clock is off for a while.
    fn server_clock(&self) {
        self.world.fired(Fault::ServerClock);
        let off = self.world.draw(|rng| rng.below(7_200_000_000)) as i64 - 3_600_000_000;
        self.server.set_clock_off(off);
        let (server, world) = (self.server.clone(), self.world.clone());
        tokio::spawn(async move {
            world.dawdle(5_000, 90_000).await;
            server.set_clock_off(0);
        });
    }

    /// List and watch of one kind fail for a while.
    fn trouble(&self) {
        self.world.fired(Fault::KindStuck);
        let (kind, trouble) = self.world.draw(|rng| {
            let kinds = ["/configmaps", "/pods", "apps/deployments", "demo.example.com/widgets"];
            let troubles = [Trouble::Fails, Trouble::Busy, Trouble::Hangs, Trouble::Silent];
            let kind = kinds.get(rng.below(4) as usize).copied().unwrap_or("/pods");
            (kind, troubles.get(rng.below(4) as usize).copied().unwrap_or(Trouble::Fails))
        });
        self.server.trouble(kind, Some(trouble));
        let (server, world) = (self.server.clone(), self.world.clone());
        tokio::spawn(async move {
            world.dawdle(2_000, 100_000).await;
            server.trouble(kind, None);
        });
    }

    fn change_schema(&self) {
        let (field, value) = self.world.draw(|rng| {
            (["mode", "color", "old"][rng.below(3) as usize], Json::from(format!("default-{}", rng.below(9))))
        });
        let drops = self.world.draw(|rng| rng.permille(500));
        let (group, resource, ..) = CUSTOM[0];
        self.server.change_schema(group, resource, |schema| {
            schema.defaults.retain(|(name, _)| name != field);
            schema.pruned.retain(|name| name != field);
            if drops {
                schema.pruned.push(field.to_owned());
            } else {
                schema.defaults.push((field.to_owned(), value));
            }
        });
    }

    fn remove_crd(&self) {
        let (group, resource, kind, served) = CUSTOM[1];
        self.server.remove_crd(group, resource);
        let (server, world) = (self.server.clone(), self.world.clone());
        tokio::spawn(async move {
            world.dawdle(0, 5_000).await;
            server.add_crd(group, resource, kind, served);
        });
    }

    /// Nobody watches until etcd has forgotten what the cursors need.
    async fn long_outage(&mut self) {
        self.world.fired(Fault::LongOutage);
        for member in &self.members {
            member.process.kill();
        }
        for _ in 0..10 {
            self.write();
            self.world.sleep(Duration::from_secs(65)).await;
        }
        self.supervise();
    }

    /// Stops the faults, waits until a member closes a cut, and stops it gracefully.
    async fn calm_down(&mut self) -> Vec<String> {
        let world = self.world.clone();
        world.faults.calm();
        world.note(format_args!("calm"));
        // Pauses, partitions and PUTs under way all end within this time.
        for _ in 0..14 {
            world.sleep(Duration::from_secs(10)).await;
            self.supervise();
        }
        self.time_goes_on().await;
        let leaders = self.members.iter().filter(|member| member.leads());
        let names: Vec<_> = leaders.map(|m| m.process.name.clone()).collect();
        if names.len() > 1 {
            self.problems.push(format!("{names:?} all run: nobody was fenced"));
        }
        // The second one only has to bring a moment.
        let mut wanted = 2;
        for _ in 0..6 {
            self.supervise();
            let Some(member) = self.leader() else {
                world.sleep(Duration::from_secs(10)).await;
                continue;
            };
            let asked = world.now();
            let close = tokio::time::timeout(Duration::from_mins(1), member.handle.close()).await;
            match close {
                Ok(Ok(frontier)) => {
                    world.note(format_args!("closed at {frontier:?}; proven: {:?}", member.handle.status().proof));
                    // By as much as a clock may be off without being noticed.
                    let time = frontier.get(MAIN).map_or(0, |point| point.time);
                    if time < asked - CLOCKS_AGREE {
                        self.problems.push(format!("a close demanded at {asked} closed up to {time}"));
                    }
                    wanted -= 1;
                    if wanted == 0 {
                        break;
                    }
                    world.sleep(Duration::from_secs(3)).await;
                }
                other => {
                    world.note(format_args!("close says {other:?}; {:?}", member.handle.status()));
                    world.sleep(Duration::from_secs(5)).await;
                }
            }
        }
        if wanted > 0 {
            let status = self.leader().map(|m| m.handle.status());
            self.problems.push(format!("nobody closes a cut after the faults have stopped: {status:?}"));
        }
        // Whoever leads first: nobody may need another to end.
        self.members.sort_by_key(Member::leads);
        while let Some(mut member) = self.members.pop() {
            if let Some(stop) = member.stop.take() {
                let _ = stop.send(());
            }
            let name = &member.process.name;
            match tokio::time::timeout(Duration::from_secs(30), member.task).await {
                Ok(Ok(Ok(()))) => {}
                other => self.problems.push(format!("{name} does not stop gracefully: {other:?}")),
            }
        }
        std::mem::take(&mut self.problems)
    }
}

impl Cluster {
    /// In every domain the closed time has come close to now, by what is in the bucket alone: nobody has asked for a
    /// close.
    async fn time_goes_on(&mut self) {
        // A bookmark and a frontier row, each once a minute, and what a late start takes.
        const LAG: i64 = 150_000_000;
        let reader = Process::new("reader", &self.world);
        let cluster = self.server.cluster();
        let journal = Journal::open(self.bucket.direct(), &Path::from(PREFIX), &cluster, reader.parts());
        let wanted = 1 + usize::from(self.events);
        for last in [false, false, false, false, false, true] {
            let tail = journal.end(0).await;
            let now = self.world.now();
            match tail {
                Err(error) => return self.problems.push(format!("the journal cannot be read: {error}")),
                Ok(tail) => {
                    let closed = |point: &FrontierPoint| (now - LAG..=now).contains(&point.time);
                    if tail.frontier.len() == wanted && tail.frontier.values().all(closed) {
                        return;
                    }
                    if last {
                        let frontier = &tail.frontier;
                        let clocks = self.leader().map(|member| member.handle.status().clocks.clone());
                        let told = format!("all is closed only up to {frontier:?}; {clocks:?}");
                        self.problems.push(format!("nobody asked for a close, and at {now} {told}"));
                    }
                }
            }
            self.world.sleep(Duration::from_secs(20)).await;
            self.supervise();
        }
    }
}
