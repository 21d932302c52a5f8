//! How one speaks with an API server.
//!
//! [`request`] sends bytes and says what a refusal means; [`Api`] asks for lists and opens watches; [`lines`] cuts what a
//! watch sends into events; [`json`] and [`header`] find in received bytes what must be known of an object;
//! [`discovery`] reads what is served; [`path`] says where it is; [`gate`] bounds how much is asked at once;
//! [`cut`] brings kinds to where the cluster stands; [`identity`] says which cluster that is.
//!
//! **Invariants of absence.** (1) Whoever calls decides what is asked, how often, and what a failure leads to: nothing
//! here is tried twice. (2) Time comes from [`hindcast_journal::Parts`] alone, requests go through the given clients
//! alone, so a seeded run reproduces. (3) Nothing here is kept: neither the journal nor a folder is written.
//!
//! Start reading at [`request`], then [`Api`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod api;
pub mod cut;
pub mod discovery;
pub mod gate;
pub mod header;
pub mod identity;
pub mod json;
pub mod lines;
pub mod path;
pub mod request;

pub use api::{Answer, Api, Connector, Failure, NoClient, Page, Watch};
pub use request::When;
