//! The cluster as it is, as far as a selection reaches, read without more load than the answer needs.
//!
//! Each kind is listed as metadata; an object whose uid and resourceVersion are those of the moment stands unchanged and
//! is not read again, the others are read in full. **Invariants.** (1) Every request is a GET, but for who asks, which keeps nothing. (2) A kind that cannot be listed is said to be
//! so, never taken for empty.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hindcast_journal::fold::ObjectKey;
use serde::{Deserialize, Serialize};

use crate::{bypass::Bypassed, caller::Caller, desired::Full, ending::Ending, filling::Filling};

mod read;
mod server;
#[cfg(test)]
mod tests;

pub(crate) use read::{Swap, read, read_data};

/// The live side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    /// The uid of kube-system.
    pub cluster: String,
    /// The objects.
    pub objects: BTreeMap<ObjectKey, Present>,
    /// Objects of the system that are only counted.
    pub system: BTreeMap<ObjectKey, Counted>,
    /// The kinds of which all such were seen.
    pub system_kinds: BTreeSet<String>,
    /// What became of each kind that was asked for.
    pub kinds: BTreeMap<String, Listed>,
    /// The versions in which each kind is served, as far as that is known.
    pub served: BTreeMap<String, Vec<String>>,
    /// Definitions of the kinds of objects of the moment, where they were not read beside.
    pub definitions: BTreeMap<ObjectKey, Arc<Full>>,
    /// What scales objects now, in the selection's namespaces.
    pub scalers: BTreeMap<ObjectKey, Arc<Full>>,
    /// Owners that objects of the selection name and that are outside of it, with their uid; one that is not there is not here.
    pub owners: BTreeMap<ObjectKey, String>,
    /// The namespaces that objects of the selection are in; one that is not there is not here.
    pub namespaces: BTreeMap<String, NamespacePhase>,
    /// Objects of kinds that were not protected at the moment, with their creationTimestamp: nothing is known of their past.
    pub unprotected: BTreeMap<ObjectKey, String>,
    /// Volumes that claims of the moment name, by name; one that is not there is not here.
    pub volumes: BTreeMap<String, Arc<Full>>,
    /// What is held by namespaces and definitions that came since and that might be deleted: it would go with them.
    pub held: BTreeMap<ObjectKey, Held>,
    /// What objects own that might be deleted, as far as that was not read already.
    pub dependents: BTreeMap<ObjectKey, Present>,
    /// Where these may be: every kind that can have owners and could be listed.
    pub places: Vec<HeldIn>,
    /// Kinds among which these could not be looked for, and why.
    pub unseen: BTreeMap<String, String>,
    /// Who restores, or why that is not known; none where nothing can be what gives them their rights.
    pub caller: Option<Result<Caller, String>>,
    /// Webhooks that a restore has switched off; nothing if they may not be read.
    pub bypassed: Option<Vec<Bypassed>>,
    /// Why namespaces that are being deleted do not go, as far as they say so.
    pub endings: BTreeMap<String, Ending>,
    /// Workloads outside of the selection that may read what it changes through their environment.
    pub readers: BTreeMap<ObjectKey, Present>,
    /// What claims of the moment can be filled from.
    pub fillings: BTreeMap<ObjectKey, Filling>,
    /// Why some of them cannot be.
    pub unfilled: BTreeMap<ObjectKey, String>,
    /// Claims that stand and whose data are replaced.
    pub swaps: BTreeMap<ObjectKey, Swap>,
    /// The workloads that run on them, and those these are made by.
    pub users: BTreeMap<ObjectKey, Present>,
}

/// An object that is only counted.
#[derive(Debug, Clone)]
pub(crate) enum Counted {
    /// It is as it was, as far as it counts.
    Same,
    /// It may differ.
    Stands(Arc<Full>),
}

/// What stands in a namespace, or of a definition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    /// The objects.
    pub objects: BTreeMap<ObjectKey, Present>,
    /// Where they were looked for.
    pub places: Vec<HeldIn>,
    /// Kinds that could not be read, and why.
    pub unread: BTreeMap<String, String>,
}

/// The objects of a kind, in one namespace or in all; or one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldIn {
    /// API group.
    pub group: String,
    /// The version to read.
    pub version: String,
    /// Plural name.
    pub resource: String,
    /// The namespace; empty for all, or for cluster-scoped objects.
    pub namespace: String,
    /// The name; empty for all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl HeldIn {
    /// The one object that it is.
    pub(crate) fn key(&self) -> ObjectKey {
        ObjectKey {
            namespace: self.namespace.clone(),
            group: self.group.clone(),
            resource: self.resource.clone(),
            name: self.name.clone(),
        }
    }
}

/// Whether objects can be made in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamespacePhase {
    /// They can.
    Active,
    /// It is being deleted.
    Terminating,
}

/// An object that is there.
#[derive(Debug, Clone)]
pub(crate) struct Present {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub rv: String,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// The object.
    pub object: Arc<Full>,
}

/// What became of listing a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listed {
    /// All of it is in the answer.
    Whole,
    /// We may not: the server's words.
    Forbidden(String),
    /// No such kind, or not in the version that was recorded.
    NotServed(String),
    /// It failed otherwise.
    Failed(String),
}
