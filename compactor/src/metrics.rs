//! What the compactor counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

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
    pub(crate) merge_at: IntGauge,
    pub(crate) expiry_at: IntGauge,
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
        let gauge = |name: &str, help: &str| {
            let made = IntGauge::with_opts(opts(name, help)).expect(VALID);
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
            merge_at: gauge("last_merge_timestamp_seconds", "When segments were last merged; 0 for not yet."),
            expiry_at: gauge(
                "last_expiry_timestamp_seconds",
                "When it was last looked, without a failure, what had expired; 0 for not yet.",
            ),
        }
    }

    /// When segments were last merged, in seconds since the epoch.
    pub fn last_merge(&self) -> Option<i64> {
        Some(self.merge_at.get()).filter(|seconds| *seconds > 0)
    }

    /// When it was last looked what had expired, in seconds since the epoch.
    pub fn last_expiry(&self) -> Option<i64> {
        Some(self.expiry_at.get()).filter(|seconds| *seconds > 0)
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
