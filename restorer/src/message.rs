//! What is told of what was done, and not done: sentences, in which causes and remedies stay data.
//!
//! **Words**: a [`Message`] is text with [`Cause`]s and [`Remedy`]s in it; a [`Note`] is what is worth knowing beside. [`Words`] are the
//! caller's: this crate knows no command line, and does not know how a permission is given there.
//!
//! **Invariants.** (1) Nothing is decided by the text of a message. (2) What a record keeps to be read by people is in the
//! caller's words; read again it is text, and nothing else.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Plan,
    reason::{Cause, Reason},
    selection::Permission,
};

/// How whoever calls this crate spells what it says; without words of their own as it is said here.
pub trait Words: fmt::Debug + Send + Sync {
    /// A permission, as it is given.
    fn permission(&self, permission: &Permission) -> String {
        permission.to_string()
    }

    /// A part of an object, as it is asked for alone.
    fn part(&self, path: &str) -> String {
        path.to_owned()
    }

    /// What can be done about something.
    fn remedy(&self, remedy: &Remedy) -> String {
        remedy.to_string()
    }

    /// A reason.
    fn reason(&self, reason: &Reason) -> String {
        reason.to_string()
    }

    /// A note.
    fn note(&self, note: &Note) -> String {
        note.to_string()
    }

    /// A message.
    fn message(&self, message: &Message) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Cause(cause) => cause.to_string(),
            Part::Remedy(remedy) => self.remedy(remedy),
        };
        message.0.iter().map(part).collect()
    }
}

/// The words of nobody in particular.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Words for Plain {}

/// Text with causes and remedies in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct Message(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
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
    /// A label selector cannot be read.
    LabelSyntax,
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
            Self::LabelSyntax => "as in kubectl: app=web, 'tier in (a,b),!canary', env!=prod",
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

    /// What is left of it in somebody's words.
    pub(crate) fn told(&self, words: &dyn Words) -> Self {
        words.message(self).into()
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
        f.write_str(&Plain.message(self))
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

/// What is worth knowing beside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum Note {
    /// A workload reads configuration when its Pods start, and they keep the old values unless they are rolled.
    KeepsOldValues {
        /// The workload: Kind and name.
        workload: String,
        /// What it reads.
        reads: String,
    },
    /// These webhooks were bypassed and are called again.
    BypassEnded(String),
    /// The restore that is undone was interrupted, and what became of so many of its actions was found out by looking.
    Interrupted {
        /// Its id.
        id: String,
        /// How many.
        settled: usize,
    },
    /// In words.
    Text(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeepsOldValues { workload, reads } => {
                write!(
                    f,
                    "{workload} reads {reads} when its Pods start and its template stays: they keep the old values"
                )
            }
            Self::BypassEnded(list) => write!(f, "these webhooks were bypassed and are called again: {list}"),
            Self::Interrupted { id, settled } => write!(
                f,
                "restore {id} was interrupted; what became of {settled} action{} was found out by looking: make sure that it \
                 does not run any more",
                if *settled == 1 { "" } else { "s" }
            ),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<String> for Note {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Note> for String {
    fn from(note: Note) -> Self {
        note.to_string()
    }
}

impl Plan {
    /// The plan with all that is said in it in somebody's words, as a record keeps it.
    pub(crate) fn told(&self, words: &dyn Words) -> Self {
        let mut plan = self.clone();
        for left in &mut plan.left {
            let permission = left.permission(words);
            left.reason =
                Reason::Told { code: left.reason.code().to_owned(), text: words.reason(&left.reason), permission };
            left.unless = None;
        }
        for note in &mut plan.notes {
            *note = Note::Text(words.note(note));
        }
        plan
    }
}
