//! Expiry: what of the past was decided to go, and what of it stays.
//!
//! **Words**: the log is *thinned out* up to its *base*, a checkpoint. From the base on every moment is answered; before it only the
//! cuts that are *kept* are, each a checkpoint of its own. The log *begins* with the segment behind which the base needs
//! nothing. A *statement* says all of that.
//!
//! **Format.** `meta/expiry/<n>`, a numbered fact, is two lines of JSON: the statement, and `{"signature": …}`: Ed25519 over
//! `hindcast expiry v1`, a line end and the bytes of the first line, by the journal's key for seals. Where there is no key the second line is
//! `{}`. The statement is no row of the log, since who decides it need not be whoever may write rows: that is the one process that holds
//! the journal.
//!
//! **Invariants.**
//! 1. A statement is written before the manifest names it, and nothing is removed before that: a crash at any step leaves all that
//!    either of them keeps [`decide`], [`settle`].
//! 2. Nothing is removed sooner than some time after the manifest says that it may go, so that whoever reads by an older one can
//!    come to an end [`sweep`].
//! 3. Of what an earlier statement kept a later one keeps a part; what else it keeps stands behind the earlier base
//!    [`Statement::follows`]. So removing what any of them lets go takes nothing from a later one.
//! 4. The number of a statement is its claim: of two processes that decide at once, the create of one fails, and it begins anew [`decide`].
//! 5. The kept cuts and the base are read as a whole before a statement that keeps them is written [`decide`].
//!
//! Not here: what is to be kept for how long, and making the cuts (`compactor`); answering from them (`read/thinned.rs`).

mod sweep;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::sweep::{Left, leftovers, sweep};
use crate::{
    Error, Journal, Position, Result,
    checkpoint::{Checkpoint, Expired, Manifest},
    cut::{Cut, Uncertain},
    parts::Micros,
    proof::{Checked, EXPIRY, Trust},
    row::chain_start,
    seal::{
        Key,
        trust::{Stated, stated},
    },
    segment::{hex, sha256},
    store::Put,
};

/// What stands before the bytes that a signature is over.
const STATED: &[u8] = b"hindcast expiry v1\n";

/// Where a log begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// Its first segment.
    pub segment: u64,
    /// The first position in that.
    pub pos: Position,
    /// The chain value before it, in hex.
    pub chain: String,
}

impl Begin {
    /// Where the log of a cluster began.
    pub fn first(cluster: &str) -> Self {
        Self { segment: 1, pos: 1, chain: hex(&chain_start(cluster)) }
    }
}

/// A moment that a kept cut is exactly the answer to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exactly {
    /// The moment.
    pub time: Micros,
    /// Changes that may be before or after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncertain: Vec<Uncertain>,
}

/// A cut that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its checkpoint, as the manifest would describe it.
    pub checkpoint: Checkpoint,
    /// The moments that it is exactly the answer to, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exactly: Vec<Exactly>,
    /// Whether it is exactly the answer to the revision of its main domain, as a recovery point asks for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revision: bool,
    /// Why it is kept: `hourly`, `daily`, `monthly`, `every <time>`, `point <name>`, `base`.
    pub why: Vec<String>,
}

impl Kept {
    /// By when everything in it was committed.
    pub fn time(&self) -> Micros {
        self.checkpoint.time()
    }

    /// The moment that it is told by.
    pub fn moment(&self) -> Micros {
        self.exactly.first().map_or(self.time(), |exactly| exactly.time)
    }

    /// Its cut.
    pub fn cut(&self) -> Cut {
        self.checkpoint.cut()
    }
}

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The cluster's uid.
    pub cluster: String,
    /// Its own number.
    pub number: u64,
    /// When it was decided.
    pub time: Micros,
    /// The name of the key that signs it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The key's fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub print: Option<String>,
    /// Where the log began before.
    pub from: Begin,
    /// Where it begins.
    pub to: Begin,
    /// The position of the base.
    pub base: Position,
    /// The cuts that are kept, the base last.
    pub kept: Vec<Kept>,
}

/// Who stands for a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signed {
    /// The key it names.
    Holds,
    /// Somebody else.
    Not,
    /// A key that is not at hand.
    Unknown,
    /// Nobody.
    Nobody,
}

impl Statement {
    /// The file, signed if there is a key.
    fn to_file(&self, key: Option<&Key>) -> Result<Bytes> {
        stated("an expiry", STATED, self, key)
    }

    /// What a file says, and who stands for it.
    pub(crate) fn read(what: &str, cluster: &str, file: &[u8], trust: &Trust) -> Result<(Self, Signed)> {
        let bad = |e: &dyn std::fmt::Display| Error::corrupt(what, format!("is no statement of an expiry: {e}"));
        let stated = Stated::<Self>::read(STATED, file, bad)?;
        let statement = &stated.value;
        if statement.cluster != cluster {
            return Err(Error::corrupt(what, format!("belongs to cluster {}, not {cluster}", statement.cluster)));
        }
        if statement.base().map(|base| base.checkpoint.pos) != Some(statement.base) {
            return Err(bad(&"its base is not the last that it keeps"));
        }
        let by = |key: &String| stated.checked(trust, key, statement.print.as_deref());
        let signed = match (&statement.key, &stated.signature) {
            (None, None) => Signed::Nobody,
            (key, _) => match key.as_ref().and_then(by) {
                Some(Checked::Holds) => Signed::Holds,
                Some(Checked::Unknown) => Signed::Unknown,
                // Also where a key is named that signed nothing, and where something is signed and no key is named.
                Some(Checked::Not) | None => Signed::Not,
            },
        };
        Ok((stated.value, signed))
    }

    /// The statement of a number, and its SHA-256; `None` if there is none.
    async fn numbered(journal: &Journal, number: u64) -> Result<Option<(Self, String)>> {
        let path = journal.store().layout().meta(EXPIRY, number);
        let Some(file) = journal.store().get_opt(&path).await? else { return Ok(None) };
        let (statement, _) = Self::read(path.as_ref(), journal.cluster(), &file, &Trust::default())?;
        if statement.number != number {
            return Err(Error::corrupt(path.to_string(), format!("says it is statement {}", statement.number)));
        }
        Ok(Some((statement, sha256(&file))))
    }

    /// The statement that a manifest names, which is what it was when that was written.
    pub async fn named(journal: &Journal, expired: &Expired) -> Result<Self> {
        let what = || journal.store().layout().meta(EXPIRY, expired.number).to_string();
        let hint =
            "put it back from a copy of the bucket: it says which cuts of the time that was thinned out are kept";
        match Self::numbered(journal, expired.number).await? {
            Some((statement, digest)) if digest == expired.sha256 => Ok(statement),
            Some(_) => Err(Error::corrupt(what(), "is not what it was when the manifest named it").with_hint(hint)),
            None => Err(Error::corrupt(what(), "is missing, and the manifest names it").with_hint(hint)),
        }
    }

    /// Whether it may stand behind another: it begins where that one ends, and keeps nothing below its base that it does not.
    pub(crate) fn follows(&self, before: &Self) -> bool {
        self.from == before.to
            && self.to.segment >= before.to.segment
            && self.base >= before.base
            && self.kept.iter().all(|kept| kept.checkpoint.pos >= before.base || before.keeps(kept))
    }

    /// Whether it keeps a cut.
    fn keeps(&self, cut: &Kept) -> bool {
        self.kept.iter().any(|own| own.checkpoint.pos == cut.checkpoint.pos && own.cut() == cut.cut())
    }

    /// The base.
    pub fn base(&self) -> Option<&Kept> {
        self.kept.last()
    }

    /// What the manifest is to say of it.
    fn expired(&self, sha256: String) -> Expired {
        Expired {
            number: self.number,
            sha256,
            base: self.base,
            whole: self.base().map_or(0, Kept::time),
            segment: self.to.segment,
            first: self.to.pos,
            oldest: self.kept.iter().map(Kept::moment).min().unwrap_or(0),
            kept: self.kept.len() as u64,
            gone: 0,
            time: self.time,
        }
    }
}

/// What is to be decided.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The first segment that the log is to keep.
    pub segment: u64,
    /// The base.
    pub base: Kept,
    /// The other cuts that are kept, in any order.
    pub kept: Vec<Kept>,
    /// The statement that it was decided behind; 0 for none.
    pub behind: u64,
}

/// Brings the manifest up to the newest statement: a process may have died between the two. What is thinned out then.
pub async fn settle(journal: &Journal) -> Result<Option<(Expired, Statement)>> {
    let expired = Manifest::read(journal).await?.expired().cloned();
    let known = expired.as_ref().map_or(0, |expired| expired.number);
    let layout = journal.store().layout();
    let newest = match journal.store().newest(|n| layout.meta(EXPIRY, n), known).await? {
        // The manifest of an earlier version does not say it, and the first may be gone.
        0 => journal.store().newest_fact(EXPIRY).await?.map_or(0, |(number, _)| number),
        newest => newest,
    };
    if newest > known {
        let what = layout.meta(EXPIRY, newest).to_string();
        let found = Statement::numbered(journal, newest).await?;
        let (statement, digest) = found.ok_or_else(|| Error::not_found(&what, "went just now"))?;
        if let Some(expired) = &expired
            && newest == known + 1
            && !statement.follows(&Statement::named(journal, expired).await?)
        {
            return Err(Error::corrupt(what, "does not follow from the expiry before it, which the manifest names")
                .with_hint("look at who wrote it, and move it away: nothing expires until then"));
        }
        Manifest::thin(journal, &statement.expired(digest)).await?;
    }
    let Some(expired) = Manifest::read(journal).await?.expired().cloned() else { return Ok(None) };
    let statement = Statement::named(journal, &expired).await?;
    Ok(Some((expired, statement)))
}

/// Decides what is kept from now on, and has every reader know it. `None` if another process decided meanwhile. Nothing is removed.
pub async fn decide(journal: &Journal, decision: Decision, key: Option<&Key>) -> Result<Option<Statement>> {
    let before = settle(journal).await?.map(|(_, statement)| statement);
    if before.as_ref().map_or(0, |before| before.number) != decision.behind {
        return Ok(None);
    }
    let Decision { segment, base, mut kept, behind } = decision;
    kept.sort_by_key(|kept| (kept.checkpoint.pos, kept.time()));
    kept.push(base);
    for own in &mut kept {
        if before.as_ref().is_some_and(|before| before.keeps(own)) {
            continue;
        }
        own.checkpoint = own.checkpoint.in_truth(journal).await?;
        own.checkpoint.prove(journal).await?;
    }
    let what = "an expiry";
    let base = kept.last().map(|base| base.checkpoint.clone());
    let base = base.ok_or_else(|| Error::internal(what, "has no base"))?;
    let begin = journal.segments(segment..segment + 1).await?;
    let begin =
        begin.first().map(|first| Begin { segment, pos: first.meta.first, chain: hex(&first.meta.chain_before) });
    let to = begin.ok_or_else(|| Error::not_found(format!("segment {segment}"), "is not there"))?;
    if base.fold_from_segment < segment || base.fold_from < to.pos {
        return Err(Error::internal(what, "would take from the log what its base needs"));
    }
    let statement = Statement {
        cluster: journal.cluster().to_owned(),
        number: behind + 1,
        time: journal.parts().clock.now(),
        key: key.map(|key| key.name.clone()),
        print: key.map(Key::fingerprint),
        from: before.as_ref().map_or_else(|| Begin::first(journal.cluster()), |before| before.to.clone()),
        to,
        base: base.pos,
        kept,
    };
    if before.as_ref().is_some_and(|before| !statement.follows(before)) {
        return Err(Error::internal(what, "would keep what an earlier one let go"));
    }
    let file = statement.to_file(key)?;
    let path = journal.store().layout().meta(EXPIRY, statement.number);
    let put = journal.store().create(&path, file).await?;
    // What stands there counts, whoever wrote it.
    settle(journal).await?;
    Ok((put == Put::Created).then_some(statement))
}
