//! What is counted is not folded: seen by the bytes that are fetched, of each folder of the bucket.

use std::{fmt, sync::Mutex};

use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};

use super::*;
use crate::{counts::Counts, seal::Rules};

/// A store that counts the bytes which are fetched of each folder.
#[derive(Debug, Default)]
pub(super) struct Metered {
    pub(super) memory: InMemory,
    fetched: Mutex<BTreeMap<String, u64>>,
    /// How many objects or parts of them were fetched of each folder.
    requests: Mutex<BTreeMap<String, u64>>,
    /// What becomes of reading names that hold some text.
    pub(super) sick: Mutex<Option<(&'static str, Sick)>>,
}

/// How a store is sick.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sick {
    Fails,
    Hangs,
}

impl fmt::Display for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("metered")
    }
}

impl Metered {
    /// What was fetched since this was asked before.
    fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.fetched.lock().expect("no holder panics"))
    }

    /// How often something was fetched of a folder since this was asked before of any.
    pub(super) fn requests(&self, folder: &str) -> u64 {
        std::mem::take(&mut *self.requests.lock().expect("no holder panics")).remove(folder).unwrap_or(0)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Metered {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.memory.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.memory.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let head = options.head;
        let sick = *self.sick.lock().expect("no holder panics");
        match sick.filter(|(part, _)| path.as_ref().contains(part)) {
            Some((_, Sick::Hangs)) => std::future::pending().await,
            Some((_, Sick::Fails)) => {
                return Err(object_store::Error::Generic { store: "metered", source: "500".into() });
            }
            None => {}
        }
        let found = self.memory.get_opts(path, options).await?;
        let folder = path.parts().nth(2).map(|part| part.as_ref().to_owned()).unwrap_or_default();
        if !head {
            let mut fetched = self.fetched.lock().expect("no holder panics");
            *self.requests.lock().expect("no holder panics").entry(folder.clone()).or_default() += 1;
            *fetched.entry(folder).or_default() += found.range.end - found.range.start;
        }
        Ok(found)
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.memory.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.memory.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.memory.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.memory.copy_opts(from, to, options).await
    }
}

/// A journal of some widgets and the state of all that it holds.
async fn written(objects: u64) -> (Arc<Metered>, Journal, Writer, State) {
    let store = Arc::new(Metered::default());
    let journal = Journal::open(store.clone(), &Path::from("p"), "uid-1", Parts::system());
    let writer = write(&journal, "widgets", objects, 1).await;
    let state = Reader::open(&journal).await.expect("opens").resume().await.expect("folds");
    (store, journal, writer, state)
}

async fn checkpoint(journal: &Journal) -> Checkpoint {
    let mut reader = Reader::open(journal).await.expect("opens");
    let (state, origin) = reader.at_closed_cut().await.expect("reads").expect("closed");
    Checkpoint::write(journal, &state, &origin, "w", 1).await.expect("writes")
}

/// What is counted, and the bytes of checkpoints that were fetched for it.
async fn standing(journal: &Journal, store: &Metered) -> (Counts, u64) {
    store.take();
    let counts = Reader::open(journal).await.expect("opens").standing(&Rules::default()).await.expect("counts").1;
    (counts, store.take().get("checkpoints").copied().unwrap_or(0))
}

fn seen<'a>(kind: &'a Discovery, rv: u64, bytes: &'a [u8]) -> Observation<'a> {
    Observation { kind, incarnation: 0, rv, source: Source::Watch, time_lo: 0, time_hi: rv as i64 * 1000, bytes }
}

#[tokio::test]
async fn what_stands_is_counted_without_an_object_of_the_checkpoint() {
    let (store, journal, mut writer, state) = written(9000).await;
    let file = checkpoint(&journal).await.bytes;
    let (encoder, kind) = (Encoder::new(Secrets::Sealed(key())), kind("widgets"));
    let mut tail = Vec::new();
    for ((key, entry), rv) in state.objects.iter().step_by(100).zip(10_000..) {
        let base = entry.base();
        if rv % 2 == 0 {
            tail.push(encoder.forget(&seen(&kind, rv, b""), &key.namespace, &key.name, Some(&base)));
            continue;
        }
        let text = String::from_utf8(entry.public().to_vec()).expect("text");
        let text = text.replace(&format!(r#""{}""#, base.object_rv), &format!(r#""{rv}""#));
        tail.push(encoder.observe(&seen(&kind, rv, text.as_bytes()), Some(&base)).change);
    }
    let new = br#"{"metadata":{"name":"new","namespace":"ns0","uid":"new","resourceVersion":"20000"}}"#;
    tail.push(encoder.observe(&seen(&kind, 20_000, new), None).change);
    writer.stage(tail, frontier(20_000, 20_000_000)).await.expect("stages");
    writer.commit().await.expect("commits");

    let (counts, fetched) = standing(&journal, &store).await;
    assert_eq!(counts.objects(), &BTreeMap::from([("/widgets".to_owned(), 9000 - 45 + 1)]));
    assert!(fetched * 20 < file, "{fetched} bytes of {file} were fetched");
    store.take();
    let state = Reader::open(&journal).await.expect("opens").resume().await.expect("folds");
    assert_eq!(state.objects.len(), 8956);
    assert_eq!(store.take().get("checkpoints"), Some(&file), "a fold reads all of it");
}

/// What was laid over a journal tells of each object as of one that was not known before.
#[tokio::test]
async fn what_is_laid_over_is_counted_once() {
    let (_, journal, _, state) = written(100).await;
    checkpoint(&journal).await;
    let (encoder, kind) = (Encoder::new(Secrets::Sealed(key())), kind("widgets"));
    let (key, entry) = state.objects.iter().next().expect("an object");
    let text = String::from_utf8(entry.public().to_vec()).expect("text");
    let text = text.replace(&format!(r#""{}""#, entry.object_rv), r#""10000""#);
    let laid = encoder.observe(&seen(&kind, 10_000, text.as_bytes()), None).change;
    assert_eq!(laid.op, Op::Add, "{key:?}");
    let mut reader = Reader::open(&journal).await.expect("opens");
    reader.overlay(vec![laid], frontier(10_000, 10_000_000));
    let past = reader.at(&At::NowOpen).await.expect("resolves");
    assert!(past.moment().cut.rev() >= 10_000, "it is read");
    assert_eq!(past.counts(&Rules::default()).await.expect("counts").objects()["/widgets"], 100);
}

/// Its rows do not tell whether an object of which nothing was known was there: that one is looked up.
#[tokio::test]
async fn a_delete_that_names_no_version_is_looked_up() {
    let (store, journal, mut writer, _) = written(9000).await;
    let file = checkpoint(&journal).await.bytes;
    let (encoder, kind) = (Encoder::new(Secrets::Sealed(key())), kind("widgets"));
    let forget = |rv, name| encoder.forget(&seen(&kind, rv, b""), "ns0", name, None);
    writer.stage(vec![forget(10_000, "n0"), forget(10_001, "never")], frontier(10_001, 1)).await.expect("stages");
    writer.commit().await.expect("commits");
    let (counts, fetched) = standing(&journal, &store).await;
    assert_eq!(counts.objects()["/widgets"], 8999);
    assert!(fetched < file / 2, "one row group of three: {fetched} of {file}");
}

#[tokio::test]
async fn a_checkpoint_without_counts_is_counted_by_folding() {
    let (store, journal, ..) = written(100).await;
    // One is written without where it cannot be told what is sealed.
    let rules = journal.store().layout().meta("sealing", 1);
    journal.store().create(&rules, Bytes::from_static(b"no rules")).await.expect("writes");
    let file = checkpoint(&journal).await.bytes;
    let (counts, fetched) = standing(&journal, &store).await;
    assert_eq!(counts.objects()["/widgets"], 100);
    assert!(fetched >= file);
}

/// Whose values are sealed is a matter of rules: counts by others say nothing.
#[tokio::test]
async fn counts_by_other_rules_are_not_used() {
    let (store, journal, ..) = written(100).await;
    checkpoint(&journal).await;
    let rules = Rules::parse(&["secrets:/more".to_owned()]).expect("rules");
    store.take();
    let counts = Reader::open(&journal).await.expect("opens").standing(&rules).await.expect("counts").1;
    assert_eq!(counts.objects()["/widgets"], 100);
    assert!(store.take()["checkpoints"] > checkpoint(&journal).await.bytes);
}

/// More names than a checkpoint keeps of Secrets without values, of which some go and some come.
#[tokio::test]
async fn the_first_names_are_known_and_what_is_behind_them_is_a_number() {
    let store = Arc::new(Metered::default());
    let journal = Journal::open(store.clone(), &Path::from("p"), "uid-1", Parts::system());
    let mut writer = Writer::claim(&journal, identity("a"), None).await.expect("claims");
    let (encoder, kind) = (Encoder::new(Secrets::Dropped), kind("secrets"));
    let secret = |n: u64, rv: u64| {
        format!(
            r#"{{"data":{{"v":"dg=="}},"metadata":{{"name":"s{n:04}","namespace":"ns","uid":"u{n}","resourceVersion":"{rv}"}}}}"#
        )
    };
    let begin = Change { time_hi: 1000, ..facts::about(Op::CoverBegin, &kind, 0, 1) };
    let add = |n: u64, rv: u64| encoder.observe(&seen(&kind, rv, secret(n, rv).as_bytes()), None);
    let mut changes = vec![begin];
    let added: Vec<_> = (0..200).map(|n| add(2 * n, 10 + n)).collect();
    changes.extend(added.iter().map(|encoded| encoded.change.clone()));
    writer.stage(changes, frontier(300, 300_000)).await.expect("stages");
    writer.commit().await.expect("commits");
    checkpoint(&journal).await;
    let forget =
        |n: usize, rv| encoder.forget(&seen(&kind, rv, b""), "ns", &format!("s{:04}", 2 * n), Some(&added[n].base));
    let tail = vec![forget(0, 301), forget(150, 302), add(3, 303).change, add(333, 304).change];
    writer.stage(tail, frontier(304, 304_000)).await.expect("stages");
    writer.commit().await.expect("commits");
    let (counts, _) = standing(&journal, &store).await;
    let state = Reader::open(&journal).await.expect("opens").resume().await.expect("folds");
    let folded = Counts::of(&state, &Rules::default());
    assert_eq!((counts.unstored(), folded.unstored()), (200, 200));
    let names = counts.unstored_names();
    assert_eq!(names.len(), 64, "one has gone, one has come, and the others behind them are not known");
    assert_eq!(names, folded.unstored_names()[..64]);
    // Too few are left to name: then it is folded.
    let gone = (1..60).map(|n| forget(n, 400 + n as u64)).collect();
    writer.stage(gone, frontier(500, 500_000)).await.expect("stages");
    writer.commit().await.expect("commits");
    let (counts, _) = standing(&journal, &store).await;
    assert_eq!((counts.unstored(), counts.unstored_names().len()), (141, 141));
}
