//! Both sides of an object that is judged.

use hindcast_journal::exact::Value;

use super::secrets::mark;
use crate::{
    full::Full,
    kept::{keys, owners},
};

/// An object as it is to be, and as it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sides<'o> {
    pub(crate) wanted: Option<&'o Full>,
    pub(crate) live: Option<&'o Full>,
}

impl<'o> Sides<'o> {
    /// The object as it is to be.
    pub(crate) fn then(&self) -> Option<&'o Value> {
        self.wanted.map(|full| &full.value)
    }

    /// The object as it stands.
    pub(crate) fn now(&self) -> Option<&'o Value> {
        self.live.map(|full| &full.value)
    }

    /// The sides that there are, the wanted one first.
    pub(crate) fn each(&self) -> impl Iterator<Item = &'o Value> + use<'o> {
        self.then().into_iter().chain(self.now())
    }

    /// The text of a field, of the first side that has it.
    pub(crate) fn text(&self, path: &str) -> &'o str {
        self.each().find_map(|side| side.pointer(path)?.as_str()).unwrap_or_default()
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'o str {
        self.text("/metadata/name")
    }

    /// Whether either side has a label or annotation, whoever wrote it.
    pub(crate) fn marked(&self, name: &str) -> bool {
        self.mark(name, |_| true).is_some()
    }

    /// The value of a label or annotation that fits, of the first side that has such.
    pub(crate) fn mark(&self, name: &str, fits: impl Fn(&str) -> bool) -> Option<&'o str> {
        self.each().find_map(|side| mark(side, name).filter(|text| fits(text)))
    }

    /// The same, where no hand wrote it: what is copied from an object carries the marks that a program left on that.
    pub(crate) fn written_mark(&self, name: &str, fits: impl Fn(&str) -> bool) -> Option<&'o str> {
        let sides = self.wanted.into_iter().chain(self.live);
        sides.filter(|full| !is_by_hand(full, name)).find_map(|full| mark(&full.value, name).filter(|text| fits(text)))
    }

    /// Whether either side has a label or annotation that says `true`.
    pub(crate) fn marked_true(&self, name: &str) -> bool {
        self.each().any(|side| mark(side, name) == Some("true"))
    }

    /// The object as it is to be, if it would have to be created: nothing is there, or another of its name.
    pub(crate) fn coming(&self) -> Option<&'o Value> {
        let uid = |side: Option<&'o Value>| side.and_then(|side| side.pointer("/metadata/uid"));
        self.then().filter(|_| self.live.is_none() || uid(self.then()) != uid(self.now()))
    }
}

/// Whether a label or annotation is only a hand's, as far as the book of fields tells.
fn is_by_hand(full: &Full, name: &str) -> bool {
    let Some(managed) = &full.managed else { return false };
    let places = ["labels", "annotations"].map(|map| keys(&["metadata", map, name]));
    let entries = owners::entries(managed);
    let mut owners = entries.iter().filter(|entry| places.iter().any(|place| entry.has(place))).peekable();
    owners.peek().is_some() && owners.all(owners::Entry::is_hand)
}
