//! Which kinds share a revision counter: found by sandwiches, never assumed.
//!
//! **Words**: a *sandwich* is three consistent lists, A of the reference kind, X of the kind in question, A′ of the
//! reference again, each begun after the one before ended. Kinds of one counter have A ≤ X ≤ A′ always, unless their store
//! is put back meanwhile; so an X outside twice in a row proves another counter, while inside proves nothing until it held
//! with writes between, several times.
//!
//! **Invariants.** (1) Nothing is written: the writes between are other people's (leases renew every ten seconds).
//! (2) Aggregated groups are never probed: they are domains of their own. (3) Custom resources share one store, so one
//! of them stands for all. (4) No list of a kind is taken for one of the main domain before the kind was held against it:
//! one of another counter would look as if the store had been put back [`place`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt as _;
use hindcast_cluster::{
    Failure,
    discovery::{path, watchable},
};
use hindcast_journal::{Revision, cut::MAIN, facts::Discovery};

use crate::{
    core::Core,
    env::{Env, another_life},
};

/// Lists at once within a sandwich.
const AT_ONCE: usize = 32;
/// Sandwiches that a kind has to fit before it shares a domain other than the main one.
const FITS: usize = 3;
/// Longest wait for a list of a sandwich: a kind that hangs holds up whoever is asked for beside it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kinds that nobody gives a store of their own.
const PLAIN: [&str; 3] = ["/configmaps", "/namespaces", "/serviceaccounts"];

/// Where a kind was found to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// In the domain of that name.
    Domain(String),
    /// Nowhere: its revisions are no numbers.
    Opaque,
}

/// What one round told.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// Kinds that are elsewhere than in the main domain.
    pub(crate) found: BTreeMap<String, Found>,
    /// Kinds that may be in the main domain.
    pub(crate) fits: BTreeSet<String>,
    /// Whether somebody wrote between, so that fitting means something.
    pub(crate) written: bool,
}

/// The kinds to probe out of `kinds`: all that are believed to be in the main domain, custom resources by one.
pub(crate) fn candidates(kinds: impl Iterator<Item = Arc<Discovery>>) -> Vec<Arc<Discovery>> {
    let mut custom = false;
    kinds
        .filter(|kind| kind.domain == MAIN && watchable(kind))
        .filter(|kind| kind.crd_uid.is_empty() || !std::mem::replace(&mut custom, true))
        .collect()
}

/// The kinds that others are compared with, one standing in for another. They are kinds that nobody gives a store of their
/// own; where there are none of them, it is the first that can be listed.
pub(crate) fn references<'a>(kinds: impl Iterator<Item = &'a Discovery>) -> Vec<Arc<Discovery>> {
    let main: Vec<&Discovery> = kinds.filter(|kind| kind.domain == MAIN && watchable(kind)).collect();
    let plain = PLAIN.iter().filter_map(|key| main.iter().find(|kind| kind.kind_key() == *key));
    let mut chosen: Vec<Arc<Discovery>> = plain.map(|kind| Arc::new((*kind).clone())).collect();
    if chosen.is_empty() {
        chosen.extend(main.first().map(|kind| Arc::new((*kind).clone())));
    }
    chosen
}

/// The domains beside the main one and those that are a group's own, each with a kind of it.
pub(crate) fn others(core: &Core) -> BTreeMap<String, Arc<Discovery>> {
    let mut out = BTreeMap::new();
    for kind in core.kinds.values() {
        let domain = &kind.discovery.domain;
        if domain != MAIN && *domain != kind.discovery.group {
            out.entry(domain.clone()).or_insert_with(|| kind.discovery.clone());
        }
    }
    out
}

/// Finds out where a kind counts, unless that is known, before anything of it is taken for the main domain's. What it fails
/// with is the kind's own failure.
pub(crate) async fn place(env: &Env, key: &str) -> Result<(), Failure> {
    let unplaced = || {
        let core = env.core.lock();
        core.kinds.get(key).filter(|_| !core.is_placed(key)).map(|kind| kind.discovery.clone())
    };
    let Some(kind) = unplaced() else { return Ok(()) };
    // It answers first, so that it holds up nobody whose turn comes after.
    revision(env, &kind).await?;
    env.core.lock().moved(key);
    let _turn = env.placing.lock().await;
    let Some(kind) = unplaced() else { return Ok(()) };
    let (main, mut others) = {
        let core = env.core.lock();
        let placed = core.kinds.iter().filter(|(key, kind)| core.is_placed(key) && !kind.discovery.gone);
        let covered = core.references().remove(MAIN).unwrap_or_default();
        let main = references(placed.map(|(_, kind)| &*kind.discovery));
        (main.into_iter().chain(covered).collect::<Vec<_>>(), others(&core))
    };
    let mut round = match any_round(env, &main, std::slice::from_ref(&kind), &mut others).await {
        Ok(round) => round,
        // There is nothing to compare with: it counts where it is believed to.
        Err(Failure::Forbidden(_) | Failure::NotFound(_)) => {
            env.core.lock().place(key, true);
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    match round.found.remove(key) {
        Some(Found::Domain(domain)) => env.core.lock().change_domain(key, &domain),
        Some(Found::Opaque) => return Err(Failure::Opaque),
        None if round.fits.contains(key) => env.core.lock().place(key, true),
        None => return Err(Failure::Transport("no answer in time".to_owned())),
    }
    Ok(())
}

/// A round around the first of the references that answers: one kind that is stuck must not keep the others from being
/// told apart.
pub(crate) async fn any_round(
    env: &Env,
    references: &[Arc<Discovery>],
    kinds: &[Arc<Discovery>],
    others: &mut BTreeMap<String, Arc<Discovery>>,
) -> Result<Round, Failure> {
    let mut last = Failure::NotFound("there is no kind to compare with".to_owned());
    for reference in references {
        match round(env, reference, kinds, others).await {
            Ok(round) => return Ok(round),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

/// One round of sandwiches around all of `kinds`. `others` are the known domains beside the main one, each with a kind
/// of it.
async fn round(
    env: &Env,
    reference: &Discovery,
    kinds: &[Arc<Discovery>],
    others: &mut BTreeMap<String, Arc<Discovery>>,
) -> Result<Round, Failure> {
    let (low, high, inside) = sandwich(env, reference, kinds).await?;
    let mut round = Round { written: high > low, ..Round::default() };
    for (kind, x) in kinds.iter().zip(inside) {
        match x {
            Ok(rv) if (low..=high).contains(&rv) => _ = round.fits.insert(kind.kind_key()),
            // A store that was put back in between looks the same, once.
            Ok(_) if is_within(env, reference, kind).await? => {}
            Ok(_) => {
                let name = home(env, kind, others).await;
                others.entry(name.clone()).or_insert_with(|| kind.clone());
                round.found.insert(kind.kind_key(), Found::Domain(name));
            }
            Err(Failure::Opaque) => {
                round.found.insert(kind.kind_key(), Found::Opaque);
            }
            // Nothing is known of it. Its stream meets the same answer and says so.
            Err(_) => {}
        }
    }
    Ok(round)
}

/// Whether a kind's revision lies within those of the reference now.
async fn is_within(env: &Env, reference: &Discovery, kind: &Arc<Discovery>) -> Result<bool, Failure> {
    let (low, high, inside) = sandwich(env, reference, std::slice::from_ref(kind)).await?;
    Ok(matches!(inside.first(), Some(Ok(rv)) if (low..=high).contains(rv)))
}

type Sandwich = (Revision, Revision, Vec<Result<Revision, Failure>>);

async fn sandwich(env: &Env, reference: &Discovery, kinds: &[Arc<Discovery>]) -> Result<Sandwich, Failure> {
    let low = revision(env, reference).await?;
    let asked: Vec<_> = kinds.iter().map(|kind| revision(env, kind)).collect();
    let inside = futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
    let high = revision(env, reference).await?;
    if high < low {
        // The store was put back between them: that says nothing of the kinds.
        return Err(another_life());
    }
    Ok((low, high, inside))
}

/// The revision of a consistent list; no sample for any clock, since the domain is in question.
async fn revision(env: &Env, kind: &Discovery) -> Result<Revision, Failure> {
    let path = path(kind);
    let list = env.parts.timeout(PATIENCE, env.asked(&path, env.api.sample(&path))).await;
    list.unwrap_or_else(|| Err(Failure::Transport("no answer in time".to_owned())))?.rv.ok_or(Failure::Opaque)
}

/// The domain of a kind that is not in the main one: another known one that it fits, else its own.
async fn home(env: &Env, kind: &Arc<Discovery>, others: &BTreeMap<String, Arc<Discovery>>) -> String {
    for (name, representative) in others {
        let mut fits = 0;
        while fits < FITS {
            if !is_within(env, representative, kind).await.unwrap_or(false) {
                break;
            }
            fits += 1;
        }
        if fits == FITS {
            return name.clone();
        }
    }
    name(kind, others)
}

/// A name for a kind's own domain.
fn name(kind: &Discovery, others: &BTreeMap<String, Arc<Discovery>>) -> String {
    if others.contains_key(&kind.resource) || kind.resource == MAIN {
        format!("{}.{}", kind.resource, kind.group)
    } else {
        kind.resource.clone()
    }
}

#[cfg(test)]
mod tests;
