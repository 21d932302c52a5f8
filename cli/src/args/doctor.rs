//! The arguments of `hindcast doctor`.

use clap::Args;

/// `hindcast doctor`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
It looks at every file, as `hindcast verify` does, and changes none. Of what is wrong it says what it is, what cannot be answered for
want of it, what still can, and what helps. `--around-damage` has readers go around what it names.

Exit: 0 nothing is wrong · 1 something is · 2 it could not be looked at · 3 nothing is wrong as far as that can be known.")]
pub(crate) struct Doctor {
    /// A public key to check seals with, as `hindcast key list -o json` prints it; may be repeated
    #[arg(long, value_name = "HEX")]
    pub(crate) public_key: Vec<String>,
    /// A position and its chain value that an earlier `verify` printed: the log must still go there
    #[arg(long, value_name = "POS:CHAIN")]
    pub(crate) known: Option<String>,
}
