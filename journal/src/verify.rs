//! Whether a journal is what was written: every file of one cluster's folder is looked at, and found, missing, late, foreign
//! or altered.
//!
//! **Words**: a *finding* is a file that is not what it must be, with what that means and what helps. *Sealed* is what a
//! seal that holds vouches for; behind it lies what is *unsealed*.
//!
//! What vouches for what:
//!
//! | file | is right if |
//! |---|---|
//! | segment | its digest, its cluster and number, the chain from the one before; the seals behind it, in rows and stretches |
//! | merged file | its digest; it says what its segments said, and is what this version makes of them |
//! | checkpoint | its digest and those of its parts, the manifest's description, the chain value, and its state equal to that of the log, object by object |
//! | statement of a seal | its signature, and the row that names it |
//! | statement of an expiry | its signature, and the one before it; what is gone below where it has the log begin, and a cut that it keeps, are right by it |
//! | statement of data keys | its signature; the files of data keys that it names are rightly gone |
//! | any other | the digest in a statement |
//!
//! The log of the Delta Lake table proves nothing and is proven by nothing: it is known by its names, and follows from the manifest.
//!
//! **Invariants.**
//! 1. Nothing is written, and nothing that is looked at is trusted for what it says of itself alone.
//! 2. A file that is damaged keeps nothing else from being looked at: the log goes on behind it, from a merged file that
//!    holds the same segments, or from the next checkpoint [`states`].
//! 3. Bounded memory: one state of the cluster, the names of the files beside the log, and a few segments and one merged file at a
//!    time [`log`].
//! 4. A merged file proves itself by its chain values, so the segments in it need not be there below the boundary.
//! 5. Of a journal that is written meanwhile nothing is found for that: what is missing is asked for again at the end [`late`].
//!
//! Not here: putting anything right; what the cluster itself says of now (`restorer`); the repository of files, which has a format
//! and a check of its own.

mod beside;
mod custody;
mod expired;
mod inventory;
mod late;
mod log;
mod numbers;
mod report;
mod seals;
mod states;
#[cfg(test)]
mod tests;

pub use self::report::{Expiration, Finding, Report, Sealed, Unsealed, Verdict};
use self::{inventory::Inventory, report::Findings};
use crate::{
    Journal, Position, Result,
    proof::{Newest, Trust},
};

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// What signatures are checked with.
    pub trust: Trust,
    /// A position and the chain value there, as an earlier answer told it: the log must still go there.
    pub known: Option<(Position, String)>,
    /// Seals that are told outside of the bucket: where, and whether their signatures were checked.
    pub told: Vec<(Newest, String, bool)>,
}

impl Asked {
    /// What the log must go through: position and chain value, who says so, and whether that is sure.
    fn held(&self) -> impl Iterator<Item = (Position, String, String, bool)> {
        let known = self.known.iter().map(|(pos, chain)| (*pos, chain.clone(), "what was asked for".to_owned(), true));
        let by = |place: &str| format!("the seal that {place} tells of");
        let told = self.told.iter();
        known.chain(told.map(move |(newest, place, checked)| (newest.pos, newest.chain.clone(), by(place), *checked)))
    }
}

/// What is being looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Names.
    Listing,
    /// The files beside the log.
    Beside,
    /// Segments, with the merged files and checkpoints that they prove.
    Log,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being looked at.
    pub stage: Stage,
    /// How many of them have been.
    pub done: u64,
    /// Of how many.
    pub of: u64,
}

/// Whoever is told how far it is.
pub type Tell<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Looks at every file of a journal. Only a store that gives no answer is an error.
pub async fn verify(journal: &Journal, asked: &Asked, tell: Tell<'_>) -> Result<Report> {
    match once(journal, asked, tell).await? {
        (report, false) => Ok(report),
        (_, true) => Ok(once(journal, asked, tell).await?.0),
    }
}

/// The same, and whether all that was listed has expired meanwhile, so that it says nothing of the log that there is.
async fn once(journal: &Journal, asked: &Asked, tell: Tell<'_>) -> Result<(Report, bool)> {
    let mut findings = Findings::default();
    let inventory = Inventory::of(journal, tell).await?;
    for name in &inventory.foreign {
        findings.foreign(name);
    }
    let mut report = Report::new(journal.cluster(), &inventory);
    let stated = seals::read(journal, &asked.trust, &inventory, &mut findings).await?;
    let mut live = beside::check(journal, (asked, &inventory), &stated, &mut findings, &mut report, tell).await?;
    log::Log::new(journal, asked, &inventory, stated, &live, &mut findings, &mut report).walk(tell).await?;
    late::confirm(journal, asked, &inventory, &mut live, &mut findings, &mut report).await?;
    report.findings = findings.into_list();
    let overtaken = live.decided.begin() > report.segments.1 + 1;
    Ok((report, overtaken))
}
