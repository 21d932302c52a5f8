//! Owner references: which object they name, and which uid they are to have.
//!
//! A reference whose owner is not there is a death sentence: the garbage collector removes the child within seconds. So
//! each one is settled before the child is written: to the uid that the owner has now, to one that is known once the owner
//! has been created, or it is dropped.

use std::collections::BTreeMap;

use hindcast_journal::{exact::Value, facts::Discovery, fold::ObjectKey};

use super::OwnerRef;

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

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// The owner references of an object.
pub(crate) fn references(object: &Value) -> Vec<Reference> {
    let list = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    list.unwrap_or_default().iter().map(reference).collect()
}

fn reference(value: &Value) -> Reference {
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

/// What becomes of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Settled {
    /// The owner is there, with this uid.
    There(String),
    /// The plan creates the owner.
    Coming(ObjectKey),
    /// It is not there, and does not come.
    Gone,
}

/// An object with its references settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mapped {
    /// The object, if anything in it had to change.
    pub(super) value: Option<Value>,
    /// References whose uid is known later, by their index in the object.
    pub(super) coming: Vec<OwnerRef>,
    /// Owners whose references were dropped, in words.
    pub(super) dropped: Vec<String>,
}

/// Settles the references of an object.
pub(super) fn map(object: &Value, settle: impl Fn(&Reference) -> Settled) -> Mapped {
    let mut mapped = Mapped::default();
    let list = object.pointer("/metadata/ownerReferences").and_then(Value::as_array).unwrap_or_default();
    let mut out = Vec::with_capacity(list.len());
    for value in list {
        let reference = reference(value);
        let mut value = value.clone();
        match settle(&reference) {
            Settled::There(uid) => {
                if let Some(members) = value.as_object_mut().filter(|_| uid != reference.uid) {
                    members.insert("uid", Value::from(uid));
                }
            }
            Settled::Coming(owner) => mapped.coming.push(OwnerRef { at: out.len(), owner }),
            Settled::Gone => {
                mapped.dropped.push(reference.to_string());
                continue;
            }
        }
        out.push(value);
    }
    if out.as_slice() != list {
        let mut object = object.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            if out.is_empty() {
                metadata.remove("ownerReferences");
            } else {
                metadata.insert("ownerReferences", Value::Array(out));
            }
        }
        mapped.value = Some(object);
    }
    mapped
}
