//! Drivers of the clouds' own disks: each takes, finds and deletes snapshots, and makes disks from them, by its cloud's API.
//!
//! **Words**: the *[`Limits`]* say how long a driver waits for what. *Settling* is the time after which a cloud lists
//! what it was asked to make. A *fault* is a request that failed: it may pass or not, and it may have been carried out all
//! the same (its answer was *lost*).
//!
//! **Invariants**, beside the promises of [`crate::driver`]:
//! 1. No client retries or waits by itself: every pause is on the injected clock, with jitter, and within the limits
//!    ([`patience`]).
//! 2. After a lost answer nothing is asked for again before the cloud had its settling time to show what it did
//!    ([`once`]); where names are unique in the cloud, the name decides.
//! 3. Nothing is deleted that does not bear the cluster and the id of the snapshot that was meant.
//!
//! Each driver is behind the feature of its name; the drivers of plugins wait in the same way. Not here: volumes of CSI drivers by Kubernetes' own snapshot API.

// With some of the features only, not everything that drivers share is used.
#[cfg_attr(not(all(feature = "aws", feature = "azure", feature = "gcp")), allow(dead_code))]
mod once;
#[cfg_attr(not(all(feature = "aws", feature = "azure", feature = "gcp")), allow(dead_code))]
mod ours;
pub mod patience;
#[cfg_attr(not(all(feature = "aws", feature = "azure", feature = "gcp")), allow(dead_code))]
mod text;

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "azure")]
pub mod azure;
#[cfg(feature = "gcp")]
pub mod gcp;

use std::{fmt, time::Duration};

/// How long a driver waits, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// For the answer to one request.
    pub request: Duration,
    /// For one thing asked for, with all its requests that failed or were throttled.
    pub patience: Duration,
    /// For an operation that the cloud carries out by itself, such as a deletion.
    pub operation: Duration,
    /// Until the cloud surely lists what it made.
    pub settle: Duration,
    /// Before the first repetition; later ones wait longer.
    pub pause: Duration,
    /// How many snapshots are asked for at a time.
    pub at_once: usize,
    /// How many are listed with one request.
    pub page: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(30),
            patience: Duration::from_mins(3),
            operation: Duration::from_mins(10),
            settle: Duration::from_secs(15),
            pause: Duration::from_millis(500),
            at_once: 20,
            page: 500,
        }
    }
}

/// What must not be printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Hidden(String);

impl Hidden {
    /// Hides it.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// What it hides.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}
