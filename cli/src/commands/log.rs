//! `hindcast log`: what changed, when and by whom.

use std::collections::BTreeMap;

use hindcast_journal::{At, Micros, Position, Scope, cut::MAIN, facts::Discovery, fold::KindState};
use hindcast_restorer::{Event, History, Jump, Range};

use super::{Context, get};
use crate::{
    args::Log,
    failure::{Exit, Failure, Result},
    kinds::{self, Asked},
    kubeconfig::Namespaces,
    moment::{self, T},
    past::{self, Reading},
    render::log::{self as text, Order},
    selector::Selector,
    view::Change,
};

/// `--since` of who asks for nothing.
const RECENT: Micros = 3_600_000_000;

/// `--around`, to either side.
const AROUND: Micros = 300_000_000;

/// What was asked, resolved.
struct Question {
    range: Range,
    scope: Scope,
    asked: Option<Asked>,
    namespaces: Namespaces,
    selector: Selector,
    positions: (Position, Position),
}

/// Answers `log`.
pub(super) async fn run(context: &Context<'_>, args: &Log) -> Result<Exit> {
    let mut past = past::open(context).await?;
    let question = resolve(context, args, &mut past).await?;
    let history = past.timeline.history(&question.range, &question.scope).await?;
    check_protection(&mut past, &question, &history.kinds)?;
    for (key, gap) in &history.gaps {
        let mine = question.asked.as_ref().is_none_or(|a| a.kinds.iter().any(|k| k.kind_key() == *key));
        if mine {
            past.gap(&past::kind_name(key), gap);
        }
    }
    past.reserve_later(history.events.iter().map(|event| &event.row));
    say_range(context, &question, &history);
    say_jumps(context, &history.jumps);
    let changes = wanted(&past, &question, &history.events);
    text::print(context, args, &changes, Order::NewestFirst, question.namespaces == Namespaces::All);
    if history.truncated {
        context.printer.note("note: there are more changes than one answer holds; give a shorter range");
    }
    Ok(past.finish())
}

/// Answers `log --follow`: the same, oldest first, and on as changes become durable.
pub(super) async fn follow(context: &Context<'_>, args: &Log) -> Result<Exit> {
    crate::logging::for_reader(context.common.verbose);
    let mut past = past::open(context).await?;
    let question = resolve(context, args, &mut past).await?;
    let interrupted = tokio::signal::ctrl_c();
    let mut interrupted = std::pin::pin!(interrupted);
    let mut shown = 0;
    let work = async {
        let mut log = past.timeline.follow(&question.range, &question.scope).await?;
        loop {
            let (events, jumps) = log.take();
            say_jumps(context, &jumps);
            let changes = wanted(&past, &question, &events);
            shown += changes.len();
            text::print(context, args, &changes, Order::OldestFirst, question.namespaces == Namespaces::All);
            log.more().await?;
        }
    };
    let done: Result<std::convert::Infallible> = tokio::select! {
        done = work => done,
        _ = &mut interrupted => {
            context.printer.note(format!("interrupted after {}", past::count(shown, "change")));
            return Ok(Exit::Interrupted);
        }
    };
    match done {
        Ok(never) => match never {},
        Err(failure) => Err(failure),
    }
}

async fn resolve(context: &Context<'_>, args: &Log, past: &mut Reading<'_>) -> Result<Question> {
    let wall = &context.wall;
    let selector = Selector::parse(args.selector.as_deref().unwrap_or_default())?;
    let known: Vec<Discovery> =
        past.kinds_ever().await?.into_values().map(|k| k.discovery).filter(|k| !k.resource.is_empty()).collect();
    let asked = match &args.kind {
        Some(kind) => Some(kinds::parse(kind, args.name.as_deref(), &known)?),
        None => None,
    };
    let name = asked.as_ref().and_then(|asked| asked.name.clone());
    if name.is_some() && args.place.all_namespaces {
        return Err(Failure::new("KIND/NAME -A", "a name is of one namespace").hint("give it with -n"));
    }
    let namespaces = match &asked {
        Some(asked) => get::places(context, &asked.kinds, &args.place),
        None => crate::kubeconfig::namespace(context, &args.place),
    };
    let mut scope = match &asked {
        Some(asked) => get::scope(asked, &namespaces),
        None => Scope::default(),
    };
    if let (None, Namespaces::One(namespace)) = (&asked, &namespaces) {
        scope.namespace = Some(namespace.clone());
    }
    let mut question = Question {
        range: Range { labels: args.selector.is_some(), ..Range::default() },
        scope,
        asked,
        namespaces,
        selector,
        positions: (0, Position::MAX),
    };
    let now = wall.now.as_microsecond();
    if let Some(around) = &args.around {
        let middle = time_of(past, &moment::parse(around, wall)?).await?;
        question.range.since = Some(middle - AROUND);
        question.range.until = Some(middle + AROUND);
    } else if let Some(since) = &args.since {
        let t = moment::parse(since, wall)?;
        if let T::Pos(pos) = t {
            question.positions.0 = pos;
        }
        question.range.since = Some(time_of(past, &t).await?);
    } else if name.is_none() {
        question.range.since = Some(now - RECENT);
    }
    if let Some(until) = &args.until {
        let t = moment::parse(until, wall)?;
        if let T::Pos(pos) = t {
            question.positions.1 = pos;
        }
        question.range.until = Some(time_of(past, &t).await?);
    }
    Ok(question)
}

/// The time of a moment, whichever way it was given.
async fn time_of(past: &mut Reading<'_>, t: &T) -> Result<Micros> {
    let at = match t {
        T::Time(time) => return Ok(*time),
        T::Before(t) => return Ok(Box::pin(time_of(past, t)).await? - 1),
        T::Now => At::NowOpen,
        T::Rev(rv, incarnation) => At::Rev { rv: *rv, incarnation: *incarnation, domain: None },
        T::Pos(pos) => At::Pos(*pos),
    };
    Ok(past.timeline.at(&at).await?.moment().time)
}

/// A kind that was protected at no time of the range has no changes to show, which is not the same as none.
fn check_protection(past: &mut Reading<'_>, question: &Question, states: &BTreeMap<String, KindState>) -> Result<()> {
    let Some(asked) = &question.asked else { return Ok(()) };
    let since = question.range.since.unwrap_or(Micros::MIN);
    let until = question.range.until.unwrap_or(Micros::MAX);
    let mut missing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for kind in &asked.kinds {
        let state = states.get(&kind.kind_key());
        let covered = state.is_some_and(|state| {
            state.covers.iter().any(|c| c.from_time <= until && c.end.as_ref().is_none_or(|(_, end, _)| *end >= since))
        });
        if !covered {
            let end = state.and_then(|s| {
                let before = s.covers.iter().rev().find(|c| c.from_time <= until);
                before.and_then(|c| c.end.as_ref()).map(|(.., end)| end).or(s.uncovered.as_ref())
            });
            let why = end.map_or("not yet in that time", |end| end.reason.as_str());
            missing.entry(why).or_default().push(kinds::label(kind));
        }
    }
    let unprotected = missing.values().map(Vec::len).sum::<usize>();
    let lines = missing.into_iter().map(|(why, kinds)| (kinds.join(", "), format!("not protected then: {why}")));
    if unprotected == asked.kinds.len() {
        let (what, reason) = lines.into_iter().next().unwrap_or_default();
        return Err(Failure::new(what, reason)
            .hint("this does not say that nothing changed; `hindcast status` shows what is protected"));
    }
    for (kinds, reason) in lines.collect::<Vec<_>>() {
        past.reserve("not-protected", format!("{kinds}: {reason}"));
    }
    Ok(())
}

fn say_range(context: &Context<'_>, question: &Question, history: &History) {
    let wall = &context.wall;
    let from = question.range.since.map_or("the beginning".to_owned(), |t| wall.show_millis(t));
    let known = history.frontier.values().map(|p| p.time).min();
    let until = match question.range.until {
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

/// The changes that were asked for, as views, oldest first.
fn wanted(past: &Reading<'_>, question: &Question, events: &[Event]) -> Vec<Change> {
    let hide = past.hide();
    let placed = |event: &&Event| match &question.namespaces {
        Namespaces::One(namespace) => event.row.namespace == *namespace || event.row.namespace.is_empty(),
        Namespaces::All => true,
    };
    let labelled = |event: &&Event| {
        if !question.range.labels {
            return true;
        }
        let on = |labels: &Option<hindcast_journal::exact::Value>| {
            labels.as_ref().is_some_and(|labels| question.selector.matches(|k| labels.get(k)?.as_str()))
        };
        on(&event.labels_before) || on(&event.labels_after)
    };
    let (first, last) = question.positions;
    events
        .iter()
        .filter(|event| (first..=last).contains(&event.row.pos))
        .filter(placed)
        .filter(labelled)
        .map(|event| Change::new(&event.row, hide))
        .collect()
}
