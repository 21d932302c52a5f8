use super::*;

#[test]
fn errors_are_sorted_by_remedy() {
    let table = [
        ("RequestLimitExceeded", 503, ErrorKind::Unavailable, false),
        ("SnapshotCreationPerVolumeRateExceeded", 400, ErrorKind::Unavailable, false),
        ("IncorrectState", 400, ErrorKind::Unavailable, false),
        ("InternalError", 500, ErrorKind::Unavailable, true),
        ("SomethingNew", 503, ErrorKind::Unavailable, true),
        ("UnauthorizedOperation", 403, ErrorKind::Denied, false),
        ("AuthFailure", 401, ErrorKind::Denied, false),
        ("SomethingNew", 403, ErrorKind::Denied, false),
        ("SnapshotLimitExceeded", 400, ErrorKind::Refused, false),
        ("InvalidSnapshot.InUse", 400, ErrorKind::Refused, false),
        ("KMSKeyDisabled", 400, ErrorKind::Refused, false),
        ("InvalidVolume.NotFound", 400, ErrorKind::NotFound, false),
        ("InvalidParameterValue", 400, ErrorKind::Invalid, false),
    ];
    for (code, status, kind, lost) in table {
        let fault = sorted("x", "ec2:CreateSnapshot", code, status, code.to_owned());
        assert_eq!((fault.error().kind(), fault.is_lost()), (kind, lost), "{code} {status}");
        let hinted = matches!(kind, ErrorKind::Denied | ErrorKind::Refused | ErrorKind::NotFound);
        assert_eq!(fault.error().hint().is_some(), hinted, "{code} {status}");
    }
    let denied = sorted("x", "ec2:CreateSnapshot", "UnauthorizedOperation", 403, String::new());
    assert_eq!(denied.error().hint(), Some("allow ec2:CreateSnapshot to these credentials (IAM)"));
}
