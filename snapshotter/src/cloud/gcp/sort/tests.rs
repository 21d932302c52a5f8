use google_cloud_compute_v1::model::operation::{self, error::Errors};

use super::*;

#[test]
fn answers_are_sorted_by_remedy() {
    let table = [
        (429, "", ErrorKind::Unavailable, false),
        (403, "rateLimitExceeded", ErrorKind::Unavailable, false),
        (400, "resourceNotReady", ErrorKind::Unavailable, false),
        (503, "backendError", ErrorKind::Unavailable, true),
        (401, "authError", ErrorKind::Denied, false),
        (403, "forbidden", ErrorKind::Denied, false),
        (403, "quotaExceeded", ErrorKind::Refused, false),
        (403, "QUOTA_EXCEEDED", ErrorKind::Refused, false),
        (403, "accessNotConfigured", ErrorKind::Refused, false),
        (400, "resourceInUseByAnotherResource", ErrorKind::Refused, false),
        (404, "notFound", ErrorKind::NotFound, false),
        (400, "invalid", ErrorKind::Invalid, false),
    ];
    for (status, reason, kind, lost) in table {
        let fault = sorted("x", "compute.snapshots.get", status, &small(reason), String::new());
        assert_eq!((fault.error().kind(), fault.is_lost()), (kind, lost), "{status} {reason}");
    }
    let denied = sorted("x", "compute.snapshots.get", 403, "forbidden", String::new());
    assert_eq!(denied.error().hint(), Some("allow compute.snapshots.get to this account (IAM)"));
}

#[test]
fn operations_say_why_they_failed() {
    let with = |code: &str| {
        let errors = [Errors::new().set_code(code).set_message("m")];
        Operation::new().set_error(operation::Error::new().set_errors(errors))
    };
    assert!(failed("x", &Operation::new()).is_none());
    for (code, kind) in [
        ("QUOTA_EXCEEDED", ErrorKind::Refused),
        ("RESOURCE_NOT_FOUND", ErrorKind::NotFound),
        ("RESOURCE_NOT_READY", ErrorKind::Unavailable),
        ("SOMETHING_NEW", ErrorKind::Invalid),
    ] {
        let fault = failed("x", &with(code)).unwrap();
        assert_eq!(fault.error().kind(), kind, "{code}");
        assert!(fault.error().to_string().contains(code), "{}", fault.error());
    }
}
