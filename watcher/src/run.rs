//! The run: resume from the journal, discover what is served, keep a stream for every kind, until told to stop.
//!
//! **Invariants.** (1) What the journal knows is loaded before the first request: no kind is listed whose cursor
//! is still good. (2) Each kind has at most one stream. (3) A stop flushes what is buffered, within its bound of time.
//! Not here: what a stream does [`crate::stream`].

mod closings;
mod kinds;
mod resume;

use std::{future::Future, sync::Arc, time::Duration};

use hindcast_cluster::{Api, Connector, discovery::LEASES, gate::Gate};
use hindcast_journal::{Journal, Writer, cut::MAIN, encode::Encoder, knock::Knocks, seal::Key};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};

use self::{closings::Closings, kinds::Kinds};
use crate::{
    Commands, Error, Metrics, Result, Settings,
    access::Access,
    core::{Core, SharedCore},
    flush::{Bundling, Flusher, Sealing},
    ha::Kept,
    handle::{Command, DurableState},
    watchdog,
};

/// How often the status is published.
const TICK: Duration = Duration::from_secs(1);
/// Events about what is served are collected for this long before discovery is read.
const SETTLE: Duration = Duration::from_millis(200);

/// What a run is given.
pub struct Parts {
    /// Clock and randomness.
    pub parts: hindcast_journal::Parts,
    /// Makes clients of the cluster.
    pub connector: Arc<dyn Connector>,
    /// The cluster's journal.
    pub journal: Journal,
    /// Its writer, claimed.
    pub writer: Writer,
    /// Makes rows.
    pub encoder: Encoder,
    /// Where metrics go.
    pub metrics: Metrics,
    /// The watcher's end of a [`crate::Handle`].
    pub commands: Commands,
    /// What this process held while it stood by, if it did.
    pub kept: Option<Kept>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("journal", &self.journal).finish_non_exhaustive()
    }
}

/// Protects the cluster until `shutdown`, or until the journal is taken over.
pub async fn run(settings: Settings, parts: Parts, shutdown: impl Future<Output = ()> + Send) -> Result<()> {
    let Parts { parts, connector, journal, mut writer, encoder, metrics, commands, kept } = parts;
    let settings = Arc::new(settings);
    metrics.leader.set(1);
    let (hints_in, hints) = mpsc::unbounded_channel();
    let wake = Arc::new(Notify::new());
    let mut core = Core::new(parts.clone(), settings.clone(), metrics, encoder, hints_in, wake.clone());
    let mut shutdown = std::pin::pin!(shutdown);
    let forgotten = tokio::select! {
        biased;
        () = &mut shutdown => return Ok(()),
        resumed = resume::resume(&mut core, &journal, &writer, (&commands.status, kept.as_ref())) => resumed?,
    };
    writer.agree_on_time();
    let leases = core.kinds.get(LEASES).map_or_else(|| MAIN.to_owned(), |kind| kind.discovery.domain.clone());
    for lease in kept.iter().flat_map(Kept::leases) {
        core.past_leases(&leases, &[lease]);
    }
    let core = SharedCore::new(core);
    let api = Api::new(parts.clone(), connector, settings.streams_per_client, settings.request_timeout)?;
    let access = Arc::new(Access {
        api,
        core: core.clone(),
        parts: parts.clone(),
        opens: Gate::new(settings.openings),
        heals: Gate::new(settings.heal_calls),
        strays: Gate::new(settings.openings),
        late: std::sync::Mutex::default(),
        leases: tokio::sync::Mutex::default(),
        mute: crate::access::Turns::default(),
        placing: tokio::sync::Mutex::default(),
        confirmed: crate::access::Confirmed::default(),
        kept,
        settings: settings.clone(),
    });
    let Commands { commands, status, durable } = commands;
    durable.send_replace(DurableState {
        segment: writer.segment(),
        last: writer.last(),
        frontier: writer.frontier().clone(),
        time: parts.clock.now(),
        bytes: 0,
        demand: 0,
    });
    let (stop, stopped) = watch::channel(false);
    let sealing = Sealing::new(&journal, writer.keys().to_vec());
    let forgotten = (forgotten, writer.keys().to_vec());
    let knocks = (Knocks::of(&journal), writer.answered());
    let flusher = Flusher {
        core,
        parts: parts.clone(),
        writer,
        wake,
        durable: durable.clone(),
        bytes: 0,
        stop: stopped,
        broken: std::collections::BTreeSet::new(),
        probe_at: Duration::ZERO,
        sealing,
        bundling: Bundling::default(),
    };
    let mut flusher = tokio::spawn(flusher.run());
    let kinds = Kinds::new(access.clone(), hints);
    let main = Main { access, kinds, journal, commands, status, durable, knocks, forgotten };
    let outcome = tokio::select! {
        biased;
        ended = &mut flusher => return joined(ended),
        () = main.keep() => Ok(()),
        () = &mut shutdown => Ok(()),
    };
    // The streams have ended with `main`; what they handed over is still to be flushed.
    stop.send_replace(true);
    if let Some(ended) = parts.timeout(settings.stop_timeout, &mut flusher).await {
        joined(ended)?;
    } else {
        flusher.abort();
        tracing::warn!("stopped before the store had accepted everything; the rest is read again from the cursor");
    }
    outcome
}

fn joined(ended: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|e| Err(Error::internal("flusher", "ended unexpectedly").with_source(e)))
}

struct Main {
    access: Arc<Access>,
    kinds: Kinds,
    journal: Journal,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<Arc<crate::Status>>,
    durable: watch::Sender<DurableState>,
    /// Where readers knock, and the newest that is answered.
    knocks: (Knocks, u64),
    /// The newest statement of what is forgotten that is known, and the keys at hand.
    forgotten: (u64, Vec<Arc<Key>>),
}

impl Main {
    /// Keeps every kind under protection and answers commands; ends only by being dropped.
    async fn keep(self) {
        let Self { access, kinds, journal, commands, status, durable, knocks, forgotten } = self;
        // Each is large: apart they do not weigh on the stack of whoever polls.
        let follow = Box::pin(protect(&access, kinds));
        let (knock, knocked) = mpsc::channel(1);
        let answer = Box::pin(answer(&access, (commands, knocked), status, durable));
        let knocks = Box::pin(crate::knock::answer(&access, &knocks.0, knocks.1, knock));
        let (rereads, proofs) = (crate::reread::keep(&access), crate::prove::keep(&access, &journal));
        let forgotten = crate::forgotten::keep(&access, &journal, forgotten);
        let rereads = futures::future::join3(rereads, proofs, forgotten);
        let (dogs, rereads) = (Box::pin(watchdog::watch(&access)), Box::pin(rereads));
        futures::future::join5(follow, answer, dogs, rereads, knocks).await;
    }
}

/// Starts the streams, then follows what is served.
async fn protect(access: &Access, mut kinds: Kinds) {
    let mut failures: u32 = 0;
    while let Err(failure) = kinds.start().await {
        failures += 1;
        if failures.is_power_of_two() {
            tracing::warn!(%failure, failures, "the API server does not answer; trying again");
        }
        access.sleep(access.backoff(failures)).await;
    }
    failures = 0;
    access.core.lock().started = true;
    let clock = access.parts.clock.clone();
    let mut discover_at = clock.monotonic() + access.settings.discovery_every;
    let mut probe_at = clock.monotonic();
    loop {
        let now = clock.monotonic();
        if now >= discover_at {
            discover_at = match kinds.discover().await {
                Ok(whole) => {
                    if failures > 0 {
                        tracing::info!(failures, "discovery works again");
                    }
                    failures = 0;
                    // A definition is established but not yet served, or a kind is missing and may come back.
                    now + if whole { access.settings.discovery_every } else { SETTLE }
                }
                Err(failure) => {
                    failures += 1;
                    if failures.is_power_of_two() {
                        tracing::warn!(%failure, failures, "discovery failed; what is known stays");
                    }
                    now + access.backoff(4)
                }
            };
        }
        if now >= probe_at {
            probe_at = now + kinds.probe().await;
        }
        kinds.mend();
        let wait = TICK.min(discover_at.saturating_sub(clock.monotonic()));
        tokio::select! {
            biased;
            Some(hint) = kinds.hints.recv() => {
                kinds.take_hint(hint);
                discover_at = discover_at.min(clock.monotonic() + SETTLE);
            }
            () = clock.sleep(wait) => {}
        }
    }
}

/// Publishes the status and closes cuts when asked to.
async fn answer(
    access: &Arc<Access>,
    (mut commands, mut knocked): (mpsc::Receiver<Command>, mpsc::Receiver<Command>),
    status: watch::Sender<Arc<crate::Status>>,
    durable: watch::Sender<DurableState>,
) {
    let clock = access.parts.clock.clone();
    let mut asked = Closings::default();
    let mut closing = JoinSet::new();
    loop {
        let now = {
            let mut core = access.core.lock();
            core.tell_of_losses();
            if let Some(kept) = &access.kept {
                let now = clock.monotonic();
                kept.tidy(now, core.started);
                if let Some(since) = core.store_down {
                    kept.without_store(since, now);
                }
                if kept.is_challenged(now) {
                    core.demand();
                }
            }
            core.status()
        };
        status.send_replace(Arc::new(now));
        if closing.is_empty()
            && let Some(begun) = asked.begin(clock.monotonic())
        {
            let (access, durable) = (access.clone(), durable.subscribe());
            let knock = begun.knock;
            closing.spawn(async move { begun.answer(&crate::close::close(access, durable, knock).await) });
        }
        let wait = if closing.is_empty() { asked.wait(clock.monotonic()) } else { None };
        tokio::select! {
            biased;
            Some(command) = commands.recv() => asked.take(command),
            Some(command) = knocked.recv() => asked.take(command),
            Some(_) = closing.join_next(), if !closing.is_empty() => {}
            () = access.sleep(wait.map_or(TICK, |wait| wait.min(TICK))) => {}
        }
    }
}
