//! The repository's objects, by the journal's own store: same address, credentials and limits.
//!
//! The format's library asks from threads of its own and waits for each answer.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use hindcast_journal::{
    Error, Result,
    error::ErrorKind,
    store::{Files, Put},
};
use rustic_core::{BytesList, ErrorKind as Kind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};
use tokio::runtime::Handle;

/// How many bytes went over the line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Line {
    /// Bytes that were written.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes that were read.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// The repository's folder in the bucket.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    files: Files,
    runtime: Handle,
    line: Arc<Line>,
}

/// An error of the store, as the format's library passes it through.
fn told(error: Error) -> Box<RusticError> {
    RusticError::with_source(Kind::Backend, "the store", error)
}

/// What the format's library says, as an error of ours: the store's own, where that is what it was.
pub(crate) fn convert(what: &str, error: &RusticError) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(at) = cause {
        if let Some(ours) = at.downcast_ref::<Error>() {
            let error = Error::new(ours.kind(), what, Error::causes(ours));
            return match ours.hint() {
                Some(hint) => error.with_hint(hint),
                None => error,
            };
        }
        cause = at.source();
    }
    let log = error.display_log();
    Error::new(if error.is_incorrect_password() { ErrorKind::Invalid } else { ErrorKind::Corrupt }, what, log)
}

impl Bucket {
    /// These objects; called from a runtime, which then answers the library's threads.
    pub(crate) fn new(files: Files, line: Arc<Line>) -> Self {
        Self { files, runtime: Handle::current(), line }
    }

    fn name(kind: FileType, id: &Id) -> String {
        let hex = id.to_hex();
        let hex = hex.as_str();
        match kind {
            FileType::Config => kind.dirname().to_owned(),
            FileType::Pack => format!("{}/{}/{hex}", kind.dirname(), hex.get(..2).unwrap_or_default()),
            _ => format!("{}/{hex}", kind.dirname()),
        }
    }

    fn ask<T>(&self, work: impl Future<Output = Result<T>>) -> RusticResult<T> {
        self.runtime.block_on(work).map_err(told)
    }

    fn counted(&self, bytes: Bytes) -> Bytes {
        self.line.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        bytes
    }

    async fn create(&self, kind: FileType, name: &str, bytes: Bytes) -> Result<()> {
        let size = bytes.len() as u64;
        if self.files.create(name, bytes.clone()).await? == Put::Created {
            self.line.sent.fetch_add(size, Ordering::Relaxed);
        } else if kind == FileType::Config && self.files.get(name).await? != bytes {
            // The one name that is not a digest. Whoever was first made the repository.
            return Err(Error::new(ErrorKind::Fenced, name, "another process made the repository at the same time"));
        }
        Ok(())
    }
}

impl ReadBackend for Bucket {
    fn location(&self) -> String {
        self.files.root().to_string()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        if kind == FileType::Config {
            let config = self.ask(self.files.get_opt(kind.dirname()))?;
            return Ok(config.map(|bytes| (Id::default(), bytes.len() as u32)).into_iter().collect());
        }
        let listed = self.ask(self.files.list(kind.dirname()))?;
        let named = listed.into_iter().filter_map(|(name, size)| Some((name.parse().ok()?, u32::try_from(size).ok()?)));
        Ok(named.collect())
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        self.ask(self.files.get(&Self::name(kind, id))).map(|bytes| self.counted(bytes))
    }

    fn read_partial(&self, kind: FileType, id: &Id, _: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        let range: Range<u64> = u64::from(offset)..u64::from(offset) + u64::from(length);
        self.ask(self.files.get_range(&Self::name(kind, id), range)).map(|bytes| self.counted(bytes))
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        Self::name(kind, id)
    }
}

impl WriteBackend for Bucket {
    fn write_bytes(&self, kind: FileType, id: &Id, _: bool, content: BytesList) -> RusticResult<()> {
        let mut parts = content.into_vec();
        let bytes = if parts.len() == 1 { parts.remove(0) } else { Bytes::from(parts.concat()) };
        self.ask(self.create(kind, &Self::name(kind, id), bytes))
    }

    fn remove(&self, kind: FileType, id: &Id, _: bool) -> RusticResult<()> {
        self.ask(self.files.remove(&Self::name(kind, id)))
    }
}
