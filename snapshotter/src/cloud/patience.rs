//! Waiting, within bounds: for an answer, for a cloud that is busy, for an operation it carries out by itself.
//!
//! Invariants, each checked by the tests beside this file: a fault that cannot pass ends at once; one that may pass is
//! tried again after a pause that grows, has jitter, and is at least as long as the cloud asked for; no pause is begun that
//! would go beyond the limit, and the error at the end says how long and how often was tried, and what was answered last.

use std::{fmt, future::Future, time::Duration};

use futures::{StreamExt as _, stream};
use hindcast_journal::{
    Result,
    error::{Error, ErrorKind},
    parts::Parts,
};

use super::Limits;
use crate::driver::Taken;

/// The longest pause between two requests, unless the cloud asks for a longer one.
const LONGEST: Duration = Duration::from_secs(20);

/// A request that failed.
#[derive(Debug)]
pub struct Fault {
    error: Error,
    passes: bool,
    /// The pause that the cloud asked for.
    after: Option<Duration>,
    lost: bool,
}

impl Fault {
    /// One that asking again will not change.
    pub fn last(error: Error) -> Self {
        Self { error, passes: false, after: None, lost: false }
    }

    /// One that was not carried out and may be the next time, after the pause that the cloud asked for.
    pub fn busy(error: Error, after: Option<Duration>) -> Self {
        Self { error, passes: true, after, lost: false }
    }

    /// One that may have been carried out.
    pub fn lost(error: Error) -> Self {
        Self { error, passes: true, after: None, lost: true }
    }

    /// The same, with the pause that the cloud asked for.
    #[must_use]
    pub fn wait(mut self, after: Option<Duration>) -> Self {
        self.after = after;
        self
    }

    /// Whether it may have been carried out.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// The pause that the cloud asked for.
    pub fn after(&self) -> Option<Duration> {
        self.after
    }

    /// What it is.
    pub fn error(&self) -> &Error {
        &self.error
    }
}

impl From<Error> for Fault {
    /// An error of ours that no cloud gave.
    fn from(error: Error) -> Self {
        Self::last(error)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

/// Waits, on the clock it was given.
#[derive(Debug, Clone)]
pub struct Patience {
    /// The clock, and the randomness that pauses are drawn by.
    pub parts: Parts,
    /// How long is waited for what.
    pub limits: Limits,
}

impl Patience {
    /// The same with other limits.
    #[must_use]
    pub fn with(&self, limits: Limits) -> Self {
        Self { parts: self.parts.clone(), limits }
    }

    /// The clock that never steps back.
    pub fn now(&self) -> Duration {
        self.parts.clock.monotonic()
    }

    /// Waits.
    pub async fn sleep(&self, duration: Duration) {
        self.parts.clock.sleep(duration).await;
    }

    /// The answer to one request, or a lost one.
    pub async fn answer<T>(&self, what: &str, request: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let limit = self.limits.request;
        self.parts.timeout(limit, request).await.unwrap_or_else(|| {
            let reason = format!("no answer within {}", seconds(limit));
            Err(Fault::lost(Error::new(ErrorKind::Unavailable, what, reason)))
        })
    }

    /// Asks until it is answered, cannot pass, or the patience is at its end.
    pub async fn ride<T, F>(&self, what: &str, mut ask: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let begun = self.now();
        let mut tries: u32 = 0;
        loop {
            let fault = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(fault) if !fault.passes => return Err(fault.error),
                Err(fault) => fault,
            };
            let pause = self.pause(tries).max(fault.after.unwrap_or_default());
            tries += 1;
            let waited = self.now().saturating_sub(begun);
            if waited + pause > self.limits.patience {
                let wanted = fault
                    .after
                    .map_or_else(String::new, |after| format!(", and asks for a pause of {} now", seconds(after)));
                let (_, last) = fault.error.thing_and_reason();
                let reason =
                    format!("not done after {tries} tries in {}{wanted}; the last answer: {last}", seconds(waited));
                let error = Error::new(fault.error.kind(), what, reason);
                let hint = fault.error.hint().unwrap_or("it may pass: try again later").to_owned();
                return Err(error.with_hint(hint).with_source(fault.error));
            }
            self.sleep(pause).await;
        }
    }

    /// Looks until what was asked for is done, at most as long as an operation may take.
    pub async fn until<T, F>(&self, what: &str, mut look: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<Option<T>>>,
    {
        let begun = self.now();
        let mut looks: u32 = 0;
        loop {
            if let Some(done) = look().await? {
                return Ok(done);
            }
            let pause = self.pause(looks);
            looks += 1;
            let waited = self.now().saturating_sub(begun);
            if waited + pause > self.limits.operation {
                let reason = format!("not done {} after the cloud began with it", seconds(waited));
                let hint = "it may still be done: look at it in the cloud's console, then try again";
                return Err(Error::new(ErrorKind::Unavailable, what, reason).with_hint(hint));
            }
            self.sleep(pause).await;
        }
    }

    /// Does all of this, so much of it at once as the limits allow; each by itself.
    pub async fn each<T, F: Future<Output = T>>(&self, all: Vec<F>) -> Vec<T> {
        stream::iter(all).buffered(self.limits.at_once.max(1)).collect().await
    }

    /// What is listed now and after the settling time: who made it may have died right after a request.
    pub async fn settled<F>(&self, list: impl Fn() -> F) -> Result<Vec<Taken>>
    where
        F: Future<Output = Result<Vec<Taken>>>,
    {
        let early = list().await?;
        self.sleep(self.limits.settle).await;
        let mut found = list().await?;
        let missing: Vec<Taken> = early.into_iter().filter(|e| found.iter().all(|f| f.handle != e.handle)).collect();
        found.extend(missing);
        Ok(found)
    }

    /// The pause before the repetition of this number: half of it fixed, half drawn.
    fn pause(&self, number: u32) -> Duration {
        let whole = self.limits.pause.saturating_mul(1 << number.min(10)).min(LONGEST);
        let half = whole / 2;
        let drawn = self.parts.random.next_u64() % (half.as_micros() as u64).max(1);
        half + Duration::from_micros(drawn)
    }
}

/// A time as it is said: `15 s`, `0.4 s`.
fn seconds(time: Duration) -> impl fmt::Display {
    let seconds = time.as_secs_f64();
    if seconds < 10.0 && time.subsec_millis() != 0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}

#[cfg(test)]
mod tests;
