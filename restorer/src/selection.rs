//! What a restore is about: never more than was said.
//!
//! **Words**: a selection *names* its objects (one, a namespace, all), *narrows* them and *widens* what may be done; its
//! [`Reach`] says how an object belongs to it.
//!
//! **Invariants.** (1) There is no default: a selection always names what it is about. (2) Everything that can destroy
//! or surprise is off until [`Widen`] says otherwise.

use hindcast_journal::{
    Result,
    fold::{ObjectKey, Scope},
};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

pub use hindcast_journal::labels::Selector;

pub use crate::permission::{Permission, Widen};

use crate::{
    kinds::{self, Holds},
    reason::Ruled,
};

/// Namespaces that the cluster itself lives in.
pub const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// What a restore is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// The objects named.
    pub what: What,
    /// Only objects with these labels, at T or live (`-l`); empty for all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub labels: String,
    /// Only these, as (kind key, name); empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<(String, String)>,
    /// Only this part of each object: a JSON pointer such as `/spec/template`. Then nothing is created or deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Which claims get their data from recovery points.
    #[serde(default, skip_serializing_if = "Volumes::is_default")]
    pub volumes: Volumes,
    /// What may be done beyond the default.
    #[serde(default)]
    pub widen: Widen,
}

/// Which claims get their data from recovery points.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Volumes {
    /// Those that have to be created and whose volume is not there for them.
    #[default]
    Missing,
    /// None.
    None,
    /// All of the selection: those that stand are rolled back.
    All,
}

impl Volumes {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The objects named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// One object.
    Object {
        /// Kind key.
        kind: String,
        /// Namespace; empty for cluster-scoped objects.
        namespace: String,
        /// Name.
        name: String,
    },
    /// The objects of a namespace, and its own labels and annotations.
    Namespace(String),
    /// The cluster, without its system namespaces and infrastructure.
    All,
}

/// How an object belongs to a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It does not.
    Out,
    /// It is one of the objects named.
    Named,
    /// It is the namespace whose objects are named: of itself only labels and annotations.
    Itself,
    /// It is cluster-scoped, and the namespace may need it.
    Beside,
}

impl Selection {
    /// All that is named, with nothing allowed beyond the default.
    pub fn of(what: What) -> Self {
        Self {
            what,
            labels: String::new(),
            only: Vec::new(),
            path: None,
            volumes: Volumes::default(),
            widen: Widen::default(),
        }
    }

    /// How an object belongs to it, by its key alone.
    pub fn reach(&self, key: &ObjectKey) -> Reach {
        let kind = key.kind_key();
        if !self.only.is_empty() && !self.only.iter().any(|(k, n)| *k == kind && *n == key.name) {
            return Reach::Out;
        }
        match &self.what {
            What::Object { kind: wanted, namespace, name } => {
                let it = *wanted == kind && *namespace == key.namespace && *name == key.name;
                if it { Reach::Named } else { Reach::Out }
            }
            What::Namespace(_) if !self.widen.include_system && is_infrastructure(&kind) => Reach::Out,
            What::Namespace(namespace) if *namespace == key.namespace => Reach::Named,
            What::Namespace(namespace) if kinds::find(&kind).holds == Some(Holds::Namespace) => {
                if *namespace == key.name { Reach::Itself } else { Reach::Out }
            }
            What::Namespace(_) if key.namespace.is_empty() => Reach::Beside,
            What::Namespace(_) => Reach::Out,
            What::All if is_system(key) && !self.widen.include_system => Reach::Out,
            What::All => Reach::Named,
        }
    }

    /// Whether an object is of the system, and only counted: all but the system was asked for.
    pub fn counts(&self, key: &ObjectKey) -> bool {
        self.counts_system() && is_system(key) && self.counts_kind(&key.kind_key())
    }

    /// Whether objects of a kind are counted that are of the system.
    pub fn counts_kind(&self, kind_key: &str) -> bool {
        self.counts_system() && !kinds::find(kind_key).never.is_some_and(Ruled::is_of_machines)
    }

    fn counts_system(&self) -> bool {
        self.what == What::All && !self.widen.include_system && !self.is_narrowed() && self.path.is_none()
    }

    /// Whether objects of a kind can belong to it.
    pub fn wants_kind(&self, kind_key: &str, namespaced: bool) -> bool {
        if !self.only.is_empty() && self.only.iter().all(|(kind, _)| kind != kind_key) {
            return false;
        }
        match &self.what {
            What::Object { kind, .. } => kind == kind_key,
            What::Namespace(_) if !namespaced => false,
            What::Namespace(_) | What::All => self.widen.include_system || !is_infrastructure(kind_key),
        }
    }

    /// The namespace that its objects are in; `None` for all.
    pub fn namespace(&self) -> Option<&str> {
        match &self.what {
            What::Object { namespace, .. } | What::Namespace(namespace) => Some(namespace),
            What::All => None,
        }
    }

    /// What has to be read of the journal for the objects named.
    pub fn scope(&self) -> Scope {
        let kinds = match &self.what {
            What::Object { kind, .. } => Some(vec![kind.clone()]),
            _ if self.only.is_empty() => None,
            _ => Some(self.only.iter().map(|(kind, _)| kind.clone()).collect()),
        };
        let name = match &self.what {
            What::Object { name, .. } => Some(name.clone()),
            _ => None,
        };
        Scope { kinds, namespace: self.namespace().map(str::to_owned), name }
    }

    /// The label selector.
    pub fn selector(&self) -> Result<Selector> {
        Selector::parse(&self.labels)
    }

    /// Whether it leaves out objects of the kinds and namespaces it names.
    pub fn is_narrowed(&self) -> bool {
        !self.labels.is_empty() || !self.only.is_empty() || matches!(self.what, What::Object { .. })
    }
}

/// Whether an object is the cluster's own: in a system namespace, or of a kind that the cluster keeps for itself.
pub fn is_system(key: &ObjectKey) -> bool {
    let kind = key.kind_key();
    SYSTEM_NAMESPACES.contains(&key.namespace.as_str())
        || (kinds::find(&kind).holds == Some(Holds::Namespace) && SYSTEM_NAMESPACES.contains(&key.name.as_str()))
        || is_infrastructure(&kind)
}

/// Whether the cluster keeps a kind for itself: what it is made of, and what runs it.
pub fn is_infrastructure(kind_key: &str) -> bool {
    kinds::find(kind_key).infrastructure
}
