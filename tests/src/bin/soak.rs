//! `cargo soak`: the long trials, at full size. `cargo soak -- NAME …` runs some of them; `cargo soak -- rollback SEED
//! [N]` runs that history, or N from it on, and takes steps away from the first that fails; `faults N` meets an N-th of
//! the faults, `lives N` puts the store back N times. Clocks go wrong by libfaketime, of the package `faketime`.
#![allow(clippy::disallowed_methods, reason = "trials run on the real clock")]

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use hindcast_tests::{
    rollback::{
        killed::{Killed, killed},
        trial::{Size, property},
    },
    soak::{Failover, Faults, Lives, Rivals, failover, faults, lives, past_the_history, past_the_window, rivals},
};

const ALL: [&str; 8] = ["faults", "lives", "history", "rivals", "failover", "window", "rollback", "killed"];

fn main() -> ExitCode {
    let program = std::env::args_os().next().map(std::path::PathBuf::from).unwrap_or_default();
    if program.file_name().is_some_and(|name| name == "hindcast") {
        return hindcast_cli::main(std::env::args_os());
    }
    let named: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let mut failed = 0;
    for name in ALL.iter().filter(|n| named.is_empty() || named.iter().any(|w| w == *n)) {
        let start = Instant::now();
        let done = runtime.block_on(trial(name));
        let seconds = start.elapsed().as_secs();
        match done {
            Ok(figures) => println!("{name}: passed in {seconds} s: {figures}"),
            Err(error) => {
                failed += 1;
                println!("{name}: FAILED after {seconds} s: {error:#}");
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn trial(name: &str) -> Result<String> {
    // One build serves the trials and their subject: under the name `hindcast` this program is that.
    let dir = tempfile::tempdir()?;
    let binary = dir.path().join("hindcast");
    std::os::unix::fs::symlink(std::env::current_exe()?, &binary)?;
    let binary = binary.to_str().context("the temporary folder's name is not UTF-8")?;
    let numbers: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    match name {
        "faults" => {
            let share = numbers.first().map_or(1, |number| (*number as u32).max(1));
            let part = |count: u32| count.div_ceil(share);
            let size = Faults {
                kills: part(15),
                kills_in_put: part(6),
                stops: part(4),
                apiserver_restarts: part(4),
                etcd_pauses: part(3),
                schema_changes: part(4),
                rotations: part(3),
                clocks: part(6),
                stuck: part(2),
                down: Duration::from_mins(2),
                rate: 50.0,
                between: Duration::from_secs(8),
            };
            Ok(faults(binary, size).await?.to_string())
        }
        "lives" => {
            let swaps = numbers.first().map_or(20, |number| *number as u32);
            let size = Lives { swaps, rate: 50.0, between: Duration::from_secs(8) };
            Ok(lives(binary, size).await?.to_string())
        }
        "rollback" => {
            let (first, histories) = match numbers.as_slice() {
                [] => (1, 2_000),
                [seed] => (*seed, 1),
                [seed, count, ..] => (*seed, *count),
            };
            let size = Size { first, histories, at_once: 32, per_cluster: 250 };
            Ok(property(binary, size).await?.to_string())
        }
        "killed" => killed(binary, Killed { objects: 1_000, kills: 50, apiserver_kills: 5, seed: 1 }).await,
        "failover" => {
            let size = Failover { kills: 8, stops: 6, rolls: 12, standby_kills: 4, rate: 300.0 };
            Ok(failover(binary, size).await?.to_string())
        }
        "window" => Ok(past_the_window(binary, Duration::from_secs(30)).await?.to_string()),
        "history" => Ok(past_the_history(binary, Duration::from_mins(1)).await?.to_string()),
        _ => {
            let size = Rivals { quick: 95, pause: Duration::from_secs(5), slow: 5, stopped: Duration::from_mins(1) };
            let (verdict, fenced) = rivals(binary, size).await?;
            Ok(format!("{fenced} fenced; {verdict}"))
        }
    }
}
