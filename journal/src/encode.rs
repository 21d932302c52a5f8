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
//! 5. A patch only connects versions whose values are kept the same way: if the base holds in clear what is sealed now,
//!    or a placeholder for a value that was not stored, the row is a full object. A value that did not change keeps the
//!    placeholder of the base, even one made with an older key.
//!
//! Not here: which versions to observe and when (the watcher), positions and encryption (`writer`).

use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use serde::Deserialize;

use crate::{
    author::{self, Written},
    exact::{self, Value},
    facts::Discovery,
    parts::Micros,
    row::{Body, Cell, Change, Op, Revision, Source, StateHash},
    seal::{Key, NOT_STORED, Rules, Secrets, is_placeholder, publish, publish_onto},
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

/// A row that has no position yet, and the base for the next one.
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
    /// Every key that placeholders in a base may be of.
    keys: Vec<Arc<Key>>,
    rules: Rules,
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
    hash_key: String,
    cells: Vec<Cell>,
    /// The sealed places, also where values are kept in clear.
    paths: Vec<String>,
    /// Whether the base keeps a value differently: in clear, not at all, or sealed although it would not be stored now.
    otherwise: bool,
}

impl Encoder {
    /// An encoder that treats Secret values as `secrets` says.
    pub fn new(secrets: Secrets) -> Self {
        let keys = secrets.key().cloned().into_iter().collect();
        Self { secrets, keys, rules: Rules::default() }
    }

    /// With the older keys too, so that a value kept under one of them is recognised.
    #[must_use]
    pub fn with_keys(mut self, keys: &[Arc<Key>]) -> Self {
        let known = |key: &&Arc<Key>| self.keys.iter().any(|own| own.hmac == key.hmac);
        let more: Vec<Arc<Key>> = keys.iter().filter(|key| !known(key)).cloned().collect();
        self.keys.extend(more);
        self
    }

    /// With the places that a policy seals in addition to Secrets.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// What is sealed.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// How Secret values are treated.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// A version of an object: `add` without a base of the same uid, else `modify`.
    pub fn observe(&self, seen: &Observation<'_>, base: Option<&Base>) -> Encoded {
        let version = match self.version(seen, base) {
            Ok(version) => version,
            Err(reason) => return self.unreadable(seen, base, &reason),
        };
        let base = base.filter(|b| b.uid == version.uid);
        let op = if base.is_some() { Op::Modify } else { Op::Add };
        Self::encode(seen, op, version, base)
    }

    /// The same version of an object, read differently: a full object at the revision of the list.
    pub fn reread(&self, seen: &Observation<'_>, base: &Base) -> Encoded {
        match self.version(seen, Some(base)) {
            Ok(version) => Self::encode(seen, Op::Reread, version, Some(base)),
            Err(reason) => self.unreadable(seen, Some(base), &reason),
        }
    }

    /// A version that a list showed and nothing else had told of: a full object at the revision of the list, which is
    /// later than its own. The base, if there is one of its uid, is an older version.
    pub fn found(&self, seen: &Observation<'_>, base: Option<&Base>) -> Encoded {
        match self.version(seen, base) {
            Ok(version) => {
                let base = base.filter(|base| base.uid == version.uid);
                Self::encode(seen, Op::Reread, version, base)
            }
            Err(reason) => self.unreadable(seen, base, &reason),
        }
    }

    /// Whether bytes of the base's own version read the same as the base, apart from the resourceVersion. A value that
    /// the base holds in any form is the same. One that the base lacks, or holds in clear although it is sealed now,
    /// makes a different reading, unless this encoder would not store it either.
    pub fn reads_as(&self, seen: &Observation<'_>, base: &Base) -> bool {
        let Ok(version) = self.version(seen, Some(base)) else { return false };
        if version.public == base.public {
            return true;
        }
        if version.cells.is_empty() {
            return self.opens(&version, base);
        }
        let (Ok(mut new), Ok(old)) = (exact::parse_canonical(&version.public), exact::parse_canonical(&base.public))
        else {
            return false;
        };
        let clear = |path: &str| old.pointer(path).is_some_and(|v| !v.as_str().is_some_and(is_placeholder));
        if matches!(self.secrets, Secrets::Dropped)
            && version.cells.iter().any(|c| c.path.starts_with("/data") && clear(&c.path))
        {
            // Reading it again would only lose what is known.
            return true;
        }
        for cell in &version.cells {
            keep_as(&mut new, &old, &cell.path, cell.secret.is_empty());
        }
        new == old
    }

    /// Whether a version in clear equals a base that is sealed: storing it again in clear would help nobody.
    fn opens(&self, version: &Version, base: &Base) -> bool {
        if !matches!(self.secrets, Secrets::Plaintext(_)) {
            return false;
        }
        let (Ok(mut new), Ok(old)) = (exact::parse_canonical(&version.public), exact::parse_canonical(&base.public))
        else {
            return false;
        };
        for path in &version.paths {
            keep_as(&mut new, &old, path, false);
        }
        new == old
    }

    /// A delete whose event brought the last state: a patch stands in the row if it differs from the base.
    pub fn delete(&self, seen: &Observation<'_>, base: Option<&Base>) -> Change {
        let Ok(version) = self.version(seen, base) else {
            let (name, namespace) = lenient(seen.bytes).map_or_else(Default::default, |m| (m.name, m.namespace));
            return self.forget(seen, &namespace, &name, base);
        };
        let same = base.is_some_and(|b| b.uid == version.uid && same_state(&b.public, &version.public));
        let (namespace, name) = (version.namespace.clone(), version.name.clone());
        if same {
            return self.forget(seen, &namespace, &name, base);
        }
        let uid_base = base.filter(|b| b.uid == version.uid);
        let encoded = Self::encode(seen, Op::Delete, version, uid_base);
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

    fn version(&self, seen: &Observation<'_>, base: Option<&Base>) -> Result<Version, String> {
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
            hash_key: String::new(),
            otherwise: false,
            paths: Vec::new(),
            public: Bytes::new(),
            managed: ingested.managed_fields.map(Bytes::from).unwrap_or_default(),
            cells: Vec::new(),
        };
        let exact_bytes = ingested.exact;
        let before = base.filter(|b| b.uid == version.uid && !b.public.is_empty());
        let Some((mut value, before, paths)) = self.to_seal(seen.kind, &exact_bytes, before) else {
            version.hash = Some(exact::state_hash(&exact_bytes));
            version.public = Bytes::from(exact_bytes);
            return Ok(version);
        };
        version.otherwise = paths.iter().any(|path| self.kept_otherwise(before.as_ref(), path));
        if matches!(self.secrets, Secrets::Plaintext(_)) {
            version.hash = Some(exact::state_hash(&exact_bytes));
            version.public = Bytes::from(exact_bytes);
        } else {
            let key = self.secrets.key();
            version.hash = key.map(|key| key.state_hash(&exact_bytes));
            version.hash_key = key.map(|key| key.id()).unwrap_or_default();
            version.cells = publish_onto(&mut value, &paths, &self.secrets, before.as_ref(), &self.keys);
            version.public = Bytes::from(exact::to_canonical(&value));
        }
        version.paths = paths;
        Ok(version)
    }

    /// The object, its base, and its sealed paths, if there are any.
    fn to_seal(
        &self,
        kind: &Discovery,
        exact_bytes: &[u8],
        base: Option<&Base>,
    ) -> Option<(Value, Option<Value>, Vec<String>)> {
        let (group, resource) = (kind.group.as_str(), kind.resource.as_str());
        if !self.rules.may_seal(group, resource) {
            return None;
        }
        let named = self.rules.is_named(group, resource);
        if resource == "configmaps" && !named && !mentions_helm(exact_bytes) {
            return None;
        }
        let value = exact::parse_canonical(exact_bytes).ok()?;
        let before = base.and_then(|base| exact::parse_canonical(&base.public).ok());
        let mut paths = self.rules.sealed_paths(group, resource, &value);
        paths.extend(self.still_sealed(&value, before.as_ref(), &paths));
        paths.sort_unstable();
        if paths.is_empty() { None } else { Some((value, before, paths)) }
    }

    /// Annotations that were sealed and have not changed: they held a value of the object. It may have a new value by
    /// now, but the old one is still a secret.
    fn still_sealed(&self, value: &Value, before: Option<&Value>, paths: &[String]) -> Vec<String> {
        let annotations = |value: &Value| value.pointer("/metadata/annotations").and_then(Value::as_object).cloned();
        let (Some(old), Some(new)) = (before.and_then(annotations), annotations(value)) else { return Vec::new() };
        let mut out = Vec::new();
        for (name, text) in new.iter() {
            let path = crate::seal::rules::annotation(name);
            let placeholder = old.get(name).and_then(Value::as_str).filter(|text| is_placeholder(text));
            let Some(placeholder) = placeholder.filter(|_| !paths.contains(&path)) else { continue };
            // Without a key nobody can tell whether it is the same text, so it stays sealed.
            if self.keys.is_empty() || crate::seal::stands_for(placeholder, text, &self.keys) {
                out.push(path);
            }
        }
        out
    }

    /// Whether a base keeps the value at a path differently from how it would be kept now.
    fn kept_otherwise(&self, base: Option<&Value>, path: &str) -> bool {
        let Some(value) = base.and_then(|base| base.pointer(path)) else { return false };
        let text = value.as_str().filter(|text| is_placeholder(text));
        match (&self.secrets, text) {
            (Secrets::Plaintext(_), text) => text.is_some(),
            (Secrets::Dropped, text) => text != Some(NOT_STORED),
            (Secrets::Sealed(_), text) => text.is_none_or(|text| text == NOT_STORED),
        }
    }

    fn encode(seen: &Observation<'_>, op: Op, version: Version, base: Option<&Base>) -> Encoded {
        let patch = base
            .filter(|b| op != Op::Reread && b.chain < CHAIN_LIMIT && !b.public.is_empty() && !version.otherwise)
            .and_then(|b| exact::diff_state_bytes(&b.public, &version.public));
        let author = author::of_write(&Written {
            managed: (base.map_or(&[], |b| b.managed.as_ref()), &version.managed),
            patch: patch.as_deref(),
            object: &version.public,
        });
        let mut change = Change {
            subresource: author.subresource,
            namespace: version.namespace,
            name: version.name,
            uid: version.uid.clone(),
            base_rv: base.map(|b| b.rv),
            base_hash: base.and_then(|b| b.hash),
            state_hash: version.hash,
            hash_key: version.hash_key,
            manager: author.manager,
            manager_op: author.operation,
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

    /// The row for bytes that cannot be kept as JSON. If the kind has sealed values, the bytes are sealed as a whole.
    fn unreadable(&self, seen: &Observation<'_>, base: Option<&Base>, reason: &str) -> Encoded {
        let head = lenient(seen.bytes).unwrap_or_default();
        let raw = base64::engine::general_purpose::STANDARD.encode(seen.bytes);
        let seals = self.rules.may_seal(&seen.kind.group, &seen.kind.resource);
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
        // Where the uid cannot be read it is taken for that of the version before.
        let base = base.filter(|b| head.uid.is_empty() || b.uid == head.uid);
        let uid = base.map_or(head.uid, |b| b.uid.clone());
        let change = Change {
            namespace: head.namespace,
            name: head.name,
            uid: uid.clone(),
            base_rv: base.map(|b| b.rv),
            base_hash: base.and_then(|b| b.hash),
            body: Body::Object(Bytes::from(exact::to_canonical(&body))),
            cells,
            ..row_of(seen, Op::Unreadable)
        };
        let base = Base { rv: seen.rv, object_rv: seen.rv, uid, ..Base::default() };
        Encoded { change, base }
    }
}

/// Replaces the value at a path with the placeholder the base has there. A placeholder for a value that was not stored
/// is used only if `unstored` says that this value would not be stored either.
fn keep_as(new: &mut Value, old: &Value, path: &str, unstored: bool) {
    let before = old.pointer(path).and_then(Value::as_str);
    let kept = before.filter(|text| is_placeholder(text) && (unstored || *text != NOT_STORED));
    if let (Some(kept), Some(place)) = (kept, new.pointer_mut(path)) {
        *place = Value::from(kept);
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

/// The cells of a version whose value differs from the base's at the same path.
fn changed_cells(old: &[u8], new: &[u8], cells: Vec<Cell>) -> Vec<Cell> {
    if cells.is_empty() {
        return cells;
    }
    let (Ok(old), Ok(new)) = (exact::parse_canonical(old), exact::parse_canonical(new)) else {
        return cells;
    };
    cells.into_iter().filter(|c| old.pointer(&c.path) != new.pointer(&c.path)).collect()
}

#[cfg(test)]
mod tests;
