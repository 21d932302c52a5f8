//! Making a point, taking one away, and finishing what a process left behind.
//!
//! The steps of [`Maker::take`], each durable before the next:
//!
//! | step | what | if the process dies here |
//! |---|---|---|
//! | 1 | the cut of now is closed, the point is planned | nothing was done |
//! | 2 | `begin`: what will be asked for | nothing was asked for; the point failed |
//! | 3 | pre-hooks, round by round | hooks after are run; the point failed |
//! | 4 | `frozen`: R0 | as in 3, and what bears the tag is looked for |
//! | 5 | all volumes are asked for at once, while the cut is closed | what was made is adopted, the rest is missing |
//! | 6 | until the moment of each is fixed | the same |
//! | 7 | post-hooks | they are run again: once too often rather than never |
//! | 8 | R1; until each is ready | what was made is adopted |
//! | 9 | `point` | it is made |
//!
//! **Invariants.** (1) No driver is asked before `frozen` is durable, and only for what `begin` says [`Maker::take`]. (2) A
//! point has only what was seen to be there: what was not ready in time, or failed, is missing by name, and deleted. (3)
//! Hooks after run whenever hooks before may have run, in this process or the next [`Maker::reconcile`]. (4) A point
//! without a closed cut in [R0, R1] is failed and keeps no snapshot. (5) One process works at a point, the one that
//! holds it ([`hindcast_journal::point::Hold`]). (6) No driver holds writers longer than [`Limits::cut`], nor keeps the
//! snapshots of another one from being looked at [`Maker::wait`]. (7) What is made, deleted or finished is so with the drivers that
//! were there when it began [`Maker::pinned`].
//!
//! Not here: what is taken ([`crate::plan`]), how a driver works, when a schedule is due.

mod delete;
mod drivers;
mod pass;
mod reconcile;
mod run_hooks;
mod together;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use hindcast_journal::{
    Error, Journal, Past, Reader, Result,
    cut::{At, MAIN},
    error::ErrorKind,
    parts::Micros,
    point::{self, About, Begin, Frozen, Order, Point, PointState, PointVolume, Points, Ran, Taken},
    row::Revision,
};

pub use self::{
    drivers::{Drivers, Passing},
    reconcile::{Left, Mended},
};
use crate::{
    csi::Csi,
    driver::{self, Copied, Standing, VolumeDriver},
    exec::{Exec, PodExec},
    files,
    now::{Closer, Now, Written},
    plan::{self, Planned, Request},
    scene::Scene,
};

/// How often what is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long is waited at least for an answer to a look: one that comes in time counts.
const LEAST: Duration = Duration::from_secs(1);
/// How long whoever makes a point waits until what the point does not have is deleted.
const DROP: Duration = Duration::from_secs(20);
/// Snapshots looked at, or deleted, at once.
const AT_ONCE: usize = 32;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until the moment of every snapshot is fixed: hooks hold writers for so long.
    pub cut: Duration,
    /// Until every snapshot is ready, and until all files of a volume are read.
    pub ready: Duration,
    /// How long a point stays one process's without a sign of life: it gives one after a third of that.
    pub hold: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cut: Duration::from_mins(2), ready: Duration::from_hours(4), hold: Duration::from_secs(90) }
    }
}

/// What is told on the way, for people who wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is planned.
    Planned {
        /// Snapshots.
        orders: usize,
        /// Volumes that are left.
        left: usize,
        /// Hooks.
        hooks: usize,
    },
    /// A hook ended.
    Hook(Ran),
    /// R0 is known, volumes are asked for.
    Frozen(Revision),
    /// So many of so many snapshots have their moment.
    Cut(usize, usize),
    /// So many of so many snapshots are ready.
    Ready(usize, usize),
    /// How far the copies of files are, all of them together.
    Copied(Copied),
}

/// Makes and deletes points of one journal.
#[derive(Debug, Clone)]
pub struct Maker {
    /// The journal.
    pub journal: Journal,
    /// Who takes volumes.
    pub drivers: Drivers,
    /// Who runs hooks.
    pub exec: Arc<dyn Exec>,
    /// Who knows where the cluster stands.
    pub now: Arc<dyn Now>,
    /// How long things may take.
    pub limits: Limits,
    /// Who this is: drawn anew by each process.
    pub by: String,
    /// The hooks after that succeeded in this process for points that another one left, by the point's id, until the point
    /// is made: they are not run at every try to make it.
    pub thawed: Arc<Mutex<BTreeMap<String, Vec<Ran>>>>,
}

/// One snapshot on its way.
#[derive(Debug, Clone)]
struct Under {
    order: Order,
    driver: String,
    taken: Option<Taken>,
    /// Why it will not be.
    why: Option<String>,
    cut: bool,
    ready: bool,
    /// Why it could not be looked at the last time.
    trouble: Option<String>,
    copied: Option<Copied>,
}

/// How far some are: so many of so many, and what was copied of the rest.
#[derive(Debug, Clone, Copy)]
struct Far {
    done: usize,
    of: usize,
    copied: Option<Copied>,
}

impl Far {
    fn of(under: &[&mut Under], through: &dyn Fn(&Under) -> bool) -> Self {
        let going = || under.iter().filter(|one| one.why.is_none());
        let copied = Copied::all(going().filter(|one| !through(one)).filter_map(|one| one.copied));
        Self { done: going().filter(|one| through(one)).count(), of: going().count(), copied }
    }
}

impl Under {
    /// A reason, and what stood in the way of knowing more.
    fn because(&self, why: String) -> String {
        match &self.trouble {
            None => why,
            Some(trouble) => format!("{why}; when it was looked at last: {trouble}"),
        }
    }
}

impl Maker {
    /// Of the journal of a client's cluster, with what that cluster offers: CSI snapshots, hooks in its Pods.
    pub fn new(journal: &Journal, client: &kube::Client, closer: Option<Arc<dyn Closer>>, limits: Limits) -> Self {
        let parts = journal.parts();
        Self {
            journal: journal.clone(),
            drivers: Drivers::new(vec![Arc::new(Csi::new(client.clone(), parts.clone()))]),
            exec: Arc::new(PodExec::new(client.clone(), parts.clone())),
            now: Arc::new(Written::new(client.clone(), journal, closer)),
            limits,
            by: format!("{:016x}", parts.random.next_u64()),
            thawed: Arc::default(),
        }
    }

    /// The same, with more drivers of volumes.
    #[must_use]
    pub fn with(mut self, more: impl IntoIterator<Item = Arc<dyn VolumeDriver>>) -> Self {
        self.drivers.extend(more);
        self
    }

    /// The same, with drivers that come and go.
    #[must_use]
    pub fn following(mut self, passing: Passing) -> Self {
        self.drivers.follow(passing);
        self
    }

    /// The same, with the drivers that are there now and no others.
    fn pinned(&self) -> Self {
        Self { drivers: self.drivers.pinned(), ..self.clone() }
    }

    fn points(&self) -> Points {
        Points::new(self.journal.store())
    }

    fn clock(&self) -> Micros {
        self.journal.parts().clock.now()
    }

    /// What a point would take, from the newest closed cut.
    pub async fn plan(&self, request: &Request, id: &str) -> Result<Planned> {
        let past = self.journal.at(&At::Now).await?;
        if !past.moment().closed {
            return Err(Error::new(ErrorKind::Unavailable, "the journal", "has no closed cut yet")
                .with_hint("wait until `hindcast run` has read the cluster; `hindcast status` says how far it is"));
        }
        let scene = Scene::read(&past).await?;
        let volumes = plan::volumes(&scene, &request.scope)?;
        let drivers = self.drivers.all();
        futures::future::join_all(drivers.iter().map(|driver| driver.consider(&volumes))).await;
        let drivers: Vec<&dyn VolumeDriver> = drivers.iter().map(|driver| &**driver).collect();
        let planned = plan::plan(&scene, request, &drivers, self.journal.cluster(), id)?;
        Ok(Planned { revision: past.moment().cut.rev(), ..planned })
    }

    /// Makes a point. An error means that nothing was begun or that what was begun is left to [`Maker::reconcile`]; what
    /// went wrong with a point itself is in the point.
    pub async fn take(&self, request: &Request, told: &(dyn Fn(Told) + Send + Sync)) -> Result<Point> {
        self.pinned().take_with(request, told).await
    }

    async fn take_with(&self, request: &Request, told: &(dyn Fn(Told) + Send + Sync)) -> Result<Point> {
        point::check_name(&request.name)?;
        self.now.close().await?;
        let id = self.points().draw().await?;
        let planned = self.plan(request, &id).await?;
        let began = self.clock();
        let begin = Begin {
            about: About {
                format: point::FORMAT,
                name: request.name.clone(),
                id,
                schedule: request.schedule.clone(),
                scope: request.scope.clone(),
                began,
                expires: request.ttl.map(|ttl| began.saturating_add(ttl)),
                labels: request.labels.clone(),
            },
            orders: planned.orders.clone(),
            drivers: planned.drivers.clone(),
            left: planned.left.clone(),
            hooks: planned.hooks.clone(),
            warnings: planned.warnings.clone(),
        };
        told(Told::Planned { orders: begin.orders.len(), left: begin.left.len(), hooks: begin.hooks.len() });
        self.points().begin(&begin).await?;
        self.holding(&begin.about.name, self.taken(&begin, &planned, told)).await
    }

    /// Does `work` while this process holds the point; refuses if another one does.
    async fn holding<T>(&self, name: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.if_free(name, work).await?.ok_or_else(|| busy(name))
    }

    /// The same; `None` if another process holds it.
    async fn if_free<T>(&self, name: &str, work: impl Future<Output = Result<T>>) -> Result<Option<T>> {
        let points = self.points();
        let Some(first) = points.hold(name, &self.by, self.limits.hold).await? else { return Ok(None) };
        let held = Mutex::new(first);
        let mine = || held.lock().unwrap_or_else(PoisonError::into_inner);
        let renew = async {
            loop {
                self.journal.parts().clock.sleep(self.limits.hold / 3).await;
                let hold = mine().clone();
                match points.renew(name, &hold, self.limits.hold).await {
                    Ok(Some(hold)) => *mine() = hold,
                    Ok(None) => return busy(name),
                    Err(error) => {
                        tracing::warn!(error = %Error::causes(&error), "could not renew the hold of point {name}");
                    }
                }
            }
        };
        let done = tokio::select! {
            biased;
            done = work => done,
            lost = renew => return Err(lost),
        };
        let hold = mine().clone();
        // A hold that stays runs out by itself; of a point that was deleted there is none.
        if points.is_there(name).await.unwrap_or(true)
            && let Err(error) = points.release(name, &hold).await
        {
            tracing::debug!(error = %Error::causes(&error), "could not release the hold of point {name}");
        }
        done.map(Some)
    }

    async fn taken(&self, begin: &Begin, planned: &Planned, told: &(dyn Fn(Told) + Send + Sync)) -> Result<Point> {
        let mut ran = self.pre_hooks(begin, planned, told).await;
        let mut under: Vec<Under> = begin
            .orders
            .iter()
            .zip(&begin.drivers)
            .map(|(order, driver)| Under {
                order: order.clone(),
                driver: driver.clone(),
                taken: None,
                why: ran.stopped(order),
                cut: false,
                ready: false,
                trouble: None,
                copied: None,
            })
            .collect();
        // Whatever fails from here on, what holds writers is let go.
        let asked = self.ask(begin, planned.revision, &ran.ran, &mut under, told).await;
        let after = self.post_hooks(begin, told).await;
        ran.ran.extend(after);
        let frozen = match asked {
            Ok(frozen) => frozen,
            Err(error) => return self.failed(begin, ran.ran, &under, &error).await,
        };
        let end = self.now.revision().await;
        self.wait_ready(&mut under, told).await;
        match end {
            Ok(end) => self.finish(begin, (frozen.revision, end), ran.ran, under).await,
            Err(error) => self.failed(begin, ran.ran, &under, &error).await,
        }
    }

    /// Asks for the volumes while the cut is closed, and waits until the moment of each is fixed.
    async fn ask(
        &self,
        begin: &Begin,
        planned_at: Revision,
        ran: &[Ran],
        under: &mut [Under],
        told: &(dyn Fn(Told) + Send + Sync),
    ) -> Result<Frozen> {
        // Where nothing is taken and no hook ran, the cut that the plan was made of is the point's.
        let alone = under.is_empty() && begin.hooks.is_empty();
        let revision = match alone {
            true => planned_at,
            false => self.now.revision().await?,
        };
        let frozen = Frozen { revision, time: self.clock(), hooks: ran.to_vec() };
        let frozen = self.points().freeze(&begin.about.name, &frozen).await?;
        told(Told::Frozen(frozen.revision));
        if alone {
            return Ok(frozen);
        }
        let volumes = async {
            let began = self.journal.parts().clock.monotonic();
            self.create(under).await;
            // Writers are held already: what is accepted late has less time for its moment.
            let spent = self.journal.parts().clock.monotonic().saturating_sub(began);
            self.wait_cut(under, self.limits.cut.saturating_sub(spent), told).await;
        };
        let (closed, ()) = tokio::join!(self.now.close(), volumes);
        closed?;
        Ok(frozen)
    }

    /// Asks each driver for all that is of it, at once.
    async fn create(&self, under: &mut [Under]) {
        let mut by_driver: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, one) in under.iter().enumerate().filter(|(_, one)| one.why.is_none()) {
            by_driver.entry(one.driver.clone()).or_default().push(at);
        }
        let mut work = Vec::new();
        for (name, at) in by_driver {
            let orders: Vec<Order> = at.iter().filter_map(|at| under.get(*at)).map(|one| one.order.clone()).collect();
            work.push(async move {
                let limit = if name == files::NAME { self.limits.ready } else { self.limits.cut };
                let create = async {
                    let driver = self.drivers.named(&name).await?;
                    Ok::<_, Error>(driver.create(&orders).await)
                };
                let error = match self.journal.parts().timeout(limit, create).await {
                    Some(Ok(created)) => return at.into_iter().zip(created).collect::<Vec<_>>(),
                    Some(Err(error)) => error,
                    None => {
                        let reason = format!("did not accept what it was asked for within {} s", limit.as_secs());
                        Error::new(ErrorKind::Unavailable, format!("volume driver {name}"), reason)
                    }
                };
                let why = error.told();
                at.into_iter().map(|at| (at, Err(Error::new(error.kind(), &name, &why)))).collect()
            });
        }
        for (at, created) in futures::future::join_all(work).await.into_iter().flatten() {
            let Some(one) = under.get_mut(at) else { continue };
            match created {
                Ok(taken) => one.taken = Some(taken),
                Err(error) => one.why = Some(error.told()),
            }
        }
    }

    /// Looks at every snapshot that is not through yet, once, as long as there is time for it.
    async fn look(&self, under: &mut [&mut Under], left: &(dyn Fn(&Under) -> Duration + Sync)) {
        let looks = under.iter_mut().filter(|one| one.why.is_none() && !one.ready).map(async |one| {
            let Some(taken) = &one.taken else { return };
            let look = async { self.drivers.named(&one.driver).await?.look(taken).await };
            let looked = self.journal.parts().timeout(left(one).max(LEAST), look).await;
            let late = || Err(Error::new(ErrorKind::Unavailable, &one.driver, "did not say how it stands in time"));
            match looked.unwrap_or_else(late) {
                Ok((now, standing)) => {
                    one.trouble = None;
                    one.taken = Some(now);
                    match standing {
                        Standing::Asked => {}
                        Standing::Copying(copied) => one.copied = Some(copied),
                        Standing::Cut(_) => one.cut = true,
                        Standing::Moving(copied) => (one.cut, one.copied) = (true, Some(copied)),
                        Standing::Ready => (one.cut, one.ready) = (true, true),
                        Standing::Failed(why) => one.why = Some(why),
                        Standing::Gone => one.why = Some("its snapshot vanished".to_owned()),
                    }
                }
                // It may pass: whoever waits looks again, until the time is up.
                Err(error) if error.kind() == ErrorKind::Unavailable => one.trouble = Some(error.told()),
                Err(error) => one.why = Some(error.told()),
            }
        });
        stream::iter(looks).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    }

    /// Waits until `through` says so of each; what is not within its time is given up, `late` says how. A driver that is
    /// slow to answer keeps nobody waiting but its own.
    async fn wait(
        &self,
        under: &mut [Under],
        through: impl Fn(&Under) -> bool + Sync,
        late: impl Fn(&Under) -> (Duration, &'static str) + Sync,
        told: impl Fn(usize, usize, Option<Copied>) + Sync,
    ) {
        let mut by_driver: BTreeMap<String, Vec<&mut Under>> = BTreeMap::new();
        for one in under {
            by_driver.entry(one.driver.clone()).or_default().push(one);
        }
        if by_driver.is_empty() {
            return told(0, 0, None);
        }
        let far = |of: &[&mut Under]| Far::of(of, &through);
        let before = by_driver.iter().map(|(name, of)| (name.clone(), far(of))).collect::<BTreeMap<_, _>>();
        let all = Mutex::new((before, None));
        let tell = |driver: &str, far: Far| {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            let (drivers, last) = &mut *all;
            drivers.insert(driver.to_owned(), far);
            let (done, of) = drivers.values().fold((0, 0), |(done, of), far| (done + far.done, of + far.of));
            let now = (done, of, Copied::all(drivers.values().filter_map(|far| far.copied)));
            if *last != Some(now) {
                *last = Some(now);
                told(now.0, now.1, now.2);
            }
        };
        let (through, late, tell) = (&through, &late, &tell);
        let waits = by_driver
            .iter_mut()
            .map(|(driver, under)| self.wait_for(under, through, late, move |far| tell(driver, far)));
        futures::future::join_all(waits).await;
    }

    /// The same for the snapshots of one driver.
    async fn wait_for(
        &self,
        under: &mut [&mut Under],
        through: &(dyn Fn(&Under) -> bool + Sync),
        late: &(dyn Fn(&Under) -> (Duration, &'static str) + Sync),
        tell: impl Fn(Far),
    ) {
        let clock = &self.journal.parts().clock;
        let began = clock.monotonic();
        loop {
            let waited = clock.monotonic().saturating_sub(began);
            self.look(under, &|one| late(one).0.saturating_sub(waited)).await;
            let waited = clock.monotonic().saturating_sub(began);
            for one in under.iter_mut().filter(|one| one.why.is_none() && !through(one)) {
                let (limit, why) = late(one);
                if waited > limit {
                    let said = one.taken.as_ref().and_then(|taken| taken.details.get(driver::SAID));
                    let said = said.map_or_else(String::new, |said| format!(": {said}"));
                    one.why = Some(one.because(format!("{why} within {} s{said}", limit.as_secs())));
                }
            }
            together::share(under.iter_mut().map(|one| &mut **one));
            let far = Far::of(under, through);
            tell(far);
            if far.done == far.of {
                return;
            }
            clock.sleep(LOOK_EVERY).await;
        }
    }

    async fn wait_cut(&self, under: &mut [Under], limit: Duration, told: &(dyn Fn(Told) + Send + Sync)) {
        let late = |one: &Under| match one.driver == files::NAME {
            true => (self.limits.ready, "its files were not copied"),
            // Who waits for a ready one for a moment only does not wait longer for its moment.
            false => (limit.min(self.limits.ready), "its driver fixed no moment"),
        };
        let tell = |done, of, copied| tell_of(told, Told::Cut(done, of), copied);
        self.wait(under, |one| one.cut, late, tell).await;
    }

    async fn wait_ready(&self, under: &mut [Under], told: &(dyn Fn(Told) + Send + Sync)) {
        let late = |_: &Under| (self.limits.ready, "its snapshot was not ready");
        let tell = |done, of, copied| tell_of(told, Told::Ready(done, of), copied);
        self.wait(under, |one| one.ready, late, tell).await;
    }

    /// Makes the point of what is there.
    async fn finish(
        &self,
        begin: &Begin,
        between: (Revision, Revision),
        hooks: Vec<Ran>,
        mut under: Vec<Under>,
    ) -> Result<Point> {
        together::share(under.iter_mut());
        let past = match self.cut(between.0).await {
            Ok(past) => past,
            Err(error) => return self.failed(begin, hooks, &under, &error).await,
        };
        let moment = past.moment();
        let mut point = fresh(begin, hooks);
        point.state = PointState::Complete;
        point.warnings.extend(together::apart(&under));
        point.between = between;
        point.time = moment.time;
        point.cut = moment.cut.domains.iter().map(|(domain, at)| (domain.clone(), (at.incarnation, at.rv))).collect();
        let failed: Vec<Under> = under.iter().filter(|one| one.why.is_some()).cloned().collect();
        for one in under {
            let (taken, why) = match one.why {
                None => (one.taken, None),
                Some(why) => (None, Some(why)),
            };
            if let Some(why) = &why {
                point.missing.push(format!("volume {}: {why}", one.order.volume.title()));
            }
            if let Some(missed) = taken.as_ref().and_then(|taken| taken.details.get(files::MISSED)) {
                point.missing.push(format!("volume {}: could not be read: {missed}", one.order.volume.title()));
            }
            point.volumes.push(PointVolume { volume: one.order.volume, taken, why, wanted: false });
        }
        for left in &begin.left {
            if !left.wanted {
                point.missing.push(format!("volume {}: {}", left.volume.title(), left.why));
            }
            let (volume, why, wanted) = (left.volume.clone(), Some(left.why.clone()), left.wanted);
            point.volumes.push(PointVolume { volume, taken: None, why, wanted });
        }
        self.late(&past, &mut point).await?;
        let hooks = point.hooks.iter().filter(|ran| ran.hook.on_error == point::OnError::Fail);
        let failed_hooks = hooks.filter_map(|ran| Some(format!("{}: {}", hook_title(&ran.hook), ran.failed.as_ref()?)));
        point.missing.extend(failed_hooks.collect::<Vec<String>>());
        if !point.missing.is_empty() {
            point.state = PointState::Partial;
        }
        point.made = self.clock();
        let point = self.points().make(&point).await?;
        self.drop_failed(&failed).await;
        Ok(point)
    }

    /// Claims that came while the point was being made: the cut has them, and there is no snapshot of theirs.
    async fn late(&self, past: &Past, point: &mut Point) -> Result<()> {
        let then = plan::volumes(&Scene::read(past).await?, &point.about.scope)?;
        let known: BTreeSet<String> = point.volumes.iter().map(|volume| volume.volume.title()).collect();
        for volume in then.into_iter().filter(|volume| !known.contains(&volume.title())) {
            let why = "its claim came while the point was being made".to_owned();
            point.missing.push(format!("volume {}: {why}", volume.title()));
            point.volumes.push(PointVolume { volume, taken: None, why: Some(why), wanted: false });
        }
        Ok(())
    }

    /// The closed cut at R0.
    async fn cut(&self, revision: Revision) -> Result<Past> {
        let mut reader = Reader::open(&self.journal).await?;
        let incarnation = {
            let now = reader.at(&At::Now).await?;
            now.moment().cut.domains.get(MAIN).map(|point| point.incarnation)
        };
        let past = reader.at(&At::Rev { rv: revision, incarnation, domain: None }).await?;
        if past.moment().closed {
            return Ok(past);
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            format!("revision {revision}"),
            "was not closed in the journal: some kind has not been seen up to it",
        )
        .with_hint("`hindcast status` says which kinds lag, and whether `hindcast run` is alive"))
    }

    /// Makes a point that failed; what was taken for it is deleted.
    async fn failed(&self, begin: &Begin, hooks: Vec<Ran>, under: &[Under], error: &Error) -> Result<Point> {
        let mut point = fresh(begin, hooks);
        point.missing.push(format!("all: {}", error.told()));
        point.made = self.clock();
        let point = self.points().make(&point).await?;
        if point.state == PointState::Failed {
            self.drop_failed(under).await;
        }
        Ok(point)
    }

    /// Deletes what a point does not have. What cannot be deleted now is found by its tag later.
    async fn drop_failed(&self, failed: &[Under]) {
        let deletions = failed.iter().filter(|one| one.taken.is_some()).map(async |one| {
            let Some(taken) = &one.taken else { return };
            let deleted = match self.drivers.named(&one.driver).await {
                Ok(driver) => driver.delete(taken).await,
                Err(error) => Err(error),
            };
            if let Err(error) = deleted {
                tracing::warn!(error = %Error::causes(&error), "the snapshot {} is not of its point and could not be deleted yet", taken.tag);
            }
        });
        let deletions = stream::iter(deletions).buffer_unordered(AT_ONCE).collect::<Vec<()>>();
        // Whoever waits for the point does not wait for a driver that is in trouble.
        tokio::select! {
            biased;
            _ = deletions => {}
            () = self.journal.parts().clock.sleep(DROP) => {
                tracing::warn!("what is not of a point could not be deleted within {} s; it is deleted later", DROP.as_secs());
            }
        }
    }
}

/// Tells how far all are, and how far what is copied is.
fn tell_of(told: &(dyn Fn(Told) + Send + Sync), far: Told, copied: Option<Copied>) {
    told(far);
    if let Some(copied) = copied {
        told(Told::Copied(copied));
    }
}

/// A point of an intent, of which nothing is said yet but that it failed.
fn fresh(begin: &Begin, hooks: Vec<Ran>) -> Point {
    Point {
        about: begin.about.clone(),
        state: PointState::Failed,
        made: 0,
        cut: BTreeMap::new(),
        time: 0,
        between: (0, 0),
        volumes: Vec::new(),
        hooks,
        missing: Vec::new(),
        warnings: begin.warnings.clone(),
    }
}

/// Another process works at a point.
fn busy(name: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("point {name}"), "another process works at it")
        .with_hint("wait until it is done, or for two minutes if it was killed")
}

/// A hook in a line.
fn hook_title(hook: &point::Hook) -> String {
    let phase = match hook.phase {
        point::Phase::Pre => "before",
        point::Phase::Post => "after",
    };
    format!("hook {phase} in {}/{} ({})", hook.namespace, hook.pod, hook.container)
}
