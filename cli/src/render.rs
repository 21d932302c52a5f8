//! Text for people, and YAML: from values to what is printed.

use hindcast_journal::exact::Value;
use serde::Serialize;

use crate::{
    args::Output,
    failure::{Failure, Result},
    moment::Wall,
    printer::{Printer, Style, Text},
    view,
};

pub(crate) mod blame;
pub(crate) mod custody;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod excerpt;
pub(crate) mod expire;
pub(crate) mod fields;
pub(crate) mod get;
pub(crate) mod log;
pub(crate) mod plan;
pub(crate) mod point;
pub(crate) mod restore;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod unified;
pub(crate) mod verify;
pub(crate) mod yaml;

/// Who wrote, in words.
fn author(manager: &str, subresource: &str) -> String {
    match (manager, subresource) {
        ("", _) => "unknown".to_owned(),
        (manager, "") => manager.to_owned(),
        (manager, subresource) => format!("{manager} ({subresource})"),
    }
}

/// Prints a document of ours as JSON or YAML.
pub(crate) fn document(printer: &Printer, output: Output, document: &impl Serialize) -> Result<()> {
    // Through serde_json's own value, which keeps the order of no map; ours sorts by key, as kubectl's YAML does.
    let value = serde_json::to_value(document)
        .map_err(|e| Failure::new("the answer", format!("cannot be written as JSON: {e}")))?;
    if output == Output::Yaml {
        printer.data(&yaml::document(&Value::from_serde(&value)));
    } else {
        let text = serde_json::to_string_pretty(document)
            .map_err(|e| Failure::new("the answer", format!("cannot be written as JSON: {e}")))?;
        printer.data(&(text + "\n"));
    }
    Ok(())
}

/// Prints an object of the past as JSON or YAML, exactly.
pub(crate) fn object(printer: &Printer, output: Output, object: &Value) {
    if output == Output::Json {
        let mut text = String::new();
        json(object, 0, &mut text);
        text.push('\n');
        printer.data(&text);
    } else {
        printer.data(&yaml::document(object));
    }
}

/// JSON with four spaces, as kubectl indents it; numbers are the tokens of the journal.
fn json(value: &Value, indent: usize, out: &mut String) {
    let line = |indent: usize, out: &mut String| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent));
    };
    match value {
        Value::Object(object) if !object.is_empty() => {
            out.push('{');
            for (at, (key, value)) in object.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                line(indent + 4, out);
                out.push_str(&Value::from(key).to_string());
                out.push_str(": ");
                json(value, indent + 4, out);
            }
            line(indent, out);
            out.push('}');
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('[');
            for (at, value) in list.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                line(indent + 4, out);
                json(value, indent + 4, out);
            }
            line(indent, out);
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// The keys of a key file.
pub(crate) fn keys(printer: &Printer, keys: &view::Keys) {
    let rows = keys.keys.iter().map(|key| {
        let active = if key.active { "seals new values" } else { "opens older ones" };
        vec![key.name.clone(), key.created.clone(), active.to_owned()]
    });
    for line in table::lines(&["NAME", "CREATED", "USE"], rows.collect()) {
        printer.line(&Text::plain(line));
    }
}

/// A plugin.
pub(crate) fn plugin(printer: &Printer, plugin: &view::Plugin) {
    let row = [&plugin.name, &plugin.version, &plugin.protocol.to_string(), &plugin.health];
    let rows = vec![row.map(String::clone).to_vec()];
    for line in table::lines(&["PLUGIN", "VERSION", "PROTOCOL", "HEALTH"], rows) {
        printer.line(&Text::plain(line));
    }
    if !plugin.drivers.is_empty() {
        let disks = if plugin.disks { ", and makes disks from their snapshots" } else { "" };
        printer.line(&Text::plain(format!("takes volumes of {}{disks}", plugin.drivers.join(", "))));
    }
    for transform in &plugin.transforms {
        let sealed = if transform.sealed_values { ", with sealed values" } else { "" };
        let kinds = transform.kinds.join(", ");
        printer.line(&Text::plain(format!("transform {}: {kinds}{sealed}", transform.name)));
    }
}

/// The rules of what a restore may touch.
pub(crate) fn rules(printer: &Printer, rules: &[&hindcast_restorer::rules::Rule]) {
    for (at, rule) in rules.iter().enumerate() {
        if at > 0 {
            printer.line(&Text::default());
        }
        let kinds: Vec<String> = rule.kinds.iter().map(|key| crate::names::kind_name(key)).collect();
        let kinds = if kinds.is_empty() { "every kind".to_owned() } else { kinds.join(", ") };
        let mut line = fields::styled(Style::Bold, rule.id);
        line.push(Style::Dim, format!("  {kinds}"));
        printer.line(&line);
        printer.line(&Text::plain(format!("  {}", rule.what(&crate::words::CommandLine))));
        printer.line(&fields::styled(Style::Dim, format!("  {}", rule.why)));
    }
}

/// A row of the journal: JSON on a line, or a YAML document.
pub(crate) fn row(printer: &Printer, output: Output, row: &view::Row) -> Result<()> {
    if output == Output::Yaml {
        printer.data("---\n");
        return document(printer, output, row);
    }
    let text =
        serde_json::to_string(row).map_err(|e| Failure::new("a row", format!("cannot be written as JSON: {e}")))?;
    printer.data(&(text + "\n"));
    Ok(())
}

/// The files of a journal.
pub(crate) fn files(printer: &Printer, wall: &Wall, files: &view::Files) {
    let number = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
    let rows = files.files.iter().map(|file| {
        let rows = match (file.first, file.last) {
            (Some(first), Some(last)) if last < first => "none".to_owned(),
            (Some(first), Some(last)) => format!("{first}-{last}"),
            _ => String::new(),
        };
        let written = file.written.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
        vec![
            file.name.clone(),
            file.bytes.to_string(),
            rows,
            number(file.closed_rev),
            number(file.epoch),
            written.map_or_else(String::new, |t| wall.show_millis(t.as_microsecond())),
            file.error.clone().or(file.writer.clone()).unwrap_or_default(),
        ]
    });
    let headings = ["FILE", "BYTES", "ROWS", "CLOSED REV", "EPOCH", "WRITTEN", "BY"];
    for line in table::lines(&headings, rows.collect()) {
        printer.line(&Text::plain(line));
    }
}
