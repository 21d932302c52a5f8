//! The arguments of `hindcast compact`, and what `run` keeps beside the log: raw segments, and the table.

use std::time::Duration;

use clap::Args;

use hindcast_compactor::Policy;

use super::duration;

/// `hindcast compact`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Compact {
    /// Only say what would be written and removed
    #[arg(long)]
    pub(crate) plan: bool,
    /// Remove segments that a merged file of a day holds too once they are older [default: remove nothing]
    #[arg(long, value_name = "TIME", value_parser = keep)]
    pub(crate) keep_raw: Option<Keep>,
    /// Do not keep merged files as a Delta Lake table too, which SQL engines read
    #[arg(long)]
    pub(crate) no_delta_table: bool,
}

/// How long raw segments are kept, and whether the table is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Raw {
    /// How long a segment is kept that a merged file of a day holds too; `forever` never removes any [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = keep)]
    pub(crate) keep_raw: Option<Keep>,
    /// Do not keep merged files as a Delta Lake table too, which SQL engines read
    #[arg(long)]
    pub(crate) no_delta_table: bool,
}

/// How long something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// So long.
    For(Duration),
    /// For ever.
    Forever,
}

impl From<Keep> for Option<Duration> {
    fn from(keep: Keep) -> Self {
        match keep {
            Keep::For(duration) => Some(duration),
            Keep::Forever => None,
        }
    }
}

pub(crate) fn keep(text: &str) -> Result<Keep, String> {
    if text == "forever" {
        return Ok(Keep::Forever);
    }
    match duration(text)? {
        short if short < Policy::LEAST => {
            let least = Policy::LEAST.as_secs() / 60;
            Err(format!(
                "a segment is kept for {least}m at least: a writer that stood still may not know yet whether it counts"
            ))
        }
        duration => Ok(Keep::For(duration)),
    }
}
