//! Removing what merged files hold too: raw segments, and merged files of lower levels.
//!
//! **Invariants.**
//! 1. Only what stands below the boundary is removed, and that is moved only over named files of the highest level that follow one
//!    another from it without a hole. Each of them is read again, as a whole, right before: it has every row, in a chain that
//!    goes on from the file before and begins and ends as its own segments say [`Trim::execute`]. One that does not is made
//!    anew of its segments, all of which are still there.
//! 2. The boundary is written before anything is removed. A writer that slept for long looks at it after its create
//!    (`writer.rs`), and readers then read merged files instead (`read/shelf.rs`).
//! 3. The newest segment stays, so that the log has an end [`Trim::plan`].
//! 4. What a process that died left is removed by the next one [`sweep`].
//! 5. What the Delta Lake table still names is not removed: whoever keeps that table asks it first ([`crate::delta`]).
//!
//! Not here: when that is due (`compactor`).

use std::ops::Range;

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;

use crate::{
    Error, Journal, Result, bundle,
    checkpoint::Manifest,
    error::ErrorKind,
    journal::{Link, Segment},
    layout::Layout,
    level::{HIGHEST, Merged},
    parts::Micros,
};

/// Removals at once.
const AT_ONCE: usize = 8;

/// What is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trim {
    /// The segments.
    pub segments: Range<u64>,
    /// The files that hold them, oldest first.
    pub files: Vec<Merged>,
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trimmed {
    /// Raw segments.
    pub segments: u64,
    /// Merged files of lower levels.
    pub files: u64,
}

impl std::ops::Add for Trimmed {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { segments: self.segments + other.segments, files: self.files + other.files }
    }
}

impl Trim {
    /// What may be removed of what was made before a moment; `None` for nothing.
    pub async fn plan(journal: &Journal, before: Micros) -> Result<Option<Self>> {
        let begin = match journal.boundary().await? {
            1 => journal.segments_after(0).await?.start,
            boundary => boundary,
        };
        let mut files = Manifest::read(journal).await?.merged_from(journal, begin, true).await?;
        // A clock that was ahead is shown to have been by what was made later.
        let mut made = Micros::MAX;
        for file in files.iter_mut().rev() {
            made = made.min(file.made.1);
            file.made.1 = made;
        }
        let mut next = begin;
        let mut follows = |file: &Merged| {
            let fits = file.level == HIGHEST && file.segments().contains(&next) && file.made.1 < before;
            next = if fits { file.last + 1 } else { next };
            fits
        };
        let count = files.iter().take_while(|file| follows(file)).count();
        files.truncate(count);
        if let Some(last) = files.last()
            && !journal.store().exists(&journal.store().layout().segment(last.last + 1)).await?
        {
            files.pop();
        }
        let end = files.last().map(|last| last.last + 1);
        Ok(end.map(|end| Self { segments: begin..end, files }))
    }

    /// Proves each file, moves the boundary behind it, and removes what stands below. What cannot be proven ends it.
    pub async fn execute(&self, journal: &Journal) -> Result<Trimmed> {
        let (mut link, mut proven, mut failed) = (Link::default(), None, None);
        for file in &self.files {
            match prove(journal, file, &mut link).await {
                Ok(()) => proven = Some(file.last + 1),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let mut trimmed = Trimmed::default();
        if let Some(boundary) = proven {
            journal.move_boundary(boundary).await?;
            let layout = journal.store().layout();
            let raw = (self.segments.start..boundary).map(|number| layout.segment(number));
            trimmed.segments = remove(journal, raw).await?;
            trimmed.files = remove_lower(journal, boundary).await?;
        }
        failed.map_or(Ok(trimmed), Err)
    }
}

/// Removes what a process that died left of what it was to remove: how much of it.
pub async fn sweep(journal: &Journal) -> Result<Trimmed> {
    let boundary = journal.boundary().await?;
    let layout = journal.store().layout();
    // The oldest go first, a few at once, so what is left reaches up to the boundary.
    let (mut low, mut high) = (1, boundary);
    while low < high {
        let middle = u64::midpoint(low, high);
        match journal.store().exists(&layout.segment(middle)).await? {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    let from = low.saturating_sub(2 * AT_ONCE as u64).max(1);
    let mut left = Vec::new();
    for number in from..boundary {
        // All behind the first that is left are.
        if number >= low || journal.store().exists(&layout.segment(number)).await? {
            left.push(number);
        }
    }
    let segments = remove(journal, left.into_iter().map(|number| layout.segment(number))).await?;
    Ok(Trimmed { segments, files: if boundary > 1 { remove_lower(journal, boundary).await? } else { 0 } })
}

/// Reads a file again: it is of its segments, in one chain with the file before. If it is not, it is made anew.
async fn prove(journal: &Journal, file: &Merged, link: &mut Link) -> Result<()> {
    let said = match check(journal, file, link).await {
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => error,
        checked => return checked,
    };
    tracing::warn!(error = %Error::causes(&said), "a merged file is made anew of its segments");
    let raw: Vec<Segment> = match journal.read(file.first..file.last + 1).try_collect().await {
        Ok(raw) => raw,
        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
        // They are not all there, so nothing is better than what is.
        Err(_) => return Err(said.with_hint("its segments are kept; put it back from a copy of the bucket")),
    };
    let path = journal.store().layout().merged(file.level, file.first, file.last);
    journal.store().remove(&path).await?;
    Merged::write(journal, file.level, &raw).await?;
    check(journal, file, link).await
}

async fn check(journal: &Journal, file: &Merged, link: &mut Link) -> Result<()> {
    let segments = file.read(journal).await?;
    let mut next = link.clone();
    for segment in &segments {
        next.check(&segment.meta)?;
    }
    for held in [segments.first(), segments.last()].into_iter().flatten() {
        match journal.segment(held.meta.segment).await {
            Ok(raw) if raw.meta == held.meta => {}
            Ok(_) => {
                let path = journal.store().layout().merged(file.level, file.first, file.last);
                return Err(Error::corrupt(
                    path.to_string(),
                    format!("does not say what segment {} says", held.meta.segment),
                ));
            }
            // It was removed once the boundary stood behind it, which was then lost.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    *link = next;
    Ok(())
}

/// Removes the merged files of lower levels that end below a segment.
async fn remove_lower(journal: &Journal, boundary: u64) -> Result<u64> {
    let mut paths: Vec<Path> = Vec::new();
    for level in bundle::LEVEL..HIGHEST {
        let folder = journal.store().layout().levels().join(level.to_string());
        let listed = journal.store().list(&folder, None).await?;
        let lower =
            |path: &Path| Layout::numbers(path.as_ref()).is_some_and(|(of, _, last)| of == level && last < boundary);
        paths.extend(listed.into_iter().map(|listed| listed.path).filter(lower));
    }
    remove(journal, paths.into_iter()).await
}

/// Removes objects, the first ones first; how many.
async fn remove(journal: &Journal, paths: impl Iterator<Item = Path>) -> Result<u64> {
    let one = |path: Path| {
        let store = journal.store().clone();
        async move { store.remove(&path).await }
    };
    let removed = futures::stream::iter(paths).map(one).buffered(AT_ONCE);
    removed.try_fold(0, |count, ()| std::future::ready(Ok(count + 1))).await
}
