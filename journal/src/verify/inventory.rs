//! What there is in a journal's folder, by name.
//!
//! **Invariant.** A name is of a sort only if it is exactly what the journal would write for it; any other is foreign
//! [`sort`].

use std::collections::{BTreeMap, BTreeSet};

use object_store::path::Path;

use super::{Progress, Stage, Tell, numbers::Numbers};
use crate::{
    Journal, Position, Result, bundle,
    layout::{CURSORS, Layout, cursor_name},
    level::HIGHEST,
    proof::{FACTS, SEAL},
    segment::KNOCK,
};

/// How many names are between two words of progress.
const TOLD_EVERY: u64 = 10_000;

/// Beyond this no segment is: a name with such a number is not the journal's.
const MOST: u64 = 1 << 48;

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// Segments.
    pub(super) segments: Numbers,
    /// Merged files: first segment, level, last segment.
    pub(super) merged: BTreeSet<(u64, u8, u64)>,
    /// Checkpoints.
    pub(super) checkpoints: BTreeSet<Position>,
    /// Statements of seals.
    pub(super) statements: BTreeSet<u64>,
    /// Files that no chain value proves, with their sizes.
    pub(super) beside: BTreeMap<String, u64>,
    /// What is none of this.
    pub(super) foreign: Vec<String>,
    /// How many objects of the repository of files there are.
    pub(super) repository: u64,
    /// All objects but those, and their bytes.
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

/// What a name is.
enum Sort {
    Segment(u64),
    Merged(u8, u64, u64),
    Checkpoint(Position),
    Statement(u64),
    Beside,
    Table,
    Repository,
    Knock,
    Cursor,
    Foreign,
}

impl Inventory {
    pub(super) async fn of(journal: &Journal, tell: Tell<'_>) -> Result<Self> {
        let layout = journal.store().layout();
        let root = format!("{}/", layout.root());
        let mut found = Self::default();
        let mut seen = 0_u64;
        journal
            .store()
            .visit(layout.root(), |listed| {
                seen += 1;
                if seen.is_multiple_of(TOLD_EVERY) {
                    tell(Progress { stage: Stage::Listing, done: seen, of: 0 });
                }
                let Some(name) = listed.path.as_ref().strip_prefix(&root) else { return };
                found.add(layout, name, &listed.path, listed.size);
            })
            .await?;
        found.foreign.sort();
        found.foreign.dedup();
        Ok(found)
    }

    fn add(&mut self, layout: &Layout, name: &str, path: &Path, size: u64) {
        let sort = sort(layout, name, path);
        if !matches!(sort, Sort::Repository) {
            self.objects += 1;
            self.bytes += size;
        }
        match sort {
            Sort::Segment(number) => self.segments.insert(number),
            Sort::Merged(level, first, last) => _ = self.merged.insert((first, level, last)),
            Sort::Checkpoint(pos) => _ = self.checkpoints.insert(pos),
            Sort::Statement(number) => _ = self.statements.insert(number),
            Sort::Beside => _ = self.beside.insert(name.to_owned(), size),
            // It follows from the manifest, and is made anew from that where it is taken away.
            Sort::Table => {}
            Sort::Repository => self.repository += 1,
            // It says nothing of the past, and goes when it was answered.
            Sort::Knock => {}
            // How far others were told of the past says nothing of it, and is written by who need not hold the journal.
            Sort::Cursor => {}
            Sort::Foreign => self.foreign.push(name.to_owned()),
        }
    }
}

/// The sort of a name below the cluster's folder.
fn sort(layout: &Layout, name: &str, path: &Path) -> Sort {
    let is = |own: Path| own == *path;
    let number = Layout::number(path).filter(|number| (1..MOST).contains(number));
    let parts: Vec<&str> = name.split('/').collect();
    match (parts.as_slice(), number) {
        (["wal", _], Some(n)) if is(layout.segment(n)) => Sort::Segment(n),
        (["checkpoints", _], _) if Layout::number(path).is_some_and(|pos| is(layout.checkpoint(pos))) => {
            Layout::number(path).map_or(Sort::Foreign, Sort::Checkpoint)
        }
        (["log", "_delta_log", file], _) if is_of_table(layout, file, path) => Sort::Table,
        (["log", _, _], _) => match Layout::numbers(name) {
            Some((level, first, last))
                if (level <= HIGHEST)
                    && (level > bundle::LEVEL || bundle::is_block(first, last))
                    && (1..=last).contains(&first)
                    && last < MOST
                    && is(layout.merged(level, first, last)) =>
            {
                Sort::Merged(level, first, last)
            }
            _ => Sort::Foreign,
        },
        (["meta", SEAL, _], Some(n)) if is(layout.meta(SEAL, n)) => Sort::Statement(n),
        (["meta", KNOCK, _], Some(n)) if is(layout.meta(KNOCK, n)) => Sort::Knock,
        (["meta", CURSORS, _], Some(n)) if is(layout.meta(CURSORS, n)) => Sort::Cursor,
        (["meta", fact, _], Some(n)) if cursor_name(fact).is_some() && is(layout.meta(fact, n)) => Sort::Cursor,
        (["meta", fact, _], Some(n)) if FACTS.contains(fact) && is(layout.meta(fact, n)) => Sort::Beside,
        (["keys", _], _) => Sort::Beside,
        (["points", _, file], _) if is_of_point(file) => Sort::Beside,
        (["restores", _, file], _) if is_of_restore(file) => Sort::Beside,
        (["files", ..], _) => Sort::Repository,
        _ => Sort::Foreign,
    }
}

fn is_of_table(layout: &Layout, file: &str, path: &Path) -> bool {
    let numbered = |tail: &str, own: fn(&Layout, u64) -> Path| {
        file.strip_suffix(tail).and_then(|number| number.parse().ok()).is_some_and(|n| own(layout, n) == *path)
    };
    numbered(".json", Layout::table_commit)
        || numbered(".checkpoint.parquet", Layout::table_checkpoint)
        || layout.table_hint() == *path
}

fn is_of_point(file: &str) -> bool {
    let hold = |number: &str| number.parse().is_ok_and(|n: u64| format!("{n:06}") == number);
    matches!(file, "begin" | "frozen" | "point" | "delete" | "deleted") || file.strip_prefix("hold-").is_some_and(hold)
}

fn is_of_restore(file: &str) -> bool {
    let numbered = |head: &str| {
        file.strip_prefix(head).is_some_and(|number| number.parse().is_ok_and(|n: u64| n.to_string() == number))
    };
    file == "plan" || ["pre-", "outcome-", "bypass-"].into_iter().any(numbered)
}
