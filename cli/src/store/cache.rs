//! A bounded local cache of what never changes in a bucket: segments, merged files and checkpoints, whole and in parts.
//!
//! **Words**: an *entry* is a file of the cache with one object, or one range of it. Its *tag* is what the store says that the
//! object's content is (`ETag`).
//!
//! **Invariants.**
//! 1. What is answered is what the store has: an entry is answered only after the store said that its tag is still the object's,
//!    by a conditional read whose answer has no bytes, and for [`FRESH`] after that. So a bucket that was replaced, or put back to an
//!    older copy, and an object that was removed, are seen [`Cached::get_opts`].
//! 2. Facts under `meta/`, data keys, points, records and listings are never cached [`is_cached`].
//! 3. An entry that was cut, altered or is another's is none [`Entry::read`]; whatever fails about the cache, the store answers.
//! 4. All entries of a folder are at most as large as was asked for, and a sixteenth more for each process that writes there at once;
//!    the longest unused go first ([`Folder`]).
//! 5. Nobody else reads or writes it: a folder that is not the user's own, or that others may write to, is refused.
//!
//! Who proves what is in a bucket, or removes something there, uses none ([`super::Access::Prove`]).

mod folder;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    ops::Range,
    path::Path as FilePath,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};
use ring::digest;
use serde::{Deserialize, Serialize};

use self::folder::Folder;

/// How long what the store said of a tag holds, for one process. Nothing is removed from a bucket that soon after it was of use.
const FRESH: Duration = Duration::from_mins(1);

/// How many tags are known before those that hold no more are forgotten.
const NAMED: usize = 4096;

/// What an entry begins with.
const MAGIC: &[u8] = b"hindcast cache 1\n";
/// How long the digest behind that is.
const DIGEST: usize = 32;

/// A store behind a cache.
#[derive(Debug)]
pub(super) struct Cached {
    store: Arc<dyn ObjectStore>,
    url: String,
    folder: Arc<Folder>,
    /// The tags that the store named, and when.
    tags: Mutex<HashMap<Path, (String, Instant)>>,
}

/// Puts a cache in `folder` before a store.
pub(super) fn before(
    store: Arc<dyn ObjectStore>,
    url: &str,
    folder: &FilePath,
    limit: u64,
) -> crate::failure::Result<Arc<dyn ObjectStore>> {
    let folder = Arc::new(Folder::open(folder, limit)?);
    Ok(Arc::new(Cached { store, url: url.to_owned(), folder, tags: Mutex::default() }))
}

/// Whether what has this name is written once and then only read or removed.
fn is_cached(path: &Path) -> bool {
    let parts: Vec<_> = path.parts().collect();
    let [.., above, folder, file] = parts.as_slice() else { return false };
    let is_file = file.as_ref().ends_with(".parquet");
    is_file && (["wal", "checkpoints"].contains(&folder.as_ref()) || above.as_ref() == "log")
}

/// What is asked for of an object: a range, or all of it.
struct Asked(Option<Range<u64>>);

/// What is asked for of an object, if that is cached.
fn asked(path: &Path, options: &GetOptions) -> Option<Asked> {
    let plain = options.if_match.is_none()
        && options.if_none_match.is_none()
        && options.if_modified_since.is_none()
        && options.if_unmodified_since.is_none()
        && options.version.is_none()
        && !options.head;
    match &options.range {
        _ if !plain || !is_cached(path) => None,
        None => Some(Asked(None)),
        Some(GetRange::Bounded(range)) => Some(Asked(Some(range.clone()))),
        Some(_) => None,
    }
}

/// What an entry says of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    /// The object's tag.
    tag: String,
    /// The size of the whole object.
    size: u64,
    /// Where in it the bytes are.
    from: u64,
    to: u64,
    /// When it was written, in microseconds since 1970.
    modified: u64,
}

/// One object, or one range of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    head: Head,
    bytes: Bytes,
}

impl Entry {
    fn written(&self) -> Option<Vec<u8>> {
        let head = serde_json::to_vec(&self.head).ok()?;
        let mut out = Vec::with_capacity(MAGIC.len() + DIGEST + 4 + head.len() + self.bytes.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[0; DIGEST]);
        out.extend_from_slice(&u32::try_from(head.len()).ok()?.to_le_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(&self.bytes);
        let sum = digest::digest(&digest::SHA256, out.get(MAGIC.len() + DIGEST..)?);
        out.get_mut(MAGIC.len()..MAGIC.len() + DIGEST)?.copy_from_slice(sum.as_ref());
        Some(out)
    }

    /// The entry in a file, if it is whole.
    fn read(file: Vec<u8>) -> Option<Self> {
        let file = Bytes::from(file);
        let sum = file.strip_prefix(MAGIC)?.get(..DIGEST)?;
        let body = file.slice(MAGIC.len() + DIGEST..);
        if digest::digest(&digest::SHA256, &body).as_ref() != sum {
            return None;
        }
        let length = u32::from_le_bytes(body.get(..4)?.try_into().ok()?) as usize;
        let head: Head = serde_json::from_slice(body.get(4..4 + length)?).ok()?;
        let bytes = body.slice(4 + length..);
        (head.to.checked_sub(head.from)? == bytes.len() as u64).then_some(Self { head, bytes })
    }

    /// The part of it that is asked for; the store judges of a range that is not in the object.
    fn part(&self, range: Option<&Range<u64>>) -> Option<Self> {
        let range = range.cloned().unwrap_or(0..self.head.size);
        let to = range.end.min(self.head.size);
        if range.start >= to || range.start < self.head.from || to > self.head.to {
            return None;
        }
        let at = |pos: u64| usize::try_from(pos - self.head.from).ok();
        let bytes = self.bytes.slice(at(range.start)?..at(to)?);
        Some(Self { head: Head { from: range.start, to, ..self.head.clone() }, bytes })
    }

    /// The answer that the store gave.
    fn answer(self, path: &Path) -> GetResult {
        let Self { head, bytes } = self;
        let meta = ObjectMeta {
            location: path.clone(),
            last_modified: (UNIX_EPOCH + Duration::from_micros(head.modified)).into(),
            size: head.size,
            e_tag: Some(head.tag),
            version: None,
        };
        GetResult {
            payload: GetResultPayload::Stream(Box::pin(stream::once(std::future::ready(Ok(bytes))))),
            meta,
            range: head.from..head.to,
            attributes: object_store::Attributes::default(),
            extensions: object_store::Extensions::default(),
        }
    }
}

impl Cached {
    /// The name of an entry.
    fn name(&self, path: &Path, range: Option<&Range<u64>>) -> String {
        let part = range.map_or_else(|| "whole".to_owned(), |range| format!("{}-{}", range.start, range.end));
        let mut of = digest::Context::new(&digest::SHA256);
        for text in [self.url.as_str(), path.as_ref(), &part] {
            of.update(&(text.len() as u64).to_le_bytes());
            of.update(text.as_bytes());
        }
        of.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What is held of an object, if that is all that is asked for.
    async fn held(&self, path: &Path, range: Option<&Range<u64>>) -> Option<Entry> {
        let mut names = vec![self.name(path, None)];
        names.extend(range.map(|range| self.name(path, Some(range))));
        let (folder, range) = (self.folder.clone(), range.cloned());
        let find = move || {
            names.iter().find_map(|name| {
                let file = folder.read(name)?;
                let entry = Entry::read(file);
                if entry.is_none() {
                    folder.remove(name);
                }
                entry?.part(range.as_ref())
            })
        };
        tokio::task::spawn_blocking(find).await.ok().flatten()
    }

    fn is_fresh(&self, path: &Path, tag: &str) -> bool {
        let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        tags.get(path).is_some_and(|(named, at)| named == tag && at.elapsed() < FRESH)
    }

    /// Notes what the store says that an object's tag is; `None` for an object that is not there.
    fn said(&self, path: &Path, tag: Option<&str>) {
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever follows the log reads without end.
        if tags.len() >= NAMED {
            tags.retain(|_, (_, at)| at.elapsed() < FRESH);
        }
        if tags.len() >= NAMED {
            tags.clear();
        }
        match tag {
            Some(tag) => _ = tags.insert(path.clone(), (tag.to_owned(), now())),
            None => _ = tags.remove(path),
        }
    }

    /// Keeps what the store answered.
    async fn keep(&self, path: &Path, range: Option<&Range<u64>>, got: GetResult) -> Result<GetResult> {
        let of = got.range.clone();
        let (Some(tag), true) = (got.meta.e_tag.clone(), self.folder.takes(of.end.saturating_sub(of.start))) else {
            return Ok(got);
        };
        let modified = u64::try_from(got.meta.last_modified.timestamp_micros()).unwrap_or(0);
        let head = Head { tag, size: got.meta.size, from: of.start, to: of.end, modified };
        let (meta, attributes, extensions) = (got.meta.clone(), got.attributes.clone(), got.extensions.clone());
        let bytes = got.bytes().await?;
        self.said(path, Some(&head.tag));
        let entry = Entry { head, bytes: bytes.clone() };
        let (folder, name) = (self.folder.clone(), self.name(path, range));
        // One that was cut short on its way is not kept, and told to whoever reads it.
        if bytes.len() as u64 == of.end - of.start {
            let write = move || entry.written().map(|file| folder.write(&name, &file));
            let _ = tokio::task::spawn_blocking(write).await;
        }
        let payload = GetResultPayload::Stream(Box::pin(stream::once(std::future::ready(Ok(bytes)))));
        Ok(GetResult { payload, meta, range: of, attributes, extensions })
    }
}

#[expect(clippy::disallowed_methods, reason = "cli composes the real clock")]
fn now() -> Instant {
    Instant::now()
}

impl fmt::Display for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Cached {
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let Some(Asked(range)) = asked(path, &options) else { return self.store.get_opts(path, options).await };
        let range = range.as_ref();
        let held = self.held(path, range).await;
        if let Some(entry) = &held
            && self.is_fresh(path, &entry.head.tag)
        {
            return Ok(entry.clone().answer(path));
        }
        let if_none_match = held.as_ref().map(|entry| entry.head.tag.clone());
        match (self.store.get_opts(path, GetOptions { if_none_match, ..options }).await, held) {
            (Err(Error::NotModified { .. }), Some(entry)) => {
                self.said(path, Some(&entry.head.tag));
                Ok(entry.answer(path))
            }
            (Ok(got), _) => self.keep(path, range, got).await,
            (Err(error), _) => {
                if matches!(error, Error::NotFound { .. }) {
                    self.said(path, None);
                }
                Err(error)
            }
        }
    }

    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.said(path, None);
        self.store.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // Which ones is seen as they go by; the next look at any asks the store.
        self.tags.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.store.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
