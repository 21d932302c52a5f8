//! What is to be: objects of a past moment, or of a restore's record; and what the journal knows of now.
//!
//! **Invariants.** (1) A desired object carries its opened values only in memory; `redact` names the places that no
//! output may show. (2) [`Known`] is evidence: it holds only what the journal itself saw. (3) A moment that is not known
//! exactly is refused [`Desired::gather`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hindcast_journal::{
    Position,
    cut::Cut,
    exact::Value,
    facts::Discovery,
    fold::{KindState, ObjectKey},
    parts::Micros,
    seal::{Key, Rules},
};

use crate::{Protection, intent::Surroundings, message::Message, reason::Moved, rules};

mod gather;
mod later;
mod moved;
mod needs;
#[cfg(test)]
mod tests;

pub(crate) use crate::full::Full;

/// How far a desired state reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All that the selection names: what is not in it was not there.
    Selection,
    /// The objects that it says something about, and no other; that they may be acted on was allowed before.
    Own,
}

/// What shows that an object that is not in the desired state may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence<'d> {
    /// That its kind was protected from the moment on, and the journal saw it come.
    Journal,
    /// That this restore created it.
    Created(&'d str),
}

/// Where the desired state comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The journal, at the cut.
    Journal,
    /// The record of the restore with this id: what it replaced.
    Undo(String),
}

/// An object as it is to be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where in the journal it stands.
    pub pos: Position,
    /// Its uid then.
    pub uid: String,
    /// Its resourceVersion then.
    pub rv: String,
    /// The object; an error says why it cannot be had: sealed without a key (then `redact` names the places), or unreadable.
    pub object: Result<Arc<Full>, Message>,
    /// JSON pointers whose values no output may show.
    pub redact: Vec<String>,
}

impl Wanted {
    /// Whether it was being deleted then, and so is as good as absent.
    pub fn is_absent(&self) -> bool {
        self.object.as_ref().is_ok_and(|full| rules::absent_then(full))
    }

    /// An object without what a restore had put into it for a while: then it is no version that ever stood, and compared
    /// whatever stands.
    pub(crate) fn without_meanwhile(&mut self, kind_key: &str, mut value: Value) -> Value {
        if rules::without_meanwhile(kind_key, &mut value) {
            self.rv.clear();
        }
        value
    }
}

/// The desired state, as far as the selection reaches.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The cluster whose past it is.
    pub cluster: String,
    /// The cut.
    pub cut: Cut,
    /// The moment, in words of time.
    pub time: Micros,
    /// Whether changes near the moment may be before or after it, so that what seems to have come since may have been there.
    pub uncertain: bool,
    /// Where it comes from.
    pub source: Source,
    /// The objects.
    pub objects: BTreeMap<ObjectKey, Wanted>,
    /// Objects of the system that are only counted ([`Selection::counts`](crate::Selection::counts)).
    pub system: BTreeMap<ObjectKey, Wanted>,
    /// Every kind known then, with what is known of it then; a kind that was not protected is never restored or pruned.
    pub kinds: BTreeMap<String, (Discovery, Protection)>,
    /// The names of all definitions of custom resources at the moment, where that is known: a kind whose definition was not there
    /// had no objects.
    pub definitions: Option<BTreeSet<String>>,
    /// Objects whose version then is known only as read through a later definition of their kind, with the places where that
    /// had added something; it is taken out again.
    pub later: BTreeMap<ObjectKey, Vec<String>>,
    /// For an undo: what the restore created, with the uid it gave it; the evidence for their deletes.
    pub created: BTreeMap<ObjectKey, String>,
    /// For an undo: every object the restore touched, with the [fingerprint](crate::intent::fingerprint) it left it with
    /// (empty where it left nothing). Nothing else is looked at, and what has another fingerprint by now is left alone.
    pub touched: BTreeMap<ObjectKey, String>,
    /// For an undo: what the restore wrote, which is what it left where that has this fingerprint.
    pub left: BTreeMap<ObjectKey, Arc<Full>>,
    /// For an undo: what was known of other objects when these fingerprints were taken.
    pub around: Surroundings,
    /// Volumes of the moment that claims name and whose storage outlives them, where nothing else is said of them.
    pub retained: BTreeSet<String>,
    /// What scaled objects at the moment (autoscalers of Pods), in the selection's namespaces.
    pub scalers: BTreeMap<ObjectKey, Arc<Full>>,
    /// The journal's key, which placeholders and hashes of Secrets are made with.
    pub key: Option<Arc<Key>>,
    /// Keys that older hashes were made with: what a restore left is known again after a rotation.
    pub older: Vec<Arc<Key>>,
    /// What is sealed beside Secrets.
    pub rules: Rules,
}

impl Source {
    /// How far its states reach.
    pub(crate) fn extent(&self) -> Extent {
        match self {
            Self::Journal => Extent::Selection,
            Self::Undo(_) => Extent::Own,
        }
    }

    /// What it can show of objects that are not in its states.
    pub(crate) fn evidence(&self) -> Evidence<'_> {
        match self {
            Self::Journal => Evidence::Journal,
            Self::Undo(restore) => Evidence::Created(restore),
        }
    }

    /// The restore that it takes back.
    pub(crate) fn undoes(&self) -> Option<&str> {
        match self {
            Self::Journal => None,
            Self::Undo(restore) => Some(restore),
        }
    }
}

impl Desired {
    /// Whether it reaches no further than what it says something about.
    pub(crate) fn is_own(&self) -> bool {
        self.source.extent() == Extent::Own
    }

    /// Every object that it says something about, each once.
    pub fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        let beside = self.touched.keys().chain(self.created.keys().filter(|key| !self.touched.contains_key(*key)));
        self.objects.keys().chain(beside.filter(|key| !self.objects.contains_key(*key)))
    }
}

impl Desired {
    /// Whether a custom kind was not even defined at the moment, so that there were no objects of it.
    pub fn was_undefined(&self, kind: &Discovery) -> bool {
        let name = format!("{}.{}", kind.resource, kind.group);
        !kind.crd_uid.is_empty() && self.definitions.as_ref().is_some_and(|all| !all.contains(&name))
    }
}

/// What the journal knows of now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// The kinds as they stand.
    pub kinds: BTreeMap<String, KindState>,
    /// The uid and newest position of each object of the selection that the journal holds as present.
    pub present: BTreeMap<ObjectKey, (String, Position)>,
    /// How far the journal is closed, in words of time.
    pub closed: Micros,
    /// The change that took away the version that objects of the moment were recorded in, by kind key.
    pub moved: BTreeMap<String, Moved>,
}
