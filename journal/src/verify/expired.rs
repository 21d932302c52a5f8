//! What was decided to expire: which statements of it count, and the cuts that they keep.
//!
//! **Invariants.** (1) Only a statement that is signed by a key at hand takes away from what must be there; where nothing can be checked
//! each is taken at its word, and the report says so [`Decided::take`]. (2) Of those that count each begins where the one before it ends, the
//! first at the beginning of the log. (3) A cut that is kept is what the newest of them says, down to the digest of its file's
//! footer, which has those of all of its rows [`Decided::kept`].

use std::collections::{BTreeMap, BTreeSet};

use super::{
    log::{checkpoint_name, segment_name},
    report::{Expiration, Findings, Report, Verdict},
    seals,
};
use crate::{
    Journal, Position, Result,
    checkpoint::Expired,
    error::ErrorKind,
    expiry::{Begin, Signed, Statement},
    proof::{EXPIRY, Trust},
    segment::{Meta, sha256},
};

/// Statements of expiries.
#[derive(Debug, Default)]
pub(super) struct Decided {
    /// Those that can be read, by number, each with its digest and who stands for it.
    all: BTreeMap<u64, (Statement, String, Signed)>,
    /// The newest that counts.
    newest: Option<(Statement, bool)>,
}

/// The name of a statement.
fn name(number: u64) -> String {
    format!("meta/{EXPIRY}/{number:020}")
}

impl Decided {
    /// Takes in a statement's file.
    pub(super) fn take(
        &mut self,
        journal: &Journal,
        number: u64,
        file: &[u8],
        trust: &Trust,
        (findings, report): (&mut Findings, &mut Report),
    ) {
        let own = name(number);
        let (statement, signed) = match Statement::read(&own, journal.cluster(), file, trust) {
            Ok(read) => read,
            Err(error) => return findings.error(own, &error),
        };
        if statement.number != number {
            let reason = format!("holds statement {} in place of its own", statement.number);
            return findings.add(Verdict::Altered, own, reason);
        }
        let key = statement.key.clone().unwrap_or_default();
        match signed {
            Signed::Not => return findings.error(own, &seals::forged(&key)),
            Signed::Unknown => *report.unchecked.entry(key).or_default() += 1,
            Signed::Holds | Signed::Nobody => {}
        }
        self.all.insert(number, (statement.clone(), sha256(file), signed));
        if signed == Signed::Holds || trust.is_empty() {
            self.newest = Some((statement, signed == Signed::Holds));
        }
    }

    /// Takes in statements that were made since.
    pub(super) async fn later(&mut self, journal: &Journal, trust: &Trust) -> Result<()> {
        let layout = journal.store().layout();
        let mut number = self.all.last_key_value().map_or(1, |(number, _)| number + 1);
        while let Some(file) = journal.store().get_opt(&layout.meta(EXPIRY, number)).await? {
            // What is wrong with one is found the next time.
            let (mut findings, mut report) = (Findings::default(), Report::default());
            self.take(journal, number, &file, trust, (&mut findings, &mut report));
            number += 1;
        }
        Ok(())
    }

    /// The positions of cuts that are kept.
    pub(super) fn kept_positions(&self) -> BTreeSet<Position> {
        self.newest.iter().flat_map(|(newest, _)| &newest.kept).map(|cut| cut.checkpoint.pos).collect()
    }

    /// Looks at how they follow one another, and at the newest that a manifest names.
    pub(super) fn follow(&self, journal: &Journal, named: Option<&Expired>, findings: &mut Findings) {
        let mut before: Option<&Statement> = None;
        for (number, (statement, ..)) in &self.all {
            let first = *number == 1 && statement.from != Begin::first(journal.cluster());
            if first || before.is_some_and(|b| b.number + 1 == *number && !statement.follows(b)) {
                findings.add(Verdict::Altered, name(*number), "does not follow from the expiry before it");
            }
            before = Some(statement);
        }
        // What does not count is stood in for by a later one that does.
        let counts = self.newest.as_ref().map_or(0, |(newest, _)| newest.number);
        for (number, (statement, _, signed)) in self.all.range(counts + 1..) {
            let (reason, remedy) = match (signed, &statement.key) {
                (Signed::Nobody, _) => (
                    "is signed by nobody, so nobody can tell whether what it lets go was rightly removed".to_owned(),
                    "have it decided anew with the key: `hindcast expire --key-file FILE`",
                ),
                (_, key) => (
                    format!(
                        "is signed by key {}, which is not at hand: so it excuses nothing",
                        key.as_deref().unwrap_or_default()
                    ),
                    "name the key file that holds that key",
                ),
            };
            findings.helped(Verdict::Foreign, name(*number), reason, remedy);
        }
        let Some(named) = named else { return };
        match self.all.get(&named.number) {
            Some((_, digest, _)) if *digest == named.sha256 => {}
            Some(_) => {
                findings.add(Verdict::Altered, name(named.number), "is another than the one that the manifest names");
            }
            None if findings.has(&name(named.number)) => {}
            None => findings.add(Verdict::Missing, name(named.number), "is not there, and the manifest names it"),
        }
    }

    /// The first segment that must be there.
    pub(super) fn begin(&self) -> u64 {
        self.newest.as_ref().map_or(1, |(newest, _)| newest.to.segment)
    }

    /// The position of the base: checkpoints below it need not be there unless they are kept.
    pub(super) fn base(&self) -> Option<Position> {
        self.newest.as_ref().map(|(newest, _)| newest.base)
    }

    /// Checks that the log begins as was decided; `first` is its first segment.
    pub(super) fn begins(&self, first: &Meta, findings: &mut Findings) {
        let Some((newest, _)) = &self.newest else { return };
        let Begin { segment, pos, chain } = &newest.to;
        if first.segment == *segment && (first.first, &crate::segment::hex(&first.chain_before)) != (*pos, chain) {
            let reason = format!("does not begin the log as {} says", name(newest.number));
            findings.add(Verdict::Altered, segment_name(*segment), reason);
        }
    }

    /// Looks at the cuts that are kept, and says what was found of all.
    pub(super) async fn kept(
        &self,
        journal: &Journal,
        there: &BTreeSet<Position>,
        findings: &mut Findings,
    ) -> Result<Option<Expiration>> {
        let Some((newest, checked)) = &self.newest else { return Ok(None) };
        let mut kept = 0;
        for cut in &newest.kept {
            let pos = cut.checkpoint.pos;
            let own = checkpoint_name(pos);
            match cut.checkpoint.prove(journal).await {
                Ok(()) => kept += 1,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let reason = format!("is not there, and {} keeps it", name(newest.number));
                    findings.add(Verdict::Missing, own, reason);
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => findings.error(own, &error),
                Err(error) => return Err(error),
            }
        }
        let own: BTreeSet<Position> = newest.kept.iter().map(|cut| cut.checkpoint.pos).collect();
        Ok(Some(Expiration {
            number: newest.number,
            segment: newest.to.segment,
            pos: newest.to.pos,
            base: newest.base,
            time: newest.time,
            key: newest.key.clone(),
            checked: *checked,
            kept,
            left: there.range(..newest.base).filter(|pos| !own.contains(pos)).count() as u64,
        }))
    }
}
