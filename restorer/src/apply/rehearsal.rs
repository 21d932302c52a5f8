//! Whether an object could be created again, asked of the server before it is deleted for that.
//!
//! **Words**: a *rehearsal* is a create that the server only tries, under a name that nobody has: under its own it would say
//! that the object is there.
//!
//! **Invariants.** (1) A rehearsal carries `dryRun=All`. (2) What cannot be tried is told as such, never as allowed.
//!
//! Not here: what else stands in the way of one, and who asks ([`super::write`]).

use hindcast_cluster::{path, quantity::Quantity};
use hindcast_journal::exact::Value;
use http::Method;

use super::{
    request::{self, Ask, Reply},
    write::{body, explain},
};
use crate::{kinds, message::Message, plan::Action};

/// How much of a name is kept, so that what looks at how names begin sees one that fits; the longest name that every kind
/// takes has 52 characters.
const KEPT: usize = 40;

/// What the server says to a rehearsal.
#[derive(Debug)]
pub(crate) enum Rehearsed {
    /// It would be created.
    Fine,
    /// It would be refused.
    Refused(Message),
    /// It cannot be tried, and why.
    Unknown(String),
}

/// A rehearsal that can be asked for.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) ask: Ask,
    /// The name it is tried under.
    name: String,
}

/// The question; none where the object cannot be tried under another name.
pub(crate) fn question(action: &Action, target: &Value, random: u64) -> Option<Question> {
    let mut body = body(action, target, None)?;
    if let Some(solo) = kinds::of(&action.key).solo
        && !solo(&mut body)
    {
        return None;
    }
    let metadata = body.get_mut("metadata").and_then(Value::as_object_mut)?;
    let name = another_name(&action.key.name, random);
    metadata.insert("name", Value::from(name.as_str()));
    metadata.remove("generateName");
    let path = request::collection(&action.key, &action.version);
    Some(Question { ask: Ask::write(Method::POST, format!("{path}{}", request::manners(true)), &body), name })
}

/// Why there is no question.
pub(crate) const SINGULAR: &str = "its name is part of what it is, so that it cannot be tried under another";

/// A name like that of the object, which no object has.
fn another_name(name: &str, random: u64) -> String {
    let kept: String = name.chars().take(KEPT).collect();
    let kept = kept.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    format!("{kept}-{:08x}", random & 0xffff_ffff)
}

/// What an answer means.
pub(crate) fn judge(action: &Action, question: &Question, reply: &Reply) -> Rehearsed {
    // Whoever reads it knows the object by its own name.
    let body = String::from_utf8_lossy(&reply.body).replace(&question.name, &action.key.name);
    let reply = Reply { body: body.into(), ..reply.clone() };
    match reply.status {
        _ if reply.is_success() => Rehearsed::Fine,
        _ if reply.has_no_dry_run() => Rehearsed::Unknown(reply.message()),
        // The kind takes only certain names.
        422 if reply.blames("metadata.name") => Rehearsed::Unknown(reply.message()),
        _ => Rehearsed::Refused(explain(action, "create", &reply)),
    }
}

/// Where the quotas of a namespace are.
pub(crate) fn quotas(namespace: &str) -> Ask {
    Ask::get(path::collection("", "v1", namespace, "resourcequotas"))
}

/// The quota in a list of which more is used than it allows: what is deleted there cannot be created again, whatever it is.
pub(crate) fn overdrawn(list: &Value) -> Option<&str> {
    let over = |quota: &&Value| {
        let part = |path: &str| quota.pointer(path).and_then(Value::as_object);
        let (Some(used), Some(hard)) = (part("/status/used"), part("/status/hard")) else { return false };
        hard.iter().any(|(what, hard)| {
            let amount = |value: Option<&Value>| Quantity::parse(value?.as_str()?);
            amount(used.get(what)).zip(amount(Some(hard))).is_some_and(|(used, hard)| used > hard)
        })
    };
    let items = list.get("items").and_then(Value::as_array).unwrap_or_default();
    items.iter().find(over)?.pointer("/metadata/name")?.as_str()
}

#[cfg(test)]
mod tests;
