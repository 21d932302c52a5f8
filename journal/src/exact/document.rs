//! Documents: received bytes that passed every check, and the values in them, read in place.
//!
//! Words. A *node* is a value inside a document; it borrows the bytes and costs nothing to copy.
//!
//! Invariant: the members of an object are seen in the order of their keys, whatever order they came in.
//!
//! Not here: the checks, which are [`super::tape`]'s.
//!
//! Start reading at [`Document::parse`].

use std::borrow::Cow;

use super::{
    canonical,
    error::{ParseError, ParseReason},
    scan,
    tape::{Entry, NONE, Tape},
    value::{Number, Object, Value},
};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number token.
    Number,
    /// A string.
    String,
    /// A list.
    Array,
    /// A map.
    Object,
}

/// Received bytes that passed every check, with the tape over them.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a str,
    tape: Tape,
}

impl<'a> Document<'a> {
    /// Checks the bytes as [`super::parse`] does, without building values.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let text = text(bytes)?;
        let mut tape = Tape::default();
        tape.reserve_for(text);
        let space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        let start = bytes.iter().position(|byte| !space(byte)).unwrap_or(bytes.len());
        let (_, end) = tape.push(text, start)?;
        let rest = bytes.get(end..).unwrap_or_default();
        match rest.iter().position(|byte| !space(byte)) {
            Some(at) => Err(ParseReason::TrailingBytes.at(end + at)),
            None => Ok(Self { text, tape }),
        }
    }

    /// As [`Document::parse`], for bytes that must be in canonical spelling.
    pub fn parse_canonical(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let document = Self::parse(bytes)?;
        let root = document.root();
        if root.is_canonical() && root.raw().len() == bytes.len() {
            Ok(document)
        } else {
            Err(ParseReason::NotCanonical.at(0))
        }
    }

    /// The value that the document is.
    pub fn root(&self) -> Node<'_> {
        self.tape.node(self.text, 0)
    }
}

/// The bytes as text that the tape's offsets can address.
pub(super) fn text(bytes: &[u8]) -> Result<&str, ParseError> {
    if bytes.len() >= NONE as usize {
        return Err(ParseReason::TooLarge.at(0));
    }
    std::str::from_utf8(bytes).map_err(|error| ParseReason::InvalidUtf8.at(error.valid_up_to()))
}

/// A value inside a document.
#[derive(Debug, Clone, Copy)]
pub struct Node<'d> {
    text: &'d str,
    tape: &'d Tape,
    at: u32,
}

impl<'d> Node<'d> {
    pub(super) fn new(text: &'d str, tape: &'d Tape, at: u32) -> Self {
        Self { text, tape, at }
    }

    fn entry(&self) -> Entry {
        self.tape.entry(self.at)
    }

    /// What the value is.
    pub fn kind(&self) -> Kind {
        self.entry().kind
    }

    /// The received bytes of the value.
    pub fn raw(&self) -> &'d [u8] {
        let entry = self.entry();
        self.text.as_bytes().get(entry.start as usize..entry.end as usize).unwrap_or_default()
    }

    /// Where the value begins in the document.
    pub fn offset(&self) -> usize {
        self.entry().start as usize
    }

    /// Whether the received bytes are the canonical ones.
    pub fn is_canonical(&self) -> bool {
        self.entry().canonical
    }

    /// The bytes between the quotes of a string, as they were spelled.
    pub(super) fn inner(&self) -> &'d str {
        let entry = self.entry();
        let (start, end) = (entry.start as usize + 1, (entry.end as usize).saturating_sub(1));
        self.text.get(start..end).unwrap_or_default()
    }

    /// The string, decoded; of anything else, its spelling without the outer bytes.
    pub(super) fn text(&self) -> Cow<'d, str> {
        if self.entry().escaped { scan::decode(self.inner()) } else { Cow::Borrowed(self.inner()) }
    }

    pub(super) fn is_text(&self, text: &str) -> bool {
        if self.entry().escaped { self.text() == text } else { self.inner() == text }
    }

    /// The string, decoded, if this is one.
    pub fn as_str(&self) -> Option<Cow<'d, str>> {
        (self.kind() == Kind::String).then(|| self.text())
    }

    /// The members in the order of their keys; none if this is no object.
    pub fn members(&self) -> impl Iterator<Item = (Node<'d>, Node<'d>)> + use<'d> {
        let Node { text, tape, at } = *self;
        let entry = self.entry();
        let is_object = entry.kind == Kind::Object;
        let listed = if is_object { tape.sorted_keys(entry) } else { None };
        let mut listed = listed.map(<[u32]>::iter);
        let mut key = at + 1;
        let end = if is_object { entry.next } else { 0 };
        std::iter::from_fn(move || {
            let at = match &mut listed {
                Some(listed) => *listed.next()?,
                None if key < end => {
                    let at = key;
                    key = tape.entry(at + 1).next;
                    at
                }
                None => return None,
            };
            Some((tape.node(text, at), tape.node(text, at + 1)))
        })
    }

    /// The elements; none if this is no array.
    pub fn elements(&self) -> impl Iterator<Item = Node<'d>> + use<'d> {
        let Node { text, tape, at } = *self;
        let entry = self.entry();
        let mut element = at + 1;
        let end = if entry.kind == Kind::Array { entry.next } else { 0 };
        std::iter::from_fn(move || {
            let at = element;
            (at < end).then(|| {
                element = tape.entry(at).next;
                tape.node(text, at)
            })
        })
    }

    /// The member under a key.
    pub fn get(&self, key: &str) -> Option<Node<'d>> {
        self.members().find(|(name, _)| name.is_text(key)).map(|(_, value)| value)
    }

    /// Appends the canonical bytes of the value.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        canonical::write_node(*self, out);
    }

    /// The value for keeps.
    pub fn to_value(&self) -> Value {
        let raw = || str::from_utf8(self.raw()).unwrap_or_default();
        match self.kind() {
            Kind::Null => Value::Null,
            Kind::Bool => Value::Bool(self.raw() == b"true"),
            Kind::Number => Value::Number(Number::validated(raw())),
            Kind::String => Value::String(self.text().into()),
            Kind::Array => Value::Array(self.elements().map(|node| node.to_value()).collect()),
            Kind::Object => Value::Object(Object::sorted(
                self.members().map(|(key, value)| (key.text().into(), value.to_value())).collect(),
            )),
        }
    }
}
