//! Changes of which nobody knows whether a moment was before or after them, told to those whom they concern.
//!
//! **Invariant.** Only what was asked about is named: whether a question is touched is known after its moment.

use hindcast_journal::{cut::Uncertain, fold::ObjectKey};

use super::Reading;
use crate::names::{count, object_name, some_of};

/// The reservation's word.
pub(super) const CODE: &str = "uncertain";

/// How many changes are named before the rest is counted.
const NAMED: usize = 3;

impl Reading<'_> {
    /// Names the changes that may be before or after a moment that was asked for, as far as they are of `mine`.
    pub(crate) fn reserve_uncertain(&mut self, mine: impl Fn(&ObjectKey) -> bool) {
        let key = |change: &Uncertain| {
            let [group, resource, namespace, name] = change.object.clone();
            ObjectKey { namespace, group, resource, name }
        };
        let found = std::mem::take(&mut self.uncertain);
        let mut found: Vec<(ObjectKey, Uncertain)> =
            found.into_iter().map(|change| (key(&change), change)).filter(|(key, _)| mine(key)).collect();
        // Two moments may lie in the bounds of one change.
        found.sort_by_key(|(_, change)| change.pos);
        found.dedup_by_key(|(_, change)| change.pos);
        let spread = found.iter().map(|(_, change)| change.hi - change.lo).max().unwrap_or(0);
        if spread <= 0 {
            return;
        }
        let changes = found.len();
        found.dedup_by(|(later, _), (first, _)| later == first);
        let names: Vec<String> = found
            .iter()
            .take(NAMED)
            .map(|(key, change)| format!("{} (position {})", object_name(key), change.pos))
            .collect();
        let text = format!(
            "{} may be before or after that moment (±{:.1} s): {}",
            count(changes, "change"),
            spread as f64 / 2_000_000.0,
            some_of(&names, found.len()),
        );
        if spread > 2_000_000 {
            self.reserve(CODE, text);
        } else {
            self.context.printer.note(format!("note: {text}"));
        }
    }
}
