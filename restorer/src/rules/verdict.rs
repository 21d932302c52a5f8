//! What the rules say of one object: whether a restore may touch it at all.
//!
//! **Invariants.** (1) The first rule that fits decides, the most dangerous first: what is never touched, what was going,
//! what follows its owner; then what is true of the kind, what runs once, and what the server keeps. (2) What is
//! said of an object is data ([`Ruled`]): its words are elsewhere.

use super::Verdict;
use crate::{
    full::Full,
    kept::Surroundings,
    kinds::{self, Kind, Made, Sides},
    permission::{Permission, Widen},
    reason::Ruled,
    references::controller,
};

/// What the rules say of one object, given both sides of it.
pub fn verdict(kind_key: &str, wanted: Option<&Full>, live: Option<&Full>, widen: &Widen) -> Verdict {
    let kind = kinds::find(kind_key);
    let sides = Sides { wanted, live };
    let left = never(kind, &sides).or_else(|| terminating_then(wanted)).or_else(|| owned(kind, &sides));
    let left = left.map(Verdict::leave);
    left.or_else(|| kind.judge?(&sides, widen))
        .or_else(|| run(kind, &sides, widen))
        .or_else(|| servers_own(kind, &sides, widen))
        .unwrap_or(Verdict::Act)
}

/// What the rules say of an object that has to be created, by what is around it.
pub fn create(kind_key: &str, wanted: &Full, around: &Surroundings, widen: &Widen) -> Verdict {
    kinds::find(kind_key).create.map_or(Verdict::Act, |create| create(wanted, around, widen))
}

/// Whether machines make an object, of what goes as well or in any namespace.
pub(crate) fn is_made_by_machines(kind_key: &str, object: &Full) -> bool {
    matches!(verdict(kind_key, None, Some(object), &Widen::default()), Verdict::Leave { unless: None, .. })
}

/// Whether an object counts as absent at the moment: it was being deleted.
pub fn absent_then(wanted: &Full) -> bool {
    wanted.value.pointer("/metadata/deletionTimestamp").is_some_and(|stamp| !stamp.is_null())
}

fn never(kind: &Kind, sides: &Sides<'_>) -> Option<Ruled> {
    kind.never.cloned().or_else(|| kind.spared?(sides))
}

fn terminating_then(wanted: Option<&Full>) -> Option<Ruled> {
    wanted.is_some_and(absent_then).then_some(Ruled::TerminatingThen)
}

fn owned(kind: &Kind, sides: &Sides<'_>) -> Option<Ruled> {
    if kind.made == Made::No {
        return None;
    }
    let owner = sides.each().find_map(controller)?;
    let makes = kind.made == Made::ByController || owner.kind == "Pod";
    makes.then(|| Ruled::Owned(owner.to_string()))
}

fn run(kind: &Kind, sides: &Sides<'_>, widen: &Widen) -> Option<Verdict> {
    let new = kind.runs_once && !widen.rerun_jobs && sides.coming().is_some();
    new.then(|| Verdict::unless(Ruled::RunOnce, Permission::RerunJobs))
}

fn servers_own(kind: &Kind, sides: &Sides<'_>, widen: &Widen) -> Option<Verdict> {
    let own = kind.servers_own.filter(|_| !widen.include_system)?(sides)?;
    Some(Verdict::unless(own, Permission::System))
}
