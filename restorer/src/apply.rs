//! Carries a plan out: waves, conflicts, ownership, verification.
//!
//! **Invariants.** (1) Nothing is sent that the plan does not hold. (2) A write is conditional on the uid and revision
//! that were read; on a conflict the object is read again, and written only if its intent is still what the plan looked at. (3) Pre-images first.

/// What became of a restore.
#[derive(Debug)]
pub struct Outcome {}

/// Carries a plan out.
pub async fn apply() -> Outcome {
    Outcome {}
}
