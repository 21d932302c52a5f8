//! The verbs, a file each, always in four steps: resolve settings, build parts, call one library function, render.
//!
//! Not here: anything about the domain; a command that needs to decide about it is in the wrong crate.

use std::future::Future;

use hindcast_journal::Parts;

use crate::{
    args::{Cli, KeyVerb, Output, Verb},
    context::Context,
    failure::{Exit, Failure, Result},
    logging,
    moment::Wall,
    printer::Printer,
    settings::Held,
};

mod blame;
mod compact;
mod confirm;
mod custody;
mod diff;
mod doctor;
mod execute;
mod expire;
mod fanout;
mod get;
mod journal;
mod key;
mod log;
mod mover;
mod plan;
mod plugin;
mod point;
mod restore;
mod rules;
mod run;
mod show;
mod status;
#[cfg(test)]
mod tests;
mod undo;
mod verify;
#[cfg(test)]
pub(crate) use tests::schema::check as schema;

/// Runs a verb.
pub(crate) fn run(cli: &Cli, printer: &Printer) -> Result<Exit> {
    let parts = Parts::system();
    let wall = Wall::new(parts.clock.now(), cli.common.tz.as_deref())
        .map_err(|error| Failure::from(error).hint("--tz or HINDCAST_TZ chooses another one"))?;
    let context = Context { common: &cli.common, printer, parts, wall, held: Held::default() };
    let table = matches!(cli.common.output, Output::Wide | Output::Name);
    if table && !matches!(cli.verb, Verb::Get(_)) {
        return Err(Failure::new("-o wide and -o name", "only `get` has them").hint("-o text, json or yaml"));
    }
    if let Verb::Key(verb @ (KeyVerb::Init { .. } | KeyVerb::List)) = &cli.verb {
        return key::run(&context, verb);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new("the runtime", e.to_string()))?;
    runtime.block_on(async {
        // Each is large: on the heap it does not weigh on the stack of whoever polls.
        match &cli.verb {
            Verb::Run(args) => Box::pin(run::run(&context, args)).await,
            Verb::Log(args) if args.follow => Box::pin(log::follow(&context, args)).await,
            Verb::Restore(args) => Box::pin(restore::run(&context, args)).await,
            Verb::Undo(args) => Box::pin(undo::run(&context, args)).await,
            Verb::Point(verb) => {
                logging::for_reader(context.common.verbose);
                Box::pin(point::run(&context, verb)).await
            }
            Verb::Fanout(verb) => Box::pin(fanout::run(&context, verb)).await,
            Verb::Mover(args) => {
                logging::for_reader(context.common.verbose);
                Box::pin(mover::run(&context, args)).await
            }
            verb => interruptible(&context, Box::pin(read(&context, verb))).await,
        }
    })
}

async fn read(context: &Context<'_>, verb: &Verb) -> Result<Exit> {
    logging::for_reader(context.common.verbose);
    match verb {
        Verb::Status => Box::pin(status::run(context)).await,
        Verb::Log(args) => Box::pin(log::run(context, args)).await,
        Verb::Get(args) => Box::pin(get::run(context, args)).await,
        Verb::Show(args) => Box::pin(show::run(context, args)).await,
        Verb::Diff(args) => Box::pin(diff::run(context, args)).await,
        Verb::Blame(args) => Box::pin(blame::run(context, args)).await,
        Verb::Journal(verb) => Box::pin(journal::run(context, verb)).await,
        Verb::Compact(args) => Box::pin(compact::run(context, args)).await,
        Verb::Expire(args) => Box::pin(expire::run(context, args)).await,
        Verb::Verify(args) => Box::pin(verify::run(context, args)).await,
        Verb::Doctor(args) => Box::pin(doctor::run(context, args)).await,
        Verb::Rules(args) => rules::run(context, args),
        Verb::Plan(args) => Box::pin(plan::run(context, args)).await,
        Verb::Plugin(verb) => Box::pin(plugin::run(context, verb)).await,
        Verb::Forget(args) => Box::pin(custody::forget(context, args)).await,
        Verb::Key(KeyVerb::Status) => Box::pin(custody::status(context)).await,
        Verb::Key(KeyVerb::Rewrap(args)) => Box::pin(custody::rewrap(context, args)).await,
        Verb::Run(_)
        | Verb::Key(_)
        | Verb::Restore(_)
        | Verb::Undo(_)
        | Verb::Point(_)
        | Verb::Fanout(_)
        | Verb::Mover(_) => Ok(Exit::Done),
    }
}

/// Ends a reader at Ctrl-C; nothing was begun that would have to be undone.
async fn interruptible(context: &Context<'_>, work: impl Future<Output = Result<Exit>>) -> Result<Exit> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => {
            context.printer.note("interrupted: the answer is not complete");
            Ok(Exit::Interrupted)
        }
    }
}
