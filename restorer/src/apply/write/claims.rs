//! Claims whose data are a snapshot's: that is there before a claim is made or given up for it, nothing runs on one that goes,
//! and the volume of one that is put back is given back too.
//!
//! **Invariants.** (1) A claim is deleted only when nothing runs on it, since its deletion would wait for that with the claim
//! half gone, and only when what it is to come from can be used. (2) One whose data are replaced is deleted only when its volume
//! is seen to be retained, whatever became of the write that should have seen to that [`Work::keeps_its_volume`].

use std::time::Duration;

use hindcast_cluster::path;
use hindcast_journal::exact::Value;

use super::{
    Did, Job, Work,
    handing::{Handed, released},
};
use crate::{
    apply::{
        Became,
        conflict::meta,
        request::{self, Problem},
    },
    filling::{self, is_filled},
    kinds::{
        volumes::{self, is_claim, keeps_storage},
        workloads::mounts,
    },
};

/// How much longer than it is granted a Pod may take to end.
const BEYOND: u64 = 60;
/// How long a snapshot may take until a claim can come from it: its driver has it already.
const READY: Duration = Duration::from_mins(2);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Work<'_> {
    /// Has what a claim is to come from ready; the volume, where that is filled with files.
    pub(super) async fn source(&self, job: &Job<'_>) -> Result<Option<Handed>, Did> {
        self.comes_from(job).await?;
        self.handed(job).await
    }

    /// Waits until the snapshot that a claim is to come from can be used.
    async fn comes_from(&self, job: &Job<'_>) -> Result<(), Did> {
        let key = &job.action.key;
        let Some(target) = job.bodies.target.as_ref().filter(|target| is_claim(key) && is_filled(target)) else {
            return Ok(());
        };
        let name = target.pointer("/spec/dataSource/name").and_then(Value::as_str).unwrap_or_default();
        let folder = path::collection(filling::GROUP, filling::VERSION, &key.namespace, filling::SNAPSHOTS);
        let path = path::object(&folder, name);
        let clock = &self.link.parts.clock;
        let began = clock.monotonic();
        loop {
            let snapshot =
                self.link.read(&path).await.map_err(|problem| unread("the snapshot it is to come from", problem))?;
            let Some(snapshot) = snapshot else {
                return Err(Did::because(
                    Became::Failed,
                    format!("VolumeSnapshot {name}, which it is to come from, is not there"),
                ));
            };
            if snapshot.value.pointer("/status/readyToUse").and_then(Value::as_bool) == Some(true) {
                return Ok(());
            }
            if clock.monotonic().saturating_sub(began) > READY || self.link.cancelled_within(LOOK_EVERY).await {
                let said = snapshot.value.pointer("/status/error/message").and_then(Value::as_str);
                let said = said.unwrap_or("its driver has not said why");
                let why = format!("the snapshot it is to come from cannot be used ({said}); nothing was changed of it");
                return Err(Did::because(Became::Failed, why));
            }
        }
    }

    /// Refuses to delete a claim whose data are replaced, and whose volume would be deleted with it.
    pub(super) async fn keeps_its_volume(&self, job: &Job<'_>) -> Result<(), Did> {
        let live = job.before().map(|before| &before.value).filter(|_| is_claim(&job.action.key));
        let name = live.and_then(|claim| claim.pointer("/spec/volumeName")?.as_str()).unwrap_or_default();
        let volume = volumes::key(name);
        let swapped = job.bodies.target.as_ref().is_some_and(is_filled) || self.actions.contains_key(&volume);
        if name.is_empty() || !swapped {
            return Ok(());
        }
        let path = request::object(&volume, "v1");
        let stands = self.link.read(&path).await.map_err(|problem| unread("its volume", problem))?;
        match stands {
            Some(stands) if !keeps_storage(&stands.value) => Err(Did::refused(format!(
                "its volume {name} is not retained and would be deleted with it; nothing was changed of it"
            ))),
            _ => Ok(()),
        }
    }

    /// Waits until no Pod runs on a claim that is to be deleted and created again.
    pub(super) async fn unused(&self, job: &Job<'_>) -> Result<(), Did> {
        let key = &job.action.key;
        if !is_claim(key) {
            return Ok(());
        }
        let pods = path::collection("", "v1", &key.namespace, "pods");
        let clock = &self.link.parts.clock;
        let began = clock.monotonic();
        let mut wait = Duration::from_millis(100);
        loop {
            let list = self.link.read(&pods).await.map_err(|problem| unread("what runs on it", problem))?;
            let items = list.as_ref().and_then(|list| list.value.get("items")?.as_array()).unwrap_or_default();
            let Some(pod) = items.iter().find(|pod| mounts(pod, &key.name)) else { return Ok(()) };
            let granted = pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(30);
            let granted = Duration::from_secs(granted.unsigned_abs().min(3600) + BEYOND);
            let waited = clock.monotonic().saturating_sub(began);
            if waited > granted || self.link.cancelled_within(wait).await {
                let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
                let why =
                    format!("Pod {name} still runs on it after {} s; nothing was changed of it", waited.as_secs());
                return Err(Did::because(Became::Failed, why));
            }
            wait = (wait * 2).min(Duration::from_secs(1));
        }
    }

    /// Frees the volume of a claim that was put back as it was: it still names the one that was deleted.
    pub(super) async fn give_back(&self, claim: &Value) {
        let name = claim.pointer("/spec/volumeName").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() || meta(claim, "uid").is_empty() {
            return;
        }
        let path = request::object(&volumes::key(name), "v1");
        let Ok(Some(stands)) = self.link.read(&path).await else { return };
        if stands.value.pointer("/spec/claimRef/uid").and_then(Value::as_str) != Some(meta(claim, "uid")) {
            return;
        }
        // What becomes of it shows in the claim, which is read again at the end.
        let _ = self.patched(&path, &released(&stands.value, None), "").await;
    }
}

pub(super) fn unread(what: &str, problem: Problem) -> Did {
    match problem {
        Problem::Lost(lost) => Did::lost(&lost),
        Problem::Reply(reply) => Did::refused(format!("{what} cannot be seen: {}", reply.message())),
        Problem::Odd(why) => Did::because(Became::Failed, why),
    }
}
