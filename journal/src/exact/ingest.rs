//! From the bytes of an object as received to what a row needs, in one pass.
//!
//! Invariant: `exact` holds the canonical bytes of the object without `/metadata/managedFields`, and
//! `managed_fields` those of what was taken out; together they are all that was served.
//!
//! Not here: what the header means, or what to do with bytes that are not readable.

use super::{
    canonical,
    document::{Document, Kind, Node},
    error::{ParseError, ParseReason},
};

/// What a row needs to know of an object. A field is absent where the object lacks it or holds anything
/// but a string there; items of a typed list, for one, are served without `apiVersion` and `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// `/apiVersion`
    pub api_version: Option<String>,
    /// `/kind`
    pub kind: Option<String>,
    /// `/metadata/name`
    pub name: Option<String>,
    /// `/metadata/namespace`
    pub namespace: Option<String>,
    /// `/metadata/uid`
    pub uid: Option<String>,
    /// `/metadata/resourceVersion`
    pub resource_version: Option<String>,
    /// `/metadata/creationTimestamp`
    pub creation_timestamp: Option<String>,
    /// `/metadata/deletionTimestamp`
    pub deletion_timestamp: Option<String>,
}

/// An object taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingested {
    /// What identifies the object and its state.
    pub header: Header,
    /// The canonical bytes of the exact form.
    pub exact: Vec<u8>,
    /// The canonical bytes of `/metadata/managedFields`, where there are any.
    pub managed_fields: Option<Vec<u8>>,
}

impl Ingested {
    /// The hash of the state, see [`super::state_hash`].
    pub fn state_hash(&self) -> [u8; 8] {
        super::state_hash(&self.exact)
    }
}

/// Takes in the bytes of one object.
pub fn ingest(bytes: &[u8]) -> Result<Ingested, ParseError> {
    ingest_node(Document::parse(bytes)?.root())
}

/// Takes in an object inside a larger document, such as a watch event or a list.
pub fn ingest_node(object: Node<'_>) -> Result<Ingested, ParseError> {
    if object.kind() != Kind::Object {
        return Err(ParseReason::Expected("an object").at(object.offset()));
    }
    let mut header = Header::default();
    let mut managed = None;
    for (key, value) in object.members() {
        match &*key.text() {
            "apiVersion" => header.api_version = string(value),
            "kind" => header.kind = string(value),
            "metadata" => managed = header.read_metadata(value),
            _ => {}
        }
    }
    let mut exact = Vec::with_capacity(object.raw().len());
    let managed_fields = managed.map(|node| {
        let mut out = Vec::with_capacity(node.raw().len());
        node.write_canonical(&mut out);
        out
    });
    if managed_fields.is_some() {
        canonical::write_without(object, &["metadata", "managedFields"], &mut exact);
    } else {
        object.write_canonical(&mut exact);
    }
    Ok(Ingested { header, exact, managed_fields })
}

impl Header {
    /// Reads the fields of `metadata`; returns its `managedFields`.
    fn read_metadata<'d>(&mut self, metadata: Node<'d>) -> Option<Node<'d>> {
        let mut managed = None;
        for (key, value) in metadata.members() {
            match &*key.text() {
                "name" => self.name = string(value),
                "namespace" => self.namespace = string(value),
                "uid" => self.uid = string(value),
                "resourceVersion" => self.resource_version = string(value),
                "creationTimestamp" => self.creation_timestamp = string(value),
                "deletionTimestamp" => self.deletion_timestamp = string(value),
                "managedFields" => managed = Some(value),
                _ => {}
            }
        }
        managed
    }
}

fn string(node: Node<'_>) -> Option<String> {
    node.as_str().map(std::borrow::Cow::into_owned)
}
