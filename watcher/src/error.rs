//! Errors of the watcher, sorted by what can be done about them.
//!
//! Only what ends [`crate::run`] or fails a call of [`crate::Handle`] becomes an [`Error`]. What happens to a single
//! kind (forbidden, gone, its API down) is a coverage row, not an error: it never stops the rest.

use std::fmt;

use hindcast_cluster::{Failure, NoClient};

/// What can be done about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Another writer has taken the journal over: stop, do not restart.
    Fenced,
    /// The API server or the store did not answer: retry.
    Unavailable,
    /// The settings or the credentials are wrong: fix them.
    Invalid,
    /// A kind is not served (any more).
    NotServed,
    /// What the journal holds cannot be used: the error names it.
    Corrupt,
    /// A bug in Hindcast.
    Internal,
}

/// An error of the watcher.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    reason: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error about `what`, for `reason`.
    pub fn new(kind: ErrorKind, what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { kind, what: what.into(), reason: reason.into(), hint: None, source: None }
    }

    /// The API server did not answer, or not usefully.
    pub fn unavailable(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, what, reason)
    }

    /// A bug in Hindcast.
    pub fn internal(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, what, reason)
    }

    /// Adds the remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A copy for another caller who waits for the same answer; the causes become part of its text.
    pub(crate) fn again(&self) -> Self {
        let mut again = Self::new(self.kind, self.what.clone(), self.reason.clone());
        again.hint.clone_from(&self.hint);
        if let Some(cause) = self.source.as_deref() {
            let cause = hindcast_journal::Error::causes(cause);
            if !again.reason.contains(&cause) {
                again.reason = format!("{}: {cause}", again.reason);
            }
        }
        again
    }

    /// What failed, and why, with the causes; each on one line.
    pub fn thing_and_reason(&self) -> (String, String) {
        hindcast_journal::Error::apart(&self.what, self)
    }

    /// What can be done about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The remedy, when there is one to name.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// The error of whatever a failed request brings to an end.
pub(crate) fn fatal(what: &str, failure: &Failure) -> Error {
    match failure {
        Failure::Forbidden(_) => Error::new(ErrorKind::Invalid, what, failure.to_string())
            .with_hint("give the account get, list and watch on all resources"),
        Failure::NotFound(_) => Error::new(ErrorKind::NotServed, what, failure.to_string()),
        _ => Error::unavailable(what, failure.to_string()),
    }
}

impl From<NoClient> for Error {
    fn from(error: NoClient) -> Self {
        Self::new(ErrorKind::Invalid, error.what, error.reason)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.reason)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

impl From<hindcast_journal::Error> for Error {
    fn from(error: hindcast_journal::Error) -> Self {
        use hindcast_journal::error::ErrorKind as Journal;
        let kind = match error.kind() {
            Journal::Fenced => ErrorKind::Fenced,
            Journal::Unavailable | Journal::Denied | Journal::Refused => ErrorKind::Unavailable,
            Journal::Invalid | Journal::NotFound => ErrorKind::Invalid,
            Journal::Corrupt => ErrorKind::Corrupt,
            _ => ErrorKind::Internal,
        };
        let hint = error.hint().map(ToOwned::to_owned);
        let mut out = Self::new(kind, "journal", error.to_string()).with_source(error);
        out.hint = hint;
        out
    }
}
