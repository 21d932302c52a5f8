//! Fields that change, a line each: `spec.replicas: 3 → 5`; long texts as a small unified diff.

use hindcast_journal::exact::{self, Value as Exact};
use serde_json::Value;

use super::{excerpt, unified};
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
    let (from, to) = sides(field);
    let mut line = Text::plain(format!("{:indent$}{}: ", "", field.shown));
    line.push(Style::Red, from);
    line.push(Style::Plain, " → ");
    line.push(Style::Green, to);
    vec![line]
}

/// Both sides of a field on a line; of long ones the part that differs.
fn sides(field: &Field) -> (String, String) {
    match (&field.from, &field.to) {
        (Some(from), Some(to)) => excerpt::around(&plain(from), &plain(to), WIDTH),
        (from, to) => {
            let side = |value: &Option<Value>, none: &str| value.as_ref().map_or_else(|| none.to_owned(), self::value);
            (side(from, "(not set)"), side(to, "(removed)"))
        }
    }
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
        for (sign, line) in hunk.within(WIDTH * 2) {
            if left == 0 {
                more += 1;
                continue;
            }
            left -= 1;
            out.push(styled(sign.style(), format!("{:indent$}  {}{line}", "", sign.mark())));
        }
    }
    if more > 0 {
        let text = format!("{:indent$}  and {more} more lines; -o json has all", "");
        out.push(styled(Style::Dim, text));
    }
    out
}

/// A value as people write it, on a line.
pub(crate) fn value(value: &Value) -> String {
    excerpt::shorten(&plain(value), WIDTH)
}

/// A value as people write it, whole: a text stands without quotes where it can be taken for nothing else.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if is_bare(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The same of a value of the journal.
pub(crate) fn bare(value: &Exact) -> String {
    match value {
        Exact::String(text) if is_bare(text) => text.to_string(),
        other => other.to_string(),
    }
}

/// Whether a text without quotes is still seen to be this text, and no number or word of JSON.
fn is_bare(text: &str) -> bool {
    let edges = !text.is_empty() && text.trim() == text && !text.contains('\n');
    let first = text.chars().next().is_some_and(|c| matches!(c, '"' | '[' | '{'));
    edges && !first && exact::parse(text.as_bytes()).is_err()
}

/// A line in one style.
pub(crate) fn styled(style: Style, text: impl Into<String>) -> Text {
    let mut line = Text::default();
    line.push(style, text);
    line
}
