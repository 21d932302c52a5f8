//! Settings of the watcher: what is protected, and the bounds it keeps to.
//!
//! Every field has a default that suits a real cluster; tests and the simulator shorten times. Settings hold no
//! effects.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the watcher protects a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Longest wait of the oldest buffered change before its PUT starts.
    pub linger: Duration,
    /// Kinds left out besides events and leases, under any name that a person uses for them (`pods`, `deploy`,
    /// `widgets.example.com`).
    pub exclude: Vec<String>,
    /// Kinds taken off the default exclusions.
    pub include: Vec<String>,
    /// When not empty: the only kinds that are journaled.
    pub only: Vec<String>,
    /// Changes that wait for the store, in bytes of memory.
    pub buffer_bytes: usize,
    /// Most rows in a segment.
    pub segment_rows: usize,
    /// Most bytes of changes in a segment.
    pub segment_bytes: usize,
    /// How often an idle journal says how far it has seen.
    pub frontier_every: Duration,
    /// After how long without a change it does so less often.
    pub idle_after: Duration,
    /// How often it does so then.
    pub idle_frontier_every: Duration,
    /// How often the bucket is asked whether a reader has knocked.
    pub knock_every: Duration,
    /// Objects per page of a list.
    pub page: usize,
    /// A watch is asked to end after this long, plus up to a fifth.
    pub watch_timeout: Duration,
    /// A watch that brings nothing for this long is opened anew.
    pub idle_timeout: Duration,
    /// Longest wait for the answer to a single request.
    pub request_timeout: Duration,
    /// Watches that share one client.
    pub streams_per_client: usize,
    /// Lists and watch openings at once; as many again where answers are late.
    pub openings: usize,
    /// Calls at once that recover versions from the server's history.
    pub heal_calls: usize,
    /// How often forbidden kinds are tried again.
    pub forbidden_retry: Duration,
    /// How long an API may fail before its kinds count as not protected.
    pub api_down_after: Duration,
    /// How long a kind may bring nothing, while others are answered, before it is let go.
    pub stuck_after: Duration,
    /// How long a watch may bring nothing, not even a bookmark, before it is looked at.
    pub quiet_after: Duration,
    /// A domain whose time nothing has confirmed for this long has one of its kinds listed.
    pub sample_every: Duration,
    /// How often discovery is read when nothing calls for it.
    pub discovery_every: Duration,
    /// How often revision domains are probed once they are known.
    pub probe_every: Duration,
    /// How often every kind is compared with the cluster's own list; never if `None`.
    pub prove_every: Option<Duration>,
    /// Longest wait for the last flush at a graceful stop.
    pub stop_timeout: Duration,
    /// What a standby holds of what is not yet committed, in bytes of memory.
    pub ring_bytes: usize,
    /// Objects whose last state is also kept uncompressed.
    pub hot_objects: usize,
    /// Declares a broken interval healed without asking the server, so that the simulator can prove it would notice.
    #[cfg(feature = "sabotage")]
    #[serde(skip)]
    pub skip_heal: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            linger: Duration::from_secs(1),
            exclude: Vec::new(),
            include: Vec::new(),
            only: Vec::new(),
            buffer_bytes: 128 << 20,
            segment_rows: 10_000,
            segment_bytes: 8 << 20,
            frontier_every: Duration::from_mins(1),
            idle_after: Duration::from_hours(1),
            idle_frontier_every: Duration::from_mins(2),
            knock_every: Duration::from_secs(12),
            page: 500,
            watch_timeout: Duration::from_mins(4),
            idle_timeout: Duration::from_mins(2),
            request_timeout: Duration::from_secs(30),
            streams_per_client: 80,
            openings: 32,
            heal_calls: 16,
            forbidden_retry: Duration::from_secs(30),
            api_down_after: Duration::from_secs(5),
            stuck_after: Duration::from_secs(15),
            quiet_after: Duration::from_secs(75),
            sample_every: Duration::from_secs(10),
            discovery_every: Duration::from_mins(10),
            probe_every: Duration::from_hours(1),
            prove_every: Some(Duration::from_hours(1)),
            stop_timeout: Duration::from_secs(5),
            ring_bytes: 128 << 20,
            hot_objects: 512,
            #[cfg(feature = "sabotage")]
            skip_heal: false,
        }
    }
}
