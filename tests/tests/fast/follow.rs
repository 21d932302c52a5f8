//! What one kind or one domain does to the protection of the others, played step by step in the simulator.

use std::time::Duration;

use hindcast_journal::cut::MAIN;
use hindcast_tests::sim::{
    api::state::Trouble,
    faults::Fault,
    harness::in_simulated_time,
    scene::{Run, Scene},
};
use hindcast_watcher::Settings;

const EVENTS: &str = "/events";
const PODS: &str = "/pods";
const MAPS: &str = "/configmaps";

fn with_events() -> Settings {
    Settings { include: vec!["events".into()], discovery_every: Duration::from_secs(20), ..Settings::default() }
}

/// No life of the main counter has ended, and the Events are protected where they count.
async fn events_are_found_apart(scene: &Scene, run: &Run) {
    let closed = scene.closed().await;
    assert_eq!(closed.get(MAIN).map(|point| point.incarnation), Some(0), "{closed:?}");
    let events = run.kind(EVENTS);
    assert!(events.covered && events.domain != MAIN, "{events:?}");
    assert!(closed.contains_key(&events.domain), "{closed:?}");
}

#[test]
fn a_kind_that_was_left_out_is_probed_before_it_is_taken_in() {
    in_simulated_time(async {
        let mut scene = Scene::new(1);
        for n in 0..20 {
            scene.write(EVENTS, &format!("e{n}"), n);
        }
        let run = scene.run(Settings::default());
        scene.pass(60).await;
        run.stop().await;
        let run = scene.run(with_events());
        scene.pass(90).await;
        events_are_found_apart(&scene, &run).await;
        run.stop().await;
    });
}

#[test]
fn a_kind_that_was_forbidden_is_probed_before_it_is_taken_in() {
    in_simulated_time(async {
        let mut scene = Scene::new(2);
        scene.server.forbid(EVENTS, true);
        let run = scene.run(with_events());
        scene.pass(90).await;
        assert!(!run.kind(EVENTS).covered);
        scene.server.forbid(EVENTS, false);
        scene.pass(120).await;
        events_are_found_apart(&scene, &run).await;
        run.stop().await;
    });
}

#[test]
fn a_kind_that_comes_later_is_probed_before_it_is_taken_in() {
    in_simulated_time(async {
        let mut scene = Scene::new(3);
        scene.server.serve(EVENTS, false);
        let run = scene.run(with_events());
        scene.pass(90).await;
        scene.server.serve(EVENTS, true);
        scene.pass(120).await;
        events_are_found_apart(&scene, &run).await;
        run.stop().await;
    });
}

#[test]
fn a_closing_that_fails_lets_no_kind_go_that_is_well() {
    in_simulated_time(async {
        let mut scene = Scene::new(4);
        scene.server.set_apart(PODS);
        let run = scene.run(with_events());
        scene.pass(90).await;
        assert_eq!(run.kind(PODS).domain, run.kind(EVENTS).domain);
        scene.write(EVENTS, "one", 1);
        scene.pass(1).await;
        scene.server.trouble(PODS, Some(Trouble::Refuses));
        let _ = run.handle.close().await;
        scene.server.trouble(PODS, None);
        scene.pass(45).await;
        assert!(run.kind(PODS).covered, "{:?}", run.kind(PODS));
        run.stop().await;
        assert_eq!(scene.gaps(PODS).await, []);
    });
}

#[test]
fn kinds_that_hang_take_no_place_from_those_that_are_well() {
    in_simulated_time(async {
        let mut scene = Scene::new(5);
        let hung: Vec<String> = (0..48).map(|n| format!("hung{n:02}")).collect();
        for name in &hung {
            scene.server.add_crd("hung.example.com", name, &name.to_uppercase(), &["v1"]);
        }
        let run = scene.run(Settings::default());
        scene.pass(90).await;
        for name in &hung {
            let key = format!("hung.example.com/{name}");
            assert!(run.kind(&key).covered);
            scene.server.trouble(&key, Some(Trouble::Hangs));
        }
        scene.server.restart(Duration::from_millis(200)).await;
        for n in 0..10 {
            scene.pass(20).await;
            // Open watches break once more, while all who hang wait for their turn.
            scene.world.faults.set([(Fault::StreamReset, 1000)]);
            scene.write(MAPS, "one", n);
            scene.pass(1).await;
            scene.world.faults.set([(Fault::StreamReset, 0)]);
        }
        let gone = hung.iter().filter(|name| !run.kind(&format!("hung.example.com/{name}")).covered).count();
        assert_eq!(gone, hung.len(), "those are let go");
        run.stop().await;
        for key in [MAPS, PODS, "/namespaces", "apps/deployments"] {
            // After a restart of the server each is healed once.
            let gaps = scene.gaps(key).await;
            assert!(gaps.len() <= 1, "{key} was let go: {gaps:?}");
        }
    });
}

#[test]
fn main_kinds_without_bookmarks_are_followed_all_the_same() {
    in_simulated_time(async {
        let mut scene = Scene::new(6);
        scene.write(MAPS, "one", 1);
        scene.server.trouble(MAPS, Some(Trouble::Mute));
        let run = scene.run(Settings::default());
        scene.pass(60).await;
        scene.pass(600).await;
        assert_eq!(scene.gaps(MAPS).await, []);
        let lag = scene.lag(MAIN).await;
        assert!(lag < 180, "closed time lags by {lag} s");
        run.handle.close().await.expect("it closes");
        scene.write(MAPS, "one", 2);
        let at = scene.write(MAPS, "two", 1);
        scene.pass(3).await;
        assert!(run.kind(MAPS).cursor >= at);
        run.stop().await;
    });
}

#[test]
fn a_main_kind_whose_watch_is_dead_is_let_go_though_it_never_sent_a_bookmark() {
    in_simulated_time(async {
        let mut scene = Scene::new(7);
        scene.write(MAPS, "one", 1);
        scene.server.trouble(MAPS, Some(Trouble::Mute));
        let run = scene.run(Settings::default());
        scene.pass(200).await;
        scene.server.trouble(MAPS, Some(Trouble::Silent));
        let written = scene.write(MAPS, "one", 2);
        scene.pass(180).await;
        run.stop().await;
        let gaps = scene.gaps(MAPS).await;
        let recovered = gaps.iter().find(|gap| (gap.from + 1..=gap.to).contains(&written));
        assert_eq!(recovered.map(|gap| gap.recovered), Some(1), "what it did not say was recovered: {gaps:?}");
    });
}

#[test]
fn a_quiet_kind_of_a_domain_without_bookmarks_does_not_hold_its_time() {
    in_simulated_time(async {
        let mut scene = Scene::new(8);
        scene.server.set_apart(PODS);
        for kind in [PODS, EVENTS] {
            scene.write(kind, "first", 0);
            scene.server.trouble(kind, Some(Trouble::Mute));
        }
        let run = scene.run(with_events());
        for n in 0..90 {
            scene.pass(7).await;
            scene.write(EVENTS, "busy", n);
        }
        let (pods, events) = (run.kind(PODS), run.kind(EVENTS));
        assert!(pods.covered && events.covered && pods.domain == events.domain && pods.domain != MAIN, "{pods:?}");
        let lag = scene.lag(&pods.domain).await;
        assert!(lag < 180, "closed time lags by {lag} s");
        run.stop().await;
    });
}
