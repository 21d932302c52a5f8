//! What is asked for in this process: one at a time for each name.
//!
//! Two who ask for the same name at once would both find nothing and both make it; the second waits for the first and finds
//! what that made. Not here: what an earlier process asked for, which the cloud itself says by the name.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

/// What is asked for, by name, in this process.
#[derive(Debug, Default)]
pub(crate) struct Once(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Once {
    /// Waits until nobody else asks for this name; nobody does until the guard is dropped.
    pub(crate) async fn turn(&self, name: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            names.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(names.entry(name.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests;
