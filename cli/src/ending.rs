//! How `plan`, `restore` and `undo` end: one table, row by row, in one function each.
//!
//! | what | `plan` | `restore`, `undo` |
//! |---|---|---|
//! | all is as it was, but for what controllers make and what a rule never puts back | 0 | 0 |
//! | something differs: it would be done, is done | 1 | 0 |
//! | only cluster-scoped objects beside the namespace differ | 1 | 0 |
//! | something is left alone for want of a flag, or since it cannot be proven, read or written | 1 | 1 |
//! | done in part: refused, in conflict, failed, not as asked for, not ready in time | | 1 |
//! | refused or in conflict, all of it: nothing was done | | 2 |
//! | nothing could be asked or begun: no such scope, no cluster, declined | 2 | 2 |
//! | a reservation, where it would be 0 | 3 | 3 |
//! | interrupted | 130 | 130 |
//!
//! **Invariants.** (1) 0 says that nothing is left to do, with any flag. (2) A reservation never takes the place of a 1 or 2.

use hindcast_restorer::{apply::Became, plan::Verb, reason::Standing};

use crate::{
    failure::Exit,
    view::{Diagnosis, Plan, Restore, Verification},
};

#[cfg(test)]
mod tests;

/// How `plan` ends that could be made. `reserved` says that a reservation was told.
pub(crate) fn plan(plan: &Plan, reserved: bool) -> Exit {
    let beside = plan.standings().any(|standing| standing == Standing::Beside);
    let differs = !plan.actions.is_empty() || beside || plan.is_open();
    or_reserved(if differs { Exit::Differences } else { Exit::Done }, reserved)
}

/// How `restore` and `undo` end that were carried out, or had nothing to do.
pub(crate) fn restore(restore: &Restore, reserved: bool) -> Exit {
    let exit = if !restore.actions.is_empty() && is_idle(restore) {
        Exit::Failed
    } else if !restore.whole || restore.open {
        Exit::Partly
    } else {
        Exit::Done
    };
    or_reserved(exit, reserved)
}

/// How `verify` ends that looked at everything: what is wrong is a difference, what cannot be known a reservation.
pub(crate) fn verify(verification: &Verification) -> Exit {
    let differs = !verification.findings.is_empty()
        || verification.live.as_ref().is_some_and(|live| !live.differences.is_empty());
    or_reserved(if differs { Exit::Differences } else { Exit::Done }, !verification.open.is_empty())
}

/// How `doctor` ends: as `verify`, for it looked at the same.
pub(crate) fn doctor(diagnosis: &Diagnosis) -> Exit {
    let found = if diagnosis.ailments.is_empty() { Exit::Done } else { Exit::Differences };
    or_reserved(found, !diagnosis.warnings.is_empty())
}

fn or_reserved(exit: Exit, reserved: bool) -> Exit {
    if exit == Exit::Done && reserved { Exit::Reserved } else { exit }
}

/// Whether the cluster is surely as it was before.
pub(crate) fn is_idle(restore: &Restore) -> bool {
    restore.actions.iter().all(|done| {
        matches!(done.result, Became::Conflict | Became::Refused | Became::Skipped) && done.verb != Verb::Recreate
    })
}
