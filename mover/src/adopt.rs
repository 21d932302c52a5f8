//! Packs that a killed run left: they are taken into the index, so that what is in them is not sent again.
//!
//! A run writes its packs as they are full, and says only now and then in the index what is in them. What it wrote since,
//! nobody would know of. The format's own repair of an index would do, but for one thing: it takes entries out whose packs
//! it did not see, which may be those of a run beside it. So it is shown nothing but the packs that no index names: all it
//! can do is add.
//!
//! A pack of a run that goes on is adopted, too, and then named twice, which the format allows.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use rustic_core::{
    BytesList, Credentials, FileType, Id, ReadBackend, RepairIndexOptions, Repository, RepositoryBackends,
    RepositoryOptions, RusticResult, WriteBackend, repofile::IndexFile,
};

use crate::backend::Bucket;

/// Adopts what is there and not in the index; how many packs.
pub(crate) fn adopt<S: rustic_core::Open>(
    repository: &Repository<S>,
    bucket: &Bucket,
    options: &RepositoryOptions,
) -> RusticResult<usize> {
    // The packs first: one that comes later is in no danger.
    let packs = bucket.list_with_size(FileType::Pack)?;
    if packs.is_empty() {
        return Ok(0);
    }
    let mut known = BTreeSet::new();
    for index in repository.stream_files::<IndexFile>()? {
        let (_, index) = index?;
        known.extend(index.packs.iter().chain(&index.packs_to_delete).map(|pack| pack.id.into_inner()));
    }
    let orphans: Vec<(Id, u32)> = packs.into_iter().filter(|(id, _)| !known.contains(id)).collect();
    let count = orphans.len();
    if count > 0 {
        let view = Arc::new(Orphans { bucket: bucket.clone(), packs: orphans });
        let narrow = Repository::new(options, &RepositoryBackends::new(view, None))?;
        let narrow = narrow.open(&Credentials::Masterkey(repository.key()))?;
        narrow.repair_index(&RepairIndexOptions::default(), false)?;
    }
    Ok(count)
}

/// A repository of which only the packs show that no index names.
#[derive(Debug)]
struct Orphans {
    bucket: Bucket,
    packs: Vec<(Id, u32)>,
}

impl ReadBackend for Orphans {
    fn location(&self) -> String {
        self.bucket.location()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        match kind {
            FileType::Pack => Ok(self.packs.clone()),
            FileType::Index => Ok(Vec::new()),
            _ => self.bucket.list_with_size(kind),
        }
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        self.bucket.read_full(kind, id)
    }

    fn read_partial(&self, kind: FileType, id: &Id, cached: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        self.bucket.read_partial(kind, id, cached, offset, length)
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        self.bucket.warmup_path(kind, id)
    }
}

impl WriteBackend for Orphans {
    fn write_bytes(&self, kind: FileType, id: &Id, cached: bool, content: BytesList) -> RusticResult<()> {
        self.bucket.write_bytes(kind, id, cached, content)
    }

    /// Nothing is removed: what is to be adopted is only added.
    fn remove(&self, _: FileType, _: &Id, _: bool) -> RusticResult<()> {
        Ok(())
    }
}
