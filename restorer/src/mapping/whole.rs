//! A desired state under a mapping: every object, with where it comes from.
//!
//! **Invariants.** (1) Each object keeps its origin: its position, and the uid by which owners are found. (2) An object that is another
//! one, or says something else, is no version that ever stood: it is compared with whatever stands. (3) What cannot be mapped is said of
//! that object, and the rest goes on. (4) No change tells a value that no output may show.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use hindcast_journal::{Error, Result, fold::ObjectKey};

use super::{Mapped, Mapping};
use crate::{
    desired::{Desired, Extent, Full, Wanted},
    message::Message,
    names::object,
};

/// A desired state somewhere else.
#[derive(Debug, Clone)]
pub struct Moved {
    /// The objects under their new names.
    pub desired: Desired,
    /// What became of those that are changed, by their new names.
    pub mapped: BTreeMap<ObjectKey, Mapped>,
}

impl Moved {
    /// Objects that keep their names and say something else, as a `ClusterRoleBinding` whose subject is now in another namespace. Beside
    /// the state that was mapped, in the same cluster, they are not copies: written, they would take from the first what they give to
    /// the second.
    pub fn shared(&self) -> impl Iterator<Item = &Mapped> {
        self.mapped.values().filter(|mapped| mapped.origin == mapped.key && mapped.is_changed())
    }
}

impl Mapping {
    /// What a desired state becomes.
    pub fn desired(&self, mut desired: Desired) -> Result<Moved> {
        self.check()?;
        if desired.source.extent() == Extent::Own {
            return Err(Error::invalid("an undo", "goes back to what was, and nowhere else")
                .with_hint("undo without a mapping, or restore a moment with one"));
        }
        let mut mapped = BTreeMap::new();
        let mut origins = BTreeMap::new();
        let mut later = BTreeMap::new();
        let mut objects = BTreeMap::new();
        for (key, wanted) in std::mem::take(&mut desired.objects) {
            let (becomes, wanted, what) = self.wanted(&key, wanted, &desired.rules);
            if let Some(paths) = desired.later.remove(&key) {
                later.insert(becomes.clone(), paths);
            }
            if let Some(what) = what {
                mapped.insert(becomes.clone(), what);
            }
            alone(&mut origins, key, &becomes)?;
            objects.insert(becomes, wanted);
        }
        (desired.objects, desired.later) = (objects, later);
        let mut system = BTreeMap::new();
        for (key, wanted) in std::mem::take(&mut desired.system) {
            let (becomes, wanted, _) = self.wanted(&key, wanted, &desired.rules);
            alone(&mut origins, key, &becomes)?;
            system.insert(becomes, wanted);
        }
        desired.system = system;
        let scalers = std::mem::take(&mut desired.scalers).into_iter().map(|(key, full)| {
            let mut full = Arc::unwrap_or_clone(full);
            // One that cannot be mapped is told as an object of the state, if it is one.
            let becomes = self.apply(&key, &mut full.value).map_or(key, |mapped| mapped.key);
            (becomes, Arc::new(full))
        });
        desired.scalers = scalers.collect();
        Ok(Moved { desired, mapped })
    }

    /// One object: its key, itself, and what was done to it.
    fn wanted(
        &self,
        key: &ObjectKey,
        mut wanted: Wanted,
        rules: &hindcast_journal::seal::Rules,
    ) -> (ObjectKey, Wanted, Option<Mapped>) {
        let Ok(full) = wanted.object else {
            // Of an object that cannot be had, the name is all that there is to map.
            return (self.key(key, &hindcast_journal::exact::Value::Null), wanted, None);
        };
        let Full { mut value, managed } = Arc::unwrap_or_clone(full);
        match self.apply(key, &mut value) {
            Ok(mut mapped) => {
                if mapped.is_changed() {
                    wanted.rv.clear();
                    wanted.redact.extend(rules.sealed_paths(&mapped.key.group, &mapped.key.resource, &value));
                    wanted.redact.sort_unstable();
                    wanted.redact.dedup();
                    mapped.hide(&wanted.redact);
                }
                wanted.object = Ok(Arc::new(Full { value, managed }));
                let told = mapped.is_changed() || !mapped.told.is_empty();
                (mapped.key.clone(), wanted, told.then_some(mapped))
            }
            Err(error) => {
                let said = Message::from(format!("it cannot be put there: {error}"));
                wanted.object = Err(error.hint().map_or(said.clone(), |hint| said.and(hint.into())));
                (self.key(key, &value), wanted, None)
            }
        }
    }
}

/// Refuses that two objects become one.
fn alone(origins: &mut BTreeMap<ObjectKey, ObjectKey>, key: ObjectKey, becomes: &ObjectKey) -> Result<()> {
    match origins.entry(becomes.clone()) {
        Entry::Vacant(place) => {
            place.insert(key);
            Ok(())
        }
        Entry::Occupied(other) => {
            let (one, two) = (object(other.get()), object(&key));
            Err(Error::invalid(format!("{one} and {two}"), format!("would both become {}", object(becomes)))
                .with_hint("map them to different namespaces, or leave one of them out of the selection"))
        }
    }
}
