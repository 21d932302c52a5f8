//! The newest seal, as it is told outside of the bucket: whoever puts an older bucket in its place, or cuts off its end, does not have that.
//!
//! **Invariants.** (1) Only a statement that its own key holds for is told [`Newest::read`]. (2) What is told is signed by itself, so that it
//! is checked without the bucket [`Newest::is_signed`].
//!
//! Not here: where it is told (`cli`), what follows from it ([`crate::verify`]).

use serde::{Deserialize, Serialize};

use super::{Checked, SEAL, Statement, Trust, signed};
use crate::{
    Position, Result,
    parts::Micros,
    seal::Key,
    segment::{hex, sha256},
    store::Store,
};

/// The newest seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// The cluster's uid.
    pub cluster: String,
    /// The number of its statement.
    pub number: u64,
    /// The SHA-256 of that.
    pub sha256: String,
    /// The last position that it is of.
    pub pos: Position,
    /// The chain value there.
    pub chain: String,
    /// When it was made.
    pub time: Micros,
    /// The name of the key.
    pub key: String,
    /// The key's fingerprint.
    pub print: String,
    /// Ed25519, in hex.
    pub signature: String,
}

impl Newest {
    /// The newest seal of a bucket, signed anew; nothing if there is none, or if another key made it.
    pub async fn read(store: &Store, key: &Key) -> Result<Option<Self>> {
        let Some((number, file)) = store.newest_fact(SEAL).await? else { return Ok(None) };
        let cluster = store.layout().root().filename().unwrap_or_default();
        let trust = Trust::of(key)?;
        let what = format!("meta/{SEAL}/{number}");
        let (statement, Checked::Holds) = Statement::read(&what, cluster, &file, &trust)? else { return Ok(None) };
        let mut newest = Self {
            cluster: statement.cluster,
            number,
            sha256: sha256(&file),
            pos: statement.pos,
            chain: statement.chain,
            time: statement.time,
            key: statement.key,
            print: statement.print,
            signature: String::new(),
        };
        newest.signature = signed(key, newest.said().as_bytes())?;
        Ok(Some(newest))
    }

    /// Whether a bucket has its statement.
    pub async fn is_in(&self, store: &Store) -> Result<bool> {
        let file = store.get_opt(&store.layout().meta(SEAL, self.number)).await?;
        Ok(file.is_some_and(|file| sha256(&file) == self.sha256))
    }

    fn said(&self) -> String {
        let Self { cluster, number, sha256, pos, chain, time, key, print, .. } = self;
        format!("hindcast newest seal v1\n{cluster}\n{number}\n{sha256}\n{pos}\n{chain}\n{time}\n{key}\n{print}")
    }

    /// Whether it is signed by whom it says; nothing where no key at hand tells.
    pub fn is_signed(&self, trust: &Trust) -> Option<bool> {
        match trust.check(&self.key, Some(&self.print), self.said().as_bytes(), &self.signature) {
            Checked::Holds => Some(true),
            Checked::Not => Some(false),
            Checked::Unknown => None,
        }
    }

    /// Whether it is one: a chain value in hex, of a cluster.
    pub fn is_of(&self, cluster: &str) -> bool {
        self.cluster == cluster
            && self.chain.len() == hex(&[0; 32]).len()
            && self.chain.bytes().all(|b| b.is_ascii_hexdigit())
    }
}
