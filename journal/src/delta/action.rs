//! What a Delta log says, as JSON: protocol, columns, files that come and go.
//!
//! **Words**: an *action* is one object with one member, which says what it is; a commit is a list of them.
//!
//! **Invariants.** (1) Readers need version 1 of the protocol, which every engine has. Writers need [`OURS`], which none has: engines
//! that keep to the protocol then refuse to write, to rewrite files or to remove any. (2) Columns follow from the files' own schema,
//! so that the two cannot differ [`schema`]. (3) What somebody else wrote is read without trust: what is not understood is left out
//! [`Taken`].

use bytes::Bytes;
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use serde_json::{Value, json};

use super::Commit;
use crate::{Error, Journal, Result, level::Merged, partly::Extent, parts::Micros, segment};

/// What is asked of writers: to be Hindcast.
pub(super) const OURS: &str = "hindcast.readOnly";

/// Who says how far the table is.
const WHO: &str = "hindcast";

/// The column of which only the log knows.
pub(super) const DAY: &str = "day";

/// The columns of which statistics are told, and whether they are times.
const TOLD: [(&str, bool); 4] = [("pos", false), ("rv", false), ("time_lo", true), ("time_hi", true)];

/// An action, as far as it says anything of the table.
pub(super) enum Taken {
    /// A file is live.
    Add {
        /// Its path below the root.
        path: String,
        size: u64,
        /// All that is said of it.
        add: Value,
    },
    /// A file is live no longer.
    Remove {
        path: String,
    },
    /// The table ends at a segment.
    End {
        segment: u64,
    },
    Protocol(Value),
    Metadata(Value),
    Nothing,
}

impl From<Value> for Taken {
    fn from(action: Value) -> Self {
        let Value::Object(action) = action else { return Self::Nothing };
        let said = action.into_iter().find(|(_, said)| said.is_object());
        let Some((what, said)) = said else { return Self::Nothing };
        let path = said.get("path").and_then(Value::as_str).map(str::to_owned);
        match (what.as_str(), path) {
            ("add", Some(path)) => {
                let size = said.get("size").and_then(Value::as_u64).unwrap_or_default();
                Self::Add { path, size, add: said }
            }
            ("remove", Some(path)) => Self::Remove { path },
            ("txn", _) if said.get("appId").and_then(Value::as_str) == Some(WHO) => {
                said.get("version").and_then(Value::as_u64).map_or(Self::Nothing, |segment| Self::End { segment })
            }
            ("protocol", _) => Self::Protocol(said),
            ("metaData", _) => Self::Metadata(said),
            _ => Self::Nothing,
        }
    }
}

/// A commit's actions.
pub(super) fn read(what: &str, bytes: &[u8]) -> Result<Vec<Value>> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let bad = |e: serde_json::Error| Error::corrupt(what, e.to_string());
    lines.map(|line| serde_json::from_slice(line).map_err(bad)).collect()
}

/// A commit of actions.
pub(super) fn lines(actions: &[Value]) -> Result<Bytes> {
    let mut out = Vec::new();
    for action in actions {
        serde_json::to_writer(&mut out, action)
            .map_err(|e| Error::internal("a commit of the Delta table", "cannot be written").with_source(e))?;
        out.push(b'\n');
    }
    Ok(out.into())
}

fn millis(time: Micros) -> i64 {
    time.div_euclid(1000)
}

/// What was done, for people: engines show it as the table's history.
pub(super) fn info(commit: &Commit, news: bool, now: Micros, until: Micros) -> Value {
    let Commit { version: _, segment, position, added, removed } = commit;
    let operation = if news { "WRITE" } else { "OPTIMIZE" };
    let parameters = json!({
        "segment": segment.to_string(),
        "position": position.to_string(),
        "until": crate::parts::utc_millis(until),
    });
    let metrics = json!({ "numAddedFiles": added.to_string(), "numRemovedFiles": removed.to_string() });
    json!({ "commitInfo": {
        "timestamp": millis(now),
        "operation": operation,
        "operationParameters": parameters,
        "operationMetrics": metrics,
        "engineInfo": concat!("hindcast/", env!("CARGO_PKG_VERSION")),
    }})
}

/// What is asked of others.
pub(super) fn protocol() -> Value {
    as_protocol(&json!({ "minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": [OURS] }))
}

pub(super) fn as_protocol(protocol: &Value) -> Value {
    json!({ "protocol": protocol })
}

/// What the table is, where it is not known or has fewer columns than it should.
pub(super) fn metadata(journal: &Journal, known: &Value) -> Result<Option<Value>> {
    let columns = |text: &str| serde_json::from_str::<Value>(text).ok()?.get("fields")?.as_array().map(Vec::len);
    let has = known.get("schemaString").and_then(Value::as_str).and_then(columns).unwrap_or_default();
    let schema = schema();
    if has >= schema.len() {
        return Ok(None);
    }
    let text = serde_json::to_string(&json!({ "type": "struct", "fields": schema }))
        .map_err(|e| Error::internal("the columns of the Delta table", "cannot be written").with_source(e))?;
    let created = known.get("createdTime").and_then(Value::as_i64);
    Ok(Some(as_metadata(&json!({
        "id": journal.cluster(),
        "name": WHO,
        "format": { "provider": "parquet", "options": {} },
        "schemaString": text,
        "partitionColumns": [DAY],
        "createdTime": created.unwrap_or_else(|| millis(journal.parts().clock.now())),
        "configuration": {},
    }))))
}

pub(super) fn as_metadata(metadata: &Value) -> Value {
    json!({ "metaData": metadata })
}

/// The columns.
pub(super) fn schema() -> Vec<Value> {
    let field = |name: &str, is: &str| json!({ "name": name, "type": is, "nullable": true, "metadata": {} });
    let columns = segment::schema().get_fields().iter().map(|column| {
        let basic = column.get_basic_info();
        let time = matches!(basic.logical_type_ref(), Some(LogicalType::Timestamp(_)));
        let is = match column.get_physical_type() {
            Physical::INT64 if time => "timestamp",
            Physical::INT64 => "long",
            Physical::INT32 => "integer",
            Physical::BYTE_ARRAY if basic.converted_type() == ConvertedType::UTF8 => "string",
            _ => "binary",
        };
        field(column.name(), is)
    });
    columns.chain([field(DAY, "date")]).collect()
}

/// How far the table is.
pub(super) fn end(segment: u64, now: Micros) -> Value {
    json!({ "txn": { "appId": WHO, "version": segment, "lastUpdated": millis(now) } })
}

/// A file comes. `news` says whether anything in the commit was not in the table before.
pub(super) fn add(file: &Merged, path: &str, bounds: Option<&Extent>, news: bool) -> Result<Value> {
    let mut add = json!({
        "path": path,
        "partitionValues": { DAY: day(file.made.1) },
        "size": file.bytes,
        "modificationTime": millis(file.made.1),
        "dataChange": news,
    });
    if let Some(bounds) = bounds {
        let stats = serde_json::to_string(&statistics(bounds))
            .map_err(|e| Error::internal("statistics", "cannot be written").with_source(e))?;
        add["stats"] = Value::String(stats);
    }
    Ok(json!({ "add": add }))
}

/// A file that is there, as a checkpoint says it.
pub(super) fn standing(add: &Value) -> Value {
    let mut add = add.clone();
    if let Some(add) = add.as_object_mut() {
        add.insert("dataChange".to_owned(), Value::Bool(false));
    }
    json!({ "add": add })
}

/// A file goes.
pub(super) fn remove(path: &str, add: &Value, news: bool, now: Micros) -> Value {
    json!({ "remove": {
        "path": path,
        "deletionTimestamp": millis(now),
        "dataChange": news,
        "extendedFileMetadata": true,
        "partitionValues": add.get("partitionValues"),
        "size": add.get("size"),
    }})
}

/// The day of a moment, in UTC.
fn day(time: Micros) -> Option<String> {
    let time = jiff::Timestamp::from_microsecond(time).ok()?;
    Some(time.strftime("%Y-%m-%d").to_string())
}

/// What is told of a file's rows. Times have no more than milliseconds there, so they are rounded outwards.
fn statistics(bounds: &Extent) -> Value {
    let moment = |time: Micros| {
        jiff::Timestamp::from_microsecond(millis(time) * 1000).ok().map(|time| Value::String(format!("{time:.3}")))
    };
    let (mut least, mut greatest) = (serde_json::Map::new(), serde_json::Map::new());
    for (name, is_time) in TOLD {
        let Some((min, max)) = bounds.columns.get(name).copied() else { continue };
        let said = match is_time {
            true => moment(min).zip(moment(max.saturating_add(999))),
            false => Some((Value::from(min), Value::from(max))),
        };
        if let Some((min, max)) = said {
            least.insert(name.to_owned(), min);
            greatest.insert(name.to_owned(), max);
        }
    }
    json!({ "numRecords": bounds.rows, "minValues": least, "maxValues": greatest })
}

/// Where the newest checkpoint is, and how many actions it has.
pub(super) fn hint(version: u64, size: usize) -> Bytes {
    json!({ "version": version, "size": size }).to_string().into()
}

/// The version that a hint says.
pub(super) fn hinted(bytes: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(bytes).ok()?.get("version")?.as_u64().filter(|version| *version < u64::MAX)
}
