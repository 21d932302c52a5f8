//! What was found.

use std::collections::BTreeMap;

use super::inventory::Inventory;
use crate::{Error, Position, parts::Micros};

/// What a file is that is not as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is not there, and was or must have been.
    Missing,
    /// It was written by a writer that had lost the journal.
    Late,
    /// It is nothing that the journal writes, or of another journal.
    Foreign,
    /// It is not what was written.
    Altered,
}

impl Verdict {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Late => "late",
            Self::Foreign => "foreign",
            Self::Altered => "altered",
        }
    }
}

/// A file that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name below the cluster's folder.
    pub file: String,
    /// What it is.
    pub verdict: Verdict,
    /// Why, and what that means.
    pub reason: String,
    /// What helps.
    pub remedy: String,
}

/// The newest seal that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Up to which position.
    pub pos: Position,
    /// The chain value there.
    pub chain: String,
    /// When it was made.
    pub time: Micros,
    /// Who signed it.
    pub key: String,
    /// Whether the signature was checked.
    pub checked: bool,
    /// The segment that its row is in, or was to be.
    pub segment: u64,
}

/// What was decided to expire, by the newest statement that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiration {
    /// The statement's number.
    pub number: u64,
    /// The first segment that the log still has.
    pub segment: u64,
    /// The first position in it.
    pub pos: Position,
    /// The base.
    pub base: Position,
    /// When it was decided.
    pub time: Micros,
    /// Who signed it, if anybody did.
    pub key: Option<String>,
    /// Whether the signature was checked.
    pub checked: bool,
    /// The kept cuts that are what it says.
    pub kept: u64,
    /// Files that are to go and are still there; they are not looked at.
    pub left: u64,
}

/// What no seal vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unsealed {
    /// Rows behind the newest seal.
    pub rows: u64,
    /// Segments behind it, the one with its own row among them.
    pub segments: u64,
    /// Segments before it of which only the rows are sealed: what else they say (who wrote them and when, how far they close the
    /// log) is not, since their writer was killed before it could seal it, or had no key.
    pub loose: u64,
    /// Files that came since, or were there before anything was sealed.
    pub files: Vec<String>,
    /// Recovery points that went since.
    pub gone: Vec<String>,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The cluster.
    pub cluster: String,
    /// Objects looked at, and their bytes.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first and the last segment.
    pub segments: (u64, u64),
    /// The last position.
    pub last: Position,
    /// Merged files that say what their segments do.
    pub merged: u64,
    /// Checkpoints whose state is that of the log.
    pub checkpoints: u64,
    /// Files beside the log that are as they were stated.
    pub stated: u64,
    /// Seals that hold.
    pub seals: u64,
    /// Names of keys that seals are signed by and that are not at hand, with how many seals.
    pub unchecked: BTreeMap<String, u64>,
    /// The newest seal.
    pub sealed: Option<Sealed>,
    /// What lies behind it.
    pub unsealed: Unsealed,
    /// What was decided to expire.
    pub expired: Option<Expiration>,
    /// What could not be compared with anything, in words.
    pub unproven: Vec<String>,
    /// Objects of the repository of files, which are not looked at.
    pub repository: u64,
    /// What is not as it must be, by name.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(cluster: &str, inventory: &Inventory) -> Self {
        Self {
            cluster: cluster.to_owned(),
            objects: inventory.objects,
            bytes: inventory.bytes,
            repository: inventory.repository,
            ..Self::default()
        }
    }
}

/// What helps where a file is gone or is not what it was.
pub(super) const COPY: &str = "put the object back from a copy or an older version of the bucket";

/// Findings, one for each file: the first that is said of one stands.
#[derive(Debug, Default)]
pub(super) struct Findings {
    all: BTreeMap<String, Finding>,
    /// Of segments that are nowhere, the first and the last of those that follow one another.
    holes: BTreeMap<String, u64>,
}

impl Findings {
    pub(super) fn add(&mut self, verdict: Verdict, file: impl Into<String>, reason: impl Into<String>) {
        self.helped(verdict, file, reason, COPY);
    }

    pub(super) fn helped(
        &mut self,
        verdict: Verdict,
        file: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (file, reason, remedy) = (file.into(), reason.into(), remedy.into());
        self.all.entry(file.clone()).or_insert(Finding { file, verdict, reason, remedy });
    }

    /// A file that could not be read as what it must be.
    pub(super) fn error(&mut self, file: impl Into<String>, error: &Error) {
        let (what, reason) = error.thing_and_reason();
        let file = file.into();
        // Of a file nothing need be said twice; of a row in it, its place.
        let reason = if what.is_empty() || what.ends_with(&file) { reason } else { format!("{what} {reason}") };
        let verdict = if reason.contains("belongs to cluster") { Verdict::Foreign } else { Verdict::Altered };
        self.helped(verdict, file, reason, error.hint().unwrap_or(COPY));
    }

    pub(super) fn foreign(&mut self, name: &str) {
        self.helped(
            Verdict::Foreign,
            name,
            "is nothing that this version of Hindcast writes, and no reader reads it",
            "look at what it is, and move it away; a newer version may have written it",
        );
    }

    pub(super) fn has(&self, file: &str) -> bool {
        self.all.contains_key(file)
    }

    /// Segments that are nowhere, by the name of the first.
    pub(super) fn nowhere(&mut self, file: String, last: u64, reason: String) {
        self.holes.insert(file.clone(), last);
        self.add(Verdict::Missing, file, reason);
    }

    /// The last of the segments that are nowhere from a file on.
    pub(super) fn hole(&self, file: &str) -> Option<u64> {
        self.holes.get(file).copied()
    }

    /// The names of files of a verdict.
    pub(super) fn of(&self, verdict: Verdict) -> impl Iterator<Item = &str> {
        self.all.values().filter(move |finding| finding.verdict == verdict).map(|finding| finding.file.as_str())
    }

    /// Takes back what was said of a file.
    pub(super) fn forget(&mut self, file: &str) {
        self.all.remove(file);
    }

    pub(super) fn into_list(self) -> Vec<Finding> {
        self.all.into_values().collect()
    }
}
