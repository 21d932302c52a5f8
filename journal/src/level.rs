//! Merged files: the rows of many segments in one, sorted by object, so that a long log is few files and few requests.
//!
//! **Words**: a *merged file* holds the rows of consecutive segments. Its *level* says how long a stretch of time it is of: the
//! stretches of a level are aligned, and each level's are whole multiples of those of the level below. Its *marks* say of
//! each segment where it ended and how far the log was closed with it.
//!
//! **Format.** `log/<level>/<first segment>-<last segment>.parquet`, 20 digits each: by segments and not by positions, since idle
//! stretches have no rows and follow one another. The columns are those of segments. The journal's own facts come first, in row
//! groups of their own; rows of objects are sorted by `namespace`, `group`, `resource`, `name` and `pos`. A `base_rv` of −1 says
//! that the base is the row before it in its row group, whose `rv` and `state_hash` are its `base_rv` and `base_hash`. The
//! metadata hold `level`, `marks` and `kinds` (JSON, zstd, base64), `facts` (how many row groups of facts there are), `index` (the
//! first object of each other) and `groups` (where each stands, and its SHA-256).
//!
//! **Invariants.**
//! 1. A merged file says what its segments said and nothing else: read, it gives the same segments, chain value by chain
//!    value [`Merged::read`].
//! 2. Its bytes follow from its segments and level alone, so two processes that make one make the same [`Merged::write`].
//! 3. It is found through the manifest, which is written after it; there no two overlap, and of a lower level's files
//!    that one of a higher level holds too, that one alone is named (`checkpoint/manifest.rs`). Only where its segments are
//!    gone and no manifest names it, its name says what it is of (`read/shelf.rs`).
//! 4. Of a few objects it is read without the rest [`Merged::excerpt`]: the manifest has the digest of its footer, and
//!    that has those of the row groups.
//! 5. Where a moment lies in the log is found without what its rows say of objects (`level/outline.rs`): the `kinds` sum up in
//!    what time its rows are (`level/kinds.rs`), and where that does not tell, their bounds do.
//! 6. While its segments are there too, nothing depends on it: what cannot be read of it is read of them
//!    (`read/rows.rs`).
//!
//! Not here: when to make one (`compactor`), removing what a merged file holds too (`trim`).

mod asked;
mod file;
mod kinds;
mod outline;

use std::ops::RangeInclusive;

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    asked::{Asked, OUTLINE},
    outline::Outline,
};
use crate::{
    Error, Journal, Position, Result,
    error::ErrorKind,
    fold::Scope,
    journal::Segment,
    partly::{self, Extent, Footer, Partly},
    parts::Micros,
    segment,
    store::Put,
};

/// The highest level.
pub const HIGHEST: u8 = 3;

/// A merged file, as the manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// Its level, from 1.
    pub level: u8,
    /// Its first segment.
    pub first: u64,
    /// Its last segment.
    pub last: u64,
    /// The positions of its rows; of one without rows, the next one and one less.
    pub rows: (Position, Position),
    /// The moments from and to which its segments were made.
    pub made: (Micros, Micros),
    /// Its size.
    pub bytes: u64,
    /// The size of its footer, and the footer's SHA-256. An earlier version did not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<(u64, String)>,
    /// Roughly how much memory its rows take.
    pub weight: u64,
}

impl Merged {
    /// Its segments.
    pub fn segments(&self) -> RangeInclusive<u64> {
        self.first..=self.last
    }

    /// Whether it holds all that another holds.
    pub fn holds(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// Whether it holds some of what another holds.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// A file of the highest level of which only its name is known.
    pub(crate) fn named(first: u64, last: u64) -> Self {
        let nothing = (Position::default(), Position::default());
        Self { level: HIGHEST, first, last, rows: nothing, made: (0, 0), bytes: 0, footer: None, weight: 0 }
    }

    /// Merges segments, which follow one another, into a file, which is still to be named in the manifest. What stands under its
    /// name already is taken if it says the same.
    pub async fn write(journal: &Journal, level: u8, segments: &[Segment]) -> Result<Self> {
        let (merged, bytes) = file::build(level, segments)?;
        let path = journal.store().layout().merged(level, merged.first, merged.last);
        match journal.store().create(&path, bytes).await? {
            Put::Created => Ok(merged),
            Put::Exists => Self::standing_for(journal, merged, segments).await,
        }
    }

    /// The file that stands under the name of one, if it has the same segments. An earlier version may have other bytes for them.
    async fn standing_for(journal: &Journal, wanted: Self, segments: &[Segment]) -> Result<Self> {
        let path = journal.store().layout().merged(wanted.level, wanted.first, wanted.last);
        let hint = "move that file away: it takes the name of a merged file, which is left out";
        let opened = Self::open(journal, &path, wanted.segments()).await;
        let stands = opened.map_err(|e| if e.kind() == ErrorKind::Corrupt { e.with_hint(hint) } else { e })?;
        // They are as many, and of the same numbers.
        let same = |(a, b): (&Segment, &Segment)| a.meta == b.meta;
        match stands.segments.iter().zip(segments).all(same) {
            true => Ok(Self { bytes: stands.size, footer: stands.footer, ..wanted }),
            false => Err(of_others(&path).with_hint(hint)),
        }
    }

    /// The segments it holds, as they were.
    pub async fn read(&self, journal: &Journal) -> Result<Vec<Segment>> {
        Self::read_named(journal, self.level, self.segments()).await
    }

    /// The segments that a merged file of this name holds.
    pub async fn read_named(journal: &Journal, level: u8, numbers: RangeInclusive<u64>) -> Result<Vec<Segment>> {
        let path = journal.store().layout().merged(level, *numbers.start(), *numbers.end());
        Ok(Self::open(journal, &path, numbers).await?.segments)
    }

    /// The files of the highest level by their names, as first and last segment, oldest first: what is found of them whatever
    /// the manifest says.
    pub(crate) async fn of_days(journal: &Journal) -> Result<Vec<(u64, u64)>> {
        let folder = journal.store().layout().levels().join(HIGHEST.to_string());
        let listed = journal.store().list(&folder, None).await?;
        let named = listed.iter().filter_map(|found| crate::layout::Layout::numbers(found.path.as_ref()));
        Ok(named.map(|(_, first, last)| (first, last)).collect())
    }

    /// The facts in it and what of its objects a scope wants, as one run without the rest: what is known of the log at its end is
    /// what is known at the end of its last segment. `None` if it does not say where its parts are.
    pub(crate) async fn excerpt(&self, journal: &Journal, scope: &Scope) -> Result<Option<Segment>> {
        let Some(file) = self.partly(journal).await? else { return Ok(None) };
        file::excerpt(journal, &file, scope).await.map(Some)
    }

    /// The file with its footer alone; `None` if the manifest does not say where that is.
    async fn partly(&self, journal: &Journal) -> Result<Option<Partly>> {
        let Some(footer) = &self.footer else { return Ok(None) };
        let path = journal.store().layout().merged(self.level, self.first, self.last);
        let file = Partly::open(journal, path.clone(), self.bytes, footer).await?;
        match (file.meta.segment, file.meta.first, file.meta.last) == (self.last, self.rows.0, self.rows.1) {
            true => Ok(Some(file)),
            false => Err(of_others(&path)),
        }
    }

    /// What its footer says of its rows.
    pub(crate) async fn statistics(&self, journal: &Journal) -> Result<Extent> {
        let path = journal.store().layout().merged(self.level, self.first, self.last);
        let file = match &self.footer {
            Some(footer) => Partly::open(journal, path, self.bytes, footer).await?,
            None => {
                let bytes = journal.store().get(&path).await?;
                segment::check_digest(path.as_ref(), &bytes)?;
                Partly::whole(journal, path, bytes)?
            }
        };
        file.statistics()
    }

    /// The file that a merged file of this name stands in, the segments in it, and the bytes that this version makes of
    /// those: for whoever proves it.
    pub(crate) async fn proven(
        journal: &Journal,
        level: u8,
        numbers: RangeInclusive<u64>,
    ) -> Result<(Bytes, Vec<Segment>, Self, Bytes)> {
        let path = journal.store().layout().merged(level, *numbers.start(), *numbers.end());
        let bytes = journal.store().get(&path).await?;
        let segments = file::open(path.as_ref(), journal.cluster(), bytes.clone())?;
        let held = segments.first().zip(segments.last()).map(|(a, b)| a.meta.segment..=b.meta.segment);
        if held != Some(numbers) {
            return Err(of_others(&path));
        }
        let (merged, made) = file::build(level, &segments)?;
        Ok((bytes, segments, merged, made))
    }

    /// The segments that a file holds, which are those of its name, and its size and footer.
    async fn open(journal: &Journal, path: &Path, numbers: RangeInclusive<u64>) -> Result<Opened> {
        let bytes = journal.store().get(path).await?;
        let (size, footer) = (bytes.len() as u64, partly::footer(&bytes));
        let segments = file::open(path.as_ref(), journal.cluster(), bytes)?;
        let held = segments.first().zip(segments.last()).map(|(a, b)| a.meta.segment..=b.meta.segment);
        if held == Some(numbers) { Ok(Opened { size, footer, segments }) } else { Err(of_others(path)) }
    }
}

/// What was read of a whole file.
struct Opened {
    size: u64,
    footer: Option<Footer>,
    segments: Vec<Segment>,
}

fn of_others(path: &Path) -> Error {
    Error::corrupt(path.to_string(), "is of other segments than its name says")
}

#[cfg(test)]
mod tests;
