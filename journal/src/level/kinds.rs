//! In what time the rows of a merged file are, kind by kind: what resolving a moment needs of a file that the moment does not
//! lie in.
//!
//! **Words**: a *sum* is of the rows of one kind, domain, life of its counter and source, between two facts about the kind.
//!
//! **Invariants.** (1) Every row of an object is in exactly one sum. (2) What is the same of all rows of a sum for a moment is
//! the same of the one row that stands for it [`Sum::decided`], which has the greatest revision and the last position of them.

use std::collections::{BTreeMap, btree_map::Entry};

use serde::{Deserialize, Serialize};

use super::asked::{Asked, Lies};
use crate::{
    Change, Error, Position, Result, Row,
    parts::Micros,
    row::{Op, Revision, Source},
};

/// The metadata key of the sums.
pub(super) const KINDS: &str = "kinds";

/// Where a row stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) pos: Position,
    pub(super) rv: Revision,
    pub(super) lo: Micros,
    pub(super) hi: Micros,
}

/// What some rows have in common, and the ends of what they have not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sum {
    #[serde(rename = "d")]
    domain: String,
    #[serde(rename = "i")]
    incarnation: u32,
    #[serde(rename = "g")]
    group: String,
    #[serde(rename = "k")]
    resource: String,
    #[serde(rename = "s")]
    source: String,
    /// The last position.
    #[serde(rename = "p")]
    pos: Position,
    /// The greatest revision.
    #[serde(rename = "r")]
    rv: Revision,
    /// The earliest lower bound.
    #[serde(rename = "l")]
    lo: Micros,
    /// The earliest and the latest upper bound.
    #[serde(rename = "h")]
    hi: (Micros, Micros),
}

impl Sum {
    /// Of one row.
    pub(super) fn of((domain, incarnation): (&str, u32), kind: [&str; 2], source: Source, row: Place) -> Self {
        let [group, resource] = kind.map(str::to_owned);
        let source = source.as_str().to_owned();
        let Place { pos, rv, lo, hi } = row;
        Self { domain: domain.to_owned(), incarnation, group, resource, source, pos, rv, lo, hi: (hi, hi) }
    }

    /// Takes in a row of the same kind.
    pub(super) fn add(&mut self, row: Place) {
        self.pos = self.pos.max(row.pos);
        self.rv = self.rv.max(row.rv);
        self.lo = self.lo.min(row.lo);
        self.hi = (self.hi.0.min(row.hi), self.hi.1.max(row.hi));
    }

    /// The row that stands for all of them, if a moment lies in none of their bounds.
    pub(super) fn decided(&self, what: &str, asked: Asked) -> Result<Option<Row>> {
        let hi = match (asked.lies(self.hi.1, self.hi.1), asked.lies(self.lo, self.hi.0)) {
            (Lies::Behind, _) => self.hi.1,
            (_, Lies::Before) => self.hi.0,
            _ => return Ok(None),
        };
        let source = Source::from_word(&self.source)
            .ok_or_else(|| Error::corrupt(what, format!("sums up rows of the unknown source \"{}\"", self.source)))?;
        let change = Change {
            source,
            group: self.group.clone(),
            resource: self.resource.clone(),
            time_lo: self.lo,
            time_hi: hi,
            ..Change::new(Op::Modify, self.domain.clone(), self.incarnation, self.rv)
        };
        Ok(Some(Row { pos: self.pos, change }))
    }
}

/// Those of a kind, by domain, life and source.
type OfKind<'r> = BTreeMap<(&'r str, u32, Source), Sum>;

/// The sums of rows, which come in the order of their positions.
pub(super) fn of<'r>(rows: impl Iterator<Item = &'r Row>) -> Vec<Sum> {
    let mut open: BTreeMap<(&str, &str), OfKind<'_>> = BTreeMap::new();
    let mut done = Vec::new();
    for row in rows {
        let kind = (&*row.group, &*row.resource);
        if row.op.is_object() {
            let place = Place { pos: row.pos, rv: row.rv, lo: row.time_lo, hi: row.time_hi };
            match open.entry(kind).or_default().entry((&row.domain, row.incarnation, row.source)) {
                Entry::Occupied(mut sum) => sum.get_mut().add(place),
                Entry::Vacant(free) => {
                    free.insert(Sum::of((&row.domain, row.incarnation), kind.into(), row.source, place));
                }
            }
        } else if !row.resource.is_empty() {
            done.extend(open.remove(&kind).into_iter().flat_map(BTreeMap::into_values));
        }
    }
    done.extend(open.into_values().flat_map(BTreeMap::into_values));
    done.sort_by_key(|sum| sum.pos);
    done
}
