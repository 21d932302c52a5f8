//! One side of a comparison: a value, and which places in it may not be shown.
//!
//! **Words**: a place is *sealed* as a JSON pointer into the side's own object, with the indexes that elements have there.
//! The same element may have another index in the other side, and a path that people read names it.
//!
//! **Invariants.** (1) Nothing at, below or above a sealed place comes out of [`Side::shown`] without a placeholder in
//! place of the sealed value. (2) A field that is sealed in any element of a list names none of them [`Side::hides`].

use hindcast_journal::{
    exact::Value,
    seal::{self, Key, escape_pointer, is_within},
};

use crate::lists;

/// A value of an object, and what of it is sealed.
#[derive(Debug, Clone)]
pub(crate) struct Side<'v> {
    pub(crate) value: &'v Value,
    sealed: Vec<Sealed<'v>>,
}

/// A sealed place at, below or above a value.
#[derive(Debug, Clone, Copy)]
struct Sealed<'v> {
    /// Where it is in the object.
    place: &'v str,
    /// How it goes on from the value; nothing where the value is at it or below.
    rest: &'v str,
}

impl<'v> Side<'v> {
    /// An object with its sealed places.
    pub(crate) fn new(object: &'v Value, sealed: &'v [String]) -> Self {
        let sealed = sealed.iter().map(|place| Sealed { place, rest: place }).collect();
        Self { value: object, sealed }
    }

    /// What stands at a JSON pointer.
    pub(crate) fn at(&self, pointer: &str) -> Option<Self> {
        pointer.split('/').skip(1).try_fold(self.clone(), |side, token| side.below(token))
    }

    /// A member of a map.
    pub(crate) fn member(&self, name: &str) -> Option<Self> {
        self.below(&escape_pointer(name))
    }

    /// An element of a list.
    pub(crate) fn element(&self, at: usize) -> Option<Self> {
        self.below(&at.to_string())
    }

    fn below(&self, token: &str) -> Option<Self> {
        let value = self.value.pointer(&format!("/{token}"))?;
        let on = |sealed: &Sealed<'v>| {
            if sealed.rest.is_empty() {
                return Some(*sealed);
            }
            let rest = sealed.rest.strip_prefix('/')?.strip_prefix(token)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(Sealed { rest, ..*sealed })
        };
        Some(Self { value, sealed: self.sealed.iter().filter_map(on).collect() })
    }

    /// Whether all of it is sealed.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.iter().any(|sealed| sealed.rest.is_empty())
    }

    /// Whether a field is sealed in any element of this list.
    pub(crate) fn hides(&self, field: &str) -> bool {
        self.sealed.iter().any(|sealed| {
            let element = sealed.rest.strip_prefix('/').unwrap_or_default();
            // At the element itself or above, all of its fields are sealed.
            element.find('/').and_then(|at| element.get(at..)).is_none_or(|rest| {
                let field = format!("/{}", escape_pointer(field));
                is_within(rest, &field) || is_within(&field, rest)
            })
        })
    }

    /// The value as it may be shown.
    pub(crate) fn shown(&self, key: Option<&Key>) -> Value {
        if let Some(whole) = self.sealed.iter().find(|sealed| sealed.rest.is_empty()) {
            return Value::from(seal::placeholder(self.value, whole.place, key, 4));
        }
        let mut value = self.value.clone();
        for sealed in &self.sealed {
            if let Some(place) = value.pointer_mut(sealed.rest) {
                *place = Value::from(seal::placeholder(place, sealed.place, key, 4));
            }
        }
        value
    }

    /// A JSON pointer into it as people read it: with the elements of lists named.
    pub(crate) fn named(&self, pointer: &str) -> String {
        let mut out = String::new();
        let mut here = Some(self.clone());
        for token in pointer.split('/').skip(1) {
            out.push('/');
            let label = here.as_ref().and_then(|side| {
                let at = token.parse::<usize>().ok()?;
                lists::label(side.value.as_array()?, at, &|field| side.hides(field))
            });
            out.push_str(label.as_deref().unwrap_or(token));
            here = here.and_then(|side| side.below(token));
        }
        out
    }
}
