//! The tree that is read, and what of it could not be.
//!
//! The format's library goes on where a file cannot be read, and only logs that. Here it is written down: a snapshot that
//! lacks files must say so.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use hindcast_journal::Error;
use rustic_core::{
    Excludes, LocalSource, LocalSourceFilterOptions, LocalSourceSaveOptions, ReadSource, ReadSourceEntry,
    ReadSourceOpen, RusticResult,
};

/// How many names are kept; beyond them only their number.
const NAMED: usize = 100;

/// What could not be read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Missed(Arc<Mutex<(Vec<String>, usize)>>);

impl Missed {
    fn add(&self, what: String) {
        let mut missed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (named, more) = &mut *missed;
        if named.len() < NAMED { named.push(what) } else { *more += 1 }
    }

    /// Their names with the reasons, and at the end how many more there are.
    pub(crate) fn all(&self) -> Vec<String> {
        let missed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (named, more) = &*missed;
        let more = (*more > 0).then(|| format!("and {more} more"));
        named.iter().cloned().chain(more).collect()
    }
}

/// A tree on this machine.
pub(crate) struct Tree {
    inner: LocalSource,
    root: PathBuf,
    pub(crate) missed: Missed,
}

impl Tree {
    /// The tree below a folder, within its file system.
    pub(crate) fn new(root: &Path) -> RusticResult<Self> {
        let within = LocalSourceFilterOptions::default().one_file_system(true);
        let inner = LocalSource::new(LocalSourceSaveOptions::default(), &Excludes::default(), &within, &[root])?;
        Ok(Self { inner, root: root.to_owned(), missed: Missed::default() })
    }
}

impl ReadSource for Tree {
    type Open = Opening;
    type Iter = Entries;

    fn size(&self) -> RusticResult<Option<u64>> {
        self.inner.size()
    }

    fn entries(&self) -> Self::Iter {
        Entries { inner: self.inner.entries(), root: self.root.clone(), missed: self.missed.clone() }
    }
}

/// Its entries, one after another.
pub(crate) struct Entries {
    inner: <LocalSource as ReadSource>::Iter,
    root: PathBuf,
    missed: Missed,
}

impl Iterator for Entries {
    type Item = RusticResult<ReadSourceEntry<Opening>>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = match self.inner.next()? {
            Ok(entry) => entry,
            Err(error) => {
                self.missed.add(Error::causes(&*error));
                return Some(Err(error));
            }
        };
        let name = entry.path.strip_prefix(&self.root).unwrap_or(&entry.path).display().to_string();
        let missed = self.missed.clone();
        let open = entry.open.map(|inner| Opening { inner, name, missed });
        Some(Ok(ReadSourceEntry { path: entry.path, node: entry.node, open }))
    }
}

/// A file that is to be opened.
pub(crate) struct Opening {
    inner: <LocalSource as ReadSource>::Open,
    name: String,
    missed: Missed,
}

impl ReadSourceOpen for Opening {
    type Reader = Reading;

    fn open(self) -> RusticResult<Reading> {
        let Self { inner, name, missed } = self;
        match inner.open() {
            Ok(inner) => Ok(Reading { inner, name, missed }),
            Err(error) => {
                missed.add(format!("{name}: {}", Error::causes_beneath(&*error)));
                Err(error)
            }
        }
    }
}

/// A file that is read.
pub(crate) struct Reading {
    inner: <<LocalSource as ReadSource>::Open as ReadSourceOpen>::Reader,
    name: String,
    missed: Missed,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.missed.add(format!("{}: {error}", self.name));
            }
        })
    }
}
