//! The proof within a run: every so often the cluster's own list of every covered kind is held against what is retained.
//!
//! **Words**: a *round* is one proof of every kind. **Invariants.** (1) It is gentle: of objects only metadata is
//! read, one page at a time, with a pause after each, and a server that asks for fewer requests is waited for [`page`].
//! (2) Where it is not sure in which life of the counter the domain is, that is found out first [`list`]. (3) Nothing
//! is proven while the store is away or the kind is not followed, and what cannot be proven waits for the next round. (4) What
//! was found to be lost is told of in the manifest until that has succeeded [`tell`]; a process that dies before, leaves
//! it to the next one ([`crate::run`]).
//!
//! Not here: what is compared, and what follows from a difference ([`crate::core`], `proof`).

use std::{collections::BTreeMap, time::Duration};

use hindcast_cluster::{Failure, Page, discovery::path, path::page_query};
use hindcast_journal::{Error, Journal, checkpoint::Manifest, row::Revision};

use crate::{
    access::{Access, another_life},
    core::Ended,
    life,
};

/// Objects on a page.
const PAGE: usize = 500;
/// The pause after each page.
const PAUSE: Duration = Duration::from_millis(250);
/// How often it is looked whether kinds have been seen up to their lists.
const LOOK: Duration = Duration::from_secs(1);
/// How long that is waited for: bookmarks come once a minute.
const PATIENCE: Duration = Duration::from_mins(3);
/// How often a page is asked for of a server that is too busy, and the longest wait between.
const TRIES: u32 = 6;
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long the manifest is left alone after it could not be written.
const AGAIN: Duration = Duration::from_secs(20);

/// Proves and tells, until dropped; nothing where that is not wanted.
pub(crate) async fn keep(access: &Access, journal: &Journal) {
    let Some(every) = access.settings.prove_every else { return std::future::pending().await };
    let rounds = async {
        loop {
            access.sleep(every).await;
            round(access).await;
        }
    };
    futures::future::join(rounds, tell(access, journal)).await;
}

/// What a round has found so far.
#[derive(Default)]
struct Round {
    /// Kinds whose lists were compared, with the revisions up to which they are still to be seen.
    waiting: Vec<(String, Revision)>,
    kinds: u64,
    objects: u64,
    unproven: BTreeMap<String, String>,
}

async fn round(access: &Access) {
    let (began, kinds) = {
        let mut core = access.core.lock();
        (core.now().lo, core.provable())
    };
    let mut round = Round::default();
    for key in kinds {
        match list(access, &key).await {
            Ok(Some(list)) => round.waiting.push((key, list)),
            Ok(None) => round.left(access, key, "it was not followed just then".to_owned()),
            Err(failure) => round.left(access, key, failure.to_string()),
        }
        round.settle(access);
        access.sleep(PAUSE).await;
    }
    let until = access.parts.clock.monotonic() + PATIENCE;
    while !round.waiting.is_empty() && access.parts.clock.monotonic() < until {
        access.sleep(LOOK).await;
        round.settle(access);
    }
    for (key, list) in std::mem::take(&mut round.waiting) {
        round.left(access, key, format!("it was not seen up to revision {list} in time"));
    }
    let Round { kinds, objects, unproven, .. } = round;
    tracing::debug!(kinds, objects, unproven = unproven.len(), "compared with the cluster's own lists");
    access.core.lock().proved(began, kinds, objects, unproven);
}

impl Round {
    /// A kind could not be proven.
    fn left(&mut self, access: &Access, key: String, why: String) {
        access.core.lock().leave_proof(&key);
        tracing::debug!(kind = key, why, "could not be compared with the cluster's own list");
        self.unproven.insert(key, why);
    }

    /// Ends the proofs of the kinds that have been seen up to their lists.
    fn settle(&mut self, access: &Access) {
        for (key, list) in std::mem::take(&mut self.waiting) {
            let ended = access.core.lock().end_proof(&key, list);
            match ended {
                None => self.waiting.push((key, list)),
                Some(Ended::Left) => self.left(access, key, "its watch was taken up again meanwhile".to_owned()),
                Some(Ended::Full) => {
                    self.left(access, key, "too many of its objects were written while they were listed".to_owned());
                }
                Some(Ended::Agrees(objects)) => {
                    self.kinds += 1;
                    self.objects += objects;
                }
                Some(Ended::Differs(objects)) => self.objects += objects,
            }
        }
    }
}

/// Lists a kind and compares page by page; the list's revision, or nothing if the kind is not followed.
async fn list(access: &Access, key: &str) -> Result<Option<Revision>, Failure> {
    let known = {
        let core = access.core.lock();
        let domain = core.kinds.get(key).filter(|kind| kind.covered).map(|kind| kind.discovery.domain.clone());
        domain.map(|domain| (core.doubted(&domain), domain))
    };
    let Some((doubted, domain)) = known else { return Ok(None) };
    life::confirm(access, &domain, doubted).await?;
    let begun = access.core.lock().begin_proof(key);
    let Some(kind) = begun else { return Ok(None) };
    let path = path(&kind);
    let (mut next, mut list) = (None::<String>, None);
    loop {
        let reached = access.core.lock().reached(&domain);
        let page = page(access, &path, next.as_deref()).await?;
        {
            let mut core = access.core.lock();
            if list.is_none() {
                let rv = page.rv.ok_or(Failure::Opaque)?;
                if core.shown(&domain, reached, rv, &page.when) != Some(false) {
                    return Err(another_life());
                }
                list = Some(rv);
            }
            if !core.prove_page(key, &page.items, list.unwrap_or(0)) {
                return Ok(None);
            }
        }
        next = page.next;
        if next.is_none() {
            return Ok(list);
        }
        access.sleep(PAUSE).await;
    }
}

/// A page, asked for again while the server is too busy.
async fn page(access: &Access, path: &str, next: Option<&str>) -> Result<Page, Failure> {
    let query = page_query(PAGE, next);
    let mut tries = 0;
    loop {
        let wait = match access.asked(path, access.api.metadata(path, &query)).await {
            Err(Failure::Throttled(after)) if tries < TRIES => after.unwrap_or(PAUSE * (2 << tries)),
            other => return other,
        };
        tries += 1;
        access.sleep(wait.clamp(PAUSE, LONGEST_WAIT)).await;
    }
}

/// Tells of what was found to be lost in the manifest.
async fn tell(access: &Access, journal: &Journal) {
    loop {
        let late = access.core.lock().take_late();
        let mut wait = LOOK;
        if !late.is_empty()
            && let Err(error) = Manifest::add_late(journal, &late).await
        {
            tracing::warn!(error = %Error::causes(&error), "what was found to be lost cannot be told of yet");
            access.core.lock().late(late);
            wait = AGAIN;
        }
        access.sleep(wait).await;
    }
}
