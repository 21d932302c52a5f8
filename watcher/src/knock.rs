//! Knocks of readers, answered: the cut of now is closed, and a segment says so.
//!
//! **Words**: a *closing* is what `POST /close` begins too ([`crate::close`]).
//!
//! **Invariants.** (1) A bucket is asked for one name every [`Settings::knock_every`](crate::Settings), and every [`SOON`] while
//! somebody reads [`ATTENTIVE`]. (2) However many knock, closings are no more than [`BURST`] at once and one every [`REGAIN`] in the
//! long run, since each asks the API server about every kind that lags [`Allowance`]. (3) What is answered is removed, what could
//! not be once a day; where nothing may be removed it stays, and is asked for by nobody.
//!
//! **What it costs**, at S3's prices of 0.005 $ a thousand writes or lists and 0.0004 $ a thousand reads, in a month of 30 days in
//! which nothing is written: asking every 12 s is 216,000 reads, 0.086 $. A segment is one write and three reads (two by which its
//! writer sees that it still is the writer, one to merge it), 0.0000062 $: every 60 s that would be 0.268 $, too much beside the
//! former. So it is every 60 s for an hour, and then every two minutes: 21,600 segments, 0.134 $. Merging writes 1,500 files and manifests
//! and looks every five minutes, 0.015 $; checkpoints, seals, sweeps and what looks for something to remove are about 0.005 $. That
//! and a bundle of every 32 segments is 0.28 $, below 0.30 $ (`tests/tests/fast/idle.rs` counts each request). To frame every 15 s instead would be 1.07 $. A knock
//! costs its reader one write and `run` one segment, 0.00001 $.
//!
//! Not here: what a reader does [`hindcast_journal::knock`].

use std::time::Duration;

use hindcast_journal::{error::ErrorKind, knock::Knocks};
use tokio::sync::{mpsc, oneshot};

use crate::{access::Access, handle::Command};

/// How often is asked after a knock, and for how long.
const SOON: Duration = Duration::from_secs(3);
const ATTENTIVE: Duration = Duration::from_mins(2);

/// How many closings may follow one another as fast as they are asked for.
const BURST: u32 = 10;
/// How long it takes until one more may.
const REGAIN: Duration = Duration::from_secs(30);

/// How often it is looked for what was left behind.
const SWEEP: Duration = Duration::from_hours(24);

/// How many closings may still be begun.
#[derive(Debug)]
struct Allowance {
    left: u32,
    /// Since when it grows.
    since: Duration,
}

impl Allowance {
    fn new(now: Duration) -> Self {
        Self { left: BURST, since: now }
    }

    /// Whether there is one, now.
    fn has(&mut self, now: Duration) -> bool {
        while self.left < BURST && now.saturating_sub(self.since) >= REGAIN {
            self.left += 1;
            self.since += REGAIN;
        }
        if self.left == BURST {
            self.since = now;
        }
        self.left > 0
    }

    fn take(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

/// Answers knocks, from the newest that is answered on, until nobody takes closings any more.
pub(crate) async fn answer(access: &Access, knocks: &Knocks, mut answered: u64, closings: mpsc::Sender<Command>) {
    let clock = access.parts.clock.clone();
    let mut allowance = Allowance::new(clock.monotonic());
    let (mut last, mut swept) = (None::<Duration>, None::<Duration>);
    loop {
        let now = clock.monotonic();
        if swept.is_none_or(|swept| now.saturating_sub(swept) >= SWEEP) {
            swept = Some(now);
            told(knocks.sweep(answered).await.map(|_| ()));
        }
        let attentive = last.is_some_and(|last| now.saturating_sub(last) < ATTENTIVE);
        access.sleep(if attentive { SOON.min(access.settings.knock_every) } else { access.settings.knock_every }).await;
        if !allowance.has(clock.monotonic()) {
            continue;
        }
        let waiting = match knocks.waiting(answered).await {
            Ok(waiting) if waiting > answered => waiting,
            Ok(_) => continue,
            Err(error) => {
                tracing::debug!(%error, "cannot see whether a reader has knocked");
                continue;
            }
        };
        allowance.take();
        last = Some(clock.monotonic());
        let (reply, closed) = oneshot::channel();
        if closings.send(Command::Knock(waiting, reply)).await.is_err() {
            return;
        }
        match closed.await {
            Ok(Ok(_)) => {
                tracing::debug!(knock = waiting, "closed the cut for readers that knocked");
                told(knocks.remove(answered + 1..=waiting).await);
                answered = waiting;
            }
            // It waits on, and is asked for again.
            Ok(Err(error)) => tracing::debug!(%error, "the cut could not be closed for a reader that knocked"),
            Err(_) => return,
        }
    }
}

/// What is not removed does no harm.
fn told(removed: hindcast_journal::Result<()>) {
    match removed {
        Err(error) if error.kind() == ErrorKind::Denied => {
            tracing::debug!(%error, "knocks that were answered stay: they may not be removed");
        }
        Err(error) => tracing::debug!(%error, "knocks that were answered could not be removed now"),
        Ok(()) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knocks_without_rest_is_answered_a_few_times_and_then_twice_a_minute() {
        let mut allowance = Allowance::new(Duration::ZERO);
        let mut closings = Vec::new();
        for second in 0..3600 {
            let now = Duration::from_secs(second);
            if allowance.has(now) {
                allowance.take();
                closings.push(second);
            }
        }
        assert_eq!(closings[..BURST as usize], (0..u64::from(BURST)).collect::<Vec<_>>());
        assert_eq!(closings.len() as u64, u64::from(BURST) + 3600 / REGAIN.as_secs() - 1);
        // Who rests is given all of it again, and not more.
        let later = Duration::from_hours(3);
        let at_once = std::iter::from_fn(|| allowance.has(later).then(|| allowance.take())).count();
        assert_eq!(at_once, BURST as usize);
    }
}
