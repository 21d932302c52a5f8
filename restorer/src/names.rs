//! How objects and kinds are called in sentences, and under which name a restore writes.

use hindcast_journal::fold::ObjectKey;

/// The name that our writes are made under.
pub(crate) const MANAGER: &str = "hindcast";

/// How many names a sentence has.
const NAMED: usize = 5;

/// A few of many.
pub(crate) fn some(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `deployments.apps/web in shop`.
pub(crate) fn object(key: &ObjectKey) -> String {
    let place = if key.namespace.is_empty() { String::new() } else { format!(" in {}", key.namespace) };
    format!("{}/{}{place}", kind_name(&key.kind_key()), key.name)
}

/// `deployments.apps`, as kubectl writes it.
pub(crate) fn kind_name(key: &str) -> String {
    match key.split_once('/') {
        Some(("", resource)) => resource.to_owned(),
        Some((group, resource)) => format!("{resource}.{group}"),
        None => key.to_owned(),
    }
}
