//! Follows which values are told to be forgotten: what stands in the cluster is then sealed anew, under another data key, and what is left
//! of the data keys is removed, in case whoever told it died.
//!
//! **Invariants.** (1) Whatever is forgotten while this runs is known within [`EVERY`] and [`SEEN`], while the store answers; what was before,
//! at the start, by the data keys that newest versions name [`Forgotten::has`]. (2) Nothing is read again before the writer must have
//! looked too, so that it is not sealed with what is about to go [`keep`]. (3) A data key seals what a namespace has, so all that stands in
//! it is read again, whichever object was meant.
//!
//! Not here: reading again ([`crate::reread`]), which data key is sealed with (`hindcast_journal::seal`).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use hindcast_journal::{
    Journal, Result,
    custody::{SEEN, forget, told_after},
    error::ErrorKind,
    fold::Entry,
    seal::{Deed, Key},
};

use crate::access::Access;

/// How often it is asked whether anything was told.
const EVERY: Duration = Duration::from_mins(1);

/// What was told before a start.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    /// The number of the newest statement.
    pub(crate) newest: u64,
    ids: BTreeSet<String>,
}

impl Forgotten {
    /// What is told by now.
    pub(crate) async fn read(journal: &Journal) -> Result<Self> {
        let (newest, told) = told_after(journal, 0).await?;
        let forgotten = told.into_iter().filter(|told| matches!(told.deed, Deed::Forgotten { .. }));
        Ok(Self { newest, ids: forgotten.flat_map(|told| told.ids).collect() })
    }

    /// Whether values of an object's newest version are forgotten.
    pub(crate) fn has(&self, entry: &Entry) -> bool {
        !self.ids.is_empty() && entry.cells.values().any(|cell| self.ids.contains(&cell.key_id))
    }
}

/// Has what stands read again when its values are forgotten, until dropped.
pub(crate) async fn keep(access: &Access, journal: &Journal, (mut newest, keys): (u64, Vec<Arc<Key>>)) {
    let mut sweeps = newest > 0 && !keys.is_empty();
    loop {
        access.sleep(EVERY).await;
        let told = match told_after(journal, newest).await {
            Ok((number, told)) => {
                newest = number;
                told
            }
            Err(error) => {
                tracing::debug!(%error, "what was forgotten is asked for again");
                continue;
            }
        };
        let forgotten: Vec<String> = told
            .into_iter()
            .filter_map(|told| match told.deed {
                Deed::Forgotten { namespace, object, .. } => {
                    tracing::info!(
                        namespace,
                        object,
                        by = told.by,
                        "sealed values are forgotten; what stands is sealed anew"
                    );
                    Some(namespace)
                }
                Deed::Wrapped { .. } => None,
            })
            .collect();
        if !forgotten.is_empty() {
            access.sleep(SEEN).await;
            let mut core = access.core.lock();
            for namespace in forgotten {
                core.forgotten(&namespace);
            }
            sweeps = !keys.is_empty();
        }
        if sweeps {
            sweeps = match forget::sweep(journal, &keys).await {
                Ok(0) => false,
                Ok(files) => {
                    tracing::info!(files, "what was left of forgotten data keys is removed");
                    false
                }
                // Where nothing may be deleted, whoever told it has to.
                Err(error) => {
                    tracing::warn!(%error, "what is left of forgotten data keys cannot be removed");
                    error.kind() == ErrorKind::Unavailable
                }
            };
        }
    }
}
