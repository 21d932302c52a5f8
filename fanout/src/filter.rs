//! Which rows a target is told of.
//!
//! **Invariants.** (1) A fact about a kind that is wanted is always told, and so is one about the whole journal: a
//! consumer of some objects must know of the gaps in them. (2) A filter looks at one row alone, so that what it takes
//! does not depend on where the reading began.

use hindcast_journal::Row;

/// Which rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only objects in these namespaces; all of them, and those in none, if there is none here.
    pub namespaces: Vec<String>,
    /// Only these kinds, by plural, singular or `plural.group`; all if there is none here.
    pub kinds: Vec<String>,
}

impl Filter {
    /// Whether a row is wanted.
    pub fn takes(&self, row: &Row) -> bool {
        let kind =
            self.kinds.is_empty() || row.resource.is_empty() || self.kinds.iter().any(|word| is_called(row, word));
        let place = self.namespaces.is_empty() || !row.op.is_object() || self.namespaces.contains(&row.namespace);
        kind && place
    }
}

/// Whether the kind of a row has this name.
fn is_called(row: &Row, word: &str) -> bool {
    let word = word.to_lowercase();
    let (name, group) = match word.split_once('.') {
        Some((name, group)) => (name, Some(group)),
        None => (word.as_str(), None),
    };
    group.is_none_or(|group| group == row.group) && (name == row.resource || name == row.kind.to_lowercase())
}
