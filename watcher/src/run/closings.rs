//! Callers that wait for a closed cut, and when the next closing may begin.
//!
//! **Invariants.** (1) One closing runs at a time, and the next begins no sooner than [`APART`] after it began: each
//! asks the API server about every kind that lags, and anybody who reaches the listener can ask. (2) Whoever asks while
//! one runs asks for a later moment than that one closes: all of them share the next. (3) A closing that nobody waits
//! for any more is not begun.

use std::time::Duration;

use hindcast_journal::segment::FrontierVector;

use crate::{
    Result,
    handle::{Command, Reply},
};

/// The least time from the beginning of one closing to that of the next.
const APART: Duration = Duration::from_secs(1);

/// Those who wait for the next closing.
#[derive(Debug, Default)]
pub(super) struct Closings {
    asked: Vec<Reply>,
    /// The newest knock among them.
    knock: u64,
    next_at: Duration,
}

/// A closing, with those who share it.
#[derive(Debug)]
pub(super) struct Begun {
    asked: Vec<Reply>,
    /// The newest knock that it answers; 0 for none.
    pub(super) knock: u64,
}

impl Closings {
    /// Another caller asks.
    fn ask(&mut self, reply: Reply) {
        self.asked.push(reply);
    }

    /// Somebody asks, or has knocked.
    pub(super) fn take(&mut self, command: Command) {
        match command {
            Command::Close(reply) => self.ask(reply),
            Command::Knock(knock, reply) => {
                self.knock = self.knock.max(knock);
                self.ask(reply);
            }
        }
    }

    /// How long until the next may begin, if anybody waits for it.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        (!self.asked.is_empty()).then(|| self.next_at.saturating_sub(now))
    }

    /// The next closing if it is wanted and due. None may run.
    pub(super) fn begin(&mut self, now: Duration) -> Option<Begun> {
        self.asked.retain(|reply| !reply.is_closed());
        if self.asked.is_empty() || now < self.next_at {
            return None;
        }
        self.next_at = now + APART;
        Some(Begun { asked: std::mem::take(&mut self.asked), knock: std::mem::take(&mut self.knock) })
    }
}

impl Begun {
    /// Gives all of them the same answer.
    pub(super) fn answer(self, closed: &Result<FrontierVector>) {
        for reply in self.asked {
            // A caller that has left does not receive it.
            let _ = reply.send(match closed {
                Ok(frontier) => Ok(frontier.clone()),
                Err(error) => Err(error.again()),
            });
        }
    }
}

#[cfg(test)]
mod tests;
