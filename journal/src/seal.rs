//! Sealed cells: values that nobody reads without a key.
//!
//! An object under a sealing rule is kept in *public form*: each sealed value is replaced by a placeholder with its
//! length and keyed hash, so that everything but the values reads without the key. The value itself goes into a
//! [`Cell`], AES-256-GCM under a data key of its namespace and month, bound to cluster, position, key, revision
//! and path.
//!
//! **Invariants.**
//! 1. With [`Secrets::Sealed`] or [`Secrets::Dropped`] a value under [`sealed_paths`] never reaches a body
//!    [`publish`; a test scans every file].
//! 2. A ciphertext opens only in the place it was sealed for [the associated data in `aad`].
//! 3. Equal values have equal placeholders under one key, different ones differ (128 bits), so a diff of public
//!    forms finds every change.
//!
//! Not here: where data keys are kept ([`DataKeys`]), the key file ([`keyfile`]).

pub mod keyfile;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use base64::Engine as _;
use bytes::Bytes;
use ring::{aead, hmac};

use crate::{
    Error, Parts, Result, exact,
    exact::Value,
    row::{Cell, StateHash},
    store::{Put, Store},
};
pub use keyfile::{Key, KeyFile};

/// How values under a sealing rule are stored.
#[derive(Debug, Clone)]
pub enum Secrets {
    /// As sealed cells.
    Sealed(Arc<Key>),
    /// In clear. The key, when there is one, still makes the hashes that outputs show.
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

const LAST_APPLIED: &str = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";

/// Whether a kind can have sealed paths at all; the quick test before parsing an object.
pub fn may_seal(group: &str, resource: &str) -> bool {
    group.is_empty() && matches!(resource, "secrets" | "configmaps")
}

/// The JSON pointers of an object's sensitive values: everything under a Secret's `data` and `stringData`, a
/// Secret's last-applied annotation, and Helm release payloads kept in `ConfigMaps`.
pub fn sealed_paths(group: &str, resource: &str, object: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    if !may_seal(group, resource) {
        return paths;
    }
    if resource == "configmaps" {
        let owner = object.pointer("/metadata/labels/owner").or(object.pointer("/metadata/labels/OWNER"));
        let helm = owner
            .and_then(Value::as_str)
            .is_some_and(|o| o.eq_ignore_ascii_case("helm") || o.eq_ignore_ascii_case("tiller"));
        if helm {
            leaves(object, "data", &mut paths);
        }
        return paths;
    }
    for field in ["data", "stringData"] {
        leaves(object, field, &mut paths);
    }
    if object.pointer(LAST_APPLIED).is_some() {
        paths.push(LAST_APPLIED.to_owned());
    }
    paths
}

/// The pointers of the members of `field`, or of the field itself where it is not a map.
fn leaves(object: &Value, field: &str, paths: &mut Vec<String>) {
    match object.get(field) {
        None | Some(Value::Null) => {}
        Some(Value::Object(members)) => {
            paths.extend(members.keys().map(|k| format!("/{field}/{}", escape_pointer(k))));
        }
        Some(_) => paths.push(format!("/{field}")),
    }
}

/// A JSON pointer token with `~` and `/` escaped.
pub fn escape_pointer(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// Replaces the values at `paths` by placeholders and returns them as cells that are not sealed yet.
pub fn publish(object: &mut Value, paths: &[String], secrets: &Secrets) -> Vec<Cell> {
    let mut cells = Vec::with_capacity(paths.len());
    for path in paths {
        let Some(value) = object.pointer_mut(path) else { continue };
        let plain = exact::to_canonical(value);
        let (placeholder, secret) = match secrets {
            Secrets::Plaintext(_) => continue,
            Secrets::Sealed(key) => (placeholder(value, path, Some(key), 16), Bytes::from(plain)),
            Secrets::Dropped => ("<not stored: no key>".to_owned(), Bytes::new()),
        };
        *value = Value::String(placeholder.into());
        cells.push(Cell { path: path.clone(), key_id: String::new(), pos: 0, rv: 0, secret });
    }
    cells
}

/// `<redacted N bytes hmac:…>` for a value, with `width` bytes of the hash; without a key, no hash.
pub fn placeholder(value: &Value, path: &str, key: Option<&Key>, width: usize) -> String {
    let bytes = match value {
        Value::String(text) if path.starts_with("/data/") => base64::engine::general_purpose::STANDARD
            .decode(text.as_bytes())
            .map_or(text.len(), |raw| raw.len()),
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
    match stored.find(" hmac:").and_then(|at| stored.get(..at + 6 + 8)) {
        Some(head) if stored.ends_with('>') => format!("{head}>"),
        _ => stored.to_owned(),
    }
}

impl Key {
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

/// What a ciphertext is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The cluster's uid.
    pub cluster: &'a str,
    /// `group/resource/namespace/name`.
    pub key: &'a str,
    /// The object's namespace.
    pub namespace: &'a str,
}

fn aad(place: &Place<'_>, cell: &Cell) -> Vec<u8> {
    let mut out = Vec::new();
    for part in [place.cluster, place.key, &cell.path, &cell.key_id] {
        out.extend_from_slice(&(part.len() as u64).to_le_bytes());
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(&cell.pos.to_le_bytes());
    out.extend_from_slice(&cell.rv.to_le_bytes());
    out
}

/// Data keys of one journal: made on demand, wrapped, kept in `keys/<id>`.
pub struct DataKeys {
    cluster: String,
    keys: Vec<Arc<Key>>,
    parts: Parts,
    cache: Mutex<BTreeMap<String, [u8; 32]>>,
}

impl std::fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKeys").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct WrappedKey {
    id: String,
    wrapped_by: String,
    wrapped: String,
}

impl DataKeys {
    /// The data keys of `cluster`, wrapped by `keys` (the first one wraps new ones).
    pub fn new(cluster: &str, keys: Vec<Arc<Key>>, parts: Parts) -> Self {
        Self { cluster: cluster.to_owned(), keys, parts, cache: Mutex::default() }
    }

    /// Whether there is any key to open cells with.
    pub fn can_open(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The key that new values are sealed with and keyed hashes are made with.
    pub fn key(&self) -> Option<&Arc<Key>> {
        self.keys.first()
    }

    /// The id of the data key for a namespace at a time.
    pub fn id(namespace: &str, time: i64, key: &Key) -> String {
        let (year, month) = year_month(time);
        let namespace = if namespace.is_empty() { "_cluster" } else { namespace };
        format!("{namespace}.{year:04}-{month:02}.{}", key.name)
    }

    /// Seals a cell in place: it gets its key, position and revision.
    pub async fn seal(&self, store: &Store, place: Place<'_>, cell: &mut Cell, time: i64) -> Result<()> {
        let Some(key) = self.keys.first() else {
            return Err(Error::invalid("sealing", "there is no key"));
        };
        let id = Self::id(place.namespace, time, key);
        let data_key = self.data_key(store, &id, true).await?;
        cell.key_id = id;
        let bound = aad(&place, cell);
        cell.secret = Bytes::from(encrypt(&self.parts, &data_key, &bound, &cell.secret)?);
        Ok(())
    }

    /// The value of a sealed cell.
    pub async fn open(&self, store: &Store, place: Place<'_>, cell: &Cell) -> Result<Value> {
        let data_key = self.data_key(store, &cell.key_id, false).await?;
        let what = || format!("sealed value {} of {} at position {}", cell.path, place.key, cell.pos);
        let plain = decrypt(&data_key, &aad(&place, cell), &cell.secret)
            .ok_or_else(|| Error::corrupt(what(), "does not open with its key: altered or moved"))?;
        exact::parse(&plain).map_err(|e| Error::corrupt(what(), e.to_string()))
    }

    async fn data_key(&self, store: &Store, id: &str, create: bool) -> Result<[u8; 32]> {
        if let Some(key) = self.cached(id) {
            return Ok(key);
        }
        let path = store.layout().data_key(id);
        let stored = store.get_opt(&path).await?;
        let key = match stored {
            Some(bytes) => self.unwrap_key(id, &bytes)?,
            None if create => self.create_key(store, id).await?,
            None => {
                return Err(Error::corrupt(path.to_string(), "the data key is not in the bucket"));
            }
        };
        self.cache.lock().expect("never poisoned: no panic under it").insert(id.to_owned(), key);
        Ok(key)
    }

    fn cached(&self, id: &str) -> Option<[u8; 32]> {
        self.cache.lock().expect("never poisoned: no panic under it").get(id).copied()
    }

    async fn create_key(&self, store: &Store, id: &str) -> Result<[u8; 32]> {
        let Some(wrapping) = self.keys.first() else {
            return Err(Error::invalid("sealing", "there is no key"));
        };
        let mut key = [0; 32];
        self.parts.random.fill(&mut key);
        let bound = [self.cluster.as_bytes(), b"\0", id.as_bytes()].concat();
        let wrapped = WrappedKey {
            id: id.to_owned(),
            wrapped_by: wrapping.name.clone(),
            wrapped: base64::engine::general_purpose::STANDARD
                .encode(encrypt(&self.parts, &wrapping.wrap, &bound, &key)?),
        };
        let bytes = serde_json::to_vec(&wrapped)
            .map_err(|e| Error::internal("data key", "cannot be written").with_source(e))?;
        let path = store.layout().data_key(id);
        match store.create(&path, Bytes::from(bytes)).await? {
            Put::Created => Ok(key),
            // Another writer was first, or our own answer was lost: what stands there is the key.
            Put::Exists => {
                let bytes = store.get_opt(&path).await?.ok_or_else(|| {
                    Error::new(crate::ErrorKind::Unavailable, path.to_string(), "exists, but cannot be read")
                })?;
                self.unwrap_key(id, &bytes)
            }
        }
    }

    fn unwrap_key(&self, id: &str, bytes: &[u8]) -> Result<[u8; 32]> {
        let what = format!("keys/{id}");
        let wrapped: WrappedKey =
            serde_json::from_slice(bytes).map_err(|e| Error::corrupt(&what, e.to_string()))?;
        let Some(key) = self.keys.iter().find(|k| k.name == wrapped.wrapped_by) else {
            return Err(Error::invalid(
                what,
                format!("is wrapped by key \"{}\", which the key file does not hold", wrapped.wrapped_by),
            )
            .with_hint("give the key file that `run` used, with --key-file or HINDCAST_KEY_FILE"));
        };
        let bound = [self.cluster.as_bytes(), b"\0", id.as_bytes()].concat();
        base64::engine::general_purpose::STANDARD
            .decode(&wrapped.wrapped)
            .ok()
            .and_then(|raw| decrypt(&key.wrap, &bound, &raw))
            .and_then(|plain| plain.try_into().ok())
            .ok_or_else(|| {
                Error::invalid(what, format!("does not open with key \"{}\" of the key file", key.name))
                    .with_hint("this is another key of the same name, or the file was altered")
            })
    }
}

fn encrypt(parts: &Parts, key: &[u8; 32], bound: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let fail = |_| Error::internal("sealing", "the cipher refused");
    let cipher = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, key).map_err(fail)?);
    let mut nonce = [0; 12];
    parts.random.fill(&mut nonce);
    let mut out = nonce.to_vec();
    let mut body = plain.to_vec();
    let nonce = aead::Nonce::assume_unique_for_key(nonce);
    cipher.seal_in_place_append_tag(nonce, aead::Aad::from(bound), &mut body).map_err(fail)?;
    out.extend_from_slice(&body);
    Ok(out)
}

fn decrypt(key: &[u8; 32], bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let cipher = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, key).ok()?);
    let (nonce, body) = sealed.split_at_checked(12)?;
    let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut body = body.to_vec();
    let plain = cipher.open_in_place(nonce, aead::Aad::from(bound), &mut body).ok()?;
    Some(plain.to_vec())
}

/// Year and month of a moment (days to civil date, proleptic Gregorian).
fn year_month(time: i64) -> (i64, i64) {
    let days = time.div_euclid(86_400_000_000) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month)
}

#[cfg(test)]
mod tests;
