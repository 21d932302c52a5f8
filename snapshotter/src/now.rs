//! Where the cluster stands, and the journal of another part of the process or of another process brought there.
//!
//! **Invariant.** What is closed is durable in the bucket: it is read there, whoever says that it was closed [`Written::close`].

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use hindcast_cluster::{Api, Failure};
use hindcast_journal::{Error, Journal, Reader, Result, cut::At, error::ErrorKind, row::Revision};
use kube::Client;

/// How long the journal may take to reach a revision: bookmarks come every minute.
const REACH: Duration = Duration::from_secs(100);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// Says where the cluster stands, and brings the journal there.
#[async_trait]
pub trait Now: Send + Sync + fmt::Debug {
    /// The newest revision of the main domain.
    async fn revision(&self) -> Result<Revision>;

    /// Brings the journal's closed, durable cut to where the cluster stands now, or further.
    async fn close(&self) -> Result<()>;
}

/// Asks whoever writes the journal to close its cut of now.
#[async_trait]
pub trait Closer: Send + Sync + fmt::Debug {
    /// Asks; the reason if it was not done. Without it the journal gets there by itself, later.
    async fn close(&self) -> std::result::Result<(), String>;
}

/// The journal as somebody else writes it.
pub struct Written {
    api: Api,
    journal: Journal,
    /// Who is asked to close the cut.
    closer: Option<Arc<dyn Closer>>,
}

impl Written {
    /// The journal of the cluster of a client.
    pub fn new(client: Client, journal: &Journal, closer: Option<Arc<dyn Closer>>) -> Self {
        Self { api: Api::single(journal.parts().clone(), client, DEADLINE), journal: journal.clone(), closer }
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").field("closer", &self.closer).finish_non_exhaustive()
    }
}

#[async_trait]
impl Now for Written {
    async fn revision(&self) -> Result<Revision> {
        let path = hindcast_cluster::path::collection("", "v1", "", "namespaces");
        let unavailable = |why: Failure| Error::new(ErrorKind::Unavailable, "the API server", why.to_string());
        let page = self.api.sample(&path).await.map_err(unavailable)?;
        page.rv.ok_or_else(|| unavailable(Failure::Opaque))
    }

    async fn close(&self) -> Result<()> {
        let target = self.revision().await?;
        if let Some(closer) = &self.closer
            && let Err(why) = closer.close().await
        {
            tracing::warn!("the cut was not closed: {why}");
        }
        let clock = &self.journal.parts().clock;
        let mut reader = Reader::open(&self.journal).await?;
        let began = clock.monotonic();
        loop {
            let now = reader.at(&At::Now).await?;
            if now.moment().closed && now.moment().cut.rev() >= target {
                return Ok(());
            }
            if clock.monotonic().saturating_sub(began) > REACH {
                let reason = format!(
                    "is closed up to revision {}, the cluster stands at {target}, and nothing more came within {} s",
                    now.moment().cut.rev(),
                    REACH.as_secs()
                );
                return Err(Error::new(ErrorKind::Unavailable, "the journal", reason)
                    .with_hint("is `hindcast run` alive? `hindcast status` says which kinds lag"));
            }
            clock.sleep(LOOK_EVERY).await;
            reader.refresh().await?;
        }
    }
}
