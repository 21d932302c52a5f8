use hindcast_journal::Error;

use super::*;

#[test]
fn exit_codes_are_the_contracts() {
    let codes = [Exit::Done, Exit::Failed, Exit::Reserved, Exit::Fenced, Exit::Interrupted].map(Exit::code);
    assert_eq!(codes, [0, 2, 3, 4, 130]);
}

#[test]
fn an_error_keeps_its_remedy_and_its_cause_once_and_on_one_line() {
    let cause = std::io::Error::other("denied\n  by policy");
    let error =
        Error::new(ErrorKind::Invalid, "wal/1", "cannot be read: denied by policy").with_hint("ask").with_source(cause);
    let failure = Failure::from(error);
    assert_eq!(failure.to_string(), "wal/1: cannot be read: denied by policy");
    assert_eq!((failure.hints.as_slice(), failure.exit), (["ask".to_owned()].as_slice(), Exit::Failed));
    let error = Error::invalid("a", "b").with_source(std::io::Error::other("c"));
    assert_eq!(Failure::from(error).to_string(), "a: b: c");
}

#[test]
fn a_fenced_writer_ends_with_its_own_code_and_words() {
    let error = Error::new(ErrorKind::Fenced, "the journal", "fenced by x");
    let failure = Failure::from(hindcast_watcher::Error::from(error));
    assert_eq!(failure.exit, Exit::Fenced);
    assert_eq!(failure.to_string(), "the journal: fenced by x");
}
