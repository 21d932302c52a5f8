//! A checkpoint's file, opened: its footer, and as many of its row groups as a question needs.
//!
//! **Invariant.** Nothing is parsed before its digest is right: that of the whole file, or of the footer by the
//! manifest and of each row group by the footer.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use object_store::path::Path;
use parquet::{
    errors::ParquetError,
    file::{
        reader::{ChunkReader, FileReader as _, Length},
        serialized_reader::SerializedFileReader,
    },
};

use super::{COUNTS, Checkpoint, StoredPoint, altered, footer_length, sha256};
use crate::{
    Error, Journal, Position, Result,
    counts::Counts,
    fold::{ObjectKey, Scope, State},
    row::ChainHash,
    segment::{self, GroupBytes, Meta},
};

/// A checkpoint's file, of which at least the footer has been read.
#[derive(Debug)]
pub(crate) struct CheckpointFile<'a> {
    checkpoint: &'a Checkpoint,
    journal: &'a Journal,
    path: Path,
    bytes: Sparse,
    meta: Meta,
    /// How many row groups of facts there are; those of objects follow.
    facts: usize,
    /// The first object of each row group of objects.
    firsts: Vec<ObjectKey>,
}

impl Checkpoint {
    /// The state it holds, as far as `scope` wants it.
    pub async fn load(&self, journal: &Journal, scope: &Scope) -> Result<State> {
        let file = match scope.namespace.is_none() && !scope.is_empty() {
            true => self.open_whole(journal).await?,
            false => self.open(journal).await?,
        };
        file.state(scope).await
    }

    /// Its file, with the footer alone.
    pub(crate) async fn open<'a>(&'a self, journal: &'a Journal) -> Result<CheckpointFile<'a>> {
        let path = journal.store().layout().checkpoint(self.pos);
        let from = self.bytes.saturating_sub(self.footer.0);
        let footer = journal.store().get_range(&path, from..self.bytes).await?;
        if sha256(&footer) != self.footer.1 {
            return Err(altered(&path));
        }
        CheckpointFile::new(self, journal, path, Sparse { size: self.bytes, parts: vec![(from, footer)] })
    }

    /// What there is in truth at its position. An earlier version described its own bytes where it found the name taken
    /// by another writer's file. That file serves all the same, as what it says it is, if it is whole.
    pub(super) async fn in_truth(&self, journal: &Journal) -> Result<Self> {
        if self.read {
            return Ok(self.clone());
        }
        // It may also have no bytes at that place, which a store may tell as any error.
        if self.open(journal).await.is_ok() {
            return Ok(self.clone());
        }
        let (standing, _) = Self::standing(journal, self.pos).await?;
        if !standing.has_state_of(self) {
            return Ok(standing);
        }
        Ok(Self { bytes: standing.bytes, footer: standing.footer, read: true, ..self.clone() })
    }

    /// The checkpoint whose file stands at a position, as that file says, with the chain value it was made at.
    pub(super) async fn standing(journal: &Journal, pos: Position) -> Result<(Self, ChainHash)> {
        let path = journal.store().layout().checkpoint(pos);
        let what = path.as_ref();
        let bytes = journal.store().get(&path).await?;
        let (meta, reader) = segment::open(what, bytes.clone())?;
        let bad = || Error::corrupt(what, format!("is not a checkpoint at position {pos}"));
        if meta.role != "checkpoint" || meta.last != pos {
            return Err(bad());
        }
        let said = |key: &str| meta.extra.get(key).ok_or_else(bad);
        let (facts, _) = read_index(what, &meta, reader.num_row_groups())?;
        let objects = reader.metadata().row_groups().iter().skip(facts).map(|group| group.num_rows() as u64).sum();
        let size = bytes.len() as u64;
        let length = footer_length(&bytes).filter(|length| *length <= size).ok_or_else(bad)?;
        let footer = sha256(&bytes.slice((size - length) as usize..));
        let mut standing = Self {
            pos,
            segment: meta.segment,
            fold_from: said("fold_from")?.parse().map_err(|_| bad())?,
            fold_from_segment: said("fold_from_segment")?.parse().map_err(|_| bad())?,
            objects,
            bytes: size,
            footer: (length, footer),
            domains: own_cut(&meta).ok_or_else(bad)?,
            let_go: None,
            read: true,
        };
        let file = CheckpointFile::new(&standing, journal, path.clone(), Sparse { size, parts: vec![(0, bytes)] })?;
        standing.let_go = file.state(&Scope::nothing()).await?.latest_let_go();
        Ok((standing, meta.chain_after))
    }

    /// Whether its file holds the state that another description of it tells of: that of the same cut, or of a later one
    /// which no row separates from it.
    fn has_state_of(&self, named: &Self) -> bool {
        let whole = |c: &Self| c.fold_from == c.pos + 1;
        // Domains that an earlier version left out were added to its description.
        let same = self.domains.iter().all(|(domain, own)| {
            named.domains.get(domain).is_some_and(|n| (n.incarnation, n.rv) == (own.incarnation, own.rv))
        });
        let added = named.domains.len() > self.domains.len() && self.domains.values().any(|point| point.row.is_some());
        let idle = whole(self) && whole(named);
        self.pos == named.pos && (idle || (same && !added && self.fold_from == named.fold_from))
    }

    async fn open_whole<'a>(&'a self, journal: &'a Journal) -> Result<CheckpointFile<'a>> {
        let path = journal.store().layout().checkpoint(self.pos);
        let bytes = journal.store().get(&path).await?;
        segment::check_digest(path.as_ref(), &bytes)?;
        let sparse = Sparse { size: bytes.len() as u64, parts: vec![(0, bytes)] };
        let file = CheckpointFile::new(self, journal, path, sparse)?;
        if !file.is_of(self) {
            return Err(Error::corrupt(file.path.as_ref(), "stands at another moment than the manifest says")
                .with_hint("ask for a moment before it"));
        }
        Ok(file)
    }
}

impl<'a> CheckpointFile<'a> {
    fn new(checkpoint: &'a Checkpoint, journal: &'a Journal, path: Path, bytes: Sparse) -> Result<Self> {
        let what = path.as_ref();
        let reader = SerializedFileReader::new(bytes.clone()).map_err(|e| segment::unreadable(what, &e))?;
        let meta = Meta::read(what, reader.metadata().file_metadata().key_value_metadata())?;
        segment::check_cluster(what, journal.cluster(), &meta)?;
        let (facts, firsts) = read_index(what, &meta, reader.num_row_groups())?;
        Ok(Self { checkpoint, journal, path, bytes, meta, facts, firsts })
    }

    /// Whether the file says that it holds the state of a description.
    fn is_of(&self, named: &Checkpoint) -> bool {
        let fold_from = self.meta.extra.get("fold_from").and_then(|text| text.parse().ok());
        let (Some(fold_from), Some(domains)) = (fold_from, own_cut(&self.meta)) else { return false };
        Checkpoint { pos: self.meta.last, fold_from, domains, ..named.clone() }.has_state_of(named)
    }

    /// What is counted of its state, if it says so and this version understands it.
    pub(crate) fn counts(&self) -> Option<Counts> {
        serde_json::from_str(self.meta.extra.get(COUNTS)?).ok()
    }

    /// The state it holds, as far as `scope` wants it.
    pub(crate) async fn state(&self, scope: &Scope) -> Result<State> {
        let objects = self.groups_of_objects(|first, next| may_hold(scope, first, next));
        let groups: Vec<usize> = (0..self.facts).chain(objects).collect();
        let mut state = State::default();
        self.read(&groups, &mut state, scope).await?;
        let cut = self.checkpoint.cut();
        for kind in state.kinds.values_mut() {
            if let (true, Some(point)) = (kind.is_covered(), cut.domains.get(&kind.discovery.domain)) {
                kind.cursor = kind.cursor.max(Some(*point));
            }
        }
        state.last = self.checkpoint.pos;
        Ok(state)
    }

    /// Some of its objects, and nothing else of its state.
    pub(crate) async fn objects(&self, keys: &BTreeSet<ObjectKey>) -> Result<State> {
        let between = |first: &ObjectKey, next: Option<&ObjectKey>| {
            keys.range(first..).next().is_some_and(|key| next.is_none_or(|next| key < next))
        };
        let groups: Vec<usize> = self.groups_of_objects(between).collect();
        let mut state = State::default();
        self.read(&groups, &mut state, &Scope::default()).await?;
        state.objects.retain(|key, _| keys.contains(key));
        Ok(state)
    }

    /// The row groups of objects that can hold a wanted one, by the first key of each and that of the next.
    fn groups_of_objects(
        &self,
        may_hold: impl Fn(&ObjectKey, Option<&ObjectKey>) -> bool,
    ) -> impl Iterator<Item = usize> {
        let holding =
            move |(at, first): (usize, &ObjectKey)| may_hold(first, self.firsts.get(at + 1)).then_some(self.facts + at);
        self.firsts.iter().enumerate().filter_map(holding)
    }

    /// Takes the rows of some row groups into a state.
    async fn read(&self, groups: &[usize], state: &mut State, scope: &Scope) -> Result<()> {
        let what = self.path.as_ref();
        let reader = SerializedFileReader::new(self.fetch(groups).await?).map_err(|e| segment::unreadable(what, &e))?;
        for group in groups {
            for row in segment::read_group(what, &reader, *group)? {
                state.load(&row, scope)?;
            }
        }
        Ok(())
    }

    /// The file with the bytes of some row groups, checked against the footer.
    async fn fetch(&self, groups: &[usize]) -> Result<Sparse> {
        let altered = || altered(&self.path);
        let all: Vec<GroupBytes> =
            self.meta.extra.get("groups").and_then(|text| serde_json::from_str(text).ok()).ok_or_else(altered)?;
        let mut file = self.bytes.clone();
        for index in groups {
            let group = all.get(*index).ok_or_else(altered)?;
            if file.slice(group.start, group.end.saturating_sub(group.start) as usize).is_some() {
                continue;
            }
            let bytes = self.journal.store().get_range(&self.path, group.start..group.end).await?;
            if sha256(&bytes) != group.sha256 {
                return Err(altered());
            }
            file.parts.push((group.start, bytes));
        }
        Ok(file)
    }
}

/// The cut that a file says it stands at.
fn own_cut(meta: &Meta) -> Option<BTreeMap<String, StoredPoint>> {
    serde_json::from_str(meta.extra.get("cut")?).ok()
}

/// How many row groups of facts there are, and the first object of each of the others.
fn read_index(what: &str, meta: &Meta, groups: usize) -> Result<(usize, Vec<ObjectKey>)> {
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
