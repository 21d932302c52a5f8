//! Since when each field of an object is as it is, and who set it.
//!
//! **Words**: an [`Origin`] is the change that gave a field its value. A container's own origin is the change that
//! brought it; what is in it has origins of its own.
//!
//! **Invariants.** (1) The history is one object's, by uid: a namesake that was deleted before leaves no trace.
//! (2) The folded state is the one that the timeline shows, or there is an error [`of`]. (3) An element of a list keeps
//! its origin when others are put before it (`lists`); the paths of the journal's patches are not used.
//! (4) What a list brought is only known to be no later than that list [`Origin::listed`]; who set it is then said by the
//! managedFields that the list brought, or by nobody. So it is with a write whose row names nobody.

use std::collections::BTreeMap;

use hindcast_journal::{
    Error, Moment, Position, Result, Row,
    author::{self, Author},
    cut::{At, Cut},
    exact::{self, Value},
    fold::{ObjectKey, Scope},
    parts::Micros,
    row::{Body, Op, Revision, Source},
    seal::{escape_pointer, is_placeholder, unescape_pointer},
};

use crate::{Event, Object, Timeline, View, lists};

/// The change that gave a field its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its position.
    pub pos: Position,
    /// Its revision.
    pub rev: Revision,
    /// Not committed before this moment.
    pub from: Micros,
    /// Committed by this moment.
    pub time: Micros,
    /// It was found in a list: it may have been set at any time before.
    pub listed: bool,
    /// Whether the object came to be with it.
    pub first: bool,
    /// The field manager of the write, as far as it is known.
    pub manager: String,
    /// Its operation.
    pub manager_op: String,
    /// The subresource that was written.
    pub subresource: String,
}

impl Origin {
    /// Whether the row does not say who set each field: a list brings the writes of several at once, and names the newest
    /// of them, which need not have set this one.
    fn is_of_many(&self) -> bool {
        self.listed || self.manager.is_empty()
    }

    fn of(row: &Row, first: bool) -> Self {
        Self {
            pos: row.pos,
            rev: row.rv,
            from: row.time_lo,
            time: row.time_hi,
            listed: row.source == Source::List,
            first,
            manager: row.manager.clone(),
            manager_op: row.manager_op.clone(),
            subresource: row.subresource.clone(),
        }
    }
}

/// An object with the origin of each of its fields.
#[derive(Debug, Clone)]
pub struct Blame {
    /// The object, in public form.
    pub value: Value,
    origins: Vec<Origin>,
    root: Node,
    /// The managedFields of the versions whose row alone does not say who set what.
    books: BTreeMap<usize, Value>,
}

/// The origin of a value and of what is in it, as an index.
#[derive(Debug, Clone)]
struct Node {
    since: usize,
    inside: Inside,
}

#[derive(Debug, Clone)]
enum Inside {
    Nothing,
    Members(BTreeMap<Box<str>, Node>),
    Elements(Vec<Node>),
}

impl Blame {
    /// The origin of the value at a JSON pointer.
    pub fn origin(&self, pointer: &str) -> Option<Origin> {
        let mut node = &self.root;
        for token in pointer.split('/').skip(1) {
            node = match &node.inside {
                Inside::Nothing => return None,
                Inside::Members(members) => members.get(unescape_pointer(token).as_str())?,
                Inside::Elements(elements) => elements.get(token.parse::<usize>().ok()?)?,
            };
        }
        let mut origin = self.origins.get(node.since)?.clone();
        if origin.is_of_many() {
            let book = self.books.get(&node.since);
            let owner = book.and_then(|book| author::of_field(book, &self.value, pointer)).unwrap_or_default();
            let Author { manager, operation, subresource } = owner;
            (origin.manager, origin.manager_op, origin.subresource) = (manager, operation, subresource);
        }
        Some(origin)
    }

    /// Every value that has nothing inside, with its pointer and origin, in the order of the object.
    pub fn leaves(&self) -> Vec<(String, &Value, Origin)> {
        let mut paths = Vec::new();
        leaves(&self.value, &mut String::new(), &mut paths);
        let leaf = |path: String| {
            Some((self.value.pointer(&path)?, self.origin(&path)?)).map(|(value, origin)| (path, value, origin))
        };
        paths.into_iter().filter_map(leaf).collect()
    }
}

fn leaves(value: &Value, path: &mut String, out: &mut Vec<String>) {
    let length = path.len();
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members.iter() {
                path.push('/');
                path.push_str(&escape_pointer(name));
                leaves(value, path, out);
                path.truncate(length);
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            for (at, value) in elements.iter().enumerate() {
                path.push('/');
                path.push_str(&at.to_string());
                leaves(value, path, out);
                path.truncate(length);
            }
        }
        _ => out.push(path.clone()),
    }
}

/// An object as it was where the log begins, if it is older than that: who set its fields before, and when, is not known any more, so
/// it is as if a list had shown it then. `None` where the log has all of its changes.
pub async fn before_log(timeline: &mut Timeline, object: &Object, moment: &Moment) -> Result<Option<Event>> {
    let Some(whole) = timeline.expired().map(|expired| expired.whole) else { return Ok(None) };
    let key = ObjectKey::of(&object.row);
    let found = match moment.time > whole {
        // The moment is one of those that were kept of the time before.
        false => Some(object.clone()),
        true => {
            let scope = Scope {
                kinds: Some(vec![object.row.kind_key()]),
                namespace: Some(key.namespace.clone()),
                name: Some(key.name.clone()),
            };
            let base = timeline.at(&At::Time(whole)).await?;
            let found = View::of(&base, &scope).await?.objects;
            found.into_iter().find(|found| ObjectKey::of(&found.row) == key && found.row.uid == object.row.uid)
        }
    };
    Ok(found.map(|found| {
        let mut row = found.row;
        (row.change.op, row.change.source) = (Op::Add, Source::List);
        row.change.body = Body::Object(exact::to_canonical(&found.value).into());
        row.change.managed_fields = found.managed_fields.as_ref().map(|fields| exact::to_canonical(fields).into());
        Event { row, completes: None, labels_before: None, labels_after: None, places: Vec::new(), stood: Vec::new() }
    }))
}

/// The blame of an object: folded from the changes of its history, oldest first, as far as the cut holds them.
pub fn of(events: &[Event], cut: &Cut, object: &Object) -> Result<Blame> {
    let mut blame: Option<Blame> = None;
    // The book of fields as the rows leave it.
    let mut book: Option<Value> = None;
    let mine = |row: &&Row| row.uid == object.row.uid && row.key() == object.row.key() && cut.holds(row);
    for row in events.iter().map(|event| &event.row).filter(mine) {
        if row.op == Op::Delete {
            (blame, book) = (None, None);
            continue;
        }
        let next = match (&row.body, &blame) {
            (Body::Object(bytes), _) => exact::parse(bytes).map_err(|e| bad(row, &e.to_string()))?,
            (Body::Patch(bytes), Some(blame)) => patched(row, bytes, &blame.value)?,
            (Body::Patch(_), None) => return Err(bad(row, "is a patch, but its base is not in the journal")),
            (Body::None, _) => continue,
        };
        let origin = Origin::of(row, blame.is_none());
        book = after(book, row);
        if let (Op::Reread, Some(blame)) = (row.op, &mut blame) {
            kept_alike(&mut blame.value, &next);
        }
        advance(&mut blame, origin, next, book.as_ref());
    }
    // What was seen live and is not in the journal yet is in no history.
    if blame.as_ref().is_none_or(|blame| blame.origins.last().is_none_or(|o| o.rev != object.row.rv)) {
        let origin = Origin::of(&object.row, blame.is_none());
        advance(&mut blame, origin, object.value.clone(), object.managed_fields.as_ref());
    }
    blame
        .filter(|blame| same(&blame.value, &object.value))
        .ok_or_else(|| bad(&object.row, "has a history that does not lead to its state"))
}

/// The same version, whose values are kept in another way from here on: nobody changed them.
fn kept_alike(old: &mut Value, new: &Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, old) in old.iter_mut() {
                if let Some(new) = new.get(name) {
                    kept_alike(old, new);
                }
            }
        }
        (Value::Array(old), Value::Array(new)) => old.iter_mut().zip(new).for_each(|(old, new)| kept_alike(old, new)),
        (old, new) if [&*old, new].into_iter().filter_map(Value::as_str).any(is_placeholder) => *old = new.clone(),
        _ => {}
    }
}

fn patched(row: &Row, patch: &[u8], base: &Value) -> Result<Value> {
    let patch = exact::parse(patch).map_err(|e| bad(row, &e.to_string()))?;
    let mut next = base.clone();
    exact::apply(&mut next, &patch).map_err(|e| bad(row, &e.to_string()))?;
    exact::set_resource_version(&mut next, &row.rv.to_string());
    Ok(next)
}

/// Equal but for the resourceVersion: a version that was read again has one of its own.
fn same(left: &Value, right: &Value) -> bool {
    let bare = |value: &Value| {
        let mut value = value.clone();
        exact::set_resource_version(&mut value, "");
        value
    };
    left == right || bare(left) == bare(right)
}

fn bad(row: &Row, reason: &str) -> Error {
    Error::corrupt(format!("the row at position {} of {}", row.pos, row.key()), reason)
}

/// The book of fields after a row; none where it is not known.
fn after(book: Option<Value>, row: &Row) -> Option<Value> {
    let Some(bytes) = &row.managed_fields else {
        // A patch leaves it as it was, a whole object has none.
        return book.filter(|_| matches!(row.body, Body::Patch(_)));
    };
    let told = exact::parse(bytes).ok()?;
    if matches!(row.body, Body::Object(_)) {
        return Some(told);
    }
    let mut book = book.unwrap_or_else(|| Value::Array(Vec::new()));
    exact::apply(&mut book, &told).ok()?;
    Some(book)
}

fn advance(blame: &mut Option<Blame>, origin: Origin, next: Value, book: Option<&Value>) {
    let book = book.filter(|_| origin.is_of_many()).cloned();
    match blame {
        None => {
            let books = book.map(|book| (0, book)).into_iter().collect();
            *blame = Some(Blame { root: fresh(&next, 0), origins: vec![origin], value: next, books });
        }
        Some(blame) => {
            let since = blame.origins.len();
            blame.books.extend(book.map(|book| (since, book)));
            blame.origins.push(origin);
            let old = std::mem::replace(&mut blame.value, next);
            let root = std::mem::replace(&mut blame.root, Node { since, inside: Inside::Nothing });
            blame.root = carry(root, &old, &blame.value, since);
        }
    }
}

/// All of a value has the same origin.
fn fresh(value: &Value, since: usize) -> Node {
    let inside = match value {
        Value::Object(members) => {
            Inside::Members(members.iter().map(|(name, v)| (name.into(), fresh(v, since))).collect())
        }
        Value::Array(elements) => Inside::Elements(elements.iter().map(|v| fresh(v, since)).collect()),
        _ => Inside::Nothing,
    };
    Node { since, inside }
}

/// The origins of a value that follows on another: what stayed keeps its own.
fn carry(node: Node, old: &Value, new: &Value, since: usize) -> Node {
    if old == new {
        return node;
    }
    match (node.inside, old, new) {
        (Inside::Members(mut nodes), Value::Object(was), Value::Object(is)) => {
            let member = |(name, value): (&str, &Value)| {
                let node = match (nodes.remove(name), was.get(name)) {
                    (Some(node), Some(old)) => carry(node, old, value, since),
                    _ => fresh(value, since),
                };
                (Box::from(name), node)
            };
            let members = is.iter().map(member).collect();
            Node { since: node.since, inside: Inside::Members(members) }
        }
        (Inside::Elements(nodes), Value::Array(was), Value::Array(is)) => {
            let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
            let element = |(from, to): (Option<usize>, Option<usize>)| {
                let value = is.get(to?)?;
                let node = from.and_then(|from| nodes.get_mut(from)?.take());
                Some(match (node, from.and_then(|from| was.get(from))) {
                    (Some(node), Some(old)) => carry(node, old, value, since),
                    _ => fresh(value, since),
                })
            };
            let elements = lists::pair(was, is).pairs.into_iter().filter_map(element).collect();
            Node { since: node.since, inside: Inside::Elements(elements) }
        }
        _ => fresh(new, since),
    }
}

#[cfg(test)]
mod tests;
