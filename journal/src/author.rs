//! Who wrote a version, and whose a field is, as far as the API server's own book of fields (managedFields) tells.
//!
//! **Words**: an *entry* is one item of managedFields: a manager with operation and subresource, the time of its newest
//! write, and its *field set*, the tree under `fieldsV1`: `f:` before a member's name, `k:` before the fields that name
//! an element, `v:` before an element itself, `i:` before its index.
//!
//! **Invariants.** (1) Whoever only lost fields wrote nothing: an entry tells of a write by being new, by a later time,
//! or by fields that it gained [`of_write`]. (2) Where nothing tells, nobody is named. (3) A field that several managers own is
//! the one's who wrote last; one that none owns is nobody's [`of_field`].
//!
//! Not here: which managers are controllers, and what follows from that for a restore (`restorer`, `cli`).

use crate::{
    exact::{self, Document, Node, Value},
    seal::unescape_pointer,
};

#[cfg(test)]
mod tests;

/// Managers that the server makes up when it takes entries together: the writer is another one, if there is any.
const MADE_UP: [&str; 2] = ["ancient-changes", "before-first-apply"];

/// Who wrote; all empty where that is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Author {
    /// The field manager.
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
    /// The subresource that was written through; empty for the object itself.
    pub subresource: String,
}

impl Author {
    fn of(entry: &Value) -> Self {
        let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { manager: text("manager"), operation: text("operation"), subresource: text("subresource") }
    }
}

/// What a version changes: its managedFields before and after, the patch that makes the one version of the other, if there is
/// one, and the object after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written<'a> {
    pub(crate) managed: (&'a [u8], &'a [u8]),
    pub(crate) patch: Option<&'a [u8]>,
    pub(crate) object: &'a [u8],
}

/// Who made a version of the one before.
pub(crate) fn of_write(written: &Written<'_>) -> Author {
    if written.managed.1.is_empty() {
        return Author::default();
    }
    by_entries(written).or_else(|| by_fields(written)).unwrap_or_default()
}

/// The newest of the entries that tell of a write.
fn by_entries(written: &Written<'_>) -> Option<Author> {
    let (old, new) = written.managed;
    if old == new {
        return None;
    }
    // Both are canonical, so entries are equal when their bytes are: no values are built for those that stayed.
    let new = Document::parse(new).ok()?;
    let old = Document::parse(old).ok();
    let known: Vec<Node<'_>> = old.iter().flat_map(|old| old.root().elements()).collect();
    // Entries that were put back, as a restore does it, have the times of then. Who changes nothing else is believed only
    // where the time went on.
    let alone = written.patch == Some(b"[]");
    let newest = known.iter().filter(|_| alone).map(|entry| text(entry, "time")).max();
    let wrote = |entry: &Node<'_>| {
        if known.iter().any(|before| before.raw() == entry.raw()) {
            return false;
        }
        let now = text(entry, "time");
        if newest.as_ref().is_some_and(|newest| now < *newest) {
            return false;
        }
        let Some(before) = known.iter().find(|before| same_manager(before, entry)) else { return true };
        let then = text(before, "time");
        now > then || (now == then && gained(before.get("fieldsV1"), entry.get("fieldsV1")))
    };
    let fresh = new.root().elements().filter(wrote);
    let latest = fresh.max_by_key(|entry| {
        let made_up = MADE_UP.contains(&text(entry, "manager").as_str());
        (text(entry, "time"), !made_up)
    })?;
    let text = |field: &str| text(&latest, field);
    Some(Author { manager: text("manager"), operation: text("operation"), subresource: text("subresource") })
}

fn text(entry: &Node<'_>, field: &str) -> String {
    entry.get(field).and_then(|value| value.as_str()).unwrap_or_default().into_owned()
}

fn same_manager(one: &Node<'_>, other: &Node<'_>) -> bool {
    ["manager", "operation", "subresource", "apiVersion"].iter().all(|field| text(one, field) == text(other, field))
}

/// Whether a field set holds what another did not.
fn gained(before: Option<Node<'_>>, after: Option<Node<'_>>) -> bool {
    let Some(after) = after else { return false };
    let Some(before) = before else { return true };
    after.members().any(|(name, below)| {
        let name = name.as_str().unwrap_or_default();
        before.get(&name).is_none_or(|standing| gained(Some(standing), Some(below)))
    })
}

/// Who owns all that was set and that anybody owns: a manager's second write within a second leaves no mark but that its
/// values stand. Nothing tells who took a field away.
fn by_fields(written: &Written<'_>) -> Option<Author> {
    let patch = exact::parse(written.patch?).ok()?;
    let operations = patch.as_array()?;
    let text = |operation: &Value, field: &str| operation.get(field).and_then(Value::as_str).map(str::to_owned);
    // Where elements come and go, the indexes of the patch are not those of the object.
    let moves = |operation: &Value| {
        let last = text(operation, "path").and_then(|path| path.rsplit('/').next().map(str::to_owned));
        let element = last.is_some_and(|last| last == "-" || last.bytes().all(|b| b.is_ascii_digit()));
        match text(operation, "op").as_deref() {
            Some("replace") => false,
            Some("add" | "remove") => element,
            _ => true,
        }
    };
    if operations.is_empty() || operations.iter().any(moves) {
        return None;
    }
    let (managed, object) = (exact::parse(written.managed.1).ok()?, exact::parse(written.object).ok()?);
    let mut found: Option<Author> = None;
    for operation in operations.iter().filter(|operation| text(operation, "op").as_deref() != Some("remove")) {
        let path = text(operation, "path")?;
        for author in owners(&managed, &object, &path).map(Author::of) {
            if found.as_ref().is_some_and(|found| *found != author) {
                return None;
            }
            found = Some(author);
        }
    }
    found
}

/// The manager that owns the value at a JSON pointer into an object.
pub fn of_field(managed: &Value, object: &Value, pointer: &str) -> Option<Author> {
    let time = |entry: &&Value| entry.get("time").and_then(Value::as_str).unwrap_or_default().to_owned();
    owners(managed, object, pointer).max_by_key(time).map(Author::of)
}

/// The entries that own the value at a JSON pointer.
fn owners<'m>(managed: &'m Value, object: &Value, pointer: &str) -> impl Iterator<Item = &'m Value> {
    let path: Vec<&str> = pointer.split('/').skip(1).collect();
    let entries = managed.as_array().unwrap_or_default().iter();
    entries.filter(move |entry| entry.get("fieldsV1").is_some_and(|fields| holds(fields, object, &path)))
}

/// Whether a field set holds the path; one that ends above it holds the whole value there.
fn holds(fields: &Value, value: &Value, path: &[&str]) -> bool {
    let Some((token, rest)) = path.split_first() else { return true };
    let Some(members) = fields.as_object() else { return false };
    if members.is_empty() {
        return true;
    }
    let token = unescape_pointer(token);
    let (below, next) = match value {
        Value::Object(object) => (members.get(&format!("f:{token}")), object.get(&token)),
        Value::Array(list) => {
            let at = token.parse::<usize>().ok();
            let element = at.and_then(|at| list.get(at));
            let names = |key: &str| element.is_some_and(|element| names(key, element, &token));
            (members.iter().find(|(key, _)| names(key)).map(|(_, below)| below), element)
        }
        _ => (None, None),
    };
    match (below, next) {
        (Some(below), Some(next)) => holds(below, next, rest),
        _ => false,
    }
}

/// Whether a key of a field set names the element.
fn names(key: &str, element: &Value, index: &str) -> bool {
    let Some((how, what)) = key.split_once(':') else { return false };
    let parsed = || exact::parse(what.as_bytes()).ok();
    match how {
        "k" => parsed().is_some_and(|name| {
            name.as_object().is_some_and(|name| name.iter().all(|(k, v)| element.get(k) == Some(v)))
        }),
        "v" => parsed().is_some_and(|value| value == *element),
        "i" => what == index,
        _ => false,
    }
}
