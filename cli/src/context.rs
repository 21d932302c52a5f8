//! What every command is given.

use hindcast_journal::Parts;

use crate::{args::Common, moment::Wall, printer::Printer};

/// What every command is given.
pub(crate) struct Context<'a> {
    /// The common options.
    pub(crate) common: &'a Common,
    /// The way out.
    pub(crate) printer: &'a Printer,
    /// The clock and the randomness.
    pub(crate) parts: Parts,
    /// The time and the zone that T is read in.
    pub(crate) wall: Wall,
}
