//! What else of the cluster a plan has to know: namespaces that do not go, webhooks that are switched off.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use hindcast_cluster::discovery::API_SERVICES_PATH;
use hindcast_journal::{facts::Discovery, fold::ObjectKey};

use super::Reading;
use crate::{
    bypass::{Bypassed, CONFIGURATIONS, GROUP},
    ending::Ending,
    filling::{self, Filling},
    kinds::namespaces,
    live::{
        Live, NamespacePhase,
        server::{Refusal, path},
    },
    names::kind_name,
};

/// Names that are asked for at once.
const AT_ONCE: usize = 16;

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

    /// What claims can be filled from, with names for its helpers that nothing has; or why nothing can be.
    pub(super) async fn fillings(
        &self,
        mut fillings: BTreeMap<ObjectKey, Filling>,
    ) -> (BTreeMap<ObjectKey, Filling>, Option<String>) {
        let kind = Discovery {
            group: filling::GROUP.to_owned(),
            resource: filling::CONTENTS.to_owned(),
            ..Discovery::default()
        };
        let mut asked = stream::iter(&mut fillings).map(|(_, filling)| {
            let kind = &kind;
            async move {
                let first = filling.name.clone();
                for number in 2.. {
                    let place = path(kind, filling::VERSION, "", Some(&filling.name));
                    match self.server.meta(&place).await {
                        // An earlier restore may have left its helpers behind.
                        Ok(_) => filling.name = format!("{first}-{number}"),
                        Err(Refusal::Absent) => return None,
                        Err(refusal) => return Some(refusal),
                    }
                }
                None
            }
        });
        let mut asked = asked.by_ref().buffer_unordered(AT_ONCE);
        let mut why = None;
        while let Some(refusal) = asked.next().await {
            why = why.or(refusal);
        }
        drop(asked);
        let why = why.map(|refusal| match refusal {
            Refusal::NoPath(_) => {
                "this cluster serves no snapshots, of which a recovery point has one (install the snapshot CRDs, \
                the snapshot controller and the CSI driver first)"
                    .to_owned()
            }
            other => format!("the snapshot of it in a recovery point cannot be used: {other}"),
        });
        (fillings, why)
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
