//! Which objects something is about: by kind, name, namespace and labels, as they were.
//!
//! **Invariant.** A filter that says nothing holds of every object; of what it says, all must hold.

use hindcast_journal::{Result, exact::Value, fold::ObjectKey, labels::Selector};
use serde::{Deserialize, Serialize};

use crate::names::kind_name;

/// Which objects. Names may have `*` and `?` in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Filter {
    /// Of these kinds: `deployments.apps`, `services`; of any if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Of these names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// In these namespaces, by their old names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// With these labels, as after `-l`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub labels: String,
}

impl Filter {
    /// Refuses labels that are none.
    pub(super) fn check(&self) -> Result<()> {
        Selector::parse(&self.labels).map(drop)
    }

    /// Whether it is about an object.
    pub(super) fn holds(&self, key: &ObjectKey, value: &Value) -> bool {
        let one_of = |patterns: &[String], name: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| like(pattern.as_bytes(), name.as_bytes()))
        };
        let kind = one_of(&self.kinds, &kind_name(&key.kind_key())) || one_of(&self.kinds, &key.resource);
        // A selector that cannot be read matches nothing; checking refuses it with the reason.
        let labels =
            || self.labels.is_empty() || Selector::parse(&self.labels).is_ok_and(|all| all.matches_object(value));
        kind && one_of(&self.names, &key.name) && one_of(&self.namespaces, &key.namespace) && labels()
    }
}

/// Whether a name is as a pattern with `*` and `?` says.
fn like(pattern: &[u8], name: &[u8]) -> bool {
    // Where to go on when the last `*` takes one more.
    let mut back: Option<(&[u8], &[u8])> = None;
    let (mut pattern, mut name) = (pattern, name);
    loop {
        match (pattern, name) {
            ([], []) => return true,
            ([b'*', rest @ ..], _) => {
                back = Some((rest, name));
                pattern = rest;
            }
            ([p, rest @ ..], [n, tail @ ..]) if p == n || *p == b'?' => (pattern, name) = (rest, tail),
            _ => match back {
                Some((rest, [_, tail @ ..])) => {
                    back = Some((rest, tail));
                    (pattern, name) = (rest, tail);
                }
                _ => return false,
            },
        }
    }
}
