//! The truth: an append-only log in a bucket, and how to fold it.
//!
//! At the root are the words that everything else is told in; all else is in its module: what a row says in [`row`] and
//! [`facts`], questions and cuts in [`cut`], the state in [`fold`], the files in [`segment`], [`checkpoint`],
//! [`level`] and [`layout`].
//!
//! Start reading at [`Row`], then [`Writer`], then [`Reader`] and its [`Past`].

pub mod author;
pub mod bundle;
pub mod checkpoint;
pub mod counts;
pub mod custody;
pub mod cut;
pub mod delta;
pub mod doctor;
pub mod encode;
pub mod error;
pub mod exact;
pub mod expiry;
pub mod facts;
pub mod fold;
pub mod journal;
pub mod knock;
pub mod labels;
pub mod layout;
pub mod level;
mod partly;
pub mod parts;
pub mod point;
pub mod proof;
pub mod read;
pub mod row;
pub mod seal;
pub mod segment;
pub mod store;
pub mod trim;
pub mod verify;
pub mod writer;

pub use cut::Moment;
pub use error::{Error, Result};
pub use journal::Journal;
pub use parts::Parts;
pub use read::{Past, Reader};
pub use row::{Change, Position, Row};
pub use writer::Writer;
