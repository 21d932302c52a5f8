//! Merging by hand: what is planned, what is done, and that it changes no answer.

use std::sync::Arc;

use hindcast_journal::{Journal, Parts, Writer, writer::Identity};

use super::{
    journal::{Stored, World},
    run, schema,
};
use crate::{
    failure::Exit,
    store::{self, Access},
};

const CLUSTER: &str = "7385aaaa-0000-4000-8000-000000000001";

/// A clock of another day.
#[derive(Debug)]
struct Later;

impl hindcast_journal::parts::Clock for Later {
    fn now(&self) -> i64 {
        Parts::system().clock.now() + 3 * 24 * 3_600_000_000
    }

    fn monotonic(&self) -> std::time::Duration {
        Parts::system().clock.monotonic()
    }

    fn sleep(&self, duration: std::time::Duration) -> futures::future::BoxFuture<'static, ()> {
        Parts::system().clock.sleep(duration)
    }
}

/// Claims the journal again three days from now, which ends all stretches before.
fn claim_later(world: &World) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let location = store::open(&world.url(), Access::Write).unwrap();
        let parts = Parts { clock: Arc::new(Later), ..Parts::system() };
        let journal = Journal::open(location.store, &location.prefix, CLUSTER, parts);
        let identity = Identity { writer: "later".into(), instance: "l".into() };
        Writer::claim(&journal, identity, None).await.unwrap();
    });
}

#[test]
fn what_is_planned_is_done_and_changes_no_answer() {
    let world = World::new(Stored::Sealed);
    let ask = || run(&world, &["log", "deploy,cm,widgets", "-A", "--all", "--since", "2026-11-01"]).out;
    let nothing = run(&world, &["compact", "--plan"]);
    assert_eq!((nothing.exit, nothing.out.as_str()), (Exit::Done, ""), "{}", nothing.err);
    assert!(nothing.err.contains("nothing to do"), "{}", nothing.err);
    claim_later(&world);
    let before = ask();
    let plan = run(&world, &["compact", "--plan"]);
    assert_eq!(plan.exit, Exit::Differences, "{}", plan.err);
    let file = |level: u8| format!("merge: 3 segments from 1 to 3 into a file of level {level}\n");
    assert_eq!(plan.out, file(2) + &file(3));
    schema::check("compaction", &run(&world, &["compact", "--plan", "-o", "json"]).out);
    let done = run(&world, &["compact", "--no-delta-table", "-o", "json"]);
    assert_eq!(done.exit, Exit::Done, "{}", done.err);
    schema::check("compaction", &done.out);
    assert!(!done.out.contains("\"table\""), "{}", done.out);
    assert!(done.out.contains("\"level\": 3") && done.out.contains("\"bytes\""), "{}", done.out);
    assert_eq!(ask(), before);
    let table = run(&world, &["compact", "-o", "json"]);
    schema::check("compaction", &table.out);
    assert!(table.out.contains("\"table\"") && table.out.contains("\"version\": 0"), "{}", table.out);
    let again = run(&world, &["compact"]);
    assert_eq!((again.exit, again.out.as_str()), (Exit::Done, ""), "{}", again.err);
    assert_eq!(ask(), before);
}
