//! The start of `run`: a store that is away or busy is waited for, and what is waited for is told; who begins is written down.

use std::time::Duration;

use hindcast_journal::{
    Change, Error, Parts, Writer,
    cut::MAIN,
    error::{ErrorKind, Outage},
    facts::{self, Mark},
    row::Op,
    seal::Secrets,
    store::Patience,
    writer::Identity,
};
use tokio::sync::watch;

use crate::failure::Result;

/// How long a store may be out of reach that was never heard of: it may be the address that is wrong.
const FIRST_CONTACT: Duration = Duration::from_secs(15);

/// The start, as it is told of at `/readyz`.
pub(super) struct Start {
    parts: Parts,
    stage: watch::Sender<Option<String>>,
    /// Whether the store has answered anything.
    answered: bool,
}

impl Start {
    pub(super) fn new(parts: &Parts) -> (Self, watch::Receiver<Option<String>>) {
        let (stage, shown) = watch::channel(Some("starting".to_owned()));
        (Self { parts: parts.clone(), stage, answered: false }, shown)
    }

    pub(super) fn waits_for(&self, what: &str) {
        self.stage.send_replace(Some(format!("waiting for {what}")));
    }

    pub(super) fn done(&self) {
        self.stage.send_replace(None);
    }

    /// Takes a step, as often as it takes a store that is away or busy to answer.
    pub(super) async fn ride<T>(&mut self, doing: &str, mut step: impl AsyncFnMut() -> Result<T, Error>) -> Result<T> {
        let mut patience = Patience::new(&self.parts);
        let mut failures: u32 = 0;
        let began = self.parts.clock.monotonic();
        self.waits_for(&format!("the store ({doing})"));
        loop {
            let error = match step().await {
                Ok(out) => {
                    self.answered = true;
                    return Ok(out);
                }
                Err(error) => error,
            };
            let reached = error.outage() != Outage::Unreached;
            let since = self.parts.clock.monotonic().saturating_sub(began);
            let rides = reached || self.answered || since < FIRST_CONTACT;
            if error.kind() != ErrorKind::Unavailable || !rides {
                return Err(error.into());
            }
            self.answered |= reached;
            failures += 1;
            let said = Error::causes(&error);
            if failures.is_power_of_two() {
                tracing::warn!(
                    error = said,
                    hint = error.hint(),
                    failures,
                    "{doing}: the store does not answer as it should; trying again"
                );
            }
            self.waits_for(&format!("the store ({doing}): {said}"));
            patience.failed().await;
        }
    }
}

/// Who writes. The instance is what a supervisor restarts: the same host and parent process.
pub(in crate::commands) fn identity(parts: &Parts) -> Identity {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| std::env::var_os("HOSTNAME").map(|name| name.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "host".to_owned());
    #[cfg(unix)]
    let parent = std::os::unix::process::parent_id();
    #[cfg(not(unix))]
    let parent = 0;
    Identity {
        writer: format!("{host}/{}/{:08x}", std::process::id(), parts.random.next_u64() as u32),
        instance: format!("{host}/{parent}"),
    }
}

/// Writes down who begins and how Secret values are stored, so that every reader can tell.
pub(super) async fn mark(start: &mut Start, writer: &mut Writer, name: &str, secrets: &Secrets) -> Result<()> {
    let frontier = writer.frontier().clone();
    let (incarnation, rv) = frontier.get(MAIN).map_or((0, 0), |p| (p.incarnation, p.rv));
    let begins = Mark::Start {
        writer: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        server: String::new(),
        secrets: secrets.as_str().to_owned(),
    };
    let now = start.parts.clock.now();
    let change = Change {
        body: facts::body(&begins)?,
        time_lo: now,
        time_hi: now,
        ..Change::new(Op::Mark, MAIN, incarnation, rv)
    };
    writer.stage(vec![change], frontier).await?;
    start.ride("writing down who begins", async || writer.commit().await).await?;
    Ok(())
}
