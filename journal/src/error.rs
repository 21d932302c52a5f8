//! Errors of the journal, sorted by what the reader of one can do about it.
//!
//! An [`Error`] names the thing (a bucket key, a position, a field), the reason, and, through [`Error::hint`],
//! the remedy. Callers match on [`ErrorKind`], never on the text.

use std::{any::Any, fmt};

/// What can be done about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Another writer has taken the journal over: stop, do not restart.
    Fenced,
    /// The store did not answer or refused for now: retry.
    Unavailable,
    /// The store refuses this with the rights at hand. For a running process it is an outage, since rights may come
    /// back; a command ends.
    Denied,
    /// The store, or something in front of it, will not do it until somebody fixes something outside: space, endpoint,
    /// region, certificate, clock. For a running process it is an outage; a command ends.
    Refused,
    /// The call or its settings are wrong: fix them.
    Invalid,
    /// Stored data is not what it must be: the error names the object and position.
    Corrupt,
    /// The thing asked for is not there.
    NotFound,
    /// A mistake of ours.
    Internal,
}

impl ErrorKind {
    /// Whether it may pass without anybody changing the call.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Unavailable | Self::Denied | Self::Refused)
    }
}

/// What an outage looks like from here: how long it is worth waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outage {
    /// A request failed on its way or in the store.
    #[default]
    Hiccup,
    /// The store is there and asks for fewer requests.
    Busy,
    /// Nobody answers at the address. If the store answered before, it is an outage; otherwise the address may be
    /// wrong.
    Unreached,
}

/// An error of the journal.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    reason: String,
    hint: Option<String>,
    outage: Outage,
    remedy: Option<Box<dyn Any + Send + Sync>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error about `what`, for `reason`.
    pub fn new(kind: ErrorKind, what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            reason: reason.into(),
            hint: None,
            outage: Outage::Hiccup,
            remedy: None,
            source: None,
        }
    }

    /// Corrupt data in `what`.
    pub fn corrupt(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, what, reason)
    }

    /// A wrong call or setting.
    pub fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, what, reason)
    }

    /// A thing that is not there.
    pub fn not_found(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, what, reason)
    }

    /// A mistake of ours.
    pub fn internal(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, what, reason)
    }

    /// Adds the remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the remedy as data of the caller's own type, which whoever shows the error puts into words.
    #[must_use]
    pub fn with_remedy<R: Any + Send + Sync>(mut self, remedy: R) -> Self {
        self.remedy = Some(Box::new(remedy));
        self
    }

    /// Says what the outage looks like.
    #[must_use]
    pub(crate) fn with_outage(mut self, outage: Outage) -> Self {
        self.outage = outage;
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Like [`Error::causes`], but skips an outermost error that only names the layer passing it on, as the API
    /// client's do.
    pub fn causes_beneath(error: &dyn std::error::Error) -> String {
        match error.source() {
            Some(cause) => Self::causes(cause),
            None => Self::causes(error),
        }
    }

    /// Any error with its causes on one line; a cause that adds nothing to the ones before it is left out.
    pub fn causes(error: &dyn std::error::Error) -> String {
        let line = |error: &dyn std::error::Error| one_line(&error.to_string());
        let mut text = line(error);
        let mut next = error.source();
        while let Some(cause) = next {
            let said = line(cause);
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            next = cause.source();
        }
        text
    }

    /// What failed, and why, with the causes as [`Error::causes`] tells them; each on one line.
    pub fn thing_and_reason(&self) -> (String, String) {
        Self::apart(&self.what, self)
    }

    /// All of it in a sentence, the remedy in parentheses.
    pub fn told(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} ({hint})", Self::causes(self)),
            None => Self::causes(self),
        }
    }

    /// What went wrong, said of another thing that it holds of too.
    #[must_use]
    pub fn about(&self, what: impl Into<String>) -> Self {
        let (_, reason) = self.thing_and_reason();
        Self { hint: self.hint.clone(), ..Self::new(self.kind, what, reason) }
    }

    /// The same for any error whose text is `what`, a colon and the reason.
    pub fn apart(what: &str, error: &dyn std::error::Error) -> (String, String) {
        let what = one_line(what);
        let reason = Self::causes(error).get(what.len() + ": ".len()..).unwrap_or_default().to_owned();
        (what, reason)
    }

    /// What can be done about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What the outage looks like, if the error is one.
    pub fn outage(&self) -> Outage {
        self.outage
    }

    /// The remedy, when there is one to name.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The remedy that was given as data of this type.
    pub fn remedy<R: Any>(&self) -> Option<&R> {
        self.remedy.as_ref()?.downcast_ref()
    }
}

/// Stores answer with documents of several lines; joined to one line they can be compared and read.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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
