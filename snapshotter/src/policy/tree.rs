//! A text of YAML as a tree whose every part knows its path and line.
//!
//! **Invariant.** A scalar is the text that stands there: whether `1.10` is a number is for who reads it to say, as where Velero
//! wants a text and finds a number or `true`.

use std::{collections::BTreeMap, fmt};

use hindcast_journal::{Error, Result};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use serde_saphyr::Spanned;

/// A part of the tree.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Text(String),
    /// A number or a truth value, whose text stands in the source.
    Plain(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

/// A text and what it is called.
pub(super) struct Source<'s> {
    what: &'s str,
    text: &'s str,
    root: Spanned<Node>,
}

/// A part and where it stands.
#[derive(Clone)]
pub(super) struct Place<'s> {
    source: &'s Source<'s>,
    path: String,
    /// The line of its key, or of itself where it has none.
    line: u64,
    node: &'s Spanned<Node>,
}

impl<'s> Source<'s> {
    pub(super) fn read(what: &'s str, text: &'s str) -> Result<Self> {
        let options = serde_saphyr::options! { with_snippet: false, emit_comments: false };
        let root = serde_saphyr::from_str_with_options(text, options).map_err(|e| {
            let line = e.location().map_or_else(String::new, |at| format!(" (line {})", at.line()));
            Error::invalid(format!("{what}{line}"), format!("it is no YAML: {}", e.to_string().trim()))
                .with_hint("look for tabs, for an indentation that is off, and for a key that stands twice")
        })?;
        Ok(Self { what, text, root })
    }

    pub(super) fn root(&'s self) -> Place<'s> {
        Place { source: self, path: String::new(), line: 1, node: &self.root }
    }
}

impl<'s> Place<'s> {
    /// An error of this place.
    pub(super) fn wrong(&self, reason: impl Into<String>, hint: impl Into<String>) -> Error {
        let Source { what, .. } = self.source;
        let path = if self.path.is_empty() { String::new() } else { format!(": {}", self.path) };
        Error::invalid(format!("{what}{path} (line {})", self.line), reason).with_hint(hint)
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.node.value, Node::Null)
    }

    /// The fields of a mapping that has no others than these; what is null is not there.
    pub(super) fn fields(&self, known: &[&str]) -> Result<BTreeMap<&'s str, Self>> {
        let fields = self.entries()?;
        for (name, place) in &fields {
            if !known.contains(name) {
                let reason = format!("there is no such field as {name:?}");
                return Err(place.wrong(reason, format!("the fields here are {}", known.join(", "))));
            }
        }
        Ok(fields.into_iter().filter(|(_, place)| !place.is_null()).collect())
    }

    /// Every entry of a mapping.
    pub(super) fn entries(&self) -> Result<Vec<(&'s str, Self)>> {
        match &self.node.value {
            Node::Null => Ok(Vec::new()),
            Node::Map(entries) => {
                Ok(entries.iter().map(|(key, node)| (key.value.as_str(), self.below(key, node))).collect())
            }
            _ => Err(self.wrong("it is no mapping", "write `name: value` below it, or {}")),
        }
    }

    fn below(&self, key: &'s Spanned<String>, node: &'s Spanned<Node>) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{}", self.path, key.value);
        Self { source: self.source, path, line: key.referenced.line(), node }
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Result<Vec<Self>> {
        let Node::List(items) = &self.node.value else {
            return Err(self.wrong("it is no list", "write its items below it, each behind a dash"));
        };
        let item = |(at, node): (usize, &'s Spanned<Node>)| {
            let line = node.referenced.line();
            Self { source: self.source, path: format!("{}[{at}]", self.path), line, node }
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// A scalar, as it is written.
    pub(super) fn text(&self) -> Result<String> {
        match &self.node.value {
            Node::Text(text) => Ok(text.clone()),
            Node::Plain(value) => Ok(self.written().unwrap_or_else(|| value.to_string())),
            Node::Null => Err(self.wrong("it is empty", "give it a text")),
            _ => Err(self.wrong("it is no text", "write a single value")),
        }
    }

    /// What stands in the source where the value was defined.
    fn written(&self) -> Option<String> {
        let span = self.node.defined.span();
        let from = usize::try_from(span.byte_offset()?).ok()?;
        let to = from.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
        self.source.text.get(from..to).map(|text| text.trim().to_owned())
    }

    /// A list of texts.
    pub(super) fn texts(&self) -> Result<Vec<String>> {
        self.items()?.iter().map(Self::text).collect()
    }

    /// A mapping of texts.
    pub(super) fn text_map(&self) -> Result<BTreeMap<String, String>> {
        self.entries()?.into_iter().map(|(name, place)| Ok((name.to_owned(), place.text()?))).collect()
    }

    /// Whatever stands here, as JSON.
    pub(super) fn json(&self) -> Result<Value> {
        Ok(match &self.node.value {
            Node::Null => Value::Null,
            Node::Text(text) => Value::from(text.clone()),
            Node::Plain(value) => value.clone(),
            Node::List(_) => Value::Array(self.items()?.iter().map(Self::json).collect::<Result<_>>()?),
            Node::Map(_) => {
                let entries = self.entries()?.into_iter();
                Value::Object(entries.map(|(name, place)| Ok((name.to_owned(), place.json()?))).collect::<Result<_>>()?)
            }
        })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Whatever)
    }
}

/// Takes what comes.
struct Whatever;

impl<'de> Visitor<'de> for Whatever {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element()? {
            out.push(item);
        }
        Ok(Node::List(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut out = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            out.push(entry);
        }
        Ok(Node::Map(out))
    }
}
