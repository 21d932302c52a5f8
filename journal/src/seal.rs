//! Sealed cells: values that nobody reads without a key.
//!
//! An object under a sealing rule is kept in *public form*: each sealed value is replaced by a placeholder with its
//! length and keyed hash, so that everything but the values can be read without the key. The value itself goes into a
//! [`Cell`], AES-256-GCM under a data key of its namespace and month, bound to cluster, position, key, revision
//! and path.
//!
//! **Keys change.** A placeholder ends with the fingerprint of the key that made its hash, and each row names the key
//! of its state hash (column `hash_key`). A value that did not change keeps its placeholder whichever key is in use, so
//! a rotation shows up nowhere as a change; a changed value gets a placeholder of the newest key. Rows written before
//! keys were named are tried with every key in the file.
//!
//! **Invariants.**
//! 1. With [`Secrets::Sealed`] or [`Secrets::Dropped`] a value under [`Rules::sealed_paths`] never reaches a body
//!    [`publish`; a test scans every file].
//! 2. A ciphertext opens only in the place it was sealed for [the associated data in `aad`].
//! 3. Equal values have equal placeholders under one key, different ones differ (128 bits), so a diff of public
//!    forms finds every change. Placeholders of two keys say nothing of each other [`comparable`].
//! 4. A cell without data key and ciphertext stands for a value that was not stored.
//!
//! Not here: what is sealed ([`rules`]), where data keys are kept ([`DataKeys`]), the key file ([`keyfile`]), wrapping data keys anew and
//! forgetting values ([`crate::custody`]).

mod copies;
mod datakeys;
pub mod keyfile;
pub mod rules;
mod told;
pub(crate) mod trust;
pub(crate) mod wrapped;

use std::{fmt::Write as _, sync::Arc};

use base64::Engine as _;
use bytes::Bytes;
use ring::{digest, hmac};

use crate::{
    exact,
    exact::Value,
    row::{Cell, StateHash},
};
pub use datakeys::{DataKeys, LOOK, Place, Proof};
pub use keyfile::{Key, KeyFile};
pub use rules::Rules;
pub use told::{Deed, Told};

/// How values under a sealing rule are stored.
#[derive(Debug, Clone)]
pub enum Secrets {
    /// As sealed cells.
    Sealed(Arc<Key>),
    /// In clear. The key, if there is one, still makes the hashes shown in outputs.
    Plaintext(Option<Arc<Key>>),
    /// Not at all: there is no key.
    Dropped,
}

impl Secrets {
    /// `sealed`, `plaintext` or `dropped`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Sealed(_) => "sealed",
            Self::Plaintext(_) => "plaintext",
            Self::Dropped => "dropped",
        }
    }

    /// The key, if any.
    pub fn key(&self) -> Option<&Arc<Key>> {
        match self {
            Self::Sealed(key) => Some(key),
            Self::Plaintext(key) => key.as_ref(),
            Self::Dropped => None,
        }
    }
}

/// A JSON pointer token with `~` and `/` escaped.
pub fn escape_pointer(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// Undoes [`escape_pointer`].
pub fn unescape_pointer(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// The tokens of a JSON pointer.
pub fn pointer_tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(unescape_pointer).collect()
}

/// Whether a JSON pointer equals another one or points below it.
pub fn is_within(pointer: &str, outer: &str) -> bool {
    pointer.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What stands for a value that was not stored.
pub const NOT_STORED: &str = "<not stored: no key>";

/// Bytes of the hash in a stored placeholder, and in a shown one.
const STORED: usize = 16;
const SHOWN: usize = 4;

/// Replaces the values at `paths` by placeholders and returns them as cells that are not sealed yet.
pub fn publish(object: &mut Value, paths: &[String], secrets: &Secrets) -> Vec<Cell> {
    publish_onto(object, paths, secrets, None, &[])
}

/// Like [`publish`], but a value that equals the one in `base` (a public form) keeps its placeholder from there. `keys`
/// are those that may have made that placeholder.
pub(crate) fn publish_onto(
    object: &mut Value,
    paths: &[String],
    secrets: &Secrets,
    base: Option<&Value>,
    keys: &[Arc<Key>],
) -> Vec<Cell> {
    let mut cells = Vec::with_capacity(paths.len());
    for path in paths {
        let Some(value) = object.pointer_mut(path) else { continue };
        let plain = exact::to_canonical(value);
        let before = base.and_then(|base| base.pointer(path)).and_then(Value::as_str);
        let (shown, secret) = match secrets {
            Secrets::Plaintext(_) => continue,
            Secrets::Sealed(key) => {
                let same = before.filter(|text| Stored::read(text).is_some_and(|stored| stored.is_of(&plain, keys)));
                let shown = same.map_or_else(|| stored(value, path, key), str::to_owned);
                (shown, Bytes::from(plain))
            }
            Secrets::Dropped => (NOT_STORED.to_owned(), Bytes::new()),
        };
        *value = Value::String(shown.into());
        cells.push(Cell { path: path.clone(), key_id: String::new(), pos: 0, rv: 0, secret });
    }
    cells
}

/// A placeholder as it is stored: the whole hash, and which key made it.
fn stored(value: &Value, path: &str, key: &Key) -> String {
    let text = placeholder(value, path, Some(key), STORED);
    format!("{} key:{}>", text.trim_end_matches('>'), key.fingerprint())
}

/// What a stored placeholder says of its value.
struct Stored<'t> {
    hash: &'t str,
    /// The fingerprint of the key; of rows written before keys were named there is none.
    key: Option<&'t str>,
}

impl<'t> Stored<'t> {
    fn read(text: &'t str) -> Option<Self> {
        let rest = text.strip_prefix("<redacted ")?.strip_suffix('>')?.split_once(" hmac:")?.1;
        let (hash, key) = match rest.split_once(" key:") {
            Some((hash, key)) => (hash, Some(key)),
            None => (rest, None),
        };
        (hash.len() == 2 * STORED && is_placeholder(text)).then_some(Self { hash, key })
    }

    fn is_of(&self, canonical: &[u8], keys: &[Arc<Key>]) -> bool {
        let mut may = keys.iter().filter(|key| self.key.is_none_or(|print| print == key.fingerprint()));
        may.any(|key| {
            let tag = key.hmac(canonical);
            tag.get(..STORED).is_some_and(|tag| crate::segment::hex(tag) == self.hash)
        })
    }
}

/// Whether a placeholder is of this value, under one of the keys.
pub(crate) fn stands_for(placeholder: &str, value: &Value, keys: &[Arc<Key>]) -> bool {
    Stored::read(placeholder).is_some_and(|stored| stored.is_of(&exact::to_canonical(value), keys))
}

/// Whether two different placeholders prove that their values differ: only if one key made both. If either does not
/// name its key, it may have been another.
pub fn comparable(one: &str, other: &str) -> bool {
    match (Stored::read(one), Stored::read(other)) {
        (Some(one), Some(other)) => one.key.is_some() && one.key == other.key,
        _ => false,
    }
}

/// Whether a text is exactly what the journal writes in place of a value: nothing else may pass for a placeholder.
pub fn is_placeholder(text: &str) -> bool {
    if text == NOT_STORED {
        return true;
    }
    let Some(inner) = text.strip_prefix("<redacted ").and_then(|t| t.strip_suffix('>')) else {
        return false;
    };
    let Some((count, rest)) = inner.split_once(" bytes") else { return false };
    let is_hex =
        |text: &str, most: usize| !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_hexdigit());
    let hash = match rest {
        "" => true,
        rest => rest.strip_prefix(" hmac:").is_some_and(|hash| match hash.split_once(" key:") {
            Some((hash, key)) => hash.len() == 2 * STORED && is_hex(hash, 2 * STORED) && is_hex(key, PRINT),
            None => is_hex(hash, 2 * STORED),
        }),
    };
    !count.is_empty() && count.len() <= 8 && count.bytes().all(|b| b.is_ascii_digit()) && hash
}

/// `<redacted N bytes hmac:…>` for a value, with `width` bytes of the hash; without a key, no hash.
pub fn placeholder(value: &Value, path: &str, key: Option<&Key>, width: usize) -> String {
    let bytes = match value {
        Value::String(text) if path.starts_with("/data/") => {
            base64::engine::general_purpose::STANDARD.decode(text.as_bytes()).map_or(text.len(), |raw| raw.len())
        }
        Value::String(text) => text.len(),
        other => exact::to_canonical(other).len(),
    };
    let mut out = format!("<redacted {bytes} bytes");
    if let Some(key) = key {
        let tag = key.hmac(&exact::to_canonical(value));
        out.push_str(" hmac:");
        for byte in tag.iter().take(width) {
            // Writing to a String cannot fail.
            let _ = write!(out, "{byte:02x}");
        }
    }
    out.push('>');
    out
}

/// A stored placeholder as it is shown: with the first four bytes of its hash.
pub fn short_placeholder(stored: &str) -> String {
    match stored.find(" hmac:").and_then(|at| stored.get(..at + 6 + 2 * SHOWN)) {
        Some(head) if stored.ends_with('>') => format!("{head}>"),
        _ => stored.to_owned(),
    }
}

/// The length of a key's fingerprint.
const PRINT: usize = 6;

impl Key {
    /// A short hash of everything in the key, which tells it from others of the same name.
    pub fn fingerprint(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"hindcast key\0");
        for part in [&self.wrap, &self.hmac, &self.seal] {
            context.update(part);
        }
        let mut print = crate::segment::hex(context.finish().as_ref());
        print.truncate(PRINT);
        print
    }

    /// Its name with its fingerprint, as rows name it. Newer names end with it already.
    pub fn id(&self) -> String {
        let print = self.fingerprint();
        match self.name.strip_suffix(&print) {
            Some(head) if head.ends_with('-') => self.name.clone(),
            _ => format!("{}-{print}", self.name),
        }
    }

    /// HMAC-SHA256 of `bytes`.
    pub fn hmac(&self, bytes: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.hmac), bytes);
        let mut out = [0; 32];
        out.copy_from_slice(tag.as_ref());
        out
    }

    /// The state hash of an object with sealed values.
    pub fn state_hash(&self, canonical: &[u8]) -> StateHash {
        let mut out = [0; 8];
        out.copy_from_slice(&self.hmac(canonical)[..8]);
        out
    }
}

/// Whether a data key opens a cell.
#[cfg(test)]
pub(crate) fn opens(key: &[u8; 32], place: &Place<'_>, cell: &Cell) -> bool {
    datakeys::decrypt(key, &datakeys::aad(place, cell), &cell.secret).is_some()
}

#[cfg(test)]
mod tests;
