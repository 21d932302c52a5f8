//! Closing a cut on demand, in about two seconds instead of the minute that bookmarks take.
//!
//! A consistent `LIST limit=1` of a lagging kind makes the server's watch cache catch up; then a short watch from the
//! cursor ends with a bookmark at the list's revision, and brings what lies between.
//!
//! **Invariant.** `run` feeds the short watch's events through the same core as the main stream's, which drops
//! what it has seen. Not here: how a reader closes a cut for itself, which is [`hindcast_cluster::cut`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::StreamExt as _;
use hindcast_cluster::{Failure, cut::WATCHES};
use hindcast_journal::{cut::MAIN, facts::Discovery, row::Revision, segment::FrontierVector};
use tokio::sync::watch;

use crate::{
    Error, Result,
    access::Access,
    error::fatal,
    handle::{DurableState, Phase},
    life,
    listen::listen,
    mute::{self, Look},
};

/// Longest wait for a kind that is being healed or whose server is slow.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often such a kind is checked.
const LOOK: Duration = Duration::from_millis(100);

/// Closes the cut of now in every domain; returns once it is durable, and the segment that says so answers knocks up to `knock`.
pub(crate) async fn close(
    access: Arc<Access>,
    mut durable: watch::Receiver<DurableState>,
    knock: u64,
) -> Result<FrontierVector> {
    let references = access.core.lock().references();
    if references.is_empty() {
        return Err(Error::unavailable("close", "no kind is protected yet"));
    }
    let mut targets = BTreeMap::new();
    for (domain, kinds) in references {
        match access.any_sample(&kinds).await {
            Ok(rv) => _ = targets.insert(domain, rv),
            Err(failure) if domain == MAIN => {
                let asked = kinds.last().map_or_else(String::new, |kind| kind.kind_key());
                return Err(fatal(&format!("close: {asked}"), &failure));
            }
            // A domain that does not answer stays open; the others close.
            Err(_) => {}
        }
    }
    let lagging = lagging(&access, &targets);
    let env_ref = &access;
    let bring = lagging.into_iter().map(async move |(key, domain, target)| {
        // A domain other than the main one stays open if it takes long, and the others do not wait for it.
        let patience = if domain == MAIN { PATIENCE } else { PATIENCE / 4 };
        (domain, bring(env_ref, &key, target, patience).await)
    });
    let mut brought = std::pin::pin!(futures::stream::iter(bring).buffer_unordered(WATCHES));
    let mut failed = None;
    while let Some((domain, outcome)) = brought.next().await {
        if let Err(error) = outcome {
            targets.remove(&domain);
            failed = failed.or((domain == MAIN).then_some(error));
        }
    }
    let demand = access.core.lock().demand_answering(if failed.is_none() { knock } else { 0 });
    if let Some(failed) = failed {
        return Err(failed);
    }
    let closed = async {
        // Where nothing is written the revision was durable already; the moment only becomes so with a segment made
        // since.
        let reached = |state: &DurableState| {
            let all = || targets.iter().all(|(domain, rv)| state.frontier.get(domain).is_none_or(|p| p.rv >= *rv));
            state.demand >= demand && all()
        };
        durable.wait_for(reached).await.map(|state| state.frontier.clone())
    };
    match access.parts.timeout(PATIENCE, closed).await {
        Some(Ok(frontier)) => Ok(frontier),
        Some(Err(_)) => Err(Error::unavailable("close", "the watcher has stopped")),
        None => Err(Error::unavailable("close", "the closed cut did not become durable in time")),
    }
}

/// The covered kinds that have not been seen up to their domain's target: key, domain, target.
fn lagging(access: &Access, targets: &BTreeMap<String, Revision>) -> Vec<(String, String, Revision)> {
    let core = access.core.lock();
    let covered = core.kinds.iter().filter(|(_, kind)| kind.covered);
    covered
        .filter_map(|(key, kind)| {
            let domain = &kind.discovery.domain;
            let target = *targets.get(domain)?;
            (kind.cursor < target).then(|| (key.clone(), domain.clone(), target))
        })
        .collect()
}

/// Brings one kind to `target`, by a short watch of its own.
async fn bring(access: &Access, key: &str, target: Revision, patience: Duration) -> Result<()> {
    let start = access.parts.clock.monotonic();
    loop {
        let kind = {
            let core = access.core.lock();
            let Some(kind) = core.kinds.get(key) else { return Ok(()) };
            if !kind.covered || kind.cursor >= target {
                return Ok(());
            }
            kind.discovery.clone()
        };
        match bring_once(access, key, &kind, target).await {
            Ok(_) if is_there(access, key, target) => return Ok(()),
            Ok(_) => {}
            Err(failure) => {
                tracing::debug!(kind = key, %failure, "a closing watch broke");
                // Its own stream recovers what has expired.
                if !matches!(failure, Failure::Expired(_)) {
                    let mut core = access.core.lock();
                    core.trouble(key, &failure.to_string());
                    core.silent(key);
                }
            }
        }
        if access.parts.clock.monotonic().saturating_sub(start) > patience {
            let reason = format!("{key} was not seen up to revision {target} in time");
            return Err(Error::unavailable("close", reason));
        }
        // Its own stream may be healing it.
        access.sleep(LOOK).await;
    }
}

/// One try to bring a kind to `target`, by a short watch, or as one whose watches send no bookmarks.
pub(crate) async fn bring_once(
    access: &Access,
    key: &str,
    kind: &Discovery,
    target: Revision,
) -> Result<Look, Failure> {
    let mute = access.core.lock().is_mute(key);
    short_watch(access, key, kind, target, mute).await?;
    if is_there(access, key, target) {
        return Ok(Look::Known);
    }
    let may_be = access.core.lock().may_be_mute(key);
    if may_be { mute::look(access, key, kind).await } else { Ok(Look::More) }
}

/// Whether a kind was seen up to `target`, or nobody has to wait for it any more.
fn is_there(access: &Access, key: &str, target: Revision) -> bool {
    access.core.lock().kinds.get(key).is_none_or(|kind| !kind.covered || kind.cursor >= target)
}

/// Makes sure that the kind's domain is in the life that is known, and watches for a moment, unless the kind is `mute`.
async fn short_watch(
    access: &Access,
    key: &str,
    kind: &Discovery,
    target: Revision,
    mute: bool,
) -> Result<(), Failure> {
    let (alive, watched, stalled) = {
        let mut core = access.core.lock();
        core.beat();
        let stalled = core.stalled_at;
        let kind = core.kinds.get(key);
        kind.map_or((Duration::ZERO, true, stalled), |kind| (kind.alive, kind.phase == Phase::Watching, stalled))
    };
    // A stream that has been silent for longer than a bookmark takes may be cut off without knowing it.
    let silent = access.parts.clock.monotonic().saturating_sub(alive) > access.settings.quiet_after;
    life::confirm(access, &kind.domain, if watched && !silent { stalled } else { alive }).await?;
    access.sample(kind).await?;
    let cursor = access.core.lock().kinds.get(key).map_or(0, |k| k.cursor);
    if cursor < target && cursor > 0 && !mute {
        listen(access, key, kind, cursor, target).await?;
    }
    Ok(())
}
