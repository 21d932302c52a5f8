//! Which kinds share a revision counter: found by sandwiches, never assumed.
//!
//! **Words**: a *sandwich* is three consistent lists, A of the reference kind, X of the kind in question, A′ of the
//! reference again, each begun after the one before ended. Kinds of one counter have A ≤ X ≤ A′ always, unless their store
//! is put back meanwhile; so an X outside twice in a row proves another counter, while inside proves nothing until it held
//! with writes between, several times.
//!
//! **Invariants.** (1) Nothing is written: the writes between are other people's (leases renew every ten seconds).
//! (2) Aggregated groups are never probed: they are domains of their own. (3) Custom resources share one store, so one
//! of them stands for all.

use std::{collections::BTreeMap, sync::Arc};

use futures::StreamExt as _;
use hindcast_journal::{Revision, cut::MAIN, facts::Discovery};

use crate::{
    api::Failure,
    discovery::path,
    env::{Env, OPAQUE},
};

/// Lists at once within a sandwich.
const AT_ONCE: usize = 32;
/// Sandwiches that a kind has to fit before it shares a domain other than the main one.
const FITS: usize = 3;

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
    /// Kinds that did not answer, with what they failed with: nothing is known of them.
    pub(crate) silent: BTreeMap<String, Failure>,
    /// Whether somebody wrote between, so that fitting means something.
    pub(crate) written: bool,
}

/// The kinds to probe out of `kinds`: all that are believed to be in the main domain, custom resources by one.
pub(crate) fn candidates(kinds: impl Iterator<Item = Arc<Discovery>>) -> Vec<Arc<Discovery>> {
    let mut custom = false;
    kinds
        .filter(|kind| kind.domain == MAIN && crate::discovery::watchable(kind))
        .filter(|kind| kind.crd_uid.is_empty() || !std::mem::replace(&mut custom, true))
        .collect()
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
            Ok(rv) if (low..=high).contains(&rv) => {}
            // A store that was put back in between looks the same, once.
            Ok(_) if is_within(env, reference, kind).await? => {
                let failure = Failure::Server("its revisions are within the main ones at times".to_owned());
                round.silent.insert(kind.kind_key(), failure);
            }
            Ok(_) => {
                let name = home(env, kind, others).await;
                others.entry(name.clone()).or_insert_with(|| kind.clone());
                round.found.insert(kind.kind_key(), Found::Domain(name));
            }
            Err(Failure::Server(message)) if message == OPAQUE => {
                round.found.insert(kind.kind_key(), Found::Opaque);
            }
            // Its stream meets the same answer and says so.
            Err(Failure::Forbidden(_) | Failure::NotFound(_)) => {}
            // It is asked again in the next round.
            Err(failure) => _ = round.silent.insert(kind.kind_key(), failure),
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
    let asked = kinds.iter().map(|kind| revision(env, kind));
    let inside = futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
    let high = revision(env, reference).await?;
    Ok((low, high, inside))
}

/// The revision of a consistent list; no sample for any clock, since the domain is in question.
async fn revision(env: &Env, kind: &Discovery) -> Result<Revision, Failure> {
    let _place = env.opens.enter(0).await;
    env.api.sample(&path(kind)).await?.rv.ok_or_else(crate::env::opaque)
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
