//! What a standby holds: of each kind the events that are not yet committed, as they were received.
//!
//! **Words**: a *ring* is one kind's piece of the server's history. It *reaches* from a revision on, and goes up to the
//! newest that was heard of. A *hole* is an interval in it in which a watch was broken; it is *bridged* when what was
//! missed was recovered from the server's history. What is *committed* is in the journal, so that nobody needs it here.
//!
//! **Invariants.** (1) Between two holes a ring has every change of its kind, in order [`Ring::push`]. (2) What is
//! dropped raises the revision from which the ring reaches, so that whoever takes it over can tell [`Ring::trim`]. (3)
//! All rings together take no more memory than their bound, and a last event: the fullest one is emptied [`Rings::push`].

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::{Buf as _, BufMut as _, Bytes};
use hindcast_journal::row::Revision;

use super::bridge::Bridge;

/// A block of events is compressed when it has grown to this.
const BLOCK: usize = 128 << 10;

/// Something that a ring holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    /// A line of the watch, and when it was received, on the monotonic clock.
    Line(Duration, Bytes),
    /// What was recovered of an interval.
    Bridge(Box<Bridge>),
    /// Nothing else happened up to a revision, as was known at a moment, on the monotonic clock.
    Upto(Revision, Duration),
    /// Nothing is known from here on up to the revision at which the watch was opened again.
    Hole,
}

#[derive(Debug)]
enum Block {
    Lines { bytes: Vec<u8>, raw: usize, packed: bool, count: usize, last: Revision, since: Duration },
    Bridge(Box<Bridge>),
    Hole(Hole),
}

/// An interval without a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    /// Everything up to here is known.
    pub(crate) from: Revision,
    /// And from here on.
    pub(crate) to: Revision,
    /// When the watch before was heard last, on the monotonic clock.
    pub(crate) heard: Duration,
    /// When the next one was opened.
    pub(crate) opened: Duration,
    /// Why the watch broke.
    pub(crate) why: String,
    /// Whether the server's history no longer has it.
    pub(crate) forgotten: bool,
}

/// One kind's events.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// Where the server has the kind, its version included.
    pub(crate) path: String,
    /// It has everything that is newer.
    from: Revision,
    upto: Revision,
    /// The revision of the newest event, which is not that of a bookmark.
    told: Revision,
    /// When that was heard, on the monotonic clock.
    pub(crate) heard: Duration,
    blocks: VecDeque<Block>,
    /// Name of the newest event's object, its uid, its revision, and whether that was its delete.
    pub(crate) newest: Option<Newest>,
    bytes: usize,
}

/// The object of the newest event that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) rv: Revision,
    pub(crate) deleted: bool,
}

impl Block {
    fn last(&self) -> Revision {
        match self {
            Self::Lines { last, .. } => *last,
            Self::Bridge(bridge) => bridge.to,
            Self::Hole(hole) => hole.to,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Lines { bytes, .. } => bytes.capacity(),
            Self::Bridge(bridge) => bridge.bytes(),
            Self::Hole(_) => 0,
        }
    }

    fn since(&self) -> Duration {
        match self {
            Self::Lines { since, .. } => *since,
            Self::Bridge(bridge) => bridge.heard,
            Self::Hole(hole) => hole.heard,
        }
    }

    /// Compresses a block that is full.
    fn pack(&mut self) {
        let Self::Lines { bytes, packed, .. } = self else { return };
        if let Ok(small) = zstd::bulk::compress(bytes, 1) {
            (*bytes, *packed) = (small, true);
            bytes.shrink_to_fit();
        }
    }

    fn unpack(self, out: &mut Vec<Held>) {
        match self {
            Self::Bridge(bridge) => {
                out.extend([Held::Upto(bridge.from, bridge.heard), Held::Bridge(bridge)]);
            }
            Self::Hole(hole) => out.extend([Held::Upto(hole.from, hole.heard), Held::Hole]),
            Self::Lines { bytes, raw, packed, count, .. } => {
                let bytes = if packed {
                    zstd::bulk::decompress(&bytes, raw).expect("memory holds what was packed here")
                } else {
                    bytes
                };
                let mut bytes = Bytes::from(bytes);
                for _ in 0..count {
                    let at = Duration::from_micros(bytes.get_u64_le());
                    let len = bytes.get_u32_le() as usize;
                    out.push(Held::Line(at, bytes.split_to(len)));
                }
            }
        }
    }
}

impl Ring {
    /// Begins at a revision, with nothing held.
    pub(crate) fn begin(&mut self, path: &str, at: Revision, now: Duration) {
        *self = Self { path: path.to_owned(), from: at, upto: at, heard: now, ..Self::default() };
    }

    /// Everything up to here is known; 0 before it has begun.
    pub(crate) fn upto(&self) -> Revision {
        self.upto
    }

    /// From here on everything is held, but for holes.
    pub(crate) fn from(&self) -> Revision {
        self.from
    }

    /// Whether any event is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// When the oldest of what is held was received.
    pub(crate) fn since(&self) -> Option<Duration> {
        self.blocks.front().map(Block::since)
    }

    /// Whether a takeover at that committed revision loses nothing by it.
    pub(crate) fn reaches(&self, committed: Revision) -> bool {
        self.from > 0 && self.from <= committed && self.hole().is_none()
    }

    /// Whether an event of the open watch is new. Objects that one transaction deletes go at one revision, as Events do that
    /// expire together.
    pub(crate) fn is_news(&self, rv: Revision, deleted: bool) -> bool {
        rv > self.upto || deleted && rv == self.upto && rv == self.told
    }

    /// An event of the open watch.
    fn push(&mut self, rv: Revision, at: Duration, line: &[u8]) {
        (self.upto, self.told, self.heard) = (rv.max(self.upto), rv, at);
        let room = matches!(self.blocks.back(), Some(Block::Lines { packed: false, .. }));
        if !room {
            let bytes = Vec::new();
            self.blocks.push_back(Block::Lines { bytes, raw: 0, packed: false, count: 0, last: rv, since: at });
        }
        let Some(block) = self.blocks.back_mut() else { return };
        let before = block.bytes();
        if let Block::Lines { bytes, raw, count, last, .. } = block {
            bytes.put_u64_le(at.as_micros() as u64);
            bytes.put_u32_le(line.len() as u32);
            bytes.put_slice(line);
            (*raw, *last) = (bytes.len(), rv.max(*last));
            *count += 1;
            if *raw >= BLOCK {
                block.pack();
            }
        }
        self.bytes = self.bytes + block.bytes() - before;
    }

    /// Nothing else happened up to a revision.
    pub(crate) fn seen(&mut self, rv: Revision, at: Duration) {
        (self.upto, self.heard) = (rv.max(self.upto), at);
    }

    /// The watch could not go on where it was: it was opened anew at a revision.
    pub(crate) fn broke(&mut self, at: Revision, now: Duration, why: &str) {
        let (from, heard) = (self.upto, self.heard);
        (self.upto, self.heard) = (at, now);
        if let Some(Block::Hole(hole)) = self.blocks.back_mut() {
            (hole.to, hole.opened) = (at, now);
            return;
        }
        let hole = Hole { from, to: at, heard, opened: now, why: why.to_owned(), forgotten: false };
        self.blocks.push_back(Block::Hole(hole));
    }

    /// The first interval that is missing.
    pub(crate) fn hole(&self) -> Option<&Hole> {
        self.blocks.iter().find_map(|block| match block {
            Block::Hole(hole) => Some(hole),
            _ => None,
        })
    }

    /// The history does not have the first interval that is missing.
    pub(crate) fn forgotten(&mut self) {
        let hole = self.blocks.iter_mut().find_map(|block| match block {
            Block::Hole(hole) => Some(hole),
            _ => None,
        });
        if let Some(hole) = hole {
            hole.forgotten = true;
        }
    }

    /// What was missing is known, unless the interval is gone from here.
    pub(crate) fn bridge(&mut self, bridge: Bridge) {
        let same =
            |block: &&mut Block| matches!(block, Block::Hole(hole) if (hole.from, hole.to) == (bridge.from, bridge.to));
        if let Some(block) = self.blocks.iter_mut().find(same) {
            self.bytes += bridge.bytes();
            *block = Block::Bridge(Box::new(bridge));
        }
    }

    /// Drops what is committed.
    pub(crate) fn trim(&mut self, committed: Revision) {
        while self.blocks.front().is_some_and(|block| block.last() <= committed) {
            if let Some(block) = self.blocks.pop_front() {
                self.bytes -= block.bytes();
                self.from = self.from.max(block.last());
            }
        }
        if self.blocks.is_empty() {
            self.from = self.from.max(committed.min(self.upto));
        }
        if self.newest.as_ref().is_some_and(|newest| newest.rv <= committed) {
            self.newest = None;
        }
    }

    /// Drops everything: it reaches from now on.
    fn empty(&mut self) {
        self.blocks.clear();
        (self.from, self.bytes, self.newest) = (self.upto, 0, None);
    }

    /// All that is held, in order.
    pub(crate) fn into_held(self) -> impl Iterator<Item = Held> {
        // Block by block: unpacked at once it would take many times the memory.
        let held = self.blocks.into_iter().flat_map(|block| {
            let mut out = Vec::new();
            block.unpack(&mut out);
            out
        });
        held.chain([Held::Upto(self.upto, self.heard)])
    }
}

/// The rings of all kinds.
#[derive(Debug)]
pub(crate) struct Rings {
    pub(crate) kinds: BTreeMap<String, Ring>,
    /// How much memory they may take together.
    pub(crate) bound: usize,
    /// How often one was emptied for want of room.
    pub(crate) overflows: u64,
    /// All bytes received since the beginning.
    pub(crate) received: u64,
}

impl Rings {
    pub(crate) fn new(bound: usize) -> Self {
        Self { kinds: BTreeMap::new(), bound, overflows: 0, received: 0 }
    }

    /// A kind's ring.
    pub(crate) fn of(&mut self, key: &str) -> &mut Ring {
        if !self.kinds.contains_key(key) {
            self.kinds.insert(key.to_owned(), Ring::default());
        }
        self.kinds.get_mut(key).expect("it was put in just above")
    }

    /// The memory that they take.
    pub(crate) fn bytes(&self) -> usize {
        self.kinds.values().map(|ring| ring.bytes).sum()
    }

    /// Takes an event in. Returns the kind whose ring had to be emptied for it.
    pub(crate) fn push(&mut self, key: &str, newest: Newest, at: Duration, line: &[u8]) -> Option<String> {
        self.received += line.len() as u64;
        let ring = self.of(key);
        ring.push(newest.rv, at, line);
        ring.newest = Some(newest);
        self.bounded()
    }

    /// Empties the fullest ring if all are over the bound.
    pub(crate) fn bounded(&mut self) -> Option<String> {
        if self.bytes() <= self.bound {
            return None;
        }
        let (key, ring) = self.kinds.iter_mut().max_by_key(|(_, ring)| ring.bytes)?;
        ring.empty();
        self.overflows += 1;
        Some(key.clone())
    }
}

#[cfg(test)]
mod tests;
