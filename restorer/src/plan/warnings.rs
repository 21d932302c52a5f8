//! What must be known of an action before it is done, beside what the rules say of the kind.

use hindcast_journal::fold::ObjectKey;

use crate::{
    full::{Full, finalizers},
    kinds,
    live::Present,
    names,
};

/// A reference that was dropped.
pub(super) fn dropped(owner: &str) -> String {
    format!("its owner {owner} is not there and is not restored: the reference to it is dropped")
}

/// What others changed since the restore that is taken back.
pub(super) fn beside(theirs: &[String]) -> String {
    format!("what was changed since the restore stays: {}", names::some(theirs))
}

/// An owner is deleted and created again.
pub(super) fn follows(owner: &ObjectKey) -> String {
    let owner = names::object(owner);
    format!(
        "its owner {owner} is deleted and created again: the reference to it is taken out before, and set anew after"
    )
}

/// An object of the same name is being deleted.
pub(super) fn waits(live: &Present) -> String {
    let finalizers: Vec<&str> = finalizers(&live.object.value).collect();
    let until = if finalizers.is_empty() { String::new() } else { format!(" (finalizers: {})", finalizers.join(", ")) };
    format!("one of its name is being deleted{until}: it is waited for, then this one is created")
}

/// An object of the same name is another one by now.
pub(super) fn replaced(then: &str, now: &str) -> String {
    format!("it was deleted and created again since (uid then {then}, now {now}): the new one is changed")
}

/// A cron job that is created.
pub(super) fn suspended() -> String {
    "it is created suspended, so that no missed run starts, and resumed when all else is done".to_owned()
}

/// A cron job that runs again; with what it starts then.
pub(super) fn resumed(starts: Option<String>) -> String {
    let starts =
        starts.map_or_else(|| "; it has missed no run that would start then".to_owned(), |run| format!("; {run}"));
    format!("it is resumed when all else is done{starts}")
}

/// Of an object that is deleted.
pub(super) fn of_delete(key: &ObjectKey, full: &Full) -> Vec<String> {
    let own = kinds::of(key).on_delete.and_then(|on_delete| on_delete(&full.value));
    own.into_iter().chain(held(full)).collect()
}

/// Of an object that is deleted, for good or to be created again.
pub(super) fn held(full: &Full) -> Option<String> {
    let finalizers: Vec<&str> = finalizers(&full.value).collect();
    (!finalizers.is_empty()).then(|| format!("it goes once its finalizers are done: {}", finalizers.join(", ")))
}
