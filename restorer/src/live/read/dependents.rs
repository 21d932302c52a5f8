//! What objects own that may be deleted: where that may be, and what the garbage collector would take.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use hindcast_journal::{facts::Discovery, fold::ObjectKey};

use super::{FEW, Live, Meta, Present, Reading, Refusal, key_of, lasts, path, place, present};
use crate::references::references;

impl Reading<'_> {
    /// Where what objects own may be that may be deleted: kinds, each with a namespace or all.
    pub(super) fn places<'s>(&'s self, live: &Live) -> Vec<(&'s Discovery, String)> {
        let going = live.objects.iter().filter(|(key, present)| self.may_go(key, present));
        let mut namespaces: BTreeSet<&str> = going.map(|(key, _)| key.namespace.as_str()).collect();
        if self.selection.path.is_some() {
            return Vec::new();
        }
        // What has no namespace may own objects in any.
        if namespaces.contains("") || namespaces.len() > FEW {
            namespaces = BTreeSet::from([""]);
        }
        let kinds = self.table.values().filter(|kind| lasts(kind));
        let places = kinds.flat_map(|kind| {
            let inside = namespaces.iter().filter(|namespace| kind.namespaced || namespace.is_empty());
            inside.map(move |namespace| (kind, (*namespace).to_owned()))
        });
        places.collect()
    }

    /// What the garbage collector would take after objects that may be deleted, beside what was read; and the kinds among
    /// which that could not be seen, with why.
    pub(super) async fn dependents(
        &self,
        live: &Live,
        places: &[(&Discovery, String)],
    ) -> (BTreeMap<ObjectKey, Present>, BTreeMap<String, String>) {
        let mut unseen = BTreeMap::new();
        if places.is_empty() {
            return (BTreeMap::new(), unseen);
        }
        let going: Vec<(&ObjectKey, &Present)> =
            live.objects.iter().filter(|(key, present)| self.may_go(key, present)).collect();
        let lists = places.iter().filter(|(kind, namespace)| !self.has_read(live, &place(kind, namespace).key()));
        let lists = stream::iter(lists).map(|(kind, namespace)| async move {
            (*kind, self.server.metas(&path(kind, &kind.version, namespace, None)).await)
        });
        let mut lists = lists.buffer_unordered(8);
        let mut found: Vec<(&Discovery, Meta)> = Vec::new();
        while let Some((kind, metas)) = lists.next().await {
            match metas {
                Ok(metas) => found
                    .extend(metas.into_iter().filter(|meta| meta.owner_references.is_some()).map(|meta| (kind, meta))),
                // There are none of what is not served.
                Err(Refusal::NoPath(_) | Refusal::Absent) => {}
                Err(refusal) => {
                    unseen.insert(kind.kind_key(), refusal.to_string());
                }
            }
        }
        let mut lost: BTreeSet<String> = going.iter().map(|(_, present)| present.uid.clone()).collect();
        let mut taken: BTreeMap<ObjectKey, &Discovery> = BTreeMap::new();
        loop {
            let before = lost.len();
            let known = live
                .objects
                .values()
                .filter(|present| references(&present.object.value).iter().any(|r| lost.contains(&r.uid)));
            let known: Vec<String> = known.map(|present| present.uid.clone()).collect();
            lost.extend(known);
            for (kind, meta) in &found {
                if meta.owner_references.iter().flatten().any(|owner| lost.contains(&owner.uid)) {
                    lost.insert(meta.uid.clone());
                    taken.insert(key_of(kind, meta), kind);
                }
            }
            if lost.len() == before {
                break;
            }
        }
        taken.retain(|key, _| !live.objects.contains_key(key));
        let objects = stream::iter(taken).map(|(key, kind)| async move {
            let object = self.server.object(&path(kind, &kind.version, &key.namespace, Some(&key.name))).await;
            (key, object)
        });
        let mut objects = objects.buffer_unordered(16);
        let mut dependents = BTreeMap::new();
        while let Some((key, object)) = objects.next().await {
            match object {
                Ok(object) => {
                    dependents.insert(key, present(object));
                }
                Err(Refusal::NoPath(_) | Refusal::Absent) => {}
                Err(refusal) => {
                    unseen.insert(key.kind_key(), refusal.to_string());
                }
            }
        }
        (dependents, unseen)
    }
}
