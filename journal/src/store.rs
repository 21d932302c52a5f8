//! The bucket as the journal needs it: create-if-absent, get, list.
//!
//! **Invariants.** (1) Nothing is ever overwritten: [`Store::create`] is the only write. (2) [`Put::Exists`] is
//! only said when something was seen to stand there; S3's transient 409 on a race reads as "unavailable, retry".
//! (3) No answer within the time limit is "unavailable", never a verdict.
//!
//! Not here: what an existing object means for a writer (`writer`), deletes (nothing in this crate deletes).

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::{
    ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, path::Path,
};

use crate::{Error, ErrorKind, Parts, Result, layout::Layout};

/// How long one request may take before it counts as unanswered.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);

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
}

impl Store {
    /// The folder that `layout` names in `inner`.
    pub fn new(inner: Arc<dyn ObjectStore>, layout: Layout, parts: Parts) -> Self {
        Self { inner, layout, parts }
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
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.inner.put_opts(path, PutPayload::from_bytes(bytes), options);
        match self.limited(path, put).await? {
            Ok(_) => Ok(Put::Created),
            Err(object_store::Error::AlreadyExists { .. }) => {
                match self.limited(path, self.inner.head(path)).await? {
                    Ok(_) => Ok(Put::Exists),
                    Err(object_store::Error::NotFound { .. }) => Err(Error::new(
                        ErrorKind::Unavailable,
                        path.to_string(),
                        "the store reported a conflict, but nothing stands there",
                    )),
                    Err(e) => Err(convert(path, e)),
                }
            }
            Err(e) => Err(convert(path, e)),
        }
    }

    /// Whether there is an object of that name.
    pub(crate) async fn exists(&self, path: &Path) -> Result<bool> {
        match self.limited(path, self.inner.head(path)).await? {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(convert(path, e)),
        }
    }

    /// The object's bytes, or `None` when there is no such object.
    pub async fn get_opt(&self, path: &Path) -> Result<Option<Bytes>> {
        let read = async {
            match self.inner.get(path).await {
                Ok(found) => found.bytes().await.map(Some),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(e) => Err(e),
            }
        };
        self.limited(path, read).await?.map_err(|e| convert(path, e))
    }

    /// The object's bytes.
    pub async fn get(&self, path: &Path) -> Result<Bytes> {
        self.get_opt(path)
            .await?
            .ok_or_else(|| Error::not_found(path.to_string(), "is not in the bucket"))
    }

    /// A range of the object's bytes.
    pub async fn get_range(&self, path: &Path, range: Range<u64>) -> Result<Bytes> {
        self.limited(path, self.inner.get_range(path, range)).await?.map_err(|e| convert(path, e))
    }

    /// The objects below `folder` whose names sort after `after`, in order.
    pub async fn list(&self, folder: &Path, after: Option<&Path>) -> Result<Vec<Listed>> {
        let stream = match after {
            Some(after) => self.inner.list_with_offset(Some(folder), after),
            None => self.inner.list(Some(folder)),
        };
        let all = stream
            .map_ok(|meta| Listed { path: meta.location, size: meta.size })
            .try_collect::<Vec<_>>();
        let mut all = self.limited(folder, all).await?.map_err(|e| convert(folder, e))?;
        all.sort_by(|a, b| a.path.as_ref().cmp(b.path.as_ref()));
        Ok(all)
    }

    /// The newest number of a numbered fact, with its bytes.
    pub async fn newest_fact(&self, what: &str) -> Result<Option<(u64, Bytes)>> {
        let all = self.list(&self.layout.metas(what), None).await?;
        let Some(n) = all.iter().filter_map(|l| Layout::number(&l.path)).max() else {
            return Ok(None);
        };
        Ok(Some((n, self.get(&self.layout.meta(what, n)).await?)))
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
        self.parts.timeout(REQUEST_LIMIT, work).await.ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                path.to_string(),
                format!("the store gave no answer within {} s", REQUEST_LIMIT.as_secs()),
            )
        })
    }
}

/// Sorts a store's error by remedy.
pub(crate) fn convert(path: &Path, error: object_store::Error) -> Error {
    use object_store::Error as E;
    let (kind, reason, hint) = match &error {
        E::NotFound { .. } => (ErrorKind::NotFound, "is not in the bucket".to_owned(), None),
        E::PermissionDenied { .. } => (
            ErrorKind::Denied,
            "the store refused permission".to_owned(),
            Some("the writer needs put, get and list on the journal's prefix; no delete"),
        ),
        E::Unauthenticated { .. } => (
            ErrorKind::Denied,
            "the store did not accept the credentials".to_owned(),
            Some("check the credentials in the environment (AWS_ACCESS_KEY_ID, …)"),
        ),
        E::NotImplemented { .. } | E::NotSupported { .. } => (
            ErrorKind::Invalid,
            format!("the store cannot do this: {error}"),
            Some("Hindcast needs create-if-absent, get and list"),
        ),
        other => {
            let (kind, reason, hint) = unsorted(&Error::causes(other));
            (kind, reason, Some(hint))
        }
    };
    let out = Error::new(kind, path.to_string(), reason).with_source(error);
    match hint {
        Some(hint) => out.with_hint(hint),
        None => out,
    }
}

/// The library sorts some answers only by their text, refused lists among them.
fn unsorted(text: &str) -> (ErrorKind, String, &'static str) {
    let says = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if says(&["403 Forbidden", "401 Unauthorized"]) {
        let reason = format!("the store refused permission: {text}");
        let hint = "check the credentials in the environment, and their rights on the journal's prefix";
        (ErrorKind::Denied, reason, hint)
    } else if says(&["507 Insufficient", "StorageFull", "No space left", "os error 28", "QuotaExceeded"]) {
        (ErrorKind::Unavailable, format!("the store is full: {text}"), "make room in the store, or raise its quota")
    } else {
        let hint = "check that the store is up, and that the journal's URL and endpoint name it";
        (ErrorKind::Unavailable, text.to_owned(), hint)
    }
}
