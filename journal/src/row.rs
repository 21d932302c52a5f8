//! Rows: one fact each, the unit of the log.
//!
//! A [`Row`] is a [`Change`] with its [`Position`]. **Words**: *key* is `group/resource/namespace/name`, the sort
//! column; *base* is the row of the same object before this one; *body* is what this row adds to it.
//!
//! **Invariants.**
//! 1. Positions are contiguous from 1 [checked in `segment` when reading, in `writer` when numbering].
//! 2. A row proves its predecessor: `base_rv` and `base_hash` are those of the object's previous row
//!    [checked in `fold`].
//! 3. [`Row::canonical`] is injective, so the chain value fixes every column of every row
//!    [`chain_step`; a test changes each column].
//! 4. Values under a sealed path are never in `body`; they are in `cells` as ciphertext [checked in `seal`].
//! 5. A keyed hash names its key: `hash_key` is empty where the hash is a plain one, where there is none, and in rows
//!    written before keys were named. It is part of the canonical bytes only if it is not empty, at their end, so that
//!    the chain over older rows is unchanged.
//!
//! Not here: the file encoding (`segment`), what the facts say (`facts`).

use bytes::Bytes;
use ring::digest;

use crate::{Error, Result, parts::Micros};

/// The order of rows in the log, and only that.
pub type Position = u64;

/// A revision: the resourceVersion of a write, within one revision domain.
pub type Revision = u64;

/// A chain value: SHA-256 over everything up to a row.
pub type ChainHash = [u8; 32];

/// The first eight bytes of an object's hash.
pub type StateHash = [u8; 8];

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The word in the file and on the screen.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The variant of a word, when there is one.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// What a row says.
    Op {
        /// An object came to be, or was first seen.
        Add = "add",
        /// An object changed.
        Modify = "modify",
        /// An object is gone; the row carries the delete's own revision.
        Delete = "delete",
        /// The same version of an object is read differently from here on.
        Reread = "reread",
        /// An object whose bytes cannot be taken as JSON; they are kept as received.
        Unreadable = "unreadable",
        /// A kind is protected from this revision on.
        CoverBegin = "cover_begin",
        /// A kind is not protected from this revision on, and why.
        CoverEnd = "cover_end",
        /// An interval in which the watch of a kind was broken.
        Gap = "gap",
        /// How far each kind has been seen.
        Frontier = "frontier",
        /// What a kind is called and how it is served.
        Discovery = "discovery",
        /// A signed statement of position, chain hash and time.
        Seal = "seal",
        /// A signed statement of rows that were dropped by policy.
        Expiry = "expiry",
        /// Any other fact of the journal's own, such as a new incarnation.
        Mark = "mark",
    }
}

impl Op {
    /// Whether the row is about an object of the cluster, not a fact of the journal's own.
    pub fn is_object(self) -> bool {
        matches!(self, Self::Add | Self::Modify | Self::Delete | Self::Reread | Self::Unreadable)
    }
}

names! {
    /// How a row came to be known.
    Source {
        /// A watch event.
        Watch = "watch",
        /// A list.
        List = "list",
        /// Recovered from the server's history after a broken watch.
        Healed = "healed",
        /// Recovered the same way, but read through a definition of its kind that is newer than the write: fields that
        /// the definition adds, drops or converts may have been different at the time.
        HealedLater = "healed-later",
    }
}

/// What a row adds to its base.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Body {
    /// Nothing: a delete, or a bare fact.
    #[default]
    None,
    /// An RFC 6902 patch on the base, canonical JSON; never touches `/metadata/resourceVersion`.
    Patch(Bytes),
    /// The full object in exact form, or a fact, as canonical JSON.
    Object(Bytes),
}

/// A sealed value: what the placeholder at `path` stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct Cell {
    /// The JSON pointer of the placeholder in the object.
    pub path: String,
    /// The data key, as in `keys/<id>`; empty if the value was not stored because there was no key.
    pub key_id: String,
    /// The position of the row this cell was sealed in: part of what the ciphertext is bound to.
    pub pos: Position,
    /// The revision of the row this cell was sealed in, likewise.
    pub rv: Revision,
    /// AES-256-GCM nonce and ciphertext; until the row has its position, the plaintext.
    pub secret: Bytes,
}

impl std::fmt::Debug for Cell {
    /// Leaves out the secret, which is plaintext until the row has its position.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cell").field("path", &self.path).field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// A fact that has no position yet: everything of a [`Row`] but `pos`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The revision domain.
    pub domain: String,
    /// Which life of the domain's counter.
    pub incarnation: u32,
    /// The revision of the write (of a delete: the delete's own).
    pub rv: Revision,
    /// The `rv` of the previous row of this object.
    pub base_rv: Option<Revision>,
    /// The write was not committed before this moment.
    pub time_lo: Micros,
    /// The write was committed by this moment.
    pub time_hi: Micros,
    /// What the row says.
    pub op: Op,
    /// How it came to be known.
    pub source: Source,
    /// API group; empty for core.
    pub group: String,
    /// The served version it was read in.
    pub version: String,
    /// Plural resource name.
    pub resource: String,
    /// Subresource of the newest managedFields entry that changed, such as `status`.
    pub subresource: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The object's uid.
    pub uid: String,
    /// What this row adds.
    pub body: Body,
    /// Hash of the exact form after this row.
    pub state_hash: Option<StateHash>,
    /// Hash of the exact form before this row.
    pub base_hash: Option<StateHash>,
    /// The [id](crate::seal::Key::id) of the key that made `state_hash`, where it is a keyed one.
    pub hash_key: String,
    /// Field manager of this write, as far as managedFields tell.
    pub manager: String,
    /// Its operation: `Apply` or `Update`.
    pub manager_op: String,
    /// With a full object: managedFields whole. With a patch: an RFC 6902 patch on them, or `None` when unchanged.
    pub managed_fields: Option<Bytes>,
    /// Sealed values that this row brings.
    pub cells: Vec<Cell>,
}

impl Source {
    /// Whether a healing recovered it, through whichever definition.
    pub fn is_healed(self) -> bool {
        matches!(self, Self::Healed | Self::HealedLater)
    }
}

impl Change {
    /// A change with the given op and everything else empty.
    pub fn new(op: Op, domain: impl Into<String>, incarnation: u32, rv: Revision) -> Self {
        Self {
            domain: domain.into(),
            incarnation,
            rv,
            base_rv: None,
            time_lo: 0,
            time_hi: 0,
            op,
            source: Source::Watch,
            group: String::new(),
            version: String::new(),
            resource: String::new(),
            subresource: String::new(),
            kind: String::new(),
            namespace: String::new(),
            name: String::new(),
            uid: String::new(),
            body: Body::None,
            state_hash: None,
            base_hash: None,
            hash_key: String::new(),
            manager: String::new(),
            manager_op: String::new(),
            managed_fields: None,
            cells: Vec::new(),
        }
    }

    /// `group/resource/namespace/name`.
    pub fn key(&self) -> String {
        object_key(&self.group, &self.resource, &self.namespace, &self.name)
    }

    /// `group/resource`, as coverage and cursors name a kind.
    pub fn kind_key(&self) -> String {
        kind_key(&self.group, &self.resource)
    }

    /// Roughly how much memory it takes.
    pub fn weight(&self) -> usize {
        let body = match &self.body {
            Body::None => 0,
            Body::Patch(b) | Body::Object(b) => b.len(),
        };
        let cells: usize = self.cells.iter().map(|c| c.path.len() + c.secret.len() + 96).sum();
        let managed = self.managed_fields.as_ref().map_or(0, Bytes::len);
        400 + body + cells + managed + self.namespace.len() + self.name.len() + self.uid.len()
    }
}

/// `group/resource/namespace/name`.
pub fn object_key(group: &str, resource: &str, namespace: &str, name: &str) -> String {
    [group, resource, namespace, name].join("/")
}

/// `group/resource`.
pub fn kind_key(group: &str, resource: &str) -> String {
    [group, resource].join("/")
}

/// A change at its position in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The position.
    pub pos: Position,
    /// The fact.
    pub change: Change,
}

impl std::ops::Deref for Row {
    type Target = Change;

    fn deref(&self) -> &Change {
        &self.change
    }
}

impl Row {
    /// The canonical bytes: the columns in schema order, each with its length. `managed_fields` is represented by its
    /// hash, so that a policy can drop it without breaking the chain.
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        let c = &self.change;
        number(&mut out, self.pos);
        text(&mut out, c.key().as_bytes());
        text(&mut out, c.domain.as_bytes());
        number(&mut out, u64::from(c.incarnation));
        number(&mut out, c.rv);
        option(&mut out, c.base_rv.map(u64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice));
        number(&mut out, c.time_lo as u64);
        number(&mut out, c.time_hi as u64);
        for word in [c.op.as_str(), c.source.as_str()] {
            text(&mut out, word.as_bytes());
        }
        for word in [&c.group, &c.version, &c.resource, &c.subresource, &c.kind, &c.namespace, &c.name, &c.uid] {
            text(&mut out, word.as_bytes());
        }
        let (patch, object) = match &c.body {
            Body::None => (None, None),
            Body::Patch(bytes) => (Some(bytes.as_ref()), None),
            Body::Object(bytes) => (None, Some(bytes.as_ref())),
        };
        option(&mut out, patch);
        option(&mut out, object);
        option(&mut out, c.state_hash.as_ref().map(<[u8; 8]>::as_slice));
        option(&mut out, c.base_hash.as_ref().map(<[u8; 8]>::as_slice));
        text(&mut out, c.manager.as_bytes());
        text(&mut out, c.manager_op.as_bytes());
        let managed = c.managed_fields.as_ref().map(|b| digest::digest(&digest::SHA256, b));
        option(&mut out, managed.as_ref().map(AsRef::as_ref));
        number(&mut out, c.cells.len() as u64);
        for cell in &c.cells {
            text(&mut out, cell.path.as_bytes());
            text(&mut out, cell.key_id.as_bytes());
            number(&mut out, cell.pos);
            number(&mut out, cell.rv);
            text(&mut out, &cell.secret);
        }
        if !c.hash_key.is_empty() {
            text(&mut out, c.hash_key.as_bytes());
        }
        out
    }
}

/// The chain value after `row`.
pub fn chain_step(before: &ChainHash, row: &Row) -> ChainHash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(before);
    context.update(&row.canonical());
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// The chain value before the first row of a cluster's journal: fixed by the cluster's identity.
pub fn chain_start(cluster: &str) -> ChainHash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"hindcast journal v1\0");
    context.update(cluster.as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

fn number(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(&n.to_le_bytes());
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn option(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.push(0),
        Some(bytes) => {
            out.push(1);
            text(out, bytes);
        }
    }
}

/// Checks that positions follow one another from `first`.
pub(crate) fn check_contiguous(what: &str, first: Position, rows: &[Row]) -> Result<()> {
    for (expected, row) in (first..).zip(rows) {
        if row.pos != expected {
            return Err(Error::corrupt(what, format!("row has position {}, where {expected} must stand", row.pos)));
        }
    }
    Ok(())
}
