//! Of the rows of a row group what places them in time, and nothing that is large.
//!
//! Not here: which rows a question needs more of (`level/outline.rs`).

use std::sync::Arc;

use parquet::{
    data_type::{ByteArray, Int32Type},
    file::{reader::ChunkReader, serialized_reader::SerializedFileReader},
};

use super::column::{Columns, word};
use crate::{
    Error, Position, Result,
    parts::Micros,
    row::{Op, Revision, Source},
};

/// Where the columns stand in the schema.
mod at {
    pub(super) const DOMAIN: usize = 2;
    pub(super) const RV: usize = 4;
    pub(super) const TIME_LO: usize = 6;
    pub(super) const OP: usize = 8;
    pub(super) const SOURCE: usize = 9;
    pub(super) const GROUP: usize = 10;
    pub(super) const RESOURCE: usize = 12;
    pub(super) const NAMESPACE: usize = 15;
}

/// A row of an object, without what it says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) pos: Position,
    pub(crate) domain: Arc<str>,
    pub(crate) incarnation: u32,
    pub(crate) rv: Revision,
    pub(crate) lo: Micros,
    pub(crate) hi: Micros,
    pub(crate) source: Source,
    pub(crate) group: Arc<str>,
    pub(crate) resource: Arc<str>,
    /// What it did, in which namespace, to which name; only where that was asked for.
    pub(crate) named: Option<(Op, Box<[String; 2]>)>,
}

/// The bounds of the rows of one row group from a position on; those that are `named` with their names.
pub(crate) fn read_bounds<R: ChunkReader + 'static>(
    what: &str,
    reader: &SerializedFileReader<R>,
    index: usize,
    from: Position,
    named: impl Fn(Micros, Micros) -> bool,
) -> Result<Vec<Bounds>> {
    let mut c = Columns::open(what, reader, index)?;
    let pos: Vec<Position> = c.numbers()?.map(|pos| pos as u64).collect();
    let wanted = pos.iter().filter(|pos| **pos >= from).count();
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let domain = c.at(at::DOMAIN).words()?;
    let incarnation = c.take::<Int32Type>(false)?.0;
    let rv = c.at(at::RV).numbers()?;
    let lo: Vec<Micros> = c.at(at::TIME_LO).numbers()?.collect();
    let hi: Vec<Micros> = c.numbers()?.collect();
    let is_named = |at: usize| {
        let bounds = pos.get(at).zip(lo.get(at).zip(hi.get(at)));
        bounds.is_some_and(|(pos, (lo, hi))| *pos >= from && named(*lo, *hi))
    };
    let any = (0..pos.len()).any(is_named);
    let op: Vec<ByteArray> = if any { c.at(at::OP).words()?.collect() } else { Vec::new() };
    let source = c.at(at::SOURCE).words()?;
    let group = c.at(at::GROUP).words()?;
    let resource = c.at(at::RESOURCE).words()?;
    let (namespace, name): (Vec<ByteArray>, Vec<ByteArray>) = match any {
        true => (c.at(at::NAMESPACE).words()?.collect(), c.words()?.collect()),
        false => (Vec::new(), Vec::new()),
    };
    let (mut domains, mut groups, mut resources) = (Last::new(what), Last::new(what), Last::new(what));
    let mut sources: Option<(ByteArray, Source)> = None;
    let mut out = Vec::with_capacity(wanted);
    let words = domain.zip(source).zip(group.zip(resource));
    let rest = incarnation.into_iter().zip(rv).zip(words);
    for (at, ((incarnation, rv), ((domain, source), (group, resource)))) in rest.enumerate() {
        let short = || Error::corrupt(what, "a column is shorter than the others");
        let place = (*pos.get(at).ok_or_else(short)?, *lo.get(at).ok_or_else(short)?, *hi.get(at).ok_or_else(short)?);
        if place.0 < from {
            continue;
        }
        let source = match &sources {
            Some((bytes, known)) if bytes.data() == source.data() => *known,
            _ => {
                let known = Source::from_word(word(what, &source)?)
                    .ok_or_else(|| Error::corrupt(what, "a row has an unknown source"))?;
                sources = Some((source, known));
                known
            }
        };
        let named = match is_named(at) {
            true => {
                let text = |of: &[ByteArray]| of.get(at).ok_or_else(short).and_then(|b| Ok(word(what, b)?.to_owned()));
                let op = Op::from_word(&text(&op)?).ok_or_else(|| Error::corrupt(what, "a row has an unknown op"))?;
                Some((op, Box::new([text(&namespace)?, text(&name)?])))
            }
            false => None,
        };
        out.push(Bounds {
            pos: place.0,
            domain: domains.of(&domain)?,
            incarnation: incarnation as u32,
            rv: rv as u64,
            lo: place.1,
            hi: place.2,
            source,
            group: groups.of(&group)?,
            resource: resources.of(&resource)?,
            named,
        });
    }
    if out.len() != wanted {
        return Err(Error::corrupt(what, "a column is shorter than the others"));
    }
    Ok(out)
}

/// Words of which the next is mostly the last.
struct Last<'w> {
    what: &'w str,
    word: Arc<str>,
}

impl<'w> Last<'w> {
    fn new(what: &'w str) -> Self {
        Self { what, word: "".into() }
    }

    fn of(&mut self, bytes: &ByteArray) -> Result<Arc<str>> {
        if self.word.as_bytes() != bytes.data() {
            self.word = word(self.what, bytes)?.into();
        }
        Ok(self.word.clone())
    }
}
