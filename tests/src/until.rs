//! Waiting: for a condition, for an attempt to succeed, for work to end. Each wait has a limit, and its error begins
//! with what was waited for.
//!
//! Nothing in `tests` sleeps in the hope that something is done by then. Where time itself is the subject, the sleep
//! stands in the test, with the reason on the line before it; a test of the tree checks that.

use std::{fmt::Display, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tokio::time::Instant;

/// How long a condition may take that takes a second when nothing else runs.
pub const SOON: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const EVERY: Duration = Duration::from_millis(25);

/// Waits until a condition holds; how long that took. An error of the condition itself ends the wait.
pub async fn until(what: impl Display, within: Duration, holds: impl AsyncFnMut() -> Result<bool>) -> Result<Duration> {
    until_every(EVERY, what, within, holds).await
}

/// The same, looked at more often or less: often for what lasts a moment only, seldom for what costs the other side a
/// lot.
pub async fn until_every(
    every: Duration,
    what: impl Display,
    within: Duration,
    mut holds: impl AsyncFnMut() -> Result<bool>,
) -> Result<Duration> {
    let began = Instant::now();
    while !holds().await.with_context(|| format!("waiting until {what}"))? {
        ensure!(began.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(every).await;
    }
    Ok(began.elapsed())
}

/// Tries until an attempt succeeds; its result. The error is that of the last attempt.
pub async fn succeeds<T>(
    what: impl Display,
    within: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let began = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if began.elapsed() >= within => {
                return Err(error.context(format!("not within {within:?}: {what}")));
            }
            Err(_) => tokio::time::sleep(EVERY).await,
        }
    }
}

/// Waits for work to end; its result.
pub async fn ends<T>(what: impl Display, within: Duration, work: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(within, work).await.with_context(|| format!("not within {within:?}: {what}"))
}

/// Waits, where nothing is asynchronous, until a condition holds.
pub fn until_blocking(what: impl Display, within: Duration, mut holds: impl FnMut() -> bool) -> Result<Duration> {
    let began = std::time::Instant::now();
    while !holds() {
        ensure!(began.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(EVERY);
    }
    Ok(began.elapsed())
}

/// Fails if something holds at any time while `during` passes.
pub async fn never(what: impl Display, during: Duration, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + during;
    while Instant::now() < end {
        ensure!(!holds().await?, "{what}");
        tokio::time::sleep(EVERY * 10).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
