//! A place in an object that is found again in another version of it: elements of lists are named, not counted.
//!
//! **Words**: a *step* leads from a container to one of its members; the first `fixed` containers on the way are what
//! the member belongs to: they are never made or taken away for its sake.
//!
//! **Invariants.** (1) Where a step fits more than one element of a list, there is no such place
//! [`Place::sound`]. (2) [`Place::set`] followed by [`Place::strip`] is as [`Place::strip`] alone.

use hindcast_journal::{
    exact::{Object, Value},
    seal::escape_pointer,
};

/// One step into an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The member of a map.
    Key(String),
    /// The element of a list with these fields, each with its value in canonical bytes.
    Item(Vec<(String, String)>),
    /// The element of a list with this value, in canonical bytes.
    Element(String),
}

impl Step {
    fn fits(&self, element: &Value) -> bool {
        match self {
            Self::Key(_) => false,
            Self::Item(fields) => fields.iter().all(|(field, want)| {
                element.get(field).is_some_and(|value| scalar(value) && value.to_string() == *want)
            }),
            Self::Element(want) => scalar(element) && element.to_string() == *want,
        }
    }

    /// What the step leads into, if it has to be made.
    fn container(&self) -> Value {
        match self {
            Self::Key(_) => Value::Object(Object::new()),
            Self::Item(_) | Self::Element(_) => Value::Array(Vec::new()),
        }
    }
}

/// Where a step leads in a container.
enum Found {
    None,
    One(usize),
    Many,
}

fn find(list: &[Value], step: &Step) -> Found {
    let mut fitting = list.iter().enumerate().filter(|(_, element)| step.fits(element));
    match (fitting.next(), fitting.next()) {
        (None, _) => Found::None,
        (Some((at, _)), None) => Found::One(at),
        (Some(_), Some(_)) => Found::Many,
    }
}

/// A place in an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub(crate) steps: Vec<Step>,
    pub(crate) fixed: usize,
}

impl Place {
    /// A place whose containers may be made up to the last named element on the way.
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        let parents = steps.len().saturating_sub(1);
        let named = steps.iter().take(parents).rposition(|step| !matches!(step, Step::Key(_)));
        Self { fixed: named.map_or(0, |at| at + 1), steps }
    }

    /// A place that is only there with its container.
    pub(crate) fn within(steps: Vec<Step>) -> Self {
        Self { fixed: steps.len().saturating_sub(1), steps }
    }

    /// What stands here.
    pub fn get<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.steps.iter().try_fold(value, |value, step| member(value, step).map(|(_, child)| child))
    }

    /// The JSON pointer of this place in an object that has it.
    pub fn pointer(&self, value: &Value) -> Option<String> {
        let mut pointer = String::new();
        let mut here = value;
        for step in &self.steps {
            let (at, child) = member(here, step)?;
            pointer.push('/');
            match step {
                Step::Key(key) => pointer.push_str(&escape_pointer(key)),
                _ => pointer.push_str(&at.to_string()),
            }
            here = child;
        }
        Some(pointer)
    }

    /// Whether no step fits more than one element.
    pub(crate) fn sound(&self, value: &Value) -> bool {
        let mut here = value;
        for step in &self.steps {
            if here.as_array().is_some_and(|list| matches!(find(list, step), Found::Many)) {
                return false;
            }
            match member(here, step) {
                Some((_, child)) => here = child,
                None => return true,
            }
        }
        true
    }

    /// Whether this place is the other one or in it.
    pub(crate) fn is_in(&self, other: &Place) -> bool {
        self.steps.starts_with(&other.steps)
    }

    /// Puts a value here; not where that would need a container that the place is only there with.
    pub(crate) fn set(&self, value: &mut Value, new: Value) {
        put(value, &self.steps, self.fixed, new);
    }

    /// Takes the value here away, and the containers that are empty then.
    pub(crate) fn cut(&self, value: &mut Value) {
        take(value, &self.steps, self.fixed);
    }

    /// As [`Place::cut`]; pointers into the value lead on to what they led to, as far as that is still there.
    pub(crate) fn cut_under(&self, value: &mut Value, pointers: &mut Vec<String>) {
        // Of a list that is left nothing of, nothing has moved.
        let gone = if pointers.is_empty() { None } else { self.pointer(value) };
        let element = gone.as_deref().and_then(|gone| gone.rsplit_once('/'));
        let element = element.filter(|(list, _)| value.pointer(list).is_some_and(|list| list.as_array().is_some()));
        self.cut(value);
        if let Some((list, gone)) = element.and_then(|(list, at)| Some((list, at.parse().ok()?))) {
            pointers.retain_mut(|pointer| move_up(pointer, list, gone));
        }
    }

    /// Takes the containers on the way away that are empty.
    pub(crate) fn prune(&self, value: &mut Value) {
        prune(value, &self.steps, self.fixed);
    }
}

/// Leads a pointer on where an element of a list was taken away; whether it was not to that one.
fn move_up(pointer: &mut String, list: &str, gone: usize) -> bool {
    let Some(rest) = pointer.strip_prefix(list).and_then(|rest| rest.strip_prefix('/')) else { return true };
    let (at, below) = rest.find('/').and_then(|slash| rest.split_at_checked(slash)).unwrap_or((rest, ""));
    match at.parse::<usize>() {
        Ok(at) if at == gone => false,
        Ok(at) if at > gone => {
            *pointer = format!("{list}/{}{below}", at - 1);
            true
        }
        _ => true,
    }
}

fn member<'v>(value: &'v Value, step: &Step) -> Option<(usize, &'v Value)> {
    match (value, step) {
        (Value::Object(object), Step::Key(key)) => Some((0, object.get(key)?)),
        (Value::Array(list), Step::Item(_) | Step::Element(_)) => match find(list, step) {
            Found::One(at) => Some((at, list.get(at)?)),
            Found::None | Found::Many => None,
        },
        _ => None,
    }
}

fn member_mut<'v>(value: &'v mut Value, step: &Step) -> Option<&'v mut Value> {
    match (value, step) {
        (Value::Object(object), Step::Key(key)) => object.get_mut(key),
        (Value::Array(list), Step::Item(_) | Step::Element(_)) => match find(list, step) {
            Found::One(at) => list.get_mut(at),
            Found::None | Found::Many => None,
        },
        _ => None,
    }
}

fn remove(value: &mut Value, step: &Step) -> bool {
    match (value, step) {
        (Value::Object(object), Step::Key(key)) => object.remove(key).is_some(),
        (Value::Array(list), Step::Item(_) | Step::Element(_)) => match find(list, step) {
            Found::One(at) => {
                list.remove(at);
                true
            }
            Found::None | Found::Many => false,
        },
        _ => false,
    }
}

fn put(value: &mut Value, steps: &[Step], fixed: usize, new: Value) -> bool {
    let Some((step, rest)) = steps.split_first() else { return false };
    let Some(next) = rest.first() else { return put_here(value, step, new) };
    if let Some(child) = member_mut(value, step).filter(|child| !child.is_null()) {
        return put(child, rest, fixed.saturating_sub(1), new);
    }
    let (0, Step::Key(key), Value::Object(object)) = (fixed, step, value) else { return false };
    let mut child = next.container();
    let done = put(&mut child, rest, 0, new);
    if done {
        object.insert(key.as_str(), child);
    }
    done
}

fn put_here(value: &mut Value, step: &Step, new: Value) -> bool {
    match (value, step) {
        (Value::Object(object), Step::Key(key)) => {
            object.insert(key.as_str(), new);
            true
        }
        (Value::Array(list), Step::Item(_) | Step::Element(_)) => {
            match find(list, step) {
                Found::One(at) => {
                    if let Some(element) = list.get_mut(at) {
                        *element = new;
                    }
                }
                Found::None => list.push(new),
                Found::Many => return false,
            }
            true
        }
        _ => false,
    }
}

fn take(value: &mut Value, steps: &[Step], fixed: usize) -> bool {
    let Some((step, rest)) = steps.split_first() else { return false };
    if rest.is_empty() {
        return remove(value, step);
    }
    let Some(child) = member_mut(value, step) else { return false };
    let taken = take(child, rest, fixed.saturating_sub(1));
    if taken && fixed == 0 && empty(child) {
        remove(value, step);
    }
    taken
}

fn prune(value: &mut Value, steps: &[Step], fixed: usize) {
    let Some((step, rest)) = steps.split_first() else { return };
    if rest.is_empty() {
        return;
    }
    let Some(child) = member_mut(value, step) else { return };
    prune(child, rest, fixed.saturating_sub(1));
    if fixed == 0 && empty(child) {
        remove(value, step);
    }
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}

/// Whether a value can name an element.
pub(crate) fn scalar(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Object(_))
}
