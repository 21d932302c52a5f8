//! The testbed: real servers as child processes, and what misbehaves in front of and behind them.
//!
//! - [`Cluster`]: a private control plane (etcd, API server, optionally controllers and an etcd for Events).
//! - [`Node`]: a node of it, whose Pods run, from the images of [`Image`]; [`Csi`]: volumes and snapshots.
//! - [`Minio`]: an S3-compatible store; [`Azurite`] and [`FakeGcs`]: stores as Azure and Google have them.
//! - [`Kafka`]: a broker, and Kafka's own tools to look at it with.
//! - [`Moto`]: Amazon's services, as far as a Python package has them.
//! - [`engines`]: SQL engines that read a journal in place.
//! - [`Proxy`] and [`HttpProxy`]: faults of connections and of single requests.
//! - [`ConnectProxy`]: a company's proxy, through which everything has to go.
//! - [`AggregatedApi`] and [`Webhook`]: what the API server itself depends on, and which can be down.
//! - [`FakeClock`]: a wall clock for one process.
//! - [`Terminal`]: a terminal with somebody typing at it.
//! - [`Program`]: the pinned servers, built once into a cache outside the checkout.
//!
//! Everything listens on loopback, owns its ports and its folder, and leaves nothing behind
//! ([`process`] says how). What goes wrong while starting is an error that ends with the server's own log.
//! Start reading at [`Cluster::start`].

#![allow(clippy::disallowed_methods, reason = "real servers run on the real clock and environment")]

pub mod aggregated;
mod azurite;
pub mod build;
mod cluster;
mod connect_proxy;
mod csi;
pub mod engines;
mod fake_clock;
mod fake_gcs;
mod http_proxy;
pub(crate) mod https;
mod images;
pub mod kafka;
mod minio;
mod moto;
mod node;
pub mod process;
mod proxy;
mod python;
mod terminal;
pub mod tls;
mod webhook;

pub use aggregated::AggregatedApi;
pub use azurite::Azurite;
pub use build::Program;
pub use cluster::{Builder, Cluster, Part, StoreCopy};
pub use connect_proxy::ConnectProxy;
pub use csi::{Call, CallFault, Csi};
pub use fake_clock::FakeClock;
pub use fake_gcs::FakeGcs;
pub use http_proxy::{Fault, HttpProxy, Rule};
pub use images::Image;
pub use kafka::Kafka;
pub use minio::Minio;
pub use moto::Moto;
pub use node::{Answer, Namespace, Node};
pub use proxy::{Mode, Proxy};
pub use terminal::Terminal;
pub use webhook::{Verdict, Webhook, WebhookKind};
