//! Which segments are read from merged files, and those that were.
//!
//! **Invariants.** (1) A merged file is read once, however many ask for its segments at once [`Shelf::segment`]. (2) Not more than
//! a few are kept, and none that was read to its end: readers go forward. (3) Nobody reads a file that is much larger than what is
//! wanted of it [`worth`], unless the segments are gone [`Shelf::instead`]. (4) Bundles serve where no merged file holds the
//! segments, and make no other file [`Shelf::without_bundles`].

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::OnceCell;

use crate::{
    Error, Journal, Position, Result, bundle,
    checkpoint::Manifest,
    error::ErrorKind,
    journal::Segment,
    level::{Asked, HIGHEST, Merged, Outline},
};

/// How many bytes more are read for one request less.
const A_REQUEST: u64 = 32 << 10;
/// How many requests fewer are worth a file of another kind at all.
const LEAST: u64 = 4;
/// After how many blocks without a bundle no more are looked for: each look holds its segments up, and an earlier version
/// wrote none.
const MISSED: u64 = 2;
/// Files that are kept.
const KEPT: usize = 3;

type Read = Arc<OnceCell<Option<Arc<Vec<Segment>>>>>;
type Outlined = Arc<OnceCell<Option<Arc<Outline>>>>;

/// The merged files of what is being read.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// Those that may hold some of it, oldest first.
    merged: Mutex<Arc<Vec<Merged>>>,
    /// The last segment that is likely to be wanted.
    until: u64,
    /// Those that were asked for, newest last: level and first segment, and all of its segments unless the file could not be read.
    read: Mutex<Vec<((u8, u64), Read)>>,
    /// Segments below this one are gone, or do not count.
    gone: AtomicU64,
    /// The moment that is looked for, and the first segment that is read, if no more than outlines of files are wanted.
    asked: Option<(Asked, u64)>,
    /// The outlines, by level and first segment; `None` for one that could not be read.
    outlines: Mutex<Vec<((u8, u64), Outlined)>>,
    /// Whether bundles serve.
    bundles: bool,
    /// How many blocks in a row had none.
    missed: AtomicU64,
}

impl Shelf {
    pub(super) fn new(merged: Vec<Merged>, until: u64) -> Arc<Self> {
        Arc::new(Self { merged: Mutex::new(Arc::new(merged)), until, bundles: true, ..Self::default() })
    }

    /// One for whoever makes another file of what it reads.
    pub(super) fn without_bundles(merged: Vec<Merged>, until: u64) -> Arc<Self> {
        Arc::new(Self { merged: Mutex::new(Arc::new(merged)), until, ..Self::default() })
    }

    /// One for whoever looks for a moment, from a segment on.
    pub(super) fn outlining(merged: Vec<Merged>, until: u64, asked: Asked, from: u64) -> Arc<Self> {
        let merged = Mutex::new(Arc::new(merged));
        Arc::new(Self { merged, until, asked: Some((asked, from)), bundles: true, ..Self::default() })
    }

    /// The same files for whoever wants all of them.
    pub(super) fn in_full(&self) -> Arc<Self> {
        let gone = AtomicU64::new(self.gone.load(Ordering::Relaxed));
        let (merged, until, bundles) = (Mutex::new(self.merged()), self.until, self.bundles);
        Arc::new(Self { merged, until, gone, bundles, ..Self::default() })
    }

    /// The outline of the file that holds a segment; `None` if none is wanted, or to be had.
    pub(super) async fn outline(&self, journal: &Journal, number: u64) -> Result<Option<Arc<Outline>>> {
        let Some((asked, from)) = self.asked else { return Ok(None) };
        let Some(merged) = self.holding(number) else { return Ok(None) };
        let Some(cell) = self.outlined(&merged, number) else { return Ok(None) };
        let read = cell.get_or_try_init(async || {
            match Outline::read(journal, &merged, asked, from).await {
                Ok(outline) => return Ok(outline.map(Arc::new)),
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                // It was merged on, and removed.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(error = %Error::causes(&error), "a merged file cannot be read; its segments are");
                }
            }
            // What is left of them below the boundary does not count, and nobody has asked yet where that is.
            self.gone_below(journal.boundary().await?);
            Ok(None)
        });
        read.await.cloned()
    }

    /// The place of an outline; `None` for one that takes about as many requests as what is wanted of it.
    fn outlined(&self, merged: &Merged, number: u64) -> Option<Outlined> {
        let of = (merged.level, merged.first);
        let mut outlines = self.outlines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = outlines.iter().find(|(known, _)| *known == of) {
            return Some(known.clone());
        }
        let wanted = merged.last.min(self.until).saturating_sub(number) + 1;
        // What is of the highest level is likely to be gone otherwise.
        if merged.footer.is_none() || (wanted < LEAST && merged.level < HIGHEST) {
            return None;
        }
        let cell = Outlined::default();
        outlines.push((of, cell.clone()));
        Some(cell)
    }

    /// The first segment that is in one of them.
    pub(super) fn first(&self) -> Option<u64> {
        self.merged().first().map(|merged| merged.first)
    }

    /// The file that holds a position, if one is known to.
    pub(super) fn of_position(&self, pos: Position) -> Option<Merged> {
        self.merged().iter().find(|merged| merged.rows.0 <= pos && pos <= merged.rows.1).cloned()
    }

    /// Those that are known.
    pub(super) fn merged(&self) -> Arc<Vec<Merged>> {
        self.merged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The file that holds a segment, if one is known to.
    pub(super) fn holding(&self, number: u64) -> Option<Merged> {
        let merged = self.merged();
        let at = merged.partition_point(|merged| merged.last < number);
        merged.get(at).filter(|merged| merged.segments().contains(&number)).cloned()
    }

    /// A segment, from the merged file that holds it; `None` if it is to be read by itself. A store that gives no answer would give
    /// none to many more requests.
    pub(super) async fn segment(&self, journal: &Journal, number: u64, newest: u64) -> Result<Option<Segment>> {
        if let Some(outline) = self.outline(journal, number).await?
            && let Some(segment) = outline.segment(number)
        {
            return Ok(Some(segment));
        }
        let Some(merged) = self.holding(number) else { return self.bundled(journal, number, newest).await };
        let Some(read) = self.asked_for(&merged, number, Some(newest)) else { return Ok(None) };
        let segments = read.get_or_try_init(async || match merged.read(journal).await {
            Ok(segments) => Ok(Some(Arc::new(segments))),
            Err(error) if error.kind() == ErrorKind::Unavailable => Err(error),
            // It was merged on, and removed.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                tracing::warn!(error = %Error::causes(&error), "a merged file cannot be read; its segments are");
                Ok(None)
            }
        });
        let segment = segments.await?.as_ref().and_then(|segments| one_of(segments, &merged, number));
        if number == merged.last {
            self.forget((merged.level, merged.first));
        }
        Ok(segment)
    }

    /// Keeps a file no longer: readers go forward, and those who follow the log never end.
    fn forget(&self, of: (u8, u64)) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _)| *known != of);
    }

    /// A segment that no merged file holds, of the bundle of its block; `None` if that is not there yet, is not worth it, or does
    /// not prove itself.
    async fn bundled(&self, journal: &Journal, number: u64, newest: u64) -> Result<Option<Segment>> {
        let block = bundle::block(number);
        let (first, last) = (*block.start(), *block.end());
        let missed = self.missed.load(Ordering::Relaxed) >= MISSED;
        if !self.bundles || missed || last > newest || self.is_gone(first) {
            return Ok(None);
        }
        let of = (bundle::LEVEL, first);
        let cell = {
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            match read.iter().find(|(known, _)| *known == of) {
                Some((_, known)) => known.clone(),
                None if last.min(self.until).saturating_sub(number) + 1 < LEAST => return Ok(None),
                None => {
                    if read.len() == KEPT {
                        read.remove(0);
                    }
                    let cell = Read::default();
                    read.push((of, cell.clone()));
                    cell
                }
            }
        };
        let prove = async || {
            let held = bundle::proven(journal, block).await?;
            match held {
                Some(_) => self.missed.store(0, Ordering::Relaxed),
                None => _ = self.missed.fetch_add(1, Ordering::Relaxed),
            }
            Ok::<_, Error>(held.map(Arc::new))
        };
        let segments = cell.get_or_try_init(prove).await?;
        let at = usize::try_from(number - first).unwrap_or(usize::MAX);
        let segment = segments.as_ref().and_then(|segments| segments.get(at).cloned());
        if number == last {
            self.forget(of);
        }
        Ok(segment)
    }

    /// Notes the boundary: what stands below it is not to be believed, for a writer that slept may have written it.
    pub(super) fn gone_below(&self, boundary: u64) {
        self.gone.fetch_max(boundary, Ordering::Relaxed);
    }

    /// Whether a segment is known not to be there by itself any more.
    pub(super) fn is_gone(&self, number: u64) -> bool {
        number < self.gone.load(Ordering::Relaxed)
    }

    /// A segment that is not there by itself any more; `None` if no merged file has it.
    pub(super) async fn instead(&self, journal: &Journal, number: u64) -> Result<Option<Segment>> {
        if let Some(merged) = self.holding(number) {
            match self.read(journal, &merged, number).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                read => return read,
            }
        }
        // What was known is old: it was merged on, and removed, meanwhile.
        let newer = Manifest::read(journal).await?.merged_from(journal, number, true).await?;
        let held = newer.iter().find(|merged| merged.segments().contains(&number)).cloned();
        if held.is_some() {
            *self.merged.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(newer);
        }
        if let Some(merged) = held {
            match self.read(journal, &merged, number).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                read => return read,
            }
        }
        // No manifest names it that can be read: its name says what it is of.
        let named = Merged::of_days(journal).await?;
        let Some((first, last)) = named.into_iter().find(|(first, last)| (*first..=*last).contains(&number)) else {
            return Ok(None);
        };
        self.read(journal, &Merged::named(first, last), number).await
    }

    /// A segment of a file, whatever else is to be read of that.
    async fn read(&self, journal: &Journal, merged: &Merged, number: u64) -> Result<Option<Segment>> {
        let cell = self.asked_for(merged, number, None).unwrap_or_default();
        let segments =
            match cell.get_or_try_init(async || merged.read(journal).await.map(|s| Some(Arc::new(s)))).await? {
                Some(segments) => segments.clone(),
                // It could not be read before: whoever needs it is told why.
                None => Arc::new(merged.read(journal).await?),
            };
        self.gone.fetch_max(merged.last + 1, Ordering::Relaxed);
        Ok(one_of(&segments, merged, number))
    }

    /// The place of a file that is read; `None` for one that is not worth it, if it need not be.
    fn asked_for(&self, merged: &Merged, number: u64, newest: Option<u64>) -> Option<Read> {
        let of = (merged.level, merged.first);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = read.iter().find(|(known, _)| *known == of) {
            return Some(known.clone());
        }
        if newest.is_some_and(|newest| !worth(merged, number, self.until.min(newest))) {
            return None;
        }
        if read.len() == KEPT {
            read.remove(0);
        }
        let cell = Read::default();
        read.push((of, cell.clone()));
        Some(cell)
    }
}

fn one_of(segments: &[Segment], merged: &Merged, number: u64) -> Option<Segment> {
    let at = usize::try_from(number.checked_sub(merged.first)?).ok()?;
    segments.get(at).cloned()
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
        let merged = |bytes| Merged {
            level: 1,
            first: 101,
            last: 400,
            rows: (1, 0),
            made: (0, 0),
            bytes,
            footer: None,
            weight: 0,
        };
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
