//! A restore's record in the bucket: its plan, the pre-images of what it replaces, what became of each action.
//!
//! Under `restores/<id>/`: `plan`, `pre-<n>`, `outcome-<n>`; each written once. **Invariants.** (1) A pre-image is durable before
//! the write it belongs to is sent. (2) Values of Secrets are sealed as in the journal.

/// A restore's record.
#[derive(Debug)]
pub struct Record {
    id: String,
}

impl Record {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }
}
