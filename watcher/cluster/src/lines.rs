//! The watch decoder: turns bytes as they arrive into lines, and lines into events.
//!
//! **Invariants.** (1) However the bytes are cut into frames, the same lines come out [a test cuts at every position].
//! (2) An object's bytes are passed on as received. (3) A line may be as long as an object can be, and longer: the
//! bound of 64 MiB only keeps a broken peer from taking all memory.

use bytes::{Bytes, BytesMut};

use crate::json;

/// No object from a real server is longer.
const MAX_LINE: usize = 64 << 20;

/// Cuts a byte stream into lines.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: BytesMut,
    /// Bytes at the start of `buffer` that hold no line end.
    scanned: usize,
}

/// The line is longer than anything that a server sends.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

impl Lines {
    /// Takes in the bytes of one frame.
    pub fn push(&mut self, frame: &[u8]) {
        self.buffer.extend_from_slice(frame);
    }

    /// The next whole line, without its end; empty lines are skipped.
    pub fn take(&mut self) -> Result<Option<Bytes>, TooLong> {
        loop {
            let fresh = self.buffer.get(self.scanned..).unwrap_or_default();
            let Some(found) = fresh.iter().position(|b| *b == b'\n') else {
                self.scanned = self.buffer.len();
                return if self.scanned > MAX_LINE { Err(TooLong) } else { Ok(None) };
            };
            let mut line = self.buffer.split_to(self.scanned + found + 1);
            self.scanned = 0;
            line.truncate(line.len() - 1);
            if line.iter().any(|b| !b.is_ascii_whitespace()) {
                return Ok(Some(line.freeze()));
            }
        }
    }
}

/// What a watch event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `ADDED`: an object that did not exist before.
    Added(Bytes),
    /// `MODIFIED`: the next version of an object.
    Modified(Bytes),
    /// `DELETED`: the last state, carrying the delete's own revision.
    Deleted(Bytes),
    /// `BOOKMARK`: everything of the kind up to this revision has been sent.
    Bookmark(Bytes),
    /// `ERROR`: a Status.
    Error(Bytes),
}

/// Reads one line of a watch; `None` when it is not an event.
pub fn event(line: &Bytes) -> Option<Event> {
    let (mut type_, mut object) = (None, None);
    let mut members = json::Members::of(line);
    for (key, value) in members.by_ref() {
        match key {
            b"type" => type_ = Some(value),
            b"object" => object = Some(value),
            _ => {}
        }
    }
    if !members.complete() {
        return None;
    }
    let object = json::share(line, object?);
    match type_? {
        b"\"ADDED\"" => Some(Event::Added(object)),
        b"\"MODIFIED\"" => Some(Event::Modified(object)),
        b"\"DELETED\"" => Some(Event::Deleted(object)),
        b"\"BOOKMARK\"" => Some(Event::Bookmark(object)),
        b"\"ERROR\"" => Some(Event::Error(object)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
