//! Two `hindcast run --ha` on one journal under load: the leader is killed, stopped and restarted, and the server forgets
//! its history while nobody leads. Nothing is lost, nothing forks, and no interval is graded `lost`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hindcast_journal::cut::MAIN;
use serde_json::Value;

use crate::{
    http::request,
    oracle::{
        self, Listed, Load, Met, Verdict, newest_revision,
        subject::{Hindcast, Place, Running},
    },
    real::{Cluster, Fault, HttpProxy, Minio, Part, process::Workdir},
    until::until,
};

/// A Lease runs out after 15 seconds; what follows is a claim and a start.
const TAKEOVER: Duration = Duration::from_mins(1);
/// A leader that ends in order lets the Lease go, and a standby looks every two seconds.
const HANDED_OVER: Duration = Duration::from_secs(8);
/// Until every kind's watch is open and the ring reaches back to what is committed.
const SET_UP: Duration = Duration::from_mins(2);

/// How much of each.
#[derive(Debug, Clone, Copy)]
pub struct Failover {
    /// SIGKILLs of the leader.
    pub kills: u32,
    /// SIGSTOPs of the leader until another leads, and on.
    pub stops: u32,
    /// SIGTERMs of the leader, as a rolling restart sends them.
    pub rolls: u32,
    /// SIGKILLs of the standby, after which the leader is killed when the next standby is set up.
    pub standby_kills: u32,
    /// Writes a second.
    pub rate: f64,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Of the answers.
    pub verdict: Verdict,
    /// How often another took over.
    pub takeovers: u32,
    /// How long it took until another led after an end in order, at most.
    pub handed_over: Duration,
    /// The same after a kill or a stop.
    pub taken_over: Duration,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verdict, takeovers, handed_over, taken_over } = self;
        write!(
            f,
            "{takeovers} takeovers, handed over in {handed_over:.1?} and taken over in {taken_over:.1?} at most; {verdict}"
        )
    }
}

struct Pair<'a> {
    seats: [&'a Hindcast; 2],
    leader: Running,
    standby: Running,
    /// Which of the two seats the leader has.
    led: usize,
    outcome: Outcome,
}

/// What a process says of its role.
async fn role(running: &Running) -> Result<Value> {
    let (status, body) = running.http("GET", "/role").await?;
    ensure!(status == 200, "GET /role: {status} {body}");
    Ok(serde_json::from_str(&body)?)
}

/// Waits until a process leads and protects every kind.
async fn leads(running: &Running, within: Duration) -> Result<()> {
    until("it leads", within, async || {
        ensure!(running.process.exited()?.is_none(), "it ended:\n{}", running.process.log_tail());
        Ok(role(running).await.is_ok_and(|role| role["leads"] == true))
    })
    .await?;
    running.wait_ready(TAKEOVER).await
}

/// Waits until a process stands by, and holds every kind from what is committed on.
async fn stands_by(running: &Running) -> Result<()> {
    running.wait_ready(SET_UP).await?;
    until("a standby holds every kind from what is committed on", SET_UP, async || {
        let role = role(running).await?;
        ensure!(role["leads"] == false, "it leads: {role}");
        let kinds = role["reach"]["kinds"].as_u64().unwrap_or(0);
        Ok(kinds > 20 && role["reach"]["short"].as_array().is_some_and(Vec::is_empty))
    })
    .await?;
    Ok(())
}

/// Everybody who asks is told which is which.
async fn is_told(hindcast: &Hindcast, running: &Running, is: &str) -> Result<()> {
    let output = hindcast.call(&["status", "-o", "json", "--run-address", &running.address], false).await?;
    let status: Value =
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    ensure!(status["process"]["role"] == is, "status tells of {}", status["process"]);
    let leads = running.metric("hindcast_leader").await?;
    ensure!(leads == Some(f64::from(u8::from(is == "leader"))), "of a {is} hindcast_leader is {leads:?}");
    let (status, body) = running.http("GET", "/readyz").await?;
    let word = if is == "leader" { "leads since" } else { "a takeover loses nothing" };
    ensure!(status == 200 && body.contains(word), "a {is} is ready and says so: {status} {body}");
    Ok(())
}

async fn start(hindcast: &Hindcast) -> Result<Running> {
    let running = hindcast.launch(&["--ha"])?;
    stands_by(&running).await?;
    Ok(running)
}

impl Pair<'_> {
    /// The leader is gone, the standby leads within that time, and the process that comes in its place stands by.
    async fn taken_over(&mut self, since: Instant, within: Duration) -> Result<Running> {
        leads(&self.standby, within).await.context("no takeover")?;
        let took = since.elapsed();
        self.outcome.takeovers += 1;
        if within == TAKEOVER {
            self.outcome.taken_over = self.outcome.taken_over.max(took);
        } else {
            self.outcome.handed_over = self.outcome.handed_over.max(took);
        }
        self.led = 1 - self.led;
        let other = self.seats[1 - self.led].launch(&["--ha"])?;
        let leader = std::mem::replace(&mut self.standby, other);
        let before = std::mem::replace(&mut self.leader, leader);
        stands_by(&self.standby).await?;
        Ok(before)
    }

    async fn kill(&mut self) -> Result<()> {
        let since = Instant::now();
        self.leader.process.kill();
        self.taken_over(since, TAKEOVER).await.map(drop)
    }

    /// It stands still until another leads; then it finds out with its next segment, and ends.
    async fn stop(&mut self) -> Result<()> {
        let since = Instant::now();
        self.leader.process.pause()?;
        let before = self.taken_over(since, TAKEOVER).await?;
        before.process.resume()?;
        let status = before.process.wait(Duration::from_secs(30)).await.context("the older one did not end")?;
        ensure!(status.code() == Some(4), "the older one ended with {status}, not 4:\n{}", before.process.log_tail());
        Ok(())
    }

    async fn roll(&mut self) -> Result<()> {
        self.leader.process.stop(Duration::from_secs(20)).await?;
        let since = Instant::now();
        self.taken_over(since, HANDED_OVER).await.map(drop)
    }

    async fn kill_standby(&mut self) -> Result<()> {
        self.standby.process.kill();
        self.standby = start(self.seats[1 - self.led]).await?;
        self.kill().await
    }
}

/// Runs the trial.
pub async fn failover(binary: &str, size: Failover) -> Result<Outcome> {
    let dirs = [Workdir::new()?, Workdir::new()?];
    let cluster = oracle::builder().start().await?;
    let minio = Minio::start().await?;
    let seats = seats(binary, &dirs, &cluster, [&minio; 2].map(|minio| Place::minio(minio, "ha", minio.port())))?;
    let client = cluster.client();
    let events = size.kills + size.stops + size.rolls + 2 * size.standby_kills;
    let load = load(f64::from(events) * 25.0 + 10.0, size.rate);
    oracle::prepare(&client, &load).await?;
    let leader = seats[0].launch(&["--ha"])?;
    leads(&leader, TAKEOVER).await?;
    let standby = start(&seats[1]).await?;
    is_told(&seats[0], &leader, "leader").await?;
    is_told(&seats[0], &standby, "standby").await?;
    let writing = oracle::begin(&client, &load, false);
    let outcome =
        Outcome { verdict: Verdict::default(), takeovers: 0, handed_over: Duration::ZERO, taken_over: Duration::ZERO };
    let mut pair = Pair { seats: [&seats[0], &seats[1]], leader, standby, led: 0, outcome };
    let most = [size.kills, size.stops, size.rolls, size.standby_kills].into_iter().max().unwrap_or(0);
    for round in 0..most {
        if round < size.rolls {
            pair.roll().await.context("a rolling restart")?;
        }
        if round < size.kills {
            pair.kill().await.context("a killed leader")?;
        }
        if round < size.stops {
            pair.stop().await.context("a leader that stood still")?;
        }
        if round < size.standby_kills {
            pair.kill_standby().await.context("a killed standby")?;
        }
    }
    let written = writing.await??;
    pair.outcome.verdict = judged(&cluster, &seats[0], &pair.leader, &load, &written).await?;
    let Pair { leader, standby, outcome, .. } = pair;
    standby.stop().await.context("a standby that is told to end ends in order")?;
    leader.stop().await?;
    Ok(outcome)
}

/// Two installations with one key file.
fn seats(binary: &str, dirs: &[Workdir; 2], cluster: &Cluster, places: [Place; 2]) -> Result<[Hindcast; 2]> {
    let [one, two] = places;
    let one = Hindcast::new(binary, dirs[0].path(), one, cluster.kubeconfig())?;
    let mut two = Hindcast::new(binary, dirs[1].path(), two, cluster.kubeconfig())?;
    two.key_file.clone_from(&one.key_file);
    Ok([one, two])
}

fn load(seconds: f64, rate: f64) -> Load {
    Load {
        seed: 17,
        writers: 8,
        writes: (seconds * rate) as u64,
        rate: Some(rate),
        prefix: "ha".to_owned(),
        kinds: oracle::kinds(),
    }
}

/// Every answer is in the journal, and the journal's newest state is the server's.
async fn judged(
    cluster: &Cluster,
    hindcast: &Hindcast,
    leader: &Running,
    load: &Load,
    written: &oracle::Written,
) -> Result<Verdict> {
    leader.wait_ready(Duration::from_mins(1)).await?;
    leader.close().await?;
    let journal = hindcast.place.journal().await?;
    let met = Met { outages: vec![(0, i64::MAX)], ..Met::default() };
    let verdict = oracle::check(&journal, &hindcast.keys()?, written, &met).await?;
    let client = cluster.client();
    let newest = newest_revision(&client, &load.kinds[0]).await?;
    leader.close().await?;
    Listed::of(&client, &load.kinds, newest).await?.agrees(&journal, &hindcast.keys()?, MAIN, None).await?;
    verdict.accounted()?;
    verdict.on_the_clock()?;
    ensure!((verdict.lost, verdict.gaps.1) == (0, 0), "something was lost: {verdict}");
    Ok(verdict)
}

/// The server keeps `history` of history. The leader is killed while the standby cannot reach the store; the API server is
/// restarted, so that its watch cache begins anew, and its etcd forgets everything up to then. What the standby held is
/// all there is of that time.
pub async fn past_the_window(binary: &str, history: Duration) -> Result<Outcome> {
    let dirs = [Workdir::new()?, Workdir::new()?];
    let cluster = oracle::builder().compaction_interval(history).start().await?;
    let minio = Minio::start().await?;
    let proxy = HttpProxy::start(minio.port()).await?;
    let places = [Place::minio(&minio, "ha", minio.port()), Place::minio(&minio, "ha", proxy.port())];
    let seats = seats(binary, &dirs, &cluster, places)?;
    let client = cluster.client();
    let load = load(history.as_secs_f64() * 2.0 + 30.0, 20.0);
    oracle::prepare(&client, &load).await?;
    let leader = seats[0].launch(&["--ha"])?;
    leads(&leader, TAKEOVER).await?;
    let standby = start(&seats[1]).await?;
    let writing = oracle::begin(&client, &load, true);
    // Some of the load is seen before.
    tokio::time::sleep(Duration::from_secs(3)).await;

    let away = proxy.inject("PUT", "/wal/", u64::MAX, Fault::Status(503));
    leader.process.kill();
    let since = Instant::now();
    // It holds the Lease and is refused by the store.
    away.wait(1, TAKEOVER).await?;
    let committed = seats[0].place.journal().await?.end(0).await?.frontier;
    let committed = committed.get(MAIN).context("something is committed")?.rv;
    let restarted = newest_revision(&client, &load.kinds[0]).await?;
    ensure!(committed < restarted, "nothing was written since the kill");
    cluster.kill(Part::Apiserver)?;
    cluster.restart(Part::Apiserver).await?;
    // The server has forgotten everything up to its restart.
    for revision in [committed, restarted] {
        forgotten(&cluster, revision, history * 4).await?;
    }
    ensure!(role(&standby).await?["leads"] == false, "the store has refused it");
    away.withdraw();
    leads(&standby, TAKEOVER * 2).await?;
    let taken_over = since.elapsed();
    let written = writing.await??;
    let verdict = judged(&cluster, &seats[0], &standby, &load, &written).await?;
    standby.stop().await?;
    Ok(Outcome { verdict, takeovers: 1, handed_over: Duration::ZERO, taken_over })
}

/// Waits until the state at a revision is not served any more: a stream that lost its watch cannot be healed from there. A watch from
/// the server's own memory may still be.
async fn forgotten(cluster: &Cluster, revision: u64, within: Duration) -> Result<()> {
    let client = cluster.client();
    let path = format!("/api/v1/configmaps?limit=1&resourceVersion={revision}&resourceVersionMatch=Exact");
    until(format!("revision {revision} is compacted"), within, async || {
        let (status, body) = request(&client, "GET", &path, None, "").await?;
        match status {
            200 => Ok(false),
            410 => Ok(true),
            _ => bail!("{path}: {status} {}", String::from_utf8_lossy(&body)),
        }
    })
    .await?;
    Ok(())
}
