//! etcd is put back to an older copy under load, watched or not, with a bump of its revisions or without: each life of
//! the counter is told exactly, up to the last that was seen of it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hindcast_journal::{
    Journal,
    cut::{At, MAIN},
};

use crate::{
    oracle::{
        self, Listed, Load, Met, Swap, Verdict, newest_revision, now,
        subject::{Hindcast, Place, Running},
    },
    real::{Cluster, Part, process::Workdir},
    until::{SOON, succeeds, until},
};

/// What is answered this long before a life ends has been seen, if somebody watched.
const SEEN_WITHIN: Duration = Duration::from_secs(2);
/// How long nobody watches before and after a swap.
const UNWATCHED: Duration = Duration::from_secs(2);

/// How much.
#[derive(Debug, Clone, Copy)]
pub struct Lives {
    /// How often the store is put back: by turns watched and not, and by turns of two bumped and not.
    pub swaps: u32,
    /// Writes a second.
    pub rate: f64,
    /// How old the copy is that is put back, and the time between two swaps.
    pub between: Duration,
}

/// Runs the trial; what became of every acknowledged write.
pub async fn lives(binary: &str, size: Lives) -> Result<Verdict> {
    let dir = Workdir::new()?;
    let cluster = oracle::builder().start().await?;
    let hindcast =
        Hindcast::new(binary, dir.path(), Place::folder(&dir.path().join("journal"))?, cluster.kubeconfig())?;
    let client = cluster.client();
    // A swap in which revisions are overtaken takes as long again as the copy is old.
    let seconds = f64::from(size.swaps) * (3.0 * size.between.as_secs_f64() + 16.0) + 10.0;
    let load = Load {
        seed: 31,
        writers: 16,
        writes: (seconds * size.rate) as u64,
        rate: Some(size.rate),
        prefix: "life".to_owned(),
        kinds: oracle::kinds(),
    };
    oracle::prepare(&client, &load).await?;
    let running = hindcast.run(&[]).await?;
    let writing = oracle::begin(&client, &load, true);
    let mut trial =
        Trial { cluster: &cluster, hindcast: &hindcast, load: &load, running, swaps: Vec::new(), listed: Vec::new() };
    for round in 0..size.swaps {
        trial.swap(round % 2 == 0, round % 4 < 2, size.between).await.with_context(|| format!("swap {round}"))?;
    }
    let written = writing.await??;
    trial.list().await?;

    let (journal, keys) = (hindcast.place.journal().await?, hindcast.keys()?);
    for (life, listed) in &trial.listed {
        listed.agrees(&journal, &keys, MAIN, Some(*life)).await?;
    }
    let met = Met { outages: vec![(0, i64::MAX)], swaps: trial.swaps, ..Met::default() };
    let verdict = oracle::check(&journal, &keys, &written, &met).await?;
    trial.running.stop().await?;
    verdict.accounted()?;
    verdict.on_the_clock()?;
    Ok(verdict)
}

struct Trial<'a> {
    cluster: &'a Cluster,
    hindcast: &'a Hindcast,
    load: &'a Load,
    running: Running,
    swaps: Vec<Swap>,
    /// What the server had at moments of each life.
    listed: Vec<(u32, Listed)>,
}

impl Trial<'_> {
    async fn swap(&mut self, watched: bool, bumped: bool, old: Duration) -> Result<()> {
        // The time between two swaps, and then the age of the copy, are what the trial is asked for.
        tokio::time::sleep(old).await;
        let copy = self.cluster.copy_etcd().await?;
        // See above.
        tokio::time::sleep(old).await;
        self.list().await?;
        let seen = if watched {
            // What was answered before this pause must have been seen after it; what comes in it may have been.
            tokio::time::sleep(SEEN_WITHIN).await;
            now() - SEEN_WITHIN.as_micros() as i64
        } else {
            let seen = now() - SEEN_WITHIN.as_micros() as i64;
            self.running.process.kill();
            // Writes that nobody watches are the subject.
            tokio::time::sleep(UNWATCHED).await;
            seen
        };
        let known = self.newest().await?;
        self.cluster.kill(Part::Apiserver)?;
        let gone = now();
        let flags: &[&str] = if bumped { &["--bump-revision=1000000000", "--mark-compacted"] } else { &[] };
        self.cluster.put_back(&copy, flags).await?;
        if !watched {
            // Writes that nobody watches are the subject.
            tokio::time::sleep(UNWATCHED).await;
            let overtaken = async || Ok(self.newest().await? > known);
            until("the counter is beyond what was known of its last life", Duration::from_mins(5), overtaken).await?;
            self.running = self.hindcast.run(&[]).await?;
        }
        self.closed_in(self.swaps.len() as u32 + 1).await?;
        self.swaps.push(Swap { fork: copy.revision, seen, gone, noticed: now() });
        self.list().await
    }

    /// Keeps what the server has now, of the life that it is in now, and closes the journal beyond it.
    async fn list(&mut self) -> Result<()> {
        let listed = Listed::of(&self.cluster.client(), &self.load.kinds, self.newest().await?).await?;
        self.running.close().await?;
        let life = self.swaps.len() as u32;
        listed.agrees(&self.journal().await?, &self.hindcast.keys()?, MAIN, Some(life)).await?;
        self.listed.push((life, listed));
        Ok(())
    }

    /// Waits until the journal is closed in a life: else the swap had no effect.
    async fn closed_in(&self, life: u32) -> Result<()> {
        succeeds(format!("the journal is closed in life {life}"), SOON * 2, async || {
            self.running.close().await?;
            let now = self.journal().await?.at(&At::Now).await?;
            let known = now.moment().cut.domains.get(MAIN).map(|point| point.incarnation);
            ensure!(known == Some(life), "incarnation {known:?} goes on, not {life}");
            Ok(())
        })
        .await
    }

    async fn journal(&self) -> Result<Journal> {
        self.hindcast.place.journal().await
    }

    async fn newest(&self) -> Result<u64> {
        newest_revision(&self.cluster.client(), &self.load.kinds[0]).await
    }
}
