//! Knocks: readers that have the bucket alone ask the journal's writer to say how far it has seen.
//!
//! **Words**: a *knock* is the object `meta/knock/<n>`. It is *answered* when the log says so: every segment says in its metadata
//! (`knock`) which is the newest that was answered by it or one before it.
//!
//! **Invariants.** (1) A segment that answers a knock closes each domain up to a moment after the knock was found (the watcher's
//! part). (2) The next number follows from the newest segment, so nobody searches for it, and readers who ask at the same time ask
//! with one knock [`Knocks::leave`]. (3) The writer asks for one name, which is mostly not there [`Knocks::waiting`]. (4) What is
//! answered means nothing any more: the writer removes it if it may, and a bucket that lets nothing be removed keeps it for no
//! harm [`Knocks::remove`], [`Knocks::sweep`].
//!
//! **Format.** `{"time": µs}`, by the clock of who asks: for people, nothing goes by it.
//!
//! Not here: how often is asked, and what an answer costs (the watcher's).

use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::{Error, Journal, Result, error::ErrorKind, layout::Layout, segment::KNOCK, store::Patience, store::Store};

/// How many knocks are looked for at once: more than one follow one another only where earlier answers are not known.
const MOST: u64 = 64;

/// The knocks at one journal.
#[derive(Debug, Clone)]
pub struct Knocks {
    store: Store,
}

impl Knocks {
    /// Those of a journal.
    pub fn of(journal: &Journal) -> Self {
        Self { store: journal.store().clone() }
    }

    /// Leaves the knock of a number, unless another reader has.
    pub async fn leave(&self, number: u64) -> Result<()> {
        let path = self.store.layout().meta(KNOCK, number);
        let bytes = Bytes::from(format!("{{\"time\":{}}}", self.store.parts().clock.now()));
        // One that was left though the answer was lost is there when it is left again.
        Patience::ask(self.store.parts(), || self.store.create(&path, bytes.clone())).await.map(|_| ())
    }

    /// The newest of the knocks that wait, as seen from the newest that is answered; that one if none waits.
    pub async fn waiting(&self, answered: u64) -> Result<u64> {
        let last = answered.saturating_add(MOST);
        let mut newest = answered;
        while newest < last && self.store.exists(&self.store.layout().meta(KNOCK, newest + 1)).await? {
            newest += 1;
        }
        Ok(newest)
    }

    /// Removes knocks that were answered.
    pub async fn remove(&self, numbers: RangeInclusive<u64>) -> Result<()> {
        for number in numbers {
            self.store.remove(&self.store.layout().meta(KNOCK, number)).await?;
        }
        Ok(())
    }

    /// Removes all that were answered, also those that came too late or that a process which died left. How many there were.
    pub async fn sweep(&self, answered: u64) -> Result<u64> {
        let listed = self.store.list(&self.store.layout().metas(KNOCK), None).await?;
        let mut removed = 0;
        for number in listed.iter().filter_map(|listed| Layout::number(&listed.path)) {
            if number <= answered {
                self.remove(number..=number).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// That a knock was left and nobody has answered it.
    pub fn unanswered() -> Error {
        Error::new(ErrorKind::Unavailable, "the journal's writer", "was asked, and has not answered")
    }
}

#[cfg(test)]
mod tests;
