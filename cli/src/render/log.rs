//! `hindcast log` as text: a line a change, and a line an object for what nobody meant.
//!
//! **Words**: a change is *quiet* when only the status changed or a controller made it; quiet changes of an object are
//! folded into one line unless `--all` asks for each.
//!
//! **Invariants.** (1) The printed time, given as T, includes the change. (2) `--limit` counts what is shown, and
//! hitting it is said. (3) What came, what went and what was marked for deletion has a line of its own, and no line is of
//! an object and its namesake [`fold`].

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::exact::Value;

use super::{author, excerpt, fields, table};
use crate::paths::spell;
use crate::{
    args::{Log, Output},
    context::Context,
    kinds,
    names::count,
    printer::{Style, Text},
    view::Change,
};

#[cfg(test)]
mod tests;

/// The longest value that a line shows: at a terminal, and where a program or a file has room for more.
const VALUE: (usize, usize) = (40, 1000);

/// The order of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// As `log` answers.
    NewestFirst,
    /// As `--follow` goes on.
    OldestFirst,
}

/// A line: one change, or several quiet ones of an object.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// The newest of them.
    pub(super) change: &'a Change,
    /// The oldest of them.
    pub(super) first: &'a Change,
    /// How many there are.
    pub(super) count: usize,
}

/// The lines of changes that come oldest first, in the same order; a folded line stands where its newest change does.
pub(super) fn fold(changes: &[Change], all: bool) -> Vec<Line<'_>> {
    let single = |change| Line { change, first: change, count: 1 };
    if all {
        return changes.iter().map(single).collect();
    }
    let mut lines: Vec<Line<'_>> = Vec::new();
    // Per object, namesakes apart, where its quiet changes are being counted.
    let mut quiet: BTreeMap<String, Line<'_>> = BTreeMap::new();
    let mut shown: BTreeSet<u64> = BTreeSet::new();
    for change in changes {
        // What completes a change that is shown is a part of it.
        if change.completes.is_some_and(|pos| shown.contains(&pos)) {
            continue;
        }
        if change.may_be_folded() {
            let object = &change.object;
            let key = [object.group.as_str(), &object.resource, &object.namespace, &object.name, &object.uid].join("/");
            quiet
                .entry(key)
                .and_modify(|line| {
                    line.change = change;
                    line.count += 1;
                })
                .or_insert(single(change));
        } else {
            shown.insert(change.pos);
            lines.push(single(change));
        }
    }
    lines.extend(quiet.into_values());
    lines.sort_by_key(|line| line.change.pos);
    lines
}

/// Prints changes that come oldest first.
pub(crate) fn print(context: &Context<'_>, args: &Log, changes: &[Change], order: Order, several: bool) {
    let lines = fold(changes, args.all || context.common.output != Output::Text);
    let total = lines.len();
    let limit = args.limit as usize;
    let mut shown: Vec<Line<'_>> = match order {
        Order::NewestFirst => lines.into_iter().rev().take(limit).collect(),
        Order::OldestFirst => lines,
    };
    match context.common.output {
        Output::Json => {
            for line in &shown {
                let text = serde_json::to_string(line.change).unwrap_or_default();
                context.printer.data(&(text + "\n"));
            }
        }
        Output::Yaml => {
            for line in &shown {
                let value = serde_json::to_value(line.change).unwrap_or_default();
                context.printer.data("---\n");
                context.printer.data(&super::yaml::document(&Value::from_serde(&value)));
            }
        }
        _ => text(context, args, &mut shown, order, several),
    }
    if order == Order::NewestFirst && total > limit {
        context.printer.note(format!(
            "note: the newest {limit} of {total}; --limit shows more, --since and --until choose a range"
        ));
    }
}

fn text(context: &Context<'_>, args: &Log, lines: &mut [Line<'_>], order: Order, several: bool) {
    if lines.is_empty() {
        if order == Order::NewestFirst {
            context.printer.note("no changes in that time");
        }
        return;
    }
    let rows: Vec<Vec<String>> = lines.iter().map(|line| row(context, line, several)).collect();
    let heading = format!("TIME ({})", context.wall.zone_name());
    let laid = table::lines(&[heading.as_str(), "POS", "REV", "OP", "OBJECT", "BY", "WHAT"], rows);
    let mut laid = laid.into_iter();
    if let Some(headings) = laid.next().filter(|_| order == Order::NewestFirst) {
        let mut heading = Text::default();
        heading.push(Style::Dim, headings);
        context.printer.line(&heading);
    }
    // One object's history is read to act on it: each change is shown whole, with the T just before it.
    let selected = args.name.is_some() || args.kind.as_deref().is_some_and(|kind| kind.contains('/'));
    for (line, laid) in lines.iter().zip(laid) {
        let style = match line.change.op.as_str() {
            _ if line.count > 1 || line.change.is_quiet() => Style::Dim,
            "add" => Style::Green,
            "delete" | "unreadable" => Style::Red,
            _ => Style::Plain,
        };
        let mut out = Text::default();
        out.push(style, laid);
        context.printer.line(&out);
        if selected && line.count == 1 {
            details(context, line.change);
        }
    }
}

fn row(context: &Context<'_>, line: &Line<'_>, several: bool) -> Vec<String> {
    let change = line.change;
    let object = &change.object;
    let kind = kinds::named(&object.group, &object.resource);
    let place = if several && !object.namespace.is_empty() {
        format!("{} -n {}", object.name, object.namespace)
    } else {
        object.name.clone()
    };
    let by = match (change.manager.as_str(), change.subresource.as_str()) {
        // The same version, read again: nobody wrote.
        ("", _) if change.op == "reread" => String::new(),
        (manager, subresource) => author(manager, subresource),
    };
    let what = if line.count > 1 {
        format!(
            "{} of status or by controllers since {} (pos {}); --all shows them",
            count(line.count, "change"),
            context.wall.show_change(line.first.micros),
            line.first.pos
        )
    } else {
        summary(change, if context.printer.is_piped() { VALUE.1 } else { VALUE.0 })
    };
    let op = match change.source.as_str() {
        "healed" => format!("{}*", change.op),
        "healed-later" => format!("{}!", change.op),
        _ => change.op.clone(),
    };
    vec![
        context.wall.show_change(change.micros),
        change.pos.to_string(),
        change.rev.to_string(),
        op,
        format!("{kind}/{place}"),
        by,
        what,
    ]
}

/// The changed fields, the first of them with their new values, none longer than `width`.
fn summary(change: &Change, width: usize) -> String {
    const SHOWN: usize = 3;
    if let Some(pos) = change.completes {
        return format!("gives the fields back to their owners: part of pos {pos}");
    }
    let told: Vec<_> = change.told().collect();
    if change.patch.is_some() && told.is_empty() {
        return "only who owns its fields".to_owned();
    }
    // The generation says only that something else changed.
    let told = told.into_iter().filter(|(_, place, _)| *place != "/metadata/generation");
    let fields = told.filter_map(|(operation, place, stood)| field(operation, (place, stood), width));
    let mut parts: Vec<String> =
        change.is_deletion_mark.then(|| "marked for deletion".to_owned()).into_iter().collect();
    parts.extend(fields);
    let more = parts.len().saturating_sub(SHOWN);
    parts.truncate(SHOWN);
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    parts.join("; ")
}

/// `spec.replicas: 3`, `-metadata.labels.app`; no value is longer than `width`. Of a longer text the part is shown in which it
/// is another than what stood there.
fn field(operation: &Value, (place, stood): (&str, Option<&Value>), width: usize) -> Option<String> {
    let path = spell(place);
    match operation.get("op")?.as_str()? {
        "remove" => Some(format!("-{path}")),
        "test" => None,
        "move" | "copy" => Some(format!("{path} (from {})", spell(operation.get("from")?.as_str()?))),
        op => {
            let sign = if op == "add" { "+" } else { "" };
            let value = operation.get("value").map(fields::bare).unwrap_or_default();
            let shown = match stood {
                Some(stood) => excerpt::around(&fields::bare(stood), &value, width).1,
                None => excerpt::shorten(&value, width),
            };
            Some(format!("{sign}{path}: {shown}"))
        }
    }
}

/// The whole change under its line.
fn details(context: &Context<'_>, change: &Change) {
    let dim = |text: String| {
        let mut line = Text::default();
        line.push(Style::Dim, format!("    {text}"));
        context.printer.line(&line);
    };
    if change.operations.len() > 1 {
        for (operation, place, stood) in change.told() {
            if let Some(text) = field(operation, (place, stood), 160) {
                dim(text);
            }
        }
    }
    dim(format!("just before: --at {}", change.before));
}
