//! Claims that are filled from a recovery point: the helpers that are made for them, and what is said of it.

use std::collections::BTreeMap;

use hindcast_journal::{exact::Value, fold::ObjectKey, parts::Micros};

use super::{Bodies, Verb, prepare::Planner};
use crate::{
    filling::{self, Filling, Help, title},
    kinds::volumes::is_claim,
    message::Note,
    reason::distance,
    selection::Volumes,
};

impl Planner<'_> {
    /// What a claim that is to be created is filled from. Its old volume comes first, where that is there for it: it has the
    /// newest data, and nothing else has them.
    pub(super) fn filling(&self, key: &ObjectKey, claim: &Value) -> Option<&Filling> {
        let filling = self.live.fillings.get(key).filter(|_| !self.live.unfilled.contains_key(key))?;
        let volume = claim.pointer("/spec/volumeName").and_then(Value::as_str).unwrap_or_default();
        let binds = self.around.can_bind(volume, &key.namespace, &key.name);
        (!binds || self.selection.volumes == Volumes::All).then_some(filling)
    }

    /// Makes a claim that is to be created come from a snapshot, where there is one for it; what must be known of that.
    /// `then` is the claim as it was.
    pub(super) fn fill(&mut self, key: &ObjectKey, then: &Value, target: &mut Value) -> Vec<String> {
        if !is_claim(key) {
            return Vec::new();
        }
        let Some(filling) = self.filling(key, then).cloned() else {
            // The helper that an earlier restore filled it from is gone.
            filling::unfill(target);
            return Vec::new();
        };
        let grown = filling.fill(target);
        let mut before = None;
        for Help { key: helper, value, said } in filling.helpers(key, then) {
            self.help(&helper, &value, &said);
            if let Some(before) = before.replace(helper.clone()) {
                self.after.entry(helper).or_default().push(before);
            }
        }
        self.after.entry(key.clone()).or_default().extend(before);
        let before = distance(self.desired.time.saturating_sub(filling.time));
        let from = format!("its data are those of recovery point {}, {before} before the moment", filling.point);
        self.filled.push((key.clone(), filling));
        std::iter::once(from).chain(grown).collect()
    }

    /// Creates a helper.
    fn help(&mut self, key: &ObjectKey, value: &Value, said: &str) {
        let mut action = self.action(key, Verb::Create, value);
        action.warnings.push(said.to_owned());
        self.act(action, Bodies { target: Some(value.clone()), ..Bodies::default() });
    }

    /// Says of which point the claims' data are, in a line for each point.
    pub(super) fn tell_filled(&mut self) {
        let mut points: BTreeMap<(Micros, String), Vec<String>> = BTreeMap::new();
        for (key, filling) in &self.filled {
            points.entry((filling.time, filling.point.clone())).or_default().push(title(key));
        }
        let moment = self.desired.time;
        let note = |((time, point), claims)| Note::Filled { claims, point, time, moment };
        self.plan.notes.extend(points.into_iter().rev().map(note));
    }
}
