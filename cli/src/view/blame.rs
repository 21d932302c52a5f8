//! `hindcast blame -o json`.

use hindcast_journal::exact::Value;
use hindcast_restorer::{Object, blame::Origin};
use serde::Serialize;

use super::{API_VERSION, Cut, Gap, ObjectName, Warning};
use crate::moment::rfc3339;

/// Since when each field of an object is as it is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Blame {
    api_version: &'static str,
    kind: &'static str,
    /// The moment.
    pub(crate) cut: Cut,
    pub(crate) object: ObjectName,
    /// Each value that has nothing inside.
    pub(crate) fields: Vec<Blamed>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) warnings: Vec<Warning>,
}

/// A field and the change that gave it its value.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Blamed {
    /// JSON pointer.
    pub(crate) path: String,
    /// A Secret's value is a placeholder.
    pub(crate) value: serde_json::Value,
    pub(crate) pos: u64,
    pub(crate) rev: u64,
    /// Not committed before.
    pub(crate) time_from: String,
    /// Committed by.
    pub(crate) time: String,
    /// The journal found it in a list: it may be older than `time` by any span.
    pub(crate) before: bool,
    /// Who set it; empty where that is not known.
    pub(crate) manager: String,
    pub(crate) manager_operation: String,
    pub(crate) subresource: String,
}

impl Blamed {
    /// A field with its origin.
    pub(crate) fn new(path: String, value: &Value, origin: &Origin) -> Self {
        Self {
            path,
            value: value.to_serde(),
            pos: origin.pos,
            rev: origin.rev,
            time_from: rfc3339(origin.from),
            time: rfc3339(origin.time),
            before: origin.listed,
            manager: origin.manager.clone(),
            manager_operation: origin.manager_op.clone(),
            subresource: origin.subresource.clone(),
        }
    }
}

impl Blame {
    /// The blame of an object.
    pub(crate) fn new(cut: Cut, object: &Object, fields: Vec<Blamed>) -> Self {
        let row = &object.row;
        Self {
            api_version: API_VERSION,
            kind: "Blame",
            cut,
            object: ObjectName::of(row),
            fields,
            gaps: Vec::new(),
            warnings: Vec::new(),
        }
    }
}
