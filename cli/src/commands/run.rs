//! `hindcast run`: protect the cluster of the current context.
//!
//! Composes the process: store, key, fenced writer, watcher, checkpoints, and the address to ask it at. What each does
//! is theirs; here is only the order in which they begin and end.
//!
//! **Invariants.** (1) What can be refused is refused before the journal is claimed: a port in use or a missing key
//! must not fence a healthy process. (2) A store that is away or busy ends no start [`Start::ride`]: what is waited for
//! stands in `/readyz`, which is served from the first moment; what needs a hand does end it, with the remedy. (3) A stop
//! flushes: the watcher ends first, then what reads behind it. (4) A fenced process ends with 4, so that its supervisor can
//! leave it down.

use std::{sync::Arc, time::Duration};

use hindcast_cluster::{Connector, NoClient};
use hindcast_compactor as compactor;
use hindcast_journal::{
    Change, Durable, Encoder, Error, ErrorKind, Journal, Op, Outage, Parts, Secrets, Writer,
    cut::MAIN,
    facts::{self, Mark},
    seal::{self, DataKeys, Key, Rules},
    store::Patience,
    writer::Identity,
};
use hindcast_watcher::{self as watcher, Handle, Metrics, Settings};
use prometheus::Registry;
use tokio::sync::watch;

use crate::{
    args::Run,
    context::Context,
    failure::{Exit, Failure, Result},
    keyfile, kubeconfig, listen, logging, past,
    store::Access,
};

/// Runs until stopped, fenced or broken.
pub(super) async fn run(context: &Context<'_>, args: &Run) -> Result<Exit> {
    logging::for_run(args.log_format, context.common.verbose, !context.common.no_color);
    let listener = listen::bind(args.listen).await?;
    let registry = Registry::new();
    let metrics = Metrics::new(&registry);
    let (handle, commands) = watcher::channel();
    let (stop, stopped) = watch::channel(false);
    let (mut start, stage) = Start::new(&context.parts);
    let served = listen::Served { registry, handle: handle.clone(), stage, names: args.listen_name.clone() };
    let served = tokio::spawn(listen::serve(listener, served, ended(stopped.clone())));
    start.waits_for("the API server");
    let reach = kubeconfig::reach(context, kubeconfig::interaction())?;
    reach.log_in().await?;
    if let Some(proxy) = reach.proxy() {
        tracing::info!(server = reach.server(), proxy, "the API server is reached through a proxy");
    }
    let client = reach.connect()?;
    let uid = kubeconfig::cluster_uid(&client, &reach).await?;
    let connector = Arc::new(Clients(reach));
    let wanted = context.common.cluster.as_deref();
    if let Some(wanted) = wanted.filter(|wanted| !uid.starts_with(wanted)) {
        return Err(Failure::new(format!("--cluster {wanted}"), format!("the context's cluster is {uid}"))
            .hint("--context NAME chooses another cluster"));
    }
    let location = past::locate(context, Access::Write)?;
    let (secrets, keys) = secrets(context, args)?;
    let rules = Rules::parse(&args.seal).map_err(Failure::from)?;
    if matches!(secrets, Secrets::Dropped) && !rules.is_empty() {
        return Err(
            Failure::new("--seal", "needs a key to seal with").hint("--key-file FILE; `hindcast key init` makes one")
        );
    }
    let journal = Journal::open(location.store.clone(), &location.prefix, &uid, context.parts.clone());
    start.ride("trying out the store", async || journal.store().probe().await).await?;
    let identity = identity(&context.parts);
    let name = identity.writer.clone();
    let keys = (!keys.is_empty()).then(|| Arc::new(DataKeys::new(&uid, keys, context.parts.clone())));
    prove(context, args, &mut start, &journal, keys.as_deref()).await?;
    let encoder =
        Encoder::new(secrets.clone()).with_keys(keys.as_deref().map_or(&[], DataKeys::keys)).with_rules(rules.clone());
    let claim = async || Writer::claim(&journal, identity.clone(), keys.clone()).await;
    let mut writer = start.ride("claiming the journal", claim).await?;
    start.ride("writing down what is sealed", async || rules.write(&journal).await).await?;
    mark(&mut start, &mut writer, &name, &secrets).await?;
    let epoch = writer.epoch();
    tracing::info!(cluster = %uid, journal = %location.url, secrets = secrets.as_str(), epoch, "protecting");
    let parts = watcher::Parts {
        parts: context.parts.clone(),
        connector,
        journal: journal.clone(),
        writer,
        encoder,
        metrics,
        commands,
    };
    let settings = Settings {
        linger: args.linger,
        exclude: args.exclude.clone(),
        include: args.include.clone(),
        only: args.only.clone(),
        ..Settings::default()
    };
    start.done();
    let behind = tokio::spawn(checkpoints(journal, handle.clone(), (name, epoch), stopped));
    let mut exit = Exit::Done;
    let outcome = watcher::run(settings, parts, async { exit = signalled().await }).await;
    stop.send_replace(true);
    // Both only serve and read: what they might still fail at changes nothing that is durable.
    let _ = tokio::join!(served, behind);
    let durable = handle.durable().borrow().clone();
    tracing::info!(segment = durable.segment, position = durable.last, "stopped");
    outcome?;
    if exit == Exit::Interrupted {
        context.printer.note(format!("interrupted: durable up to position {}", durable.last));
    }
    Ok(exit)
}

/// How long a store may be out of reach that was never heard of: it may be the address that is wrong.
const FIRST_CONTACT: Duration = Duration::from_secs(15);

/// The start, as it is told of at `/readyz`.
struct Start {
    parts: Parts,
    stage: watch::Sender<Option<String>>,
    /// Whether the store has answered anything.
    answered: bool,
}

impl Start {
    fn new(parts: &Parts) -> (Self, watch::Receiver<Option<String>>) {
        let (stage, shown) = watch::channel(Some("starting".to_owned()));
        (Self { parts: parts.clone(), stage, answered: false }, shown)
    }

    fn waits_for(&self, what: &str) {
        self.stage.send_replace(Some(format!("waiting for {what}")));
    }

    fn done(&self) {
        self.stage.send_replace(None);
    }

    /// Takes a step, as often as it takes a store that is away or busy to answer.
    async fn ride<T>(&mut self, doing: &str, mut step: impl AsyncFnMut() -> Result<T, Error>) -> Result<T> {
        let mut patience = Patience::new(&self.parts);
        let mut failures: u32 = 0;
        let began = self.parts.clock.monotonic();
        self.waits_for(&format!("the store ({doing})"));
        loop {
            let error = match step().await {
                Ok(out) => {
                    self.answered = true;
                    return Ok(out);
                }
                Err(error) => error,
            };
            let reached = error.outage() != Outage::Unreached;
            let since = self.parts.clock.monotonic().saturating_sub(began);
            let rides = reached || self.answered || since < FIRST_CONTACT;
            if error.kind() != ErrorKind::Unavailable || !rides {
                return Err(error.into());
            }
            self.answered |= reached;
            failures += 1;
            let said = Error::causes(&error);
            if failures.is_power_of_two() {
                tracing::warn!(
                    error = said,
                    hint = error.hint(),
                    failures,
                    "{doing}: the store does not answer as it should; trying again"
                );
            }
            self.waits_for(&format!("the store ({doing}): {said}"));
            patience.failed().await;
        }
    }
}

/// Clients of one kubeconfig, each with connections of its own.
struct Clients(kubeconfig::Reach);

impl Connector for Clients {
    fn connect(&self) -> Result<kube::Client, NoClient> {
        self.0.connect().map_err(|e| NoClient { what: e.what, reason: e.reason })
    }
}

/// How Secret values are stored, and the keys for it.
fn secrets(context: &Context<'_>, args: &Run) -> Result<(Secrets, Vec<Arc<Key>>)> {
    let common = context.common;
    let file = match keyfile::path(common.key_file.as_deref(), common.journal.as_deref())? {
        Some(path) if common.key_file.is_some() => Some(keyfile::read_existing(&path)?),
        Some(path) => match keyfile::read(&path)? {
            Some(file) => Some(file),
            None if args.plaintext_secrets => None,
            None => {
                keyfile::add(&path, None, &context.parts)?;
                context.printer.note(format!(
                    "made the key file {}: keep a copy in a safe place, without it the Secret values of the journal \
                     cannot be read",
                    path.display()
                ));
                Some(keyfile::read_existing(&path)?)
            }
        },
        None => None,
    };
    let keys: Vec<Arc<Key>> = file.into_iter().flat_map(|file| file.keys).map(Arc::new).collect();
    let first = keys.first().cloned();
    if args.plaintext_secrets {
        context.printer.warning("Secret values are stored in clear: whoever reads the journal reads them");
        return Ok((Secrets::Plaintext(first), keys));
    }
    let Some(key) = first else {
        context.printer.warning("Secrets not restorable: no key. Their values are not stored; give --key-file FILE");
        return Ok((Secrets::Dropped, keys));
    };
    Ok((Secrets::Sealed(key), keys))
}

/// Proves the keys against what the journal holds. With another file nothing older could be read, and every change of a
/// Secret would look like one of all its values.
async fn prove(
    context: &Context<'_>,
    args: &Run,
    start: &mut Start,
    journal: &Journal,
    keys: Option<&DataKeys>,
) -> Result<()> {
    let Some(keys) = keys else { return Ok(()) };
    let proof = start.ride("trying out the key", async || keys.prove(journal.store()).await).await?;
    let seal::Proof { opened, missing } = proof;
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(", ");
    if opened.is_empty() && !args.new_key {
        return Err(Failure::new(
            "the key file",
            format!("holds none of the keys that this journal's values are sealed with ({names})"),
        )
        .hint("give the journal's own key file; `hindcast key init --key-file FILE` adds a new key to it")
        .hint("if it is lost, --new-key goes on with this one: what is sealed so far stays unreadable"));
    }
    context.printer.warning(format!(
        "values sealed with {names} cannot be read or restored with this key file: it does not hold {}",
        if missing.len() == 1 { "that key" } else { "those keys" }
    ));
    Ok(())
}

/// Who writes. The instance is what a supervisor restarts: the same host and parent process.
fn identity(parts: &Parts) -> Identity {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| std::env::var_os("HOSTNAME").map(|name| name.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "host".to_owned());
    #[cfg(unix)]
    let parent = std::os::unix::process::parent_id();
    #[cfg(not(unix))]
    let parent = 0;
    Identity {
        writer: format!("{host}/{}/{:08x}", std::process::id(), parts.random.next_u64() as u32),
        instance: format!("{host}/{parent}"),
    }
}

/// Writes down who begins and how Secret values are stored, so that every reader can tell.
async fn mark(start: &mut Start, writer: &mut Writer, name: &str, secrets: &Secrets) -> Result<()> {
    let frontier = writer.frontier().clone();
    let (incarnation, rv) = frontier.get(MAIN).map_or((0, 0), |p| (p.incarnation, p.rv));
    let begins = Mark::Start {
        writer: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        server: String::new(),
        secrets: secrets.as_str().to_owned(),
    };
    let now = start.parts.clock.now();
    let change = Change {
        body: facts::body(&begins)?,
        time_lo: now,
        time_hi: now,
        ..Change::new(Op::Mark, MAIN, incarnation, rv)
    };
    writer.stage(vec![change], frontier).await?;
    start.ride("writing down who begins", async || writer.commit().await).await?;
    Ok(())
}

/// Writes checkpoints behind the watcher.
async fn checkpoints(journal: Journal, handle: Handle, (name, epoch): (String, u64), stopped: watch::Receiver<bool>) {
    let mut state = handle.durable();
    let first = state.borrow().clone();
    let (tell, durable) = watch::channel(Durable { segment: first.segment, last: first.last, ..Durable::default() });
    let bridge = async move {
        let (mut last, mut bytes) = (first.last, first.bytes);
        while state.changed().await.is_ok() {
            let now = state.borrow_and_update().clone();
            let more = now.bytes.saturating_sub(bytes);
            tell.send_replace(Durable { segment: now.segment, first: last + 1, last: now.last, bytes: more });
            (last, bytes) = (now.last, now.bytes);
        }
    };
    let parts = compactor::Parts { journal: journal.clone(), durable, writer: name.as_str().into(), epoch };
    let work = compactor::run(compactor::Policy::default(), parts, ended(stopped));
    tokio::pin!(work);
    tokio::select! {
        () = &mut work => {}
        () = bridge => work.await,
    }
}

/// Until the process is told to stop.
async fn ended(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Waits for a signal; a second one ends the process at once.
async fn signalled() -> Exit {
    let exit = signal().await;
    tracing::info!("stopping: writing what is buffered; again to stop at once");
    tokio::spawn(async {
        signal().await;
        #[expect(clippy::exit, reason = "the user asked twice; what is not durable is read again from the cursor")]
        std::process::exit(i32::from(Exit::Interrupted.code()));
    });
    exit
}

#[cfg(unix)]
async fn signal() -> Exit {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::warn!("signals cannot be taken: stop this process by killing it");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => Exit::Interrupted,
        _ = terminate.recv() => Exit::Done,
    }
}

#[cfg(not(unix))]
async fn signal() -> Exit {
    let _ = tokio::signal::ctrl_c().await;
    Exit::Interrupted
}
