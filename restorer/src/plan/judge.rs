//! Whether an object may be acted on at all: what is missing created, what was added deleted, what differs changed.
//!
//! Each check ends in a [`Why`]: a code, a reason about this object, and the flag that would do it, if there is one.

use std::sync::Arc;

use hindcast_journal::{exact::Value, fold::ObjectKey};

use super::{
    evidence,
    holders::is_holder,
    prepare::{Fate, Planner},
    ruled,
};
use crate::{
    desired::{Full, Wanted},
    intent,
    live::{Listed, NamespacePhase, Present},
    rules::{self, Verdict},
    selection::{Reach, is_system},
};

/// Why an object is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) code: String,
    pub(super) reason: String,
    pub(super) flag: Option<String>,
}

pub(super) fn why(code: &str, reason: impl Into<String>) -> Why {
    Why { code: code.to_owned(), reason: reason.into(), flag: None }
}

impl Why {
    pub(super) fn unless(self, flag: impl Into<String>) -> Self {
        Self { flag: Some(flag.into()), ..self }
    }
}

fn judged(verdict: Verdict) -> Result<(), Why> {
    match verdict {
        Verdict::Act => Ok(()),
        Verdict::Leave { rule, reason, flag } => {
            Err(Why { code: rule.to_owned(), reason, flag: flag.map(str::to_owned) })
        }
    }
}

impl Planner<'_> {
    /// What holds whatever is to be done: the system's own, and what is beside the namespace.
    pub(super) fn allowed(&self, key: &ObjectKey) -> Result<(), Why> {
        if self.undo {
            return Ok(());
        }
        if is_system(key) && !self.selection.widen.include_system {
            return Err(why("system", "it is the cluster's own").unless("--include-system"));
        }
        if self.reach(key) == Reach::Beside && !self.selection.widen.with_cluster_scoped {
            let namespace = self.selection.namespace().unwrap_or_default();
            let reason = format!("it is cluster-scoped: others than namespace {namespace} may depend on it");
            return Err(why("cluster-scoped", reason).unless("--with-cluster-scoped"));
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
            return Err(why("path", "it is not there; with --path nothing is created"));
        }
        self.served(key, full)?;
        judged(ruled::claim(key, full, &self.around, &self.selection.widen))?;
        self.may_rebind(key, full)?;
        self.housed(key)?;
        Ok(full)
    }

    /// Whether the server can take a wanted object.
    pub(super) fn served(&self, key: &ObjectKey, full: &Full) -> Result<(), Why> {
        let kind = key.kind_key();
        let name = self.kind(key);
        match self.live.kinds.get(&kind) {
            Some(Listed::Whole) => {}
            None => return Err(why("not-served", format!("{name} objects cannot be listed"))),
            Some(Listed::Forbidden(words)) => {
                let reason = format!("{name} objects may not be read, so nothing is done to them: {words}");
                return Err(why("forbidden", reason));
            }
            Some(Listed::Failed(words)) => {
                let reason = format!("{name} objects could not be read, so nothing is done to them: {words}");
                return Err(why("unreadable", reason));
            }
            Some(Listed::NotServed(_)) => {
                if self.defines(&kind) {
                    return Ok(());
                }
                let crd = definition(&key.group, &key.resource);
                let defined = self.desired.objects.contains_key(&crd) && !self.selection.widen.with_cluster_scoped;
                let left = why("not-served", format!("{name} is not served now"));
                return Err(if defined { left.unless("--with-cluster-scoped") } else { left });
            }
        }
        let served = self.live.served.get(&kind).map(Vec::as_slice).unwrap_or_default();
        match rules::not_served(version(&full.value), served) {
            Some(reason) => Err(why("not-served", format!("it was recorded in a version that is gone: {reason}"))),
            None => Ok(()),
        }
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
            Some(NamespacePhase::Terminating) => {
                Err(why("terminating", format!("namespace {} is being deleted", key.namespace)))
            }
            None => Err(why("no-namespace", format!("there is no namespace {}", key.namespace))),
        }
    }

    /// Whether an undo finds an object as the restore left it.
    pub(super) fn touched(&self, key: &ObjectKey, live: Option<&Present>) -> Result<(), Why> {
        let Some(left) = self.desired.touched.get(key).filter(|_| self.undo) else { return Ok(()) };
        let now = live.filter(|present| !present.terminating);
        let desired = self.desired;
        let print =
            |hmac| now.map_or_else(String::new, |now| intent::fingerprint(key, &now.object, &desired.around, hmac));
        // The restore may have been done with a key that is one of the older ones by now.
        if *left == print(desired.key.as_deref()) || desired.older.iter().any(|older| *left == print(Some(older))) {
            return Ok(());
        }
        let reason = match (left.is_empty(), now.is_none()) {
            (true, _) => "it was created again since the restore",
            (_, true) => "it was deleted since the restore",
            _ => "it was changed since the restore",
        };
        Err(why("changed-since", reason))
    }

    /// Whether nothing keeps an object that would go with it, as far as that was found.
    pub(super) fn may_leave(&self, key: &ObjectKey) -> Result<(), Why> {
        self.staying.get(key).map_or(Ok(()), |stays| Err(stays.clone()))
    }

    /// Whether an object that was not there then may be deleted; the evidence.
    pub(super) fn may_go(&self, key: &ObjectKey, live: &Present) -> Result<String, Why> {
        self.may_leave(key)?;
        self.allowed(key)?;
        if self.terminating(key, live) {
            return Err(why("terminating", "it is being deleted already"));
        }
        self.ruled(key, None, Some(&live.object))?;
        self.touched(key, Some(live))?;
        if self.selection.path.is_some() {
            return Err(why("path", "it was not there; with --path nothing is deleted"));
        }
        let widen = &self.selection.widen;
        let evidence = evidence::of(key, live, self.desired, self.known, widen).map_err(|missing| Why {
            code: missing.code.to_owned(),
            reason: missing.reason,
            flag: missing.flag.map(str::to_owned),
        })?;
        let kind = key.kind_key();
        match rules::destroys(&kind, &live.object) {
            // What a restore created goes again if it holds nothing but what goes as well.
            Some(_) if self.undo && is_holder(key) => Ok(evidence),
            Some(loss) if !widen.allow_delete.contains(&kind) => {
                Err(why("destroys-data", loss).unless(format!("--allow-delete {}", key.resource)))
            }
            _ => Ok(evidence),
        }
    }
}

/// The object, or why it cannot be had.
pub(super) fn opened(wanted: &Wanted) -> Result<&Arc<Full>, Why> {
    wanted.object.as_ref().map_err(|reason| {
        let code = if wanted.redact.is_empty() { "unreadable" } else { "sealed" };
        why(code, reason.clone())
    })
}

/// The version an object is written in.
pub(super) fn version(value: &Value) -> &str {
    let api = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    api.rsplit('/').next().unwrap_or(api)
}

/// A namespace, as an object.
pub(super) fn home(namespace: &str) -> ObjectKey {
    ObjectKey {
        namespace: String::new(),
        group: String::new(),
        resource: "namespaces".to_owned(),
        name: namespace.to_owned(),
    }
}

/// The definition of a custom resource's kind.
fn definition(group: &str, resource: &str) -> ObjectKey {
    ObjectKey {
        namespace: String::new(),
        group: "apiextensions.k8s.io".to_owned(),
        resource: "customresourcedefinitions".to_owned(),
        name: format!("{resource}.{group}"),
    }
}
