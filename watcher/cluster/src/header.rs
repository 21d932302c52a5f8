//! What must be known about an object before anything parses it: its identity, its revision, its own timestamps.
//!
//! Stamps are the server's: `creationTimestamp`, `deletionTimestamp` and the newest time in `managedFields`, each
//! truncated to a second. **Invariant**: hostile objects lead to absent fields, never to a panic.

use hindcast_journal::{parts::Micros, row::Revision};

use crate::json;

/// The header of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Empty if the object has none.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// As served; `None` when it is not a decimal number.
    pub rv: Option<Revision>,
    /// The newest timestamp in the object; its last write was not before that.
    pub stamp: Option<Micros>,
    /// Whether `apiVersion` and `kind` are there; items of built-in lists lack them.
    pub typed: bool,
}

impl Header {
    /// Reads the header of an object.
    pub fn of(object: &[u8]) -> Self {
        let mut out = Self::default();
        let (mut api_version, mut kind) = (false, false);
        for (key, value) in json::Members::of(object) {
            match key {
                b"apiVersion" => api_version = true,
                b"kind" => kind = true,
                b"metadata" => out.metadata(value),
                _ => {}
            }
        }
        out.typed = api_version && kind;
        out
    }

    fn metadata(&mut self, metadata: &[u8]) {
        let mut newest: Option<&[u8]> = None;
        for (key, value) in json::Members::of(metadata) {
            match key {
                b"name" => self.name = json::text(value).unwrap_or_default(),
                b"namespace" => self.namespace = json::text(value).unwrap_or_default(),
                b"uid" => self.uid = json::text(value).unwrap_or_default(),
                b"resourceVersion" => {
                    self.rv = json::text(value).and_then(|text| text.parse().ok());
                }
                b"creationTimestamp" | b"deletionTimestamp" => newest = newest.max(Some(value)),
                b"managedFields" => {
                    let entries = json::elements(value).unwrap_or_default();
                    let times = entries.into_iter().filter_map(|e| json::member(e, "time"));
                    newest = newest.max(times.max());
                }
                _ => {}
            }
        }
        // A deletionTimestamp may lie in the future by the grace period; the caller limits such a stamp to the
        // time of receipt. All stamps have one format, so the newest is the greatest by bytes.
        self.stamp = newest.and_then(json::text).and_then(|text| micros(&text));
    }
}

/// An RFC 3339 time in microseconds.
pub fn micros(text: &str) -> Option<Micros> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests;
