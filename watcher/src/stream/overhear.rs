//! Listening to objects that are not journaled, for what they tell: leases of time, definitions and API services of
//! what is served. Nothing of them becomes a row.

use std::{sync::Arc, time::Duration};

use hindcast_cluster::{
    Failure,
    discovery::LEASES,
    header::Header,
    lines::{self, Event},
};

use super::SWAP;
use crate::{
    domains,
    env::{Env, another_life},
    life,
};

/// Listens to objects that are not journaled, for what they tell of time and discovery.
pub(crate) async fn overhear(env: Arc<Env>, key: &'static str, path: String) {
    let mut failures = 0;
    let mut alive = Duration::ZERO;
    loop {
        let failure = listen(&env, key, &path, &mut failures, &mut alive).await;
        if let Err(failure) = failure {
            tracing::debug!(kind = key, %failure, "overhearing broke");
            env.sleep(env.backoff(failures)).await;
            failures += 1;
        }
    }
}

async fn listen(env: &Env, key: &str, path: &str, failures: &mut u32, alive: &mut Duration) -> Result<(), Failure> {
    domains::place(env, key).await?;
    // Leases of another life would tell when revisions of this one were committed.
    let domain = env.core.lock().kinds.get(key).map(|kind| kind.discovery.domain.clone());
    let mut began = 0;
    if let Some(domain) = &domain {
        life::confirm(env, domain, *alive).await?;
        began = env.core.lock().life(domain);
    }
    let (mut next, mut rv) = (None::<String>, 0);
    loop {
        let page = env.page(path, next.as_deref()).await?;
        rv = page.rv.ok_or(Failure::Opaque)?.max(rv);
        let mut core = env.core.lock();
        if domain.as_ref().is_some_and(|domain| core.life(domain) != began) {
            return Err(another_life());
        }
        match &domain {
            Some(domain) if key == LEASES => core.leases_listed(domain, &page.items),
            _ => page.items.iter().for_each(|item| core.overheard(key, item, None)),
        }
        drop(core);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    loop {
        let seconds = (env.settings.watch_timeout + env.jitter(env.settings.watch_timeout / 5)).as_secs();
        let query = format!("resourceVersion={rv}&timeoutSeconds={}", seconds.max(1));
        let mut watch = env.api.watch(path, &query).await?;
        let opened = env.parts.clock.monotonic();
        while let Some(line) = watch.line(env.settings.idle_timeout).await? {
            (*failures, *alive) = (0, env.parts.clock.monotonic());
            match lines::event(&line) {
                Some(Event::Added(bytes) | Event::Modified(bytes)) => {
                    rv = Header::of(&bytes).rv.unwrap_or(rv);
                    env.core.lock().overheard(key, &bytes, Some(opened));
                }
                Some(Event::Deleted(bytes)) => {
                    rv = Header::of(&bytes).rv.unwrap_or(rv);
                    if key != LEASES {
                        env.core.lock().hint_changed();
                    }
                }
                Some(Event::Bookmark(bytes)) => rv = Header::of(&bytes).rv.unwrap_or(rv),
                Some(Event::Error(status)) => return Err(Failure::of_event(&status)),
                None => return Err(Failure::Server("the watch sent what is no event".to_owned())),
            }
        }
        // Also a watch that ended properly may have done so when the store was put back.
        if env.parts.clock.monotonic().saturating_sub(*alive) >= SWAP {
            return Ok(());
        }
    }
}
