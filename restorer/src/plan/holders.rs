//! Namespaces and definitions that go, for good or to be created again, and what they would take with them.
//!
//! **Words**: a *holder* is a namespace or a definition; it *holds* the objects in it, or of it.
//!
//! **Invariant.** A holder is deleted only if all that it holds is deleted by the same plan, each with its evidence and its
//! pre-image, or is made by machines, which make it again. So nothing goes that the plan does not show.

use hindcast_journal::fold::ObjectKey;

use super::{
    dependents::stays,
    judge::Why,
    prepare::{Fate, Planner},
};
use crate::{
    kinds::{self, namespaces::home},
    live::HeldIn,
    names,
    reason::Reason,
    rules,
};

/// Whether an object takes others with it when it is deleted, whoever owns them.
pub(super) fn is_holder(key: &ObjectKey) -> bool {
    kinds::of(key).holds.is_some()
}

impl Planner<'_> {
    /// Lets holders that go do so after what they hold; one that would take more along stays.
    pub(super) fn holders(&mut self) {
        let goes = |key: &&ObjectKey| is_holder(key) && matches!(self.fates.get(*key), Some(Fate::Goes(_)));
        let going: Vec<ObjectKey> = self.fates.keys().filter(goes).cloned().collect();
        for holder in going {
            if let Err(why) = self.takes_nothing_else(&holder) {
                self.fates.remove(&holder);
                self.staying.insert(holder, why);
                continue;
            }
            for key in self.live.held.get(&holder).into_iter().flat_map(|held| held.objects.keys()) {
                match self.fates.get(key) {
                    Some(Fate::Goes(_)) => self.after.entry(holder.clone()).or_default().push(key.clone()),
                    _ => {
                        let reason = if holder == home(&key.namespace) {
                            Reason::GoesWithNamespace(holder.name.clone())
                        } else {
                            Reason::GoesWithDefinition(holder.name.clone())
                        };
                        self.fates.insert(key.clone(), Fate::Follows(reason));
                    }
                }
            }
        }
    }

    /// Where to look, before it is deleted, for what would go with it.
    pub(super) fn held_in(&self, key: &ObjectKey) -> Vec<HeldIn> {
        self.live.held.get(key).map(|held| held.places.clone()).unwrap_or_default()
    }

    /// Why a holder has to stay: what it holds would remain, or is not known.
    pub(super) fn takes_nothing_else(&self, holder: &ObjectKey) -> Result<(), Why> {
        let Some(held) = self.live.held.get(holder) else {
            return Err(Reason::HoldsUnread.into());
        };
        let mut unless = None;
        let mut remaining = Vec::new();
        for (key, present) in &held.objects {
            if matches!(self.fates.get(key), Some(Fate::Goes(_)))
                || present.terminating
                || rules::is_made_by_machines(&key.kind_key(), &present.object)
            {
                continue;
            }
            remaining.push(names::object(key));
            if unless.is_none() && self.live.objects.contains_key(key) {
                unless = self.may_go(key, present).err().and_then(|why| why.unless);
            }
        }
        remaining.extend(held.unread.iter().map(|(kind, refusal)| format!("{} ({refusal})", names::kind_name(kind))));
        if remaining.is_empty() {
            return Ok(());
        }
        Err(stays(remaining, unless))
    }
}
