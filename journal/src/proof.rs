//! Seals: signed statements of how far the log has come, and of the files beside it.
//!
//! **Words**: a *seal* is a row; its *statement* is the file `meta/seal/<n>` that it names, with more to say than a row
//! should. A *stretch* is consecutive segments of one writer. *Trust* is what signatures are checked with.
//!
//! **Format.** The row's body has `pos` and `chain` (the last position before the row, and the chain value there),
//! `time`, `key` and `print` (the key's name and fingerprint), `number` and `sha256` of the statement, and `signature`:
//! Ed25519 over `hindcast seal v2`, cluster, pos, chain, time, number, sha256, key and print, each on a line. Rows of
//! the first version have no statement and no fingerprint; theirs is over `hindcast seal v1` and the first four.
//! A statement is two lines of JSON: what it states, and `{"signature": …}` over `hindcast statement v1`, a line end
//! and the bytes of the first line. It states the same position, chain value and time; a stretch of segments, by the
//! hash of what they say beside their rows; and files by their SHA-256, those that have come since the statement before.
//! One that is `whole` names all there are but for the numbered facts; of those `facts` says up to which number they have been
//! stated, by it and the ones before it. `gone` names files of recovery points that were deleted.
//!
//! **Invariants.**
//! 1. A statement is written before the row that names it, so a row whose statement is not there tells that it was
//!    removed [`crate::Writer::seal`].
//! 2. A file is written once, so what is stated of one holds for ever; only recovery points go, and then as a whole or
//!    after a `delete` [`Ledger::gather`].
//! 3. What a segment says beside its rows (who made it and when, how far it closes each domain) is in no chain value;
//!    the stretch covers it, and a merged file gives the same [`Stretch::push`].
//!
//! Not here: what follows from a statement that does not hold ([`crate::verify`]), when the log is sealed (the watcher).

mod ledger;
mod newest;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use ring::digest;
use serde::{Deserialize, Serialize};

pub(crate) use self::ledger::{fact_of, point_of};
pub use self::{
    ledger::{Gathered, Ledger},
    newest::Newest,
};
pub(crate) use crate::seal::trust::{Checked, signed};
pub use crate::seal::trust::{Trust, public_key};
use crate::{
    Error, Position, Result,
    layout::CUSTODY,
    parts::Micros,
    row::{ChainHash, chain_start},
    seal::{
        Key,
        trust::{Stated, stated},
    },
    segment::{Meta, hex},
    store::Store,
};

/// The folder of statements, as a numbered fact.
pub(crate) const SEAL: &str = "seal";

/// The folder of what was decided to expire, as a numbered fact ([`crate::expiry`]).
pub(crate) const EXPIRY: &str = "expiry";

/// The other numbered facts.
pub(crate) const FACTS: [&str; 8] = ["alias", "boundary", CUSTODY, EXPIRY, "manifest", "points", "probe", "sealing"];

/// The body of a seal's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seal {
    /// The last position that it is of.
    pub(crate) pos: Position,
    /// The chain value there.
    pub(crate) chain: String,
    /// When it was made.
    pub(crate) time: Micros,
    /// The name of the key.
    pub(crate) key: String,
    /// The key's fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) print: Option<String>,
    /// Its statement, and the SHA-256 of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    /// The signature.
    pub(crate) signature: String,
}

impl Seal {
    /// The seal of a position; `statement` is the number and digest of its statement.
    pub(crate) fn sign(
        key: &Key,
        cluster: &str,
        (pos, chain): (Position, &ChainHash),
        time: Micros,
        statement: Option<(u64, String)>,
    ) -> Result<Self> {
        let (number, sha256) = statement.unzip();
        let print = number.is_some().then(|| key.fingerprint());
        let mut seal = Self {
            pos,
            chain: hex(chain),
            time,
            key: key.name.clone(),
            print,
            number,
            sha256,
            signature: String::new(),
        };
        seal.signature = signed(key, seal.said(cluster).as_bytes())?;
        Ok(seal)
    }

    fn said(&self, cluster: &str) -> String {
        let Self { pos, chain, time, key, .. } = self;
        let first = format!("{cluster}\n{pos}\n{chain}\n{time}");
        match (self.number, &self.sha256) {
            (Some(number), Some(sha256)) => {
                let print = self.print.as_deref().unwrap_or_default();
                format!("hindcast seal v2\n{first}\n{number}\n{sha256}\n{key}\n{print}")
            }
            _ => format!("hindcast seal v1\n{first}"),
        }
    }

    /// Whether it is signed by whom it says.
    pub(crate) fn checked(&self, cluster: &str, trust: &Trust) -> Checked {
        trust.check(&self.key, self.print.as_deref(), self.said(cluster).as_bytes(), &self.signature)
    }
}

/// What a statement states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Statement {
    /// The cluster's uid.
    pub(crate) cluster: String,
    /// Its own number.
    pub(crate) number: u64,
    /// The last position that it is of.
    pub(crate) pos: Position,
    /// The chain value there.
    pub(crate) chain: String,
    /// When it was made.
    pub(crate) time: Micros,
    /// The name of the key.
    pub(crate) key: String,
    /// The key's fingerprint.
    pub(crate) print: String,
    /// Consecutive segments of the writer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) segments: Option<Stretch>,
    /// Of each numbered fact, up to which number it and the statements before have stated it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) facts: BTreeMap<String, u64>,
    /// Whether it names every other file, not only those that came since the statement before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) whole: bool,
    /// Files, below the cluster's folder, and their SHA-256.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) files: BTreeMap<String, String>,
    /// Files that are rightly gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gone: Vec<String>,
}

/// What stands before the bytes that a statement's signature is over.
const STATED: &[u8] = b"hindcast statement v1\n";

impl Statement {
    /// The file, signed.
    pub(crate) fn to_file(&self, key: &Key) -> Result<Bytes> {
        stated("a statement", STATED, self, Some(key))
    }

    /// What a file states, and whether it is signed by whom it says.
    pub(crate) fn read(what: &str, cluster: &str, file: &[u8], trust: &Trust) -> Result<(Self, Checked)> {
        let bad = |e: &dyn std::fmt::Display| Error::corrupt(what, format!("is no statement of a seal: {e}"));
        let stated = Stated::<Self>::read(STATED, file, bad)?;
        let statement = &stated.value;
        if statement.cluster != cluster {
            return Err(Error::corrupt(what, format!("belongs to cluster {}, not {cluster}", statement.cluster)));
        }
        let checked = stated.checked(trust, &statement.key, Some(&statement.print));
        Ok((stated.value, checked.ok_or_else(|| bad(&"it has no signature"))?))
    }
}

/// The last position that the newest seal is of, and when it was made, as its statement says; whether it holds is for
/// [`crate::verify`] to say.
pub async fn newest(store: &Store, cluster: &str) -> Result<Option<(Position, Micros)>> {
    let Some((number, file)) = store.newest_fact(SEAL).await? else { return Ok(None) };
    let what = format!("meta/{SEAL}/{number}");
    let (statement, _) = Statement::read(&what, cluster, &file, &Trust::default())?;
    Ok(Some((statement.pos, statement.time)))
}

/// Consecutive segments, and the hash of what they say beside their rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stretch {
    /// The first.
    pub(crate) from: u64,
    /// The last.
    pub(crate) to: u64,
    /// SHA-256 over the hash of those before, and the last one's metadata.
    pub(crate) hash: String,
}

impl Stretch {
    /// A stretch that is to begin with a segment.
    pub(crate) fn before(segment: u64) -> Self {
        let begin = chain_start("stretch");
        Self { from: segment, to: segment.saturating_sub(1), hash: hex(&begin) }
    }

    /// Takes the next segment in.
    pub(crate) fn push(&mut self, meta: &Meta) {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut text = |text: &[u8]| {
            context.update(&(text.len() as u64).to_le_bytes());
            context.update(text);
        };
        text(self.hash.as_bytes());
        for number in [meta.segment, meta.epoch, meta.first, meta.last, meta.time as u64] {
            text(&number.to_le_bytes());
        }
        for part in [meta.cluster.as_bytes(), meta.writer.as_bytes(), &meta.chain_before, &meta.chain_after] {
            text(part);
        }
        text(&(meta.frontier.len() as u64).to_le_bytes());
        for (domain, point) in &meta.frontier {
            text(domain.as_bytes());
            text(&u64::from(point.incarnation).to_le_bytes());
            text(&point.rv.to_le_bytes());
            text(&point.time.to_le_bytes());
        }
        for (key, value) in &meta.extra {
            text(key.as_bytes());
            text(value.as_bytes());
        }
        self.to = meta.segment;
        self.hash = hex(context.finish().as_ref());
    }
}
