use super::*;

#[test]
fn errors_are_sorted_by_remedy() {
    let table = [
        (429, "TooManyRequests", ErrorKind::Unavailable, false),
        (409, "AnotherOperationInProgress", ErrorKind::Unavailable, false),
        (500, "InternalExecutionError", ErrorKind::Unavailable, true),
        (503, "", ErrorKind::Unavailable, true),
        (401, "InvalidAuthenticationToken", ErrorKind::Denied, false),
        (403, "AuthorizationFailed", ErrorKind::Denied, false),
        (409, "QuotaExceeded", ErrorKind::Refused, false),
        (409, "ScopeLocked", ErrorKind::Refused, false),
        (404, "ResourceGroupNotFound", ErrorKind::Refused, false),
        (404, "ResourceNotFound", ErrorKind::NotFound, false),
        (400, "InvalidParameter", ErrorKind::Invalid, false),
    ];
    for (status, code, kind, lost) in table {
        let fault = sorted("x", "a right", status, code, code.to_owned());
        assert_eq!((fault.error().kind(), fault.is_lost()), (kind, lost), "{status} {code}");
    }
    let denied = sorted("x", "Microsoft.Compute/snapshots/read", 403, "AuthorizationFailed", String::new());
    assert_eq!(denied.error().hint(), Some("allow Microsoft.Compute/snapshots/read to this identity (a role)"));
}
