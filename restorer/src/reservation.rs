//! What makes a plan less than exact: what is not known of the moment, or could not be seen of the cluster.
//!
//! A reservation changes nothing that is planned; whoever confirms the plan has to know it.

use std::fmt;

use hindcast_journal::{
    parts::{Micros, utc_millis},
    row::Revision,
};
use serde::{Deserialize, Serialize};

use crate::{names::some, reason::time};

/// What makes a plan less than exact. Kinds are named as people read them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum Reservation {
    /// Kinds were not protected at the moment, so that nothing of them is restored.
    NotProtected {
        /// The kinds.
        kinds: Vec<String>,
        /// Why.
        why: String,
    },
    /// The moment is among the last before the server's store was put back: each kind is known up to a revision and time.
    LastKnown(Vec<(String, Revision, Micros)>),
    /// Objects of a kind are known only as a later definition of it reads them.
    ReadLater {
        /// The kind.
        kind: String,
        /// How many.
        objects: usize,
        /// The places that the later definition added, which are left out.
        added: Vec<String>,
    },
    /// The moment lies in an interval of which changes of a kind are lost.
    InsideGap {
        /// The kind.
        kind: String,
        /// When the interval begins.
        from: Micros,
        /// When it ends.
        to: Micros,
    },
    /// A kind could not be read in the cluster.
    Unread {
        /// The kind.
        kind: String,
        /// Why.
        why: Unread,
        /// Whether it scales others, so that what it scales may be taken for somebody's intent.
        scales: bool,
        /// Whether what is deleted may own some, which then go with it.
        owned: bool,
    },
    /// Among these kinds what deleted objects own could not be looked for.
    Unseen {
        /// The kinds.
        kinds: Vec<String>,
        /// Why.
        why: String,
    },
    /// In words, as a record keeps it.
    Told(String),
}

/// Why a kind could not be read, in the server's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// This user may not.
    Forbidden(String),
    /// It failed.
    Failed(String),
}

impl fmt::Display for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotProtected { kinds, why } => {
                write!(f, "not protected at that moment, so left alone: {} ({why})", some(kinds))
            }
            Self::LastKnown(kinds) => {
                let known: Vec<String> = kinds
                    .iter()
                    .map(|(kind, rv, time)| format!("{kind} up to {} (rev {rv})", utc_millis(*time)))
                    .collect();
                write!(
                    f,
                    "the server's store was put back to an older copy, and the moment is among the last before it: what is \
                     put back is the last that is known, and later changes may be missing; known are {}",
                    known.join(", ")
                )
            }
            Self::ReadLater { kind, objects, added } => {
                let left = match added.as_slice() {
                    [] => String::new(),
                    added => format!("; what it added is left out: {}", some(added)),
                };
                write!(
                    f,
                    "{kind}: {objects} of the moment known only as a later definition of the kind reads them, so what it \
                     dropped is not known{left}"
                )
            }
            Self::InsideGap { kind, from, to } => write!(
                f,
                "{kind}: changes from {} to {} are lost, and the moment lies in between: what is put back may be older than it",
                time(*from),
                time(*to)
            ),
            Self::Unread { kind, why, scales, owned } => {
                let effect = match scales {
                    true => "what they scale may be taken for somebody's intent",
                    false => "nothing is done to them",
                };
                let along = match owned {
                    true => ", but those that are owned by what is deleted would go with it",
                    false => "",
                };
                write!(f, "{kind}: {why}; {effect}{along}")
            }
            Self::Unseen { kinds, why } => write!(
                f,
                "{}: whether what is deleted owns any of them could not be seen, and such would go with it: {why}",
                some(kinds)
            ),
            Self::Told(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden(words) => write!(f, "this user may not read them: {words}"),
            Self::Failed(words) => write!(f, "they could not be read: {words}"),
        }
    }
}

impl From<String> for Reservation {
    fn from(text: String) -> Self {
        Self::Told(text)
    }
}

impl From<Reservation> for String {
    fn from(reservation: Reservation) -> Self {
        reservation.to_string()
    }
}
