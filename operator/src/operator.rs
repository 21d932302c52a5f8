//! What the controllers share.

use std::{sync::Arc, time::Duration};

use hindcast_journal::{Error, Journal, parts::Micros, seal::Key};
use hindcast_restorer::Movers;
use hindcast_snapshotter::{Closer, Maker};
use kube::Client;
use tokio::sync::{Mutex, watch};

use crate::{local::Local, places::Places, shelf::Shelf, works::Works};

/// Until what may pass is tried again.
pub(crate) const AGAIN: Duration = Duration::from_secs(15);

/// Until an object is looked at again of which nothing is waited for.
pub(crate) const SELDOM: Duration = Duration::from_mins(10);

/// What the controllers share.
pub(crate) struct Operator {
    /// The cluster, with our own rights.
    pub(crate) client: Client,
    /// The journal.
    pub(crate) journal: Journal,
    /// The namespace of the recovery points, schedules and volume locations.
    pub(crate) namespace: String,
    /// The keys that open sealed values.
    pub(crate) keys: Vec<Arc<Key>>,
    /// How long a restore waits for what is about to pass.
    pub(crate) wait: Duration,
    /// Who writes the journal.
    pub(crate) closer: Arc<dyn Closer>,
    /// Who makes points.
    pub(crate) maker: Maker,
    /// The drivers that are there because objects say so.
    pub(crate) places: Places,
    /// What puts the files of volumes back.
    pub(crate) movers: Option<Arc<Movers>>,
    /// What the bucket has of them.
    pub(crate) shelf: Arc<Shelf>,
    /// Those that are being made here.
    pub(crate) works: Works,
    /// Where the libraries work.
    pub(crate) local: Local,
    /// Held by the restore that is under way.
    pub(crate) restoring: Mutex<()>,
    /// When this process began to reconcile, on its own clock.
    pub(crate) since: Duration,
    /// Whether the process is to end.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Operator {
    /// What time it is.
    pub(crate) fn now(&self) -> Micros {
        self.journal.parts().clock.now()
    }
}

/// What a controller could not do now; it tries again.
#[derive(Debug)]
pub(crate) struct NotNow(pub(crate) Error);

impl std::fmt::Display for NotNow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&Error::causes(&self.0))
    }
}

impl std::error::Error for NotNow {}

impl From<Error> for NotNow {
    fn from(error: Error) -> Self {
        Self(error)
    }
}
