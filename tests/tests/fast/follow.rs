//! What one kind or one domain does to the protection of the others, told step by step in the simulator.

use std::time::Duration;

use hindcast_journal::cut::MAIN;
use hindcast_tests::sim::{api::state::Trouble, faults::Fault, harness::in_simulated_time, scene::{Run, Scene}};
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
