//! Places written as text, for the table: `subjects [kind=User] name`, `spec rules [] backendRefs [] namespace`.
//!
//! Words stand between spaces. `key` is a member, `a|b` either, `before*` every member of such a name; `[]` every element,
//! `[key=value]` those with such a member; `**` any way down, none included; `{key}` is no step: it goes on where the map has
//! such a member, `{!key}` where it has none, `{key=value}` where it has this value, or a list of nothing else.
//!
//! **Invariant.** With one `**` at most, a place is met once.

use hindcast_journal::{exact::Value, seal::escape_pointer};

/// One word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Keys(&'static str),
    Each,
    Such(&'static str, &'static str),
    Down,
    Has(&'static str),
    Lacks(&'static str),
    Is(&'static str, &'static str),
}

/// The words of a text.
pub(super) fn words(text: &'static str) -> impl Iterator<Item = Word> {
    text.split(' ').filter(|word| !word.is_empty()).map(word)
}

fn word(word: &'static str) -> Word {
    let inner = |open, close| word.strip_prefix(open).and_then(|word: &str| word.strip_suffix(close));
    match (inner('[', ']'), inner('{', '}')) {
        (Some(""), _) => Word::Each,
        (Some(such), _) => such.split_once('=').map_or(Word::Each, |(key, value)| Word::Such(key, value)),
        (_, Some(has)) => match (has.split_once('='), has.strip_prefix('!')) {
            (Some((key, value)), _) => Word::Is(key, value),
            (_, Some(key)) => Word::Lacks(key),
            _ => Word::Has(has),
        },
        _ if word == "**" => Word::Down,
        _ => Word::Keys(word),
    }
}

/// Meets every place that the words lead to, with its JSON pointer.
pub(super) fn visit(value: &mut Value, words: &[Word], meet: &mut dyn FnMut(&str, &mut Value)) {
    walk(value, words, &mut String::new(), meet);
}

fn walk(value: &mut Value, words: &[Word], at: &mut String, meet: &mut dyn FnMut(&str, &mut Value)) {
    let Some((word, rest)) = words.split_first() else {
        meet(at, value);
        return;
    };
    match *word {
        Word::Keys(names) => {
            let Some(members) = value.as_object_mut() else { return };
            for (name, child) in members.iter_mut().filter(|(name, _)| named(names, name)) {
                step(child, &escape_pointer(name), rest, at, meet);
            }
        }
        Word::Each | Word::Such(..) => {
            for (index, child) in value.as_array_mut().into_iter().flatten().enumerate() {
                if let Word::Such(key, wanted) = *word
                    && !is(child, key, wanted)
                {
                    continue;
                }
                step(child, &index.to_string(), rest, at, meet);
            }
        }
        Word::Down => {
            walk(value, rest, at, meet);
            match value {
                Value::Object(members) => {
                    for (name, child) in members.iter_mut() {
                        step(child, &escape_pointer(name), words, at, meet);
                    }
                }
                Value::Array(list) => {
                    for (index, child) in list.iter_mut().enumerate() {
                        step(child, &index.to_string(), words, at, meet);
                    }
                }
                _ => {}
            }
        }
        Word::Has(key) if value.get(key).is_none() => {}
        Word::Lacks(key) if value.get(key).is_some() => {}
        Word::Is(key, wanted) if !is(value, key, wanted) => {}
        Word::Has(_) | Word::Lacks(_) | Word::Is(..) => walk(value, rest, at, meet),
    }
}

fn step(child: &mut Value, token: &str, words: &[Word], at: &mut String, meet: &mut dyn FnMut(&str, &mut Value)) {
    let length = at.len();
    at.push('/');
    at.push_str(token);
    walk(child, words, at, meet);
    at.truncate(length);
}

/// Whether a member is this text, or a list of nothing else (`namespaces`, `namespaces/status`).
fn is(value: &Value, key: &str, wanted: &str) -> bool {
    let one = |value: &Value| {
        value
            .as_str()
            .and_then(|text| text.strip_prefix(wanted))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match value.get(key) {
        Some(Value::Array(list)) => !list.is_empty() && list.iter().all(one),
        Some(member) => member.as_str() == Some(wanted),
        None => false,
    }
}

fn named(names: &str, name: &str) -> bool {
    names.split('|').any(|one| one.strip_suffix('*').map_or(one == name, |before| name.starts_with(before)))
}

/// The place as a person reads it: `subjects[kind=User].name`, `spec.{a,b}.….namespace` (beside `name`).
pub(super) fn spelled(text: &'static str) -> String {
    let mut out = String::new();
    let mut beside = Vec::new();
    for word in words(text) {
        match word {
            Word::Keys(keys) if keys.contains(['.', '/']) => {
                let quoted: Vec<String> = keys.split('|').map(|key| format!("\"{key}\"")).collect();
                out.push_str(&format!("[{}]", quoted.join(", ")));
            }
            Word::Keys(keys) => {
                let keys = if keys.contains('|') { format!("{{{}}}", keys.replace('|', ",")) } else { keys.to_owned() };
                out.push_str(&format!("{}{keys}", if out.is_empty() { "" } else { "." }));
            }
            Word::Each => out.push_str("[]"),
            Word::Such(key, value) => out.push_str(&format!("[{key}={value}]")),
            Word::Down => out.push_str(".…"),
            Word::Has(key) => beside.push(format!("beside `{key}`")),
            Word::Lacks(key) => beside.push(format!("without `{key}`")),
            Word::Is(key, value) => beside.push(format!("where `{key}` is `{value}`")),
        }
    }
    let beside = if beside.is_empty() { String::new() } else { format!(" ({})", beside.join(", ")) };
    format!("`{out}`{beside}")
}
