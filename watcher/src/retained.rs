//! The retained last version of each object, packed.
//!
//! A watch event is written as a patch on the version before, so every object's last version is kept: the newest few
//! as they are, the rest compressed with a dictionary trained from the first objects seen. **Words**: *packed* is
//! compressed; *hot* is not.
//!
//! **Invariants.** (1) What comes out is what went in [a test packs and unpacks]. (2) Memory is bounded by the number
//! of objects and the hot limit; [`Packer::bytes`] is what it takes.

use std::collections::VecDeque;

use bytes::Bytes;
use hindcast_journal::{
    encode::Base,
    parts::Micros,
    row::{Revision, StateHash},
};
use zstd::bulk::{Compressor, Decompressor};

const LEVEL: i32 = 1;
const DICTIONARY: usize = 110 << 10;
/// Enough samples for a good dictionary, and few enough that training takes only a moment.
const SAMPLES: usize = 1_000;
const SAMPLE_BYTES: usize = 2 << 20;

/// The last version of an object.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) rv: Revision,
    pub(crate) uid: Box<str>,
    /// The newest timestamp in it, as far as this process has seen.
    pub(crate) stamp: Option<Micros>,
    /// The list that showed it last.
    pub(crate) listing: u32,
    /// The object's own revision: below `rv` where the newest row is a reread.
    pub(crate) object_rv: Revision,
    hash: Option<StateHash>,
    chain: u32,
    tick: u64,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Hot { public: Bytes, managed: Bytes },
    Packed { bytes: Box<[u8]>, public: u32, managed: u32, dictionary: bool },
}

/// Packs and unpacks entries.
pub(crate) struct Packer {
    plain: Compressor<'static>,
    plain_out: Decompressor<'static>,
    trained: Option<(Compressor<'static>, Decompressor<'static>)>,
    samples: Vec<u8>,
    sample_sizes: Vec<usize>,
    hot: VecDeque<(u64, String, String)>,
    hot_limit: usize,
    tick: u64,
    bytes: usize,
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Packer {
    pub(crate) fn new(hot_limit: usize) -> Self {
        Self {
            plain: Compressor::new(LEVEL).expect("level 1 exists"),
            plain_out: Decompressor::new().expect("a context without a dictionary"),
            trained: None,
            samples: Vec::new(),
            sample_sizes: Vec::new(),
            hot: VecDeque::new(),
            hot_limit,
            tick: 0,
            bytes: 0,
        }
    }

    /// How many bytes the retained versions take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// An entry for `base`, hot. Returns also the objects (kind key, name) that have to cool down: the caller packs
    /// them with [`Packer::cool`].
    pub(crate) fn keep(
        &mut self,
        kind: &str,
        name: &str,
        base: Base,
        stamp: Option<Micros>,
    ) -> (Entry, Vec<(u64, String, String)>) {
        self.tick += 1;
        let entry = Entry {
            rv: base.rv,
            uid: base.uid.into(),
            stamp,
            listing: 0,
            object_rv: base.object_rv,
            hash: base.hash,
            chain: base.chain,
            tick: self.tick,
            body: Body::Hot { public: base.public, managed: base.managed },
        };
        self.bytes += entry.size() + name.len();
        self.hot.push_back((self.tick, kind.to_owned(), name.to_owned()));
        let mut cool = Vec::new();
        while self.hot.len() > self.hot_limit {
            cool.extend(self.hot.pop_front());
        }
        (entry, cool)
    }

    /// Packs an entry that was hot since `tick`.
    pub(crate) fn cool(&mut self, entry: &mut Entry, tick: u64) {
        if entry.tick != tick {
            return;
        }
        let Body::Hot { public, managed } = &entry.body else { return };
        self.learn(public);
        let mut whole = Vec::with_capacity(public.len() + managed.len());
        whole.extend_from_slice(public);
        whole.extend_from_slice(managed);
        let (compressor, dictionary) = match &mut self.trained {
            Some((compressor, _)) => (compressor, true),
            None => (&mut self.plain, false),
        };
        let Ok(bytes) = compressor.compress(&whole) else { return };
        let before = entry.size();
        entry.body = Body::Packed {
            bytes: bytes.into(),
            public: public.len() as u32,
            managed: managed.len() as u32,
            dictionary,
        };
        self.bytes = (self.bytes + entry.size()).saturating_sub(before);
    }

    /// Takes an entry's bytes off the account.
    pub(crate) fn drop_entry(&mut self, name: &str, entry: &Entry) {
        self.bytes = self.bytes.saturating_sub(entry.size() + name.len());
    }

    /// The version that `entry` keeps.
    pub(crate) fn base(&mut self, entry: &Entry) -> Base {
        let (public, managed) = match &entry.body {
            Body::Hot { public, managed } => (public.clone(), managed.clone()),
            Body::Packed { bytes, public, managed, dictionary } => {
                let size = (public + managed) as usize;
                let context = match &mut self.trained {
                    Some((_, context)) if *dictionary => context,
                    _ => &mut self.plain_out,
                };
                let whole = context.decompress(bytes, size);
                let mut whole = Bytes::from(whole.expect("memory holds what was packed here"));
                let public = whole.split_to(*public as usize);
                (public, whole)
            }
        };
        Base {
            rv: entry.rv,
            object_rv: entry.object_rv,
            uid: entry.uid.to_string(),
            public,
            managed,
            hash: entry.hash,
            chain: entry.chain,
        }
    }

    /// Collects samples until there are enough, then trains.
    fn learn(&mut self, public: &[u8]) {
        if self.trained.is_some() || public.is_empty() {
            return;
        }
        let sample = public.get(..public.len().min(16 << 10)).unwrap_or_default();
        self.samples.extend_from_slice(sample);
        self.sample_sizes.push(sample.len());
        if self.sample_sizes.len() < SAMPLES && self.samples.len() < SAMPLE_BYTES {
            return;
        }
        let (samples, sizes) = (std::mem::take(&mut self.samples), std::mem::take(&mut self.sample_sizes));
        // A sample that is too uniform cannot be trained on; then the next ones are tried.
        let Ok(dictionary) = zstd::dict::from_continuous(&samples, &sizes, DICTIONARY) else { return };
        let contexts = Compressor::with_dictionary(LEVEL, &dictionary)
            .and_then(|c| Ok((c, Decompressor::with_dictionary(&dictionary)?)));
        self.trained = contexts.ok();
    }
}

impl Entry {
    /// Whether its bytes could not be kept as JSON.
    pub(crate) fn is_unreadable(&self) -> bool {
        match &self.body {
            Body::Hot { public, .. } => public.is_empty(),
            Body::Packed { public, .. } => *public == 0,
        }
    }

    fn size(&self) -> usize {
        let body = match &self.body {
            Body::Hot { public, managed } => public.len() + managed.len(),
            Body::Packed { bytes, .. } => bytes.len(),
        };
        size_of::<Self>() + self.uid.len() + body
    }
}

#[cfg(test)]
mod tests;
