//! The owned value: simple, sorted, exact.
//!
//! Invariants: the members of an [`Object`] are sorted by the UTF-8 bytes of their keys and unique
//! (every constructor goes through [`Object::insert`] or a tape that sorted them); a [`Number`] holds a
//! token of the JSON grammar ([`Number::parse`]).
//!
//! Not here: arithmetic. Equality is that of tokens, so `1.10` is not `1.1`.

use std::{fmt, ops::Deref};

use super::{canonical, scan};

/// A JSON value whose numbers are tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Value {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it was written.
    Number(Number),
    /// A string, decoded.
    String(Box<str>),
    /// A list.
    Array(Vec<Value>),
    /// A map.
    Object(Object),
}

/// A number as it was written; equal when the token is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number(Box<str>);

impl Number {
    /// The token as a number, if the JSON grammar allows it.
    pub fn parse(token: &str) -> Option<Self> {
        (scan::number(token.as_bytes(), 0).ok()? == token.len()).then(|| Self(token.into()))
    }

    /// A token that a tape has validated.
    pub(super) fn validated(token: &str) -> Self {
        Self(token.into())
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number as an integer, where the token is a plain one in range.
    pub fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// The number as an unsigned integer, where the token is a plain one in range.
    pub fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }
}

impl Deref for Number {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A map whose members are sorted by the UTF-8 bytes of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Object(Vec<(Box<str>, Value)>);

impl Object {
    /// An empty map.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Members that a tape has sorted and found unique.
    pub(super) fn sorted(members: Vec<(Box<str>, Value)>) -> Self {
        Self(members)
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(name, _)| (**name).cmp(key))
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(self.find(key).ok()?).map(|(_, value)| value)
    }

    /// The value under a key, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        let at = self.find(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Whether a key is there.
    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_ok()
    }

    /// Sets a key; returns what was there.
    pub fn insert(&mut self, key: impl Into<Box<str>>, value: Value) -> Option<Value> {
        let key = key.into();
        match self.find(&key) {
            Ok(at) => self.0.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.find(key).ok()?;
        Some(self.0.remove(at).1)
    }

    /// The members in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Value)> + ExactSizeIterator {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// The members in the order of their keys, values to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Value)> {
        self.0.iter_mut().map(|(key, value)| (&**key, value))
    }

    /// The keys in their order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.0.iter().map(|(key, _)| &**key)
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<Box<str>>, V: Into<Value>> FromIterator<(K, V)> for Object {
    /// A later member of the same key wins, as with any map.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        let mut object = Self::new();
        for (key, value) in members {
            object.insert(key, value.into());
        }
        object
    }
}

impl IntoIterator for Object {
    type Item = (Box<str>, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Value {
    /// The member under a key, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }

    /// The member under a key, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.as_object_mut()?.get_mut(key)
    }

    /// The value at a JSON pointer (RFC 6901); the empty one is the value itself.
    pub fn pointer(&self, pointer: &str) -> Option<&Value> {
        super::patch::tokens(pointer)?.iter().try_fold(self, |value, token| match value {
            Value::Object(object) => object.get(token),
            Value::Array(list) => list.get(super::patch::index(token)?),
            _ => None,
        })
    }

    /// The value at a JSON pointer, to change.
    pub fn pointer_mut(&mut self, pointer: &str) -> Option<&mut Value> {
        super::patch::tokens(pointer)?.iter().try_fold(self, |value, token| match value {
            Value::Object(object) => object.get_mut(token),
            Value::Array(list) => list.get_mut(super::patch::index(token)?),
            _ => None,
        })
    }

    /// The string, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(value) = self { Some(value) } else { None }
    }

    /// The number, if this is one.
    pub fn as_number(&self) -> Option<&Number> {
        if let Value::Number(value) = self { Some(value) } else { None }
    }

    /// The integer, if this is one in range.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number()?.as_i64()
    }

    /// The unsigned integer, if this is one in range.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number()?.as_u64()
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(value) = self { Some(*value) } else { None }
    }

    /// The list, if this is one.
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Value::Array(value) = self { Some(value) } else { None }
    }

    /// The list, to change.
    pub fn as_array_mut(&mut self) -> Option<&mut Vec<Value>> {
        if let Value::Array(value) = self { Some(value) } else { None }
    }

    /// The map, if this is one.
    pub fn as_object(&self) -> Option<&Object> {
        if let Value::Object(value) = self { Some(value) } else { None }
    }

    /// The map, to change.
    pub fn as_object_mut(&mut self) -> Option<&mut Object> {
        if let Value::Object(value) = self { Some(value) } else { None }
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// From the value type of the edges. Its numbers have lost their spelling already.
    pub fn from_serde(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(value) => Value::Number(Number::validated(&value.to_string())),
            serde_json::Value::String(value) => Value::from(value.as_str()),
            serde_json::Value::Array(list) => Value::Array(list.iter().map(Self::from_serde).collect()),
            serde_json::Value::Object(map) => {
                Value::Object(map.iter().map(|(key, value)| (key.as_str(), Self::from_serde(value))).collect())
            }
        }
    }

    /// To the value type of the edges. **Lossy**: a number that is no 64-bit integer becomes the nearest
    /// finite double, so this is for printing and for libraries, never for comparing or storing.
    pub fn to_serde(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(token) => number_to_serde(token),
            Value::String(value) => (**value).into(),
            Value::Array(list) => list.iter().map(Self::to_serde).collect(),
            Value::Object(object) => object.iter().map(|(key, value)| (key.to_owned(), value.to_serde())).collect(),
        }
    }
}

fn number_to_serde(token: &Number) -> serde_json::Value {
    // `-0` is an integer to the standard parser and would lose its sign.
    if &**token != "-0" {
        if let Some(value) = token.as_u64() {
            return value.into();
        }
        if let Some(value) = token.as_i64() {
            return value.into();
        }
    }
    let double: f64 = token.parse().unwrap_or(0.0);
    double.clamp(f64::MIN, f64::MAX).into()
}

/// The canonical bytes, which are also the plainest text.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&canonical::to_canonical(self)))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::String(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::String(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Number(Number::validated(&value.to_string()))
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Value::Number(Number::validated(&value.to_string()))
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Self {
        Value::Array(value)
    }
}

impl From<Object> for Value {
    fn from(value: Object) -> Self {
        Value::Object(value)
    }
}
