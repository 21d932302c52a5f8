//! Which objects a rule is about.
//!
//! **Invariants.** (1) All conditions must hold. (2) Namespaces say nothing of what is cluster-scoped, as in Velero.

use hindcast_journal::{exact::Value, fold::ObjectKey};
use regex::Regex;

/// Conditions, read.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    /// Of `deployments.apps`.
    pub(super) kinds: Regex,
    /// Of the namespace; any if there are none.
    pub(super) namespaces: Vec<Regex>,
    /// Found in the name.
    pub(super) name: Option<Regex>,
    pub(super) labels: Vec<Requirement>,
    /// Places and the values that must stand there; a place that is not there is as good as null.
    pub(super) matches: Vec<(String, Value)>,
}

/// What must be so of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Condition {
    /// Whether they hold of an object as it was.
    pub(super) fn holds(&self, kind: &str, key: &ObjectKey, value: &Value) -> bool {
        let namespace = key.namespace.is_empty()
            || self.namespaces.is_empty()
            || self.namespaces.iter().any(|namespace| namespace.is_match(&key.namespace));
        let labels = value.pointer("/metadata/labels");
        let label = |name: &str| labels.and_then(|labels| labels.get(name)).and_then(Value::as_str);
        namespace
            && self.kinds.is_match(kind)
            && self.name.as_ref().is_none_or(|name| name.is_match(&key.name))
            && self.labels.iter().all(|requirement| match requirement {
                Requirement::In(name, values) => {
                    label(name).is_some_and(|label| values.iter().any(|value| value == label))
                }
                Requirement::NotIn(name, values) => {
                    !label(name).is_some_and(|label| values.iter().any(|value| value == label))
                }
                Requirement::Exists(name) => label(name).is_some(),
                Requirement::Absent(name) => label(name).is_none(),
            })
            && self.matches.iter().all(|(path, wanted)| value.pointer(path).unwrap_or(&Value::Null) == wanted)
    }
}

/// A pattern of names as an expression: `*` any characters but `separator`, `**` any, `?` one, `[…]` one of these, `{a,b}` either. What
/// is wrong with it otherwise.
pub(super) fn glob(pattern: &str, separator: Option<char>) -> Result<Regex, String> {
    let any =
        separator.map_or_else(|| ".".to_owned(), |separator| format!("[^{}]", regex::escape(&separator.to_string())));
    let mut out = String::from("^(?s:");
    let mut depth = 0_usize;
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '*' if characters.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.push_str(&format!("{any}*")),
            '?' => out.push_str(&any),
            '[' => {
                let not = characters.next_if(|c| matches!(c, '!' | '^')).is_some();
                out.push_str(if not { "[^" } else { "[" });
                loop {
                    match characters.next() {
                        None => return Err("a bracket is not closed".to_owned()),
                        Some(']') => break,
                        Some('-') => out.push('-'),
                        Some(c) => out.push_str(&regex::escape(&c.to_string())),
                    }
                }
                out.push(']');
            }
            '{' => {
                depth += 1;
                out.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            ',' if depth > 0 => out.push('|'),
            '\\' => {
                let escaped = characters.next().ok_or("nothing is behind the backslash")?;
                out.push_str(&regex::escape(&escaped.to_string()));
            }
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    if depth > 0 {
        return Err("a brace is not closed".to_owned());
    }
    out.push_str(")$");
    Regex::new(&out).map_err(|_| "it is no pattern of names".to_owned())
}
