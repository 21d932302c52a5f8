//! The files beside the log: whether each is what a seal stated, and what the manifests name.
//!
//! **Invariant.** A file is written once, so its digest is what it was when it was stated, or it was altered. A file that nobody has
//! stated yet is no finding: the report lists it as unsealed.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};

use super::{
    Asked, Progress, Report, Stage, Tell,
    custody::Custody,
    expired::Decided,
    inventory::Inventory,
    report::{Findings, Verdict},
    seals::Statements,
};
use crate::{
    Journal, Position, Result,
    checkpoint::{Checkpoint, Expired, Manifest, is_landmark},
    error::ErrorKind,
    layout::CUSTODY,
    level::{HIGHEST, Merged},
    proof::{EXPIRY, fact_of, point_of},
    segment::sha256,
};

/// Files read at once.
const AT_ONCE: usize = 16;

/// What the newest manifest names, with the pages before it.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) checkpoints: BTreeMap<Position, Checkpoint>,
    /// By first segment, level and last segment.
    pub(super) merged: BTreeMap<(u64, u8, u64), Merged>,
    /// Merged files that any manifest ever named: nothing removes them but what trims lower levels below the boundary, and expiry.
    pub(super) ever: BTreeSet<(u64, u8, u64)>,
    /// The manifests that the newest goes on from.
    pub(super) pages: BTreeSet<u64>,
    /// The manifest below which manifests may be gone, and the newest.
    pruned: (u64, u64),
    /// The segment below which segments may be gone.
    pub(super) boundary: u64,
    /// What was decided to expire.
    pub(super) decided: Decided,
    /// What was told of data keys.
    pub(super) custody: Custody,
    /// What the newest manifest says of that.
    expired: Option<Expired>,
}

impl Live {
    fn once(&mut self, manifest: &Manifest) {
        self.ever.extend(manifest.merged.iter().map(|merged| (merged.first, merged.level, merged.last)));
        self.pruned = (self.pruned.0.max(manifest.pruned), self.pruned.1.max(manifest.number));
    }

    /// Whether a fact may have been removed. Pages are missed by what goes on from them.
    fn may_be_gone(&self, fact: &str, number: u64) -> bool {
        let (below, newest) = self.pruned;
        fact == "manifest" && number < below && !is_landmark(number, newest)
    }
}

/// Looks at every file beside the log.
pub(super) async fn check(
    journal: &Journal,
    (asked, inventory): (&Asked, &Inventory),
    stated: &Statements,
    findings: &mut Findings,
    report: &mut Report,
    tell: Tell<'_>,
) -> Result<Live> {
    let by_digest: BTreeMap<&str, &str> =
        stated.files.iter().map(|(name, digest)| (digest.as_str(), name.as_str())).collect();
    let names: Vec<String> = inventory.beside.keys().cloned().collect();
    let of = names.len() as u64;
    let read = stream::iter(names).map(|name| {
        let store = journal.store().clone();
        async move {
            let read = store.get_opt(&store.layout().named(&name)).await;
            (name, read)
        }
    });
    let mut read = std::pin::pin!(read.buffered(AT_ONCE));
    let mut facts: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let mut done = 0;
    let mut live = Live { boundary: 1, ..Live::default() };
    while let Some((name, bytes)) = read.next().await {
        done += 1;
        tell(Progress { stage: Stage::Beside, done, of });
        let Some(bytes) = bytes? else {
            findings.add(Verdict::Missing, &name, "went away while it was looked at");
            continue;
        };
        match stated.files.get(&name).map(|digest| (digest, sha256(&bytes))) {
            None => report.unsealed.files.push(name.clone()),
            Some((digest, own)) if *digest == own => report.stated += 1,
            Some((_, own)) => findings.add(Verdict::Altered, &name, exchanged(&by_digest, &name, &own)),
        }
        if let Some((fact, number)) = fact_of(&name) {
            facts.entry(fact.to_owned()).or_default().insert(number);
            if fact == "boundary" {
                match serde_json::from_slice::<crate::journal::Boundary>(&bytes) {
                    Ok(boundary) => live.boundary = boundary.segment,
                    Err(error) => findings.add(Verdict::Altered, &name, format!("is no boundary: {error}")),
                }
            }
            if fact == EXPIRY {
                live.decided.take(journal, number, &bytes, &asked.trust, (&mut *findings, &mut *report));
            }
            if fact == CUSTODY {
                live.custody.take(journal, number, &bytes, &asked.trust, (&mut *findings, &mut *report));
            }
            if fact == "manifest" {
                match Manifest::parse(number, &bytes) {
                    Ok(manifest) => live.once(&manifest),
                    Err(error) => findings.add(Verdict::Altered, &name, format!("is no manifest: {error}")),
                }
            }
        }
    }
    for (fact, numbers) in &facts {
        for number in numbers.first().copied().unwrap_or(1)..=numbers.last().copied().unwrap_or(0) {
            if !numbers.contains(&number) && !live.may_be_gone(fact, number) {
                let reason = "is not there, though one before it and one after it are";
                findings.add(Verdict::Missing, format!("meta/{fact}/{number:020}"), reason);
            }
        }
    }
    live.custody.back(journal, inventory, findings);
    gone(inventory, stated, &live, findings, report);
    named(journal, facts.get("manifest").cloned().unwrap_or_default(), findings, &mut live).await?;
    live.decided.follow(journal, live.expired.as_ref(), findings);
    absent(inventory, &live, findings);
    Ok(live)
}

/// What is said of a file with another digest than was stated.
fn exchanged(by_digest: &BTreeMap<&str, &str>, name: &str, digest: &str) -> String {
    match by_digest.get(digest) {
        Some(other) => format!("holds what {other} held when that was sealed: one was put in the place of the other"),
        None if name.starts_with("points/") => {
            "is not what it was when it was sealed; or the recovery point was deleted, and another was made under its name, since"
                .to_owned()
        }
        None => "is not what it was when it was sealed".to_owned(),
    }
}

/// Files that were stated and are not there.
fn gone(inventory: &Inventory, stated: &Statements, live: &Live, findings: &mut Findings, report: &mut Report) {
    let mut points: BTreeSet<&str> = BTreeSet::new();
    for name in stated.files.keys().filter(|name| !inventory.beside.contains_key(*name)) {
        if fact_of(name).is_some_and(|(fact, number)| live.may_be_gone(fact, number)) || live.custody.lets_go(name) {
            continue;
        }
        if let Some(folder) = point_of(name) {
            let mut left = inventory.beside.range(folder.to_owned()..).take_while(|(name, _)| name.starts_with(folder));
            if left.next().is_none() || inventory.beside.contains_key(&format!("{folder}delete")) {
                points.insert(folder);
                continue;
            }
        }
        findings.add(Verdict::Missing, name, "is not there, and was when it was sealed");
    }
    report.unsealed.gone = points.into_iter().map(|folder| folder.trim_end_matches('/').to_owned()).collect();
}

/// What the newest manifest that can be read names, and the pages before it.
async fn named(journal: &Journal, numbers: BTreeSet<u64>, findings: &mut Findings, live: &mut Live) -> Result<()> {
    let (mut next, mut newest) = (numbers.last().copied(), true);
    while let Some(number) = next {
        let own = format!("meta/manifest/{number:020}");
        let manifest = match Manifest::page(journal, number).await {
            Ok(manifest) => manifest,
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                // It was found already, or its name shows that it is missing: the one before it names nearly the same.
                if !findings.has(&own) {
                    findings.add(Verdict::Missing, own, "is not there, and a later manifest goes on from it");
                }
                // Or it was the newest long ago, when names were listed, and was removed since.
                let later = match newest {
                    true => super::late::newest(journal).await?.filter(|later| *later > number),
                    false => None,
                };
                next = later.or_else(|| numbers.range(..number).next_back().copied());
                continue;
            }
            Err(error) => return Err(error),
        };
        next = manifest.continues();
        if next.is_some_and(|next| next >= number) {
            findings.add(Verdict::Altered, own, "goes on from a manifest that is not before it");
            next = None;
        }
        live.pages.extend(next);
        if std::mem::take(&mut newest) {
            live.expired = manifest.expired().cloned();
        }
        for checkpoint in manifest.checkpoints {
            live.checkpoints.entry(checkpoint.pos).or_insert(checkpoint);
        }
        for merged in manifest.merged {
            live.merged.entry((merged.first, merged.level, merged.last)).or_insert(merged);
        }
    }
    Ok(())
}

/// Files that a manifest names and that are not there.
fn absent(inventory: &Inventory, live: &Live, findings: &mut Findings) {
    let (base, begin) = (live.decided.base().unwrap_or(0), live.decided.begin());
    // Those that are kept are looked at by themselves.
    let wanted = live.checkpoints.keys().filter(|pos| **pos >= base);
    for pos in wanted.filter(|pos| !inventory.checkpoints.contains(pos)) {
        let reason = "is not there, and the manifest names it: readers of moments behind it find nothing to start from";
        let remedy = "put the object back from a copy of the bucket; moments before it are read all the same";
        findings.helped(Verdict::Missing, format!("checkpoints/{pos:020}.parquet"), reason, remedy);
    }
    let highest = live.ever.iter().chain(&inventory.merged).filter(|(_, level, _)| *level == HIGHEST);
    let highest: BTreeMap<u64, u64> = highest.map(|(first, _, last)| (*first, *last)).collect();
    for (first, level, last) in live.ever.iter().copied() {
        // Below the boundary a file of the highest level stands for those of lower ones, and these are removed.
        let over = highest.range(..=first).next_back().is_some_and(|(_, end)| *end >= last);
        let trimmed = level < HIGHEST && last < live.boundary && over;
        if inventory.merged.contains(&(first, level, last)) || last < begin || trimmed {
            continue;
        }
        let (reason, remedy) = match live.merged.contains_key(&(first, level, last)) {
            true => (
                "is not there, and the manifest names it",
                "nothing is lost while its segments are there: readers read those instead",
            ),
            false => (
                "is not there, and an earlier manifest names it",
                "nothing is lost: a merged file of a higher level holds the same, and readers read that",
            ),
        };
        findings.helped(Verdict::Missing, super::log::merged_name(level, first, last), reason, remedy);
    }
}
