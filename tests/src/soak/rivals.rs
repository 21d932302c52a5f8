//! Two `hindcast run` on one journal: the newest wins, nothing forks, nothing is lost, the older ends with 4.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::{
    oracle::{
        self, Load, Met, Verdict,
        subject::{Hindcast, Place, Running},
    },
    real::process::Workdir,
};

/// How many tries.
#[derive(Debug, Clone, Copy)]
pub struct Rivals {
    /// Tries in which the second starts after a pause of up to `pause`.
    pub quick: u32,
    /// Longest pause before the second starts.
    pub pause: Duration,
    /// Tries in which the first is stopped for `stopped` while the second takes over.
    pub slow: u32,
    /// How long it is stopped.
    pub stopped: Duration,
}

/// Runs the trial; what became of every acknowledged write, and how many writers were fenced.
pub async fn rivals(binary: &str, rivals: Rivals) -> Result<(Verdict, u32)> {
    let dir = Workdir::new()?;
    let cluster = oracle::builder().start().await?;
    let place = Place::folder(&dir.path().join("journal"))?;
    let hindcast = Hindcast::new(binary, dir.path(), place, cluster.kubeconfig())?;
    let client = cluster.client();
    let seconds = f64::from(rivals.quick) * (rivals.pause.as_secs_f64() / 2.0 + 3.0)
        + f64::from(rivals.slow) * (rivals.stopped.as_secs_f64() + 6.0);
    let load = Load {
        seed: 99,
        writers: 8,
        writes: (seconds * 20.0) as u64,
        rate: Some(20.0),
        prefix: "rival".to_owned(),
        kinds: oracle::kinds(),
    };
    oracle::prepare(&client, &load).await?;
    let mut holder = hindcast.run(&[]).await?;
    let writing = oracle::begin(&client, &load, false);
    let mut draw = crate::sim::rng::Rng::new(4);
    let mut fenced = 0;
    for round in 0..rivals.quick + rivals.slow {
        let micros = draw.below(rivals.pause.as_micros() as u64 + 1);
        // The second starts at any moment of the first's life.
        tokio::time::sleep(Duration::from_micros(micros)).await;
        let stopped = is_slow(round, &rivals);
        if stopped {
            holder.process.pause()?;
        }
        let newer = hindcast.run(&[]).await.context("the newest wins")?;
        if stopped {
            // How long the first stands still is what the trial is asked for.
            tokio::time::sleep(rivals.stopped).await;
            holder.process.resume()?;
        }
        must_be_fenced(&holder).await?;
        fenced += 1;
        holder = newer;
    }
    let written = writing.await??;
    holder.wait_ready(Duration::from_mins(1)).await?;
    holder.close().await?;
    let journal = hindcast.place.journal().await?;
    let met = Met { outages: vec![(0, i64::MAX)], ..Met::default() };
    let verdict = oracle::check(&journal, &hindcast.keys()?, &written, &met).await?;
    verdict.accounted()?;
    ensure!((verdict.lost, verdict.gaps.1) == (0, 0), "nothing is lost: {verdict}");
    holder.stop().await?;
    Ok((verdict, fenced))
}

/// Whether this round's holder is to be stopped: `slow` rounds, spread over all.
fn is_slow(round: u32, rivals: &Rivals) -> bool {
    let every = (rivals.quick + rivals.slow) / rivals.slow.max(1);
    rivals.slow > 0 && round.is_multiple_of(every) && round / every < rivals.slow
}

/// It notices with its next segment, which in a quiet cluster is the frontier of once a minute.
async fn must_be_fenced(older: &Running) -> Result<()> {
    let status = older.process.wait(Duration::from_secs(90)).await.context("the older one did not end")?;
    ensure!(status.code() == Some(4), "the older one ended with {status}, not 4:\n{}", older.process.log_tail());
    Ok(())
}
