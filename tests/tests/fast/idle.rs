//! A cluster in which nothing is written: what protecting it costs, and that who has the bucket alone is answered all the same.

use std::time::Duration;

use hindcast_compactor::Policy;
use hindcast_journal::{Parts, cut::At, error::ErrorKind, parts::Micros, seal::Key};
use hindcast_restorer::Timeline;
use hindcast_tests::sim::{harness::in_simulated_time, scene::Scene, world::Process};
use hindcast_watcher::Settings;

const SECOND: Micros = 1_000_000;
const MAPS: &str = "/configmaps";

/// A day of a process that compacts and seals, thirty times.
#[test]
fn a_month_in_which_nothing_is_written_costs_less_than_thirty_cents() {
    in_simulated_time(async {
        let mut scene = Scene::new(21);
        for n in 0..20 {
            scene.write(MAPS, &format!("m{n}"), n);
        }
        let key = Key::generate("idle", "2026-01-01T00:00:00Z", &Parts::system());
        let run = scene.run_with(Settings::default(), Some(Policy::default()), vec![key.into()]);
        // The rest of the first day: then the frontiers are as rare as they become, and there is a merged file of a day.
        scene.pass(26 * 3600).await;
        let before = scene.requests();
        scene.pass(24 * 3600).await;
        let day = scene.requests().since(before);
        let month = 30.0 * day.dollars();
        println!("{day:?} a day, {month:.4} $ a month");
        assert!((800..=920).contains(&day.writes), "frontiers every two minutes and merged files: {day:?}");
        assert!((0.20..=0.30).contains(&month), "{month} $ a month: {day:?}");
        run.stop().await;
    });
}

/// Asks for a moment so many seconds ago by the bucket alone; how long that took, if it was answered, or why not.
async fn ask(scene: &Scene, name: &str, ago: Micros) -> Result<Duration, Option<ErrorKind>> {
    let reader = Process::new(name, &scene.world);
    let clock = reader.parts().clock;
    let mut timeline = Timeline::open(&scene.journal_of(&reader), Vec::new()).await.expect("it is read");
    let began = clock.monotonic();
    let at = At::Time(clock.now() - ago);
    let past = timeline.at(&at).await.expect("it is read");
    let (past, why) = timeline.wait(&at, past, Duration::from_secs(20)).await.expect("it is read");
    match past.moment().closed {
        true => Ok(clock.monotonic().saturating_sub(began)),
        false => Err(why.map(|why| why.kind())),
    }
}

#[test]
fn who_has_the_bucket_alone_is_answered_within_fifteen_seconds_for_a_few_requests() {
    in_simulated_time(async {
        let mut scene = Scene::new(22);
        scene.write(MAPS, "one", 1);
        let run = scene.run(Settings::default());
        scene.pass(100).await;
        for round in 0..12 {
            // Whatever is due at the same time.
            scene.pass(130 + 7 * round).await;
            let before = scene.requests();
            let ago = [15, 5, 1, 0][round as usize % 4];
            let took = ask(&scene, "reader", ago * SECOND).await.expect("it is answered");
            assert!(took <= Duration::from_secs(15), "{ago} s ago was answered after {took:?}");
            let cost = scene.requests().since(before);
            // A knock, its answer, and perhaps a frontier beside it; and all of the log, which nobody merges here, is read.
            assert!(cost.writes <= 3 && cost.lists <= 2 && cost.dollars() < 0.0002, "{cost:?}");
        }
        scene.pass(1).await;
        assert_eq!(scene.names("meta/knock").await, Vec::<String>::new(), "what is answered is removed");
        // Who asks often is answered soon.
        let first = ask(&scene, "reader", 0).await.expect("it is answered");
        let second = ask(&scene, "reader", 0).await.expect("it is answered");
        assert!(second <= Duration::from_secs(7), "{first:?}, {second:?}");
        run.stop().await;
    });
}

#[test]
fn readers_who_ask_at_once_share_an_answer_and_one_that_nobody_gives_is_told() {
    in_simulated_time(async {
        let mut scene = Scene::new(23);
        scene.write(MAPS, "one", 1);
        let run = scene.run(Settings::default());
        scene.pass(200).await;
        let before = scene.requests();
        let names = ["a", "b", "c", "d", "e"];
        let took = futures::future::join_all(names.map(|name| ask(&scene, name, SECOND))).await;
        assert!(took.iter().all(Result::is_ok), "{took:?}");
        let cost = scene.requests().since(before);
        assert!(cost.writes <= 5 + 3, "each tries to leave the one knock: {cost:?}");
        run.stop().await;
        scene.pass(30).await;
        assert_eq!(ask(&scene, "late", SECOND).await, Err(Some(ErrorKind::Unavailable)));
        assert_eq!(scene.names("meta/knock").await.len(), 1, "it waits for the next process");
        let run = scene.run(Settings::default());
        scene.pass(60).await;
        assert_eq!(scene.names("meta/knock").await, Vec::<String>::new());
        run.stop().await;
    });
}

#[test]
fn who_knocks_without_rest_does_not_have_the_cluster_listed_without_rest() {
    in_simulated_time(async {
        let mut scene = Scene::new(24);
        scene.write(MAPS, "one", 1);
        let run = scene.run(Settings::default());
        scene.pass(100).await;
        let segments = scene.names("wal").await.len();
        let hostile = Process::new("hostile", &scene.world);
        let journal = scene.journal_of(&hostile);
        let knocks = hindcast_journal::knock::Knocks::of(&journal);
        let end = scene.world.now() + 600 * SECOND;
        while scene.world.now() < end {
            let newest = journal.segments_after(0).await.expect("it is read").end - 1;
            let answered = journal.segment(newest).await.expect("it is read").meta.knock();
            // It knocks for what is to come, too.
            for ahead in 1..=3 {
                knocks.leave(answered + ahead).await.expect("it may");
            }
            scene.pass(1).await;
        }
        let made = scene.names("wal").await.len() - segments;
        // Ten at once, one in thirty seconds, and frontiers.
        assert!((20..=10 + 20 + 12).contains(&made), "{made} segments in ten minutes");
        run.stop().await;
    });
}
