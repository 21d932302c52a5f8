//! `hindcast status` as text: the answer to "am I protected?" first, the details below.

use hindcast_journal::{facts, parts::Micros};

use super::table;
use crate::{
    columns::span,
    context::Context,
    names,
    printer::{Style, Text},
    view::{Cluster, DeadApi, Fanout, Process, Sealed, Status},
};

#[cfg(test)]
mod tests;

/// Prints a status.
pub(crate) fn print(context: &Context<'_>, status: &Status) {
    if let Some(Process { address, role, said, .. }) = &status.process {
        let mut line = Text::default();
        line.push(Style::Bold, format!("{role:<14}")).push(Style::Plain, format!("{address} {said}"));
        context.printer.line(&line);
    }
    for (at, cluster) in status.clusters.iter().enumerate() {
        if at > 0 {
            context.printer.line(&Text::plain(""));
        }
        heading(context, status, cluster);
        dead(context, cluster);
        fanouts(context, cluster);
        kinds(context, cluster);
        gaps(context, cluster);
    }
    for warning in &status.warnings {
        context.printer.warning(&warning.message);
    }
}

fn heading(context: &Context<'_>, status: &Status, cluster: &Cluster) {
    let wall = &context.wall;
    let when = |time: &str| {
        time.parse::<jiff::Timestamp>().map_or_else(|_| time.to_owned(), |t| wall.show_millis(t.as_microsecond()))
    };
    let ago = |time: &str| {
        let time = time.parse::<jiff::Timestamp>();
        time.map_or_else(|_| String::new(), |time| since(cluster.now - time.as_microsecond()))
    };
    let name = cluster.alias.as_ref().map_or(String::new(), |alias| format!("{alias} "));
    let domains: Vec<String> = cluster.frontier.iter().map(|(domain, p)| format!("{domain} rev {}", p.rev)).collect();
    let closed = match &cluster.cut.time {
        Some(time) => format!("{} ({}; {})", when(time), domains.join(", "), ago(time)),
        None => "nothing yet".to_owned(),
    };
    let mut window = window((&cluster.recoverable_from, &cluster.recoverable_to, &cluster.protected_since), when);
    if let (Some(whole), Some(kept)) = (&cluster.whole_from, cluster.kept_cuts) {
        let cuts = names::count(kept as usize, "cut");
        window.push_str(&format!("; every moment from {} on, {cuts} before that", when(whole)));
    }
    let mut secrets = match cluster.secrets.as_str() {
        "sealed" => "sealed with a key",
        "plaintext" => "stored in clear",
        "dropped" => "not stored: Secrets not restorable: no key",
        other => other,
    }
    .to_owned();
    if !cluster.sealed_places.is_empty() {
        secrets.push_str(&format!("; so are {}", cluster.sealed_places.join(", ")));
    }
    if cluster.values_not_stored > 0 && cluster.secrets != "dropped" {
        secrets.push_str(&format!(", but not those of {} objects", cluster.values_not_stored));
    }
    let protected = cluster.kinds.iter().filter(|kind| kind.protected).count();
    let mut rows = vec![
        ("cluster", format!("{name}{}", cluster.uid)),
        ("journal", status.journal.clone()),
        ("closed up to", closed),
        (
            "last durable",
            format!(
                "{} ({}; position {}, segment {})",
                when(&cluster.last_durable),
                ago(&cluster.last_durable),
                cluster.last_position,
                cluster.segment
            ),
        ),
        ("can be read", window),
        (
            "holds",
            format!("{} objects of {protected} protected kinds, {} checkpoints", cluster.objects, cluster.checkpoints),
        ),
        ("Secret values", secrets),
        ("written by", cluster.writer.clone()),
    ];
    if let Some(Sealed { position, time }) = &cluster.sealed {
        rows.push(("newest seal", format!("up to position {position}, made {} ({})", when(time), ago(time))));
    }
    let proven: Vec<&str> = cluster.kinds.iter().filter_map(|kind| kind.proven.as_deref()).collect();
    if let Some(first) = proven.iter().copied().min() {
        let agreed = format!("{} kinds agreed with the cluster's own lists, at {} or later", proven.len(), when(first));
        rows.push(("compared", format!("{agreed} ({})", ago(first))));
    }
    for (label, value) in rows {
        let mut line = Text::default();
        line.push(Style::Bold, format!("{label:<14}")).push(Style::Plain, value);
        context.printer.line(&line);
    }
}

/// The moments that can be asked for: from one to another, or since when there is protection that is not closed yet.
fn window(times: (&Option<String>, &Option<String>, &Option<String>), when: impl Fn(&str) -> String) -> String {
    match times {
        (Some(from), Some(to), _) => format!("{} to {}", when(from), when(to)),
        (.., Some(since)) => format!("nothing yet: protected since {}, and not closed up to there", when(since)),
        _ => "nothing yet".to_owned(),
    }
}

/// `1m3s ago`. What was written may be ahead of this machine's clock: then one of the clocks is wrong.
fn since(micros: Micros) -> String {
    match micros {
        ..-2_000_000 => format!("{} ahead of this machine's clock", span(-micros)),
        micros => format!("{} ago", span(micros.max(0))),
    }
}

/// What is published, a line each.
fn fanouts(context: &Context<'_>, cluster: &Cluster) {
    let when = |time: &str| {
        time.parse::<jiff::Timestamp>()
            .map_or_else(|_| time.to_owned(), |t| context.wall.show_millis(t.as_microsecond()))
    };
    for Fanout { name, target, position, behind, written, failing_since, reason, .. } in &cluster.fanouts {
        let mut line = Text::default();
        let far = format!("{name}: {target} up to position {position}, {behind} behind (as of {})", when(written));
        line.push(Style::Bold, format!("{:<14}", "fan-out")).push(Style::Plain, far);
        if let (Some(since), Some(reason)) = (failing_since, reason) {
            line.push(Style::Red, format!("; failing since {}: {reason}", when(since)));
        }
        context.printer.line(&line);
    }
}

/// The aggregated APIs that do not answer, a line each.
fn dead(context: &Context<'_>, cluster: &Cluster) {
    for DeadApi { name, service, since, reason } in &cluster.dead_apis {
        let since = match since.parse::<jiff::Timestamp>() {
            Ok(since) => format!(" since {}", context.wall.show_millis(since.as_microsecond())),
            Err(_) => String::new(),
        };
        let mut line = Text::default();
        line.push(Style::Red, format!("{:<14}", "dead API"))
            .push(Style::Plain, format!("{name}: Service {service} does not answer{since}: {reason}"));
        context.printer.line(&line);
    }
}

/// The kinds that are not protected, by reason; the protected ones with objects.
fn kinds(context: &Context<'_>, cluster: &Cluster) {
    let words = |words: &Option<String>| words.clone().unwrap_or_default();
    let left_out = cluster.kinds.iter().filter(|kind| !kind.protected);
    let mut left_out: Vec<(String, String, &str)> =
        left_out.map(|kind| (words(&kind.shared), words(&kind.reason), kind.name.as_str())).collect();
    left_out.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    for (reason, names) in facts::by_cause(left_out) {
        let mut line = Text::default();
        line.push(Style::Yellow, format!("{:<14}", "not protected"))
            .push(Style::Plain, format!("{reason}: {}", names.join(", ")));
        context.printer.line(&line);
    }
    let all = context.common.verbose > 0;
    let shown: Vec<_> = cluster.kinds.iter().filter(|k| k.protected && (all || k.objects > 0)).collect();
    if shown.is_empty() {
        return;
    }
    context.printer.line(&Text::plain(""));
    let rows = shown.iter().map(|kind| {
        let since = kind.since.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
        let since = since.map_or_else(String::new, |t| context.wall.show_millis(t.as_microsecond()));
        vec![kind.name.clone(), kind.objects.to_string(), since, kind.rev.to_string()]
    });
    for line in table::lines(&["KIND", "OBJECTS", "PROTECTED SINCE", "SEEN UP TO REV"], rows.collect()) {
        context.printer.line(&Text::plain(line));
    }
}

fn gaps(context: &Context<'_>, cluster: &Cluster) {
    if cluster.gaps.is_empty() {
        return;
    }
    context.printer.line(&Text::plain(""));
    let time = |t: &str| {
        t.parse::<jiff::Timestamp>().map_or_else(|_| t.to_owned(), |t| context.wall.show_millis(t.as_microsecond()))
    };
    // The newest matter most; the rest is in `-o json`.
    let rows: Vec<Vec<String>> = cluster
        .gaps
        .iter()
        .rev()
        .take(20)
        .map(|gap| {
            vec![
                gap.grade.clone(),
                gap.resource.clone(),
                time(&gap.from),
                time(&gap.to),
                gap.recovered.to_string(),
                if gap.grade == facts::Grade::Lost.as_str() && gap.unknown == 0 {
                    "?".to_owned()
                } else {
                    gap.unknown.to_string()
                },
                gap.reason.clone(),
            ]
        })
        .collect();
    let headings = ["GAP", "KIND", "FROM", "TO", "RECOVERED", "UNKNOWN", "REASON"];
    for line in table::lines(&headings, rows) {
        context.printer.line(&Text::plain(line));
    }
    if cluster.gaps.len() > 20 {
        context.printer.line(&Text::plain(format!("and {} older gaps; -o json has all", cluster.gaps.len() - 20)));
    }
}
