//! The simulator over many seeds: nothing is lost, nothing forks, and each broken variant is found out.
//!
//! `HINDCAST_SEED=n` runs that seed alone and prints its whole trace.

use std::{collections::BTreeMap, sync::Mutex};

use hindcast_journal::writer::Sabotage;
use hindcast_tests::sim::{faults::Fault, harness::Outcome, writers::race};

/// Runs seeds on two threads; `each` sees every outcome.
fn seeds(
    from: u64,
    count: u64,
    run: impl Fn(u64) -> Outcome + Sync,
    each: impl Fn(Outcome) + Sync,
) {
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
                    each(run(seed));
                }
            });
        }
    });
}

/// The seed that was asked for, if one was.
fn asked() -> Option<u64> {
    std::env::var("HINDCAST_SEED").ok()?.parse().ok()
}

/// Runs seeds that must all pass; the sum of the faults that fired.
fn all_pass(count: u64, run: impl Fn(u64) -> Outcome + Sync) -> BTreeMap<Fault, u64> {
    if let Some(seed) = asked() {
        let outcome = run(seed);
        for line in &outcome.lines {
            println!("{line}");
        }
        assert!(outcome.problems.is_empty(), "{}", outcome.report());
    }
    let failed = Mutex::new(Vec::new());
    let fired = Mutex::new(BTreeMap::new());
    seeds(1, count, run, |outcome| {
        for (fault, times) in &outcome.fired {
            *fired.lock().expect("no holder panics").entry(*fault).or_default() += times;
        }
        if !outcome.problems.is_empty() {
            failed.lock().expect("no holder panics").push(outcome);
        }
    });
    let mut failed = failed.into_inner().expect("no holder panics");
    failed.sort_by_key(|outcome| outcome.seed);
    let list: Vec<u64> = failed.iter().map(|outcome| outcome.seed).collect();
    assert!(
        failed.is_empty(),
        "{} of {count} seeds fail: {list:?}; the first:\n{}",
        list.len(),
        failed[0].report()
    );
    fired.into_inner().expect("no holder panics")
}

/// The first of some seeds that finds a problem.
fn killed_by(count: u64, run: impl Fn(u64) -> Outcome) -> Option<(u64, String)> {
    (1..=count).map(run).find_map(|outcome| Some((outcome.seed, outcome.problems.first()?.clone())))
}

#[test]
fn writers_that_race_never_fork_the_journal() {
    let fired = all_pass(300, |seed| race(seed, Sabotage::None));
    println!("{fired:?}");
}

#[test]
fn a_race_reproduces_exactly() {
    for seed in 1..=10 {
        let (first, second) = (race(seed, Sabotage::None), race(seed, Sabotage::None));
        assert_eq!(first.lines, second.lines, "seed {seed}");
        assert_eq!(first.bucket, second.bucket, "seed {seed}");
    }
}

#[test]
fn every_way_to_break_the_commit_is_found_out() {
    for sabotage in [Sabotage::SkipReadBack, Sabotage::TwoInFlight, Sabotage::IgnoreEpoch] {
        let killer = killed_by(100, |seed| race(seed, sabotage));
        let (seed, problem) = killer.unwrap_or_else(|| panic!("{sabotage:?} survives 100 seeds"));
        println!("{sabotage:?} is killed by seed {seed}: {problem}");
    }
}
