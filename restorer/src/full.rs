//! An object as it is compared and sent.

use hindcast_journal::exact::Value;

/// An object with its managedFields apart; live and past ones are the same to the planner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// The exact form, values opened.
    pub value: Value,
    /// Its managedFields.
    pub managed: Option<Value>,
}
