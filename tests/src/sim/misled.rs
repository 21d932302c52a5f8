//! A watch that does wrong, once, and does not let anybody notice: a proof finds it, and the journal says what it does not
//! know.
//!
//! Beside the writes of [`super::workload`] a few objects, the *victims*, are written when the switch is on, and never
//! again: what a list of now cannot show any more, no proof can find. **What is checked**: the difference is told of, for
//! that kind and once; the kind is protected again; another round, and another process, find nothing more; and the
//! oracle ([`super::check`]) takes the journal: every write is there, or in an interval that is said to be lost, also for who
//! reads a moment that was closed before anybody knew. Without proofs the oracle must not take it.

use std::time::Duration;

use hindcast_compactor::{Policy, merge::Levels};
use hindcast_journal::facts::Grade;
use hindcast_watcher::{Proof, Settings};

use super::{
    check,
    faults::Fault,
    harness::{Outcome, in_simulated_time, some},
    rng::Rng,
    scene::{Run, Scene},
    workload::{self, CUSTOM},
};

/// How often a process proves.
const EVERY: Duration = Duration::from_mins(5);
/// What a round takes at most, and the time before it.
const ROUND: u64 = 600;
const KINDS: [&str; 4] = ["/configmaps", "/pods", "apps/deployments", "demo.example.com/widgets"];

/// Runs one seed with a bug; with proofs or without.
pub fn misled(seed: u64, bug: Fault, proven: bool) -> Outcome {
    in_simulated_time(async move {
        let mut scene = Scene::new(seed);
        for (group, resource, kind, served) in CUSTOM {
            scene.server.add_crd(group, resource, kind, served);
        }
        let mut rng = scene.world.draw(Rng::fork);
        let mut story =
            Story { kind: KINDS[rng.below(4) as usize], rng, settings: settings(proven), problems: Vec::new() };
        story.tell(&mut scene, bug).await;
        let mut problems = story.problems;
        problems.extend(check::check(&scene.server, &scene.bucket, false).await);
        Outcome::of(seed, &scene.world, &scene.bucket, some(problems)).await
    })
}

fn settings(proven: bool) -> Settings {
    Settings { prove_every: proven.then_some(EVERY), page: 7, ..Settings::default() }
}

struct Story {
    /// The kind of the victims.
    kind: &'static str,
    rng: Rng,
    settings: Settings,
    problems: Vec<String>,
}

impl Story {
    async fn tell(&mut self, scene: &mut Scene, bug: Fault) {
        let proven = self.settings.prove_every.is_some();
        for n in 0..3 {
            scene.write(self.kind, &format!("victim-{n}"), n);
        }
        let run = self.start(scene);
        if proven {
            self.until(scene, &run, "there is no first round", |proof| proof.rounds >= 1).await;
        } else {
            self.busy(scene, 90).await;
        }
        // What was written before has been sent.
        scene.pass(2).await;
        scene.server.arm(self.kind, bug);
        self.occasion(scene, bug);
        self.busy(scene, 20).await;
        if scene.server.is_armed(self.kind) {
            self.problems.push(format!("{} had no occasion", bug.name()));
        }
        if !proven {
            self.stop(run).await;
            return;
        }
        self.until(scene, &run, "nobody noticed", |proof| proof.differences > 0).await;
        let told = run.handle.status().proof.clone();
        if !told.newest.starts_with(self.kind) {
            self.problems.push(format!("told of another kind: {told:?}"));
        }
        self.busy(scene, 60).await;
        if !run.kind(self.kind).covered {
            self.problems.push(format!("it is not protected again: {:?}", run.kind(self.kind)));
        }
        self.until(scene, &run, "there is no round after it", |proof| proof.rounds > told.rounds + 1).await;
        self.calm(&run, told.differences);
        let run = if self.rng.permille(500) {
            self.stop(run).await;
            let next = self.start(scene);
            self.until(scene, &next, "there is no round of the next process", |proof| proof.rounds >= 1).await;
            self.calm(&next, 0);
            next
        } else {
            run
        };
        self.stop(run).await;
        let gaps = scene.gaps(self.kind).await;
        if gaps.iter().filter(|gap| gap.grade == Grade::Lost).count() != 1 {
            self.problems.push(format!("not one interval is said to be lost: {gaps:?}"));
        }
    }

    fn start(&mut self, scene: &mut Scene) -> Run {
        let levels = Levels { lengths: [3_000_000, 12_000_000, 60_000_000], least: 3, weight: 64 << 10 };
        let keep = Some(Duration::from_secs(40));
        let policy = Policy { segments: self.rng.between(4, 64), levels, keep, ..Policy::default() };
        scene.run_with(self.settings.clone(), Some(policy), Vec::new())
    }

    /// Closes the cut and stops.
    async fn stop(&mut self, run: Run) {
        if let Err(error) = run.handle.close().await {
            self.problems.push(format!("the cut cannot be closed: {error}"));
        }
        run.stop().await;
    }

    /// What the bug needs. Both writes of two are made before any of them is sent.
    fn occasion(&mut self, scene: &Scene, bug: Fault) {
        let kind = self.kind;
        let fresh = self.rng.permille(500);
        match bug {
            Fault::DeleteSwallowed => {
                let _ = scene.server.delete(kind, "shop", "victim-0");
            }
            Fault::StaleSent => _ = scene.write(kind, "victim-0", 100),
            Fault::EventSwallowed => _ = scene.write(kind, if fresh { "victim-new" } else { "victim-0" }, 100),
            _ => {
                scene.write(kind, if fresh { "victim-new" } else { "victim-0" }, 100);
                scene.write(kind, if self.rng.permille(500) { "victim-other" } else { "victim-1" }, 101);
            }
        }
    }

    /// Writes for so many seconds.
    async fn busy(&mut self, scene: &Scene, seconds: i64) {
        let end = scene.world.now() + seconds * 1_000_000;
        while scene.world.now() < end {
            workload::write(&scene.server, &mut self.rng);
            scene.world.dawdle(100, 5_000).await;
        }
    }

    /// Writes until the proofs have told that.
    async fn until(&mut self, scene: &Scene, run: &Run, otherwise: &str, told: impl Fn(&Proof) -> bool) {
        let end = scene.world.now() + 2 * (ROUND as i64) * 1_000_000;
        while !told(&run.handle.status().proof) {
            if scene.world.now() > end {
                self.problems.push(format!("{otherwise}: {:?}", run.handle.status().proof));
                return;
            }
            self.busy(scene, 10).await;
        }
    }

    /// Nothing more was found than `differences`, and every kind was proven.
    fn calm(&mut self, run: &Run, differences: u64) {
        let proof = run.handle.status().proof.clone();
        if proof.differences != differences || !proof.unproven.is_empty() {
            self.problems.push(format!("not everything agrees afterwards: {proof:?}"));
        }
    }
}
