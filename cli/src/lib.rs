//! One binary, `hindcast`, with every process and every verb.
//!
//! This crate composes: it reads arguments and environment, builds the parts (store, clock, keys, client), calls one
//! function of a library, and prints what comes back. It is the only crate that prints, exits, serves HTTP or sets
//! tracing up.
//!
//! **Map.** `args` is what clap reads. `commands` has a file per verb. `selector` and `store` turn words into what libraries take,
//! `settings` those of `run` and of a `Journal` into one, `scope` does so for restores, `fanouts` for fan-outs; `past` is the one door to the reading libraries, `rollback`
//! the one to restores, `plugins` to plugins, with `planfile` and `progress` beside it. `view` is what `-o json` says
//! (schemas in `cli/schemas`), `render` the text, `columns` the tables of `get`, `redact` what is hidden, and
//! `printer` the only writer to the terminal.
//!
//! **Invariants.** (1) Data goes to standard output, all else to standard error. (2) No Secret value is printed
//! unless `--show-secrets` asks for it, and no control character ever [`redact`, `printer`]. (3) A reader needs the
//! bucket alone. (4) Only `restore` and `undo` write to a cluster, and only what they showed.
//!
//! Start reading at [`main`], then `commands`.

#![allow(clippy::struct_field_names, reason = "fields are named as in the documents and options they stand for")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where a library must not"))]

use std::{ffi::OsString, path::Path, process::ExitCode, sync::Arc};

use clap::{CommandFactory as _, FromArgMatches as _};
use object_store::ObjectStore;

mod args;
mod columns;
mod commands;
mod compare;
mod context;
mod ending;
mod failure;
mod fanouts;
mod files;
mod history;
mod keyfile;
mod kubeconfig;
mod listen;
mod locations;
mod logging;
mod movers;
mod names;
mod past;
mod planfile;
mod plugins;
mod points;
mod printer;
mod progress;
mod question;
mod reader;
mod redact;
mod render;
mod rollback;
mod scope;
mod selector;
mod settings;
mod store;
mod view;
mod words;

use hindcast_restorer::ask::{kinds, moment, paths};

use crate::{args::Cli, failure::Exit, printer::Printer};

/// Runs the command line; what it returns is the exit code of the contract.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let wants_colour = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let printer = Printer::standard(wants_colour && !args.iter().any(|a| a == "--no-color"));
    let cli = match parse(&args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &printer).into(),
    };
    match commands::run(&cli, &printer) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            printer.failure(&failure);
            failure.exit.into()
        }
    }
}

/// The store and the prefix in it of a journal's URL, as `--journal` takes it, with these variables for the environment; or why
/// not, with what to do. For the suite of the stores: what it tries is what users get.
pub fn open_store(
    url: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(Arc<dyn ObjectStore>, object_store::path::Path), String> {
    let location = store::open_in(url, store::Access::Write, &store::environment::Environment::of(environment));
    let location = location.map_err(|failure| {
        let hints = failure.hints.iter().map(|hint| format!("\nhint: {hint}"));
        format!("{failure}{}", hints.collect::<String>())
    })?;
    Ok((location.store, location.prefix))
}

/// Under the name `kubectl-hindcast` the usage reads `kubectl hindcast`.
fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let plugin = args
        .first()
        .and_then(|name| Path::new(name).file_stem())
        .is_some_and(|name| name.to_string_lossy().starts_with("kubectl-"));
    let mut command = Cli::command().color(clap::ColorChoice::Never);
    if plugin {
        command = command.bin_name("kubectl hindcast");
    }
    Cli::from_arg_matches(&command.try_get_matches_from(args)?)
}

/// Prints what clap has to say: help is data, anything else an error.
fn usage(error: &clap::Error, printer: &Printer) -> Exit {
    let text = error.render().to_string();
    if error.use_stderr() {
        printer.message(&text);
        Exit::Failed
    } else {
        printer.data(&text);
        Exit::Done
    }
}
