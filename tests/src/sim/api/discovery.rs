//! Aggregated discovery, `apidiscovery.k8s.io/v2`, and the older documents for who does not ask for that.

use std::collections::BTreeMap;

use hindcast_journal::parts::Micros;

use super::state::{KindState, State};
use crate::sim::json::{Json, obj};

/// The answer to `/api` (`core`) or `/apis`.
pub(super) fn document(state: &State, core: bool, now: Micros) -> Json {
    let mut groups: BTreeMap<&str, BTreeMap<&str, Vec<&KindState>>> = BTreeMap::new();
    let answering = state.kinds.values().filter(|ks| ks.served && ks.answers_at <= now);
    for ks in answering.filter(|ks| ks.kind.group.is_empty() == core) {
        let versions = groups.entry(&ks.kind.group).or_default();
        for version in &ks.kind.served {
            versions.entry(version).or_default().push(ks);
        }
    }
    let items = groups.into_iter().map(|(group, versions)| {
        let versions = versions.into_iter().map(|(version, kinds)| {
            let resources = kinds.into_iter().map(|ks| resource(ks, version)).collect();
            obj([("version", version.into()), ("resources", Json::Arr(resources)), ("freshness", "Current".into())])
        });
        let metadata = if core { obj([]) } else { obj([("name", group.into())]) };
        obj([("metadata", metadata), ("versions", Json::Arr(versions.collect()))])
    });
    obj([
        ("kind", "APIGroupDiscoveryList".into()),
        ("apiVersion", "apidiscovery.k8s.io/v2".into()),
        ("metadata", obj([])),
        ("items", Json::Arr(items.collect())),
    ])
}

fn resource(ks: &KindState, version: &str) -> Json {
    let kind = &ks.kind;
    let response = || {
        obj([("group", kind.group.as_str().into()), ("version", version.into()), ("kind", kind.kind.as_str().into())])
    };
    let verbs: Vec<&str> = vec!["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let status = obj([
        ("subresource", "status".into()),
        ("responseKind", response()),
        ("verbs", vec!["get", "patch", "update"].into()),
    ]);
    obj([
        ("resource", kind.resource.as_str().into()),
        ("responseKind", response()),
        ("scope", if kind.namespaced { "Namespaced" } else { "Cluster" }.into()),
        ("singularResource", kind.kind.to_lowercase().into()),
        ("verbs", verbs.into()),
        ("subresources", Json::Arr(vec![status])),
    ])
}
