//! What stood for a snapshot while a claim was filled from it goes again.
//!
//! **Invariants.** (1) Only what this restore made as a helper is deleted, by its uid, and only once its claim is bound or
//! gone. (2) The snapshot itself stays: its helper retains it.

use std::time::Duration;

use hindcast_journal::{exact::Value, fold::ObjectKey, point::tags};

use super::{
    Acted, Became,
    conflict::meta,
    request::{self, Ask},
    write::{Work, delete_options},
};
use crate::{
    filling::{self, is_helper},
    kinds::volumes::is_claim,
    message::Note,
    plan::{Propagation, Verb},
};

/// How often a claim is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Deletes the helpers whose claims are bound, which is waited for so long; what to know of the others.
pub(super) async fn clear(work: &Work<'_>, acted: &[Acted], within: Duration) -> Vec<Note> {
    let made = |acted: &&Acted| {
        let done = matches!(acted.became, Became::Done | Became::Already);
        let snapshot = acted.key.group == filling::GROUP && acted.key.resource == filling::SNAPSHOTS;
        acted.verb == Verb::Create && done && (snapshot || is_claim(&acted.key))
    };
    let clock = &work.link.parts.clock;
    let began = clock.monotonic();
    let mut notes = Vec::new();
    for acted in acted.iter().filter(made) {
        let target = work.prepared.bodies.get(&acted.key).and_then(|bodies| bodies.target.as_ref());
        let Some(claim) = target.filter(|target| is_helper(target)).and_then(claim) else { continue };
        loop {
            if settled(work, &claim).await {
                match is_claim(&acted.key) {
                    true => hand_over(work, &acted.key.name, &claim).await,
                    false => notes.extend(remove(work, &acted.key).await),
                }
                break;
            }
            if clock.monotonic().saturating_sub(began) >= within || work.link.cancelled_within(LOOK_EVERY).await {
                notes.push(Note::Unbound { claim: filling::title(&claim), helper: acted.key.name.clone() });
                break;
            }
        }
    }
    notes
}

/// The claim that a helper is for.
fn claim(helper: &Value) -> Option<ObjectKey> {
    let claim = helper.pointer("/metadata/annotations")?.get(tags::CLAIM)?.as_str()?;
    let (namespace, name) = claim.split_once('/')?;
    Some(ObjectKey {
        namespace: namespace.to_owned(),
        group: String::new(),
        resource: "persistentvolumeclaims".to_owned(),
        name: name.to_owned(),
    })
}

/// Has a volume that was handed to a claim go with it, as it would have.
async fn hand_over(work: &Work<'_>, vessel: &str, claim: &ObjectKey) {
    if let Ok(Some(claim)) = work.link.read(&request::object(claim, "v1")).await {
        work.settle_volume(&claim.value, vessel).await;
    }
}

/// Whether a claim needs its source no more.
async fn settled(work: &Work<'_>, claim: &ObjectKey) -> bool {
    match work.link.read(&request::object(claim, "v1")).await {
        Ok(Some(claim)) => claim.value.pointer("/status/phase").and_then(Value::as_str) == Some("Bound"),
        Ok(None) => true,
        Err(_) => false,
    }
}

/// Deletes a `VolumeSnapshot`, then its content.
async fn remove(work: &Work<'_>, snapshot: &ObjectKey) -> Option<Note> {
    let content = ObjectKey { namespace: String::new(), resource: filling::CONTENTS.to_owned(), ..snapshot.clone() };
    for key in [snapshot, &content] {
        let path = request::object(key, filling::VERSION);
        let Ok(Some(stands)) = work.link.read(&path).await else { continue };
        if !is_helper(&stands.value) {
            continue;
        }
        // Its status goes on changing.
        let options = delete_options(meta(&stands.value, "uid"), None, Propagation::Background, false);
        let why = match work.link.send(&Ask::write(http::Method::DELETE, path, &options)).await {
            Ok(reply) if reply.is_success() || reply.status == 404 => continue,
            Ok(reply) => reply.message(),
            Err(lost) => lost.why,
        };
        return Some(Note::Text(format!(
            "{} {} is not needed any more and could not be deleted: {why}",
            key.resource, key.name
        )));
    }
    None
}
