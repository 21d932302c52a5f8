//! What recovery points are made with: the cluster of the context, and a way to bring the journal to where it stands.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hindcast_cluster::{Api, Failure as NoAnswer};
use hindcast_journal::{
    Error, Journal, Parts, Reader, Result as JournalResult, cut::At, error::ErrorKind, row::Revision,
};
use hindcast_snapshotter::{Csi, Drivers, Limits, Maker, Now, PodExec};

use crate::{
    context::Context,
    failure::Result,
    past::{Reading, close::ask_run},
    rollback,
};

/// How long the journal may take to reach a revision: bookmarks come every minute.
const REACH: Duration = Duration::from_secs(100);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// The journal as another process writes it.
struct Written {
    api: Api,
    journal: Journal,
    parts: Parts,
    /// Where that process listens, to ask it to close the cut.
    run_address: Option<String>,
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Written")
    }
}

#[async_trait]
impl Now for Written {
    async fn revision(&self) -> JournalResult<Revision> {
        let path = hindcast_cluster::path::collection("", "v1", "", "namespaces");
        let unavailable = |why: NoAnswer| Error::new(ErrorKind::Unavailable, "the API server", why.to_string());
        let page = self.api.sample(&path).await.map_err(unavailable)?;
        page.rv.ok_or_else(|| unavailable(NoAnswer::Opaque))
    }

    async fn close(&self) -> JournalResult<()> {
        let target = self.revision().await?;
        if let Some(address) = &self.run_address
            && let Err(why) = ask_run(&self.parts, address, DEADLINE).await
        {
            tracing::warn!("{address} did not close the cut: {why}");
        }
        let mut reader = Reader::open(&self.journal).await?;
        let began = self.parts.clock.monotonic();
        loop {
            let now = reader.at(&At::Now).await?;
            if now.moment().closed && now.moment().cut.rev() >= target {
                return Ok(());
            }
            if self.parts.clock.monotonic().saturating_sub(began) > REACH {
                let reason = format!(
                    "is closed up to revision {}, the cluster stands at {target}, and nothing more came within {} s",
                    now.moment().cut.rev(),
                    REACH.as_secs()
                );
                return Err(Error::new(ErrorKind::Unavailable, "the journal", reason)
                    .with_hint("is `hindcast run` alive? `hindcast status` says which kinds lag"));
            }
            self.parts.clock.sleep(LOOK_EVERY).await;
            reader.refresh().await?;
        }
    }
}

/// Makes and deletes points of the journal, with the rights of the context's account.
pub(crate) async fn maker(context: &Context<'_>, past: &Reading<'_>, limits: Limits) -> Result<Maker> {
    let cluster = rollback::cluster(context, past).await?;
    let client = cluster.client;
    let parts = context.parts.clone();
    let now = Written {
        api: Api::single(parts.clone(), client.clone(), DEADLINE),
        journal: past.journal.clone(),
        parts: parts.clone(),
        run_address: context.common.run_address.clone(),
    };
    let random = &parts.random;
    Ok(Maker {
        journal: past.journal.clone(),
        drivers: Drivers(vec![Arc::new(Csi::new(client.clone(), parts.clone()))]),
        exec: Arc::new(PodExec::new(client, parts.clone())),
        now: Arc::new(now),
        limits,
        by: format!("{:016x}", random.next_u64()),
    })
}
