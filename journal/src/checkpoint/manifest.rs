//! The manifest: which checkpoints are live, however many there come to be.
//!
//! **Format.** `meta/manifest/<n>` is JSON: `checkpoints`, the newest ones, oldest first, at most [`MOST`]; `earlier`,
//! how many stand before those; and, if there are any, two [`Page`]s. `continues` is the manifest that goes on where
//! this list begins, and `jump` one far before that. Each page named was the newest manifest once, so it is never
//! written for this and never changes. `merged` names merged files (`level.rs`); a page keeps those of its time, and what follows it leaves out
//! those of the highest level that ended before its own first checkpoint, but for the newest one. `expired` says up to where the past is
//! thinned out ([`Expired`]): checkpoints before its base are no longer live, whatever names them. What is left out is empty or 0: the first format had `checkpoints` alone, all of
//! them, and reads as a page before which there is nothing. `doubted` names segments whose closed times were ahead of
//! the time ([`Doubt`]); `late` tells of intervals that were found to be lost after later moments had been closed ([`Late`]); `pruned` says which manifests may be gone ([`Pruner`]).
//!
//! When a list is full its manifest becomes a page: the next one keeps the newer half, so that the newest moments are
//! always answered from one manifest, and continues the page. So each manifest has a bounded size, and their total size
//! grows with their number. `jump` spans as many pages as make the way to any of `p` pages at most about 2 log p long:
//! it is the jump of the page's own jump if those two span the same, else the page itself.
//!
//! **Invariants.** (1) The newest number is the value. (2) Following `continues` meets every live checkpoint. (3)
//! Checkpoints rise by position, in a manifest and from page to page. (4) No two merged files of one manifest meet, and they rise by
//! segment [`Manifest::add_merged`]. (5) What is thinned out stays so: [`Expired`] moves on alone [`Manifest::thin`].

mod pruner;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::pruner::Pruner;
pub(crate) use self::pruner::is_landmark;
use super::{Checkpoint, Doubt, Expired, Late};
use crate::{
    Error, Journal, Position, Result,
    error::ErrorKind,
    level::{HIGHEST, Merged},
    segment::Meta,
    store::{Known, Put},
};

/// How many checkpoints one manifest holds at most.
const MOST: usize = 128;

/// The live checkpoints: the newest, and where the earlier ones are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The newest, oldest first.
    pub checkpoints: Vec<Checkpoint>,
    /// How many earlier ones there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    earlier: u64,
    /// The manifest with the checkpoints before these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    continues: Option<Page>,
    /// A page much earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jump: Option<Page>,
    /// Merged files, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<Merged>,
    /// Segments whose closed times are not to be believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    doubted: Vec<Doubt>,
    /// Intervals that were found to be lost later than moments behind them were closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    late: Vec<Late>,
    /// Manifests below this one may be gone, but for pages and landmarks ([`Pruner`]).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) pruned: u64,
    /// Up to where the past is thinned out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expired: Option<Expired>,
    /// The manifest's number; 0 for none yet.
    #[serde(skip)]
    pub number: u64,
}

/// An earlier manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Page {
    /// Its number.
    manifest: u64,
    /// How many pages stand before it.
    depth: u64,
    /// Its newest checkpoint.
    newest: Checkpoint,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it may skip by reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Manifest {
    /// The newest manifest.
    pub async fn read(journal: &Journal) -> Result<Self> {
        match journal.store().newest_fact("manifest").await? {
            Some((number, bytes)) => Self::parse(number, &bytes),
            None => Ok(Self::default()),
        }
    }

    pub(crate) fn parse(number: u64, bytes: &[u8]) -> Result<Self> {
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|e| Error::corrupt(format!("meta/manifest/{number}"), e.to_string()))?;
        let mut manifest = Self { number, ..manifest };
        // What cannot be is left out: a file of the highest level is found by its name too.
        let mut end = 0;
        manifest.merged.retain(|m| {
            let fits = (1..=HIGHEST).contains(&m.level) && end < m.first && m.first <= m.last && m.last < u64::MAX;
            end = if fits { m.last } else { end };
            fits
        });
        let mut before: Option<&Checkpoint> = None;
        for checkpoint in &mut manifest.checkpoints {
            if let Some(before) = before {
                checkpoint.complete(before);
            }
            before = Some(checkpoint);
        }
        Ok(manifest)
    }

    /// The manifest that this one goes on from, by its number.
    pub(crate) fn continues(&self) -> Option<u64> {
        self.continues.as_ref().map(|page| page.manifest)
    }

    /// The manifest of a number.
    pub(crate) async fn page(journal: &Journal, number: u64) -> Result<Self> {
        let bytes = journal.store().get(&journal.store().layout().meta("manifest", number)).await?;
        Self::parse(number, &bytes)
    }

    /// How many checkpoints there are, those that an expiry kept among them.
    pub fn count(&self) -> u64 {
        let named = self.earlier + self.checkpoints.len() as u64;
        match &self.expired {
            // The base counts as kept.
            Some(expired) => (named.saturating_sub(expired.gone) + expired.kept).saturating_sub(1),
            None => named,
        }
    }

    /// Up to where the past is thinned out, if it is.
    pub fn expired(&self) -> Option<&Expired> {
        self.expired.as_ref()
    }

    /// Whether a checkpoint is live as far as expiry goes.
    fn stands(&self, checkpoint: &Checkpoint) -> bool {
        self.expired.as_ref().is_none_or(|expired| expired.base <= checkpoint.pos)
    }

    /// The base of what is thinned out: from it on the log is whole.
    pub(crate) async fn base(&self, journal: &Journal) -> Result<Option<Checkpoint>> {
        let Some(expired) = &self.expired else { return Ok(None) };
        let base = self.newest(journal, |c| c.pos <= expired.base).await?;
        base.map(Some).ok_or_else(|| {
            let reason = format!("names no checkpoint at position {}, behind which the log begins", expired.base);
            Error::corrupt(format!("meta/manifest/{}", self.number), reason)
        })
    }

    /// Every live checkpoint from the base on, oldest first.
    pub async fn live(&self, journal: &Journal) -> Result<Vec<Checkpoint>> {
        let begins = |page: &Self| page.checkpoints.first().is_none_or(|first| !self.stands(first));
        let mut live: BTreeMap<Position, Checkpoint> = BTreeMap::new();
        let pages = match begins(self) && !self.checkpoints.is_empty() {
            true => Vec::new(),
            false => self.pages(journal, begins).await?,
        };
        for page in std::iter::once(self).chain(&pages) {
            for checkpoint in page.checkpoints.iter().filter(|checkpoint| self.stands(checkpoint)) {
                live.entry(checkpoint.pos).or_insert_with(|| checkpoint.clone());
            }
        }
        Ok(live.into_values().collect())
    }

    /// Says up to where the past is thinned out, unless a later expiry says so already. How many checkpoints stand before the base
    /// is counted here.
    pub(crate) async fn thin(journal: &Journal, expired: &Expired) -> Result<()> {
        let thin = |manifest: Self| async move {
            if manifest.expired.as_ref().is_some_and(|known| known.number >= expired.number) {
                return Ok(None);
            }
            let named = manifest.earlier + manifest.checkpoints.len() as u64;
            let live = manifest.live(journal).await?;
            let before = live.iter().filter(|checkpoint| checkpoint.pos < expired.base).count() as u64;
            let gone = manifest.expired.as_ref().map_or(0, |known| known.gone) + before;
            let expired = Expired { gone: gone.min(named), ..expired.clone() };
            Ok(Some(Self { expired: Some(expired), ..manifest }))
        };
        Self::change(journal, thin).await
    }

    /// Whether a checkpoint at a position can be added: they rise from page to page, so one before all that this list
    /// holds would stand in the wrong one.
    pub fn takes(&self, pos: Position) -> bool {
        self.earlier == 0 || self.checkpoints.first().is_none_or(|first| first.pos <= pos)
    }

    /// The newest live checkpoint that `fits`. All up to some moment must fit, and none after it.
    pub async fn newest(&self, journal: &Journal, fits: impl Fn(&Checkpoint) -> bool) -> Result<Option<Checkpoint>> {
        let found = self.newest_on(journal, |c| !self.stands(c) || fits(c)).await?;
        Ok(found.map(|(found, _)| found).filter(|found| self.stands(found)))
    }

    /// The newest that `fits`, live or not, with the page that it stands on; `None` for this one.
    async fn newest_on(
        &self,
        journal: &Journal,
        fits: impl Fn(&Checkpoint) -> bool,
    ) -> Result<Option<(Checkpoint, Option<Self>)>> {
        let mut page: Option<Self> = None;
        loop {
            let at = page.as_ref().unwrap_or(self);
            if let Some(found) = at.checkpoints.iter().rev().find(|c| fits(c)) {
                return Ok(Some((found.clone(), page)));
            }
            // If not even the jump's newest fits, nothing after it does: the pages in between can be skipped.
            let far = at.jump.as_ref().filter(|jump| !fits(&jump.newest));
            let Some(next) = far.or(at.continues.as_ref()) else { return Ok(None) };
            if next.manifest >= at.number {
                return Err(Error::corrupt(
                    format!("meta/manifest/{}", at.number),
                    "continues one that is not before it",
                ));
            }
            page = Some(Self::page(journal, next.manifest).await?);
        }
    }

    /// The merged files that hold segments from one on, oldest first; `all` of them, or only what serves until about the
    /// next checkpoint. Those of pages that are damaged are left out.
    pub(crate) async fn merged_from(&self, journal: &Journal, from: u64, all: bool) -> Result<Vec<Merged>> {
        let begins = |manifest: &Self| manifest.checkpoints.first().map_or(0, |first| first.segment);
        let mut found = self.merged.clone();
        if self.earlier > 0 && begins(self) > from {
            let pages = if all {
                self.pages(journal, |page| begins(page) <= from).await
            } else {
                self.page_at(journal, from).await
            };
            match pages {
                Ok(pages) => found.extend(pages.into_iter().flat_map(|page| page.merged)),
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                Err(error) => {
                    tracing::warn!(error = %Error::causes(&error), "what was merged long ago is looked for by its names");
                }
            }
        }
        found.retain(|m| m.last >= from);
        // What a page names may since have been merged into what a later one does.
        found.sort_by_key(|m| (m.first, std::cmp::Reverse(m.last)));
        let mut end = 0;
        found.retain(|m| {
            let new = m.first > end;
            end = if new { m.last } else { end };
            new
        });
        Ok(found)
    }

    /// The pages before this manifest, newest first, up to the first that is `enough`.
    async fn pages(&self, journal: &Journal, enough: impl Fn(&Self) -> bool) -> Result<Vec<Self>> {
        let mut pages: Vec<Self> = Vec::new();
        while let Some(next) = &pages.last().unwrap_or(self).continues {
            let before = pages.last().map_or(self.number, |page| page.number);
            if next.manifest >= before || pages.last().is_some_and(&enough) {
                break;
            }
            pages.push(Self::page(journal, next.manifest).await?);
        }
        Ok(pages)
    }

    /// The page with the newest checkpoint that is not after a segment; all pages where there is none.
    async fn page_at(&self, journal: &Journal, segment: u64) -> Result<Vec<Self>> {
        match self.newest_on(journal, |c| c.segment <= segment).await? {
            Some((_, page)) => Ok(page.into_iter().collect()),
            None => self.pages(journal, |_| false).await,
        }
    }

    /// The files of the highest level that follow one another from a segment on, without a hole.
    pub async fn days(&self, journal: &Journal, from: u64) -> Result<Vec<Merged>> {
        let mut days = self.merged_from(journal, from, true).await?;
        let mut next = from;
        let count = days.iter().take_while(|day| {
            let follows = day.level == HIGHEST && day.first == next;
            next = day.last + 1;
            follows
        });
        let count = count.count();
        days.truncate(count);
        Ok(days)
    }

    /// Up to which segment merging is done with: the last of the newest file of the highest level.
    pub async fn merged_up_to(&self, journal: &Journal) -> Result<Option<u64>> {
        let newest = |manifest: &Self| manifest.merged.iter().rfind(|m| m.level == HIGHEST).map(|m| m.last);
        if let Some(last) = newest(self) {
            return Ok(Some(last));
        }
        // An earlier version, which knows no merged files, may have written this manifest.
        let pages = self.pages(journal, |page| newest(page).is_some()).await?;
        Ok(pages.last().and_then(newest))
    }

    /// Adds a merged file, in place of those that it holds, and says whether it is named then. One that holds only part of another
    /// is left out.
    pub async fn add_merged(journal: &Journal, merged: Merged) -> Result<bool> {
        let named = AtomicBool::new(false);
        let add = |mut manifest: Self| {
            let replaced = |known: &Merged| merged.holds(known) && known.level < merged.level;
            let known = manifest.merged.contains(&merged);
            let fits = manifest.merged.iter().all(|known| !known.meets(&merged) || replaced(known));
            manifest.merged.retain(|known| !replaced(known));
            manifest.merged.push(merged.clone());
            manifest.merged.sort_by_key(|known| known.first);
            named.store(fits || known, Ordering::Relaxed);
            std::future::ready(Ok(fits.then_some(manifest)))
        };
        Self::change(journal, add).await?;
        Ok(named.load(Ordering::Relaxed))
    }

    /// The newest checkpoint that `fits`, as its file is. One that is whole and yet not what the manifest says, and does
    /// not fit as what it is, is passed over: an earlier one serves as well. A damaged one is left to whoever reads it,
    /// who says what is wrong with it.
    pub(crate) async fn start(
        &self,
        journal: &Journal,
        fits: impl Fn(&Checkpoint) -> bool,
    ) -> Result<Option<Checkpoint>> {
        let mut below = Position::MAX;
        loop {
            let Some(named) = self.newest(journal, |c| c.pos < below && fits(c)).await? else { return Ok(None) };
            match named.in_truth(journal).await {
                Ok(truth) if fits(&truth) => return Ok(Some(truth)),
                Ok(_) => below = named.pos,
                Err(_) => return Ok(Some(named)),
            }
        }
    }

    /// Adds a checkpoint.
    pub(super) async fn add(journal: &Journal, checkpoint: Checkpoint) -> Result<()> {
        let checkpoint = &checkpoint;
        let add = |manifest: Self| async move {
            // An entry with another footer misdescribes the file.
            let known = |c: &Checkpoint| {
                c.pos == checkpoint.pos && c.segment >= checkpoint.segment && c.footer == checkpoint.footer
            };
            if manifest.checkpoints.iter().any(known) || !manifest.takes(checkpoint.pos) {
                return Ok(None);
            }
            manifest.with(journal, checkpoint.clone()).await.map(Some)
        };
        Self::change(journal, add).await
    }

    /// Adds segments to doubt.
    pub(crate) async fn add_doubt(journal: &Journal, doubt: Doubt) -> Result<()> {
        let add = |mut manifest: Self| {
            manifest.doubted.retain(|known| !doubt.holds(known));
            manifest.doubted.push(doubt.clone());
            std::future::ready(Ok(Some(manifest)))
        };
        Self::change(journal, add).await
    }

    /// Tells of intervals that were found to be lost, if they are not told of yet.
    pub async fn add_late(journal: &Journal, found: &[Late]) -> Result<()> {
        let add = |mut manifest: Self| {
            let more = Late::add(&mut manifest.late, found);
            std::future::ready(Ok(more.then_some(manifest)))
        };
        Self::change(journal, add).await
    }

    /// The intervals that were found to be lost later than moments behind them were closed.
    pub fn late(&self) -> &[Late] {
        &self.late
    }

    /// Writes what `change` makes of the newest manifest, if anything. If another process writes one first, tries again
    /// with that; and also if the number was free only since the manifest that had it was removed, while this process slept.
    async fn change<F: Future<Output = Result<Option<Self>>>>(
        journal: &Journal,
        change: impl Fn(Self) -> F,
    ) -> Result<()> {
        let (store, layout) = (journal.store(), journal.store().layout());
        loop {
            let began = Known::now(0, store.parts());
            let newest = Self::read(journal).await?;
            let number = newest.number + 1;
            let Some(next) = change(newest).await? else { return Ok(()) };
            if next.write(journal, number).await? == Put::Exists {
                continue;
            }
            let written = began.of(number);
            if !written.is_old(store.parts())
                || store.newest_since(|n| layout.meta("manifest", n), &written).await?.number <= number
            {
                store.met("manifest", written);
                return Ok(());
            }
        }
    }

    /// The same, believing all that segments say.
    pub(crate) fn without_doubts(self) -> Self {
        Self { doubted: Vec::new(), ..self }
    }

    /// Whether a doubt is known.
    pub(crate) fn doubts(&self, doubt: &Doubt) -> bool {
        self.doubted.iter().any(|known| known.holds(doubt))
    }

    /// Takes the closed times of a segment back to what is believed of them.
    pub(crate) fn correct(&self, meta: &mut Meta) {
        for doubt in &self.doubted {
            doubt.correct(meta);
        }
    }

    async fn write(&self, journal: &Journal, number: u64) -> Result<Put> {
        let bytes = serde_json::to_vec(self)
            .map_err(|e| Error::internal("the manifest", "cannot be written").with_source(e))?;
        let path = journal.store().layout().meta("manifest", number);
        journal.store().create(&path, Bytes::from(bytes)).await
    }

    /// The next manifest: this one and a checkpoint more, or one moved on.
    async fn with(mut self, journal: &Journal, checkpoint: Checkpoint) -> Result<Self> {
        self.checkpoints.retain(|c| c.pos != checkpoint.pos);
        let mut next = if self.checkpoints.len() < MOST { self } else { self.turned(journal).await? };
        next.checkpoints.push(checkpoint);
        next.checkpoints.sort_by_key(|c| c.pos);
        Ok(next)
    }

    /// What continues this manifest, as a page, with its newer half.
    async fn turned(self, journal: &Journal) -> Result<Self> {
        let depth = self.continues.as_ref().map_or(0, |page| page.depth + 1);
        let Some(newest) = self.checkpoints.last().cloned() else { return Ok(self) };
        let page = Page { manifest: self.number, depth, newest };
        let jump = match &self.jump {
            // The jump of the page's jump, if both span the same distance.
            Some(first) => {
                let second = Self::page(journal, first.manifest).await?.jump;
                second.filter(|second| depth.abs_diff(first.depth) == first.depth.abs_diff(second.depth))
            }
            None => None,
        };
        let keep = self.checkpoints.len() - MOST / 2;
        let earlier = self.earlier + keep as u64;
        let checkpoints: Vec<Checkpoint> = self.checkpoints.into_iter().skip(keep).collect();
        let begins = checkpoints.first().map_or(0, |first| first.segment);
        let mut merged = self.merged;
        // The newest of them says how far merging has come.
        let newest = merged.iter().rfind(|m| m.level == HIGHEST).map_or(0, |m| m.first);
        merged.retain(|m| m.level < HIGHEST || m.last >= begins || m.first == newest);
        let jump = Some(jump.unwrap_or_else(|| page.clone()));
        Ok(Self {
            checkpoints,
            earlier,
            continues: Some(page),
            jump,
            merged,
            doubted: self.doubted,
            late: self.late,
            pruned: self.pruned,
            expired: self.expired,
            number: self.number,
        })
    }
}

#[cfg(test)]
mod tests;
