//! The kinds of `hindcast.dev`, reconciled by the process that writes the journal.
//!
//! **Invariant.** It has a thread of its own, and what goes wrong there (even a mistake of ours) ends it alone: it begins anew, and
//! protection goes on [`reconcile`].

use std::time::Duration;

use async_trait::async_trait;
use hindcast_journal::Error;
use hindcast_operator::{self as operator, Parts, Settings};
use hindcast_snapshotter::Closer;
use hindcast_watcher::Handle;
use tokio::{runtime, sync::watch, task};

use super::signals::ended;

/// How long after a mistake of ours it begins anew.
const ANEW: Duration = Duration::from_mins(1);

/// The watcher of this process.
#[derive(Debug)]
pub(super) struct Own(pub(super) Handle);

#[async_trait]
impl Closer for Own {
    async fn close(&self) -> Result<(), String> {
        // What is durable is this process's: once it is fenced this fails, and with it whatever waits for it.
        self.0.close().await.map(|_| ()).map_err(|error| Error::causes(&error))
    }
}

/// Reconciles until the process is stopped.
pub(super) async fn reconcile(settings: Settings, parts: Parts, stopped: watch::Receiver<bool>) {
    let clock = parts.journal.parts().clock.clone();
    while !*stopped.borrow() {
        let (settings, parts, stopped) = (settings.clone(), parts.clone(), stopped.clone());
        let threads = runtime::Handle::current();
        let work = task::spawn_blocking(move || threads.block_on(operator::run(settings, parts, ended(stopped))));
        if let Err(error) = work.await {
            tracing::error!(%error, "what reconciles the kinds of hindcast.dev broke; it begins anew, and protection goes on");
            clock.sleep(ANEW).await;
        }
    }
}
