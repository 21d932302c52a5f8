//! Where kinds and objects are found on the API server, and how to ask for some of them.
//!
//! **Invariant.** Every part of a path and every value of a query is percent-encoded, so that no name, whatever it
//! contains, leads anywhere else.

/// `apps/v1`, or `v1` of the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// The path of a kind's objects in a namespace; empty for all, or for cluster-scoped kinds.
pub fn collection(group: &str, version: &str, namespace: &str, resource: &str) -> String {
    let mut path = if group.is_empty() {
        format!("/api/{}", escape(version))
    } else {
        format!("/apis/{}/{}", escape(group), escape(version))
    };
    if !namespace.is_empty() {
        path.push_str("/namespaces/");
        path.push_str(&escape(namespace));
    }
    path.push('/');
    path.push_str(&escape(resource));
    path
}

/// The path of an object in its collection.
pub fn object(collection: &str, name: &str) -> String {
    format!("{collection}/{}", escape(name))
}

/// A part of a path or query, percent-encoded.
pub fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The query for a page of a list: the first, or the one that a token leads to.
pub fn page_query(limit: usize, next: Option<&str>) -> String {
    match next {
        None => format!("limit={limit}"),
        Some(token) => format!("limit={limit}&continue={}", escape(token)),
    }
}

/// The query that selects one object by its name.
pub fn by_name(name: &str) -> String {
    let mut value = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '\\' | ',' | '=') {
            value.push('\\');
        }
        value.push(c);
    }
    format!("fieldSelector={}", escape(&format!("metadata.name={value}")))
}

#[cfg(test)]
mod tests;
