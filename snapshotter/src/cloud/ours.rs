//! What is ours to take and to delete, and what is not.

use hindcast_journal::{
    Result,
    error::{Error, ErrorKind},
};

use crate::driver::{Tag, Volume};

/// The tag of a disk that was made from a snapshot: the token of the wish for it.
pub(crate) const DISK: &str = "hindcast.dev/disk";

const HINT: &str = "it is not ours to delete: delete it by hand if nobody needs it";

/// Refuses to delete a snapshot that does not bear the cluster and the id it should.
pub(crate) fn bears(what: &str, borne: Option<&Tag>, tag: &Tag) -> Result<()> {
    if borne.is_some_and(|borne| (&borne.cluster, &borne.id) == (&tag.cluster, &tag.id)) {
        return Ok(());
    }
    let reason = format!("it does not bear the tags of {tag} of the cluster {}", tag.cluster);
    Err(Error::new(ErrorKind::Refused, what, reason).with_hint(HINT))
}

/// Refuses a volume of another driver than these.
pub(crate) fn is_of(volume: &Volume, drivers: &[&str]) -> std::result::Result<(), String> {
    match drivers.contains(&volume.driver.as_str()) {
        true => Ok(()),
        false => Err(format!("its driver is {}, not one of {}", volume.driver, drivers.join(", "))),
    }
}

/// Why a disk is not deleted that no restore made.
pub(crate) fn not_made_here(what: &str) -> Error {
    let reason = "it does not bear the token of a restore, so none made it";
    Error::new(ErrorKind::Refused, what, reason).with_hint(HINT)
}
