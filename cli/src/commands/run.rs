//! `hindcast run`: protect the cluster of the current context.
//!
//! Composes the process: store, key, fenced writer, watcher, checkpoints, and the address to ask it at. What each does
//! is theirs; here is only the order in which they begin and end.
//!
//! **Invariants.** (1) What can be refused is refused before the journal is claimed: a port in use or a missing key
//! must not fence a healthy process. (2) A store that is away or busy ends no start [`Start::ride`]: what is waited for
//! stands in `/readyz`, which is served from the first moment; what needs a hand does end it, with the remedy. (3) A stop
//! flushes: the watcher ends first, then what reads behind it. (4) A fenced process ends with 4, so that its supervisor can
//! leave it down, or start it again where there are several. (5) With --ha nothing is written before it is this process's turn
//! [`ha::claim`], and the next one's has come as soon as everything is durable. (6) What an object of the cluster says is taken by the same
//! names as what the command line says [`crate::settings`], before anything else is done with either.

mod anew;
mod ha;
mod keys;
mod operator;
pub(super) mod signals;
pub(super) mod start;
mod steward;
pub(super) mod told;

use std::{sync::Arc, time::Duration};

use hindcast_cluster::{Connector, NoClient};
use hindcast_compactor as compactor;
use hindcast_journal::{
    Journal, Writer,
    encode::Encoder,
    seal::{DataKeys, Rules, Secrets},
};
use hindcast_operator::{Parts as Reconciler, Settings as Reconciling, journals};
use hindcast_watcher::{self as watcher, Handle, Metrics, Settings, ha::With};
use prometheus::Registry;
use tokio::{sync::watch, task::JoinSet};

use self::{
    ha::Claimed,
    keys::{prove, secrets},
    signals::{Stop, ended, signalled},
    start::{Start, identity, mark},
    steward::{Leads, Own, Tells},
};
use crate::{
    args::Run,
    context::Context,
    failure::{Exit, Failure, Result},
    fanouts, kubeconfig, listen, locations, logging, movers, past, plugins,
    store::Access,
};

/// Runs until stopped, fenced or broken.
pub(super) async fn run(context: &Context<'_>, args: &Run) -> Result<Exit> {
    logging::for_run(args.log_format, context.common.verbose, !context.common.no_color);
    // It is large: apart it does not weigh on the stack of every other verb.
    match Box::pin(once(context, args)).await? {
        Stop::Told(exit) => Ok(exit),
        Stop::Anew => anew::begin(),
    }
}

async fn once(context: &Context<'_>, args: &Run) -> Result<Stop> {
    let listener = listen::bind(args.listen).await?;
    let registry = Registry::new();
    let metrics = Metrics::new(&registry);
    let compacting = compactor::Metrics::new(&registry);
    let (handle, commands) = watcher::channel();
    let (stop, stopped) = watch::channel(false);
    let (mut start, stage) = Start::new(&context.parts);
    let published = registry.clone();
    let (tell, role) = watch::channel(None);
    let served = listen::Served { registry, handle: handle.clone(), stage, role, names: args.listen_name.clone() };
    let served = tokio::spawn(listen::serve(listener, served, ended(stopped.clone())));
    start.waits_for("the API server");
    let reach = kubeconfig::reach(context, kubeconfig::interaction())?;
    reach.log_in().await?;
    if let Some(proxy) = reach.proxy() {
        tracing::info!(server = reach.server(), proxy, "the API server is reached through a proxy");
    }
    let client = reach.connect()?;
    let uid = kubeconfig::cluster_uid(&client, &reach).await?;
    // Connections of its own: what is done for recovery points and restores never stands in the way of what is watched.
    let own = reach.connect()?;
    let connector = Arc::new(Clients(reach));
    let said = (context, args);
    let object = steward::named(args, &own)?;
    let read = match &object {
        Some(object) => Some(steward::read(context, args, object, &start).await?),
        None => None,
    };
    let taken = read.as_ref().map(|read| (context.by(read), &read.run));
    let (context, args) = taken.as_ref().map_or(said, |(context, args)| (context, *args));
    let wanted = context.common.cluster.as_deref();
    if let Some(wanted) = wanted.filter(|wanted| !uid.starts_with(wanted)) {
        return Err(Failure::new(format!("--cluster {wanted}"), format!("the context's cluster is {uid}"))
            .hint("--context NAME chooses another cluster"));
    }
    let drivers = plugins::later(context, &args.plugins)?;
    let targets = fanouts::read(context, &args.fanouts)?;
    let location = past::locate(context, Access::Write)?;
    let (secrets, keys) = secrets(context, args)?;
    let (expire, expires) = watch::channel(steward::expiring(args, keys.first())?);
    let (anew, mut begins) = watch::channel(None);
    let steward = object.as_ref().zip(read.as_ref()).map(|(object, read)| {
        Own::new(said, (object, &uid), (read, keys.first()), Tells { expire, anew: anew.clone() })
    });
    let teller = told::key(&args.proving, &keys)?.map(|key| (key, own.clone()));
    let rules = Rules::parse(&args.seal).map_err(Failure::from)?;
    if matches!(secrets, Secrets::Dropped) && !rules.is_empty() {
        return Err(
            Failure::new("--seal", "needs a key to seal with").hint("--key-file FILE; `hindcast key init` makes one")
        );
    }
    let journal = Journal::open(location.store.clone(), &location.prefix, &uid, context.parts.clone());
    let (movers, files) = (movers::at_hand(context, &uid)?, movers::drivers(context, &own, &journal)?);
    locations::check(&context.common.volume_location)?;
    start.ride("trying out the store", async || journal.store().probe().await).await?;
    let mut identity = identity(&context.parts);
    let terms = args.ha.ha.then(|| ha::terms(&args.ha, &location.url, &journal, &identity));
    if let Some(terms) = &terms {
        // All of them are started by whoever gave them one Lease: taking turns is no fight.
        identity.instance = format!("lease/{}/{}", terms.namespace, terms.name);
    }
    let (name, holder) = (identity.writer.clone(), fanouts::holder(identity.clone()));
    let opens = keys.clone();
    let keys = (!keys.is_empty()).then(|| Arc::new(DataKeys::new(&uid, keys, context.parts.clone())));
    prove(context, args, &mut start, &journal, keys.as_deref()).await?;
    let encoder =
        Encoder::new(secrets.clone()).with_keys(keys.as_deref().map_or(&[], DataKeys::keys)).with_rules(rules.clone());
    let claim = async || Writer::claim(&journal, identity.clone(), keys.clone()).await;
    let settings = Settings {
        linger: args.linger(),
        exclude: args.exclude.clone(),
        include: args.include.clone(),
        only: args.only.clone(),
        prove_every: args.prove_every().into(),
        ..Settings::default()
    };
    let with = || With {
        settings: settings.clone(),
        parts: context.parts.clone(),
        connector: connector.clone(),
        journal: journal.clone(),
        metrics: metrics.clone(),
    };
    let member = ha::join(terms.as_ref(), with, tell)?;
    let mut stopping = std::pin::pin!(async {
        tokio::select! {
            exit = signalled() => Stop::Told(exit),
            // Whoever could say so is here until the end.
            _ = begins.wait_for(Option::is_some) => Stop::Anew,
        }
    });
    let watching = metrics.clone();
    let protecting = async {
        let (mut writer, (kept, mut leadership)) =
            match ha::claim(member, (&context.parts, &mut start), claim, stopping.as_mut()).await? {
                Claimed::Leads(writer, before) => (*writer, before.unzip()),
                Claimed::Stopped(stop) => return Ok(stop),
            };
        let leading = async {
            let steps = async {
                start.ride("writing down what is sealed", async || rules.write(&journal).await).await?;
                mark(&mut start, &mut writer, &name, &secrets).await
            };
            if let Some(stop) = ha::begin(&context.parts, leadership.as_ref(), steps, stopping.as_mut()).await? {
                return Ok(stop);
            }
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
                kept,
            };
            start.done();
            if let Some(steward) = &steward {
                let (journal, store, compacting) = (journal.clone(), location.url.clone(), compacting.clone());
                steward.leads(Leads { journal, store, handle: handle.clone(), watching: watching.clone(), compacting });
            }
            let reconciling = {
                let namespace = args.resources_namespace().to_owned();
                let settings = Reconciling { namespace, wait: context.common.wait };
                let closer = Arc::new(operator::Own(handle.clone()));
                // Disks of a cloud that does not answer now are no reason not to protect.
                let mut drivers = drivers;
                drivers.extend(tokio::select! {
                    biased;
                    stop = stopping.as_mut() => return Ok(stop),
                    reachable = locations::reachable(&context.common.volume_location, &context.parts) => reachable,
                });
                drivers.extend(files);
                let opener = Arc::new(locations::Clouds {
                    said: context.common.volume_location.clone(),
                    parts: context.parts.clone(),
                });
                let parts =
                    Reconciler { client: own, journal: journal.clone(), keys: opens, closer, drivers, opener, movers };
                operator::reconcile(settings, parts, stopped.clone())
            };
            let (news, bring) = handle.commits();
            let mut publishing = targets.spawn(&journal, &published, &holder, &news, &stopped);
            publishing.spawn(bring);
            if let Some(teller) = teller {
                publishing.spawn(told::keep(teller, (journal.clone(), location.url.clone()), stopped.clone()));
            }
            let (keep, table) = (args.keep_raw().into(), !args.raw.no_delta_table);
            let policy = compactor::Policy { keep, table, ..compactor::Policy::default() };
            let of = (journal.clone(), name, epoch);
            let behind = tokio::spawn(compact((policy, expires), of, compacting, handle.clone(), stopped));
            let reconciling = tokio::spawn(reconciling);
            let mut stop_for = Stop::Told(Exit::Done);
            let outcome = watcher::run(settings, parts, async { stop_for = stopping.await }).await;
            stop.send_replace(true);
            if let Some(leadership) = leadership.take() {
                leadership.end().await;
            }
            // What they might still fail at changes nothing that is durable.
            let _ = tokio::join!(served, behind, reconciling, last(publishing));
            let durable = handle.durable().borrow().clone();
            tracing::info!(segment = durable.segment, position = durable.last, "stopped");
            outcome?;
            if stop_for == Stop::Told(Exit::Interrupted) {
                context.printer.note(format!("interrupted: durable up to position {}", durable.last));
            }
            Ok(stop_for)
        };
        let outcome: Result<Stop> = leading.await;
        if let Some(leadership) = leadership {
            leadership.end().await;
        }
        if terms.is_some() { outcome.map_err(ha::ended) } else { outcome }
    };
    let Some((object, steward)) = object.as_ref().zip(steward.as_ref()) else { return protecting.await };
    let followed = journals::follow(object, steward, context.parts.clock.clone());
    let ended = tokio::select! {
        biased;
        ended = protecting => ended,
        never = followed => match never {},
    };
    // Where several run another one tells how it is from now on, and so does whoever took the journal over.
    if terms.is_none() {
        steward::tell_end(object, &ended, &context.parts).await;
    }
    ended
}

/// How long fan-outs may take to end.
const LAST_EVENTS: Duration = Duration::from_secs(10);

/// Waits for fan-outs, but not for a broker or a store that is away.
async fn last(mut publishing: JoinSet<()>) {
    let ended = async { while publishing.join_next().await.is_some() {} };
    #[expect(clippy::disallowed_methods, reason = "cli composes the real clock")]
    let late = tokio::time::sleep(LAST_EVENTS);
    tokio::select! {
        () = ended => {}
        () = late => {}
    }
}

/// Clients of one kubeconfig, each with connections of its own.
struct Clients(kubeconfig::Reach);

impl Connector for Clients {
    fn connect(&self) -> Result<kube::Client, NoClient> {
        self.0.connect().map_err(|e| NoClient { what: e.what, reason: e.reason })
    }
}

/// Writes checkpoints, merges segments and thins the past out behind the watcher.
async fn compact(
    (policy, expire): (compactor::Policy, watch::Receiver<Option<compactor::expire::Settings>>),
    (journal, name, epoch): (Journal, String, u64),
    metrics: compactor::Metrics,
    handle: Handle,
    stopped: watch::Receiver<bool>,
) {
    let (durable, bring) = handle.commits();
    let parts = compactor::Parts { journal, durable, writer: name.into(), epoch, metrics, expire };
    let work = compactor::run(policy, parts, ended(stopped));
    tokio::pin!(work);
    tokio::select! {
        () = &mut work => {}
        () = bring => work.await,
    }
}
