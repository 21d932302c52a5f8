//! Finishing what a process left behind, and finding what nobody knows of.
//!
//! **Words**: what is *left* is one such thing, as a plan of [`Maker::look_for_left`] names it; [`Maker::reconcile`] mends it.
//!
//! **Invariants.** (1) What another process holds is left alone [`Maker::reconcile`]. (2) A snapshot is deleted only if no point
//! has it, nobody makes the point it bears, and its id is of this journal: it was listed *before* the bucket was read, so that whatever is begun
//! meanwhile is not taken for a leak [`Maker::look_for_left`]. (3) A point is never completed by asking for volumes late: what was not
//! made is missing. (4) A driver tells of what it was asked to make, and of nothing that another one was [`made_by`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hindcast_journal::{
    Error, Result,
    error::ErrorKind,
    point::{Begin, Listed, Phase, Ran, Stage, Taken},
};

use super::{Maker, Under, pass::Pass, run_hooks::Before};
use crate::{
    csi::groups,
    driver::{Helper, VolumeDriver},
    files,
};

/// Something that was left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// A point that was begun and not made; nobody works at it.
    Unmade(String),
    /// A point that is to be deleted; nobody works at it.
    Undeleted(String),
    /// What is left of a point whose snapshots are gone.
    Remains(String),
    /// A snapshot that no point has.
    Leaked(Box<Taken>),
    /// What a restore made to fill a claim from a snapshot, with the driver.
    Helper(String, Helper),
    /// A driver that could not be asked, and why.
    Unasked(String, String),
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// What was left.
    pub left: Left,
    /// Why it still is, if so.
    pub failed: Option<String>,
}

impl Maker {
    /// What was left behind.
    pub async fn look_for_left(&self) -> Result<Vec<Left>> {
        self.pinned().left(&Pass::default()).await
    }

    async fn left(&self, pass: &Pass) -> Result<Vec<Left>> {
        let mut out = Vec::new();
        let mut there: Vec<Taken> = Vec::new();
        for driver in self.drivers.all() {
            match driver.all(self.journal.cluster()).await {
                Ok(all) => there.extend(all),
                Err(error) => {
                    pass.failed(driver.name(), &error);
                    out.push(Left::Unasked(driver.name().to_owned(), Error::causes(&error)));
                }
            }
        }
        let points = self.points();
        // Another journal of this cluster has points of its own; and a bucket that never had one has lost none.
        let own = points.own_ids().await?;
        there.retain(|taken| own.as_ref().is_some_and(|own| taken.tag.id.starts_with(own)));
        let listed = points.list().await?;
        let mut known: BTreeMap<String, BTreeMap<u32, String>> = BTreeMap::new();
        let mut groups: BTreeSet<(String, String)> = BTreeSet::new();
        let mut busy: BTreeSet<String> = BTreeSet::new();
        for point in &listed {
            match point.stage {
                Stage::Begun | Stage::Frozen | Stage::Deleting => {
                    busy.extend(points.intent(&point.name).await?.map(|begin| begin.about.id));
                    if self.is_free(point).await? {
                        out.push(match point.stage {
                            Stage::Deleting => Left::Undeleted(point.name.clone()),
                            _ => Left::Unmade(point.name.clone()),
                        });
                    }
                }
                Stage::Deleted => out.push(Left::Remains(point.name.clone())),
                Stage::Made => match points.read(&point.name).await {
                    Ok(Some(made)) => {
                        // Whoever made it may still be deleting what it does not have.
                        if !self.is_free(point).await? {
                            busy.insert(made.about.id.clone());
                        }
                        let taken = made.volumes.into_iter().filter_map(|volume| volume.taken);
                        let taken = taken.inspect(|one| groups.extend(group_of(one)));
                        known.entry(made.about.id).or_default().extend(taken.map(|one| (one.tag.index, one.driver)));
                    }
                    Ok(None) => {}
                    // What cannot be read may have any of them.
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        busy.extend(points.intent(&point.name).await?.map(|begin| begin.about.id));
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        let leaked = there.into_iter().filter(|taken| {
            let by = known.get(&taken.tag.id).and_then(|volumes| volumes.get(&taken.tag.index));
            // What was moved into the bucket is not needed where it was copied from.
            let has = by.is_some_and(|by| by != files::NAME || taken.driver == files::NAME);
            // One of a group is deleted with the others.
            let kept = group_of(taken).is_some_and(|group| groups.contains(&group));
            !has && !kept && !busy.contains(&taken.tag.id)
        });
        out.extend(leaked.map(|taken| Left::Leaked(Box::new(taken))));
        for driver in self.drivers.all() {
            // A driver that cannot be asked is told of already.
            let helpers = driver.helpers().await.unwrap_or_default();
            out.extend(helpers.into_iter().map(|helper| Left::Helper(driver.name().to_owned(), helper)));
        }
        Ok(out)
    }

    /// Mends what was left behind.
    pub async fn reconcile(&self) -> Result<Vec<Mended>> {
        self.pinned().mend().await
    }

    async fn mend(&self) -> Result<Vec<Mended>> {
        let (mut out, pass) = (Vec::new(), Pass::default());
        for left in self.left(&pass).await? {
            let done = match &left {
                Left::Unmade(name) => self.adopt(name, &pass).await,
                Left::Undeleted(name) => self.go_on_deleting(name, &pass).await,
                Left::Remains(name) => self.points().remove(name).await,
                Left::Leaked(taken) => match self.drivers.named(&taken.driver).await {
                    Ok(driver) => driver.delete(taken).await,
                    Err(error) => Err(error),
                },
                Left::Helper(driver, helper) => match self.drivers.named(driver).await {
                    Ok(driver) => driver.remove(helper).await,
                    Err(error) => Err(error),
                },
                Left::Unasked(_, why) => Err(Error::new(ErrorKind::Unavailable, "the driver", why.clone())),
            };
            out.push(Mended { left, failed: done.err().map(|error| error.told()) });
        }
        for driver in self.drivers.all() {
            // It costs room until the next time, and nothing else.
            if let Err(error) = driver.tidy().await {
                tracing::warn!(error = %Error::causes(&error), "{} could not be cleared of what no point holds", driver.name());
            }
        }
        Ok(out)
    }

    /// Whether nobody works at a point.
    async fn is_free(&self, point: &Listed) -> Result<bool> {
        self.points().is_free(&point.name, point.hold).await
    }

    /// Makes a point of what a process left of it.
    async fn adopt(&self, name: &str, pass: &Pass) -> Result<()> {
        let work = async {
            match self.points().intent(name).await? {
                Some(begin) => self.adopted(&begin, pass).await,
                // A hold without an intent: nothing was ever asked for.
                None => self.points().remove(name).await,
            }
        };
        // Whoever works at it by now sees to it.
        self.if_free(name, work).await.map(|_| ())
    }

    async fn adopted(&self, begin: &Begin, pass: &Pass) -> Result<()> {
        let frozen = self.points().frozen(&begin.about.name).await?;
        // Hooks before may have run; those after are run once too often rather than never.
        let mut ran: Vec<Ran> = frozen.as_ref().map(|frozen| frozen.hooks.clone()).unwrap_or_default();
        // They hold writers, so no driver is waited for; and whoever tries again does not run them again.
        ran.extend(self.thaw(begin).await);
        let died = "the process that made it ended before it was done";
        let Some(frozen) = frozen else {
            let error = Error::new(ErrorKind::Unavailable, format!("point {}", begin.about.name), died);
            self.failed(begin, ran, &[], &error).await?;
            self.forget_thawed(begin);
            return Ok(());
        };
        let mut found = self.found(begin, pass).await?;
        let before = Before::of(ran.iter().filter(|ran| ran.hook.phase == Phase::Pre).cloned().collect());
        let mut under: Vec<Under> = begin
            .orders
            .iter()
            .zip(&begin.drivers)
            .map(|(order, driver)| {
                let taken = found.remove(&order.tag.index);
                let taken = taken.map(|taken| match self.drivers.met(driver) {
                    Some(driver) => driver.ordered(order, taken),
                    None => taken,
                });
                let none = || taken.is_none().then(|| format!("{died}: it was not taken"));
                let why = before.stopped(order).or_else(none);
                let (order, driver) = (order.clone(), driver.clone());
                Under { order, driver, taken, why, cut: false, ready: false, trouble: None, copied: None }
            })
            .collect();
        self.wait_cut(&mut under, self.limits.cut, &|_| {}).await;
        self.now.close().await?;
        let end = self.now.revision().await?;
        self.wait_ready(&mut under, &|_| {}).await;
        self.finish(begin, (frozen.revision, end), ran, under).await?;
        self.forget_thawed(begin);
        Ok(())
    }

    /// The snapshots that bear a point's id, by their index: from each driver only what it was to make. Every driver is
    /// asked before it is said that one could not be.
    async fn found(&self, begin: &Begin, pass: &Pass) -> Result<BTreeMap<u32, Taken>> {
        let (mut found, mut failed) = (BTreeMap::new(), None);
        for name in begin.drivers.iter().collect::<BTreeSet<_>>() {
            let find =
                async |driver: &Arc<dyn VolumeDriver>| driver.find(self.journal.cluster(), &begin.about.id).await;
            match pass.ask(self, name, find).await {
                Ok(all) => found.extend(made_by(begin, name, all)),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(found), Err)
    }
}

/// The group that a snapshot is deleted with, with the id of its point.
fn group_of(taken: &Taken) -> Option<(String, String)> {
    Some((taken.tag.id.clone(), taken.details.get(groups::GROUP)?.clone()))
}

/// Of what a driver tells of, what it was to make for a point: each by its index. Another driver's would be looked at, and
/// deleted, by names that this one gave it.
fn made_by(begin: &Begin, driver: &str, all: Vec<Taken>) -> Vec<(u32, Taken)> {
    let ordered = |taken: &Taken| {
        let mut orders = begin.orders.iter().zip(&begin.drivers);
        orders.any(|(order, by)| by == driver && taken.driver == driver && order.tag.index == taken.tag.index)
    };
    all.into_iter().filter(ordered).map(|taken| (taken.tag.index, taken)).collect()
}
