//! Places written as text, for the tables: `spec ports [port,protocol] nodePort`.
//!
//! Words stand between spaces. `key` is a member, `deployment.kubernetes.io/*` every member of such a name, `[name]`
//! every element with a `name`, `[name=kube-api-access-*]` those of such a name, `!key` (last) a member that is never
//! made without its container. `$name` stands for the object's own name.
//!
//! **Invariant.** A pattern gives only places that are in at least one of the sides, and that are sound in each.

use std::collections::BTreeSet;

use hindcast_journal::exact::{self, Value};

use super::place::{Place, Step, scalar};

/// The places of a pattern that are in either side.
pub(crate) fn places(pattern: &str, name: &str, sides: &[&Value]) -> Vec<Place> {
    let pattern = pattern.replace("$name", name);
    let words: Vec<&str> = pattern.split(' ').collect();
    let within = words.last().is_some_and(|word| word.starts_with('!'));
    let mut found = Vec::new();
    walk(&words, sides, &mut Vec::new(), &mut found);
    let place = |steps| if within { Place::within(steps) } else { Place::new(steps) };
    found.into_iter().map(place).filter(|place| sides.iter().all(|side| place.sound(side))).collect()
}

fn walk(words: &[&str], sides: &[&Value], way: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    if sides.is_empty() {
        return;
    }
    let Some((word, rest)) = words.split_first() else {
        found.push(way.clone());
        return;
    };
    for step in steps(word, sides) {
        let children: Vec<&Value> = sides.iter().filter_map(|side| child(side, &step)).collect();
        way.push(step);
        walk(rest, &children, way, found);
        way.pop();
    }
}

fn child<'v>(value: &'v Value, step: &Step) -> Option<&'v Value> {
    Place::new(vec![step.clone()]).get(value)
}

fn steps(word: &str, sides: &[&Value]) -> BTreeSet<Step> {
    if let Some(fields) = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
        let fields: Vec<(&str, &str)> =
            fields.split(',').map(|field| field.split_once('=').unwrap_or((field, "*"))).collect();
        let elements = sides.iter().filter_map(|side| side.as_array()).flatten();
        return elements.filter_map(|element| identity(element, &fields)).collect();
    }
    let word = word.strip_prefix('!').unwrap_or(word);
    if !word.contains('*') {
        return BTreeSet::from([Step::Key(word.to_owned())]);
    }
    let keys = sides.iter().filter_map(|side| side.as_object()).flat_map(exact::Object::keys);
    keys.filter(|key| like(word, key)).map(|key| Step::Key(key.to_owned())).collect()
}

fn identity(element: &Value, fields: &[(&str, &str)]) -> Option<Step> {
    let mut names = Vec::new();
    for (field, want) in fields {
        let value = element.get(field).filter(|value| scalar(value))?;
        if *want != "*" && !value.as_str().is_some_and(|text| like(want, text)) {
            return None;
        }
        names.push(((*field).to_owned(), value.to_string()));
    }
    Some(Step::Item(names))
}

/// Whether a text is as a pattern with at most one `*` says.
pub(crate) fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
        }
    }
}
