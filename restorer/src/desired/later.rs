//! Versions that are known only as read through a later definition of their kind: what it added is taken out again.
//!
//! The server reads its history through the definition of the moment, so a version that was recovered after a definition had
//! changed has the defaults of the new one, which nobody wrote and which were not there then.
//!
//! **Invariants.** (1) Only what the later definition gives and the one of then did not, with that very value, is taken out
//! [`strip`]. (2) What anybody owns by the version's managedFields was written, and stays: a default that is put in while
//! reading is nobody's. (3) Where neither can be told (in lists without keys), the field stays; that the version was read so
//! is told in either case ([`crate::plan`]).
//!
//! Not here: what the later definition dropped; nothing of it is known.

use hindcast_journal::{
    Past, Result,
    cut::At,
    exact::{Object, Value},
    fold::{ObjectKey, Scope},
    seal::escape_pointer,
};

use super::{Desired, Full};
use crate::{
    Timeline, View,
    kept::{
        Step,
        owners::{self, Entry},
    },
    kinds::crds::DEFINITIONS,
};

impl Desired {
    /// Takes out of the objects what later definitions added.
    pub(super) async fn without_later(&mut self, timeline: &mut Timeline, past: &Past) -> Result<()> {
        if self.later.is_empty() {
            return Ok(());
        }
        let scope = Scope { kinds: Some(vec![DEFINITIONS.to_owned()]), namespace: Some(String::new()), name: None };
        let then = View::of(past, &scope).await?.objects;
        let now = View::of(&timeline.at(&At::NowOpen).await?, &scope).await?.objects;
        for (key, out) in &mut self.later {
            let name = format!("{}.{}", key.resource, key.group);
            let definition = |all: &[crate::Object]| {
                all.iter().find(|object| object.row.name == name).map(|object| object.value.clone())
            };
            let Some(later) = definition(&now) else { continue };
            let Some(wanted) = self.objects.get_mut(key) else { continue };
            if let Ok(full) = &mut wanted.object {
                *out = strip(std::sync::Arc::make_mut(full), definition(&then).as_ref(), &later);
            }
        }
        Ok(())
    }

    /// Notes an object as one that was read so.
    pub(super) fn note_later(&mut self, key: &ObjectKey, source: hindcast_journal::row::Source) {
        if source == hindcast_journal::row::Source::HealedLater {
            self.later.insert(key.clone(), Vec::new());
        }
    }
}

/// Takes out of an object what the definition `later` adds to it and the one of `then` did not; says where.
fn strip(full: &mut Full, then: Option<&Value>, later: &Value) -> Vec<String> {
    let version = full.value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let version = version.rsplit('/').next().unwrap_or_default().to_owned();
    let Some(schema) = schema(later, &version) else { return Vec::new() };
    let entries = full.managed.as_ref().map(owners::entries).unwrap_or_default();
    let mut work = Work { entries, out: Vec::new() };
    let then = then.and_then(|then| self::schema(then, &version));
    work.members(&mut full.value, schema, then, &mut Vec::new(), "");
    work.out
}

/// The schema of a version of a definition.
fn schema<'d>(definition: &'d Value, version: &str) -> Option<&'d Value> {
    let versions = definition.pointer("/spec/versions")?.as_array()?;
    let named = versions.iter().find(|v| v.get("name").and_then(Value::as_str) == Some(version))?;
    named.pointer("/schema/openAPIV3Schema")
}

struct Work {
    entries: Vec<Entry>,
    out: Vec<String>,
}

impl Work {
    /// Looks into a map or a list that stands at `way`.
    fn members(&mut self, value: &mut Value, later: &Value, then: Option<&Value>, way: &mut Vec<Step>, path: &str) {
        match value {
            Value::Object(object) => {
                let names: Vec<String> = object.keys().map(str::to_owned).collect();
                for name in names {
                    self.member(object, &name, later, then, way, path);
                }
            }
            Value::Array(elements) => {
                // Without keys the book of fields says nothing of what is in an element.
                let keys = later.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
                let (Some(keys), Some(items)) = (keys, later.get("items")) else { return };
                let then = then.and_then(|then| then.get("items"));
                for (at, element) in elements.iter_mut().enumerate() {
                    let named = |key: &Value| {
                        let name = key.as_str()?;
                        Some((name.to_owned(), element.get(name)?.to_string()))
                    };
                    let Some(fields) = keys.iter().map(named).collect::<Option<Vec<_>>>() else { continue };
                    way.push(Step::Item(fields));
                    self.members(element, items, then, way, &format!("{path}/{at}"));
                    way.pop();
                }
            }
            _ => {}
        }
    }

    fn member(
        &mut self,
        object: &mut Object,
        name: &str,
        later: &Value,
        then: Option<&Value>,
        way: &mut Vec<Step>,
        path: &str,
    ) {
        let Some(later) = property(later, name) else { return };
        let then = then.and_then(|then| property(then, name));
        let default = later.get("default").filter(|_| then.is_none_or(|then| then.get("default").is_none()));
        let path = format!("{path}/{}", escape_pointer(name));
        way.push(Step::Key(name.to_owned()));
        let nobodys = !self.entries.iter().any(|entry| entry.has(way));
        let told = self.out.len();
        let mut added = nobodys && default.is_some() && object.get(name) == default;
        if !added && let Some(value) = object.get_mut(name) {
            self.members(value, later, then, way, &path);
            // What is left of a default that was filled with the defaults of its members.
            added = nobodys && default.is_some() && object.get(name) == default;
        }
        way.pop();
        if added {
            object.remove(name);
            self.out.truncate(told);
            self.out.push(path);
        }
    }
}

/// The schema of a member.
fn property<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    let own = schema.get("properties").and_then(|properties| properties.get(name));
    own.or_else(|| schema.get("additionalProperties"))
}

#[cfg(test)]
mod tests;
