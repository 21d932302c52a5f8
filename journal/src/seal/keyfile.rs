//! The key file: the secrets that make a journal's values readable.
//!
//! From day one a key has a name, an AES wrapping key, an HMAC key and an Ed25519 seal key. The file is JSON, and
//! whoever writes it gives it mode 0600. The first key is the one new values are sealed with.

use std::fmt;

use base64::Engine as _;
use serde::{Deserialize, Serialize};

use crate::{Error, Parts, Result};

/// One named key.
#[derive(Clone)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Wraps data keys.
    pub wrap: [u8; 32],
    /// Makes keyed hashes.
    pub hmac: [u8; 32],
    /// The seed of the Ed25519 key that signs seals.
    pub seal: [u8; 32],
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The keys of a file, newest first.
#[derive(Debug, Clone, Default)]
pub struct KeyFile {
    /// The keys.
    pub keys: Vec<Key>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    name: String,
    created: String,
    wrap: String,
    hmac: String,
    seal: String,
}

impl Key {
    /// A new key.
    pub fn generate(name: &str, created: &str, parts: &Parts) -> Self {
        let draw = || {
            let mut bytes = [0; 32];
            parts.random.fill(&mut bytes);
            bytes
        };
        Self { name: name.to_owned(), created: created.to_owned(), wrap: draw(), hmac: draw(), seal: draw() }
    }
}

impl KeyFile {
    /// Reads the text of a key file; `what` names it in errors.
    pub fn parse(what: &str, text: &[u8]) -> Result<Self> {
        // The parser's own message may quote the text, so it is left out: it could hold key material.
        let stored: Stored = serde_json::from_slice(text).map_err(|e| {
            Error::invalid(what, format!("is not a key file (line {}, column {})", e.line(), e.column()))
                .with_hint("make one with `hindcast key init --key-file FILE`")
        })?;
        if stored.api_version != "hindcast.dev/v1" || stored.kind != "KeyFile" {
            return Err(Error::invalid(what, "is not a hindcast.dev/v1 KeyFile"));
        }
        let keys: Vec<Key> = stored.keys.into_iter().map(|k| k.read(what)).collect::<Result<_>>()?;
        if keys.is_empty() {
            return Err(Error::invalid(what, "holds no key"));
        }
        Ok(Self { keys })
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        let encode = |bytes: &[u8; 32]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let keys = self.keys.iter().map(|k| StoredKey {
            name: k.name.clone(),
            created: k.created.clone(),
            wrap: encode(&k.wrap),
            hmac: encode(&k.hmac),
            seal: encode(&k.seal),
        });
        let stored =
            Stored { api_version: "hindcast.dev/v1".to_owned(), kind: "KeyFile".to_owned(), keys: keys.collect() };
        serde_json::to_string_pretty(&stored).expect("strings always serialise") + "\n"
    }
}

impl StoredKey {
    fn read(self, what: &str) -> Result<Key> {
        let decode = |field: &str, text: &str| -> Result<[u8; 32]> {
            base64::engine::general_purpose::STANDARD.decode(text).ok().and_then(|raw| raw.try_into().ok()).ok_or_else(
                || Error::invalid(what, format!("{field} of key \"{}\" is not 32 bytes of base64", self.name)),
            )
        };
        let name_ok =
            !self.name.is_empty() && self.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !name_ok {
            return Err(Error::invalid(what, "a key's name has other than letters, digits, '-' and '_'"));
        }
        Ok(Key {
            wrap: decode("wrap", &self.wrap)?,
            hmac: decode("hmac", &self.hmac)?,
            seal: decode("seal", &self.seal)?,
            name: self.name,
            created: self.created,
        })
    }
}
