//! Work of the libraries on the thread of [`crate::run`], asked for by controllers, whose own work may move between threads.
//!
//! **Invariant.** Who asks waits for the answer; work whose asker is gone goes on to its end.

use std::future::Future;

use futures::future::LocalBoxFuture;
use hindcast_journal::{Error, Result};
use tokio::{
    sync::{mpsc, oneshot},
    task::LocalSet,
};

type Job = Box<dyn FnOnce() -> LocalBoxFuture<'static, ()> + Send>;

/// Asks for work.
#[derive(Debug, Clone)]
pub(crate) struct Local(mpsc::UnboundedSender<Job>);

/// Does it.
#[derive(Debug)]
pub(crate) struct Worker(mpsc::UnboundedReceiver<Job>);

/// Both ends.
pub(crate) fn channel() -> (Local, Worker) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Local(sender), Worker(receiver))
}

impl Local {
    /// Begins work that nobody waits for.
    pub(crate) fn begin<F>(&self, work: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        // Without a worker the process ends.
        let _ = self.0.send(Box::new(move || Box::pin(work())));
    }

    /// Has work done.
    pub(crate) async fn run<T, F>(&self, work: impl FnOnce() -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + 'static,
    {
        let (tell, told) = oneshot::channel();
        self.begin(move || async move {
            let _ = tell.send(work().await);
        });
        told.await.unwrap_or_else(|_| Err(Error::internal("the work", "ended before it was done")))
    }
}

impl Worker {
    /// Works until nobody can ask any more.
    pub(crate) async fn work(mut self) {
        let tasks = LocalSet::new();
        tasks
            .run_until(async {
                while let Some(job) = self.0.recv().await {
                    tokio::task::spawn_local(job());
                }
            })
            .await;
    }
}
