//! Volumes file by file, by Pods that copy them into a repository in the bucket.
//!
//! **How.** A mover, made of a template, runs on the node where a Pod has the volume mounted, and reads it there. It is named after
//! the tag; what it keeps bears the point's id and the volume's number, so that a mover that is started again goes on. When
//! it has ended well what it kept is looked for in the repository, and the mover is removed.
//!
//! **Words**: an order *waits* while its node has no seat free, and its mover is made by a later look.
//!
//! **Invariants.** (1) A snapshot is what the repository has, never what a mover said [`Files::kept`]. (2) A mover that cannot go
//! on is made anew a few times, then the volume is missing with the mover's own words. (3) The moment of a volume is not fixed
//! before all of it is read: writers are held, where hooks hold them, for as long. (4) What could not be read is
//! named in what is kept. (5) A mover is gone before what it kept is given up.
//!
//! Not here: which volumes are kept so ([`crate::plan`]), what a mover does (`mover`).

mod moved;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use hindcast_cluster::path::{collection, object};
use hindcast_journal::{
    Error, Parts, Result,
    error::ErrorKind,
    point::{Mounted, Order, Tag, Taken, Volume, tags},
};
use hindcast_mover::{
    Kept, Marks, Report, Repository,
    pod::{Place, Stand, Template, last_line},
};
use serde_json::{Value, json};

pub use self::moved::Moved;
pub(crate) use self::moved::NAME as MOVED;
use crate::{
    api::{Api, Came, bearing, bears, is_going, labels, tag_of, time},
    driver::{self, Copied, Helper, SAID, Standing, VolumeDriver},
    scene::{claims_of, map, text},
};

/// The driver's name in recovery points.
pub(crate) const NAME: &str = "files";

/// A label of movers of snapshots: these run on any node.
const OF_SNAPSHOT: &str = "hindcast.dev/moves";

/// A detail of an order whose node has no seat free.
const WAITS: &str = "waits";
/// A detail: since when a mover has the volume that it waited for, in microseconds.
const BOUND: &str = "bound";
/// A detail: how many movers came to nothing.
const TRIES: &str = "tries";
/// A detail: what could not be read.
pub(crate) const MISSED: &str = "missed";

/// How often a mover is made.
const MOVERS: u32 = 3;
/// How long a mover may take to start, with its image: in microseconds.
const START: i64 = 600_000_000;
/// How old what a restore made may be while its mover runs, and when that is over: in microseconds.
const MOVES: i64 = 26 * 3_600_000_000;
const IDLE: i64 = 3_600_000_000;
/// How long a mover may take to end.
const ENDS: Duration = Duration::from_mins(1);
/// How often what is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a mover is asked how far it is.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// How often the repository is cleared of what nobody keeps.
const CLEAR_EVERY: Duration = Duration::from_hours(24);
/// How long what nobody keeps stays: longer than any copy takes.
const GRACE: Duration = Duration::from_hours(23);
/// How many names of what could not be read are told.
const NAMED: usize = 5;

/// Keeps the files of volumes.
#[derive(Debug)]
pub struct Files {
    api: Api,
    repository: Repository,
    template: Template,
    place: Place,
    /// Held while seats are counted and taken.
    seats: tokio::sync::Mutex<()>,
    /// When a node was last seen without a free one.
    full: Mutex<BTreeMap<String, Duration>>,
    /// When movers were last asked how far they are, and what they said.
    asked: Mutex<BTreeMap<String, (Duration, Copied)>>,
    cleared: Mutex<Option<Duration>>,
}

impl Files {
    /// Movers of this template, for the repository of a place.
    pub fn new(client: kube::Client, parts: Parts, repository: Repository, template: Template, place: Place) -> Self {
        let rights =
            "the account needs get, list, create and delete of pods, and get of pods/log, in the namespace of movers";
        Self {
            api: Api::new(client, parts, rights),
            repository,
            template,
            place,
            seats: tokio::sync::Mutex::default(),
            full: Mutex::default(),
            asked: Mutex::default(),
            cleared: Mutex::default(),
        }
    }

    fn pods(&self) -> String {
        collection("", "v1", self.template.namespace(), "pods")
    }

    fn vessels(&self) -> String {
        collection("", "v1", self.template.namespace(), "persistentvolumeclaims")
    }

    fn helper(&self, kind: &str, folder: &str, of: &Value) -> Helper {
        let name = text(of, "/metadata/name");
        let title = format!("{kind} {}/{name}", self.template.namespace());
        Helper { title, path: object(folder, &name), uid: text(of, "/metadata/uid") }
    }

    /// Whether a restore that made this surely does not need it any more.
    fn is_left(&self, helper: &Value, moves: bool) -> bool {
        let made = time(&text(helper, "/metadata/creationTimestamp")).unwrap_or(i64::MAX);
        let age = self.api.parts.clock.now().saturating_sub(made);
        age > if moves { MOVES } else { IDLE }
    }

    fn is_own(&self, tag: &Tag) -> Result<()> {
        match tag.cluster == self.place.cluster {
            true => Ok(()),
            false => Err(Error::invalid(format!("{tag}"), "is of another cluster")),
        }
    }

    async fn mover(&self, tag: &Tag) -> Result<Option<Value>> {
        let pod = self.api.get(&object(&self.pods(), &tag.name())).await?;
        Ok(pod.filter(|pod| bears(pod, &tag.cluster, &tag.id)))
    }

    async fn remove_mover(&self, pod: &Value) -> Result<()> {
        let path = object(&self.pods(), &text(pod, "/metadata/name"));
        self.api.remove(&path, &text(pod, "/metadata/uid")).await
    }

    /// What the repository has for a tag.
    async fn kept(&self, tag: &Tag) -> Result<Option<Taken>> {
        let all = self.repository.list(Some(&tag.id)).await?;
        Ok(all.into_iter().find(|kept| kept.marks.index == tag.index).map(|kept| self.taken(kept)))
    }

    /// The same by the id that its mover said at the end: it is read alone, and all others are not.
    async fn told(&self, tag: &Tag) -> Result<Option<Taken>> {
        let said = self.last_words(tag).await;
        let Ok(said) = serde_json::from_str::<Kept>(said.trim()) else { return Ok(None) };
        let kept = self.repository.one(&said.id).await?;
        let its = |kept: &Kept| kept.marks.point == tag.id && kept.marks.index == tag.index;
        Ok(kept.filter(its).map(|kept| self.taken(kept)))
    }

    /// The last line of a mover's log; empty if there is none to read: what it says is confirmed elsewhere, or for people.
    async fn last_words(&self, tag: &Tag) -> String {
        self.api.text(&last_line(&object(&self.pods(), &tag.name()))).await.unwrap_or_default()
    }

    fn taken(&self, kept: Kept) -> Taken {
        let Marks { point, name, index, claim } = kept.marks;
        let mut details = BTreeMap::from([
            ("claim".to_owned(), claim),
            ("files".to_owned(), kept.files.to_string()),
            ("added".to_owned(), kept.added.to_string()),
        ]);
        if !kept.missed.is_empty() {
            let named = kept.missed.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
            let more = kept.missed.len().saturating_sub(NAMED);
            details.insert(MISSED.to_owned(), if more > 0 { format!("{named}; and {more} more") } else { named });
        }
        let tag = Tag { cluster: self.place.cluster.clone(), point: name, id: point, index };
        Taken { tag, driver: NAME.to_owned(), handle: kept.id, size: kept.bytes, time: Some(kept.time), details }
    }

    /// Makes movers where there are seats; those of the others wait.
    async fn seat(&self, wanted: &[Taken]) -> Vec<Result<Taken>> {
        let _one = self.seats.lock().await;
        let moving = match self.api.listed(&self.pods(), &format!("{}={}", tags::CLUSTER, self.place.cluster)).await {
            Ok(moving) => moving,
            Err(error) => {
                let (what, _) = error.thing_and_reason();
                return wanted.iter().map(|_| Err(error.about(&what))).collect();
            }
        };
        let mut busy: BTreeMap<String, usize> = BTreeMap::new();
        for pod in moving.iter().filter(|pod| !is_over(pod)) {
            let node = if of_snapshot(pod) { String::new() } else { text(pod, "/spec/nodeName") };
            *busy.entry(node).or_default() += 1;
        }
        let mut answers = Vec::with_capacity(wanted.len());
        for taken in wanted {
            let node = taken.details.get("node").cloned().unwrap_or_default();
            let seats = busy.entry(node.clone()).or_default();
            let all = if node.is_empty() { self.template.of_snapshots() } else { self.template.seats() };
            let made = if *seats < all {
                self.make(taken).await
            } else {
                let seen = self.api.parts.clock.monotonic();
                self.full.lock().unwrap_or_else(PoisonError::into_inner).insert(node, seen);
                Ok(false)
            };
            answers.push(made.map(|made| {
                *seats += usize::from(made);
                let mut now = taken.clone();
                now.details.remove(WAITS);
                now.details.extend((!made).then(|| (WAITS.to_owned(), "true".to_owned())));
                now
            }));
        }
        answers
    }

    /// Whether a node was seen without a free seat right now.
    fn is_full(&self, taken: &Taken) -> bool {
        let now = self.api.parts.clock.monotonic();
        let full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = taken.details.get("node").and_then(|node| full.get(node));
        seen.is_some_and(|seen| now.saturating_sub(*seen) < ASK_EVERY)
    }

    /// Makes a mover; `false` if an earlier one of its name has not gone yet.
    async fn make(&self, taken: &Taken) -> Result<bool> {
        let detail = |name: &str| taken.details.get(name).cloned().unwrap_or_default();
        let tag = &taken.tag;
        let marks = Marks { point: tag.id.clone(), name: tag.point.clone(), index: tag.index, claim: detail("claim") };
        let (name, mut labels) = (tag.name(), labels(tag));
        let mut body = match detail(moved::VESSEL) {
            none if none.is_empty() => {
                let mounted = Mounted { node: detail("node"), pod: detail("pod"), folder: detail("folder") };
                self.template.keeps((&name, &labels), &self.place, &marks, &mounted)
            }
            vessel => {
                labels[OF_SNAPSHOT] = json!("true");
                self.template.keeps_claim((&name, &labels), &self.place, &marks, &vessel, OF_SNAPSHOT)
            }
        };
        if let Some(annotations) = body.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.insert(tags::POINT.to_owned(), json!(tag.point));
            annotations.insert(tags::CLAIM.to_owned(), json!(marks.claim));
        }
        match self.api.create(&self.pods(), &body).await {
            Ok(Came::Object(_)) => Ok(true),
            Ok(Came::Conflict) => self.stands(tag).await,
            Ok(Came::Absent) => {
                let namespace = format!("namespace {}", self.template.namespace());
                Err(Error::new(ErrorKind::Refused, namespace, "is not there, and movers of files are to run in it")
                    .with_hint("create it, with the Secrets that the template of movers names"))
            }
            // The answer may have been lost.
            Err(error) if error.kind() == ErrorKind::Unavailable => match self.stands(tag).await {
                Ok(true) => Ok(true),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    async fn stands(&self, tag: &Tag) -> Result<bool> {
        match self.api.get(&object(&self.pods(), &tag.name())).await? {
            Some(pod) if !bears(&pod, &tag.cluster, &tag.id) => {
                let what = format!("Pod {}/{}", self.template.namespace(), tag.name());
                Err(Error::invalid(what, "stands there and bears the tag of no recovery point of this cluster")
                    .with_hint("remove it, if it is nobody's"))
            }
            Some(pod) => Ok(!is_going(&pod)),
            None => Ok(false),
        }
    }

    /// How far a mover is, as it last said.
    async fn progress(&self, tag: &Tag) -> Copied {
        let now = self.api.parts.clock.monotonic();
        let name = tag.name();
        let lock = || self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let last = lock().get(&name).copied();
        if let Some((_, copied)) = last.filter(|(asked, _)| now.saturating_sub(*asked) < ASK_EVERY) {
            return copied;
        }
        let said = self.last_words(tag).await;
        let report = serde_json::from_str::<Report>(said.trim()).ok();
        let last = last.map(|(_, copied)| copied).unwrap_or_default();
        let copied = report.map_or(last, |report| Copied { done: report.done, total: report.total, left: report.left });
        lock().insert(name, (now, copied));
        copied
    }

    fn forgotten(&self, tag: &Tag) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&tag.name());
    }

    /// How the mover of a snapshot stands.
    async fn moving(&self, pod: &Value, mut now: Taken) -> Result<(Taken, Standing)> {
        if is_going(pod) {
            return Ok((now, Standing::Asked));
        }
        match Stand::of(pod) {
            Stand::Done => {
                self.forgotten(&now.tag);
                let kept = match self.told(&now.tag).await? {
                    Some(kept) => Some(kept),
                    None => self.kept(&now.tag).await?,
                };
                self.remove_mover(pod).await?;
                Ok(match kept {
                    Some(kept) => (kept, Standing::Ready),
                    None => (now, Standing::Failed("its mover ended, and the repository has nothing of it".to_owned())),
                })
            }
            Stand::Failed(why) => {
                let tries = now.details.get(TRIES).and_then(|tries| tries.parse::<u32>().ok()).unwrap_or(1);
                self.remove_mover(pod).await?;
                // Of one that was found nothing is known but its tag.
                if tries >= MOVERS || !now.details.contains_key("node") {
                    self.forgotten(&now.tag);
                    return Ok((now, Standing::Failed(format!("{tries} movers failed, the last one: {why}"))));
                }
                now.details.insert(TRIES.to_owned(), (tries + 1).to_string());
                now.details.insert(WAITS.to_owned(), "true".to_owned());
                now.details.insert(SAID.to_owned(), why);
                Ok((now, Standing::Asked))
            }
            Stand::Loops(why) => {
                self.remove_mover(pod).await?;
                Ok((now, Standing::Failed(format!("its mover fails again and again: {why}"))))
            }
            Stand::Pending(waits) => {
                let made = time(&text(pod, "/metadata/creationTimestamp")).unwrap_or_default();
                let bound = now.details.get(BOUND).and_then(|bound| bound.parse().ok());
                let since = bound.map_or(made, |bound: i64| bound.max(made));
                if self.api.parts.clock.now().saturating_sub(since) > START {
                    self.remove_mover(pod).await?;
                    return Ok((now, Standing::Failed(format!("its mover did not start within 10 min: {waits}"))));
                }
                Ok((driver::saying(now, waits), Standing::Asked))
            }
            Stand::Running(waits) => {
                let copied = self.progress(&now.tag).await;
                Ok((driver::saying(now, waits), Standing::Copying(copied)))
            }
        }
    }

    /// What bears a cluster, of one point or of all.
    async fn bearing(&self, cluster: &str, id: Option<&str>) -> Result<Vec<Taken>> {
        if cluster != self.place.cluster {
            return Ok(Vec::new());
        }
        let mut found: BTreeMap<(String, u32), Taken> = BTreeMap::new();
        for pod in self.api.listed(&self.pods(), &bearing(cluster, id)).await? {
            let Some(tag) = tag_of(&pod) else { continue };
            found.insert((tag.id.clone(), tag.index), Taken::bare(tag, NAME));
        }
        for kept in self.repository.list(id).await? {
            let taken = self.taken(kept);
            found.insert((taken.tag.id.clone(), taken.tag.index), taken);
        }
        Ok(found.into_values().collect())
    }

    /// Waits until a mover has gone.
    async fn gone(&self, tag: &Tag) -> Result<()> {
        let clock = &self.api.parts.clock;
        let began = clock.monotonic();
        while let Some(pod) = self.mover(tag).await? {
            if !is_going(&pod) {
                self.remove_mover(&pod).await?;
            }
            if clock.monotonic().saturating_sub(began) > ENDS {
                let what = format!("Pod {}/{}", self.template.namespace(), tag.name());
                return Err(Error::new(ErrorKind::Unavailable, what, "has not ended within a minute of its deletion")
                    .with_hint("look at its node; `hindcast point gc` goes on with it"));
            }
            clock.sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

/// Whether a mover is one of a snapshot.
fn of_snapshot(pod: &Value) -> bool {
    map(pod, "/metadata/labels").contains_key(OF_SNAPSHOT)
}

/// Whether a mover takes no seat any more.
fn is_over(pod: &Value) -> bool {
    matches!(Stand::of(pod), Stand::Done | Stand::Failed(_))
}

/// Where a volume's files are below the kubelet's folder of a Pod; the reason if they are nowhere.
pub(crate) fn folder(volume: &Volume) -> std::result::Result<String, String> {
    if volume.mode == "Block" {
        return Err("is a block device, and has no files".to_owned());
    }
    let name = &volume.name;
    match volume.driver.as_str() {
        "nfs" => Ok(format!("volumes/kubernetes.io~nfs/{name}")),
        "local" => Ok(format!("volumes/kubernetes.io~local-volume/{name}")),
        "hostPath" => Err("is a folder of its node, which is not kept".to_owned()),
        "unknown" => Err("is of a kind whose place on the node is not known".to_owned()),
        // What was built in is mounted by its CSI driver.
        _ => Ok(format!("volumes/kubernetes.io~csi/{name}/mount")),
    }
}

#[async_trait]
impl VolumeDriver for Files {
    fn name(&self) -> &str {
        NAME
    }

    fn takes(&self, volume: &Volume) -> std::result::Result<(), String> {
        folder(volume).map(|_| ())
    }

    async fn create(&self, orders: &[Order]) -> Vec<Result<Taken>> {
        let wanted = orders.iter().map(|order| self.ordered(order, Taken::bare(order.tag.clone(), NAME)));
        self.seat(&wanted.collect::<Vec<_>>()).await
    }

    fn ordered(&self, order: &Order, mut found: Taken) -> Taken {
        let mounted = order.mounted.clone().unwrap_or_default();
        let details =
            [("claim", order.volume.title()), ("node", mounted.node), ("pod", mounted.pod), ("folder", mounted.folder)];
        found.details.extend(details.map(|(key, value)| (key.to_owned(), value)));
        found
    }

    async fn look(&self, taken: &Taken) -> Result<(Taken, Standing)> {
        if !taken.handle.is_empty() {
            return Ok(match self.repository.one(&taken.handle).await? {
                Some(kept) => (self.taken(kept), Standing::Ready),
                None => (taken.clone(), Standing::Gone),
            });
        }
        let mut now = taken.clone();
        if taken.details.contains_key(WAITS) {
            if self.is_full(taken) {
                return Ok((now, Standing::Asked));
            }
            let mut seated = self.seat(std::slice::from_ref(&now)).await;
            return Ok((seated.pop().unwrap_or(Ok(now))?, Standing::Asked));
        }
        now.details.remove(SAID);
        if let Some(pod) = self.mover(&taken.tag).await? {
            return self.moving(&pod, now).await;
        }
        match self.kept(&taken.tag).await? {
            Some(kept) => Ok((kept, Standing::Ready)),
            None => Ok((now, Standing::Gone)),
        }
    }

    async fn find(&self, cluster: &str, id: &str) -> Result<Vec<Taken>> {
        self.bearing(cluster, Some(id)).await
    }

    async fn all(&self, cluster: &str) -> Result<Vec<Taken>> {
        self.bearing(cluster, None).await
    }

    async fn delete(&self, taken: &Taken) -> Result<()> {
        let tag = &taken.tag;
        self.is_own(tag)?;
        self.gone(tag).await?;
        self.forgotten(tag);
        self.repository.give_up(&tag.id, tag.index).await
    }

    /// Movers that have ended well: whoever waits for one finds what it kept without it. And what a restore of files left.
    async fn helpers(&self) -> Result<Vec<Helper>> {
        let keep = self.api.listed(&self.pods(), &bearing(&self.place.cluster, None)).await?;
        let over = keep.iter().filter(|pod| Stand::of(pod) == Stand::Done);
        let mut idle: Vec<Helper> = over.map(|pod| self.helper("Pod", &self.pods(), pod)).collect();
        let movers = self.api.listed(&self.pods(), tags::FILLS).await?;
        // The claims that they have, after which those are named that fill one.
        let moves = keep.iter().chain(&movers).filter(|pod| !is_over(pod)).flat_map(claims_of);
        let moves: Vec<String> = moves.collect();
        for (kind, path, all) in [
            ("Pod", self.pods(), movers),
            ("PersistentVolumeClaim", self.vessels(), self.api.listed(&self.vessels(), tags::FILLS).await?),
        ] {
            let left = all.iter().filter(|one| self.is_left(one, moves.contains(&text(one, "/metadata/name"))));
            idle.extend(left.map(|one| self.helper(kind, &path, one)));
        }
        Ok(idle)
    }

    async fn remove(&self, helper: &Helper) -> Result<()> {
        self.api.remove(&helper.path, &helper.uid).await
    }

    async fn tidy(&self) -> Result<()> {
        let now = self.api.parts.clock.monotonic();
        {
            let mut cleared = self.cleared.lock().unwrap_or_else(PoisonError::into_inner);
            if cleared.is_some_and(|last| now.saturating_sub(last) < CLEAR_EVERY) {
                return Ok(());
            }
            *cleared = Some(now);
        }
        match self.repository.prune(GRACE).await {
            Ok(pruned) if pruned.removed > 0 => {
                tracing::info!(removed = pruned.removed, "the repository of files was cleared of what no point holds");
                Ok(())
            }
            // There is none yet.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            pruned => pruned.map(|_| ()),
        }
    }
}
