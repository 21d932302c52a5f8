//! Mappings: row by row of the table, as properties over objects at random, and file by file.

mod files;
mod modifiers;
mod objects;
mod properties;
mod rows;
mod whole;

use serde_json::json;

use super::*;

/// A kind key's object.
pub(super) fn key(kind: &str, namespace: &str, name: &str) -> ObjectKey {
    let (group, resource) = kind.split_once('/').unwrap_or(("", kind));
    let text = |text: &str| text.to_owned();
    ObjectKey { namespace: text(namespace), group: text(group), resource: text(resource), name: text(name) }
}

pub(super) fn value(json: &serde_json::Value) -> Value {
    Value::from_serde(json)
}

fn names(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
}

/// Only namespaces.
pub(super) fn to(pairs: &[(&str, &str)]) -> Mapping {
    Mapping { namespaces: names(pairs), ..Mapping::default() }
}

/// Everything that the rows are tried with.
fn everything() -> Mapping {
    Mapping {
        namespaces: names(&[("shop", "store"), ("front", "web-eu")]),
        storage_classes: names(&[("fast", "slow")]),
        images: names(&[("docker.io", "mirror.example.com/hub"), ("ghcr.io/acme", "registry.example.com/acme")]),
        hosts: names(&[("shop.example.com", "store.example.org")]),
        domains: names(&[("acme.io", "acme.dev")]),
        ..Mapping::default()
    }
}
