//! The handle on one cluster's journal in a bucket.
//!
//! **Words**: the *tail* is the newest segment; the *boundary* is the segment number below which raw segments may be
//! gone.
//!
//! **Invariants.** (1) Segment numbers have no holes above the boundary [`Journal::segments_after`]. (2) A segment is
//! taken only if its epoch is not below an earlier one's and its chain value follows [`Link::check`].
//!
//! Not here: state ([`crate::fold`]), cuts ([`crate::reader`]), writing ([`crate::writer`]).

use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use object_store::{ObjectStore, path::Path};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Parts, Position, Result, Row,
    layout::Layout,
    row::{ChainHash, chain_start},
    segment::{self, FrontierVector, Meta},
    store::Store,
};

/// Segments read at once.
const READ_AHEAD: usize = 16;

/// One cluster's journal.
#[derive(Debug, Clone)]
pub struct Journal {
    store: Store,
    cluster: Arc<str>,
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

/// `meta/boundary/<n>`: raw segments below this number may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boundary {
    /// The lowest segment that is sure to be there.
    pub segment: u64,
}

/// Where the log ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
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
}

impl Journal {
    /// The journal of `cluster` (a kube-system uid) under `prefix`.
    pub fn open(inner: Arc<dyn ObjectStore>, prefix: &Path, cluster: &str, parts: Parts) -> Self {
        let layout = Layout::new(prefix, cluster);
        Self { store: Store::new(inner, layout, parts), cluster: cluster.into() }
    }

    /// The uids of the clusters that have a journal under `prefix`.
    pub async fn clusters(inner: &dyn ObjectStore, prefix: &Path) -> Result<Vec<String>> {
        let found = inner
            .list_with_delimiter(Some(prefix))
            .await
            .map_err(|e| crate::store::convert(prefix, e))?;
        let mut names: Vec<String> =
            found.common_prefixes.iter().filter_map(|p| p.filename().map(str::to_owned)).collect();
        names.sort();
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

    /// The numbers of the segments after `n`, which follow one another.
    pub async fn segments_after(&self, n: u64) -> Result<Vec<u64>> {
        let layout = self.store.layout();
        let after = layout.segment(n);
        let listed = self.store.list(&layout.segments(), Some(&after)).await?;
        let numbers: Vec<u64> = listed.iter().filter_map(|l| Layout::number(&l.path)).collect();
        let mut whole: Vec<u64> = Vec::with_capacity(numbers.len());
        for &number in &numbers {
            // From the very start the log may begin above the boundary; from a known segment it goes on at once.
            let start = if n == 0 { number } else { n + 1 };
            let expected = whole.last().map_or(start, |last| last + 1);
            // A listing of a folder that is being written to is no moment: it may leave out a name and hold a newer one.
            for hole in expected..number {
                if !self.store.exists(&layout.segment(hole)).await? {
                    return Err(Error::corrupt(
                        layout.segment(hole).to_string(),
                        format!("is missing, though segment {number} is there"),
                    )
                    .with_hint("a segment was removed or is not readable: rows of that time are unknown"));
                }
                whole.push(hole);
            }
            whole.push(number);
        }
        if n == 0 {
            self.begin(&mut whole).await?;
        }
        Ok(whole)
    }

    /// Puts before a log's first listed segments those that the listing left out.
    async fn begin(&self, numbers: &mut Vec<u64>) -> Result<()> {
        let Some(&first) = numbers.first() else { return Ok(()) };
        let mut begin = first;
        while begin > 1 && self.store.exists(&self.store.layout().segment(begin - 1)).await? {
            begin -= 1;
        }
        numbers.splice(0..0, begin..first);
        Ok(())
    }

    /// The boundary, 1 at first.
    pub async fn boundary(&self) -> Result<u64> {
        match self.store.newest_fact("boundary").await? {
            None => Ok(1),
            Some((n, bytes)) => serde_json::from_slice::<Boundary>(&bytes)
                .map(|b| b.segment)
                .map_err(|e| Error::corrupt(format!("meta/boundary/{n}"), e.to_string())),
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

    /// Reads segments in order, several at once; each must follow from the one before.
    pub fn read(&self, numbers: Vec<u64>) -> impl Stream<Item = Result<Segment>> + Send + '_ {
        let mut link = Link::default();
        futures::stream::iter(numbers)
            .map(move |n| self.segment(n))
            .buffered(READ_AHEAD)
            .map(move |read| read.and_then(|s| link.check(&s.meta).map(|()| s)))
    }

    /// Where the log ends, found above segment `after` (0 to begin at the start).
    pub async fn tail(&self, after: u64) -> Result<Tail> {
        let numbers = self.segments_after(after).await?;
        let n = match (numbers.last(), after) {
            (Some(&n), _) => n,
            (None, 0) => return Ok(self.empty_tail()),
            (None, after) => after,
        };
        let meta = self.segment(n).await?.meta;
        Ok(Tail {
            segment: n,
            last: meta.last,
            chain: meta.chain_after,
            epoch: meta.epoch,
            writer: meta.writer,
            time: meta.time,
            frontier: meta.frontier,
        })
    }

    fn empty_tail(&self) -> Tail {
        Tail {
            segment: 0,
            last: 0,
            chain: chain_start(&self.cluster),
            epoch: 0,
            writer: String::new(),
            time: 0,
            frontier: FrontierVector::new(),
        }
    }
}

/// What a segment must follow from.
#[derive(Debug, Default)]
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
