//! How many objects there are of each kind, which of them lack values that were not stored, and how many Secrets are in
//! clear.
//!
//! A checkpoint keeps the counts of its state. The rows behind it are added without a fold: a row's columns say whether
//! its object existed before and exists after it ([`Tally`]). Only in kinds with sealed values are the few objects
//! written since folded, because a patch may remove a value that was not stored.
//!
//! **Format.** JSON: `objects`, kind → number; `cells`, the kinds of which an object has sealed values; `unstored`,
//! kind → `count` and the `first` names, at most [`NAMED`], as (namespace, name); `in_clear`; and `seal` and `edition`,
//! the rules by which `in_clear` was counted. A field that is left out is empty or 0.
//!
//! **Invariants.** (1) The counts equal those of a fold of the same rows [a test of random logs]. (2) Counts made by
//! rules other than those asked for are not used [`Counts::are_by`], nor counts with too few names left to report
//! [`Counts::are_named`]: the state is folded instead.
//!
//! This relies on what every writer does: a row that changes or deletes an object names the version before it
//! (`base_rv`), and an object of another uid is only added after the old one was deleted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    Result, Row,
    exact::{self, Value},
    fold::{Entry, ObjectKey, Scope, State},
    row::Op,
    seal::{Rules, is_placeholder, rules::EDITION},
};

/// How many names of objects with values that are not stored a checkpoint keeps, per kind.
const NAMED: usize = 64;
/// How many of the first names must be known, unless there are fewer.
const FIRST: usize = 16;

/// The kind key of Secrets.
const SECRETS: &str = "/secrets";

/// How many objects there are, and what has to be said about their values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    objects: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    cells: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unstored: BTreeMap<String, Unstored>,
    in_clear: u64,
    seal: Rules,
    edition: u32,
}

/// Objects of a kind with values that are not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Unstored {
    count: u64,
    /// Namespace and name of the first of them, or of all of them.
    first: BTreeSet<(String, String)>,
}

impl Unstored {
    fn add(&mut self, key: &ObjectKey) {
        let name = (key.namespace.clone(), key.name.clone());
        // It is unknown how many unnamed ones come before a name behind the last one known.
        if self.is_whole() || self.first.last().is_some_and(|last| name < *last) {
            self.first.insert(name);
        }
        self.count += 1;
    }

    fn remove(&mut self, key: &ObjectKey) {
        self.first.remove(&(key.namespace.clone(), key.name.clone()));
        self.count = self.count.saturating_sub(1);
    }

    fn is_whole(&self) -> bool {
        self.first.len() as u64 == self.count
    }
}

impl Counts {
    /// No objects, counted by these rules.
    pub(crate) fn none(rules: &Rules) -> Self {
        Self { seal: rules.clone(), edition: EDITION, ..Self::default() }
    }

    /// The counts of a state by these rules.
    pub fn of(state: &State, rules: &Rules) -> Self {
        let mut out = Self::none(rules);
        for (key, entry) in &state.objects {
            out.add(key, entry, rules);
        }
        out
    }

    /// Kind key → how many objects there are.
    pub fn objects(&self) -> &BTreeMap<String, u64> {
        &self.objects
    }

    /// How many objects have values that are not stored.
    pub fn unstored(&self) -> u64 {
        self.unstored.values().map(|unstored| unstored.count).sum()
    }

    /// The first of them, in order: at least sixteen, or all.
    pub fn unstored_names(&self) -> Vec<ObjectKey> {
        let mut names: Vec<ObjectKey> = Vec::new();
        let mut end: Option<ObjectKey> = None;
        for (kind, unstored) in &self.unstored {
            let of_kind = unstored.first.iter().map(|name| key_of(kind, name));
            if let (false, Some(last)) = (unstored.is_whole(), of_kind.clone().next_back()) {
                end = Some(end.map_or(last.clone(), |end| end.min(last)));
            }
            names.extend(of_kind);
        }
        names.sort();
        names.retain(|name| end.as_ref().is_none_or(|end| name <= end));
        names
    }

    /// How many Secrets there are whose newest version has values in clear.
    pub fn in_clear(&self) -> u64 {
        self.in_clear
    }

    /// Whether they were made by these rules.
    fn are_by(&self, rules: &Rules) -> bool {
        self.edition == EDITION && self.seal == *rules
    }

    /// Whether enough names are known of objects with values that are not stored.
    fn are_named(&self) -> bool {
        let named = |unstored: &Unstored| unstored.is_whole() || !unstored.first.is_empty();
        let names = self.unstored_names().len();
        self.unstored.values().all(named) && (names >= FIRST || names as u64 == self.unstored())
    }

    /// With no more names than a checkpoint keeps.
    pub(crate) fn abridged(mut self) -> Self {
        for unstored in self.unstored.values_mut() {
            if let Some(behind) = unstored.first.iter().nth(NAMED).cloned() {
                drop(unstored.first.split_off(&behind));
            }
        }
        self
    }

    /// Drops the kinds that are not known at a moment.
    pub(crate) fn retain(&mut self, known: impl Fn(&str) -> bool) {
        self.objects.retain(|kind, _| known(kind));
        self.unstored.retain(|kind, _| known(kind));
        self.cells.retain(|kind| known(kind));
        if !known(SECRETS) {
            self.in_clear = 0;
        }
    }

    fn add(&mut self, key: &ObjectKey, entry: &Entry, rules: &Rules) {
        let kind = key.kind_key();
        if !entry.cells.is_empty() {
            self.cells.insert(kind.clone());
        }
        if entry.unstored().next().is_some() {
            self.unstored.entry(kind.clone()).or_default().add(key);
        }
        if kind == SECRETS && is_in_clear(entry, rules) {
            self.in_clear += 1;
        }
        *self.objects.entry(kind).or_default() += 1;
    }

    fn remove(&mut self, key: &ObjectKey, entry: &Entry, rules: &Rules) {
        let kind = key.kind_key();
        if entry.unstored().next().is_some()
            && let Some(unstored) = self.unstored.get_mut(&kind)
        {
            unstored.remove(key);
        }
        if kind == SECRETS && is_in_clear(entry, rules) {
            self.in_clear = self.in_clear.saturating_sub(1);
        }
        self.one_less(&kind);
    }

    fn one_less(&mut self, kind: &str) {
        if let Some(count) = self.objects.get_mut(kind) {
            *count = count.saturating_sub(1);
        }
    }
}

fn key_of(kind: &str, (namespace, name): &(String, String)) -> ObjectKey {
    let (group, resource) = kind.split_once('/').unwrap_or(("", kind));
    ObjectKey {
        namespace: namespace.clone(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        name: name.clone(),
    }
}

/// Whether a Secret has values in clear.
fn is_in_clear(entry: &Entry, rules: &Rules) -> bool {
    let value = exact::parse_canonical(&entry.public()).unwrap_or(Value::Null);
    let paths = rules.sealed_paths("", "secrets", &value);
    paths.iter().any(|path| !value.pointer(path).and_then(Value::as_str).is_some_and(is_placeholder))
}

/// Whether an object existed before a run of rows, and exists after it.
#[derive(Debug, Clone, Copy)]
struct Presence {
    /// `None` if its rows do not say.
    before: Option<bool>,
    after: bool,
}

/// How the rows behind a checkpoint change its counts.
#[derive(Debug)]
pub(crate) struct Tally {
    counts: Counts,
    /// Objects of kinds without sealed values.
    plain: BTreeMap<ObjectKey, Presence>,
    /// The rows of objects of the other kinds.
    sealed: Vec<Row>,
}

impl Tally {
    /// Looks through the rows; `None` if the counts were made by other rules.
    pub(crate) fn new<'r>(counts: Counts, rules: &Rules, rows: impl Iterator<Item = &'r Row> + Clone) -> Option<Self> {
        if !counts.are_by(rules) {
            return None;
        }
        let rows = rows.filter(|row| row.op.is_object());
        let mut kinds = counts.cells.clone();
        kinds.insert(SECRETS.to_owned());
        kinds.extend(rows.clone().filter(|row| !row.cells.is_empty()).map(|row| row.kind_key()));
        let mut out = Self { counts, plain: BTreeMap::new(), sealed: Vec::new() };
        for row in rows {
            if kinds.contains(&row.kind_key()) {
                out.sealed.push(row.clone());
                continue;
            }
            let after = row.op != Op::Delete;
            let fresh = Presence { before: was_there(row), after };
            out.plain.entry(ObjectKey::of(row)).or_insert(fresh).after = after;
        }
        Some(out)
    }

    /// The objects whose state before the rows is needed.
    pub(crate) fn wanted(&self) -> BTreeSet<ObjectKey> {
        let untold = self.plain.iter().filter(|(_, presence)| presence.before.is_none());
        let mut met = BTreeSet::new();
        let mut wanted: BTreeSet<ObjectKey> = untold.map(|(key, _)| key.clone()).collect();
        for row in &self.sealed {
            let key = ObjectKey::of(row);
            if met.insert(key.clone()) && was_there(row) != Some(false) {
                wanted.insert(key);
            }
        }
        wanted
    }

    /// The counts after the rows, given the [wanted](Self::wanted) objects as they were before. `None` if too few names
    /// are left.
    pub(crate) fn sum(mut self, mut before: State, rules: &Rules) -> Result<Option<Counts>> {
        for (key, presence) in &self.plain {
            match (presence.before.unwrap_or_else(|| before.objects.contains_key(key)), presence.after) {
                (false, true) => *self.counts.objects.entry(key.kind_key()).or_default() += 1,
                (true, false) => self.counts.one_less(&key.kind_key()),
                _ => {}
            }
        }
        before.objects.retain(|key, _| !self.plain.contains_key(key));
        for (key, entry) in &before.objects {
            self.counts.remove(key, entry, rules);
        }
        for row in &self.sealed {
            before.apply(row, &Scope::default(), None)?;
        }
        before.finish()?;
        for (key, entry) in &before.objects {
            self.counts.add(key, entry, rules);
        }
        self.counts.objects.retain(|_, count| *count > 0);
        self.counts.unstored.retain(|_, unstored| unstored.count > 0);
        Ok(Some(self.counts).filter(Counts::are_named))
    }
}

/// Whether the object of a row existed before it. An add begins an object; any other row names the version before it,
/// except one that could not be read, and the delete of an object that was not known.
fn was_there(row: &Row) -> Option<bool> {
    match (row.op, row.base_rv) {
        (Op::Add, _) => Some(false),
        (_, Some(_)) => Some(true),
        (Op::Delete | Op::Unreadable, None) => None,
        (_, None) => Some(false),
    }
}
