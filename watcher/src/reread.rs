//! Reading again what the journal keeps in another way than it would now: values that were not stored for want of a key, in
//! clear, or that the rules of an older version left open.
//!
//! **Invariants.** (1) Nothing is watched anew and no protection ends: the rows stand behind what the watches bring.
//! (2) Each kind is listed once, page by page, after a start that found it so; a list that fails is begun again.

use std::time::Duration;

use hindcast_cluster::discovery;
use hindcast_journal::Source;

use crate::{core::Sighting, env::Env, stream};

/// Between looks whether there is something to read again.
const LOOK: Duration = Duration::from_secs(1);

/// Reads again, whenever something is to be; ends only by being dropped.
pub(crate) async fn keep(env: &Env) {
    let mut failures = 0;
    loop {
        let due = {
            let mut core = env.core.lock();
            if core.started { core.next_reread() } else { None }
        };
        let Some(kind) = due else {
            env.sleep(LOOK).await;
            continue;
        };
        match one(env, &kind).await {
            Ok(()) => failures = 0,
            Err(failure) => {
                tracing::debug!(kind = kind.kind_key(), %failure, "values could not be read again yet");
                failures += 1;
                env.sleep(env.backoff(failures).max(LOOK)).await;
            }
        }
    }
}

async fn one(env: &Env, kind: &hindcast_journal::facts::Discovery) -> Result<(), hindcast_cluster::Failure> {
    let (key, path) = (kind.kind_key(), discovery::path(kind));
    let mut next: Option<String> = None;
    let mut list = None;
    loop {
        let page = env.page(&path, next.as_deref()).await?;
        let Some(rv) = list.or(page.rv) else { return Err(hindcast_cluster::Failure::Opaque) };
        list = Some(rv);
        let mut core = env.core.lock();
        for item in page.items {
            let (header, bytes) = stream::typed(kind, item);
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
