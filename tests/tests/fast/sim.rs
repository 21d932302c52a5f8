//! The simulator over many seeds: nothing is lost, nothing forks, and each broken variant is found out.
//!
//! `HINDCAST_SEED=n` runs that seed alone and prints its whole trace; `HINDCAST_SEEDS=n` runs n of them where fewer run
//! unasked.

use std::{collections::BTreeMap, sync::Mutex};

use hindcast_journal::writer::Sabotage;
use hindcast_tests::sim::{
    cluster::{Profile, simulate},
    faults::Fault,
    harness::Outcome,
    misled::misled,
    writers::race,
};

/// Runs seeds on two threads; `each` sees every outcome.
fn seeds(from: u64, count: u64, run: impl Fn(u64) -> Outcome + Sync, each: impl Fn(Outcome) + Sync) {
    let next = Mutex::new(from);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = {
                        let mut next = next.lock().expect("no holder panics");
                        *next += 1;
                        *next - 1
                    };
                    if seed >= from + count {
                        return;
                    }
                    let _watched = Watched::start(seed);
                    each(run(seed));
                }
            });
        }
    });
}

/// Ends the whole test when a seed spins: simulated time does not pass while somebody never waits.
struct Watched {
    /// Dropped when the seed has ended.
    _running: std::sync::mpsc::Sender<()>,
}

impl Watched {
    fn start(seed: u64) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            let limit = std::time::Duration::from_mins(1);
            if receiver.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                eprintln!("HINDCAST_SEED={seed} does not end: something spins without waiting");
                std::process::exit(101);
            }
        });
        Self { _running: sender }
    }
}

/// The seed that was asked for, if one was.
fn asked() -> Option<u64> {
    std::env::var("HINDCAST_SEED").ok()?.parse().ok()
}

/// How many seeds to run, when that was said.
fn how_many() -> Option<u64> {
    std::env::var("HINDCAST_SEEDS").ok()?.parse().ok()
}

/// What many seeds did.
#[derive(Debug, Default)]
struct Sum {
    /// How often each fault fired.
    fired: BTreeMap<Fault, u64>,
    /// Checkpoints written.
    checkpoints: usize,
    /// Merged files of each level.
    merged: [usize; 3],
    /// Segments removed.
    removed: u64,
    /// Expiries decided, and files of days and checkpoints removed by them.
    decided: usize,
    expired: usize,
    /// Seeds without a checkpoint.
    without: usize,
    /// Actions done by restores.
    restored: usize,
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        for (fault, times) in &outcome.fired {
            *self.fired.entry(*fault).or_default() += times;
        }
        self.checkpoints += outcome.checkpoints();
        for (level, merged) in (1..).zip(&mut self.merged) {
            *merged += outcome.merged(level);
        }
        self.removed += outcome.removed();
        self.decided += outcome.decided();
        self.expired += outcome.expired();
        self.without += usize::from(outcome.checkpoints() == 0);
        self.restored += outcome.restored;
    }
}

/// Runs seeds that must all pass; what they did.
fn all_pass(count: u64, run: impl Fn(u64) -> Outcome + Sync) -> Sum {
    if let Some(seed) = asked() {
        let _watched = Watched::start(seed);
        let outcome = run(seed);
        for line in &outcome.lines {
            println!("{line}");
        }
        assert!(outcome.problems.is_empty(), "{}", outcome.report());
        return Sum::default();
    }
    let count = how_many().unwrap_or(0).max(count);
    let failed = Mutex::new(Vec::new());
    let sum = Mutex::new(Sum::default());
    seeds(1, count, run, |outcome| {
        sum.lock().expect("no holder panics").add(&outcome);
        if !outcome.problems.is_empty() {
            failed.lock().expect("no holder panics").push(outcome);
        }
    });
    let mut failed = failed.into_inner().expect("no holder panics");
    failed.sort_by_key(|outcome| outcome.seed);
    let first = |outcome: &Outcome| {
        let problem: String = outcome.problems.first().map_or("", String::as_str).chars().take(300).collect();
        format!("HINDCAST_SEED={} {problem}", outcome.seed)
    };
    let list: Vec<String> = failed.iter().map(first).collect();
    let report = failed.first().map(Outcome::report).unwrap_or_default();
    assert!(failed.is_empty(), "{} of {count} seeds fail:\n{}\n{report}", list.len(), list.join("\n"));
    sum.into_inner().expect("no holder panics")
}

/// The first of some seeds that finds a problem.
fn killed_by(count: u64, run: impl Fn(u64) -> Outcome) -> Option<(u64, String)> {
    (1..=count).map(run).find_map(|outcome| Some((outcome.seed, outcome.problems.first()?.clone())))
}

#[test]
fn writers_that_race_never_fork_the_journal() {
    all_pass(250, |seed| race(seed, Sabotage::None));
}

#[test]
fn a_cluster_survives_every_seed() {
    let profile = Profile::default();
    assert!(profile.steps >= 200, "a seed has at least 200 steps");
    let sum = all_pass(500, |seed| {
        let mut outcome = simulate(seed, &profile);
        if outcome.faults() < 3 {
            outcome.problems.push(format!("only {} faults fired", outcome.faults()));
        }
        outcome
    });
    if asked().is_some() {
        return;
    }
    println!(
        "{} checkpoints, {} seeds without one, {} actions of restores",
        sum.checkpoints, sum.without, sum.restored
    );
    println!("merged files of each level: {:?}; {} segments removed", sum.merged, sum.removed);
    assert!(sum.removed >= 1000, "hardly anything was removed: {} segments", sum.removed);
    assert!(sum.merged.iter().all(|merged| *merged >= 100), "hardly anything was merged: {:?}", sum.merged);
    assert!(sum.checkpoints >= 1_000, "only {} checkpoints were written", sum.checkpoints);
    assert!(sum.without <= 100, "{} seeds have no checkpoint to read from", sum.without);
    assert!(sum.restored >= 200, "restores did only {} actions", sum.restored);
    let asked_for = |fault: &Fault| *fault == Fault::StreamDrop || Fault::WATCH_BUGS.contains(fault);
    for fault in Fault::ALL.iter().filter(|fault| !asked_for(fault)) {
        let times = sum.fired.get(fault).copied().unwrap_or(0);
        println!("{times:>7} {}", fault.name());
        assert!(times >= 20, "{} fired only {times} times", fault.name());
    }
}

/// Any cut in the window reads the same before, during and after expiry, crash and re-run.
#[test]
fn what_is_kept_of_the_past_reads_the_same_whatever_expires() {
    // What has expired has to be older than what is kept, so the cluster is written to for longer.
    let profile = Profile { expire: true, steps: 600, ..Profile::default() };
    let sum = all_pass(100, |seed| simulate(seed, &profile));
    if asked().is_some() {
        return;
    }
    println!("{} expiries were decided; {} files of days and checkpoints went", sum.decided, sum.expired);
    assert!(sum.decided >= 100, "hardly anything expired: {} expiries", sum.decided);
    assert!(sum.expired >= 300, "hardly anything was removed: {} files", sum.expired);
}

#[test]
fn a_seed_reproduces_exactly() {
    for seed in 1..=8 {
        let run = || simulate(seed, &Profile::default());
        same(&run(), &run());
        let run = || simulate(seed, &Profile { expire: true, ..Profile::default() });
        same(&run(), &run());
        let run = || race(seed, Sabotage::None);
        same(&run(), &run());
    }
}

fn same(first: &Outcome, second: &Outcome) {
    let differs = first.lines.iter().zip(&second.lines).find(|(a, b)| a != b);
    assert_eq!(differs, None, "the trace of seed {} differs", first.seed);
    assert_eq!(first.trace, second.trace, "the trace of seed {} differs in length", first.seed);
    assert!(first.bucket == second.bucket, "the bucket of seed {} differs", first.seed);
}

#[test]
fn every_way_to_break_the_commit_is_found_out() {
    for sabotage in [Sabotage::SkipReadBack, Sabotage::TwoInFlight, Sabotage::IgnoreEpoch] {
        let killer = killed_by(100, |seed| race(seed, sabotage));
        let (seed, problem) = killer.unwrap_or_else(|| panic!("{sabotage:?} survives 100 seeds of writers"));
        println!("{sabotage:?} is killed by seed {seed} of writers: {problem}");
        let profile = Profile { sabotage, ..Profile::default() };
        let killer = killed_by(200, |seed| simulate(seed, &profile));
        let (seed, problem) = killer.unwrap_or_else(|| panic!("{sabotage:?} survives 200 seeds"));
        println!("{sabotage:?} is killed by seed {seed}: {problem}");
    }
}

#[test]
fn skipping_the_heal_is_found_out() {
    let profile = Profile { skip_heal: true, ..Profile::default() };
    let (seed, problem) = killed_by(100, |seed| simulate(seed, &profile)).expect("some seed kills it");
    println!("a skipped heal is killed by seed {seed}: {problem}");
}

#[test]
fn events_that_the_server_drops_are_found_out() {
    let profile = Profile { dropped: 20, ..Profile::default() };
    let (seed, problem) = killed_by(50, |seed| simulate(seed, &profile)).expect("some seed finds it");
    println!("dropped events are found by seed {seed}: {problem}");
}

#[test]
fn what_a_watch_did_not_tell_is_found_by_a_proof_and_said_to_be_lost() {
    for bug in Fault::WATCH_BUGS {
        let sum = all_pass(10, |seed| misled(seed, bug, true));
        if asked().is_none() {
            assert!(sum.fired.get(&bug).is_some_and(|times| *times >= 10), "{} did not happen: {sum:?}", bug.name());
        }
    }
}

#[test]
fn without_proofs_what_a_watch_did_not_tell_is_missing() {
    for bug in Fault::WATCH_BUGS {
        let killer = killed_by(10, |seed| misled(seed, bug, false));
        let (seed, problem) = killer.unwrap_or_else(|| panic!("{} is not noticed by the oracle", bug.name()));
        println!("{} is found by seed {seed}: {problem}", bug.name());
    }
}
