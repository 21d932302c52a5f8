//! Claims whose data are replaced while they stand: the volumes they hold and get back, and what runs on them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hindcast_journal::{exact::Value, facts::Discovery, fold::ObjectKey};

use super::{Reading, present};
use crate::{
    desired::{Full, Wanted},
    kinds::{
        volumes::is_claim,
        workloads::{mounts, takes_claims_when_scaled},
    },
    live::{
        Live, Present,
        server::{Refusal, path},
    },
    references::{Reference, plural, references},
    rules,
    selection::{Reach, Volumes},
};

/// A claim that stands and whose data are to be replaced.
#[derive(Debug, Clone, Default)]
pub(crate) struct Swap {
    /// The volume it is bound to.
    pub(crate) volume: Option<Arc<Full>>,
    /// The workloads that run on it.
    pub(crate) users: Vec<ObjectKey>,
    /// Why they cannot be stopped and started again, if they cannot.
    pub(crate) hindered: Option<String>,
}

fn volume(claim: &Value) -> &str {
    claim.pointer("/spec/volumeName").and_then(Value::as_str).unwrap_or_default()
}

impl Reading<'_> {
    /// Reads what the claims are about that are to be swapped.
    pub(super) async fn swaps(&self, live: &mut Live) {
        let swapped: Vec<ObjectKey> = self.desired.objects.iter().filter_map(|o| self.swapped(o, live)).collect();
        if swapped.is_empty() {
            return;
        }
        let claim = |key| Some(volume(&live.objects.get(key)?.object.value));
        let wanted = |key| Some(volume(&self.desired.objects.get(key)?.object.as_ref().ok()?.value));
        let names: BTreeSet<&str> = swapped.iter().flat_map(|key| [claim(key), wanted(key)]).flatten().collect();
        let volumes = self.volumes_named(names.into_iter().filter(|name| !name.is_empty())).await;
        let namespaces: BTreeSet<&str> = swapped.iter().map(|key| key.namespace.as_str()).collect();
        let mut pods = BTreeMap::new();
        for namespace in namespaces {
            let kind = Discovery { resource: "pods".to_owned(), namespaced: true, ..Discovery::default() };
            let read = self.server.objects(&path(&kind, "v1", namespace, None), &kind, "v1").await;
            pods.insert(namespace.to_owned(), read);
        }
        let (mut swaps, mut users) = (BTreeMap::new(), BTreeMap::new());
        for key in &swapped {
            let volume = claim(key).and_then(|name| volumes.get(name)).cloned();
            let mut swap = Swap { volume, ..Swap::default() };
            match pods.get(&key.namespace) {
                Some(Ok(pods)) => {
                    for pod in pods.iter().filter(|pod| mounts(&pod.value, &key.name)) {
                        match self.user(&pod.value, &key.namespace, &mut users).await {
                            Ok(user) if swap.users.contains(&user) => {}
                            Ok(user) => swap.users.push(user),
                            Err(why) => swap.hindered = Some(why),
                        }
                    }
                }
                Some(Err(refusal)) => swap.hindered = Some(format!("what runs on it cannot be seen: {refusal}")),
                None => {}
            }
            swaps.insert(key.clone(), swap);
        }
        live.volumes.extend(volumes);
        live.swaps = swaps;
        live.users = users;
    }

    /// Whether a claim stands and gets other data.
    fn swapped(&self, (key, wanted): (&ObjectKey, &Wanted), live: &Live) -> Option<ObjectKey> {
        if !is_claim(key) {
            return None;
        }
        let present = live.objects.get(key).filter(|present| !present.terminating)?;
        let swapped = if self.desired.is_own() {
            // An undo gives it back the volume it had.
            let (then, now) = (volume(&wanted.object.as_ref().ok()?.value), volume(&present.object.value));
            !then.is_empty() && then != now
        } else {
            let asked = self.selection.volumes == Volumes::All && self.selection.path.is_none();
            let reached = matches!(self.selection.reach(key), Reach::Named);
            asked && reached && !live.unfilled.contains_key(key) && live.fillings.contains_key(key)
        };
        swapped.then(|| key.clone())
    }

    /// The workload that a Pod is of and that can be stopped; or why there is none.
    async fn user(
        &self,
        pod: &Value,
        namespace: &str,
        users: &mut BTreeMap<ObjectKey, Present>,
    ) -> Result<ObjectKey, String> {
        let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let mut owner = controller(pod)
            .ok_or_else(|| format!("Pod {name} runs on it, and nothing would start that again: delete it first"))?;
        loop {
            let resource = plural(&owner.kind);
            let key = ObjectKey {
                namespace: namespace.to_owned(),
                group: owner.group.clone(),
                resource,
                name: owner.name.clone(),
            };
            if !rules::stops(&key.kind_key()) {
                return Err(format!("Pod {name} runs on it, which {owner} makes: stop that first"));
            }
            if !users.contains_key(&key) {
                let kind = Discovery {
                    group: key.group.clone(),
                    resource: key.resource.clone(),
                    namespaced: true,
                    ..Discovery::default()
                };
                let read = self.server.object(&path(&kind, "v1", namespace, Some(&key.name))).await;
                let full =
                    read.map_err(|refusal: Refusal| format!("{owner}, which runs on it, cannot be read: {refusal}"))?;
                users.insert(key.clone(), present(full));
            }
            let Some(present) = users.get(&key) else { continue };
            match controller(&present.object.value) {
                // A ReplicaSet is its Deployment's.
                Some(next) if next.group == "apps" && next.kind == "Deployment" => owner = next,
                Some(next) => {
                    return Err(format!("{owner} runs on it, and {next} keeps that as it is: stop it there first"));
                }
                None if takes_claims_when_scaled(&present.object.value) => {
                    return Err(format!(
                        "{owner} runs on it, and would delete its claims as it is stopped (whenScaled: Delete)"
                    ));
                }
                None => return Ok(key),
            }
        }
    }
}

fn controller(object: &Value) -> Option<Reference> {
    references(object).into_iter().find(|reference| reference.controller)
}
