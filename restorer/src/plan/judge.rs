//! Whether an object may be acted on at all: what is missing created, what was added deleted, what differs changed.
//!
//! Each check ends in a [`Why`]: a reason about this object, and what would have to be allowed, if that helps.

use std::sync::Arc;

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::{
    evidence,
    holders::is_holder,
    prepare::{Fate, Planner},
};
use crate::{
    desired::{Full, Wanted},
    ending::Ending,
    full::finalizers,
    intent,
    kinds::{self, crds::definition, namespaces::home},
    live::{Listed, NamespacePhase, Present},
    reason::{Loss, Reason, Touched},
    rules::{self, Verdict},
    selection::{Permission, Reach, is_system},
};

/// Why an object is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) reason: Reason,
    pub(super) unless: Option<Permission>,
}

impl From<Reason> for Why {
    fn from(reason: Reason) -> Self {
        Self { reason, unless: None }
    }
}

impl Reason {
    /// The reason, and what would have to be allowed.
    pub(super) fn unless(self, permission: Permission) -> Why {
        Why { reason: self, unless: Some(permission) }
    }
}

fn judged(verdict: Verdict) -> Result<(), Why> {
    match verdict {
        Verdict::Act => Ok(()),
        Verdict::Leave { rule, unless } => Err(Why { reason: rule.into(), unless }),
    }
}

impl Planner<'_> {
    /// What holds whatever is to be done: the system's own, and what is beside the namespace.
    pub(super) fn allowed(&self, key: &ObjectKey) -> Result<(), Why> {
        // It was allowed before.
        if self.desired.is_own() {
            return Ok(());
        }
        if is_system(key) && !self.selection.widen.include_system {
            return Err(Reason::System.unless(Permission::System));
        }
        if self.reach(key) == Reach::Beside && !self.selection.widen.with_cluster_scoped {
            let namespace = self.selection.namespace().unwrap_or_default();
            return Err(Reason::ClusterScoped(namespace.to_owned()).unless(Permission::ClusterScoped));
        }
        Ok(())
    }

    /// The rules' verdict.
    pub(super) fn ruled(&self, key: &ObjectKey, wanted: Option<&Full>, live: Option<&Full>) -> Result<(), Why> {
        judged(rules::verdict(&key.kind_key(), wanted, live, &self.selection.widen))
    }

    /// Whether a missing object may be created.
    pub(super) fn may_come<'w>(
        &self,
        key: &ObjectKey,
        wanted: &'w Wanted,
        live: Option<&Present>,
    ) -> Result<&'w Arc<Full>, Why> {
        self.allowed(key)?;
        let full = opened(wanted)?;
        self.ruled(key, Some(full), None)?;
        self.touched(key, live)?;
        if self.selection.path.is_some() {
            return Err(Reason::PartOfMissing.into());
        }
        self.same_scope(key)?;
        self.served(key, full)?;
        judged(rules::create(&key.kind_key(), full, &self.around, &self.selection.widen))?;
        self.may_rebind(key, full)?;
        self.finishes(key)?;
        self.housed(key)?;
        Ok(full)
    }

    /// Whether the server can take a wanted object.
    pub(super) fn served(&self, key: &ObjectKey, full: &Arc<Full>) -> Result<(), Why> {
        let kind = key.kind_key();
        let name = self.kind(key);
        match self.live.kinds.get(&kind) {
            Some(Listed::Whole) => {}
            None => return Err(Reason::Unlisted(name).into()),
            Some(Listed::Forbidden(said)) => return Err(Reason::Forbidden { kind: name, said: said.clone() }.into()),
            Some(Listed::Failed(said)) => return Err(Reason::Unread { kind: name, said: said.clone() }.into()),
            Some(Listed::NotServed(_)) => {
                if self.defines(&kind) {
                    return Ok(());
                }
                let crd = definition(&key.group, &key.resource);
                let defined = self.desired.objects.contains_key(&crd) && !self.selection.widen.with_cluster_scoped;
                let unless = defined.then_some(Permission::ClusterScoped);
                return Err(Why { reason: Reason::NotServed(name), unless });
            }
        }
        self.written(key, full, None).map(drop)
    }

    /// Whether the plan creates the definition of a kind.
    pub(super) fn defines(&self, kind_key: &str) -> bool {
        let (group, resource) = kind_key.split_once('/').unwrap_or(("", kind_key));
        let crd = definition(group, resource);
        self.fates.get(&crd) == Some(&Fate::Comes)
    }

    /// Whether there is a namespace to create it in.
    fn housed(&self, key: &ObjectKey) -> Result<(), Why> {
        if key.namespace.is_empty() || self.fates.get(&home(&key.namespace)) == Some(&Fate::Comes) {
            return Ok(());
        }
        match self.live.namespaces.get(&key.namespace) {
            Some(NamespacePhase::Active) => Ok(()),
            Some(NamespacePhase::Terminating) => Err(Reason::NamespaceEnds(self.ending(&key.namespace)).into()),
            None => Err(Reason::NoNamespace(key.namespace.clone()).into()),
        }
    }

    /// Why a namespace that is being deleted does not go.
    pub(super) fn ending(&self, namespace: &str) -> Ending {
        let known = self.live.endings.get(namespace).cloned();
        known.unwrap_or_else(|| Ending { namespace: namespace.to_owned(), ..Ending::default() })
    }

    /// Whether the namespace of this name, if it is one that is being deleted, can be gone by itself.
    fn finishes(&self, key: &ObjectKey) -> Result<(), Why> {
        match self.live.endings.get(&key.name).filter(|ending| *key == home(&key.name) && ending.is_stuck()) {
            Some(ending) => Err(Reason::NamespaceEnds(ending.clone()).into()),
            None => Ok(()),
        }
    }

    /// Whether an object stands as it was left by what is taken back.
    pub(super) fn touched(&self, key: &ObjectKey, live: Option<&Present>) -> Result<(), Why> {
        let Some(left) = self.desired.touched.get(key) else { return Ok(()) };
        let now = live.filter(|present| !present.terminating);
        if now.map_or(left.is_empty(), |now| self.is_left(left, key, &now.object)) {
            return Ok(());
        }
        let touched = match (left.is_empty(), now.is_none()) {
            (true, _) => Touched::Created,
            (_, true) => Touched::Deleted,
            _ => Touched::Changed,
        };
        Err(Reason::Since(touched).into())
    }

    /// Whether an object is what a restore left with this fingerprint.
    pub(super) fn is_left(&self, hash: &str, key: &ObjectKey, full: &Full) -> bool {
        let print = |hmac| intent::fingerprint(key, full, &self.desired.around, hmac);
        // The restore may have been done with a key that is one of the older ones by now.
        let mut older = self.desired.older.iter();
        hash == print(self.desired.key.as_deref()) || older.any(|older| hash == print(Some(older)))
    }

    /// Whether nothing keeps an object that would go with it, as far as that was found.
    pub(super) fn may_leave(&self, key: &ObjectKey) -> Result<(), Why> {
        self.staying.get(key).map_or(Ok(()), |stays| Err(stays.clone()))
    }

    /// Whether whoever restores keeps their rights when an object is changed to what is sent, or is gone if only for a moment.
    pub(super) fn may_lose(&self, key: &ObjectKey, live: &Value, sent: Option<&Value>) -> Result<(), Why> {
        let Some(stands) = kinds::of(key).stands else { return Ok(()) };
        let caller = match &self.live.caller {
            None => return Ok(()),
            Some(Err(why)) => return Err(Reason::CallerUnknown(why.clone()).into()),
            Some(Ok(caller)) if caller.is_master() => return Ok(()),
            Some(Ok(caller)) => caller,
        };
        match stands(caller, key, live, sent) {
            Ok(false) => Ok(()),
            Ok(true) => Err(Reason::CallersRights(caller.user.clone()).into()),
            Err(why) => Err(Reason::CallerUnknown(why).into()),
        }
    }

    /// Whether an object that was not there then may be deleted; the evidence.
    pub(super) fn may_go(&self, key: &ObjectKey, live: &Present) -> Result<String, Why> {
        self.may_leave(key)?;
        self.allowed(key)?;
        if self.terminating(key, live) {
            return Err(Reason::Terminating(finalizers(&live.object.value).map(str::to_owned).collect()).into());
        }
        self.same_scope(key)?;
        self.no_older(key)?;
        self.ruled(key, None, Some(&live.object))?;
        self.touched(key, Some(live)).map_err(|why| match self.changed_by(key, live) {
            Some(changed) => changed.into(),
            None => why,
        })?;
        if self.selection.path.is_some() {
            return Err(Reason::PartOfAdded.into());
        }
        self.may_lose(key, &live.object.value, None)?;
        let widen = &self.selection.widen;
        let evidence = evidence::of(key, live, self.desired, self.known, widen)?;
        let kind = key.kind_key();
        // What a restore created goes again if it holds nothing but what goes as well.
        if !(self.desired.is_own() && is_holder(key)) {
            self.may_destroy(&kind, rules::destroys(&kind, &live.object))?;
        }
        Ok(evidence)
    }

    /// Whether what an action would destroy may be.
    pub(super) fn may_destroy(&self, kind_key: &str, loss: Option<Loss>) -> Result<(), Why> {
        let needed = Permission::Delete(kind_key.to_owned());
        match loss {
            Some(loss) if !self.selection.widen.allows(&needed) => Err(Reason::Destroys(loss).unless(needed)),
            _ => Ok(()),
        }
    }
}

/// The object, or why it cannot be had.
pub(super) fn opened(wanted: &Wanted) -> Result<&Arc<Full>, Why> {
    wanted.object.as_ref().map_err(|why| {
        let why = why.clone();
        if wanted.redact.is_empty() { Reason::Unreadable(why).into() } else { Reason::Sealed(why).into() }
    })
}

/// The version an object is written in.
pub(super) fn version(value: &Value) -> &str {
    let api = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    api.rsplit('/').next().unwrap_or(api)
}
