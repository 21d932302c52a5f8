//! `hindcast log`: what changed, when and by whom.

use std::collections::BTreeMap;

use hindcast_journal::cut::{Hole, MAIN};
use hindcast_restorer::{History, Jump, Range, Turn};

use crate::{
    args::Log,
    context::Context,
    failure::{Exit, Result},
    history::{Part, Wanted},
    kubeconfig::Namespaces,
    names, past, reader,
    render::log::{self as text, Order},
};

/// Answers `log`.
pub(super) async fn run(context: &Context<'_>, args: &Log) -> Result<Exit> {
    let mut past = past::open(context).await?;
    let part = Part::new(context, args, &mut past).await?;
    let history = past.timeline.history(&part.range, &part.scope).await?;
    part.check_protection(&mut past, &history.kinds)?;
    for (key, gap) in &history.gaps {
        if part.is_of(key) {
            past.gap(&names::kind_name(key), gap);
        }
    }
    for hole in &history.holes {
        past.damaged(hole, None);
    }
    past.reserve_later(history.events.iter().map(|event| &event.row));
    past.reserve_expired(part.range.since);
    say_range(context, &part.range, &history);
    say_jumps(context, &history.jumps);
    say_turns(context, &history.turns);
    say_holes(context, &history.holes);
    let Wanted { changes, others } = part.wanted(&past, &history.events);
    say_others(context, &others);
    text::print(context, args, &changes, Order::NewestFirst, part.question.namespaces == Namespaces::All);
    if history.truncated {
        context.printer.note("note: there are more changes than one answer holds; give a shorter range");
    }
    Ok(past.finish())
}

/// Answers `log --follow`: the same, oldest first, and on as changes become durable.
pub(super) async fn follow(context: &Context<'_>, args: &Log) -> Result<Exit> {
    crate::logging::for_reader(context.common.verbose);
    let mut past = past::open(context).await?;
    let part = Part::new(context, args, &mut past).await?;
    let interrupted = tokio::signal::ctrl_c();
    let mut interrupted = std::pin::pin!(interrupted);
    past.reserve_expired(part.range.since);
    let mut shown = 0;
    let work = async {
        let mut log = past.timeline.follow(&part.range, &part.scope).await?;
        loop {
            say_holes(context, &log.holes());
            let (events, jumps, turns) = log.take();
            say_jumps(context, &jumps);
            say_turns(context, &turns);
            let Wanted { changes, others } = part.wanted(&past, &events);
            say_others(context, &others);
            shown += changes.len();
            text::print(context, args, &changes, Order::OldestFirst, part.question.namespaces == Namespaces::All);
            log.more().await?;
        }
    };
    let done: Result<std::convert::Infallible> = tokio::select! {
        done = work => done,
        _ = &mut interrupted => {
            context.printer.note(format!("interrupted after {}", names::count(shown, "change")));
            return Ok(Exit::Interrupted);
        }
        () = reader::gone(context.printer) => return Ok(Exit::Done),
    };
    match done {
        Ok(never) => match never {},
        Err(failure) => Err(failure),
    }
}

fn say_range(context: &Context<'_>, range: &Range, history: &History) {
    let wall = &context.wall;
    let from = range.since.map_or("the beginning".to_owned(), |t| wall.show_millis(t));
    let known = history.frontier.values().map(|p| p.time).min();
    let until = match range.until {
        Some(until) => wall.show_millis(until),
        None => "now".to_owned(),
    };
    let closed = known.map_or(String::new(), |known| format!(" (closed up to {})", wall.show_millis(known)));
    context.printer.note(format!("from {from} until {until}{closed}"));
}

/// One line for each time that the server's store was put back: the changes on either side are of two lives.
fn say_jumps(context: &Context<'_>, jumps: &[Jump]) {
    for jump in jumps {
        let domain = if jump.domain == MAIN { String::new() } else { format!(" ({})", jump.domain) };
        let why = if jump.why.is_empty() { String::new() } else { format!(": {}", jump.why) };
        context.printer.note(format!(
            "{} the server's store was put back to an older copy{domain} at pos {}: revisions up to {} were of incarnation {}, \
             what follows is of {}{why}",
            context.wall.show_millis(jump.time),
            jump.pos,
            jump.last,
            jump.incarnation.saturating_sub(1),
            jump.incarnation,
        ));
    }
}

/// One line for each kind whose objects came to stand in namespaces, or in none.
fn say_turns(context: &Context<'_>, turns: &[Turn]) {
    for turn in turns {
        let (before, now) = if turn.namespaced { SCOPES } else { (SCOPES.1, SCOPES.0) };
        context.printer.note(format!(
            "{} {} were {before} until then, and are {now} from pos {} on: those before are other objects",
            context.wall.show_millis(turn.time),
            names::kind_name(&turn.kind),
            turn.pos,
        ));
    }
}

/// One line for each part of the log that cannot be read and was gone around.
fn say_holes(context: &Context<'_>, holes: &[Hole]) {
    for hole in holes {
        let since = hole.since.map_or(String::new(), |since| format!("{} ", context.wall.show_millis(since)));
        context.printer.note(format!("{since}-- {} cannot be read: {} --", hole.what(), hole.why));
    }
}

/// The scopes in words: of what stands in no namespace, and of what stands in one.
const SCOPES: (&str, &str) = ("cluster-scoped", "namespaced");

/// One line for each kind of which changes are left out, since they are of objects of the other scope.
fn say_others(context: &Context<'_>, others: &BTreeMap<(String, bool), usize>) {
    for ((kind, namespaced), count) in others {
        let changes = names::count(*count, "change");
        context.printer.note(match namespaced {
            true => format!(
                "note: {kind} were namespaced then and are cluster-scoped now: {changes} of those of then left out; -n NAMESPACE shows them"
            ),
            false => format!(
                "note: {kind} were namespaced then and are cluster-scoped now: {changes} of those of now left out; without -n they are shown"
            ),
        });
    }
}
