//! How often a failed request is sent again before the failure is reported.
//!
//! **Invariants.** (1) A store that asks for fewer requests is alive: it is given [`BUSY`], with growing pauses. (2)
//! Anything else that may pass counts as a hiccup for [`TRIES`] requests, and for no longer than one request may take.
//! (3) An address where nobody answers, and anything a person has to fix, is reported at once.
//!
//! Not here: whoever runs on goes on by its own rules when this one is through.

use std::time::Duration;

use crate::{
    Error, Parts, Result,
    error::{ErrorKind, Outage},
};

/// How long a store that asks for fewer requests is given.
const BUSY: Duration = Duration::from_secs(30);

/// How often a request is sent that fails with something that may pass.
const TRIES: u32 = 4;

/// Failures of one request in a row.
#[derive(Debug)]
pub struct Patience {
    parts: Parts,
    since: Duration,
    failures: u32,
    reached: u64,
}

impl Patience {
    /// Before the first request.
    pub fn new(parts: &Parts) -> Self {
        Self { parts: parts.clone(), since: parts.clock.monotonic(), failures: 0, reached: 0 }
    }

    /// Asks until there is an answer, or patience runs out.
    pub async fn ask<T, F: Future<Output = Result<T>>>(parts: &Parts, mut ask: impl FnMut() -> F) -> Result<T> {
        let mut patience = Self::new(parts);
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => patience.after(error).await?,
            }
        }
    }

    /// What was asked for has come as far as `reached`: if that is further than before, failures count anew.
    pub(crate) fn progress(&mut self, reached: u64) {
        if reached > self.reached {
            *self = Self { reached, ..Self::new(&self.parts) };
        }
    }

    /// After a failure: waits until the next request is due, or returns the error when patience has run out.
    pub async fn after(&mut self, error: Error) -> Result<()> {
        let waited = self.parts.clock.monotonic().saturating_sub(self.since);
        let again = error.kind() == ErrorKind::Unavailable
            && match error.outage() {
                Outage::Busy => waited < BUSY,
                Outage::Hiccup => self.failures + 1 < TRIES && waited < super::REQUEST_LIMIT,
                Outage::Unreached => false,
            };
        if !again {
            return Err(error);
        }
        self.failed().await;
        Ok(())
    }

    /// After a failure that is to be tried again whatever it was: waits, longer each time, half of it by chance.
    pub async fn failed(&mut self) {
        self.failures += 1;
        let base = Duration::from_millis(50 << self.failures.min(6));
        let jitter = self.parts.random.next_u64() % (base.as_micros() as u64 / 2 + 1);
        self.parts.clock.sleep(base / 2 + Duration::from_micros(jitter)).await;
    }
}
