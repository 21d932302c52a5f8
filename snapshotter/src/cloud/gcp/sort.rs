//! Errors of Compute Engine, sorted by what can be done about them.
//!
//! An answer that is an error has a status, and in its body a reason, which says more: 403 is missing rights, a quota, or a
//! rate. An operation that failed has a code. Both lists are in "Troubleshooting API errors" of the Compute Engine guide.

use std::time::Duration;

use google_cloud_compute_v1::{Error as Refusal, model::Operation};
use google_cloud_gax::error::rpc::StatusDetails;
use hindcast_journal::error::{Error, ErrorKind};

use super::super::patience::Fault;

/// Whether what is asked for is not there.
pub(super) fn is_not_found(error: &Refusal) -> bool {
    error.http_status_code() == Some(404)
}

/// Whether the name is taken.
pub(super) fn is_taken(error: &Refusal) -> bool {
    error.http_status_code() == Some(409) && reason_of(error) == "alreadyexists"
}

/// The reason of an error, in small letters alone: it stands in a list of errors as `rateLimitExceeded`, in newer
/// details as `RATE_LIMIT_EXCEEDED`.
fn reason_of(error: &Refusal) -> String {
    let details = error.status().map(|status| status.details.as_slice()).unwrap_or_default();
    let reason = details.iter().find_map(|detail| match detail {
        StatusDetails::ErrorInfo(info) => Some(info.reason.as_str()),
        _ => None,
    });
    small(reason.unwrap_or_default())
}

fn small(reason: &str) -> String {
    reason.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// What a request that failed means. `right` is what it needs.
pub(super) fn fault(what: &str, right: &str, error: &Refusal) -> Fault {
    if error.is_authentication() {
        return unknown(what, Error::causes(error));
    }
    let Some(status) = error.http_status_code() else {
        let reason = Error::causes(error);
        let ours = error.is_binding() || error.is_serialization();
        return match ours {
            true => Fault::last(Error::invalid(what, reason)),
            false => Fault::lost(Error::new(ErrorKind::Unavailable, what, reason)),
        };
    };
    let reason = reason_of(error);
    let message = error.status().map_or_else(|| Error::causes(error), |status| status.message.clone());
    let after = error.http_headers().and_then(|headers| headers.get("retry-after"));
    let after = after.and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    sorted(what, right, status, &reason, format!("Compute Engine answers {status} {reason}: {message}")).wait(after)
}

/// The same by status and reason.
fn sorted(what: &str, right: &str, status: u16, reason: &str, said: String) -> Fault {
    let error = |kind| Error::new(kind, what, said.clone());
    match (status, reason) {
        (429, _) | (403, "ratelimitexceeded" | "userratelimitexceeded" | "operationrateexceeded") => {
            Fault::busy(error(ErrorKind::Unavailable), None)
        }
        (400 | 412, "resourcenotready") => Fault::busy(error(ErrorKind::Unavailable), None),
        (401, _) => unknown(what, said),
        (403, "quotaexceeded" | "limitexceeded") => Fault::last(error(ErrorKind::Refused).with_hint(QUOTA)),
        (403, "accessnotconfigured" | "servicedisabled") => {
            Fault::last(error(ErrorKind::Refused).with_hint("enable the Compute Engine API in the project"))
        }
        (403, _) => Fault::last(error(ErrorKind::Denied).with_hint(format!("allow {right} to this account (IAM)"))),
        (404, _) => Fault::last(error(ErrorKind::NotFound).with_hint(MISSING)),
        (_, "resourceinusebyanotherresource") => Fault::last(error(ErrorKind::Refused).with_hint(IN_USE)),
        (500.., _) => Fault::lost(error(ErrorKind::Unavailable)),
        _ => Fault::last(error(ErrorKind::Invalid)),
    }
}

const QUOTA: &str = "have the project's quota raised";
const MISSING: &str = "check project and zone, and whether it was deleted";
const IN_USE: &str = "detach it, or delete what uses it";

fn unknown(what: &str, reason: String) -> Fault {
    let error = Error::new(ErrorKind::Denied, what, reason);
    Fault::last(error.with_hint("check the credentials: the key file, or the service account's workload identity"))
}

/// Why an operation came to nothing; `None` if it did not, or not yet.
pub(super) fn failed(what: &str, operation: &Operation) -> Option<Fault> {
    let first = operation.error.as_ref()?.errors.first()?;
    let code = first.code.as_deref().unwrap_or("no code");
    let message = first.message.as_deref().unwrap_or("no message");
    let error = |kind| Error::new(kind, what, format!("the operation ended with {code}: {message}"));
    Some(match code {
        "RESOURCE_NOT_FOUND" => Fault::last(error(ErrorKind::NotFound).with_hint(MISSING)),
        "QUOTA_EXCEEDED" | "LIMIT_EXCEEDED" => Fault::last(error(ErrorKind::Refused).with_hint(QUOTA)),
        "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE" => Fault::last(error(ErrorKind::Refused).with_hint(IN_USE)),
        "ZONE_RESOURCE_POOL_EXHAUSTED" => {
            Fault::last(error(ErrorKind::Refused).with_hint("the zone has no room now: map the volume to another"))
        }
        "PERMISSIONS_ERROR" => Fault::last(error(ErrorKind::Denied).with_hint("allow it to this account (IAM)")),
        "RESOURCE_NOT_READY" | "RESOURCE_OPERATION_RATE_EXCEEDED" | "RATE_LIMIT_EXCEEDED" | "INTERNAL_ERROR" => {
            Fault::busy(error(ErrorKind::Unavailable), None)
        }
        _ => Fault::last(error(ErrorKind::Invalid)),
    })
}

#[cfg(test)]
mod tests;
