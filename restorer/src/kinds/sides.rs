//! Both sides of an object that is judged.

use hindcast_journal::exact::Value;

use super::secrets::mark;
use crate::full::Full;

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

    /// Whether either side has a label or annotation.
    pub(crate) fn marked(&self, name: &str) -> bool {
        self.each().any(|side| mark(side, name).is_some())
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
