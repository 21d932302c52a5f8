//! `hindcast diff` as text: a heading for each object, and unified hunks of its YAML below.

use std::collections::BTreeMap;

use hindcast_journal::exact::Value;
use hindcast_restorer::diff::How;

use super::{
    unified::{self, Sign},
    yaml,
};
use crate::{
    context::Context,
    kinds,
    names::count,
    paths,
    printer::{Style, Text},
    view::{Changed, Diff},
};

/// The longest line that is shown: at a terminal, and where a program or a file has room for more.
const LINE: (usize, usize) = (240, 2000);

/// Prints what differs. `times` are the moments in words.
pub(crate) fn print(context: &Context<'_>, diff: &Diff, times: (&str, &str)) {
    for (at, object) in diff.objects.iter().enumerate() {
        if at > 0 {
            context.printer.line(&Text::plain(""));
        }
        heading(context, object);
        body(context, object, times);
    }
}

/// `deployments.apps/web -n shop: changed at 2026-11-01 14:01:30.123 by kubectl-edit (pos 4711)`
fn heading(context: &Context<'_>, object: &Changed) {
    let kind = kinds::named(&object.group, &object.resource);
    let place = match object.namespace.as_str() {
        "" => String::new(),
        namespace => format!(" -n {namespace}"),
    };
    let mut line = Text::default();
    line.push(Style::Bold, format!("{kind}/{}{place}: ", object.name));
    let style = match object.how {
        How::Added => Style::Green,
        How::Removed => Style::Red,
        How::Changed | How::Recreated => Style::Yellow,
    };
    line.push(style, object.change);
    if let Some(last) = &object.last {
        let by = if last.manager.is_empty() { String::new() } else { format!(" by {}", last.manager) };
        let time = context.wall.show_change(last.micros);
        line.push(Style::Plain, format!(" at {time}{by} (pos {})", last.pos));
    }
    context.printer.line(&line);
}

fn body(context: &Context<'_>, object: &Changed, times: (&str, &str)) {
    let lines = |side: &Option<Value>| side.as_ref().map(yaml::lines).unwrap_or_default();
    let (old, new) = (lines(&object.sides.0), lines(&object.sides.1));
    let hunks = unified::hunks(&texts(&old), &texts(&new));
    if hunks.is_empty() {
        context.printer.line(&Text::plain("  (deleted and made again, with the same content)"));
        return;
    }
    let there = |side: &Option<Value>, time: &str| {
        if side.is_some() { time.to_owned() } else { format!("{time} (not there)") }
    };
    let mut line = Text::default();
    line.push(Style::Red, format!("--- {}", there(&object.sides.0, times.0)));
    context.printer.line(&line);
    let mut line = Text::default();
    line.push(Style::Green, format!("+++ {}", there(&object.sides.1, times.1)));
    context.printer.line(&line);
    let width = if context.printer.is_piped() { LINE.1 } else { LINE.0 };
    for hunk in hunks {
        let (lines, side) = match hunk.first.0 {
            Sign::New => (&new, &object.sides.1),
            Sign::Old | Sign::Both => (&old, &object.sides.0),
        };
        let place = lines.get(hunk.first.1).zip(side.as_ref());
        let place = place.map_or(String::new(), |(line, value)| paths::spell_in(&line.pointer, value));
        let whole = object.how == How::Added || object.how == How::Removed;
        let mut line = Text::default();
        line.push(Style::Dim, if whole { hunk.heading.clone() } else { format!("{} {place}", hunk.heading) });
        context.printer.line(&line);
        for (sign, text) in hunk.within(width) {
            let mut line = Text::default();
            line.push(sign.style(), format!("{}{text}", sign.mark()));
            context.printer.line(&line);
        }
    }
}

fn texts(lines: &[yaml::Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

/// `3 objects that controllers made of others differ too (pods 2, replicasets.apps 1); --all shows them`
pub(crate) fn folded(kinds: &BTreeMap<String, usize>) -> Option<String> {
    let total: usize = kinds.values().sum();
    let list: Vec<String> = kinds.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
    let differ = if total == 1 { "differs" } else { "differ" };
    (total > 0).then(|| {
        format!(
            "{} that controllers made of others {differ} too ({}); --all shows them",
            count(total, "object"),
            list.join(", ")
        )
    })
}
