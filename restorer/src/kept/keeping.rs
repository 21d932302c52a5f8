//! Gathers the places of one object that are left to their owners.
//!
//! **Words**: *fresh* says what a field is when the object is created and nothing stands live: left out, or as it was.

use hindcast_journal::{
    exact::{Value, parse},
    fold::ObjectKey,
};

use super::{
    Fresh, Kept, Surroundings, owners, pattern,
    place::{Place, Step},
};
use crate::{full::Full, reason::Standing};

/// Where a rule keeps fields, whatever else the object says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// The rule's id.
    pub(crate) rule: &'static str,
    /// In words of `pattern`.
    pub(crate) places: &'static [&'static str],
    pub(crate) owner: &'static str,
    pub(crate) fresh: Fresh,
    pub(crate) quiet: bool,
}

/// Both sides of an object, what is around it, and what was found to be kept of it.
pub(crate) struct Keeping<'o> {
    pub(crate) key: &'o ObjectKey,
    pub(crate) wanted: Option<&'o Full>,
    pub(crate) live: Option<&'o Full>,
    pub(crate) around: &'o Surroundings,
    /// The sides that there are, the live one first.
    pub(crate) values: Vec<&'o Value>,
    out: Vec<Kept>,
}

impl<'o> Keeping<'o> {
    pub(crate) fn new(
        key: &'o ObjectKey,
        wanted: Option<&'o Full>,
        live: Option<&'o Full>,
        around: &'o Surroundings,
    ) -> Self {
        let values = live.into_iter().chain(wanted).map(|full| &full.value).collect();
        Self { key, wanted, live, around, values, out: Vec::new() }
    }

    /// What was found.
    pub(crate) fn found(self) -> Vec<Kept> {
        self.out
    }

    /// Keeps a place that machines set, unless it is kept already: the first rule that says so counts.
    pub(crate) fn add(&mut self, place: Place, rule: &'static str, owner: &str, fresh: Fresh, quiet: bool) {
        self.add_as(Standing::Machines, place, rule, owner, fresh, quiet);
    }

    /// Keeps a place that people set, or may have set: that it differs is told as a difference.
    pub(crate) fn add_as(
        &mut self,
        standing: Standing,
        place: Place,
        rule: &'static str,
        owner: &str,
        fresh: Fresh,
        quiet: bool,
    ) {
        let mut sides = self.values.iter();
        let Some(path) = sides.find_map(|value| place.pointer(value)) else { return };
        if self.out.iter().any(|kept| place.is_in(&kept.place)) {
            return;
        }
        self.out.push(Kept { path, rule, owner: owner.to_owned(), place, fresh, quiet, standing });
    }

    /// The places of a pattern that are in either side.
    pub(crate) fn places(&self, pattern: &str) -> Vec<Place> {
        pattern::places(pattern, &self.key.name, &self.values)
    }

    pub(crate) fn add_pattern(&mut self, pattern: &str, rule: &'static str, owner: &str, fresh: Fresh, quiet: bool) {
        for place in self.places(pattern) {
            self.add(place, rule, owner, fresh, quiet);
        }
    }

    pub(crate) fn add_rows(&mut self, rows: &[Row]) {
        for row in rows {
            for pattern in row.places {
                self.add_pattern(pattern, row.rule, row.owner, row.fresh, row.quiet);
            }
        }
    }

    /// Whether either side is such.
    pub(crate) fn any(&self, test: impl Fn(&Value) -> bool) -> bool {
        self.values.iter().any(|value| test(value))
    }

    /// Whether somebody wrote, on either side, what the server would have allocated: it is in the applied manifest, or in
    /// the book of fields, which allocation never enters.
    pub(crate) fn asked_for(&self, steps: &[Step]) -> bool {
        [self.wanted, self.live].into_iter().flatten().any(|full| asked_for(full, steps))
    }
}

/// The way through maps of these names.
pub(crate) fn keys(names: &[&str]) -> Vec<Step> {
    names.iter().map(|name| Step::Key((*name).to_owned())).collect()
}

/// Whether a field holds something.
pub(crate) fn holds_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Number(number) => number.as_str() != "0",
        _ => true,
    }
}

fn asked_for(full: &Full, steps: &[Step]) -> bool {
    let applied = full
        .value
        .pointer("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration")
        .and_then(Value::as_str)
        .and_then(|text| parse(text.as_bytes()).ok());
    let in_manifest =
        applied.is_some_and(|manifest| Place::within(steps.to_vec()).get(&manifest).is_some_and(holds_something));
    let persons =
        |managed: &Value| owners::entries(managed).iter().any(|entry| !entry.is_machine() && entry.has(steps));
    in_manifest || full.managed.as_ref().is_some_and(persons)
}
