//! Metrics of fan-outs, under `hindcast_fanout_`.
//!
//! **Invariant**: the one label is the target's name, which its operator gave.

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The metrics of all targets; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    events: IntCounterVec,
    pointers: IntCounterVec,
    failures: IntCounterVec,
    position: IntGaugeVec,
    waiting: IntGaugeVec,
    up: IntGaugeVec,
    lag: GaugeVec,
}

/// Those of one target.
#[derive(Debug, Clone)]
pub(crate) struct Of {
    pub(crate) events: IntCounter,
    pub(crate) pointers: IntCounter,
    pub(crate) failures: IntCounter,
    pub(crate) position: IntGauge,
    pub(crate) waiting: IntGauge,
    pub(crate) up: IntGauge,
    pub(crate) lag: Gauge,
}

const VALID: &str = "metric names here are constants, valid and distinct";

impl Metrics {
    /// The metrics, registered.
    pub fn new(registry: &Registry) -> Self {
        let counters = |name: &str, help: &str| {
            let made = IntCounterVec::new(opts(name, help), &["target"]).expect(VALID);
            add(registry, made)
        };
        let gauges = |name: &str, help: &str| {
            let made = IntGaugeVec::new(opts(name, help), &["target"]).expect(VALID);
            add(registry, made)
        };
        Self {
            events: counters("events_total", "Events that the target acknowledged."),
            pointers: counters("pointers_total", "Events that went without their body, since it was too large."),
            failures: counters("failures_total", "Times that the target failed, or was not to be reached."),
            position: gauges("position", "The position up to which the target acknowledged everything."),
            waiting: gauges("waiting", "Events handed over that the target has not acknowledged."),
            up: gauges("up", "1 while the target takes events; 0 from a failure to the next acknowledgement."),
            lag: add(
                registry,
                GaugeVec::new(opts("lag_seconds", "How old the newest acknowledged event was just then."), &["target"])
                    .expect(VALID),
            ),
        }
    }

    pub(crate) fn of(&self, target: &str) -> Of {
        let target = &[target];
        Of {
            events: self.events.with_label_values(target),
            pointers: self.pointers.with_label_values(target),
            failures: self.failures.with_label_values(target),
            position: self.position.with_label_values(target),
            waiting: self.waiting.with_label_values(target),
            up: self.up.with_label_values(target),
            lag: self.lag.with_label_values(target),
        }
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("hindcast_fanout_{name}"), help)
}

fn add<C: prometheus::core::Collector + Clone + 'static>(registry: &Registry, made: C) -> C {
    // A second set in one process (tests) counts for itself.
    let _ = registry.register(Box::new(made.clone()));
    made
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(&Registry::new())
    }
}
