//! Writers that race for one journal, without a watcher: commit and fencing alone.
//!
//! Each process claims the journal and commits segments of numbered rows, while PUTs fail in every way and processes
//! are killed and stopped at any step. **Invariants checked** ([`check`]): segments follow one another, epochs do not
//! fall, the chain holds; what a writer was told is durable stands in the log exactly where it was told, once; a
//! segment is of one writer; who was fenced wrote nothing after it. Start at [`race`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt as _;
use hindcast_journal::{
    Change, Journal,
    error::ErrorKind,
    row::Op,
    segment::FrontierVector,
    writer::{Durable, Identity, Sabotage, Writer},
};
use object_store::path::Path;

use super::{
    faults::Fault,
    harness::{Outcome, in_simulated_time, some},
    store::Bucket,
    world::{Process, World},
};

const CLUSTER: &str = "11111111-2222-4333-8444-555555555555";

/// What one writer did.
#[derive(Debug, Default)]
struct Deed {
    /// Segments it was told are durable, with the names of their rows.
    durable: Vec<(Durable, Vec<String>)>,
    /// How it ended, if by itself.
    ended: Option<(ErrorKind, String)>,
}

type Deeds = Arc<Mutex<BTreeMap<String, Deed>>>;

/// Lets writers race for one journal.
pub fn race(seed: u64, sabotage: Sabotage) -> Outcome {
    in_simulated_time(async move {
        let store_faults = [
            (Fault::PutErrorBefore, 60),
            (Fault::PutErrorAfter, 60),
            (Fault::PutLostAnswer, 40),
            (Fault::PutLate, 60),
            (Fault::PutConflict, 60),
            (Fault::PutSlow, 60),
            (Fault::ReadError, 60),
            (Fault::ListHole, 200),
        ];
        let world = World::new(seed, store_faults);
        let bucket = Bucket::new(&world);
        let deeds = Deeds::default();
        let mut running: Vec<(Arc<Process>, tokio::task::JoinHandle<()>)> = Vec::new();
        for round in 0..world.draw(|rng| rng.between(8, 14)) {
            if running.len() < 2 || world.draw(|rng| rng.permille(300)) {
                if !running.is_empty() {
                    world.fired(Fault::SecondWriter);
                }
                running.push(start(round, &world, &bucket, sabotage, &deeds));
            }
            let chosen = world.draw(|rng| rng.below(running.len() as u64)) as usize;
            if let Some((process, _)) = running.get(chosen) {
                disturb(process, &world, &bucket);
            }
            world.dawdle(500, 5_000).await;
            running.retain(|(process, task)| !process.is_dead() && !task.is_finished());
        }
        world.faults.calm();
        for (process, _) in &running {
            process.stop(false);
        }
        // The longest that a request may still be under way to its landing or its time-out.
        world.sleep(Duration::from_secs(25)).await;
        for (process, task) in running {
            process.kill();
            task.abort();
        }
        world.sleep(Duration::from_mins(1)).await;
        let problems = check(&world, &bucket, &deeds).await;
        Outcome::of(seed, &world, &bucket, problems).await
    })
}

/// Starts one writer.
fn start(
    round: u64,
    world: &Arc<World>,
    bucket: &Bucket,
    sabotage: Sabotage,
    deeds: &Deeds,
) -> (Arc<Process>, tokio::task::JoinHandle<()>) {
    let process = Process::new(format!("w{round}"), world);
    let (this, bucket, deeds) = (process.clone(), bucket.clone(), deeds.clone());
    let task = tokio::spawn(async move {
        let ended = tokio::select! {
            biased;
            () = this.died() => None,
            ended = write(&this, &bucket, sabotage, &deeds) => Some(ended),
        };
        deeds.lock().expect("no holder panics").entry(this.name.clone()).or_default().ended = ended;
    });
    (process, task)
}

/// Something happens to a process, or to the store.
fn disturb(process: &Arc<Process>, world: &Arc<World>, bucket: &Bucket) {
    match world.draw(|rng| rng.below(6)) {
        0 => process.die_at_step(world.draw(|rng| rng.between(1, 30))),
        1 => process.die_at_put(world.draw(|rng| rng.between(1, 4))),
        2 | 3 => {
            world.fired(Fault::Stopped);
            process.stop(true);
            let (process, world) = (process.clone(), world.clone());
            tokio::spawn(async move {
                world.dawdle(100, 60_000).await;
                process.stop(false);
            });
        }
        4 => bucket.go_down(Duration::from_secs(world.draw(|rng| rng.between(1, 20)))),
        _ => {
            world.fired(Fault::ClockStep);
            process.step_clock(world.draw(|rng| rng.between(0, 600_000_000)) as i64 - 300_000_000);
        }
    }
}

/// Claims and writes until something ends it.
async fn write(process: &Arc<Process>, bucket: &Bucket, sabotage: Sabotage, deeds: &Deeds) -> (ErrorKind, String) {
    let parts = process.parts();
    let journal = Journal::open(bucket.store(process), &Path::from("p"), CLUSTER, parts.clone());
    // Each is an instance of its own, and they come slowly enough not to be a fight.
    let identity = Identity { writer: process.name.clone(), instance: "racer".into() };
    let mut writer = loop {
        match Writer::claim_with(&journal, identity.clone(), None, sabotage).await {
            Ok(writer) => break writer,
            Err(e) if e.kind().may_pass() => {
                parts.clock.sleep(Duration::from_millis(300)).await;
            }
            Err(e) => return (e.kind(), e.to_string()),
        }
    };
    for n in 0.. {
        parts.clock.sleep(Duration::from_millis(100 + parts.random.next_u64() % 1500)).await;
        let names: Vec<String> =
            (0..=parts.random.next_u64() % 3).map(|i| format!("{}-{n}-{i}", process.name)).collect();
        let changes = names.iter().map(|name| Change { name: name.clone(), ..Change::new(Op::Mark, "main", 0, n + 1) });
        if let Err(e) = writer.stage(changes.collect(), FrontierVector::new()).await {
            return (e.kind(), e.to_string());
        }
        let durable = loop {
            match writer.commit().await {
                Ok(durable) => break durable,
                Err(e) if e.kind().may_pass() => {
                    parts.clock.sleep(Duration::from_millis(300)).await;
                }
                Err(e) => return (e.kind(), e.to_string()),
            }
        };
        let mut deeds = deeds.lock().expect("no holder panics");
        deeds.entry(process.name.clone()).or_default().durable.push((durable, names));
    }
    unreachable!("the loop above has no end")
}

/// What is wrong with the bucket, given what the writers were told.
async fn check(world: &Arc<World>, bucket: &Bucket, deeds: &Deeds) -> Vec<String> {
    let mut problems = Vec::new();
    let checker = Process::new("checker", world);
    let journal = Journal::open(bucket.direct(), &Path::from("p"), CLUSTER, checker.parts());
    let numbers = match journal.segments_after(0).await {
        Ok(numbers) => numbers,
        Err(e) => return vec![format!("the journal has a hole: {e}")],
    };
    if numbers.start != 1 {
        problems.push("the first segment is not number 1".to_owned());
    }
    let mut segments = BTreeMap::new();
    let mut read = Box::pin(journal.read(numbers));
    while let Some(segment) = read.next().await {
        match segment {
            Ok(segment) => drop(segments.insert(segment.meta.segment, segment)),
            Err(e) => return vec![format!("the journal is broken: {e}")],
        }
    }
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for segment in segments.values() {
        for row in segment.rows.iter() {
            if let Some(before) = seen.insert(&row.name, row.pos) {
                problems.push(format!("{} stands twice: at {before} and {}", row.name, row.pos));
            }
        }
    }
    for (writer, deed) in deeds.lock().expect("no holder panics").iter() {
        for (durable, names) in &deed.durable {
            let found = segments.get(&durable.segment);
            let rows: Vec<&str> = found.iter().flat_map(|s| s.rows.iter().map(|r| r.name.as_str())).collect();
            let place = found.map(|s| (s.meta.first, s.meta.last));
            if rows != *names || place != Some((durable.first, durable.last)) {
                let held = found.map(|s| s.meta.writer.clone());
                problems.push(format!(
                    "{writer} was told that segment {} holds {names:?}; it is {held:?}'s {rows:?}",
                    durable.segment
                ));
            }
        }
        match &deed.ended {
            None | Some((ErrorKind::Fenced, _)) => {}
            Some((kind, said)) => problems.push(format!("{writer} ended with {kind:?}: {said}")),
        }
    }
    some(problems)
}
