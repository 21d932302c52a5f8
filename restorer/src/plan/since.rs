//! What somebody changed since the restore that is taken back: put back is the rest, field by field.
//!
//! **Words**: *theirs* is what differs now from what the restore left, *ours* what the restore had changed.
//!
//! **Invariants.** (1) Nothing of theirs is overwritten: where both are one place, one list whose elements have no names, or the
//! order of one list, the object is left, with whose it is. (2) What the restore left is known by its hash; where that is another,
//! nothing is put back beside it. (3) What is put back differs from how it was by what is theirs, and by nothing else.

use std::{collections::BTreeSet, sync::Arc};

use hindcast_journal::{exact::Value, fold::ObjectKey, seal::pointer_tokens};

use super::{FieldChange, fields, judge::Why, narrow, prepare::Planner};
use crate::{
    desired::Full,
    intent::{self, Form, Step},
    kept::owners,
    lists,
    live::Present,
    reason::Reason,
};

/// What stands for the order of a list in the path of a change.
const ORDER: &str = "[order]";

/// An object as it is to be, with what others changed since.
pub(super) struct Beside {
    pub(super) full: Arc<Full>,
    /// What they changed, in words.
    pub(super) theirs: Vec<String>,
}

impl Planner<'_> {
    /// What is put back of an object that stands otherwise than the restore left it, which is why it would be left alone;
    /// `full` is how it was before.
    pub(super) fn beside(&self, key: &ObjectKey, full: &Full, live: &Present, why: Why) -> Result<Beside, Why> {
        let Some(left) = self.left(key) else { return Err(why) };
        let theirs = self.differences(key, left, &live.object);
        let ours = self.differences(key, left, full);
        let clash = |change: &&FieldChange| {
            ours.iter()
                .any(|our| meet(&our.path, &change.path) || (ordered(our) && orders(&change.path, list_of(&our.path))))
        };
        let clashing: Vec<String> = theirs.iter().filter(clash).map(|change| told(change, &live.object)).collect();
        if theirs.is_empty() {
            return Err(why);
        }
        if !clashing.is_empty() {
            return Err(Reason::ChangedBy(clashing).into());
        }
        let mut value = live.object.value.clone();
        for change in &ours {
            if !narrow::put(&mut value, &change.path, narrow::at(&full.value, &change.path)) {
                return Err(why);
            }
        }
        let moved: BTreeSet<&str> = ours.iter().filter(|our| ordered(our)).map(|our| list_of(&our.path)).collect();
        for list in moved {
            put_in_order(&mut value, &full.value, list);
        }
        // Whose the fields are stays as it is, theirs among them.
        let beside = Full { value, managed: live.object.managed.clone() };
        let rest = self.differences(key, &beside, full);
        if rest.iter().any(|rest| !theirs.iter().any(|change| meet(&rest.path, &change.path))) {
            return Err(why);
        }
        let theirs = theirs.iter().map(|change| told(change, &live.object)).collect();
        Ok(Beside { full: Arc::new(beside), theirs })
    }

    /// What somebody changed of an object that the restore made, with who it was; nothing where that is not known.
    pub(super) fn changed_by(&self, key: &ObjectKey, live: &Present) -> Option<Reason> {
        let theirs = self.differences(key, self.left(key)?, &live.object);
        let told: Vec<String> = theirs.iter().map(|change| told(change, &live.object)).collect();
        (!told.is_empty()).then_some(Reason::ChangedBy(told))
    }

    /// What the restore left, if that is known.
    fn left(&self, key: &ObjectKey) -> Option<&Full> {
        let (left, hash) = (self.desired.left.get(key)?, self.desired.touched.get(key)?);
        self.is_left(hash, key, left).then_some(left)
    }

    fn differences(&self, key: &ObjectKey, from: &Full, to: &Full) -> Vec<FieldChange> {
        let kept = intent::kept(key, Some(from), Some(to), &self.around);
        let redact = self.sealed(key, &[Some(&from.value), Some(&to.value)]);
        let (from, to) = (Form::new(&from.value, &kept, &redact), Form::new(&to.value, &kept, &redact));
        fields::changes(&from, &to, "", self.desired.key.as_deref())
    }
}

/// Whether one place is in the other, or both are in one list whose elements are known by their number alone.
fn meet(one: &str, other: &str) -> bool {
    let (one, other) = (named(one), named(other));
    one.starts_with(&other) || other.starts_with(&one)
}

/// A place, up to the first list whose elements have no names.
fn named(path: &str) -> Vec<String> {
    let number = |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
    pointer_tokens(path).iter().take_while(|token| !number(token)).cloned().collect()
}

/// The list that an element, or the order, of this path is in.
fn list_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(list, _)| list)
}

/// Whether a path is the order of a list.
fn orders(path: &str, list: &str) -> bool {
    path.strip_prefix(list).and_then(|rest| rest.strip_prefix('/')) == Some(ORDER)
}

/// Whether a change puts a list into an order: as such, or by an element that comes back to its place.
fn ordered(change: &FieldChange) -> bool {
    let element =
        pointer_tokens(&change.path).last().is_some_and(|token| token.starts_with('[') && token.contains('='));
    orders(&change.path, list_of(&change.path)) || (element && change.from.is_none())
}

/// Puts the elements of a list into the order that they have in another object; one that only this has stays behind the one
/// it is behind.
fn put_in_order(value: &mut Value, like: &Value, path: &str) {
    let Some(like) = narrow::at(like, path).and_then(Value::as_array) else { return };
    let Some(pointer) = narrow::pointer(value, path) else { return };
    let Some(list) = value.pointer_mut(&pointer).and_then(Value::as_array_mut) else { return };
    let pairs = lists::pair(like, list).pairs;
    let place = |at: usize| pairs.iter().find(|(_, new)| *new == Some(at)).and_then(|(old, _)| *old);
    let mut runs: Vec<(Option<usize>, Vec<Value>)> = vec![(None, Vec::new())];
    for (at, element) in std::mem::take(list).into_iter().enumerate() {
        match (place(at), runs.last_mut()) {
            (None, Some((_, run))) => run.push(element),
            (place, _) => runs.push((place, vec![element])),
        }
    }
    runs.sort_by_key(|(place, _)| *place);
    list.extend(runs.into_iter().flat_map(|(_, run)| run));
}

/// `metadata.labels.team by kubectl-label`.
fn told(change: &FieldChange, live: &Full) -> String {
    let tokens = pointer_tokens(&change.path);
    let path = tokens.join(".");
    match owner(&tokens, live).filter(|_| change.to.is_some()) {
        Some(owner) => format!("{path} by {owner}"),
        None if change.to.is_none() => format!("{path}, which was taken away"),
        None => path,
    }
}

/// Who set a place, as the book of fields says.
fn owner(tokens: &[String], live: &Full) -> Option<String> {
    let steps: Vec<Step> = tokens.iter().map(|token| step(token)).collect();
    let entries = owners::entries(live.managed.as_ref()?);
    let words: Vec<String> = entries.iter().filter(|entry| entry.has(&steps)).map(owners::Entry::words).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn step(token: &str) -> Step {
    let label =
        token.strip_prefix('[').and_then(|token| token.strip_suffix(']')).and_then(|label| label.split_once('='));
    match label {
        Some((field, value)) => Step::Item(vec![(field.to_owned(), Value::from(value).to_string())]),
        None => Step::Key(token.to_owned()),
    }
}
