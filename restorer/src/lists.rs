//! Which elements of two lists are the same one, as a person sees it: a container by its name, not by its index.
//!
//! **Invariants.** (1) Every element of either list stands in exactly one [`Pair`]. (2) Elements that name themselves
//! are paired by that, whatever else of them changed; others by the longest common run, and what is left between two
//! runs in its order.
//!
//! **Words**: a *label* tells an element among its like, as a path writes it: `[name=web]`, `[port=53,protocol=UDP]`.
//!
//! Not here: the patches of the journal, which are made to be short; lists that the API server merges by fields that it
//! knows of the kind ([`crate::kept`], whose places come from managedFields).

use std::collections::BTreeMap;

use hindcast_journal::{
    exact::{Value, to_canonical},
    seal::escape_pointer,
};
use similar::{Algorithm, DiffOp};

/// Fields that name an element together.
pub(crate) type Fields = &'static [&'static str];

/// What names an element among its like, most telling first; of several fields the first has to be there.
const NAMES: [Fields; 13] = [
    &["uid"],
    &["kind", "namespace", "name"],
    &["name"],
    &["mountPath"],
    &["devicePath"],
    &["containerPort", "protocol"],
    &["port", "protocol"],
    &["type"],
    &["key"],
    &["ip"],
    &["topologyKey"],
    &["host"],
    &["path"],
];

/// Beyond this many comparisons, elements that do not name themselves are paired by their place.
const COMPARISONS: usize = 4_000_000;

/// An element's index in the old and in the new list.
pub(crate) type Pair = (Option<usize>, Option<usize>);

/// The elements of two lists, matched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Matched {
    /// Those of the new list in its order; what was removed stands where it was.
    pub(crate) pairs: Vec<Pair>,
    /// Whether elements that are in both stand in another order.
    pub(crate) reordered: bool,
    /// What labels them; none where they do not name themselves.
    pub(crate) labels: Option<Fields>,
}

/// Matches the elements of two lists.
pub(crate) fn pair(old: &[Value], new: &[Value]) -> Matched {
    pair_by(old, new, &|_| false)
}

/// As [`pair`], without the fields that may not be shown: they name nothing.
pub(crate) fn pair_by(old: &[Value], new: &[Value], hides: &dyn Fn(&str) -> bool) -> Matched {
    let shown = |fields: &Fields| !fields.iter().any(|field| hides(field));
    let named = NAMES
        .into_iter()
        .filter(shown)
        .find_map(|fields| Some((fields, by_name(&names(old, fields)?, &names(new, fields)?))));
    let labels = named.as_ref().map(|(fields, pairs)| telling(old, new, fields, pairs, hides));
    let pairs = named.map_or_else(|| by_runs(old, new), |(_, pairs)| pairs);
    let mut last = None;
    let mut reordered = false;
    for old in pairs.iter().filter_map(|(old, new)| new.and(*old)) {
        reordered |= last > Some(old);
        last = Some(old);
    }
    Matched { pairs, reordered, labels }
}

/// The fewest fields that tell the elements of both lists apart and call the same one the same: the name, where that does.
fn telling(old: &[Value], new: &[Value], fields: Fields, pairs: &[Pair], hides: &dyn Fn(&str) -> bool) -> Fields {
    const NAME: Fields = &["name"];
    let tell = |fields: &Fields| {
        let (old, new) = (names(old, fields), names(new, fields));
        old.zip(new).is_some_and(|(old, new)| by_name(&old, &new) == pairs)
    };
    let fewer = (1..fields.len()).filter_map(|count| fields.get(..count));
    std::iter::once(NAME).filter(|_| !hides("name")).chain(fewer).find(tell).unwrap_or(fields)
}

/// The label of an element of one list; none where the elements do not name themselves by fields that may be shown.
pub(crate) fn label(list: &[Value], at: usize, hides: &dyn Fn(&str) -> bool) -> Option<String> {
    let fields = pair_by(list, list, hides).labels?;
    Some(called(fields, list.get(at)?))
}

/// The label of an element by these fields, as a path writes it.
pub(crate) fn called(fields: Fields, element: &Value) -> String {
    format!("[{}]", escape_pointer(&inner(fields, element)))
}

/// What a label says; a field that the element does not have is left out.
fn inner(fields: Fields, element: &Value) -> String {
    let named = fields.iter().filter_map(|field| Some(format!("{field}={}", text(element.get(field)?))));
    named.collect::<Vec<_>>().join(",")
}

/// What these fields hold, in words.
pub(crate) fn words(fields: Fields, element: &Value) -> String {
    fields.iter().filter_map(|field| Some(text(element.get(field)?))).collect::<Vec<_>>().join("/")
}

/// The element of a list that a label means: what stands behind `[` and before `]`.
pub fn labelled(list: &[Value], label: &str) -> Option<usize> {
    let is = |element: &Value, named: &str| {
        let value = named.split_once('=').and_then(|(field, wanted)| Some((element.get(field)?, wanted)));
        value.is_some_and(|(value, wanted)| text(value) == wanted)
    };
    // An element that lacks a field of its label is told from one that has it only by the whole label.
    let own = pair(list, list).labels;
    if let Some(at) = own.and_then(|fields| list.iter().position(|element| inner(fields, element) == label)) {
        return Some(at);
    }
    // What is behind the first `=` may hold any character.
    let whole = list.iter().position(|element| is(element, label));
    whole.or_else(|| list.iter().position(|element| label.split(',').all(|named| is(element, named))))
}

/// A scalar as a label has it.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The names of all elements, if each has one of its own.
fn names(list: &[Value], fields: &[&str]) -> Option<BTreeMap<Vec<u8>, usize>> {
    let mut names = BTreeMap::new();
    for (at, element) in list.iter().enumerate() {
        let element = element.as_object()?;
        let mut name = Vec::new();
        for (n, field) in fields.iter().enumerate() {
            match element.get(field) {
                Some(Value::Array(_) | Value::Object(_) | Value::Null) => return None,
                Some(value) => name.extend(to_canonical(value)),
                None if n == 0 => return None,
                None => {}
            }
            name.push(0);
        }
        if names.insert(name, at).is_some() {
            return None;
        }
    }
    Some(names)
}

fn by_name(old: &BTreeMap<Vec<u8>, usize>, new: &BTreeMap<Vec<u8>, usize>) -> Vec<Pair> {
    let mut of_new: Vec<(usize, Option<usize>)> = new.iter().map(|(name, at)| (*at, old.get(name).copied())).collect();
    of_new.sort_unstable();
    let mut gone: Vec<usize> = old.iter().filter(|(name, _)| !new.contains_key(*name)).map(|(_, at)| *at).collect();
    gone.sort_unstable();
    let mut gone = gone.into_iter().peekable();
    let mut pairs = Vec::with_capacity(new.len());
    for (new, old) in of_new {
        while let Some(at) = gone.next_if(|at| old.is_some_and(|old| *at < old)) {
            pairs.push((Some(at), None));
        }
        pairs.push((old, Some(new)));
    }
    pairs.extend(gone.map(|at| (Some(at), None)));
    pairs
}

fn by_runs(old: &[Value], new: &[Value]) -> Vec<Pair> {
    let mut pairs = Vec::with_capacity(old.len().max(new.len()));
    let mut between = |old: std::ops::Range<usize>, new: std::ops::Range<usize>| {
        let count = old.len().max(new.len());
        let at = |range: &std::ops::Range<usize>, n: usize| range.clone().nth(n);
        pairs.extend((0..count).map(|n| (at(&old, n), at(&new, n))));
    };
    if old.len().saturating_mul(new.len()) > COMPARISONS {
        between(0..old.len(), 0..new.len());
        return pairs;
    }
    let canonical = |list: &[Value]| list.iter().map(to_canonical).collect::<Vec<_>>();
    let (from, to) = (canonical(old), canonical(new));
    for op in similar::capture_diff_slices(Algorithm::Myers, &from, &to) {
        match op {
            DiffOp::Equal { old_index, new_index, len } => {
                between(old_index..old_index + len, new_index..new_index + len);
            }
            DiffOp::Delete { old_index, old_len, .. } => between(old_index..old_index + old_len, 0..0),
            DiffOp::Insert { new_index, new_len, .. } => between(0..0, new_index..new_index + new_len),
            DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                between(old_index..old_index + old_len, new_index..new_index + new_len);
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests;
