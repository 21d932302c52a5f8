//! The arguments of `hindcast point`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Plugins, VolumesArg, duration};

/// `hindcast point`.
#[derive(Debug, Subcommand)]
pub(crate) enum PointVerb {
    /// Make a recovery point: hooks, snapshots of volumes, and a closed cut of all resources
    Create(PointCreate),
    /// All of them, oldest first
    List,
    /// One of them, with its volumes, hooks and what is missing
    Show {
        /// Its name; `latest`, or SCHEDULE/latest
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Delete recovery points and their snapshots
    Delete {
        /// Their names
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        plugins: Plugins,
    },
    /// Finish what a process left behind: points half made or half deleted, snapshots that no point has
    Gc {
        /// Only say what was left behind
        #[arg(long)]
        plan: bool,
        #[command(flatten)]
        plugins: Plugins,
    },
}

/// `hindcast point create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PointCreate {
    /// Its name [default: manual- and the time in UTC]
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The namespaces whose volumes and hooks are taken, with * and ?; may be repeated
    #[arg(short, long, value_name = "NS", value_delimiter = ',', conflicts_with = "all_namespaces")]
    pub(crate) namespace: Vec<String>,
    /// All namespaces
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    /// Namespaces that are left out, with * and ?; may be repeated
    #[arg(long, value_name = "NS", value_delimiter = ',')]
    pub(crate) exclude_namespace: Vec<String>,
    /// Only volumes whose claims, or Pods that mount them, have these labels; and hooks of such Pods
    #[arg(short = 'l', long, value_name = "SEL")]
    pub(crate) selector: Option<String>,
    /// How volumes are taken
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub(crate) volumes: VolumesArg,
    /// Move the snapshots of CSI drivers into the bucket: copied file by file by movers (--mover), then deleted
    #[arg(long = "move")]
    pub(crate) moves: bool,
    /// A file of volume policies, written as Velero's resource policies
    #[arg(long, value_name = "FILE")]
    pub(crate) volume_policies: Option<PathBuf>,
    /// When it may be deleted by itself: 720h, 30d [default: never]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) ttl: Option<std::time::Duration>,
    /// A label of the point; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,
    /// How long a snapshot may take until it is ready, and a copy of files until it is done
    #[arg(long, value_name = "TIME", default_value = "4h", value_parser = duration)]
    pub(crate) snapshot_timeout: std::time::Duration,
    #[command(flatten)]
    pub(crate) plugins: Plugins,
    /// Only say what would be taken
    #[arg(long)]
    pub(crate) plan: bool,
}
