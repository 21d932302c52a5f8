//! What expires and what is kept, for people.

use super::table;
use crate::{
    context::Context,
    names::count,
    printer::Text,
    view::{Expiration, KeptCut, Leaving},
};

/// Prints what would be decided, or was.
pub(crate) fn print(context: &Context<'_>, expiration: &Expiration) {
    let say = |text: String| context.printer.line(&Text::plain(text));
    let shown = |time: &str| {
        let parsed = time.parse::<jiff::Timestamp>();
        parsed.map_or_else(|_| time.to_owned(), |time| context.wall.show_millis(time.as_microsecond()))
    };
    let gone = files(&expiration.gone);
    match (expiration.done, expiration.deletes, gone) {
        (.., None) => {}
        (true, true, Some(gone)) => say(format!("removed what had expired: {gone}")),
        (false, true, Some(gone)) => say(format!("expired before, and to be removed: {gone}")),
        (_, false, Some(gone)) => say(format!("expired, for whoever may delete: {gone}")),
    }
    if !expiration.decided {
        context.printer.note("nothing to decide: all that is kept is to be kept");
    }
    if let Some(whole) = &expiration.whole_from {
        say(format!("every moment is kept from {} on", shown(whole)));
    }
    if let Some(segment) = expiration.segment {
        say(format!("the log begins with segment {segment}"));
    }
    if let Some(goes) = files(&expiration.goes) {
        let minutes = expiration.grace_seconds / 60;
        let who = if expiration.deletes { "goes" } else { "may be removed by whoever may delete" };
        say(format!("{who}, {minutes} min after that is decided: {goes}"));
    }
    if !expiration.deletes && expiration.segment.is_some() {
        say(lifecycle(expiration));
    }
    if let Some(number) = expiration.number {
        let by = expiration
            .key
            .as_ref()
            .map_or("signed by nobody: there is no key".to_owned(), |key| format!("signed by key {key}"));
        say(format!("statement {number}, {by}"));
    }
    let row = |cut: &KeptCut| {
        let why = if cut.why.is_empty() { "goes".to_owned() } else { cut.why.join(", ") };
        let state = match (&cut.position, cut.bytes) {
            (Some(position), Some(bytes)) => (position.to_string(), bytes.to_string()),
            _ => ("to be made".to_owned(), String::new()),
        };
        vec![cut.micros.map_or_else(|| cut.time.clone(), |time| context.wall.show_millis(time)), why, state.0, state.1]
    };
    let rows: Vec<Vec<String>> = expiration.cuts.iter().map(row).collect();
    if !rows.is_empty() {
        for line in table::lines(&["CUT", "KEPT FOR", "POSITION", "BYTES"], rows) {
            say(line);
        }
    }
}

/// What may be removed by others, in words that hold for whatever removes it.
fn lifecycle(expiration: &Expiration) -> String {
    let segment = expiration.segment.unwrap_or(1);
    format!(
        "others may remove: wal/ below {segment:020}, log/ files that end below {segment:020}, and checkpoints/ that stand before the last \
         of the cuts below and are none of them; nothing else"
    )
}

fn files(leaving: &Leaving) -> Option<String> {
    let Leaving { segments, merged, checkpoints, bytes } = *leaving;
    let parts = [(segments, "segment"), (merged, "merged file"), (checkpoints, "checkpoint")];
    let parts: Vec<String> =
        parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(n as usize, what)).collect();
    (!parts.is_empty()).then(|| format!("{}, {bytes} bytes", parts.join(", ")))
}
