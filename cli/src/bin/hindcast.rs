//! The `hindcast` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    hindcast_cli::main(std::env::args_os())
}
