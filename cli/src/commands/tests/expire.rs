//! Retention by hand: what is planned, what is decided and what that changes of answers; and what it does not.

use std::time::Duration;

use hindcast_compactor as compactor;
use hindcast_journal::{
    Journal, Parts, Writer,
    cut::MAIN,
    expiry,
    segment::{FrontierPoint, FrontierVector},
    writer::Identity,
};

use super::{
    journal::{Stored, World},
    run, schema,
};
use crate::{
    failure::Exit,
    store::{self, Access},
};

const CLUSTER: &str = "7385aaaa-0000-4000-8000-000000000001";
const KINDS: &str = "deploy,cm,secrets,widgets";
/// 2026-11-01T13:00:00Z
const START: i64 = 1_793_538_000_000_000;

/// A clock of another day.
#[derive(Debug)]
struct Later;

impl hindcast_journal::parts::Clock for Later {
    fn now(&self) -> i64 {
        Parts::system().clock.now() + 3 * 24 * 3_600_000_000
    }

    fn monotonic(&self) -> Duration {
        Parts::system().clock.monotonic()
    }

    fn sleep(&self, duration: Duration) -> futures::future::BoxFuture<'static, ()> {
        Parts::system().clock.sleep(duration)
    }
}

fn open(world: &World, parts: Parts) -> Journal {
    let location = store::open(&world.url(), Access::Write).unwrap();
    Journal::open(location.store, &location.prefix, CLUSTER, parts)
}

/// A recovery point of revision 13; then the journal is closed for days on end, and merged.
fn aged() -> World {
    let world = World::new(Stored::Sealed);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let journal = open(&world, Parts::system());
        let point = r#"{"format":1,"name":"nightly","id":"00112233445566778899","began":1793538010000000,"state":"complete",
            "made":1793538013500000,"cut":{"main":[0,13]},"time":1793538013000000,"orders":[],"drivers":[],"volumes":[]}"#;
        for object in ["begin", "point"] {
            let path = journal.store().layout().points().join("nightly").join(object);
            journal.store().create(&path, point.as_bytes().into()).await.unwrap();
        }
        let parts = Parts { clock: std::sync::Arc::new(Later), ..Parts::system() };
        let journal = open(&world, parts);
        let identity = Identity { writer: "later".into(), instance: "l".into() };
        let mut writer = Writer::claim(&journal, identity, None).await.unwrap();
        let main = FrontierPoint { incarnation: 0, rv: 30, time: START + 2 * 24 * 3_600_000_000 };
        writer.stage(Vec::new(), FrontierVector::from([(MAIN.to_owned(), main)])).await.unwrap();
        writer.commit().await.unwrap();
        compactor::execute(&journal, "w", 1).await.unwrap().checkpoint.expect("something is closed");
    });
    let merged = run(&world, &["compact"]);
    assert!(merged.out.contains("into a file of level 3"), "{}{}", merged.out, merged.err);
    world
}

fn state(world: &World, at: &str, more: &[&str]) -> super::Done {
    run(world, &[&["get", KINDS, "-A", "-o", "json", "--at", at], more].concat())
}

#[test]
fn what_is_planned_is_decided_and_what_is_kept_reads_as_before() {
    let world = aged();
    let key = world.key_file();
    let before = state(&world, "rev:13", &[]);
    assert!(before.out.contains("\"web\""), "{}", before.err);
    let now = state(&world, "now", &[]);
    let unsaid = run(&world, &["expire"]);
    assert!(unsaid.exit == Exit::Failed && unsaid.err.contains("--retention"), "{}", unsaid.err);
    let young = run(&world, &["expire", "--plan", "--retention", "all=365d"]);
    assert_eq!((young.exit, young.out.as_str()), (Exit::Done, ""), "{}", young.err);

    let file = world.path("policy.yaml");
    std::fs::write(&file, "all: 1h\n").unwrap();
    let policy = ["--retention-file", file.as_str(), "--key-file", key.as_str()];
    let plan = run(&world, &[&["expire", "--plan"], &policy[..]].concat());
    assert_eq!(plan.exit, Exit::Differences, "{}", plan.err);
    assert!(plan.out.contains("point nightly") && plan.out.contains("to be made"), "{}", plan.out);
    assert!(plan.out.contains("goes, 15 min after that is decided: 3 segments, 2 merged files"), "{}", plan.out);
    schema::check("expiration", &run(&world, &[&["expire", "--plan", "-o", "json"], &policy[..]].concat()).out);
    assert_ne!(state(&world, "rev:14", &[]).exit, Exit::Failed, "a plan changes nothing");
    let locked = run(&world, &[&["expire", "--plan", "--no-delete"], &policy[..]].concat());
    assert!(locked.out.contains("others may remove: wal/ below 00000000000000000004"), "{}", locked.out);

    let done = run(&world, &[&["expire", "-o", "json"], &policy[..]].concat());
    assert_eq!(done.exit, Exit::Done, "{}", done.err);
    schema::check("expiration", &done.out);
    assert!(done.out.contains("\"decided\": true") && done.out.contains("\"key\": "), "{}", done.out);
    let again = run(&world, &[&["expire", "--plan"], &policy[..]].concat());
    assert_eq!(again.exit, Exit::Done, "{}{}", again.out, again.err);
    assert!(again.out.contains("expired before, and to be removed: 3 segments, 2 merged files"), "{}", again.out);

    let check = || {
        assert_eq!(state(&world, "rev:13", &[]).out, before.out);
        let point = state(&world, "point:nightly", &[]);
        assert_eq!((point.exit, &point.out), (before.exit, &before.out), "{}", point.err);
        assert_eq!(state(&world, "now", &[]).out, now.out);
        for at in ["rev:14", "2026-11-01T13:00:14.5Z"] {
            let refused = state(&world, at, &[]);
            assert_eq!(refused.exit, Exit::Failed, "{}{}", refused.out, refused.err);
            assert!(refused.err.contains("retention has thinned out"), "{}", refused.err);
            assert!(refused.err.contains("2026-11-01 13:00:13.000+00:00"), "{}", refused.err);
            let instead = state(&world, at, &["--allow-stale"]);
            assert_eq!((instead.exit, &instead.out), (Exit::Reserved, &before.out), "{}", instead.err);
            assert!(instead.err.contains("(kept)"), "{}", instead.err);
        }
        let early = state(&world, "rev:12", &[]);
        assert_eq!(early.exit, Exit::Failed);
        assert!(early.err.contains("the oldest moment that is kept is 2026-11-01T13:00:13.000Z"), "{}", early.err);
        let log = run(&world, &["log", KINDS, "-A", "--all", "--since", "2026-11-01"]);
        assert!(log.exit == Exit::Reserved && log.err.contains("the log goes back to"), "{}", log.err);
        let log = run(&world, &["log", "cm/config", "-n", "shop", "--all"]);
        assert!(log.exit == Exit::Done && log.err.contains("the log goes back to"), "{}", log.err);
        let blame = run(&world, &["blame", "cm/config", "-n", "shop"]);
        assert!(blame.exit == Exit::Reserved && blame.out.contains("data:"), "{}{}", blame.out, blame.err);
        let status = run(&world, &["status"]);
        assert!(
            status.out.contains("every moment from") && status.out.contains("2 cuts before that"),
            "{}",
            status.out
        );
        let json = run(&world, &["status", "-o", "json"]).out;
        schema::check("status", &json);
        assert!(json.contains("\"wholeFrom\"") && json.contains("\"keptCuts\": 2"), "{json}");
        let verified = run(&world, &["verify", "--key-file", &key, "-o", "json"]);
        schema::check("verification", &verified.out);
        assert!(verified.out.contains("\"findings\": []") && verified.out.contains("\"expired\""), "{}", verified.out);
        let told = run(&world, &["verify", "--key-file", &key]);
        assert!(told.out.contains("expired by statement 1, signed by key"), "{}", told.out);
    };
    check();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gone = runtime.block_on(expiry::sweep(&open(&world, Parts::system()), Duration::ZERO, true)).unwrap();
    assert_eq!((gone.segments, gone.files), (3, 2));
    assert!(!world.file("wal/00000000000000000001.parquet").exists());
    check();
}
