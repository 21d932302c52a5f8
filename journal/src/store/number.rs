//! The newest of names that are numbered from 1 without holes.
//!
//! Steps double until one finds nothing, then narrow down between the last two: a few dozen questions about single
//! names, however many there are. A listing from the start would take a request per thousand names, and on disk would
//! read the whole folder.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;

use super::Store;
use crate::Result;

/// Steps that are taken at once.
const STEPS: u32 = 8;

/// Names that are asked for at once between the highest that is there and the lowest that is not.
const BETWEEN: u64 = 15;

/// The longest step; no log has so many segments.
const LONGEST: u32 = 48;

impl Store {
    /// The newest number at or after `after`, the newest one known (0 for none).
    pub(crate) async fn newest(&self, name: impl Fn(u64) -> Path, after: u64) -> Result<u64> {
        if !self.exists(&name(after + 1)).await? {
            return Ok(after);
        }
        // Who has asked before mostly finds one more.
        if after > 0 && !self.exists(&name(after + 2)).await? {
            return Ok(after + 1);
        }
        let mut low = after + 1;
        let mut high = None;
        let mut step = 0;
        while high.is_none() {
            if step > LONGEST {
                return Err(super::foreign(&name(low)));
            }
            let numbers: Vec<u64> = (step..step + STEPS).map(|shift| after + 1 + (1 << shift)).collect();
            (low, high) = self.between(&name, low, high, numbers).await?;
            step += STEPS;
        }
        while let Some(above) = high.filter(|above| above - low > 1) {
            let width = above - low;
            let points = BETWEEN.min(width - 1);
            let numbers =
                (1..=points).map(|i| low + (u128::from(width) * u128::from(i) / u128::from(points + 1)) as u64);
            (low, high) = self.between(&name, low, high, numbers.collect()).await?;
        }
        Ok(low)
    }

    /// For rising numbers above `low`: the highest that exists, and the lowest above it that does not.
    async fn between(
        &self,
        name: &impl Fn(u64) -> Path,
        low: u64,
        high: Option<u64>,
        numbers: Vec<u64>,
    ) -> Result<(u64, Option<u64>)> {
        let found = self.which(name, &numbers).await?;
        let low = found.last().copied().unwrap_or(low);
        let above = numbers.into_iter().find(|n| *n > low);
        Ok((low, above.or(high)))
    }

    /// The numbers whose names exist.
    pub(crate) async fn which(&self, name: &impl Fn(u64) -> Path, numbers: &[u64]) -> Result<Vec<u64>> {
        let paths: Vec<(u64, Path)> = numbers.iter().map(|n| (*n, name(*n))).collect();
        let asked = stream::iter(paths).map(async |(n, path)| Ok((n, self.exists(&path).await?)));
        let answers: Vec<(u64, bool)> = asked.buffered(BETWEEN as usize + 1).try_collect().await?;
        Ok(answers.into_iter().filter_map(|(n, there)| there.then_some(n)).collect())
    }
}
