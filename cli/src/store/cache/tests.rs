use std::sync::atomic::{AtomicU64, Ordering};

use object_store::{ObjectStoreExt as _, memory::InMemory};

use super::*;

/// A store that counts what it is asked, and the bytes that it sends.
#[derive(Debug, Default)]
struct Counting {
    memory: InMemory,
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("counting")
    }
}

#[async_trait]
impl ObjectStore for Counting {
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let got = self.memory.get_opts(path, options).await?;
        self.bytes.fetch_add(got.range.end - got.range.start, Ordering::Relaxed);
        Ok(got)
    }

    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.memory.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.memory.put_multipart_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.memory.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.memory.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.memory.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.memory.copy_opts(from, to, options).await
    }
}

const LIMIT: u64 = 1 << 20;

struct Trial {
    store: Arc<Counting>,
    home: tempfile::TempDir,
}

impl Trial {
    fn new() -> Self {
        Self { store: Arc::default(), home: tempfile::tempdir().unwrap() }
    }

    /// What another process has.
    fn process(&self) -> Arc<dyn ObjectStore> {
        before(self.store.clone(), "s3://b/p", &self.home.path().join("cache"), LIMIT).unwrap()
    }

    async fn put(&self, path: &Path, bytes: &[u8]) {
        self.store.memory.put(path, bytes.to_vec().into()).await.unwrap();
    }

    /// Requests and bytes since the last time.
    fn asked(&self) -> (u64, u64) {
        (self.store.requests.swap(0, Ordering::Relaxed), self.store.bytes.swap(0, Ordering::Relaxed))
    }

    fn entries(&self) -> Vec<std::path::PathBuf> {
        let below =
            |folder: std::path::PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
        below(self.home.path().join("cache/hindcast-entries")).flat_map(below).collect()
    }
}

async fn whole(store: &dyn ObjectStore, path: &Path) -> Bytes {
    store.get_opts(path, GetOptions::default()).await.unwrap().bytes().await.unwrap()
}

async fn range(store: &dyn ObjectStore, path: &Path, range: Range<u64>) -> Bytes {
    store
        .get_opts(path, GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() })
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap()
}

fn file(n: u64) -> Path {
    Path::from(format!("p/uid/wal/{n:020}.parquet"))
}

#[tokio::test]
async fn what_never_changes_is_sent_once_and_asked_for_again_without_its_bytes() {
    let trial = Trial::new();
    let path = Path::from("p/uid/log/3/00000000000000000001-00000000000000000009.parquet");
    let bytes: Vec<u8> = (0..9_000_u32).map(|i| (i * 7) as u8).collect();
    trial.put(&path, &bytes).await;
    let first = trial.process();
    assert_eq!(range(&*first, &path, 100..300).await, bytes[100..300]);
    assert_eq!(trial.asked(), (1, 200));
    assert_eq!(range(&*first, &path, 100..300).await, bytes[100..300]);
    assert_eq!(trial.asked(), (0, 0), "the store has just said what it is");
    assert_eq!(range(&*first, &path, 200..300).await, bytes[200..300]);
    assert_eq!(trial.asked(), (1, 100), "another part");
    let second = trial.process();
    assert_eq!(range(&*second, &path, 100..300).await, bytes[100..300]);
    assert_eq!(trial.asked(), (1, 0), "nothing is sent again");
    assert_eq!(whole(&*second, &path).await, bytes);
    assert_eq!(trial.asked(), (1, 9_000));
    assert_eq!(range(&*trial.process(), &path, 8_000..99_000).await, bytes[8_000..]);
    assert_eq!(trial.asked(), (1, 0), "a part of the whole");
    let got = trial.process().get_opts(&path, GetOptions::default()).await.unwrap();
    let real = trial.store.memory.head(&path).await.unwrap();
    assert_eq!((&got.meta.e_tag, got.meta.size, &got.meta.location), (&real.e_tag, real.size, &real.location));
    assert_eq!(got.meta.last_modified.timestamp_micros(), real.last_modified.timestamp_micros());
}

#[tokio::test]
async fn what_was_replaced_or_removed_is_never_answered() {
    let trial = Trial::new();
    let path = file(1);
    trial.put(&path, b"one").await;
    assert_eq!(whole(&*trial.process(), &path).await, "one");
    trial.put(&path, b"two").await;
    assert_eq!(whole(&*trial.process(), &path).await, "two", "of the same size");
    trial.store.memory.delete(&path).await.unwrap();
    let gone = trial.process().get_opts(&path, GetOptions::default()).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    // Who removes it knows at once.
    trial.put(&path, b"three").await;
    let own = trial.process();
    assert_eq!(whole(&*own, &path).await, "three");
    own.delete(&path).await.unwrap();
    assert!(matches!(own.get_opts(&path, GetOptions::default()).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn an_entry_that_was_cut_or_altered_anywhere_is_fetched_anew() {
    let trial = Trial::new();
    let (one, other) = (file(1), file(2));
    let bytes = vec![7_u8; 300];
    trial.put(&one, &bytes).await;
    whole(&*trial.process(), &one).await;
    let entry = trial.entries().pop().unwrap();
    let good = std::fs::read(&entry).unwrap();
    let mut damages: Vec<Vec<u8>> = (0..good.len()).map(|length| good[..length].to_vec()).collect();
    damages.extend((0..good.len()).map(|at| {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        bad
    }));
    damages.push([good.as_slice(), b"more"].concat());
    for damaged in damages {
        std::fs::write(&entry, damaged).unwrap();
        trial.asked();
        assert_eq!(whole(&*trial.process(), &one).await, bytes);
        assert_eq!(trial.asked(), (1, 300));
        assert_eq!(std::fs::read(&entry).unwrap(), good, "it is whole again");
    }
    // One that stands under another's name: its tag is not that one's.
    trial.put(&other, &[9; 300]).await;
    let second = trial.process();
    whole(&*second, &other).await;
    for path in trial.entries() {
        std::fs::write(path, &good).unwrap();
    }
    assert_eq!(whole(&*trial.process(), &other).await, vec![9; 300]);
    // A folder that cannot be written to any more.
    std::fs::remove_dir_all(trial.home.path().join("cache")).unwrap();
    std::fs::write(trial.home.path().join("cache"), b"a file").unwrap();
    assert_eq!(whole(&*second, &one).await, bytes);
}

#[tokio::test]
async fn facts_keys_points_and_listings_are_not_kept_and_nor_is_what_is_large() {
    let trial = Trial::new();
    let names =
        ["meta/manifest/00000000000000000001", "keys/a.parquet", "points/wal/point", "restores/r/plan", "wal/x"];
    for name in names {
        let path = Path::from(format!("p/uid/{name}"));
        trial.put(&path, b"x").await;
        whole(&*trial.process(), &path).await;
    }
    let large = file(9);
    trial.put(&large, &vec![1; (LIMIT / 8 + 1) as usize]).await;
    assert_eq!(whole(&*trial.process(), &large).await.len() as u64, LIMIT / 8 + 1);
    assert!(trial.entries().is_empty(), "{:?}", trial.entries());
    assert_eq!(range(&*trial.process(), &large, 5..9).await, vec![1; 4]);
    assert_eq!(trial.entries().len(), 1, "a part of what is large is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stays_within_its_bound_whoever_writes_at_once_and_the_longest_unused_go_first() {
    let trial = Trial::new();
    let beside = trial.home.path().join("cache/of-the-user");
    let first = trial.process();
    std::fs::write(&beside, b"mine").unwrap();
    for n in 0..120 {
        trial.put(&file(n), &vec![n as u8; 30_000]).await;
    }
    let process = |from: u64| {
        let store = trial.process();
        async move {
            for n in from..from + 60 {
                assert_eq!(whole(&*store, &file(n)).await, vec![n as u8; 30_000]);
            }
        }
    };
    tokio::join!(process(0), process(60), process(30));
    let size: u64 = trial.entries().iter().map(|entry| entry.metadata().unwrap().len()).sum();
    assert!(size <= LIMIT + 3 * LIMIT / 16, "{size}");
    assert!(size > LIMIT / 2, "{size}");
    assert_eq!(std::fs::read(&beside).unwrap(), b"mine");
    // One that is used now outlives those that were only written.
    let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for entry in trial.entries() {
        std::fs::File::options().append(true).open(entry).unwrap().set_modified(old).unwrap();
    }
    let kept = (0..120).find(|n| trial.entries().iter().any(|e| name_of(e) == first_name(&trial, *n))).unwrap();
    whole(&*first, &file(kept)).await;
    for n in 200..220 {
        trial.put(&file(n), &vec![1; 30_000]).await;
        whole(&*first, &file(n)).await;
    }
    assert!(trial.entries().iter().any(|entry| name_of(entry) == first_name(&trial, kept)), "what was used is there");
}

fn name_of(entry: &FilePath) -> String {
    let folder = entry.parent().and_then(FilePath::file_name).unwrap_or_default();
    format!("{}{}", folder.to_string_lossy(), entry.file_name().unwrap_or_default().to_string_lossy())
}

fn first_name(trial: &Trial, n: u64) -> String {
    let folder = Arc::new(Folder::open(&trial.home.path().join("cache"), LIMIT).unwrap());
    Cached { store: trial.store.clone(), url: "s3://b/p".into(), folder, tags: Mutex::default() }.name(&file(n), None)
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_reads_it_and_a_folder_that_others_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let trial = Trial::new();
    trial.put(&file(1), b"one").await;
    whole(&*trial.process(), &file(1)).await;
    let entry = trial.entries().pop().unwrap();
    let mode = |path: &FilePath| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&entry), 0o600);
    for folder in entry.ancestors().skip(1).take(3) {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    let shared = trial.home.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
    let failure = before(trial.store.clone(), "s3://b/p", &shared, LIMIT).unwrap_err();
    assert!(failure.to_string().contains("may be written to by others") && !failure.hints.is_empty(), "{failure}");
    let failure = before(trial.store.clone(), "s3://b/p", &entry, LIMIT).unwrap_err();
    assert!(failure.to_string().contains("--cache"), "{failure}");
}
