//! The process: keeps the bucket's points in order, and reconciles the kinds of `hindcast.dev` while the cluster serves them.
//!
//! **Invariants.** (1) Nothing here ends, or is waited for by, what protects the cluster: what goes wrong is told and tried again. (2) Kinds
//! that are not served are looked for, and let go of when they are served no more [`served`]. (3) It belongs to the process
//! that writes the journal, and ends with it; a restore that is under way then stops where it can be resumed.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, future};
use hindcast_journal::{Error, Journal, Result, seal::Key};
use hindcast_restorer::Movers;
use hindcast_snapshotter::{Closer, Limits, Maker, Passing, driver::VolumeDriver};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        Controller,
        controller::{self, Action},
        reflector::Store,
        watcher,
    },
};
use tokio::sync::watch;

use crate::{
    api::{GROUP, RecoveryPoint, Restore, Schedule, VERSION, VolumeLocation},
    keeper, local, locations,
    operator::{AGAIN, NotNow, Operator},
    places::{Opener, Places},
    points, restores, schedules,
    shelf::Shelf,
    status::{is, unavailable},
    works::Works,
};

/// How often the bucket is looked at, and the kinds are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How often it is looked for what dead processes left.
const MEND_EVERY: Duration = Duration::from_mins(10);
/// How long a restore that is under way may take to stop.
const STOPPING: Duration = Duration::from_secs(10);
/// The kinds that are reconciled together.
const KINDS: [&str; 3] = ["schedules", "recoverypoints", "restores"];
/// The kind that is so by itself: an older cluster may not have it.
const LOCATIONS: [&str; 1] = ["volumelocations"];

/// What a user decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The namespace of recovery points, schedules and volume locations.
    pub namespace: String,
    /// How long a restore waits for what is about to pass.
    pub wait: Duration,
}

/// What it is made of.
#[derive(Clone)]
pub struct Parts {
    /// The cluster.
    pub client: Client,
    /// Its journal.
    pub journal: Journal,
    /// The keys that open sealed values.
    pub keys: Vec<Arc<Key>>,
    /// Who writes the journal.
    pub closer: Arc<dyn Closer>,
    /// Drivers of volumes, beside what the cluster offers.
    pub drivers: Vec<Arc<dyn VolumeDriver>>,
    /// Who opens the drivers that objects ask for.
    pub opener: Arc<dyn Opener>,
    /// What puts the files of volumes back, if it is there.
    pub movers: Option<Arc<Movers>>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parts")
    }
}

/// Reconciles until `shutdown`. It stays on its thread.
pub async fn run(settings: Settings, parts: Parts, shutdown: impl Future<Output = ()>) {
    let Parts { client, journal, keys, closer, drivers, opener, movers } = parts;
    let passing = Passing::default();
    let maker = Maker::new(&journal, &client, Some(closer.clone()), Limits::default());
    let maker = maker.with(drivers).following(passing.clone());
    let shelf = Arc::new(Shelf::new(&journal));
    let (tell, stop) = watch::channel(false);
    let (local, worker) = local::channel();
    let operator = Arc::new(Operator {
        works: Works::new(&maker, &shelf, &local),
        local,
        since: journal.parts().clock.monotonic(),
        namespace: settings.namespace,
        wait: settings.wait,
        restoring: tokio::sync::Mutex::default(),
        places: Places::new(opener, passing),
        client,
        journal,
        keys,
        closer,
        maker,
        movers,
        shelf,
        stop,
    });
    let work = async {
        let wishes = serve(&operator, &KINDS, async || reconcile(&operator).await, async || {});
        let locations = async || reconcile_locations(&operator).await;
        let locations = serve(&operator, &LOCATIONS, locations, async || operator.places.clear().await);
        future::join5(worker.work(), keep(&operator), mend(&operator), wishes, locations).await;
    };
    tokio::pin!(work);
    tokio::select! {
        biased;
        () = shutdown => {}
        () = &mut work => return,
    }
    tell.send_replace(true);
    let stopped = async { drop(operator.restoring.lock().await) };
    tokio::select! {
        biased;
        () = stopped => {}
        () = &mut work => {}
        () = operator.journal.parts().clock.sleep(STOPPING) => {}
    }
}

/// Looks at the bucket now and then, and deletes what no rule keeps.
async fn keep(operator: &Operator) {
    let mut failures: u32 = 0;
    loop {
        let kept = async {
            let books = operator.shelf.look().await?;
            keeper::prune(operator, &books).await
        };
        match kept.await {
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                if failures.is_power_of_two() {
                    tracing::warn!(error = %Error::causes(&error), failures, "the recovery points could not be looked after");
                }
            }
        }
        operator.journal.parts().clock.sleep(LOOK_EVERY).await;
    }
}

/// Finishes what dead processes left, now and then, and when a driver came that it may have waited for.
async fn mend(operator: &Operator) {
    loop {
        keeper::mend(operator).await;
        tokio::select! {
            biased;
            () = operator.places.came() => {}
            () = operator.journal.parts().clock.sleep(MEND_EVERY) => {}
        }
    }
}

/// Reconciles while these kinds are served; does the other thing while they are not.
async fn serve(operator: &Operator, kinds: &[&str], reconcile: impl AsyncFn(), unserved: impl AsyncFn()) {
    loop {
        match served(&operator.client, kinds).await {
            Ok(true) => {
                tracing::info!(namespace = operator.namespace, "reconciling {}", kinds.join(", "));
                let gone = until_unserved(operator, kinds);
                tokio::select! {
                    biased;
                    () = gone => tracing::warn!("{} of {GROUP} are served no more: nothing is reconciled", kinds.join(", ")),
                    () = reconcile() => {}
                }
            }
            Ok(false) => unserved().await,
            Err(error) => {
                tracing::debug!(error = %Error::causes(&error), "whether the kinds of {GROUP} are served is not known");
            }
        }
        operator.journal.parts().clock.sleep(LOOK_EVERY / 3).await;
    }
}

async fn until_unserved(operator: &Operator, kinds: &[&str]) {
    loop {
        operator.journal.parts().clock.sleep(LOOK_EVERY).await;
        // Who cannot say so says nothing.
        if matches!(served(&operator.client, kinds).await, Ok(false)) {
            return;
        }
    }
}

/// Whether the cluster serves all of these kinds of ours.
async fn served(client: &Client, kinds: &[&str]) -> Result<bool> {
    let list = match client.list_api_group_resources(&format!("{GROUP}/{VERSION}")).await {
        Ok(list) => list,
        Err(error) if is(&error, 404) => return Ok(false),
        Err(error) => return Err(unavailable(&error)),
    };
    let names: BTreeSet<&str> = list.resources.iter().map(|resource| resource.name.as_str()).collect();
    Ok(kinds.iter().all(|name| names.contains(name)))
}

/// The three controllers.
async fn reconcile(operator: &Arc<Operator>) {
    let schedules: Controller<DeserializeGuard<Schedule>> = controller_of(&operator.client);
    let schedules = schedules.reconcile_all_on(operator.shelf.news());
    let points: Controller<DeserializeGuard<RecoveryPoint>> = controller_of(&operator.client);
    let there = points.store();
    let points = points.reconcile_all_on(operator.shelf.news());
    let restores: Controller<DeserializeGuard<Restore>> = controller_of(&operator.client);
    future::join4(
        told(schedules.run(schedules::reconcile, later, operator.clone())),
        told(points.run(points::reconcile, later, operator.clone())),
        told(restores.run(restores::reconcile, later, operator.clone())),
        mirror(operator, &there),
    )
    .await;
}

/// The controller of volume locations, and what it is not called for.
async fn reconcile_locations(operator: &Arc<Operator>) {
    let locations: Controller<DeserializeGuard<VolumeLocation>> = controller_of(&operator.client);
    let locations = locations.reconcile_all_on(operator.places.news());
    future::join(told(locations.run(locations::reconcile, later, operator.clone())), locations::follow(operator)).await;
}

fn controller_of<K>(client: &Client) -> Controller<DeserializeGuard<K>>
where
    K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    Controller::new(Api::all(client.clone()), watcher::Config::default())
}

/// Lets points appear that have no object.
async fn mirror(operator: &Operator, there: &Store<DeserializeGuard<RecoveryPoint>>) {
    // A store that ends is let go of with its controller.
    if there.wait_until_ready().await.is_err() {
        return;
    }
    let mut news = Box::pin(operator.shelf.news());
    loop {
        let in_namespace = |object: &Arc<DeserializeGuard<RecoveryPoint>>| {
            (object.namespace().as_deref() == Some(operator.namespace.as_str())).then(|| object.name_any())
        };
        let names = there.state().iter().filter_map(in_namespace).collect();
        points::mirror(operator, &operator.shelf.books(), &names).await;
        // Without news an object may have been deleted whose point stays.
        tokio::select! {
            biased;
            new = news.next() => if new.is_none() { return },
            () = operator.journal.parts().clock.sleep(LOOK_EVERY) => {}
        }
    }
}

/// When what could not be done is tried again.
fn later<K>(_: Arc<K>, why: &NotNow, _: Arc<Operator>) -> Action {
    tracing::debug!("tried again later: {why}");
    Action::requeue(AGAIN)
}

/// Works through what a controller does; what goes wrong is told.
async fn told<R, E>(work: impl Stream<Item = Result<R, controller::Error<NotNow, E>>>)
where
    E: std::error::Error + 'static,
{
    let mut work = std::pin::pin!(work);
    while let Some(done) = work.next().await {
        if let Err(error) = done
            && !matches!(error, controller::Error::ObjectNotFound(_))
        {
            tracing::warn!(error = %Error::causes(&error), "an object was not reconciled; it is tried again");
        }
    }
}
