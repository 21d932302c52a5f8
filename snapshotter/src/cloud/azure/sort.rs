//! Errors of Azure, sorted by what can be done about them.
//!
//! An error has a status and a code, in "Common error codes" of Azure Resource Manager and "Error codes" of the compute
//! provider; 429, and some of 503, say how long to wait.

use std::{fmt, time::Duration};

use azure_core::error::{Error as Refusal, ErrorKind as Refused};
use hindcast_journal::error::{Error, ErrorKind};

use super::super::patience::Fault;

/// It is on its way to be possible.
const EARLY: [&str; 6] = [
    "AnotherOperationInProgress",
    "OperationPreempted",
    "ConcurrentOperation",
    "RetryableError",
    "TooManyRequests",
    "SnapshotNotReady",
];
/// Somebody has to allow more.
const LIMITS: [&str; 5] =
    ["QuotaExceeded", "ResourceQuotaExceeded", "SnapshotCountExceeded", "ResourceLimitExceeded", "SkuNotAvailable"];

/// An answer that is an error, as our connections hand it up through the client.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    /// How long to wait.
    pub(super) after: Option<Duration>,
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Azure answers {} {}: {}", self.status, self.code, self.message)
    }
}

impl std::error::Error for Answered {}

/// What a request that failed means. `right` is what it needs.
pub(super) fn fault(what: &str, right: &str, error: &Refusal) -> Fault {
    match error.downcast_ref::<Answered>() {
        Some(answered) => {
            sorted(what, right, answered.status, &answered.code, answered.to_string()).wait(answered.after)
        }
        None if *error.kind() == Refused::Credential => unknown(what, Error::causes(error)),
        None => Fault::lost(Error::new(ErrorKind::Unavailable, what, Error::causes(error))),
    }
}

/// The same by status and code.
pub(super) fn sorted(what: &str, right: &str, status: u16, code: &str, said: String) -> Fault {
    let error = |kind| Error::new(kind, what, said.clone());
    if LIMITS.contains(&code) {
        return Fault::last(
            error(ErrorKind::Refused).with_hint("have the quota of the subscription in this region raised"),
        );
    }
    if EARLY.contains(&code) {
        return Fault::busy(error(ErrorKind::Unavailable), None);
    }
    match (status, code) {
        (429, _) => Fault::busy(error(ErrorKind::Unavailable), None),
        (401, _) => unknown(what, said),
        (403, _) => Fault::last(error(ErrorKind::Denied).with_hint(format!("allow {right} to this identity (a role)"))),
        (_, "ResourceGroupNotFound" | "SubscriptionNotFound") => Fault::last(
            error(ErrorKind::Refused).with_hint("make the resource group, or name another in the volume location"),
        ),
        (404, _) | (_, "ResourceNotFound" | "NotFound") => Fault::last(
            error(ErrorKind::NotFound).with_hint("check the subscription and the group, and whether it was deleted"),
        ),
        (_, "ScopeLocked") => {
            Fault::last(error(ErrorKind::Refused).with_hint("take the lock off the group or the resource"))
        }
        (409, _) => Fault::last(error(ErrorKind::Refused).with_hint("detach it, or end what uses it")),
        (_, "InternalExecutionError" | "InternalServerError" | "InternalOperationError") | (500.., _) => {
            Fault::lost(error(ErrorKind::Unavailable))
        }
        _ => Fault::last(error(ErrorKind::Invalid)),
    }
}

fn unknown(what: &str, reason: String) -> Fault {
    let error = Error::new(ErrorKind::Denied, what, reason);
    Fault::last(error.with_hint("check tenant, client and secret, or the workload identity of the service account"))
}

#[cfg(test)]
mod tests;
