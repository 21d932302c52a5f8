//! The order of actions: configuration before what reads it, owners before what they own, deletes last.
//!
//! **Invariants.** (1) An object whose owner the plan creates or deletes runs in a later wave than the owner. (2) Equal inputs give equal
//! orders: a wave is sorted by key.

use std::collections::BTreeMap;

use hindcast_journal::fold::ObjectKey;

use super::{Verb, Wave, prepare::Planner, ruled};
use crate::rules::Turn;

/// How far owners of owners are followed; deeper chains cannot be told from circles.
const DEPTH: u8 = 16;

/// Gives each action its wave, and sorts everything.
pub(super) fn arrange(planner: &mut Planner<'_>) {
    let mut waves: BTreeMap<ObjectKey, Wave> = BTreeMap::new();
    for action in &planner.plan.actions {
        let stops = action.verb != Verb::Delete && planner.stops.contains_key(&action.key);
        let group = if stops { Turn::Stops as u8 } else { ruled::wave(action, planner.bodies.get(&action.key)) };
        waves.insert(action.key.clone(), Wave { group, depth: 0 });
    }
    // Each round carries the waves of owners one level further down.
    for _ in 0..DEPTH {
        let mut moved = false;
        for action in &planner.plan.actions {
            let owners = planner.bodies.get(&action.key).map(|bodies| bodies.owners.as_slice()).unwrap_or_default();
            let before =
                owners.iter().map(|owner| &owner.owner).chain(planner.after.get(&action.key).into_iter().flatten());
            let after = before.filter_map(|before| waves.get(before)).max().copied();
            let Some(after) = after.map(|wave| Wave { depth: wave.depth.saturating_add(1).min(DEPTH), ..wave }) else {
                continue;
            };
            let wave = waves.entry(action.key.clone()).or_insert(after);
            if *wave < after {
                *wave = after;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    for action in &mut planner.plan.actions {
        if let Some(wave) = waves.get(&action.key) {
            action.wave = *wave;
        }
    }
    planner.plan.actions.sort_by(|a, b| (a.wave, &a.key).cmp(&(b.wave, &b.key)));
    planner.plan.kept.sort_by(|a, b| a.key.cmp(&b.key));
    planner.plan.left.sort_by(|a, b| (&a.key, a.verb).cmp(&(&b.key, b.verb)));
}
