//! The verbs, a file each, always in four steps: resolve settings, build parts, call one library function, render.
//!
//! Not here: anything about the domain; a command that needs to decide about it is in the wrong crate.

use std::future::Future;

use hindcast_journal::Parts;

use crate::{
    args::{Cli, Output, Verb},
    context::Context,
    failure::{Exit, Failure, Result},
    logging,
    moment::Wall,
    printer::Printer,
};

mod blame;
mod compact;
mod confirm;
mod diff;
mod execute;
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
    let context = Context { common: &cli.common, printer, parts, wall };
    let table = matches!(cli.common.output, Output::Wide | Output::Name);
    if table && !matches!(cli.verb, Verb::Get(_)) {
        return Err(Failure::new("-o wide and -o name", "only `get` has them").hint("-o text, json or yaml"));
    }
    if let Verb::Key(verb) = &cli.verb {
        return key::run(&context, verb);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new("the runtime", e.to_string()))?;
    runtime.block_on(async {
        match &cli.verb {
            Verb::Run(args) => run::run(&context, args).await,
            Verb::Log(args) if args.follow => log::follow(&context, args).await,
            Verb::Restore(args) => restore::run(&context, args).await,
            Verb::Undo(args) => undo::run(&context, args).await,
            Verb::Point(verb) => {
                logging::for_reader(context.common.verbose);
                point::run(&context, verb).await
            }
            Verb::Fanout(verb) => fanout::run(&context, verb).await,
            Verb::Mover(args) => {
                logging::for_reader(context.common.verbose);
                mover::run(&context, args).await
            }
            verb => interruptible(&context, read(&context, verb)).await,
        }
    })
}

async fn read(context: &Context<'_>, verb: &Verb) -> Result<Exit> {
    logging::for_reader(context.common.verbose);
    match verb {
        Verb::Status => status::run(context).await,
        Verb::Log(args) => log::run(context, args).await,
        Verb::Get(args) => get::run(context, args).await,
        Verb::Show(args) => show::run(context, args).await,
        Verb::Diff(args) => diff::run(context, args).await,
        Verb::Blame(args) => blame::run(context, args).await,
        Verb::Journal(verb) => journal::run(context, verb).await,
        Verb::Compact(args) => compact::run(context, args).await,
        Verb::Verify(args) => verify::run(context, args).await,
        Verb::Rules(args) => rules::run(context, args),
        Verb::Plan(args) => plan::run(context, args).await,
        Verb::Plugin(verb) => plugin::run(context, verb).await,
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
