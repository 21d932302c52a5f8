//! Rollbacks, compared with a model: random histories on a real API server, restored and undone by the binary.
//!
//! **Words**: a *history* is a list of [`Op`]s in a namespace of its own, with a *moment* among them; the [`Scene`] is
//! what the server answered to them, object by object; the result is *predicted* from these answers alone.
//!
//! **Invariants.** (1) Nothing here reads the restorer's rules, plans or types: fields are compared according to a list
//! written by hand ([`fields`]), and the binary's answers are read as the JSON that its users get ([`answer`]). (2) A
//! seed always gives the same history.
//!
//! Start reading at [`trial`].

pub mod answer;
pub mod bodies;
pub mod cases;
pub mod fields;
pub mod history;
pub mod killed;
mod model;
pub mod moved;
pub mod scene;
mod shrink;
pub mod sorts;
pub mod trial;

pub use history::Op;
pub use scene::Scene;
pub use sorts::Sort;
