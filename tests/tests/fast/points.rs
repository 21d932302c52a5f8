//! Recovery points in the simulator: the real watcher and journal, a model of a storage system, and a process that is
//! killed at every step of making and deleting a point.
//!
//! What must hold after each kill and the next reconcile: no snapshot that no point has, no point that claims a snapshot which
//! is not there, no Pod whose writers are held, and a cut that lies where the volumes were taken.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use hindcast_journal::{
    cut::MAIN,
    point::{Point, PointState, Points},
};
use hindcast_snapshotter::{Drivers, Left, Limits, Maker, Passing, Request, Told, driver::VolumeDriver};
use hindcast_tests::sim::{
    api::state::Kind,
    harness::in_simulated_time,
    json::Json,
    scene::{Run, Scene},
    storage::{Fate, Reach, Storage},
    world::Process,
};
use hindcast_watcher::Settings;

const CLAIMS: &str = "/persistentvolumeclaims";
const VOLUMES: &str = "/persistentvolumes";

pub(crate) struct Stage {
    pub(crate) scene: Scene,
    pub(crate) run: Run,
    pub(crate) storage: Arc<Storage>,
    lives: u64,
}

fn json(text: &str) -> Json {
    Json::parse(text).expect("valid JSON")
}

impl Stage {
    /// A cluster with two claims, each mounted by a Pod with hooks, that a watcher protects.
    pub(crate) async fn new(seed: u64) -> Self {
        let mut scene = Scene::new(seed);
        for (resource, kind, namespaced) in [
            ("persistentvolumeclaims", "PersistentVolumeClaim", true),
            ("persistentvolumes", "PersistentVolume", false),
        ] {
            scene.server.add_kind(Kind::built_in("", "v1", resource, kind, namespaced));
        }
        let stage = |scene: &Scene, n: u32, driver: &str| claim(scene, &format!("data-{n}"), driver);
        stage(&scene, 0, "model.example.com");
        stage(&scene, 1, "model.example.com");
        for n in 0..2 {
            let pod = format!(
                r#"{{"metadata":{{"annotations":{{
                    "pre.hook.backup.velero.io/command":"[\"freeze\"]",
                    "post.hook.backup.velero.io/command":"[\"thaw\"]"}}}},
                    "spec":{{"containers":[{{"name":"db"}}],
                        "volumes":[{{"name":"data","persistentVolumeClaim":{{"claimName":"data-{n}"}}}}]}},
                    "status":{{"phase":"Running"}}}}"#
            );
            scene.server.create("/pods", "shop", &format!("db-{n}"), json(&pod)).expect("it is served");
        }
        let run = scene.run(Settings::default());
        scene.pass(20).await;
        Self { scene, run, storage: Arc::default(), lives: 0 }
    }

    pub(crate) fn maker(&mut self) -> (Arc<Process>, Maker) {
        self.lives += 1;
        let process = Process::new(format!("maker-{}", self.lives), &self.scene.world);
        let reach = Arc::new(Reach::new(&process, &self.storage, &self.scene.server, &self.run.handle));
        let maker = Maker {
            journal: self.scene.journal_of(&process),
            drivers: Drivers::new(vec![reach.clone()]),
            exec: reach.clone(),
            now: reach,
            limits: Limits {
                cut: Duration::from_secs(20),
                ready: Duration::from_mins(1),
                hold: Duration::from_secs(9),
            },
            by: process.name.clone(),
            thawed: Arc::default(),
        };
        (process, maker)
    }

    /// A way to the storage system, of a process that does not die.
    fn reach(&self) -> Arc<Reach> {
        let process = Process::new("reach".to_owned(), &self.scene.world);
        Arc::new(Reach::new(&process, &self.storage, &self.scene.server, &self.run.handle))
    }

    pub(crate) fn points(&self) -> Points {
        Points::new(self.scene.journal().store())
    }

    /// Makes a point by a process that dies at step `n`; whether it came to its end before.
    async fn take_dying(&mut self, name: &str, n: u64) -> bool {
        let (process, maker) = self.maker();
        process.die_at_step(n);
        let request = request(name);
        let ended = tokio::select! {
            biased;
            () = process.died() => false,
            point = maker.take(&request, &|_| {}) => {
                point.expect("nothing fails but the process");
                true
            }
        };
        ended && !process.is_dead()
    }

    async fn delete_dying(&mut self, name: &str, n: u64) -> bool {
        let (process, maker) = self.maker();
        process.die_at_step(n);
        let ended = tokio::select! {
            biased;
            () = process.died() => false,
            done = maker.delete(name, "by hand") => {
                done.expect("nothing fails but the process");
                true
            }
        };
        ended && !process.is_dead()
    }

    /// What the next process does, once the hold of the dead one has run out.
    async fn reconcile(&mut self) {
        self.scene.pass(61).await;
        let (_, maker) = self.maker();
        for mended in maker.reconcile().await.expect("it can look") {
            assert_eq!(mended.failed, None, "{:?}", mended.left);
        }
        let left = maker.look_for_left().await.expect("it can look");
        assert_eq!(left, [], "nothing is left behind");
    }

    /// What must hold whenever nobody works at a point.
    pub(crate) async fn check(&self, what: &str) -> Vec<Point> {
        let (points, errors) = self.points().made().await.expect("the bucket can be listed");
        assert!(errors.is_empty(), "{what}: {errors:?}");
        let there = self.storage.snapshots();
        let mut claimed = BTreeSet::new();
        for point in &points {
            for volume in &point.volumes {
                let Some(taken) = &volume.taken else {
                    assert!(volume.why.is_some(), "{what}: a volume without a snapshot has a reason");
                    continue;
                };
                let snapshot = there.get(&taken.handle);
                let snapshot = snapshot.unwrap_or_else(|| {
                    unreachable!("{what}: {} claims {} which is not there", point.about.name, taken.handle)
                });
                assert_eq!(snapshot.tag.point, point.about.name, "{what}");
                let (r0, r1) = point.between;
                assert!(r0 <= snapshot.revision && snapshot.revision <= r1, "{what}: {snapshot:?} in {r0}..={r1}");
                claimed.insert(taken.handle.clone());
            }
            match point.state {
                PointState::Complete => {
                    assert!(point.missing.is_empty() && point.snapshots() == 2, "{what}: {point:?}");
                }
                PointState::Partial | PointState::Failed => assert!(!point.missing.is_empty(), "{what}: {point:?}"),
            }
            if point.is_usable() {
                let rev = point.cut().domains.get(MAIN).map_or(0, |at| at.rv);
                assert!(point.between.0 <= rev && rev <= point.between.1, "{what}: {point:?}");
            }
        }
        let unclaimed: Vec<&String> = there.keys().filter(|handle| !claimed.contains(*handle)).collect();
        assert!(unclaimed.is_empty(), "{what}: leaked {unclaimed:?}");
        assert_eq!(self.storage.held(), Vec::<String>::new(), "{what}: writers are held");
        points
    }
}

/// A bound claim and its volume.
pub(crate) fn claim(scene: &Scene, name: &str, driver: &str) {
    let volume = format!(
        r#"{{"spec":{{"capacity":{{"storage":"1Gi"}},"accessModes":["ReadWriteOnce"],
            "csi":{{"driver":"{driver}","volumeHandle":"vol-{name}"}},
            "claimRef":{{"namespace":"shop","name":"{name}"}}}},"status":{{"phase":"Bound"}}}}"#
    );
    scene.server.create(VOLUMES, "", &format!("pv-{name}"), json(&volume)).expect("it is served");
    let claim = format!(r#"{{"spec":{{"volumeName":"pv-{name}"}},"status":{{"phase":"Bound"}}}}"#);
    scene.server.create(CLAIMS, "shop", name, json(&claim)).expect("it is served");
}

pub(crate) fn request(name: &str) -> Request {
    let mut request = Request { name: name.to_owned(), ..Request::default() };
    request.scope.namespaces = vec!["shop".to_owned()];
    request
}

#[test]
fn a_process_that_is_killed_at_any_step_of_making_a_point_leaves_nothing_behind() {
    in_simulated_time(async {
        let mut stage = Stage::new(7).await;
        let mut states = BTreeSet::new();
        for n in 1.. {
            if n % 20 == 0 {
                // A journal without checkpoints is read from its beginning each time.
                stage.run.stop().await;
                stage = Stage::new(n).await;
            }
            let name = format!("p{n}");
            let ended = stage.take_dying(&name, n).await;
            // Writers go on meanwhile, so that revisions tell moments apart.
            stage.scene.write("/configmaps", "busy", n);
            stage.reconcile().await;
            let what = format!("killed at step {n}");
            let points = stage.check(&what).await;
            states.extend(points.iter().find(|point| point.about.name == name).map(|point| point.state));
            let (_, maker) = stage.maker();
            if points.iter().any(|point| point.about.name == name) {
                maker.delete(&name, "by hand").await.expect("it can be deleted");
            }
            assert!(stage.storage.snapshots().is_empty(), "{what}: a deleted point has snapshots");
            if ended {
                assert!(n > 30, "it has more steps than {n}");
                println!("killed at each of {n} steps");
                break;
            }
        }
        // Dying early, in the middle and late gives each of them.
        assert_eq!(states, BTreeSet::from([PointState::Failed, PointState::Partial, PointState::Complete]));
        stage.run.stop().await;
    });
}

#[test]
fn a_process_that_is_killed_at_any_step_of_deleting_a_point_leaves_nothing_behind() {
    in_simulated_time(async {
        let mut stage = Stage::new(8).await;
        for n in 1.. {
            let name = format!("p{n}");
            let (_, maker) = stage.maker();
            maker.take(&request(&name), &|_| {}).await.expect("it is made");
            let before = stage.points().read(&name).await.unwrap().unwrap();
            let ended = stage.delete_dying(&name, n).await;
            stage.reconcile().await;
            let what = format!("killed at step {n}");
            let points = stage.check(&what).await;
            match points.iter().find(|point| point.about.name == name) {
                // It was killed before anybody could know.
                Some(point) => {
                    assert_eq!(*point, before, "{what}");
                    assert_eq!(stage.storage.snapshots().len(), 2, "{what}");
                    let (_, maker) = stage.maker();
                    maker.delete(&name, "by hand").await.expect("it can be deleted");
                }
                None => assert!(stage.storage.snapshots().is_empty(), "{what}"),
            }
            assert!(stage.points().list().await.unwrap().is_empty(), "{what}: nothing of it is in the bucket");
            if ended {
                assert!(n > 15, "it has more steps than {n}");
                println!("killed at each of {n} steps");
                break;
            }
        }
        stage.run.stop().await;
    });
}

#[test]
fn a_point_says_what_it_does_not_have() {
    in_simulated_time(async {
        let mut stage = Stage::new(9).await;
        for (fate, says) in [
            (Fate::Refused, "the quota has no room"),
            (Fate::Fails, "the disk is broken"),
            (Fate::Hangs, "was not ready within 60 s"),
        ] {
            stage.storage.fate("data-1", Some(fate));
            let (_, maker) = stage.maker();
            let point = maker.take(&request("p"), &|_| {}).await.expect("it is made");
            assert_eq!(point.state, PointState::Partial);
            assert_eq!(point.missing.len(), 1, "{:?}", point.missing);
            assert!(point.missing[0].contains("shop/data-1") && point.missing[0].contains(says), "{:?}", point.missing);
            stage.check(says).await;
            maker.delete("p", "by hand").await.expect("it can be deleted");
        }
        stage.storage.fate("data-1", None);
        // A volume that no driver takes.
        claim(&stage.scene, "odd", "odd.example.com");
        stage.scene.pass(5).await;
        let (_, maker) = stage.maker();
        let point = maker.take(&request("p"), &|_| {}).await.expect("it is made");
        assert_eq!(point.state, PointState::Partial);
        assert!(point.missing[0].contains("shop/odd"), "{:?}", point.missing);
        assert_eq!(point.snapshots(), 2);
        stage.run.stop().await;
    });
}

/// What is begun with a driver ends with it, and whoever begins without it says so.
#[test]
fn a_driver_that_goes_while_a_point_is_made_or_deleted_is_there_until_it_is_done() {
    in_simulated_time(async {
        let mut stage = Stage::new(19).await;
        let passing = Passing::default();
        let (_, maker) = stage.maker();
        let there: Vec<Arc<dyn VolumeDriver>> = vec![stage.reach()];
        let maker = Maker { drivers: Drivers::default(), ..maker }.following(passing.clone());
        let none = maker.take(&request("none"), &|_| {}).await.expect("it is made");
        assert!(none.state == PointState::Partial && none.snapshots() == 0, "{none:?}");
        maker.delete("none", "by hand").await.expect("it can be deleted");

        passing.put(there.clone());
        let goes = |told| {
            if matches!(told, Told::Planned { .. }) {
                passing.put(Vec::new());
            }
        };
        let point = maker.take(&request("p"), &goes).await.expect("it is made");
        assert_eq!((point.state, point.snapshots()), (PointState::Complete, 2), "{point:?}");
        stage.check("the driver went").await;
        let error = maker.delete("p", "by hand").await.expect_err("there is no driver");
        assert!(error.told().contains("is not there in this process"), "{}", error.told());
        assert_eq!(stage.storage.snapshots().len(), 2, "what it made is left as it is");
        passing.put(there);
        maker.delete("p", "by hand").await.expect("it can be deleted");
        assert!(stage.storage.snapshots().is_empty());
        stage.run.stop().await;
    });
}

#[test]
fn a_hook_that_fails_keeps_its_pods_volumes_out_and_hooks_after_run_all_the_same() {
    in_simulated_time(async {
        let mut stage = Stage::new(10).await;
        let broken = |object: &mut Json| {
            object.at("metadata").at("annotations").set("pre.hook.backup.velero.io/command", "[\"fail\"]");
        };
        stage.scene.server.update("/pods", "shop", "db-1", ("kubectl", ""), broken).expect("it is there");
        let (_, maker) = stage.maker();
        let point = maker.take(&request("p"), &|_| {}).await.expect("it is made");
        assert_eq!(point.state, PointState::Partial, "{point:?}");
        assert!(point.missing.iter().any(|line| line.contains("shop/data-1") && line.contains("exit 1")), "{point:?}");
        assert_eq!(point.snapshots(), 1);
        stage.check("a hook failed").await;
        // With a failure that does not count, everything is taken, and it is still said.
        let lenient = |object: &mut Json| {
            object.at("metadata").at("annotations").set("pre.hook.backup.velero.io/on-error", "Continue");
        };
        stage.scene.server.update("/pods", "shop", "db-1", ("kubectl", ""), lenient).expect("it is there");
        let point = maker.take(&request("q"), &|_| {}).await.expect("it is made");
        assert_eq!((point.state, point.snapshots()), (PointState::Complete, 2), "{point:?}");
        assert!(point.hooks.iter().any(|ran| ran.failed.is_some()));
        stage.run.stop().await;
    });
}

#[test]
fn two_processes_never_work_at_one_point_and_a_name_is_taken_once() {
    in_simulated_time(async {
        let mut stage = Stage::new(11).await;
        let (_, first) = stage.maker();
        let (_, second) = stage.maker();
        let (one, two) = (request("p"), request("p"));
        let (a, b) = tokio::join!(first.take(&one, &|_| {}), second.take(&two, &|_| {}));
        assert_eq!([a.is_ok(), b.is_ok()].iter().filter(|ok| **ok).count(), 1, "{a:?} {b:?}");
        stage.check("two at once").await;
        // While one is being made, another process leaves it alone.
        let (_, maker) = stage.maker();
        let (_, looker) = stage.maker();
        let asked = request("q");
        let told = |_| {};
        let making = maker.take(&asked, &told);
        let looking = async {
            stage.scene.world.sleep(Duration::from_millis(5500)).await;
            looker.look_for_left().await.expect("it can look")
        };
        let (made, left): (_, Vec<Left>) = tokio::join!(making, looking);
        assert_eq!(made.expect("it is made").state, PointState::Complete);
        assert_eq!(left, []);
        stage.run.stop().await;
    });
}
