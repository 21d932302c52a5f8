//! What was asked for in this process: one at a time for each name, and when.
//!
//! A cloud that lists late, and has no idempotence of its own, shows nothing right after it was asked. Who asks again has to
//! wait until it would show, and this remembers from when. An earlier process may have asked too, right before it died: so
//! a driver that is given ids of earlier processes doubts everything until it is old enough itself.
//!
//! Not here: the decision, which is the cloud's own list's. What is remembered only makes the driver wait.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::OwnedMutexGuard;

/// What was asked for, by name, in this process.
#[derive(Debug, Default)]
pub(crate) struct Once {
    /// When the driver was made, if what it is asked for may have been asked for by an earlier process.
    born: Option<Duration>,
    names: Mutex<HashMap<String, Asked>>,
}

#[derive(Debug, Default)]
struct Asked {
    turn: Arc<tokio::sync::Mutex<()>>,
    last: Option<Duration>,
}

impl Once {
    /// Of a driver made now; `earlier` if ids may have been given to an earlier process.
    pub(crate) fn new(now: Duration, earlier: bool) -> Self {
        Self { born: earlier.then_some(now), names: Mutex::default() }
    }

    /// Waits until nobody else asks for this name; nobody does until the guard is dropped.
    pub(crate) async fn turn(&self, name: &str) -> OwnedMutexGuard<()> {
        let turn = self.with(name, |asked| Arc::clone(&asked.turn));
        turn.lock_owned().await
    }

    /// It is asked for now: from here on it may be there without being listed.
    pub(crate) fn asking(&self, name: &str, now: Duration) {
        self.with(name, |asked| asked.last = Some(now));
    }

    /// The cloud refused it: it is not there.
    pub(crate) fn refused(&self, name: &str) {
        self.with(name, |asked| asked.last = None);
    }

    /// How long it may still be there without being listed; `None` if what is not listed is not there.
    pub(crate) fn doubt(&self, name: &str, now: Duration, settle: Duration) -> Option<Duration> {
        let last = self.with(name, |asked| asked.last);
        let until = last.max(self.born)? + settle;
        until.checked_sub(now).filter(|rest| !rest.is_zero())
    }

    /// Forgets what was asked for so long ago that it is listed, and what nobody holds.
    pub(crate) fn sweep(&self, now: Duration, settle: Duration) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|_, asked| {
            Arc::strong_count(&asked.turn) > 1 || asked.last.is_some_and(|last| last + settle > now)
        });
    }

    fn with<T>(&self, name: &str, then: impl FnOnce(&mut Asked) -> T) -> T {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        then(names.entry(name.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests;
