//! Files of rows: Parquet, one schema for segments, merged files and checkpoints.
//!
//! **Words**: a *segment* is a file of the raw log; [`Meta`] is a file's key-value metadata.
//!
//! **Invariants.**
//! 1. A file says its format version, cluster, writer, epoch, positions and chain values; a newer version is refused
//!    by name [`Meta::read`].
//! 2. A segment's rows are contiguous and its chain value follows from them [`decode`].
//! 3. A file carries the SHA-256 of itself, which is checked before a byte of it is parsed [`check_digest`]: the
//!    Parquet reader is not made for altered files.
//! 4. Statistics are written for no payload column [`column::properties`; a test scans the bytes].
//!
//! Not here: when to cut a segment (the watcher), naming and committing one (`writer`).

mod bounds;
mod column;
mod cores;

use std::collections::BTreeMap;

use bytes::Bytes;
use parquet::file::{metadata::KeyValue, reader::FileReader as _, serialized_reader::SerializedFileReader};
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Position, Result, Row,
    parts::Micros,
    row::{ChainHash, Revision, chain_step, check_contiguous},
};

pub(crate) use bounds::{Bounds, read_bounds};
pub(crate) use column::{FileBuilder, GroupBytes, read_group, read_some, schema};
pub(crate) use cores::on_cores;

/// The metadata key that says how a segment's closed times were determined, and its only value.
pub(crate) const CLOCK: &str = "clock";
pub(crate) const AGREED: &str = "agreed";
/// The metadata key that says which knock is answered, and the folder of knocks as a numbered fact.
pub(crate) const KNOCK: &str = "knock";

/// The format that this version writes.
pub const FORMAT: u32 = 1;

/// How far one domain is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontierPoint {
    /// Which life of the counter.
    pub incarnation: u32,
    /// Every protected kind of the domain has been seen up to here.
    pub rv: Revision,
    /// Every write committed before this moment has a revision up to `rv`.
    pub time: Micros,
}

/// How far each domain is known.
pub type FrontierVector = BTreeMap<String, FrontierPoint>;

/// A file's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// `segment` or `checkpoint`.
    pub role: String,
    /// The cluster's uid.
    pub cluster: String,
    /// Who wrote it.
    pub writer: String,
    /// Under which epoch.
    pub epoch: u64,
    /// A segment's number; of a checkpoint, the last segment it took in.
    pub segment: u64,
    /// The position of the first row; of a file without rows, the next one.
    pub first: Position,
    /// The position of the last row; of a file without rows, one less than `first`.
    pub last: Position,
    /// Chain value before the first row.
    pub chain_before: ChainHash,
    /// Chain value after the last row.
    pub chain_after: ChainHash,
    /// How far each domain is known with this file.
    pub frontier: FrontierVector,
    /// When the file was made.
    pub time: Micros,
    /// Anything else that this kind of file records.
    pub extra: BTreeMap<String, String>,
}

const PREFIX: &str = "hindcast.";

impl Meta {
    /// The newest knock that is answered by this segment or one before it; 0 for none.
    pub fn knock(&self) -> u64 {
        self.extra.get(KNOCK).and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn write(&self) -> Vec<KeyValue> {
        let frontier = serde_json::to_string(&self.frontier).expect("a map of numbers serialises");
        let mut out = vec![
            entry("sha256", "0".repeat(64)),
            entry("format", FORMAT.to_string()),
            entry("role", self.role.clone()),
            entry("cluster", self.cluster.clone()),
            entry("writer", self.writer.clone()),
            entry("epoch", self.epoch.to_string()),
            entry("segment", self.segment.to_string()),
            entry("first", self.first.to_string()),
            entry("last", self.last.to_string()),
            entry("chain_before", hex(&self.chain_before)),
            entry("chain_after", hex(&self.chain_after)),
            entry("frontier", frontier),
            entry("time", self.time.to_string()),
        ];
        out.extend(self.extra.iter().map(|(k, v)| entry(k, v.clone())));
        out
    }

    pub(crate) fn read(what: &str, pairs: Option<&Vec<KeyValue>>) -> Result<Self> {
        let mut map: BTreeMap<&str, &str> = BTreeMap::new();
        for pair in pairs.into_iter().flatten() {
            if let (Some(key), Some(value)) = (pair.key.strip_prefix(PREFIX), &pair.value) {
                map.insert(key, value);
            }
        }
        map.remove("sha256");
        let format = map
            .remove("format")
            .ok_or_else(|| Error::corrupt(what, "is not a Hindcast file: it has no hindcast.format"))?;
        if format != FORMAT.to_string() {
            return Err(Error::corrupt(what, format!("has format {format}; this version reads {FORMAT}"))
                .with_hint("read it with a newer hindcast"));
        }
        let mut take = |key: &str| -> Result<&str> {
            map.remove(key).ok_or_else(|| Error::corrupt(what, format!("its metadata lacks hindcast.{key}")))
        };
        let number = |text: &str| -> Result<u64> {
            text.parse().map_err(|_| Error::corrupt(what, format!("\"{text}\" in its metadata is not a number")))
        };
        let hash = |text: &str| -> Result<ChainHash> {
            unhex(text).ok_or_else(|| Error::corrupt(what, "a chain value in its metadata is not a hash"))
        };
        Ok(Self {
            role: take("role")?.to_owned(),
            cluster: take("cluster")?.to_owned(),
            writer: take("writer")?.to_owned(),
            epoch: number(take("epoch")?)?,
            segment: number(take("segment")?)?,
            first: number(take("first")?)?,
            last: number(take("last")?)?,
            chain_before: hash(take("chain_before")?)?,
            chain_after: hash(take("chain_after")?)?,
            frontier: serde_json::from_str(take("frontier")?)
                .map_err(|e| Error::corrupt(what, format!("frontier: {e}")))?,
            time: number(take("time")?)? as Micros,
            extra: map.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        })
    }
}

/// The metadata key of a file's digest; the value stands as zeros while the digest is taken.
pub(crate) const DIGEST: &str = "hindcast.sha256";

/// Sets the digest in the bytes of a finished file.
pub(crate) fn set_digest(mut file: Vec<u8>) -> Result<Bytes> {
    let digest = sha256(&file);
    let range = digest_range(&file).ok_or_else(|| Error::internal("a file of rows", "has no place for its digest"))?;
    if let Some(place) = file.get_mut(range) {
        place.copy_from_slice(digest.as_bytes());
    }
    Ok(Bytes::from(file))
}

/// Where the 64 digits of the digest stand: behind the last mention of its key, a field header and a length of 64
/// (Thrift's compact protocol, which is what a Parquet footer is written in).
fn digest_range(file: &[u8]) -> Option<std::ops::Range<usize>> {
    let at = file.windows(DIGEST.len()).rposition(|w| w == DIGEST.as_bytes())? + DIGEST.len();
    let framing = file.get(at..at + 2)?;
    let whole = file.len() >= at + 2 + 64;
    (framing == [0x18, 64] && whole).then_some(at + 2..at + 2 + 64)
}

/// Refuses a file whose bytes are not those that were written.
pub(crate) fn check_digest(what: &str, file: &[u8]) -> Result<()> {
    if !file.starts_with(b"PAR1") || !file.ends_with(b"PAR1") {
        return Err(unreadable(what, &"it does not begin and end as one"));
    }
    let range =
        digest_range(file).ok_or_else(|| Error::corrupt(what, "is not a Hindcast file, or its digest was altered"))?;
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(file.get(..range.start).unwrap_or_default());
    context.update(&[b'0'; 64]);
    context.update(file.get(range.end..).unwrap_or_default());
    let found = hex(context.finish().as_ref());
    if file.get(range) != Some(found.as_bytes()) {
        return Err(Error::corrupt(what, "was altered or damaged: its bytes do not have the digest it states")
            .with_hint("restore this object from a copy of the bucket, or read a moment before it"));
    }
    Ok(())
}

fn entry(key: &str, value: String) -> KeyValue {
    KeyValue::new(format!("{PREFIX}{key}"), value)
}

/// The SHA-256 of bytes, in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn unhex(text: &str) -> Option<ChainHash> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut out = [0; 32];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(out)
}

/// A segment's bytes. `meta`'s positions and chain values are filled in from the rows.
pub(crate) fn encode(meta: &mut Meta, rows: &[Row]) -> Result<Bytes> {
    meta.last = meta.first + rows.len() as u64 - 1;
    meta.chain_after = rows.iter().fold(meta.chain_before, |h, row| chain_step(&h, row));
    let mut file = FileBuilder::new(column::RAW)?;
    file.group(rows)?;
    file.finish(meta)
}

/// Opens a file that is in memory, once its digest is right.
pub(crate) fn open(what: &str, bytes: Bytes) -> Result<(Meta, SerializedFileReader<Bytes>)> {
    check_digest(what, &bytes)?;
    let reader = SerializedFileReader::new(bytes).map_err(|e| unreadable(what, &e))?;
    let meta = Meta::read(what, reader.metadata().file_metadata().key_value_metadata())?;
    Ok((meta, reader))
}

/// Whether each row group of a file is where its footer says, with the digest that it says.
pub(crate) fn groups_hold(file: &Bytes, meta: &Meta, groups_in_it: usize) -> bool {
    let groups = meta.extra.get("groups").and_then(|text| serde_json::from_str::<Vec<GroupBytes>>(text).ok());
    let holds = |group: &GroupBytes| {
        let range = usize::try_from(group.start).ok().zip(usize::try_from(group.end).ok());
        let part = range.and_then(|(start, end)| file.get(start..end));
        part.is_some_and(|part| sha256(part) == group.sha256)
    };
    groups.is_some_and(|groups| groups.len() == groups_in_it && groups.iter().all(holds))
}

/// A segment's metadata and rows, checked: its cluster, contiguous positions, and its own chain values.
pub(crate) fn decode(what: &str, cluster: &str, bytes: Bytes) -> Result<(Meta, Vec<Row>)> {
    let (meta, reader) = open(what, bytes)?;
    check_cluster(what, cluster, &meta)?;
    let mut rows = Vec::new();
    for group in 0..reader.num_row_groups() {
        rows.extend(read_group(what, &reader, group)?);
    }
    check_contiguous(what, meta.first, &rows)?;
    if meta.last + 1 != meta.first + rows.len() as u64 {
        return Err(Error::corrupt(
            what,
            format!("holds {} rows, but says positions {} to {}", rows.len(), meta.first, meta.last),
        ));
    }
    let chain = rows.iter().fold(meta.chain_before, |h, row| chain_step(&h, row));
    if chain != meta.chain_after {
        return Err(Error::corrupt(what, "its rows do not have the chain value it states: a row was altered"));
    }
    Ok((meta, rows))
}

pub(crate) fn check_cluster(what: &str, cluster: &str, meta: &Meta) -> Result<()> {
    if meta.cluster == cluster {
        return Ok(());
    }
    Err(Error::corrupt(what, format!("belongs to cluster {}, not {cluster}", meta.cluster))
        .with_hint("a file of another journal lies in this folder: move it away"))
}

pub(crate) fn unreadable(what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::corrupt(what, format!("is not readable Parquet: {error}"))
        .with_hint("the file is truncated, altered, or not Hindcast's")
}

#[cfg(test)]
mod tests;
