//! The merged files as a Delta Lake table, so that SQL engines read a journal in place.
//!
//! **Words**: a *version* of the table is a set of *live* files; a *commit* is the numbered object that makes one version of the one
//! before. The table *ends* at a segment: it holds the rows of all segments up to that one, each once.
//!
//! **Format.** The table's root is `log/`, not the cluster's folder: whatever an engine takes for rubbish of a table's, it finds below
//! its root. `log/_delta_log/<version>.json` is a commit, as lines of JSON; its name is create-if-absent, as all of ours are. Of every
//! [`EVERY`]th version there is `<version>.checkpoint.parquet`, the live files at once, and `_last_checkpoint` says which is the newest.
//! Columns are those of the files, and `day`, of which only the log knows: the day (UTC) on which the newest segment in a file was made.
//!
//! **Invariants.**
//! 1. A row is in one live file of a version or, behind the table's end, in none: a commit takes in a file and lets go of those that it
//!    holds at once, and no file is taken in behind a hole [`Table::follow`].
//! 2. The table follows from the manifest and is never ahead of it: what is to be done is the difference between the two. So whoever
//!    finds a commit missing makes it, and of two that make one the later looks again, the table first and then the manifest [`Table::follow`].
//! 3. Nothing of the log is removed but the hint to the newest checkpoint, which readers do without: it may be old, or missing.
//! 4. Others only read: the log asks of writers what no other program has ([`action`]). What somebody else puts in is let go of.
//! 5. Statistics are those of the files: of positions, revisions and times, never of what objects say [`action`].
//!
//! Not here: removing files, and asking first whether they are live still ([`Table::free_below`]; `compactor`). Nothing that Hindcast
//! itself answers is read from this table.

mod action;
mod columns;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use self::action::Taken;
use crate::{
    Error, Journal, Position, Result,
    checkpoint::Manifest,
    error::ErrorKind,
    layout::Layout,
    level::{HIGHEST, Merged},
    store::{Known, Put},
};

/// Of how many versions one has a checkpoint.
pub const EVERY: u64 = 100;

/// Reads at once.
const AT_ONCE: usize = 16;

/// The table, as far as it was read.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The number of the next commit; 0 before the first, and before anything was read.
    next: u64,
    /// The live files, by their path below the root.
    live: BTreeMap<String, Live>,
    /// The segment that it ends at.
    segment: u64,
    /// Up to which segment it was seen to be as the manifest says; what is behind its end has no rows.
    reached: u64,
    /// What is asked of others, and what the table is, as the log says.
    protocol: Value,
    metadata: Value,
    /// The newest manifest known, and the segment that the log begins with by it: what ended before has expired.
    manifest: Known,
    begins: u64,
    /// The manifest at which nothing was to be done, and the number of the next commit then.
    settled: Option<(u64, u64)>,
}

/// A live file.
#[derive(Debug, Clone)]
struct Live {
    /// Its level, first and last segment; `None` for one that is not ours.
    named: Option<(u8, u64, u64)>,
    size: u64,
    /// All that the log says of it.
    add: Value,
}

impl Live {
    fn ends_below(&self, segment: u64) -> bool {
        self.named.is_some_and(|(_, _, last)| last < segment)
    }

    fn meets(&self, merged: &Merged) -> bool {
        self.named.is_some_and(|(_, first, last)| first <= merged.last && merged.first <= last)
    }
}

/// A commit that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// The version that it made.
    pub version: u64,
    /// The segment that the table ends at now.
    pub segment: u64,
    /// The position of the last row in it.
    pub position: Position,
    /// How many files were taken in.
    pub added: usize,
    /// How many were let go of.
    pub removed: usize,
}

impl Table {
    /// Whether there is a table at all.
    pub async fn stands(journal: &Journal) -> Result<bool> {
        journal.store().exists(&journal.store().layout().table_commit(0)).await
    }

    /// Makes the table what the manifest says, if it is not. `all` looks at every file, and not only at those behind the last that cannot
    /// change any more.
    pub async fn follow(&mut self, journal: &Journal, all: bool) -> Result<Option<Commit>> {
        loop {
            // In this order: a manifest that is read later is not older than the one that the table followed.
            self.load(journal).await?;
            let Some((commit, actions)) = self.difference(journal, all).await? else {
                self.settled = Some((self.manifest.number, self.next));
                return Ok(None);
            };
            let path = journal.store().layout().table_commit(self.next);
            if journal.store().create(&path, action::lines(&actions)?).await? == Put::Exists {
                // Somebody else's, or ours of which the answer was lost.
                continue;
            }
            for action in actions {
                self.take(action);
            }
            self.next += 1;
            if commit.version > 0
                && commit.version.is_multiple_of(EVERY)
                && let Err(error) = self.checkpoint(journal, commit.version).await
            {
                // The next one serves as well.
                tracing::warn!(error = %Error::causes(&error), hint = error.hint(), "could not write a checkpoint of the Delta table");
            }
            return Ok(Some(commit));
        }
    }

    /// Below which segment merged files of lower levels may be removed: none that ends there is live.
    pub fn free_below(&self) -> u64 {
        self.lower().map(|(_, last)| last).min().unwrap_or(u64::MAX)
    }

    /// Whether a file is live that ends below a segment.
    pub fn holds_below(&self, segment: u64) -> bool {
        self.live.values().any(|live| live.ends_below(segment))
    }

    /// The paths below the root of the live files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.live.keys().map(String::as_str)
    }

    /// The segment that it ends at; 0 for none.
    pub fn end(&self) -> u64 {
        self.segment
    }

    /// First and last segment of live files that will be merged once more.
    fn lower(&self) -> impl Iterator<Item = (u64, u64)> {
        let named = self.live.values().filter_map(|live| live.named);
        named.filter(|(level, ..)| *level < HIGHEST).map(|(_, first, last)| (first, last))
    }

    /// Reads what was committed since the last time.
    async fn load(&mut self, journal: &Journal) -> Result<()> {
        let (store, layout) = (journal.store(), journal.store().layout());
        if let Some(last) = self.next.checked_sub(1)
            && !store.exists(&layout.table_commit(last)).await?
        {
            tracing::warn!("the log of the Delta table was taken away, and is made anew");
            *self = Self::default();
        }
        let known = if self.next == 0 { hinted(journal).await? } else { self.next };
        let next = store.newest(|n| layout.table_commit(n.saturating_sub(1)), known).await?;
        if self.next == 0 {
            self.begin(journal, next).await?;
        }
        let read = |version| {
            let (store, path) = (store.clone(), layout.table_commit(version));
            async move { Ok::<_, Error>((version, path.to_string(), store.get(&path).await.map_err(renewable)?)) }
        };
        let mut commits = futures::stream::iter(self.next..next).map(read).buffered(AT_ONCE);
        while let Some((version, path, bytes)) = commits.try_next().await? {
            for action in action::read(&path, &bytes).map_err(renewable)? {
                self.take(action);
            }
            self.next = version + 1;
        }
        Ok(())
    }

    /// Takes the newest checkpoint that there is below a version.
    async fn begin(&mut self, journal: &Journal, next: u64) -> Result<()> {
        let mut version = next.saturating_sub(1) / EVERY * EVERY;
        while version > 0 {
            let path = journal.store().layout().table_checkpoint(version);
            if let Some(bytes) = journal.store().get_opt(&path).await? {
                match columns::read(path.as_ref(), bytes) {
                    Ok(actions) => {
                        for action in actions {
                            self.take(action);
                        }
                        self.next = version + 1;
                        return Ok(());
                    }
                    Err(error) => {
                        tracing::warn!(error = %Error::causes(&error), "an earlier checkpoint of the Delta table is taken");
                    }
                }
            }
            version = version.saturating_sub(EVERY);
        }
        Ok(())
    }

    /// Carries out what an action says.
    fn take(&mut self, action: Value) {
        match Taken::from(action) {
            Taken::Add { path, size, add } => {
                let named = Layout::numbers(&format!("log/{path}"));
                self.live.insert(path, Live { named, size, add });
            }
            Taken::Remove { path } => _ = self.live.remove(&path),
            Taken::End { segment } => self.segment = segment,
            Taken::Protocol(protocol) => self.protocol = protocol,
            Taken::Metadata(metadata) => self.metadata = metadata,
            Taken::Nothing => {}
        }
    }

    /// What is to be committed so that the table is as the manifest says.
    async fn difference(&mut self, journal: &Journal, all: bool) -> Result<Option<(Commit, Vec<Value>)>> {
        let run = self.run(journal, all).await?;
        let Some(end) = run.last().map(|last| last.last.max(self.segment)) else { return Ok(None) };
        let with_rows: Vec<(&Merged, String)> =
            run.iter().filter(|file| file.rows.0 <= file.rows.1).map(|file| (file, path_of(file))).collect();
        let stands = |(file, path): &(&Merged, String)| self.live.get(path).is_some_and(|live| live.size == file.bytes);
        let added: Vec<&(&Merged, String)> = with_rows.iter().filter(|file| !stands(file)).collect();
        let kept: BTreeSet<&str> = with_rows.iter().map(|(_, path)| path.as_str()).collect();
        let holds = |live: &Live| {
            let Some((_, first, _)) = live.named else { return true };
            let at = run.partition_point(|file| file.last < first);
            run.get(at).is_some_and(|file| live.meets(file))
        };
        let goes = |live: &Live| live.ends_below(self.begins) || holds(live);
        let removed: Vec<(&String, &Live)> =
            self.live.iter().filter(|(path, live)| !kept.contains(path.as_str()) && goes(live)).collect();
        let metadata = action::metadata(journal, &self.metadata)?;
        if added.is_empty() && removed.is_empty() && (self.next == 0 || metadata.is_none()) {
            // Of files without rows nothing is committed. What is to be is looked at again if that fails.
            self.reached = self.reached.max(end);
            return Ok(None);
        }
        let files: Vec<Merged> = added.iter().map(|(file, _)| (*file).clone()).collect();
        let bounds = files.into_iter().map(|file| described(journal.clone(), file));
        let bounds: Vec<_> = futures::stream::iter(bounds).buffered(AT_ONCE).try_collect().await?;
        let position = with_rows.iter().map(|(file, _)| file.rows.1).max().unwrap_or_default();
        let (version, counts) = (self.next, (added.len(), removed.len()));
        let commit = Commit { version, segment: end, position, added: counts.0, removed: counts.1 };
        let now = journal.parts().clock.now();
        // Rows that stood in the table already are only elsewhere now.
        let news = end > self.segment;
        let mut actions = vec![action::info(&commit, news, now, run.last().map_or(0, |last| last.made.1))];
        if self.next == 0 {
            actions.push(action::protocol());
        }
        actions.extend(metadata);
        actions.push(action::end(end, now));
        actions.extend(removed.iter().map(|(path, live)| action::remove(path, &live.add, news, now)));
        for ((file, path), bounds) in added.into_iter().zip(bounds) {
            actions.push(action::add(file, path, bounds.as_ref(), news)?);
        }
        Ok(Some((commit, actions)))
    }

    /// The merged files, as the newest manifest names them, that follow one another without a hole from the first that may not be in the
    /// table as it should; from the very first if `all` are to be looked at.
    async fn run(&mut self, journal: &Journal, all: bool) -> Result<Vec<Merged>> {
        let Some(manifest) = self.newest_manifest(journal, all).await? else { return Ok(Vec::new()) };
        let open = self.lower().map(|(first, _)| first).min();
        let behind = self.segment.max(self.reached) + 1;
        let mut from = if all || self.next == 0 { 0 } else { open.unwrap_or(behind) };
        let mut files = manifest.merged_from(journal, from, true).await?;
        if from > 0 && files.first().is_some_and(|file| file.first < from) {
            from = 0;
            files = manifest.merged_from(journal, 0, true).await?;
        }
        files.retain(|file| file.last >= self.begins);
        let mut next = match files.first() {
            _ if from > 0 => from,
            // Of lower levels, files may be missing before the first until a day is over.
            Some(first) if first.first == 1 || first.level == HIGHEST || first.first <= self.segment + 1 => first.first,
            _ => return Ok(Vec::new()),
        };
        let mut follows = |file: &Merged| {
            let follows = file.first == next;
            next = if follows { file.last + 1 } else { next };
            follows
        };
        let count = files.iter().take_while(|file| follows(file)).count();
        files.truncate(count);
        Ok(files)
    }

    /// The newest manifest, found from the newest one known; `None` if nothing was to be done at it, unless `all` is looked at.
    async fn newest_manifest(&mut self, journal: &Journal, all: bool) -> Result<Option<Manifest>> {
        let (store, layout) = (journal.store(), journal.store().layout());
        let known = store.known("manifest");
        let known = if self.manifest.number < known.number { known } else { self.manifest };
        let asked = match self.manifest.number {
            0 => Known::now(0, store.parts()),
            _ => store.newest_since(|n| layout.meta("manifest", n), &known).await?,
        };
        if asked.number > 0 && !all && self.settled == Some((asked.number, self.next)) {
            self.manifest = asked;
            return Ok(None);
        }
        let page = match asked.number {
            0 => None,
            number => match Manifest::page(journal, number).await {
                // An older copy of the bucket was put in its place: what was known is forgotten.
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                page => Some(page?),
            },
        };
        let manifest = match page {
            Some(page) => page,
            None => Manifest::read(journal).await?,
        };
        self.manifest = asked.of(manifest.number);
        self.begins = manifest.expired().map_or(self.begins, |expired| expired.segment.max(self.begins));
        Ok(Some(manifest))
    }

    /// Writes the live files of a version as one file, and where it is.
    async fn checkpoint(&self, journal: &Journal, version: u64) -> Result<()> {
        let (store, layout) = (journal.store(), journal.store().layout());
        let adds = self.live.values().map(|live| action::standing(&live.add));
        let now = journal.parts().clock.now();
        let rest =
            [action::as_protocol(&self.protocol), action::as_metadata(&self.metadata), action::end(self.segment, now)];
        let actions: Vec<Value> = rest.into_iter().chain(adds).collect();
        store.create(&layout.table_checkpoint(version), columns::write(&actions)?).await?;
        let hint = action::hint(version, actions.len());
        if store.create(&layout.table_hint(), hint.clone()).await? == Put::Exists {
            // An old one serves too: where nothing can be removed, it stays.
            store.remove(&layout.table_hint()).await?;
            store.create(&layout.table_hint(), hint).await?;
        }
        Ok(())
    }
}

/// How many commits there are at least, as the hint says.
async fn hinted(journal: &Journal) -> Result<u64> {
    let (store, layout) = (journal.store(), journal.store().layout());
    let hint = store.get_opt(&layout.table_hint()).await?;
    match hint.and_then(|bytes| action::hinted(&bytes)) {
        Some(version) if store.exists(&layout.table_commit(version)).await? => Ok(version + 1),
        _ => Ok(0),
    }
}

/// What a file's footer says. A file that is damaged is named all the same: whoever reads it says what is wrong with it.
async fn described(journal: Journal, file: Merged) -> Result<Option<crate::partly::Extent>> {
    match file.statistics(&journal).await {
        Ok(bounds) => Ok(Some(bounds)),
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
            tracing::warn!(error = %Error::causes(&error), hint = error.hint(), "the Delta table names a file that is damaged");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A file's path below the root.
fn path_of(file: &Merged) -> String {
    let Merged { level, first, last, .. } = file;
    format!("{level}/{first:020}-{last:020}.parquet")
}

/// What helps where the log is damaged.
fn renewable(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::NotFound => {
            error.with_hint("move log/_delta_log away: nothing else depends on it, and it is made anew")
        }
        _ => error,
    }
}
