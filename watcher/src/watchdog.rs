//! What runs beside the streams for as long as the run lasts: noticing that the process stood still, that nothing
//! tells a domain's time, that a kind cannot be followed.
//!
//! **Invariants.** (1) Each of these goes on whatever happens to the requests of the others: a server that hangs holds
//! up neither the heartbeat nor the samples of other domains. (2) What is asked is small and bounded: a list of one
//! object per domain and [`crate::Settings::sample_every`], and less where leases tell the time; for each kind whose
//! watch sends no bookmarks a list of one object and a watch of three seconds, and what [`crate::mute`] takes. Not
//! here: what follows [`crate::core`].

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::StreamExt as _;
use hindcast_cluster::Failure;

use crate::{access::Access, close, mute::Look};

/// How often the process shows that it is running.
const BEAT: Duration = Duration::from_millis(200);
/// A starved process stands still again and again; even then it takes samples no more often than this.
const RESAMPLE: Duration = Duration::from_millis(500);
/// How often kinds are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Longest wait for a sample: the next one asks for another kind.
const SAMPLE_LIMIT: Duration = Duration::from_secs(5);
/// Longest check of a silent watch; it takes two seconds, or twice three if no bookmark comes.
const BRING_LIMIT: Duration = Duration::from_secs(12);
/// Silent watches checked in one go.
const QUIET: usize = 16;

/// Runs until dropped.
pub(crate) async fn watch(access: &Arc<Access>) {
    futures::future::join4(beat(access), sample(access), let_go(access), follow(access)).await;
}

/// Notices when the process stood still.
async fn beat(access: &Access) {
    loop {
        access.core.lock().beat();
        access.sleep(BEAT).await;
    }
}

/// Takes the samples that tell old events from new ones, and the time of each domain.
async fn sample(access: &Access) {
    loop {
        let due = access.core.lock().to_sample();
        let busy = !due.is_empty();
        let asked = due.into_iter().map(async |kind| {
            let began = access.parts.clock.monotonic();
            let rv = access.parts.timeout(SAMPLE_LIMIT, access.sample(&kind)).await;
            let mut core = access.core.lock();
            match rv {
                Some(Ok(rv)) => {
                    core.moved(&kind.kind_key());
                    core.runs_again(&kind.domain, rv, began);
                }
                _ => core.not_sampled(&kind.domain),
            }
        });
        futures::future::join_all(asked).await;
        access.sleep(if busy { RESAMPLE } else { BEAT }).await;
    }
}

/// Lets go of what cannot be followed.
async fn let_go(access: &Access) {
    loop {
        access.core.lock().let_go();
        access.sleep(LOOK).await;
    }
}

/// Checks watches that bring nothing, not even a bookmark: either there is nothing to send, or they are dead.
async fn follow(access: &Arc<Access>) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    loop {
        let quiet = access.core.lock().quiet(access.settings.quiet_after);
        seen.retain(|key| quiet.contains(key));
        // Those that were checked before wait for their turn.
        let mut next: Vec<String> = quiet.iter().filter(|key| !seen.contains(*key)).take(QUIET).cloned().collect();
        if next.is_empty() {
            seen.clear();
            next = quiet.into_iter().take(QUIET).collect();
        }
        seen.extend(next.iter().cloned());
        let looks = futures::stream::iter(next).for_each_concurrent(QUIET, async |key| look(access, &key).await);
        looks.await;
        access.sleep(LOOK).await;
    }
}

/// Brings a kind to where its domain stands, by a short watch of its own.
async fn look(access: &Arc<Access>, key: &str) {
    let kind = access.core.lock().kinds.get(key).map(|kind| kind.discovery.clone());
    let Some(kind) = kind else { return };
    let bring = async {
        let rv = access.sample(&kind).await?;
        close::bring_once(access, key, &kind, rv).await
    };
    let brought = access.parts.timeout(BRING_LIMIT, bring).await;
    let brought = brought.unwrap_or_else(|| Err(Failure::Transport("the server does not answer for it".to_owned())));
    let mut core = access.core.lock();
    match brought {
        Ok(Look::Known | Look::NotYet) => core.looked(key),
        Ok(Look::More) => {
            core.trouble(key, "its watch sends nothing, though the server has more");
            core.silent(key);
        }
        // Its own stream runs into the same failure, and recovers what it missed.
        Err(Failure::Expired(_)) => core.looked(key),
        Err(failure) => {
            core.trouble(key, &failure.to_string());
            core.silent(key);
        }
    }
}
