//! `run --seal-in-cluster`: the newest seal of the log stands in the cluster too, so that a bucket which was put back, or cut off, is found
//! to be (`verify --live`).
//!
//! **Words**: the *notice* is the `ConfigMap` that tells it, one of each journal, in the namespace of this process.
//!
//! **Invariants.** (1) Protection never waits for it, and nothing ends by it: what fails is tried again a minute later [`keep`]. (2) A
//! notice of a seal that the bucket does not have stays: it says that the bucket is not the one that it was [`Teller::tell`].

use std::{sync::Arc, time::Duration};

use hindcast_cluster::{
    Failure as Refused,
    notice::{Notice, Posted},
};
use hindcast_journal::{
    Journal,
    proof::{Newest, Trust},
    seal::Key,
};
use tokio::sync::watch;

use super::{ended, ha};
use crate::{
    args::Proving,
    failure::{Failure, Result},
};

/// How often it is looked whether the log was sealed.
const EVERY: Duration = Duration::from_mins(1);
/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long the last one is waited for.
const LAST: Duration = Duration::from_secs(5);

/// Who tells it.
struct Teller {
    journal: Journal,
    key: Arc<Key>,
    notice: Notice,
    /// The number of the seal that is told.
    told: u64,
    /// What was said of a failure, so that it is said once.
    said: Option<String>,
}

/// The name of a journal's notice, and the value of its label.
pub(in crate::commands) fn name(url: &str, cluster: &str) -> (String, String) {
    let name = ha::name(url, cluster).replacen("hindcast-", "hindcast-seal-", 1);
    let of = name.trim_start_matches("hindcast-seal-").to_owned();
    (name, of)
}

/// The key that seals are made with, if they are to be told.
pub(super) fn key(args: &Proving, keys: &[Arc<Key>]) -> Result<Option<Arc<Key>>> {
    match (args.seal_in_cluster, keys.first()) {
        (false, _) => Ok(None),
        (true, Some(key)) => Ok(Some(key.clone())),
        (true, None) => Err(Failure::new("--seal-in-cluster", "needs a key, without which nothing is sealed")
            .hint("--key-file FILE; `hindcast key init` makes one")),
    }
}

/// Tells the newest seal until stopped, and the last one then.
pub(super) async fn keep(
    (key, client): (Arc<Key>, kube::Client),
    (journal, url): (Journal, String),
    stopped: watch::Receiver<bool>,
) {
    let (name, of) = name(&url, journal.cluster());
    let parts = journal.parts().clone();
    let notice = Notice::new((client, parts.clone()), (&ha::namespace(None), &name), &of, DEADLINE);
    let mut teller = Teller { journal, key, notice, told: 0, said: None };
    let mut stop = std::pin::pin!(ended(stopped));
    loop {
        tokio::select! {
            () = teller.round() => {}
            () = &mut stop => break,
        }
        tokio::select! {
            () = parts.clock.sleep(EVERY) => {}
            () = &mut stop => break,
        }
    }
    // The log was sealed as it ended.
    let _ = parts.timeout(LAST, teller.round()).await;
}

impl Teller {
    async fn round(&mut self) {
        match self.tell().await {
            Ok(()) => self.said = None,
            Err(reason) => {
                if self.said.as_ref() != Some(&reason) {
                    tracing::warn!(
                        reason,
                        notice = self.notice.label(),
                        "the newest seal cannot be told in the cluster; trying again"
                    );
                    self.said = Some(reason);
                }
            }
        }
    }

    async fn tell(&mut self) -> std::result::Result<(), String> {
        let newest = Newest::read(self.journal.store(), &self.key).await.map_err(|error| error.to_string())?;
        let Some(newest) = newest.filter(|newest| newest.number > self.told) else { return Ok(()) };
        let words = |refused: Refused| match refused {
            Refused::Forbidden(why) => format!("{why} (deploy/seal.yaml has what it needs)"),
            refused => refused.to_string(),
        };
        let read = self.notice.read().await.map_err(words)?;
        let trust = Trust::new(std::slice::from_ref(&self.key), Vec::new()).map_err(|error| error.to_string())?;
        let stands = read.as_ref().and_then(told).filter(|stands| stands.is_of(self.journal.cluster()));
        if let Some(stands) = stands.filter(|stands| stands.is_signed(&trust) != Some(false)) {
            let known = stands.is_in(self.journal.store()).await.map_err(|error| error.to_string())?;
            if !known {
                return Err(format!(
                    "it tells of seal {}, of position {}, which the bucket does not have: an older bucket was put in its place, or its end was \
                     cut off; `hindcast verify --live` says more; delete the notice if the journal was begun anew",
                    stands.number, stands.pos
                ));
            }
            if stands.number > newest.number {
                return Ok(());
            }
        }
        let text = serde_json::to_string(&newest).map_err(|error| error.to_string())?;
        self.notice.write(read.as_ref(), &text).await.map_err(words)?;
        self.told = newest.number;
        Ok(())
    }
}

/// The seal that a notice tells of, if it can be read.
pub(in crate::commands) fn told(posted: &Posted) -> Option<Newest> {
    serde_json::from_str(posted.text()?).ok()
}
