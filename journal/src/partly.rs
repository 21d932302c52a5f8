//! A file of rows of which only a part is read: its footer, and the row groups that a question needs.
//!
//! **Invariant.** Nothing is parsed before its digest is right: that of the footer by whoever names the file, and of each
//! row group by the footer.
//!
//! Not here: which row groups a question needs (`checkpoint`, `level`).

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use parquet::{
    errors::ParquetError,
    file::{
        reader::{ChunkReader, FileReader as _, Length},
        serialized_reader::SerializedFileReader,
    },
};

use crate::{
    Error, Journal, Result, Row,
    fold::ObjectKey,
    segment::{self, GroupBytes, Meta, sha256},
};

/// The size of a file's footer, and the footer's SHA-256.
pub(crate) type Footer = (u64, String);

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
        Self::of(journal, path, Sparse { size, parts: vec![(from, bytes)] })
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

    /// The rows of some row groups, in the order asked for, as far as their group, resource, namespace and name are
    /// `wanted`; each row group's apart.
    pub(crate) async fn rows(
        &self,
        journal: &Journal,
        groups: Vec<usize>,
        wanted: impl Fn([&str; 4]) -> bool,
    ) -> Result<Vec<Vec<Row>>> {
        let what = self.what();
        let bytes = self.fetch(journal, &groups).await?;
        let reader = SerializedFileReader::new(bytes).map_err(|e| segment::unreadable(what, &e))?;
        groups.into_iter().map(|group| segment::read_some(what, &reader, group, &wanted)).collect()
    }

    /// The file with the bytes of some row groups, checked against the footer.
    async fn fetch(&self, journal: &Journal, groups: &[usize]) -> Result<Sparse> {
        let altered = || altered(&self.path);
        let all: Vec<GroupBytes> =
            self.meta.extra.get("groups").and_then(|text| serde_json::from_str(text).ok()).ok_or_else(altered)?;
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
