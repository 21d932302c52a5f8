//! What all of one simulation shares: the true time, the dice, the faults and the trace; and processes, which can
//! be killed and stopped.
//!
//! **Words.** *True time* is tokio's paused time; a process's wall clock may differ from it. A [`Process`] is one
//! life of the program under test. **Invariants.** (1) Every effect a process has on the outside and every wake-up
//! it gets passes [`Process::running`]: a stopped process does nothing until it goes on, a dead one never again,
//! also in tasks it left behind. (2) What is already on its way (a PUT sent) is not called back by either.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use hindcast_journal::{
    Parts,
    parts::{BoxFuture, Clock, Micros},
};
use tokio::{sync::Notify, time::Instant};

use super::{
    faults::{Fault, Faults},
    rng::{Rng, SimRandom},
};

/// When every simulation begins: 2026-01-01 00:00 UTC.
pub const EPOCH: Micros = 1_767_225_600_000_000;

/// A value that tasks wait on. Waiters wake in the order they came: tokio's own watch channel wakes them in an order
/// that it draws from a source which no seed reaches.
#[derive(Debug)]
pub struct Signal<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T: Copy> Signal<T> {
    /// A signal with its first value.
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::new() }
    }

    /// The value.
    pub fn get(&self) -> T {
        *self.value.lock().expect("no holder panics")
    }

    /// Changes the value; the one before.
    pub fn set(&self, value: T) -> T {
        let before = std::mem::replace(&mut *self.value.lock().expect("no holder panics"), value);
        self.changed.notify_waiters();
        before
    }

    /// Returns when the value is as wanted.
    pub async fn until(&self, wanted: impl Fn(T) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if wanted(self.get()) {
                return;
            }
            changed.await;
        }
    }
}

/// What all of one simulation shares.
#[derive(Debug)]
pub struct World {
    started: Instant,
    rng: Mutex<Rng>,
    /// The faults.
    pub faults: Faults,
    trace: Mutex<Trace>,
}

/// What happened, in order.
#[derive(Debug, Default)]
struct Trace {
    hash: u64,
    lines: Vec<String>,
}

impl World {
    /// A world from its seed. Must be called inside a runtime with paused time.
    pub fn new(seed: u64, rates: impl IntoIterator<Item = (Fault, u64)>) -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            rng: Mutex::new(Rng::new(seed)),
            faults: Faults::new(rates),
            trace: Mutex::default(),
        })
    }

    /// The true time.
    pub fn now(&self) -> Micros {
        EPOCH + self.started.elapsed().as_micros() as Micros
    }

    /// Lets true time pass.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Lets a random number of milliseconds pass.
    pub async fn dawdle(&self, low: u64, high: u64) {
        let ms = self.draw(|rng| rng.between(low, high));
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Draws from the one generator.
    pub fn draw<T>(&self, with: impl FnOnce(&mut Rng) -> T) -> T {
        with(&mut self.rng.lock().expect("no holder panics"))
    }

    /// Whether the fault fires here and now; if so it is counted and traced.
    pub fn fires(&self, fault: Fault) -> bool {
        let rate = self.faults.rate(fault);
        let fires = rate > 0 && self.draw(|rng| rng.permille(rate));
        if fires {
            self.fired(fault);
        }
        fires
    }

    /// Counts and traces a fault that somebody decided to fire.
    pub fn fired(&self, fault: Fault) {
        self.faults.count(fault);
        self.note(format_args!("fault {}", fault.name()));
    }

    /// Adds a line to the trace.
    pub fn note(&self, what: fmt::Arguments<'_>) {
        let elapsed = self.started.elapsed();
        let line = format!("{:>10.3} {what}", elapsed.as_secs_f64());
        let mut trace = self.trace.lock().expect("no holder panics");
        for byte in line.bytes() {
            trace.hash = (trace.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        trace.lines.push(line);
    }

    /// The hash of everything traced.
    pub fn trace_hash(&self) -> u64 {
        self.trace.lock().expect("no holder panics").hash
    }

    /// The lines traced.
    pub fn trace_lines(&self) -> Vec<String> {
        self.trace.lock().expect("no holder panics").lines.clone()
    }
}

/// Whether a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    Stopped,
    Dead,
}

/// One life of the program under test.
#[derive(Debug)]
pub struct Process {
    /// Its name in the trace.
    pub name: String,
    world: Arc<World>,
    life: Signal<Life>,
    partitioned: Signal<bool>,
    skew: AtomicI64,
    /// Parts in a thousand by which its wall clock runs fast, and since when.
    drift: Mutex<(i64, Micros)>,
    /// Effects left until it dies by itself; 0 for never.
    fuse: AtomicU64,
    put_fuse: AtomicU64,
}

impl Process {
    /// A running process.
    pub fn new(name: impl Into<String>, world: &Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            world: world.clone(),
            life: Signal::new(Life::Running),
            partitioned: Signal::new(false),
            skew: AtomicI64::new(0),
            drift: Mutex::default(),
            fuse: AtomicU64::new(0),
            put_fuse: AtomicU64::new(0),
        })
    }

    /// The world it lives in.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Returns when the process runs: at once, when it goes on, or never.
    pub async fn running(&self) {
        self.life.until(|life| life == Life::Running).await;
    }

    /// As [`Process::running`], and burns the fuse: the process may die right here.
    pub async fn step(&self) {
        if burn(&self.fuse) {
            self.world.fired(Fault::Crash);
            self.kill();
        }
        self.running().await;
    }

    /// Called when a PUT has been sent: the process may die before its answer.
    pub fn sent_put(&self) {
        if burn(&self.put_fuse) {
            self.world.fired(Fault::CrashInPut);
            self.kill();
        }
    }

    /// Makes it die at the `n`-th effect from now.
    pub fn die_at_step(&self, n: u64) {
        self.fuse.store(n, Ordering::Relaxed);
    }

    /// Makes it die between sending the `n`-th PUT from now and its answer.
    pub fn die_at_put(&self, n: u64) {
        self.put_fuse.store(n, Ordering::Relaxed);
    }

    /// Kills it. The holder of its task still has to drop that.
    pub fn kill(&self) {
        if self.life.set(Life::Dead) != Life::Dead {
            self.world.note(format_args!("{} dies", self.name));
        }
    }

    /// Returns when it is dead.
    pub async fn died(&self) {
        self.life.until(|life| life == Life::Dead).await;
    }

    /// Whether it is dead.
    pub fn is_dead(&self) -> bool {
        self.life.get() == Life::Dead
    }

    /// Stops it (`true`) or lets it go on.
    pub fn stop(&self, stopped: bool) {
        let to = if stopped { Life::Stopped } else { Life::Running };
        if self.life.get() != Life::Dead {
            self.life.set(to);
        }
    }

    /// Cuts it off from the API server, or ends that.
    pub fn partition(&self, cut: bool) {
        self.partitioned.set(cut);
    }

    /// Whether it is cut off from the API server.
    pub fn is_partitioned(&self) -> bool {
        self.partitioned.get()
    }

    /// Returns when it is not cut off.
    pub async fn reachable(&self) {
        self.partitioned.until(|cut| !cut).await;
    }

    /// Whether its wall clock is off.
    pub fn is_clock_off(&self) -> bool {
        self.skew.load(Ordering::Relaxed) != 0 || self.drifted() != 0
    }

    /// Steps its wall clock.
    pub fn step_clock(&self, by: Micros) {
        self.skew.fetch_add(by, Ordering::Relaxed);
    }

    /// Makes its wall clock run fast by so many parts in a thousand from now on; slow where that is negative.
    pub fn drift_clock(&self, permille: i64) {
        let so_far = self.drifted();
        self.step_clock(so_far);
        *self.drift.lock().expect("no holder panics") = (permille, self.world.now());
    }

    /// How far its wall clock has run off since it began to drift.
    fn drifted(&self) -> Micros {
        let (permille, since) = *self.drift.lock().expect("no holder panics");
        (self.world.now() - since) * permille / 1000
    }

    /// Its clock and randomness.
    pub fn parts(self: &Arc<Self>) -> Parts {
        let random = self.world.draw(Rng::fork);
        Parts { clock: Arc::new(SimClock(self.clone())), random: Arc::new(SimRandom::new(random)) }
    }
}

/// Burns one step of a fuse; true when it is burnt down by this.
fn burn(fuse: &AtomicU64) -> bool {
    let left = fuse.load(Ordering::Relaxed);
    if left > 0 {
        fuse.store(left - 1, Ordering::Relaxed);
    }
    left == 1
}

/// A process's clock.
#[derive(Debug)]
struct SimClock(Arc<Process>);

impl Clock for SimClock {
    fn now(&self) -> Micros {
        self.0.world.now() + self.0.skew.load(Ordering::Relaxed) + self.0.drifted()
    }

    fn monotonic(&self) -> Duration {
        self.0.world.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let process = self.0.clone();
        Box::pin(async move {
            tokio::time::sleep(duration).await;
            process.step().await;
        })
    }
}
