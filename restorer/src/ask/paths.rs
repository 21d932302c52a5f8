//! JSON pointers as people write paths, and back.
//!
//! **Words**: a *label* tells an element of a list among its like: `[name=web]`, `[port=53,protocol=UDP]`; a path has the
//! bare name for the first. `[order]` stands for the order of a list.
//!
//! **Invariants.** (1) A path names one place: an element stands in brackets, by its name where the list that it is in is at
//! hand and its elements have names, else by its index; a member that is no plain word is quoted. (2) Every path that is
//! printed is read as the place that it was printed of [`pointer`] (`tests.rs`).

use std::fmt::Write as _;

use hindcast_journal::{
    exact::{self, Value},
    seal::{escape_pointer, unescape_pointer},
};

use crate::lists;

/// The path of all of an object.
const EVERYTHING: &str = "(everything)";

/// The label for the order of a list.
const ORDER: &str = "order";

/// `spec.containers[0].image`, `metadata.labels["a.b/c"]`
pub fn spell(pointer: &str) -> String {
    spelled(pointer, None)
}

/// `spec.containers[web].image`, after the object that the pointer is into.
pub fn spell_in(pointer: &str, object: &Value) -> String {
    spelled(pointer, Some(object))
}

fn spelled(pointer: &str, object: Option<&Value>) -> String {
    let mut out = String::new();
    let mut at = object;
    for token in pointer.split('/').skip(1) {
        let token = unescape_pointer(token);
        let index = token.parse::<usize>().ok().filter(|_| token.bytes().all(|b| b.is_ascii_digit()));
        let list = at.and_then(Value::as_array);
        // Without the object at hand a number is taken for an index, which it is but in maps that count.
        let is_element = list.is_some() || (at.is_none() && index.is_some());
        // A plan names elements in the path itself: `[name=web]`, `[order]`.
        let label = token.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        let label = label.filter(|label| label.contains('=') || *label == ORDER);
        let label = label.filter(|_| is_element || at.is_none());
        let next = match (list, index, label) {
            (Some(list), Some(index), _) => list.get(index),
            (Some(list), None, Some(label)) => lists::labelled(list, label).and_then(|at| list.get(at)),
            _ => at.and_then(|value| value.get(&token)),
        };
        match (label, name(list, next).filter(|_| label.is_none())) {
            (Some(label), _) => {
                let own = label.strip_prefix("name=").filter(|own| is_bare(own));
                let _ = write!(out, "[{}]", bracketed(own.unwrap_or(label)));
            }
            (None, Some(name)) if is_element && is_bare(name) => {
                let _ = write!(out, "[{}]", bracketed(name));
            }
            (None, Some(name)) if is_element => {
                let _ = write!(out, "[{}]", bracketed(&format!("name={name}")));
            }
            _ if is_element => {
                let _ = write!(out, "[{}]", bracketed(&token));
            }
            _ if is_word(&token) && !(out.is_empty() && token == EVERYTHING) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(&token);
            }
            _ => {
                let _ = write!(out, "[{}]", Value::from(token.as_str()));
            }
        }
        at = next;
    }
    if out.is_empty() { EVERYTHING.to_owned() } else { out }
}

/// Whether a member needs no quotes.
fn is_word(token: &str) -> bool {
    let plain = |c: char| !matches!(c, '.' | '/' | '[' | ']' | '"' | '\\') && !c.is_whitespace() && !c.is_control();
    !token.is_empty() && token.chars().all(plain)
}

/// Whether a name alone in brackets is taken for a name.
fn is_bare(name: &str) -> bool {
    let index = name.bytes().all(|b| b.is_ascii_digit());
    !name.is_empty() && !index && !name.contains('=') && !name.starts_with('"') && name != ORDER && name != "-"
}

/// What stands in brackets, so that they end where they should.
fn bracketed(text: &str) -> String {
    text.replace('\\', "\\\\").replace(']', "\\]")
}

/// The name of an element that no other one of its list has.
fn name<'v>(list: Option<&[Value]>, element: Option<&'v Value>) -> Option<&'v str> {
    let name = |element: &'v Value| element.get("name").and_then(Value::as_str);
    let own = name(element?).filter(|own| !own.is_empty())?;
    let like = list?.iter().filter(|e| e.get("name").and_then(Value::as_str) == Some(own)).count();
    (like == 1).then_some(own)
}

/// The JSON pointer of a path as people write it, with labelled elements: `spec.template`, `metadata.labels["a.b/c"]`,
/// `spec.containers[web].image`; a pointer itself stays as it is. What is wrong with it otherwise.
pub fn pointer(path: &str) -> Result<String, &'static str> {
    if path == EVERYTHING {
        return Ok(String::new());
    }
    if path.starts_with('/') {
        return Ok(path.trim_end_matches('/').to_owned());
    }
    let mut out = String::new();
    let mut rest = path.strip_prefix('.').unwrap_or(path);
    if rest.is_empty() {
        return Err("it is empty");
    }
    loop {
        let (token, after) = match rest.strip_prefix('[') {
            Some(inner) => in_brackets(inner)?,
            None => {
                let (word, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
                if word.is_empty() {
                    return Err("a part of it is empty");
                }
                (Some(word.to_owned()), after)
            }
        };
        if let Some(token) = token {
            out.push('/');
            out.push_str(&escape_pointer(&token));
        }
        rest = match after.strip_prefix('.') {
            None if after.is_empty() => return Ok(out),
            None if after.starts_with('[') => after,
            None => return Err("behind a bracket stands a point, another bracket, or nothing"),
            Some(after) => after,
        };
    }
}

/// The token of what stands in brackets, and what is behind them. The order of a list is no token: it is a part of the list.
fn in_brackets(inner: &str) -> Result<(Option<String>, &str), &'static str> {
    const OPEN: &str = "a bracket is not closed";
    if inner.starts_with('"') {
        let mut escaped = false;
        let end = inner.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let (text, after) = inner.split_at(end.ok_or(OPEN)?.0 + 1);
        let text = exact::parse(text.as_bytes()).ok().and_then(|text| text.as_str().map(str::to_owned));
        let token = text.ok_or("what is quoted in it is no text as JSON has it")?;
        return Ok((Some(token), after.strip_prefix(']').ok_or(OPEN)?));
    }
    let mut text = String::new();
    let mut characters = inner.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            ']' => {
                let after = inner.get(at + 1..).unwrap_or_default();
                return match text.as_str() {
                    "" => Err("a part of it is empty"),
                    ORDER if after.is_empty() => Ok((None, after)),
                    text if text.contains('=') => Ok((Some(format!("[{text}]")), after)),
                    text if is_bare(text) => Ok((Some(format!("[name={text}]")), after)),
                    text => Ok((Some(text.to_owned()), after)),
                };
            }
            '\\' => text.extend(characters.next().map(|(_, c)| c)),
            c => text.push(c),
        }
    }
    Err(OPEN)
}

#[cfg(test)]
mod tests;
