//! The long trials in their short form; `cargo soak` runs them at full size.

use std::time::Duration;

use anyhow::{Result, ensure};
use hindcast_tests::soak::{Faults, Rivals, faults, past_the_history, rivals};

use crate::oracle::BINARY;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_everything_breaks() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let size = Faults {
        kills: 2,
        kills_in_put: 2,
        stops: 1,
        apiserver_restarts: 1,
        etcd_pauses: 1,
        schema_changes: 2,
        rotations: 2,
        clocks: 0,
        stuck: 0,
        down: Duration::from_secs(10),
        rate: 50.0,
        between: Duration::from_secs(2),
    };
    let verdict = faults(BINARY, size).await?;
    println!("faults: {verdict}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_the_servers_history_the_loss_is_told() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let verdict = past_the_history(BINARY, Duration::from_secs(15)).await?;
    println!("history: {verdict}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writers_the_newest_wins() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let size = Rivals { quick: 20, pause: Duration::from_secs(1), slow: 1, stopped: Duration::from_secs(20) };
    let (verdict, fenced) = rivals(BINARY, size).await?;
    println!("rivals: {fenced} fenced; {verdict}");
    ensure!(fenced == 21);
    Ok(())
}
