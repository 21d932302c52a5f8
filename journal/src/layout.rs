//! Names of objects in the bucket, under `<prefix>/<cluster uid>/`.
//!
//! Every object is written once, create-if-absent. Mutable facts are numbered, and the newest number is the value.
//! Numbers begin at 1 and have no holes, except that the oldest may be gone; so the newest is found by asking for
//! single names.

use object_store::path::Path;

/// The numbered fact that names the fan-outs. It and their cursors say nothing of the past: no seal states them.
pub const CURSORS: &str = "cursors";

/// The numbered fact that tells what was done with data keys ([`crate::custody`]).
pub const CUSTODY: &str = "custody";

/// The longest name of a fan-out.
pub const LONGEST_CURSOR: usize = 63;

/// The numbered fact that is the cursor of the fan-out of this name.
pub fn cursor(name: &str) -> String {
    format!("cursor-{name}")
}

/// The name of the fan-out whose cursor this fact is, if it is one.
pub fn cursor_name(fact: &str) -> Option<&str> {
    fact.strip_prefix("cursor-").filter(|name| is_cursor_name(name))
}

/// Whether a fan-out may be called this: lower-case letters, digits and hyphens.
pub fn is_cursor_name(name: &str) -> bool {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=LONGEST_CURSOR).contains(&name.len()) && name.bytes().all(fits)
}

/// The names below one cluster's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: Path,
}

impl Layout {
    /// The names of `cluster` under `prefix`.
    pub fn new(prefix: &Path, cluster: &str) -> Self {
        Self { root: prefix.clone().join(cluster) }
    }

    /// The cluster's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Segment number `n`, from 1.
    pub fn segment(&self, n: u64) -> Path {
        self.below("wal", &format!("{n:020}.parquet"))
    }

    /// The folder of segments.
    pub fn segments(&self) -> Path {
        self.root.clone().join("wal")
    }

    /// The checkpoint whose newest row is at `pos`.
    pub fn checkpoint(&self, pos: u64) -> Path {
        self.below("checkpoints", &format!("{pos:020}.parquet"))
    }

    /// The folder of checkpoints.
    pub fn checkpoints(&self) -> Path {
        self.root.clone().join("checkpoints")
    }

    /// The merged file of a level with the segments from one to another.
    pub fn merged(&self, level: u8, first: u64, last: u64) -> Path {
        self.levels().join(level.to_string()).join(format!("{first:020}-{last:020}.parquet"))
    }

    /// The folder of merged files.
    pub fn levels(&self) -> Path {
        self.root.clone().join("log")
    }

    /// The folder of the log of the Delta Lake table whose root is the folder of merged files.
    pub fn table(&self) -> Path {
        self.levels().join("_delta_log")
    }

    /// The commit of a version of that table, from 0.
    pub(crate) fn table_commit(&self, version: u64) -> Path {
        self.table().join(format!("{version:020}.json"))
    }

    /// The table's checkpoint at a version.
    pub(crate) fn table_checkpoint(&self, version: u64) -> Path {
        self.table().join(format!("{version:020}.checkpoint.parquet"))
    }

    /// Where the table's newest checkpoint is said to be.
    pub(crate) fn table_hint(&self) -> Path {
        self.table().join("_last_checkpoint")
    }

    /// Fact number `n` of `what`: `manifest` or `boundary`.
    pub fn meta(&self, what: &str, n: u64) -> Path {
        self.metas(what).join(format!("{n:020}"))
    }

    /// The folder of the facts `what`.
    pub fn metas(&self, what: &str) -> Path {
        self.below("meta", what)
    }

    /// The folder of restores' records.
    pub fn restores(&self) -> Path {
        self.root.clone().join("restores")
    }

    /// An object of the record of the restore `id`: `plan`, `pre-<n>`, `outcome-<n>`.
    pub fn restore(&self, id: &str, name: &str) -> Path {
        self.restores().join(id).join(name)
    }

    /// The folder of recovery points.
    pub fn points(&self) -> Path {
        self.root.clone().join("points")
    }

    /// The folder of the repository of files.
    pub fn files(&self) -> Path {
        self.root.clone().join("files")
    }

    /// A wrapped data key.
    pub fn data_key(&self, id: &str) -> Path {
        self.below("keys", id)
    }

    /// The folder of wrapped data keys.
    pub fn data_keys(&self) -> Path {
        self.root.clone().join("keys")
    }

    /// An object by its name below the cluster's folder.
    pub(crate) fn named(&self, name: &str) -> Path {
        name.split('/').fold(self.root.clone(), Path::join)
    }

    fn below(&self, folder: &str, name: &str) -> Path {
        self.root.clone().join(folder).join(name)
    }

    /// The number in the last part of a path, such as a segment's.
    pub fn number(path: &Path) -> Option<u64> {
        let name = path.filename()?;
        digits(name.strip_suffix(".parquet").unwrap_or(name))
    }

    /// The level and the first and last segment that a merged file's name says.
    pub fn numbers(name: &str) -> Option<(u8, u64, u64)> {
        let (folder, file) = name.strip_suffix(".parquet")?.rsplit_once('/')?;
        let below = folder.rsplit_once("/log/").map(|(_, level)| level);
        let level = below.or_else(|| folder.strip_prefix("log/"))?;
        let (first, last) = file.split_once('-')?;
        Some((level.parse().ok()?, digits(first)?, digits(last)?))
    }
}

/// A number of 20 digits.
fn digits(text: &str) -> Option<u64> {
    if text.len() == 20 { text.parse().ok() } else { None }
}
