//! Kills, pauses, restarts, schema changes, wrong clocks and a kind that cannot be read, under load and with Events in
//! an etcd of their own: nothing may be lost, and intervals are healed.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::json;

use super::conversion::Conversion;
use crate::{
    http::{APPLY, create_unless_there, send_as},
    manifests::{DEFINITIONS, custom, definition_with_schema},
    oracle::{
        self, EVENTS, Listed, Load, Met, Verdict, newest_revision, now,
        subject::{Hindcast, Place, Running},
    },
    real::{Cluster, FakeClock, Fault, HttpProxy, Minio, Part, process::Workdir},
    until::succeeds,
};

/// Arguments of `run`.
const RUN: [&str; 2] = ["--include", "events"];
/// How long a clock stays wrong once that is noticed, and right before the next fault.
const WRONG: Duration = Duration::from_secs(5);
/// How far ahead the clock of `run` is set, in seconds, and whether bit by bit. Beyond 15 minutes the store refuses
/// what it signs.
const CLOCKS: [(i64, bool); 6] =
    [(600, false), (-3, true), (-10_800, false), (3, true), (-600, false), (10_800, false)];

/// How much of each fault.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// SIGKILLs at any moment.
    pub kills: u32,
    /// SIGKILLs between a PUT sent and answered.
    pub kills_in_put: u32,
    /// SIGSTOPs for longer than the linger.
    pub stops: u32,
    /// Kills and restarts of the API server.
    pub apiserver_restarts: u32,
    /// Pauses of etcd.
    pub etcd_pauses: u32,
    /// Changes of a CRD's schema.
    pub schema_changes: u32,
    /// Changes of the key that seals, each with a restart.
    pub rotations: u32,
    /// Clocks of `run` that go wrong for a while, ahead or back, at once or bit by bit.
    pub clocks: u32,
    /// Times that one kind cannot be read, for as long as it takes until it is let go.
    pub stuck: u32,
    /// How long Hindcast is down once, in addition.
    pub down: Duration,
    /// Writes a second.
    pub rate: f64,
    /// Time between two faults.
    pub between: Duration,
}

impl Faults {
    fn counts(&self) -> [u32; 9] {
        let Self {
            kills,
            kills_in_put,
            stops,
            apiserver_restarts,
            etcd_pauses,
            schema_changes,
            rotations,
            clocks,
            stuck,
            ..
        } = *self;
        [kills, kills_in_put, stops, apiserver_restarts, etcd_pauses, schema_changes, rotations, clocks, stuck]
    }

    /// How long the load goes on: all faults, the down time, and room at both ends.
    fn seconds(&self) -> f64 {
        let count: u32 = self.counts().iter().sum();
        let longer = self.clocks + self.stuck;
        f64::from(count) * (self.between.as_secs_f64() + 4.0)
            + f64::from(longer) * 35.0
            + self.down.as_secs_f64()
            + 15.0
    }
}

/// Runs the trial with the binary at `binary`; what became of every acknowledged write.
pub async fn faults(binary: &str, faults: Faults) -> Result<Verdict> {
    let dir = Workdir::new()?;
    let cluster = oracle::builder().events_etcd().start().await?;
    let minio = Minio::start().await?;
    let proxy = HttpProxy::start(minio.port()).await?;
    let place = Place::minio(&minio, "soak", proxy.port());
    let mut hindcast = Hindcast::new(binary, dir.path(), place, cluster.kubeconfig())?;
    let clock = (faults.clocks > 0).then(FakeClock::new).transpose()?;
    hindcast.env = clock.as_ref().map(FakeClock::env).unwrap_or_default();
    let writes = (faults.seconds() * faults.rate) as u64;
    let load = Load {
        seed: 77,
        writers: 16,
        writes,
        rate: Some(faults.rate),
        prefix: "soak".to_owned(),
        kinds: [oracle::kinds(), vec![EVENTS]].concat(),
    };
    let client = cluster.client();
    oracle::prepare(&client, &load).await?;
    schema(&cluster, 0).await?;
    let conversion = Conversion::start(&cluster).await?;
    let running = hindcast.run(&RUN).await?;

    let writing = oracle::begin(&client, &load, true);
    let mut trial = Trial {
        cluster: &cluster,
        hindcast: &hindcast,
        proxy: &proxy,
        conversion: &conversion,
        clock: clock.as_ref(),
        running: Some(running),
        met: Met::default(),
    };
    trial.all(&faults).await?;
    let written = writing.await??;
    let Some(running) = trial.running.take() else { bail!("the trial ends with Hindcast running") };
    running.wait_ready(Duration::from_mins(1)).await?;
    running.close().await?;

    let journal = hindcast.place.journal().await?;
    let verdict = oracle::check(&journal, &hindcast.keys()?, &written, &trial.met).await?;
    let main = [oracle::kinds(), vec![Conversion::KIND]].concat();
    for (domain, kinds) in [("main", main), ("events", vec![EVENTS])] {
        let newest = newest_revision(&client, &kinds[0]).await?;
        running.close().await?;
        Listed::of(&client, &kinds, newest).await?.agrees(&journal, &hindcast.keys()?, domain, None).await?;
    }
    running.stop().await?;
    verdict.accounted()?;
    verdict.on_the_clock()?;
    ensure!((verdict.lost, verdict.gaps.1) == (0, 0), "something was lost: {verdict}");
    Ok(verdict)
}

struct Trial<'a> {
    cluster: &'a Cluster,
    hindcast: &'a Hindcast,
    proxy: &'a HttpProxy,
    conversion: &'a Conversion,
    clock: Option<&'a FakeClock>,
    running: Option<Running>,
    met: Met,
}

impl Trial<'_> {
    async fn all(&mut self, faults: &Faults) -> Result<()> {
        // Taking turns, so that each fault meets the others' aftermath.
        let most = faults.counts().into_iter().max().unwrap_or(0);
        for round in 0..most {
            let due = |count: u32| round < count;
            if due(faults.kills) {
                between(faults).await;
                self.kill_and_restart(Duration::ZERO).await?;
            }
            if due(faults.schema_changes) {
                between(faults).await;
                let begun = now();
                schema(self.cluster, round + 1).await?;
                self.over(begun);
            }
            if due(faults.rotations) {
                between(faults).await;
                self.hindcast.rotate().await?;
                self.kill_and_restart(Duration::ZERO).await?;
            }
            if due(faults.kills_in_put) {
                between(faults).await;
                self.kill_in_put(round % 2 == 0).await?;
            }
            if due(faults.stops) {
                between(faults).await;
                let begun = now();
                self.process().pause()?;
                // For longer than the linger.
                tokio::time::sleep(Duration::from_secs(4)).await;
                self.process().resume()?;
                self.over(begun);
            }
            if due(faults.apiserver_restarts) {
                between(faults).await;
                let begun = now();
                self.cluster.kill(Part::Apiserver)?;
                self.cluster.restart(Part::Apiserver).await?;
                self.over(begun);
            }
            if due(faults.clocks) {
                between(faults).await;
                self.clock_off(round).await?;
            }
            if due(faults.stuck) {
                between(faults).await;
                self.stuck(round).await?;
            }
            if due(faults.etcd_pauses) {
                between(faults).await;
                let begun = now();
                self.cluster.pause(Part::Etcd)?;
                // Long enough that requests are seen to hang, not so long that the API server gives etcd up.
                tokio::time::sleep(Duration::from_secs(3)).await;
                self.cluster.resume(Part::Etcd)?;
                self.over(begun);
            }
        }
        if !faults.down.is_zero() {
            between(faults).await;
            self.kill_and_restart(faults.down).await?;
        }
        Ok(())
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("between faults it runs")
    }

    fn process(&self) -> &crate::real::process::Process {
        &self.running().process
    }

    /// The fault is over; what it delayed may arrive for a few more seconds.
    fn over(&mut self, begun: i64) {
        self.met.outages.push((begun - 1_000_000, now() + 10_000_000));
    }

    async fn kill_and_restart(&mut self, down: Duration) -> Result<()> {
        let begun = now();
        self.process().kill();
        // How long it is down is what the fault is asked for.
        tokio::time::sleep(down).await;
        self.running = Some(self.hindcast.run(&RUN).await?);
        self.over(begun);
        Ok(())
    }

    /// Its clock is off until it has noticed and for a while more, and in the first round while it starts.
    async fn clock_off(&mut self, round: u32) -> Result<()> {
        let clock = self.clock.expect("there is a clock if it is to go wrong");
        let (ahead, slowly) = CLOCKS[round as usize % CLOCKS.len()];
        let begun = now();
        if slowly {
            for step in 1..=500 {
                clock.set(ahead * 2 * step)?;
                // The pace of the drift: a five-hundredth of `ahead` in each step.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        } else {
            clock.set(ahead * 1000)?;
        }
        if round == 0 {
            self.kill_and_restart(Duration::ZERO).await?;
        }
        for ahead in [ahead, 0] {
            clock.set(ahead * 1000)?;
            let noticed = |offset: f64| (offset + ahead as f64).abs() < 1.5;
            self.running()
                .wait_metric("hindcast_server_clock_offset_seconds", Duration::from_secs(40), noticed)
                .await?;
            // What is written while the clock is known to be off is part of the trial.
            tokio::time::sleep(WRONG).await;
        }
        self.over(begun);
        self.met.wrong_clocks.extend(self.met.outages.last().copied());
        Ok(())
    }

    /// One kind cannot be read until it is let go; the others are closed meanwhile, and it is taken up again.
    async fn stuck(&mut self, round: u32) -> Result<()> {
        let (begun, kind) = (now(), Conversion::KIND.key());
        let covered = format!("hindcast_covered{{kind=\"{kind}\"}}");
        let soon = Duration::from_mins(1);
        self.conversion.nobody_answers().await?;
        self.running().wait_metric(&covered, soon, |covered| covered == 0.0).await?;
        self.running().close().await?;
        self.conversion.answered().await?;
        self.running().wait_metric(&covered, soon, |covered| covered > 0.0).await?;
        self.conversion.size(round).await?;
        self.over(begun);
        Ok(())
    }

    /// Kills it when a segment's PUT has been sent and is not answered, with or without its effect in the store.
    async fn kill_in_put(&mut self, effect: bool) -> Result<()> {
        let fault = if effect { Fault::HangAfter } else { Fault::HangBefore };
        let rule = self.proxy.inject("PUT", "/wal/", 1, fault);
        rule.wait(1, Duration::from_secs(20)).await?;
        self.process().kill();
        rule.withdraw();
        self.kill_and_restart(Duration::ZERO).await
    }
}

/// The load goes on undisturbed, so that each fault meets a process that has recovered from the one before.
async fn between(faults: &Faults) {
    // The pace of the faults is what the trial is asked for.
    tokio::time::sleep(faults.between).await;
}

/// The CRD `schemed` in its `version`th form: a default that moves and a field that comes and goes, with one object
/// that nobody touches.
async fn schema(cluster: &Cluster, version: u32) -> Result<()> {
    let client = cluster.client();
    let mut spec = json!({ "size": { "type": "integer", "default": version } });
    if version.is_multiple_of(2) {
        spec["color"] = json!({ "type": "string" });
    }
    let schema = json!({ "type": "object", "properties": { "spec": { "type": "object", "properties": spec } } });
    let crd = definition_with_schema("oracle.hindcast.dev", "schemeds", "Schemed", schema);
    let path = format!("{DEFINITIONS}/schemeds.oracle.hindcast.dev?fieldManager=soak&force=true");
    send_as(&client, "PATCH", &path, APPLY, Some(&crd)).await?;
    let object = custom("oracle.hindcast.dev/v1", "Schemed", &format!("at-{version}"), json!({ "color": "blue" }));
    // A field that the schema does not have now is pruned in silence, as a client of another day would see it.
    let path = "/apis/oracle.hindcast.dev/v1/namespaces/soak-0/schemeds?fieldValidation=Ignore";
    let made = async || create_unless_there(&client, path, &object).await;
    succeeds("an object of the new schema is taken", Duration::from_secs(20), made).await
}
