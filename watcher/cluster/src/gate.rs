//! A gate that lets a bounded number of calls through at once, the most urgent first.
//!
//! Reading old versions is a race against the server's compaction, so the oldest revision is the most urgent.
//! **Invariant**: no place is ever lost, not even when a waiter is dropped [the place itself travels through the
//! channel].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::oneshot;

/// Lets calls through.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Mutex<Waiting>>);

#[derive(Debug)]
struct Waiting {
    free: usize,
    next: u64,
    queue: BTreeMap<(u64, u64), oneshot::Sender<Place>>,
}

/// A place behind the gate, returned when dropped.
#[derive(Debug)]
pub struct Place(Gate);

impl Gate {
    /// A gate with that many places, and at least one.
    pub fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(Waiting { free: places.max(1), next: 0, queue: BTreeMap::new() })))
    }

    /// Waits for a place; the lowest `urgency` goes first.
    pub async fn enter(&self, urgency: u64) -> Place {
        let waiter = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.free > 0 {
                waiting.free -= 1;
                return Place(self.clone());
            }
            let (sender, receiver) = oneshot::channel();
            let ticket = waiting.next;
            waiting.next += 1;
            waiting.queue.insert((urgency, ticket), sender);
            receiver
        };
        waiter.await.expect("the queue lives as long as the gate, which a waiter holds")
    }

    /// A place, if one is free.
    pub fn try_enter(&self) -> Option<Place> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.free = waiting.free.checked_sub(1)?;
        Some(Place(self.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let next = {
            let mut waiting = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((_, next)) = waiting.queue.pop_first() else {
                waiting.free += 1;
                return;
            };
            next
        };
        // If the waiter is gone, the place comes back here, and dropping it serves the next one.
        let _ = next.send(Place(self.0.clone()));
    }
}

#[cfg(test)]
mod tests;
