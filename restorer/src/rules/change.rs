//! What a change needs beside being sent: what it destroys, what cannot be changed in place, what is adjusted.
//!
//! **Invariant.** A body is adjusted only where the server would refuse it, and what is adjusted is said.
//!
//! Not here: what is true of one kind ([`crate::kinds`]).

use hindcast_journal::exact::Value;

use crate::{
    full::{Full, finalizers},
    kept::owners::is_of_kubernetes,
    kinds::{self, Anew, Changed, Turn},
    permission::Permission,
    reason::{Loss, Moved, Reason},
    verb::{Propagation, Verb},
};

/// What deleting an object destroys that no undo brings back; none if nothing.
pub fn destroys(kind_key: &str, object: &Full) -> Option<Loss> {
    let kind = kinds::find(kind_key);
    if let Some(destroys) = kind.destroys {
        return destroys(&object.value);
    }
    destroys_outside(kind_key, object)
}

/// What a program destroys elsewhere when an object is deleted, even if it is created again at once.
pub fn destroys_outside(kind_key: &str, object: &Full) -> Option<Loss> {
    let (group, resource) = kind_key.split_once('/').unwrap_or(("", kind_key));
    kinds::outside::destroys(group, resource, &object.value)
}

/// What is destroyed when an object is changed: nobody deletes it, and it goes all the same.
pub fn destroys_by_change(kind_key: &str, target: &Value, live: &Value) -> Option<Loss> {
    kinds::find(kind_key).destroys_by_change?(target, live)
}

/// When a change is made: lower first.
pub fn wave(kind_key: &str, verb: Verb, wanted: Option<&Value>, live: Option<&Value>) -> u8 {
    let kind = kinds::find(kind_key);
    if let (Some(stricter), Some(live)) = (kind.stricter, live)
        && stricter(wanted.filter(|_| verb != Verb::Delete), live)
    {
        return Turn::Loosens as u8;
    }
    let turn = match (verb, kind.turns) {
        (Verb::Delete, _) => kind.goes,
        (_, Some(turns)) => turns(verb, wanted, live),
        (_, None) => kind.turn,
    };
    turn as u8
}

/// The fields that differ and cannot be changed in place, as JSON pointers; `target` is what would be sent.
pub fn recreate(kind_key: &str, target: &Value, live: &Value) -> Vec<String> {
    let kind = kinds::find(kind_key);
    let differs = |path: &&str| target.pointer(path) != live.pointer(path);
    let mut out: Vec<String> = kind.immutable.iter().copied().filter(differs).map(str::to_owned).collect();
    if let Some(mutable) = kind.mutable {
        out.extend(spec_but(mutable, target, live));
    }
    if let Some(fixed) = kind.fixed {
        out.extend(fixed(target, live));
    }
    out
}

fn spec_but(mutable: &[&str], target: &Value, live: &Value) -> Vec<String> {
    let spec = |value: &Value| value.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
    let (target, live) = (spec(target), spec(live));
    let mut fields: Vec<&str> = target.keys().chain(live.keys()).collect();
    fields.sort_unstable();
    fields.dedup();
    let differs = |field: &&str| !mutable.contains(field) && target.get(field) != live.get(field);
    fields.into_iter().filter(differs).map(|field| format!("/spec/{field}")).collect()
}

/// What a delete-and-create-again of this kind takes; nothing where it disturbs nobody.
pub fn recreate_needs(kind_key: &str) -> Option<Permission> {
    match kinds::find(kind_key).anew {
        Anew::Freely => None,
        Anew::Allowed => Some(Permission::Recreate),
        Anew::Rerun => Some(Permission::RerunJobs),
        Anew::Destroys => Some(Permission::Delete(kind_key.to_owned())),
    }
}

/// What becomes of what an object owns when it is deleted, or deleted to be created again.
pub fn propagation(kind_key: &str, recreate: bool) -> Propagation {
    if recreate && kinds::find(kind_key).orphans {
        return Propagation::Orphan;
    }
    // Said and not left to the server, whose default for Jobs and ReplicationControllers is to leave the Pods.
    Propagation::Background
}

/// Changes a body that is created where the server would refuse it; what was changed, in words.
pub fn adjust(kind_key: &str, body: &mut Value) -> Vec<String> {
    kinds::find(kind_key).adjust.map(|adjust| adjust(body)).unwrap_or_default()
}

/// Takes out of an object of the past what a restore puts into it for a while; whether that was there.
pub(crate) fn without_meanwhile(kind_key: &str, object: &mut Value) -> bool {
    kinds::find(kind_key).meanwhile.is_some_and(|take| take(object))
}

/// Makes what would start work by itself wait until all else is done; whether it has to be let go then.
pub fn suspend(kind_key: &str, body: &mut Value) -> bool {
    let kind = kinds::find(kind_key);
    match (kind.pause, kind.staged) {
        (Some(pause), _) => (pause.hold)(body),
        (None, Some(staged)) => {
            let (spec, held) = (body.get_mut("spec").and_then(Value::as_object_mut), (staged.held)());
            spec.is_some_and(|spec| spec.insert(staged.member, held.clone()) != Some(held))
        }
        (None, None) => false,
    }
}

/// Whether a kind's objects are stopped by that, so that they must be seen stopped.
pub fn stops(kind_key: &str) -> bool {
    kinds::find(kind_key).staged.is_some_and(|staged| staged.member == kinds::STOPS.member)
}

/// The member of `spec` by which [`suspend`] made an object wait, if it waits; and whether it may go on.
pub fn waits(kind_key: &str, now: &Value) -> Option<(&'static str, bool)> {
    let kind = kinds::find(kind_key);
    if kind.pause.is_some() {
        let suspended = now.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true);
        return suspended.then_some(("suspend", true));
    }
    let staged = kind.staged?;
    let held = now.get("spec").and_then(|spec| spec.get(staged.member)) == Some(&(staged.held)());
    held.then(|| (staged.member, (staged.ready)(now)))
}

/// Takes out of a body what somebody else has by now, as the server's refusal names it; in words.
pub fn without_taken(kind_key: &str, body: &mut Value, refusal: &str) -> Option<String> {
    kinds::find(kind_key).without_taken?(body, refusal)
}

/// An object as it is to be, but with what `now` was given instead of what others held: how it stands if it was written
/// without that. With this in words; `None` where they are the same.
pub fn as_given(kind_key: &str, wanted: &Value, now: &Value) -> Option<(Value, String)> {
    kinds::find(kind_key).as_given?(wanted, now)
}

/// What must be known of a change although it is done: `target` is what is sent, `then` the object as it was.
pub fn warnings(kind_key: &str, target: &Value, then: &Value, live: Option<&Value>, recreate: bool) -> Vec<String> {
    let kind = kinds::find(kind_key);
    let mut out = Vec::new();
    if live.is_none() || recreate {
        out.extend(kind.on_create.and_then(|on_create| on_create(target)));
        let own = |finalizer: &&str| !is_of_kubernetes(finalizer);
        for finalizer in finalizers(target).filter(own) {
            out.push(format!("has finalizer {finalizer}: without its controller the object cannot be deleted later"));
        }
    }
    if let Some(on_change) = kind.on_change {
        out.extend(on_change(&Changed { target, then, live, recreate }));
    }
    out
}

/// What rights are missing, out of the server's refusal to let somebody grant more than they have.
pub fn escalation(kind_key: &str, name: &str, message: &str) -> Option<String> {
    let (_, resource) = kind_key.split_once('/')?;
    kinds::find(kind_key).escalation?(resource, name, message)
}

/// Why an object recorded in a version cannot be written now; none if it can.
pub fn not_served(version: &str, served: &[String], since: Option<Moved>) -> Option<Reason> {
    if served.is_empty() || served.iter().any(|name| name == version) {
        return None;
    }
    Some(Reason::VersionGone { version: version.to_owned(), served: served.to_vec(), since })
}
