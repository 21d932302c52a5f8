//! What kinds and objects are called in a sentence, and how many there are of them.

use hindcast_journal::fold::ObjectKey;

use crate::kinds;

/// How many names a sentence has.
const NAMED: usize = 10;

/// A kind key as a person reads it.
pub(crate) fn kind_name(key: &str) -> String {
    key.split_once('/').map_or_else(|| key.to_owned(), |(group, resource)| kinds::named(group, resource))
}

/// `shop/db` of a kind, as one names it in a sentence: `secrets shop/db`.
pub(crate) fn object_name(key: &ObjectKey) -> String {
    let place = if key.namespace.is_empty() { String::new() } else { format!("{}/", key.namespace) };
    format!("{} {place}{}", kinds::named(&key.group, &key.resource), key.name)
}

/// A few of many.
pub(crate) fn some(names: &[String]) -> String {
    some_of(names, names.len())
}

/// The first of names, of which there are so many in all.
pub(crate) fn some_of(names: &[String], in_all: usize) -> String {
    few(names, NAMED, in_all)
}

/// At most so many names, of which there are so many in all.
pub(crate) fn few(names: &[String], most: usize, in_all: usize) -> String {
    let shown = names.get(..names.len().min(most)).unwrap_or_default();
    let more = in_all.saturating_sub(shown.len());
    let shown = shown.join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// `1 change`, `2 changes`
pub(crate) fn count(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}
