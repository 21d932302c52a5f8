//! The effects that everything here takes as parts: a clock and a source of randomness.
//!
//! Libraries never read the time, sleep, or draw randomness by themselves; `cli` passes [`SystemClock`] and
//! [`SystemRandom`], the simulator its own. This is what makes a seeded run reproduce exactly.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

/// A moment in microseconds since 1970-01-01 UTC.
pub type Micros = i64;

/// A moment in UTC, to the millisecond.
pub fn utc_millis(time: Micros) -> String {
    jiff::Timestamp::from_microsecond(time - time.rem_euclid(1000))
        .map_or_else(|_| format!("{time} µs"), |time| format!("{time:.3}"))
}

/// A boxed future, as [`Clock::sleep`] returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The time, and waiting for it to pass.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The wall clock.
    fn now(&self) -> Micros;
    /// A clock that never steps back; only differences mean anything.
    fn monotonic(&self) -> Duration;
    /// Waits.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// Random bytes.
pub trait Random: Send + Sync + std::fmt::Debug {
    /// Fills `bytes` with random ones.
    fn fill(&self, bytes: &mut [u8]);

    /// A random number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// The two parts, as they are passed around.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub random: Arc<dyn Random>,
}

impl Parts {
    /// The machine's own clock and randomness.
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock::new()), random: Arc::new(SystemRandom::new()) }
    }

    /// Runs `future` for at most `limit`; `None` when the time was up first.
    pub async fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            out = future => Some(out),
            () = self.clock.sleep(limit) => None,
        }
    }
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// The machine's clock.
    #[expect(clippy::disallowed_methods, reason = "this is the part that the rest is given")]
    pub fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the part that the rest is given")]
    fn now(&self) -> Micros {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_micros() as Micros)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the part that the rest is given")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The machine's randomness.
#[derive(Debug)]
pub struct SystemRandom(ring::rand::SystemRandom);

impl SystemRandom {
    /// The machine's randomness.
    #[expect(clippy::disallowed_methods, reason = "this is the part that the rest is given")]
    pub fn new() -> Self {
        Self(ring::rand::SystemRandom::new())
    }
}

impl Default for SystemRandom {
    fn default() -> Self {
        Self::new()
    }
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        use ring::rand::SecureRandom as _;
        self.0.fill(bytes).expect("the operating system gives random bytes");
    }
}
