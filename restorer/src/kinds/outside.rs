//! Custom objects whose delete destroys something outside of them: cloud resources, other clusters, other namespaces.
//!
//! **Words**: what is *outside* of an object is neither in it nor owned by it, so that no plan shows it and no undo brings it
//! back. A *finalizer* is a program's mark that it has to clean up first; those of the garbage collector are no program's.
//!
//! **Invariants.** (1) A custom object with a program's finalizer is never deleted by default, whether the program is known or
//! not. (2) What is known to destroy without a finalizer counts as well. (3) Each known program is named by its row of the table
//! (`tests`).
//!
//! Not here: built-in kinds, whose descriptors say what they destroy.

use hindcast_journal::exact::Value;

use super::{Family, is_built_in};
use crate::{full::finalizers, kept::pattern::like, reason::Loss};

mod known;
mod rows;
#[cfg(test)]
mod tests;

pub(super) const FAMILY: Family = Family { kinds: &[], rules: rows::RULES };

/// What is known of a program that cleans up after its objects.
pub(crate) struct Known {
    /// The row of the table.
    rule: &'static str,
    /// Its name, as the row has it.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test holds the row to it"))]
    program: &'static str,
    /// The API groups of its objects, each with at most one `*`; empty for any.
    groups: &'static [&'static str],
    /// Their plural names; empty for any.
    resources: &'static [&'static str],
    /// The finalizers by which it does so, each with at most one `*`.
    by: By,
    /// What it destroys, as a sentence.
    destroys: &'static str,
}

/// What makes a program destroy something.
enum By {
    /// One of these finalizers.
    Finalizer(&'static [&'static str]),
    /// Any finalizer of a program.
    AnyFinalizer,
    /// That the object goes.
    Delete,
}

/// What goes elsewhere when an object is deleted; none for built-in kinds, and for what nobody cleans up after.
pub(crate) fn destroys(group: &str, resource: &str, object: &Value) -> Option<Loss> {
    if is_built_in(group) {
        return None;
    }
    let finalizers: Vec<&str> = of_programs(object).collect();
    for known in known::PROGRAMS {
        let all = |names: &[&str], name: &str| names.is_empty() || names.iter().any(|pattern| like(pattern, name));
        if !all(known.groups, group) || !all(known.resources, resource) {
            continue;
        }
        let finalizer = match known.by {
            By::Finalizer(names) => finalizers.iter().find(|mark| names.iter().any(|pattern| like(pattern, mark))),
            By::AnyFinalizer | By::Delete => finalizers.first(),
        };
        if finalizer.is_some() || matches!(known.by, By::Delete) {
            let finalizer = finalizer.map(|mark| (*mark).to_owned());
            return Some(Loss::Outside { rule: known.rule, finalizer, destroys: known.destroys });
        }
    }
    finalizers.first().map(|finalizer| Loss::Finalizer((*finalizer).to_owned()))
}

/// The finalizers of programs, without those that only say in which order the garbage collector goes.
pub(crate) fn of_programs(object: &Value) -> impl Iterator<Item = &str> {
    finalizers(object).filter(|mark| !matches!(*mark, "foregroundDeletion" | "orphan"))
}
