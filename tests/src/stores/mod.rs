//! The stores that a journal may be in, each against a server of this machine: one suite of what a journal asks of a store, fronts
//! that make the quirks known of S3-compatible stores, and whoever gives credentials to a workload.
//!
//! **Words**: a *world* is a store as its user has it: a URL, and the variables of the environment that give access. A *front* stands
//! before a server and changes what is asked or answered; where that breaks a signature it signs again with the server's keys.
//!
//! **Invariants.** (1) A world is opened as `--journal` opens it ([`hindcast_cli::open_store`]). (2) Where a published interface is
//! served here, what is not as published is refused.
//!
//! Start reading at [`suite`].

mod azure;
mod front;
pub mod gcs;
mod identities;
mod quirks;
pub mod suite;

use std::sync::Arc;

use anyhow::{Result, anyhow};
use object_store::{ObjectStore, path::Path};

pub use azure::AzureFront;
pub use gcs::GcsFront;
pub use identities::{Identities, ROLE, SUBJECT_TOKEN};
pub use quirks::{Quirk, QuirkyS3};

/// A store as its user has it.
#[derive(Clone, Debug)]
pub struct World {
    /// The journal's URL.
    pub url: String,
    /// The environment.
    pub env: Vec<(String, String)>,
}

/// A store, and where in it the journal is.
pub type Opened = (Arc<dyn ObjectStore>, Path);

impl World {
    /// A URL, and what gives access.
    pub fn new<N: Into<String>, V: Into<String>>(
        url: impl Into<String>,
        env: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let env = env.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { url: url.into(), env }
    }

    /// The same with options in its URL.
    #[must_use]
    pub fn asking(&self, options: &str) -> Self {
        Self { url: format!("{}?{options}", self.url), env: self.env.clone() }
    }

    /// The same with a variable set, or, with nothing for it, not set.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut world = self.clone();
        world.env.retain(|(set, _)| set != name);
        world.env.push((name.to_owned(), value.to_owned()));
        world
    }

    /// Opens it as the command line does; the error is what is printed.
    pub fn open(&self) -> Result<Opened> {
        hindcast_cli::open_store(&self.url, self.env.clone()).map_err(|text| anyhow!("{text}"))
    }

    /// Why it is not opened.
    pub fn refused(&self) -> Result<String> {
        match self.open() {
            Ok(_) => Err(anyhow!("{} was opened", self.url)),
            Err(error) => Ok(error.to_string()),
        }
    }
}
