//! Whether somebody still reads standard output, for commands that would go on for ever.
//!
//! A pipe tells its writer that its reader is gone only when something is written. `hindcast log --follow | head -1` would
//! wait for the next change of the cluster until then, so the pipe is watched.

use crate::printer::Printer;

/// Waits until nobody reads standard output any more.
pub(crate) async fn gone(printer: &Printer) {
    tokio::select! {
        () = printer.out_closed() => {}
        () = hung_up() => {}
    }
}

/// Waits until the other end of standard output hangs up: for ever where it has none, as a file.
#[cfg(unix)]
async fn hung_up() {
    use std::os::fd::AsFd as _;

    use tokio::{io::Interest, net::unix::pipe::Sender};

    // Only looked at, never written through: it stays as blocking as it is.
    let out = std::io::stdout().as_fd().try_clone_to_owned().and_then(Sender::from_owned_fd_unchecked);
    if let Ok(out) = out {
        while let Ok(ready) = out.ready(Interest::ERROR).await {
            if ready.is_error() || ready.is_write_closed() {
                return;
            }
        }
    }
    std::future::pending::<()>().await;
}

#[cfg(not(unix))]
async fn hung_up() {
    std::future::pending::<()>().await;
}
