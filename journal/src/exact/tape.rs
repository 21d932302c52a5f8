//! The tape: one pass over received bytes that checks everything and remembers where each value lies.
//!
//! Words. An *entry* is one value or key: its bytes, where the next one begins, what is known of it. An
//! entry is *canonical* when its bytes already are its canonical spelling, so that it is copied whole.
//! *Dirt* is anything that is not canonical (whitespace, a foreign escape, keys out of order), counted as it
//! is met: a container is canonical when the count did not grow inside it.
//!
//! Invariants: entries lie in document order and `next` grows; an object's members are found sorted and
//! unique, through the order table where they came unsorted; offsets fall on ASCII, so slices of the text
//! never cut a character.
//!
//! Not here: the view of it that others read ([`super::document`]), writing ([`super::canonical`]).
//!
//! Start reading at [`Tape::push`], then [`Parser::run`].

use std::{borrow::Cow, cell::RefCell, cmp::Ordering};

use super::{
    MAX_DEPTH,
    document::{Kind, Node},
    error::{ParseError, ParseReason},
    scan,
};

/// No entry, and one more than the offset of any byte.
pub(super) const NONE: u32 = u32::MAX;

/// One value or key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) start: u32,
    pub(super) end: u32,
    /// The entry after this one's subtree.
    pub(super) next: u32,
    /// Where the order table lists this object's keys; `NONE` when they came sorted.
    pub(super) order: u32,
    pub(super) kind: Kind,
    pub(super) canonical: bool,
    pub(super) escaped: bool,
}

/// Entries and the order of unsorted objects, apart from the text so that a diff can grow one lazily.
#[derive(Debug, Default)]
pub(super) struct Tape {
    entries: Vec<Entry>,
    /// For each unsorted object: how many keys, then their entries in order.
    order: Vec<u32>,
    stack: Vec<Frame>,
    keys: Vec<(u64, u32)>,
    /// By how much less than [`MAX_DEPTH`] values may nest.
    margin: usize,
}

#[derive(Debug)]
struct Frame {
    entry: u32,
    /// The key before, with its [`prefix`]; `NONE` before the first.
    last_key: u32,
    last_prefix: u64,
    dirt: u32,
    object: bool,
    unsorted: bool,
}

thread_local! {
    /// The room of tapes dropped before: some are made and dropped for every document, and blocks of that size are the
    /// allocator's slow path.
    static SPARE: RefCell<Vec<Vec<Entry>>> = const { RefCell::new(Vec::new()) };
}

/// The most entries whose room is kept, and how often.
const SPARED: (usize, usize) = (1 << 15, 4);

impl Drop for Tape {
    fn drop(&mut self) {
        let mut room = std::mem::take(&mut self.entries);
        if (1..=SPARED.0).contains(&room.capacity()) {
            room.clear();
            // A thread that ends has no place for it any more.
            let _ = SPARE.try_with(|spare| {
                let mut spare = spare.borrow_mut();
                if spare.len() < SPARED.1 {
                    spare.push(room);
                }
            });
        }
    }
}

impl Tape {
    /// Parses the one value that begins at `pos`, without looking at what follows it. Returns its entry
    /// and where it ends.
    pub(super) fn push(&mut self, text: &str, pos: usize) -> Result<(u32, usize), ParseError> {
        let root = self.entries.len() as u32;
        self.stack.clear();
        let mut parser = Parser { text, bytes: text.as_bytes(), pos, dirt: 0, tape: self };
        parser.run()?;
        let end = parser.pos;
        Ok((root, end))
    }

    /// A tape whose values may nest less deep than [`MAX_DEPTH`], by that many levels.
    pub(super) fn with_margin(margin: usize) -> Self {
        let mut tape = Self::default();
        tape.margin = margin;
        tape
    }

    /// Makes room for the entries that a text of this length usually has.
    pub(super) fn reserve_for(&mut self, text: &str) {
        if self.entries.capacity() == 0 {
            self.entries = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        self.entries.reserve(text.len() / 10 + 8);
        self.stack.reserve(16);
    }

    pub(super) fn node<'d>(&'d self, text: &'d str, at: u32) -> Node<'d> {
        Node::new(text, self, at)
    }

    pub(super) fn entry(&self, at: u32) -> Entry {
        const GONE: Entry =
            Entry { start: 0, end: 0, next: NONE, order: NONE, kind: Kind::Null, canonical: true, escaped: false };
        self.entries.get(at as usize).copied().unwrap_or(GONE)
    }

    /// The sorted keys of an object that came unsorted, by what its entry says of the order.
    pub(super) fn sorted_keys(&self, entry: Entry) -> Option<&[u32]> {
        let order = entry.order as usize;
        let count = *self.order.get(order)? as usize;
        self.order.get(order + 1..=order + count)
    }
}

struct Parser<'p> {
    text: &'p str,
    bytes: &'p [u8],
    pos: usize,
    dirt: u32,
    tape: &'p mut Tape,
}

impl Parser<'_> {
    /// One value with all that is in it. The stack is the tape's own, so depth costs no thread stack.
    fn run(&mut self) -> Result<(), ParseError> {
        'value: loop {
            if self.open()? {
                continue 'value;
            }
            loop {
                let Some(frame) = self.tape.stack.last() else { return Ok(()) };
                let object = frame.object;
                self.space();
                match self.bytes.get(self.pos) {
                    Some(b',') => {
                        self.pos += 1;
                        self.space();
                        if object {
                            self.key()?;
                        }
                        continue 'value;
                    }
                    Some(b'}') if object => self.close()?,
                    Some(b']') if !object => self.close()?,
                    Some(_) if object => return Err(self.expected("',' or '}'")),
                    _ => return Err(self.expected("',' or ']'")),
                }
            }
        }
    }

    /// Reads what begins here. True when a value must follow inside it; false when a value is complete.
    fn open(&mut self) -> Result<bool, ParseError> {
        let start = self.pos;
        let Some(&byte) = self.bytes.get(start) else { return Err(self.expected("a value")) };
        match byte {
            b'"' => self.string()?,
            b'{' => {
                self.push_frame(Kind::Object)?;
                if self.bytes.get(self.pos) == Some(&b'}') {
                    self.close()?;
                    return Ok(false);
                }
                self.key()?;
                return Ok(true);
            }
            b'[' => {
                self.push_frame(Kind::Array)?;
                if self.bytes.get(self.pos) == Some(&b']') {
                    self.close()?;
                    return Ok(false);
                }
                return Ok(true);
            }
            b'-' | b'0'..=b'9' => {
                let end = scan::number(self.bytes, start)?;
                self.scalar(Kind::Number, end);
            }
            b't' => self.word(b"true", Kind::Bool)?,
            b'f' => self.word(b"false", Kind::Bool)?,
            b'n' => self.word(b"null", Kind::Null)?,
            _ => return Err(self.expected("a value")),
        }
        Ok(false)
    }

    fn word(&mut self, word: &'static [u8], kind: Kind) -> Result<(), ParseError> {
        let end = self.pos + word.len();
        if self.bytes.get(self.pos..end) != Some(word) {
            return Err(self.expected("a value"));
        }
        self.scalar(kind, end);
        Ok(())
    }

    fn scalar(&mut self, kind: Kind, end: usize) {
        self.entry(kind, end, true, false);
        self.pos = end;
    }

    #[inline]
    fn string(&mut self) -> Result<(), ParseError> {
        let scanned = scan::string(self.bytes, self.pos)?;
        self.dirt += u32::from(!scanned.canonical);
        self.entry(Kind::String, scanned.end, scanned.canonical, scanned.escaped);
        self.pos = scanned.end;
        Ok(())
    }

    #[inline]
    fn entry(&mut self, kind: Kind, end: usize, canonical: bool, escaped: bool) {
        let next = self.tape.entries.len() as u32 + 1;
        let (start, end) = (self.pos as u32, end as u32);
        self.tape.entries.push(Entry { start, end, next, order: NONE, kind, canonical, escaped });
    }

    fn push_frame(&mut self, kind: Kind) -> Result<(), ParseError> {
        if self.tape.stack.len() + self.tape.margin >= MAX_DEPTH {
            return Err(ParseReason::TooDeep.at(self.pos));
        }
        self.tape.stack.push(Frame {
            entry: self.tape.entries.len() as u32,
            last_key: NONE,
            last_prefix: 0,
            dirt: self.dirt,
            object: kind == Kind::Object,
            unsorted: false,
        });
        self.entry(kind, self.pos, false, false);
        self.pos += 1;
        self.space();
        Ok(())
    }

    /// A key, its colon, and the space around them.
    fn key(&mut self) -> Result<(), ParseError> {
        if self.bytes.get(self.pos) != Some(&b'"') {
            return Err(self.expected("a key"));
        }
        let key = self.tape.entries.len() as u32;
        let start = self.pos;
        self.string()?;
        let prefix = self.prefix(key);
        if let Some(frame) = self.tape.stack.last_mut() {
            let last = (frame.last_prefix, frame.last_key);
            (frame.last_prefix, frame.last_key) = (prefix, key);
            if last.1 != NONE && last.0 >= prefix {
                self.out_of_order(last, (prefix, key), start)?;
            }
        }
        self.space();
        if self.bytes.get(self.pos) != Some(&b':') {
            return Err(self.expected("':'"));
        }
        self.pos += 1;
        self.space();
        Ok(())
    }

    /// The first bytes of a key do not exceed those of the key before it.
    fn out_of_order(&mut self, a: (u64, u32), b: (u64, u32), at: usize) -> Result<(), ParseError> {
        match self.compare(a, b) {
            Ordering::Less => {}
            Ordering::Equal => return Err(ParseReason::DuplicateKey.at(at)),
            Ordering::Greater => {
                self.dirt += 1;
                if let Some(frame) = self.tape.stack.last_mut() {
                    frame.unsorted = true;
                }
            }
        }
        Ok(())
    }

    /// The innermost container ends here.
    fn close(&mut self) -> Result<(), ParseError> {
        let Some(frame) = self.tape.stack.pop() else { return Ok(()) };
        self.pos += 1;
        let next = self.tape.entries.len() as u32;
        let order = if frame.unsorted { self.sort(frame.entry)? } else { NONE };
        if let Some(entry) = self.tape.entries.get_mut(frame.entry as usize) {
            entry.end = self.pos as u32;
            entry.next = next;
            entry.order = order;
            entry.canonical = frame.dirt == self.dirt;
        }
        Ok(())
    }

    /// Sorts the keys of an object into the order table.
    fn sort(&mut self, object: u32) -> Result<u32, ParseError> {
        let mut keys = std::mem::take(&mut self.tape.keys);
        keys.clear();
        let mut at = object + 1;
        while (at as usize) < self.tape.entries.len() {
            keys.push((self.prefix(at), at));
            at = self.tape.entry(at + 1).next;
        }
        keys.sort_unstable_by(|a, b| self.compare(*a, *b));
        let twice = keys
            .windows(2)
            .find_map(|pair| match pair {
                [a, b] if self.compare(*a, *b) == Ordering::Equal => Some(a.1.max(b.1)),
                _ => None,
            })
            .map(|key| ParseReason::DuplicateKey.at(self.tape.entry(key).start as usize));
        let start = self.tape.order.len() as u32;
        self.tape.order.push(keys.len() as u32);
        self.tape.order.extend(keys.iter().map(|key| key.1));
        self.tape.keys = keys;
        twice.map_or(Ok(start), Err)
    }

    fn text(&self, key: u32) -> Cow<'_, str> {
        self.tape.node(self.text, key).text()
    }

    /// Compares two keys by prefix and entry.
    #[inline]
    fn compare(&self, a: (u64, u32), b: (u64, u32)) -> Ordering {
        a.0.cmp(&b.0).then_with(|| self.text(a.1).cmp(&self.text(b.1)))
    }

    /// The first eight bytes of a key as a number of the same order, with which most comparisons need not
    /// touch the text. Keys that differ only by NULs within those bytes share it.
    #[inline]
    fn prefix(&self, key: u32) -> u64 {
        let entry = self.tape.entry(key);
        let start = entry.start as usize + 1;
        let length = (entry.end as usize).saturating_sub(start + 1);
        match self.bytes.get(start..).and_then(<[u8]>::first_chunk::<8>) {
            Some(word) if !entry.escaped => {
                let word = u64::from_be_bytes(*word);
                // What lies behind a short key is not part of it.
                if length < 8 { word & !(u64::MAX >> (8 * length)) } else { word }
            }
            _ => prefix(&self.text(key)),
        }
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.pos) {
            self.pos += 1;
            self.dirt += 1;
        }
    }

    #[cold]
    fn expected(&self, what: &'static str) -> ParseError {
        match self.bytes.get(self.pos) {
            Some(_) => ParseReason::Expected(what).at(self.pos),
            None => ParseReason::UnexpectedEnd.at(self.pos),
        }
    }
}

/// The first eight bytes of a key as a number of the same order.
fn prefix(key: &str) -> u64 {
    let bytes = key.as_bytes();
    if let Some(word) = bytes.first_chunk::<8>() {
        return u64::from_be_bytes(*word);
    }
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_be_bytes(word)
}
