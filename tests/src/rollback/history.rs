//! Histories: what is done to the objects of a namespace, in order, with a moment somewhere among the steps.
//!
//! **Invariants.** (1) An [`Op`] is data: it can be printed, kept as a test, and carried out after others have been
//! taken away, since whatever it needs and doesn't find turns it into a create or into nothing. (2) A history has one
//! moment.

use serde::{Deserialize, Serialize};

use super::Sort;
use crate::sim::rng::Rng;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// The kind.
    pub sort: Sort,
    /// Which of the kind's objects.
    pub n: u8,
    /// What is done.
    pub act: Act,
    /// Seed of what the step draws: its values, its manager.
    pub salt: u64,
}

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// POST.
    Create,
    /// GET and PUT with other values.
    Put,
    /// A merge patch.
    Merge,
    /// A server-side apply, with force one time in two.
    Apply,
    /// What a client-side `kubectl apply` sends.
    ClientApply,
    /// The `scale` subresource.
    Scale,
    /// The `status` subresource.
    Status,
    /// DELETE.
    Delete,
    /// DELETE and POST.
    Recreate,
    /// A finalizer is set.
    Hold,
    /// Finalizers are taken away.
    Release,
    /// It gets an owner.
    Own,
    /// It loses its owners.
    Disown,
    /// The namespace's own labels and annotations change.
    Namespace,
    /// Who restores may do anything in the namespace but grant rights, and nothing outside.
    Limit,
    /// The moment that will be restored.
    Moment,
}

/// Who writes.
pub const MANAGERS: [&str; 3] = ["ci", "operator", "alice"];

/// The history of a seed.
pub fn history(seed: u64) -> Vec<Op> {
    let mut draw = Rng::new(seed);
    // A history uses only some of the kinds, so that its objects meet one another.
    let mut sorts: Vec<Sort> = Sort::ALL.into_iter().filter(|_| draw.below(100) < 62).collect();
    if sorts.is_empty() {
        sorts = Sort::ALL.to_vec();
    }
    let mut ops = Vec::new();
    if draw.below(5) == 0 {
        ops.push(Op { sort: Sort::RoleBinding, n: 8, act: Act::Limit, salt: draw.number() });
    }
    for sort in &sorts {
        for n in 0..2 {
            if draw.below(3) > 0 {
                let act = *draw.pick(&[Act::Create, Act::Apply, Act::ClientApply]).unwrap_or(&Act::Create);
                ops.push(Op { sort: *sort, n, act, salt: draw.number() });
            }
        }
    }
    let steps = draw.between(4, 16);
    more(&mut ops, &sorts, steps, &mut draw);
    ops.push(Op { sort: Sort::ConfigMap, n: 9, act: Act::Moment, salt: draw.number() });
    let steps = draw.between(3, 26);
    more(&mut ops, &sorts, steps, &mut draw);
    ops
}

fn more(ops: &mut Vec<Op>, sorts: &[Sort], steps: u64, draw: &mut Rng) {
    for _ in 0..steps {
        let Some(sort) = draw.pick(sorts).copied() else { return };
        let act = match draw.below(100) {
            0..8 => Act::Create,
            8..24 => Act::Put,
            24..40 => Act::Merge,
            40..56 => Act::Apply,
            56..64 => Act::ClientApply,
            64..68 => Act::Scale,
            68..72 => Act::Status,
            72..81 => Act::Delete,
            81..87 => Act::Recreate,
            87..91 => Act::Hold,
            91..92 => Act::Release,
            92..97 => Act::Own,
            97..98 => Act::Disown,
            _ => Act::Namespace,
        };
        ops.push(Op { sort, n: draw.below(2) as u8, act, salt: draw.number() });
    }
}
