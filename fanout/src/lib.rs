//! Publishes the committed log to others: each row an event, at least once and in order, behind a durable cursor.
//!
//! **Words**: a *target* is where events go (Kafka); a *sink* is one connection to it; the *cursor* is the position up to
//! which the target has acknowledged everything; a *pointer* is an event without its body, since the target takes
//! none so large.
//!
//! **Invariants.**
//! 1. Only what is committed is published: rows come from [`hindcast_journal::Journal::tail`] and from nowhere else.
//! 2. No row is skipped in silence: what does not pass the [`Filter`] was not asked for, and what the target does not
//!    take whole goes as a pointer that names its position [`pipeline`].
//! 3. The cursor never passes a row that was not acknowledged [`window`], so a death costs repetition and no loss.
//! 4. The events of one object bear one key and are handed over in the log's order. After any refusal the sink is given
//!    up and everything behind the cursor is published anew: so what is repeated is repeated in order.
//! 5. No value that the journal treats as secret leaves, however the journal keeps it [`hide`].
//! 6. Nothing here can hold up whoever writes the journal: what waits is bounded, and every failure is told and retried
//!    [`run`].
//!
//! How a consumer puts that together: it keeps, per key, the highest `position` that it has dealt with, and ignores an
//! event that is not above it. What is left comes in order, once. Across keys, `position` is the order of the log; over
//! all events of a target without filters positions have no hole. Where protection itself had holes, `dev.hindcast.gap`
//! and `dev.hindcast.coverage.*` events say so: a consumer that mirrors state must heed them.
//!
//! The crate knows the journal alone. Kafka's client is behind the feature `kafka` ([`kafka`]); without it all else is
//! there and tested.
//!
//! Start reading at [`run`], then [`Event`], then [`sink`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where a library must not"))]

pub mod cursor;
pub mod event;
pub mod filter;
mod hide;
pub mod kafka;
pub mod message;
pub mod metrics;
mod pipeline;
mod reading;
pub mod sink;
pub mod start;
mod window;

pub use cursor::{Cursor, Rewind};
pub use event::Event;
pub use filter::Filter;
pub use message::{Format, Message, Topics};
pub use metrics::Metrics;
pub use pipeline::{Bounds, Parts, Settings, run};
pub use sink::{Answer, Care, Sink, Target, Unsent};
pub use start::From;

#[cfg(test)]
mod tests;
