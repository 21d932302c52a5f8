//! The `hindcast` binary, built beside the tests that run it as a child.

fn main() -> std::process::ExitCode {
    hindcast_cli::main(std::env::args_os())
}
