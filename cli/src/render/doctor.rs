//! What damage of the journal means, for people.

use hindcast_journal::doctor::{Ailment, Diagnosis, Harm};

use crate::{
    context::Context,
    names::count,
    printer::{Style, Text},
    view,
};

/// Prints a diagnosis: what no file has of the log, and file by file what is wrong, the worst first.
pub(crate) fn print(context: &Context<'_>, found: &Diagnosis, view: &view::Diagnosis) {
    let say = |text: String| context.printer.line(&Text::plain(text));
    let looked_at = count(view.objects as usize, "file");
    say(format!("cluster {}: {looked_at}, the log up to position {}", view.cluster, view.last_position));
    if found.ailments.is_empty() {
        say("nothing is missing, late, foreign or altered, as far as that can be known".to_owned());
        return;
    }
    say(match found.harm() {
        Harm::Nothing => "no answer is other than it would be".to_owned(),
        Harm::Proof => "no answer is other than it would be; less of it is proven".to_owned(),
        Harm::Refused => "nothing of the past is lost; some of it is refused until a file is put right".to_owned(),
        Harm::Doubt => "some of the past cannot be trusted".to_owned(),
        Harm::Lost => "something is lost unless it is put back".to_owned(),
    });
    for hole in &found.holes {
        let since = hole.since.map_or("the beginning".to_owned(), |since| context.wall.show_millis(since));
        let until = hole.until.map_or("no end yet".to_owned(), |(until, _)| context.wall.show_millis(until));
        let mut line = Text::default();
        line.push(Style::Red, "hole").push(Style::Bold, format!("  {}", hole.what()));
        context.printer.line(&line);
        say(format!("  nothing is provable from {since} to {until}"));
    }
    for ailment in &found.ailments {
        print_one(context, ailment);
    }
}

fn print_one(context: &Context<'_>, ailment: &Ailment) {
    let say = |text: String| context.printer.line(&Text::plain(text));
    let finding = &ailment.finding;
    context.printer.line(&Text::default());
    let mut line = Text::default();
    let style = if ailment.harm > Harm::Proof { Style::Red } else { Style::Dim };
    line.push(style, finding.verdict.as_str()).push(Style::Bold, format!("  {}", finding.file));
    context.printer.line(&line);
    say(format!("  what: {}", ailment.what));
    say(format!("  why: {}", finding.reason));
    let covers = &ailment.covers;
    let mut parts = Vec::new();
    let spans = [("segment", covers.segments), ("position", covers.positions), ("revision", covers.revisions)];
    for (word, span) in spans {
        parts.extend(span.map(|(from, to)| match from == to {
            true => format!("{word} {from}"),
            false => format!("{word}s {from} to {to}"),
        }));
    }
    let wall = &context.wall;
    parts.extend(covers.times.map(|(from, to)| match from == to {
        true => wall.show_millis(from),
        false => format!("{} to {}", wall.show_millis(from), wall.show_millis(to)),
    }));
    if !parts.is_empty() {
        say(format!("  covers: {}", parts.join(", ")));
    }
    if !ailment.lost.is_empty() {
        let word = if ailment.harm == Harm::Lost { "lost" } else { "not now" };
        say(format!("  {word}: {}", ailment.lost));
    }
    say(format!("  stands: {}", ailment.stands));
    for remedy in &ailment.remedies {
        say(format!("  remedy: {remedy}"));
    }
}
