//! From every number that was the newest once, the newest is found, whatever was removed since.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use object_store::memory::InMemory;

use super::*;
use crate::{
    Journal,
    checkpoint::is_landmark,
    parts::{BoxFuture, Clock, SystemRandom},
};

/// A clock that is set, in seconds; the wall clock by itself.
#[derive(Debug, Default)]
struct Set {
    monotonic: AtomicU64,
    wall: AtomicU64,
}

impl Clock for Set {
    fn now(&self) -> Micros {
        self.wall.load(Ordering::Relaxed) as Micros * 1_000_000
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.monotonic.load(Ordering::Relaxed))
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn journal() -> (Journal, Arc<Set>) {
    let clock = Arc::new(Set::default());
    let parts = Parts { clock: clock.clone(), random: Arc::new(SystemRandom::new()) };
    (Journal::open(Arc::new(InMemory::new()), &Path::from("p"), "uid-1", parts), clock)
}

#[test]
fn a_number_is_old_by_whichever_clock_says_so() {
    let (journal, clock) = journal();
    let parts = journal.store().parts();
    clock.wall.store(1000, Ordering::Relaxed);
    let known = Known::now(1, parts);
    for (monotonic, wall, old) in
        [(0, 1000, false), (599, 1599, false), (600, 1000, true), (0, 1600, true), (1, 400, true)]
    {
        clock.monotonic.store(monotonic, Ordering::Relaxed);
        clock.wall.store(wall, Ordering::Relaxed);
        assert_eq!(known.is_old(parts), old, "{monotonic} and {wall}");
    }
}

#[tokio::test]
async fn from_every_number_that_was_the_newest_the_newest_is_found_whatever_is_gone() {
    let (journal, clock) = journal();
    let (store, fact) = (journal.store(), "manifest");
    clock.monotonic.store(3600, Ordering::Relaxed);
    let name = |number| store.layout().meta(fact, number);
    let put = async |number: u64| {
        store.create(&name(number), Bytes::from(number.to_string())).await.expect("creates");
    };
    let ask = async |known: u64| {
        // It was found an hour ago.
        let long_ago = Known { number: known, monotonic: Duration::ZERO, time: 0 };
        store.found.lock().expect("no holder panics").insert(fact.to_owned(), long_ago);
        let (number, bytes) = store.newest_fact(fact).await.expect("is read").expect("there is one");
        assert_eq!(bytes, number.to_string());
        number
    };
    let mut there = Vec::new();
    for newest in 1..800_u64 {
        put(newest).await;
        there.push(newest);
        // Now and then those removed are some that were removed a while ago, so that more are there.
        let below = newest - if newest % 3 == 0 { newest % 7 } else { 0 };
        for number in there.extract_if(.., |number| *number < below && !is_landmark(*number, below)) {
            store.remove(&name(number)).await.expect("removes");
        }
        for known in newest.saturating_sub(199).max(1)..newest.min(600) {
            let stands = there.binary_search(&known).is_ok();
            if stands || known % 4 == newest % 4 {
                assert_eq!(ask(known).await, newest, "from {known}, of {there:?}");
            }
            // As a page it stays.
            if !stands {
                put(known).await;
                assert_eq!(ask(known).await, newest, "from the page {known}, of {there:?}");
                store.remove(&name(known)).await.expect("removes");
            }
        }
        assert_eq!(ask(newest).await, newest);
    }
    assert!(there.len() < 40, "{} are left", there.len());
}
