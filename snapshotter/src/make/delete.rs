//! Taking a point away: its snapshots first, then what the bucket has of it.
//!
//! **Invariants.** (1) That it goes is durable before the first snapshot does, and from then on it is no point
//! [`Maker::delete`]. (2) What the bucket has is removed only when every driver that was asked for it says that nothing bears
//! its tag any more [`Maker::unmake`]; one that says something else, or nothing, keeps no other one from deleting its own.
//! (3) That there is no such point is said of the bucket alone ([`of_driver`]). (4) A process that dies in between leaves a point that is being deleted, which the
//! next one goes on with.

use std::{collections::BTreeSet, sync::Arc};

use futures::{StreamExt as _, stream};
use hindcast_journal::{
    Error, Result,
    error::ErrorKind,
    point::{Begin, Deletion, Taken, check_name},
};

use super::{
    AT_ONCE, Maker,
    pass::{Pass, of_driver},
};
use crate::driver::VolumeDriver;

/// How often what still bears the tag is deleted again, before it is left to the next time.
const ROUNDS: u32 = 3;

impl Maker {
    /// Deletes a point and its snapshots.
    pub async fn delete(&self, name: &str, why: &str) -> Result<()> {
        self.pinned().delete_with(name, why).await
    }

    async fn delete_with(&self, name: &str, why: &str) -> Result<()> {
        check_name(name)?;
        let points = self.points();
        let Some(begin) = points.intent(name).await? else {
            let listed = points.list().await?;
            if listed.iter().any(|listed| listed.name == name) {
                // Only what an earlier deletion left of it.
                return points.remove(name).await;
            }
            return Err(Error::not_found(format!("point {name}"), "there is no recovery point of that name")
                .with_hint("`hindcast point list` shows what there is"));
        };
        self.holding(name, async {
            points.condemn(name, &Deletion { time: self.clock(), why: why.to_owned() }).await?;
            self.unmake(&begin, &Pass::default()).await
        })
        .await
    }

    /// Deletes what bears a point's tag, and then what the bucket has of it.
    pub(super) async fn unmake(&self, begin: &Begin, pass: &Pass) -> Result<()> {
        let points = self.points();
        let kept: Vec<Taken> = match points.read(&begin.about.name).await {
            Ok(Some(point)) => point.volumes.into_iter().filter_map(|volume| volume.taken).collect(),
            // Without a point, or with one that cannot be read, what was asked for bears the tag.
            Ok(None) | Err(_) => Vec::new(),
        };
        let mut first = None;
        for name in begin.drivers.iter().collect::<BTreeSet<_>>() {
            let own = kept.iter().filter(|taken| taken.driver == *name).cloned().collect();
            if let Err(error) = self.unmake_of(name, own, begin, pass).await {
                tracing::debug!(error = %Error::causes(&error), "{name} still has snapshots of point {}", begin.about.name);
                first = first.or(Some(error));
            }
        }
        match first {
            Some(error) => Err(error),
            None => points.remove(&begin.about.name).await,
        }
    }

    /// The same with one driver, which made these of the point.
    async fn unmake_of(&self, name: &str, own: Vec<Taken>, begin: &Begin, pass: &Pass) -> Result<()> {
        let find = || pass.ask(self, name, async |driver| driver.find(self.journal.cluster(), &begin.about.id).await);
        let mut found = find().await?;
        let driver = self.drivers.named(name).await?;
        found.retain(|taken| !own.iter().any(|own| (own.tag.index, &own.handle) == (taken.tag.index, &taken.handle)));
        self.delete_all(&driver, own).await?;
        for _ in 0..ROUNDS {
            self.delete_all(&driver, found).await?;
            found = find().await?;
            if found.is_empty() {
                return Ok(());
            }
        }
        let first = found.first().map_or_else(String::new, |first| format!(": {}", first.tag));
        let reason = format!("{} of its snapshots are still there{first}", found.len());
        Err(Error::new(ErrorKind::Unavailable, format!("point {}", begin.about.name), reason)
            .with_hint("`hindcast point gc` goes on with it"))
    }

    async fn delete_all(&self, driver: &Arc<dyn VolumeDriver>, all: Vec<Taken>) -> Result<()> {
        // One that cannot be deleted keeps none of the others.
        let deletions = stream::iter(all.iter().map(async |taken| driver.delete(taken).await.map_err(of_driver)));
        let done: Vec<Result<()>> = deletions.buffer_unordered(AT_ONCE).collect().await;
        done.into_iter().collect()
    }

    /// Goes on with a deletion that another process began, unless one works at it.
    pub(super) async fn go_on_deleting(&self, name: &str, pass: &Pass) -> Result<()> {
        let work = async {
            match self.points().intent(name).await? {
                Some(begin) => self.unmake(&begin, pass).await,
                None => self.points().remove(name).await,
            }
        };
        self.if_free(name, work).await.map(|_| ())
    }
}
