//! Two or more processes, of which one protects and the others stand by.
//!
//! **Words**: the *leader* is whoever holds the journal's newest epoch. A *standby* holds what the server sends, of every
//! kind, until the leader has committed it. A *takeover* is a claim of the journal by a standby.
//!
//! The Lease ([`elect`]) says who is to lead, so that nobody is fenced without need; the epoch in the journal alone says
//! who does. What follows from that:
//! - A standby takes over when it has the Lease: the leader let it go, or has not renewed it for its duration.
//! - A leader that can't renew the Lease (the server is away, or refuses it) goes on: nobody else claims meanwhile, or it
//!   learns so with its next segment. If it sees that another has the Lease it asks the journal at once, by an empty segment
//!   [`Kept::is_challenged`], and goes on if it was not fenced: the other may have died before its claim.
//! - A leader that was fenced ends, as without a standby. It does not become one in the same process: what it has in memory
//!   is of a past that another has gone on from. Whoever started it may start it again: then it stands by, so that two never
//!   take the journal from one another for ever. This is why all of one Lease are one instance to the journal.
//! - Where the server refuses the Lease to everybody, protection must not end with the leader: a standby takes over when
//!   it sees that the journal has not grown for [`SILENT`], which a leader lets it do every two minutes at the least.
//! - Who holds the Lease and can't claim (its way to the store is broken) lets it go, so that another can
//!   [`Member::step_back`]; so does a leader whose store takes nothing for [`YIELD`] [`Kept::without_store`]. It goes on
//!   meanwhile: if nobody else can claim either, it has the Lease again after [`REST`].
//!
//! **Invariants.** (1) The Lease is the only thing that is written to the cluster. (2) What a standby holds is used only
//! where it follows on what is committed without a hole; else the kind is taken up as after any start. (3) A takeover
//! needs neither the server's watch window nor its history, as far as [`Reach`] says.

mod bridge;
mod elect;
mod ring;
mod standby;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hindcast_cluster::{Connector, lease::Lease};
use hindcast_journal::{Journal, Parts, parts::Micros};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

pub(crate) use self::{
    bridge::{Bridge, Past},
    ring::Held,
    standby::Taken,
};
use self::{
    elect::{Elector, Order, Told},
    standby::Standby,
};
use crate::{Metrics, Result, Settings};

/// A journal that has not grown for this long has no leader, where the Lease can't tell. A leader writes every two minutes at the least,
/// and a PUT and a look take their time.
pub const SILENT: Duration = Duration::from_mins(5);
/// Longest wait for an answer about the Lease.
const ANSWER: Duration = Duration::from_secs(5);
/// Who could not claim, or write, leaves the Lease to others for this long.
const REST: Duration = Duration::from_secs(15);
/// A leader whose store has taken nothing for this long does, and how often.
const YIELD: Duration = Duration::from_secs(30);
const YIELD_AGAIN: Duration = Duration::from_mins(1);
/// How often the role is told.
const TICK: Duration = Duration::from_secs(1);
/// How often a leader asks the journal while another has the Lease.
const CHALLENGED: Duration = Duration::from_secs(10);
/// What nobody has taken over this long after the streams were begun is let go.
const TAKEN: Duration = Duration::from_mins(5);

/// Which Lease, and as whom.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What this process is called in it.
    pub identity: String,
}

/// What a process is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Role {
    /// Whether it leads; else it stands by.
    pub leads: bool,
    /// Whether it is set up: as a standby, whether every kind's watch was tried.
    pub ready: bool,
    /// Since when it is what it is, in microseconds since 1970.
    pub since: Micros,
    /// The Lease.
    pub lease: String,
    /// Who else holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Why the Lease could not be read or written the last time.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trouble: String,
    /// How far what a standby holds reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
}

/// How far what a standby holds reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reach {
    /// The kinds that it holds.
    pub kinds: usize,
    /// Those of them that it does not hold from what is committed on: of these a takeover needs the server's own history.
    pub short: Vec<String>,
    /// How old the oldest event is that it holds.
    pub oldest_seconds: u64,
    /// The memory that all takes, and may take.
    pub bytes: usize,
    /// See above.
    pub bound: usize,
    /// For how long there is room if nothing is committed from now on: so long a takeover needs no history of the server's.
    pub seconds_until_full: u64,
    /// How often what was held of a kind had to be dropped for want of room.
    pub overflows: u64,
}

/// What a member works with.
pub struct With {
    /// What is protected.
    pub settings: Settings,
    /// Clock and randomness.
    pub parts: Parts,
    /// Makes clients of the cluster.
    pub connector: Arc<dyn Connector>,
    /// The cluster's journal.
    pub journal: Journal,
    /// Where metrics go.
    pub metrics: Metrics,
}

impl fmt::Debug for With {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("With").field("journal", &self.journal).finish_non_exhaustive()
    }
}

/// A process that may lead.
pub struct Member {
    with: With,
    standby: Option<Standby>,
    told: watch::Receiver<Told>,
    orders: mpsc::Sender<Order>,
    role: watch::Sender<Option<Role>>,
    label: String,
    since: Micros,
    tasks: JoinSet<()>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("role", &self.role.borrow()).finish_non_exhaustive()
    }
}

impl Member {
    /// Begins to look after the Lease.
    pub fn join(terms: &Terms, with: With, role: watch::Sender<Option<Role>>) -> Result<Self> {
        let lease = Lease::new(with.connector.connect()?, with.parts.clone(), &terms.namespace, &terms.name, ANSWER);
        let (label, since) = (lease.label(), with.parts.clock.now());
        role.send_replace(Some(Role { since, lease: label.clone(), ..Role::default() }));
        let (tell, told) = watch::channel(Told::default());
        let (orders, taken) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(Elector::new(lease, with.parts.clone(), terms.identity.clone()).run(tell, taken));
        Ok(Self { with, standby: None, told, orders, role, label, since, tasks })
    }

    /// Stands by until this process is to claim the journal.
    pub async fn elected(&mut self) -> Result<()> {
        let clock = self.with.parts.clock.clone();
        let mut told_of = (None, false);
        loop {
            let told = self.told.borrow_and_update().clone();
            if told.held {
                self.tell(&told);
                tracing::info!(lease = self.label, "this process holds the Lease");
                return Ok(());
            }
            let without = told.denied.is_some_and(|since| clock.monotonic().saturating_sub(since) >= SILENT);
            if without && self.standby.as_ref().is_some_and(|standby| standby.silence() >= SILENT) {
                tracing::warn!(
                    reason = told.trouble,
                    "the server refuses the Lease and the journal does not grow: this process takes it over without"
                );
                return Ok(());
            }
            if told.looked && self.standby.is_none() {
                let With { settings, parts, connector, journal, metrics } = &self.with;
                let settings = Arc::new(settings.clone());
                let standby = Standby::start(settings, parts, connector.clone(), journal, metrics.clone())?;
                self.standby = Some(standby);
            }
            let news = (told.other.clone(), told.denied.is_some());
            if told.looked && news != told_of {
                self.log(&told);
                told_of = news;
            }
            if let Some(standby) = &self.standby {
                standby.orphaned(told.other.is_none());
            }
            self.tell(&told);
            tokio::select! {
                biased;
                Ok(()) = self.told.changed() => {}
                () = clock.sleep(TICK) => {}
            }
        }
    }

    fn log(&self, told: &Told) {
        let lease = &self.label;
        if told.denied.is_some() {
            tracing::warn!(
                lease,
                reason = told.trouble,
                "the server refuses the Lease: give the account get, create and update on leases in that namespace; until then \
                 this process takes over only when the journal has not grown for five minutes"
            );
        } else if let Some(holder) = &told.other {
            tracing::info!(lease, holder, "standing by");
        }
    }

    /// Tells of the role, as it is now.
    fn tell(&self, told: &Told) {
        let reach = self.standby.as_ref().map(Standby::reach);
        if let Some(reach) = &reach {
            self.with.metrics.ring_bytes.set(reach.bytes as i64);
            self.with.metrics.ring_short.set(reach.short.len() as i64);
            self.with.metrics.ring_seconds.set(reach.seconds_until_full as i64);
        }
        self.with.metrics.leader.set(0);
        self.role.send_replace(Some(Role {
            leads: false,
            ready: self.standby.as_ref().is_some_and(Standby::is_set),
            since: self.since,
            lease: self.label.clone(),
            holder: told.other.clone(),
            trouble: told.trouble.clone(),
            reach,
        }));
    }

    /// While this process claims: nobody leads, as far as it knows.
    pub fn claims(&self) {
        if let Some(standby) = &self.standby {
            standby.orphaned(true);
        }
    }

    /// The journal could not be claimed: others are to have a try. What is held is held on.
    pub async fn step_back(&mut self) {
        tracing::warn!("the journal could not be claimed: the Lease is left to others for a while");
        self.order(Some(REST)).await;
    }

    /// Leaves: this process will not lead.
    pub async fn leave(self) {
        self.order(None).await;
    }

    async fn order(&self, rest: Option<Duration>) {
        let (done, answer) = oneshot::channel();
        if self.orders.send(Order::LetGo(rest, done)).await.is_ok() {
            // It is dropped only with the whole process.
            let _ = answer.await;
        }
    }

    /// The journal is claimed: what was held is handed over, and the Lease is renewed until that is ended.
    pub fn lead(mut self) -> (Kept, Leadership) {
        if let Some(standby) = &mut self.standby {
            standby.settle();
        }
        let Self { with, standby, told, orders, role, label, mut tasks, .. } = self;
        let now = with.parts.clock.now();
        let leader = Role { leads: true, ready: true, since: now, lease: label, ..Role::default() };
        role.send_replace(Some(leader.clone()));
        let kept = Kept {
            standby: Mutex::new(standby.map(Arc::new)),
            until: Mutex::default(),
            told: told.clone(),
            asked: Mutex::default(),
            orders: orders.clone(),
            yielded: Mutex::default(),
        };
        tasks.spawn(retell(told, role, leader));
        (kept, Leadership { orders, tasks })
    }
}

/// Tells how the Lease of a leader stands.
async fn retell(mut told: watch::Receiver<Told>, role: watch::Sender<Option<Role>>, leader: Role) {
    let mut troubled = false;
    while told.changed().await.is_ok() {
        let now = told.borrow_and_update().clone();
        if std::mem::replace(&mut troubled, !now.held) == now.held {
            if now.held {
                tracing::info!("the Lease is held again");
            } else {
                tracing::warn!(
                    holder = now.other,
                    reason = now.trouble,
                    "the Lease is not held any more: protection goes on unless another takes the journal over"
                );
            }
        }
        role.send_replace(Some(Role { holder: now.other, trouble: now.trouble, ..leader.clone() }));
    }
}

/// What keeps a leader's Lease.
pub struct Leadership {
    orders: mpsc::Sender<Order>,
    tasks: JoinSet<()>,
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leadership")
    }
}

impl Leadership {
    /// Leaves the Lease to others for a while, and goes on: the store takes nothing from this process.
    pub fn yields(&self) {
        yields(&self.orders);
    }

    /// Lets the Lease go, so that a standby takes over at once.
    pub async fn end(self) {
        let (done, answer) = oneshot::channel();
        if self.orders.send(Order::LetGo(None, done)).await.is_ok() {
            // It is dropped only with the whole process.
            let _ = answer.await;
        }
        drop(self.tasks);
    }
}

/// Has the Lease left to others for a while. Nobody waits for it.
fn yields(orders: &mpsc::Sender<Order>) {
    tracing::warn!("the store takes nothing from this process: the Lease is left to others for a while");
    let (done, _) = oneshot::channel();
    // If there is an order already, that is to let it go too.
    let _ = orders.try_send(Order::LetGo(Some(REST), done));
}

/// What a standby held, for the run that goes on from it.
pub struct Kept {
    standby: Mutex<Option<Arc<Standby>>>,
    /// After this it is let go; unknown until the streams are begun.
    until: Mutex<Option<Duration>>,
    told: watch::Receiver<Told>,
    /// When the journal was last asked who leads.
    asked: Mutex<Duration>,
    orders: mpsc::Sender<Order>,
    /// When the Lease was last left to others.
    yielded: Mutex<Option<Duration>>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

impl Kept {
    fn standby(&self) -> Option<Arc<Standby>> {
        self.standby.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One kind's part, once.
    pub(crate) async fn take(&self, key: &str, path: &str) -> Option<Taken> {
        self.standby()?.take(key, path).await
    }

    /// Leases, as they were heard.
    pub(crate) fn leases(&self) -> Vec<Bytes> {
        self.standby().map(|standby| standby.leases()).unwrap_or_default()
    }

    /// Lets go what nobody has taken for long, counted from when the streams were begun: before that nobody could.
    pub(crate) fn tidy(&self, now: Duration, begun: bool) {
        if !begun {
            return;
        }
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now + TAKEN);
        if now >= until {
            let gone = self.standby.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(gone);
        }
    }

    /// The store has been away since a moment: after a while whoever reaches it is to have a try.
    pub(crate) fn without_store(&self, since: Duration, now: Duration) {
        let mut yielded = self.yielded.lock().unwrap_or_else(PoisonError::into_inner);
        let long = now.saturating_sub(since) >= YIELD;
        if long && self.told.borrow().held && yielded.is_none_or(|at| now.saturating_sub(at) >= YIELD_AGAIN) {
            *yielded = Some(now);
            yields(&self.orders);
        }
    }

    /// Whether another has the Lease, and the journal has to be asked who leads.
    pub(crate) fn is_challenged(&self, now: Duration) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let told = self.told.borrow();
        let due = !told.held && told.other.is_some() && (asked.is_zero() || now.saturating_sub(*asked) >= CHALLENGED);
        if due {
            *asked = now;
        }
        due
    }
}

#[cfg(test)]
mod tests;
