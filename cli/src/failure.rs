//! How a command ends: the exit codes of the contract, and an error with its remedy.
//!
//! **Words**: a *reservation* is something about a right answer that the asker must know, such as an open cut;
//! it turns the exit code into 3. A [`Failure`] is `thing: reason`, with as many hints as help.
//!
//! **Invariants.** Everything a user can cause is a [`Failure`] with the thing named; the texts hold no value of
//! an object, since they reach terminals and logs.

use std::{fmt, process::ExitCode};

use hindcast_journal::{Error, error::ErrorKind};

use crate::words;

#[cfg(test)]
mod tests;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// Done, and there are differences.
    Differences,
    /// Not all of it could be done.
    Partly,
    /// Failed, refused or not found.
    Failed,
    /// Answered, with a reservation that was named.
    Reserved,
    /// Another writer took over; do not restart.
    Fenced,
    /// Interrupted by the user.
    Interrupted,
}

impl Exit {
    /// The number the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Differences | Self::Partly => 1,
            Self::Failed => 2,
            Self::Reserved => 3,
            Self::Fenced => 4,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What helps where stored data are not what they must be.
const DAMAGE: &str = "`hindcast doctor` says what is damaged, what that means and what helps; --around-damage reads around what cannot be \
                      read of the log, and says so";

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What failed.
    pub(crate) what: String,
    /// Why.
    pub(crate) reason: String,
    /// What to do about it.
    pub(crate) hints: Vec<String>,
    /// How the process ends.
    pub(crate) exit: Exit,
}

/// The result of everything here that can fail.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// `what` failed for `reason`.
    pub(crate) fn new(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { what: what.into(), reason: reason.into(), hints: Vec::new(), exit: Exit::Failed }
    }

    /// Adds a remedy.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Ends the process otherwise than with 2.
    #[must_use]
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.reason)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::Fenced => Exit::Fenced,
            _ => Exit::Failed,
        };
        let (what, reason) = error.thing_and_reason();
        let remedy = error.remedy().map(words::remedy);
        let mut failure = Self::new(what, reason).exit(exit);
        failure.hints.extend(remedy.or_else(|| error.hint().map(str::to_owned)));
        if error.kind() == ErrorKind::Corrupt {
            failure.hints.push(DAMAGE.to_owned());
        }
        failure
    }
}

impl From<hindcast_watcher::Error> for Failure {
    fn from(error: hindcast_watcher::Error) -> Self {
        let exit = match error.kind() {
            hindcast_watcher::ErrorKind::Fenced => Exit::Fenced,
            _ => Exit::Failed,
        };
        // What the journal says for itself needs no "journal:" before it.
        let own = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Error>());
        let (what, reason) = own.map_or_else(|| error.thing_and_reason(), Error::thing_and_reason);
        let mut failure = Self::new(what, reason).exit(exit);
        failure.hints.extend(error.hint().map(str::to_owned));
        failure
    }
}
