//! A journal that is written, merged, trimmed and thinned out while it is looked at: nothing is found for that, and all else is.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};

use super::*;
use crate::{checkpoint::Pruner, expiry, level::HIGHEST, parts::Micros, trim::Trim};

type Act = Arc<dyn Fn(usize) -> BoxFuture<'static, ()> + Send + Sync>;

/// A store in which something happens before each folder of a listing, and after the last.
struct Moving {
    memory: Arc<InMemory>,
    act: Act,
    /// Whether the last folder is listed first, for folders on disk are listed in no order.
    backwards: bool,
}

impl fmt::Debug for Moving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("moving")
    }
}

impl fmt::Display for Moving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("moving")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Moving {
    async fn put_opts(&self, path: &Path, _: PutPayload, _: PutOptions) -> object_store::Result<PutResult> {
        panic!("{path} is written by who looks at it")
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        panic!("{path} is written by who looks at it")
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.memory.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        panic!("something is removed by who looks at it")
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        if prefix.map(Path::as_ref) != Some("p/uid-1") {
            return self.memory.list(prefix);
        }
        let mut folders = FOLDERS;
        if self.backwards {
            folders.reverse();
        }
        let (memory, act) = (self.memory.clone(), self.act.clone());
        let one = move |(at, folder): (usize, Option<&'static str>)| {
            let (memory, act) = (memory.clone(), act.clone());
            async move {
                act(at).await;
                match folder {
                    Some(folder) => {
                        memory.list(Some(&Path::from(format!("p/uid-1/{folder}")))).collect::<Vec<_>>().await
                    }
                    None => Vec::new(),
                }
            }
        };
        let folders = folders.into_iter().map(Some).chain([None]).enumerate();
        stream::iter(folders.collect::<Vec<_>>()).then(one).flat_map(stream::iter).boxed()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.memory.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.memory.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, path: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        panic!("{path} is written by who looks at it")
    }
}

const FOLDERS: [&str; 7] = ["checkpoints", "keys", "log", "meta", "points", "restores", "wal"];

/// What happens to a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Write,
    Checkpoint,
    Merge,
    Prune,
    Trim,
    Seal,
    Delete,
    Expire,
    /// The log so far becomes one file, and goes on.
    Day,
}

impl Deed {
    /// Each of those that is looked at by itself.
    const ALL: [Self; 8] =
        [Self::Write, Self::Checkpoint, Self::Merge, Self::Prune, Self::Trim, Self::Seal, Self::Delete, Self::Expire];

    async fn carry_out(self, world: &mut World, key: &Key) {
        let store = world.journal.store().clone();
        match self {
            Self::Write => {
                world.put(&["a", "d"]).await;
                world.put(&["b"]).await;
            }
            Self::Checkpoint => {
                world.put(&["c"]).await;
                world.checkpoint().await;
            }
            Self::Merge => world.merge(HIGHEST, 1..=8).await,
            Self::Day => {
                let last = world.journal.end(0).await.expect("looks").segment;
                world.put(&["d"]).await;
                world.merge(HIGHEST, 1..=last).await;
            }
            Self::Prune => {
                for name in ["e", "f", "g"] {
                    world.put(&[name]).await;
                    world.checkpoint().await;
                }
                let mut pruner = Pruner::default();
                for _ in 0..2 {
                    pruner.step(&world.journal, std::time::Duration::ZERO).await.expect("removes");
                }
            }
            Self::Trim => {
                // There is nothing to trim before it is merged.
                if let Some(trim) = Trim::plan(&world.journal, Micros::MAX).await.expect("looks") {
                    trim.execute(&world.journal).await.expect("removes");
                }
            }
            Self::Seal => world.seal().await,
            Self::Delete => {
                crate::point::Points::new(&store).remove("nightly").await.expect("removes");
                assert!(!store.exists(&store.layout().named("points/nightly/begin")).await.expect("answers"));
            }
            Self::Expire => {
                world.put(&["a"]).await;
                world.checkpoint().await;
                let live = Manifest::read(&world.journal).await.expect("reads").checkpoints;
                let base = live.last().expect("there is one").clone();
                let base = expiry::Kept { checkpoint: base, exactly: Vec::new(), revision: false, why: Vec::new() };
                let segment = base.checkpoint.fold_from_segment;
                let decision = expiry::Decision { segment, base, kept: Vec::new(), behind: 0 };
                expiry::decide(&world.journal, decision, Some(key)).await.expect("decides").expect("it is first");
                expiry::sweep(&world.journal, std::time::Duration::ZERO, true).await.expect("removes");
            }
        }
    }
}

/// What is found if these things happen before a folder, and then these files go.
async fn found_while(deeds: &[Deed], at: usize, backwards: bool, lost: &[String]) -> (Report, Report) {
    let keys = [key("one", 1)];
    let world = World::full(&keys).await;
    let memory = world.inner.clone();
    let held = Arc::new(Mutex::new(Some(world)));
    let (deeds, lost, own, slot) = (deeds.to_vec(), lost.to_vec(), keys[0].clone(), held.clone());
    let acted = Arc::new(AtomicBool::new(false));
    let act: Act = Arc::new(move |before| {
        let (deeds, lost, own, slot) = (deeds.clone(), lost.clone(), own.clone(), slot.clone());
        let acted = acted.clone();
        async move {
            // It happens once, however often names are listed.
            if before != at || acted.swap(true, Ordering::Relaxed) {
                return;
            }
            let mut world = slot.lock().expect("no holder panics").take().expect("it is once");
            for deed in deeds {
                deed.carry_out(&mut world, &own).await;
            }
            for name in lost {
                world.inner.delete(&world.journal.store().layout().named(&name)).await.expect("it was there");
            }
            slot.lock().expect("no holder panics").replace(world);
        }
        .boxed()
    });
    let moving = Arc::new(Moving { memory, act, backwards });
    let journal = Journal::open(moving, &Path::from("p"), "uid-1", Parts::system());
    let asked = Asked { trust: Trust::new(&keys, Vec::new()).expect("keys"), ..Default::default() };
    let report = verify(&journal, &asked, &|_| {}).await.expect("the store answers");
    let world = held.lock().expect("no holder panics").take().expect("it is there");
    let after = world.verify(&keys).await;
    (report, after)
}

#[tokio::test]
async fn what_comes_and_goes_while_names_are_listed_is_no_finding() {
    use Deed::{Checkpoint, Merge, Prune, Seal, Trim, Write};
    let mut all: Vec<Vec<Deed>> = Deed::ALL.map(|deed| vec![deed]).to_vec();
    all.extend([
        vec![Merge, Trim],
        vec![Write, Seal, Checkpoint, Prune],
        vec![Merge, Trim, Write, Seal, Prune],
        Deed::ALL.to_vec(),
    ]);
    for deeds in all {
        for at in 0..=FOLDERS.len() {
            for backwards in [false, true] {
                let (report, after) = found_while(&deeds, at, backwards, &[]).await;
                let told = format!("{deeds:?} before folder {at}, backwards: {backwards}");
                assert_eq!(found(&after), [], "{told}: it is whole: {:#?}", after.findings);
                assert_eq!(found(&report), [], "{told}: {:#?}", report.findings);
            }
        }
    }
}

#[tokio::test]
async fn what_came_behind_the_listed_end_and_stands_only_in_a_merged_file_by_now_is_not_cut_off() {
    use Deed::{Checkpoint, Day, Trim, Write};
    // Segments and merged files are listed before, the checkpoint that tells of more after it.
    let before_keys = FOLDERS.iter().rev().position(|folder| *folder == "keys").expect("it is one");
    let (report, after) = found_while(&[Write, Checkpoint, Day, Trim], before_keys, true, &[]).await;
    assert_eq!(found(&after), [], "it is whole: {:#?}", after.findings);
    assert_eq!(found(&report), [], "{:#?}", report.findings);
    assert_eq!(report.segments, (1, 13), "up to the checkpoint");
}

#[tokio::test]
async fn what_is_lost_while_others_come_and_go_is_found() {
    use Deed::{Checkpoint, Merge, Prune, Seal, Trim, Write};
    let keys = [key("one", 1)];
    let store = World::full(&keys).await.journal.store().clone();
    let first = |folder: &'static str| {
        let store = store.clone();
        async move {
            let listed = store.list(&store.layout().named(folder), None).await.expect("lists");
            let name = listed.first().expect("there is one").path.as_ref().to_owned();
            name.strip_prefix("p/uid-1/").expect("it is below").to_owned()
        }
    };
    let restores = "restores/r1/plan".to_owned();
    let lost = [wal(10), first("checkpoints").await, restores, "meta/alias/00000000000000000001".to_owned()];
    for deeds in [vec![], vec![Write], vec![Merge, Trim], vec![Write, Checkpoint, Merge, Trim, Seal, Prune]] {
        for at in 0..=FOLDERS.len() {
            for backwards in [false, true] {
                let (report, _) = found_while(&deeds, at, backwards, &lost).await;
                for name in &lost {
                    let missing = found(&report).contains(&(name, Verdict::Missing));
                    // Nothing stands behind the newest segment that would tell of it.
                    let newest = *name == wal(10) && !deeds.contains(&Deed::Write) && at < FOLDERS.len();
                    assert!(missing || newest, "{name}, {deeds:?}, {at}, {backwards}: {:#?}", report.findings);
                }
            }
        }
    }
}
