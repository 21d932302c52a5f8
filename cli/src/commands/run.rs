//! `hindcast run`: protect a cluster.

use super::Context;
use crate::{args::Run, failure::{Exit, Failure, Result}};

/// Runs until stopped, fenced or broken.
pub(super) async fn run(_context: &Context<'_>, _args: &Run) -> Result<Exit> {
    Err(Failure::new("run", "is not there yet"))
}
