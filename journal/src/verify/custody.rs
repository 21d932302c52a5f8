//! What was told of data keys: which of their files are rightly gone.
//!
//! **Invariant.** Only a statement that is signed by a key at hand takes away from what must be there; where nothing can be checked each
//! is taken at its word [`Custody::take`].

use std::collections::{BTreeMap, BTreeSet};

use super::{
    inventory::Inventory,
    report::{Findings, Report, Verdict},
    seals,
};
use crate::{
    Journal, Result,
    layout::CUSTODY,
    parts::Micros,
    proof::{Checked, Trust},
    seal::{Deed, Told, wrapped},
};

/// How long after it was told a forgotten file may still be there.
const SOON: Micros = 3_600_000_000;

/// Statements of data keys.
#[derive(Debug, Default)]
pub(super) struct Custody {
    /// The newest that was looked at.
    newest: u64,
    /// Files that are rightly gone.
    gone: BTreeSet<String>,
    /// Data keys that were forgotten, of which every file is rightly gone, with the statement and when that was.
    forgotten: BTreeMap<String, (u64, Micros)>,
}

/// The name of a statement.
fn name(number: u64) -> String {
    format!("meta/{CUSTODY}/{number:020}")
}

impl Custody {
    /// Takes in a statement's file.
    pub(super) fn take(
        &mut self,
        journal: &Journal,
        number: u64,
        file: &[u8],
        trust: &Trust,
        (findings, report): (&mut Findings, &mut Report),
    ) {
        self.newest = self.newest.max(number);
        let own = name(number);
        let (told, checked) = match Told::read(&own, journal.cluster(), file, trust) {
            Ok(read) => read,
            Err(error) => return findings.error(own, &error),
        };
        if told.number != number {
            let reason = format!("holds statement {} in place of its own", told.number);
            return findings.add(Verdict::Altered, own, reason);
        }
        match checked {
            Checked::Not => return findings.error(own, &seals::forged(&told.key)),
            Checked::Unknown => {
                *report.unchecked.entry(told.key.clone()).or_default() += 1;
                if !trust.is_empty() {
                    return;
                }
            }
            Checked::Holds => {}
        }
        if matches!(told.deed, Deed::Forgotten { .. }) {
            self.forgotten.extend(told.ids.into_iter().map(|id| (id, (number, told.time))));
        }
        self.gone.extend(told.files);
    }

    /// Takes in statements that were made since.
    pub(super) async fn later(&mut self, journal: &Journal, trust: &Trust) -> Result<()> {
        let layout = journal.store().layout();
        while let Some(file) = journal.store().get_opt(&layout.meta(CUSTODY, self.newest + 1)).await? {
            // What is wrong with one is found the next time.
            let (mut findings, mut report) = (Findings::default(), Report::default());
            self.take(journal, self.newest + 1, &file, trust, (&mut findings, &mut report));
        }
        Ok(())
    }

    /// Whether a file may be gone.
    pub(super) fn lets_go(&self, file: &str) -> bool {
        self.gone.contains(file) || self.forgotten(file).is_some()
    }

    fn forgotten(&self, file: &str) -> Option<(u64, Micros)> {
        let (id, _) = wrapped::split(file.strip_prefix("keys/")?)?;
        self.forgotten.get(id).copied()
    }

    /// Looks for files that were forgotten and are there all the same.
    pub(super) fn back(&self, journal: &Journal, inventory: &Inventory, findings: &mut Findings) {
        let now = journal.parts().clock.now();
        for file in
            inventory.beside.range("keys/".to_owned()..).map(|(file, _)| file).take_while(|f| f.starts_with("keys/"))
        {
            let Some((number, time)) = self.forgotten(file) else { continue };
            if time.saturating_add(SOON) < now {
                let own = name(number);
                let reason = format!("is there, though {own} says that it is forgotten: what it sealed can be read");
                let remedy = "the same `hindcast forget` once more removes it; or whoever put it back does";
                findings.helped(Verdict::Foreign, file.clone(), reason, remedy);
            }
        }
    }
}
