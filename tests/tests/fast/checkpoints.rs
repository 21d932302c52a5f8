//! Checkpoints behind a writer, while the store is away.

use std::{sync::Arc, time::Duration};

use hindcast_compactor::{self as compactor, Policy};
use hindcast_journal::{
    Journal, Writer,
    checkpoint::Manifest,
    cut::MAIN,
    segment::{FrontierPoint, FrontierVector},
    writer::{Durable, Identity},
};
use hindcast_tests::sim::{
    harness::in_simulated_time,
    store::Bucket,
    world::{Process, World},
};
use object_store::path::Path;
use tokio::sync::watch;

/// Commits an empty segment that closes the main domain up to its number.
async fn close(writer: &mut Writer) -> Durable {
    let n = writer.segment() + 1;
    let point = FrontierPoint { incarnation: 0, rv: n, time: n as i64 * 1_000_000 };
    writer.stage(Vec::new(), FrontierVector::from([(MAIN.to_owned(), point)])).await.expect("stages");
    writer.commit().await.expect("commits")
}

#[test]
fn a_store_that_is_away_when_checkpoints_begin_ends_none_of_them() {
    in_simulated_time(async {
        let world = World::new(1, []);
        let bucket = Bucket::new(&world);
        let process = Process::new("run".to_owned(), &world);
        let parts = process.parts();
        let journal = Journal::open(bucket.store(&process), &Path::from("p"), "uid", parts.clone());
        let identity = Identity { writer: "run".to_owned(), instance: "one".to_owned() };
        let mut writer = Writer::claim(&journal, identity, None).await.unwrap();
        let first = close(&mut writer).await;
        let (tell, durable) = watch::channel(first);
        bucket.go_down(Duration::from_mins(10));
        let policy = Policy { segments: 3, ..Policy::default() };
        let behind = compactor::Parts {
            journal: journal.clone(),
            durable,
            writer: Arc::from("run"),
            epoch: 1,
            metrics: compactor::Metrics::default(),
            expire: watch::channel(None).1,
        };
        let (stop, mut stopped) = watch::channel(false);
        let work = compactor::run(policy, behind, async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        });
        let work = tokio::spawn(work);
        parts.clock.sleep(Duration::from_mins(9)).await;
        assert!(!work.is_finished(), "it goes on while the store is away");
        parts.clock.sleep(Duration::from_mins(3)).await;
        let newest = async || {
            let manifest = Manifest::read(&journal).await.unwrap();
            manifest.checkpoints.last().map_or(0, |checkpoint| checkpoint.segment)
        };
        for _ in 0..8 {
            tell.send_replace(close(&mut writer).await);
            parts.clock.sleep(Duration::from_secs(1)).await;
        }
        let before = newest().await;
        assert!(before > 0, "the store is back: a checkpoint is written");
        // Away again, when one falls due.
        let mut committed = Vec::new();
        for _ in 0..4 {
            committed.push(close(&mut writer).await);
        }
        bucket.go_down(Duration::from_mins(5));
        for durable in committed {
            tell.send_replace(durable);
            parts.clock.sleep(Duration::from_secs(1)).await;
        }
        parts.clock.sleep(Duration::from_mins(7)).await;
        for _ in 0..8 {
            tell.send_replace(close(&mut writer).await);
            parts.clock.sleep(Duration::from_secs(1)).await;
        }
        assert!(newest().await > before, "and so is the next");
        stop.send_replace(true);
        work.await.unwrap();
    });
}
