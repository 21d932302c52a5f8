//! A plan as text, for somebody who has to decide at night: what will change, field by field, what will not, and why.
//!
//! **Words**: a *group* is all actions of one verb; *left alone* is what differs and is not touched, with the flag that
//! would do it; *kept* are fields that differ and stay; what controllers make is no difference.
//!
//! **Invariants.** (1) Every action is named, and every delete says what allows it. (2) What is left alone is counted
//! in full; alike ones share a line. (3) The counts stand last, where a terminal shows them.

use std::collections::BTreeMap;

use hindcast_restorer::{
    apply::Check,
    plan::Verb,
    reason::Standing,
    selection::{Selection, What},
};

use super::fields::{self, styled};
use crate::{
    context::Context,
    moment::Wall,
    names::{count, few, kind_name, some},
    printer::{Style, Text},
    view::plan::{Action, Kept, KeptIn, Left, Plan},
    words,
};

#[cfg(test)]
pub(crate) mod tests;

/// How many fields of an object are shown.
const FIELDS: usize = 16;

/// How many objects of what is left alone are named on a line.
const NAMES: usize = 4;

/// Prints a plan.
pub(crate) fn print(context: &Context<'_>, plan: &Plan) {
    for line in lines(plan, &context.wall) {
        context.printer.line(&line);
    }
}

/// A plan as lines.
pub(crate) fn lines(plan: &Plan, wall: &Wall) -> Vec<Text> {
    let mut out = Vec::new();
    out.push(styled(Style::Bold, heading(plan, wall)));
    let refused = refusals(plan);
    let groups = [
        (Verb::Update, "will change", Style::Yellow),
        (Verb::Create, "will create", Style::Green),
        (Verb::Recreate, "will delete and create again", Style::Red),
        (Verb::Delete, "will delete", Style::Red),
    ];
    for (verb, title, style) in groups {
        let actions: Vec<&Action> = plan.actions.iter().filter(|a| a.verb == verb).collect();
        if actions.is_empty() {
            continue;
        }
        out.push(Text::default());
        out.push(styled(style, format!("{title} {}", actions.len())));
        for action in actions {
            let once = action.refusal().is_some_and(|why| refused.get(&why).is_some_and(|all| all.len() > 1));
            self::action(action, plan.is_wide(), once, &mut out);
        }
    }
    kept_in(plan, &mut out);
    for (why, all) in refused.iter().filter(|(_, all)| all.len() > 1) {
        let names: Vec<String> = all.iter().take(NAMES).map(|action| action.object.text(plan.is_wide())).collect();
        out.push(Text::default());
        out.push(styled(Style::Red, format!("the server would refuse {} of these", all.len())));
        out.push(Text::plain(format!("  {}", few(&names, NAMES, all.len()))));
        out.push(Text::plain(format!("    {why}")));
    }
    left(plan, &mut out);
    if !plan.notes.is_empty() {
        out.push(Text::default());
        out.push(styled(Style::Bold, "notes"));
        out.extend(plan.notes.iter().map(|note| Text::plain(format!("  - {note}"))));
    }
    out.push(Text::default());
    out.push(styled(Style::Bold, totals(plan)));
    out
}

fn heading(plan: &Plan, wall: &Wall) -> String {
    let what = what(&plan.selection);
    match &plan.undoes {
        Some(id) => format!("plan: undo {id}: put {what} back as it was before it"),
        None => format!("plan: put {what} back to {} (rev {})", wall.show(plan.time), plan.cut.rev),
    }
}

/// What a selection names, in words.
pub(crate) fn what(selection: &Selection) -> String {
    let named = match &selection.what {
        What::Object { kind, namespace, name } if namespace.is_empty() => {
            format!("{}/{name}", kind_name(kind))
        }
        What::Object { kind, namespace, name } => format!("{}/{name} -n {namespace}", kind_name(kind)),
        What::Namespace(namespace) => format!("namespace {namespace}"),
        What::All => "the whole cluster".to_owned(),
    };
    let mut narrow = Vec::new();
    if let Some(path) = &selection.path {
        narrow.push(format!("only {}", crate::paths::spell(path)));
    }
    if !selection.only.is_empty() {
        let names = selection.only.iter().map(|(kind, name)| format!("{}/{name}", kind_name(kind)));
        narrow.push(format!("only {}", names.collect::<Vec<_>>().join(", ")));
    }
    if !selection.labels.is_empty() {
        narrow.push(format!("only {}", selection.labels));
    }
    if narrow.is_empty() { named } else { format!("{named} ({})", narrow.join("; ")) }
}

/// The actions that the server would refuse, by why.
fn refusals(plan: &Plan) -> BTreeMap<String, Vec<&Action>> {
    let mut out: BTreeMap<String, Vec<&Action>> = BTreeMap::new();
    for action in &plan.actions {
        if let Some(why) = action.refusal() {
            out.entry(why).or_default().push(action);
        }
    }
    out
}

/// `once` says that why the server would refuse it is told below, with others.
fn action(action: &Action, wide: bool, once: bool, out: &mut Vec<Text>) {
    out.push(Text::plain(format!("  {}", action.object.text(wide))));
    out.extend(fields::lines(&action.changes, 4, FIELDS));
    out.extend(action.kept.iter().map(kept));
    if let Some(evidence) = &action.evidence {
        out.push(styled(Style::Dim, format!("    {evidence}")));
    }
    let warnings = action.warnings.iter();
    out.extend(warnings.map(|warning| styled(Style::Yellow, format!("    note: {warning}"))));
    match &action.check {
        None | Some(Check::Fine) => {}
        Some(Check::Refused(_)) if once => {
            out.push(styled(Style::Red, "    the server would refuse it: see below".to_owned()));
        }
        Some(Check::Refused(why)) => {
            let why = words::message(why);
            out.push(styled(Style::Red, format!("    the server would refuse it: {why}")));
        }
        Some(Check::NotKept(of)) => {
            let of: Vec<String> = of.iter().map(|path| crate::paths::spell(path)).collect();
            let text = format!("    the server would not keep what it is sent: {}", some(&of));
            out.push(styled(Style::Red, text));
        }
        Some(said) => out.push(styled(Style::Dim, format!("    {}", words::check(said)))),
    }
}

/// `stays spec.replicas: 5 (HorizontalPodAutoscaler web sets it; it was 3)`
fn kept(kept: &Kept) -> Text {
    let side =
        |value: &Option<serde_json::Value>, none: &str| value.as_ref().map_or_else(|| none.to_owned(), fields::value);
    let live = side(&kept.field.from, "(not set)");
    let was = side(&kept.field.to, "not set");
    let owner = &kept.owner;
    let why = match kept.standing {
        Standing::Machines => format!("{owner} sets it; it was {was}"),
        Standing::Wanting => format!("left to {owner}; it was {was}"),
        _ => format!("{owner}; it was {was}"),
    };
    let flag = kept.flag.as_ref().map_or_else(String::new, |flag| format!("; {flag} puts it back"));
    let style = if kept.standing == Standing::Machines { Style::Dim } else { Style::Yellow };
    styled(style, format!("    stays {}: {live} ({why}{flag})", kept.field.shown))
}

/// What is as it was but for kept fields. Where only controllers set them, a few stand for all.
fn kept_in(plan: &Plan, out: &mut Vec<Text>) {
    if plan.kept.is_empty() {
        return;
    }
    out.push(Text::default());
    out.push(styled(Style::Bold, format!("kept in part {} (as they were but for these fields)", plan.kept.len())));
    let of_people = |of: &&KeptIn| of.fields.iter().any(|kept| kept.standing != Standing::Machines);
    let (people, machines): (Vec<&KeptIn>, Vec<&KeptIn>) = plan.kept.iter().partition(of_people);
    for of in people.iter().chain(machines.iter().take(NAMES)) {
        out.push(Text::plain(format!("  {}", of.object.text(plan.is_wide()))));
        out.extend(of.fields.iter().map(kept));
    }
    if machines.len() > NAMES {
        let more = machines.len() - NAMES;
        out.push(styled(Style::Dim, format!("  and {more} more whose fields controllers set; -o json has all")));
    }
}

/// What is left alone, and what controllers make: that is no difference.
fn left(plan: &Plan, out: &mut Vec<Text>) {
    let (made, left): (Vec<&Left>, Vec<&Left>) = plan.left.iter().partition(|left| is_made(left));
    groups(&format!("left alone {}", left.len()), &left, plan.is_wide(), out);
    groups(&format!("made by controllers {} (no difference)", made.len()), &made, plan.is_wide(), out);
}

fn is_made(left: &Left) -> bool {
    left.standing == Standing::Machines
}

/// Alike ones on a line: the verb, how many, the reason, the flag.
fn groups(title: &str, all: &[&Left], wide: bool, out: &mut Vec<Text>) {
    if all.is_empty() {
        return;
    }
    out.push(Text::default());
    out.push(styled(Style::Bold, title));
    let mut groups: BTreeMap<(&str, Verb, Option<&str>), Vec<&Left>> = BTreeMap::new();
    for left in all {
        groups.entry((&left.code, left.verb, left.flag.as_deref())).or_default().push(left);
    }
    for ((code, verb, flag), group) in groups {
        let verb = match verb {
            Verb::Create => "not created",
            Verb::Update => "not changed",
            Verb::Recreate => "not created again",
            Verb::Delete => "not deleted",
        };
        let alike = group.iter().all(|left| Some(&left.reason) == group.first().map(|first| &first.reason));
        if alike || code == "owned" {
            let names: Vec<String> = group.iter().take(NAMES).map(|left| left.object.text(wide)).collect();
            let reason = if alike { group.first().map_or("", |left| &left.reason) } else { "others own them" };
            out.push(Text::plain(format!("  {}", few(&names, NAMES, group.len()))));
            out.push(why(verb, reason, flag));
        } else {
            for left in group {
                out.push(Text::plain(format!("  {}", left.object.text(wide))));
                out.push(why(verb, &left.reason, flag));
            }
        }
    }
}

fn why(verb: &str, reason: &str, flag: Option<&str>) -> Text {
    let mut line = styled(Style::Dim, format!("    {verb}: {reason}"));
    if let Some(flag) = flag {
        line.push(Style::Plain, format!("; {flag} does it"));
    }
    line
}

/// `2 to change, 1 to create; 3 left alone, 1 kept in part, 14 as they were; about 1 s`
fn totals(plan: &Plan) -> String {
    let made = plan.left.iter().filter(|left| is_made(left)).count();
    let mut rest = format!("{} left alone", plan.left.len() - made);
    for (count, what) in [(plan.kept.len(), "kept in part"), (made, "made by controllers")] {
        if count > 0 {
            rest.push_str(&format!(", {count} {what}"));
        }
    }
    rest.push_str(&format!(", {} as they were", plan.unchanged));
    if plan.is_idle() {
        return format!("nothing to do; {rest}");
    }
    if plan.actions.is_empty() {
        return format!("webhooks to switch on, and nothing else to do; {rest}");
    }
    format!("{}; {rest}; about {} of writing", work(plan), estimate(&plan.actions))
}

/// `2 to change, 1 to create`
pub(crate) fn work(plan: &Plan) -> String {
    let parts = [
        (Verb::Update, "to change"),
        (Verb::Create, "to create"),
        (Verb::Recreate, "to delete and create again"),
        (Verb::Delete, "to delete"),
    ];
    let counts = parts.iter().filter_map(|(verb, text)| match plan.count(*verb) {
        0 => None,
        count => Some(format!("{count} {text}")),
    });
    counts.collect::<Vec<_>>().join(", ")
}

/// How long it may take: three requests an action, some two hundred requests a second, and a breath between waves.
fn estimate(actions: &[Action]) -> String {
    let mut waves: Vec<_> = actions.iter().map(|action| action.wave).collect();
    waves.dedup();
    let seconds = (actions.len() * 3).div_ceil(200) + waves.len() / 4;
    match seconds {
        0 | 1 => "a second".to_owned(),
        2..=90 => format!("{seconds} s"),
        _ => count(seconds.div_ceil(60), "minute"),
    }
}
