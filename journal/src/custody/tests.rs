//! Random lives of a bucket's data keys: values are sealed, keys come and go, everything dies in the middle of things.

mod whole;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, memory::InMemory, path::Path,
};
use proptest::{collection::vec, prelude::*};

use super::{
    forget::{self, Asked},
    *,
};
use crate::{
    Change, Parts, Writer,
    cut::MAIN,
    encode::{Base, Encoder, Observation},
    error::ErrorKind,
    exact::Value,
    facts::{self, Discovery},
    fold::ObjectKey,
    parts::{BoxFuture, Clock, Micros, SystemClock},
    proof::Ledger,
    row::{Cell, Op, Source},
    seal::{DataKeys, LOOK, Place, Secrets},
    segment::{FrontierPoint, FrontierVector},
    verify::{self, Verdict},
    writer::Identity,
};
/// A store that takes so many writes and removals, and then no more.
#[derive(Debug, Clone)]
struct Dying {
    inner: Arc<InMemory>,
    left: Arc<AtomicI64>,
    /// Whether statements are not shown.
    hides: Arc<AtomicBool>,
}

impl std::fmt::Display for Dying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dying")
    }
}

impl Dying {
    fn new() -> Self {
        Self { inner: Arc::default(), left: Arc::new(AtomicI64::new(i64::MAX)), hides: Arc::default() }
    }

    fn dies_after(&self, writes: i64) {
        self.left.store(writes, Ordering::Relaxed);
    }

    fn write(&self) -> object_store::Result<()> {
        match self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            true => Ok(()),
            false => {
                Err(object_store::Error::NotImplemented { operation: "write".into(), implementer: "dying".into() })
            }
        }
    }
}

#[async_trait::async_trait]
impl ObjectStore for Dying {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.write()?;
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        if self.hides.load(Ordering::Relaxed) && path.as_ref().contains("meta/custody/") {
            return Err(object_store::Error::PermissionDenied { path: path.to_string(), source: "hidden".into() });
        }
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let store = self.clone();
        let one = move |path: object_store::Result<Path>| {
            let store = store.clone();
            async move {
                let path = path?;
                store.write()?;
                store.inner.delete(&path).await?;
                Ok(path)
            }
        };
        paths.then(one).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A clock whose waits take no time, and that has gone on when they end.
#[derive(Debug, Default)]
struct Leaping {
    real: SystemClock,
    leapt: AtomicI64,
}

impl Leaping {
    fn leapt(&self) -> i64 {
        self.leapt.load(Ordering::Relaxed)
    }
}

impl Clock for Leaping {
    fn now(&self) -> Micros {
        self.real.now() + self.leapt()
    }

    fn monotonic(&self) -> Duration {
        self.real.monotonic() + Duration::from_micros(self.leapt().unsigned_abs())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // The limit of a request is no wait: the store in memory answers at once.
        if duration >= Duration::from_secs(20) {
            return Box::pin(std::future::pending());
        }
        self.leapt.fetch_add(duration.as_micros() as i64, Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }
}

fn parts() -> Parts {
    Parts { clock: Arc::new(Leaping::default()), ..Parts::system() }
}

fn key(n: u8) -> Arc<Key> {
    let (wrap, hmac, seal) = ([n; 32], [n.wrapping_add(85); 32], [n.wrapping_add(170); 32]);
    Arc::new(Key { name: format!("key-{n}"), created: String::new(), wrap, hmac, seal })
}

/// The middle of a month of 2026.
fn month(n: u8) -> i64 {
    1_768_435_200_000_000 + i64::from(n) * 31 * 86_400_000_000
}

const NAMESPACES: [&str; 3] = ["shop", "bank", ""];

/// A value that was sealed, what it says, and whether it was forgotten since.
struct Sealed {
    namespace: &'static str,
    cell: Cell,
    plain: String,
    forgotten: bool,
}

struct World {
    store: Dying,
    journal: Journal,
    /// The key file, the newest first.
    keys: Vec<Arc<Key>>,
    /// Keys that were in it once.
    retired: Vec<Arc<Key>>,
    made: u8,
    /// The process that seals, as long as it lives.
    process: Option<DataKeys>,
    sealed: Vec<Sealed>,
}

impl World {
    fn new() -> Self {
        let store = Dying::new();
        let journal = Journal::open(Arc::new(store.clone()), &Path::from("p"), "uid-1", parts());
        let (keys, sealed) = (vec![key(1)], Vec::new());
        Self { store, journal, keys, retired: Vec::new(), made: 1, process: None, sealed }
    }

    fn data_keys(&self, keys: &[Arc<Key>]) -> DataKeys {
        DataKeys::new("uid-1", keys.to_vec(), self.journal.parts().clone())
    }

    async fn seal(&mut self, namespace: &'static str, at: u8) {
        let process = self.process.take().unwrap_or_else(|| self.data_keys(&self.keys));
        let plain = format!("value {}", self.sealed.len());
        let pos = self.sealed.len() as u64 + 1;
        let secret = Bytes::from(crate::exact::to_canonical(&Value::from(plain.as_str())));
        let mut cell = Cell { path: "/data/v".into(), key_id: String::new(), pos, rv: pos, secret };
        let place = Place { cluster: "uid-1", key: "/secrets/x/y", namespace };
        process.seal(self.journal.store(), place, &mut cell, month(at)).await.expect("seals");
        self.sealed.push(Sealed { namespace, cell, plain, forgotten: false });
        self.process = Some(process);
    }

    async fn opened(&self, keys: &[Arc<Key>], sealed: &Sealed) -> Result<Value> {
        let place = Place { cluster: "uid-1", key: "/secrets/x/y", namespace: sealed.namespace };
        self.data_keys(keys).open(self.journal.store(), place, &sealed.cell).await
    }

    /// What is not forgotten opens, and says what it said; what is forgotten does not, and is said to be.
    async fn check(&self, keys: &[Arc<Key>]) {
        for sealed in &self.sealed {
            match (sealed.forgotten, self.opened(keys, sealed).await) {
                (false, opened) => assert_eq!(opened.expect("opens"), Value::from(sealed.plain.as_str())),
                (true, opened) => {
                    let error = opened.expect_err("is forgotten");
                    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                    assert!(
                        error.to_string().contains("was forgotten on ") && error.to_string().contains(" by me"),
                        "{error}"
                    );
                }
            }
        }
    }

    /// Whether any file of the bucket, with any key that ever was, opens a value.
    async fn leaks(&self, sealed: &Sealed) -> bool {
        let every: Vec<Arc<Key>> = self.keys.iter().chain(&self.retired).cloned().collect();
        let store = self.journal.store();
        let place = Place { cluster: "uid-1", key: "/secrets/x/y", namespace: sealed.namespace };
        for listed in store.list(store.layout().root(), None).await.expect("lists") {
            let file = store.get(&listed.path).await.expect("is there");
            for id in self.sealed.iter().map(|other| &other.cell.key_id) {
                let Ok((data_key, _)) = crate::seal::wrapped::unwrap("uid-1", id, id, &every, &file) else { continue };
                if crate::seal::opens(&data_key, &place, &sealed.cell) {
                    return true;
                }
            }
        }
        false
    }

    async fn forget(&mut self, namespace: &'static str) -> Result<()> {
        let asked = Asked { namespace: namespace.to_owned(), object: None, reason: None };
        let plan = forget::plan(&self.journal, &self.keys, &asked).await?;
        let told = forget::apply(&self.journal, &self.keys, &asked, &plan, "me").await?;
        assert_eq!(told.is_some(), !plan.ids.is_empty());
        for sealed in self.sealed.iter_mut().filter(|sealed| plan.ids.contains(&sealed.cell.key_id)) {
            sealed.forgotten = true;
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// The running process seals a value.
    Seal(usize, u8),
    /// A new key, and a new process.
    Rotate,
    Restart,
    /// Everything is wrapped anew; the store may die on the way. Then the older keys go, or their files, or both.
    Rewrap {
        dies: Option<i64>,
        retire: bool,
        remove: bool,
    },
    /// A namespace is forgotten; the store may die on the way, and then it is asked again.
    Forget(usize, Option<i64>),
}

fn step() -> impl Strategy<Value = Step> {
    let dies = || prop_oneof![3 => Just(None), 2 => (0_i64..12).prop_map(Some)];
    prop_oneof![
        8 => (0_usize..3, 0_u8..4).prop_map(|(namespace, at)| Step::Seal(namespace, at)),
        2 => Just(Step::Rotate),
        2 => Just(Step::Restart),
        3 => (dies(), any::<bool>(), any::<bool>())
            .prop_map(|(dies, retire, remove)| Step::Rewrap { dies, retire, remove }),
        2 => (0_usize..3, dies()).prop_map(|(namespace, dies)| Step::Forget(namespace, dies)),
    ]
}

async fn rewrap(world: &mut World, dies: Option<i64>, retire: bool, remove: bool) {
    let newest = &world.keys[..1];
    if let Some(after) = dies {
        world.store.dies_after(after);
        let mut done = rewrap::wrap(&world.journal, &world.keys, "me").await.map(|_| ());
        if remove && done.is_ok() {
            done = rewrap::remove(&world.journal, &world.keys, "me").await.map(|_| ());
        }
        world.store.dies_after(i64::MAX);
        drop(done);
        world.check(&world.keys).await;
    }
    rewrap::wrap(&world.journal, &world.keys, "me").await.expect("wraps");
    world.check(newest).await;
    let found = survey(&world.journal, &world.keys).await.expect("looks");
    assert_eq!(found.closed().count(), 0);
    assert_eq!(rewrap::plan(&found).wrap, Vec::<String>::new(), "a second one has nothing to do");
    let again = rewrap::wrap(&world.journal, &world.keys, "me").await.expect("wraps");
    assert_eq!((again.wrapped, again.told), (0, None));
    if remove {
        rewrap::remove(&world.journal, &world.keys, "me").await.expect("removes");
        world.check(newest).await;
        let older: Vec<Arc<Key>> = world.keys[1..].to_vec();
        for sealed in world.sealed.iter().filter(|sealed| !older.is_empty() && !sealed.forgotten) {
            assert!(world.opened(&older, sealed).await.is_err(), "the older keys are of no use any more");
        }
    }
    if retire {
        let older = world.keys.split_off(1);
        world.retired.extend(older);
        world.process = None;
    }
}

async fn live(steps: Vec<Step>) {
    let mut world = World::new();
    for step in steps {
        match step {
            Step::Seal(namespace, at) => world.seal(NAMESPACES[namespace], at).await,
            Step::Rotate => {
                world.made += 1;
                world.keys.insert(0, key(world.made));
                world.process = None;
            }
            Step::Restart => world.process = None,
            Step::Rewrap { dies, retire, remove } => rewrap(&mut world, dies, retire, remove).await,
            Step::Forget(namespace, dies) => {
                let namespace = NAMESPACES[namespace];
                for sealed in world.sealed.iter().filter(|sealed| !sealed.forgotten) {
                    assert!(world.leaks(sealed).await, "until it is forgotten, some file opens it");
                }
                if let Some(after) = dies {
                    world.store.dies_after(after);
                    let asked = Asked { namespace: namespace.to_owned(), object: None, reason: None };
                    let plan = forget::plan(&world.journal, &world.keys, &asked).await.expect("plans");
                    let died = forget::apply(&world.journal, &world.keys, &asked, &plan, "me").await.is_err();
                    world.store.dies_after(i64::MAX);
                    // Once it is told it is forgotten, and finished by whoever comes next.
                    let told = told(&world.journal).await.expect("reads");
                    let forgets = told.iter().filter(|told| matches!(told.deed, Deed::Forgotten { .. }));
                    let told: Vec<&String> = forgets.flat_map(|told| &told.ids).collect();
                    if !died || plan.ids.iter().all(|id| told.contains(&id)) {
                        for sealed in world.sealed.iter_mut().filter(|s| plan.ids.contains(&s.cell.key_id)) {
                            sealed.forgotten = true;
                        }
                        // Also where files of it are still there.
                        world.check(&world.keys).await;
                    }
                }
                world.forget(namespace).await.expect("forgets");
                for sealed in world.sealed.iter().filter(|sealed| sealed.forgotten) {
                    assert!(!world.leaks(sealed).await, "{:?}", sealed.cell.key_id);
                }
            }
        }
        world.check(&world.keys).await;
    }
    for sealed in world.sealed.iter().filter(|sealed| sealed.forgotten) {
        assert!(!world.leaks(sealed).await);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_rewrapped_opens_with_the_new_key_alone_and_what_is_forgotten_with_none(steps in vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(live(steps));
    }
}

#[tokio::test]
async fn a_process_that_lives_seals_with_another_data_key_once_its_own_is_forgotten() {
    let mut world = World::new();
    world.seal("shop", 0).await;
    let first = world.sealed[0].cell.key_id.clone();
    let process = world.process.take().expect("it lives");
    let place = Place { cluster: "uid-1", key: "/secrets/x/y", namespace: "shop" };
    process.open(world.journal.store(), place, &world.sealed[0].cell).await.expect("opens");
    world.forget("shop").await.expect("forgets");
    let error = process.open(world.journal.store(), place, &world.sealed[0].cell).await.expect_err("is forgotten");
    assert_eq!(error.kind(), ErrorKind::NotFound, "it left the memory too: {error}");
    // The wait of whoever forgets was longer than a writer goes without looking.
    world.process = Some(process);
    world.seal("shop", 0).await;
    let second = world.sealed[1].cell.key_id.clone();
    assert_ne!(first, second);
    world.check(&world.keys).await;
    // A process that begins now makes none of that name either.
    world.process = None;
    world.seal("shop", 0).await;
    assert_eq!(world.sealed[2].cell.key_id, second);
    assert!(LOOK < Duration::from_secs(15));
}

#[tokio::test]
async fn no_data_key_is_made_by_a_process_that_could_not_read_what_was_told() {
    let mut world = World::new();
    world.seal("shop", 0).await;
    let first = world.sealed[0].cell.key_id.clone();
    world.forget("shop").await.expect("forgets");
    let store = world.journal.store().clone();
    world.store.hides.store(true, Ordering::Relaxed);
    let process = world.data_keys(&world.keys);
    process.ready(&store, "shop", month(0)).await.expect_err("nobody knows whether it was forgotten");
    assert!(store.list(&store.layout().data_keys(), None).await.expect("lists").is_empty());
    world.store.hides.store(false, Ordering::Relaxed);
    process.ready(&store, "shop", month(0)).await.expect("it looks again");
    // What it has is used while nothing new is told to it, and still nothing is made.
    world.journal.parts().clock.sleep(Duration::from_secs(15)).await;
    world.store.hides.store(true, Ordering::Relaxed);
    process.ready(&store, "shop", month(0)).await.expect("the data key is there");
    process.ready(&store, "bank", month(0)).await.expect_err("there is none of it yet");
    world.store.hides.store(false, Ordering::Relaxed);
    world.process = Some(process);
    world.journal.parts().clock.sleep(Duration::from_secs(15)).await;
    world.seal("shop", 0).await;
    assert_ne!(world.sealed[1].cell.key_id, first);
    world.check(&world.keys).await;
}

#[tokio::test]
async fn nothing_is_removed_nor_kept_closed_for_a_statement_that_no_key_at_hand_signed() {
    let mut world = World::new();
    world.seal("shop", 0).await;
    let told = Told {
        cluster: "uid-1".to_owned(),
        number: 1,
        time: 1,
        by: "a stranger".to_owned(),
        key: world.keys[0].name.clone(),
        print: world.keys[0].fingerprint(),
        deed: Deed::Forgotten { namespace: "shop".to_owned(), object: None, reason: None },
        ids: vec![world.sealed[0].cell.key_id.clone()],
        files: vec![format!("keys/{}", world.sealed[0].cell.key_id)],
    };
    let store = world.journal.store();
    // In another's name, and in its own.
    for (number, print) in [(1, key(1).fingerprint()), (2, key(7).fingerprint())] {
        let file = Told { number, print, ..told.clone() }.to_file(&key(7)).expect("is signed");
        store.create(&store.layout().meta(CUSTODY, number), file).await.expect("creates");
    }
    assert_eq!(forget::sweep(&world.journal, &world.keys).await.expect("sweeps"), 0);
    rewrap::wrap(&world.journal, &world.keys, "me").await.expect("wraps");
    world.check(&world.keys).await;
    let asked = Asked { namespace: "shop".to_owned(), object: None, reason: None };
    let plan = forget::plan(&world.journal, &world.keys, &asked).await.expect("plans");
    assert_eq!((plan.ids.len(), plan.left.len()), (1, 0), "it is not forgotten");
    world.forget("shop").await.expect("forgets");
    assert!(!world.leaks(&world.sealed[0]).await);
}

#[tokio::test]
async fn who_holds_only_a_key_that_was_retired_seals_on_under_names_of_their_own() {
    let mut world = World::new();
    world.seal("shop", 0).await;
    world.keys.insert(0, key(2));
    rewrap::wrap(&world.journal, &world.keys, "me").await.expect("wraps");
    let done = rewrap::remove(&world.journal, &world.keys, "me").await.expect("removes");
    assert_eq!(done.removed, 1);
    let old = [key(1)];
    let error = world.opened(&old, &world.sealed[0]).await.expect_err("it is of no use any more");
    assert!(error.to_string().contains("is wrapped by key \"key-2-"), "{error}");
    let keys = std::mem::replace(&mut world.keys, old.to_vec());
    world.process = None;
    world.seal("shop", 0).await;
    assert_ne!(world.sealed[0].cell.key_id, world.sealed[1].cell.key_id);
    world.keys = keys;
    world.check(&world.keys).await;
}

#[tokio::test]
async fn a_copy_that_holds_something_else_is_named_and_nothing_is_removed() {
    let mut world = World::new();
    world.seal("shop", 0).await;
    let id = world.sealed[0].cell.key_id.clone();
    world.keys.insert(0, key(2));
    let name = crate::seal::wrapped::copy(&id, &world.keys[0]);
    let store = world.journal.store();
    let other = crate::seal::wrapped::wrap(&parts(), "uid-1", &id, &world.keys[0], &[9; 32]).expect("wraps");
    store.create(&store.layout().data_key(&name), other).await.expect("creates");
    let found = survey(&world.journal, &world.keys).await.expect("looks");
    assert_eq!(rewrap::plan(&found).closed.len(), 1, "{found:?}");
    let done = rewrap::wrap(&world.journal, &world.keys, "me").await.expect("goes on with the others");
    assert_eq!((done.wrapped, &done.told), (0, &None), "the older key is needed");
    assert_eq!(rewrap::remove(&world.journal, &world.keys, "me").await.expect("looks").removed, 0);
    assert!(store.exists(&store.layout().data_key(&id)).await.expect("answers"));
}
