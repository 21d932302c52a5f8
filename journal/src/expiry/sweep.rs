//! Removing what has expired.
//!
//! **Invariants.** (1) Only what the manifest lets go is removed: segments and merged files below where the log begins, and checkpoints
//! below the base that are not kept [`leftovers`]. (2) Not before `age` has passed since the manifest said so [`sweep`]. (3) The boundary
//! is moved first, so that a writer that slept for long finds out (`writer.rs`). (4) What a process that died left is removed by the
//! next one: what is left is found by listing.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;

use super::Statement;
use crate::{Journal, Position, Result, checkpoint::Manifest, layout::Layout, parts::Micros};

/// Removals at once.
const AT_ONCE: usize = 8;

/// What has expired and is still there, or was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// Segments.
    pub segments: u64,
    /// Merged files.
    pub files: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// How large they are.
    pub bytes: u64,
}

impl Left {
    /// Whether there is nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What is in the bucket below where a log is to begin, and below a base, but for the kept positions.
pub async fn leftovers(
    journal: &Journal,
    segment: u64,
    base: Position,
    kept: &BTreeSet<Position>,
) -> Result<(Left, Vec<Path>)> {
    let (store, layout) = (journal.store(), journal.store().layout());
    let (mut left, mut paths) = (Left::default(), Vec::new());
    if segment > 1 {
        for found in store.list(&layout.segments(), None).await? {
            if Layout::number(&found.path).is_some_and(|number| number < segment) {
                left.segments += 1;
                left.bytes += found.size;
                paths.push(found.path);
            }
        }
        for found in store.list(&layout.levels(), None).await? {
            if Layout::numbers(found.path.as_ref()).is_some_and(|(_, _, last)| last < segment) {
                left.files += 1;
                left.bytes += found.size;
                paths.push(found.path);
            }
        }
    }
    for found in store.list(&layout.checkpoints(), None).await? {
        if Layout::number(&found.path).is_some_and(|pos| pos < base && !kept.contains(&pos)) {
            left.checkpoints += 1;
            left.bytes += found.size;
            paths.push(found.path);
        }
    }
    Ok((left, paths))
}

/// Removes what the manifest has let go for `age`, or, where nothing may be deleted, only lets others know that it may be gone. What
/// was removed, or is there to be removed.
pub async fn sweep(journal: &Journal, age: Duration, delete: bool) -> Result<Left> {
    let manifest = Manifest::read(journal).await?;
    let Some(expired) = manifest.expired() else { return Ok(Left::default()) };
    let age = Micros::try_from(age.as_micros()).unwrap_or(Micros::MAX);
    if journal.parts().clock.now() < expired.time.saturating_add(age) {
        return Ok(Left::default());
    }
    let statement = Statement::named(journal, expired).await?;
    let kept = statement.kept.iter().map(|kept| kept.checkpoint.pos).collect();
    journal.move_boundary(expired.segment).await?;
    let (left, paths) = leftovers(journal, expired.segment, expired.base, &kept).await?;
    if delete {
        let one = |path: Path| {
            let store = journal.store().clone();
            async move { store.remove(&path).await }
        };
        // Segments go first: what is left of a day that way is not made anew of them.
        futures::stream::iter(paths).map(one).buffered(AT_ONCE).try_collect::<Vec<()>>().await?;
    }
    Ok(left)
}
