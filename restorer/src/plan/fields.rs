//! What differs between two intent forms, field by field.
//!
//! **Invariants.** (1) The list is empty exactly if the forms are equal. (2) Numbers keep their tokens, and nothing is cut. (3) A
//! value at or under a sealed place of its own side is a placeholder [`Side::shown`]; that two values differ is decided before, and
//! nothing within a sealed place has a path of its own. (4) An element of a list is paired and called by what names it
//! ([`lists`]), so that a container put first does not look as if every one had changed; never by a sealed field.

use hindcast_journal::{
    exact::Value,
    seal::{Key, escape_pointer},
};

use super::{FieldChange, KeptChange, narrow, side::Side};
use crate::{
    intent::{Form, Kept},
    lists,
};

/// The fields that differ within a part of two forms, each as small as it can be named.
pub(crate) fn changes(from: &Form, to: &Form, part: &str, key: Option<&Key>) -> Vec<FieldChange> {
    let mut walk = Walk { path: part.to_owned(), out: Vec::new(), key };
    walk.value(within(from, part), within(to, part));
    walk.out
}

fn within<'f>(form: &'f Form, part: &str) -> Option<Side<'f>> {
    Side::new(&form.value, &form.sealed).at(&narrow::pointer(&form.value, part)?)
}

/// What differs and is left to its owner; but for what changes by itself all the time. `live` and `wanted` are whole objects.
pub(crate) fn kept(live: &Side<'_>, wanted: &Side<'_>, kept: &[Kept], key: Option<&Key>) -> Vec<KeptChange> {
    let differing = kept.iter().filter(|kept| !kept.quiet && !kept.is_same(live.value, wanted.value));
    let change = |kept: &Kept| {
        let at = |side: &Side<'_>| side.at(&kept.place.pointer(side.value)?).map(|side| side.shown(key));
        let (from, to) = (at(live), at(wanted));
        let path = if from.is_some() { live } else { wanted }.named(&kept.path);
        let (rule, owner) = (kept.rule.to_owned(), kept.owner.clone());
        KeptChange { field: FieldChange { path, from, to }, rule, owner, standing: kept.standing }
    };
    differing.map(change).collect()
}

struct Walk<'a> {
    path: String,
    out: Vec<FieldChange>,
    key: Option<&'a Key>,
}

impl Walk<'_> {
    fn value(&mut self, from: Option<Side<'_>>, to: Option<Side<'_>>) {
        let same = from.as_ref().map(|side| side.value) == to.as_ref().map(|side| side.value);
        if same {
            return;
        }
        if let (Some(old), Some(new)) = (&from, &to)
            && !old.is_sealed()
            && !new.is_sealed()
        {
            match (old.value, new.value) {
                (Value::Object(olds), Value::Object(news)) => {
                    let mut names: Vec<&str> = olds.keys().chain(news.keys()).collect();
                    names.sort_unstable();
                    names.dedup();
                    for name in names {
                        self.below(&escape_pointer(name), |walk| walk.value(old.member(name), new.member(name)));
                    }
                    return;
                }
                (Value::Array(olds), Value::Array(news)) => return self.list((old, olds), (new, news)),
                _ => {}
            }
        }
        self.push(from.as_ref(), to.as_ref());
    }

    fn list(&mut self, (from, old): (&Side<'_>, &[Value]), (to, new): (&Side<'_>, &[Value])) {
        let hides = |field: &str| from.hides(field) || to.hides(field);
        let lists::Matched { mut pairs, reordered, labels } = lists::pair_by(old, new, &hides);
        let Some(fields) = labels.filter(|_| !old.is_empty() && !new.is_empty()) else {
            return self.nameless((from, old), (to, new), &pairs);
        };
        // What was there first, in its order.
        pairs.sort_unstable_by_key(|(old, new)| (old.is_none(), *old, *new));
        for (left, right) in pairs {
            let left = left.and_then(|at| from.element(at));
            let right = right.and_then(|at| to.element(at));
            let Some(element) = left.as_ref().or(right.as_ref()) else { continue };
            self.below(&lists::called(fields, element.value), |walk| walk.value(left, right));
        }
        if reordered {
            let words = |element: &Value| Value::from(lists::words(fields, element));
            let order = |list: &[Value]| Some(Value::Array(list.iter().map(words).collect()));
            let (from, to) = (order(old), order(new));
            self.below("[order]", |walk| walk.out.push(FieldChange { path: walk.path.clone(), from, to }));
        }
    }

    /// Elements that go by their index, where each is in its old place; else the list is one thing.
    fn nameless(
        &mut self,
        (from, old): (&Side<'_>, &[Value]),
        (to, new): (&Side<'_>, &[Value]),
        pairs: &[lists::Pair],
    ) {
        let objects = old.iter().chain(new).all(|element| matches!(element, Value::Object(_)));
        let in_place = |pair: &lists::Pair| pair.0.is_some() && pair.0 == pair.1;
        if !objects || !pairs.iter().all(in_place) {
            return self.push(Some(from), Some(to));
        }
        for at in 0..old.len() {
            self.below(&at.to_string(), |walk| walk.value(from.element(at), to.element(at)));
        }
    }

    fn below(&mut self, token: &str, work: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(token);
        work(self);
        self.path.truncate(length);
    }

    fn push(&mut self, from: Option<&Side<'_>>, to: Option<&Side<'_>>) {
        let show = |side: Option<&Side<'_>>| side.map(|side| side.shown(self.key));
        let change = FieldChange { path: self.path.clone(), from: show(from), to: show(to) };
        self.out.push(change);
    }
}
