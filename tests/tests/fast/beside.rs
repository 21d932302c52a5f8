//! Two drivers beside one another in the simulator: what one of them does wrong is not the other's, and holds nobody up.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hindcast_journal::{
    Error, Result,
    error::ErrorKind,
    point::{Order, PointState, Taken, Volume},
};
use hindcast_snapshotter::{
    Left, Maker, Mended, Told,
    driver::{Standing, VolumeDriver},
};
use hindcast_tests::sim::harness::in_simulated_time;
use tokio::sync::Notify;

use crate::points::{Stage, claim, request};

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// Nothing.
    No,
    /// Nobody answers, which is said at once.
    Down,
    /// It never answers when it is asked for snapshots.
    HangsAtCreate,
    /// It never answers when it is asked how one stands.
    HangsAtLook,
    /// It does not find what it is asked to list.
    NotFound,
    /// It tells of a snapshot that the other driver was to make.
    Lies,
    /// It moves a snapshot into the bucket, and the snapshot stays where it was.
    Leaves,
}

/// A driver that is asked before the model's, by its name.
#[derive(Debug)]
struct Beside {
    wrong: Mutex<Wrong>,
    kept: Mutex<BTreeMap<String, Taken>>,
    asked: AtomicUsize,
    /// Whether it was met: it has no name before.
    met: Mutex<bool>,
}

const NAME: &str = "beside";

impl Beside {
    fn new() -> Arc<Self> {
        let (wrong, kept) = (Mutex::new(Wrong::No), Mutex::default());
        Arc::new(Self { wrong, kept, asked: AtomicUsize::new(0), met: Mutex::new(true) })
    }

    fn is(&self, wrong: Wrong) {
        *self.wrong.lock().expect("no holder panics") = wrong;
    }

    fn kept(&self) -> usize {
        self.kept.lock().expect("no holder panics").len()
    }

    /// What it does wrong to a question.
    async fn ask(&self, hangs: Option<Wrong>) -> Result<()> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let wrong = *self.wrong.lock().expect("no holder panics");
        match wrong {
            Wrong::Down => Err(Error::new(ErrorKind::Unavailable, NAME, "nobody listens")),
            _ if hangs == Some(wrong) => std::future::pending().await,
            _ => Ok(()),
        }
    }

    fn listed(&self, wants: impl Fn(&Taken) -> bool) -> Result<Vec<Taken>> {
        let mut all: Vec<Taken> =
            self.kept.lock().expect("no holder panics").values().filter(|one| wants(one)).cloned().collect();
        match *self.wrong.lock().expect("no holder panics") {
            Wrong::NotFound => return Err(Error::not_found("a bucket", "there is none")),
            Wrong::Lies => {
                let mut lie = all.first().expect("it has one").clone();
                lie.tag.index = 0;
                lie.handle = "somebody's".into();
                all.push(lie);
            }
            _ => {}
        }
        Ok(all)
    }
}

#[async_trait]
impl VolumeDriver for Beside {
    fn name(&self) -> &str {
        if *self.met.lock().expect("no holder panics") { NAME } else { "unix:///run/beside.sock" }
    }

    async fn consider(&self, _volumes: &[Volume]) {
        *self.met.lock().expect("no holder panics") = true;
    }

    fn takes(&self, volume: &Volume) -> std::result::Result<(), String> {
        if volume.driver == "beside.example.com" { Ok(()) } else { Err(format!("is of {}", volume.driver)) }
    }

    async fn create(&self, orders: &[Order]) -> Vec<Result<Taken>> {
        let mut out = Vec::new();
        for order in orders {
            let taken = Taken { handle: order.tag.name(), time: Some(1), ..Taken::bare(order.tag.clone(), NAME) };
            let asked = self.ask(Some(Wrong::HangsAtCreate)).await;
            out.push(asked.map(|()| taken.clone()));
            self.kept.lock().expect("no holder panics").insert(taken.handle.clone(), taken);
        }
        out
    }

    async fn look(&self, taken: &Taken) -> Result<(Taken, Standing)> {
        self.ask(Some(Wrong::HangsAtLook)).await?;
        let there = self.kept.lock().expect("no holder panics").contains_key(&taken.handle);
        let mut now = taken.clone();
        if *self.wrong.lock().expect("no holder panics") == Wrong::Leaves {
            "files".clone_into(&mut now.driver);
        }
        Ok((now, if there { Standing::Ready } else { Standing::Gone }))
    }

    async fn find(&self, cluster: &str, id: &str) -> Result<Vec<Taken>> {
        self.ask(None).await?;
        self.listed(|taken| taken.tag.cluster == cluster && taken.tag.id == id)
    }

    async fn all(&self, cluster: &str) -> Result<Vec<Taken>> {
        self.ask(None).await?;
        self.listed(|taken| taken.tag.cluster == cluster)
    }

    async fn delete(&self, taken: &Taken) -> Result<()> {
        self.ask(None).await?;
        self.kept.lock().expect("no holder panics").remove(&taken.handle);
        Ok(())
    }
}

/// A stage with a third claim, of the driver beside, and a maker with both.
async fn stage(seed: u64) -> (Stage, Arc<Beside>, Maker) {
    let mut stage = Stage::new(seed).await;
    claim(&stage.scene, "other", "beside.example.com");
    stage.scene.pass(5).await;
    let beside = Beside::new();
    let maker = maker(&mut stage, &beside);
    (stage, beside, maker)
}

fn maker(stage: &mut Stage, beside: &Arc<Beside>) -> Maker {
    let (_, maker) = stage.maker();
    maker.with([Arc::clone(beside) as Arc<dyn VolumeDriver>])
}

/// Begins a point, and leaves it once its volumes were asked for.
async fn abandon(maker: &Maker, name: &str) {
    let asked = Notify::new();
    let told = |told: Told| {
        if matches!(told, Told::Cut(..)) {
            asked.notify_one();
        }
    };
    let request = request(name);
    tokio::select! {
        biased;
        () = asked.notified() => {}
        made = maker.take(&request, &told) => unreachable!("{made:?}"),
    }
}

fn failed(mended: &[Mended]) -> usize {
    mended.iter().filter(|mended| mended.failed.is_some()).count()
}

#[test]
fn a_driver_that_is_down_keeps_no_other_one_from_deleting() {
    in_simulated_time(async {
        let (stage, beside, maker) = stage(21).await;
        for name in ["p", "q"] {
            let point = maker.take(&request(name), &|_| {}).await.expect("it is made");
            assert_eq!((point.state, point.snapshots()), (PointState::Complete, 3), "{point:?}");
        }
        beside.is(Wrong::Down);
        for name in ["p", "q"] {
            let error = maker.delete(name, "by hand").await.expect_err("not all of it can be deleted");
            assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains(NAME), "{error}");
        }
        assert!(stage.storage.snapshots().is_empty(), "{:?}", stage.storage.snapshots());
        assert_eq!(beside.kept(), 2);
        // Whoever goes on with both asks it once.
        stage.scene.pass(61).await;
        beside.asked.store(0, Ordering::Relaxed);
        let mended = maker.reconcile().await.expect("it can look");
        assert_eq!(failed(&mended), 3, "{mended:?}");
        assert_eq!(beside.asked.load(Ordering::Relaxed), 1);
        assert_eq!(stage.points().list().await.unwrap().len(), 2, "the bucket knows of what is there still");
        beside.is(Wrong::No);
        assert_eq!(failed(&maker.reconcile().await.expect("it can look")), 0);
        assert_eq!((beside.kept(), stage.points().list().await.unwrap().len()), (0, 0));
        stage.run.stop().await;
    });
}

#[test]
fn what_a_driver_does_not_find_is_not_the_point() {
    in_simulated_time(async {
        let (stage, beside, maker) = stage(22).await;
        maker.take(&request("p"), &|_| {}).await.expect("it is made");
        beside.is(Wrong::NotFound);
        let error = maker.delete("p", "by hand").await.expect_err("it cannot be listed");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.hint().is_some(), "{error}");
        assert_eq!(maker.delete("none", "by hand").await.expect_err("no such").kind(), ErrorKind::NotFound);
        beside.is(Wrong::No);
        maker.delete("p", "by hand").await.expect("it can be deleted");
        stage.run.stop().await;
    });
}

#[test]
fn a_driver_tells_of_nothing_that_another_one_was_to_make() {
    in_simulated_time(async {
        let (stage, beside, maker) = stage(23).await;
        abandon(&maker, "p").await;
        stage.scene.pass(61).await;
        beside.is(Wrong::Lies);
        let mended = maker.reconcile().await.expect("it can look");
        let point = stage.points().read("p").await.unwrap().expect("it is made");
        assert_eq!((point.state, point.snapshots()), (PointState::Complete, 3), "{mended:?} {point:?}");
        let taken: Vec<&Taken> = point.volumes.iter().filter_map(|volume| volume.taken.as_ref()).collect();
        assert!(taken.iter().all(|taken| taken.handle != "somebody's"), "{taken:?}");
        for taken in taken {
            assert_eq!(taken.driver == NAME, taken.tag.index == 2, "{taken:?}");
        }
        stage.run.stop().await;
    });
}

#[test]
fn hooks_after_run_once_however_often_a_point_cannot_be_made() {
    in_simulated_time(async {
        let (stage, beside, maker) = stage(24).await;
        abandon(&maker, "p").await;
        assert_eq!(stage.storage.held().len(), 2, "writers are held");
        stage.scene.pass(61).await;
        beside.is(Wrong::Down);
        for _ in 0..3 {
            assert!(failed(&maker.reconcile().await.expect("it can look")) > 0);
            assert_eq!((stage.storage.held().len(), stage.storage.thawed()), (0, 2), "once in each Pod, and at once");
            stage.scene.pass(61).await;
        }
        beside.is(Wrong::No);
        assert_eq!(failed(&maker.reconcile().await.expect("it can look")), 0);
        let point = stage.points().read("p").await.unwrap().expect("it is made");
        assert_eq!(point.state, PointState::Complete, "{point:?}");
        assert_eq!(point.hooks.len(), 4, "what ran is told: {:?}", point.hooks);
        assert!(stage.storage.thawed() == 2 && maker.thawed.lock().expect("no holder panics").is_empty());
        stage.run.stop().await;
    });
}

#[test]
fn what_was_moved_into_the_bucket_is_not_left_where_it_was() {
    in_simulated_time(async {
        let (stage, beside, maker) = stage(27).await;
        beside.is(Wrong::Leaves);
        let point = maker.take(&request("p"), &|_| {}).await.expect("it is made");
        assert_eq!((point.state, point.snapshots(), beside.kept()), (PointState::Complete, 3, 1), "{point:?}");
        let left = maker.look_for_left().await.expect("it can look");
        assert!(matches!(&left[..], [Left::Leaked(taken)] if taken.driver == NAME), "{left:?}");
        assert_eq!(failed(&maker.reconcile().await.expect("it can look")), 0);
        assert_eq!((beside.kept(), stage.storage.snapshots().len()), (0, 2), "all else is the point's");
        assert_eq!(maker.look_for_left().await.expect("it can look"), []);
        stage.run.stop().await;
    });
}

#[test]
fn a_driver_that_hangs_holds_no_writers_beyond_the_limit_and_no_other_driver() {
    in_simulated_time(async {
        let (stage, beside, maker) = stage(25).await;
        for (name, wrong) in [("p", Wrong::HangsAtCreate), ("q", Wrong::HangsAtLook)] {
            beside.is(wrong);
            let (begun, held) = (Mutex::new(0), Mutex::new(0));
            let world = &stage.scene.world;
            let told = |told: Told| match told {
                Told::Frozen(_) => *begun.lock().expect("no holder panics") = world.now(),
                Told::Hook(_) if *begun.lock().expect("no holder panics") > 0 => {
                    *held.lock().expect("no holder panics") = world.now() - *begun.lock().expect("no holder panics");
                }
                _ => {}
            };
            let point = maker.take(&request(name), &told).await.expect("it is made");
            let held = Duration::from_micros(held.into_inner().unwrap().unsigned_abs());
            assert!(held > Duration::ZERO && held < maker.limits.cut + Duration::from_secs(2), "{wrong:?}: {held:?}");
            assert_eq!((point.state, point.snapshots()), (PointState::Partial, 2), "{wrong:?}: {point:?}");
            assert!(point.missing.iter().any(|why| why.contains("shop/other")), "{:?}", point.missing);
        }
        stage.run.stop().await;
    });
}

#[test]
fn a_driver_that_has_no_name_yet_is_met_before_it_is_missed() {
    in_simulated_time(async {
        let (mut stage, beside, made) = stage(26).await;
        made.take(&request("p"), &|_| {}).await.expect("it is made");
        // Another process, which did not meet it.
        *beside.met.lock().expect("no holder panics") = false;
        let maker = maker(&mut stage, &beside);
        maker.delete("p", "by hand").await.expect("it can be deleted");
        assert_eq!(beside.kept(), 0);
        stage.run.stop().await;
    });
}
