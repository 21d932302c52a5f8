//! `run` begins anew in its own place: the same program with the same arguments, as the same process.
//!
//! Nothing of what ran is left by then, and what was written is durable, so this is as the start of a process by its supervisor; only
//! that none is needed, none counts it as a failure or waits before it, and a terminal keeps its program.

#[cfg(unix)]
use std::path::PathBuf;

use crate::failure::{Exit, Failure, Result};

/// Begins anew; returns only if that cannot be.
#[cfg(unix)]
pub(super) fn begin() -> Result<Exit> {
    use std::os::unix::process::CommandExt as _;
    let hint = "start it again: everything that was seen is written";
    let wrong = |error: std::io::Error| Failure::new("beginning anew", error.to_string()).hint(hint);
    let begin = |program: PathBuf| {
        let mut arguments = std::env::args_os();
        let mut command = std::process::Command::new(program);
        // By its name it knows how it was called.
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        command.args(arguments).exec()
    };
    let error = begin(std::env::current_exe().map_err(wrong)?);
    // A newer one may have been put in its place since; then it begins as what it is.
    match error.kind() {
        std::io::ErrorKind::NotFound => Err(wrong(begin(PathBuf::from("/proc/self/exe")))),
        _ => Err(wrong(error)),
    }
}

/// Ends, for a supervisor to begin anew.
#[cfg(not(unix))]
pub(super) fn begin() -> Result<Exit> {
    tracing::info!("to be started again, as its settings say something else now");
    Ok(Exit::Done)
}
