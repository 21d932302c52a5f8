//! What every simulation has: time that is simulated, and an outcome that can be compared and printed.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use bytes::Bytes;
use hindcast_journal::layout::Layout;
use object_store::path::Path;

use super::{faults::Fault, store::Bucket, world::World};

/// What came of one seed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Hash of everything that happened, in order.
    pub trace: u64,
    /// Everything that happened, in order.
    pub lines: Vec<String>,
    /// The final bucket.
    pub bucket: Vec<(String, Bytes)>,
    /// How often each fault fired.
    pub fired: BTreeMap<Fault, u64>,
    /// How many actions of a restore were done at the end.
    pub restored: usize,
    /// What must not be, and is.
    pub problems: Vec<String>,
}

impl Outcome {
    /// The outcome of a world.
    pub async fn of(seed: u64, world: &Arc<World>, bucket: &Bucket, problems: Vec<String>) -> Self {
        for problem in &problems {
            world.note(format_args!("PROBLEM {problem}"));
        }
        Self {
            seed,
            trace: world.trace_hash(),
            lines: world.trace_lines(),
            bucket: bucket.contents().await,
            fired: world.faults.fired(),
            restored: 0,
            problems,
        }
    }

    /// How many merged files of a level were written.
    pub fn merged(&self, level: u8) -> usize {
        // Those that a higher one holds too are removed again.
        let folder = format!("/log/{level}/");
        self.lines.iter().filter(|line| line.contains(" creates ") && line.contains(&folder)).count()
    }

    /// How many segments were removed.
    pub fn removed(&self) -> u64 {
        let numbers = self.bucket.iter().filter(|(path, _)| path.contains("/wal/"));
        let first = numbers.filter_map(|(path, _)| Layout::number(&Path::from(path.as_str()))).min();
        first.map_or(0, |first| first - 1)
    }

    /// How many expiries were decided.
    pub fn decided(&self) -> usize {
        self.bucket.iter().filter(|(path, _)| path.contains("/meta/expiry/")).count()
    }

    /// How many files of days and checkpoints were removed.
    pub fn expired(&self) -> usize {
        let gone = |line: &&String| line.contains(" removes ");
        let of = |line: &&String| ["/log/3/", "/checkpoints/"].iter().any(|folder| line.contains(folder));
        self.lines.iter().filter(gone).filter(of).count()
    }

    /// How many checkpoints were written.
    pub fn checkpoints(&self) -> usize {
        self.bucket.iter().filter(|(path, _)| path.contains("/checkpoints/")).count()
    }

    /// How many faults fired.
    pub fn faults(&self) -> u64 {
        self.fired.values().sum()
    }

    /// The problems, the end of the trace and how to see it again.
    pub fn report(&self) -> String {
        let tail = self.lines.len().saturating_sub(60);
        let tail: Vec<&str> = self.lines.iter().skip(tail).map(String::as_str).collect();
        format!(
            "HINDCAST_SEED={} fails:\n  {}\nthe end of its trace:\n  {}",
            self.seed,
            self.problems.join("\n  "),
            tail.join("\n  ")
        )
    }
}

/// Runs a simulation to its end on a thread of its own time.
pub fn in_simulated_time<T>(simulation: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread needs nothing");
    // Processes are local tasks: all of a simulation is one thread, whatever its futures could do.
    tokio::task::LocalSet::new().block_on(&runtime, Box::pin(simulation))
}

/// The first few problems; the rest as a count.
pub fn some(mut problems: Vec<String>) -> Vec<String> {
    const SHOWN: usize = 12;
    if problems.len() > SHOWN {
        let more = problems.len() - SHOWN;
        problems.truncate(SHOWN);
        problems.push(format!("… and {more} more"));
    }
    problems
}
