//! Metrics of the watcher, under `hindcast_`.
//!
//! **Invariant**: labels are kinds, grades and reasons, never names of objects or values [no label takes an object].

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The watcher's metrics; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) changes: IntCounterVec,
    pub(crate) segments: IntCounter,
    pub(crate) segment_bytes: IntCounter,
    pub(crate) lag: GaugeVec,
    pub(crate) last_durable: GaugeVec,
    pub(crate) covered: IntGaugeVec,
    pub(crate) objects: IntGaugeVec,
    pub(crate) gaps: IntCounterVec,
    pub(crate) restarts: IntCounterVec,
    pub(crate) healed: IntCounter,
    pub(crate) duplicates: IntCounter,
    pub(crate) unreadable: IntCounter,
    pub(crate) lists: IntCounter,
    pub(crate) buffer_bytes: IntGauge,
    pub(crate) buffer_seconds: Gauge,
    pub(crate) state_bytes: IntGauge,
    pub(crate) store_errors: IntCounter,
    pub(crate) clock_offset: Gauge,
    pub(crate) clock_spread: Gauge,
    pub(crate) proof_time: Gauge,
    pub(crate) proof_kinds: IntGauge,
    pub(crate) proof_objects: IntCounter,
    pub(crate) proof_differences: IntCounterVec,
    pub(crate) leader: IntGauge,
    pub(crate) ring_bytes: IntGauge,
    pub(crate) ring_short: IntGauge,
    pub(crate) ring_seconds: IntGauge,
    pub(crate) ring_overflows: IntCounter,
}

impl Metrics {
    /// How many changes were recorded of objects of other kinds than this one.
    pub fn changes_beside(&self, kind: &str) -> u64 {
        let families = prometheus::core::Collector::collect(&self.changes);
        let metrics = families.iter().flat_map(prometheus::proto::MetricFamily::get_metric);
        let others = metrics.filter(|metric| metric.get_label().iter().all(|label| label.value() != kind));
        others.map(|metric| metric.get_counter().get_value() as u64).sum()
    }

    /// The metrics, registered.
    pub fn new(registry: &Registry) -> Self {
        let made = Made(registry);
        Self {
            changes: made.counters("changes_total", "Changes recorded.", &["kind"]),
            segments: made.counter("segments_total", "Segments committed."),
            segment_bytes: made.counter("segment_bytes_total", "Bytes of segments committed."),
            lag: made.gauges("lag_seconds", "Time since the kind was last heard of.", &["kind"]),
            last_durable: made.gauges(
                "last_durable_timestamp_seconds",
                "When a change of the kind last became durable.",
                &["kind"],
            ),
            covered: made.int_gauges("covered", "1 where the kind is protected.", &["kind"]),
            objects: made.int_gauges("objects", "Objects alive.", &["kind"]),
            gaps: made.counters("gaps_total", "Intervals in which a watch was broken.", &["grade"]),
            restarts: made.counters("watch_restarts_total", "Watches opened anew.", &["reason"]),
            healed: made.counter("healed_versions_total", "Versions recovered from the server's history."),
            duplicates: made.counter("duplicate_events_total", "Events seen before."),
            unreadable: made.counter("unreadable_total", "Objects whose bytes could not be kept as JSON."),
            lists: made.counter("lists_total", "Whole lists read."),
            buffer_bytes: made.int_gauge("buffer_bytes", "Memory of changes that wait for the store."),
            buffer_seconds: made.gauge(
                "buffer_seconds_until_loss",
                "How long the buffer lasts if the store stays away; -1 while it takes segments.",
            ),
            state_bytes: made.int_gauge("state_cache_bytes", "Memory of the retained last versions."),
            store_errors: made.counter("store_errors_total", "Segment PUTs that failed and are retried."),
            clock_offset: made.gauge("server_clock_offset_seconds", "The server's clock minus ours."),
            clock_spread: made
                .gauge("clock_spread_seconds", "How far apart the clocks are between which nobody has decided."),
            proof_time: made
                .gauge("proof_timestamp_seconds", "When the newest comparison with the cluster's own lists was begun."),
            proof_kinds: made.int_gauge("proof_kinds", "Kinds that agreed in it."),
            proof_objects: made.counter("proof_objects_total", "Objects compared with the cluster's own lists."),
            proof_differences: made.counters(
                "proof_differences_total",
                "Objects that the server had otherwise than their watch had told.",
                &["kind"],
            ),
            leader: made.int_gauge("leader", "1 where this process protects, 0 where it stands by."),
            ring_bytes: made.int_gauge("standby_bytes", "Memory of what a standby holds."),
            ring_short: made
                .int_gauge("standby_short_kinds", "Kinds that a standby does not hold from what is committed on."),
            ring_seconds: made.int_gauge(
                "standby_seconds_until_full",
                "For how long a takeover needs no history of the server's, if nothing is committed from now on.",
            ),
            ring_overflows: made.counter("standby_overflows_total", "Kinds that a standby had no room for."),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(&Registry::new())
    }
}

struct Made<'a>(&'a Registry);

const VALID: &str = "metric names here are constants, valid and distinct";

impl Made<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let collector = made.expect(VALID);
        // A second watcher in one process (tests) counts for itself.
        let _ = self.0.register(Box::new(collector.clone()));
        collector
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::with_opts(opts(name, help)))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(opts(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.add(Gauge::with_opts(opts(name, help)))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.add(GaugeVec::new(opts(name, help), labels))
    }

    fn int_gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::with_opts(opts(name, help)))
    }

    fn int_gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(opts(name, help), labels))
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("hindcast_{name}"), help)
}
