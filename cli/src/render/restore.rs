//! What became of a restore, as text: what went right in a table, what did not below it with the reason, then whether it
//! works, and at the very end how to take it back.

use std::collections::BTreeMap;

use hindcast_restorer::{
    apply::{Became, Verified},
    plan::Verb,
    reason::Standing,
};

use super::{
    fields::{self, styled},
    table,
};
use crate::{
    context::Context,
    ending::is_idle,
    names::{count, few},
    printer::{Style, Text},
    view::restore::{Done, Restore, Rollout},
};

#[cfg(test)]
mod tests;

/// How many fields of an object are shown.
const FIELDS: usize = 8;

/// How many of a sort are named one by one.
const NAMED: usize = 40;

/// How many are named on one line.
const FEW: usize = 4;

/// Prints what became of a restore.
pub(crate) fn print(context: &Context<'_>, restore: &Restore, wide: bool) {
    for line in lines(restore, wide, context.common.verbose > 0) {
        context.printer.line(&line);
    }
}

/// What became of a restore, as lines. `wide` says that several namespaces are meant.
pub(crate) fn lines(restore: &Restore, wide: bool, all: bool) -> Vec<Text> {
    let mut out = Vec::new();
    let (right, wrong): (Vec<&Done>, Vec<&Done>) = restore.actions.iter().partition(|done| done.is_right());
    rights(&right, wide, all, &mut out);
    skipped(&wrong, wide, &mut out);
    for result in [Became::Done, Became::Failed, Became::Refused, Became::Conflict] {
        let like: Vec<&Done> = wrong.iter().copied().filter(|done| done.result == result).collect();
        let like = alike(like, wide, &mut out);
        let shown = if all { like.len() } else { NAMED };
        like.iter().take(shown).for_each(|done| self::wrong(done, wide, &mut out));
        if like.len() > shown {
            out.push(Text::default());
            let text = format!("and {} more like these; -v names all", like.len() - shown);
            out.push(styled(Style::Dim, text));
        }
    }
    rollouts(&restore.rollouts, wide, &mut out);
    // What the plan noted was read before the question.
    let notes: Vec<_> = restore.notes.iter().filter(|note| !restore.shown.contains(note)).collect();
    if !notes.is_empty() {
        out.push(Text::default());
        out.push(styled(Style::Bold, "notes"));
        out.extend(notes.iter().map(|note| Text::plain(format!("  - {note}"))));
    }
    out.push(Text::default());
    out.push(styled(Style::Bold, totals(restore)));
    if !restore.undo.is_empty() && !is_idle(restore) {
        out.push(Text::plain(format!("undo: {}", restore.undo)));
    }
    // A gap stands before each part; the first needs none.
    let gap = out.first().is_some_and(Text::is_empty);
    out.drain(..usize::from(gap));
    out
}

/// `changed   deployments.apps/web   equal`
fn rights(right: &[&Done], wide: bool, all: bool, out: &mut Vec<Text>) {
    if right.is_empty() {
        return;
    }
    let shown = if all { right.len() } else { NAMED };
    let rows = right
        .iter()
        .take(shown)
        .map(|done| vec![past_tense(done).to_owned(), done.object.text(wide), verified(done), note(done)]);
    let noted = right.iter().any(|done| done.message.is_some());
    let headings = ["DONE", "OBJECT", "VERIFIED", if noted { "NOTE" } else { "" }];
    let mut laid = table::lines(&headings, rows.collect()).into_iter();
    out.extend(laid.next().map(|heading| styled(Style::Dim, heading)));
    out.extend(laid.map(Text::plain));
    if right.len() > shown {
        let text = format!("and {} more, as they should be; -v names all", right.len() - shown);
        out.push(styled(Style::Dim, text));
    }
}

/// What ended for the same reason is told once; the rest is returned.
fn alike<'d>(wrong: Vec<&'d Done>, wide: bool, out: &mut Vec<Text>) -> Vec<&'d Done> {
    let reason = |done: &Done| done.message.clone().filter(|_| done.differences.is_empty() && done.verified.is_none());
    let mut reasons: BTreeMap<String, Vec<&Done>> = BTreeMap::new();
    for done in &wrong {
        if let Some(reason) = reason(done) {
            reasons.entry(reason).or_default().push(done);
        }
    }
    reasons.retain(|_, like| like.len() > 1);
    for (reason, like) in &reasons {
        let named = |done: &&Done| format!("{} {}", infinitive(done.verb), done.object.text(wide));
        let names: Vec<String> = like.iter().map(named).collect();
        let (word, style) = word(like[0]);
        together(word, style, &names, reason, out);
    }
    // The others in the order of the plan.
    wrong.into_iter().filter(|done| reason(done).is_none_or(|reason| !reasons.contains_key(&reason))).collect()
}

/// `refused 24: create ConfigMap/a, create ConfigMap/b and 22 more`, and why.
fn together(word: &str, style: Style, names: &[String], reason: &str, out: &mut Vec<Text>) {
    out.push(Text::default());
    let mut line = styled(style, format!("{word} {}: ", names.len()));
    line.push(Style::Plain, few(names, FEW, names.len()));
    out.push(line);
    out.push(Text::plain(format!("  {reason}")));
}

/// What was not begun, by the reason: after an interruption that is most of a plan.
fn skipped(wrong: &[&Done], wide: bool, out: &mut Vec<Text>) {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for done in wrong.iter().filter(|done| done.result == Became::Skipped) {
        let names = reasons.entry(done.message.as_deref().unwrap_or("not begun")).or_default();
        names.push(format!("{} {}", infinitive(done.verb), done.object.text(wide)));
    }
    for (reason, names) in reasons {
        together("not done", Style::Yellow, &names, reason, out);
    }
}

fn past_tense(done: &Done) -> &'static str {
    match (done.result, done.verb) {
        (Became::Already, _) => "already so",
        (_, Verb::Create) => "created",
        (_, Verb::Update) => "changed",
        (_, Verb::Recreate) => "created again",
        (_, Verb::Delete) => "deleted",
    }
}

fn verified(done: &Done) -> String {
    match done.verified {
        None => String::new(),
        Some(Verified::Equal) => "equal".to_owned(),
        Some(Verified::EqualButForControllerOwned) => {
            let fields: Vec<&str> = done.differences.iter().map(|field| field.shown.as_str()).collect();
            match fields.as_slice() {
                [] => "equal but for controller-owned".to_owned(),
                [one] => format!("equal but for {one}, which a controller owns"),
                [one, rest @ ..] => {
                    format!("equal but for {one} and {} more, which controllers own", rest.len())
                }
            }
        }
        Some(Verified::EqualButForKept) => {
            let fields: Vec<&str> = done.differences.iter().map(|field| field.shown.as_str()).collect();
            match fields.as_slice() {
                [one] => format!("equal but for {one}, which is left"),
                fields => format!("equal but for {} fields, which are left", fields.len()),
            }
        }
        Some(Verified::ChangedByAdmission) => "changed by admission".to_owned(),
        Some(Verified::Different) => "different".to_owned(),
    }
}

fn note(done: &Done) -> String {
    done.message.clone().unwrap_or_default()
}

/// An object that is not as it was asked for, with the reason and the fields.
fn wrong(done: &Done, wide: bool, out: &mut Vec<Text>) {
    let (word, style) = word(done);
    out.push(Text::default());
    let mut line = styled(style, format!("{word}: "));
    line.push(Style::Plain, format!("{} {}", infinitive(done.verb), done.object.text(wide)));
    out.push(line);
    if let Some(message) = &done.message {
        out.push(Text::plain(format!("  {message}")));
    }
    match (done.result, done.verified) {
        (Became::Conflict, _) if !done.differences.is_empty() => {
            out.push(styled(Style::Dim, "  it stands as somebody else left it:"));
        }
        (Became::Done, Some(Verified::ChangedByAdmission)) => {
            out.push(styled(Style::Dim, "  the server did not keep what was sent:"));
        }
        (Became::Done, _) => out.push(styled(Style::Dim, "  as it was to be, and as it is:")),
        _ => {}
    }
    out.extend(fields::lines(&done.differences, 4, FIELDS));
}

fn word(done: &Done) -> (&'static str, Style) {
    match (done.result, done.verified) {
        (Became::Conflict, _) => ("conflict", Style::Red),
        (Became::Refused, _) => ("refused", Style::Red),
        (Became::Failed, _) => ("failed", Style::Red),
        (Became::Skipped, _) => ("not done", Style::Yellow),
        (_, Some(Verified::ChangedByAdmission)) => ("changed by admission", Style::Yellow),
        _ => ("different", Style::Red),
    }
}

fn infinitive(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Update => "change",
        Verb::Recreate => "delete and create again",
        Verb::Delete => "delete",
    }
}

fn rollouts(rollouts: &[Rollout], wide: bool, out: &mut Vec<Text>) {
    if rollouts.is_empty() {
        return;
    }
    out.push(Text::default());
    let ready = rollouts.iter().filter(|rollout| rollout.ready).count();
    out.push(styled(Style::Bold, format!("rollouts: {ready} of {} ready", rollouts.len())));
    for rollout in rollouts.iter().filter(|rollout| !rollout.ready) {
        let place = if wide { format!(" -n {}", rollout.namespace) } else { String::new() };
        let mut line = styled(Style::Red, "  not ready: ");
        line.push(Style::Plain, format!("{} {}{place}", rollout.kind, rollout.name));
        if !rollout.message.is_empty() {
            line.push(Style::Plain, format!(": {}", rollout.message));
        }
        out.push(line);
        for pod in &rollout.pods {
            out.push(Text::plain(format!("    pod {}: {}", pod.name, pod.reason)));
        }
    }
}

/// `2 done, 1 conflict`
pub(crate) fn totals(restore: &Restore) -> String {
    let summary = &restore.summary;
    let left = restore.left.iter().filter(|left| left.standing != Standing::Machines).count();
    let parts = [
        (summary.done, "done", "done"),
        (summary.already, "already so", "already so"),
        (summary.conflicts, "conflict", "conflicts"),
        (summary.refused, "refused", "refused"),
        (summary.failed, "failed", "failed"),
        (summary.skipped, "not done", "not done"),
        (left, "left alone", "left alone"),
        (restore.kept.len(), "kept in part", "kept in part"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }))
        .collect();
    let waiting = restore.rollouts.iter().filter(|rollout| !rollout.ready).count();
    let whole = match restore.actions.iter().all(Done::is_right) {
        true if restore.whole => "restored".to_owned(),
        true if waiting > 0 => format!("restored, but {} not ready", count(waiting, "rollout")),
        _ if is_idle(restore) => "nothing was restored".to_owned(),
        _ => "restored in part".to_owned(),
    };
    if parts.is_empty() { "nothing to do".to_owned() } else { format!("{whole}: {}", parts.join(", ")) }
}
