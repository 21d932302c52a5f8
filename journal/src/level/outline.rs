//! A merged file for whoever looks for a moment: what its segments say beside their rows, the journal's own facts, and of other
//! rows no more than decides on which side of the moment they are.
//!
//! **Invariants.**
//! 1. Of a segment's outline every fact is one of its facts, and every row whose bounds the moment lies in is there with its
//!    object's name. Each other row of an object has another that stands for it: of the same kind, domain, life and source, on
//!    the same side of the moment, with no fact about the kind between them, of no lower revision, and no
//!    lower position [`Outline::segment`].
//! 2. What stands for others says nothing of an object: it has no name and no body. Only [`Outline::excerpt`] gives rows of
//!    objects.
//! 3. A row stands for others of earlier segments only if whoever reads up to the moment reads all of them [`Outline::read`].
//! 4. Chain values between its segments are not known: only those of the file's ends are [`Outline::meta`].
//!
//! Not here: what a moment is (`read/resolve.rs`), which files are read (`read/shelf.rs`).

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Mutex, PoisonError},
};

use super::{
    Merged,
    asked::{Asked, Lies, OUTLINE},
    file,
    kinds::{KINDS, Place, Sum},
};
use crate::{
    Change, Error, Journal, Position, Result, Row,
    fold::Scope,
    journal::Segment,
    partly::{self, Partly},
    row::{Op, Source},
    segment::{Bounds, FrontierVector, Meta},
};

/// A merged file, as far as a moment needs it.
#[derive(Debug)]
pub(crate) struct Outline {
    file: Partly,
    asked: Asked,
    marks: Vec<file::Mark>,
    facts: Vec<Row>,
    rest: Rest,
    /// How far its segments have been gone through: readers go forward.
    walk: Mutex<Walk>,
}

/// What is known of the rows of objects, in order.
#[derive(Debug)]
enum Rest {
    /// Rows that stand for those of the whole file.
    Sums(Vec<Row>),
    /// Those of the segments that are read.
    Rows(Vec<Bounds>),
}

#[derive(Debug)]
struct Walk {
    /// How many segments come before the next one.
    next: usize,
    /// The last one before it.
    before: Meta,
}

impl Outline {
    /// The outline of a file from a segment on; `None` if the manifest does not say where its parts are.
    pub(crate) async fn read(journal: &Journal, merged: &Merged, asked: Asked, from: u64) -> Result<Option<Self>> {
        let Some(file) = merged.partly(journal).await? else { return Ok(None) };
        let path = journal.store().layout().merged(merged.level, merged.first, merged.last);
        let what = path.as_ref();
        file::check_role(what, &file.meta)?;
        let marks = file::marks(what, &file.meta)?;
        let before = file::before(what, &file.meta, marks.len() as u64)?;
        let rows = marks.iter().try_fold(0_u64, |sum, mark| sum.checked_add(mark.rows));
        let held = file.meta.last.checked_add(1).and_then(|next| next.checked_sub(file.meta.first));
        if before.segment.saturating_add(1) != merged.first || rows != held {
            return Err(Error::corrupt(what, "has marks that are not of its segments"));
        }
        let sums = match from <= merged.first && !closes_before_its_end(&marks, asked) {
            true => sums(what, &file.meta, asked)?,
            false => None,
        };
        let (facts, _) = partly::read_index(what, &file.meta, file.count)?;
        let count = file.count;
        let fetched: Vec<usize> = (0..if sums.is_some() { facts } else { count }).collect();
        let file = file.with(journal, &fetched).await?;
        let (of_facts, of_objects) = ((0..facts).collect(), (facts..count).collect());
        let facts = file.rows(journal, of_facts, |_| true).await?.into_iter().flatten().collect();
        let rest = match sums {
            Some(sums) => Rest::Sums(sums),
            None => {
                let skipped = usize::try_from(from.saturating_sub(merged.first)).unwrap_or(usize::MAX);
                let skipped: u64 = marks.iter().take(skipped).map(|mark| mark.rows).sum();
                let around = |lo, hi| asked.lies(lo, hi) == Lies::Around;
                let rows = file.bounds(journal, of_objects, merged.rows.0.saturating_add(skipped), around).await?;
                let mut rows: Vec<Bounds> = rows.into_iter().flatten().collect();
                rows.sort_unstable_by_key(|row| row.pos);
                Rest::Rows(rows)
            }
        };
        let walk = Mutex::new(Walk { next: 0, before });
        Ok(Some(Self { file, asked, marks, facts, rest, walk }))
    }

    /// The outline of a segment; `None` for one that it is not of.
    pub(crate) fn segment(&self, number: u64) -> Option<Segment> {
        let at = number.checked_sub((self.file.meta.segment + 1).checked_sub(self.marks.len() as u64)?)?;
        let at = usize::try_from(at).ok()?;
        let bytes = self.marks.get(at)?.bytes;
        let meta = self.meta(at)?;
        let mut rows: Vec<Row> = part(&self.facts, &meta, |row| row.pos).to_vec();
        match &self.rest {
            Rest::Sums(sums) if at + 1 == self.marks.len() => rows.extend(sums.iter().cloned()),
            Rest::Sums(_) => {}
            Rest::Rows(bounds) => {
                let of_kinds = rows.iter().any(|row| !row.resource.is_empty());
                rows.extend(self.outlined(part(bounds, &meta, |row| row.pos), of_kinds));
            }
        }
        rows.sort_by_key(|row| row.pos);
        Some(Segment { meta, rows: rows.into(), bytes })
    }

    /// Whether it is of a segment.
    pub(crate) fn holds(&self, number: u64) -> bool {
        let last = self.file.meta.segment;
        number <= last && last < number.saturating_add(self.marks.len() as u64)
    }

    /// What its facts and the rows of some objects say, as one run.
    pub(crate) async fn excerpt(&self, journal: &Journal, scope: &Scope) -> Result<Segment> {
        if scope.is_empty() {
            return Ok(Segment { meta: self.file.meta.clone(), rows: self.facts.clone().into(), bytes: 0 });
        }
        file::excerpt(journal, &self.file, scope).await
    }

    /// The metadata of a segment by its index.
    fn meta(&self, at: usize) -> Option<Meta> {
        let mut walk = self.walk.lock().unwrap_or_else(PoisonError::into_inner);
        if at < walk.next {
            let before = file::before(self.file.what(), &self.file.meta, self.marks.len() as u64).ok()?;
            *walk = Walk { next: 0, before };
        }
        while walk.next <= at {
            let mut own = self.marks.get(walk.next)?.meta(&walk.before);
            walk.next += 1;
            own.chain_after = if walk.next == self.marks.len() { self.file.meta.chain_after } else { [0; 32] };
            walk.before = own;
        }
        Some(Meta { role: OUTLINE.to_owned(), ..walk.before.clone() })
    }

    /// Rows that stand for those of one segment: each for itself if the segment has facts about kinds.
    fn outlined(&self, bounds: &[Bounds], each: bool) -> Vec<Row> {
        let mut sums: BTreeMap<(Lies, &str, u32, [&str; 2], Source), Sum> = BTreeMap::new();
        let mut out = Vec::new();
        for row in bounds {
            let lies = self.asked.lies(row.lo, row.hi);
            if each || lies == Lies::Around {
                out.push(alone(row));
                continue;
            }
            let place = Place { pos: row.pos, rv: row.rv, lo: row.lo, hi: row.hi };
            match sums.entry((lies, &row.domain, row.incarnation, [&row.group, &row.resource], row.source)) {
                Entry::Occupied(mut sum) => sum.get_mut().add(place),
                Entry::Vacant(free) => {
                    let kind = [&*row.group, &*row.resource];
                    free.insert(Sum::of((&row.domain, row.incarnation), kind, row.source, place));
                }
            }
        }
        // All rows of each are on one side, and of a known source.
        out.extend(sums.into_values().filter_map(|sum| sum.decided(self.file.what(), self.asked).ok().flatten()));
        out
    }
}

/// A row that stands for itself.
fn alone(bounds: &Bounds) -> Row {
    let (op, namespace, name) = match &bounds.named {
        Some((op, names)) => {
            let [namespace, name] = names.as_ref().clone();
            (*op, namespace, name)
        }
        None => (Op::Modify, String::new(), String::new()),
    };
    let change = Change {
        source: bounds.source,
        group: bounds.group.as_ref().to_owned(),
        resource: bounds.resource.as_ref().to_owned(),
        namespace,
        name,
        time_lo: bounds.lo,
        time_hi: bounds.hi,
        ..Change::new(op, bounds.domain.as_ref(), bounds.incarnation, bounds.rv)
    };
    Row { pos: bounds.pos, change }
}

/// Those of rows in order that a segment holds.
fn part<'r, T>(rows: &'r [T], meta: &Meta, pos: impl Fn(&T) -> Position) -> &'r [T] {
    let from = rows.partition_point(|row| pos(row) < meta.first);
    let to = rows.partition_point(|row| pos(row) <= meta.last);
    rows.get(from..to).unwrap_or_default()
}

/// The rows that stand for those of the whole file, if the moment lies in the bounds of none.
fn sums(what: &str, meta: &Meta, asked: Asked) -> Result<Option<Vec<Row>>> {
    // A file of an earlier version does not say it.
    let Some(text) = meta.extra.get(KINDS) else { return Ok(None) };
    let sums: Vec<Sum> = file::unpacked(what, text)?;
    sums.iter().map(|sum| sum.decided(what, asked)).collect()
}

/// Whether a reader may stop at one of its segments that is not the last.
fn closes_before_its_end(marks: &[file::Mark], asked: Asked) -> bool {
    let mut frontier = FrontierVector::new();
    let all_but_last = marks.split_last().map_or(&[][..], |(_, rest)| rest);
    all_but_last.iter().any(|mark| {
        mark.move_on(&mut frontier);
        asked.closed(&frontier)
    })
}
