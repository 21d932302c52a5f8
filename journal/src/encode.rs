//! From an object as received to a row: exact form, diff against the version before, hash, managers, cells.
//!
//! **Words**: a [`Base`] is the last known version of an object, kept so that the next one can be written as a patch.
//!
//! **Invariants.**
//! 1. The row's patch applied to the base gives the new version, byte for byte: the patch comes from
//!    `exact::diff_state_bytes`, and `fold` checks the hash.
//! 2. A chain never crosses a uid or a reread, and has at most [`CHAIN_LIMIT`] patches between full objects.
//! 3. Bytes that are not JSON we can keep exactly become an `unreadable` row with the bytes in it, never an error.
//! 4. `body` is in public form [`crate::seal`].
//!
//! Not here: which versions to observe and when (the watcher), positions and encryption (`writer`).

use base64::Engine as _;
use bytes::Bytes;
use serde::Deserialize;

use crate::{
    Micros, Revision,
    exact::{self, Document, Node, Value},
    facts::Discovery,
    row::{Body, Cell, Change, Op, Source, StateHash},
    seal::{Secrets, may_seal, publish, sealed_paths},
};

/// The most patches between two full objects.
pub const CHAIN_LIMIT: u32 = 64;

/// One version of an object as it was received.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The kind.
    pub kind: &'a Discovery,
    /// Which life of the domain's counter.
    pub incarnation: u32,
    /// The revision the row stands at: the object's own, or a list's for a reread.
    pub rv: Revision,
    /// How it came to be known.
    pub source: Source,
    /// Not committed before.
    pub time_lo: Micros,
    /// Committed by.
    pub time_hi: Micros,
    /// The object.
    pub bytes: &'a [u8],
}

/// The last known version of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Base {
    /// The revision of its row.
    pub rv: Revision,
    /// Its own resourceVersion (another than `rv` only after a reread).
    pub object_rv: Revision,
    /// Its uid.
    pub uid: String,
    /// Public form, canonical; empty when the version was unreadable.
    pub public: Bytes,
    /// managedFields, canonical; empty when there were none.
    pub managed: Bytes,
    /// Hash of the exact form.
    pub hash: Option<StateHash>,
    /// Patches since the last full object.
    pub chain: u32,
}

/// A row to be, and the base for the next.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The row, without a position.
    pub change: Change,
    /// The version it leaves.
    pub base: Base,
}

/// Makes rows.
#[derive(Debug, Clone)]
pub struct Encoder {
    secrets: Secrets,
}

/// A version taken apart.
struct Version {
    uid: String,
    name: String,
    namespace: String,
    object_rv: Revision,
    public: Bytes,
    managed: Bytes,
    hash: Option<StateHash>,
    cells: Vec<Cell>,
}

impl Encoder {
    /// An encoder that treats Secret values as `secrets` says.
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets }
    }

    /// How Secret values are treated.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// A version of an object: `add` without a base of the same uid, else `modify`.
    pub fn observe(&self, seen: &Observation<'_>, base: Option<&Base>) -> Encoded {
        let version = match self.version(seen) {
            Ok(version) => version,
            Err(reason) => return self.unreadable(seen, base, &reason),
        };
        let base = base.filter(|b| b.uid == version.uid);
        let op = if base.is_some() { Op::Modify } else { Op::Add };
        self.encode(seen, op, version, base)
    }

    /// The same version of an object, read differently: a full object at the revision of the list.
    pub fn reread(&self, seen: &Observation<'_>, base: &Base) -> Encoded {
        match self.version(seen) {
            Ok(version) => self.encode(seen, Op::Reread, version, Some(base)),
            Err(reason) => self.unreadable(seen, Some(base), &reason),
        }
    }

    /// Whether the bytes read the same as the base, but for the resourceVersion.
    pub fn reads_as(&self, seen: &Observation<'_>, base: &Base) -> bool {
        self.version(seen).is_ok_and(|v| v.public == base.public)
    }

    /// A delete whose event brought the last state: a patch stands in the row if it differs from the base.
    pub fn delete(&self, seen: &Observation<'_>, base: Option<&Base>) -> Change {
        let Ok(version) = self.version(seen) else {
            let (name, namespace) = lenient(seen.bytes).map_or_else(Default::default, |m| (m.name, m.namespace));
            return self.forget(seen, &namespace, &name, base);
        };
        let same = base.is_some_and(|b| b.uid == version.uid && same_state(&b.public, &version.public));
        let (namespace, name) = (version.namespace.clone(), version.name.clone());
        if same {
            return self.forget(seen, &namespace, &name, base);
        }
        let uid_base = base.filter(|b| b.uid == version.uid);
        let encoded = self.encode(seen, Op::Delete, version, uid_base);
        Change { managed_fields: None, ..encoded.change }
    }

    /// A delete of which only the fact is known.
    pub fn forget(&self, seen: &Observation<'_>, namespace: &str, name: &str, base: Option<&Base>) -> Change {
        Change {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            uid: base.map(|b| b.uid.clone()).unwrap_or_default(),
            base_rv: base.map(|b| b.rv),
            base_hash: base.and_then(|b| b.hash),
            ..row_of(seen, Op::Delete)
        }
    }

    fn version(&self, seen: &Observation<'_>) -> Result<Version, String> {
        let ingested = exact::ingest(seen.bytes).map_err(|e| e.to_string())?;
        let header = ingested.header;
        let object_rv = header
            .resource_version
            .as_deref()
            .and_then(|rv| rv.parse().ok())
            .ok_or("metadata.resourceVersion is not a number")?;
        let mut version = Version {
            uid: header.uid.unwrap_or_default(),
            name: header.name.unwrap_or_default(),
            namespace: header.namespace.unwrap_or_default(),
            object_rv,
            hash: None,
            public: Bytes::new(),
            managed: ingested.managed_fields.map(Bytes::from).unwrap_or_default(),
            cells: Vec::new(),
        };
        let exact_bytes = ingested.exact;
        if let Some((value, paths)) = self.to_seal(seen.kind, &exact_bytes) {
            version.hash = self.secrets.key().map(|key| key.state_hash(&exact_bytes));
            let mut value = value;
            version.cells = publish(&mut value, &paths, &self.secrets);
            version.public = Bytes::from(exact::to_canonical(&value));
        } else {
            version.hash = Some(exact::state_hash(&exact_bytes));
            version.public = Bytes::from(exact_bytes);
        }
        Ok(version)
    }

    /// The object and its sealed paths, if any of them has to be sealed.
    fn to_seal(&self, kind: &Discovery, exact_bytes: &[u8]) -> Option<(Value, Vec<String>)> {
        if matches!(self.secrets, Secrets::Plaintext(_)) || !may_seal(&kind.group, &kind.resource) {
            return None;
        }
        if kind.resource == "configmaps" && !mentions_helm(exact_bytes) {
            return None;
        }
        let value = exact::parse_canonical(exact_bytes).ok()?;
        let paths = sealed_paths(&kind.group, &kind.resource, &value);
        if paths.is_empty() { None } else { Some((value, paths)) }
    }

    fn encode(&self, seen: &Observation<'_>, op: Op, version: Version, base: Option<&Base>) -> Encoded {
        let patch = base
            .filter(|b| op != Op::Reread && b.chain < CHAIN_LIMIT && !b.public.is_empty())
            .and_then(|b| exact::diff_state_bytes(&b.public, &version.public));
        let (manager, manager_op, subresource) =
            latest_manager(base.map_or(&[], |b| b.managed.as_ref()), &version.managed);
        let mut change = Change {
            subresource,
            namespace: version.namespace,
            name: version.name,
            uid: version.uid.clone(),
            base_rv: base.map(|b| b.rv),
            base_hash: base.and_then(|b| b.hash),
            state_hash: version.hash,
            manager,
            manager_op,
            ..row_of(seen, op)
        };
        let chain;
        if let (Some(patch), Some(base)) = (patch, base) {
            chain = base.chain + 1;
            change.body = Body::Patch(Bytes::from(patch));
            change.managed_fields = managed_patch(&base.managed, &version.managed);
            change.cells = changed_cells(&base.public, &version.public, version.cells);
        } else {
            chain = 0;
            change.body = Body::Object(version.public.clone());
            change.managed_fields = Some(version.managed.clone()).filter(|m| !m.is_empty());
            change.cells = version.cells;
        }
        let base = Base {
            rv: seen.rv,
            object_rv: version.object_rv,
            uid: version.uid,
            public: version.public,
            managed: version.managed,
            hash: version.hash,
            chain,
        };
        Encoded { change, base }
    }

    /// The row of bytes that cannot be kept as JSON. Of a kind with sealed values the bytes are sealed whole.
    fn unreadable(&self, seen: &Observation<'_>, base: Option<&Base>, reason: &str) -> Encoded {
        let head = lenient(seen.bytes).unwrap_or_default();
        let raw = base64::engine::general_purpose::STANDARD.encode(seen.bytes);
        let seals = may_seal(&seen.kind.group, &seen.kind.resource);
        let (raw, cells) = match &self.secrets {
            Secrets::Plaintext(_) => (raw, Vec::new()),
            _ if !seals => (raw, Vec::new()),
            secrets => {
                let mut wrapped = Value::from_serde(&serde_json::json!({ "raw": raw }));
                let cells = publish(&mut wrapped, &["/raw".to_owned()], secrets);
                (wrapped.get("raw").and_then(Value::as_str).unwrap_or_default().to_owned(), cells)
            }
        };
        let body = Value::from_serde(&serde_json::json!({ "raw": raw, "reason": reason }));
        let base = base.filter(|b| b.uid == head.uid);
        let change = Change {
            namespace: head.namespace,
            name: head.name,
            uid: head.uid.clone(),
            base_rv: base.map(|b| b.rv),
            base_hash: base.and_then(|b| b.hash),
            body: Body::Object(Bytes::from(exact::to_canonical(&body))),
            cells,
            ..row_of(seen, Op::Unreadable)
        };
        let base = Base { rv: seen.rv, object_rv: seen.rv, uid: head.uid, ..Base::default() };
        Encoded { change, base }
    }
}

fn row_of(seen: &Observation<'_>, op: Op) -> Change {
    Change {
        source: seen.source,
        time_lo: seen.time_lo,
        time_hi: seen.time_hi,
        ..crate::facts::about(op, seen.kind, seen.incarnation, seen.rv)
    }
}

/// What can be known of an object that is not quite JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lenient {
    name: String,
    namespace: String,
    uid: String,
}

fn lenient(bytes: &[u8]) -> Option<Lenient> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Lenient,
    }
    serde_json::from_slice::<Object>(bytes).ok().map(|o| o.metadata)
}

fn mentions_helm(bytes: &[u8]) -> bool {
    [b"helm".as_slice(), b"HELM", b"Helm", b"tiller", b"TILLER", b"Tiller"]
        .iter()
        .any(|word| bytes.windows(word.len()).any(|w| w == *word))
}

fn same_state(old: &[u8], new: &[u8]) -> bool {
    exact::diff_state_bytes(old, new).is_some_and(|patch| patch == b"[]")
}

/// The patch on managedFields, or `None` when they did not change.
fn managed_patch(old: &Bytes, new: &Bytes) -> Option<Bytes> {
    if old == new {
        return None;
    }
    let or_empty = |b: &Bytes| if b.is_empty() { Bytes::from_static(b"[]") } else { b.clone() };
    let (old, new) = (or_empty(old), or_empty(new));
    let patch = exact::diff_bytes(&old, &new).unwrap_or_else(|| {
        let mut whole = br#"[{"op":"replace","path":"","value":"#.to_vec();
        whole.extend_from_slice(&new);
        whole.extend_from_slice(b"}]");
        whole
    });
    Some(Bytes::from(patch))
}

/// Of the cells of a version, those whose value is not the base's at the same path.
fn changed_cells(old: &[u8], new: &[u8], cells: Vec<Cell>) -> Vec<Cell> {
    if cells.is_empty() {
        return cells;
    }
    let (Ok(old), Ok(new)) = (exact::parse_canonical(old), exact::parse_canonical(new)) else {
        return cells;
    };
    cells.into_iter().filter(|c| old.pointer(&c.path) != new.pointer(&c.path)).collect()
}

/// Manager, operation and subresource of the newest managedFields entry that the version before had not.
fn latest_manager(old: &[u8], new: &[u8]) -> (String, String, String) {
    if new.is_empty() || old == new {
        return Default::default();
    }
    // Both are canonical, so entries are equal when their bytes are: no values are built for those that stayed.
    let Ok(new) = Document::parse(new) else { return Default::default() };
    let old = Document::parse(old).ok();
    let known: Vec<&[u8]> = old.iter().flat_map(|old| old.root().elements()).map(|e| e.raw()).collect();
    let text = |entry: &Node<'_>, field: &str| {
        entry.get(field).and_then(|value| value.as_str()).unwrap_or_default().into_owned()
    };
    let fresh = new.root().elements().filter(|entry| !known.contains(&entry.raw()));
    let latest = fresh.max_by_key(|entry| text(entry, "time"));
    latest.map_or_else(Default::default, |e| {
        (text(&e, "manager"), text(&e, "operation"), text(&e, "subresource"))
    })
}

#[cfg(test)]
mod tests;
