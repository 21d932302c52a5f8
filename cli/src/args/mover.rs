//! The arguments of `hindcast mover`, which Pods that move files are started with.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

/// `hindcast mover`.
#[derive(Debug, Args)]
pub(crate) struct MoverArgs {
    /// A file with the repository's password, instead of the key file
    #[arg(long, global = true, value_name = "FILE", env = "HINDCAST_FILES_PASSWORD_FILE")]
    pub(crate) password_file: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) verb: MoverVerb,
}

/// What a mover does.
#[derive(Debug, Subcommand)]
pub(crate) enum MoverVerb {
    /// Keep the files below a folder
    Backup {
        /// The folder
        #[arg(value_name = "FOLDER")]
        source: PathBuf,
        /// The id of the recovery point
        #[arg(long, value_name = "ID")]
        point: String,
        /// Its name
        #[arg(long, value_name = "NAME", default_value = "")]
        name: String,
        /// The volume's number in it
        #[arg(long, value_name = "N")]
        volume: u32,
        /// Whose volume it is
        #[arg(long, value_name = "NAMESPACE/CLAIM")]
        claim: String,
    },
    /// Put the files of a snapshot back into a folder
    Restore {
        /// The snapshot
        #[arg(value_name = "ID")]
        id: String,
        /// The folder
        #[arg(value_name = "FOLDER")]
        target: PathBuf,
    },
    /// The snapshots
    List {
        /// Only those of this recovery point
        #[arg(long, value_name = "ID")]
        point: Option<String>,
    },
    /// Give snapshots up
    Forget {
        /// Their ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// Remove what no snapshot holds any more
    Prune {
        /// How long what is not held stays; longer than any copy takes
        #[arg(long, value_name = "TIME", default_value = "23h", value_parser = super::duration)]
        grace: Duration,
    },
    /// Print the repository's password, with which restic reads it
    Password,
}
