//! What can be wrong with a document or a patch, as data.
//!
//! Invariant: a [`ParseError`] carries an offset and a reason, never a piece of the document. A
//! [`PatchError`] carries the path of the operation, which holds keys but no values.

/// Why a document is not readable, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct ParseError {
    /// Where in the given bytes, counted from 0.
    pub offset: usize,
    /// What is wrong there.
    pub reason: ParseReason,
}

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseReason {
    /// An object has one key twice, compared after escapes are decoded.
    #[error("duplicate key")]
    DuplicateKey,
    /// Half of a surrogate pair, which stands for no character.
    #[error("lone surrogate")]
    LoneSurrogate,
    /// The bytes are not UTF-8.
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// A control character stands raw inside a string.
    #[error("control character in a string")]
    ControlCharacter,
    /// A backslash is followed by what JSON does not know.
    #[error("invalid escape")]
    InvalidEscape,
    /// A number breaks the JSON grammar.
    #[error("invalid number")]
    InvalidNumber,
    /// Arrays and objects nest beyond the limit.
    #[error("nesting deeper than {}", super::MAX_DEPTH)]
    TooDeep,
    /// More than the offsets of the tape can hold (4 GiB).
    #[error("document too large")]
    TooLarge,
    /// The document ends in the middle of a value.
    #[error("unexpected end")]
    UnexpectedEnd,
    /// Something else than the named thing.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The value is whole and more follows it.
    #[error("trailing bytes")]
    TrailingBytes,
    /// Valid JSON, but not in the spelling the journal writes.
    #[error("not in canonical form")]
    NotCanonical,
}

impl ParseReason {
    pub(super) fn at(self, offset: usize) -> ParseError {
        ParseError { offset, reason: self }
    }
}

/// Why a patch does not apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("patch operation {index} at path {path:?}: {reason}")]
pub struct PatchError {
    /// Which operation, counted from 0.
    pub index: usize,
    /// Its path as written, empty where it has none.
    pub path: String,
    /// What is wrong with it.
    pub reason: PatchReason,
}

/// What is wrong with an operation of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchReason {
    /// The patch is not a list.
    #[error("the patch is not an array of operations")]
    NotAnArray,
    /// The operation lacks a member, or the member is of the wrong type.
    #[error("the operation needs a {0}")]
    Missing(&'static str),
    /// An operation that RFC 6902 does not have.
    #[error("unknown operation")]
    UnknownOperation,
    /// The path is not a JSON pointer.
    #[error("not a JSON pointer")]
    InvalidPointer,
    /// Nothing is at the path, or at its parent.
    #[error("nothing there")]
    NotFound,
    /// An array index beyond the end, or not an index.
    #[error("not an index of this array")]
    InvalidIndex,
    /// The value would be moved into itself.
    #[error("a value cannot move into itself")]
    IntoItself,
    /// The root would be removed, and no document be left.
    #[error("the whole document cannot be removed")]
    WholeDocument,
    /// The value there is another one.
    #[error("the value there differs")]
    TestFailed,
    /// The result would nest beyond the limit.
    #[error("the result would nest deeper than {}", super::MAX_DEPTH)]
    TooDeep,
}
