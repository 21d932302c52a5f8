//! An object as it is compared and sent.

use hindcast_journal::{exact::Value, parts::Micros};

/// An object with its managedFields apart; live and past ones are the same to the planner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// The exact form, values opened.
    pub value: Value,
    /// Its managedFields.
    pub managed: Option<Value>,
}

impl Full {
    /// When it was made, by its own stamp, which is cut to a second.
    pub(crate) fn created(&self) -> Option<Micros> {
        let stamp = self.value.pointer("/metadata/creationTimestamp")?.as_str()?;
        Some(stamp.parse::<jiff::Timestamp>().ok()?.as_microsecond())
    }
}

/// What keeps an object from going when it is deleted.
pub(crate) fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_str)
}
