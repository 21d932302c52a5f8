//! Somewhere else: objects as they are to be under other names, in other namespaces, with other classes, images and hosts.
//! A pure step between what is desired and the plan.
//!
//! **Words**: a *mapping* says what becomes what; a *reference* is a place in an object that names a namespace, a class, an image
//! or a host; the *table* ([`references`]) has the references of every kind that is known, and prints itself; *told* is text
//! that seems to name a namespace that is mapped, and was left as it was.
//!
//! What is done to one object, in this order ([`Mapping::apply`]):
//!
//! | step | by | sees |
//! |---|---|---|
//! | Velero's resource modifiers | `modifiers` | the object as it was: its conditions name the old namespaces |
//! | references: namespaces, hosts, classes, images | `table`, `form` | every place of the table once |
//! | allocated addresses taken out | `addresses` | Services that go into another namespace |
//! | single paths set | `set` | the object as it is by now, chosen by what it was |
//! | what is told | `told` | all text that was not changed |
//!
//! **Invariants** (`tests`). (1) A mapping that maps nothing changes nothing, to the byte. (2) What is changed stands in
//! [`Mapped::changed`]: by a place of the table, a modifier or a path that was set, and no other string. (3) All namespaces are
//! mapped at once, so `a` and `b` can change places; and `a` to `b`, then `b` to `a`, is nothing where no `b` was.
//! (4) Two objects never become one: that is refused with both their names ([`Mapping::desired`]). (5) Every row of the table is
//! tried on an object with every one of its places, against what a person wrote down. (6) No input panics; what is wrong in a
//! file is said with its line.
//!
//! Not here: who owns whom by uid, which the planner maps when the owner has its new one; whether a claim finds its volume,
//! which is the rule `pvc-volume` (taking `volumeName` out here would pass an empty claim off as one that never had data); where
//! a clone may go, and what of it is asked of the target.
//!
//! Start reading at [`Mapping`], then [`references`].

use std::collections::BTreeMap;

use hindcast_journal::{
    Result,
    exact::{self, Value},
    fold::ObjectKey,
    seal::is_within,
};
use serde::{Deserialize, Serialize};

use crate::kinds::{self, Holds};

mod addresses;
mod filter;
mod form;
mod hosts;
mod images;
mod modifiers;
mod pattern;
mod pods;
mod read;
mod set;
mod table;
#[cfg(test)]
mod tests;
mod told;
mod whole;
mod yaml;

pub use addresses::Addresses;
pub use filter::Filter;
pub use modifiers::Modifiers;
pub use set::Set;
pub use table::{Form, Kinds, Place, Row, markdown, references};
pub use told::{Told, Wherefore};
pub use whole::Moved;

/// What becomes what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Mapping {
    /// Namespaces, by their old names.
    pub namespaces: BTreeMap<String, String>,
    /// Storage classes.
    pub storage_classes: BTreeMap<String, String>,
    /// Images, by what their full names begin with: a registry (`docker.io`), or a registry and a path (`ghcr.io/acme`). The
    /// longest wins; tag and digest stay.
    pub images: BTreeMap<String, String>,
    /// Hosts, each by itself.
    pub hosts: BTreeMap<String, String>,
    /// Domains, with all that is below them; the longest wins, and a host of its own before any.
    pub domains: BTreeMap<String, String>,
    /// What the cluster calls itself in DNS; `cluster.local` unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_domain: Option<String>,
    /// What becomes of addresses and ports that were allocated.
    pub addresses: Addresses,
    /// Single paths.
    pub set: Vec<Set>,
    /// A file of resource modifiers as Velero has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modifiers: Option<Modifiers>,
}

/// What became of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// What it was.
    pub origin: ObjectKey,
    /// What it is now.
    pub key: ObjectKey,
    /// What was changed in it, in the order it was done.
    pub changed: Vec<Change>,
    /// Text that names an old namespace and was left.
    pub told: Vec<Told>,
}

/// A place that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// By what.
    pub why: Why,
    /// The place, as a JSON pointer.
    pub path: String,
    /// What stood there; nothing where there was no such place, or where it may not be shown ([`Mapped::hide`]).
    pub from: Option<Value>,
    /// What stands there now; nothing where the place is gone, or may not be shown.
    pub to: Option<Value>,
}

/// Why a place was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// A row of the table, by its id.
    Reference(&'static str),
    /// A rule of a file of modifiers: the file, and the line that the rule begins at.
    Modifier(String, u64),
    /// An address that was allocated, and is another's.
    Allocated,
    /// It was asked for.
    Set,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reference(row) => f.write_str(row),
            Self::Modifier(file, line) => write!(f, "{file}, line {line}"),
            Self::Allocated => f.write_str("it was allocated"),
            Self::Set => f.write_str("it was asked for"),
        }
    }
}

impl Mapped {
    /// Takes the values out of what is at, in or around these places: no output may show them.
    pub fn hide(&mut self, sealed: &[String]) {
        for change in &mut self.changed {
            if sealed.iter().any(|path| is_within(&change.path, path) || is_within(path, &change.path)) {
                (change.from, change.to) = (None, None);
            }
        }
    }

    /// Whether the object is another one, or says something else.
    pub fn is_changed(&self) -> bool {
        self.origin != self.key || !self.changed.is_empty()
    }
}

impl Mapping {
    /// What a text says; `what` is how errors call it.
    pub fn read(what: &str, text: &str) -> Result<Self> {
        read::mapping(what, text)
    }

    /// Whether it maps nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self { addresses: self.addresses, cluster_domain: self.cluster_domain.clone(), ..Self::default() }
    }

    /// Refuses what could never hold: names that are none.
    pub fn check(&self) -> Result<()> {
        read::check(self)
    }

    /// What becomes of one object. On an error the object is as it was.
    pub fn apply(&self, key: &ObjectKey, value: &mut Value) -> Result<Mapped> {
        let mut changed = Vec::new();
        let chosen: Vec<&Set> = self.set.iter().filter(|set| set.only.holds(key, value)).collect();
        // Only these can fail, and then nothing may be half done.
        let before = (self.modifiers.is_some() || !chosen.is_empty()).then(|| value.clone());
        let done = self.patch(key, value, &chosen, &mut changed);
        if let (Err(_), Some(before)) = (&done, before) {
            *value = before;
        }
        let becomes = done?;
        let told = told::find(self, key, value, &changed);
        Ok(Mapped { origin: key.clone(), key: becomes, changed, told })
    }

    /// The steps up to what is told; what the object is called then.
    fn patch(
        &self,
        key: &ObjectKey,
        value: &mut Value,
        chosen: &[&Set],
        changed: &mut Vec<Change>,
    ) -> Result<ObjectKey> {
        if let Some(modifiers) = &self.modifiers {
            modifiers.apply(key, value, changed)?;
        }
        form::apply(self, key, value, changed);
        let becomes = self.key(key, value);
        addresses::take_out(self.addresses, key, &becomes, value, changed);
        for set in chosen {
            set.apply(key, value, changed)?;
        }
        let becomes = self.key(key, value);
        set::stays_itself(key, &becomes, value)?;
        Ok(becomes)
    }

    /// The key of an object that has been mapped, or cannot be had.
    fn key(&self, key: &ObjectKey, value: &Value) -> ObjectKey {
        let other = |name| self.namespace(name).unwrap_or(name);
        let holds = kinds::of(key).holds == Some(Holds::Namespace);
        let name = value.pointer("/metadata/name").and_then(Value::as_str);
        let name = name.unwrap_or(if holds { other(&key.name) } else { &key.name });
        ObjectKey { namespace: other(&key.namespace).to_owned(), name: name.to_owned(), ..key.clone() }
    }

    /// The other name of a namespace, where it has one.
    fn namespace(&self, name: &str) -> Option<&str> {
        self.namespaces.get(name).map(String::as_str).filter(|to| *to != name)
    }
}

/// What a patch does, operation by operation.
fn changes_of(patch: &Value, before: &Value, why: &Why) -> Vec<Change> {
    let mut at = before.clone();
    let mut out = Vec::new();
    for operation in patch.as_array().unwrap_or_default() {
        let path = operation.get("path").and_then(Value::as_str).unwrap_or_default();
        let from = at.pointer(path).cloned();
        if exact::apply(&mut at, &Value::Array(vec![operation.clone()])).is_err() {
            break;
        }
        let replaces = operation.get("op").and_then(Value::as_str) != Some("add") || !path_is_of_a_list(&at, path);
        let to = operation.get("value").cloned();
        out.push(Change { why: why.clone(), path: path.to_owned(), from: from.filter(|_| replaces), to });
    }
    out
}

/// Whether the place is an element: what is added there stands before what was there.
fn path_is_of_a_list(value: &Value, path: &str) -> bool {
    let list = path.rsplit_once('/').and_then(|(list, _)| value.pointer(list));
    list.is_some_and(|list| list.as_array().is_some())
}
