//! What differs between two intent forms, field by field.
//!
//! **Invariants.** (1) The list is empty exactly if the forms are equal. (2) Numbers keep their tokens, and nothing is cut. (3) A
//! value under a sealed path is a placeholder on both sides; that two values differ is decided before. (4) An element
//! of a list is paired and called by what names it ([`lists`]), so that a container put first does not look as if every
//! one had changed.

use hindcast_journal::{
    exact::Value,
    seal::{self, Key, escape_pointer, is_within},
};

use super::{FieldChange, KeptChange};
use crate::{intent::Kept, lists};

/// What may not be shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hidden<'a> {
    /// JSON pointers of sealed values, of either side.
    pub(crate) paths: &'a [String],
    /// Makes the placeholders.
    pub(crate) key: Option<&'a Key>,
}

impl Hidden<'_> {
    /// A value as it may be shown at `path`.
    fn show(&self, path: &str, value: &Value) -> Value {
        if let Some(sealed) = self.paths.iter().find(|sealed| is_within(path, sealed)) {
            return Value::from(seal::placeholder(value, sealed, self.key, 4));
        }
        let mut value = value.clone();
        for sealed in self.paths.iter().filter(|sealed| is_within(sealed, path)) {
            let inner = sealed.get(path.len()..).and_then(|rest| value.pointer_mut(rest));
            if let Some(place) = inner {
                *place = Value::from(seal::placeholder(place, sealed, self.key, 4));
            }
        }
        value
    }
}

/// The fields that differ, each as small as it can be named.
pub(crate) fn changes(from: Option<&Value>, to: Option<&Value>, path: &str, hidden: Hidden<'_>) -> Vec<FieldChange> {
    let mut walk = Walk { path: path.to_owned(), out: Vec::new(), hidden };
    walk.value(from, to);
    walk.out
}

/// What differs and is left to its owner; but for what changes by itself all the time.
pub(crate) fn kept(live: &Value, wanted: &Value, kept: &[Kept], hidden: Hidden<'_>) -> Vec<KeptChange> {
    let differing = kept.iter().filter(|kept| !kept.quiet && !kept.is_same(live, wanted));
    let change = |kept: &Kept| {
        let (from, to) = (kept.place.get(live), kept.place.get(wanted));
        let path = named(&kept.path, if from.is_some() { live } else { wanted });
        let show = |value: Option<&Value>| value.map(|value| hidden.show(&kept.path, value));
        KeptChange {
            field: FieldChange { path, from: show(from), to: show(to) },
            rule: kept.rule.to_owned(),
            owner: kept.owner.clone(),
        }
    };
    differing.map(change).collect()
}

/// A JSON pointer into `value`, with the elements of lists named.
fn named(pointer: &str, value: &Value) -> String {
    let mut out = String::new();
    let mut here = Some(value);
    for token in pointer.split('/').skip(1) {
        out.push('/');
        let list = here.and_then(Value::as_array);
        let element = list.and_then(|list| Some((list, token.parse::<usize>().ok()?)));
        let label = element.and_then(|(list, at)| lists::label(list, at));
        out.push_str(label.as_deref().unwrap_or(token));
        let below = format!("/{token}");
        here = here.and_then(|value| value.pointer(&below));
    }
    out
}

struct Walk<'a> {
    path: String,
    out: Vec<FieldChange>,
    hidden: Hidden<'a>,
}

impl Walk<'_> {
    fn value(&mut self, from: Option<&Value>, to: Option<&Value>) {
        match (from, to) {
            (from, to) if from == to => {}
            (Some(Value::Object(old)), Some(Value::Object(new))) => {
                let mut names: Vec<&str> = old.keys().chain(new.keys()).collect();
                names.sort_unstable();
                names.dedup();
                for name in names {
                    self.below(&escape_pointer(name), |walk| walk.value(old.get(name), new.get(name)));
                }
            }
            (Some(Value::Array(old)), Some(Value::Array(new))) => self.list(old, new),
            (from, to) => self.push(from, to),
        }
    }

    fn list(&mut self, old: &[Value], new: &[Value]) {
        let lists::Matched { mut pairs, reordered, labels } = lists::pair(old, new);
        let Some(fields) = labels.filter(|_| !old.is_empty() && !new.is_empty()) else {
            return self.nameless(old, new, &pairs);
        };
        // What was there first, in its order.
        pairs.sort_unstable_by_key(|(old, new)| (old.is_none(), *old, *new));
        for (from, to) in pairs {
            let (from, to) = (from.and_then(|at| old.get(at)), to.and_then(|at| new.get(at)));
            let Some(element) = from.or(to) else { continue };
            self.below(&lists::called(fields, element), |walk| walk.value(from, to));
        }
        if reordered {
            let words = |element: &Value| Value::from(lists::words(fields, element));
            let order = |list: &[Value]| Value::Array(list.iter().map(words).collect());
            let (from, to) = (order(old), order(new));
            self.below("[order]", |walk| walk.push(Some(&from), Some(&to)));
        }
    }

    /// Elements that go by their index, where each is in its old place; else the list is one thing.
    fn nameless(&mut self, old: &[Value], new: &[Value], pairs: &[lists::Pair]) {
        let objects = old.iter().chain(new).all(|element| matches!(element, Value::Object(_)));
        let in_place = |pair: &lists::Pair| pair.0.is_some() && pair.0 == pair.1;
        if !objects || !pairs.iter().all(in_place) {
            return self.push(Some(&Value::Array(old.to_vec())), Some(&Value::Array(new.to_vec())));
        }
        for (at, (old, new)) in old.iter().zip(new).enumerate() {
            self.below(&at.to_string(), |walk| walk.value(Some(old), Some(new)));
        }
    }

    fn below(&mut self, token: &str, work: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(token);
        work(self);
        self.path.truncate(length);
    }

    fn push(&mut self, from: Option<&Value>, to: Option<&Value>) {
        let show = |value: Option<&Value>| value.map(|value| self.hidden.show(&self.path, value));
        let change = FieldChange { path: self.path.clone(), from: show(from), to: show(to) };
        self.out.push(change);
    }
}
