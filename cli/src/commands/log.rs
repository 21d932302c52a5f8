//! `hindcast log`: what changed, when and by whom.

use hindcast_journal::cut::MAIN;
use hindcast_restorer::{History, Jump, Range};

use crate::{
    args::Log,
    context::Context,
    failure::{Exit, Result},
    history::Part,
    kubeconfig::Namespaces,
    names, past,
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
    past.reserve_later(history.events.iter().map(|event| &event.row));
    say_range(context, &part.range, &history);
    say_jumps(context, &history.jumps);
    let changes = part.wanted(&past, &history.events);
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
    let mut shown = 0;
    let work = async {
        let mut log = past.timeline.follow(&part.range, &part.scope).await?;
        loop {
            let (events, jumps) = log.take();
            say_jumps(context, &jumps);
            let changes = part.wanted(&past, &events);
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
