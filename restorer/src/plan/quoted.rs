//! Sealed values that are quoted in words: a server names what it refuses, a warning what it is about.
//!
//! **Invariant.** No text that went through [`Quoted::taken_out`] has a sealed value of the object in it, as it stands in the
//! object, escaped as in JSON, or decoded. One of fewer than four bytes is taken out where it stands as a value only: it may
//! be part of any word.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hindcast_journal::{exact::Value, fold::ObjectKey, seal::Rules};

use super::Bodies;
use crate::{
    message::Message,
    said::{Cause, Part},
};

/// What stands for a value in words.
const HIDDEN: &str = "<redacted>";

/// Below this length a value may be part of any word.
const TELLING: usize = 4;

/// The sealed values of an object, as they may be quoted.
pub(crate) struct Quoted {
    /// Longest first, so that none is left in part.
    texts: Vec<String>,
}

impl Quoted {
    /// Those of what an action replaces and sends.
    pub(crate) fn of(key: &ObjectKey, bodies: &Bodies, rules: &Rules) -> Self {
        let mut texts = Vec::new();
        let before = bodies.before.as_ref().map(|before| &before.value);
        let sides: Vec<&Value> = before.into_iter().chain(bodies.target.as_ref()).collect();
        if bodies.redact.is_empty() && !rules.may_seal(&key.group, &key.resource) {
            return Self { texts };
        }
        let sealed = rules.sealed_in_any(&key.group, &key.resource, &sides);
        for path in sealed.iter().chain(&bodies.redact) {
            sides.iter().filter_map(|side| side.pointer(path)).for_each(|value| leaves(value, &mut texts));
        }
        texts.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        texts.dedup();
        Self { texts }
    }

    /// A text without them.
    pub(crate) fn taken_out(&self, text: &str) -> String {
        self.texts.iter().fold(text.to_owned(), |text, quoted| {
            if quoted.len() >= TELLING {
                return text.replace(quoted.as_str(), HIDDEN);
            }
            let text = text.replace(&format!("\"{quoted}\""), HIDDEN);
            text.replace(&format!("value: {quoted}:"), &format!("value: {HIDDEN}:"))
        })
    }

    /// A message without them.
    pub(crate) fn out_of(&self, message: Message) -> Message {
        if self.texts.is_empty() {
            return message;
        }
        message.each(|part| match part {
            Part::Text(text) => Part::Text(self.taken_out(&text)),
            Part::Cause(Cause::Contended(Some(said))) => Part::Cause(Cause::Contended(Some(self.taken_out(&said)))),
            other => other,
        })
    }
}

/// The scalars of a value, each in the ways that it may be spelled.
fn leaves(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.is_empty() => {
            let text: &str = text;
            out.push(text.to_owned());
            let spelled = value.to_string();
            out.extend(spelled.strip_prefix('"').and_then(|text| text.strip_suffix('"')).map(str::to_owned));
            let decoded = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            out.extend(decoded.filter(|text| text.len() >= TELLING));
        }
        Value::Number(_) => out.push(value.to_string()),
        Value::Array(list) => list.iter().for_each(|value| leaves(value, out)),
        Value::Object(members) => members.iter().for_each(|(_, value)| leaves(value, out)),
        _ => {}
    }
}
