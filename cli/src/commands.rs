//! The verbs, a file each, always in four steps: resolve settings, build parts, call one library function, render.
//!
//! Not here: anything about the domain; a command that needs to decide about it is in the wrong crate.

use hindcast_journal::Parts;

use crate::{
    args::{Cli, Common, Output, Verb},
    failure::{Exit, Failure, Result},
    moment::Wall,
    printer::Printer,
};

mod key;

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

/// Runs a verb.
pub(crate) fn run(cli: &Cli, printer: &Printer) -> Result<Exit> {
    let parts = Parts::system();
    let wall = Wall::new(parts.clock.now(), cli.common.tz.as_deref())?;
    let context = Context { common: &cli.common, printer, parts, wall };
    let table = matches!(cli.common.output, Output::Wide | Output::Name);
    if table && !matches!(cli.verb, Verb::Get(_)) {
        return Err(Failure::new("-o wide and -o name", "only `get` has them")
            .hint("-o text, json or yaml"));
    }
    match &cli.verb {
        Verb::Key(verb) => key::run(&context, verb),
        _ => Err(Failure::new("this verb", "is not there yet")),
    }
}
