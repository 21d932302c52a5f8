//! References to an owner that goes: taken out before it does, and what an object looks like without them.
//!
//! The garbage collector looks at the object itself before it takes it, and takes it as it saw it: of what names its owner no
//! more, nothing is lost, whenever the collector comes.
//!
//! **Invariant.** A reference is taken only out of what the plan acts on anyway, so that it is shown and recorded.

use hindcast_journal::exact::{Object, Value};

use super::{CONFLICTS, Did, Job, Work, sent::refusal};
use crate::{
    apply::{
        Became,
        conflict::{is_terminating, meta},
        request::{self, Ask},
    },
    desired::Full,
    names,
    reason::Cause,
    references::references,
};

impl<'a> Work<'a> {
    /// Takes the references to an object out of what stays when it is deleted.
    pub(super) async fn let_go(&'a self, job: &Job<'_>) -> Result<(), Did> {
        let uid = job.before().map(|before| meta(&before.value, "uid").to_owned()).unwrap_or_default();
        for place in job.bodies.held.iter().filter(|place| !place.name.is_empty()) {
            let action = self.actions.get(&place.key());
            if let Some(child) = action.and_then(|action| self.job(action)) {
                self.let_one_go(job, &child, &uid).await?;
            }
        }
        Ok(())
    }

    async fn let_one_go(&self, job: &Job<'_>, child: &Job<'_>, uid: &str) -> Result<(), Did> {
        for _ in 0..=CONFLICTS {
            let Some(now) = self.read(child).await? else { return Ok(()) };
            let Some(rest) = without(&now.value, |owner| owner == uid) else { return Ok(()) };
            if is_terminating(&now.value) {
                return Ok(());
            }
            let asked = child.before().is_some_and(|before| child.ground.differences(before, &now, None).is_empty());
            if !asked && self.released(child, &now).is_none() {
                let what = names::object(&child.action.key);
                return Err(Did::because(Became::Conflict, Cause::ChildChanged(what)));
            }
            let metadata: Object = [
                ("uid", Value::from(meta(&now.value, "uid"))),
                ("resourceVersion", Value::from(meta(&now.value, "resourceVersion"))),
                ("ownerReferences", if rest.is_empty() { Value::Null } else { Value::Array(rest) }),
            ]
            .into_iter()
            .collect();
            let body: Object = [("metadata", Value::Object(metadata))].into_iter().collect();
            let path = format!("{}{}", child.path(), request::manners(false));
            let reply = self.send(child, &Ask::merge_patch(path, &Value::Object(body))).await?;
            match reply.status {
                _ if reply.is_success() => return Ok(()),
                404 => return Ok(()),
                409 => {}
                _ => {
                    let why = refusal(child, "patch", &reply);
                    let what = names::object(&child.action.key);
                    return Err(Did { message: None, ..why.clone() }
                        .with_note(Some(Cause::HeldBy(what)))
                        .with_note(why.message));
                }
            }
        }
        Err(Did::because(Became::Conflict, Cause::ChildChanged(names::object(&job.action.key))))
    }

    /// The object that the plan looked at, without its references to owners that go, if that is how it stands now.
    pub(crate) fn released(&self, job: &Job<'_>, now: &Full) -> Option<Full> {
        let before = job.before()?;
        let named: Vec<String> = references(&now.value).into_iter().map(|reference| reference.uid).collect();
        let lost = |owner: &str| self.going.contains_key(owner) && !named.iter().any(|uid| uid == owner);
        let rest = without(&before.value, lost)?;
        let mut value = before.value.clone();
        let metadata = value.get_mut("metadata")?.as_object_mut()?;
        if rest.is_empty() {
            metadata.remove("ownerReferences");
        } else {
            metadata.insert("ownerReferences", Value::Array(rest));
        }
        let released = Full { value, managed: before.managed.clone() };
        job.ground.differences(&released, now, None).is_empty().then_some(released)
    }
}

/// The owner references of an object but for certain ones; none if there are no such.
fn without(object: &Value, goes: impl Fn(&str) -> bool) -> Option<Vec<Value>> {
    let list = object.pointer("/metadata/ownerReferences").and_then(Value::as_array).unwrap_or_default();
    let names = |reference: &Value| reference.get("uid").and_then(Value::as_str).is_some_and(&goes);
    list.iter().any(names).then(|| list.iter().filter(|reference| !names(reference)).cloned().collect())
}
