//! What every command is given.

use hindcast_journal::Parts;

use crate::{
    args::Common,
    moment::Wall,
    printer::Printer,
    settings::{Held, Settings},
};

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
    /// What it was given by Secrets of the cluster.
    pub(crate) held: Held,
}

impl Context<'_> {
    /// The same by other settings.
    pub(crate) fn by<'b>(&'b self, Settings { common, held, .. }: &'b Settings) -> Context<'b> {
        let Self { printer, parts, wall, .. } = self;
        Context { common, printer, parts: parts.clone(), wall: wall.clone(), held: held.clone() }
    }
}
