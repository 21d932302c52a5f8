//! The `hindcast` binary, also installed as `kubectl-hindcast`.
fn main() {}
