use std::sync::Mutex;

use super::*;

const S: Micros = 1_000_000;
const HOUR: Micros = 3_600 * S;

/// A machine: the true time passes on its monotonic clock, which begins at 1000 s, and its wall clock is off by `skew`.
#[derive(Debug)]
struct Machine {
    /// Monotonic now, and how far the wall clock is off.
    state: Mutex<(Micros, Micros)>,
}

/// The true time when the monotonic clock stands at 0.
const BIRTH: Micros = 1_800_000_000 * S;

impl Clock for Machine {
    fn now(&self) -> Micros {
        let (now, skew) = *self.state.lock().unwrap();
        BIRTH + now + skew
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.state.lock().unwrap().0 as u64)
    }

    fn sleep(&self, _: Duration) -> hindcast_journal::parts::BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

struct Scene {
    machine: Machine,
    keeper: Timekeeper,
}

impl Scene {
    fn new(skew: Micros) -> Self {
        let machine = Machine { state: Mutex::new((1_000 * S, skew)) };
        let mut keeper = Timekeeper::default();
        keeper.read(&machine);
        Self { machine, keeper }
    }

    fn pass(&self, time: Micros) {
        self.machine.state.lock().unwrap().0 += time;
    }

    fn set(&self, skew: Micros) {
        self.machine.state.lock().unwrap().1 = skew;
    }

    fn truth(&self) -> Micros {
        BIRTH + self.machine.state.lock().unwrap().0
    }

    /// The server answers within a tenth of a second, with a clock that is off by `off`.
    fn date(&mut self, off: Micros) {
        let asked = self.machine.monotonic();
        let date = self.truth() + off;
        self.pass(S / 10);
        self.keeper.date(date - date.rem_euclid(S), asked, self.machine.monotonic());
    }

    fn lease(&mut self, name: &str, off: Micros) {
        let renewed = self.truth() + off;
        self.pass(S / 20);
        self.keeper.lease(name, renewed, self.machine.monotonic());
    }

    /// How far off the time is that is told: before and after the true one.
    fn told(&mut self) -> (Micros, Micros) {
        let (now, _) = self.keeper.read(&self.machine);
        (now.lo - self.truth(), now.hi - self.truth())
    }
}

#[test]
fn a_clock_that_nobody_contradicts_is_believed_as_it_is() {
    let mut scene = Scene::new(0);
    assert_eq!(scene.told(), (0, 0));
    for _ in 0..20 {
        scene.date(0);
        scene.lease("kube-controller-manager", 0);
        scene.pass(S);
        assert_eq!(scene.told(), (0, 0));
    }
    assert_eq!(scene.keeper.disagreement(), "");
}

#[test]
fn what_a_clock_told_before_it_was_set_counts_while_nobody_is_believed() {
    let mut scene = Scene::new(-2 * HOUR);
    scene.date(0);
    scene.pass(10 * S);
    scene.date(-HOUR);
    let (lo, hi) = scene.told();
    assert!(lo <= 0 && 0 <= hi, "the only clock that was right was set: {lo} {hi}");
    // Others come to agree, and what was told before is forgotten.
    scene.lease("kube-controller-manager", 0);
    scene.date(0);
    scene.lease("kube-scheduler", 0);
    let (lo, hi) = scene.told();
    assert!(-3 * S < lo && hi < 3 * S, "{lo} {hi}");
}

#[test]
fn a_setting_that_was_refuted_does_not_come_back_because_another_clock_is_as_wrong() {
    let mut scene = Scene::new(0);
    scene.date(0);
    scene.set(-24 * S);
    scene.told();
    scene.date(0);
    assert_eq!(scene.told(), (0, 0), "the server tells which setting was right");
    scene.lease("slow", -25 * S);
    assert_eq!(scene.told(), (0, 0));
}

#[test]
fn a_clock_that_jumps_ahead_and_back_widens_the_time_until_others_have_spoken() {
    let mut scene = Scene::new(0);
    scene.date(0);
    scene.lease("kube-controller-manager", 0);
    scene.set(HOUR);
    let (lo, hi) = scene.told();
    assert!((-S..=0).contains(&lo) && hi == HOUR, "{lo} {hi}");
    scene.date(0);
    scene.lease("kube-controller-manager", 0);
    assert_eq!(scene.told(), (0, 0));
    assert!(scene.keeper.disagreement().contains("this machine"), "{}", scene.keeper.disagreement());
    scene.pass(10 * S);
    scene.set(0);
    scene.date(0);
    assert_eq!(scene.told(), (0, 0));
    assert_eq!(scene.keeper.disagreement(), "");
}

#[test]
fn after_a_step_that_was_right_the_new_time_is_taken_over() {
    // A machine that booted with its clock three hours ahead is corrected; nobody else is there to tell.
    let mut scene = Scene::new(3 * HOUR);
    scene.pass(60 * S);
    scene.set(0);
    assert_eq!(scene.told(), (0, 3 * HOUR));
    scene.date(0);
    scene.lease("kube-controller-manager", 0);
    assert_eq!(scene.told(), (0, 0));
}

#[test]
fn two_that_agree_outvote_one() {
    // This machine is wrong from the start.
    let mut scene = Scene::new(-2 * HOUR);
    scene.date(0);
    let (lo, hi) = scene.told();
    assert!(lo <= -2 * HOUR && hi >= 0, "one against one: both may be right: {lo} {hi}");
    scene.lease("apiserver-abc", 0);
    assert!(scene.told().0 <= -2 * HOUR, "a server's own lease is the same clock");
    scene.lease("kube-controller-manager", 0);
    let (lo, hi) = scene.told();
    assert!(lo <= 0 && hi >= 0 && hi - lo <= 2 * S, "{lo} {hi}");
    // The server is wrong: what it stamps is not believed.
    let mut scene = Scene::new(0);
    scene.date(HOUR);
    scene.lease("kube-controller-manager", 0);
    assert_eq!(scene.told(), (0, 0));
    assert!(!scene.keeper.believes_server());
    assert!(scene.keeper.believes("kube-controller-manager"));
    // A holder is wrong.
    let mut scene = Scene::new(0);
    scene.date(0);
    scene.lease("kube-controller-manager", -60 * S);
    assert_eq!(scene.told(), (0, 0));
    assert!(scene.keeper.believes_server() && !scene.keeper.believes("kube-controller-manager"));
}

#[test]
fn small_steps_and_leap_seconds_stay_within_what_is_told() {
    for step in [S / 20, S / 3, -S / 3, S, -S] {
        let mut scene = Scene::new(0);
        scene.date(0);
        scene.set(step);
        for _ in 0..30 {
            scene.date(0);
            scene.lease("kube-controller-manager", 0);
            scene.pass(S);
            let (lo, hi) = scene.told();
            assert!(lo <= 0 && hi >= 0 && hi - lo <= 3 * S, "a step of {step}: {lo} {hi}");
        }
        let (lo, hi) = scene.told();
        assert!(hi - lo <= S, "a step of {step}, after half a minute: {lo} {hi}");
    }
}

#[test]
fn a_suspend_is_a_step_that_the_server_confirms() {
    let mut scene = Scene::new(0);
    scene.date(0);
    scene.lease("kube-controller-manager", 0);
    // The monotonic clock stands for two hours: seen from it, everybody else leaps.
    scene.set(2 * HOUR);
    let (lo, hi) = scene.told();
    assert!((-S..=0).contains(&lo) && hi == 2 * HOUR, "seen from the monotonic clock: {lo} {hi}");
    let asked = scene.machine.monotonic();
    let date = scene.truth() + 2 * HOUR;
    scene.keeper.date(date - date.rem_euclid(S), asked, asked);
    assert_eq!(scene.told(), (2 * HOUR, 2 * HOUR));
}

#[test]
fn whatever_clocks_do_the_true_time_is_told_while_two_of_three_are_right() {
    let mut seed = 11_u64;
    let mut draw = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    for round in 0..300 {
        let mut scene = Scene::new(0);
        scene.date(0);
        scene.lease("kube-controller-manager", 0);
        let wrong = draw(3);
        let (mut server, mut lease) = (0, 0);
        for step in 0..40 {
            if draw(4) == 0 {
                let off = (draw(20_000) as i64 - 10_000) * S / 1_000 * [1, 60, 1_000][draw(3) as usize];
                match wrong {
                    0 => scene.set(off),
                    1 => server = off,
                    _ => lease = off,
                }
            }
            let (lo, hi) = scene.told();
            assert!(lo <= S / 2 && hi >= -S / 2, "round {round} step {step}, {wrong} wrong: {lo} {hi}");
            scene.date(server);
            if draw(3) > 0 {
                scene.lease("kube-controller-manager", lease);
            }
            scene.pass((draw(30) * S as u64 / 10) as Micros);
        }
    }
}
