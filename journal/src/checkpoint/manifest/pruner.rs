//! Removing manifests that nobody reads any more: of some hundred a day, those are needed that are pages or landmarks.
//!
//! **Words**: a *landmark* is a number that the search for the newest one may have to find [`is_landmark`].
//!
//! **Invariants.**
//! 1. The newest manifest stays, and so do the pages that it goes on from, however far back: whoever holds an older one reads
//!    no others.
//! 2. The newest one is found by asking for single names (`store/number.rs`), whatever was removed when: also by who began to
//!    ask when another was the newest, as long as that is not removed. For what may have to be found of numbers up to a later one,
//!    and is not above an earlier one, may have to be found with that.
//! 3. A manifest says which may be gone before they are [`Pruner::step`], so that one which goes missing otherwise is noticed.
//! 4. None is removed that was the newest within an age, as told by the clock of who removes it.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use super::Manifest;
use crate::{Journal, Result, layout::Layout};

/// Whether the search for the newest of numbers may have to find one, if the newest is a given one or any later one.
pub(crate) fn is_landmark(number: u64, newest: u64) -> bool {
    let (Some(number), Some(newest)) = (number.checked_sub(1), newest.checked_sub(1)) else { return false };
    // Steps that double, and of what is between two of them parts that are halved again and again.
    number == 0 || number.is_power_of_two() || (newest >> number.trailing_zeros()) << number.trailing_zeros() == number
}

/// Removes manifests, a while after others have come.
#[derive(Debug, Default)]
pub struct Pruner {
    /// Which was the newest, and when, on the monotonic clock; oldest first.
    seen: VecDeque<(Duration, u64)>,
    /// The pages that are known.
    pages: BTreeSet<u64>,
}

impl Pruner {
    /// Removes those that were followed by others long enough ago. How many.
    pub async fn step(&mut self, journal: &Journal, age: Duration) -> Result<u64> {
        let newest = Manifest::read(journal).await?;
        let now = journal.parts().clock.monotonic();
        let old = self.seen.iter().take_while(|(seen, _)| now.saturating_sub(*seen) >= age).count();
        let below = self.seen.drain(..old).next_back().map(|(_, number)| number);
        self.seen.push_back((now, newest.number));
        let Some(below) = below.filter(|below| *below > newest.pruned.saturating_add(1)) else { return Ok(0) };
        self.learn(journal, &newest).await?;
        let say = |manifest: Manifest| {
            let pruned = manifest.pruned.max(below);
            std::future::ready(Ok((pruned > manifest.pruned).then_some(Manifest { pruned, ..manifest })))
        };
        Manifest::change(journal, say).await?;
        let listed = journal.store().list(&journal.store().layout().metas("manifest"), None).await?;
        let goes = |number: &u64| *number < below && !is_landmark(*number, below) && !self.pages.contains(number);
        let mut removed = 0;
        for number in listed.iter().filter_map(|found| Layout::number(&found.path)).filter(goes) {
            journal.store().remove(&journal.store().layout().meta("manifest", number)).await?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Follows the pages up to those that are known.
    async fn learn(&mut self, journal: &Journal, newest: &Manifest) -> Result<()> {
        let (mut next, mut found) = (newest.continues(), BTreeSet::new());
        while let Some(number) = next.filter(|number| !self.pages.contains(number)) {
            found.insert(number);
            next = Manifest::page(journal, number).await?.continues().filter(|earlier| *earlier < number);
        }
        // Only once all are known: those behind one that could not be read are still needed.
        self.pages.append(&mut found);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::{memory::InMemory, path::Path};

    use super::*;
    use crate::Parts;

    /// Whatever is removed when, the newest is found.
    #[tokio::test]
    async fn the_newest_is_found_whatever_else_is_gone() {
        let journal = Journal::open(Arc::new(InMemory::new()), &Path::from("p"), "uid-1", Parts::system());
        let (store, mut dice) = (journal.store(), 7_u64);
        let name = |number| store.layout().meta("manifest", number);
        let mut there: BTreeSet<u64> = BTreeSet::new();
        for newest in 1..=2500 {
            store.create(&name(newest), "{}".into()).await.expect("creates");
            there.insert(newest);
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if (dice >> 33).is_multiple_of(23) {
                let below = newest - (dice >> 40) % newest.min(40);
                for number in there.iter().filter(|n| **n < below && !is_landmark(**n, below)) {
                    store.remove(&name(*number)).await.expect("removes");
                }
                there.retain(|n| *n >= below || is_landmark(*n, below));
                let needed = (below..=newest).flat_map(|end| (1..below).filter(move |n| is_landmark(*n, end)));
                assert!(needed.into_iter().all(|n| is_landmark(n, below)), "{below} to {newest}");
            }
            assert_eq!(store.newest(name, 0).await.expect("finds"), newest, "of {there:?}");
        }
        assert!(there.len() < 200, "{} are left", there.len());
    }
}
