//! Objects of the system that differ, where the whole cluster but for them was asked for: they are counted and named, and
//! nothing is done to them.
//!
//! **Invariant.** What machines make and write (leases, heartbeats, what has a controller) does not count.

use std::collections::BTreeSet;

use hindcast_journal::fold::ObjectKey;

use super::{System, prepare::Planner};
use crate::{desired::Full, intent, kinds::Verdict, live::Counted, message::Note, names, rules, selection::Widen};

impl Planner<'_> {
    /// Counts them, and says so.
    pub(super) fn count_system(&mut self) {
        let keys: BTreeSet<&ObjectKey> = self.desired.system.keys().chain(self.live.system.keys()).collect();
        let differing: Vec<&ObjectKey> = keys.into_iter().filter(|key| self.differs(key)).collect();
        if differing.is_empty() {
            return;
        }
        let named: Vec<String> = differing.iter().map(|key| names::object(key)).collect();
        let system = differing.into_iter().map(|key| System { key: key.clone(), kind: self.kind(key) }).collect();
        self.plan.system = system;
        self.plan.notes.push(Note::System(named));
    }

    fn differs(&self, key: &ObjectKey) -> bool {
        if !self.live.system_kinds.contains(&key.kind_key()) {
            return false;
        }
        let then = self.desired.system.get(key).filter(|wanted| !wanted.is_absent());
        // What cannot be opened cannot be compared.
        let then = match then.map(|wanted| &wanted.object) {
            Some(Err(_)) => return false,
            Some(Ok(full)) => Some(&**full),
            None => None,
        };
        let now = match self.live.system.get(key) {
            Some(Counted::Same) => return false,
            Some(Counted::Stands(full)) => Some(&**full),
            None => None,
        };
        match (then, now) {
            (Some(_), None) => {}
            (None, Some(now)) if self.came_since(now) => {}
            (Some(then), Some(now)) if self.has_other_intent(key, then, now) => {}
            _ => return false,
        }
        let everything = Widen { include_system: true, ..Widen::default() };
        match rules::verdict(&key.kind_key(), then, now, &everything) {
            Verdict::Leave { rule, unless: None } => !rule.is_of_machines(),
            _ => true,
        }
    }

    fn has_other_intent(&self, key: &ObjectKey, then: &Full, now: &Full) -> bool {
        let kept = intent::kept(key, Some(then), Some(now), &self.around);
        intent::form(&then.value, &kept) != intent::form(&now.value, &kept)
    }

    /// Whether an object was made after the moment; another may only not have been looked at then.
    fn came_since(&self, now: &Full) -> bool {
        now.created().is_some_and(|made| made > self.desired.time)
    }
}
