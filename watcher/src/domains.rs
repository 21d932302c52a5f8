//! Which kinds share a revision counter: found out with sandwiches, never assumed.
//!
//! **Words**: a *sandwich* is three consistent lists, A of the reference kind, X of the kind in question, A′ of the
//! reference again, each begun after the one before ended. Kinds of one counter have A ≤ X ≤ A′ always, unless their
//! store is put back meanwhile; so an X outside twice in a row proves another counter, while one inside proves nothing
//! until that has happened several times with writes in between.
//!
//! **Invariants.** (1) Nothing is written: the writes in between are those of others (leases are renewed every ten
//! seconds). (2) Aggregated groups are never probed: they are domains of their own. (3) Custom resources share one
//! store, so one of them stands for all. (4) No list of a kind is taken for one of the main domain before the kind was
//! compared with it: a list from another counter would look as if the store had been put back [`place`].

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
use hindcast_journal::{cut::MAIN, facts::Discovery, row::Revision};

use crate::{
    access::{Access, another_life},
    core::Core,
};

/// Lists at once within a sandwich.
const AT_ONCE: usize = 32;
/// Sandwiches that a kind has to fit before it shares a domain other than the main one.
const FITS: usize = 3;
/// Longest wait for a list of a sandwich: a kind that hangs holds up those that are asked for with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kinds that nobody configures a store of their own for.
const PLAIN: [&str; 3] = ["/configmaps", "/namespaces", "/serviceaccounts"];

/// The domain that a kind was found to count in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// In the domain of that name.
    Domain(String),
    /// None: its revisions are not numbers.
    Opaque,
}

/// What one round found.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// Kinds that are elsewhere than in the main domain.
    pub(crate) found: BTreeMap<String, Found>,
    /// Kinds that may be in the main domain.
    pub(crate) fits: BTreeSet<String>,
    /// Whether somebody wrote in between, so that a kind that fits has shown something.
    pub(crate) written: bool,
}

/// The kinds out of `kinds` to probe: all that are believed to be in the main domain, with one for all custom
/// resources.
pub(crate) fn candidates(kinds: impl Iterator<Item = Arc<Discovery>>) -> Vec<Arc<Discovery>> {
    let mut custom = false;
    kinds
        .filter(|kind| kind.domain == MAIN && watchable(kind))
        .filter(|kind| kind.crd_uid.is_empty() || !std::mem::replace(&mut custom, true))
        .collect()
}

/// The kinds that others are compared with, one standing in for another. They are kinds that nobody gives a store of
/// their own; where there are none of them, it is the first that can be listed.
pub(crate) fn references<'a>(kinds: impl Iterator<Item = &'a Discovery>) -> Vec<Arc<Discovery>> {
    let main: Vec<&Discovery> = kinds.filter(|kind| kind.domain == MAIN && watchable(kind)).collect();
    let plain = PLAIN.iter().filter_map(|key| main.iter().find(|kind| kind.kind_key() == *key));
    let mut chosen: Vec<Arc<Discovery>> = plain.map(|kind| Arc::new((*kind).clone())).collect();
    if chosen.is_empty() {
        chosen.extend(main.first().map(|kind| Arc::new((*kind).clone())));
    }
    chosen
}

/// The domains other than the main one and than those of a whole group, each with one of its kinds.
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

/// Finds out which domain a kind counts in, unless that is known, before anything of it is taken for the main domain's.
/// If that fails, it is with the kind's own failure.
pub(crate) async fn place(access: &Access, key: &str) -> Result<(), Failure> {
    let unplaced = || {
        let core = access.core.lock();
        core.kinds.get(key).filter(|_| !core.is_placed(key)).map(|kind| kind.discovery.clone())
    };
    let Some(kind) = unplaced() else { return Ok(()) };
    // It has to answer first, so that it does not hold up those whose turn comes after.
    revision(access, &kind).await?;
    access.core.lock().moved(key);
    let _turn = access.placing.lock().await;
    let Some(kind) = unplaced() else { return Ok(()) };
    let (main, mut others) = {
        let core = access.core.lock();
        let placed = core.kinds.iter().filter(|(key, kind)| core.is_placed(key) && !kind.discovery.gone);
        let covered = core.references().remove(MAIN).unwrap_or_default();
        let main = references(placed.map(|(_, kind)| &*kind.discovery));
        (main.into_iter().chain(covered).collect::<Vec<_>>(), others(&core))
    };
    let mut round = match any_round(access, &main, std::slice::from_ref(&kind), &mut others).await {
        Ok(round) => round,
        // There is nothing to compare it with: it counts where it is believed to.
        Err(Failure::Forbidden(_) | Failure::NotFound(_)) => {
            access.core.lock().place(key, true);
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    match round.found.remove(key) {
        Some(Found::Domain(domain)) => access.core.lock().change_domain(key, &domain),
        Some(Found::Opaque) => return Err(Failure::Opaque),
        None if round.fits.contains(key) => access.core.lock().place(key, true),
        None => return Err(Failure::Transport("no answer in time".to_owned())),
    }
    Ok(())
}

/// A round with the first of the references that answers: one stuck kind must not keep the others from being told
/// apart.
pub(crate) async fn any_round(
    access: &Access,
    references: &[Arc<Discovery>],
    kinds: &[Arc<Discovery>],
    others: &mut BTreeMap<String, Arc<Discovery>>,
) -> Result<Round, Failure> {
    let mut last = Failure::NotFound("there is no kind to compare with".to_owned());
    for reference in references {
        match round(access, reference, kinds, others).await {
            Ok(round) => return Ok(round),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

/// One round of sandwiches around all of `kinds`. `others` are the known domains beside the main one, each with a kind
/// of it.
async fn round(
    access: &Access,
    reference: &Discovery,
    kinds: &[Arc<Discovery>],
    others: &mut BTreeMap<String, Arc<Discovery>>,
) -> Result<Round, Failure> {
    let (low, high, inside) = sandwich(access, reference, kinds).await?;
    let mut round = Round { written: high > low, ..Round::default() };
    for (kind, x) in kinds.iter().zip(inside) {
        match x {
            Ok(rv) if (low..=high).contains(&rv) => _ = round.fits.insert(kind.kind_key()),
            // A store that was put back in between looks the same for one round.
            Ok(_) if is_within(access, reference, kind).await? => {}
            Ok(_) => {
                let name = home(access, kind, others).await;
                others.entry(name.clone()).or_insert_with(|| kind.clone());
                round.found.insert(kind.kind_key(), Found::Domain(name));
            }
            Err(Failure::Opaque) => {
                round.found.insert(kind.kind_key(), Found::Opaque);
            }
            // Nothing is known of it. Its stream gets the same answer and reports it.
            Err(_) => {}
        }
    }
    Ok(round)
}

/// Whether a kind's revision lies within those of the reference now.
async fn is_within(access: &Access, reference: &Discovery, kind: &Arc<Discovery>) -> Result<bool, Failure> {
    let (low, high, inside) = sandwich(access, reference, std::slice::from_ref(kind)).await?;
    Ok(matches!(inside.first(), Some(Ok(rv)) if (low..=high).contains(rv)))
}

type Sandwich = (Revision, Revision, Vec<Result<Revision, Failure>>);

async fn sandwich(access: &Access, reference: &Discovery, kinds: &[Arc<Discovery>]) -> Result<Sandwich, Failure> {
    let low = revision(access, reference).await?;
    let asked: Vec<_> = kinds.iter().map(|kind| revision(access, kind)).collect();
    let inside = futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
    let high = revision(access, reference).await?;
    if high < low {
        // The store was put back between them: that says nothing about the kinds.
        return Err(another_life());
    }
    Ok((low, high, inside))
}

/// The revision of a consistent list; it is not a sample for any clock, since its domain is in question.
async fn revision(access: &Access, kind: &Discovery) -> Result<Revision, Failure> {
    let path = path(kind);
    let list = access.parts.timeout(PATIENCE, access.asked(&path, access.api.sample(&path))).await;
    list.unwrap_or_else(|| Err(Failure::Transport("no answer in time".to_owned())))?.rv.ok_or(Failure::Opaque)
}

/// The domain of a kind that is not in the main one: another known one that it fits, else its own.
async fn home(access: &Access, kind: &Arc<Discovery>, others: &BTreeMap<String, Arc<Discovery>>) -> String {
    for (name, representative) in others {
        let mut fits = 0;
        while fits < FITS {
            if !is_within(access, representative, kind).await.unwrap_or(false) {
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
