//! `hindcast diff -o json`, and the fields that changed, which plans have too.

use hindcast_journal::exact::Value;
use hindcast_restorer::{diff::How, plan::FieldChange};
use serde::Serialize;

use super::{API_VERSION, Cut, Gap, Warning};
use crate::paths::spell;

/// What differs between two moments.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Diff {
    api_version: &'static str,
    kind: &'static str,
    /// The one moment.
    pub(crate) from: Cut,
    /// The other moment.
    pub(crate) to: Cut,
    /// The objects that differ.
    pub(crate) objects: Vec<Changed>,
    /// How many more differ that controllers made of others.
    pub(crate) folded: usize,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) warnings: Vec<Warning>,
}

impl Diff {
    /// What differs between two moments.
    pub(crate) fn new(from: Cut, to: Cut, objects: Vec<Changed>, folded: usize) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "Diff",
            from,
            to,
            objects,
            folded,
            gaps: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// An object that differs; Secret values in it are hidden unless they were asked for.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Changed {
    pub(crate) kind: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// `added`, `removed`, `changed` or `recreated`.
    pub(crate) change: &'static str,
    /// The fields; of an added or removed object the whole of it, at the path "".
    pub(crate) changes: Vec<Field>,
    /// What became of it, for people.
    #[serde(skip)]
    pub(crate) how: How,
    /// Both sides, for people.
    #[serde(skip)]
    pub(crate) sides: (Option<Value>, Option<Value>),
    /// The newest change of it that both moments know of, for people.
    #[serde(skip)]
    pub(crate) last: Option<Last>,
}

/// The newest change of an object.
#[derive(Debug, Clone)]
pub(crate) struct Last {
    pub(crate) pos: u64,
    pub(crate) micros: i64,
    pub(crate) manager: String,
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Field {
    /// JSON pointer.
    pub(crate) path: String,
    /// Missing where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<serde_json::Value>,
    /// Missing where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<serde_json::Value>,
    /// The path as people read it.
    #[serde(skip)]
    pub(crate) shown: String,
}

impl Field {
    /// A field as the libraries have it.
    pub(crate) fn new(field: &FieldChange) -> Self {
        let side = |value: &Option<Value>| value.as_ref().map(Value::to_serde);
        Self { path: field.path.clone(), from: side(&field.from), to: side(&field.to), shown: spell(&field.path) }
    }
}
