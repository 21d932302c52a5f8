//! A file of rows of which only a part is read: its footer, and the row groups that a question needs.
//!
//! **Invariant.** Nothing is parsed before its digest is right: that of the footer by whoever names the file, and of each
//! row group by the footer.
//!
//! Not here: which row groups a question needs (`checkpoint`, `level`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use parquet::{
    errors::ParquetError,
    file::{
        metadata::RowGroupMetaData,
        reader::{ChunkReader, FileReader as _, Length},
        serialized_reader::SerializedFileReader,
        statistics::Statistics,
    },
};

use crate::{
    Error, Journal, Position, Result, Row,
    fold::ObjectKey,
    parts::Micros,
    segment::{self, Bounds, GroupBytes, Meta, on_cores, sha256},
};

/// The size of a file's footer, and the footer's SHA-256.
pub(crate) type Footer = (u64, String);

/// What a footer says of the rows of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    /// How many there are.
    pub(crate) rows: u64,
    /// The least and the greatest number of columns.
    pub(crate) columns: BTreeMap<String, (i64, i64)>,
}

/// Row groups that stand this close to one another are fetched with one request.
const CLOSE: u64 = 64 << 10;
/// A file of at most this size is fetched with one request.
const SMALL: u64 = 128 << 10;
/// Requests at once.
const AT_ONCE: usize = 8;

/// A file of which at least the footer has been read.
#[derive(Debug, Clone)]
pub(crate) struct Partly {
    path: Path,
    bytes: Sparse,
    /// Its metadata.
    pub(crate) meta: Meta,
    /// How many row groups there are.
    pub(crate) count: usize,
}

impl Partly {
    /// A file of a size, with its footer alone, or all of it if it is small.
    pub(crate) async fn open(journal: &Journal, path: Path, size: u64, (length, digest): &Footer) -> Result<Self> {
        let before = size.checked_sub(*length).ok_or_else(|| altered(&path))?;
        let from = if size <= SMALL { 0 } else { before };
        let bytes = journal.store().get_range(&path, from..size).await?;
        if bytes.len() as u64 != size - from || sha256(&bytes.slice((before - from) as usize..)) != *digest {
            return Err(altered(&path));
        }
        let file = Self::of(journal, path, Sparse { size, parts: vec![(from, bytes)] })?;
        if from < before {
            file.check_groups()?;
        }
        Ok(file)
    }

    /// Checks the row groups of a file that was fetched as a whole against its footer.
    fn check_groups(&self) -> Result<()> {
        for group in self.groups()? {
            let length = group.end.checked_sub(group.start).ok_or_else(|| altered(&self.path))?;
            let own = self.bytes.slice(group.start, length as usize);
            if own.is_none_or(|own| sha256(&own) != group.sha256) {
                return Err(altered(&self.path));
            }
        }
        Ok(())
    }

    /// Where its row groups stand.
    fn groups(&self) -> Result<Vec<GroupBytes>> {
        let groups = self.meta.extra.get("groups").and_then(|text| serde_json::from_str(text).ok());
        groups.ok_or_else(|| altered(&self.path))
    }

    /// The same file with the bytes of some row groups, which are not fetched again.
    pub(crate) async fn with(mut self, journal: &Journal, groups: &[usize]) -> Result<Self> {
        self.bytes = self.fetch(journal, groups).await?;
        Ok(self)
    }

    /// The bounds of the rows of some row groups, each row group's apart, as [`segment::read_bounds`] gives them.
    pub(crate) async fn bounds(
        &self,
        journal: &Journal,
        groups: Vec<usize>,
        from: Position,
        named: impl Fn(Micros, Micros) -> bool + Sync,
    ) -> Result<Vec<Vec<Bounds>>> {
        let what = self.what();
        let bytes = self.fetch(journal, &groups).await?;
        let reader = SerializedFileReader::new(bytes).map_err(|e| segment::unreadable(what, &e))?;
        let read = on_cores(groups, |group| segment::read_bounds(what, &reader, group, from, &named));
        read.into_iter().collect()
    }

    /// A file that is here as a whole, and whose digest was found to be right.
    pub(crate) fn whole(journal: &Journal, path: Path, bytes: Bytes) -> Result<Self> {
        Self::of(journal, path, Sparse { size: bytes.len() as u64, parts: vec![(0, bytes)] })
    }

    fn of(journal: &Journal, path: Path, bytes: Sparse) -> Result<Self> {
        let what = path.as_ref();
        let reader = SerializedFileReader::new(bytes.clone()).map_err(|e| segment::unreadable(what, &e))?;
        let meta = Meta::read(what, reader.metadata().file_metadata().key_value_metadata())?;
        segment::check_cluster(what, journal.cluster(), &meta)?;
        let count = reader.num_row_groups();
        Ok(Self { path, bytes, meta, count })
    }

    /// Its name.
    pub(crate) fn what(&self) -> &str {
        self.path.as_ref()
    }

    /// How many rows it has, and between which numbers those of each column lie of which its footer says so.
    pub(crate) fn statistics(&self) -> Result<Extent> {
        let reader = SerializedFileReader::new(self.bytes.clone()).map_err(|e| segment::unreadable(self.what(), &e))?;
        let groups = reader.metadata().row_groups();
        let mut columns: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        let mut left_out: BTreeSet<String> = BTreeSet::new();
        for column in groups.iter().flat_map(RowGroupMetaData::columns) {
            let name = column.column_descr().name();
            let said = match column.statistics() {
                Some(Statistics::Int64(said)) => said.min_opt().copied().zip(said.max_opt().copied()),
                _ => None,
            };
            match (said, columns.get_mut(name)) {
                (None, _) => _ = left_out.insert(name.to_owned()),
                (Some((min, max)), Some(known)) => *known = (known.0.min(min), known.1.max(max)),
                (Some(said), None) => _ = columns.insert(name.to_owned(), said),
            }
        }
        columns.retain(|name, _| !left_out.contains(name));
        Ok(Extent { rows: groups.iter().map(|group| group.num_rows() as u64).sum(), columns })
    }

    /// The rows of some row groups, in the order asked for, as far as their group, resource, namespace and name are
    /// `wanted`; each row group's apart.
    pub(crate) async fn rows(
        &self,
        journal: &Journal,
        groups: Vec<usize>,
        wanted: impl Fn([&str; 4]) -> bool + Sync,
    ) -> Result<Vec<Vec<Row>>> {
        let what = self.what();
        let bytes = self.fetch(journal, &groups).await?;
        let reader = SerializedFileReader::new(bytes).map_err(|e| segment::unreadable(what, &e))?;
        let read = on_cores(groups, |group| segment::read_some(what, &reader, group, &wanted));
        read.into_iter().collect()
    }

    /// The file with the bytes of some row groups, checked against the footer.
    async fn fetch(&self, journal: &Journal, groups: &[usize]) -> Result<Sparse> {
        let altered = || altered(&self.path);
        let all = self.groups()?;
        let mut missing: Vec<GroupBytes> = Vec::new();
        for index in groups {
            let group = all.get(*index).ok_or_else(altered)?;
            let length = group.end.checked_sub(group.start).ok_or_else(altered)?;
            if self.bytes.slice(group.start, length as usize).is_none() {
                missing.push(group.clone());
            }
        }
        missing.sort_by_key(|group| group.start);
        let mut runs: Vec<Vec<GroupBytes>> = Vec::new();
        for group in missing {
            match runs.last_mut() {
                Some(run) if run.last().is_some_and(|last| group.start.saturating_sub(last.end) <= CLOSE) => {
                    run.push(group);
                }
                _ => runs.push(vec![group]),
            }
        }
        let fetched = runs.into_iter().map(|run| fetch(journal.clone(), self.path.clone(), run));
        let fetched: Vec<(u64, Bytes)> = futures::stream::iter(fetched).buffered(AT_ONCE).try_collect().await?;
        let mut file = self.bytes.clone();
        file.parts.extend(fetched);
        Ok(file)
    }
}

/// The bytes of row groups that stand close to one another, and where they begin.
async fn fetch(journal: Journal, path: Path, run: Vec<GroupBytes>) -> Result<(u64, Bytes)> {
    let (start, end) = (run.first().map_or(0, |g| g.start), run.last().map_or(0, |g| g.end));
    let bytes = journal.store().get_range(&path, start..end).await?;
    for group in run {
        let own = bytes.get((group.start - start) as usize..(group.end - start) as usize);
        if own.is_none_or(|own| sha256(own) != group.sha256) {
            return Err(altered(&path));
        }
    }
    Ok((start, bytes))
}

/// How many row groups of facts there are, and the first object of each of the others.
pub(crate) fn read_index(what: &str, meta: &Meta, groups: usize) -> Result<(usize, Vec<ObjectKey>)> {
    let bad = || Error::corrupt(what, "its index is not readable");
    let facts: usize = meta.extra.get("facts").and_then(|t| t.parse().ok()).ok_or_else(bad)?;
    let index: Vec<[String; 4]> = meta
        .extra
        .get("index")
        .and_then(|text| serde_json::from_str(text).ok())
        .filter(|index: &Vec<_>| index.len() + facts == groups)
        .ok_or_else(bad)?;
    let key = |[namespace, group, resource, name]: [String; 4]| ObjectKey { namespace, group, resource, name };
    Ok((facts, index.into_iter().map(key).collect()))
}

/// The footer of a whole file, as whoever names the file describes it.
pub(crate) fn footer(file: &Bytes) -> Option<Footer> {
    let length = file.get(file.len().checked_sub(8)?..file.len() - 4)?;
    let length = u64::from(u32::from_le_bytes(length.try_into().ok()?)) + 8;
    let from = (file.len() as u64).checked_sub(length)?;
    Some((length, sha256(&file.slice(from as usize..))))
}

pub(crate) fn altered(path: &Path) -> Error {
    Error::corrupt(path.to_string(), "was altered or damaged: its bytes do not have the digest written for them")
        .with_hint("restore this object from a copy of the bucket, or ask for a moment before it")
}

/// A file of which only some ranges are here.
#[derive(Debug, Clone)]
struct Sparse {
    size: u64,
    parts: Vec<(u64, Bytes)>,
}

impl Sparse {
    fn slice(&self, start: u64, length: usize) -> Option<Bytes> {
        self.parts.iter().find_map(|(from, bytes)| {
            let at = usize::try_from(start.checked_sub(*from)?).ok()?;
            let end = at.checked_add(length)?;
            (end <= bytes.len()).then(|| bytes.slice(at..end))
        })
    }
}

impl Length for Sparse {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Sparse {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let part = self.parts.iter().find_map(|(from, bytes)| {
            let at = usize::try_from(start.checked_sub(*from)?).ok()?;
            (at < bytes.len()).then(|| bytes.slice(at..))
        });
        part.map(bytes::Buf::reader).ok_or_else(|| ParquetError::EOF(format!("bytes from {start} were not fetched")))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.slice(start, length).ok_or_else(|| ParquetError::EOF(format!("bytes from {start} were not fetched")))
    }
}
