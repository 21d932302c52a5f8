//! The exact form: JSON values whose numbers are the tokens that were served, and the bytes they stand for.
//!
//! Words. A *token* is a number as it was written (`1.10`, `1E5`, `-0`, `18446744073709551617`); two numbers
//! are equal when their tokens are. The *exact form* of an object is its JSON as served without
//! `metadata.managedFields`. *Canonical bytes* are the one spelling of a value: keys sorted by their UTF-8
//! bytes, no whitespace, tokens verbatim, strings in the shortest JSON escape. A *tape* is the flat index of
//! a document over the bytes it came in.
//!
//! Invariants:
//! 1. Two values are equal exactly when their canonical bytes are (`tests.rs`, by properties).
//! 2. No input, however hostile, panics or overflows the stack: nesting ends at [`MAX_DEPTH`] and the
//!    parser keeps its own stack.
//! 3. A duplicate key, a lone surrogate or invalid UTF-8 is an error and never repaired in silence: the
//!    journal keeps such bytes as an *unreadable* row.
//! 4. Errors of the parser never quote the document, since it may be a Secret.
//! 5. [`apply`] of a [`diff`] to the old value gives the new one, token for token.
//!
//! Not here: sealing, the encoding of rows, and any meaning of an object beyond its metadata header.
//! Numbers are never computed with; [`Value::to_serde`] is for edges that print.
//!
//! Start reading at [`ingest`], then [`Document`] and [`diff_state_bytes`].

mod canonical;
mod diff;
mod document;
mod error;
mod ingest;
mod patch;
mod scan;
mod tape;
mod value;

#[cfg(test)]
mod measure;
#[cfg(test)]
mod tests;

pub use canonical::{to_canonical, write_canonical};
pub use diff::{diff, diff_bytes, diff_state, diff_state_bytes};
pub use document::{Document, Kind, Node};
pub use error::{ParseError, ParseReason, PatchError, PatchReason};
pub use ingest::{Header, Ingested, ingest, ingest_node};
pub use patch::apply;
pub use value::{Number, Object, Value};

/// How deep arrays and objects may nest; deeper documents are refused. The API server's own limits lie
/// far below, and every recursion in this module is bounded by it.
pub const MAX_DEPTH: usize = 512;

/// Parses strict JSON (RFC 8259) and refuses duplicate keys and lone surrogates.
pub fn parse(bytes: &[u8]) -> Result<Value, ParseError> {
    Ok(Document::parse(bytes)?.root().to_value())
}

/// Parses bytes that [`write_canonical`] wrote; anything not in canonical spelling is an error, so that a
/// damaged cell is noticed even before its hash is compared.
pub fn parse_canonical(bytes: &[u8]) -> Result<Value, ParseError> {
    Ok(Document::parse_canonical(bytes)?.root().to_value())
}

/// The first 8 bytes of the canonical (big-endian) representation of xxh3-128, which are the high half of
/// the 128-bit value and the first 16 hex digits that `xxhsum -H2` prints.
pub fn state_hash(canonical: &[u8]) -> [u8; 8] {
    let high = (xxhash_rust::xxh3::xxh3_128(canonical) >> 64) as u64;
    high.to_be_bytes()
}

/// Takes `/metadata/managedFields` out of an object; what remains is the exact form. A `metadata` that
/// becomes empty stays, since it was served.
pub fn split_managed_fields(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}

/// Sets `/metadata/resourceVersion`, as the state at a row is the patched base with the row's own version.
/// A value that is not an object, or whose `metadata` is not one, is left alone.
pub fn set_resource_version(object: &mut Value, version: &str) {
    let Value::Object(root) = object else { return };
    if root.get("metadata").is_none() {
        root.insert("metadata", Value::Object(Object::new()));
    }
    if let Some(Value::Object(metadata)) = root.get_mut("metadata") {
        metadata.insert("resourceVersion", Value::from(version));
    }
}
