//! Old journals: a million names, in a store where each request and each page of a listing takes its time.

use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use futures::{StreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, memory::InMemory,
};

use super::*;
use crate::{
    Reader, Writer,
    checkpoint::{Checkpoint, Origin},
    cut::{At, Cut, CutPoint, MAIN},
    fold::State,
    parts::{BoxFuture, Clock, Micros, SystemRandom},
    segment::FrontierPoint,
    writer::Identity,
};

const LATENCY: Duration = Duration::from_millis(150);
const PAGE: usize = 1000;
/// The segments that are there by name alone.
const OLD: u64 = 1_000_000;

/// tokio's paused time.
#[derive(Debug)]
struct Paused(tokio::time::Instant);

impl Clock for Paused {
    fn now(&self) -> Micros {
        1_700_000_000_000_000 + self.0.elapsed().as_micros() as Micros
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the part that the rest is given")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A bucket with a log of a million segments, of which only those that somebody reads have bytes.
#[derive(Debug, Clone, Default)]
struct Aged {
    memory: InMemory,
    requests: Arc<AtomicU64>,
}

impl fmt::Display for Aged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("aged")
    }
}

impl Aged {
    #[expect(clippy::disallowed_methods, reason = "the latency is a part of this store")]
    async fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(LATENCY).await;
    }

    fn requests(&self) -> u64 {
        self.requests.swap(0, Ordering::Relaxed)
    }
}

fn is_old(path: &Path) -> bool {
    path.as_ref().contains("/wal/") && Layout::number(path).is_some_and(|n| n <= OLD)
}

#[expect(clippy::default_trait_access, reason = "of a crate that is not imported")]
fn named(location: Path) -> ObjectMeta {
    ObjectMeta { location, last_modified: Default::default(), size: 1, e_tag: None, version: None }
}

fn none() -> object_store::Error {
    object_store::Error::Generic { store: "aged", source: "is not asked for here".into() }
}

#[async_trait::async_trait]
impl ObjectStore for Aged {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.request().await;
        self.memory.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(none())
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.request().await;
        if options.head && is_old(path) {
            let payload = GetResultPayload::Stream(futures::stream::empty().boxed());
            let (meta, attributes, range) = (named(path.clone()), object_store::Attributes::default(), 0..0);
            #[expect(clippy::default_trait_access, reason = "of a crate that is not imported")]
            return Ok(GetResult { payload, meta, range, attributes, extensions: Default::default() });
        }
        self.memory.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        futures::stream::once(async { Err(none()) }).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.list_with_offset(prefix, &Path::default())
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (store, offset) = (self.clone(), offset.clone());
        let prefix = prefix.cloned().unwrap_or_default();
        let first = match Layout::number(&offset) {
            Some(n) => n + 1,
            None => 1,
        };
        let old = if prefix.filename() == Some("wal") { first..OLD + 1 } else { 0..0 };
        let names = prefix.clone();
        let old = old.map(move |n| Ok(named(names.clone().join(format!("{n:020}.parquet")))));
        let new = self
            .memory
            .list_with_offset(Some(&prefix), &offset)
            .filter(|found| std::future::ready(found.as_ref().is_ok_and(|meta| !is_old(&meta.location))));
        // The last page is one too, also with nothing in it.
        let pages = futures::stream::iter(old).chain(new).chunks(PAGE).chain(futures::stream::iter([Vec::new()]));
        pages
            .then(move |page| {
                let store = store.clone();
                async move {
                    store.request().await;
                    futures::stream::iter(page)
                }
            })
            .flatten()
            .boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> object_store::Result<ListResult> {
        Err(none())
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(none())
    }
}

#[expect(clippy::disallowed_methods, reason = "the time of a paused runtime")]
fn aged() -> (Journal, Aged) {
    let store = Aged::default();
    let parts = Parts { clock: Arc::new(Paused(tokio::time::Instant::now())), random: Arc::new(SystemRandom::new()) };
    (Journal::open(Arc::new(store.clone()), &Path::from("p"), "uid", parts), store)
}

fn frontier(segment: u64) -> FrontierVector {
    FrontierVector::from([(
        MAIN.to_owned(),
        FrontierPoint { incarnation: 0, rv: segment, time: segment as Micros * 1000 },
    )])
}

/// Gives an old segment its bytes: no rows, and closed up to what its number says.
async fn segment(store: &Aged, journal: &Journal, n: u64) {
    let mut meta = Meta {
        role: "segment".to_owned(),
        cluster: "uid".to_owned(),
        writer: "host/1 host/0".to_owned(),
        epoch: 7,
        segment: n,
        first: 100,
        last: 100,
        chain_before: [1; 32],
        chain_after: [1; 32],
        frontier: frontier(n),
        time: 0,
        extra: BTreeMap::new(),
    };
    let bytes = segment::encode(&mut meta, &[]).expect("is encoded");
    let path = journal.store().layout().segment(n);
    store.memory.put_opts(&path, bytes.into(), PutOptions::default()).await.expect("is put");
}

async fn checkpoint(journal: &Journal, n: u64) {
    let origin = Origin {
        cut: Cut { domains: BTreeMap::from([(MAIN.to_owned(), CutPoint { incarnation: 0, rv: n })]) },
        proven: BTreeMap::from([(MAIN.to_owned(), (CutPoint { incarnation: 0, rv: n }, n as Micros * 1000))]),
        segment: n,
        last: n,
        chain: [1; 32],
        fold_from: (100, n),
        let_go: None,
        frontier: frontier(n),
    };
    Checkpoint::write(journal, &State::default(), &origin, "w", 7).await.expect("is written");
}

async fn claim(journal: &Journal) -> Writer {
    let identity = Identity { writer: "host/2".into(), instance: "host/0".into() };
    Writer::claim(journal, identity, None).await.expect("is claimed")
}

/// What a person waits for, and what a store is asked at most.
const SOON: Duration = Duration::from_secs(5);
const FEW: u64 = 200;

#[tokio::test(start_paused = true)]
async fn a_log_of_a_million_segments_is_claimed_and_read_in_seconds_with_and_without_checkpoints() {
    for checkpoints in [&[][..], &[OLD - 300], &[500_000, OLD]] {
        let (journal, store) = aged();
        for n in [500_000, 500_001].into_iter().chain(OLD - 300..=OLD) {
            segment(&store, &journal, n).await;
        }
        for n in checkpoints {
            checkpoint(&journal, *n).await;
        }
        let clock = journal.parts().clock.clone();
        let began = clock.monotonic();
        store.requests();
        let mut writer = claim(&journal).await;
        let (took, asked) = (clock.monotonic().checked_sub(began).unwrap(), store.requests());
        assert_eq!((writer.segment(), writer.epoch()), (OLD + 1, 8));
        assert!(took < SOON && asked < FEW, "a claim from {checkpoints:?} took {took:?} and {asked} requests");

        writer.stage(Vec::new(), frontier(OLD + 2)).await.expect("is staged");
        writer.commit().await.expect("is committed");
        if checkpoints.is_empty() {
            continue;
        }
        store.requests();
        let began = clock.monotonic();
        let mut reader = Reader::open(&journal).await.expect("opens");
        let past = reader.at(&At::Now).await.expect("is resolved");
        let moment = past.moment();
        assert_eq!(moment.cut.rev(), OLD + 2);
        let (took, asked) = (clock.monotonic().checked_sub(began).unwrap(), store.requests());
        let tail = OLD - checkpoints.last().expect("there are some");
        assert!(took < SOON && asked < FEW + tail, "now from {checkpoints:?} took {took:?} and {asked} requests");
        assert!(!reader.refresh().await.expect("looks"));
        assert_eq!(store.requests(), 1, "to look for more is one question");
    }
}

#[tokio::test(start_paused = true)]
async fn a_moment_half_a_million_segments_ago_is_read_without_what_came_after() {
    let (journal, store) = aged();
    for n in [500_000, 500_001, OLD] {
        segment(&store, &journal, n).await;
    }
    for n in [500_000, OLD] {
        checkpoint(&journal, n).await;
    }
    let began = journal.parts().clock.monotonic();
    store.requests();
    let mut reader = Reader::open(&journal).await.expect("opens");
    let past = reader.at(&At::Time(500_001_000)).await.expect("is resolved");
    let moment = past.moment();
    assert!(moment.closed, "{moment:?}");
    let (took, asked) = (journal.parts().clock.monotonic().checked_sub(began).unwrap(), store.requests());
    assert!(took < SOON && asked < FEW, "{took:?} and {asked} requests");
}

#[tokio::test(start_paused = true)]
async fn an_idle_minute_costs_its_segment_and_two_questions_whatever_the_age() {
    let (journal, store) = aged();
    segment(&store, &journal, OLD).await;
    checkpoint(&journal, OLD).await;
    let mut writer = claim(&journal).await;
    for n in 2..5 {
        journal.parts().clock.sleep(Duration::from_mins(1)).await;
        store.requests();
        writer.stage(Vec::new(), frontier(OLD + n)).await.expect("is staged");
        writer.commit().await.expect("is committed");
        assert_eq!(store.requests(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_claims_a_log_in_front_of_a_hole() {
    let (journal, store) = aged();
    segment(&store, &journal, OLD).await;
    // What stands behind the hole is less than the hole: single names may all fall in it.
    for n in [OLD + 700, OLD + 701] {
        segment(&store, &journal, n).await;
    }
    let identity = Identity { writer: "host/2".into(), instance: "host/0".into() };
    let error = Writer::claim(&journal, identity, None).await.expect_err("a fork");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let (first, newer) = (format!("{:020}.parquet: is missing", OLD + 1), format!("segment {} is there", OLD + 700));
    assert!(error.to_string().contains(&first) && error.to_string().contains(&newer), "{error}");
    // A reader is told too, where it can tell without a listing.
    segment(&store, &journal, OLD + 4).await;
    let mut reader = Reader::open(&journal).await.expect("opens");
    let error = reader.at(&At::Now).await.expect_err("a hole");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}
