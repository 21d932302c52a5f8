//! Who opens what is sealed, for people.

use hindcast_journal::{fold::ObjectKey, parts::utc_millis};

use super::table;
use crate::{
    context::Context,
    names::{count, object_name},
    printer::{Printer, Text},
    view::{Forgetting, ForgottenObject, KeyStatus, KeyUse, Rewrapping},
};

/// An object that is named as in rows, for people.
fn named(object: &str) -> String {
    let parts: Vec<String> = object.split('/').map(str::to_owned).collect();
    match <[String; 4]>::try_from(parts) {
        Ok([group, resource, namespace, name]) => object_name(&ObjectKey { namespace, group, resource, name }),
        Err(_) => object.to_owned(),
    }
}

/// What is forgotten, in words.
fn what(namespace: &str, object: Option<&str>) -> String {
    match (object, namespace) {
        (Some(object), _) => named(object),
        (None, "") => "all that stands in no namespace".to_owned(),
        (None, namespace) => format!("namespace {namespace}"),
    }
}

/// What each key opens, and which may go.
pub(crate) fn status(printer: &Printer, status: &KeyStatus) {
    let row = |key: &KeyUse| {
        let needed = match (key.active, key.retirable, key.opens) {
            (true, ..) => "seals new values".to_owned(),
            (_, true, 0) => "no: it opens no data key here".to_owned(),
            (_, true, _) => "no: the newest opens the same".to_owned(),
            _ => format!("yes: `hindcast key rewrap` wraps {} anew", count(key.opens as usize, "data key")),
        };
        vec![key.name.clone(), key.opens.to_string(), key.alone.to_string(), needed]
    };
    for line in table::lines(&["KEY", "OPENS", "ALONE", "NEEDED"], status.keys.iter().map(row).collect()) {
        printer.line(&Text::plain(line));
    }
    for (key, n) in &status.missing {
        let n = count(*n as usize, "data key");
        printer.warning(format!("key {key}, which the key file does not hold, alone opens {n} of this journal"));
    }
    for forgotten in &status.forgotten {
        let what = what(&forgotten.namespace, forgotten.object.as_deref());
        let why = forgotten.reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let keys = count(forgotten.data_keys as usize, "data key");
        let time = utc_millis(forgotten.micros);
        printer.line(&Text::plain(format!("forgotten on {time} by {}: {what}, {keys}{why}", forgotten.by)));
        if forgotten.unfinished {
            printer.warning(format!(
                "files of these data keys are still in the bucket: `hindcast run` removes them within two minutes, or the same `hindcast forget` does; \
                 until then whoever has them and the key file opens what they sealed ({what})"
            ));
        }
    }
    let retirable: Vec<_> = status.keys.iter().filter(|key| key.retirable).collect();
    if retirable.is_empty() {
        return;
    }
    printer.note("a key that is not needed may be taken out of the key file, once `run` has been started anew since the newest was made:");
    for key in retirable {
        printer.note(format!(
            "  {}: hashes and placeholders that it made can no longer be checked or compared without it, so the next change of an object may show its values as changed; its seals can be: --public-key {}",
            key.name, key.public_key
        ));
    }
    printer.note(
        "  keep it where records of restores lie in folders of their own (--record-dir), which were not looked at, and",
    );
    printer.note("  until `hindcast key rewrap` has opened the repository of files with the newest, where volumes are copied file by file");
}

/// What was wrapped anew.
pub(crate) fn rewrapping(printer: &Printer, said: &Rewrapping) {
    let say = |text: String| printer.line(&Text::plain(text));
    let of = count(said.data_keys as usize, "data key");
    let verb = if said.done { "wrapped" } else { "to be wrapped" };
    let newest = said.status.keys.first().map(|key| key.name.as_str()).unwrap_or_default();
    say(format!("{verb} by {newest}: {} of {of}", said.wrapped));
    if said.removes {
        let verb = if said.done { "removed" } else { "to be removed" };
        let files = count(said.removed as usize, "file");
        say(format!("{verb}: {files} that older keys wrapped"));
    }
    if let Some(number) = said.statement {
        say(format!("statement {number}, signed by key {newest}"));
    }
    if said.repository {
        say(format!(
            "the repository of files opens with {newest} too; what encrypts its files stays the same, and older keys still open it"
        ));
    }
    if let Some(why) = &said.repository_refused {
        printer.warning(format!(
            "the repository of files does not open with {newest}: {why}; older keys are needed for it, and none was removed"
        ));
    }
    for why in said.closed.values() {
        printer.warning(format!("left as it is: {why}"));
    }
    status(printer, &said.status);
}

/// What would be destroyed, and what stays.
pub(crate) fn forgetting(context: &Context<'_>, said: &Forgetting) {
    let printer = context.printer;
    let say = |text: String| printer.line(&Text::plain(text));
    let (keys, files) = (count(said.data_keys as usize, "data key"), count(said.files as usize, "file"));
    let of = what(&said.namespace, said.object.as_deref());
    say(format!("sealed values of {of}: {keys} in {files}, {} with values", count(said.objects.len(), "object")));
    let row = |object: &ForgottenObject| {
        let stands = if object.stands { "stands" } else { "gone" };
        vec![named(&object.object), object.values.to_string(), stands.to_owned()]
    };
    if !said.objects.is_empty() {
        for line in table::lines(&["OBJECT", "CIPHERTEXTS", "NOW"], said.objects.iter().map(row).collect()) {
            say(line);
        }
    }
    if said.left > 0 {
        say(format!("forgotten before, with files that are still there: {}", count(said.left as usize, "data key")));
    }
    for unread in &said.unread {
        printer.warning(format!("not all of the past could be read, so there may be more objects: {unread}"));
    }
    if said.clear {
        printer.warning(
            "for a time values were kept in clear, or fewer places were sealed than now (`run --plaintext-secrets`, `run --seal`): what was \
             recorded then stays readable without any key until retention removes it",
        );
    }
    if let Some(refused) = &said.refused {
        printer.warning(refused);
    }
    for note in [
        "then no moment shows or restores these values, and no undo puts them back; objects stay, with a placeholder for each value",
        "a placeholder tells a value's length, and whoever has the key file whether a guess is right: take such keys out of it",
        "what stands in the cluster now is sealed anew by `hindcast run`, within two minutes: change a value that has leaked there first",
        "not reached: copies of the bucket, older versions of objects that it keeps, records of restores in folders of their own",
    ] {
        printer.note(format!("note: {note}"));
    }
}

/// What was destroyed.
pub(crate) fn forgotten(printer: &Printer, said: &Forgetting) {
    match (said.done, said.statement) {
        (true, Some(number)) => {
            let key = said.key.as_deref().unwrap_or_default();
            let of = what(&said.namespace, said.object.as_deref());
            let keys = count(said.data_keys as usize, "data key");
            printer.line(&Text::plain(format!(
                "forgotten: {of}, {keys} destroyed; statement {number}, signed by key {key}"
            )));
        }
        (true, None) => printer.line(&Text::plain("removed what was left of data keys that were forgotten before")),
        (false, _) if said.data_keys + said.left == 0 => {
            printer.note("nothing to forget: no data key of that is in the journal");
        }
        _ => {}
    }
}
