//! The seeded simulator: a whole world in one thread, under the real watcher and the real journal.
//!
//! A simulated API server ([`api`]) stands under `kube::Client`, a simulated store ([`store`]) under the journal, and
//! time is tokio's paused time, so that minutes pass in milliseconds and a seed gives the same run again, byte for
//! byte. Faults ([`faults`]) are drawn from the seed. [`cluster`] runs it all, checkpoints included, and [`check`] is
//! the oracle; [`restore`] takes a namespace back at the end; [`writers`] races writers for one journal, without a
//! watcher; [`misled`] has a watch do wrong; [`expire`] thins the past out behind all of them. Not here: what the real API server does, which
//! the cluster tests prove.

pub mod api;
pub mod check;
pub mod cluster;
pub mod expire;
pub mod faults;
pub mod harness;
pub mod json;
mod life;
pub mod misled;
pub mod restore;
pub mod rng;
pub mod scene;
pub mod storage;
pub mod store;
mod table;
pub mod workload;
pub mod world;
pub mod writers;
