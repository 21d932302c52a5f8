//! The figures that the project is held to: `cargo figures` takes them all, `cargo figures read ingest` some of them.
//!
//! Prints a Markdown row per figure (figure, target, measured, how); the table of the last full run, with its machine,
//! is in `tests/benches/README.md`. `--quick` takes each with a tenth of the work. A figure is measured, never
//! asserted: a target that is missed is printed as such.
//!
//! - `mix`, `bytes`, `ingest` ([`ingest`], [`size`]): one process, memory store, the seeded workload.
//! - `read` ([`read`]): a journal of 500,000 changes in a folder.
//! - `years` ([`years`]): one of 10,000,000, in a folder and far away.
//! - `month` ([`month`]): requests and dollars, counted in simulated time.
//! - `restore` ([`restore`]): real API server and etcd, a journal in a folder, and a bare client beside.
//! - `latency`, `close`, `memory`, `heal` ([`live`]): real API server, etcd, MinIO and `hindcast run`.

#![allow(clippy::disallowed_methods, reason = "figures are taken on the real clock")]

mod feed;
mod ingest;
mod live;
mod month;
mod read;
mod replay;
mod restore;
mod size;
mod years;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// Seed of every workload here.
const SEED: u64 = 0x1d_ca57;

const NAMES: [&str; 11] =
    ["mix", "bytes", "ingest", "read", "years", "month", "latency", "close", "memory", "heal", "restore"];

fn main() -> ExitCode {
    match figures() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("figures: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn figures() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let quick = args.iter().any(|a| a == "--quick");
    let names: Vec<&str> = args.iter().map(String::as_str).filter(|a| *a != "--quick").collect();
    if let Some(unknown) = names.iter().find(|name| !NAMES.contains(name)) {
        bail!("there is no figure {unknown}; there are {}", NAMES.join(", "));
    }
    println!("| figure | target | measured | how |\n|---|---|---|---|");
    for name in NAMES {
        if !names.is_empty() && !names.contains(&name) {
            continue;
        }
        let begun = Instant::now();
        match name {
            "mix" => size::mix(quick),
            "bytes" => one_core().block_on(size::bytes(quick))?,
            "ingest" => one_core().block_on(ingest::ingest(quick))?,
            "read" => one_core().block_on(read::read(quick))?,
            "years" => one_core().block_on(years::years(quick))?,
            "month" => month::month(quick),
            "latency" => all_cores().block_on(live::latency(quick))?,
            "close" => all_cores().block_on(live::close(quick))?,
            "memory" => all_cores().block_on(live::memory(quick))?,
            "heal" => all_cores().block_on(live::heal(quick))?,
            _ => all_cores().block_on(restore::restore(quick))?,
        }
        eprintln!("{name}: taken in {:.0} s", begun.elapsed().as_secs_f64());
    }
    Ok(())
}

/// A row of the table.
fn row(figure: &str, target: &str, measured: &str, how: &str) {
    println!("| {figure} | {target} | {measured} | {how} |");
}

fn one_core() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime of one thread can be made")
}

fn all_cores() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a runtime can be made")
}

/// The value below which a share of the sorted values lies.
fn quantile<T: Copy + Default>(sorted: &[T], share: f64) -> T {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Processor time that this thread has used: what a busy machine does not stretch.
fn spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_default())
}

/// Wall and processor time of a piece of work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Took {
    wall: Duration,
    cpu: Duration,
}

/// Both clocks, started.
struct Watch(Instant, Duration);

impl Watch {
    fn start() -> Self {
        Self(Instant::now(), spent())
    }

    fn stop(&self) -> Took {
        Took { wall: self.0.elapsed(), cpu: spent().saturating_sub(self.1) }
    }
}

fn millis(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}
