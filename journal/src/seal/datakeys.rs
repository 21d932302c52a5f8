//! Data keys: what cells are sealed with, each wrapped by a key of the key file and kept in `keys/<id>`.
//!
//! **Words**: to *prove* keys against a journal is to unwrap with them what it holds.
//!
//! **Invariants.** (1) A data key is written once; a writer that loses the create reads the winner's. (2) A data key
//! that does not open is left in place, since the cells it sealed name it by its id; new values are sealed with another
//! one of its month.
//!
//! Not here: what is sealed ([`super::rules`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use base64::Engine as _;
use bytes::Bytes;
use ring::aead;

use super::Key;
use crate::{
    Error, Parts, Result,
    error::ErrorKind,
    exact::{self, Value},
    parts::Micros,
    row::{Cell, StateHash},
    store::{Put, Store},
};

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

pub(super) fn aad(place: &Place<'_>, cell: &Cell) -> Vec<u8> {
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
    /// Data keys that do not open and have been logged.
    reported: Mutex<BTreeSet<String>>,
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
    /// The wrapping key's fingerprint; the oldest data keys have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    print: Option<String>,
    wrapped: String,
}

/// What a journal's data keys say about the keys at hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Names of keys that data keys are wrapped by, and that open them.
    pub opened: Vec<String>,
    /// Names of keys that data keys are wrapped by, and that are not at hand.
    pub missing: Vec<String>,
}

/// How many data keys of one wrapping key are tried before it counts as another key of the same name.
const TRIED: usize = 5;

/// How many data keys one namespace, month and key can have; the first that opens is used.
const SPARE: u32 = 3;

impl DataKeys {
    /// The data keys of `cluster`, wrapped by `keys` (the first one wraps new ones).
    pub fn new(cluster: &str, keys: Vec<Arc<Key>>, parts: Parts) -> Self {
        Self { cluster: cluster.to_owned(), keys, parts, cache: Mutex::default(), reported: Mutex::default() }
    }

    /// Whether there is any key to open cells with.
    pub fn can_open(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The key that new values are sealed with and keyed hashes are made with.
    pub fn key(&self) -> Option<&Arc<Key>> {
        self.keys.first()
    }

    /// Every key, the one for new values first.
    pub fn keys(&self) -> &[Arc<Key>] {
        &self.keys
    }

    /// Checks that these keys are the journal's, by unwrapping some of the newest data keys of every wrapping key. It
    /// is an error if a key at hand has the name of a wrapping key but is a different key.
    pub async fn prove(&self, store: &Store) -> Result<Proof> {
        let folder = store.layout().data_keys();
        let listed = store.list(&folder, None).await?;
        let mut by_name: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for found in &listed {
            let Some(id) = found.path.filename() else { continue };
            // `<namespace>.<month>.<key>`: none of the three has a dot in it.
            let mut parts = id.rsplit('.');
            if let (Some(name), Some(month)) = (parts.next(), parts.next()) {
                by_name.entry(name.to_owned()).or_default().push((month.to_owned(), id.to_owned()));
            }
        }
        let mut proof = Proof::default();
        for (name, mut ids) in by_name {
            ids.sort();
            let mut other = None;
            let mut known = false;
            for (_, id) in ids.iter().rev().take(TRIED) {
                let Some(bytes) = store.get_opt(&store.layout().data_key(id)).await? else { continue };
                match self.unwrap_key(id, &bytes) {
                    Ok(_) => {
                        known = true;
                        break;
                    }
                    Err(error) if error.kind() == ErrorKind::Invalid => other = Some(error),
                    // It is damaged, which says nothing about the key.
                    Err(_) => {}
                }
            }
            match other {
                _ if known => proof.opened.push(name),
                Some(error) if self.keys.iter().any(|key| key.name == name) => return Err(error),
                Some(_) => proof.missing.push(name),
                None => {}
            }
        }
        Ok(proof)
    }

    /// Makes sure that there is a data key to seal values of a namespace with.
    pub async fn ready(&self, store: &Store, namespace: &str, time: Micros) -> Result<()> {
        self.for_sealing(store, namespace, time).await.map(|_| ())
    }

    /// The data key to seal with, and its id: the first of its namespace and month that opens.
    async fn for_sealing(&self, store: &Store, namespace: &str, time: Micros) -> Result<(String, [u8; 32])> {
        let key = self.keys.first().ok_or_else(|| Error::invalid("sealing", "there is no key"))?;
        let mut damaged = None;
        for number in 1..=SPARE {
            let id = Self::numbered(namespace, time, key, number);
            match self.data_key(store, &id, true).await {
                Ok(data_key) => return Ok((id, data_key)),
                Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Corrupt) => {
                    if self.reported.lock().expect("never poisoned: no panic under it").insert(id) {
                        tracing::warn!(%error, "a data key does not open: values are sealed with another from here on");
                    }
                    damaged = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(damaged.unwrap_or_else(|| Error::internal("sealing", "there is no data key")))
    }

    /// Whether a state hash is one that a key at hand made over `canonical`; an error if the key that made it is not at
    /// hand. `id` names that key; rows written before keys were named have none, and every key is tried.
    pub fn check_hash(&self, what: &str, id: &str, canonical: &[u8], hash: StateHash) -> Result<()> {
        let named = |key: &&Arc<Key>| id.is_empty() || key.id() == id;
        let may: Vec<&Arc<Key>> = self.keys.iter().filter(named).collect();
        if may.is_empty() {
            return Err(Error::invalid(
                what,
                format!("is checked with key \"{id}\", which the key file does not hold"),
            )
            .with_hint("give the key file that `run` uses now: it holds the older keys too"));
        }
        if may.iter().any(|key| key.state_hash(canonical) == hash) {
            return Ok(());
        }
        Err(Error::corrupt(what, "its opened values do not have the hash written for them"))
    }

    /// The id of the data key for a namespace at a time.
    pub fn id(namespace: &str, time: i64, key: &Key) -> String {
        Self::numbered(namespace, time, key, 1)
    }

    fn numbered(namespace: &str, time: i64, key: &Key, number: u32) -> String {
        let (year, month) = year_month(time);
        let namespace = if namespace.is_empty() { "_cluster" } else { namespace };
        let number = if number == 1 { String::new() } else { format!("-{number}") };
        format!("{namespace}.{year:04}-{month:02}{number}.{}", key.name)
    }

    /// Seals a cell in place: it gets its key, position and revision.
    pub async fn seal(&self, store: &Store, place: Place<'_>, cell: &mut Cell, time: i64) -> Result<()> {
        let (id, data_key) = self.for_sealing(store, place.namespace, time).await?;
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
            print: Some(wrapping.fingerprint()),
            wrapped: base64::engine::general_purpose::STANDARD.encode(encrypt(
                &self.parts,
                &wrapping.wrap,
                &bound,
                &key,
            )?),
        };
        let bytes = serde_json::to_vec(&wrapped)
            .map_err(|e| Error::internal("data key", "cannot be written").with_source(e))?;
        let path = store.layout().data_key(id);
        match store.create(&path, Bytes::from(bytes)).await? {
            Put::Created => Ok(key),
            // Another writer was first, or our own answer was lost: what stands there is the key.
            Put::Exists => {
                let bytes = store.get_opt(&path).await?.ok_or_else(|| {
                    Error::new(ErrorKind::Unavailable, path.to_string(), "exists, but cannot be read")
                })?;
                self.unwrap_key(id, &bytes)
            }
        }
    }

    /// An error is [`ErrorKind::Invalid`] where another key wrapped it, and [`ErrorKind::Corrupt`] where it is damaged.
    fn unwrap_key(&self, id: &str, bytes: &[u8]) -> Result<[u8; 32]> {
        let what = format!("keys/{id}");
        let damaged = |reason: String| {
            Error::corrupt(&what, reason)
                .with_hint("put this object back from a copy of the bucket; what it sealed cannot be read without it")
        };
        let stored: WrappedKey = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
        let raw = base64::engine::general_purpose::STANDARD
            .decode(&stored.wrapped)
            .map_err(|e| damaged(format!("its wrapped key: {e}")))?;
        let bound = [self.cluster.as_bytes(), b"\0", id.as_bytes()].concat();
        let opened = self.keys.iter().find_map(|key| decrypt(&key.wrap, &bound, &raw)?.try_into().ok());
        if let Some(key) = opened {
            return Ok(key);
        }
        let print = stored.print.as_deref();
        if print.is_some_and(|print| self.keys.iter().any(|key| key.fingerprint() == print)) {
            return Err(damaged("does not open with the key that wrapped it: altered".to_owned()));
        }
        let name = &stored.wrapped_by;
        if !self.keys.iter().any(|key| key.name == *name) {
            return Err(Error::invalid(
                what,
                format!("is wrapped by key \"{name}\", which the key file does not hold"),
            )
            .with_hint("give the key file that `run` used, with --key-file or HINDCAST_KEY_FILE"));
        }
        Err(Error::invalid(what, format!("does not open with key \"{name}\" of the key file"))
            .with_hint("this is another key of the same name, or the file was altered"))
    }
}

pub(super) fn encrypt(parts: &Parts, key: &[u8; 32], bound: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
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

pub(super) fn decrypt(key: &[u8; 32], bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let cipher = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, key).ok()?);
    let (nonce, body) = sealed.split_at_checked(12)?;
    let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut body = body.to_vec();
    let plain = cipher.open_in_place(nonce, aead::Aad::from(bound), &mut body).ok()?;
    Some(plain.to_vec())
}

/// Year and month of a moment (days to civil date, proleptic Gregorian).
pub(super) fn year_month(time: i64) -> (i64, i64) {
    let days = time.div_euclid(86_400_000_000) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month)
}
