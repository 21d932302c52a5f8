//! The journal itself: its files, and its rows with every column.

use hindcast_journal::{
    exact::Value,
    row::{self, Body},
    segment::hex,
};
use serde::Serialize;

use super::{API_VERSION, ObjectName};
use crate::{
    moment::rfc3339,
    redact::{self, Hide},
};

/// The files of a journal.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Files {
    api_version: &'static str,
    kind: &'static str,
    /// The cluster's uid.
    pub(crate) cluster: String,
    /// The files, by name.
    pub(crate) files: Vec<File>,
}

/// A file of the bucket.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct File {
    /// The name below the cluster's folder.
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// The positions of its rows, for segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) writer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) written: Option<String>,
    /// The closed revision of the main domain with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) closed_rev: Option<u64>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl Files {
    /// The files of a cluster.
    pub(crate) fn new(cluster: &str, files: Vec<File>) -> Self {
        Self { api_version: API_VERSION, kind: "JournalFiles", cluster: cluster.to_owned(), files }
    }
}

/// A sealed value.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cell {
    path: String,
    key: String,
    pos: u64,
    rev: u64,
    sealed_bytes: usize,
}

/// A row with every column; Secret values in it are hidden.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    api_version: &'static str,
    kind: &'static str,
    pos: u64,
    op: String,
    source: String,
    domain: String,
    incarnation: u32,
    rv: u64,
    base_rv: Option<u64>,
    time_lo: String,
    time_hi: String,
    object: ObjectName,
    subresource: String,
    manager: String,
    manager_operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_fields: Option<serde_json::Value>,
    state_hash: Option<String>,
    base_hash: Option<String>,
    /// The key that made the state hash.
    #[serde(skip_serializing_if = "String::is_empty")]
    hash_key: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cells: Vec<Cell>,
}

impl Row {
    /// A row of the log.
    pub(crate) fn new(row: &hindcast_journal::Row, hide: Hide<'_>) -> Self {
        let (patch, body) = match &row.body {
            Body::None => (None, None),
            Body::Patch(bytes) => (Some(redact::bytes(row, bytes, true, hide).to_serde()), None),
            Body::Object(bytes) => (None, Some(redact::bytes(row, bytes, false, hide).to_serde())),
        };
        // The hash of a Secret in clear is no keyed one: a short value could be guessed from it.
        let guessable = hide.guesses(row);
        let hash = |hash: Option<row::StateHash>| hash.filter(|_| !guessable).map(|hash| hex(&hash));
        Self {
            api_version: API_VERSION,
            kind: "Row",
            pos: row.pos,
            op: row.op.as_str().to_owned(),
            source: row.source.as_str().to_owned(),
            domain: row.domain.clone(),
            incarnation: row.incarnation,
            rv: row.rv,
            base_rv: row.base_rv,
            time_lo: rfc3339(row.time_lo),
            time_hi: rfc3339(row.time_hi),
            object: ObjectName::of(row),
            subresource: row.subresource.clone(),
            manager: row.manager.clone(),
            manager_operation: row.manager_op.clone(),
            patch,
            body,
            managed_fields: row.managed_fields.as_ref().map(|bytes| {
                hindcast_journal::exact::parse(bytes)
                    .unwrap_or_else(|_| Value::from(format!("<unreadable, {} bytes>", bytes.len())))
                    .to_serde()
            }),
            state_hash: hash(row.state_hash),
            base_hash: hash(row.base_hash),
            hash_key: row.hash_key.clone(),
            cells: row
                .cells
                .iter()
                .map(|cell| Cell {
                    path: cell.path.clone(),
                    key: cell.key_id.clone(),
                    pos: cell.pos,
                    rev: cell.rv,
                    sealed_bytes: cell.secret.len(),
                })
                .collect(),
        }
    }
}
