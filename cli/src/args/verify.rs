//! The arguments of `hindcast verify`.

use clap::Args;

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
    /// Also compare what the cluster has now, by lists of metadata at one revision
    #[arg(long)]
    pub(crate) live: bool,
}
