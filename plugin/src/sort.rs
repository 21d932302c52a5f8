//! What a plugin's failure means: by gRPC's codes, as `plugin.proto` has them, to what can be done about it.
//!
//! **Invariant.** Every error names the plugin and a remedy: the plugin's own, or the one that goes with the code.

use std::{error::Error as _, time::Duration};

use hindcast_journal::error::{Error, ErrorKind};
use hindcast_snapshotter::cloud::patience::Fault;
use tonic::{Code, Status};

use crate::{
    bounds::Beyond,
    check::{Answer, HINT, said},
    wire::{Failure, Method},
};

/// The trailing metadata of the remedy, and of the time to ask again after.
const HINT_KEY: &str = "hindcast-hint-bin";
const AFTER_KEY: &str = "hindcast-retry-after-ms";

/// The longest pause that a plugin may ask for.
const LONGEST: Duration = Duration::from_mins(10);

/// The longest message that is told on.
const MESSAGE: usize = 1000;

/// A call that failed, to one who asked `who` about `what`; and whether the connection is to be let go.
pub(crate) fn of_call(who: &str, what: &str, method: Method, status: &Status) -> (Fault, bool) {
    let name = method.name();
    let text = said(status.message(), MESSAGE);
    if matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded) {
        return (late(who, what, method, None), true);
    }
    if let Some(beyond) = beyond(status) {
        return (Fault::last(Answer { who, what, method }.wrong(beyond)), true);
    }
    // A status that has a cause was made on this side: nobody answered.
    if let Some(cause) = status.source() {
        let cause = said(&Error::causes(cause), MESSAGE);
        let reason = format!("{who} ended the connection during {name}: {cause}");
        let error = Error::new(ErrorKind::Unavailable, what, reason);
        let hint = "it may have crashed: look at its log, and see that it is started again";
        return (Fault::lost(error.with_hint(hint)), true);
    }
    let hint = status.metadata().get_bin(HINT_KEY).and_then(|hint| hint.to_bytes().ok());
    let hint = hint.map(|hint| said(&String::from_utf8_lossy(&hint), MESSAGE)).unwrap_or_default();
    let after = status.metadata().get(AFTER_KEY).and_then(|after| after.to_str().ok()?.parse().ok()).unwrap_or(0);
    let failure = Failure { code: status.code() as u32, message: text, hint, retry_after_ms: after };
    (of_failure(who, what, method, &failure), false)
}

/// Why an answer was not taken in, if so.
fn beyond(status: &Status) -> Option<&Beyond> {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(beyond) = error.downcast_ref() {
            return Some(beyond);
        }
        cause = error.source();
    }
    None
}

/// One of several things that failed.
pub(crate) fn of_failure(who: &str, what: &str, method: Method, failure: &Failure) -> Fault {
    let name = method.name();
    let code = i32::try_from(failure.code).map_or(Code::Unknown, Code::from_i32);
    let after = Some(Duration::from_millis(failure.retry_after_ms).min(LONGEST)).filter(|after| !after.is_zero());
    let (kind, remedy) = sorted(code, after.is_some());
    let message = said(&failure.message, MESSAGE);
    let message = if message.is_empty() { format!("{code:?}, and no word why") } else { message };
    let hint = said(&failure.hint, MESSAGE);
    let hint = if hint.is_empty() { remedy.to_owned() } else { hint };
    let error = Error::new(kind, what, format!("{who} answers {name}: {message}")).with_hint(hint);
    match kind {
        ErrorKind::Unavailable => Fault::busy(error, after),
        _ => Fault::last(error),
    }
}

/// A call without an answer in its time.
pub(crate) fn late(who: &str, what: &str, method: Method, limit: Option<Duration>) -> Fault {
    let within = limit.map_or_else(|| "in time".to_owned(), |limit| format!("within {:.1} s", limit.as_secs_f64()));
    let reason = format!("{who} gave no answer to {} {within}", method.name());
    let hint = "it may hang: look at its log, and start it again";
    Fault::lost(Error::new(ErrorKind::Unavailable, what, reason).with_hint(hint))
}

/// What can be done about a code, and in words.
fn sorted(code: Code, says_when: bool) -> (ErrorKind, &'static str) {
    match code {
        Code::Unavailable | Code::Aborted | Code::Cancelled | Code::DeadlineExceeded => {
            (ErrorKind::Unavailable, "it may pass: try again later")
        }
        Code::ResourceExhausted if says_when => (ErrorKind::Unavailable, "it may pass: try again later"),
        Code::ResourceExhausted => (ErrorKind::Refused, "make room in the storage system, or raise its quota"),
        Code::PermissionDenied | Code::Unauthenticated => {
            (ErrorKind::Denied, "give the plugin the credentials and rights it needs in the storage system")
        }
        Code::FailedPrecondition | Code::AlreadyExists => (ErrorKind::Refused, "mend what the plugin names"),
        Code::InvalidArgument | Code::OutOfRange => (ErrorKind::Invalid, "mend the setting that the plugin names"),
        Code::Unimplemented => (ErrorKind::Invalid, HINT),
        Code::NotFound => (ErrorKind::NotFound, "what is named must be there: look at it in the storage system"),
        // An answer that is none, with or without a reason.
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => (ErrorKind::Refused, "look at the plugin's log"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: Code, after: u64) -> Fault {
        let failure = Failure {
            code: code as u32,
            message: "no\u{1b}[31m\nmore".into(),
            hint: String::new(),
            retry_after_ms: after,
        };
        of_failure("plugin a", "b", Method::CREATE, &failure)
    }

    #[test]
    fn codes_are_sorted_by_what_can_be_done() {
        for (code, after, kind) in [
            (Code::Unavailable, 0, ErrorKind::Unavailable),
            (Code::ResourceExhausted, 5, ErrorKind::Unavailable),
            (Code::ResourceExhausted, 0, ErrorKind::Refused),
            (Code::Unauthenticated, 0, ErrorKind::Denied),
            (Code::InvalidArgument, 0, ErrorKind::Invalid),
            (Code::NotFound, 0, ErrorKind::NotFound),
            (Code::Internal, 0, ErrorKind::Refused),
            (Code::Ok, 0, ErrorKind::Refused),
        ] {
            let error = Error::from(failure(code, after));
            assert_eq!(error.kind(), kind, "{code:?}");
            assert_eq!(
                error.to_string(),
                "b: plugin a answers Create: no [31m more",
                "no control character is told on"
            );
            assert!(error.hint().is_some_and(|hint| !hint.is_empty()));
        }
        let unknown = Failure { code: 4_000_000_000, ..Failure::default() };
        let error = Error::from(of_failure("plugin a", "b", Method::LOOK, &unknown));
        assert!(error.to_string().contains("no word why"), "{error}");
    }

    #[test]
    fn a_call_says_its_own_remedy() {
        let mut status = Status::failed_precondition("locked");
        status.metadata_mut().insert_bin(HINT_KEY, tonic::metadata::MetadataValue::from_bytes("unlöck it".as_bytes()));
        let (fault, broken) = of_call("plugin a", "b", Method::LOOK, &status);
        assert_eq!(fault.error().hint(), Some("unlöck it"));
        assert!(!broken && !fault.is_lost());
        let cut = Status::from_error(Box::new(std::io::Error::other("cut")));
        let (fault, broken) = of_call("plugin a", "b", Method::LOOK, &cut);
        assert!(broken && fault.is_lost() && fault.error().kind() == ErrorKind::Unavailable, "{fault:?}");
    }
}
