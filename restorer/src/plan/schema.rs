//! What the definition of a custom object drops of it: nothing is planned that the server would not keep.
//!
//! **Invariants.** (1) What counts is the definition as it stands when the object is written: the plan's own, where it puts
//! one back. (2) What is left out is told, and is no part of what is sent. (3) Without a definition at hand nothing is left out:
//! the server's answer tells ([`Session::check`](crate::Session::check), the verification).

use std::borrow::Cow;

use hindcast_journal::{exact::Value, fold::ObjectKey, seal::Key};

use super::{FieldChange, KeptChange, judge::version, prepare::Planner, side::Side};
use crate::{
    desired::Full,
    kinds::crds::{self, definition},
    reason::Standing,
};

/// An object without what its definition does not have, and what that is, as JSON pointers into the whole object.
pub(super) struct Known<'f> {
    pub(super) full: Cow<'f, Full>,
    pub(super) dropped: Vec<String>,
}

impl Planner<'_> {
    /// Takes out of an object what its definition would drop.
    pub(super) fn known<'f>(&self, key: &ObjectKey, full: &'f Full) -> Known<'f> {
        let whole = Known { full: Cow::Borrowed(full), dropped: Vec::new() };
        let Some(definition) = self.definition(key) else { return whole };
        let mut value = full.value.clone();
        let dropped = crds::prune(definition, version(&full.value), &mut value);
        if dropped.is_empty() {
            return whole;
        }
        Known { full: Cow::Owned(Full { value, managed: full.managed.clone() }), dropped }
    }

    /// The definition of an object's kind as it stands when the object is written, as far as that is known.
    fn definition(&self, key: &ObjectKey) -> Option<&Value> {
        let crd = definition(&key.group, &key.resource);
        if let Some(bodies) = self.bodies.get(&crd) {
            return bodies.target.as_ref();
        }
        self.live_definition(&crd).map(|full| &full.value)
    }

    /// A definition as it stands now.
    pub(super) fn live_definition(&self, crd: &ObjectKey) -> Option<&Full> {
        let present = self.live.objects.get(crd).map(|present| &present.object);
        present.or_else(|| self.live.definitions.get(crd)).map(|full| &**full)
    }
}

/// What is left out of an object, as a plan tells it; values as they may be shown.
pub(super) fn told(full: &Full, sealed: &[String], dropped: &[String], key: Option<&Key>) -> Vec<KeptChange> {
    let side = Side::new(&full.value, sealed);
    let change = |pointer: &String| KeptChange {
        field: FieldChange {
            path: side.named(pointer),
            from: None,
            to: side.at(pointer).map(|value| value.shown(key)),
        },
        rule: "crd-prunes".to_owned(),
        owner: "the definition of its kind has no such field now".to_owned(),
        standing: Standing::Unable,
    };
    dropped.iter().map(change).collect()
}
