//! Text that seems to name a namespace that is mapped, and was left: arguments, variables, expressions, files.
//!
//! A name alone is no mention: `shop` is also an application, a container, a label. It is one
//! - in a host: `db.shop.svc`, and `db.shop` where the host ends there;
//! - in an account or principal: `system:serviceaccount:shop:web`, `/ns/shop/`;
//! - before a slash, at the begin of a word: `shop/web`, but not of an image;
//! - anywhere where the text, its field or its variable speaks of namespaces: `POD_NAMESPACE`, `--namespace`, `-n`.
//!
//! **Invariants.** (1) Nothing is changed here. (2) What is told has a place and a namespace, never the text: that may be a Secret's,
//! whose values are looked into too.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hindcast_journal::{
    exact::Value,
    fold::ObjectKey,
    seal::{escape_pointer, is_within},
};

use super::{Change, Mapping};

/// A place whose text names an old namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// The place, as a JSON pointer.
    pub path: String,
    /// The namespace, by its old name.
    pub namespace: String,
    /// Why it was left.
    pub wherefore: Wherefore,
}

/// Why a place was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wherefore {
    /// It is free text, which only its reader understands.
    Text,
    /// It is a release of Helm, packed: the manifests in it name the old namespace.
    Release,
    /// It is sealed for the old namespace: nobody can open it in another.
    Sealed,
}

impl std::fmt::Display for Wherefore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text => "free text is not changed",
            Self::Release => "a release of Helm holds its manifests as they were rendered",
            Self::Sealed => "it is sealed for its namespace and cannot be opened in another",
        })
    }
}

/// What is not looked at: what the server says, what the object itself is called, and what it was applied from, which says all once
/// more.
const PASSED: &[&str] = &[
    "/status",
    "/apiVersion",
    "/kind",
    "/metadata/name",
    "/metadata/namespace",
    "/metadata/ownerReferences",
    "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
];

/// Finds what is told of an object.
pub(super) fn find(mapping: &Mapping, origin: &ObjectKey, value: &Value, changed: &[Change]) -> Vec<Told> {
    let names: Vec<&str> =
        mapping.namespaces.iter().filter(|(from, to)| from != to).map(|(from, _)| from.as_str()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let mut found = Finding { names, changed, secret: origin.kind_key() == "/secrets", out: Vec::new() };
    found.walk(value, &mut String::new(), &About::default());
    found.bound(mapping, origin, value);
    found.out
}

/// What is known of a text from around it.
#[derive(Default, Clone)]
struct About<'v> {
    /// The field it is in, or the variable, and the argument before it.
    words: Vec<&'v str>,
}

struct Finding<'m> {
    names: Vec<&'m str>,
    changed: &'m [Change],
    /// Whether values of `data` are in base64.
    secret: bool,
    out: Vec<Told>,
}

impl Finding<'_> {
    fn walk<'v>(&mut self, value: &'v Value, path: &mut String, about: &About<'v>) {
        let done = |change: &Change| change.path == *path && change.to.as_ref() == Some(value);
        if PASSED.contains(&path.as_str()) || value.as_str().is_some() && self.changed.iter().any(done) {
            return;
        }
        let length = path.len();
        match value {
            Value::String(text) => self.text(text, path, about),
            Value::Object(members) => {
                let name = members.get("name").and_then(Value::as_str);
                for (key, child) in members.iter() {
                    path.push('/');
                    path.push_str(&escape_pointer(key));
                    // A variable says by its name what it holds.
                    let variable = name.filter(|_| key == "value");
                    self.walk(child, path, &About { words: std::iter::once(key).chain(variable).collect() });
                    path.truncate(length);
                }
            }
            Value::Array(list) => {
                let mut before = None;
                for (at, child) in list.iter().enumerate() {
                    path.push_str(&format!("/{at}"));
                    self.walk(child, path, &About { words: about.words.iter().copied().chain(before).collect() });
                    path.truncate(length);
                    // An option that is followed by its value.
                    before = child.as_str().filter(|text| text.starts_with('-') && !text.contains('='));
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str, path: &str, about: &About<'_>) {
        let decoded = (self.secret && is_within(path, "/data"))
            .then(|| STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()))
            .flatten();
        let text = decoded.as_deref().unwrap_or(text);
        let named: Vec<&str> = self.names.iter().copied().filter(|name| names(text, name, about)).collect();
        for namespace in named {
            self.tell(path, namespace, Wherefore::Text);
        }
    }

    /// What is packed or sealed with the namespace of the object.
    fn bound(&mut self, mapping: &Mapping, origin: &ObjectKey, value: &Value) {
        let was = origin.namespace.as_str();
        if mapping.namespace(was).is_none() {
            return;
        }
        let release = value.get("type").and_then(Value::as_str) == Some("helm.sh/release.v1");
        if self.secret && release && value.pointer("/data/release").is_some() {
            self.tell("/data/release", was, Wherefore::Release);
        }
        let wide =
            value.pointer("/metadata/annotations/sealedsecrets.bitnami.com~1cluster-wide").and_then(Value::as_str);
        if origin.kind_key() == "bitnami.com/sealedsecrets" && wide != Some("true") {
            self.tell("/spec/encryptedData", was, Wherefore::Sealed);
        }
    }

    fn tell(&mut self, path: &str, namespace: &str, wherefore: Wherefore) {
        self.out.push(Told { path: path.to_owned(), namespace: namespace.to_owned(), wherefore });
    }
}

/// Whether a text names a namespace.
fn names(text: &str, name: &str, about: &About<'_>) -> bool {
    if !text.contains(name) {
        return false;
    }
    let speaks = |words: &str| words.to_ascii_lowercase().contains("namespace");
    let spoken = speaks(text) || about.words.iter().any(|words| speaks(words) || *words == "-n");
    let image = about.words.first() == Some(&"image");
    let middlewares = text.contains("@kubernetescrd");
    text.match_indices(name).any(|(at, _)| {
        let (Some(before), Some(after)) = (text.get(..at), text.get(at + name.len()..)) else { return false };
        if middlewares && after.starts_with('-') && before.chars().last().is_none_or(|c| matches!(c, ',' | ' ')) {
            return true;
        }
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        let whole = !before.ends_with(is_word) && !after.starts_with(is_word);
        whole
            && (spoken
                || before.ends_with("-n ")
                || in_host(before, after)
                || in_account(before, after)
                || (!image && before_slash(before, after)))
    })
}

/// `db.shop.svc`, `shop.svc`, `db.shop:5432`
fn in_host(before: &str, after: &str) -> bool {
    let label = before.strip_suffix('.').is_some_and(|host| host.ends_with(|c: char| c.is_ascii_alphanumeric()));
    let first = !before.ends_with('.');
    if let Some(rest) = after.strip_prefix(".svc") {
        return (label || first) && !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_'));
    }
    label
        && (after.is_empty()
            || after.starts_with(|c: char| !matches!(c, '.' | '(' | '[' | '=') && !c.is_alphanumeric()))
}

fn in_account(before: &str, after: &str) -> bool {
    before.ends_with("system:serviceaccount:") && after.starts_with(':')
        || before.ends_with("system:serviceaccounts:")
        || before.ends_with("/ns/") && (after.is_empty() || after.starts_with('/'))
}

fn before_slash(before: &str, after: &str) -> bool {
    let begins = before.chars().last().is_none_or(|c| c.is_whitespace() || "\"',=:([{`".contains(c));
    begins && after.strip_prefix('/').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
}
