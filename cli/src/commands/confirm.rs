//! The question before a restore: which cluster, what, how much; and a word to type where something is deleted.
//!
//! **Invariants.** (1) Without a terminal there is no question and no restore. (2) A delete is not confirmed by a `y`.

use hindcast_restorer::plan::Verb;

use crate::{
    context::Context,
    failure::{Failure, Result},
    render, rollback,
    view::Plan,
};

#[cfg(test)]
mod tests;

/// Where it is to be done.
pub(super) struct Place<'a> {
    /// The context of the kubeconfig.
    pub(super) context: &'a str,
    /// The API server.
    pub(super) server: &'a str,
}

/// Asks whether a plan is to be carried out; an error says that it is not.
pub(super) async fn ask(context: &Context<'_>, plan: &Plan, place: &Place<'_>) -> Result<()> {
    let printer = context.printer;
    if !printer.can_ask() {
        return Err(Failure::new("nothing was done", "there is no terminal to confirm on")
            .hint("--yes does what the plan shows without asking"));
    }
    let time = match &plan.undoes {
        Some(id) => format!("as it was before {id}"),
        None => context.wall.show(plan.time),
    };
    printer.note("");
    printer.note(format!("{}, in {}", render::plan::work(plan), render::plan::what(&plan.selection)));
    printer.note(format!("  cluster  {} at {}", place.context, place.server));
    printer.note(format!("  back to  {time}"));
    let refused = plan.actions.iter().filter(|a| a.is_refused()).count();
    if refused == plan.actions.len() {
        printer.warning("the server would refuse all of it");
    } else if refused > 0 {
        printer
            .warning(format!("the server would refuse {refused} of these actions; the others are done all the same"));
    }
    let deletes = plan.count(Verb::Delete) + plan.count(Verb::Recreate) > 0;
    let word = if deletes { rollback::word(&plan.selection) } else { "y" };
    let question = if deletes { format!("this deletes; type `{word}` to go on: ") } else { "go on? [y/N] ".to_owned() };
    let answer = printer.ask(&question).await;
    let answer = answer.as_deref().unwrap_or_default().trim();
    let agreed = answer == word || (!deletes && ["y", "Y", "yes"].contains(&answer));
    if agreed { Ok(()) } else { Err(Failure::new("declined", "nothing was done")) }
}

/// Asks for a word where something goes for good; an error says that nothing is to be done.
pub(super) async fn word(context: &Context<'_>, what: &str, word: &str) -> Result<()> {
    if !context.printer.can_ask() {
        return Err(Failure::new("nothing was done", "there is no terminal to confirm on")
            .hint("--plan shows what would be done; --yes does it without asking"));
    }
    let answer = context.printer.ask(&format!("{what}, for good; type `{word}` to go on: ")).await;
    match answer.as_deref().unwrap_or_default().trim() == word {
        true => Ok(()),
        false => Err(Failure::new("declined", "nothing was done")),
    }
}
