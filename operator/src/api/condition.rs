//! Conditions, in the shape that all of Kubernetes has.

use hindcast_journal::{Error, parts::Micros};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest message: what is longer is cut.
const LONGEST: usize = 4096;

/// One thing that is true, false or not known of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about, such as Ready.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// The generation of the object that it is said of.
    #[serde(default)]
    pub observed_generation: i64,
    /// When the status last changed.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// What a condition is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// In one word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
}

impl Verdict {
    /// It is so.
    pub fn yes(reason: &str, message: impl Into<String>) -> Self {
        Self { status: "True", reason: reason.to_owned(), message: message.into() }
    }

    /// It is not so.
    pub fn no(reason: &str, message: impl Into<String>) -> Self {
        Self { status: "False", reason: reason.to_owned(), message: message.into() }
    }

    /// It is not known yet.
    pub fn unknown(reason: &str, message: impl Into<String>) -> Self {
        Self { status: "Unknown", reason: reason.to_owned(), message: message.into() }
    }

    /// It is not so for an error, which is said with its remedy.
    pub fn failed(reason: &str, error: &Error) -> Self {
        Self::no(reason, error.told())
    }
}

/// Puts a condition among the others; its time changes with its status alone.
pub(crate) fn set(all: &mut Vec<Condition>, kind: &str, verdict: Verdict, generation: i64, now: Micros) {
    let Verdict { status, reason, message } = verdict;
    let message: String = message.chars().take(LONGEST).collect();
    let found = all.iter_mut().find(|condition| condition.kind == kind);
    let since = match &found {
        Some(old) if old.status == status => old.last_transition_time.clone(),
        _ => seconds(now),
    };
    let new = Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        observed_generation: generation,
        last_transition_time: since,
        reason,
        message,
    };
    match found {
        Some(old) => *old = new,
        None => all.push(new),
    }
}

/// A moment as Kubernetes writes it.
pub(crate) fn seconds(time: Micros) -> String {
    jiff::Timestamp::from_second(time.div_euclid(1_000_000)).map_or_else(|_| time.to_string(), |t| t.to_string())
}
