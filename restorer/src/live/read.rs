//! Which requests the live side needs, and what they make of it.
//!
//! **Words**: a *task* is one kind in one namespace (or all): listed as metadata, or, where few names are wanted, asked for by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt as _, stream};
use hindcast_journal::{
    Error, Parts, Result, error::ErrorKind, exact::Value, facts::Discovery, fold::ObjectKey, row::kind_key,
};

use super::{
    Counted, Held, HeldIn, Listed, Live, NamespacePhase, Present,
    server::{Meta, Refusal, Server, path},
};
use crate::{
    Desired, Protection, Selection,
    desired::{Extent, Full, Wanted},
    filling::Filling,
    kinds::{
        self, Holds,
        namespaces::{self, NAMESPACES, home},
        volumes::{VOLUMES, is_claim},
    },
    references::{self, references},
    rules,
    selection::{Reach, Selector, What, is_infrastructure},
};

mod beside;
mod caller;
mod definitions;
mod dependents;
mod swaps;
mod system;

pub(crate) use swaps::Swap;

/// Up to this many names of a kind are asked for one by one; more are listed.
const BY_NAME: usize = 40;

/// In up to this many namespaces one after the other is looked for what objects own; else in all at once.
const FEW: usize = 8;

/// Reads what a selection reaches in the cluster, and which cluster that is through a client of its own. `kinds` are those that are served
/// now.
pub(crate) async fn read(
    (client, asks): (&kube::Client, &kube::Client),
    parts: &Parts,
    kinds: &[Discovery],
    selection: &Selection,
    desired: &Desired,
) -> Result<Live> {
    let server = Server::new(client, parts);
    let mut table: BTreeMap<String, Discovery> = kinds.iter().map(|kind| (kind.kind_key(), kind.clone())).collect();
    for (key, (kind, _)) in &desired.kinds {
        table.entry(key.clone()).or_insert_with(|| kind.clone());
    }
    let reading = Reading { server: &server, table, selection, desired, labels: selection.selector()? };
    let mut live = Live { cluster: cluster(&Server::new(asks, parts)).await?, ..Live::default() };
    live.served = kinds.iter().map(|kind| (kind.kind_key(), kind.served.clone())).collect();
    let mut found = stream::iter(reading.tasks()).map(|task| reading.run(task)).buffer_unordered(8);
    while let Some(found) = found.next().await {
        if let Some(system) = found.system {
            live.system_kinds.insert(found.kind.clone());
            live.system.extend(system);
        }
        // Of a kind that is only counted no other part of the plan hears.
        if !selection.wants_kind(&found.kind, found.namespaced) && selection.counts_kind(&found.kind) {
            continue;
        }
        let listed = live.kinds.entry(found.kind).or_insert(Listed::Whole);
        // A kind may be asked for in several namespaces: one refusal says that not all of it is here.
        if found.listed != Listed::Whole {
            *listed = found.listed;
        }
        live.objects.extend(found.objects);
        live.unprotected.extend(found.unprotected);
    }
    drop(found);
    live.namespaces = reading.namespaces().await;
    // Of a namespace that is gone that has been found out by now.
    live.kinds.entry(NAMESPACES.to_owned()).or_insert(Listed::Whole);
    live.scalers = reading.scalers(&mut live.kinds).await;
    (live.endings, live.bypassed, live.owners, live.volumes, live.definitions, live.readers, live.held, live.caller) = futures::join!(
        reading.endings(&live),
        reading.bypassed(),
        reading.owners(&live),
        reading.volumes(&live),
        reading.definitions(&live),
        reading.readers(),
        reading.held(&live),
        reading.caller(&live),
    );
    let lists = reading.places(&live);
    (live.dependents, live.unseen) = reading.dependents(&live, &lists).await;
    let seen = lists.iter().filter(|(kind, _)| !live.unseen.contains_key(&kind.kind_key()));
    live.places = seen.map(|(kind, namespace)| place(kind, namespace)).collect();
    Ok(live)
}

/// Reads what has to be known of the data of claims.
pub(crate) async fn read_data(
    client: &kube::Client,
    parts: &Parts,
    (selection, desired): (&Selection, &Desired),
    fillings: BTreeMap<ObjectKey, Filling>,
    live: &mut Live,
) -> Result<()> {
    let server = Server::new(client, parts);
    let labels = selection.selector()?;
    let reading = Reading { server: &server, table: BTreeMap::new(), selection, desired, labels };
    (live.fillings, live.unfilled) = reading.fillings(fillings).await;
    reading.swaps(live).await;
    Ok(())
}

struct Reading<'a> {
    server: &'a Server<'a>,
    table: BTreeMap<String, Discovery>,
    selection: &'a Selection,
    desired: &'a Desired,
    labels: Selector,
}

struct Task<'a> {
    kind: &'a Discovery,
    version: String,
    namespace: String,
    /// Only these; all if `None`.
    names: Option<BTreeSet<&'a str>>,
    /// Whether its past is known: of other kinds only the metadata is read.
    protected: bool,
}

struct Found {
    kind: String,
    listed: Listed,
    objects: Vec<(ObjectKey, Present)>,
    unprotected: Vec<(ObjectKey, String)>,
    namespaced: bool,
    /// What is only counted, if all of it could be seen.
    system: Option<Vec<(ObjectKey, Counted)>>,
}

/// The uid of kube-system.
async fn cluster(server: &Server<'_>) -> Result<String> {
    let what = "the cluster";
    match server.meta("/api/v1/namespaces/kube-system").await {
        Ok(meta) if !meta.uid.is_empty() => Ok(meta.uid),
        Ok(_) | Err(Refusal::Absent) => {
            Err(Error::invalid(what, "has no namespace kube-system, so it cannot be told which it is"))
        }
        Err(Refusal::Forbidden(why)) => Err(Error::invalid(what, format!("does not let us see which it is: {why}"))
            .with_hint("give this user the verb get on namespaces")),
        Err(other) => Err(Error::new(ErrorKind::Unavailable, what, other.to_string())
            .with_hint("check the kubeconfig's context and that the API server answers")),
    }
}

impl<'a> Reading<'a> {
    fn tasks(&'a self) -> Vec<Task<'a>> {
        if self.desired.is_own() {
            return self.by_name(self.desired.keys());
        }
        let mut tasks = Vec::new();
        if let What::Object { .. } = self.selection.what {
            return self.one();
        }
        for (key, kind) in &self.table {
            let lists = kind.verbs.is_empty() || kind.verbs.iter().any(|verb| verb == "list");
            let wanted = self.selection.wants_kind(key, kind.namespaced) || self.selection.counts_kind(key);
            if !lists || !wanted {
                continue;
            }
            tasks.push(Task {
                kind,
                version: self.version(key, kind),
                namespace: self.selection.namespace().unwrap_or_default().to_owned(),
                names: None,
                protected: self.protected(key),
            });
        }
        let beside = |key: &&ObjectKey| matches!(self.selection.reach(key), Reach::Itself | Reach::Beside);
        tasks.extend(self.by_name(self.desired.objects.keys().filter(beside)));
        // A namespace that is there now and was not then is only found by asking for it.
        if let (What::Namespace(name), Some(kind)) = (&self.selection.what, self.table.get(NAMESPACES)) {
            let key = home(name);
            if self.selection.reach(&key) == Reach::Itself && !self.desired.objects.contains_key(&key) {
                tasks.push(self.named(kind, "", BTreeSet::from([name.as_str()])));
            }
        }
        tasks
    }

    /// The task of a selection of one object.
    fn one(&'a self) -> Vec<Task<'a>> {
        let What::Object { kind, namespace, name } = &self.selection.what else { return Vec::new() };
        let kind = self.table.get(kind).filter(|kind| kind.namespaced != namespace.is_empty());
        kind.map(|kind| self.named(kind, namespace, BTreeSet::from([name.as_str()]))).into_iter().collect()
    }

    fn named(&'a self, kind: &'a Discovery, namespace: &str, names: BTreeSet<&'a str>) -> Task<'a> {
        let key = kind.kind_key();
        Task {
            kind,
            version: self.version(&key, kind),
            namespace: namespace.to_owned(),
            names: Some(names),
            protected: self.protected(&key) || self.desired.is_own(),
        }
    }

    /// Tasks for certain objects.
    fn by_name(&'a self, keys: impl Iterator<Item = &'a ObjectKey>) -> Vec<Task<'a>> {
        let mut groups: BTreeMap<(String, &str), BTreeSet<&str>> = BTreeMap::new();
        for key in keys {
            groups.entry((key.kind_key(), &key.namespace)).or_default().insert(&key.name);
        }
        let task = |((kind, namespace), names): ((String, &'a str), BTreeSet<&'a str>)| {
            // One of its name is another object where the kind has moved between cluster and namespaces.
            let kind = self.table.get(&kind).filter(|kind| kind.namespaced != namespace.is_empty())?;
            Some(self.named(kind, namespace, names))
        };
        groups.into_iter().filter_map(task).collect()
    }

    fn protected(&self, kind: &str) -> bool {
        let protected = |(_, protection): &(Discovery, Protection)| protection.is_known();
        self.desired.kinds.get(kind).is_some_and(protected)
            || self.table.get(kind).is_some_and(|kind| self.desired.was_undefined(kind))
    }

    /// The version to read a kind in: the one its objects were recorded in, as long as that is served.
    fn version(&self, key: &str, kind: &Discovery) -> String {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        // Objects are sorted by namespace first, so those of a kind are found by looking at all of them.
        let of_kind = |(k, _): &(&ObjectKey, &Wanted)| k.resource == kind.resource && k.group == kind.group;
        for (_, wanted) in self.desired.objects.iter().filter(of_kind) {
            if let Some(version) = wanted.object.as_ref().ok().and_then(|full| version_of(full)) {
                *votes.entry(version).or_default() += 1;
            }
        }
        let recorded = votes.into_iter().max_by_key(|(_, count)| *count).map(|(version, _)| version.to_owned());
        let recorded = recorded.or_else(|| self.desired.kinds.get(key).map(|(kind, _)| kind.version.clone()));
        recorded.filter(|version| serves(kind, version)).unwrap_or_else(|| kind.version.clone())
    }

    async fn run(&self, task: Task<'a>) -> Found {
        let mut found = Found {
            kind: task.kind.kind_key(),
            listed: Listed::Whole,
            objects: Vec::new(),
            unprotected: Vec::new(),
            namespaced: task.kind.namespaced,
            system: None,
        };
        if let Err(refusal) = self.fill(&task, &mut found).await {
            found.listed = refusal.listed();
        }
        found
    }

    async fn fill(&self, task: &Task<'a>, found: &mut Found) -> Result<(), Refusal> {
        let few = task.names.as_ref().filter(|names| names.len() <= BY_NAME);
        let metas = if let Some(names) = few {
            let one = |name: &&'a str| (*name).to_owned();
            let metas =
                names.iter().map(|name| Meta { name: one(name), namespace: task.namespace.clone(), ..Meta::default() });
            metas.collect()
        } else {
            self.server.metas(&path(task.kind, &task.version, &task.namespace, None)).await?
        };
        let (system, metas): (Vec<Meta>, Vec<Meta>) =
            metas.into_iter().partition(|meta| self.selection.counts(&key_of(task.kind, meta)));
        self.count(task, system, found).await;
        let total = metas.len();
        let mut needed = Vec::new();
        for meta in metas {
            let key = key_of(task.kind, &meta);
            if !self.wants(task, &key, &meta) {
                continue;
            }
            if !task.protected {
                if !meta.uid.is_empty() {
                    found.unprotected.push((key, meta.creation_timestamp.unwrap_or_default()));
                }
                continue;
            }
            match self.desired.objects.get(&key) {
                Some(wanted) if unchanged(wanted, &meta) => {
                    if let Ok(object) = &wanted.object {
                        found.objects.push((key, shared(wanted, object, &meta)));
                        continue;
                    }
                    needed.push(key);
                }
                _ => needed.push(key),
            }
        }
        if few.is_none() && needed.len() > BY_NAME && needed.len() * 4 > total {
            return self.whole(task, &needed, found).await;
        }
        self.add_each(task, needed, found).await
    }

    /// Reads a kind in full, and takes what is needed of it.
    async fn whole(&self, task: &Task<'a>, needed: &[ObjectKey], found: &mut Found) -> Result<(), Refusal> {
        let target = path(task.kind, &task.version, &task.namespace, None);
        let needed: BTreeSet<&ObjectKey> = needed.iter().collect();
        let mut again = Vec::new();
        for object in self.server.objects(&target, task.kind, &task.version).await? {
            let key = key_of_object(task.kind, &object.value);
            if !needed.contains(&key) {
                continue;
            }
            if self.version_for(task, &key) == task.version {
                found.objects.push((key, present(object)));
            } else {
                again.push(key);
            }
        }
        self.add_each(task, again, found).await
    }

    /// Reads objects one by one, and takes them.
    async fn add_each(&self, task: &Task<'a>, needed: Vec<ObjectKey>, found: &mut Found) -> Result<(), Refusal> {
        let read = self.each(task, needed).await?;
        found.objects.extend(read.into_iter().map(|(key, object)| (key, present(object))));
        Ok(())
    }

    /// Reads objects one by one, many at once; those that are not there are left out.
    async fn each(&self, task: &Task<'a>, needed: Vec<ObjectKey>) -> Result<Vec<(ObjectKey, Full)>, Refusal> {
        let mut out = Vec::with_capacity(needed.len());
        let mut objects = stream::iter(needed)
            .map(|key| async {
                let target = path(task.kind, &self.version_for(task, &key), &key.namespace, Some(&key.name));
                (self.server.object(&target).await, key)
            })
            .buffer_unordered(16);
        while let Some((object, key)) = objects.next().await {
            match object {
                Ok(object) => out.push((key, object)),
                // It was deleted since it was listed, or was never there.
                Err(Refusal::Absent) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(out)
    }

    /// The version to read one object in: its own, so that both sides read alike.
    fn version_for(&self, task: &Task<'a>, key: &ObjectKey) -> String {
        let wanted = self.desired.objects.get(key).and_then(|w| w.object.as_ref().ok());
        let own = wanted.and_then(|full| version_of(full)).filter(|version| serves(task.kind, version));
        own.unwrap_or(&task.version).to_owned()
    }

    fn wants(&self, task: &Task<'a>, key: &ObjectKey, meta: &Meta) -> bool {
        if let Some(names) = &task.names {
            return names.contains(key.name.as_str());
        }
        if self.selection.reach(key) == Reach::Out {
            return false;
        }
        let label = |name: &str| meta.labels.as_ref()?.get(name).map(String::as_str);
        // What had the labels at the moment belongs to the selection too.
        self.labels.matches(label) || self.desired.objects.contains_key(key)
    }

    async fn namespaces(&self) -> BTreeMap<String, NamespacePhase> {
        let phase = |meta: &Meta| match meta.deletion_timestamp {
            Some(_) => NamespacePhase::Terminating,
            None => NamespacePhase::Active,
        };
        if self.selection.what == What::All
            && !self.desired.is_own()
            && let Ok(metas) = self.server.metas("/api/v1/namespaces").await
        {
            return metas.iter().map(|meta| (meta.name.clone(), phase(meta))).collect();
        }
        let mut names: BTreeSet<&str> = self.desired.keys().map(|key| key.namespace.as_str()).collect();
        names.extend(self.selection.namespace());
        names.remove("");
        let kind = Discovery { resource: namespaces::NAME.to_owned(), ..Discovery::default() };
        let asked = stream::iter(names).map(|name| {
            let target = path(&kind, "v1", "", Some(name));
            async move { (name.to_owned(), self.server.meta(&target).await) }
        });
        let phases = asked.buffer_unordered(16).filter_map(|(name, meta)| async move {
            match meta {
                Ok(meta) => Some((name, phase(&meta))),
                Err(Refusal::Absent) => None,
                // Who may not read namespaces may well write in one.
                Err(_) => Some((name, NamespacePhase::Active)),
            }
        });
        phases.collect().await
    }

    async fn scalers(&self, listed: &mut BTreeMap<String, Listed>) -> BTreeMap<ObjectKey, Arc<Full>> {
        let mut out = BTreeMap::new();
        let namespaces: BTreeSet<String> = match (self.desired.source.extent(), self.selection.namespace()) {
            (Extent::Selection, Some("")) => return out,
            (Extent::Selection, namespace) => BTreeSet::from([namespace.unwrap_or_default().to_owned()]),
            (Extent::Own, _) => {
                let keys = self.desired.keys().map(|key| key.namespace.clone());
                keys.filter(|namespace| !namespace.is_empty()).collect()
            }
        };
        for kind in kinds::such(|kind| kind.scales.is_some()).filter_map(|key| self.table.get(&key)) {
            for namespace in &namespaces {
                match self.server.objects(&path(kind, &kind.version, namespace, None), kind, &kind.version).await {
                    Ok(objects) => {
                        out.extend(objects.into_iter().map(|o| (key_of_object(kind, &o.value), Arc::new(o))));
                    }
                    Err(refusal) => {
                        listed.entry(kind.kind_key()).or_insert_with(|| refusal.listed());
                    }
                }
            }
        }
        out
    }

    /// The uids of owners that desired objects name and that were not read.
    async fn owners(&self, live: &Live) -> BTreeMap<ObjectKey, String> {
        let kinds = references::Kinds::new(self.table.values());
        let mut asked: BTreeSet<ObjectKey> = BTreeSet::new();
        for (key, wanted) in &self.desired.objects {
            let Ok(full) = &wanted.object else { continue };
            if live.objects.get(key).is_some_and(|present| Arc::ptr_eq(&present.object, full)) {
                continue;
            }
            for owner in references(&full.value) {
                let Some(owner) = kinds.key(&owner, &key.namespace) else { continue };
                if !self.has_read(live, &owner) && !live.objects.contains_key(&owner) {
                    asked.insert(owner);
                }
            }
        }
        let uids = stream::iter(asked).map(|key| async move {
            let kind = self.table.get(&key.kind_key())?;
            let target = path(kind, &kind.version, &key.namespace, Some(&key.name));
            let meta = self.server.meta(&target).await.ok()?;
            meta.deletion_timestamp.is_none().then_some((key, meta.uid))
        });
        uids.buffer_unordered(16).filter_map(|found| async move { found }).collect().await
    }

    /// Whether an object would have been read if it were there.
    fn has_read(&self, live: &Live, key: &ObjectKey) -> bool {
        let kind = key.kind_key();
        live.kinds.get(&kind) == Some(&Listed::Whole)
            && self.protected(&kind)
            && self.selection.reach(key) == Reach::Named
            && self.labels.is_empty()
            && !self.desired.is_own()
    }

    /// The volumes of claims that would have to be created.
    async fn volumes(&self, live: &Live) -> BTreeMap<String, Arc<Full>> {
        let claims = self.desired.objects.iter().filter(|(key, _)| is_claim(key) && !live.objects.contains_key(*key));
        let volume = |wanted: &'a Wanted| wanted.object.as_ref().ok()?.value.pointer("/spec/volumeName")?.as_str();
        let names: BTreeSet<&str> =
            claims.filter_map(|(_, wanted)| volume(wanted)).filter(|name| !name.is_empty()).collect();
        self.volumes_named(names.into_iter()).await
    }

    /// The volumes of these names; one that is not there is not in the answer.
    async fn volumes_named(&self, names: impl Iterator<Item = &str>) -> BTreeMap<String, Arc<Full>> {
        let kind = Discovery { resource: VOLUMES.to_owned(), ..Discovery::default() };
        let asked = stream::iter(names).map(|name| {
            let target = path(&kind, "v1", "", Some(name));
            async move { Some((name.to_owned(), Arc::new(self.server.object(&target).await.ok()?))) }
        });
        asked.buffer_unordered(16).filter_map(|found| async move { found }).collect().await
    }

    /// What is held by namespaces and definitions that may go.
    async fn held(&self, live: &Live) -> BTreeMap<ObjectKey, Held> {
        let mut out = BTreeMap::new();
        for (key, holder) in live.objects.iter().filter(|(key, present)| self.may_take_along(key, present)) {
            let mut held = Held::default();
            let mut lists = stream::iter(self.held_kinds(key, holder, &mut held))
                .map(|(kind, namespace)| async move {
                    let place = path(kind, &kind.version, namespace, None);
                    (kind, namespace, self.server.objects(&place, kind, &kind.version).await)
                })
                .buffer_unordered(8);
            while let Some((kind, namespace, list)) = lists.next().await {
                held.places.push(place(kind, namespace));
                match list {
                    Ok(objects) => {
                        held.objects.extend(objects.into_iter().map(|o| (key_of_object(kind, &o.value), present(o))));
                    }
                    // There are none of what is not served.
                    Err(Refusal::NoPath(_) | Refusal::Absent) => {}
                    Err(refusal) => {
                        held.unread.insert(kind.kind_key(), refusal.to_string());
                    }
                }
            }
            drop(lists);
            out.insert(key.clone(), held);
        }
        out
    }

    /// Whether a deletion of it may be planned, which takes more along.
    fn may_take_along(&self, key: &ObjectKey, present: &Present) -> bool {
        let may = self.selection.widen.allow_delete.contains(&key.kind_key()) || self.desired.created.contains_key(key);
        kinds::of(key).holds.is_some() && may && self.may_go(key, present)
    }

    /// Whether an object may have to be deleted, for good or to be created again.
    fn may_go(&self, key: &ObjectKey, present: &Present) -> bool {
        let wanted = self.desired.objects.get(key).filter(|wanted| !wanted.is_absent());
        wanted.is_none_or(|wanted| {
            let full = wanted.object.as_ref().ok().filter(|full| !Arc::ptr_eq(full, &present.object));
            full.is_some_and(|full| !rules::recreate(&key.kind_key(), &full.value, &present.object.value).is_empty())
        })
    }

    /// The kinds that a namespace or a definition may hold, each with the namespace to look in; those that cannot be seen
    /// are noted.
    fn held_kinds<'k>(
        &'k self,
        key: &'k ObjectKey,
        holder: &Present,
        held: &mut Held,
    ) -> Vec<(&'k Discovery, &'k str)> {
        if kinds::of(key).holds == Some(Holds::Namespace) {
            return self
                .table
                .values()
                .filter(|kind| kind.namespaced && lasts(kind))
                .map(|kind| (kind, key.name.as_str()))
                .collect();
        }
        let text = |path: &str| holder.object.value.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let kind = kind_key(text("/spec/group"), text("/spec/names/plural"));
        if let Some(kind) = self.table.get(&kind).filter(|kind| !kind.gone) {
            return vec![(kind, "")];
        }
        held.unread.insert(kind, "not served now".to_owned());
        Vec::new()
    }

    /// Workloads beside a selection that has configuration and not them.
    async fn readers(&self) -> BTreeMap<ObjectKey, Present> {
        let mut out = BTreeMap::new();
        let Some(namespace) = self.selection.namespace().filter(|n| !n.is_empty()) else { return out };
        let config = kinds::such(|kind| kind.config.is_some()).any(|kind| self.selection.wants_kind(&kind, true));
        if !config || !self.selection.is_narrowed() || self.desired.is_own() {
            return out;
        }
        for kind in kinds::such(|kind| kind.rollout.is_some()).filter_map(|key| self.table.get(&key)) {
            let target = path(kind, &kind.version, namespace, None);
            for object in self.server.objects(&target, kind, &kind.version).await.unwrap_or_default() {
                out.insert(key_of_object(kind, &object.value), present(object));
            }
        }
        out
    }
}

/// The objects of a kind in a namespace, or in all.
fn place(kind: &Discovery, namespace: &str) -> HeldIn {
    HeldIn {
        group: kind.group.clone(),
        version: kind.version.clone(),
        resource: kind.resource.clone(),
        namespace: namespace.to_owned(),
        name: String::new(),
    }
}

/// Whether objects of a kind are kept and can be deleted, and mean something.
fn lasts(kind: &Discovery) -> bool {
    let has = |verb: &str| kind.verbs.is_empty() || kind.verbs.iter().any(|v| v == verb);
    !kind.gone && has("list") && has("delete") && !is_infrastructure(&kind.kind_key())
}

fn serves(kind: &Discovery, version: &str) -> bool {
    kind.served.is_empty() || kind.served.iter().any(|served| served == version)
}

/// The version an object is written in.
fn version_of(full: &Full) -> Option<&str> {
    let api = full.value.get("apiVersion")?.as_str()?;
    Some(api.rsplit('/').next().unwrap_or(api))
}

/// Whether what is there is what was: the same object in the same version.
fn unchanged(wanted: &Wanted, meta: &Meta) -> bool {
    !meta.uid.is_empty() && wanted.uid == meta.uid && wanted.rv == meta.resource_version
}

fn shared(wanted: &Wanted, object: &Arc<Full>, meta: &Meta) -> Present {
    Present {
        uid: wanted.uid.clone(),
        rv: wanted.rv.clone(),
        terminating: meta.deletion_timestamp.is_some(),
        object: object.clone(),
    }
}

fn present(object: Full) -> Present {
    let text = |path: &str| object.value.pointer(path).and_then(Value::as_str).map(str::to_owned);
    Present {
        uid: text("/metadata/uid").unwrap_or_default(),
        rv: text("/metadata/resourceVersion").unwrap_or_default(),
        terminating: text("/metadata/deletionTimestamp").is_some(),
        object: Arc::new(object),
    }
}

fn key_of(kind: &Discovery, meta: &Meta) -> ObjectKey {
    ObjectKey {
        namespace: meta.namespace.clone(),
        group: kind.group.clone(),
        resource: kind.resource.clone(),
        name: meta.name.clone(),
    }
}

fn key_of_object(kind: &Discovery, value: &Value) -> ObjectKey {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    ObjectKey {
        namespace: text("/metadata/namespace"),
        group: kind.group.clone(),
        resource: kind.resource.clone(),
        name: text("/metadata/name"),
    }
}
