//! The arguments of `hindcast key`.

use clap::{Args, Subcommand};

/// `hindcast key`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum KeyVerb {
    /// Make a key: a new key file, or one more key in it that new values are sealed with
    Init {
        /// The key's name, to which its fingerprint is added [default: key-1, key-2, …]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// The keys of the file: names and dates, no secrets
    List,
    /// What each key of the file opens in the journal, and which may be taken out of the file
    Status,
    /// Keep every data key of the journal once more, wrapped by the newest key of the file, so that the older ones may be taken out
    Rewrap(Rewrap),
}

/// `hindcast key rewrap`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Values stay as they are, and so do hashes and placeholders that older keys made: without those keys the hashes are not checked,\n\
                        and whether a value differs between two moments is told by opening both. Nothing is overwritten; it can be interrupted\n\
                        and run again.\n\
                        Exit: 0 done, nothing to do · 1 with --plan: there is something to do; else: some data keys do not open · 2 failed or declined."
)]
pub(crate) struct Rewrap {
    /// Only say what would be wrapped and removed
    #[arg(long)]
    pub(crate) plan: bool,
    /// Then remove what only older keys open, once the newest was seen to open the same: from then on they are of no use
    #[arg(long)]
    pub(crate) remove_old: bool,
    /// Do not ask before anything is removed
    #[arg(short, long)]
    pub(crate) yes: bool,
}
