//! What would go with an object that is deleted, looked at right before.
//!
//! The plan saw to it that what a namespace or a definition holds goes by actions of its own, and that what is to stay names
//! its owner no more; here it counts what became of those actions, and who has come since.

use hindcast_cluster::path;
use hindcast_journal::{
    exact::{self, Value},
    fold::ObjectKey,
};

use super::{Did, Job, Work, sent::refusal};
use crate::{
    apply::{
        conflict::{is_terminating, meta},
        request::{Ask, Reply},
    },
    desired::Full,
    live::HeldIn,
    names,
    reason::Cause,
    references::references,
    rules,
};

impl Work<'_> {
    /// Refuses the delete of what still holds something that would go with it.
    pub(super) async fn emptied(&self, job: &Job<'_>) -> Result<(), Did> {
        let mut left: Vec<String> = Vec::new();
        for place in &job.bodies.held {
            let mut path = path::collection(&place.group, &place.version, &place.namespace, &place.resource);
            if !place.name.is_empty() {
                path = path::object(&path, &place.name);
            }
            let reply = self.link.send(&Ask::get(path)).await.map_err(|lost| Did::lost(&lost))?;
            match reply.status {
                // The kind is gone, and its objects with it; or the one object is.
                404 => {}
                _ if !reply.is_success() => return Err(refusal(job, "list", &reply)),
                _ if place.name.is_empty() => left.extend(staying(place, &reply).map_err(Did::refused)?),
                _ => {
                    let object = reply.object().map_err(Did::refused)?;
                    let uid = job.before().map(|before| meta(&before.value, "uid"));
                    let names = references(&object.value).iter().any(|owner| Some(owner.uid.as_str()) == uid);
                    if names && !is_terminating(&object.value) {
                        left.push(names::object(&key_of(place, &object.value)));
                    }
                }
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        Err(Did::refused(Cause::Holds(left)))
    }
}

/// The objects of a list that nobody else takes away nor makes again.
fn staying(place: &HeldIn, reply: &Reply) -> Result<Vec<String>, String> {
    let mut list = exact::parse(&reply.body).map_err(|e| format!("the server's answer: {e}"))?;
    let items = list.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
    let mut out = Vec::new();
    for value in items {
        let key = key_of(place, &value);
        if !is_terminating(&value) && !rules::is_made_by_machines(&key.kind_key(), &Full { value, managed: None }) {
            out.push(names::object(&key));
        }
    }
    Ok(out)
}

fn key_of(place: &HeldIn, value: &Value) -> ObjectKey {
    ObjectKey {
        namespace: meta(value, "namespace").to_owned(),
        group: place.group.clone(),
        resource: place.resource.clone(),
        name: meta(value, "name").to_owned(),
    }
}
