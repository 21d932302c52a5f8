//! Owner references: which object they name, and which of them is the controller.

use std::{collections::BTreeMap, fmt};

use hindcast_journal::{exact::Value, facts::Discovery, fold::ObjectKey};

/// An owner reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    /// Whether the owner is the one that controls the object.
    pub(crate) controller: bool,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// The owner references of an object.
pub(crate) fn references(object: &Value) -> Vec<Reference> {
    let list = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    list.unwrap_or_default().iter().map(reference).collect()
}

/// One of them, as it stands.
pub(crate) fn reference(value: &Value) -> Reference {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let api = text("apiVersion");
    Reference {
        group: api.split_once('/').map_or("", |(group, _)| group).to_owned(),
        kind: text("kind"),
        name: text("name"),
        uid: text("uid"),
        controller: value.get("controller").and_then(Value::as_bool) == Some(true),
    }
}

/// The kinds by group and Kind, as references name them.
#[derive(Debug, Default)]
pub(crate) struct Kinds<'a>(BTreeMap<(&'a str, &'a str), &'a Discovery>);

impl<'a> Kinds<'a> {
    /// Of several kinds of one name the first counts.
    pub(crate) fn new(kinds: impl Iterator<Item = &'a Discovery>) -> Self {
        let mut out = BTreeMap::new();
        for kind in kinds {
            out.entry((kind.group.as_str(), kind.kind.as_str())).or_insert(kind);
        }
        Self(out)
    }

    /// The object that a reference of an object in `namespace` names.
    pub(crate) fn key(&self, reference: &Reference, namespace: &str) -> Option<ObjectKey> {
        let kind = self.0.get(&(reference.group.as_str(), reference.kind.as_str()))?;
        Some(ObjectKey {
            namespace: if kind.namespaced { namespace.to_owned() } else { String::new() },
            group: kind.group.clone(),
            resource: kind.resource.clone(),
            name: reference.name.clone(),
        })
    }
}

/// Who controls an object; its text is `Kind name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Controller<'o> {
    /// Its Kind.
    pub kind: &'o str,
    /// Its name.
    pub name: &'o str,
}

impl fmt::Display for Controller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// The controller of an object.
pub fn controller(value: &Value) -> Option<Controller<'_>> {
    let owners = value.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))?;
    Some(Controller { kind: owner.get("kind")?.as_str()?, name: owner.get("name")?.as_str()? })
}

/// The plural of a kind that no discovery names.
pub(crate) fn plural(kind: &str) -> String {
    format!("{}s", kind.to_lowercase())
}
