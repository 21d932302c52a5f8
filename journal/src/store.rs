//! The bucket as the journal needs it: create-if-absent, get, list, and the newest of names that are numbered.
//!
//! **Words**: a *page* is a store's answer to one request of a listing.
//!
//! **Invariants.** (1) Nothing is ever overwritten: [`Store::create`] is the only write. (2) [`Put::Exists`] is only
//! said when something was seen to be there; S3's transient 409 on a race reads as "unavailable, retry". (3) No answer
//! within the time limit is "unavailable", never a verdict. (4) The limit applies to one request: a listing takes one
//! per page, and goes on behind the last page that came. (5) Reads are retried for a while [`Patience`]; a create never
//! is, since only the caller can judge what is there afterwards. (6) The newest of facts that were found before is found with two
//! requests [`Store::newest_fact`], and where that was long ago with a few more (`since.rs`), whatever was removed meanwhile.
//!
//! Not here: what an existing object means for a writer (`writer`), what an error means (`sort`). Nothing is removed but
//! the objects of recovery points that were deleted ([`crate::point`]), what merged files hold too ([`crate::trim`]), the hint to the
//! newest checkpoint of the Delta Lake table ([`crate::delta`]), and what the repository of files no longer needs ([`Files`]).

mod files;
mod number;
mod patience;
mod since;
mod sort;
#[cfg(test)]
mod tests;
mod visit;

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, path::Path};

pub use self::files::Files;
pub use self::patience::Patience;
pub(crate) use self::since::Known;
pub(crate) use self::sort::{convert, foreign};
use crate::{Error, Parts, Result, error::ErrorKind, layout::Layout};

/// How long one request may take before it counts as unanswered.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);

/// How many names any page but the last has at least.
const PAGE: usize = 1000;

/// What a create found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It was written.
    Created,
    /// Something stands there already (perhaps our own, if an earlier answer was lost).
    Exists,
}

/// An object's name and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The full name.
    pub path: Path,
    /// Bytes.
    pub size: u64,
}

/// One cluster's folder in a bucket.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    layout: Layout,
    parts: Parts,
    /// The newest numbers of facts that were found: the next search begins there, for a process that lives long asks often.
    found: Arc<Mutex<BTreeMap<String, Known>>>,
}

impl Store {
    /// The folder that `layout` names in `inner`.
    pub fn new(inner: Arc<dyn ObjectStore>, layout: Layout, parts: Parts) -> Self {
        Self { inner, layout, parts, found: Arc::default() }
    }

    /// The names.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The clock and randomness.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Writes an object unless one of that name exists.
    pub async fn create(&self, path: &Path, bytes: Bytes) -> Result<Put> {
        self.create_within(path, bytes, REQUEST_LIMIT).await
    }

    /// The same, with another limit for the write.
    async fn create_within(&self, path: &Path, bytes: Bytes, limit: Duration) -> Result<Put> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.inner.put_opts(path, PutPayload::from_bytes(bytes), options);
        match self.within(path, limit, put).await? {
            Ok(_) => Ok(Put::Created),
            Err(object_store::Error::AlreadyExists { .. }) => match self.limited(path, self.inner.head(path)).await? {
                Ok(_) => Ok(Put::Exists),
                Err(object_store::Error::NotFound { .. }) => Err(Error::new(
                    ErrorKind::Unavailable,
                    path.to_string(),
                    "the store reported a conflict, but nothing stands there",
                )),
                Err(e) => Err(convert(path, e)),
            },
            Err(e) => Err(convert(path, e)),
        }
    }

    /// Removes an object; one that is not there is removed. Only of what nobody reads any more.
    pub(crate) async fn remove(&self, path: &Path) -> Result<()> {
        match self.limited(path, self.inner.delete(path)).await? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(convert(path, e)),
        }
    }

    /// Whether there is an object of that name.
    pub async fn exists(&self, path: &Path) -> Result<bool> {
        let ask = async || match self.limited(path, self.inner.head(path)).await? {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(e) if sort::is_mute(&e) => self.begins(path).await,
            Err(e) => Err(convert(path, e)),
        };
        Patience::ask(&self.parts, ask).await
    }

    /// The same by the object's first byte: a refusal of that says why.
    async fn begins(&self, path: &Path) -> Result<bool> {
        match self.limited(path, self.inner.get_range(path, 0..1)).await? {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(convert(path, e)),
        }
    }

    /// The object's bytes, or `None` when there is no such object.
    pub async fn get_opt(&self, path: &Path) -> Result<Option<Bytes>> {
        let read = async || match self.inner.get(path).await {
            Ok(found) => found.bytes().await.map(Some),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(e),
        };
        let ask = async || self.limited(path, read()).await?.map_err(|e| convert(path, e));
        Patience::ask(&self.parts, ask).await
    }

    /// The object's bytes.
    pub async fn get(&self, path: &Path) -> Result<Bytes> {
        self.get_opt(path).await?.ok_or_else(|| Error::not_found(path.to_string(), "is not in the bucket"))
    }

    /// A range of the object's bytes.
    pub async fn get_range(&self, path: &Path, range: Range<u64>) -> Result<Bytes> {
        let read = || self.inner.get_range(path, range.clone());
        let ask = async || self.limited(path, read()).await?.map_err(|e| convert(path, e));
        Patience::ask(&self.parts, ask).await
    }

    /// The objects below `folder` whose names sort after `after`, in order.
    pub async fn list(&self, folder: &Path, after: Option<&Path>) -> Result<Vec<Listed>> {
        let mut all: Vec<Listed> = Vec::new();
        let mut patience = Patience::new(&self.parts);
        while let Err(e) = self.list_on(folder, after, &mut all).await {
            let came = all.len();
            // Folders on disk are listed in no order, so what is missing need not come after the last name.
            let in_order = all.windows(2).all(|w| matches!(w, [a, b] if a.path.as_ref() < b.path.as_ref()));
            if !in_order || came < PAGE {
                all.clear();
            }
            patience.progress(came as u64);
            patience.after(e).await?;
        }
        all.sort_by(|a, b| a.path.as_ref().cmp(b.path.as_ref()));
        Ok(all)
    }

    /// Adds to `all` the names after its last one, page by page, until the end or a failure.
    async fn list_on(&self, folder: &Path, after: Option<&Path>, all: &mut Vec<Listed>) -> Result<()> {
        let behind = all.last().map(|last| last.path.clone());
        let mut stream = match behind.as_ref().or(after) {
            Some(after) => self.inner.list_with_offset(Some(folder), after),
            None => self.inner.list(Some(folder)),
        };
        while let Some(meta) = self.limited(folder, stream.try_next()).await?.map_err(|e| convert(folder, e))? {
            all.push(Listed { path: meta.location, size: meta.size });
        }
        Ok(())
    }

    /// The newest number of a numbered fact, with its bytes.
    pub async fn newest_fact(&self, what: &str) -> Result<Option<(u64, Bytes)>> {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known(what);
        let newest = self.newest_since(|n| self.layout.meta(what, n), &known).await?;
        let n = match newest.number {
            // The first ones may be gone, for instance through a lifecycle rule of the bucket.
            0 => {
                let listed = self.list(&self.layout.metas(what), None).await?;
                let Some(n) = listed.iter().filter_map(|l| Layout::number(&l.path)).max() else {
                    return Ok(None);
                };
                n
            }
            n => n,
        };
        match self.get(&self.layout.meta(what, n)).await {
            // The bucket is not the one that it was: an older copy was put in its place.
            Err(error) if error.kind() == ErrorKind::NotFound && n == known.number => {
                found().remove(what);
                Box::pin(self.newest_fact(what)).await
            }
            Err(error) => Err(error),
            Ok(bytes) => {
                found().insert(what.to_owned(), newest.of(n));
                Ok(Some((n, bytes)))
            }
        }
    }

    /// The newest number of a numbered fact that this process has met.
    pub(crate) fn known(&self, what: &str) -> Known {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(what).copied().unwrap_or_default()
    }

    /// Remembers that a number of a numbered fact was the newest, unless a higher one is known.
    pub(crate) fn met(&self, what: &str, newest: Known) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let known = found.entry(what.to_owned()).or_default();
        if known.number < newest.number {
            *known = newest;
        }
    }

    /// Refuses a store whose create-if-absent does not hold: a second create of one name must fail and must leave
    /// the first one's bytes.
    pub async fn probe(&self) -> Result<()> {
        let path = self.layout.meta("probe", 1);
        let draw = || {
            let mut bytes = [0; 16];
            self.parts.random.fill(&mut bytes);
            Bytes::from(bytes.to_vec())
        };
        let refused = |reason: String| {
            Error::invalid("the store", reason).with_hint(
                "Hindcast needs working create-if-absent (If-None-Match on S3-compatible stores, hard links on file systems)",
            )
        };
        let (first, second) = (draw(), draw());
        let before = self.create(&path, first.clone()).await?;
        if self.create(&path, second.clone()).await? == Put::Created {
            return Err(refused(format!("let {path} be created twice")));
        }
        let stands = self.get(&path).await?;
        if stands == second || (before == Put::Created && stands != first) {
            return Err(refused(format!("overwrote {path} on a create that it reported as refused")));
        }
        Ok(())
    }

    async fn limited<T>(&self, path: &Path, work: impl Future<Output = T>) -> Result<T> {
        self.within(path, REQUEST_LIMIT, work).await
    }

    async fn within<T>(&self, path: &Path, limit: Duration, work: impl Future<Output = T>) -> Result<T> {
        self.parts.timeout(limit, work).await.ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                path.to_string(),
                format!("the store gave no answer within {} s", limit.as_secs()),
            )
            .with_hint("check that the store is up; what stands between (a proxy, a firewall) may hold requests back")
        })
    }
}
