//! What compaction would do, or did.

use hindcast_compactor::{Done, Outlook, merge::Job};
use hindcast_journal::delta::Commit;
use serde::Serialize;

use super::API_VERSION;

/// What is to be written and removed, or was.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Compaction {
    api_version: &'static str,
    kind: &'static str,
    /// Whether it is done, and not only planned.
    pub(crate) done: bool,
    /// Why a checkpoint is due, or where one was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint: Option<String>,
    /// The merged files.
    pub(crate) merged: Vec<MergedFile>,
    /// What the Delta Lake table became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) table: Option<TableCommit>,
    /// How many segments go that merged files hold too.
    pub(crate) removed: u64,
}

/// A merged file.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MergedFile {
    /// Its level, from 1.
    pub(crate) level: u8,
    /// Its first segment.
    pub(crate) first: u64,
    /// Its last segment.
    pub(crate) last: u64,
    /// Its size, once it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
}

/// A version of the Delta Lake table.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TableCommit {
    /// Its number, from 0.
    pub(crate) version: u64,
    /// The segment that it ends at.
    pub(crate) segment: u64,
    /// The position of the last row in it.
    pub(crate) position: u64,
}

impl Compaction {
    fn new(done: bool) -> Self {
        Self { api_version: API_VERSION, kind: "Compaction", done, ..Self::default() }
    }

    /// What there is to do.
    pub(crate) fn planned(outlook: &Outlook) -> Self {
        let merged = outlook.merges.iter().map(|Job { level, first, last }| MergedFile {
            level: *level,
            first: *first,
            last: *last,
            bytes: None,
        });
        Self {
            checkpoint: outlook.checkpoint.as_ref().map(|plan| plan.reason.clone()),
            merged: merged.collect(),
            removed: outlook.trim.as_ref().map_or(0, |trim| trim.segments.end - trim.segments.start),
            ..Self::new(false)
        }
    }

    /// What was done.
    pub(crate) fn done(all: &[Done]) -> Self {
        let mut out = Self::new(true);
        for done in all {
            match done {
                Done::Checkpoint(checkpoint) => out.checkpoint = Some(format!("at position {}", checkpoint.pos)),
                Done::Merged(merged) => out.merged.push(MergedFile {
                    level: merged.level,
                    first: merged.first,
                    last: merged.last,
                    bytes: Some(merged.bytes),
                }),
                Done::Table(commit) => {
                    let Commit { version, segment, position, .. } = *commit;
                    out.table = Some(TableCommit { version, segment, position });
                }
                Done::Removed(trimmed) => out.removed += trimmed.segments,
            }
        }
        out
    }

    /// Whether there was nothing to do.
    pub(crate) fn is_nothing(&self) -> bool {
        self.checkpoint.is_none() && self.merged.is_empty() && self.table.is_none() && self.removed == 0
    }
}
