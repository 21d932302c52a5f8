//! A restore from the question to what became of it; whoever restores calls this: a command line, a controller, a UI.
//!
//! 1. [`Session::open`]: a client whose cluster is the journal's own.
//! 2. [`Session::plan`], for an undo [`Session::undo`]: what would be done, with its reservations; nothing is written.
//!    [`Session::check`] asks the server what it would say, [`Prepared::confine`] holds the plan to one that was kept.
//! 3. [`Session::begin`], for one that was interrupted [`Session::resume`]: a [`Restore`] with its record in the
//!    bucket. [`Restore::apply`] carries it out.
//!
//! **Invariants.** (1) Nothing is read of a cluster, let alone written, that is not the journal's own: whatever comes into a
//! session (a timeline, a record, a plan, an answer of the server) is held against it. (2) What is
//! planned with is what the journal knows of now: changes that are on their way into the bucket are given a moment to
//! arrive, and what only the cluster told is no evidence. (3) Only [`Restore::apply`] writes to the cluster.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use hindcast_cluster::identity;
use hindcast_journal::{
    Error, Parts, Past, Result,
    cut::{At, Cut, MAIN},
    facts::{Discovery, Gap},
    fold::{ObjectKey, Scope},
    parts::Micros,
    store::Store,
};
use kube::Client;
use tokio::sync::watch;

use crate::{
    Bypassed, Desired, Known, Live, Record, Records, Selection, Timeline, View,
    apply::{self, Check, Listener, Outcome, Settings},
    filling::{self, Movers},
    live::{self, Listed},
    message::Note,
    plan::{Nowhere, Plan, Prepared, nowhere, prepare},
    selection::Widen,
};

pub mod prove;
#[cfg(test)]
mod tests;

/// The cluster whose past is put back, through a client that was found to reach it.
#[derive(Clone)]
pub struct Session {
    /// Who reads and writes what a restore is about.
    client: Client,
    /// Who asks which cluster it is, and brings the journal to where it stands: the same, unless a restore is another account's.
    asks: Client,
    /// Which cluster it is, of which alone anything is read or written.
    cluster: String,
    parts: Parts,
    wait: Duration,
    movers: Option<Arc<Movers>>,
}

/// Why there is no session.
#[derive(Debug)]
pub enum Unopened {
    /// The server did not say which cluster it is.
    Refused(kube::Error),
    /// What answers says of itself no cluster.
    Nameless,
    /// It did not answer in this time.
    Silent(Duration),
    /// It is another cluster than the journal's.
    Another {
        /// Which it is.
        found: String,
        /// Which the journal is of.
        wanted: String,
    },
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "namespace kube-system cannot be read: {}", Error::causes(error)),
            Self::Nameless => f.write_str("namespace kube-system has no uid"),
            Self::Silent(limit) => write!(f, "did not answer within {} s", limit.as_secs()),
            Self::Another { found, wanted } => write!(f, "is cluster {found}, the journal is of {wanted}"),
        }
    }
}

impl std::error::Error for Unopened {}

/// What would be done, and what is known about that beside.
#[derive(Debug)]
pub struct Compared {
    /// The plan with its bodies.
    pub prepared: Prepared,
    /// What was missed since the moment, by kind key.
    pub gaps: Vec<(String, Gap)>,
    /// Why the newest changes may not be known yet, if they may not.
    pub late: Option<Error>,
    /// How long the newest changes were waited for.
    pub waited: Duration,
    /// Whether the selection names nothing at all, then or now: more likely it is misspelt than meant.
    pub is_of_nothing: bool,
    /// Set if the selection's path is in no object of it, then or now.
    pub nowhere: Option<Nowhere>,
    /// Webhooks that a restore has switched off in the cluster; nothing if they may not be read.
    pub bypassed: Option<Vec<Bypassed>>,
}

/// A restore whose record is begun.
#[derive(Debug)]
pub struct Restore {
    session: Session,
    prepared: Prepared,
    record: Record,
}

impl Session {
    /// The session of a client, if its cluster is the one whose past the timeline reads; it has so long to `answer`.
    /// `wait` bounds how long one waits later for what is about to pass: changes on their way into the bucket, a kind
    /// that is going away.
    pub async fn open(client: Client, timeline: &Timeline, answer: Duration, wait: Duration) -> Result<Self, Unopened> {
        let parts = timeline.parts().clone();
        let wanted = timeline.cluster();
        match parts.timeout(answer, identity::of(&client)).await {
            None => Err(Unopened::Silent(answer)),
            Some(Err(error)) => Err(Unopened::Refused(error)),
            Some(Ok(None)) => Err(Unopened::Nameless),
            Some(Ok(Some(found))) if found != wanted => Err(Unopened::Another { found, wanted: wanted.to_owned() }),
            Some(Ok(Some(cluster))) => Ok(Self { asks: client.clone(), client, cluster, parts, wait, movers: None }),
        }
    }

    /// The same, in which a restore reads and writes through another client of the same server: as another account, which need
    /// not see more of the cluster than what is restored.
    #[must_use]
    pub fn acting(self, client: Client) -> Self {
        Self { client, ..self }
    }

    /// The same, with what puts the files of volumes back.
    #[must_use]
    pub fn with_movers(self, movers: Option<Arc<Movers>>) -> Self {
        Self { movers, ..self }
    }

    /// The past at a moment, closed through the cluster: what it tells beyond the journal is laid over what the timeline
    /// reads from here on.
    pub async fn close(&self, timeline: &mut Timeline, at: &At) -> Result<Past> {
        timeline.close(&self.asks, at, self.wait).await
    }

    /// The plan that puts a selection back to a moment.
    pub async fn plan(&self, timeline: &mut Timeline, then: &Past, selection: &Selection) -> Result<Compared> {
        let desired = Desired::gather(timeline, then, selection).await?;
        self.compare(timeline, selection, &desired).await
    }

    /// The plan that takes a restore back, with what may be done beyond what that one was allowed. What became of one
    /// that was interrupted is found out first.
    pub async fn undo(&self, timeline: &mut Timeline, record: &Record, beyond: &Widen) -> Result<Compared> {
        self.same("the restore", &record.plan().cluster)?;
        let settled = apply::settle(record, &self.client).await?;
        let desired = record.desired().await?;
        let mut selection = record.plan().selection.clone();
        selection.widen.add(beyond);
        let mut compared = self.compare(timeline, &selection, &desired).await?;
        let id = record.id().to_owned();
        compared.prepared.switch_on(&id, record.bypassed(), compared.bypassed.as_deref());
        if settled > 0 {
            compared.prepared.plan.notes.push(Note::Interrupted { id, settled });
        }
        Ok(compared)
    }

    /// The plan that makes the live state what is desired.
    async fn compare(&self, timeline: &mut Timeline, selection: &Selection, desired: &Desired) -> Result<Compared> {
        self.same("the timeline", timeline.cluster())?;
        self.same("the desired state", &desired.cluster)?;
        let clock = &self.parts.clock;
        let began = clock.monotonic();
        timeline.forget_overlay().await?;
        let wants = |kind: &Discovery| selection.wants_kind(&kind.kind_key(), kind.namespaced);
        let late = timeline.arrive(&self.asks, wants, self.wait).await.err();
        timeline.refresh().await?;
        let waited = clock.monotonic().saturating_sub(began);
        let mut known = Known::gather(timeline, selection).await?;
        known.find_moved(timeline, desired).await?;
        let served = known.kinds.values().map(|kind| &kind.discovery);
        let served: Vec<_> = served.filter(|kind| !kind.resource.is_empty() && !kind.gone).cloned().collect();
        let mut live = live::read((&self.client, &self.asks), &self.parts, &served, selection, desired).await?;
        // An address may lead to another cluster by now.
        self.same("what answers", &live.cluster)?;
        let claims = filling::claims(selection, desired, &live);
        let fillings = filling::find(timeline.store(), desired, &claims, self.movers.as_ref()).await?;
        live::read_data(&self.client, &self.parts, (selection, desired), fillings, &mut live).await?;
        let is_of_nothing = is_of_nothing(selection, desired, &live);
        let nowhere = nowhere::find(selection, desired, &live);
        let bypassed = live.bypassed.clone();
        let prepared = prepare(selection, desired, &live, &known);
        let mut gaps = Vec::new();
        for (key, kind) in known.kinds.iter().filter(|(_, kind)| wants(&kind.discovery)) {
            let since = kind.gaps.iter().filter(|(_, gap)| gap.time_to >= desired.time);
            gaps.extend(since.map(|(_, gap)| (key.clone(), gap.clone())));
        }
        Ok(Compared { prepared, gaps, late, waited, is_of_nothing, nowhere, bypassed })
    }

    /// What the server says to a plan, asked by dry runs.
    pub async fn check(&self, prepared: &Prepared) -> BTreeMap<ObjectKey, Check> {
        apply::check(prepared, &self.client, &self.parts, &Settings::default()).await
    }

    /// Begins the restore of a plan: everything it replaces is kept. `told` hears of the id before anything is kept under
    /// it, so that whoever is killed from then on has said which restore it is.
    pub async fn begin(
        &self,
        records: &Records,
        prepared: Prepared,
        told: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Restore> {
        self.same("the plan", &prepared.plan.cluster)?;
        let record = records.begin(&prepared, told).await?;
        Ok(Restore { session: self.clone(), prepared, record })
    }

    /// The same under an id of the caller's; `None` if there is a record of that id already, which is to be resumed.
    pub async fn begin_as(&self, records: &Records, id: &str, prepared: Prepared) -> Result<Option<Restore>> {
        self.same("the plan", &prepared.plan.cluster)?;
        let record = records.begin_as(id, &prepared).await?;
        Ok(record.map(|record| Restore { session: self.clone(), prepared, record }))
    }

    /// Takes up a restore that was interrupted; one that had written nothing yet is planned again, and has to come to the
    /// same: then what is known of that plan is given beside.
    pub async fn resume(
        &self,
        timeline: &mut Timeline,
        records: &Records,
        id: &str,
    ) -> Result<(Restore, Option<Compared>)> {
        let mut record = records.open(id).await?;
        self.same("the restore", &record.plan().cluster)?;
        let mut again = None;
        if !record.is_begun().await? {
            let compared = again.insert(self.again(timeline, records, record.plan()).await?);
            record = records.complete(&record, &compared.prepared).await?;
        }
        let prepared = record.prepared().await?;
        Ok((Restore { session: self.clone(), prepared, record }, again))
    }

    /// The plan of a restore that was interrupted before its first write, made again.
    async fn again(&self, timeline: &mut Timeline, records: &Records, plan: &Plan) -> Result<Compared> {
        let selection = &plan.selection;
        let desired = match &plan.undoes {
            Some(id) => records.open(id).await?.desired().await?,
            None => {
                let then = at_cut(timeline, &plan.cut, plan.time).await?;
                Desired::gather(timeline, &then, selection).await?
            }
        };
        self.compare(timeline, selection, &desired).await
    }

    /// Refuses what is of another cluster than the session.
    fn same(&self, what: &str, cluster: &str) -> Result<()> {
        if cluster == self.cluster {
            return Ok(());
        }
        Err(Error::invalid(what, format!("is of cluster {cluster}, and this is a restore of {}", self.cluster)))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("wait", &self.wait).finish_non_exhaustive()
    }
}

impl Restore {
    /// The plan with its bodies.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// The record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Carries the plan out. `cancel` turning true ends it after what is under way; then it can be resumed.
    pub async fn apply(
        &self,
        settings: &Settings,
        listener: Listener<'_>,
        cancel: watch::Receiver<bool>,
    ) -> Result<Outcome> {
        apply::apply(&self.prepared, &self.session.client, &self.record, settings, listener, cancel).await
    }
}

impl Records {
    /// The records of a journal's restores: in its bucket, or `elsewhere`; sealed by the rules and keys of the timeline.
    pub async fn of(timeline: &mut Timeline, elsewhere: Option<Store>) -> Result<Self> {
        let now = timeline.at(&At::NowOpen).await?;
        let plaintext = View::of(&now, &Scope::nothing()).await?.secrets.as_deref() == Some("plaintext");
        let store = elsewhere.unwrap_or_else(|| timeline.store().clone());
        Ok(Self::new(store, timeline.keys().to_vec(), plaintext).with_rules(timeline.rules().clone()))
    }
}

/// The moment that was this cut.
async fn at_cut(timeline: &mut Timeline, cut: &Cut, time: Micros) -> Result<Past> {
    let main = cut.domains.get(MAIN);
    let rev = At::Rev { rv: cut.rev(), incarnation: main.map(|p| p.incarnation), domain: None };
    for at in [At::Time(time), rev] {
        let past = timeline.at(&at).await?;
        if past.moment().cut == *cut {
            return Ok(past);
        }
    }
    Err(Error::invalid(
        format!("the moment {}", crate::reason::time(time)),
        "is not the cut that it was when the plan was made",
    )
    .with_hint("plan again"))
}

fn is_of_nothing(selection: &Selection, desired: &Desired, live: &Live) -> bool {
    let nothing = desired.keys().next().is_none() && live.objects.is_empty() && live.unprotected.is_empty();
    let unread = |listed: &Listed| matches!(listed, Listed::Forbidden(_) | Listed::Failed(_));
    let whole = !live.kinds.values().any(unread);
    // By labels nothing may well be found.
    nothing && whole && selection.labels.is_empty()
}
