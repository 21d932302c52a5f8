//! Reading on in the log: run after run, a wait where it ends, and what is sealed by then.
//!
//! **Invariant.** What is sealed is known as it was at most [`RULES_EVERY`] before rows came, while the store answers
//! [`Reading::more`].

use std::{sync::Arc, time::Duration};

use hindcast_journal::{Journal, Result, journal::Segment, parts::Clock, read::Tail, seal::Rules, writer::Durable};
use tokio::sync::watch;

/// How soon after rows the log is looked at again, where nobody says that there are more; it doubles up to the other.
const LOOK_SOON: Duration = Duration::from_secs(1);
const LOOK_LATE: Duration = Duration::from_secs(5);

/// How old what is known of sealed places may be when rows come.
const RULES_EVERY: Duration = Duration::from_mins(1);

/// Reads on, and waits where the log ends.
pub(crate) struct Reading {
    journal: Journal,
    tail: Tail,
    clock: Arc<dyn Clock>,
    news: Option<watch::Receiver<Durable>>,
    at_end: bool,
    pause: Duration,
    /// What is sealed, and when that was read.
    rules: Arc<Rules>,
    ruled: Duration,
}

/// What was read, and what reads on.
pub(crate) type Read = (Reading, Result<Option<Segment>>);

impl Reading {
    /// What a tail gives, from what is sealed as it was read just now. Whoever writes here gives news.
    pub(crate) fn new(
        journal: &Journal,
        tail: Tail,
        news: Option<watch::Receiver<Durable>>,
        rules: Arc<Rules>,
    ) -> Self {
        let (journal, clock) = (journal.clone(), journal.parts().clock.clone());
        let ruled = clock.monotonic();
        Self { journal, tail, clock, news, at_end: false, pause: LOOK_SOON, rules, ruled }
    }

    /// What is sealed, as it is known with what was read last.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.clone()
    }

    /// The next run, or `None` once the log's end was met; after a while, if the last try failed.
    pub(crate) async fn more(mut self, after: Option<Duration>) -> Read {
        let clock = self.clock.clone();
        if let Some(after) = after {
            clock.sleep(after).await;
        } else if self.at_end {
            match &mut self.news {
                Some(news) => {
                    if news.changed().await.is_err() {
                        self.news = None;
                    }
                }
                None => {
                    clock.sleep(self.pause).await;
                    self.pause = self.pause.saturating_mul(2).min(LOOK_LATE);
                }
            }
        }
        let read = self.tail.ready().await;
        self.at_end = matches!(read, Ok(None));
        if matches!(&read, Ok(Some(run)) if !run.rows.is_empty()) {
            self.pause = LOOK_SOON;
            let now = clock.monotonic();
            // Where that fails, what was known holds, and the next rows have it tried again.
            if now.saturating_sub(self.ruled) >= RULES_EVERY
                && let Ok(rules) = Rules::read(&self.journal).await
            {
                (self.rules, self.ruled) = (Arc::new(rules), now);
            }
        }
        (self, read)
    }
}
