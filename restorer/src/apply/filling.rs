//! What stood for a snapshot while a claim was filled from it goes again.
//!
//! **Invariants.** (1) Only what this restore made as a helper is deleted, by its uid, and only once its claim is bound or
//! gone. (2) The snapshot itself stays: its helper retains it.

use std::time::Duration;

use hindcast_journal::{exact::Value, fold::ObjectKey, point::tags};

use super::{Acted, Became, request, write::Work};
use crate::{
    desired::Full,
    filling::{self, annotation, is_helper},
    kinds::{text, volumes::is_claim},
    message::Note,
    plan::Verb,
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
            if let Some(stands) = settled(work, &claim).await {
                if !is_claim(&acted.key) {
                    notes.extend(remove(work, &acted.key).await);
                } else if let Some(stands) = stands {
                    work.settle_volume(&stands.value, &acted.key.name).await;
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
    let claim = annotation(helper, tags::CLAIM)?;
    let (namespace, name) = claim.split_once('/')?;
    Some(ObjectKey {
        namespace: namespace.to_owned(),
        group: String::new(),
        resource: "persistentvolumeclaims".to_owned(),
        name: name.to_owned(),
    })
}

/// A claim that needs its source no more: bound, or `None` inside if it is gone.
async fn settled(work: &Work<'_>, claim: &ObjectKey) -> Option<Option<Full>> {
    let stands = work.link.read(&request::object(claim, "v1")).await.ok()?;
    let bound = |claim: &Full| text(&claim.value, "/status/phase") == "Bound";
    stands.as_ref().is_none_or(bound).then_some(stands)
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
        let why = match work.take_away(&path, &stands.value).await {
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
