//! Volumes of CSI drivers, by the snapshot API of Kubernetes (`snapshot.storage.k8s.io/v1`).
//!
//! **How.** A `VolumeSnapshot` named after the tag is made in the claim's namespace; the snapshot controller and the
//! driver's sidecar make a `VolumeSnapshotContent` and the snapshot. As soon as the content is there it is told to
//! *retain* the snapshot, so that a namespace that is deleted takes no recovery point along; when the snapshot is ready, and
//! the controllers have heard of that, the `VolumeSnapshot` is deleted and the content stays, which bears the tag as labels. To delete a snapshot its content
//! is told to delete it; where there is none any more (another cluster, an emptied one), a content is made for the handle
//! first, and deleted.
//!
//! **Invariants.** (1) Names come from the tag: asked twice, the same object is met [`Csi::create`]. (2) An object without
//! our labels is never touched ([`crate::api`]), and of contents only the one of our `VolumeSnapshot` is marked as ours,
//! whatever is said of its name [`Csi::retain`]. (3) Nothing is deleted in the storage system but by the sidecar of its driver.
//!
//! Not here: which class a volume's snapshot is of, and which are of a group (`plan`); making claims from snapshots (`restorer`).

pub(crate) mod groups;
mod helpers;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt as _, future, stream};
use hindcast_cluster::path::{collection, object};
use hindcast_journal::{
    Error, Parts, Result,
    error::ErrorKind,
    parts::Micros,
    point::{Order, Tag, Taken, Volume, tags},
};
use serde_json::{Value, json};

use crate::{
    api::{Api, Came, bearing, bears, is_going, labels, selector, tag_of, time},
    driver::{self, Helper, SAID, Standing, VolumeDriver},
    scene::{map, size, text},
};

/// The driver's name in recovery points.
pub(crate) const NAME: &str = "csi";

pub(crate) const GROUP: &str = "snapshot.storage.k8s.io";
pub(crate) const VERSION: &str = "v1";
const SNAPSHOTS: &str = "volumesnapshots";
const CONTENTS: &str = "volumesnapshotcontents";

/// What tells the sidecar that a content without its `VolumeSnapshot` is to be deleted in the storage system too.
const BEING_DELETED: &str = "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted";

/// What keeps a content there until its snapshot was deleted; the sidecar takes it off.
const PROTECTION: &str = "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection";

/// An annotation of a content: the namespace of what it was made for.
const NAMESPACE: &str = "hindcast.dev/namespace";

/// A detail: when a content was told to retain its snapshot, and after how long the controllers have surely heard of that, both in
/// microseconds.
const RETAINED: &str = "retained";
const HEARD: Micros = 2_000_000;
/// What the sidecar says of a content whose snapshot is not in the storage system.
const NOT_FOUND: [&str; 2] = ["can not find snapshot", "code = NotFound"];
/// Snapshots asked for at once.
const AT_ONCE: usize = 64;
/// An annotation: when the sidecar was asked once more, and how often it is.
const ASKED: &str = "hindcast.dev/asked";
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How long a deletion in the storage system is waited for, and how often it is looked at.
const DELETION: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Takes snapshots through the API server.
#[derive(Debug, Clone)]
pub struct Csi {
    api: Api,
    groups: groups::Groups,
}

impl Csi {
    /// With this client's rights.
    pub fn new(client: kube::Client, parts: Parts) -> Self {
        let rights = "the account needs get, list, create, patch and delete of volumesnapshots and volumesnapshotcontents, and of \
                      volumegroupsnapshots and volumegroupsnapshotcontents where they are served";
        Self { api: Api::new(client, parts, rights), groups: groups::Groups::default() }
    }

    async fn create_one(&self, order: &Order) -> Result<Taken> {
        let volume = &order.volume;
        let path = snapshots(&volume.namespace);
        let annotations = annotated(order, json!({(tags::POINT): order.tag.point, (tags::CLAIM): volume.title()}));
        let mut spec = json!({"source": {"persistentVolumeClaimName": volume.claim}});
        if !order.class.is_empty()
            && let Some(spec) = spec.as_object_mut()
        {
            spec.insert("volumeSnapshotClassName".to_owned(), Value::from(order.class.clone()));
        }
        let body = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "VolumeSnapshot",
            "metadata": {
                "name": order.tag.name(), "namespace": volume.namespace,
                "labels": labels(&order.tag), "annotations": annotations,
            },
            "spec": spec,
        });
        match self.api.create(&path, &body).await {
            Ok(Came::Object(stands)) => Ok(Self::taken(&order.tag, &stands)),
            // The answer may have been lost, now or when somebody asked before.
            Ok(Came::Conflict) => self.standing_for(order, &path).await,
            Ok(Came::Absent) => Err(Error::invalid(
                format!("volume {}", volume.title()),
                "the cluster serves no snapshots, or the namespace is not there",
            )
            .with_hint("install the snapshot CRDs and the snapshot controller, or choose another way for this volume")),
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                self.standing_for(order, &path).await.map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }

    /// The snapshot of an order that stands already.
    async fn standing_for(&self, order: &Order, path: &str) -> Result<Taken> {
        let path = object(path, &order.tag.name());
        let Some(stands) = self.api.get(&path).await? else {
            return Err(Error::new(ErrorKind::Unavailable, path, "was not made"));
        };
        if !bears(&stands, &order.tag.cluster, &order.tag.id) {
            return Err(Error::invalid(path, "stands there and bears the tag of no recovery point of this cluster"));
        }
        Ok(Self::taken(&order.tag, &stands))
    }

    /// What is kept of a `VolumeSnapshot`.
    fn taken(tag: &Tag, snapshot: &Value) -> Taken {
        let mut details = BTreeMap::from([("namespace".to_owned(), text(snapshot, "/metadata/namespace"))]);
        let content = text(snapshot, "/status/boundVolumeSnapshotContentName");
        if !content.is_empty() {
            details.insert("content".to_owned(), content);
        }
        let class = text(snapshot, "/spec/volumeSnapshotClassName");
        if !class.is_empty() {
            details.insert("class".to_owned(), class);
        }
        Taken {
            tag: tag.clone(),
            driver: NAME.to_owned(),
            handle: String::new(),
            size: size(snapshot, "/status/restoreSize"),
            time: time(&text(snapshot, "/status/creationTime")),
            details,
        }
    }

    /// Adds what a `VolumeSnapshotContent` says.
    fn with_content(mut taken: Taken, content: &Value) -> Taken {
        let handle = text(content, "/status/snapshotHandle");
        let pre = text(content, "/spec/source/snapshotHandle");
        taken.handle = if handle.is_empty() { pre } else { handle };
        if let Some(size) = content.pointer("/status/restoreSize").and_then(Value::as_u64).filter(|size| *size > 0) {
            taken.size = size;
        }
        // Nanoseconds, where the VolumeSnapshot has a time.
        if let Some(nanos) = content.pointer("/status/creationTime").and_then(Value::as_i64) {
            taken.time = Some(nanos / 1000);
        }
        let put =
            [("driver", "/spec/driver"), ("content", "/metadata/name"), ("class", "/spec/volumeSnapshotClassName")];
        for (key, pointer) in put {
            let value = text(content, pointer);
            if !value.is_empty() {
                taken.details.insert(key.to_owned(), value);
            }
        }
        taken
    }

    async fn content_of(&self, taken: &Taken) -> Result<Option<Value>> {
        match taken.details.get("content") {
            Some(name) => self.api.get(&object(&contents(), name)).await,
            None => Ok(None),
        }
    }

    /// Tells a content to keep its snapshot whatever becomes of the `VolumeSnapshot`, and marks it as ours. Refuses one that
    /// is of no snapshot of ours in this namespace.
    /// Whether it had to be told.
    async fn retain(&self, tag: &Tag, namespace: &str, content: &Value) -> Result<bool> {
        if !is_of(content, tag, namespace) {
            let what = format!("VolumeSnapshotContent {}", text(content, "/metadata/name"));
            let reason =
                format!("bears another tag than {tag}, and is of no VolumeSnapshot {namespace}/{}", tag.name());
            return Err(Error::new(ErrorKind::Refused, what, reason)
                .with_hint("it is not ours to touch: see who named it as the content of a recovery point's snapshot"));
        }
        if is_retained(content, tag) {
            return Ok(false);
        }
        let path = object(&contents(), &text(content, "/metadata/name"));
        let claim = text(content, "/spec/volumeSnapshotRef/namespace");
        self.keep(&path, tag, &json!({(tags::POINT): tag.point, (NAMESPACE): claim})).await.map(|()| true)
    }

    /// Marks a content as ours, by labels and these annotations, and tells it to stay.
    async fn keep(&self, path: &str, tag: &Tag, annotations: &Value) -> Result<()> {
        let body = json!({
            "metadata": {"labels": labels(tag), "annotations": annotations}, "spec": {"deletionPolicy": "Retain"},
        });
        self.api.patch(path, &body).await.map(|_| ())
    }

    /// The content that stands under the name of one that could not be made for a deletion, if it is ours.
    async fn made_before(&self, folder: &str, kind: &str, name: &str, tag: &Tag) -> Result<Option<Value>> {
        match self.api.get(&object(folder, name)).await? {
            Some(stands) if !bears(&stands, &tag.cluster, &tag.id) => {
                Err(Error::new(ErrorKind::Refused, format!("{kind} {name}"), "stands there and is not ours")
                    .with_hint("move it away: it has the name of what the deletion of a recovery point needs"))
            }
            stands => Ok(stands),
        }
    }

    async fn selected(&self, selector: &str) -> Result<Vec<Taken>> {
        let mut found: BTreeMap<(String, u32), Taken> = BTreeMap::new();
        for snapshot in self.api.listed(&snapshots(""), selector).await? {
            let Some(tag) = tag_of(&snapshot) else { continue };
            found.insert((tag.id.clone(), tag.index), Self::taken(&tag, &snapshot));
        }
        for content in self.api.listed(&contents(), selector).await? {
            let Some(tag) = tag_of(&content) else { continue };
            let entry = found.entry((tag.id.clone(), tag.index)).or_insert_with(|| Taken::bare(tag, NAME));
            *entry = Self::with_content(entry.clone(), &content);
            groups::member(entry, &content);
        }
        self.in_groups(selector, &mut found).await?;
        Ok(found.into_values().collect())
    }

    /// Deletes the snapshot of a content by way of its driver: does what is still to be done for that until there is no such
    /// content. What its controllers read late may undo what was done once.
    async fn delete_content(&self, folder: &str, content: &Value) -> Result<()> {
        let path = object(folder, &text(content, "/metadata/name"));
        let began = self.api.parts.clock.monotonic();
        let mut asked = began;
        let (mut now, mut last) = (Some(content.clone()), None);
        while let Some(content) = now {
            let step = Step::of(&content);
            if last.replace(step) == Some(step) {
                self.api.parts.clock.sleep(LOOK_EVERY).await;
            }
            let at = self.api.parts.clock.monotonic();
            match step {
                Step::Mark => {
                    let body = json!({
                        "metadata": {"annotations": {(Of::content(&content).mark): "yes"}},
                        "spec": {"deletionPolicy": "Delete"},
                    });
                    self.api.patch(&path, &body).await?;
                }
                Step::Remove => self.api.remove(&path, &text(&content, "/metadata/uid")).await?,
                // A sidecar that meets an older state when it tries again forgets what it was to do, until something changes.
                Step::Look | Step::Delete if at.saturating_sub(asked) > ASK_AGAIN => {
                    asked = at;
                    let body = json!({"metadata": {"annotations": {(ASKED): self.api.parts.clock.now().to_string()}}});
                    self.api.patch(&path, &body).await?;
                }
                Step::Look | Step::Delete => {}
            }
            if at.saturating_sub(began) > DELETION {
                let done = if step == Step::Look { "looked for" } else { "deleted" };
                let why = text(&content, "/status/error/message");
                let why = if why.is_empty() { why } else { format!(": {why}") };
                let reason = format!("its driver has not {done} the snapshot within {} s{why}", DELETION.as_secs());
                return Err(Error::new(ErrorKind::Unavailable, path, reason)
                    .with_hint("look at the driver's csi-snapshotter, then `hindcast point gc` goes on with it"));
            }
            now = self.api.get(&path).await?;
        }
        Ok(())
    }
}

/// What is to be done next for a content to be deleted with its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It has to be told that its snapshot goes with it. The sidecar writes back all annotations that it has read, and so
    /// takes this one off again if it had read them before.
    Mark,
    /// The sidecar has to look for the snapshot first. A content that was made for a handle goes without its snapshot if it
    /// is deleted before that.
    Look,
    /// It has to be removed.
    Remove,
    /// The sidecar has to delete the snapshot.
    Delete,
}

/// Where a content has what matters to its deletion.
struct Of {
    /// What tells the sidecar to delete.
    mark: &'static str,
    /// What it was made for, if it was made for what is there.
    given: &'static str,
    /// What the sidecar has found.
    seen: &'static str,
}

impl Of {
    fn content(content: &Value) -> Self {
        match content.pointer("/spec/volumeGroupSnapshotRef") {
            None => Self { mark: BEING_DELETED, given: "/spec/source/snapshotHandle", seen: "/status/snapshotHandle" },
            Some(_) => Self {
                mark: groups::BEING_DELETED,
                given: "/spec/source/groupSnapshotHandles/volumeGroupSnapshotHandle",
                seen: "/status/volumeGroupSnapshotHandle",
            },
        }
    }
}

impl Step {
    fn of(content: &Value) -> Self {
        let Of { mark, given, seen } = Of::content(content);
        let marked = map(content, "/metadata/annotations").contains_key(mark);
        if !marked || text(content, "/spec/deletionPolicy") != "Delete" {
            return Self::Mark;
        }
        if is_going(content) {
            return Self::Delete;
        }
        let said = text(content, "/status/error/message");
        let seen = !text(content, seen).is_empty() || NOT_FOUND.iter().any(|words| said.contains(words));
        if !text(content, given).is_empty() && !seen { Self::Look } else { Self::Remove }
    }
}

#[async_trait]
impl VolumeDriver for Csi {
    fn name(&self) -> &str {
        NAME
    }

    fn takes(&self, volume: &Volume) -> std::result::Result<(), String> {
        let built_in = ["kubernetes.io/", "nfs", "hostPath", "local", "unknown"];
        match built_in.iter().any(|prefix| volume.driver.starts_with(prefix)) {
            true => Err(format!("is of {}, which is no CSI driver", volume.driver)),
            false => Ok(()),
        }
    }

    async fn create(&self, orders: &[Order]) -> Vec<Result<Taken>> {
        let groups = groups::whole(orders);
        let of_group: BTreeSet<u32> = groups.iter().flatten().map(|order| order.tag.index).collect();
        let alone = orders.iter().filter(|order| !of_group.contains(&order.tag.index));
        let alone: Vec<_> = alone.map(|order| async move { (order.tag.index, self.create_one(order).await) }).collect();
        let groups: Vec<_> = groups.iter().map(|group| self.create_group(group)).collect();
        let alone = stream::iter(alone).buffered(AT_ONCE).collect::<Vec<_>>();
        let (groups, alone) = future::join(future::join_all(groups), alone).await;
        let mut made: BTreeMap<u32, Result<Taken>> = groups.into_iter().flatten().chain(alone).collect();
        let none = |order: &Order| Err(Error::internal(order.tag.to_string(), "was not asked for"));
        orders.iter().map(|order| made.remove(&order.tag.index).unwrap_or_else(|| none(order))).collect()
    }

    fn ordered(&self, order: &Order, found: Taken) -> Taken {
        groups::ordered(order, found)
    }

    async fn look(&self, taken: &Taken) -> Result<(Taken, Standing)> {
        if let Some(group) = taken.details.get(groups::GROUP) {
            return self.look_in_group(taken, group).await;
        }
        let namespace = taken.details.get("namespace").map_or("", String::as_str);
        let snapshot = match namespace.is_empty() {
            true => None,
            false => self.api.get(&object(&snapshots(namespace), &taken.tag.name())).await?,
        };
        let snapshot = snapshot.filter(|snapshot| bears(snapshot, &taken.tag.cluster, &taken.tag.id));
        let mut now = match &snapshot {
            Some(snapshot) => {
                let mut now = Self::taken(&taken.tag, snapshot);
                now.handle.clone_from(&taken.handle);
                if let Some(driver) = taken.details.get("driver") {
                    now.details.insert("driver".to_owned(), driver.clone());
                }
                now
            }
            None => taken.clone(),
        };
        let Some(content) = self.content_of(&now).await? else {
            let Some(snapshot) = snapshot else { return Ok((now, Standing::Gone)) };
            let why = text(&snapshot, "/status/error/message");
            // What the controller tells before there is a content will not pass by itself: no class, no claim.
            return Ok((now, if why.is_empty() { Standing::Asked } else { Standing::Failed(why) }));
        };
        let clock = self.api.parts.clock.now();
        let mut told = taken.details.get(RETAINED).and_then(|told| told.parse::<Micros>().ok());
        if self.retain(&taken.tag, namespace, &content).await? {
            told = Some(clock);
        }
        now = Self::with_content(now, &content);
        now.details.remove(SAID);
        now.details.remove(RETAINED);
        // Whoever deletes contents may not have heard of it yet, and would take the snapshot along.
        let unheard = told.filter(|told| snapshot.is_some() && clock.saturating_sub(*told) < HEARD);
        if is_ready(&content) && !now.handle.is_empty() && unheard.is_none() {
            // The namespace is the user's: nothing of ours stays in it.
            if let Some(snapshot) = snapshot {
                let path = object(&snapshots(namespace), &taken.tag.name());
                self.api.remove(&path, &text(&snapshot, "/metadata/uid")).await?;
            }
            return Ok((now, Standing::Ready));
        }
        // The sidecar tries again by itself what failed, for as long as it is waited for.
        let mut now = driver::saying(now, text(&content, "/status/error/message"));
        now.details.extend(told.map(|told| (RETAINED.to_owned(), told.to_string())));
        let cut = now.time.is_some() && !now.handle.is_empty();
        let standing = if cut { Standing::Cut(None) } else { Standing::Asked };
        Ok((now, standing))
    }

    async fn find(&self, cluster: &str, id: &str) -> Result<Vec<Taken>> {
        self.selected(&bearing(cluster, Some(id))).await
    }

    async fn all(&self, cluster: &str) -> Result<Vec<Taken>> {
        self.selected(&bearing(cluster, None)).await
    }

    async fn helpers(&self) -> Result<Vec<Helper>> {
        self.idle_helpers().await
    }

    async fn remove(&self, helper: &Helper) -> Result<()> {
        self.api.remove(&helper.path, &helper.uid).await
    }

    async fn delete(&self, taken: &Taken) -> Result<()> {
        if let Some(group) = taken.details.get(groups::GROUP) {
            return self.delete_group(taken, group).await;
        }
        let tag = &taken.tag;
        let namespace = taken.details.get("namespace").map_or("", String::as_str);
        if !namespace.is_empty() {
            let path = object(&snapshots(namespace), &tag.name());
            if let Some(snapshot) = self.api.get(&path).await?.filter(|snapshot| bears(snapshot, &tag.cluster, &tag.id))
            {
                // Its content keeps the snapshot from here on; without one, the controller sees to what was begun.
                let content = text(&snapshot, "/status/boundVolumeSnapshotContentName");
                if !content.is_empty()
                    && let Some(content) = self.api.get(&object(&contents(), &content)).await?
                    && is_of(&content, tag, namespace)
                {
                    self.retain(tag, namespace, &content).await?;
                }
                self.api.remove(&path, &text(&snapshot, "/metadata/uid")).await?;
            }
        }
        let mut left = self.api.listed(&contents(), &selector(tag)).await?;
        if left.is_empty() && !taken.handle.is_empty() {
            left.extend(self.content_for(taken).await?);
        }
        for content in &left {
            self.delete_content(&contents(), content).await?;
        }
        Ok(())
    }
}

impl Csi {
    /// A content for a snapshot that this cluster knows nothing of, so that its driver can delete it.
    async fn content_for(&self, taken: &Taken) -> Result<Option<Value>> {
        let Some(driver) = taken.details.get("driver") else { return Ok(None) };
        let name = taken.tag.name();
        let body = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "VolumeSnapshotContent",
            "metadata": {
                "name": name, "labels": labels(&taken.tag), "annotations": {(tags::POINT): taken.tag.point},
                // Without it the content would be gone before its driver's sidecar has seen it, and the snapshot would stay.
                "finalizers": [PROTECTION],
            },
            "spec": {
                "driver": driver, "deletionPolicy": "Delete", "source": {"snapshotHandle": taken.handle},
                "volumeSnapshotRef": {
                    "name": name,
                    "namespace": taken.details.get("namespace").map_or("default", String::as_str),
                },
            },
        });
        match self.api.create(&contents(), &body).await? {
            Came::Object(content) => Ok(Some(content)),
            Came::Conflict => self.made_before(&contents(), "VolumeSnapshotContent", &name, &taken.tag).await,
            Came::Absent => Err(Error::new(
                ErrorKind::Refused,
                format!("snapshot {}", taken.handle),
                "the cluster serves no snapshots, so nobody can ask its driver to delete it",
            )
            .with_hint("install the snapshot CRDs and the driver, or delete it in the storage system by hand")),
        }
    }
}

/// What an order's snapshot is annotated with: its own, and the tags that the user wants.
fn annotated(order: &Order, mut own: Value) -> Value {
    if let Some(map) = own.as_object_mut() {
        map.extend(order.tags.iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))));
    }
    own
}

/// Whether a content is told to stay, and marked as of the point of a tag.
fn is_retained(content: &Value, tag: &Tag) -> bool {
    text(content, "/spec/deletionPolicy") == "Retain" && bears(content, &tag.cluster, &tag.id)
}

/// Whether what a content is of can be used.
fn is_ready(content: &Value) -> bool {
    content.pointer("/status/readyToUse").and_then(Value::as_bool) == Some(true)
}

/// Whether a content is of the snapshot of a tag: it bears that, or is of the `VolumeSnapshot` of its name in a namespace.
fn is_of(content: &Value, tag: &Tag, namespace: &str) -> bool {
    let of = |pointer: &str| text(content, &format!("/spec/volumeSnapshotRef/{pointer}"));
    let refers = !namespace.is_empty() && of("namespace") == namespace && of("name") == tag.name();
    refers || (bears(content, &tag.cluster, &tag.id) && tag_of(content).is_some_and(|borne| borne.index == tag.index))
}

pub(crate) fn snapshots(namespace: &str) -> String {
    collection(GROUP, VERSION, namespace, SNAPSHOTS)
}

pub(crate) fn contents() -> String {
    collection(GROUP, VERSION, "", CONTENTS)
}

#[cfg(test)]
mod tests;
