//! `run --settings-from`: a `Journal` of the cluster says what the command line does not, and is followed while `run` runs.
//!
//! **Invariants.** (1) Before the process ends for what an object says, that was tried out [`Steward::try_out`]: what nobody could begin with
//! ends no protection. (2) Of what cannot be meant nothing is taken up but what is right about retention, and retention is what was said last that can be
//! meant [`Steward::take`]. (3) What is taken up by beginning anew is read again then, so that no change in between is missed.
//!
//! Not here: how the object is followed and told of (`hindcast_operator::journals`), what its fields mean ([`crate::settings`]).

use std::{cell::RefCell, sync::Arc, time::Duration};

use hindcast_compactor::{self as compactor, expire};
use hindcast_journal::{
    Error, Journal, Parts,
    error::ErrorKind,
    parts::Micros,
    seal::{DataKeys, Key},
};
use hindcast_operator::{
    api::{Journal as Object, JournalSpec},
    journals::{Named, Report, Secrets, Steward, Taken},
};
use hindcast_watcher::{Handle, Metrics};
use tokio::sync::watch;

use super::{keys, signals::Stop, start::Start};
use crate::{
    args::{Common, Run},
    commands::expire::policy,
    context::Context,
    failure::{Exit, Failure, Result},
    listen, movers, past,
    settings::{Said, Settings, kept},
    store::Access,
};

/// How often an object that is not there is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long the last that is told may take.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long a store may take to answer that is tried out.
const TRIAL: Duration = Duration::from_secs(30);

/// The object that a command line names, and that is to be asked for with this client.
pub(super) fn named(run: &Run, client: &kube::Client) -> Result<Option<Named>> {
    let Some(text) = &run.settings_from else { return Ok(None) };
    let (namespace, name) = text.split_once('/').unwrap_or((run.resources_namespace(), text));
    let plain = |name: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        !name.is_empty() && name.chars().all(inner) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    if !plain(namespace) || !plain(name) {
        return Err(Failure::new(format!("--settings-from {text}"), "does not name an object of the cluster")
            .hint("give [NAMESPACE/]NAME of a Journal (hindcast.dev): --settings-from hindcast/main"));
    }
    Ok(Some(Named { client: client.clone(), namespace: namespace.to_owned(), name: name.to_owned() }))
}

/// What it says, as soon as it and the Secrets that it names are there; the settings that come of it.
pub(super) async fn read(context: &Context<'_>, run: &Run, named: &Named, start: &Start) -> Result<Settings> {
    let (object, secrets) = wait(&context.parts, named, start).await?;
    let said = Said { object: &format!("{named:?}"), spec: &object.spec, secrets: &secrets };
    let base = based(run, named);
    match Settings::of((context.common, &base), &said, None) {
        Ok((settings, faults)) => {
            for fault in faults {
                tracing::warn!("{named:?}: {fault}: it counts as not said, and nothing is removed by it");
            }
            Ok(settings)
        }
        Err(failure) => {
            // Of several processes one may protect by what it took before, and tells of the object.
            if !run.ha.ha {
                named.refuse(&object, &told(&failure), context.parts.clock.now()).await;
            }
            Err(Failure { what: format!("{named:?}: {}", failure.what), ..failure })
        }
    }
}

async fn wait(parts: &Parts, named: &Named, start: &Start) -> Result<(Object, Secrets)> {
    let mut said = String::new();
    loop {
        let why = match named.read().await {
            Ok(Some(object)) => match named.secrets(&object.spec).await {
                Ok(secrets) => return Ok((object, secrets)),
                // It may be applied a moment later.
                Err(error) if error.kind() == ErrorKind::NotFound || error.kind().may_pass() => error.told(),
                Err(error) => return Err(error.into()),
            },
            Ok(None) => format!(
                "{named:?}, which is not there; deploy/crds and deploy/journal.yaml have its kind and one of it"
            ),
            Err(error) => error.told(),
        };
        if said != why {
            tracing::warn!("waiting for {why}");
            start.waits_for(&why);
            said = why;
        }
        parts.clock.sleep(LOOK_EVERY).await;
    }
}

/// What the command line says; recovery points and schedules are where the object is, if nothing else was said.
fn based(run: &Run, named: &Named) -> Run {
    let namespace = run.resources_namespace.clone().unwrap_or_else(|| named.namespace.clone());
    Run { resources_namespace: Some(namespace), ..run.clone() }
}

/// How the past is thinned out by these settings.
pub(super) fn expiring(run: &Run, key: Option<&Arc<Key>>) -> Result<Option<expire::Settings>> {
    let delete = !run.keeping.no_delete;
    let by = |retention| expire::Settings { retention, key: key.cloned(), delete };
    Ok(policy(&run.keeping)?.map(by))
}

/// A failure in a sentence, with what helps.
fn told(failure: &Failure) -> String {
    let hints = failure.hints.join("; ");
    if hints.is_empty() { failure.to_string() } else { format!("{failure} ({hints})") }
}

/// Says in the status of the object that the process which told of it is no more, and why.
pub(super) async fn tell_end(named: &Named, ended: &Result<Stop>, parts: &Parts) {
    let why = match ended {
        Ok(Stop::Anew) => return,
        Ok(Stop::Told(_)) => "`hindcast run` was stopped: nothing is protected until it is started".to_owned(),
        Err(failure) if failure.exit == Exit::Fenced => return,
        Err(failure) => format!("`hindcast run` ended: {}", told(failure)),
    };
    // Whoever stops it does not wait for an API server that is away.
    let _ = parts.timeout(LAST_WORDS, named.stopped(&why, parts.clock.now())).await;
}

/// Follows an object for a process.
pub(super) struct Own<'a> {
    /// What the command line says.
    context: &'a Context<'a>,
    base: Run,
    object: String,
    cluster: String,
    key: Option<Arc<Key>>,
    /// What is in force.
    now: RefCell<Settings>,
    /// What was taken up whole last.
    whole: RefCell<Option<(JournalSpec, Secrets, String)>>,
    expire: watch::Sender<Option<expire::Settings>>,
    anew: watch::Sender<Option<String>>,
    leads: RefCell<Option<Leads>>,
}

/// What a process has that writes the journal.
pub(super) struct Leads {
    /// The journal.
    pub(super) journal: Journal,
    /// Where it is, as it is printed.
    pub(super) store: String,
    /// What protects.
    pub(super) handle: Handle,
    /// What it counts.
    pub(super) watching: Metrics,
    /// What is done behind it.
    pub(super) compacting: compactor::Metrics,
}

/// What it tells, and whom.
pub(super) struct Tells {
    /// How the past is thinned out from now on.
    pub(super) expire: watch::Sender<Option<expire::Settings>>,
    /// That the process is to end and begin anew, and for what.
    pub(super) anew: watch::Sender<Option<String>>,
}

impl<'a> Own<'a> {
    /// Of a process that began with these settings, of which `context` and `run` are what the command line said.
    pub(super) fn new(
        (context, run): (&'a Context<'a>, &Run),
        (named, cluster): (&Named, &str),
        (settings, key): (&Settings, Option<&Arc<Key>>),
        Tells { expire, anew }: Tells,
    ) -> Self {
        Self {
            context,
            base: based(run, named),
            object: format!("{named:?}"),
            cluster: cluster.to_owned(),
            key: key.cloned(),
            now: RefCell::new(settings.clone()),
            whole: RefCell::default(),
            expire,
            anew,
            leads: RefCell::default(),
        }
    }

    /// This process writes the journal from now on.
    pub(super) fn leads(&self, leads: Leads) {
        self.leads.replace(Some(leads));
    }

    fn base(&self) -> (&Common, &Run) {
        (self.context.common, &self.base)
    }

    /// Takes up how long the past is kept.
    fn keep(&self, new: &Settings) -> Result<()> {
        let of = |run: &Run| (run.keeping.retention.clone(), run.keeping.no_delete);
        if of(&self.now.borrow().run) == of(&new.run) {
            return Ok(());
        }
        self.expire.send_replace(expiring(&new.run, self.key.as_ref())?);
        self.now.borrow_mut().run.keeping = new.run.keeping.clone();
        tracing::info!(
            retention = self.retention(),
            removes = !new.run.keeping.no_delete,
            "{} says how long the past is kept",
            self.object
        );
        Ok(())
    }

    fn retention(&self) -> String {
        kept(self.expire.borrow().as_ref().map(|settings| &settings.retention))
    }

    /// Does what a start does before it claims the journal.
    async fn try_out(&self, new: &Settings) -> Result<()> {
        let (context, parts) = (self.context.by(new), &self.context.parts);
        let location = past::locate(&context, Access::Write)?;
        let journal = Journal::open(location.store.clone(), &location.prefix, &self.cluster, parts.clone());
        let late = || {
            let reason = format!("did not answer within {} s", TRIAL.as_secs());
            Error::new(ErrorKind::Unavailable, format!("journal {}", location.url), reason)
                .with_hint("see that it can be reached from where Hindcast runs")
        };
        let trial = async {
            journal.store().probe().await?;
            let held = new.held.keys()?.into_iter().flat_map(|file| file.keys).map(Arc::new).collect::<Vec<_>>();
            if !held.is_empty() {
                let held = DataKeys::new(&self.cluster, held, parts.clone());
                keys::opens(&held.prove(journal.store()).await?, new.run.new_key)?;
            }
            Ok::<(), Failure>(())
        };
        parts.timeout(TRIAL, trial).await.unwrap_or_else(|| Err(late().into()))?;
        if movers::at_hand(&context, &self.cluster)?.is_some() {
            movers::keys(&context, &self.cluster)?;
        }
        Ok(())
    }
}

impl Steward for Own<'_> {
    async fn take(&self, spec: &JournalSpec, secrets: Secrets) -> Taken {
        if let Some((of, with, message)) = &*self.whole.borrow()
            && (of, with) == (spec, &secrets)
        {
            return Taken::InForce(message.clone());
        }
        self.whole.replace(None);
        let before = self.now.borrow().clone();
        let said = Said { object: &self.object, spec, secrets: &secrets };
        let (new, faults) = match Settings::of(self.base(), &said, Some(&before)) {
            Ok(new) => new,
            Err(failure) => return Taken::Refused(told(&failure)),
        };
        if let Err(failure) = self.keep(&new) {
            return Taken::Refused(told(&failure));
        }
        if !faults.is_empty() {
            return Taken::Refused(faults.iter().map(told).collect::<Vec<_>>().join("; "));
        }
        let pending = new.differences(&before).join(", ");
        if pending.is_empty() {
            let message = match new.decided.is_empty() {
                true => "what it says is what is done".to_owned(),
                false => {
                    format!(
                        "what it says is what is done, but for what the command line says: {}",
                        new.decided.join(", ")
                    )
                }
            };
            self.whole.replace(Some((spec.clone(), secrets, message.clone())));
            return Taken::InForce(message);
        }
        if let Err(failure) = self.try_out(&new).await {
            return Taken::Refused(format!("{pending}: nobody could begin with that: {}", told(&failure)));
        }
        let what =
            format!("{pending} cannot be changed in a process that runs: it writes what it has, and begins anew");
        tracing::info!("{}: {what}", self.object);
        self.anew.send_replace(Some(what.clone()));
        Taken::Anew(what)
    }

    fn report(&self) -> Option<Report> {
        let leads = self.leads.borrow();
        let Leads { journal, store, handle, watching, compacting } = leads.as_ref()?;
        let (status, durable) = (handle.status(), handle.durable().borrow().clone());
        let micros = |seconds: i64| -> Micros { seconds.saturating_mul(1_000_000) };
        Some(Report {
            log: journal.clone(),
            store: store.clone(),
            ready: listen::protecting(handle),
            retention: self.retention(),
            position: durable.last,
            changes: watching.changes_beside("hindcast.dev/journals"),
            time: durable.frontier.values().map(|point| point.time).min(),
            merge: compacting.last_merge().map(micros),
            expiry: compacting.last_expiry().map(micros),
            proof: Some(status.proof.time).filter(|time| *time > 0),
        })
    }
}
