//! Speaking with an API server.
//!
//! [`request`] sends a request and says what a refusal means; [`Api`] asks for lists and opens watches; [`lines`] cuts
//! what a watch sends into events; [`json`] and [`header`] find in the bytes received what must be known about an
//! object; [`discovery`] reads what is served; [`path`] says where; [`quantity`] compares sizes as the server does; [`gate`] bounds how many requests are under way;
//! [`cut`] brings kinds to where the cluster stands; [`identity`] says which cluster that is; [`lease`] is how processes agree on one of them,
//! [`notice`] how one tells the cluster something.
//!
//! **Invariants of absence.** (1) The caller decides what is asked, how often, and what follows from a failure: nothing
//! here is tried twice. (2) Time comes from [`hindcast_journal::Parts`] alone, requests go through the given clients
//! alone, so that a seeded run can be repeated. (3) Nothing here is stored: neither the journal nor a folder is
//! written.
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
pub mod lease;
pub mod lines;
pub mod notice;
pub mod path;
pub mod quantity;
pub mod request;

pub use api::{Answer, Api, Connector, Failure, NoClient, Page, Watch};
pub use request::When;
