//! Which elements of two lists are the same one, as a person sees it: a container by its name, not by its index.
//!
//! **Invariants.** (1) Every element of either list stands in exactly one [`Pair`]. (2) Elements that name themselves
//! are paired by that, whatever else of them changed; others by the longest common run, and what is left between two
//! runs in its order.
//!
//! Not here: the patches of the journal, which are made to be short.

use std::collections::BTreeMap;

use hindcast_journal::exact::{Value, to_canonical};
use similar::{Algorithm, DiffOp};

/// What names an element among its like, most telling first; of several fields the first has to be there.
const NAMES: [&[&str]; 13] = [
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
pub(crate) struct Pairs {
    /// Those of the new list in its order; what was removed stands where it was.
    pub(crate) pairs: Vec<Pair>,
    /// Whether elements that are in both stand in another order.
    pub(crate) reordered: bool,
}

/// Matches the elements of two lists.
pub(crate) fn pair(old: &[Value], new: &[Value]) -> Pairs {
    let pairs = NAMES
        .iter()
        .find_map(|fields| Some(by_name(&names(old, fields)?, &names(new, fields)?)))
        .unwrap_or_else(|| by_runs(old, new));
    let mut last = None;
    let mut reordered = false;
    for old in pairs.iter().filter_map(|(old, new)| new.and(*old)) {
        reordered |= last > Some(old);
        last = Some(old);
    }
    Pairs { pairs, reordered }
}

/// The names of all elements, if each has one of its own.
fn names(list: &[Value], fields: &[&str]) -> Option<BTreeMap<Vec<u8>, usize>> {
    let mut names = BTreeMap::new();
    for (at, element) in list.iter().enumerate() {
        let element = element.as_object()?;
        let mut name = Vec::new();
        for (n, field) in fields.iter().enumerate() {
            match element.get(field) {
                Some(Value::Array(_) | Value::Object(_)) => return None,
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
