//! A message: text in which causes and remedies stay data.
//!
//! Not here: the words that callers have for them ([`crate::message`]).

use std::fmt;

use serde::{Deserialize, Serialize};

mod cause;

pub use cause::Cause;

/// Text with causes and remedies in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct Message(Vec<Part>);

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Cause(Cause),
    Remedy(Remedy),
}

/// What can be done about something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// The credentials are not accepted.
    LogIn,
    /// The verb on a kind is missing.
    Rights {
        /// The verb.
        verb: String,
        /// The kind.
        what: String,
    },
    /// Rights to grant rights are missing, in words.
    Escalation(String),
    /// The quota has no room.
    QuotaRoom,
    /// The object can only be deleted and created again.
    Recreate,
    /// A webhook cannot be called.
    Webhook,
    /// A kind is not there in this version, or the namespace is not.
    NotHere {
        /// The kind.
        what: String,
        /// The version.
        version: String,
    },
    /// The values are sealed, and there is no key.
    Key,
    /// The moment is not closed yet.
    AskAgain,
    /// A restore cannot go on.
    PlanAgain {
        /// Whether it has to be said that it changed nothing.
        unchanged: bool,
    },
    /// There are no records of restores here.
    WhoseRecords,
    /// The record cannot be written; with what the store's own error says.
    KeepElsewhere(Option<String>),
    /// A restore was interrupted, and has to be finished first.
    Finish(String),
    /// The same, where trying again may do.
    RetryOrFinish(String),
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LogIn => "the credentials are not accepted (any more): log in again, then resume",
            Self::Rights { verb, what } => return write!(f, "the account needs `{verb}` on {what}"),
            Self::Escalation(said) => said,
            Self::QuotaRoom => "make room in the quota, then resume",
            Self::Recreate => "it has to be deleted and created again",
            Self::Webhook => "bring the webhook back, or bypass it",
            Self::NotHere { what, version } => {
                return write!(f, "no {what} in version {version} here, or no such namespace");
            }
            Self::Key => "give the key file that `run` used",
            Self::AskAgain => "ask again in a moment, or ask for an earlier one",
            Self::PlanAgain { unchanged: true } => "nothing was changed by it; plan again",
            Self::PlanAgain { unchanged: false } => "plan again",
            Self::WhoseRecords => "look for them in another place",
            Self::KeepElsewhere(None) => "nothing was changed; the record can be kept elsewhere",
            Self::KeepElsewhere(Some(more)) => {
                return write!(f, "nothing was changed; the record can be kept elsewhere; {more}");
            }
            Self::Finish(id) => return write!(f, "finish it first: {id}"),
            Self::RetryOrFinish(id) => return write!(f, "try again, or finish it first: {id}"),
        })
    }
}

impl Message {
    /// Another message, with words before it.
    pub(crate) fn about(words: &str, message: Self) -> Self {
        Self([Part::Text(words.to_owned())].into_iter().chain(message.0).collect())
    }

    /// Both, one after the other.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.push(Part::Text("; ".to_owned()));
        self.0.extend(other.0);
        self
    }

    /// With something else in place of each piece.
    pub(crate) fn each(self, other: impl Fn(Part) -> Part) -> Self {
        Self(self.0.into_iter().map(other).collect())
    }

    /// Its pieces.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.0.iter()
    }

    /// The remedies it names.
    pub fn remedies(&self) -> impl Iterator<Item = &Remedy> {
        self.0.iter().filter_map(|part| match part {
            Part::Remedy(remedy) => Some(remedy),
            Part::Text(_) | Part::Cause(_) => None,
        })
    }

    /// The causes it names.
    pub fn causes(&self) -> impl Iterator<Item = &Cause> {
        self.0.iter().filter_map(|part| match part {
            Part::Cause(cause) => Some(cause),
            Part::Text(_) | Part::Remedy(_) => None,
        })
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Cause(cause) => cause.fmt(f),
            Part::Remedy(remedy) => remedy.fmt(f),
        })
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self(vec![Part::Text(text)])
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Cause> for Message {
    fn from(cause: Cause) -> Self {
        Self(vec![Part::Cause(cause)])
    }
}

impl From<Remedy> for Message {
    fn from(remedy: Remedy) -> Self {
        Self(vec![Part::Remedy(remedy)])
    }
}

impl From<Message> for String {
    fn from(message: Message) -> Self {
        message.to_string()
    }
}
