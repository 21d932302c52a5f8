//! The way to talk to a running watcher: close a cut, read its status, learn what is durable.
//!
//! [`channel`] makes the two ends. The [`Handle`] is cloned for whoever asks; the [`Commands`] go into
//! [`crate::Parts`]. Nothing here blocks the watcher: status and durable frontier are published values.

use std::{collections::BTreeMap, sync::Arc};

use hindcast_journal::{Position, parts::Micros, row::Revision, segment::FrontierVector, writer::Durable};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Error, Result};

/// What a kind's stream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Phase {
    /// Not yet asked for.
    Starting,
    /// The first list is being read.
    Listing,
    /// Its watch is open.
    Watching,
    /// Its watch is broken and about to be resumed.
    Resuming,
    /// Missing versions are being recovered.
    Healing,
    /// Not protected; the reason is in `detail`.
    Unprotected,
}

/// The state of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KindStatus {
    /// What its stream is doing.
    pub phase: Phase,
    /// Whether the journal covers it.
    pub covered: bool,
    /// Its revision domain.
    pub domain: String,
    /// How far it has been seen.
    pub cursor: Revision,
    /// Living objects.
    pub objects: usize,
    /// Why it is not protected, or what its stream last failed with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What comparing every kind with the cluster's own list has told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// How often it was done.
    pub rounds: u64,
    /// When the newest was begun; 0 for none yet.
    pub time: Micros,
    /// Kinds that agreed in it.
    pub kinds: u64,
    /// Objects compared in it.
    pub objects: u64,
    /// Kinds that could not be compared in it, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unproven: BTreeMap<String, String>,
    /// Objects that the server had otherwise, since the start.
    pub differences: u64,
    /// The newest of these, in words, without the names of objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub newest: String,
}

/// The state of the watcher.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether every kind that can be protected is protected, and the store accepted the last segment.
    pub ready: bool,
    /// Why not, when it is not ready.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Kind key → the kind.
    pub kinds: BTreeMap<String, KindStatus>,
    /// Bytes of changes that wait for the store.
    pub buffered_bytes: usize,
    /// Seconds until changes would be lost if the store stayed away, while it does.
    pub seconds_until_loss: Option<u64>,
    /// The server's clock minus ours, in microseconds.
    pub clock_offset: Micros,
    /// Which clocks disagree, where some do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub clocks: String,
    /// Whether the cluster's own lists agree with what its watches told.
    pub proof: Proof,
}

/// What is durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DurableState {
    /// Number of the newest segment.
    pub segment: u64,
    /// Position of the newest row.
    pub last: Position,
    /// How far each domain is closed by it.
    pub frontier: FrontierVector,
    /// When it became so.
    pub time: Micros,
    /// The size of all segments that were committed since the start.
    pub bytes: u64,
    /// The newest demand for a segment that is met by it.
    pub(crate) demand: u64,
}

/// Who waits for a closed cut.
pub(crate) type Reply = oneshot::Sender<Result<FrontierVector>>;

pub(crate) enum Command {
    /// Close the cut of now.
    Close(Reply),
    /// The same, which answers knocks up to this one.
    Knock(u64, Reply),
}

/// Talks to a running watcher.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Arc<Status>>,
    durable: watch::Receiver<DurableState>,
}

/// The watcher's end of a [`Handle`].
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "one field is what comes in, the others what goes out")]
pub struct Commands {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) status: watch::Sender<Arc<Status>>,
    pub(crate) durable: watch::Sender<DurableState>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Close")
    }
}

/// Makes the two ends.
pub fn channel() -> (Handle, Commands) {
    let (command_tx, command_rx) = mpsc::channel(16);
    let (status_tx, status_rx) = watch::channel(Arc::new(Status::default()));
    let (durable_tx, durable_rx) = watch::channel(DurableState::default());
    (
        Handle { commands: command_tx, status: status_rx, durable: durable_rx },
        Commands { commands: command_rx, status: status_tx, durable: durable_tx },
    )
}

impl Handle {
    /// Closes the cut of now in every domain and returns the frontier once it is durable.
    pub async fn close(&self) -> Result<FrontierVector> {
        let gone = || Error::unavailable("close", "the watcher has stopped");
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Close(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// The state of the watcher.
    pub fn status(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    /// What is durable, and a way to wait for more.
    pub fn durable(&self) -> watch::Receiver<DurableState> {
        self.durable.clone()
    }

    /// What has become durable from now on, piece by piece, for whoever counts it. The future brings the pieces, and ends
    /// with the watcher.
    pub fn commits(&self) -> (watch::Receiver<Durable>, impl Future<Output = ()> + use<>) {
        let mut state = self.durable();
        let DurableState { segment, mut last, mut bytes, .. } = state.borrow().clone();
        let (tell, commits) = watch::channel(Durable { segment, last, ..Durable::default() });
        let bring = async move {
            while state.changed().await.is_ok() {
                let now = state.borrow_and_update().clone();
                let more = now.bytes.saturating_sub(bytes);
                tell.send_replace(Durable { segment: now.segment, first: last + 1, last: now.last, bytes: more });
                (last, bytes) = (now.last, now.bytes);
            }
        };
        (commits, bring)
    }
}
