//! Reads again what the journal stored in another way than it would today: values that were left out because there was
//! no key, stored in the clear, or not sealed by the rules of an older version.
//!
//! **Invariants.** (1) No watch is opened again and no protection ends: the rows are added after what the watches
//! bring. (2) Each kind is listed once, page by page, after a start that found it so; a list that fails is begun again.

use std::time::Duration;

use hindcast_cluster::discovery;
use hindcast_journal::row::Source;

use crate::{access::Access, core::Sighting, heal};

/// How often it is checked whether there is something to read again.
const LOOK: Duration = Duration::from_secs(1);

/// Reads again whatever has to be; ends only by being dropped.
pub(crate) async fn keep(access: &Access) {
    let mut failures = 0;
    loop {
        let due = {
            let mut core = access.core.lock();
            if core.started { core.next_reread() } else { None }
        };
        let Some(kind) = due else {
            access.sleep(LOOK).await;
            continue;
        };
        match one(access, &kind).await {
            Ok(()) => failures = 0,
            Err(failure) => {
                tracing::debug!(kind = kind.kind_key(), %failure, "values could not be read again yet");
                failures += 1;
                access.sleep(access.backoff(failures).max(LOOK)).await;
            }
        }
    }
}

async fn one(access: &Access, kind: &hindcast_journal::facts::Discovery) -> Result<(), hindcast_cluster::Failure> {
    let (key, path) = (kind.kind_key(), discovery::path(kind));
    let mut next: Option<String> = None;
    let mut list = None;
    loop {
        let page = access.page(&path, next.as_deref()).await?;
        let Some(rv) = list.or(page.rv) else { return Err(hindcast_cluster::Failure::Opaque) };
        list = Some(rv);
        let mut core = access.core.lock();
        for item in page.items {
            let (header, bytes) = heal::typed(kind, item);
            let at = core.now();
            let seen = Sighting { header, bytes, source: Source::List, at, live: false };
            core.reread(&key, &seen, rv);
        }
        next = page.next;
        if next.is_none() {
            core.reread_done(&key);
            return Ok(());
        }
    }
}
