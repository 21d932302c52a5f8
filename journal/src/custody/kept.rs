//! What records of restores keep sealed: their batches, as far as they say which objects have values under which data key.
//!
//! A batch is JSON in one zstd frame (`restorer/src/record/body.rs`); whatever else is in it is passed over.

use serde::Deserialize;

use crate::{Error, Result, fold::ObjectKey};

/// The most that one batch may unpack to.
const LARGEST: usize = 1 << 30;

#[derive(Deserialize)]
struct Batch {
    actions: Vec<Stored>,
}

#[derive(Deserialize)]
struct Stored {
    key: Key,
    before: Option<Body>,
    target: Option<Body>,
}

#[derive(Deserialize)]
struct Key {
    group: String,
    resource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    cells: Vec<Sealed>,
}

#[derive(Deserialize)]
struct Sealed {
    key: String,
}

/// The objects of a batch, each with the data keys of its values.
pub(super) fn objects(what: &str, bytes: &[u8]) -> Result<Vec<(ObjectKey, Vec<String>)>> {
    let bad = |e: &dyn std::fmt::Display| Error::corrupt(what, format!("is no batch of a restore's record: {e}"));
    let size = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten();
    let size = size.map_or(LARGEST, |size| usize::try_from(size).unwrap_or(LARGEST)).min(LARGEST);
    let json = zstd::bulk::decompress(bytes, size).map_err(|e| bad(&e))?;
    let batch: Batch = serde_json::from_slice(&json).map_err(|e| bad(&e))?;
    let one = |Stored { key, before, target }: Stored| {
        let Key { group, resource, namespace, name } = key;
        let cells = before.into_iter().chain(target).flat_map(|body| body.cells);
        (ObjectKey { namespace, group, resource, name }, cells.map(|cell| cell.key).collect())
    };
    Ok(batch.actions.into_iter().map(one).collect())
}
