//! Running a point's hooks: round by round, the Pods of a round at once, those of one Pod in their order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{MutexGuard, PoisonError},
};

use futures::{StreamExt as _, stream};
use hindcast_journal::point::{Begin, Hook, OnError, Order, Phase, Ran};

use super::{Maker, Told};
use crate::plan::Planned;

/// Pods whose hooks run at once.
const AT_ONCE: usize = 16;

/// What the hooks before came to.
#[derive(Debug, Default)]
pub(super) struct Before {
    pub(super) ran: Vec<Ran>,
    /// Pods in which a hook failed that counts, and why: the volumes that they mount may not be taken.
    failed: BTreeMap<(String, String), String>,
}

impl Before {
    /// What hooks came to, as another process had written it down.
    pub(super) fn of(ran: Vec<Ran>) -> Self {
        let mut before = Self::default();
        for ran in ran {
            before.take(ran);
        }
        before
    }

    fn take(&mut self, ran: Ran) {
        if let Some(why) = ran.failed.as_ref().filter(|_| ran.hook.on_error == OnError::Fail) {
            let pod = (ran.hook.namespace.clone(), ran.hook.pod.clone());
            // A hook that could not be read says so itself.
            let why = match ran.hook.command.is_empty() {
                true => why.clone(),
                false => format!("a hook before it failed in Pod {}: {why}", ran.hook.pod),
            };
            self.failed.insert(pod, why);
        }
        self.ran.push(ran);
    }

    /// Why the volume of an order may not be taken, if so.
    pub(super) fn stopped(&self, order: &Order) -> Option<String> {
        let volume = &order.volume;
        volume.pods.iter().find_map(|pod| self.failed.get(&(volume.namespace.clone(), pod.clone()))).cloned()
    }
}

impl Maker {
    /// Runs the hooks before. After one failed that counts, its Pod runs no more of them.
    pub(super) async fn pre_hooks(
        &self,
        begin: &Begin,
        planned: &Planned,
        told: &(dyn Fn(Told) + Send + Sync),
    ) -> Before {
        let mut before = Before::default();
        let hooks: Vec<(usize, &Hook)> = planned.rounds.iter().copied().zip(&begin.hooks).collect();
        let rounds: BTreeSet<usize> = hooks.iter().map(|(round, _)| *round).collect();
        for ((namespace, pod), why) in &planned.wrong {
            // A hook that cannot be understood is as one that failed.
            let why = format!("the hooks of Pod {pod} cannot be understood: {why}");
            before.take(Ran { hook: unread(namespace, pod), failed: Some(why), took: 0 });
        }
        for round in rounds {
            let of_round = hooks.iter().filter(|(of, hook)| *of == round && hook.phase == Phase::Pre);
            let of_round = of_round.map(|(_, hook)| (*hook).clone());
            let failed = &before.failed;
            let of_round = of_round.filter(|hook| !failed.contains_key(&(hook.namespace.clone(), hook.pod.clone())));
            for ran in self.by_pod(of_round.collect(), true, told).await {
                before.take(ran);
            }
        }
        before
    }

    /// Runs the hooks after, all of them, whatever went before.
    pub(super) async fn post_hooks(&self, begin: &Begin, told: &(dyn Fn(Told) + Send + Sync)) -> Vec<Ran> {
        let hooks = begin.hooks.iter().filter(|hook| hook.phase == Phase::Post).cloned().collect();
        self.by_pod(hooks, false, told).await
    }

    /// Runs the hooks after of a point that another process left, but for those that succeeded already in this one.
    pub(super) async fn thaw(&self, begin: &Begin) -> Vec<Ran> {
        let mut ran = self.thawed().get(&begin.about.id).cloned().unwrap_or_default();
        let is_due = |hook: &&Hook| hook.phase == Phase::Post && !ran.iter().any(|ran| ran.hook == **hook);
        let due = begin.hooks.iter().filter(is_due).cloned().collect();
        ran.extend(self.by_pod(due, false, &|_| {}).await);
        let done = ran.iter().filter(|ran| ran.failed.is_none()).cloned().collect();
        self.thawed().insert(begin.about.id.clone(), done);
        ran
    }

    /// Forgets which of them succeeded: the point is made.
    pub(super) fn forget_thawed(&self, begin: &Begin) {
        self.thawed().remove(&begin.about.id);
    }

    fn thawed(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Ran>>> {
        self.thawed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs hooks, those of a Pod one after another; with `stop`, a failure that counts is the last of its Pod.
    async fn by_pod(&self, hooks: Vec<Hook>, stop: bool, told: &(dyn Fn(Told) + Send + Sync)) -> Vec<Ran> {
        let mut pods: BTreeMap<(String, String), Vec<Hook>> = BTreeMap::new();
        for hook in hooks {
            pods.entry((hook.namespace.clone(), hook.pod.clone())).or_default().push(hook);
        }
        let clock = &self.journal.parts().clock;
        let work = pods.into_values().map(async |hooks| {
            let mut out = Vec::new();
            for hook in hooks {
                let began = clock.monotonic();
                let failed = self.exec.run(&hook).await.err();
                let took = clock.monotonic().saturating_sub(began).as_millis() as u64;
                let last = stop && failed.is_some() && hook.on_error == OnError::Fail;
                let ran = Ran { hook, failed, took };
                told(Told::Hook(ran.clone()));
                out.push(ran);
                if last {
                    break;
                }
            }
            out
        });
        stream::iter(work).buffered(AT_ONCE).collect::<Vec<Vec<Ran>>>().await.into_iter().flatten().collect()
    }
}

/// What stands for the hooks of a Pod that could not be read.
fn unread(namespace: &str, pod: &str) -> Hook {
    Hook {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        uid: String::new(),
        container: "?".to_owned(),
        phase: Phase::Pre,
        command: Vec::new(),
        on_error: OnError::Fail,
        timeout: 0,
        source: "annotations".to_owned(),
    }
}
