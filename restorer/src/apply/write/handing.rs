//! Claims whose data come from files: a mover puts them into the volume of a helper, and that volume is handed over.
//!
//! **Words**: the *vessel* is the helper, a claim where movers run.
//!
//! **Invariants.** (1) The volume is retained before its vessel goes [`Work::handed`]. (2) It is known by its label from then on,
//! so that a restore that is taken up again finds its own, and nobody else's, and fills nothing twice [`Work::labelled`]. (3)
//! Its own policy comes back only when the claim is bound to it [`Work::settle_volume`]. (4) A claim whose mover failed is not
//! made, and one that stands is not touched.

use std::time::Duration;

use hindcast_cluster::path::{collection, escape};
use hindcast_journal::{
    exact::{self, Value},
    fold::ObjectKey,
    point::tags,
};
use hindcast_mover::{
    Restored,
    pod::{Stand, last_line},
};
use http::Method;

use super::{Did, Job, Work, claims::unread, sent::delete_options};
use crate::{
    apply::{
        Became,
        conflict::meta,
        request::{self, Ask, Lost, Reply},
    },
    filling::{annotation, is_helper, object, title},
    kinds::{
        text,
        volumes::{self, is_claim},
    },
    plan::Propagation,
};

/// How long files may take.
const FILES: Duration = Duration::from_hours(24);
/// How long a vessel may take to go when its mover is gone.
const GOES: Duration = Duration::from_mins(2);
/// How often what is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Annotations of a volume that is handed over: the policy it had, and the restore that hands it over.
const RECLAIM: &str = "hindcast.dev/reclaim";
const RESTORE: &str = "hindcast.dev/restore";

/// A volume that is there for a claim.
pub(super) struct Handed {
    pub(super) volume: String,
    /// In what the files are not as they were kept.
    pub(super) note: Option<String>,
}

/// A change of a volume as it stands: of its metadata, and of its spec.
fn change<'k>(
    volume: &Value,
    metadata: impl IntoIterator<Item = (&'k str, Value)>,
    spec: impl IntoIterator<Item = (&'k str, Value)>,
) -> Value {
    let rv = ("resourceVersion", Value::from(meta(volume, "resourceVersion")));
    object([("metadata", object(std::iter::once(rv).chain(metadata))), ("spec", object(spec))])
}

/// The change that frees a volume of the claim that is gone, for one of its name or of another.
pub(super) fn released(volume: &Value, to: Option<&ObjectKey>) -> Value {
    let mut reference = vec![("uid", Value::Null), ("resourceVersion", Value::Null)];
    if let Some(claim) = to {
        let of = [
            ("apiVersion", "v1"),
            ("kind", "PersistentVolumeClaim"),
            ("namespace", claim.namespace.as_str()),
            ("name", claim.name.as_str()),
        ];
        reference.extend(of.map(|(member, value)| (member, Value::from(value))));
    }
    change(volume, [], [("claimRef", object(reference))])
}

/// The change that marks a volume that is handed over, or takes the marks off, and sets its policy.
fn marked(volume: &Value, [vessel, policy, restore]: [Value; 3], set: &str) -> Value {
    let marks =
        [("labels", object([(tags::FILLS, vessel)])), ("annotations", object([(RECLAIM, policy), (RESTORE, restore)]))];
    change(volume, marks, [("persistentVolumeReclaimPolicy", Value::from(set))])
}

impl Work<'_> {
    /// The vessel of a claim in the plan.
    fn vessel(&self, claim: &ObjectKey) -> Option<ObjectKey> {
        let title = title(claim);
        let is_it = |key: &&&ObjectKey| {
            let target = self.prepared.bodies.get(**key).and_then(|bodies| bodies.target.as_ref());
            let is_for_it =
                |target: &Value| is_helper(target) && annotation(target, tags::CLAIM) == Some(title.as_str());
            is_claim(key) && target.is_some_and(is_for_it)
        };
        self.actions.keys().find(is_it).map(|key| (*key).clone())
    }

    /// The volume with the files of a claim, ready for it; `None` of a claim that is not filled with files.
    pub(super) async fn handed(&self, job: &Job<'_>) -> Result<Option<Handed>, Did> {
        let claim = &job.action.key;
        if !is_claim(claim) || job.bodies.target.as_ref().is_some_and(is_helper) {
            return Ok(None);
        }
        let Some(vessel) = self.vessel(claim) else { return Ok(None) };
        let mut note = None;
        let volume = match self.labelled(&vessel).await? {
            // An earlier process, or the first round, has come so far.
            Some(volume) => volume,
            None => {
                note = self.moved(&vessel).await?;
                self.retained(&vessel).await?
            }
        };
        self.go(&vessel).await?;
        self.free(&volume, claim).await?;
        Ok(Some(Handed { volume, note }))
    }

    /// The volume that bears the label of a vessel, by this restore.
    async fn labelled(&self, vessel: &ObjectKey) -> Result<Option<String>, Did> {
        let selector = format!("{}={}", tags::FILLS, vessel.name);
        let path = format!("{}?labelSelector={}", collection("", "v1", "", volumes::VOLUMES), escape(&selector));
        let list = self.link.read(&path).await.map_err(|problem| unread("the volume with its files", problem))?;
        let all = list.as_ref().and_then(|list| list.value.get("items")?.as_array()).unwrap_or_default();
        // One that an earlier restore handed over may be in use.
        let own = |volume: &&Value| annotation(volume, RESTORE) == Some(self.record.id());
        Ok(all.iter().find(own).map(|volume| text(volume, "/metadata/name").to_owned()))
    }

    fn mover(vessel: &ObjectKey) -> ObjectKey {
        ObjectKey { resource: "pods".to_owned(), ..vessel.clone() }
    }

    /// Waits until the files are in the volume of a vessel; in what they are not as they were kept.
    async fn moved(&self, vessel: &ObjectKey) -> Result<Option<String>, Did> {
        let path = request::object(&Self::mover(vessel), "v1");
        let clock = &self.link.parts.clock;
        let began = clock.monotonic();
        let failed = |why: String| Did::because(Became::Failed, why);
        loop {
            let pod = self.link.read(&path).await.map_err(|problem| unread("what puts its files back", problem))?;
            let Some(pod) = pod else {
                return Err(failed(format!("Pod {}, which puts its files back, is not there", title(vessel))));
            };
            // What is exact is JSON.
            let pod = serde_json::from_slice(&exact::to_canonical(&pod.value)).unwrap_or_default();
            let waits = match Stand::of(&pod) {
                Stand::Done => return Ok(self.differs(&path).await),
                Stand::Failed(why) | Stand::Loops(why) => {
                    return Err(failed(format!("its files were not put back: {why}; nothing was changed of it")));
                }
                Stand::Pending(waits) => format!("Pending {waits}"),
                Stand::Running(waits) => format!("Running {waits}"),
            };
            if clock.monotonic().saturating_sub(began) > FILES || self.link.cancelled_within(LOOK_EVERY).await {
                return Err(failed(format!("its files are not put back yet ({waits}); nothing was changed of it")));
            }
        }
    }

    /// In what the files of a volume are not as they were kept, as its mover said at the end.
    async fn differs(&self, mover: &str) -> Option<String> {
        let reply = self.link.send(&Ask::get(last_line(mover)).accepting("*/*")).await.ok()?;
        let restored: Restored = serde_json::from_slice(&reply.body).ok()?;
        (!restored.differs.is_empty())
            .then(|| format!("its files are not as they were: {}", restored.differs.join("; ")))
    }

    /// Has the volume of a vessel keep its data, and marks it; its name.
    async fn retained(&self, vessel: &ObjectKey) -> Result<String, Did> {
        let path = request::object(vessel, "v1");
        let claim = self.link.read(&path).await.map_err(|problem| unread("the volume with its files", problem))?;
        let name = claim.as_ref().map_or("", |claim| text(&claim.value, "/spec/volumeName")).to_owned();
        let key = volumes::key(&name);
        let path = request::object(&key, "v1");
        let volume = self.link.read(&path).await.map_err(|problem| unread("the volume with its files", problem))?;
        let Some(volume) = volume.filter(|_| !name.is_empty()) else {
            let why = format!("claim {} has no volume; nothing was changed of it", title(vessel));
            return Err(Did::because(Became::Failed, why));
        };
        let policy = text(&volume.value, "/spec/persistentVolumeReclaimPolicy");
        let marks = [vessel.name.as_str(), policy, self.record.id()].map(Value::from);
        let body = marked(&volume.value, marks, "Retain");
        self.patched(&path, &body, "its volume could not be retained").await?;
        Ok(name)
    }

    /// Removes a vessel and its mover, and waits until they have gone: the volume is released then.
    async fn go(&self, vessel: &ObjectKey) -> Result<(), Did> {
        let clock = &self.link.parts.clock;
        let began = clock.monotonic();
        for key in [&Self::mover(vessel), vessel] {
            let path = request::object(key, "v1");
            loop {
                let stands =
                    self.link.read(&path).await.map_err(|problem| unread("what filled its volume", problem))?;
                let Some(stands) = stands.filter(|stands| is_helper(&stands.value)) else { break };
                if meta(&stands.value, "deletionTimestamp").is_empty() {
                    let reply = self.take_away(&path, &stands.value).await.map_err(|lost| Did::lost(&lost))?;
                    if !reply.is_success() && reply.status != 404 && reply.status != 409 {
                        return Err(Did::refused(format!("{} could not be removed: {}", title(key), reply.message())));
                    }
                }
                if clock.monotonic().saturating_sub(began) > GOES || self.link.cancelled_within(LOOK_EVERY).await {
                    let why = format!("{} {} does not go; its volume is retained", key.resource, title(key));
                    return Err(Did::because(Became::Failed, why));
                }
            }
        }
        Ok(())
    }

    /// Has a released volume wait for a claim.
    async fn free(&self, volume: &str, claim: &ObjectKey) -> Result<(), Did> {
        let path = request::object(&volumes::key(volume), "v1");
        let stands = self.link.read(&path).await.map_err(|problem| unread("the volume with its files", problem))?;
        let Some(stands) = stands else {
            return Err(Did::because(Became::Failed, format!("volume {volume}, which has its files, is not there")));
        };
        let of = |at: &str| text(&stands.value, at);
        let is_its = of("/spec/claimRef/namespace") == claim.namespace && of("/spec/claimRef/name") == claim.name;
        if is_its && of("/spec/claimRef/uid").is_empty() {
            return Ok(());
        }
        self.patched(&path, &released(&stands.value, Some(claim)), "its volume could not be handed over").await
    }

    /// Deletes a helper as it stands, whatever becomes of its status.
    pub(in crate::apply) async fn take_away(&self, path: &str, helper: &Value) -> Result<Reply, Lost> {
        let options = delete_options(meta(helper, "uid"), None, Propagation::Background, false);
        self.link.send(&Ask::write(Method::DELETE, path.to_owned(), &options)).await
    }

    pub(super) async fn patched(&self, path: &str, body: &Value, what: &str) -> Result<(), Did> {
        let path = format!("{path}{}", request::manners(false));
        let reply = self.link.send(&Ask::merge_patch(path, body)).await.map_err(|lost| Did::lost(&lost))?;
        match reply.is_success() {
            true => Ok(()),
            false if reply.status == 409 => Err(Did::because(Became::Conflict, format!("{what}: {}", reply.message()))),
            false => Err(Did::refused(format!("{what}: {}", reply.message()))),
        }
    }

    /// Gives a volume its own policy back, when the claim that it was handed to is bound to it.
    pub(in crate::apply) async fn settle_volume(&self, claim: &Value, vessel: &str) {
        if text(claim, "/status/phase") != "Bound" {
            return;
        }
        let path = request::object(&volumes::key(text(claim, "/spec/volumeName")), "v1");
        let Ok(Some(volume)) = self.link.read(&path).await else { return };
        let label = volume.value.pointer("/metadata/labels").and_then(|all| all.get(tags::FILLS)?.as_str());
        let policy = annotation(&volume.value, RECLAIM);
        let bound = text(&volume.value, "/spec/claimRef/uid") == meta(claim, "uid");
        let Some(policy) = policy.filter(|_| label == Some(vessel) && bound) else { return };
        let body = marked(&volume.value, [Value::Null, Value::Null, Value::Null], policy);
        // It stays retained if that fails, which loses nothing.
        let _ = self.patched(&path, &body, "").await;
    }
}
