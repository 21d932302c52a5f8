//! What is ours to delete, and what is not.

use hindcast_journal::error::{Error, ErrorKind};

use crate::driver::Tag;

/// The tag of a disk that was made from a snapshot: the token of the wish for it.
pub(crate) const DISK: &str = "hindcast.dev/disk";

const HINT: &str = "it is not ours to delete: delete it by hand if nobody needs it";

/// Why a snapshot is not deleted that does not bear what it should.
pub(crate) fn foreign(what: &str, tag: &Tag) -> Error {
    let reason = format!("it does not bear the tags of {tag} of the cluster {}", tag.cluster);
    Error::new(ErrorKind::Refused, what, reason).with_hint(HINT)
}

/// Why a disk is not deleted that no restore made.
pub(crate) fn not_made_here(what: &str) -> Error {
    let reason = "it does not bear the token of a restore, so none made it";
    Error::new(ErrorKind::Refused, what, reason).with_hint(HINT)
}
