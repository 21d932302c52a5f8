//! The bytes of a merged file.

use std::{collections::BTreeMap, io::Read as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use parquet::file::reader::FileReader as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Merged,
    kinds::{self, KINDS},
};
use crate::{
    Error, Journal, Position, Result, Row,
    fold::{ObjectKey, Scope},
    journal::Segment,
    partly::{self, Partly},
    parts::Micros,
    row::{ChainHash, Revision, StateHash, chain_step, check_contiguous},
    segment::{self, FileBuilder, FrontierPoint, FrontierVector, Meta, on_cores},
};

/// The role of a merged file.
const ROLE: &str = "merged";
/// Rows in a row group.
const GROUP: usize = 8 << 10;
/// A `base_rv` that stands for the row before: in SQL, −1.
const ROW_BEFORE: Revision = Revision::MAX;
/// How well bundles and the files of the first level are compressed, which do not live long, and those of the others.
const FAST: i32 = 4;
const WELL: i32 = 9;
/// How well marks are.
const MARKS: i32 = 9;
/// More than the marks of any file take.
const MOST: u64 = 64 << 20;

/// What is to be known of a segment beside its rows. What is as in the segment before is left out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    /// How many rows it has.
    #[serde(rename = "n")]
    pub(super) rows: u64,
    /// Its size.
    #[serde(rename = "b")]
    pub(super) bytes: u64,
    /// When it was made.
    #[serde(rename = "t")]
    time: Micros,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    writer: Option<String>,
    /// The domains that were closed to another point; `None` for one that is not closed at all any more.
    #[serde(rename = "f", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) frontier: BTreeMap<String, Option<FrontierPoint>>,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    extra: Option<BTreeMap<String, String>>,
}

impl Mark {
    fn of(segment: &Segment, before: Option<&Meta>) -> Self {
        let meta = &segment.meta;
        let known = before.map(|before| &before.frontier);
        let moved = meta.frontier.iter().filter(|(domain, point)| known.and_then(|f| f.get(*domain)) != Some(point));
        let mut frontier: BTreeMap<_, _> = moved.map(|(domain, point)| (domain.clone(), Some(*point))).collect();
        let gone = known.into_iter().flatten().filter(|(domain, _)| !meta.frontier.contains_key(*domain));
        frontier.extend(gone.map(|(domain, _)| (domain.clone(), None)));
        Self {
            rows: segment.rows.len() as u64,
            bytes: segment.bytes,
            time: meta.time,
            epoch: (before.map(|b| b.epoch) != Some(meta.epoch)).then_some(meta.epoch),
            writer: (before.map(|b| &b.writer) != Some(&meta.writer)).then(|| meta.writer.clone()),
            frontier,
            extra: (before.map(|b| &b.extra) != Some(&meta.extra)).then(|| meta.extra.clone()),
        }
    }

    /// Moves what was closed with the segment before on to what is closed with its segment.
    pub(super) fn move_on(&self, frontier: &mut FrontierVector) {
        for (domain, point) in &self.frontier {
            match point {
                Some(point) => _ = frontier.insert(domain.clone(), *point),
                None => _ = frontier.remove(domain),
            }
        }
    }

    /// The metadata of its segment, behind those of the one before; the chain value after it is not known yet.
    pub(super) fn meta(&self, before: &Meta) -> Meta {
        let mut frontier: FrontierVector = before.frontier.clone();
        self.move_on(&mut frontier);
        let first = before.last.saturating_add(1);
        Meta {
            epoch: self.epoch.unwrap_or(before.epoch),
            writer: self.writer.clone().unwrap_or_else(|| before.writer.clone()),
            segment: before.segment.saturating_add(1),
            first,
            last: first.saturating_add(self.rows).saturating_sub(1),
            chain_before: before.chain_after,
            frontier,
            time: self.time,
            extra: self.extra.clone().unwrap_or_else(|| before.extra.clone()),
            ..before.clone()
        }
    }
}

/// The merged file of some segments, and what the manifest says of it.
pub(super) fn build(level: u8, segments: &[Segment]) -> Result<(Merged, Bytes)> {
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
        return Err(Error::internal("a merged file", "has no segments"));
    };
    let (mut marks, mut before) = (Vec::with_capacity(segments.len()), None);
    for segment in segments {
        marks.push(Mark::of(segment, before));
        before = Some(&segment.meta);
    }
    let all = || segments.iter().flat_map(|segment| segment.rows.iter());
    let weight = all().map(|row| row.weight() as u64).sum();
    let mut file = FileBuilder::new(if level <= 1 { FAST } else { WELL })?;
    let facts: Vec<Row> = all().filter(|row| !row.op.is_object()).cloned().collect();
    let mut count = 0;
    for rows in facts.chunks(GROUP) {
        file.group(rows)?;
        count += 1;
    }
    let mut rows: Vec<&Row> = all().filter(|row| row.op.is_object()).collect();
    rows.sort_by(|row, other| order(row).cmp(&order(other)));
    let mut index = Vec::with_capacity(rows.len() / GROUP + 1);
    for rows in rows.chunks(GROUP) {
        index.extend(rows.first().map(|row| names(row)));
        let mut group: Vec<Row> = Vec::with_capacity(rows.len());
        let mut before: Option<&Row> = None;
        for row in rows {
            let mut written = (*row).clone();
            if written.base_rv == Some(ROW_BEFORE) {
                return Err(Error::invalid(format!("position {}", row.pos), "has a base that no server counts up to"));
            }
            // A row group is read by itself, so its first row says what its base is.
            if before.is_some_and(|before| names(before) == names(row) && is_base(before, row)) {
                (written.change.base_rv, written.change.base_hash) = (Some(ROW_BEFORE), None);
            }
            group.push(written);
            before = Some(row);
        }
        file.group(&group)?;
    }
    let made = segments.iter().map(|segment| segment.meta.time);
    let merged = Merged {
        level,
        first: first.meta.segment,
        last: last.meta.segment,
        rows: (first.meta.first, last.meta.last),
        made: (made.clone().min().unwrap_or(0), made.max().unwrap_or(0)),
        bytes: 0,
        footer: None,
        weight,
    };
    let extra = [
        ("level", level.to_string()),
        ("marks", packed(&marks)?),
        (KINDS, packed(&kinds::of(all()))?),
        ("facts", count.to_string()),
        ("index", json(&index)?),
        ("groups", json(&file.groups()?)?),
    ];
    let meta = Meta {
        role: ROLE.to_owned(),
        first: first.meta.first,
        chain_before: first.meta.chain_before,
        extra: extra.map(|(key, value)| (key.to_owned(), value)).into(),
        ..last.meta.clone()
    };
    let bytes = file.finish(&meta)?;
    Ok((Merged { bytes: bytes.len() as u64, footer: partly::footer(&bytes), ..merged }, bytes))
}

/// What rows of objects are sorted by: as checkpoints are, namespace first.
fn names(row: &Row) -> [&str; 4] {
    [&row.namespace, &row.group, &row.resource, &row.name]
}

fn order(row: &Row) -> ([&str; 4], Position) {
    (names(row), row.pos)
}

/// Of what a merged file says the facts and what a scope wants, in the order of positions, as one run that stands at its end.
pub(super) async fn excerpt(journal: &Journal, file: &Partly, scope: &Scope) -> Result<Segment> {
    let what = file.what();
    check_role(what, &file.meta)?;
    let (facts, firsts) = partly::read_index(what, &file.meta, file.count)?;
    let wanted = |[group, resource, namespace, name]: [&str; 4]| scope.wants(group, resource, namespace, name);
    let may_hold =
        |(at, first): (usize, &ObjectKey)| scope.may_be_between(first, firsts.get(at + 1)).then_some(facts + at);
    let objects: Vec<usize> = firsts.iter().enumerate().filter_map(may_hold).collect();
    let facts: Vec<usize> = (0..facts).collect();
    let (facts, objects) =
        futures::try_join!(file.rows(journal, facts, |_| true), file.rows(journal, objects, wanted))?;
    let mut rows: Vec<Row> = facts.into_iter().flatten().collect();
    for group in objects {
        rows.extend(based(what, group)?);
    }
    rows.sort_by_key(|row| row.pos);
    Ok(Segment { meta: file.meta.clone(), rows: rows.into(), bytes: 0 })
}

/// Whether a row's base is what another says.
fn is_base(base: &Row, row: &Row) -> bool {
    row.base_rv == Some(base.rv) && row.base_hash.is_some() && row.base_hash == base.state_hash
}

/// The segments of a merged file, checked: its cluster, contiguous positions, and its chain values.
pub(super) fn open(what: &str, cluster: &str, bytes: Bytes) -> Result<Vec<Segment>> {
    let (meta, reader) = segment::open(what, bytes)?;
    segment::check_cluster(what, cluster, &meta)?;
    check_role(what, &meta)?;
    let marks = marks(what, &meta)?;
    let mut rows = Vec::new();
    let groups = (0..reader.num_row_groups()).collect();
    for group in on_cores(groups, |group| based(what, segment::read_group(what, &reader, group)?)) {
        rows.extend(group?);
    }
    rows.sort_by_key(|row| row.pos);
    check_contiguous(what, meta.first, &rows)?;
    split(what, &meta, &marks, rows)
}

/// What it says of its segments.
pub(super) fn marks(what: &str, meta: &Meta) -> Result<Vec<Mark>> {
    let marks = meta.extra.get("marks").ok_or_else(|| Error::corrupt(what, "its metadata lacks hindcast.marks"))?;
    unpacked(what, marks)
}

/// What stands before its first segment, as far as that is to be known.
pub(super) fn before(what: &str, meta: &Meta, count: u64) -> Result<Meta> {
    let bad = |reason: &str| Error::corrupt(what, reason.to_owned());
    Ok(Meta {
        role: "segment".to_owned(),
        segment: meta.segment.checked_sub(count).ok_or_else(|| bad("has more marks than segments"))?,
        last: meta.first.checked_sub(1).ok_or_else(|| bad("begins at no position"))?,
        chain_after: meta.chain_before,
        frontier: FrontierVector::new(),
        extra: BTreeMap::new(),
        ..meta.clone()
    })
}

pub(super) fn check_role(what: &str, meta: &Meta) -> Result<()> {
    match meta.role == ROLE {
        true => Ok(()),
        false => Err(Error::corrupt(what, format!("is a {}, not a merged file", meta.role))),
    }
}

/// The rows of a row group with their bases. Of an object all are there or none.
fn based(what: &str, mut rows: Vec<Row>) -> Result<Vec<Row>> {
    let mut before: Option<(Revision, Option<StateHash>)> = None;
    for row in &mut rows {
        if row.base_rv == Some(ROW_BEFORE) {
            let Some((rv, hash)) = before else {
                return Err(Error::corrupt(what, format!("the base of row {} is not there", row.pos)));
            };
            (row.change.base_rv, row.change.base_hash) = (Some(rv), hash);
        }
        before = Some((row.rv, row.state_hash));
    }
    Ok(rows)
}

/// The segments that rows were in, in the order of their positions.
fn split(what: &str, meta: &Meta, marks: &[Mark], rows: Vec<Row>) -> Result<Vec<Segment>> {
    let bad = |reason: &str| Error::corrupt(what, reason.to_owned());
    let mut before = before(what, meta, marks.len() as u64)?;
    let mut rows = rows.into_iter();
    let mut segments = Vec::with_capacity(marks.len());
    for mark in marks {
        let mut own = mark.meta(&before);
        let held: Vec<Row> = rows.by_ref().take(usize::try_from(mark.rows).unwrap_or(usize::MAX)).collect();
        if held.len() as u64 != mark.rows {
            return Err(bad("has fewer rows than its marks say"));
        }
        own.chain_after = held.iter().fold(own.chain_before, |h: ChainHash, row| chain_step(&h, row));
        before = own.clone();
        segments.push(Segment { meta: own, rows: held.into(), bytes: mark.bytes });
    }
    if rows.next().is_some() || before.last != meta.last {
        return Err(bad("has more rows than its marks say"));
    }
    if before.chain_after != meta.chain_after {
        return Err(bad("its rows do not have the chain value it states: a row was altered"));
    }
    Ok(segments)
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::internal("a merged file", "cannot be written").with_source(e))
}

fn packed<T: Serialize>(list: &[T]) -> Result<String> {
    let text = json(&list)?;
    let packed = zstd::encode_all(text.as_bytes(), MARKS);
    let packed = packed.map_err(|e| Error::internal("a merged file", "cannot be written").with_source(e))?;
    Ok(STANDARD.encode(packed))
}

pub(super) fn unpacked<T: DeserializeOwned>(what: &str, text: &str) -> Result<Vec<T>> {
    let bad = |e: &dyn std::fmt::Display| Error::corrupt(what, format!("its marks are not readable: {e}"));
    let packed = STANDARD.decode(text).map_err(|e| bad(&e))?;
    let mut json = Vec::new();
    let reader = zstd::Decoder::new(packed.as_slice()).map_err(|e| bad(&e))?;
    reader.take(MOST).read_to_end(&mut json).map_err(|e| bad(&e))?;
    serde_json::from_slice(&json).map_err(|e| bad(&e))
}
