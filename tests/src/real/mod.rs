//! The testbed: real servers as child processes, and what misbehaves in front of them.
//!
//! - [`Cluster`]: a private control plane (etcd, API server, optionally controllers and an etcd for Events).
//! - [`Minio`]: an S3-compatible store.
//! - [`Program`]: the pinned servers, built once into a cache outside the checkout.
//!
//! Everything listens on loopback, owns its ports and its folder, and leaves nothing behind
//! ([`process`] says how). What goes wrong while starting is an error that ends with the server's own log.
//! Start reading at [`Cluster::start`].

#![allow(clippy::disallowed_methods, reason = "real servers run on the real clock and environment")]

pub mod build;
mod cluster;
mod minio;
pub mod process;
pub mod tls;

pub use build::Program;
pub use cluster::{Builder, Cluster, Part};
pub use minio::Minio;
