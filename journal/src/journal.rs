//! The handle on one cluster's journal in a bucket.
//!
//! **Words**: the *end* is where the log ends with the newest segment; the *boundary* is the segment number below which
//! raw segments may be gone.
//!
//! **Invariants.** (1) Segment numbers have no holes above the boundary. So the newest is found by asking for single
//! names [`Journal::segments_after`], in a few dozen requests whatever the log's age, and a reader meets each hole in
//! what it reads [`Journal::read`]. (2) Who writes on shows by a listing of the end that nothing stands behind it
//! [`Journal::end`]. (3) A segment is taken only if its epoch is not below an earlier one's and its chain value follows
//! [`Link::check`].
//!
//! Not here: state ([`crate::fold`]), cuts ([`crate::read`]), writing ([`crate::writer`]).

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use futures::{Stream, StreamExt as _};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Parts, Position, Result, Row,
    error::ErrorKind,
    layout::Layout,
    row::{ChainHash, chain_start},
    segment::{self, FrontierVector, Meta},
    store::{Put, Store},
};

/// Segments read at once.
pub(crate) const READ_AHEAD: usize = 16;

/// Segments before the newest that are listed with it, so that a hole right before it is met: one page's worth.
const LOOK_BACK: u64 = 900;

/// How far beyond the apparent end single names are probed, in doublings: one that exists there means a hole before it.
const LOOK_BEYOND: u32 = 20;

/// Beyond all numbers of segments.
const LAST: u64 = u64::MAX - 1;

/// One cluster's journal.
#[derive(Debug, Clone)]
pub struct Journal {
    store: Store,
    cluster: Arc<str>,
    /// Whether readers go around what cannot be read.
    around: bool,
}

/// A segment, read and checked.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Its metadata.
    pub meta: Meta,
    /// Its rows.
    pub rows: Arc<Vec<Row>>,
    /// Its size in the bucket.
    pub bytes: u64,
}

/// `meta/boundary/<n>`: raw segments below this number may be gone, for merged files of the highest level have what they said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boundary {
    /// The lowest segment that is sure to be there.
    pub segment: u64,
}

/// Where the log ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The newest segment's number; 0 when there is none.
    pub segment: u64,
    /// The position of the last row.
    pub last: Position,
    /// The chain value after it.
    pub chain: ChainHash,
    /// The newest epoch.
    pub epoch: u64,
    /// Who wrote it.
    pub writer: String,
    /// When.
    pub time: i64,
    /// How far each domain is known.
    pub frontier: FrontierVector,
    /// The newest segment's metadata.
    pub(crate) meta: Option<Box<Meta>>,
}

impl Journal {
    /// The journal of `cluster` (a kube-system uid) under `prefix`.
    pub fn open(inner: Arc<dyn ObjectStore>, prefix: &Path, cluster: &str, parts: Parts) -> Self {
        let layout = Layout::new(prefix, cluster);
        Self { store: Store::new(inner, layout, parts), cluster: cluster.into(), around: false }
    }

    /// The same, whose readers go around what cannot be read of the log, and say so in every answer that it bears on
    /// ([`crate::cut::Moment::hole`]). Never for whoever writes.
    #[must_use]
    pub fn around_damage(self) -> Self {
        Self { around: true, ..self }
    }

    /// Whether readers go around what cannot be read.
    pub(crate) fn goes_around(&self) -> bool {
        self.around
    }

    /// The uids of the clusters that have a journal under `prefix`.
    pub async fn clusters(inner: &dyn ObjectStore, prefix: &Path) -> Result<Vec<String>> {
        let found = inner.list_with_delimiter(Some(prefix)).await.map_err(|e| crate::store::convert(prefix, e))?;
        let mut names: Vec<String> =
            found.common_prefixes.iter().filter_map(|p| p.filename().map(str::to_owned)).collect();
        names.sort();
        if names.is_empty() {
            // An HTML page parses as an empty listing. Asking for a name that cannot exist tells the two apart.
            let none = prefix.clone().join("-");
            match inner.head(&none).await.map_err(|e| crate::store::convert(&none, e)) {
                Ok(_) => return Err(crate::store::foreign(&none)),
                Err(e) if e.kind() == ErrorKind::Refused => return Err(e),
                Err(_) => {}
            }
        }
        Ok(names)
    }

    /// The cluster's uid.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The bucket folder.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The clock and randomness.
    pub fn parts(&self) -> &Parts {
        self.store.parts()
    }

    /// The numbers of the segments after `n`, up to the newest. Of those below the boundary merged files have the rows, and they may
    /// be gone themselves; after 0 comes the first that is there.
    pub async fn segments_after(&self, n: u64) -> Result<Range<u64>> {
        Ok(self.extent(n).await?.0)
    }

    /// The same, and the boundary.
    pub(crate) async fn extent(&self, n: u64) -> Result<(Range<u64>, u64)> {
        let first = match n {
            // At the very start, segments below the boundary may be gone; after a known segment there is no gap.
            0 => self.begin().await?,
            n => n + 1,
        };
        let (newest, boundary) = self.last_after(first - 1).await?;
        Ok((first..newest + 1, boundary))
    }

    /// The same by a listing, whatever holes there are: where the log goes around them, names are all that tells.
    pub(crate) async fn extent_by_names(&self, n: u64) -> Result<(Range<u64>, u64)> {
        let boundary = self.boundary().await?;
        let there = self.names_after(n).await?;
        let first = if n > 0 { n + 1 } else { there.first().copied().unwrap_or(1) };
        // Where the log is to begin and does not is a hole too.
        let first = if n == 0 && first > boundary { boundary } else { first };
        let last = there.last().copied().unwrap_or(first - 1);
        Ok((first..last + 1, boundary))
    }

    /// The numbers of the segments that are there after one.
    pub(crate) async fn names_after(&self, n: u64) -> Result<BTreeSet<u64>> {
        let layout = self.store.layout();
        let after = (n > 0).then(|| layout.segment(n));
        let listed = self.store.list(&layout.segments(), after.as_ref()).await?;
        Ok(listed.iter().filter_map(|l| Layout::number(&l.path)).filter(|number| *number > n).collect())
    }

    /// The newest segment's number, from `after`, the newest one known.
    pub(crate) async fn newest(&self, after: u64) -> Result<u64> {
        self.store.newest(|n| self.store.layout().segment(n), after).await
    }

    /// The same, whatever is gone below the boundary, which comes with it, and while more is removed.
    pub(crate) async fn last_after(&self, after: u64) -> Result<(u64, u64)> {
        let name = |fact| self.store.layout().meta("boundary", fact);
        let (mut fact, mut boundary) = (0, 1);
        while self.store.exists(&name(fact + 1)).await? {
            (fact, boundary) = self.boundary_fact().await?;
        }
        loop {
            // What is left below the boundary says nothing of what follows.
            let found = self.last_without_hole(after.max(boundary - 1)).await;
            if !self.store.exists(&name(fact + 1)).await? {
                return Ok((found?, boundary));
            }
            (fact, boundary) = self.boundary_fact().await?;
        }
    }

    /// The newest, but first probes names beyond the apparent end, which exist only if there is a hole before them.
    async fn last_without_hole(&self, after: u64) -> Result<u64> {
        let name = |n| self.store.layout().segment(n);
        let mut end = after;
        loop {
            end = self.newest(end).await?;
            let beyond: Vec<u64> = (1..=LOOK_BEYOND).map(|shift| end + (1 << shift)).collect();
            let Some(found) = self.store.which(&name, &beyond).await?.pop() else { return Ok(end) };
            // The log may have grown meanwhile.
            if !self.store.exists(&name(end + 1)).await? {
                return Err(self.hole(end + 1, found));
            }
        }
    }

    pub(crate) fn hole(&self, missing: u64, newer: u64) -> Error {
        let missing = self.store.layout().segment(missing).to_string();
        // Who reads until it is enough names no newer one.
        let reason = match newer {
            ..LAST => format!("is missing, though segment {newer} is there"),
            _ => "is missing: removed behind merged files, or lost".to_owned(),
        };
        Error::corrupt(missing, reason)
            .with_hint("a segment was removed or is not readable: rows of that time are unknown")
    }

    /// The number of the first segment that is there; 1 in an empty log.
    async fn begin(&self) -> Result<u64> {
        let layout = self.store.layout();
        if self.store.exists(&layout.segment(1)).await? {
            return Ok(1);
        }
        let boundary = self.boundary().await?;
        if boundary > 1 && self.store.exists(&layout.segment(boundary)).await? {
            return Ok(boundary);
        }
        let listed = self.store.list(&layout.segments(), None).await?;
        let mut first = listed.iter().find_map(|l| Layout::number(&l.path)).unwrap_or(1);
        // A listing made while the folder is written to is not consistent: it may miss a name and hold a newer one.
        while first > 1 && self.store.exists(&layout.segment(first - 1)).await? {
            first -= 1;
        }
        Ok(first)
    }

    /// The boundary, 1 at first.
    pub async fn boundary(&self) -> Result<u64> {
        Ok(self.boundary_fact().await?.1)
    }

    /// The boundary, with the number of the fact that says so; 0 for none yet.
    pub(crate) async fn boundary_fact(&self) -> Result<(u64, u64)> {
        match self.store.newest_fact("boundary").await? {
            None => Ok((0, 1)),
            Some((n, bytes)) => serde_json::from_slice::<Boundary>(&bytes)
                .map(|b| (n, b.segment.max(1)))
                .map_err(|e| Error::corrupt(format!("meta/boundary/{n}"), e.to_string())),
        }
    }

    /// Moves the boundary up to a segment; it never goes back.
    pub(crate) async fn move_boundary(&self, segment: u64) -> Result<()> {
        let what = "the boundary";
        let bytes = serde_json::to_vec(&Boundary { segment })
            .map_err(|e| Error::internal(what, "cannot be written").with_source(e))?;
        loop {
            let (number, stands) = self.boundary_fact().await?;
            if stands >= segment {
                return Ok(());
            }
            let path = self.store.layout().meta("boundary", number + 1);
            if self.store.create(&path, bytes.clone().into()).await? == Put::Created {
                return Ok(());
            }
        }
    }

    /// Reads and checks one segment.
    pub async fn segment(&self, n: u64) -> Result<Segment> {
        let path = self.store.layout().segment(n);
        let bytes = self.store.get(&path).await?;
        let size = bytes.len() as u64;
        let (meta, rows) = segment::decode(path.as_ref(), &self.cluster, bytes)?;
        if meta.segment != n {
            return Err(Error::corrupt(path.to_string(), format!("says it is segment {}", meta.segment)));
        }
        Ok(Segment { meta, rows: Arc::new(rows), bytes: size })
    }

    /// Reads segments in order, several at once; each must be there, and follow from the one before.
    pub fn read(&self, numbers: Range<u64>) -> impl Stream<Item = Result<Segment>> + Send + '_ {
        let mut link = Link::default();
        let newest = numbers.end.saturating_sub(1);
        futures::stream::iter(numbers)
            .map(move |n| self.numbered(n, newest))
            .buffered(READ_AHEAD)
            .map(move |read| read.and_then(|s| link.check(&s.meta).map(|()| s)))
    }

    /// A segment that must exist, since `newest` does.
    pub(crate) async fn numbered(&self, n: u64, newest: u64) -> Result<Segment> {
        match self.segment(n).await {
            Err(e) if e.kind() == ErrorKind::NotFound => Err(self.hole(n, newest)),
            read => read,
        }
    }

    /// Where the log ends, found above segment `after` (0 to begin at the start): what a writer goes on from.
    ///
    /// A free name is not the end if later ones exist. Probing single names can miss those, and a writer that went on
    /// at the free one would fork the journal, so the end is listed.
    pub async fn end(&self, after: u64) -> Result<End> {
        let (numbers, boundary) = self.extent(after).await?;
        if after == 0 && numbers.is_empty() {
            return Ok(self.empty_end());
        }
        let newest = numbers.end - 1;
        // What is below the boundary may be gone in part.
        let from = newest.saturating_sub(LOOK_BACK).max(numbers.start - 1).max((boundary - 1).min(newest));
        let newest = self.listed(from, newest).await?;
        self.end_at(newest).await
    }

    /// The newest segment's number by a listing of what is after `from`, in which there may be no hole; at least
    /// `newest`.
    async fn listed(&self, from: u64, newest: u64) -> Result<u64> {
        let layout = self.store.layout();
        let listed = self.store.list(&layout.segments(), Some(&layout.segment(from))).await?;
        let (mut before, mut boundary) = (from, 0);
        for number in listed.iter().filter_map(|l| Layout::number(&l.path)) {
            // A listing may miss a name that was created while it was made.
            for hole in before + 1..number {
                if hole < boundary || self.store.exists(&layout.segment(hole)).await? {
                    continue;
                }
                // It may be removed just now.
                boundary = self.boundary().await?;
                if hole >= boundary {
                    return Err(self.hole(hole, number));
                }
            }
            before = number;
        }
        Ok(before.max(newest))
    }

    /// The log as it ends with segment `n`.
    async fn end_at(&self, n: u64) -> Result<End> {
        let meta = self.segment(n).await?.meta;
        Ok(End {
            segment: n,
            last: meta.last,
            chain: meta.chain_after,
            epoch: meta.epoch,
            writer: meta.writer.clone(),
            time: meta.time,
            frontier: meta.frontier.clone(),
            meta: Some(Box::new(meta)),
        })
    }

    fn empty_end(&self) -> End {
        End {
            segment: 0,
            last: 0,
            chain: chain_start(&self.cluster),
            epoch: 0,
            writer: String::new(),
            time: 0,
            frontier: FrontierVector::new(),
            meta: None,
        }
    }
}

/// What a segment must follow from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Link {
    before: Option<(u64, u64, Position, ChainHash)>,
}

impl Link {
    pub(crate) fn check(&mut self, meta: &Meta) -> Result<()> {
        let what = || format!("segment {}", meta.segment);
        if let Some((segment, epoch, last, chain)) = self.before {
            if meta.epoch < epoch {
                return Err(Error::corrupt(
                    what(),
                    format!("is of epoch {}, after segment {segment} of epoch {epoch}: an orphan", meta.epoch),
                ));
            }
            if meta.first != last + 1 {
                return Err(Error::corrupt(
                    what(),
                    format!("begins at position {}, though segment {segment} ends at {last}", meta.first),
                ));
            }
            if meta.chain_before != chain {
                return Err(Error::corrupt(
                    what(),
                    format!("does not follow from segment {segment}: the chain is broken between them"),
                ));
            }
        }
        self.before = Some((meta.segment, meta.epoch, meta.last, meta.chain_after));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
