//! Data keys: what cells are sealed with, each wrapped by a key of the key file and kept in `keys/<id>`.
//!
//! **Words**: to *prove* keys against a journal is to unwrap with them what it holds.
//!
//! **Invariants.** (1) A data key is written once; a writer that loses the create reads the winner's. (2) A data key
//! that does not open is left in place, since the cells it sealed name it by its id; new values are sealed with another
//! one of its month. (3) Any file of a data key that a key at hand opens will do: its own, or a copy [`DataKeys::find`].
//! (4) Nothing is sealed or opened with a data key later than [`LOOK`] after it was told to be forgotten, while the store answers, also not with
//! one that is in memory, or whose files are there still. (5) None is made before all that was told was read, and none of which files were
//! removed under its id again [`DataKeys::for_sealing`].
//!
//! Not here: what is sealed ([`super::rules`]), what files of data keys look like ([`super::wrapped`]), wrapping them anew and
//! forgetting them ([`crate::custody`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use ring::aead;

use super::{Key, told::Known, trust::Trust, wrapped};
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
    /// What was told of data keys.
    told: Mutex<Arc<Known>>,
    /// When it was made, on the monotonic clock.
    made: Duration,
}

impl std::fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKeys").field("cluster", &self.cluster).finish_non_exhaustive()
    }
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

/// How many data keys one namespace, month and key can have that do not open; the first that does is used.
const SPARE: u32 = 3;

/// How many such data keys there are at all, with those that were forgotten.
const MOST: u32 = 9_999;

/// How long values may be sealed with a data key after it was told to be forgotten.
pub const LOOK: Duration = Duration::from_secs(10);

/// How long a look may take: who seals does not wait for a store that is away.
const PATIENCE: Duration = Duration::from_secs(4);

impl DataKeys {
    /// The data keys of `cluster`, wrapped by `keys` (the first one wraps new ones).
    pub fn new(cluster: &str, keys: Vec<Arc<Key>>, parts: Parts) -> Self {
        let (cluster, made) = (cluster.to_owned(), parts.clock.monotonic());
        let (cache, reported, told) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { cluster, keys, parts, cache, reported, told, made }
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
        let mut by_name: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
        for found in &listed {
            let Some((id, _)) = found.path.filename().and_then(wrapped::split) else { continue };
            if let Some((_, _, name)) = wrapped::parts_of(id) {
                // By months, of which the newest are tried.
                let (_, month) = id.split_once('.').unwrap_or_default();
                by_name.entry(name.to_owned()).or_default().insert((month.to_owned(), id.to_owned()));
            }
        }
        let mut proof = Proof::default();
        for (name, ids) in by_name {
            let mut other = None;
            let mut known = false;
            for (_, id) in ids.iter().rev().take(TRIED) {
                match self.find(store, id).await {
                    Ok(Some(_)) => {
                        known = true;
                        break;
                    }
                    Err(error) if error.kind() == ErrorKind::Invalid => other = Some(error),
                    // It is damaged, which says nothing about the key.
                    Ok(None) => {}
                    Err(error) if error.kind() == ErrorKind::Corrupt => {}
                    Err(error) => return Err(error),
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

    /// Makes sure that there is a data key to seal values of a namespace with, and that sealing need not look again for a while.
    pub async fn ready(&self, store: &Store, namespace: &str, time: Micros) -> Result<()> {
        self.for_sealing(store, namespace, time, LOOK / 2).await.map(|_| ())
    }

    /// The data key to seal with, and its id: the first of its namespace and month that opens.
    async fn for_sealing(
        &self,
        store: &Store,
        namespace: &str,
        time: Micros,
        within: Duration,
    ) -> Result<(String, [u8; 32])> {
        let key = self.keys.first().ok_or_else(|| Error::invalid("sealing", "there is no key"))?;
        // Of a store that does not answer what was known lately will do for data keys that are there; none is made then, since it
        // may have been forgotten, or be there in a copy alone.
        let (known, late) = match self.told(store, within).await {
            Ok(known) => (known, None),
            Err(error) if !error.kind().may_pass() || !self.known().has_looked() => return Err(error),
            Err(error) => (self.known(), Some(error)),
        };
        let mut damaged = None;
        let mut tried = 0;
        for number in 1..=MOST {
            let id = Self::numbered(namespace, time, key, number);
            if known.is_forgotten(&id) {
                continue;
            }
            tried += 1;
            if tried > SPARE {
                break;
            }
            match self.data_key(store, &id, late.is_none() && !known.is_gone(&id)).await {
                Ok(data_key) => return Ok((id, data_key)),
                Err(error)
                    if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Corrupt | ErrorKind::NotFound)
                        && late.is_some() =>
                {
                    return Err(late.unwrap_or(error));
                }
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

    fn known(&self) -> Arc<Known> {
        self.told.lock().expect("never poisoned: no panic under it").clone()
    }

    /// What was told of data keys, as it was so long ago at most. What is forgotten leaves the memory.
    async fn told(&self, store: &Store, within: Duration) -> Result<Arc<Known>> {
        let (known, now) = (self.known(), self.parts.clock.monotonic());
        if known.is_fresh(now, within) {
            return Ok(known);
        }
        let late =
            || Error::new(ErrorKind::Unavailable, "what was told of data keys", "the store gave no answer in time");
        // Who seals many values does not wait for each.
        if known.has_looked() && known.has_failed(now, PATIENCE) {
            return Err(late());
        }
        let trust = Trust::new(&self.keys, Vec::new())?;
        let mut known = Known::clone(&known);
        let looked = loop {
            match self.parts.timeout(PATIENCE, known.next(store, &trust)).await {
                Some(Ok(true)) => {}
                Some(Ok(false)) => break Ok(()),
                Some(Err(error)) => break Err(error),
                None => break Err(late()),
            }
        };
        known.looked(if looked.is_ok() { now } else { self.parts.clock.monotonic() }, looked.is_ok());
        let known = Arc::new(known);
        {
            let mut held = self.told.lock().expect("never poisoned: no panic under it");
            // Another look may have come further meanwhile.
            if known.covers(&held) {
                *held = known.clone();
            }
        }
        self.cache.lock().expect("never poisoned: no panic under it").retain(|id, _| !known.is_forgotten(id));
        looked.map(|()| known)
    }

    /// Checks that a state hash is one that a key at hand made over `canonical`. `id` names the key that made it; rows written before keys
    /// were named have none, and every key is tried. Whether it was checked: not where that key need not be at hand any more,
    /// since its data keys were wrapped anew. It is an error if it should be and is not.
    pub async fn check_hash(
        &self,
        store: &Store,
        what: &str,
        (id, hash): (&str, StateHash),
        canonical: &[u8],
    ) -> Result<bool> {
        let named = |key: &&Arc<Key>| id.is_empty() || key.id() == id;
        let may: Vec<&Arc<Key>> = self.keys.iter().filter(named).collect();
        if may.is_empty() {
            if self.told(store, LOOK).await.is_ok_and(|known| known.is_replaced(id)) {
                return Ok(false);
            }
            return Err(Error::invalid(
                what,
                format!("is checked with key \"{id}\", which the key file does not hold"),
            )
            .with_hint("give the key file that `run` uses now: it holds the older keys too"));
        }
        if may.iter().any(|key| key.state_hash(canonical) == hash) {
            return Ok(true);
        }
        // Which key made it nobody knows, and that one need not be at hand.
        if id.is_empty() && self.told(store, LOOK).await.is_ok_and(|known| known.has_replaced()) {
            return Ok(false);
        }
        Err(Error::corrupt(what, "its opened values do not have the hash written for them"))
    }

    /// The id of the data key for a namespace at a time.
    pub fn id(namespace: &str, time: i64, key: &Key) -> String {
        Self::numbered(namespace, time, key, 1)
    }

    fn numbered(namespace: &str, time: i64, key: &Key, number: u32) -> String {
        let (year, month) = year_month(time);
        let namespace = if namespace.is_empty() { wrapped::CLUSTER } else { namespace };
        let number = if number == 1 { String::new() } else { format!("-{number}") };
        format!("{namespace}.{year:04}-{month:02}{number}.{}", key.name)
    }

    /// Seals a cell in place: it gets its key, position and revision.
    pub async fn seal(&self, store: &Store, place: Place<'_>, cell: &mut Cell, time: i64) -> Result<()> {
        let (id, data_key) = self.for_sealing(store, place.namespace, time, LOOK).await?;
        cell.key_id = id;
        let bound = aad(&place, cell);
        cell.secret = Bytes::from(encrypt(&self.parts, &data_key, &bound, &cell.secret)?);
        Ok(())
    }

    /// The value of a sealed cell.
    pub async fn open(&self, store: &Store, place: Place<'_>, cell: &Cell) -> Result<Value> {
        // Whoever lives long has in memory what may have been forgotten since.
        let lives = self.parts.clock.monotonic().saturating_sub(self.made) >= LOOK;
        if lives && self.cached(&cell.key_id).is_some() {
            // A store that does not answer takes nothing away.
            let _ = self.told(store, LOOK).await;
        }
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
        // Files of it may be there still, where a process died that was to remove them; or again.
        if !create && self.told(store, LOOK).await.is_ok_and(|known| known.is_closed(id)) {
            return Err(self.absent(store, id).await);
        }
        let key = match self.find(store, id).await? {
            Some(key) => key,
            None if create => self.create_key(store, id).await?,
            None => return Err(self.absent(store, id).await),
        };
        self.cache.lock().expect("never poisoned: no panic under it").insert(id.to_owned(), key);
        Ok(key)
    }

    fn cached(&self, id: &str) -> Option<[u8; 32]> {
        self.cache.lock().expect("never poisoned: no panic under it").get(id).copied()
    }

    /// Why there is no data key of an id.
    async fn absent(&self, store: &Store, id: &str) -> Error {
        // What was told a moment ago does for all that is opened in one go.
        let known = self.told(store, LOOK).await.unwrap_or_else(|_| self.known());
        if let Some(forgotten) = known.words(id) {
            return Error::new(ErrorKind::NotFound, "the value", format!("was {forgotten}"))
                .with_hint("nothing brings it back; the object is there without it");
        }
        let path = store.layout().data_key(id).to_string();
        match known.wrapped_to(id) {
            Some(key) => {
                Error::invalid(path, format!("is wrapped by key \"{key}\" alone, which the key file does not hold"))
                    .with_hint("give the key file that `run` uses now, with --key-file or HINDCAST_KEY_FILE")
            }
            None => Error::corrupt(path, "the data key is not in the bucket"),
        }
    }

    /// The data key of an id: from its own file, or from a copy by a key at hand.
    async fn find(&self, store: &Store, id: &str) -> Result<Option<[u8; 32]>> {
        let copies = self.keys.iter().map(|key| wrapped::copy(id, key));
        let mut failed: Option<Error> = None;
        for name in std::iter::once(id.to_owned()).chain(copies) {
            let Some(bytes) = store.get_opt(&store.layout().data_key(&name)).await? else { continue };
            match wrapped::unwrap(&self.cluster, id, &name, &self.keys, &bytes) {
                Ok((key, _)) => return Ok(Some(key)),
                // Damage says more than that another key wrapped it.
                Err(error) if failed.is_none() || error.kind() == ErrorKind::Corrupt => failed = Some(error),
                Err(_) => {}
            }
        }
        failed.map_or(Ok(None), Err)
    }

    async fn create_key(&self, store: &Store, id: &str) -> Result<[u8; 32]> {
        let Some(wrapping) = self.keys.first() else {
            return Err(Error::invalid("sealing", "there is no key"));
        };
        let mut key = [0; 32];
        self.parts.random.fill(&mut key);
        let bytes = wrapped::wrap(&self.parts, &self.cluster, id, wrapping, &key)?;
        let path = store.layout().data_key(id);
        match store.create(&path, bytes).await? {
            Put::Created => Ok(key),
            // Another writer was first, or our own answer was lost: what stands there is the key.
            Put::Exists => {
                let bytes = store.get_opt(&path).await?.ok_or_else(|| {
                    Error::new(ErrorKind::Unavailable, path.to_string(), "exists, but cannot be read")
                })?;
                Ok(wrapped::unwrap(&self.cluster, id, id, &self.keys, &bytes)?.0)
            }
        }
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
