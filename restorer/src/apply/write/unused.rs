//! A claim is deleted only when nothing runs on it: its deletion would wait for that, with the claim half gone.

use std::time::Duration;

use hindcast_cluster::path;
use hindcast_journal::exact::Value;

use super::{Did, Job, Work};
use crate::{
    apply::{Became, request::Problem},
    kinds::{volumes::CLAIMS, workloads::mounts},
};

/// How much longer than it is granted a Pod may take to end.
const BEYOND: u64 = 60;

impl Work<'_> {
    /// Waits until no Pod runs on a claim that is to be deleted and created again.
    pub(super) async fn unused(&self, job: &Job<'_>) -> Result<(), Did> {
        let key = &job.action.key;
        if key.kind_key() != CLAIMS {
            return Ok(());
        }
        let pods = path::collection("", "v1", &key.namespace, "pods");
        let clock = &self.link.parts.clock;
        let began = clock.monotonic();
        let mut wait = Duration::from_millis(100);
        loop {
            let list = self.link.read(&pods).await.map_err(|problem| match problem {
                Problem::Lost(lost) => Did::lost(&lost),
                Problem::Reply(reply) => Did::refused(format!("what runs on it cannot be seen: {}", reply.message())),
                Problem::Odd(why) => Did::because(Became::Failed, why),
            })?;
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
}
