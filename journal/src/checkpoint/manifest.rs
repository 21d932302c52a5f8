//! The manifest: which checkpoints are live, however many there come to be.
//!
//! **Format.** `meta/manifest/<n>` is JSON: `checkpoints`, the newest ones, oldest first, at most [`MOST`]; `earlier`,
//! how many stand before those; and, if there are any, two [`Page`]s. `continues` is the manifest that goes on where
//! this list begins, and `jump` one far before that. Each page named was the newest manifest once, so it is never
//! written for this and never changes. What is left out is empty or 0: the first format had `checkpoints` alone, all of
//! them, and reads as a page before which there is nothing. `doubted` names segments whose closed times were ahead of
//! the time ([`Doubt`]).
//!
//! When a list is full its manifest becomes a page: the next one keeps the newer half, so that the newest moments are
//! always answered from one manifest, and continues the page. So each manifest has a bounded size, and their total size
//! grows with their number. `jump` spans as many pages as make the way to any of `p` pages at most about 2 log p long:
//! it is the jump of the page's own jump if those two span the same, else the page itself.
//!
//! **Invariants.** (1) The newest number is the value. (2) Following `continues` meets every live checkpoint. (3)
//! Checkpoints rise by position, in a manifest and from page to page.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Checkpoint, Doubt};
use crate::{Error, Journal, Position, Result, segment::Meta, store::Put};

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
    /// Segments whose closed times are not to be believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    doubted: Vec<Doubt>,
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

    fn parse(number: u64, bytes: &[u8]) -> Result<Self> {
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|e| Error::corrupt(format!("meta/manifest/{number}"), e.to_string()))?;
        let mut manifest = Self { number, ..manifest };
        let mut before: Option<&Checkpoint> = None;
        for checkpoint in &mut manifest.checkpoints {
            if let Some(before) = before {
                checkpoint.complete(before);
            }
            before = Some(checkpoint);
        }
        Ok(manifest)
    }

    async fn page(journal: &Journal, number: u64) -> Result<Self> {
        let bytes = journal.store().get(&journal.store().layout().meta("manifest", number)).await?;
        Self::parse(number, &bytes)
    }

    /// How many checkpoints there are.
    pub fn count(&self) -> u64 {
        self.earlier + self.checkpoints.len() as u64
    }

    /// Whether a checkpoint at a position can be added: they rise from page to page, so one before all that this list
    /// holds would stand in the wrong one.
    pub fn takes(&self, pos: Position) -> bool {
        self.earlier == 0 || self.checkpoints.first().is_none_or(|first| first.pos <= pos)
    }

    /// The newest checkpoint that `fits`. All up to some moment must fit, and none after it.
    pub async fn newest(&self, journal: &Journal, fits: impl Fn(&Checkpoint) -> bool) -> Result<Option<Checkpoint>> {
        let mut page: Option<Self> = None;
        loop {
            let at = page.as_ref().unwrap_or(self);
            if let Some(found) = at.checkpoints.iter().rev().find(|c| fits(c)) {
                return Ok(Some(found.clone()));
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

    /// Writes what `change` makes of the newest manifest, if anything. If another process writes one first, tries again
    /// with that.
    async fn change<F: Future<Output = Result<Option<Self>>>>(
        journal: &Journal,
        change: impl Fn(Self) -> F,
    ) -> Result<()> {
        loop {
            let newest = Self::read(journal).await?;
            let number = newest.number + 1;
            let Some(next) = change(newest).await? else { return Ok(()) };
            if next.write(journal, number).await? == Put::Created {
                return Ok(());
            }
        }
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
        let checkpoints = self.checkpoints.into_iter().skip(keep).collect();
        let jump = Some(jump.unwrap_or_else(|| page.clone()));
        Ok(Self { checkpoints, earlier, continues: Some(page), jump, ..self })
    }
}

#[cfg(test)]
mod tests;
