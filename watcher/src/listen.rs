//! A short watch of one kind beside its stream, which brings what lies between its cursor and a revision.
//!
//! The server ends it after a few seconds, with a bookmark before the end if it sends any.
//!
//! **Invariant.** Its events go through the same core as the main stream's, which drops what it has seen.

use std::time::Duration;

use hindcast_cluster::{
    Failure,
    cut::{SECONDS, ShortWatch},
    lines::Event,
};
use hindcast_journal::{facts::Discovery, row::Revision};

use crate::{access::Access, core::Verdict};

/// A watch that ends sooner was cut off.
const ENDED: Duration = Duration::from_secs(SECONDS as u64 - 1);

/// Watches a kind from its cursor until it is seen up to `target`, or the watch ends. Says whether it stayed open for
/// its time, ended as asked, and left part of the interval unseen.
pub(crate) async fn listen(
    access: &Access,
    key: &str,
    kind: &Discovery,
    cursor: Revision,
    target: Revision,
) -> Result<bool, Failure> {
    let mut watch = ShortWatch::open(&access.api, kind, cursor).await?;
    let opened = access.parts.clock.monotonic();
    while let Some(event) = watch.next().await? {
        if let Event::Error(status) = &event {
            return Err(Failure::of_event(status));
        }
        let mut core = access.core.lock();
        // What it brings was waiting to be sent: this is not a live watch.
        if core.event(key, &event, Revision::MAX) != Verdict::Go {
            // The main stream runs into the same failure and knows what to do.
            return Ok(false);
        }
        if core.kinds.get(key).is_none_or(|k| k.cursor >= target) {
            return Ok(false);
        }
    }
    Ok(access.parts.clock.monotonic().saturating_sub(opened) >= ENDED)
}
