//! When `run` is told to stop.

use tokio::sync::watch;

use crate::failure::Exit;

/// Why `run` ends, if nothing broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// It was told to, and ends with this.
    Told(Exit),
    /// It begins anew by what its settings say now.
    Anew,
}

/// Until the process is told to stop.
pub(super) async fn ended(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Waits for a signal; a second one ends the process at once.
pub(in crate::commands) async fn signalled() -> Exit {
    let exit = signal().await;
    tracing::info!("stopping: writing what is buffered; again to stop at once");
    tokio::spawn(async {
        signal().await;
        #[expect(clippy::exit, reason = "the user asked twice; what is not durable is read again from the cursor")]
        std::process::exit(i32::from(Exit::Interrupted.code()));
    });
    exit
}

#[cfg(unix)]
async fn signal() -> Exit {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::warn!("signals cannot be taken: stop this process by killing it");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => Exit::Interrupted,
        _ = terminate.recv() => Exit::Done,
    }
}

#[cfg(not(unix))]
async fn signal() -> Exit {
    let _ = tokio::signal::ctrl_c().await;
    Exit::Interrupted
}
