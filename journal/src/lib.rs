//! The truth: an append-only log in a bucket, and how to fold it.
//!
//! Start reading at [`Row`], then [`Writer`], then [`Reader`] and its [`Past`].

pub mod checkpoint;
pub mod counts;
pub mod cut;
pub mod encode;
pub mod error;
pub mod exact;
pub mod facts;
pub mod fold;
pub mod journal;
pub mod layout;
pub mod parts;
pub mod read;
pub mod row;
pub mod seal;
pub mod segment;
pub mod store;
pub mod writer;

pub use checkpoint::{Checkpoint, Manifest};
pub use cut::{At, Cut, Moment};
pub use encode::{Base, Encoded, Encoder, Observation};
pub use error::{Error, ErrorKind, Outage, Result};
pub use fold::{Entry, Scope, State};
pub use journal::Journal;
pub use parts::{Clock, Micros, Parts, Random, utc_millis};
pub use read::{Past, Reader};
pub use row::{Change, Op, Position, Revision, Row, Source};
pub use seal::Secrets;
pub use segment::{FrontierPoint, FrontierVector};
pub use writer::{Durable, Writer};
