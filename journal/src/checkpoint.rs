//! Checkpoints: the full state at a closed cut, so that reads stay bounded; and the manifest that names them.
//!
//! **Words**: `fold_from` is the lowest position that holds a row beyond the cut: a reader loads the checkpoint, goes
//! on there, and skips what the checkpoint's cut holds. The *manifest* is the numbered list of live checkpoints.
//!
//! **Invariants.**
//! 1. A checkpoint stands at a closed cut and holds exactly the rows within it [`Checkpoint::write`].
//! 2. It is found only through the manifest, which is written after it; a checkpoint without an entry is unused bytes.
//! 3. It has one file for a position: while no rows come its entry moves on with the cut and the file stays [`Checkpoint::write`].
//! 4. Objects are sorted by namespace first, and the index names each row group's first key, so that one namespace or
//!    one object is read without the rest [`Checkpoint::load`].
//!
//! Not here: when to make one (`compactor`).

mod doubt;
mod manifest;

use std::collections::BTreeMap;

use bytes::Bytes;
use object_store::path::Path;
use parquet::{
    errors::ParquetError,
    file::{
        metadata::ParquetMetaData,
        reader::{ChunkReader, FileReader as _, Length},
        serialized_reader::SerializedFileReader,
    },
};
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Journal, Micros, Position, Result, Row,
    cut::{Cut, CutPoint},
    fold::{ObjectKey, Scope, State},
    row::ChainHash,
    segment::{self, FrontierVector, Meta},
};

pub(crate) use self::doubt::{Doubt, Doubts};
pub use self::manifest::Manifest;

/// Objects in a row group.
const GROUP: usize = 4096;

/// A point of a cut, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct StoredPoint {
    incarnation: u32,
    rv: u64,
    hi: Micros,
    /// Incarnation and revision of the newest row in it. The cut is that of what was seen, which may be further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row: Option<(u32, u64)>,
}

impl StoredPoint {
    fn told(&self) -> CutPoint {
        let (incarnation, rv) = self.row.unwrap_or((self.incarnation, self.rv));
        CutPoint { incarnation, rv }
    }
}

/// One checkpoint, as the manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The position of the newest row it took in; its name.
    pub pos: Position,
    /// The segment of that row.
    pub segment: u64,
    /// The lowest position that holds a row beyond the cut.
    pub fold_from: Position,
    /// The segment that position is in.
    pub fold_from_segment: u64,
    /// Objects in it.
    pub objects: u64,
    /// Its size.
    pub bytes: u64,
    /// The size of its footer, and the footer's SHA-256: what a reader of a part checks before it parses.
    pub footer: (u64, String),
    domains: BTreeMap<String, StoredPoint>,
    /// When kinds were let go that may still be recovered later in the log: the latest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) left: Option<Micros>,
}

/// Where a checkpoint's state was taken from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The closed cut.
    pub cut: Cut,
    /// Per domain the newest point that a row tells of, and by when everything in the cut was committed.
    pub told: BTreeMap<String, (CutPoint, Micros)>,
    /// The newest segment looked at.
    pub segment: u64,
    /// The position of the newest row looked at.
    pub last: Position,
    /// The chain value after it.
    pub chain: ChainHash,
    /// The lowest position beyond the cut, and its segment.
    pub fold_from: (Position, u64),
    /// When kinds were let go that had not been taken up again: the latest of them.
    pub left: Option<Micros>,
    /// The frontier of the newest segment.
    pub frontier: FrontierVector,
}

impl Checkpoint {
    /// The cut it stands at.
    pub fn cut(&self) -> Cut {
        let point = |p: &StoredPoint| CutPoint { incarnation: p.incarnation, rv: p.rv };
        Cut { domains: self.domains.iter().map(|(d, p)| (d.clone(), point(p))).collect() }
    }

    /// An earlier version left a domain that was not closed just then out of the cut, though its objects are in the state as they
    /// were at the checkpoint before. Such a one is told by points that do not say what their newest row is.
    fn complete(&mut self, before: &Self) {
        if self.domains.values().all(|point| point.row.is_none()) {
            for (domain, point) in &before.domains {
                self.domains.entry(domain.clone()).or_insert(*point);
            }
        }
    }

    /// One domain's part of what the rows in it tell of, and by when that was committed.
    pub(crate) fn told(&self, domain: &str) -> Option<(CutPoint, Micros)> {
        let stored = self.domains.get(domain)?;
        Some((stored.told(), stored.hi))
    }

    /// The cut of what the rows in it tell of: that of any moment after them which nothing else belongs to.
    pub(crate) fn told_cut(&self) -> Cut {
        Cut { domains: self.domains.iter().map(|(d, p)| (d.clone(), p.told())).collect() }
    }

    /// By when everything in it was committed.
    pub fn time(&self) -> Micros {
        self.domains.values().map(|p| p.hi).max().unwrap_or(0)
    }

    /// Writes the state at `origin`'s cut and names it in the manifest.
    pub async fn write(journal: &Journal, state: &State, origin: &Origin, writer: &str, epoch: u64) -> Result<Self> {
        let manifest = Manifest::read(journal).await?;
        if let Some(same) = manifest.checkpoints.last().and_then(|newest| newest.moved(origin)) {
            Manifest::add(journal, same.clone()).await?;
            return Ok(same);
        }
        let mut file = segment::FileBuilder::new(9)?;
        let mut index: Vec<[String; 4]> = Vec::new();
        let mut facts = 0;
        for rows in state.facts.chunks(GROUP) {
            file.group(rows)?;
            facts += 1;
        }
        let mut rows: Vec<Row> = Vec::with_capacity(GROUP.min(state.objects.len()));
        for (key, entry) in &state.objects {
            if rows.is_empty() {
                index.push([key.namespace.clone(), key.group.clone(), key.resource.clone(), key.name.clone()]);
            }
            rows.push(entry.checkpoint_row());
            if rows.len() == GROUP {
                file.group(&rows)?;
                rows.clear();
            }
        }
        file.group(&rows)?;
        let mut checkpoint = Self {
            pos: origin.last,
            segment: origin.segment,
            fold_from: origin.fold_from.0,
            fold_from_segment: origin.fold_from.1,
            objects: state.objects.len() as u64,
            bytes: 0,
            footer: (0, String::new()),
            domains: stored(origin),
            left: origin.left,
        };
        let meta = Meta {
            role: "checkpoint".to_owned(),
            cluster: journal.cluster().to_owned(),
            writer: writer.to_owned(),
            epoch,
            segment: origin.segment,
            first: 1,
            last: origin.last,
            chain_before: crate::row::chain_start(journal.cluster()),
            chain_after: origin.chain,
            frontier: origin.frontier.clone(),
            time: journal.parts().clock.now(),
            extra: BTreeMap::from([
                ("cut".to_owned(), json(&checkpoint.domains)),
                ("fold_from".to_owned(), checkpoint.fold_from.to_string()),
                ("fold_from_segment".to_owned(), checkpoint.fold_from_segment.to_string()),
                ("facts".to_owned(), facts.to_string()),
                ("index".to_owned(), json(&index)),
                ("groups".to_owned(), json(&file.groups()?)),
            ]),
        };
        let bytes = file.finish(&meta)?;
        checkpoint.bytes = bytes.len() as u64;
        let length = footer_length(&bytes).unwrap_or(0).min(checkpoint.bytes);
        let footer = bytes.slice((checkpoint.bytes - length) as usize..);
        checkpoint.footer = (length, sha256(&footer));
        let path = journal.store().layout().checkpoint(checkpoint.pos);
        // A file of that name was made from the same rows at the same position: it will do.
        journal.store().create(&path, bytes).await?;
        Manifest::add(journal, checkpoint.clone()).await?;
        Ok(checkpoint)
    }

    /// The same file at a later cut, if nothing but how far was seen has come since: an idle journal has segments and no
    /// rows, and a reader of now shall not read them all.
    fn moved(&self, origin: &Origin) -> Option<Self> {
        let whole = |fold_from: Position| fold_from == self.pos + 1;
        let idle = origin.last == self.pos && whole(self.fold_from) && whole(origin.fold_from.0);
        (idle && origin.segment > self.segment).then(|| Self {
            segment: origin.segment,
            fold_from_segment: origin.fold_from.1,
            domains: stored(origin),
            ..self.clone()
        })
    }

    /// The state it holds, as far as `scope` wants it.
    pub async fn load(&self, journal: &Journal, scope: &Scope) -> Result<State> {
        let path = journal.store().layout().checkpoint(self.pos);
        let what = path.to_string();
        let mut file = if scope.namespace.is_none() && !scope.is_empty() {
            let bytes = journal.store().get(&path).await?;
            segment::check_digest(&what, &bytes)?;
            Sparse::whole(bytes)
        } else {
            self.fetch_footer(journal, &path).await?
        };
        let (meta, metadata) = read_footer(&what, &file)?;
        segment::check_cluster(&what, journal.cluster(), &meta)?;
        let groups = wanted_groups(&what, &meta, scope, metadata.num_row_groups())?;
        self.fetch_groups(journal, &path, &mut file, &meta, &groups).await?;
        let reader = SerializedFileReader::new(file).map_err(|e| segment::unreadable(&what, &e))?;
        let mut state = State::default();
        for group in groups {
            for row in segment::read_group(&what, &reader, group)? {
                state.load(&row, scope)?;
            }
        }
        let cut = self.cut();
        for kind in state.kinds.values_mut() {
            if let (true, Some(point)) = (kind.is_covered(), cut.domains.get(&kind.discovery.domain)) {
                kind.cursor = kind.cursor.max(Some(*point));
            }
        }
        state.last = self.pos;
        Ok(state)
    }

    /// The end of the file, checked against the manifest.
    async fn fetch_footer(&self, journal: &Journal, path: &Path) -> Result<Sparse> {
        let from = self.bytes.saturating_sub(self.footer.0);
        let footer = journal.store().get_range(path, from..self.bytes).await?;
        if sha256(&footer) != self.footer.1 {
            return Err(altered(path));
        }
        Ok(Sparse { size: self.bytes, parts: vec![(from, footer)] })
    }

    /// The bytes of some row groups, checked against the footer.
    async fn fetch_groups(
        &self,
        journal: &Journal,
        path: &Path,
        file: &mut Sparse,
        meta: &Meta,
        wanted: &[usize],
    ) -> Result<()> {
        let all: Vec<segment::GroupBytes> =
            meta.extra.get("groups").and_then(|text| serde_json::from_str(text).ok()).ok_or_else(|| altered(path))?;
        for index in wanted {
            let group = all.get(*index).ok_or_else(|| altered(path))?;
            let length = group.end.saturating_sub(group.start) as usize;
            if file.slice(group.start, length).is_some() {
                continue;
            }
            let bytes = journal.store().get_range(path, group.start..group.end).await?;
            if sha256(&bytes) != group.sha256 {
                return Err(altered(path));
            }
            file.parts.push((group.start, bytes));
        }
        Ok(())
    }
}

/// The points of an origin's cut.
fn stored(origin: &Origin) -> BTreeMap<String, StoredPoint> {
    let points = origin.cut.domains.iter().map(|(domain, point)| {
        let told = origin.told.get(domain);
        let row = told.map(|(row, _)| (row.incarnation, row.rv));
        let hi = told.map_or(0, |(_, hi)| *hi);
        (domain.clone(), StoredPoint { incarnation: point.incarnation, rv: point.rv, hi, row })
    });
    points.collect()
}

fn altered(path: &Path) -> Error {
    Error::corrupt(path.to_string(), "was altered or damaged: its bytes do not have the digest written for them")
        .with_hint("restore this object from a copy of the bucket, or ask for a moment before it")
}

fn sha256(bytes: &[u8]) -> String {
    segment::hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// The size of a file's footer with its length and magic.
fn footer_length(file: &[u8]) -> Option<u64> {
    let length = file.get(file.len().checked_sub(8)?..file.len() - 4)?;
    Some(u64::from(u32::from_le_bytes(length.try_into().ok()?)) + 8)
}

/// JSON of what always serialises: maps and lists of strings and numbers.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers serialise")
}

fn read_footer(what: &str, file: &Sparse) -> Result<(Meta, ParquetMetaData)> {
    let reader = SerializedFileReader::new(file.clone()).map_err(|e| segment::unreadable(what, &e))?;
    let metadata = reader.metadata().clone();
    let meta = Meta::read(what, metadata.file_metadata().key_value_metadata())?;
    Ok((meta, metadata))
}

/// The row groups with facts, and those whose key range can hold a wanted object.
fn wanted_groups(what: &str, meta: &Meta, scope: &Scope, count: usize) -> Result<Vec<usize>> {
    let bad = || Error::corrupt(what, "its index is not readable");
    let facts: usize = meta.extra.get("facts").and_then(|t| t.parse().ok()).ok_or_else(bad)?;
    let index: Vec<[String; 4]> = meta
        .extra
        .get("index")
        .and_then(|text| serde_json::from_str(text).ok())
        .filter(|index: &Vec<_>| index.len() + facts == count)
        .ok_or_else(bad)?;
    let firsts: Vec<ObjectKey> = index
        .into_iter()
        .map(|[namespace, group, resource, name]| ObjectKey { namespace, group, resource, name })
        .collect();
    let mut wanted: Vec<usize> = (0..facts).collect();
    for (i, first) in firsts.iter().enumerate() {
        if may_hold(scope, first, firsts.get(i + 1)) {
            wanted.push(facts + i);
        }
    }
    Ok(wanted)
}

/// Whether a group from `first` up to `next` can hold an object of the scope's namespace (and kind and name).
fn may_hold(scope: &Scope, first: &ObjectKey, next: Option<&ObjectKey>) -> bool {
    if scope.is_empty() {
        return false;
    }
    let Some(namespace) = &scope.namespace else { return true };
    let after_first = first.namespace <= *namespace;
    let before_next = next.is_none_or(|n| *namespace <= n.namespace);
    if !after_first || !before_next {
        return false;
    }
    let (Some([kind]), Some(name)) = (scope.kinds.as_deref(), &scope.name) else { return true };
    let Some((group, resource)) = kind.split_once('/') else { return true };
    let key = ObjectKey {
        namespace: namespace.clone(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        name: name.clone(),
    };
    *first <= key && next.is_none_or(|n| key < *n)
}

/// A file of which only some ranges are here.
#[derive(Debug, Clone)]
struct Sparse {
    size: u64,
    parts: Vec<(u64, Bytes)>,
}

impl Sparse {
    fn whole(bytes: Bytes) -> Self {
        Self { size: bytes.len() as u64, parts: vec![(0, bytes)] }
    }

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
