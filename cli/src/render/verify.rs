//! Whether the journal is what was written, for people.

use super::table;
use crate::{
    context::Context,
    names::{count, some_of},
    printer::{Style, Text},
    view::{Verification, VersionOf},
};

/// Prints a verification: what was looked at, what is sealed, what is not, and what is wrong.
pub(crate) fn print(context: &Context<'_>, v: &Verification) {
    let printer = context.printer;
    let say = |text: String| printer.line(&Text::plain(text));
    say(format!("cluster {}: {}, {} bytes", v.cluster, count(v.objects as usize, "file"), v.bytes));
    if v.last_segment > 0 {
        let (first, last, rows) = (v.first_segment, v.last_segment, v.last_position);
        say(format!("log: segments {first} to {last}, up to position {rows}"));
    }
    let parts = [
        (v.merged, "merged file", "as its segments"),
        (v.checkpoints, "checkpoint", "as the log gives it"),
        (v.others, "other file", "as it was sealed"),
    ];
    for (n, what, how) in parts.into_iter().filter(|(n, ..)| *n > 0) {
        say(format!("{}, each {how}", count(n as usize, what)));
    }
    if v.repository > 0 {
        say(format!(
            "{} of the repository of files, which are not looked at here: `restic check` does",
            count(v.repository as usize, "object")
        ));
    }
    expired(context, v);
    sealed(context, v);
    if let Some(stands) = &v.stands {
        let checked = if stands.checked { "" } else { ", not checked" };
        let (place, position, key) = (&stands.place, stands.position, &stands.key);
        say(format!("{place} tells of a seal up to position {position} by key {key}{checked}"));
    }
    live(context, v);
    if v.findings.is_empty() {
        say("nothing is missing, late, foreign or altered, as far as that can be known".to_owned());
        return;
    }
    printer.line(&Text::default());
    for finding in &v.findings {
        let mut line = Text::default();
        line.push(Style::Red, finding.verdict).push(Style::Bold, format!("  {}", finding.file));
        printer.line(&line);
        say(format!("  {}", finding.reason));
        say(format!("  remedy: {}", finding.remedy));
    }
}

fn expired(context: &Context<'_>, v: &Verification) {
    let Some(expired) = &v.expired else { return };
    let say = |text: String| context.printer.line(&Text::plain(text));
    let by = match (&expired.key, expired.checked) {
        (Some(key), true) => format!("signed by key {key}"),
        (Some(key), false) => format!("signed by key {key}, not checked"),
        (None, _) => "signed by nobody".to_owned(),
    };
    say(format!(
        "expired by statement {}, {by}: the log begins at position {}, and {} kept, each as stated",
        expired.number,
        expired.position,
        if expired.kept == 1 { "1 cut is".to_owned() } else { format!("{} cuts are", expired.kept) }
    ));
    if expired.left > 0 {
        say(format!("  {} that may go are still there, and were not looked at", count(expired.left as usize, "file")));
    }
}

fn sealed(context: &Context<'_>, v: &Verification) {
    let say = |text: String| context.printer.line(&Text::plain(text));
    let Some(sealed) = &v.sealed else {
        say("sealed: nothing".to_owned());
        return;
    };
    let when = sealed.time.parse::<jiff::Timestamp>();
    let when = when.map_or_else(|_| sealed.time.clone(), |t| context.wall.show_millis(t.as_microsecond()));
    let checked = if sealed.checked { "" } else { ", not checked" };
    say(format!("sealed up to position {} at {when} by key {}{checked}", sealed.position, sealed.key));
    say(format!("  to hold the log to this later: --known {}:{}", sealed.position, sealed.chain));
    let unsealed = &v.unsealed;
    let mut behind = vec![count(unsealed.rows as usize, "row"), count(unsealed.segments as usize, "segment")];
    behind.extend(Some(count(unsealed.files.len(), "file")).filter(|_| !unsealed.files.is_empty()));
    say(format!(
        "unsealed, so it could have been altered, added or cut off: {}; the newest segment has the seal itself",
        behind.join(", ")
    ));
    if !unsealed.files.is_empty() {
        say(format!("  files: {}", some_of(&unsealed.files, unsealed.files.len())));
    }
    if !unsealed.gone.is_empty() {
        say(format!("  gone since, as deleted recovery points are: {}", some_of(&unsealed.gone, unsealed.gone.len())));
    }
    if unsealed.rows_alone > 0 {
        let segments = count(unsealed.rows_alone as usize, "segment");
        say(format!(
            "  of {segments} before it the rows are sealed, but not who wrote them and how far they close the log"
        ));
    }
}

fn live(context: &Context<'_>, v: &Verification) {
    let Some(live) = &v.live else { return };
    let say = |text: String| context.printer.line(&Text::plain(text));
    let (kinds, objects) = (count(live.kinds as usize, "kind"), count(live.objects as usize, "object"));
    say(format!("cluster at revision {}: {objects} of {kinds} compared by uid and resourceVersion", live.rev));
    if live.differences.is_empty() {
        say("the cluster has what the journal has".to_owned());
        return;
    }
    let shown = |version: Option<&VersionOf>| {
        version
            .as_ref()
            .map_or_else(|| "-".to_owned(), |version| format!("{} {}", version.resource_version, version.uid))
    };
    let rows = live.differences.iter().map(|d| {
        let name = if d.namespace.is_empty() { d.name.clone() } else { format!("{}/{}", d.namespace, d.name) };
        vec![d.verdict.to_owned(), d.resource.clone(), name, shown(d.journal.as_ref()), shown(d.cluster.as_ref())]
    });
    for line in table::lines(&["IN THE JOURNAL", "KIND", "NAME", "JOURNAL", "CLUSTER"], rows.collect()) {
        context.printer.line(&Text::plain(line));
    }
    say("  remedy: ask `hindcast log` what is known of these; `hindcast run` lists a kind anew when it is stopped, excluded and included again".to_owned());
}
