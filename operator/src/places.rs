//! The drivers that are there because objects say so, and whose turn it is of each provider.
//!
//! **Words**: a *claim* is a `VolumeLocation`, as far as it matters to others. One *has its turn* if it is the one of its provider that
//! counts: what the process was started with comes first, then the oldest object [`turn`].
//!
//! **Invariants.** (1) A driver is there only while its claim stands as it was when the driver was opened [`Places::settle`]. (2) There is
//! one driver of each provider, since points know them by that name.
//!
//! Not here: which clouds there are and what may be said of each ([`Opener`]); what becomes of a point whose driver goes while it
//! is made ([`hindcast_snapshotter::Drivers`]).

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::Stream;
use hindcast_journal::Result;
use hindcast_snapshotter::{Passing, cloud::Hidden, driver::VolumeDriver};
use jiff::Timestamp;
use kube::ResourceExt as _;
use tokio::sync::{Mutex, Notify, watch};

use crate::{api::VolumeLocation, watched::news};

/// Where the snapshots of a cloud's disks are, and as whom it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name of the provider.
    pub provider: &'static str,
    /// What is said of it.
    pub settings: BTreeMap<String, String>,
    /// What the Secret holds, by its keys; `None` if none is named.
    pub credentials: Option<BTreeMap<String, Hidden>>,
}

/// What a Secret has to hold for a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// Keys that have to be there.
    pub must: &'static [&'static str],
    /// Keys that may be there.
    pub may: &'static [&'static str],
}

/// Opens the drivers of clouds: whoever knows them.
#[async_trait]
pub trait Opener: Send + Sync {
    /// By what the process was told where the snapshots of this provider are, if it was.
    fn told(&self, provider: &str) -> Option<String>;

    /// What a Secret has to hold for this provider; `None` if it has no driver here.
    fn keys(&self, provider: &str) -> Option<Keys>;

    /// Opens a driver. No error may tell what a Secret holds.
    async fn open(&self, place: &Place) -> Result<Arc<dyn VolumeDriver>>;
}

/// A driver that is there.
pub(crate) struct Open {
    /// Whose it is.
    pub(crate) claim: Claim,
    /// The Secret it was opened with, as it was then.
    pub(crate) secret: Option<Version>,
    /// It.
    pub(crate) driver: Arc<dyn VolumeDriver>,
    /// Whether the cloud answered it.
    pub(crate) proven: bool,
}

/// What tells an object, as it is, from any other.
pub(crate) type Version = (Option<String>, Option<String>);

/// An object, as far as it matters to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) provider: &'static str,
    pub(crate) name: String,
    pub(crate) uid: Option<String>,
    pub(crate) generation: Option<i64>,
    pub(crate) made: Option<Timestamp>,
}

impl Claim {
    pub(crate) fn of(object: &VolumeLocation) -> Self {
        Self {
            provider: object.spec.provider.name(),
            name: object.name_any(),
            uid: object.uid(),
            generation: object.metadata.generation,
            made: object.metadata.creation_timestamp.as_ref().map(|time| time.0),
        }
    }
}

/// What stands.
#[derive(Default)]
pub(crate) struct Standing {
    /// The objects that count, as they were seen last.
    pub(crate) claims: Vec<Claim>,
    /// The drivers that are there, by their providers.
    pub(crate) open: BTreeMap<&'static str, Open>,
}

/// The drivers that are there because objects say so.
pub(crate) struct Places {
    /// Who opens them.
    pub(crate) opener: Arc<dyn Opener>,
    /// Held by whoever looks at the objects, until what follows from them is done: so nothing is opened for one that is gone.
    pub(crate) standing: Mutex<Standing>,
    drivers: Passing,
    /// Told when other objects count than before: another one may have its turn.
    news: watch::Sender<()>,
    /// Told when one came: what waits for its driver can be done.
    came: Notify,
}

impl Places {
    pub(crate) fn new(opener: Arc<dyn Opener>, drivers: Passing) -> Self {
        let (news, _) = watch::channel(());
        Self { opener, standing: Mutex::default(), drivers, news, came: Notify::new() }
    }

    /// When other objects count than before, from now on.
    pub(crate) fn news(&self) -> impl Stream<Item = ()> + Send + use<> {
        news(&self.news)
    }

    /// Waits until a driver comes.
    pub(crate) async fn came(&self) {
        self.came.notified().await;
    }

    /// Lets go of all that does not stand any more as it did, or has its turn no more.
    pub(crate) fn settle(&self, standing: &mut Standing, claims: Vec<Claim>) {
        if standing.claims == claims {
            return;
        }
        standing.open.retain(|provider, one| {
            let stays = turn(&claims, provider, self.opener.told(provider)).is_ok_and(|holder| *holder == one.claim);
            if !stays {
                tracing::info!(location = one.claim.name, provider, "let go of a volume location");
            }
            stays
        });
        standing.claims = claims;
        self.publish(standing);
        self.news.send_modify(|()| {});
    }

    /// Lets go of the driver of a provider.
    pub(crate) fn shut(&self, standing: &mut Standing, provider: &str) {
        if standing.open.remove(provider).is_some() {
            self.publish(standing);
        }
    }

    /// A driver is there from now on.
    pub(crate) fn put(&self, standing: &mut Standing, open: Open) {
        standing.open.insert(open.claim.provider, open);
        self.publish(standing);
        self.came.notify_one();
    }

    fn publish(&self, standing: &Standing) {
        self.drivers.put(standing.open.values().map(|one| one.driver.clone()).collect());
    }

    /// Lets go of all.
    pub(crate) async fn clear(&self) {
        self.settle(&mut *self.standing.lock().await, Vec::new());
    }

    /// Writes down that the cloud answered this driver.
    pub(crate) async fn prove(&self, driver: &Arc<dyn VolumeDriver>) {
        for one in self.standing.lock().await.open.values_mut().filter(|one| Arc::ptr_eq(&one.driver, driver)) {
            one.proven = true;
        }
    }
}

/// Whose turn it is of a provider; if it is no object's, by what the process was told.
pub(crate) fn turn<'c>(claims: &'c [Claim], provider: &str, told: Option<String>) -> Result<&'c Claim, Option<String>> {
    if told.is_some() {
        return Err(told);
    }
    let of_it = claims.iter().filter(|claim| claim.provider == provider);
    of_it.min_by_key(|claim| (claim.made, &claim.name)).ok_or(None)
}
