//! What the log says about kinds that lose protection: a line for each reason, not for each kind.
//!
//! A start with an account of few rights leaves out thirty kinds within a second, an API that goes down all of its own.
//! **Invariants.** (1) Each loss is logged once, at the latest [`AT_MOST`] after it. (2) Kinds that are lost together
//! by one cause share a line.

use std::{collections::BTreeMap, time::Duration};

use hindcast_journal::facts::{CoverEnd, Discovery, Uncovered};

use super::Core;

/// How long more losses for the same reason are waited for.
const MORE: Duration = Duration::from_secs(2);
/// A loss is logged after this long at the latest.
const AT_MOST: Duration = Duration::from_secs(10);
/// Names in one line.
const NAMED: usize = 50;

/// Losses that are not logged yet.
#[derive(Debug, Default)]
pub(super) struct Untold {
    /// By what they share: the kinds, each with what the server said of it.
    losses: BTreeMap<String, Vec<(String, CoverEnd)>>,
    /// When the first and the newest of them came, on the monotonic clock.
    first: Duration,
    newest: Duration,
}

impl Untold {
    /// A kind is no longer protected.
    pub(super) fn add(&mut self, key: &str, kind: &Discovery, end: &CoverEnd, now: Duration) {
        if self.losses.is_empty() {
            self.first = now;
        }
        self.newest = now;
        self.losses.entry(end.shared(kind)).or_default().push((key.to_owned(), end.clone()));
    }

    /// What is to be logged now: reasons, each with its kinds.
    fn due(&mut self, now: Duration) -> BTreeMap<String, Vec<(String, CoverEnd)>> {
        let more = now.saturating_sub(self.newest) < MORE && now.saturating_sub(self.first) < AT_MOST;
        if more { BTreeMap::new() } else { std::mem::take(&mut self.losses) }
    }
}

impl Core {
    /// Logs the kinds that lost protection.
    pub(crate) fn tell_of_losses(&mut self) {
        let now = self.parts.clock.monotonic();
        for (shared, kinds) in self.untold.due(now) {
            let forbidden = kinds.iter().any(|(_, end)| end.reason == Uncovered::Forbidden);
            let reason = match kinds.as_slice() {
                [(_, one)] => one.words(),
                _ => shared,
            };
            let mut names: Vec<&str> = kinds.iter().take(NAMED).map(|(key, _)| key.trim_start_matches('/')).collect();
            let rest = format!("and {} more", kinds.len().saturating_sub(NAMED));
            if kinds.len() > NAMED {
                names.push(&rest);
            }
            let (count, names) = (kinds.len(), names.join(", "));
            if forbidden {
                tracing::warn!(
                    count,
                    reason,
                    kinds = names,
                    "not protected: give the account get, list and watch on them, or leave them out with --exclude"
                );
            } else {
                tracing::info!(count, reason, kinds = names, "not protected");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_one_cause_leaves_out_are_told_of_together_and_not_too_late() {
        let mut untold = Untold::default();
        let second = Duration::from_secs;
        let forbidden = |untold: &mut Untold, resource: &str, now| {
            let kind = Discovery { resource: resource.to_owned(), ..Discovery::default() };
            let detail =
                format!("{resource} is forbidden: User \"a\" cannot list resource \"{resource}\" in API group \"\"");
            let end = CoverEnd { reason: Uncovered::Forbidden, detail };
            untold.add(&format!("/{resource}"), &kind, &end, now);
        };
        for at in 0..30 {
            forbidden(&mut untold, &format!("kind{at}"), second(100));
        }
        assert!(untold.due(second(101)).is_empty(), "more may come");
        let due = untold.due(second(102));
        assert_eq!(due.len(), 1, "{due:?}");
        assert_eq!(due.values().map(Vec::len).sum::<usize>(), 30);
        assert!(untold.due(second(200)).is_empty(), "told once");
        for at in 300..309 {
            forbidden(&mut untold, "slow", second(at));
            assert!(untold.due(second(at + 1)).is_empty());
        }
        forbidden(&mut untold, "slow", second(310));
        assert_eq!(untold.due(second(310)).values().map(Vec::len).sum::<usize>(), 10);
    }
}
