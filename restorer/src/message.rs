//! What is told of what was done, and not done: sentences, in which causes and remedies stay data.
//!
//! **Words**: a [`Message`] is text with [`Cause`]s and [`Remedy`]s in it; a [`Note`] is what is worth knowing beside. [`Words`] are the
//! caller's: this crate knows no command line, and does not know how a permission is given there.
//!
//! **Invariants.** (1) Nothing is decided by the text of a message. (2) What a record keeps to be read by people is in the
//! caller's words; read again it is text, and nothing else.

use std::fmt;

use hindcast_journal::parts::Micros;
use serde::{Deserialize, Serialize};

use crate::{
    bypass::CONDITION,
    names::some,
    permission::Permission,
    reason::{Reason, distance, time},
    said::Part,
};

pub use crate::said::{Message, Remedy};

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
        message.parts().map(part).collect()
    }
}

/// The words of nobody in particular.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Words for Plain {}

impl Message {
    /// What is left of it in somebody's words.
    pub(crate) fn told(&self, words: &dyn Words) -> Self {
        words.message(self).into()
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
    /// These webhooks are still bypassed: they could not be switched on.
    StillBypassed {
        /// The webhooks.
        webhooks: String,
        /// The restore that is to switch them on.
        restore: String,
    },
    /// An interrupted restore had switched these webhooks off: they are switched on before all else.
    SwitchesOn {
        /// The webhooks, each with its configuration.
        webhooks: String,
        /// The restore.
        restore: String,
    },
    /// The restore that is undone was interrupted, and what became of so many of its actions was found out by looking.
    Interrupted {
        /// Its id.
        id: String,
        /// How many.
        settled: usize,
    },
    /// These objects of the system differ, and were not asked for.
    System(Vec<String>),
    /// The data of these claims are a recovery point's.
    Filled {
        /// The claims.
        claims: Vec<String>,
        /// The recovery point.
        point: String,
        /// The moment of its cut.
        time: Micros,
        /// The moment that is restored.
        moment: Micros,
    },
    /// A claim is not bound yet, so that what stands for its snapshot has to stay.
    Unbound {
        /// The claim.
        claim: String,
        /// What the `VolumeSnapshot` and its content are called.
        helper: String,
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
            Self::StillBypassed { webhooks, restore } => write!(
                f,
                "these webhooks ARE STILL BYPASSED, they could not be switched on: {webhooks}; take the match condition {CONDITION} \
                 out of their configurations, or resume {restore}"
            ),
            Self::SwitchesOn { webhooks, restore } => write!(
                f,
                "restore {restore} was interrupted while it had switched webhooks off; before all else they are switched on again: \
                 {webhooks}"
            ),
            Self::Interrupted { id, settled } => write!(
                f,
                "restore {id} was interrupted; what became of {settled} action{} was found out by looking: make sure that it \
                 does not run any more",
                if *settled == 1 { "" } else { "s" }
            ),
            Self::System(objects) => {
                let (verb, were) = if objects.len() == 1 {
                    ("object of the system differs", "was")
                } else {
                    ("objects of the system differ", "were")
                };
                write!(f, "{} {verb} as well and {were} not asked for: {}", objects.len(), some(objects))
            }
            Self::Filled { claims, point, time: at, moment } => {
                let (of, volumes) = (some(claims), if claims.len() == 1 { "volume" } else { "volumes" });
                let before = distance(moment.saturating_sub(*at));
                write!(
                    f,
                    "{} {volumes} as of recovery point {point}, {}, {before} before the moment: {of}",
                    claims.len(),
                    time(*at)
                )
            }
            Self::Unbound { claim, helper } => write!(
                f,
                "claim {claim} is not bound yet (a class that waits for a consumer binds it with its first Pod); VolumeSnapshot {helper} \
                 and its content go once it is"
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
