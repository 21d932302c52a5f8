//! Who restores, where something that may go or change might be what gives them their rights.

use std::collections::BTreeSet;

use hindcast_journal::{exact::Value, facts::Discovery, fold::ObjectKey};

use super::{Live, Present, Reading, Refusal, path};
use crate::{
    caller::Caller,
    kinds::{
        self,
        rbac::{self, BINDINGS, CLUSTER_BINDINGS},
    },
};

impl Reading<'_> {
    /// Who restores, or why that is not known; none where it does not matter.
    pub(super) async fn caller(&self, live: &Live) -> Option<Result<Caller, String>> {
        let may_change = |(key, present): &(&ObjectKey, &Present)| {
            let same = |wanted: &crate::desired::Wanted| wanted.uid == present.uid && wanted.rv == present.rv;
            kinds::of(key).stands.is_some() && !self.desired.objects.get(*key).is_some_and(same)
        };
        let objects: Vec<&ObjectKey> = live.objects.iter().filter(may_change).map(|(key, _)| key).collect();
        if objects.is_empty() {
            return None;
        }
        let mut caller = match self.server.review().await {
            Ok(review) => match Caller::of(&review) {
                Some(caller) => caller,
                None => return Some(Err("the server names no user".to_owned())),
            },
            Err(refusal) => return Some(Err(refusal.to_string())),
        };
        let roles: Vec<&ObjectKey> = objects.into_iter().filter(|key| rbac::is_role(key)).collect();
        if !roles.is_empty() && !caller.is_master() {
            caller.roles = self.bound(&caller, &roles).await;
            if let Ok(bound) = &caller.roles
                && roles.iter().any(|role| role.namespace.is_empty())
            {
                match self.components(bound).await {
                    Ok(components) => caller.components = components,
                    Err(refusal) => caller.roles = Err(refusal),
                }
            }
        }
        Some(Ok(caller))
    }

    /// The roles out of which the server gathers roles that are bound to a caller.
    async fn components(&self, bound: &BTreeSet<ObjectKey>) -> Result<BTreeSet<ObjectKey>, String> {
        let kind = Discovery {
            group: rbac::GROUP.to_owned(),
            resource: rbac::CLUSTER_ROLES.to_owned(),
            ..Discovery::default()
        };
        match self.server.objects(&path(&kind, "v1", "", None), &kind, "v1").await {
            Ok(roles) => Ok(rbac::components(bound, &roles)),
            Err(refusal) => Err(refusal.to_string()),
        }
    }

    /// The roles that are bound to a caller, by the bindings that can bind any of `roles`.
    async fn bound(&self, caller: &Caller, roles: &[&ObjectKey]) -> Result<BTreeSet<ObjectKey>, String> {
        let anywhere = roles.iter().any(|role| role.namespace.is_empty());
        let mut places: BTreeSet<(&str, &str)> = BTreeSet::new();
        if anywhere {
            places.extend([(CLUSTER_BINDINGS, ""), (BINDINGS, "")]);
        } else {
            places.extend(roles.iter().map(|role| (BINDINGS, role.namespace.as_str())));
        }
        let mut bound = BTreeSet::new();
        for (resource, namespace) in places {
            let kind = Discovery {
                group: rbac::GROUP.to_owned(),
                resource: resource.to_owned(),
                namespaced: resource == BINDINGS,
                ..Discovery::default()
            };
            let bindings = match self.server.objects(&path(&kind, "v1", namespace, None), &kind, "v1").await {
                Ok(bindings) => bindings,
                Err(Refusal::NoPath(_) | Refusal::Absent) => continue,
                Err(refusal) => return Err(refusal.to_string()),
            };
            for binding in bindings {
                let of = binding.value.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
                if caller.is_bound_by(&binding.value, of) {
                    bound.extend(rbac::role_of(&binding.value, of));
                }
            }
        }
        Ok(bound)
    }
}
