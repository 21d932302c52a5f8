//! What else of the cluster a plan has to know: namespaces that do not go, webhooks that are switched off.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use hindcast_cluster::discovery::API_SERVICES_PATH;
use hindcast_journal::{facts::Discovery, fold::ObjectKey};

use super::Reading;
use crate::{
    bypass::{Bypassed, CONFIGURATIONS, GROUP},
    ending::Ending,
    filling::{self, Filling, From},
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

    /// What claims can be filled from, with names for its helpers that nothing has; and why some cannot be.
    pub(super) async fn fillings(
        &self,
        mut fillings: BTreeMap<ObjectKey, Filling>,
    ) -> (BTreeMap<ObjectKey, Filling>, BTreeMap<ObjectKey, String>) {
        let asked =
            stream::iter(&mut fillings).map(async |(key, filling)| Some((key.clone(), self.call(filling).await?)));
        let unfilled = asked.buffer_unordered(AT_ONCE).filter_map(async |why| why).collect().await;
        (fillings, unfilled)
    }

    /// Finds names for the helpers of a filling; why it cannot be used, if so.
    async fn call(&self, filling: &mut Filling) -> Option<String> {
        let kind = |group: &str, resource: &str, namespaced: bool| Discovery {
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespaced,
            ..Discovery::default()
        };
        let (kind, version, namespace) = match &filling.from {
            From::Snapshot { .. } => (kind(filling::GROUP, filling::CONTENTS, false), filling::VERSION, String::new()),
            From::Files { movers: Some(movers), .. } => {
                (kind("", "persistentvolumeclaims", true), "v1", movers.template.namespace().to_owned())
            }
            From::Files { movers: None, .. } => {
                let point = &filling.point;
                return Some(format!(
                    "recovery point {point} has its files, and no template of movers to put them back"
                ));
            }
        };
        let first = filling.name.clone();
        for number in 2.. {
            match self.server.meta(&path(&kind, version, &namespace, Some(&filling.name))).await {
                // An earlier restore may have left its helpers behind.
                Ok(_) => filling.name = format!("{first}-{number}"),
                Err(Refusal::Absent) => return None,
                Err(Refusal::NoPath(_)) => {
                    let why = "this cluster serves no snapshots, of which a recovery point has one (install the snapshot CRDs, \
                               the snapshot controller and the CSI driver first)";
                    return Some(why.to_owned());
                }
                Err(other) => return Some(format!("what a recovery point has of it cannot be used: {other}")),
            }
        }
        None
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
