//! Which segments are merged, and merging them.
//!
//! **Words**: a *piece* is a segment or a merged file; a *stretch* of a level is one of the equal parts of time that it is of, counted
//! from the epoch.
//!
//! **Invariants.** (1) What is merged is over: something stands behind it that is of a later stretch, or it is as much as may be in
//! memory at once [`plan`]. (2) Pieces are taken in their order and none is left out, so a merged file has no hole [`plan`].
//! (3) Not more than [`Levels::weight`] and one segment more are in memory at once [`Merger::step`]. (4) Nothing is deleted.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use hindcast_journal::{
    Journal, Result,
    checkpoint::Manifest,
    journal::Segment,
    level::{HIGHEST, Merged},
    parts::Micros,
};

/// Roughly how much memory a segment takes without its rows.
const BARE: u64 = 2 << 10;

/// How segments are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// How long a stretch of each level is, in microseconds; each is a multiple of the one before.
    pub lengths: [Micros; HIGHEST as usize],
    /// How many segments a file of the first level is made of at least: fewer wait for the next level.
    pub least: u64,
    /// Roughly how much memory what is merged at once may take; what is more becomes several files.
    pub weight: u64,
}

impl Default for Levels {
    fn default() -> Self {
        const MINUTE: Micros = 60_000_000;
        Self { lengths: [5 * MINUTE, 60 * MINUTE, 24 * 60 * MINUTE], least: 32, weight: 64 << 20 }
    }
}

/// A segment, of level 0, or a merged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its level.
    pub level: u8,
    /// Its first segment.
    pub first: u64,
    /// Its last segment.
    pub last: u64,
    /// When the newest of it was made.
    pub made: Micros,
    /// Roughly how much memory its rows take.
    pub weight: u64,
}

impl From<&Merged> for Piece {
    fn from(merged: &Merged) -> Self {
        let Merged { level, first, last, made, weight, .. } = *merged;
        let weight = weight.saturating_add((last - first + 1).saturating_mul(BARE));
        Self { level, first, last, made: made.1, weight }
    }
}

impl From<&Segment> for Piece {
    fn from(segment: &Segment) -> Self {
        let weight = BARE + segment.rows.iter().map(|row| row.weight() as u64).sum::<u64>();
        let number = segment.meta.segment;
        Self { level: 0, first: number, last: number, made: segment.meta.time, weight }
    }
}

/// A file that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Its level.
    pub level: u8,
    /// Its first segment.
    pub first: u64,
    /// Its last segment.
    pub last: u64,
}

/// The next file that is to be made of pieces, which follow one another.
pub fn plan(pieces: &[Piece], levels: &Levels) -> Option<Job> {
    // A clock that was ahead is shown to have been by what was made later.
    let mut made = Micros::MAX;
    let mut pieces: Vec<Piece> = pieces.to_vec();
    for piece in pieces.iter_mut().rev() {
        made = made.min(piece.made);
        piece.made = made;
    }
    (1..).zip(levels.lengths).find_map(|(level, length)| plan_level(&pieces, level, length, levels))
}

fn plan_level(pieces: &[Piece], level: u8, length: Micros, levels: &Levels) -> Option<Job> {
    let mut at = 0;
    while let Some(piece) = pieces.get(at) {
        let stretch = piece.made.div_euclid(length);
        if piece.level >= level {
            at += 1;
            continue;
        }
        let (mut end, mut weight) = (at, 0_u64);
        let (mut over, mut full) = (false, false);
        while let Some(next) = pieces.get(end) {
            over = next.level >= level || next.made.div_euclid(length) > stretch;
            full = end > at && weight.saturating_add(next.weight) > levels.weight;
            if over || full {
                break;
            }
            weight = weight.saturating_add(next.weight);
            end += 1;
        }
        full |= weight > levels.weight;
        let (Some(first), Some(last)) = (pieces.get(at), end.checked_sub(1).and_then(|end| pieces.get(end))) else {
            return None;
        };
        let enough = match level {
            // What fills memory by itself cannot wait for more.
            1 => full || last.last - first.first + 1 >= levels.least,
            HIGHEST => true,
            _ => end - at > 1,
        };
        if (over || full) && enough {
            return Some(Job { level, first: first.first, last: last.last });
        }
        if !(over || full) {
            return None;
        }
        at = end;
    }
    None
}

/// Everything that is to be made of what is in a journal, in that order.
pub async fn due(journal: &Journal, levels: &Levels) -> Result<Vec<Job>> {
    let manifest = Manifest::read(journal).await?;
    let numbers = journal.segments_after(begin(journal, &manifest).await?.saturating_sub(1)).await?;
    let open = manifest.merged.iter().filter(|merged| merged.first >= numbers.start);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut next = numbers.start;
    for merged in open {
        add_raw(journal, next..merged.first, &mut pieces).await?;
        pieces.push(Piece::from(merged));
        next = merged.last + 1;
    }
    add_raw(journal, next..numbers.end, &mut pieces).await?;
    let mut jobs = Vec::new();
    while let Some(job) = plan(&pieces, levels) {
        let held = |piece: &Piece| job.first <= piece.first && piece.last <= job.last;
        let at = pieces.iter().position(held).unwrap_or(0);
        let own: Vec<Piece> = pieces.iter().filter(|piece| held(piece)).copied().collect();
        pieces.retain(|piece| !held(piece));
        let made = own.iter().map(|piece| piece.made).max().unwrap_or(0);
        let weight = own.iter().map(|piece| piece.weight).sum();
        pieces.insert(at, Piece { level: job.level, first: job.first, last: job.last, made, weight });
        jobs.push(job);
    }
    Ok(jobs)
}

/// The first segment that is to be merged: what stands before it is of the highest level.
async fn begin(journal: &Journal, manifest: &Manifest) -> Result<u64> {
    let done = manifest.merged_up_to(journal).await?.map_or(1, |last| last + 1).max(journal.boundary().await?);
    Ok(if done > 1 { done } else { journal.segments_after(0).await?.start })
}

/// Adds segments, of which only what is to be known for a plan stays in memory.
async fn add_raw(journal: &Journal, numbers: std::ops::Range<u64>, pieces: &mut Vec<Piece>) -> Result<()> {
    let mut segments = Box::pin(journal.read(numbers));
    while let Some(segment) = segments.try_next().await? {
        pieces.push(Piece::from(&segment));
    }
    Ok(())
}

/// Merges behind a writer.
#[derive(Debug)]
pub struct Merger {
    levels: Levels,
    /// The segments that were read and are in no merged file.
    raw: BTreeMap<u64, Segment>,
    /// Up to which moment it has looked.
    looked: Option<Micros>,
    /// A file that was made and is not named, since another one holds a part of it.
    refused: Option<Job>,
    /// The first segment that is in no file of the highest level, as far as that was known.
    begin: Option<u64>,
}

impl Merger {
    /// One that has not looked yet.
    pub fn new(levels: Levels) -> Self {
        Self { levels, raw: BTreeMap::new(), looked: None, refused: None, begin: None }
    }

    /// Whether it is worth to look: a stretch of the first level has passed since the last time, or so much has come.
    pub fn is_due(&self, now: Micros, bytes: u64) -> bool {
        let stretch = |time: Micros| time.div_euclid(self.levels.lengths[0]);
        // A file's bytes are a good deal fewer than what its rows take in memory.
        self.looked.is_none_or(|looked| stretch(looked) != stretch(now))
            || bytes.saturating_mul(8) >= self.levels.weight
    }

    /// Makes the next file, if one is to be made of what there is up to a segment.
    pub async fn step(&mut self, journal: &Journal, newest: u64) -> Result<Option<Merged>> {
        self.looked = Some(journal.parts().clock.now());
        let manifest = Manifest::read(journal).await?;
        // What is of the highest level is done with.
        let done = manifest.merged.iter().rfind(|merged| merged.level == HIGHEST).map(|merged| merged.last + 1);
        let begin = match done.or(self.begin) {
            Some(begin) => begin,
            // Only pages, all of them, can say so: they are asked once.
            None => begin(journal, &manifest).await?,
        };
        self.begin = Some(begin);
        let open: Vec<Merged> = manifest.merged.into_iter().filter(|merged| merged.first >= begin).collect();
        let held = |number: u64| open.iter().any(|merged| merged.segments().contains(&number));
        self.raw.retain(|number, _| *number >= begin && !held(*number));
        let mut pieces = Vec::new();
        let mut next = begin;
        let mut weight = 0;
        let mut merged = open.iter();
        while next <= newest && weight <= self.levels.weight {
            match merged.as_slice().first().filter(|merged| merged.first <= next) {
                Some(own) => {
                    pieces.push(Piece::from(own));
                    next = own.last + 1;
                    merged.next();
                }
                None => {
                    let end = merged.as_slice().first().map_or(newest, |merged| merged.first - 1).min(newest);
                    next = self.read(journal, next..end + 1, &mut pieces, &mut weight).await?;
                }
            }
        }
        let Some(job) = plan(&pieces, &self.levels).filter(|job| self.refused != Some(*job)) else { return Ok(None) };
        let of = job.first..job.last + 1;
        let own: Vec<Segment> = self.raw.range(of.clone()).map(|(_, segment)| segment.clone()).collect();
        let segments = match own.len() as u64 == job.last - job.first + 1 {
            true => own,
            false => journal.segments(of).await?,
        };
        let merged = Merged::write(journal, job.level, &segments).await?;
        if !Manifest::add_merged(journal, merged.clone()).await? {
            self.refused = Some(job);
            return Ok(None);
        }
        Ok(Some(merged))
    }

    /// Reads segments, those that it has not, until they take as much memory as they may; the number of the next.
    async fn read(
        &mut self,
        journal: &Journal,
        numbers: std::ops::Range<u64>,
        pieces: &mut Vec<Piece>,
        weight: &mut u64,
    ) -> Result<u64> {
        let known = numbers.clone().take_while(|number| self.raw.contains_key(number)).count() as u64;
        let missing = numbers.start + known..numbers.end;
        let known = self.raw.range(numbers.start..missing.start).map(|(_, segment)| Piece::from(segment));
        pieces.extend(known.inspect(|piece| *weight += piece.weight));
        let mut next = missing.start;
        let mut segments = Box::pin(journal.read(missing));
        while *weight <= self.levels.weight {
            let Some(segment) = segments.try_next().await? else { break };
            let piece = Piece::from(&segment);
            *weight += piece.weight;
            pieces.push(piece);
            next = segment.meta.segment + 1;
            self.raw.insert(segment.meta.segment, segment);
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests;
