//! A checkpoint's file, opened: its footer, and as many of its row groups as a question needs.
//!
//! **Invariant.** Nothing is parsed before its digest is right: that of the whole file, or of the parts by what names them
//! ([`crate::partly`]).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use parquet::file::{reader::FileReader as _, serialized_reader::SerializedFileReader};

use super::{COUNTS, Checkpoint, StoredPoint};
use crate::{
    Error, Journal, Position, Result,
    counts::Counts,
    fold::{ObjectKey, Scope, State},
    partly::{self, Partly},
    row::ChainHash,
    segment::{self, Meta},
};

/// A checkpoint's file, of which at least the footer has been read.
#[derive(Debug)]
pub(crate) struct CheckpointFile<'a> {
    checkpoint: &'a Checkpoint,
    journal: &'a Journal,
    file: Partly,
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
        CheckpointFile::new(self, journal, Partly::open(journal, path, self.bytes, &self.footer).await?)
    }

    /// What there is in truth at its position. An earlier version described its own bytes where it found the name taken
    /// by another writer's file. That file serves all the same, as what it says it is, if it is whole.
    pub(crate) async fn in_truth(&self, journal: &Journal) -> Result<Self> {
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
        let bytes = journal.store().get(&path).await?;
        let (meta, reader) = segment::open(path.as_ref(), bytes.clone())?;
        Self::standing_in(journal, pos, bytes, (&meta, &reader)).await
    }

    /// The same of a file's bytes, which were opened.
    pub(super) async fn standing_in(
        journal: &Journal,
        pos: Position,
        bytes: Bytes,
        (meta, reader): (&Meta, &SerializedFileReader<Bytes>),
    ) -> Result<(Self, ChainHash)> {
        let path = journal.store().layout().checkpoint(pos);
        let what = path.as_ref();
        let bad = || Error::corrupt(what, format!("is not a checkpoint at position {pos}"));
        if meta.role != "checkpoint" || meta.last != pos {
            return Err(bad());
        }
        let said = |key: &str| meta.extra.get(key).ok_or_else(bad);
        let (facts, _) = partly::read_index(what, meta, reader.num_row_groups())?;
        let objects = reader.metadata().row_groups().iter().skip(facts).map(|group| group.num_rows() as u64).sum();
        let footer = partly::footer(&bytes).ok_or_else(bad)?;
        let mut standing = Self {
            pos,
            segment: meta.segment,
            fold_from: said("fold_from")?.parse().map_err(|_| bad())?,
            fold_from_segment: said("fold_from_segment")?.parse().map_err(|_| bad())?,
            objects,
            bytes: bytes.len() as u64,
            footer,
            domains: own_cut(meta).ok_or_else(bad)?,
            let_go: None,
            read: true,
        };
        let file = CheckpointFile::new(&standing, journal, Partly::whole(journal, path.clone(), bytes)?)?;
        standing.let_go = file.state(&Scope::nothing()).await?.latest_let_go();
        Ok((standing, meta.chain_after))
    }

    /// Whether its file holds the state that another description of it tells of: that of the same cut, or of a later one
    /// which no row separates from it.
    pub(super) fn has_state_of(&self, named: &Self) -> bool {
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
        let file = CheckpointFile::new(self, journal, Partly::whole(journal, path, bytes)?)?;
        if !file.is_of(self) {
            return Err(Error::corrupt(file.file.what(), "stands at another moment than the manifest says")
                .with_hint("ask for a moment before it"));
        }
        Ok(file)
    }
}

impl<'a> CheckpointFile<'a> {
    fn new(checkpoint: &'a Checkpoint, journal: &'a Journal, file: Partly) -> Result<Self> {
        let (facts, firsts) = partly::read_index(file.what(), &file.meta, file.count)?;
        Ok(Self { checkpoint, journal, file, facts, firsts })
    }

    /// Whether the file says that it holds the state of a description.
    fn is_of(&self, named: &Checkpoint) -> bool {
        let fold_from = self.file.meta.extra.get("fold_from").and_then(|text| text.parse().ok());
        let (Some(fold_from), Some(domains)) = (fold_from, own_cut(&self.file.meta)) else { return false };
        Checkpoint { pos: self.file.meta.last, fold_from, domains, ..named.clone() }.has_state_of(named)
    }

    /// What is counted of its state, if it says so and this version understands it.
    pub(crate) fn counts(&self) -> Option<Counts> {
        serde_json::from_str(self.file.meta.extra.get(COUNTS)?).ok()
    }

    /// The state it holds, as far as `scope` wants it.
    pub(crate) async fn state(&self, scope: &Scope) -> Result<State> {
        let objects = self.groups_of_objects(|first, next| scope.may_be_between(first, next));
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
        let (facts, objects): (Vec<usize>, Vec<usize>) = groups.iter().partition(|group| **group < self.facts);
        let wanted = |[group, resource, namespace, name]: [&str; 4]| scope.wants(group, resource, namespace, name);
        let facts = self.file.rows(self.journal, facts, |_| true);
        let objects = self.file.rows(self.journal, objects, wanted);
        let (facts, objects) = futures::try_join!(facts, objects)?;
        for row in facts.iter().chain(&objects).flatten() {
            state.load(row, scope)?;
        }
        Ok(())
    }
}

/// The cut that a file says it stands at.
fn own_cut(meta: &Meta) -> Option<BTreeMap<String, StoredPoint>> {
    serde_json::from_str(meta.extra.get("cut")?).ok()
}
