//! Signatures: whoever has the key file signs, and whoever has its public part checks.
//!
//! **Words**: *trust* is what signatures are checked with. What is *stated* is kept as two lines of JSON: itself, and
//! `{"signature": …}` over a line that says what it is, a line end, and the bytes of the first.
//!
//! Not here: what is signed ([`crate::proof`], [`super::told`], [`crate::expiry`]).

use std::{fmt::Display, sync::Arc};

use bytes::Bytes;
use ring::signature;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Key;
use crate::{Error, Result, segment::hex};

/// What a signature turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It holds.
    Holds,
    /// It is not by the key of that name.
    Not,
    /// There is no key at hand to check it with.
    Unknown,
}

/// What signatures are checked with.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    named: Vec<(String, String, Vec<u8>)>,
    given: Vec<[u8; 32]>,
}

impl Trust {
    /// The keys of a key file, and public keys that were given by themselves.
    pub fn new(keys: &[Arc<Key>], given: Vec<[u8; 32]>) -> Result<Self> {
        Ok(Self { named: keys.iter().map(|key| named(key)).collect::<Result<_>>()?, given })
    }

    /// One key alone.
    pub(crate) fn of(key: &Key) -> Result<Self> {
        Ok(Self { named: vec![named(key)?], given: Vec::new() })
    }

    /// Whether nothing can be checked.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.given.is_empty()
    }

    pub(crate) fn check(&self, name: &str, print: Option<&str>, said: &[u8], signature: &str) -> Checked {
        let signature = unhex(signature).unwrap_or_default();
        let holds = |public: &[u8]| {
            signature::UnparsedPublicKey::new(&signature::ED25519, public).verify(said, &signature).is_ok()
        };
        let own =
            self.named.iter().filter(|(own, fingerprint, _)| own == name && print.is_none_or(|p| p == fingerprint));
        let mut known = false;
        for (.., public) in own {
            known = true;
            if holds(public) {
                return Checked::Holds;
            }
        }
        match self.given.iter().any(|public| holds(public)) {
            true => Checked::Holds,
            false if known => Checked::Not,
            false => Checked::Unknown,
        }
    }
}

/// What signatures of a key are checked with: its name, its fingerprint and its public part.
fn named(key: &Key) -> Result<(String, String, Vec<u8>)> {
    Ok((key.name.clone(), key.fingerprint(), key.public()?.to_vec()))
}

#[derive(Serialize, Deserialize)]
struct Signature {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

/// What a file states.
pub(crate) struct Stated<T> {
    /// It.
    pub(crate) value: T,
    /// The signature; none if nobody signed it.
    pub(crate) signature: Option<String>,
    said: Vec<u8>,
}

impl<T: DeserializeOwned> Stated<T> {
    /// Reads a file of what is stated under a line; `bad` says that it is none, and why.
    pub(crate) fn read(line: &[u8], file: &[u8], bad: impl Fn(&dyn Display) -> Error) -> Result<Self> {
        let at = file.iter().position(|byte| *byte == b'\n').ok_or_else(|| bad(&"it has no second line"))?;
        let (stated, rest) = file.split_at(at);
        let value = serde_json::from_slice(stated).map_err(|e| bad(&e))?;
        let Signature { signature } = serde_json::from_slice(rest).map_err(|e| bad(&e))?;
        Ok(Self { value, signature, said: [line, stated].concat() })
    }

    /// Whether the key of that name, and fingerprint if one is said, signed it; none if nobody did.
    pub(crate) fn checked(&self, trust: &Trust, name: &str, print: Option<&str>) -> Option<Checked> {
        self.signature.as_deref().map(|signature| trust.check(name, print, &self.said, signature))
    }
}

/// The file that states something under a line, signed if there is a key; `what` it is, for errors.
pub(crate) fn stated(what: &str, line: &[u8], value: &impl Serialize, key: Option<&Key>) -> Result<Bytes> {
    let json = |e: serde_json::Error| Error::internal(what, "cannot be written").with_source(e);
    let mut file = serde_json::to_vec(value).map_err(json)?;
    let signature = key.map(|key| signed(key, &[line, file.as_slice()].concat())).transpose()?;
    file.push(b'\n');
    file.extend(serde_json::to_vec(&Signature { signature }).map_err(json)?);
    file.push(b'\n');
    Ok(Bytes::from(file))
}

impl Key {
    /// The public part of the key that seals the log: with it alone seals can be checked.
    pub fn public(&self) -> Result<[u8; 32]> {
        use signature::KeyPair as _;
        let pair = pair(self)?;
        pair.public_key()
            .as_ref()
            .try_into()
            .map_err(|_| Error::internal("the seal key", "has no public key of 32 bytes"))
    }
}

fn pair(key: &Key) -> Result<signature::Ed25519KeyPair> {
    signature::Ed25519KeyPair::from_seed_unchecked(&key.seal)
        .map_err(|_| Error::invalid("the seal key", "is not an Ed25519 seed"))
}

pub(crate) fn signed(key: &Key, said: &[u8]) -> Result<String> {
    Ok(hex(pair(key)?.sign(said).as_ref()))
}

/// Bytes from hex.
fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// A public key from the hex that `key list` prints.
pub fn public_key(text: &str) -> Result<[u8; 32]> {
    let bytes = unhex(text.trim()).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| {
        Error::invalid(format!("public key `{text}`"), "is not 32 bytes in hex")
            .with_hint("`hindcast key list -o json` prints it, where the key file is")
    })
}
