//! Who carries a restore out, and what gives them the rights for it.
//!
//! **Invariant.** What is not known of a caller is said to be so ([`Caller::roles`]), never taken for nothing.

use std::collections::BTreeSet;

use hindcast_journal::{exact::Value, fold::ObjectKey};

/// The group that no rule binds.
const MASTERS: &str = "system:masters";

/// Whoever a restore's requests are made as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Their name.
    pub(crate) user: String,
    /// Their groups.
    pub(crate) groups: Vec<String>,
    /// The roles that are bound to them, as far as they may matter; or why they cannot be known.
    pub(crate) roles: Result<BTreeSet<ObjectKey>, String>,
    /// The roles out of which those are gathered, by their labels.
    pub(crate) components: BTreeSet<ObjectKey>,
}

impl Caller {
    /// Out of the server's answer to who asks.
    pub(crate) fn of(review: &Value) -> Option<Self> {
        let user = review.pointer("/status/userInfo/username")?.as_str()?.to_owned();
        let groups = review.pointer("/status/userInfo/groups").and_then(Value::as_array).unwrap_or_default();
        let groups = groups.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Some(Self { user, groups, roles: Ok(BTreeSet::new()), components: BTreeSet::new() })
    }

    /// Whether their rights stand on no object.
    pub(crate) fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }

    /// The namespace and name of the service account that they are.
    pub(crate) fn account(&self) -> Option<(&str, &str)> {
        self.user.strip_prefix("system:serviceaccount:")?.split_once(':')
    }

    /// Whether a binding in `namespace` (empty for the whole cluster) gives them rights.
    pub(crate) fn is_bound_by(&self, binding: &Value, namespace: &str) -> bool {
        let subjects = binding.get("subjects").and_then(Value::as_array).unwrap_or_default();
        subjects.iter().any(|subject| {
            let text = |field: &str| subject.get(field).and_then(Value::as_str).unwrap_or_default();
            match text("kind") {
                "User" => text("name") == self.user,
                "Group" => self.groups.iter().any(|group| group == text("name")),
                "ServiceAccount" => {
                    let of = if text("namespace").is_empty() { namespace } else { text("namespace") };
                    self.account() == Some((of, text("name")))
                }
                _ => false,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use hindcast_journal::exact;

    use super::*;

    fn value(json: &str) -> Value {
        exact::parse(json.as_bytes()).expect("json")
    }

    #[test]
    fn a_caller_is_bound_by_name_group_or_account() {
        let review = |user: &str| {
            let json = format!(r#"{{"status":{{"userInfo":{{"username":"{user}","groups":["dev"]}}}}}}"#);
            Caller::of(&value(&json)).expect("a caller")
        };
        let binding = |subject: &str| value(&format!(r#"{{"subjects":[{{"kind":"User","name":"x"}},{{{subject}}}]}}"#));
        let alice = review("alice");
        assert!(alice.is_bound_by(&binding(r#""kind":"User","name":"alice""#), ""));
        assert!(alice.is_bound_by(&binding(r#""kind":"Group","name":"dev""#), ""));
        assert!(!alice.is_bound_by(&binding(r#""kind":"User","name":"dev""#), ""));
        assert!(!alice.is_bound_by(&value("{}"), ""));
        let robot = review("system:serviceaccount:ci:robot");
        assert_eq!(robot.account(), Some(("ci", "robot")));
        assert!(robot.is_bound_by(&binding(r#""kind":"ServiceAccount","name":"robot","namespace":"ci""#), "shop"));
        assert!(robot.is_bound_by(&binding(r#""kind":"ServiceAccount","name":"robot""#), "ci"));
        assert!(!robot.is_bound_by(&binding(r#""kind":"ServiceAccount","name":"robot""#), "shop"));
        assert!(!alice.is_master() && Caller { groups: vec![MASTERS.into()], ..alice }.is_master());
    }
}
