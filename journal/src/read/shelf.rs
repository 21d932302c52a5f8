//! Which segments are read from merged files, and those that were.
//!
//! **Invariants.** (1) A merged file is read once, however many ask for its segments at once [`Shelf::segment`]. (2) Not more than
//! a few are kept, and none that was read to its end: readers go forward. (3) Nobody reads a file that is much larger than what is wanted of it [`worth`].

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::{Error, Journal, Result, error::ErrorKind, journal::Segment, level::Merged};

/// How many bytes more are read for one request less.
const A_REQUEST: u64 = 32 << 10;
/// How many requests fewer are worth a file of another kind at all.
const LEAST: u64 = 4;
/// Files that are kept.
const KEPT: usize = 3;

type Read = Arc<OnceCell<Option<Arc<Vec<Segment>>>>>;

/// The merged files of what is being read.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// Those that may hold some of it, oldest first.
    merged: Vec<Merged>,
    /// The last segment that is likely to be wanted.
    until: u64,
    /// Those that were asked for, newest last: the first segment, and all of them unless the file could not be read.
    read: Mutex<Vec<(u64, Read)>>,
}

impl Shelf {
    pub(super) fn new(merged: Vec<Merged>, until: u64) -> Arc<Self> {
        Arc::new(Self { merged, until, read: Mutex::default() })
    }

    /// A segment, from the merged file that holds it; `None` if it is to be read by itself. A store that gives no answer would give
    /// none to many more requests.
    pub(super) async fn segment(&self, journal: &Journal, number: u64, newest: u64) -> Result<Option<Segment>> {
        let at = self.merged.partition_point(|merged| merged.last < number);
        let Some(merged) = self.merged.get(at).filter(|merged| merged.segments().contains(&number)) else {
            return Ok(None);
        };
        let Some(read) = self.asked_for(merged, number, newest) else { return Ok(None) };
        let segments = read.get_or_try_init(async || match merged.read(journal).await {
            Ok(segments) => Ok(Some(Arc::new(segments))),
            Err(error) if error.kind() == ErrorKind::Unavailable => Err(error),
            Err(error) => {
                tracing::warn!(error = %Error::causes(&error), "a merged file cannot be read; its segments are");
                Ok(None)
            }
        });
        let at = usize::try_from(number - merged.first).unwrap_or(usize::MAX);
        let segment = segments.await?.as_ref().and_then(|segments| segments.get(at)).cloned();
        if number == merged.last {
            // Readers go forward, and those who follow the log never end.
            self.read.lock().unwrap_or_else(PoisonError::into_inner).retain(|(first, _)| *first != merged.first);
        }
        Ok(segment)
    }

    /// The place of a file that is read; `None` for one that is not worth it.
    fn asked_for(&self, merged: &Merged, number: u64, newest: u64) -> Option<Read> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = read.iter().find(|(first, _)| *first == merged.first) {
            return Some(known.clone());
        }
        if !worth(merged, number, self.until.min(newest)) {
            return None;
        }
        if read.len() == KEPT {
            read.remove(0);
        }
        let cell = Read::default();
        read.push((merged.first, cell.clone()));
        Some(cell)
    }
}

/// Whether a file is read for the segments from one up to another.
fn worth(merged: &Merged, from: u64, until: u64) -> bool {
    let wanted = merged.last.min(until).saturating_sub(from) + 1;
    wanted >= LEAST && merged.bytes <= wanted.saturating_mul(A_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_worth_it_for_many_of_its_segments_and_few_bytes() {
        let merged = |bytes| Merged { level: 1, first: 101, last: 400, rows: (1, 0), made: (0, 0), bytes, weight: 0 };
        for (bytes, from, until, is) in [
            (1 << 20, 101, u64::MAX, true),
            (1 << 20, 101, 400, true),
            (1 << 20, 397, 400, false),
            (1 << 10, 397, 400, true),
            (1 << 10, 398, 400, false),
            (9 << 20, 101, 400, true),
            (10 << 20, 101, 400, false),
            (9 << 20, 101, 300, false),
            (1 << 10, 101, 103, false),
        ] {
            assert_eq!(worth(&merged(bytes), from, until), is, "{bytes} bytes, {from} to {until}");
        }
    }
}
