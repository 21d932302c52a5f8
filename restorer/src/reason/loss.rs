//! What a delete or a change destroys that no undo brings back.

use std::fmt;

/// What is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// The data of a claim: on its volume, where it has one.
    Claim(Option<String>),
    /// The hold of the storage behind a volume.
    Volume,
    /// The data of a volume that waits for a claim.
    Reclaimed,
    /// Everything in a namespace.
    Namespace,
    /// Every object of a definition's Kind.
    Objects(String),
    /// The work of a Job that runs.
    Job,
    /// A Pod that nothing starts again.
    Pod,
    /// The claims of a `StatefulSet` that takes them along.
    Claims,
    /// The snapshot behind its object.
    Snapshot,
    /// What a known program destroys elsewhere.
    Outside {
        /// The rule's id.
        rule: &'static str,
        /// The finalizer by which it does so, if by one.
        finalizer: Option<String>,
        /// What it does, as a sentence.
        destroys: &'static str,
    },
    /// What an unknown program does by this finalizer.
    Finalizer(String),
    /// The claims of the replicas that go.
    Scaled {
        /// How many there are to be.
        then: u64,
        /// How many there are.
        now: u64,
    },
}

impl Loss {
    /// The id of the rule about it.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Outside { rule, .. } => rule,
            Self::Finalizer(_) => "destroys-outside",
            _ => "destroys-data",
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(None) => f.write_str("the claim holds a volume as soon as it is bound"),
            Self::Claim(Some(volume)) => {
                write!(f, "the data on volume {volume} goes with the claim, unless it is reclaimed as Retain")
            }
            Self::Volume => f.write_str("the cluster loses its hold of the storage behind it"),
            Self::Reclaimed => {
                f.write_str("its claim is gone: with that reclaim policy its storage is deleted at once")
            }
            Self::Namespace => f.write_str("everything in the namespace is deleted with it"),
            Self::Objects(kind) => write!(f, "every object of kind {kind} is deleted with it"),
            Self::Job => f.write_str("the work it has done so far is lost"),
            Self::Pod => f.write_str("nothing starts it again, and its logs and scratch volumes are lost"),
            Self::Claims => f.write_str("its claims, with their data, are deleted with it (whenDeleted: Delete)"),
            Self::Snapshot => f.write_str("the snapshot goes with it, unless its deletion policy is Retain"),
            Self::Outside { finalizer: None, destroys, .. } => write!(f, "{destroys}"),
            Self::Outside { finalizer: Some(finalizer), destroys, .. } => {
                write!(f, "{destroys} (finalizer {finalizer})")
            }
            Self::Finalizer(finalizer) => write!(
                f,
                "a program cleans up after it (finalizer {finalizer}), and what that destroys elsewhere is not known"
            ),
            Self::Scaled { then, now } => write!(
                f,
                "with {then} replicas instead of {now} the claims of the others are deleted, with their data (whenScaled: Delete)"
            ),
        }
    }
}
