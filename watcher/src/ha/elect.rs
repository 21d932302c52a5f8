//! Who leads: the Lease, read again and again, taken when it is free, renewed while it is held.
//!
//! **Words**: a Lease is *free* when nobody holds it, or its holder has not renewed it for as long as it says.
//!
//! **Invariants.** (1) A holder's silence is counted by this process's monotonic clock, and only while the server
//! answers: after a time without answers it begins anew, so that an API server that was away takes the Lease from nobody
//! [`Watched::is_free`]. (2) Who asked to let it go has let it go, or was told by the server that another holds it. (3)
//! Holding it allows nothing: that is for the epoch in the journal.

use std::time::Duration;

use hindcast_cluster::{
    Failure,
    lease::{Lease, Stand},
};
use hindcast_journal::Parts;
use tokio::sync::{mpsc, oneshot, watch};

/// How long nobody takes the Lease after a renewal.
pub(crate) const DURATION: Duration = Duration::from_secs(15);
/// Whoever could not renew it for this long does not count on it any more.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often it is looked at.
const RETRY: Duration = Duration::from_secs(2);
/// Looks that are further apart than this have not watched the holder.
const APART: Duration = Duration::from_secs(8);
/// The longest that a Lease may claim to last.
const LONGEST: Duration = Duration::from_mins(10);

/// What is known of the Lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Whether it was looked at.
    pub(crate) looked: bool,
    /// Whether this process holds it.
    pub(crate) held: bool,
    /// Who else does.
    pub(crate) other: Option<String>,
    /// Why it could not be read or written the last time.
    pub(crate) trouble: String,
    /// Since when the server refuses it, on the monotonic clock.
    pub(crate) denied: Option<Duration>,
}

/// What is asked of the one who looks after the Lease.
pub(crate) enum Order {
    /// Let it go, and leave it alone for that long; for ever if there is no time.
    LetGo(Option<Duration>, oneshot::Sender<()>),
}

/// Another holder, as it is watched.
#[derive(Debug, Default)]
struct Watched {
    sign: String,
    since: Duration,
    looked: Duration,
}

impl Watched {
    /// Whether a holder that gives this sign now has been silent for the duration.
    fn is_free(&mut self, sign: String, duration: Duration, now: Duration) -> bool {
        let watched = self.sign == sign && now.saturating_sub(self.looked) <= APART;
        if !watched {
            (self.sign, self.since) = (sign, now);
        }
        self.looked = now;
        now.saturating_sub(self.since) >= duration.min(LONGEST)
    }
}

/// Looks after the Lease.
pub(crate) struct Elector {
    lease: Lease,
    parts: Parts,
    me: String,
    watched: Watched,
    renewed: Duration,
}

impl Elector {
    pub(crate) fn new(lease: Lease, parts: Parts, me: String) -> Self {
        Self { lease, parts, me, watched: Watched::default(), renewed: Duration::ZERO }
    }

    /// Looks, takes and renews until it is told to let go for ever, or nobody listens.
    pub(crate) async fn run(mut self, told: watch::Sender<Told>, mut orders: mpsc::Receiver<Order>) {
        let (mut now, mut rest) = (Told::default(), None);
        loop {
            if rest.is_none() {
                now = self.round(now).await;
                told.send_replace(now.clone());
            }
            let jitter = Duration::from_millis(self.parts.random.next_u64() % 200);
            let wait = rest.take().unwrap_or(RETRY + jitter);
            tokio::select! {
                biased;
                // Also while it is left to others: who ends does not wait for that.
                order = orders.recv() => {
                    let Some(Order::LetGo(leave, done)) = order else { return };
                    self.let_go().await;
                    now.held = false;
                    told.send_replace(now.clone());
                    // Whoever asked may be gone.
                    let _ = done.send(());
                    if leave.is_none() {
                        return;
                    }
                    rest = leave;
                }
                () = self.parts.clock.sleep(wait) => {}
            }
        }
    }

    /// One look, and what follows from it.
    async fn round(&mut self, before: Told) -> Told {
        let looked = self.look().await;
        let now = self.parts.clock.monotonic();
        match looked {
            Ok(other) => {
                let held = other.is_none();
                if held {
                    self.renewed = now;
                }
                Told { looked: true, held, other, ..Told::default() }
            }
            Err(failure) => {
                let denied = matches!(failure, Failure::Forbidden(_) | Failure::NotFound(_));
                Told {
                    looked: true,
                    held: before.held && now.saturating_sub(self.renewed) < DEADLINE,
                    trouble: failure.to_string(),
                    denied: denied.then(|| before.denied.unwrap_or(now)),
                    other: before.other,
                }
            }
        }
    }

    /// Who else holds it; nobody if it is held now.
    async fn look(&mut self) -> Result<Option<String>, Failure> {
        let stand = self.lease.read().await?;
        if let Some(stand) = &stand {
            let holder = stand.holder();
            let duration = stand.duration().unwrap_or(DURATION);
            let free = holder.is_empty() || holder == self.me || {
                let now = self.parts.clock.monotonic();
                self.watched.is_free(stand.sign(), duration, now)
            };
            if !free {
                return Ok(Some(holder.to_owned()));
            }
        }
        self.write(stand.as_ref(), &self.me, DURATION).await?;
        Ok(None)
    }

    async fn write(&self, read: Option<&Stand>, holder: &str, duration: Duration) -> Result<(), Failure> {
        self.lease.write(read, holder, duration).await.map(|_| ())
    }

    /// Lets it go if this process holds it, so that the next one need not wait.
    async fn let_go(&self) {
        const TRIES: u32 = 2;
        for _ in 0..TRIES {
            let done = match self.lease.read().await {
                Ok(Some(stand)) if stand.holder() == self.me => {
                    self.write(Some(&stand), "", Duration::from_secs(1)).await
                }
                Ok(_) => Ok(()),
                Err(failure) => Err(failure),
            };
            match done {
                Ok(()) => return,
                Err(failure) => tracing::debug!(%failure, "the Lease could not be let go"),
            }
        }
        tracing::warn!("the Lease could not be let go: another one takes it when it has run out");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_lease_is_free_when_its_holder_was_watched_being_silent() {
        let mut watched = Watched::default();
        let mut at = |sign: &str, now: u64| watched.is_free(sign.to_owned(), DURATION, second(now));
        for now in (100..114).step_by(2) {
            assert!(!at("a 1", now), "at {now}");
        }
        assert!(!at("a 2", 114), "renewed");
        for now in (116..129).step_by(2) {
            assert!(!at("a 2", now), "at {now}");
        }
        assert!(at("a 2", 130));
    }

    #[test]
    fn a_server_that_was_away_takes_the_lease_from_nobody() {
        let mut watched = Watched::default();
        let mut at = |now: u64| watched.is_free("a 1".to_owned(), DURATION, second(now));
        assert!(!at(100) && !at(102));
        assert!(!at(140), "for 38 seconds nobody could renew it");
        assert!(!at(146) && !at(152));
        assert!(at(156));
    }

    #[test]
    fn a_lease_that_claims_to_last_for_ever_does_not() {
        let mut watched = Watched::default();
        let forever = second(u64::from(u32::MAX));
        assert!((0..599).step_by(2).all(|now| !watched.is_free("a".into(), forever, second(1000 + now))));
        assert!(watched.is_free("a".into(), forever, second(1600)));
    }
}
