//! The same binary under the name that kubectl looks for, so that `kubectl hindcast` works.

use std::process::ExitCode;

fn main() -> ExitCode {
    hindcast_cli::main(std::env::args_os())
}
