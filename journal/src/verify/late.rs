//! What came and what went while the journal was looked at: it is written, merged and trimmed meanwhile.
//!
//! **Invariants.** (1) A file is missing if it is not there now either: what was listed before it came is no finding [`confirm`]. (2) What is
//! not there now is excused by the same rules as before, by the newest manifest, boundary and expiry that there are now: of a journal in which
//! nothing happens they excuse nothing more [`Now::lets_go`].
//!
//! Not here: segments that moved into merged files meanwhile, which are read in those (`log.rs`).

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    Asked, Report,
    beside::Live,
    inventory::Inventory,
    report::{Findings, Verdict},
};
use crate::{
    Error, Journal, Position, Result,
    checkpoint::{Manifest, is_landmark},
    error::ErrorKind,
    layout::Layout,
    level::HIGHEST,
    proof::{fact_of, point_of},
};

/// Questions at once.
const AT_ONCE: usize = 16;

/// What may be gone, as far as is known by now.
struct Now {
    manifest: Manifest,
    /// Pages, which stay.
    pages: BTreeSet<u64>,
    boundary: u64,
    /// The first segment of the log, the base, and what is kept below that.
    begin: u64,
    base: Position,
    kept: BTreeSet<Position>,
    /// Files of the highest level: the last segment of each by its first.
    highest: BTreeMap<u64, u64>,
}

/// Looks again at what is said to be missing, and forgets what came late or was let go of since.
pub(super) async fn confirm(
    journal: &Journal,
    asked: &Asked,
    inventory: &Inventory,
    live: &mut Live,
    findings: &mut Findings,
    report: &mut Report,
) -> Result<()> {
    let names: Vec<String> = findings.of(Verdict::Missing).map(ToOwned::to_owned).collect();
    let ask = |name: String| {
        let store = journal.store().clone();
        async move { Ok::<_, Error>((store.exists(&store.layout().named(&name)).await?, name)) }
    };
    let answers: Vec<(bool, String)> = stream::iter(names).map(ask).buffered(AT_ONCE).try_collect().await?;
    let mut absent = Vec::new();
    for (there, name) in answers {
        match there {
            true => findings.forget(&name),
            false => absent.push(name),
        }
    }
    if absent.is_empty() {
        return Ok(());
    }
    let now = Now::read(journal, asked, inventory, live).await?;
    for name in absent {
        if live.custody.lets_go(&name) {
            findings.forget(&name);
        } else if let Some(folder) = point_of(&name) {
            if is_deleted(journal, folder).await? {
                findings.forget(&name);
                let folder = folder.trim_end_matches('/').to_owned();
                if !report.unsealed.gone.contains(&folder) {
                    report.unsealed.gone.push(folder);
                }
            }
        } else if now.lets_go(&name, findings.hole(&name)) {
            findings.forget(&name);
        }
    }
    report.unsealed.gone.sort();
    Ok(())
}

/// Merged files that the manifest names and that were not there when names were listed: first segment, level, last segment.
pub(super) async fn merged(journal: &Journal, inventory: &Inventory) -> Result<Vec<(u64, u8, u64)>> {
    let newest = readable(Manifest::read(journal).await)?.unwrap_or_default();
    let named = newest.merged.iter().map(|merged| (merged.first, merged.level, merged.last));
    Ok(named.filter(|named| !inventory.merged.contains(named)).collect())
}

/// The number of the newest manifest.
pub(super) async fn newest(journal: &Journal) -> Result<Option<u64>> {
    Ok(readable(Manifest::read(journal).await)?.map(|newest| newest.number))
}

/// The boundary, if it moved on.
pub(super) async fn boundary(journal: &Journal, known: u64) -> Result<u64> {
    Ok(readable(journal.boundary().await)?.map_or(known, |boundary| boundary.max(known)))
}

/// What is damaged was found to be so, or will be the next time.
fn readable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => Ok(None),
        read => read.map(Some),
    }
}

/// Whether a recovery point is deleted, or being deleted.
async fn is_deleted(journal: &Journal, folder: &str) -> Result<bool> {
    let store = journal.store();
    let left = store.list(&store.layout().named(folder.trim_end_matches('/')), None).await?;
    Ok(left.is_empty() || left.iter().any(|l| matches!(l.path.filename(), Some("delete" | "deleted"))))
}

impl Now {
    async fn read(journal: &Journal, asked: &Asked, inventory: &Inventory, live: &mut Live) -> Result<Self> {
        let manifest = readable(Manifest::read(journal).await)?.unwrap_or_default();
        let mut pages = live.pages.clone();
        let mut next = manifest.continues();
        while let Some(number) = next.filter(|number| pages.insert(*number)) {
            next = readable(Manifest::page(journal, number).await)?.and_then(|page| page.continues());
        }
        live.decided.later(journal, &asked.trust).await?;
        live.custody.later(journal, &asked.trust).await?;
        let own = manifest.merged.iter().map(|merged| (merged.first, merged.level, merged.last));
        let all = live.ever.iter().chain(&inventory.merged).copied().chain(own);
        let highest = all.filter(|(_, level, _)| *level == HIGHEST).map(|(first, _, last)| (first, last)).collect();
        Ok(Self {
            pages,
            boundary: boundary(journal, live.boundary).await?,
            begin: live.decided.begin(),
            base: live.decided.base().unwrap_or(0),
            kept: live.decided.kept_positions(),
            highest,
            manifest,
        })
    }

    /// Whether a file may be gone; of a segment, with all up to another.
    fn lets_go(&self, name: &str, hole: Option<u64>) -> bool {
        if let Some((fact, number)) = fact_of(name) {
            let may = number < self.manifest.pruned && !is_landmark(number, self.manifest.number);
            return fact == "manifest" && may && !self.pages.contains(&number);
        }
        if let Some((level, first, last)) = Layout::numbers(name) {
            let over = self.highest.range(..=first).next_back().is_some_and(|(_, end)| *end >= last);
            return last < self.begin || (level < HIGHEST && last < self.boundary && over);
        }
        let Some(number) = Layout::number(&name.into()) else { return false };
        match name.split('/').next() {
            Some("wal") => hole.is_some_and(|last| last < self.begin),
            Some("checkpoints") => number < self.base && !self.kept.contains(&number),
            _ => false,
        }
    }
}
