//! The arguments of `hindcast verify`, and how often `run` does by itself what `--live` does.

use std::time::Duration;

use clap::Args;

use super::duration;

/// `hindcast verify`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exit: 0 all is as it was written · 1 a file is missing, late, foreign or altered, or the cluster says otherwise · 2 it could
not be looked at · 3 nothing is wrong as far as that can be known, and what cannot be known is named.

Seals are checked with the keys of --key-file, older ones with the older keys in it, or with --public-key alone.")]
pub(crate) struct Verify {
    /// A public key to check seals with, as `hindcast key list -o json` prints it; may be repeated
    #[arg(long, value_name = "HEX")]
    pub(crate) public_key: Vec<String>,
    /// A position and its chain value that an earlier `verify` printed: the log must still go there
    #[arg(long, value_name = "POS:CHAIN")]
    pub(crate) known: Option<String>,
    /// Also compare what the cluster has now, by lists of metadata at one revision; and hold the log to the newest seal that stands there,
    /// where `run --seal-in-cluster` tells it
    #[arg(long)]
    pub(crate) live: bool,
}

/// How often `run` compares with the cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct Proving {
    /// How often every kind's objects are compared with the cluster's own lists, metadata only and without haste; `never`
    /// does not [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = every)]
    pub(crate) prove_every: Option<Every>,
    /// Let the newest seal of the log stand in the cluster too, in a config map of this process's namespace (outside of a cluster
    /// kube-system), so that `verify --live` finds an older bucket in the place of this one; needs deploy/seal.yaml
    #[arg(long)]
    pub(crate) seal_in_cluster: bool,
}

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Every {
    /// Each time this has passed.
    Time(Duration),
    /// Not at all.
    Never,
}

impl From<Every> for Option<Duration> {
    fn from(every: Every) -> Self {
        match every {
            Every::Time(duration) => Some(duration),
            Every::Never => None,
        }
    }
}

/// The least time between.
const LEAST: Duration = Duration::from_mins(1);

pub(crate) fn every(text: &str) -> Result<Every, String> {
    if text == "never" {
        return Ok(Every::Never);
    }
    match duration(text)? {
        short if short < LEAST => Err("the cluster is not to be slowed: 1m at least, or `never`".to_owned()),
        duration => Ok(Every::Time(duration)),
    }
}
