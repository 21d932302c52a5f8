//! Tracing: the log of `run`, and what readers say with `-v`.
//!
//! **Invariants.** The log goes to standard error. It is escaped by its formatter (text quotes with Debug, JSON with
//! JSON) and carries no value of an object: fields are kinds, names, positions, counts and errors, and the libraries'
//! errors quote no documents.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt};

use crate::args::LogFormat;

/// The log of `run`: what it does; with `-v` also how.
pub(crate) fn for_run(format: LogFormat, verbose: u8, colour: bool) {
    let colour = colour && std::io::stderr().is_terminal();
    let own = match verbose {
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    // Where the log cannot be written there is nobody to tell that either; trying to would be a panic.
    let builder = fmt().with_writer(std::io::stderr).log_internal_errors(false).with_env_filter(filter(own));
    // A second subscriber is refused; the first one stays, which is what a test wants that calls twice.
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(colour).try_init(),
    };
}

/// Readers are quiet unless asked.
pub(crate) fn for_reader(verbose: u8) {
    let own = match verbose {
        0 => "error",
        1 => "info",
        _ => "debug",
    };
    let _ = fmt()
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .with_ansi(false)
        .with_env_filter(filter(own))
        .try_init();
}

fn filter(own: &str) -> EnvFilter {
    EnvFilter::new(format!(
        "error,kube_client=off,hindcast_cli={own},hindcast_journal={own},hindcast_cluster={own},hindcast_watcher={own},\
         hindcast_compactor={own},hindcast_restorer={own},hindcast_snapshotter={own},hindcast_operator={own},\
         hindcast_fanout={own}"
    ))
}
