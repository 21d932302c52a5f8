//! `month`: what an object store is asked for in a month of 30 days, and what that costs at S3's prices: 0.005 $ for a thousand writes
//! or listings, 0.0004 $ for a thousand reads. Counted in simulated time over one day of a process that compacts and seals, after one
//! that is left out: so that merged files of a day, which come once a day, are counted as often as they come.

use std::time::Duration;

use hindcast_compactor::Policy;
use hindcast_journal::{Parts, seal::Key};
use hindcast_tests::sim::{harness::in_simulated_time, scene::Scene, store::Requests};
use hindcast_watcher::Settings;

use crate::row;

const MAPS: &str = "/configmaps";
const DAY: u64 = 24 * 3600;

/// Takes the figures.
pub(crate) fn month(quick: bool) {
    let share = if quick { 10 } else { 1 };
    told("month: idle", "≤ 0.30 $", share, day(share, |_| Duration::from_hours(1), false));
    // One change a second, not by the clock's tick.
    let pace = |scene: &Scene| Duration::from_millis(scene.world.draw(|rng| rng.below(2_000)));
    told("month: one change a second, linger 1 s", "≤ 7 $", share, day(share, pace, true));
}

fn told(figure: &str, target: &str, share: u64, day: Requests) {
    let days = (30 * share) as f64;
    let Requests { writes, lists, reads } = day;
    let how = format!("a day: {} writes, {} listings, {} reads", writes * share, lists * share, reads * share);
    row(figure, target, &format!("{:.2} $", days * day.dollars()), &how);
}

/// What a part of a day asks for.
fn day(share: u64, pace: impl Fn(&Scene) -> Duration, writes: bool) -> Requests {
    in_simulated_time(async {
        let mut scene = Scene::new(21);
        for n in 0..20 {
            scene.write(MAPS, &format!("m{n}"), n);
        }
        let key = Key::generate("month", "2026-01-01T00:00:00Z", &Parts::system());
        let run = scene.run_with(Settings::default(), Some(Policy::default()), vec![key.into()]);
        live(&scene, 26 * 3600 / share, &pace, writes).await;
        let before = scene.requests();
        live(&scene, DAY / share, &pace, writes).await;
        let asked = scene.requests().since(before);
        run.stop().await;
        asked
    })
}

/// Lets time pass, with a write after each pause.
async fn live(scene: &Scene, seconds: u64, pace: &impl Fn(&Scene) -> Duration, writes: bool) {
    let end = scene.world.now() + seconds as i64 * 1_000_000;
    let mut turn = 0;
    while scene.world.now() < end {
        scene.world.sleep(pace(scene)).await;
        turn += 1;
        if writes {
            scene.write(MAPS, &format!("m{}", turn % 20), turn);
        }
    }
}
