//! YAML as kubectl writes it, out of exact values.
//!
//! **Invariants.**
//! 1. Numbers are the tokens of the journal: `1.10` and a 30-digit integer are written as they were served.
//! 2. What is written reads back as the same value: a string that a YAML reader could take for something else
//!    (a number, a date, a boolean of any YAML version, an indicator) is quoted (`tests.rs`, against another
//!    reader).
//! 3. Text of several lines stands as a block; where a block could not carry it exactly, or a character must not
//!    reach a terminal, it is double-quoted with escapes.
//!
//! 4. [`lines`] are the lines of [`document`], each with the JSON pointer of the innermost value that it shows a part of.
//!
//! Recursion is bounded by the depth that the journal's parser allows.

use std::fmt::Write as _;

use hindcast_journal::{exact::Value, seal::escape_pointer};

use crate::printer::is_unsafe;

#[cfg(test)]
mod tests;

/// One document, ending in a line end.
pub(crate) fn document(value: &Value) -> String {
    let mut out = Out::default();
    whole(value, &mut out);
    out.text
}

/// A line, and the JSON pointer of what it shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The innermost value that a part of stands here.
    pub(crate) pointer: String,
    /// The text, without the line end.
    pub(crate) text: String,
}

/// The lines of a document.
pub(crate) fn lines(value: &Value) -> Vec<Line> {
    let mut out = Out { pointers: Some(Vec::new()), ..Out::default() };
    whole(value, &mut out);
    let texts = out.text.split_terminator('\n').map(str::to_owned);
    let pointers = out.pointers.unwrap_or_default();
    pointers.into_iter().zip(texts).map(|(pointer, text)| Line { pointer, text }).collect()
}

/// What is written, and where in the value the writer is.
#[derive(Default)]
struct Out {
    text: String,
    path: String,
    /// The path of each line that is ended, if they are wanted.
    pointers: Option<Vec<String>>,
}

impl Out {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn end_line(&mut self) {
        self.text.push('\n');
        if let Some(pointers) = &mut self.pointers {
            pointers.push(self.path.clone());
        }
    }

    fn pad(&mut self, indent: usize) {
        self.text.extend(std::iter::repeat_n(' ', indent));
    }

    /// Writes what is below a token.
    fn below(&mut self, token: &str, work: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(&escape_pointer(token));
        work(self);
        self.path.truncate(length);
    }
}

fn whole(value: &Value, out: &mut Out) {
    match value {
        Value::Object(object) if !object.is_empty() => members(value, 0, out),
        Value::Array(list) if !list.is_empty() => elements(list, 0, out),
        scalar => {
            leaf(scalar, 0, out);
            out.end_line();
        }
    }
}

/// The members of a map, each on lines of its own; the first starts where the cursor is.
fn members(value: &Value, indent: usize, out: &mut Out) {
    let Value::Object(object) = value else { return };
    for (at, (key, value)) in object.iter().enumerate() {
        if at > 0 {
            out.pad(indent);
        }
        out.below(key, |out| member(key, value, indent, out));
    }
}

fn member(key: &str, value: &Value, indent: usize, out: &mut Out) {
    let long = key.chars().count() > 128;
    if long {
        // An implicit key may not be longer than 1024 characters, escapes included.
        out.push("? ");
    }
    out.push(&scalar(key));
    if long {
        out.end_line();
        out.pad(indent);
    }
    out.push(":");
    match value {
        Value::Object(inner) if !inner.is_empty() => {
            out.end_line();
            out.pad(indent + 2);
            members(value, indent + 2, out);
        }
        Value::Array(list) if !list.is_empty() => {
            // As kubectl: the dashes stand under the key.
            out.end_line();
            out.pad(indent);
            elements(list, indent, out);
        }
        scalar => {
            out.push(" ");
            leaf(scalar, indent + 2, out);
            out.end_line();
        }
    }
}

/// The elements of a list; the first starts where the cursor is.
fn elements(list: &[Value], indent: usize, out: &mut Out) {
    for (at, value) in list.iter().enumerate() {
        if at > 0 {
            out.pad(indent);
        }
        out.push("- ");
        out.below(&at.to_string(), |out| match value {
            Value::Object(inner) if !inner.is_empty() => members(value, indent + 2, out),
            Value::Array(inner) if !inner.is_empty() => elements(inner, indent + 2, out),
            scalar => {
                leaf(scalar, indent + 2, out);
                out.end_line();
            }
        });
    }
}

/// What has no lines of its own, without the line end; `indent` is that of a block's lines.
fn leaf(value: &Value, indent: usize, out: &mut Out) {
    match value {
        Value::Null => out.push("null"),
        Value::Bool(value) => out.push(if *value { "true" } else { "false" }),
        Value::Number(token) => out.push(token.as_str()),
        Value::String(text) => string(text, indent, out),
        Value::Array(_) => out.push("[]"),
        Value::Object(_) => out.push("{}"),
    }
}

fn string(text: &str, indent: usize, out: &mut Out) {
    if fits_block(text) {
        block(text, indent, out);
    } else {
        out.push(&scalar(text));
    }
}

/// Whether a block carries the text exactly: it has lines, the first of them is neither blank nor indented (it
/// would be read as the indentation), and no character needs an escape.
fn fits_block(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && text.chars().all(|c| matches!(c, '\n' | '\t') || !is_unsafe(c))
        // A line of white space alone is where readers differ.
        && text.split('\n').all(|line| line.is_empty() || !line.trim().is_empty())
}

fn block(text: &str, indent: usize, out: &mut Out) {
    let body = text.trim_end_matches('\n');
    let ends = text.len() - body.len();
    out.push(match ends {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in body.split('\n') {
        out.end_line();
        if !line.is_empty() {
            out.pad(indent.max(2));
            out.push(line);
        }
    }
    // The caller ends the last line; `|+` keeps each further one.
    for _ in 1..ends {
        out.end_line();
    }
}

/// A string on one line, quoted where it has to be.
fn scalar(text: &str) -> String {
    if text.chars().any(is_unsafe) {
        return double_quoted(text);
    }
    if is_plain(text) {
        return text.to_owned();
    }
    if text.contains('\'') && !text.contains(['"', '\\']) {
        return double_quoted(text);
    }
    if text.contains('"') || text.contains('\\') {
        return format!("'{}'", text.replace('\'', "''"));
    }
    double_quoted(text)
}

fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) && c > '\u{ffff}' => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c if is_unsafe(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether a string without quotes can be nothing but this string, for readers of YAML 1.1 and 1.2 alike.
fn is_plain(text: &str) -> bool {
    let (Some(first), Some(last)) = (text.chars().next(), text.chars().next_back()) else {
        return false;
    };
    let indicator = |c: char| "-?:,[]{}#&*!|>'\"%@`=~<".contains(c);
    // A dash, a question mark or a colon is an indicator only where a blank or nothing follows, but readers are
    // many; only `-` and letters behind it, as in command flags, are worth leaving bare.
    let flag = text.starts_with("--") && text.chars().nth(2).is_some_and(char::is_alphabetic);
    if (indicator(first) && !flag) || first.is_whitespace() || last.is_whitespace() || last == ':' {
        return false;
    }
    if text.contains(": ") || text.contains(" #") || text.starts_with("---") || text.starts_with("...") {
        return false;
    }
    !is_word(text) && !looks_numeric(text)
}

fn is_word(text: &str) -> bool {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Numbers of any notation, dates, times in base 60 and the like all begin with a digit, a sign or a point and
/// have none but these characters.
fn looks_numeric(text: &str) -> bool {
    let body = text.trim_start_matches(['+', '-']);
    let first = body.chars().next().unwrap_or('0');
    if body.len() == text.len() && !first.is_ascii_digit() && first != '.' {
        return false;
    }
    let special = [".inf", ".nan"].iter().any(|word| body.eq_ignore_ascii_case(word));
    special
        || body.chars().all(|c| {
            c.is_ascii_hexdigit()
                || matches!(c, '.' | '_' | ':' | '-' | '+' | 'x' | 'o' | 'X' | 'O' | 'T' | 't' | 'Z' | 'z' | ' ')
        })
}
