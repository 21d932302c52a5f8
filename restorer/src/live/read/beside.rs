//! What else of the cluster a plan has to know: namespaces that do not go, webhooks that are switched off, definitions that
//! moved on.

use std::{collections::BTreeMap, sync::Arc};

use hindcast_journal::{exact::Value, facts::Discovery};

use super::{Reading, serves, version_of};
use crate::{
    bypass::{Bypassed, CONFIGURATIONS, GROUP},
    desired::Full,
    ending::Ending,
    kinds::{crds::definition, namespaces},
    live::{Live, NamespacePhase, server::path},
    names::kind_name,
};

/// The list of aggregated APIs.
const API_SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";

impl Reading<'_> {
    /// Why namespaces of the selection that are being deleted do not go.
    pub(super) async fn endings(&self, live: &Live) -> BTreeMap<String, Ending> {
        let mut out = BTreeMap::new();
        let kind = Discovery { resource: namespaces::NAME.to_owned(), ..Discovery::default() };
        for name in live.namespaces.iter().filter(|(_, phase)| **phase == NamespacePhase::Terminating).map(|(n, _)| n) {
            let Ok(namespace) = self.server.object(&path(&kind, "v1", "", Some(name))).await else { continue };
            let mut ending = Ending::of(&namespace.value);
            if ending.is_stuck()
                && let Ok(services) = self.server.object(API_SERVICES).await
            {
                ending = ending.with_apis(&services.value);
            }
            let within = live.objects.iter().filter(|(key, present)| key.namespace == *name && present.terminating);
            ending.name_objects(
                within.map(|(key, present)| {
                    (format!("{}/{}", kind_name(&key.kind_key()), key.name), &present.object.value)
                }),
            );
            out.insert(name.clone(), ending);
        }
        out
    }

    /// The webhooks that a restore has switched off; nothing if they may not be read.
    pub(super) async fn bypassed(&self) -> Option<Vec<Bypassed>> {
        let mut out = Vec::new();
        for (resource, kind) in CONFIGURATIONS {
            let of = Discovery { group: GROUP.to_owned(), resource: resource.to_owned(), ..Discovery::default() };
            let found = self.server.objects(&path(&of, "v1", "", None), &of, "v1").await.ok()?;
            out.extend(found.iter().flat_map(|configuration| Bypassed::of(kind, &configuration.value)));
        }
        Some(out)
    }

    /// The definitions of kinds of which objects were recorded in a version that is not served.
    pub(super) async fn definitions(&self, live: &Live) -> BTreeMap<String, Arc<Full>> {
        let mut out = BTreeMap::new();
        for (key, wanted) in &self.desired.objects {
            let moved = |kind: &Discovery| {
                let recorded = wanted.object.as_ref().ok().and_then(|full| version_of(full));
                recorded.is_some_and(|version| !serves(kind, version))
            };
            if !self.table.get(&key.kind_key()).is_some_and(moved) {
                continue;
            }
            let crd = definition(&key.group, &key.resource);
            if out.contains_key(&crd.name) {
                continue;
            }
            let read = live.objects.get(&crd).map(|present| present.object.clone());
            let of = Discovery { group: crd.group.clone(), resource: crd.resource.clone(), ..Discovery::default() };
            let found = match read {
                Some(object) => Some(object),
                None => self.server.object(&path(&of, "v1", "", Some(&crd.name))).await.ok().map(Arc::new),
            };
            if let Some(found) = found.filter(|found| found.value.get("spec").and_then(Value::as_object).is_some()) {
                out.insert(crd.name, found);
            }
        }
        out
    }
}
