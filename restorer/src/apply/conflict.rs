//! Whether an object that was written meanwhile still is what the plan looked at; pure.
//!
//! **Invariants.** (1) What is compared is intent: a new status, a new revision annotation or another write of a
//! controller is no conflict. (2) What is no intent for either of two versions is compared for neither. (3) A target is
//! carried over to a newer live version by what it changes, so that everything else stays as it is now.

use hindcast_journal::{
    exact::{self, Value},
    fold::ObjectKey,
    seal::Key,
};

use crate::{
    desired::Full,
    full,
    intent::{self, Form, Kept, Surroundings},
    plan::{FieldChange, fields, narrow},
};

/// What a comparison is made with.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) key: &'a ObjectKey,
    pub(crate) around: &'a Surroundings,
    /// The parts that the plan looked at; all of the object if there are none.
    pub(crate) parts: &'a [String],
    /// Pointers whose values are never shown, of the sides that the plan looked at.
    pub(crate) redact: &'a [String],
    /// Makes their placeholders comparable.
    pub(crate) hmac: Option<&'a Key>,
}

impl Ground<'_> {
    /// How the intent of `to` differs from that of `from`; nothing where it is the same. `wanted` is the third side, if there is one.
    pub(crate) fn differences(&self, from: &Full, to: &Full, wanted: Option<&Full>) -> Vec<FieldChange> {
        let kept = self.kept(from, to, wanted);
        let sealed = self.sealed(from, to, wanted);
        let (from, to) = (Form::new(&from.value, &kept, &sealed), Form::new(&to.value, &kept, &sealed));
        if self.parts.is_empty() {
            return fields::changes(&from, &to, "", self.hmac);
        }
        self.parts.iter().flat_map(|part| fields::changes(&from, &to, part, self.hmac)).collect()
    }

    /// The places that may not be shown of any of these: what was written since the plan may have others than it looked at.
    fn sealed(&self, from: &Full, to: &Full, wanted: Option<&Full>) -> Vec<String> {
        let sides: Vec<&Value> = [Some(from), Some(to), wanted].into_iter().flatten().map(|full| &full.value).collect();
        let mut sealed = self.around.rules.sealed_in_any(&self.key.group, &self.key.resource, &sides);
        sealed.extend_from_slice(self.redact);
        sealed.sort_unstable();
        sealed.dedup();
        sealed
    }

    /// Whether the intents are the same.
    pub(crate) fn same(&self, one: &Full, other: &Full) -> bool {
        let kept = self.kept(one, other, None);
        let (one, other) = (intent::form(&one.value, &kept), intent::form(&other.value, &kept));
        let part = |part: &String| narrow::at(&one, part) == narrow::at(&other, part);
        if self.parts.is_empty() { one == other } else { self.parts.iter().all(part) }
    }

    /// The target, carried over from the live version it was made for to a newer one of the same intent; `None` when a
    /// place it changes is not there any more.
    pub(crate) fn carry_over(&self, target: &Value, before: &Full, now: &Value) -> Option<Value> {
        let full = Full { value: target.clone(), managed: None };
        let kept = intent::kept(self.key, Some(&full), Some(before), self.around);
        let target = intent::target(target, Some(&before.value), &kept);
        let mut out = now.clone();
        exact::apply(&mut out, &exact::diff_state(&before.value, &target)).ok()?;
        Some(out)
    }

    fn kept(&self, from: &Full, to: &Full, wanted: Option<&Full>) -> Vec<Kept> {
        let mut kept = intent::kept(self.key, Some(from), Some(to), self.around);
        if let Some(wanted) = wanted {
            kept.extend(intent::kept(self.key, Some(wanted), Some(from), self.around));
            kept.extend(intent::kept(self.key, Some(wanted), Some(to), self.around));
        }
        kept.sort();
        kept.dedup();
        kept
    }
}

/// A member of the metadata.
pub(crate) fn meta<'a>(object: &'a Value, member: &str) -> &'a str {
    object.get("metadata").and_then(|m| m.get(member)).and_then(Value::as_str).unwrap_or_default()
}

/// Whether the object is being deleted.
pub(crate) fn is_terminating(object: &Value) -> bool {
    !meta(object, "deletionTimestamp").is_empty()
}

/// What keeps a deleted object from going.
pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    full::finalizers(object).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
