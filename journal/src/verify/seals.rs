//! Statements of seals: what they say of the files beside the log.
//!
//! **Invariant.** A statement whose signature does not hold states nothing; one that cannot be checked, for want of its key, is taken
//! at its word, and the report says so.

use std::collections::BTreeMap;

use super::{
    inventory::Inventory,
    report::{Findings, Verdict},
};
use crate::{
    Error, Journal, Result,
    error::ErrorKind,
    parts::Micros,
    proof::{Checked, SEAL, Statement, Stretch, Trust},
    segment::sha256,
};

/// One statement, without its files.
#[derive(Debug)]
pub(super) struct Stated {
    pub(super) sha256: String,
    pub(super) pos: u64,
    pub(super) chain: String,
    pub(super) stretch: Option<Stretch>,
    pub(super) time: Micros,
    pub(super) key: String,
    /// Whether its signature was checked.
    pub(super) checked: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Statements {
    /// By number.
    pub(super) all: BTreeMap<u64, Stated>,
    /// What they state of files.
    pub(super) files: BTreeMap<String, String>,
    /// Names of keys that are not at hand, with how many statements.
    pub(super) unknown: BTreeMap<String, u64>,
}

/// The name of a statement.
pub(super) fn name(number: u64) -> String {
    format!("meta/{SEAL}/{number:020}")
}

/// Reads all statements, in order.
pub(super) async fn read(
    journal: &Journal,
    trust: &Trust,
    inventory: &Inventory,
    findings: &mut Findings,
) -> Result<Statements> {
    let mut out = Statements::default();
    let mut at_their_word = Vec::new();
    for number in 1..=inventory.statements.last().copied().unwrap_or(0) {
        let own = name(number);
        if !inventory.statements.contains(&number) {
            findings.add(Verdict::Missing, own, "is not there, though later statements of seals are");
            continue;
        }
        let path = journal.store().layout().meta(SEAL, number);
        let file = match journal.store().get(&path).await {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                findings.add(Verdict::Missing, own, "went away while it was looked at");
                continue;
            }
            Err(error) => return Err(error),
        };
        let (statement, checked) = match Statement::read(path.as_ref(), journal.cluster(), &file, trust) {
            Ok(read) => read,
            Err(error) => {
                findings.error(own, &error);
                continue;
            }
        };
        if statement.number != number {
            let reason = format!("holds statement {} in place of its own", statement.number);
            findings.add(Verdict::Altered, own, reason);
            continue;
        }
        match checked {
            Checked::Holds => {}
            Checked::Unknown => *out.unknown.entry(statement.key.clone()).or_default() += 1,
            Checked::Not => {
                findings.error(own, &forged(&statement.key));
                continue;
            }
        }
        let stated = Stated {
            sha256: sha256(&file),
            pos: statement.pos,
            chain: statement.chain.clone(),
            stretch: statement.segments.clone(),
            time: statement.time,
            key: statement.key.clone(),
            checked: checked == Checked::Holds,
        };
        // What is signed by nobody at hand says nothing against what is.
        if checked == Checked::Unknown && !trust.is_empty() {
            at_their_word.extend(statement.files);
        } else {
            take(&mut out.files, statement);
        }
        out.all.insert(number, stated);
    }
    for (name, digest) in at_their_word {
        out.files.entry(name).or_insert(digest);
    }
    Ok(out)
}

/// Takes in what a statement says of files.
fn take(known: &mut BTreeMap<String, String>, statement: Statement) {
    let Statement { whole, files, gone, .. } = statement;
    known.retain(|name, _| {
        // A point that one which names every file does not name went before that one.
        let left = whole && name.starts_with("points/") && !files.contains_key(name);
        !left && !gone.contains(name)
    });
    known.extend(files);
}

/// A signature that does not hold.
pub(super) fn forged(key: &str) -> Error {
    Error::corrupt("", format!("is not signed by key {key}, as it says: it was altered, or somebody else made it"))
        .with_hint(
            "put the object back from a copy of the bucket; if the key file is of another journal, name the right one",
        )
}
