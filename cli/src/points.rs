//! What recovery points are made with: the cluster of the context, and a way to bring the journal to where it stands.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hindcast_journal::{Journal, Parts};
use hindcast_snapshotter::{Closer, Limits, Maker, driver::VolumeDriver};

use crate::{
    args::Plugins,
    context::Context,
    failure::Result,
    locations, movers,
    past::{Reading, close::ask_run},
    plugins, rollback,
};

/// How long a running Hindcast may take to close the cut.
const DEADLINE: Duration = Duration::from_secs(15);

/// Asks the `run` at an address.
struct Asked {
    parts: Parts,
    address: String,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address)
    }
}

#[async_trait]
impl Closer for Asked {
    async fn close(&self) -> std::result::Result<(), String> {
        let Self { parts, address } = self;
        ask_run(parts, address, DEADLINE).await.map_err(|why| format!("{address}: {why}"))
    }
}

/// Makes and deletes points of the journal, with the rights of the context's account.
/// `earlier` for whoever takes up what another process began.
pub(crate) async fn maker(
    context: &Context<'_>,
    past: &Reading<'_>,
    plugins: &Plugins,
    limits: Limits,
    earlier: bool,
) -> Result<Maker> {
    let connected = plugins::connect(context, plugins).await?;
    let cluster = rollback::cluster(context, past).await?;
    let closer = context.common.run_address.clone().map(|address| {
        let closer: Arc<dyn Closer> = Arc::new(Asked { parts: context.parts.clone(), address });
        closer
    });
    let maker = Maker::new(&past.journal, &cluster.client, closer, limits);
    Ok(maker.with(connected).with(drivers(context, &cluster.client, &past.journal, earlier).await?))
}

/// The drivers of volumes that are not the cluster's own.
pub(crate) async fn drivers(
    context: &Context<'_>,
    client: &kube::Client,
    journal: &Journal,
    earlier: bool,
) -> Result<Vec<Arc<dyn VolumeDriver>>> {
    let mut drivers = locations::drivers(&context.common.volume_location, &context.parts, earlier).await?;
    drivers.extend(movers::drivers(context, client, journal)?);
    Ok(drivers)
}
