//! Changes that wait for the store, in blocks that become one segment each.
//!
//! **Words**: the *open* block takes changes; a *full* one waits, with the frontier as it stood when it was filled.
//! Full blocks that are not next in line are compressed, so that a store outage of ten minutes fits.
//!
//! **Invariants.** (1) Changes leave in the order they came. (2) A block's frontier covers only what is in it and the
//! blocks before. (3) [`Buffer::bytes`] counts all that is held, the block in flight included. Not here: when to
//! flush [`crate::flush`], which kind to let go [`crate::core`].

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf as _, BufMut as _, Bytes};
use hindcast_journal::{
    Change,
    row::{Body, Cell, Op, Source},
    segment::FrontierVector,
};

/// Full blocks beyond this many are compressed.
const LOOSE: usize = 1;

/// A segment to be.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) changes: Vec<Change>,
    pub(crate) frontier: FrontierVector,
    /// The newest demand that was made before it was closed.
    pub(crate) demand: u64,
    /// Up to which knock it answers; 0 for none more than before.
    pub(crate) knock: u64,
}

#[derive(Debug)]
enum Rows {
    Loose(Vec<Change>),
    Packed { bytes: Vec<u8>, size: usize, count: usize },
}

#[derive(Debug)]
struct Full {
    rows: Rows,
    bytes: usize,
    frontier: FrontierVector,
    demand: u64,
}

/// The waiting changes.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    full: VecDeque<Full>,
    open: Vec<Change>,
    open_bytes: usize,
    /// When the oldest change of the open block came, on the monotonic clock.
    open_since: Option<std::time::Duration>,
    in_flight: usize,
    /// Kind key → bytes it has waiting, roughly: what it brought since the buffer was last empty.
    by_kind: BTreeMap<String, usize>,
}

impl Buffer {
    /// Adds a change.
    pub(crate) fn push(&mut self, change: Change, now: std::time::Duration) {
        let weight = change.weight();
        *self.by_kind.entry(change.kind_key()).or_default() += weight;
        self.open_since.get_or_insert(now);
        self.open_bytes += weight;
        self.open.push(change);
    }

    /// Whether the open block has reached a segment's size.
    pub(crate) fn is_full(&self, rows: usize, bytes: usize) -> bool {
        self.open.len() >= rows || self.open_bytes >= bytes
    }

    /// Closes the open block, which meets the demands up to `demand`.
    pub(crate) fn close(&mut self, frontier: FrontierVector, demand: u64) {
        let rows = Rows::Loose(std::mem::take(&mut self.open));
        let bytes = std::mem::take(&mut self.open_bytes);
        self.open_since = None;
        self.full.push_back(Full { rows, bytes, frontier, demand });
        // A block that is not next in line waits for long only while the store is away.
        if self.full.len() > LOOSE
            && let Some(newest) = self.full.back_mut()
        {
            newest.pack();
        }
    }

    /// The oldest block; if none is full, the open one, with `frontier` and `demand`.
    pub(crate) fn take(&mut self, frontier: impl FnOnce() -> FrontierVector, demand: u64) -> Batch {
        if self.full.is_empty() {
            self.close(frontier(), demand);
        }
        let block = self.full.pop_front().expect("a block was closed above");
        self.in_flight = block.bytes;
        Batch { frontier: block.frontier, changes: block.rows.unpack(), demand: block.demand, knock: 0 }
    }

    /// The block in flight is durable.
    pub(crate) fn done(&mut self) {
        self.in_flight = 0;
        if self.full.is_empty() && self.open.is_empty() {
            self.by_kind.clear();
        }
    }

    /// Whether a full block waits.
    pub(crate) fn has_full(&self) -> bool {
        !self.full.is_empty()
    }

    /// When the oldest change of the open block came.
    pub(crate) fn open_since(&self) -> Option<std::time::Duration> {
        self.open_since
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.full.is_empty() && self.open.is_empty()
    }

    /// The memory that everything takes which waits or is in flight.
    pub(crate) fn bytes(&self) -> usize {
        self.full.iter().map(|b| b.bytes).sum::<usize>() + self.open_bytes + self.in_flight
    }

    /// The kind with the most bytes waiting, among those that `may` be let go.
    pub(crate) fn noisiest(&self, may: impl Fn(&str) -> bool) -> Option<String> {
        let candidates = self.by_kind.iter().filter(|(kind, _)| may(kind));
        candidates.max_by_key(|(_, bytes)| **bytes).map(|(kind, _)| kind.clone())
    }
}

impl Full {
    fn pack(&mut self) {
        let Rows::Loose(changes) = &self.rows else { return };
        let mut raw = Vec::with_capacity(self.bytes);
        for change in changes {
            write(&mut raw, change);
        }
        let Ok(bytes) = zstd::bulk::compress(&raw, 1) else { return };
        self.bytes = bytes.len();
        self.rows = Rows::Packed { bytes, size: raw.len(), count: changes.len() };
    }
}

impl Rows {
    fn unpack(self) -> Vec<Change> {
        match self {
            Self::Loose(changes) => changes,
            Self::Packed { bytes, size, count } => {
                let raw = zstd::bulk::decompress(&bytes, size);
                let mut raw = Bytes::from(raw.expect("memory holds what was packed here"));
                let changes: Vec<_> = (0..count).map(|_| read(&mut raw)).collect();
                changes
            }
        }
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32_le(bytes.len() as u32);
    out.put_slice(bytes);
}

fn put_option(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.put_u8(u8::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        put(out, bytes);
    }
}

/// Memory only: never written anywhere, so it has no version.
fn write(out: &mut Vec<u8>, c: &Change) {
    for text in [
        c.op.as_str(),
        c.source.as_str(),
        &c.domain,
        &c.group,
        &c.version,
        &c.resource,
        &c.subresource,
        &c.kind,
        &c.namespace,
        &c.name,
        &c.uid,
        &c.manager,
        &c.manager_op,
        &c.hash_key,
    ] {
        put(out, text.as_bytes());
    }
    out.put_u32_le(c.incarnation);
    out.put_u64_le(c.rv);
    out.put_i64_le(c.time_lo);
    out.put_i64_le(c.time_hi);
    put_option(out, c.base_rv.map(u64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice));
    put_option(out, c.state_hash.as_ref().map(<[u8; 8]>::as_slice));
    put_option(out, c.base_hash.as_ref().map(<[u8; 8]>::as_slice));
    put_option(out, c.managed_fields.as_deref());
    let (tag, body) = match &c.body {
        Body::None => (0, &[][..]),
        Body::Patch(bytes) => (1, bytes.as_ref()),
        Body::Object(bytes) => (2, bytes.as_ref()),
    };
    out.put_u8(tag);
    put(out, body);
    out.put_u32_le(c.cells.len() as u32);
    for cell in &c.cells {
        put(out, cell.path.as_bytes());
        put(out, cell.key_id.as_bytes());
        out.put_u64_le(cell.pos);
        out.put_u64_le(cell.rv);
        put(out, &cell.secret);
    }
}

fn get(raw: &mut Bytes) -> Bytes {
    let len = raw.get_u32_le() as usize;
    // A copy: a slice would keep the whole block in memory for as long as any change of it lives.
    Bytes::copy_from_slice(&raw.split_to(len))
}

fn get_text(raw: &mut Bytes) -> String {
    String::from_utf8(get(raw).into()).expect("memory holds the text that was put in")
}

fn get_option(raw: &mut Bytes) -> Option<Bytes> {
    (raw.get_u8() == 1).then(|| get(raw))
}

fn eight(bytes: &Bytes) -> [u8; 8] {
    bytes.as_ref().try_into().expect("memory holds the eight bytes that were put in")
}

fn read(raw: &mut Bytes) -> Change {
    let op = Op::from_word(&get_text(raw)).expect("memory holds the op that was put in");
    let source = Source::from_word(&get_text(raw)).expect("memory holds the source that was put in");
    let mut c = Change::new(op, get_text(raw), 0, 0);
    c.source = source;
    for field in [
        &mut c.group,
        &mut c.version,
        &mut c.resource,
        &mut c.subresource,
        &mut c.kind,
        &mut c.namespace,
        &mut c.name,
        &mut c.uid,
        &mut c.manager,
        &mut c.manager_op,
        &mut c.hash_key,
    ] {
        *field = get_text(raw);
    }
    c.incarnation = raw.get_u32_le();
    c.rv = raw.get_u64_le();
    c.time_lo = raw.get_i64_le();
    c.time_hi = raw.get_i64_le();
    c.base_rv = get_option(raw).map(|b| u64::from_le_bytes(eight(&b)));
    c.state_hash = get_option(raw).map(|b| eight(&b));
    c.base_hash = get_option(raw).map(|b| eight(&b));
    c.managed_fields = get_option(raw);
    let tag = raw.get_u8();
    let body = get(raw);
    c.body = match tag {
        0 => Body::None,
        1 => Body::Patch(body),
        _ => Body::Object(body),
    };
    for _ in 0..raw.get_u32_le() {
        c.cells.push(Cell {
            path: get_text(raw),
            key_id: get_text(raw),
            pos: raw.get_u64_le(),
            rv: raw.get_u64_le(),
            secret: get(raw),
        });
    }
    c
}

#[cfg(test)]
mod tests;
