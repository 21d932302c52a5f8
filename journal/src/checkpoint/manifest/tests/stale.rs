//! Processes that knew an earlier manifest when others wrote more and removed some: what they add is added to the newest.

use std::{
    sync::atomic::{AtomicBool, AtomicU64},
    time::Duration,
};

use super::*;
use crate::{
    parts::{BoxFuture, Clock, Micros, SystemRandom},
    store::Store,
};

const HOUR: Duration = Duration::from_hours(1);

/// A clock that is set, in seconds.
#[derive(Debug, Default)]
struct Set(AtomicU64);

impl Clock for Set {
    fn now(&self) -> Micros {
        self.0.load(Ordering::Relaxed) as Micros * 1_000_000
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// A bucket that several processes use, at a time that all of them know.
#[derive(Default)]
struct World {
    inner: Arc<InMemory>,
    clock: Arc<Set>,
}

impl World {
    fn process(&self) -> Journal {
        let parts = Parts { clock: self.clock.clone(), random: Arc::new(SystemRandom::new()) };
        Journal::open(self.inner.clone() as Arc<dyn ObjectStore>, &Path::from("p"), "uid", parts)
    }

    /// Some process writes so many manifests and removes those that it may, but for one that is to stay as a page does.
    async fn others(&self, count: u64, page: Option<u64>) {
        let journal = self.process();
        let name = |number| journal.store().layout().meta("manifest", number);
        let kept = match page {
            Some(page) => Some((page, journal.store().get(&name(page)).await.expect("is there"))),
            None => None,
        };
        for _ in 0..count {
            let number = Manifest::read(&journal).await.expect("is read").number;
            assert!(Manifest::add_merged(&journal, merged(1, number + 1, number + 1)).await.expect("is written"));
        }
        let mut pruner = Pruner::default();
        pruner.step(&journal, HOUR).await.expect("looks");
        self.clock.0.fetch_add(HOUR.as_secs(), Ordering::Relaxed);
        pruner.step(&journal, HOUR).await.expect("removes");
        if let Some((page, bytes)) = kept {
            journal.store().create(&name(page), bytes).await.expect("is kept");
        }
    }

    /// What the newest manifest has, as a process sees it that knows none.
    async fn newest(&self) -> Manifest {
        Manifest::read(&self.process()).await.expect("is read")
    }
}

fn entry() -> Merged {
    merged(1, 9_000, 9_000)
}

async fn is_there(store: &Store, number: u64) -> bool {
    store.exists(&store.layout().meta("manifest", number)).await.expect("answers")
}

#[tokio::test]
async fn who_knew_an_earlier_manifest_reads_the_newest_and_adds_to_it() {
    for (known, count) in (1..24).chain([99, 128, 129, 200]).flat_map(|known| [2, 3, 7, 40].map(|count| (known, count)))
    {
        for page in [true, false] {
            let world = World::default();
            world.others(known, None).await;
            let sleeper = world.process();
            let known = Manifest::read(&sleeper).await.expect("is read").number;
            world.others(count, page.then_some(known)).await;
            let newest = world.newest().await;
            assert!(newest.number >= known + count);
            assert_eq!(Manifest::read(&sleeper).await.expect("is read"), newest, "{known} and {count} more, {page}");

            let sleeper = world.process();
            let known = Manifest::read(&sleeper).await.expect("is read").number;
            world.others(count, page.then_some(known)).await;
            assert!(Manifest::add_merged(&sleeper, entry()).await.expect("is written"));
            let newest = world.newest().await;
            assert!(
                newest.merged.contains(&entry()) && newest.number > known + count,
                "{known} and {count} more, {page}"
            );
            let merged = newest.merged.len() as u64;
            assert!(merged > 2 * count, "all that the others added is there: {merged}");
        }
    }
}

#[tokio::test]
async fn what_was_decided_before_a_long_sleep_is_decided_again_after_it() {
    let mut free = 0;
    for (known, count) in (1..24).flat_map(|known| [2, 7, 40].map(|count| (known, count))) {
        let world = World::default();
        world.others(known, None).await;
        let sleeper = world.process();
        let slept = AtomicBool::new(false);
        let own = AtomicU64::new(0);
        let add = |mut manifest: Manifest| {
            let (world, slept, own) = (&world, &slept, &own);
            async move {
                if !slept.swap(true, Ordering::Relaxed) {
                    own.store(manifest.number + 1, Ordering::Relaxed);
                    world.others(count, None).await;
                }
                manifest.merged.push(entry());
                Ok(Some(manifest))
            }
        };
        let before = world.newest().await.number;
        Manifest::change(&sleeper, add).await.expect("is written");
        let own = own.load(Ordering::Relaxed);
        assert_eq!(own, before + 1);
        let newest = world.newest().await;
        assert!(newest.merged.contains(&entry()) && newest.number > own + count - 1, "{known} and {count} more");
        assert!(newest.merged.len() as u64 > count, "with all that the others added");
        // It wrote one that nobody reads, which is removed as others are.
        let page = Manifest::page(&sleeper, own).await;
        free += u64::from(page.is_ok_and(|page| page.merged.contains(&entry())));
        world.others(1, None).await;
        assert!(!is_there(sleeper.store(), own).await || is_landmark(own, newest.number));
    }
    assert!(free > 20, "{free} numbers were free");
}
