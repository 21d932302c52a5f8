//! Fields that change, a line each: `spec.replicas: 3 → 5`; long texts as a small unified diff.

use serde_json::Value;

use super::{log::shorten, unified};
use crate::{
    printer::{Style, Text},
    view::Field,
};

/// The widest that a value may be.
const WIDTH: usize = 72;

/// The most lines of a unified diff.
const LINES: usize = 40;

/// The lines of fields, indented; at most `limit` fields.
pub(crate) fn lines(fields: &[Field], indent: usize, limit: usize) -> Vec<Text> {
    let mut out: Vec<Text> = fields.iter().take(limit).flat_map(|field| one(field, indent)).collect();
    if fields.len() > limit {
        let text = format!("{:indent$}and {} more fields; -o json has all", "", fields.len() - limit);
        out.push(styled(Style::Dim, text));
    }
    out
}

fn one(field: &Field, indent: usize) -> Vec<Text> {
    if let (Some(Value::String(from)), Some(Value::String(to))) = (&field.from, &field.to)
        && (from.contains('\n') || to.contains('\n'))
    {
        return texts(&field.shown, (from, to), indent);
    }
    let mut line = Text::plain(format!("{:indent$}{}: ", "", field.shown));
    line.push(Style::Red, side(field.from.as_ref(), "(not set)"));
    line.push(Style::Plain, " → ");
    line.push(Style::Green, side(field.to.as_ref(), "(removed)"));
    vec![line]
}

fn texts(path: &str, (from, to): (&str, &str), indent: usize) -> Vec<Text> {
    let mut out = vec![Text::plain(format!("{:indent$}{path}:", ""))];
    let (old, new) = unified::split(from, to);
    let mut left = LINES;
    let mut more = 0;
    for hunk in unified::hunks(&old, &new) {
        if left > 0 {
            out.push(styled(Style::Dim, format!("{:indent$}  {}", "", hunk.heading)));
        }
        for (sign, line) in hunk.lines {
            if left == 0 {
                more += 1;
                continue;
            }
            left -= 1;
            let line = shorten(line, WIDTH * 2);
            out.push(styled(sign.style(), format!("{:indent$}  {}{line}", "", sign.mark())));
        }
    }
    if more > 0 {
        let text = format!("{:indent$}  and {more} more lines; -o json has all", "");
        out.push(styled(Style::Dim, text));
    }
    out
}

/// A value on a line.
fn side(value: Option<&Value>, none: &str) -> String {
    match value {
        None => none.to_owned(),
        Some(value) => self::value(value),
    }
}

/// A value as people write it, on a line: a text stands without quotes where nothing is lost by that.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && text.trim() == text && !text.contains('\n') => shorten(text, WIDTH),
        other => shorten(&other.to_string(), WIDTH),
    }
}

/// A line in one style.
pub(crate) fn styled(style: Style, text: impl Into<String>) -> Text {
    let mut line = Text::default();
    line.push(style, text);
    line
}
