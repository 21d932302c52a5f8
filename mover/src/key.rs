//! The repository's own key, and what derives from it.
//!
//! A key of the journal's key file gives one key for each cluster's repository, by HKDF; there is no way back. Whoever has
//! only this one, as a Pod that moves data, reads files and no Secret. From it come the password of the format's key
//! files and, for the key that made the repository, the master key: so a start that died between two writes, or two starts at
//! once, leave nothing that does not open.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hindcast_journal::{Error, Result, seal};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use rustic_core::repofile::MasterKey;

/// How many bytes the key has.
const LENGTH: usize = 32;

/// A key of a repository of files.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; LENGTH]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.print())
    }
}

/// So many bytes of output.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

/// Bytes that derive from a secret, for one purpose.
fn derive<const N: usize>(secret: &[u8], salt: &str, purpose: &str) -> [u8; N] {
    let mut out = [0; N];
    let pseudorandom = Salt::new(HKDF_SHA256, salt.as_bytes()).extract(secret);
    let info = [purpose.as_bytes()];
    let filled = pseudorandom.expand(&info, Bytes(N)).and_then(|key| key.fill(&mut out));
    filled.expect("HKDF gives up to 255 times 32 bytes");
    out
}

impl Key {
    /// The one that derives from a key of the journal's key file, for this cluster.
    pub fn of(key: &seal::Key, cluster: &str) -> Self {
        Self(derive(&key.wrap, cluster, "hindcast.dev/v1 repository of files"))
    }

    /// The one of this password.
    pub fn parse(password: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid("the repository's password", "is not 43 characters as `hindcast mover password` prints them")
        };
        let bytes = URL_SAFE_NO_PAD.decode(password.trim()).map_err(|_| wrong())?;
        bytes.try_into().map(Self).map_err(|_| wrong())
    }

    /// The password with which it opens the repository, for `restic` as well.
    pub fn password(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What tells it from others, and says nothing of it.
    pub(crate) fn print(&self) -> String {
        let print: [u8; 8] = derive(&self.0, "", "fingerprint");
        print.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The master key of a repository that this key made.
    pub(crate) fn master(&self) -> MasterKey {
        let encrypt: [u8; 32] = derive(&self.0, "", "master: AES-256-CTR");
        let k: [u8; 16] = derive(&self.0, "", "master: Poly1305 k");
        let mut r: [u8; 16] = derive(&self.0, "", "master: Poly1305 r");
        // The bits that Poly1305 has no use for; `restic` clears them when it makes a key.
        for (at, byte) in r.iter_mut().enumerate() {
            *byte &= match at {
                3 | 7 | 11 | 15 => 0x0f,
                4 | 8 | 12 => 0xfc,
                _ => 0xff,
            };
        }
        let text = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let json = serde_json::json!({ "mac": { "k": text(&k), "r": text(&r) }, "encrypt": text(&encrypt) });
        serde_json::from_value(json).expect("it has the members of a master key")
    }
}

#[cfg(test)]
mod tests;
