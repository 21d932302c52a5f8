//! What the server serves: kinds, their names and versions, which groups are aggregated, what CRDs add.
//!
//! **Words**: a kind's *pinned* version is the one it is read in, chosen when it is first seen and kept while it is
//! served. A group is *stale* when the server knows of it but could not reach the API behind it.
//!
//! **Invariants.** (1) A failing or stale group does not hide any other, and its known kinds stay known. (2)
//! Subresources are not kinds. (3) The same answers give the same result, whatever their order [maps are sorted].

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::facts::{Discovery, PrinterColumn};
use serde::Deserialize;

use crate::{Api, Failure, path};

/// The kind of custom resource definitions.
pub const CRDS: &str = "apiextensions.k8s.io/customresourcedefinitions";
/// Where definitions are.
pub const CRDS_PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// The kind of API services.
pub const API_SERVICES: &str = "apiregistration.k8s.io/apiservices";
/// Where they are listed.
pub const API_SERVICES_PATH: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
/// The kind of leases.
pub const LEASES: &str = "coordination.k8s.io/leases";

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// What the server serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Served {
    /// Kind key → the kind, with `version` the preferred one and nothing pinned yet.
    pub kinds: BTreeMap<String, Discovery>,
    /// Groups that could not be read whole.
    pub stale: BTreeSet<String>,
}

/// What a custom resource definition adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crd {
    /// The kind that it defines.
    pub kind_key: String,
    /// Its own uid.
    pub uid: String,
    /// Whether the server has accepted it.
    pub established: bool,
    /// Version → printer columns.
    pub columns: BTreeMap<String, Vec<PrinterColumn>>,
}

/// Reads what the server serves.
pub async fn read(api: &Api) -> Result<Served, Failure> {
    let mut served = Served::default();
    for (root, legacy_core) in [("/api", true), ("/apis", false)] {
        let answer = api.get(root, AGGREGATED).await?;
        match serde_json::from_slice::<AggregatedDiscovery>(&answer.body) {
            Ok(list) if list.kind == "APIGroupDiscoveryList" => served.take(list),
            _ if legacy_core => read_version(api, &mut served, "", "v1", true).await,
            _ => {
                let groups = serde_json::from_slice::<Groups>(&answer.body)
                    .map_err(|e| Failure::Server(format!("{root}: {e}")))?;
                for group in groups.groups {
                    for version in group.ordered() {
                        read_version(api, &mut served, &group.name, &version, false).await;
                    }
                }
            }
        }
    }
    if served.kinds.is_empty() {
        return Err(Failure::Server("discovery lists no kinds".to_owned()));
    }
    Ok(served)
}

/// Reads one version of a group through the unaggregated API; a failure makes the group stale, and has no other effect.
async fn read_version(api: &Api, served: &mut Served, group: &str, version: &str, core: bool) {
    let path = if core { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let answer = api.get(&path, "application/json").await;
    let list = answer.ok().and_then(|a| serde_json::from_slice::<Resources>(&a.body).ok());
    let Some(list) = list else {
        served.stale.insert(group.to_owned());
        return;
    };
    for r in list.resources {
        served.add(
            version,
            Discovery {
                group: group.to_owned(),
                resource: r.name,
                singular: r.singular_name,
                kind: r.kind,
                short_names: r.short_names,
                categories: r.categories,
                namespaced: r.namespaced,
                verbs: r.verbs,
                ..Discovery::default()
            },
        );
    }
}

impl Served {
    fn take(&mut self, list: AggregatedDiscovery) {
        for group in list.items {
            let name = group.metadata.name;
            for version in group.versions {
                if version.freshness == "Stale" {
                    self.stale.insert(name.clone());
                }
                for r in version.resources {
                    let Some(kind) = r.response_kind.kind.filter(|k| !k.is_empty()) else {
                        continue;
                    };
                    self.add(
                        &version.version,
                        Discovery {
                            group: name.clone(),
                            resource: r.resource,
                            singular: r.singular_resource,
                            kind,
                            short_names: r.short_names,
                            categories: r.categories,
                            namespaced: r.scope == "Namespaced",
                            verbs: r.verbs,
                            ..Discovery::default()
                        },
                    );
                }
            }
        }
    }

    /// Adds a kind in one more version. Versions come in the server's order of preference, so the first one stays; it
    /// is only replaced by one that can be listed and watched if it cannot be.
    fn add(&mut self, version: &str, mut kind: Discovery) {
        if kind.resource.is_empty() || kind.resource.contains('/') {
            return;
        }
        version.clone_into(&mut kind.version);
        if kind.singular.is_empty() {
            kind.singular = kind.kind.to_lowercase();
        }
        kind.verbs.sort();
        let known = self.kinds.entry(kind.kind_key()).or_insert_with(|| kind.clone());
        let mut served = std::mem::take(&mut known.served);
        if !watchable(known) && watchable(&kind) {
            *known = kind;
        }
        if !served.iter().any(|v| v == version) {
            served.push(version.to_owned());
        }
        known.served = served;
    }

    /// Pins versions, adds what CRDs say, and keeps the known kinds of stale groups.
    pub fn settle(
        mut self,
        known: &BTreeMap<String, Discovery>,
        crds: &BTreeMap<String, Crd>,
    ) -> BTreeMap<String, Discovery> {
        for (key, kind) in &mut self.kinds {
            if let Some(before) = known.get(key) {
                if kind.served.contains(&before.version) {
                    kind.version.clone_from(&before.version);
                }
                kind.domain.clone_from(&before.domain);
            }
            if let Some(crd) = crds.get(key) {
                kind.crd_uid.clone_from(&crd.uid);
                kind.columns = crd.columns.get(&kind.version).cloned().unwrap_or_default();
            }
        }
        for (key, before) in known {
            if self.stale.contains(&before.group) && !before.gone {
                self.kinds.entry(key.clone()).or_insert_with(|| before.clone());
            }
        }
        self.kinds
    }
}

/// Whether the kind can be listed and watched.
pub fn watchable(kind: &Discovery) -> bool {
    ["list", "watch"].iter().all(|verb| kind.verbs.iter().any(|v| v == verb))
}

/// The path of the kind's collection.
pub fn path(kind: &Discovery) -> String {
    path_in(kind, "")
}

/// The path of the kind's collection in a namespace, where it has one.
pub fn path_in(kind: &Discovery, namespace: &str) -> String {
    path::collection(&kind.group, &kind.version, namespace, &kind.resource)
}

/// Reads a CRD from its object's bytes.
pub fn crd(object: &[u8]) -> Option<Crd> {
    let crd: CrdObject = serde_json::from_slice(object).ok()?;
    let mut columns = BTreeMap::new();
    for version in crd.spec.versions {
        columns.insert(version.name, version.additional_printer_columns);
    }
    let established = crd.status.conditions.iter().any(|c| c.type_ == "Established" && c.status == "True");
    Some(Crd {
        kind_key: hindcast_journal::row::kind_key(&crd.spec.group, &crd.spec.names.plural),
        uid: crd.metadata.uid,
        established,
        columns,
    })
}

/// A version of a group that another server serves, behind the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregated {
    /// The name of its `APIService`.
    pub name: String,
    /// The group.
    pub group: String,
    /// Namespace and name of the Service that leads to the other server.
    pub service: String,
    /// Set if that server does not answer.
    pub dead: Option<Dead>,
}

/// An aggregated API that does not answer, as the API server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// Since when, as the API server writes it.
    pub since: String,
    /// Why.
    pub why: String,
}

/// What an `APIService` says, when another server stands behind it.
pub fn aggregated(object: &[u8]) -> Option<Aggregated> {
    let ApiService { metadata, spec, status } = serde_json::from_slice(object).ok()?;
    let service = spec.service?;
    let dead = status.conditions.into_iter().find(|c| c.type_ == "Available" && c.status != "True");
    let dead = dead.map(|condition| {
        let why = if condition.message.is_empty() { condition.reason } else { condition.message };
        Dead { since: condition.last_transition_time, why }
    });
    let service = format!("{}/{}", service.namespace, service.name);
    Some(Aggregated { name: metadata.name, group: spec.group, service, dead })
}

/// A list; servers also send `null` for an empty one.
fn nullable<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Deserialize)]
struct AggregatedDiscovery {
    kind: String,
    #[serde(default, deserialize_with = "nullable")]
    items: Vec<AggregatedGroup>,
}

#[derive(Deserialize)]
struct AggregatedGroup {
    #[serde(default)]
    metadata: Meta,
    #[serde(default, deserialize_with = "nullable")]
    versions: Vec<AggregatedVersion>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    name: String,
    uid: String,
}

#[derive(Deserialize)]
struct AggregatedVersion {
    version: String,
    #[serde(default)]
    freshness: String,
    #[serde(default, deserialize_with = "nullable")]
    resources: Vec<AggregatedResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AggregatedResource {
    resource: String,
    #[serde(default)]
    response_kind: ResponseKind,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    singular_resource: String,
    #[serde(default, deserialize_with = "nullable")]
    verbs: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    short_names: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    categories: Vec<String>,
}

#[derive(Default, Deserialize)]
struct ResponseKind {
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    versions: Vec<GroupVersion>,
    #[serde(default)]
    preferred_version: Option<GroupVersion>,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
}

impl Group {
    /// Versions, the preferred one first.
    fn ordered(&self) -> Vec<String> {
        let mut out: Vec<String> = self.preferred_version.iter().map(|v| v.version.clone()).collect();
        for version in &self.versions {
            if !out.contains(&version.version) {
                out.push(version.version.clone());
            }
        }
        out
    }
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default, deserialize_with = "nullable")]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    name: String,
    #[serde(default)]
    singular_name: String,
    kind: String,
    #[serde(default)]
    namespaced: bool,
    #[serde(default, deserialize_with = "nullable")]
    verbs: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    short_names: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    categories: Vec<String>,
}

#[derive(Deserialize)]
struct CrdObject {
    metadata: Meta,
    spec: CrdSpec,
    #[serde(default)]
    status: CrdStatus,
}

#[derive(Deserialize)]
struct CrdSpec {
    group: String,
    names: CrdNames,
    #[serde(default)]
    versions: Vec<CrdVersion>,
}

#[derive(Deserialize)]
struct CrdNames {
    plural: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CrdVersion {
    name: String,
    #[serde(default)]
    additional_printer_columns: Vec<PrinterColumn>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CrdStatus {
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

#[derive(Deserialize)]
struct ApiService {
    #[serde(default)]
    metadata: Meta,
    spec: ApiServiceSpec,
    #[serde(default)]
    status: ApiServiceStatus,
}

#[derive(Deserialize)]
struct ApiServiceSpec {
    #[serde(default)]
    group: String,
    #[serde(default)]
    service: Option<ServiceName>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServiceName {
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
struct ApiServiceStatus {
    #[serde(default, deserialize_with = "nullable")]
    conditions: Vec<ApiServiceCondition>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ApiServiceCondition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
    reason: String,
    message: String,
    last_transition_time: String,
}

#[cfg(test)]
mod tests;
