//! What else of the cluster a plan has to know: namespaces that do not go, webhooks that are switched off.

use std::collections::BTreeMap;

use hindcast_cluster::discovery::API_SERVICES_PATH;
use hindcast_journal::facts::Discovery;

use super::Reading;
use crate::{
    bypass::{Bypassed, CONFIGURATIONS, GROUP},
    ending::Ending,
    kinds::namespaces,
    live::{Live, NamespacePhase, server::path},
    names::kind_name,
};

impl Reading<'_> {
    /// Why namespaces of the selection that are being deleted do not go.
    pub(super) async fn endings(&self, live: &Live) -> BTreeMap<String, Ending> {
        let mut out = BTreeMap::new();
        let kind = Discovery { resource: namespaces::NAME.to_owned(), ..Discovery::default() };
        for name in live.namespaces.iter().filter(|(_, phase)| **phase == NamespacePhase::Terminating).map(|(n, _)| n) {
            let Ok(namespace) = self.server.object(&path(&kind, "v1", "", Some(name))).await else { continue };
            let services = async { self.server.object(API_SERVICES_PATH).await.ok() };
            let mut ending = Ending::found(&namespace.value, services).await;
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
}
