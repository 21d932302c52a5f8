//! What the compactor counts.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// Counters of what was done since the process began.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) checkpoints: IntCounter,
    pub(crate) merged: IntCounterVec,
    pub(crate) merged_bytes: IntCounter,
    pub(crate) table: IntCounter,
    pub(crate) removed: IntCounter,
    pub(crate) expired: IntCounter,
    pub(crate) failures: IntCounter,
}

impl Metrics {
    /// The metrics, registered.
    pub fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str| {
            let made = IntCounter::with_opts(opts(name, help)).expect(VALID);
            // A second compactor in one process (tests) counts for itself.
            let _ = registry.register(Box::new(made.clone()));
            made
        };
        let merged = IntCounterVec::new(opts("merged_files_total", "Merged files written."), &["level"]).expect(VALID);
        let _ = registry.register(Box::new(merged.clone()));
        Self {
            checkpoints: counter("checkpoints_total", "Checkpoints written."),
            merged,
            merged_bytes: counter("merged_bytes_total", "Bytes of merged files written."),
            table: counter("table_commits_total", "Commits to the Delta Lake table of merged files."),
            removed: counter("removed_segments_total", "Segments removed that merged files hold too."),
            expired: counter("expired_files_total", "Segments, merged files and checkpoints removed that had expired."),
            failures: counter(
                "compaction_failures_total",
                "Checkpoints, merges, removals and expiries that failed and are tried again.",
            ),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(&Registry::new())
    }
}

const VALID: &str = "metric names here are constants, valid and distinct";

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("hindcast_{name}"), help)
}
