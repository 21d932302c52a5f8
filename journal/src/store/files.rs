//! The folder of the repository of files, `files/`: what a data mover keeps beside the journal.
//!
//! The repository's own format says what its objects are; here they have only names. Most are named by the digest of what
//! they hold, so that writing one twice writes the same.
//!
//! **Invariants.** (1) Nothing outside the folder can be named. (2) Nothing is overwritten: an object is created, or
//! stands already. (3) A write that may not have been carried out is sent again, which (2) makes safe; an object takes as long
//! as its size may need, since packs are large. (4) This is the one folder from which objects are removed at will: what is
//! no longer needed, the repository knows.
//!
//! Not here: what is in the objects, and the key they are encrypted with.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use object_store::path::{Path, PathPart};

use super::{Listed, Patience, Put, REQUEST_LIMIT, Store};
use crate::{Result, error::ErrorKind};

/// The slowest line that is not taken for a broken one, in bytes a second.
const SLOWEST: u64 = 64 * 1024;

/// The objects of the repository of files.
#[derive(Debug, Clone)]
pub struct Files {
    store: Store,
    root: Path,
}

impl Files {
    /// Those of a journal.
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone(), root: store.layout().files() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The journal's folder that it is in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn path(&self, name: &str) -> Path {
        // Each part is escaped, so that `..` is a name like any other.
        name.split('/').fold(self.root.clone(), |path, part| path.join(PathPart::from(part)))
    }

    /// Writes an object unless one of that name stands, as often as it takes.
    pub async fn create(&self, name: &str, bytes: Bytes) -> Result<Put> {
        let path = self.path(name);
        let limit = REQUEST_LIMIT + Duration::from_secs(bytes.len() as u64 / SLOWEST);
        let mut patience = Patience::new(&self.store.parts);
        loop {
            match self.store.create_within(&path, bytes.clone(), limit).await {
                Ok(put) => return Ok(put),
                Err(error) if error.kind() == ErrorKind::Unavailable => patience.after(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// An object's bytes, or `None` if there is none of that name.
    pub async fn get_opt(&self, name: &str) -> Result<Option<Bytes>> {
        self.store.get_opt(&self.path(name)).await
    }

    /// An object's bytes.
    pub async fn get(&self, name: &str) -> Result<Bytes> {
        self.store.get(&self.path(name)).await
    }

    /// A range of an object's bytes.
    pub async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.store.get_range(&self.path(name), range).await
    }

    /// The objects below a folder, by their last names.
    pub async fn list(&self, folder: &str) -> Result<Vec<(String, u64)>> {
        let listed = self.store.list(&self.path(folder), None).await?;
        let named = |listed: Listed| Some((listed.path.filename()?.to_owned(), listed.size));
        Ok(listed.into_iter().filter_map(named).collect())
    }

    /// Removes an object; one that is not there is removed.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        Patience::ask(&self.store.parts, async || self.store.remove(&path).await).await
    }
}
