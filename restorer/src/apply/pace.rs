//! How many requests are under way at once: few at first, more while the server is quick, fewer when it says so.
//!
//! **Invariants.** (1) Never more than the settings allow. (2) A `Retry-After` holds every new request back, not only the
//! one that was told. (3) The number is halved at most once a second, so that one burst of refusals counts once.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hindcast_journal::Parts;
use tokio::sync::Notify;

/// An answer that took longer counts as a sign of load.
const SLOW: Duration = Duration::from_secs(3);

/// How often the number is halved at most.
const BREATH: Duration = Duration::from_secs(1);

/// The gate that every request goes through.
pub(crate) struct Pace {
    parts: Parts,
    state: Mutex<State>,
    freed: Notify,
    most: usize,
}

#[derive(Debug)]
struct State {
    allowed: f64,
    active: usize,
    /// Whether the server has ever asked for less: from then on the number grows slowly.
    warned: bool,
    /// No request begins before this moment of the monotonic clock.
    hold: Duration,
    halved: Option<Duration>,
}

/// A request under way; dropping it lets the next one in.
pub(crate) struct Slot<'a>(&'a Pace);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.state().active -= 1;
        self.0.freed.notify_one();
    }
}

impl Pace {
    /// Begins with `first` at once and goes up to `most`.
    pub(crate) fn new(parts: Parts, first: usize, most: usize) -> Self {
        let most = most.max(1);
        let state = State {
            allowed: first.clamp(1, most) as f64,
            active: 0,
            warned: false,
            hold: Duration::ZERO,
            halved: None,
        };
        Self { parts, state: Mutex::new(state), freed: Notify::new(), most }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place.
    pub(crate) async fn enter(&self) -> Slot<'_> {
        loop {
            let wait = {
                let mut state = self.state();
                let now = self.parts.clock.monotonic();
                if now < state.hold {
                    Some(state.hold.saturating_sub(now))
                } else if state.active < state.allowed as usize {
                    state.active += 1;
                    // Another may have been let in by the same growth.
                    if state.active < state.allowed as usize {
                        self.freed.notify_one();
                    }
                    return Slot(self);
                } else {
                    None
                }
            };
            match wait {
                Some(wait) => self.parts.clock.sleep(wait).await,
                None => self.freed.notified().await,
            }
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, took: Duration) {
        if took > SLOW {
            self.ease(Duration::ZERO);
            return;
        }
        let mut state = self.state();
        let step = if state.warned { 1.0 / state.allowed } else { 1.0 };
        state.allowed = (state.allowed + step).min(self.most as f64);
        drop(state);
        self.freed.notify_one();
    }

    /// The server asked for less, for `after` at least.
    pub(crate) fn ease(&self, after: Duration) {
        let now = self.parts.clock.monotonic();
        let mut state = self.state();
        state.warned = true;
        state.hold = state.hold.max(now + after);
        if state.halved.is_none_or(|then| now >= then + BREATH) {
            state.halved = Some(now);
            state.allowed = (state.allowed / 2.0).max(1.0);
        }
    }

    #[cfg(test)]
    fn allowed(&self) -> usize {
        self.state().allowed as usize
    }
}

#[cfg(test)]
mod tests;
