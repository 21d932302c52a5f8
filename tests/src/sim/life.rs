//! One process that protects a simulated cluster, as `run` is composed by the command line.
//!
//! **Invariants.** It claims the journal with its own name, at once or, where processes agree by a Lease on who leads, when it is
//! elected [`life`]. Checkpoints and merged files are written behind it, and whatever becomes of them, protection goes on.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hindcast_cluster::{Connector, NoClient};
use hindcast_compactor::{self as compactor, Policy};
use hindcast_journal::{
    Journal,
    encode::Encoder,
    error::ErrorKind as Store,
    seal::{DataKeys, Secrets},
    writer::{Identity, Sabotage, Writer},
};
use hindcast_watcher::{
    Commands, ErrorKind, Handle, Metrics, Settings,
    ha::{self, Kept, Leadership},
};
use object_store::path::Path;
use tokio::sync::watch;

use super::{api::Server, check::PREFIX, faults::Fault, store::Bucket, world::Process};

struct Connect(Server, Arc<Process>);

impl Connector for Connect {
    fn connect(&self) -> Result<kube::Client, NoClient> {
        Ok(self.0.client(&self.1))
    }
}

/// How a process is set up.
pub(super) struct Setup {
    /// The watcher's settings.
    pub(super) settings: Settings,
    /// How its commit is broken on purpose.
    pub(super) sabotage: Sabotage,
    /// When it writes checkpoints; never if `None`.
    pub(super) checkpoints: Option<Policy>,
    /// The keys that it seals with.
    pub(super) keys: Option<Arc<DataKeys>>,
    /// Where it says that it leads, if it stands by until then.
    pub(super) ha: Option<Arc<AtomicBool>>,
}

/// What `run` does: claim the journal, protect the cluster, and write checkpoints behind that.
pub(super) async fn life(
    process: Arc<Process>,
    server: Server,
    bucket: Bucket,
    setup: Setup,
    (handle, commands): (Handle, Commands),
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), (ErrorKind, String)> {
    let parts = process.parts();
    let journal = Journal::open(bucket.store(&process), &Path::from(PREFIX), &server.cluster(), parts.clone());
    let mut shutdown = std::pin::pin!(shutdown);
    let with = ha::With {
        settings: setup.settings.clone(),
        parts: parts.clone(),
        connector: Arc::new(Connect(server.clone(), process.clone())),
        journal: journal.clone(),
        metrics: Metrics::new(&prometheus::Registry::new()),
    };
    let claimed = match &setup.ha {
        None => (claim(&process, &journal, (setup.keys, setup.sabotage)).await?, None),
        Some(leads) => match stand_by(&process, with, (setup.keys, setup.sabotage), shutdown.as_mut()).await? {
            Some((writer, before)) => {
                leads.store(true, Ordering::Relaxed);
                (writer, Some(before))
            }
            None => return Ok(()),
        },
    };
    let (writer, (kept, leadership)) = (claimed.0, claimed.1.unzip());
    let behind = checkpoints(setup.checkpoints, journal.clone(), handle, (process.name.clone(), writer.epoch()));
    let parts = hindcast_watcher::Parts {
        parts,
        connector: Arc::new(Connect(server, process)),
        journal,
        writer,
        encoder: Encoder::new(Secrets::Dropped),
        metrics: Metrics::new(&prometheus::Registry::new()),
        commands,
        kept,
    };
    let ended = tokio::select! {
        biased;
        ended = Box::pin(hindcast_watcher::run(setup.settings, parts, shutdown)) => ended,
        never = behind => match never {},
    };
    if let Some(leadership) = leadership {
        leadership.end().await;
    }
    ended.map_err(|e| (e.kind(), e.to_string()))
}

async fn claim(
    process: &Arc<Process>,
    journal: &Journal,
    (keys, sabotage): (Option<Arc<DataKeys>>, Sabotage),
) -> Result<Writer, (ErrorKind, String)> {
    let identity = Identity { writer: process.name.clone(), instance: "simulated".to_owned() };
    let claimed = Writer::claim_with(journal, identity, keys, sabotage).await;
    claimed.map_err(|e| {
        let kind = match e.kind() {
            Store::Fenced => ErrorKind::Fenced,
            Store::Unavailable => ErrorKind::Unavailable,
            _ => ErrorKind::Corrupt,
        };
        (kind, format!("claim: {e}"))
    })
}

/// Stands by until it is this process's turn, and claims; nothing if it was told to stop before.
async fn stand_by(
    process: &Arc<Process>,
    with: ha::With,
    how: (Option<Arc<DataKeys>>, Sabotage),
    mut shutdown: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<(Writer, (Kept, Leadership))>, (ErrorKind, String)> {
    let (parts, journal) = (with.parts.clone(), with.journal.clone());
    let (tell, role) = watch::channel(None::<ha::Role>);
    let terms = ha::Terms {
        namespace: "kube-system".to_owned(),
        name: "hindcast-simulated".to_owned(),
        identity: process.name.clone(),
    };
    let mut member = ha::Member::join(&terms, with, tell).map_err(|e| (e.kind(), e.to_string()))?;
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => {
                member.leave().await;
                return Ok(None);
            }
            elected = member.elected() => elected.map_err(|e| (e.kind(), e.to_string()))?,
        }
        member.claims();
        match parts.timeout(Duration::from_secs(30), claim(process, &journal, how.clone())).await {
            Some(Ok(writer)) => {
                if role.borrow().as_ref().is_some_and(|role| role.reach.is_some()) {
                    process.world().fired(Fault::Takeover);
                }
                return Ok(Some((writer, member.lead())));
            }
            None | Some(Err((ErrorKind::Unavailable, _))) => member.step_back().await,
            Some(Err(error)) => {
                member.leave().await;
                return Err(error);
            }
        }
    }
}

/// Writes checkpoints behind the watcher as they fall due, as the process of the command line does. Never ends:
/// whatever becomes of it, protection goes on.
async fn checkpoints(
    policy: Option<Policy>,
    journal: Journal,
    handle: Handle,
    (writer, epoch): (String, u64),
) -> Infallible {
    let Some(policy) = policy else { return std::future::pending().await };
    let (durable, commits) = handle.commits();
    let bring = async {
        commits.await;
        std::future::pending().await
    };
    let parts = compactor::Parts {
        journal,
        durable,
        writer: writer.into(),
        epoch,
        metrics: compactor::Metrics::default(),
        expire: watch::channel(None).1,
    };
    let work = async {
        Box::pin(compactor::run(policy, parts, std::future::pending())).await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        never = bring => never,
        never = work => never,
    }
}
