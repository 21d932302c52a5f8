//! How the elements of two lists correspond.
//!
//! Lists of maps are matched by `name`, `type` or `uid`, the first of these that every element of both
//! sides holds as a string and no two of a side share. Other lists are matched by their longest common
//! subsequence up to [`CELLS`] comparisons, and by position beyond.
//!
//! Invariant: the steps, taken in order, name every old and every new element once and in order, so that
//! performing them at a running place turns one list into the other.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use crate::exact::document::Node;

/// How many pairs of elements are compared at most; beyond, position decides. At this bound the table
/// takes 128 KiB and some 100 µs.
const CELLS: usize = 1 << 16;

const IDENTITIES: [&str; 3] = ["name", "type", "uid"];

/// One step from the old list to the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The elements correspond; what differs inside them is to be found.
    Pair(usize, usize),
    /// The new element takes the place of the old one, which is another thing.
    Replace(usize, usize),
    /// The old element goes.
    Remove(usize),
    /// The new element comes.
    Add(usize),
}

impl Step {
    /// The old and the new element it is about.
    pub(super) fn ends(self) -> (Option<usize>, Option<usize>) {
        match self {
            Step::Pair(old, new) | Step::Replace(old, new) => (Some(old), Some(new)),
            Step::Remove(old) => (Some(old), None),
            Step::Add(new) => (None, Some(new)),
        }
    }
}

/// The steps from one list to the other.
pub(super) fn align(old: &[Node<'_>], new: &[Node<'_>]) -> Vec<Step> {
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old.raw() == new.raw()).count();
    let old = old.get(..old.len() - tail).unwrap_or_default();
    let new = new.get(..new.len() - tail).unwrap_or_default();
    if old.is_empty() || new.is_empty() {
        return steps(&[], old.len(), new.len(), false);
    }
    if let Some(pairs) = by_identity(old, new) {
        return steps(&increasing(&pairs), old.len(), new.len(), true);
    }
    if old.len().saturating_mul(new.len()) <= CELLS {
        return steps(&common(old, new), old.len(), new.len(), false);
    }
    steps(&[], old.len(), new.len(), false)
}

/// The steps around the given anchors. Between two anchors elements are paired by position; where
/// identities are known, those are different things and the new one replaces the old one whole.
fn steps(anchors: &[(usize, usize)], old: usize, new: usize, keyed: bool) -> Vec<Step> {
    let mut out = Vec::new();
    let (mut from, mut to) = (0, 0);
    for &(old_stop, new_stop) in anchors.iter().chain([&(old, new)]) {
        while from < old_stop && to < new_stop {
            out.push(if keyed { Step::Replace(from, to) } else { Step::Pair(from, to) });
            from += 1;
            to += 1;
        }
        out.extend((from..old_stop).map(Step::Remove));
        out.extend((to..new_stop).map(Step::Add));
        if old_stop < old && new_stop < new {
            out.push(Step::Pair(old_stop, new_stop));
        }
        (from, to) = (old_stop + 1, new_stop + 1);
    }
    out
}

/// Pairs of elements of the same identity in the order of the old list; none where the lists have no
/// identity in common.
fn by_identity(old: &[Node<'_>], new: &[Node<'_>]) -> Option<Vec<(usize, usize)>> {
    IDENTITIES.iter().find_map(|key| {
        let old = identities(old, key)?;
        let new = identities(new, key)?;
        let mut pairs: Vec<_> = old.iter().filter_map(|(name, at)| Some((*at, *new.get(name)?))).collect();
        pairs.sort_unstable();
        Some(pairs)
    })
}

fn identities<'d>(list: &[Node<'d>], key: &str) -> Option<BTreeMap<Cow<'d, str>, usize>> {
    // Most such lists have a few elements, where a tree beats hashing.
    let mut places = BTreeMap::new();
    for (at, element) in list.iter().enumerate() {
        if places.insert(element.get(key)?.as_str()?, at).is_some() {
            return None;
        }
    }
    Some(places)
}

/// The longest run of pairs whose new places increase too: what stays in order. The rest has moved.
fn increasing(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let new = |at: usize| pairs.get(at).map_or(0, |pair| pair.1);
    let mut tails: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for at in 0..pairs.len() {
        let length = tails.partition_point(|tail| new(*tail) < new(at));
        before.push(length.checked_sub(1).and_then(|last| tails.get(last).copied()));
        match tails.get_mut(length) {
            Some(tail) => *tail = at,
            None => tails.push(at),
        }
    }
    let mut run = Vec::with_capacity(tails.len());
    let mut at = tails.last().copied();
    while let Some(place) = at {
        run.extend(pairs.get(place));
        at = before.get(place).copied().flatten();
    }
    run.reverse();
    run
}

/// The longest common subsequence of equal elements.
fn common<'d>(old: &[Node<'d>], new: &[Node<'d>]) -> Vec<(usize, usize)> {
    let mut names: HashMap<&'d [u8], usize> = HashMap::new();
    let mut number = |node: &Node<'d>| -> usize {
        let next = names.len();
        *names.entry(node.raw()).or_insert(next)
    };
    let old: Vec<usize> = old.iter().map(&mut number).collect();
    let new: Vec<usize> = new.iter().map(&mut number).collect();
    let width = new.len() + 1;
    let mut table = vec![0_u16; (old.len() + 1) * width];
    let at = |table: &[u16], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for (i, left) in old.iter().enumerate().rev() {
        for (j, right) in new.iter().enumerate().rev() {
            let length = if left == right {
                at(&table, i + 1, j + 1) + 1
            } else {
                at(&table, i + 1, j).max(at(&table, i, j + 1))
            };
            if let Some(cell) = table.get_mut(i * width + j) {
                *cell = length;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut anchors = Vec::new();
    while let (Some(left), Some(right)) = (old.get(i), new.get(j)) {
        if left == right {
            anchors.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if at(&table, i + 1, j) >= at(&table, i, j + 1) {
            i += 1;
        } else {
            j += 1;
        }
    }
    anchors
}
