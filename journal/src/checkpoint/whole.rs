//! A checkpoint's whole file, for whoever proves it: what it says of itself, and its rows, a row group at a time.

use bytes::Bytes;
use parquet::file::{reader::FileReader as _, serialized_reader::SerializedFileReader};

use super::Checkpoint;
use crate::{Error, Journal, Position, Result, Row, fold::ObjectKey, partly, row::ChainHash, segment};

/// A checkpoint's file, read and found to be what it says.
pub(crate) struct WholeCheckpoint {
    /// As its file describes it.
    pub(crate) own: Checkpoint,
    /// The chain value that it was made at.
    pub(crate) chain: ChainHash,
    what: String,
    reader: SerializedFileReader<Bytes>,
    facts: usize,
    firsts: Vec<ObjectKey>,
}

impl WholeCheckpoint {
    /// Reads the file at a position: its digest and those of its row groups are right, and it is what its name says.
    pub(crate) async fn read(journal: &Journal, pos: Position) -> Result<Self> {
        let path = journal.store().layout().checkpoint(pos);
        let bytes = journal.store().get(&path).await?;
        let (meta, reader) = segment::open(path.as_ref(), bytes.clone())?;
        let (own, chain) = Checkpoint::standing_in(journal, pos, bytes.clone(), (&meta, &reader)).await?;
        let (facts, firsts) = partly::read_index(path.as_ref(), &meta, reader.num_row_groups())?;
        if !segment::groups_hold(&bytes, &meta, reader.num_row_groups()) {
            return Err(partly::altered(&path));
        }
        Ok(Self { own, chain, what: path.to_string(), reader, facts, firsts })
    }

    /// What a description of it in the manifest says otherwise, if anything.
    pub(crate) fn unlike(&self, named: &Checkpoint) -> Option<&'static str> {
        let own = &self.own;
        if !own.has_state_of(named) {
            return Some("another moment");
        }
        // An entry of an earlier version may be of other bytes of the same state.
        if !named.read {
            return None;
        }
        let same = own.domains.iter().all(|(domain, point)| named.domains.get(domain) == Some(point));
        let moved = named.segment > own.segment;
        if (named.bytes, &named.footer, named.objects) != (own.bytes, &own.footer, own.objects) {
            return Some("other bytes");
        }
        let place = (named.segment, named.fold_from, named.fold_from_segment);
        (!moved && (!same || place != (own.segment, own.fold_from, own.fold_from_segment))).then_some("another moment")
    }

    /// How many row groups hold facts, and how many objects.
    pub(crate) fn groups(&self) -> (usize, usize) {
        (self.facts, self.firsts.len())
    }

    /// The rows of a row group.
    pub(crate) fn rows(&self, group: usize) -> Result<Vec<Row>> {
        let rows = segment::read_group(&self.what, &self.reader, group)?;
        let first = group.checked_sub(self.facts).and_then(|at| self.firsts.get(at));
        match (first, rows.first()) {
            (Some(first), Some(row)) if *first != ObjectKey::of(row) => {
                Err(Error::corrupt(&self.what, "its index names another object than stands there"))
            }
            _ => Ok(rows),
        }
    }
}
