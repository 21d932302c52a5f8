//! Several `hindcast run --ha` on a real API server: whoever leads, nothing is lost.

use std::time::Duration;

use anyhow::{Result, ensure};
use hindcast_tests::soak::{Failover, failover, past_the_window};

use crate::oracle::BINARY;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leads_nothing_is_lost() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let size = Failover { kills: 1, stops: 1, rolls: 2, standby_kills: 0, rate: 40.0 };
    let outcome = failover(BINARY, size).await?;
    println!("failover: {outcome}");
    ensure!(outcome.takeovers == 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takeover_loses_nothing_that_the_server_has_forgotten() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let outcome = past_the_window(BINARY, Duration::from_secs(10)).await?;
    println!("past the window: {outcome}");
    Ok(())
}
