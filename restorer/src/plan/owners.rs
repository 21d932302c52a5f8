//! Owner references: which object they name, and which uid they are to have.
//!
//! A reference whose owner is not there is a death sentence: the garbage collector removes the child within seconds. So
//! each one is settled before the child is written: to the uid that the owner has now, to one that is known once the owner
//! has been created, or it is dropped.

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::OwnerRef;
use crate::references::{Reference, reference};

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
