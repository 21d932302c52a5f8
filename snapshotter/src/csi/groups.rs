//! Volumes whose snapshots are of one instant: a `VolumeGroupSnapshot` of the claims with a label in common.
//!
//! **How.** The group is made in the claims' namespace and bears the tag of its first volume, and which volumes are to be of
//! it. The controllers make a content for it, and a `VolumeSnapshot` with a content for each volume. All contents are told
//! to retain and marked as ours; then the group is deleted, and with it the `VolumeSnapshot`s, and the namespace is as it was. The
//! group's content stays for the deletion, each volume's for its snapshot. Where there is none any more, the group's content is made
//! anew of the handles.
//!
//! **Invariants.** (1) A group is whole, or nothing: its snapshots are ready together, and one that fails fails all
//! ([`crate::make`]); so deleting one of them deletes the group. (2) Only contents of our group and of its own `VolumeSnapshot`s are marked
//! as ours [`Csi::mark_members`]. (3) The sidecar deletes no snapshot of a group but with its group.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use hindcast_cluster::path::{collection, object};
use hindcast_journal::{
    Error, Result,
    error::ErrorKind,
    parts::Micros,
    point::{Order, Tag, Taken, tags},
};
use serde_json::{Value, json};

use super::{Csi, DELETION, HEARD, LOOK_EVERY, NAME, NAMESPACE, annotated, contents, is_ready, is_retained, snapshots};
use crate::{
    api::{Came, bearing, bears, is_going, labels, selector, tag_of, time},
    driver::{self, Standing},
    scene::{map, size, text, texts},
};

/// A detail: the `VolumeGroupSnapshot` that a snapshot is, or was, of.
pub(crate) const GROUP: &str = "group";
/// A detail: the volume in the storage system.
const SOURCE: &str = "source";
/// A detail: the group in the storage system.
const HANDLE: &str = "groupHandle";
/// A detail of the first of a group: all of its snapshots in the storage system.
const MEMBERS: &str = "groupSnapshots";

const API: &str = "groupsnapshot.storage.k8s.io";
const PROTECTION: &str = "groupsnapshot.storage.kubernetes.io/volumegroupsnapshotcontent-bound-protection";
pub(super) const BEING_DELETED: &str = "groupsnapshot.storage.kubernetes.io/volumegroupsnapshot-being-deleted";
/// An annotation of what stands for a group: its name.
const NAMED: &str = "hindcast.dev/group";
/// The volumes that are of it, by their handles, each with its index.
const VOLUMES: &str = "hindcast.dev/group-volumes";

/// An annotation of the controller: the group in the storage system that a snapshot's content is of.
const MEMBER_OF: &str = "groupsnapshot.storage.k8s.io/volumeGroupSnapshotHandle";
/// What the controller puts on a `VolumeSnapshot` that it will take off again.
const SETTLED: [&str; 2] = [
    "snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection",
    "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection",
];
/// How long the `VolumeSnapshot`s of a group that is gone may stay.
const RELEASE: Duration = Duration::from_secs(5);

/// For how long what was seen of a group holds: each of its snapshots is looked at by itself.
const FRESH: Duration = Duration::from_millis(250);

/// The groups that are being looked at, by name.
pub(super) type Groups = Arc<std::sync::Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Looked>>>>>;

/// What was seen of a group the last time.
#[derive(Debug, Default)]
pub(super) struct Looked {
    at: Option<Duration>,
    seen: Seen,
    /// When one of its contents was told to stay.
    told: Option<Micros>,
}

/// How a group stands.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// Groups are served.
    served: bool,
    /// It is there, and stays for now.
    there: bool,
    /// What the controller says of it.
    said: String,
    /// Its content.
    content: Option<Value>,
    /// The contents of its snapshots that are marked, by their index.
    members: BTreeMap<u32, Value>,
    /// All of it is ready, and was let go of.
    ready: bool,
}

/// Of orders those that are of a group that is whole.
pub(super) fn whole(orders: &[Order]) -> Vec<Vec<&Order>> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Order>> = BTreeMap::new();
    for order in orders {
        if let Some(group) = &order.group {
            groups.entry((&order.volume.namespace, &group.value)).or_default().push(order);
        }
    }
    let all_there =
        |of: &Vec<&Order>| of.iter().all(|one| one.group.as_ref().is_some_and(|group| group.of == of.len()));
    groups.into_values().filter(all_there).collect()
}

/// What only the order knows of a snapshot.
pub(super) fn ordered(order: &Order, mut found: Taken) -> Taken {
    if let (Some(group), true) = (&order.group, found.details.contains_key(GROUP)) {
        found.details.insert(SOURCE.to_owned(), order.volume.handle.clone());
        found.details.insert(Taken::GROUP.to_owned(), group.value.clone());
    }
    found
}

impl Csi {
    /// The version of groups that is served, if they are.
    async fn version(&self) -> Result<Option<String>> {
        let group = self.api.get(&format!("/apis/{API}")).await?;
        Ok(group.map(|group| text(&group, "/preferredVersion/version")).filter(|version| !version.is_empty()))
    }

    /// Asks for a group; one answer for each order.
    pub(super) async fn create_group(&self, orders: &[&Order]) -> Vec<(u32, Result<Taken>)> {
        let made = self.group_of(orders).await;
        let each = orders.iter().map(|order| {
            let taken = made.as_ref().map(|name| {
                let mut taken = Taken::bare(order.tag.clone(), NAME);
                taken.details.insert("namespace".to_owned(), order.volume.namespace.clone());
                taken.details.insert(GROUP.to_owned(), name.clone());
                ordered(order, taken)
            });
            (order.tag.index, taken.map_err(|error| error.about(format!("volume {}", order.volume.title()))))
        });
        each.collect()
    }

    /// The name of the group that was made of these, or stands already.
    async fn group_of(&self, orders: &[&Order]) -> Result<String> {
        let first = orders.iter().min_by_key(|order| order.tag.index);
        let Some((first, group)) = first.and_then(|first| Some((first, first.group.as_ref()?))) else {
            return Err(Error::invalid("a group of volumes", "has no volume"));
        };
        let what = || format!("volume group {} of namespace {}", group.value, first.volume.namespace);
        let Some(version) = self.version().await? else {
            return Err(Error::invalid(what(), "the cluster serves no group snapshots")
                .with_hint(format!("install the CRDs of {API}, or take the label {} off the claims", group.label)));
        };
        let name = format!("{}-group", first.tag.name());
        let volumes: BTreeMap<&str, u32> =
            orders.iter().map(|order| (order.volume.handle.as_str(), order.tag.index)).collect();
        let annotations =
            annotated(first, json!({(tags::POINT): first.tag.point, (VOLUMES): json!(volumes).to_string()}));
        let body = json!({
            "apiVersion": format!("{API}/{version}"),
            "kind": "VolumeGroupSnapshot",
            "metadata": {
                "name": name, "namespace": first.volume.namespace,
                "labels": labels(&first.tag), "annotations": annotations,
            },
            "spec": {
                "volumeGroupSnapshotClassName": group.class,
                "source": {"selector": {"matchLabels": {(group.label.as_str()): group.value}}},
            },
        });
        let folder = group_snapshots(&version, &first.volume.namespace);
        let trouble = match self.api.create(&folder, &body).await {
            Ok(Came::Object(_)) => return Ok(name),
            Ok(Came::Absent) => return Err(Error::invalid(what(), "its namespace is not there")),
            Ok(Came::Conflict) => None,
            // The answer may have been lost.
            Err(error) if error.kind() == ErrorKind::Unavailable => Some(error),
            Err(error) => return Err(error),
        };
        let path = object(&folder, &name);
        match self.api.get(&path).await {
            Ok(Some(stands)) if bears(&stands, &first.tag.cluster, &first.tag.id) => Ok(name),
            Ok(Some(_)) => {
                Err(Error::invalid(path, "stands there and bears the tag of no recovery point of this cluster"))
            }
            Ok(None) | Err(_) => {
                Err(trouble.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, path, "was not made")))
            }
        }
    }

    /// How a snapshot of a group stands.
    pub(super) async fn look_in_group(&self, taken: &Taken, group: &str) -> Result<(Taken, Standing)> {
        let looked = {
            let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(groups.entry(group.to_owned()).or_default())
        };
        let seen = {
            let mut looked = looked.lock().await;
            let now = self.api.parts.clock.monotonic();
            if looked.at.is_none_or(|at| now.saturating_sub(at) >= FRESH) {
                // What another process told may not have been heard yet.
                let mut told = looked.told.unwrap_or_else(|| self.api.parts.clock.now());
                let seen = self.advance(taken, group, &mut told).await;
                looked.told = Some(told);
                looked.seen = seen?;
                looked.at = Some(self.api.parts.clock.monotonic());
            }
            looked.seen.clone()
        };
        if !seen.there {
            self.groups.lock().unwrap_or_else(PoisonError::into_inner).remove(group);
        }
        let mut now = taken.clone();
        if let Some(content) = &seen.content {
            now = with_group(now, content);
        }
        if let Some(member) = seen.members.get(&taken.tag.index) {
            now = Self::with_content(now, member);
        }
        if !seen.there {
            // It was let go of when all of it was ready.
            let member = self.api.listed(&contents(), &selector(&taken.tag)).await?.into_iter().next();
            let stays = |content: &Value| text(content, "/spec/deletionPolicy") == "Retain" && !is_going(content);
            let held = !seen.served || seen.content.as_ref().is_some_and(stays);
            let Some(member) = member.filter(|member| held && stays(member) && is_ready(member)) else {
                return Ok((now, Standing::Gone));
            };
            let now = Self::with_content(now, &member);
            let standing = if now.handle.is_empty() { Standing::Gone } else { Standing::Ready };
            return Ok((now, standing));
        }
        if seen.ready {
            return Ok((driver::saying(now, String::new()), Standing::Ready));
        }
        let Some(content) = &seen.content else {
            return Ok((now, if seen.said.is_empty() { Standing::Asked } else { Standing::Failed(seen.said) }));
        };
        let now = driver::saying(now, text(content, "/status/error/message"));
        if text(content, "/status/volumeGroupSnapshotHandle").is_empty() {
            return Ok((now, Standing::Asked));
        }
        if is_ready(content) && now.handle.is_empty() {
            return Ok((now, Standing::Failed(format!("the group snapshot {group} was made without it"))));
        }
        let cut = now.time.is_some() && !now.handle.is_empty();
        Ok((now, if cut { Standing::Cut(None) } else { Standing::Asked }))
    }

    /// Does what is to be done for a group by now: tells its contents to stay, and lets go of it when all are ready. How it
    /// stands then; `told` is when one was told last.
    async fn advance(&self, taken: &Taken, group: &str, told: &mut Micros) -> Result<Seen> {
        let mut seen = Seen::default();
        let tag = &taken.tag;
        let namespace = taken.details.get("namespace").map_or("", String::as_str);
        let Some(version) = self.version().await? else { return Ok(seen) };
        seen.served = true;
        let folder = group_contents(&version);
        let path = object(&group_snapshots(&version, namespace), group);
        let standing = if namespace.is_empty() { None } else { self.api.get(&path).await? };
        let standing = standing.filter(|standing| bears(standing, &tag.cluster, &tag.id) && !is_going(standing));
        let Some(standing) = standing else {
            seen.content = self.contents_of(&folder, tag, group).await?.into_iter().next();
            return Ok(seen);
        };
        seen.there = true;
        seen.said = text(&standing, "/status/error/message");
        let bound = text(&standing, "/status/boundVolumeGroupSnapshotContentName");
        let Some(content) = self.api.named(&folder, &bound).await? else { return Ok(seen) };
        let held = is_held(&standing, &content);
        if !held {
            *told = self.api.parts.clock.now();
        }
        self.retain_group(&standing, &content, &folder).await?;
        let whole = held && is_ready(&content);
        seen.content = Some(content);
        let members = self.mark_members(&standing, namespace, told).await?;
        let volumes = volumes(&standing);
        let all = volumes.values().all(|index| members.get(index).is_some_and(|member| member.1));
        seen.members = members.into_iter().map(|(index, (content, _))| (index, content)).collect();
        if whole && all && self.api.parts.clock.now().saturating_sub(*told) >= HEARD {
            self.api.remove(&path, &text(&standing, "/metadata/uid")).await?;
            seen.ready = true;
        }
        Ok(seen)
    }

    /// Holds the content of a group, if there is one, also one that the group does not name yet.
    async fn hold(&self, standing: &Value, folder: &str) -> Result<()> {
        let bound = text(standing, "/status/boundVolumeGroupSnapshotContentName");
        let name = match bound.is_empty() {
            true => format!("groupsnapcontent-{}", text(standing, "/metadata/uid")),
            false => bound,
        };
        if let Some(content) = self.api.get(&object(folder, &name)).await? {
            self.retain_group(standing, &content, folder).await?;
        }
        Ok(())
    }

    /// Waits until there is no such group any more.
    async fn ended(&self, path: &str) -> Result<()> {
        let clock = &self.api.parts.clock;
        let began = clock.monotonic();
        while self.api.get(path).await?.is_some() {
            if clock.monotonic().saturating_sub(began) > DELETION {
                let reason = format!("is not gone within {} s", DELETION.as_secs());
                return Err(Error::new(ErrorKind::Unavailable, path, reason)
                    .with_hint("look at the snapshot controller, then `hindcast point gc` goes on with it"));
            }
            clock.sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Marks the contents of a group's snapshots and tells them to stay: those that are there, by their index, each with whether
    /// it is ready and its `VolumeSnapshot` may be let go of.
    async fn mark_members(
        &self,
        standing: &Value,
        namespace: &str,
        told: &mut Micros,
    ) -> Result<BTreeMap<u32, (Value, bool)>> {
        let mut members = BTreeMap::new();
        let Some(tag) = tag_of(standing) else { return Ok(members) };
        let group = text(standing, "/metadata/name");
        let volumes = volumes(standing);
        for snapshot in self.members_of(standing, namespace).await? {
            let bound = text(&snapshot, "/status/boundVolumeSnapshotContentName");
            let Some(content) = self.api.named(&contents(), &bound).await? else { continue };
            let of = |pointer: &str| text(&content, &format!("/spec/volumeSnapshotRef/{pointer}"));
            let ours = of("namespace") == namespace && of("name") == text(&snapshot, "/metadata/name");
            // A claim that was labelled since is of the group, and of no point.
            let index = volumes.get(&text(&content, "/spec/source/volumeHandle"));
            let Some(index) = index.filter(|_| ours) else { continue };
            let tag = Tag { index: *index, ..tag.clone() };
            let held = is_retained(&content, &tag);
            if !held {
                *told = self.api.parts.clock.now();
                self.retain_member(&tag, &group, &content).await?;
            }
            let ready = held && is_ready(&content) && is_settled(&snapshot);
            members.insert(*index, (content, ready));
        }
        Ok(members)
    }

    /// The `VolumeSnapshot`s of a group.
    async fn members_of(&self, standing: &Value, namespace: &str) -> Result<Vec<Value>> {
        let uid = text(standing, "/metadata/uid");
        let mut all = self.api.listed(&snapshots(namespace), "").await?;
        all.retain(|snapshot| {
            let owners = snapshot.pointer("/metadata/ownerReferences").and_then(Value::as_array);
            owners.into_iter().flatten().any(|owner| text(owner, "/uid") == uid)
        });
        Ok(all)
    }

    /// Tells the content of a group to stay whatever becomes of the group, and marks it as ours. The sidecar may write back
    /// annotations as it had read them before.
    async fn retain_group(&self, standing: &Value, content: &Value, folder: &str) -> Result<()> {
        let name = text(content, "/metadata/name");
        let of = |pointer: &str| text(content, &format!("/spec/volumeGroupSnapshotRef/{pointer}"));
        let is = |pointer: &str| text(standing, &format!("/metadata/{pointer}"));
        let Some(tag) = tag_of(standing).filter(|_| of("namespace") == is("namespace") && of("name") == is("name"))
        else {
            let what = format!("VolumeGroupSnapshotContent {name}");
            let reason = format!("is not of VolumeGroupSnapshot {}/{}", is("namespace"), is("name"));
            return Err(Error::new(ErrorKind::Refused, what, reason)
                .with_hint("it is not ours to touch: see who named it as the content of a recovery point's group"));
        };
        if is_held(standing, content) {
            return Ok(());
        }
        let volumes = map(standing, "/metadata/annotations").remove(VOLUMES).unwrap_or_default();
        let annotations = json!({
            (tags::POINT): tag.point, (NAMED): is("name"), (NAMESPACE): is("namespace"), (VOLUMES): volumes,
        });
        self.keep(&object(folder, &name), &tag, &annotations).await
    }

    /// The same of the content of one of its snapshots.
    async fn retain_member(&self, tag: &Tag, group: &str, content: &Value) -> Result<()> {
        let place = text(content, "/spec/volumeSnapshotRef/namespace");
        let annotations = json!({(tags::POINT): tag.point, (NAMED): group, (NAMESPACE): place});
        self.keep(&object(&contents(), &text(content, "/metadata/name")), tag, &annotations).await
    }

    /// The contents of a group that are marked.
    async fn contents_of(&self, folder: &str, tag: &Tag, group: &str) -> Result<Vec<Value>> {
        let mut all = self.api.listed(folder, &bearing(&tag.cluster, Some(&tag.id))).await?;
        all.retain(|content| group_of(content) == group);
        Ok(all)
    }

    /// Adds what stands for groups with these labels: each snapshot that is to be of one, or was.
    pub(super) async fn in_groups(&self, selector: &str, found: &mut BTreeMap<(String, u32), Taken>) -> Result<()> {
        let Some(version) = self.version().await? else { return Ok(()) };
        for (folder, content) in [(group_snapshots(&version, ""), false), (group_contents(&version), true)] {
            let listed = match self.api.listed(&folder, selector).await {
                Ok(listed) => listed,
                // Whoever may not read groups has made none, and goes on with what is not of one.
                Err(error) if error.kind() == ErrorKind::Denied => {
                    tracing::warn!(error = %Error::causes(&error), hint = error.hint(), "snapshots of groups cannot be looked for");
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            for stands in listed {
                let Some(tag) = tag_of(&stands) else { continue };
                let (name, namespace) = match content {
                    true => (group_of(&stands), text(&stands, "/spec/volumeGroupSnapshotRef/namespace")),
                    false => (text(&stands, "/metadata/name"), text(&stands, "/metadata/namespace")),
                };
                let mut volumes = volumes(&stands);
                if volumes.is_empty() {
                    // The first of them is known by the label alone.
                    volumes.insert(String::new(), tag.index);
                }
                for (handle, index) in volumes {
                    let tag = Tag { index, ..tag.clone() };
                    let entry = found.entry((tag.id.clone(), index)).or_insert_with(|| Taken::bare(tag, NAME));
                    entry
                        .details
                        .extend([(GROUP.to_owned(), name.clone()), ("namespace".to_owned(), namespace.clone())]);
                    if !handle.is_empty() {
                        entry.details.insert(SOURCE.to_owned(), handle);
                    }
                }
                if content {
                    let of = |taken: &&mut Taken| {
                        taken.tag.id == tag.id && taken.details.get(GROUP).is_some_and(|group| *group == name)
                    };
                    for taken in found.values_mut().filter(of) {
                        *taken = with_group(taken.clone(), &stands);
                    }
                }
            }
        }
        Ok(())
    }

    /// Deletes a group with all of its snapshots, and what stands for this one.
    pub(super) async fn delete_group(&self, taken: &Taken, group: &str) -> Result<()> {
        let tag = &taken.tag;
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).remove(group);
        if let Some(version) = self.version().await? {
            let namespace = taken.details.get("namespace").map_or("", String::as_str);
            let folder = group_contents(&version);
            let path = object(&group_snapshots(&version, namespace), group);
            let stands = if namespace.is_empty() { None } else { self.api.get(&path).await? };
            if let Some(stands) = stands.filter(|stands| bears(stands, &tag.cluster, &tag.id)) {
                // Its content keeps the snapshots from here on.
                let mut told = 0;
                self.hold(&stands, &folder).await?;
                self.mark_members(&stands, namespace, &mut told).await?;
                self.api.remove(&path, &text(&stands, "/metadata/uid")).await?;
                self.ended(&path).await?;
                // The controller may have been about to make one, and forgets it with a group that is not bound to it.
                self.hold(&stands, &folder).await?;
                self.release_members(&stands, namespace).await?;
            }
            let mut left = self.contents_of(&folder, tag, group).await?;
            if left.is_empty() {
                left.extend(self.content_for_group(taken, group, &folder).await?);
            }
            for content in &left {
                self.delete_content(&folder, content).await?;
            }
            // Once for all of them is enough.
            if !left.is_empty() || taken.details.contains_key(MEMBERS) {
                self.sweep(taken, &left).await?;
            }
        } else if taken.details.contains_key(HANDLE) {
            let what = format!("group snapshot {group}");
            return Err(Error::new(
                ErrorKind::Refused,
                what,
                "the cluster serves no group snapshots, so nobody can ask its driver to delete it",
            )
            .with_hint(format!(
                "install the CRDs of {API} and the driver, or delete it in the storage system by hand"
            )));
        }
        for content in self.api.listed(&contents(), &selector(tag)).await? {
            self.delete_content(&contents(), &content).await?;
        }
        Ok(())
    }

    /// Lets go of the `VolumeSnapshot`s of a group that is gone: the controller does so only with those that it had finished
    /// making.
    async fn release_members(&self, standing: &Value, namespace: &str) -> Result<()> {
        let clock = &self.api.parts.clock;
        let began = clock.monotonic();
        loop {
            let left = self.members_of(standing, namespace).await?;
            if left.is_empty() {
                return Ok(());
            }
            if clock.monotonic().saturating_sub(began) > RELEASE {
                for snapshot in &left {
                    let path = object(&snapshots(namespace), &text(snapshot, "/metadata/name"));
                    self.api.remove(&path, &text(snapshot, "/metadata/uid")).await?;
                    self.api.patch(&path, &json!({"metadata": {"finalizers": null}})).await?;
                }
                return Ok(());
            }
            clock.sleep(LOOK_EVERY).await;
        }
    }

    /// Deletes the contents of a group's snapshots that bear no mark of ours: of claims that were labelled late, and those that were
    /// made when the group was about to go. Their snapshots went with the group.
    async fn sweep(&self, taken: &Taken, groups: &[Value]) -> Result<()> {
        let of_group = |content: &Value| text(content, "/status/volumeGroupSnapshotHandle");
        let handles: Vec<String> =
            taken.details.get(HANDLE).cloned().into_iter().chain(groups.iter().map(of_group)).collect();
        for content in self.api.listed(&contents(), "").await? {
            let handle = map(&content, "/metadata/annotations").remove(MEMBER_OF).unwrap_or_default();
            if !handle.is_empty() && tag_of(&content).is_none() && handles.contains(&handle) {
                self.delete_content(&contents(), &content).await?;
            }
        }
        Ok(())
    }

    /// A content for a group that this cluster knows nothing of, so that its driver can delete it.
    async fn content_for_group(&self, taken: &Taken, group: &str, folder: &str) -> Result<Option<Value>> {
        let detail = |key: &str| taken.details.get(key).map(String::as_str).filter(|value| !value.is_empty());
        // The first of a group knows them all.
        let (Some(handle), Some(members), Some(driver)) = (detail(HANDLE), detail(MEMBERS), detail("driver")) else {
            return Ok(None);
        };
        let members: Vec<String> = serde_json::from_str(members).unwrap_or_default();
        let version = folder.rsplit('/').nth(1).unwrap_or_default();
        let body = json!({
            "apiVersion": format!("{API}/{version}"),
            "kind": "VolumeGroupSnapshotContent",
            "metadata": {
                "name": group, "labels": labels(&taken.tag),
                "annotations": {(tags::POINT): taken.tag.point, (NAMED): group},
                // Without it the content would be gone before its driver's sidecar has seen it, and the snapshots would stay.
                "finalizers": [PROTECTION],
            },
            "spec": {
                "driver": driver, "deletionPolicy": "Delete",
                "source": {"groupSnapshotHandles": {"volumeGroupSnapshotHandle": handle, "volumeSnapshotHandles": members}},
                "volumeGroupSnapshotRef": {"name": group, "namespace": detail("namespace").unwrap_or("default")},
            },
        });
        match self.api.create(folder, &body).await? {
            Came::Object(content) => Ok(Some(content)),
            Came::Conflict => self.made_before(folder, "VolumeGroupSnapshotContent", group, &taken.tag).await,
            Came::Absent => Ok(None),
        }
    }
}

/// Adds what the content of a group says of one of its snapshots.
fn with_group(mut taken: Taken, content: &Value) -> Taken {
    let source = taken.details.get(SOURCE).cloned().unwrap_or_default();
    // The versions before have them as pairs of handles alone.
    let lists = ["/status/volumeSnapshotInfoList", "/status/volumeSnapshotHandlePairList"];
    let members: Vec<&Value> = lists.iter().filter_map(|list| content.pointer(list)?.as_array()).flatten().collect();
    if let Some(own) = members.iter().find(|one| text(one, "/volumeHandle") == source) {
        taken.handle = text(own, "/snapshotHandle");
        let bytes = own.get("restoreSize").and_then(Value::as_u64).unwrap_or(0);
        taken.size = if bytes > 0 { bytes } else { size(own, "/restoreSize").max(taken.size) };
        let nanos = own.get("creationTime").and_then(Value::as_i64).map(|nanos| nanos / 1000);
        let of_group = time(&text(content, "/status/creationTime"));
        taken.time = nanos.or_else(|| time(&text(own, "/creationTime"))).or(of_group).or(taken.time);
    }
    let mut put =
        vec![(HANDLE, text(content, "/status/volumeGroupSnapshotHandle")), ("driver", text(content, "/spec/driver"))];
    let first = tag_of(content).is_some_and(|tag| tag.index == taken.tag.index);
    if first && !members.is_empty() {
        let handles: Vec<String> = members.iter().map(|one| text(one, "/snapshotHandle")).collect();
        put.push((MEMBERS, json!(handles).to_string()));
    }
    for (key, value) in put.into_iter().filter(|(_, value)| !value.is_empty()) {
        taken.details.insert(key.to_owned(), value);
    }
    taken
}

/// Whether the content of a group is told to stay, and bears all our marks.
fn is_held(standing: &Value, content: &Value) -> bool {
    let Some(tag) = tag_of(standing) else { return false };
    is_retained(content, &tag)
        && named(content) == text(standing, "/metadata/name")
        && volumes(content) == volumes(standing)
}

/// Whether the controller has finished making a `VolumeSnapshot` of a group: only then does it let it go with the group.
fn is_settled(snapshot: &Value) -> bool {
    let protected = texts(snapshot, "/metadata/finalizers");
    !text(snapshot, "/status/volumeGroupSnapshotName").is_empty()
        && protected.iter().any(|finalizer| SETTLED.contains(&finalizer.as_str()))
}

/// The group that the content of a group is of.
fn group_of(content: &Value) -> String {
    text(content, "/spec/volumeGroupSnapshotRef/name")
}

/// The volumes that a group says it is of: the handle of each, and its index.
fn volumes(stands: &Value) -> BTreeMap<String, u32> {
    let listed = map(stands, "/metadata/annotations").remove(VOLUMES).unwrap_or_default();
    serde_json::from_str(&listed).unwrap_or_default()
}

/// Adds what the content of a snapshot says of the group that it is of, if it is of one.
pub(super) fn member(taken: &mut Taken, content: &Value) {
    let put = [
        (GROUP, named(content)),
        (SOURCE, text(content, "/spec/source/volumeHandle")),
        (HANDLE, text(content, "/status/volumeGroupSnapshotHandle")),
    ];
    if !put.iter().any(|(_, value)| value.is_empty()) {
        taken.details.extend(put.map(|(key, value)| (key.to_owned(), value)));
    }
}

/// The group that a content says it is of; empty if of none.
fn named(content: &Value) -> String {
    map(content, "/metadata/annotations").remove(NAMED).unwrap_or_default()
}

fn group_snapshots(version: &str, namespace: &str) -> String {
    collection(API, version, namespace, "volumegroupsnapshots")
}

fn group_contents(version: &str) -> String {
    collection(API, version, "", "volumegroupsnapshotcontents")
}
