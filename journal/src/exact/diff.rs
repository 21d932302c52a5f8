//! The difference of two states as a JSON Patch (RFC 6902) of `add`, `remove` and `replace`.
//!
//! The new state is read onto a tape. The old one is never read as a whole: where its bytes begin with the
//! canonical bytes of the new value, both values are the same and are passed over; only what differs is
//! looked into. That is what makes a status flap of a 5 KB object cost a few microseconds.
//!
//! Invariants: the patch applied to the old value gives the new one (`tests.rs`, by properties); its bytes
//! are canonical; a container is replaced whole where that is shorter than its parts. The `_state` variants
//! never name `/metadata/resourceVersion`: the state at a row is the patched base with the row's version
//! set ([`super::set_resource_version`]).
//!
//! Not here: how the elements of two lists are matched, which is [`list`]'s.

mod list;

use std::{borrow::Cow, cmp::Ordering};

use super::{
    document::{self, Kind, Node},
    error::ParseError,
    scan,
    tape::Tape,
    to_canonical,
    value::{Object, Value},
};
use list::Step;

/// A patch nests the values it carries two levels deeper than they were, and must itself be readable.
const PATCH_LEVELS: usize = 2;

/// What an operation takes besides its path and its value.
const FRAME: usize = r#"{"op":"replace","path":"","value":},"#.len();

/// The patch that leads from `old` to `new`.
pub fn diff(old: &Value, new: &Value) -> Value {
    of_values(old, new, false)
}

/// As [`diff`], but leaves `/metadata/resourceVersion` out.
pub fn diff_state(old: &Value, new: &Value) -> Value {
    of_values(old, new, true)
}

/// The canonical bytes of the patch between two canonical documents. None where the patch would be longer
/// than the new document, or where either is not canonical: the full object is then the right thing to keep.
pub fn diff_bytes(old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    of_bytes(old, new, false, new.len()).ok()
}

/// As [`diff_bytes`], but leaves `/metadata/resourceVersion` out. This is what a row's `patch` holds.
pub fn diff_state_bytes(old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    of_bytes(old, new, true, new.len()).ok()
}

fn of_values(old: &Value, new: &Value, without_version: bool) -> Value {
    let (from, to) = (to_canonical(old), to_canonical(new));
    let patch = of_bytes(&from, &to, without_version, usize::MAX).ok();
    patch.and_then(|bytes| super::parse(&bytes).ok()).unwrap_or_else(|| {
        // Values nested beyond the limit are not read back; to replace the whole is always right.
        let operation = [("op", "replace".into()), ("path", "".into()), ("value", new.clone())];
        Value::Array(vec![Value::Object(operation.into_iter().collect::<Object>())])
    })
}

fn of_bytes(old: &[u8], new: &[u8], without_version: bool, limit: usize) -> Result<Vec<u8>, Stop> {
    let (old, new) = (document::text(old)?, document::text(new)?);
    let mut new_tape = Tape::with_margin(PATCH_LEVELS);
    new_tape.reserve_for(new);
    let (root, end) = new_tape.push(new, 0)?;
    let root = new_tape.node(new, root);
    if end != new.len() || !root.is_canonical() {
        return Err(Stop::Damaged);
    }
    let mut diff =
        Diff { old, tape: Tape::with_margin(PATCH_LEVELS), path: Vec::new(), out: vec![b'['], without_version, limit };
    if diff.value(0, root)? != old.len() {
        return Err(Stop::Damaged);
    }
    diff.out.push(b']');
    if diff.out.len() > limit { Err(Stop::TooLong) } else { Ok(diff.out) }
}

/// Why there is no patch.
enum Stop {
    /// One of the documents is not canonical.
    Damaged,
    /// The patch would be longer than the limit.
    TooLong,
}

impl From<ParseError> for Stop {
    fn from(_: ParseError) -> Self {
        Stop::Damaged
    }
}

struct Diff<'d> {
    old: &'d str,
    /// Holds only the old elements of lists that differ.
    tape: Tape,
    /// The JSON pointer of the place at hand, escaped for a JSON string already.
    path: Vec<u8>,
    out: Vec<u8>,
    without_version: bool,
    limit: usize,
}

/// The entries and places of an old list's elements, how many of them the new list begins with as they are,
/// and where the list ends.
type OldList = (Vec<(u32, usize)>, usize, usize);

/// A key of an old object.
struct OldKey<'d> {
    inner: &'d str,
    text: Cow<'d, str>,
    value_at: usize,
}

impl<'d> Diff<'d> {
    /// Writes what leads from the old value at `at` to the new one; returns where the old value ends.
    fn value(&mut self, at: usize, new: Node<'_>) -> Result<usize, Stop> {
        if let Some(end) = self.same(at, new.raw()) {
            return Ok(end);
        }
        let mark = self.out.len();
        let room = self.room(new);
        let end = match (self.old.as_bytes().get(at), new.kind()) {
            (Some(b'{'), Kind::Object) => self.object(at, new, room)?,
            (Some(b'['), Kind::Array) => self.array(at, new, room)?,
            _ => None,
        };
        if let Some(end) = end {
            return Ok(end);
        }
        self.out.truncate(mark);
        self.write("replace", Some(new.raw()));
        self.skip(at)
    }

    /// How long the output may grow before replacing the whole value is shorter.
    fn room(&self, new: Node<'_>) -> usize {
        if self.must_descend() {
            return self.limit;
        }
        self.out.len() + FRAME + self.path.len() + new.raw().len()
    }

    /// Whether replacing the value here is out of the question: the root where a limit holds (it could not
    /// be kept), and whatever holds the version where that must not be touched.
    fn must_descend(&self) -> bool {
        (self.path.is_empty() && (self.limit != usize::MAX || self.without_version))
            || (self.without_version && self.path == b"/metadata")
    }

    /// Where the old value at `at` ends if its bytes are the given ones. Strings and containers end
    /// themselves; a number needs what follows to be seen.
    #[inline]
    fn same(&self, at: usize, raw: &[u8]) -> Option<usize> {
        let rest = self.old.as_bytes().get(at..)?.strip_prefix(raw)?;
        matches!(rest.first(), None | Some(b',' | b'}' | b']')).then_some(at + raw.len())
    }

    fn skip(&mut self, at: usize) -> Result<usize, Stop> {
        Ok(self.read(at)?.1)
    }

    /// Reads the old value at `at` onto the tape.
    fn read(&mut self, at: usize) -> Result<(u32, usize), Stop> {
        let (entry, end) = self.tape.push(self.old, at)?;
        if self.tape.node(self.old, entry).is_canonical() { Ok((entry, end)) } else { Err(Stop::Damaged) }
    }

    /// Both sides are objects. None where the output outgrew its room.
    fn object(&mut self, at: usize, new: Node<'_>, room: usize) -> Result<Option<usize>, Stop> {
        let mut members = new.members();
        let mut member = members.next();
        let mut old = self.key(at + 1, None)?;
        let mut end = at + 1;
        loop {
            let order = match (&old, &member) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some((key, _))) if old.inner == key.inner() => Ordering::Equal,
                (Some(old), Some((key, _))) => (*old.text).cmp(&*key.text()),
            };
            let mark = self.path.len();
            if order == Ordering::Greater {
                if let Some((key, value)) = member {
                    self.descend(key.inner());
                    if !self.at_version() {
                        self.write("add", Some(value.raw()));
                    }
                }
            } else if let Some(key) = &old {
                self.descend(key.inner);
                end = match member.filter(|_| order == Ordering::Equal) {
                    _ if self.at_version() => self.skip(key.value_at)?,
                    Some((_, value)) => self.value(key.value_at, value)?,
                    None => {
                        self.write("remove", None);
                        self.skip(key.value_at)?
                    }
                };
                old = self.key(end, old.as_ref())?;
            }
            self.path.truncate(mark);
            if order != Ordering::Less {
                member = members.next();
            }
            if self.overgrown(room)? {
                return Ok(None);
            }
        }
        if self.old.as_bytes().get(end) == Some(&b'}') { Ok(Some(end + 1)) } else { Err(Stop::Damaged) }
    }

    fn overgrown(&self, room: usize) -> Result<bool, Stop> {
        let overgrown = self.out.len() > room;
        if overgrown && self.must_descend() { Err(Stop::TooLong) } else { Ok(overgrown) }
    }

    /// The old key that follows position `at`, which is behind the opening brace or behind a value; none
    /// where the object ends.
    fn key(&self, at: usize, last: Option<&OldKey<'_>>) -> Result<Option<OldKey<'d>>, Stop> {
        let bytes = self.old.as_bytes();
        let start = match (bytes.get(at), last) {
            (Some(b'}'), _) => return Ok(None),
            (Some(b','), Some(_)) => at + 1,
            (Some(b'"'), None) => at,
            _ => return Err(Stop::Damaged),
        };
        if bytes.get(start) != Some(&b'"') {
            return Err(Stop::Damaged);
        }
        let scanned = scan::string(bytes, start)?;
        if !scanned.canonical || bytes.get(scanned.end) != Some(&b':') {
            return Err(Stop::Damaged);
        }
        let inner = self.old.get(start + 1..scanned.end - 1).ok_or(Stop::Damaged)?;
        let text = if scanned.escaped { scan::decode(inner) } else { Cow::Borrowed(inner) };
        if last.is_some_and(|last| last.text >= text) {
            return Err(Stop::Damaged);
        }
        Ok(Some(OldKey { inner, text, value_at: scanned.end + 1 }))
    }

    /// Both sides are lists. None where the output outgrew its room.
    fn array(&mut self, at: usize, new: Node<'_>, room: usize) -> Result<Option<usize>, Stop> {
        let news: Vec<Node<'_>> = new.elements().collect();
        let (olds, head, end) = self.elements(at, &news)?;
        let (old_rest, new_rest) = (olds.get(head..).unwrap_or_default(), news.get(head..).unwrap_or_default());
        let steps = {
            let nodes: Vec<Node<'_>> = old_rest.iter().map(|(entry, _)| self.tape.node(self.old, *entry)).collect();
            list::align(&nodes, new_rest)
        };
        let mut place = head;
        for step in steps {
            let mark = self.path.len();
            self.path.push(b'/');
            self.path.extend_from_slice(place.to_string().as_bytes());
            let (from, to) = step.ends();
            let from = from.and_then(|at| old_rest.get(at));
            let to = to.and_then(|at| new_rest.get(at));
            match (step, from, to) {
                (Step::Pair(..), Some((_, start)), Some(new)) => drop(self.value(*start, *new)?),
                (Step::Replace(..), _, Some(new)) => self.write("replace", Some(new.raw())),
                (Step::Add(_), _, Some(new)) => self.write("add", Some(new.raw())),
                _ => self.write("remove", None),
            }
            place += usize::from(to.is_some());
            self.path.truncate(mark);
            if self.overgrown(room)? {
                return Ok(None);
            }
        }
        Ok(Some(end))
    }

    /// The old elements, those that begin the list unchanged without an entry of their own; how many of
    /// these there are; and where the list ends.
    fn elements(&mut self, at: usize, news: &[Node<'_>]) -> Result<OldList, Stop> {
        let bytes = self.old.as_bytes();
        let (mut olds, mut head) = (Vec::new(), 0);
        let mut at = at + 1;
        if bytes.get(at) == Some(&b']') {
            return Ok((olds, head, at + 1));
        }
        loop {
            let same = news.get(olds.len()).filter(|_| head == olds.len()).and_then(|new| self.same(at, new.raw()));
            let end = if let Some(end) = same {
                head += 1;
                olds.push((0, at));
                end
            } else {
                let (entry, end) = self.read(at)?;
                olds.push((entry, at));
                end
            };
            match bytes.get(end) {
                Some(b',') => at = end + 1,
                Some(b']') => return Ok((olds, head, end + 1)),
                _ => return Err(Stop::Damaged),
            }
        }
    }

    /// Adds a key, spelled as in a JSON string, to the path.
    fn descend(&mut self, inner: &str) {
        self.path.push(b'/');
        if !inner.bytes().any(|byte| byte == b'~' || byte == b'/') {
            self.path.extend_from_slice(inner.as_bytes());
            return;
        }
        for byte in inner.bytes() {
            match byte {
                b'~' => self.path.extend_from_slice(b"~0"),
                b'/' => self.path.extend_from_slice(b"~1"),
                _ => self.path.push(byte),
            }
        }
    }

    fn at_version(&self) -> bool {
        self.without_version && self.path == b"/metadata/resourceVersion"
    }

    fn write(&mut self, operation: &str, value: Option<&[u8]>) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(br#"{"op":""#);
        self.out.extend_from_slice(operation.as_bytes());
        self.out.extend_from_slice(br#"","path":""#);
        self.out.extend_from_slice(&self.path);
        self.out.push(b'"');
        if let Some(value) = value {
            self.out.extend_from_slice(br#","value":"#);
            self.out.extend_from_slice(value);
        }
        self.out.push(b'}');
    }
}
