//! How the volumes of a recovery point are taken.

use clap::ValueEnum;

/// How volumes are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VolumesArg {
    /// As Pods' annotations say, else by a snapshot where a driver can, else file by file (--mover); the rest is missing
    Auto,
    /// Not at all
    None,
    /// By a snapshot
    Snapshot,
    /// File by file, where a running Pod has them mounted (--mover)
    Files,
}
