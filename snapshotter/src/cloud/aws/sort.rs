//! Errors of EC2, sorted by what can be done about them.
//!
//! The codes are those of "Error codes for the Amazon EC2 API" in Amazon's documentation. What is not in a list here goes by
//! its HTTP status: from 500 on it may pass and may have been carried out.

use aws_sdk_ec2::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use hindcast_journal::error::{Error, ErrorKind};

use super::super::patience::Fault;

/// Fewer requests are wanted, or the last one of this volume has to be done with.
const BUSY: [&str; 8] = [
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "EC2ThrottledException",
    "SnapshotCreationPerVolumeRateExceeded",
    "ConcurrentSnapshotLimitExceeded",
    "BandwidthLimitExceeded",
];
/// It may have been carried out.
const BROKEN: [&str; 5] = ["InternalError", "InternalFailure", "Unavailable", "ServiceUnavailable", "RequestTimeout"];
/// What is asked for is on its way to be possible.
const EARLY: [&str; 2] = ["IncorrectState", "IncorrectSnapshotState"];
/// The rights do not suffice.
const UNAUTHORIZED: [&str; 4] =
    ["UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation"];
/// Nobody is known by these credentials.
const UNKNOWN: [&str; 10] = [
    "AuthFailure",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "MissingAuthenticationToken",
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "InvalidIdentityToken",
    "PendingVerification",
];
/// Somebody has to allow more, or mend something.
const LIMITS: [&str; 8] = [
    "SnapshotLimitExceeded",
    "VolumeLimitExceeded",
    "PendingSnapshotLimitExceeded",
    "MaxIOPSLimitExceeded",
    "VolumeTypeNotAvailableInZone",
    "InsufficientVolumeCapacity",
    "OptInRequired",
    "Blocked",
];

/// The code of an answer that is an error.
pub(super) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error()?.code()
}

/// What a request that failed means. `right` is what it needs.
pub(super) fn fault<E>(what: &str, right: &str, error: &SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let SdkError::ServiceError(service) = error else {
        return unanswered(what, error);
    };
    let code = service.err().code().unwrap_or("no code");
    let message = service.err().message().unwrap_or("no message");
    let reason = format!("EC2 answers {code}: {message}");
    let status = service.raw().status().as_u16();
    sorted(what, right, code, status, reason)
}

/// The same by code and status.
fn sorted(what: &str, right: &str, code: &str, status: u16, reason: String) -> Fault {
    let error = |kind| Error::new(kind, what, reason.clone());
    if BUSY.contains(&code) || EARLY.contains(&code) || status == 429 {
        Fault::busy(error(ErrorKind::Unavailable), None)
    } else if UNAUTHORIZED.contains(&code) {
        Fault::last(error(ErrorKind::Denied).with_hint(format!("allow {right} to these credentials (IAM)")))
    } else if UNKNOWN.contains(&code) {
        Fault::last(
            error(ErrorKind::Denied)
                .with_hint("check the access key, session token or web identity, and that the clock is right"),
        )
    } else if LIMITS.contains(&code) {
        Fault::last(error(ErrorKind::Refused).with_hint("have the quota of the account in this region raised"))
    } else if code.ends_with(".InUse") || code == "VolumeInUse" {
        Fault::last(error(ErrorKind::Refused).with_hint("detach it, or deregister the image that is made of it"))
    } else if code.starts_with("KMS") || code.starts_with("Kms") {
        Fault::last(error(ErrorKind::Refused).with_hint("enable the key, and allow its use in its policy (KMS)"))
    } else if matches!(code, "InvalidVolume.NotFound" | "InvalidSnapshot.NotFound") {
        Fault::last(error(ErrorKind::NotFound).with_hint("check the region, and whether it was deleted"))
    } else if BROKEN.contains(&code) || status >= 500 {
        Fault::lost(error(ErrorKind::Unavailable))
    } else if status == 401 || status == 403 {
        Fault::last(error(ErrorKind::Denied).with_hint(format!("allow {right} to these credentials (IAM)")))
    } else {
        Fault::last(error(ErrorKind::Invalid))
    }
}

/// Whoever gives credentials is away or busy: what stands in the causes then.
const AWAY: [&str; 5] = ["timed out", "dispatch failure", "Throttl", "ServiceUnavailable", "IDPCommunicationError"];

/// A request without an answer that could be read.
fn unanswered<E: std::error::Error + 'static>(what: &str, error: &SdkError<E, HttpResponse>) -> Fault {
    let reason = Error::causes_beneath(error);
    let credentials = reason.contains("credential") || reason.contains("identity");
    let away = AWAY.iter().any(|cause| reason.contains(cause));
    match error {
        // Without them nothing was sent.
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) if credentials && away => {
            Fault::busy(Error::new(ErrorKind::Unavailable, what, reason), None)
        }
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) if credentials => {
            let error = Error::new(ErrorKind::Denied, what, reason);
            Fault::last(error.with_hint(
                "give credentials: AWS_ACCESS_KEY_ID, a profile, a service account with a role, or the volume location's",
            ))
        }
        SdkError::ConstructionFailure(_) => Fault::last(Error::invalid(what, reason)),
        _ => Fault::lost(Error::new(ErrorKind::Unavailable, what, reason)),
    }
}

#[cfg(test)]
mod tests;
