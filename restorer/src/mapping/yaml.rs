//! A text of YAML as a tree whose every part knows its path and line, and gives exact values.
//!
//! **Invariants.** (1) A number is the token that stands there, where JSON has it: `1.10` stays `1.10`. (2) An error names the text, the
//! path and the line, and says what to write instead.

use std::{collections::BTreeMap, fmt};

use hindcast_journal::{
    Error, Result,
    exact::{Number, Object, Value},
};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

/// A part of the tree.
#[derive(Debug)]
enum Node {
    Null,
    Bool(bool),
    Text(String),
    /// A number as it was understood; its token stands in the source.
    Number(String),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

/// A text and what it is called.
pub(super) struct Source<'s> {
    what: &'s str,
    text: &'s str,
    /// The line that the text begins at, where it is a part of another one.
    first: u64,
    root: Spanned<Node>,
}

/// A part and where it stands.
#[derive(Clone)]
pub(super) struct Place<'s> {
    source: &'s Source<'s>,
    path: String,
    /// The line of its key, or of itself where it has none.
    pub(super) line: u64,
    node: &'s Spanned<Node>,
}

impl<'s> Source<'s> {
    pub(super) fn read(what: &'s str, text: &'s str) -> Result<Self> {
        Self::within(what, text, 1)
    }

    /// Reads a text that stands in another one, from a line of it on.
    pub(super) fn within(what: &'s str, text: &'s str, first: u64) -> Result<Self> {
        let options = serde_saphyr::options! { with_snippet: false, emit_comments: false };
        let root = serde_saphyr::from_str_with_options(text, options).map_err(|e| {
            let line = e.location().map_or_else(String::new, |at| format!(" (line {})", at.line() + first - 1));
            Error::invalid(format!("{what}{line}"), format!("it is no YAML: {}", e.to_string().trim()))
                .with_hint("look for tabs, for an indentation that is off, and for a key that stands twice")
        })?;
        Ok(Self { what, text, first, root })
    }

    pub(super) fn root(&'s self) -> Place<'s> {
        Place { source: self, path: String::new(), line: self.first, node: &self.root }
    }
}

impl<'s> Place<'s> {
    /// An error of this place.
    pub(super) fn wrong(&self, reason: impl Into<String>, hint: impl Into<String>) -> Error {
        let path = if self.path.is_empty() { String::new() } else { format!(": {}", self.path) };
        Error::invalid(format!("{}{path} (line {})", self.source.what, self.line), reason).with_hint(hint)
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
        Self { source: self.source, path, line: self.line_of(key.referenced.line()), node }
    }

    fn line_of(&self, line: u64) -> u64 {
        line + self.source.first - 1
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Result<Vec<Self>> {
        let Node::List(items) = &self.node.value else {
            return Err(self.wrong("it is no list", "write its items below it, each behind a dash"));
        };
        let item = |(at, node): (usize, &'s Spanned<Node>)| {
            let line = self.line_of(node.referenced.line());
            Self { source: self.source, path: format!("{}[{at}]", self.path), line, node }
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// A scalar, as it is written.
    pub(super) fn text(&self) -> Result<String> {
        match &self.node.value {
            Node::Text(text) => Ok(text.clone()),
            Node::Bool(value) => Ok(self.written().unwrap_or_else(|| value.to_string())),
            Node::Number(number) => Ok(self.written().unwrap_or_else(|| number.clone())),
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

    /// A list of texts, or one alone.
    pub(super) fn texts(&self) -> Result<Vec<String>> {
        match &self.node.value {
            Node::List(_) => self.items()?.iter().map(Self::text).collect(),
            _ => Ok(vec![self.text()?]),
        }
    }

    /// Whatever stands here, as it is.
    pub(super) fn value(&self) -> Result<Value> {
        Ok(match &self.node.value {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Text(text) => Value::from(text.as_str()),
            Node::Number(number) => {
                let token = self.written().and_then(|text| Number::parse(&text)).or_else(|| Number::parse(number));
                Value::Number(
                    token.ok_or_else(|| self.wrong("it is no number of JSON", "write it in quotes, or in digits"))?,
                )
            }
            Node::List(_) => Value::Array(self.items()?.iter().map(Self::value).collect::<Result<_>>()?),
            Node::Map(_) => {
                let entries = self.entries()?.into_iter();
                let members: Vec<(&str, Value)> =
                    entries.map(|(name, place)| Ok((name, place.value()?))).collect::<Result<_>>()?;
                Value::Object(members.into_iter().collect::<Object>())
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
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        if value.is_finite() { Ok(Node::Number(value.to_string())) } else { Err(E::custom("it is no number of JSON")) }
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
