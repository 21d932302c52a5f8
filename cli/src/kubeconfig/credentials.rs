//! Who we are to the API server, for as long as this process lives: tokens and certificates that are renewed.
//!
//! **Words**: what is *issued* is one state of the credentials, with a number; a request that is refused with 401 asks for a
//! newer one than it was made with [`Credentials::renew`].
//!
//! **Invariants.**
//! 1. A token file wins over a token in the kubeconfig, and that one is used while the file cannot be read; either wins over
//!    a plugin. As kubectl has it.
//! 2. Credentials that the server refuses are replaced at once where there are newer ones; a revoked token is not held on to
//!    until its cache is over.
//! 3. A plugin is run once for all who wait for it, and one that fails or gives the same again is not run again before
//!    [`RETRY`] is over: hundreds of streams must not become hundreds of processes.
//!
//! Not here: how a plugin is run ([`super::exec`]), how requests use what is issued ([`super::client`]).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hindcast_journal::{Parts, parts::Micros};
use http::HeaderValue;
use kube::config::ExecConfig;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::exec;
use crate::failure::{Failure, Result};

#[cfg(test)]
mod tests;

/// A file is read again after this long, whether or not somebody was refused.
const FILE_EVERY: Duration = Duration::from_secs(30);
/// A plugin that failed, or whose newest credentials are refused, is asked again after this long.
const RETRY: Duration = Duration::from_secs(5);
/// Credentials are replaced this long before they expire.
const AHEAD: Micros = 30_000_000;

/// A client certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// One state of the credentials.
#[derive(Clone, Default)]
pub(crate) struct Issued {
    /// Grows with each state.
    pub(crate) number: u64,
    /// The `Authorization` header.
    pub(crate) header: Option<HeaderValue>,
    /// A certificate that a plugin gave.
    pub(crate) identity: Option<Identity>,
    expires: Option<Micros>,
    /// What stands in the files of a certificate.
    files: Vec<Option<Vec<u8>>>,
}

/// Where they come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A file, and the token to use while it cannot be read.
    TokenFile(PathBuf, Option<HeaderValue>),
    /// A plugin.
    Plugin(Box<ExecConfig>, Interaction),
    /// A certificate and its key in files, which the client reads itself when it is made anew.
    CertificateFiles(Vec<PathBuf>),
}

/// Whether somebody sits at standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interaction {
    /// Nobody does.
    None,
    /// Standard input is a terminal.
    Terminal,
}

/// Credentials that are renewed.
pub(crate) struct Credentials {
    source: Source,
    parts: Parts,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    issued: Option<Arc<Issued>>,
    /// When the source was last asked, on the monotonic clock.
    asked: Duration,
    /// Why it gave nothing then.
    failed: Option<Failure>,
}

// What stands in either is told to nobody.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Credentials {
    pub(crate) fn new(source: Source, parts: Parts) -> Self {
        Self { source, parts, state: Arc::default() }
    }

    /// What to make a request with.
    pub(crate) async fn current(self: &Arc<Self>) -> Result<Arc<Issued>> {
        let state = self.state.clone().lock_owned().await;
        let Some(issued) = state.issued.clone() else { return self.ask(state).await };
        let age = self.parts.clock.monotonic().saturating_sub(state.asked);
        let Source::Plugin(..) = &self.source else {
            return if age < FILE_EVERY { Ok(issued) } else { self.ask(state).await };
        };
        let left = issued.expires.map_or(Micros::MAX, |end| end.saturating_sub(self.parts.clock.now()));
        if left > AHEAD || (age < RETRY && left > 0) {
            return Ok(issued);
        }
        match self.ask(state).await {
            // Good for a while yet.
            Err(_) if left > 0 => Ok(issued),
            asked => asked,
        }
    }

    /// What to repeat a request with that was refused with `refused`; nothing if there is nothing newer.
    pub(crate) async fn renew(self: &Arc<Self>, refused: &Issued) -> Result<Option<Arc<Issued>>> {
        let state = self.state.clone().lock_owned().await;
        let newer = |issued: &Arc<Issued>| issued.number > refused.number;
        if let Some(issued) = state.issued.as_ref().filter(|issued| newer(issued)) {
            return Ok(Some(issued.clone()));
        }
        let age = self.parts.clock.monotonic().saturating_sub(state.asked);
        if matches!(self.source, Source::Plugin(..)) && age < RETRY && state.failed.is_none() {
            return Ok(None);
        }
        Ok(Some(self.ask(state).await?).filter(newer))
    }

    /// Asks the source, to its end also when who asked goes: a plugin may take longer than a request has.
    async fn ask(self: &Arc<Self>, mut state: OwnedMutexGuard<State>) -> Result<Arc<Issued>> {
        let this = self.clone();
        let asking = tokio::spawn(async move { this.ask_source(&mut state).await });
        asking.await.unwrap_or_else(|e| Err(Failure::new("the credentials", e.to_string())))
    }

    async fn ask_source(&self, state: &mut State) -> Result<Arc<Issued>> {
        let since = self.parts.clock.monotonic().saturating_sub(state.asked);
        if let Some(failed) = state.failed.as_ref().filter(|_| since < RETRY) {
            return Err(failed.clone());
        }
        let before = state.issued.clone();
        let asked = match &self.source {
            Source::TokenFile(path, instead) => token_of(path, instead.as_ref(), before.as_deref()),
            Source::Plugin(exec, interaction) => {
                let terminal = *interaction == Interaction::Terminal;
                exec::ask(exec, terminal, &self.parts).await.and_then(issued_of)
            }
            Source::CertificateFiles(paths) => {
                Ok(Issued { files: paths.iter().map(|path| std::fs::read(path).ok()).collect(), ..Issued::default() })
            }
        };
        // Only now: a plugin may have taken its time.
        state.asked = self.parts.clock.monotonic();
        state.failed = asked.as_ref().err().filter(|_| matches!(self.source, Source::Plugin(..))).cloned();
        let issued = asked?;
        let number = match before.as_deref() {
            Some(before) => before.number + u64::from(!before.is_as(&issued)),
            None => 1,
        };
        let issued = Arc::new(Issued { number, ..issued });
        state.issued = Some(issued.clone());
        Ok(issued)
    }
}

impl Issued {
    /// Whether connections are made with a certificate of it.
    pub(crate) fn has_certificate(&self) -> bool {
        self.identity.is_some() || !self.files.is_empty()
    }

    fn is_as(&self, other: &Self) -> bool {
        (&self.header, &self.identity, &self.files) == (&other.header, &other.identity, &other.files)
    }
}

/// The token in a file; while it cannot be read, the one before, else the one that stands for it.
fn token_of(path: &Path, instead: Option<&HeaderValue>, before: Option<&Issued>) -> Result<Issued> {
    let what = format!("the token file {}", path.display());
    let read = match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Err("is empty".to_owned()),
        Ok(text) => Ok(text),
        Err(e) => Err(e.to_string()),
    };
    let header = match read {
        Ok(text) => bearer(text.trim()).ok_or_else(|| "holds what cannot be a token".to_owned()),
        Err(reason) => before.and_then(|issued| issued.header.clone()).or_else(|| instead.cloned()).ok_or(reason),
    };
    let header = header.map_err(|reason| {
        Failure::new(what, reason).hint("tokenFile of the kubeconfig's user names a file with a token and nothing else")
    })?;
    Ok(Issued { header: Some(header), ..Issued::default() })
}

fn issued_of(given: exec::Given) -> Result<Issued> {
    let header = match &given.token {
        Some(token) => Some(bearer(token.trim()).ok_or_else(|| {
            Failure::new("the kubeconfig's credential plugin", "gave a token that cannot stand in a header")
        })?),
        None => None,
    };
    Ok(Issued { header, identity: given.identity, expires: given.expires, ..Issued::default() })
}

/// A token as a header.
pub(crate) fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
