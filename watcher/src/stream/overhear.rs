//! Listens to objects that are not journaled for what they tell: leases tell the time, definitions and API services
//! tell what is served. None of them becomes a row.

use std::{sync::Arc, time::Duration};

use hindcast_cluster::{
    Failure,
    discovery::LEASES,
    header::Header,
    lines::{self, Event},
};

use super::SWAP;
use crate::{
    access::{Access, another_life},
    domains, life,
};

/// Listens to objects that are not journaled, for what they tell of time and discovery.
pub(crate) async fn overhear(access: Arc<Access>, key: &'static str, path: String) {
    let mut failures = 0;
    let mut alive = Duration::ZERO;
    loop {
        let failure = listen(&access, key, &path, &mut failures, &mut alive).await;
        if let Err(failure) = failure {
            tracing::debug!(kind = key, %failure, "listening to it broke off");
            access.sleep(access.backoff(failures)).await;
            failures += 1;
        }
    }
}

async fn listen(
    access: &Access,
    key: &str,
    path: &str,
    failures: &mut u32,
    alive: &mut Duration,
) -> Result<(), Failure> {
    domains::place(access, key).await?;
    // Leases of another life would be taken for samples of this one.
    let domain = access.core.lock().kinds.get(key).map(|kind| kind.discovery.domain.clone());
    let mut began = 0;
    if let Some(domain) = &domain {
        life::confirm(access, domain, *alive).await?;
        began = access.core.lock().life(domain);
    }
    let (mut next, mut rv) = (None::<String>, 0);
    loop {
        let page = access.page(path, next.as_deref()).await?;
        rv = page.rv.ok_or(Failure::Opaque)?.max(rv);
        let mut core = access.core.lock();
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
        let seconds = (access.settings.watch_timeout + access.jitter(access.settings.watch_timeout / 5)).as_secs();
        let query = format!("resourceVersion={rv}&timeoutSeconds={}", seconds.max(1));
        let mut watch = access.api.watch(path, &query).await?;
        let opened = access.parts.clock.monotonic();
        while let Some(line) = watch.line(access.settings.idle_timeout).await? {
            (*failures, *alive) = (0, access.parts.clock.monotonic());
            match lines::event(&line) {
                Some(Event::Added(bytes) | Event::Modified(bytes)) => {
                    rv = Header::of(&bytes).rv.unwrap_or(rv);
                    access.core.lock().overheard(key, &bytes, Some(opened));
                }
                Some(Event::Deleted(bytes)) => {
                    rv = Header::of(&bytes).rv.unwrap_or(rv);
                    if key != LEASES {
                        access.core.lock().hint_changed();
                    }
                }
                Some(Event::Bookmark(bytes)) => rv = Header::of(&bytes).rv.unwrap_or(rv),
                Some(Event::Error(status)) => return Err(Failure::of_event(&status)),
                None => return Err(Failure::Server("the watch sent something that is not an event".to_owned())),
            }
        }
        // Even a watch that ended properly may have done so because the store was put back.
        if access.parts.clock.monotonic().saturating_sub(*alive) >= SWAP {
            return Ok(());
        }
    }
}
