//! What is sent for an action, and what the answers mean; pure.
//!
//! **Invariants.** (1) A new object is sent without the identity of the old one; a change names the uid and the revision it
//! is made to. (2) A refusal keeps the server's words, and adds the remedy.

use hindcast_cluster::path;
use hindcast_journal::exact::{Object, Value};

use super::{Did, Job};
use crate::{
    apply::{Became, request::Reply},
    message::{Message, Remedy},
    plan::{Action, Propagation},
    reason::Cause,
    rules,
};

/// What is sent for an object: with the identity of the live one, or with none.
pub(crate) fn body(action: &Action, value: &Value, live: Option<(&str, &str)>) -> Option<Value> {
    let mut body = value.clone();
    let root = body.as_object_mut()?;
    let api = path::api_version(&action.key.group, &action.version);
    root.insert("apiVersion", Value::from(api));
    root.insert("kind", Value::from(action.kind.as_str()));
    let metadata = root.get_mut("metadata")?.as_object_mut()?;
    for own in [
        "resourceVersion",
        "uid",
        "creationTimestamp",
        "generation",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
    ] {
        metadata.remove(own);
    }
    if let Some((uid, rv)) = live {
        metadata.insert("uid", Value::from(uid));
        metadata.insert("resourceVersion", Value::from(rv));
    }
    Some(body)
}

/// The body of a delete, which holds only for that version of that object. A dry run is asked for here: beside a body
/// the server does not look at the query.
pub(crate) fn delete_options(uid: &str, rv: Option<&str>, propagation: Propagation, dry_run: bool) -> Value {
    let propagation = match propagation {
        Propagation::Background => "Background",
        Propagation::Foreground => "Foreground",
        Propagation::Orphan => "Orphan",
    };
    let rv = rv.map(|rv| ("resourceVersion", rv));
    let preconditions: Object = std::iter::once(("uid", uid)).chain(rv).collect();
    let members = [
        ("apiVersion", Value::from("v1")),
        ("kind", Value::from("DeleteOptions")),
        ("preconditions", Value::Object(preconditions)),
        ("propagationPolicy", Value::from(propagation)),
    ];
    let mut options: Object = members.into_iter().collect();
    if dry_run {
        options.insert("dryRun", Value::Array(vec![Value::from("All")]));
    }
    Value::Object(options)
}

/// Takes what the server could not give again out of an object, and says so.
pub(super) fn relax(action: &Action, sent: &mut Value, reply: &Reply) -> Option<String> {
    if reply.status != 422 && !reply.is_port_taken() {
        return None;
    }
    rules::without_taken(&action.key.kind_key(), sent, &reply.message())
}

/// What a refusing answer means, with the remedy.
pub(super) fn refusal(job: &Job<'_>, verb: &str, reply: &Reply) -> Did {
    let words = reply.message();
    let failed = reply.status >= 500 && !words.contains("webhook") && !reply.is_port_taken();
    let became = if failed { Became::Failed } else { Became::Refused };
    // An error of the server does not say whether the write was done.
    Did { settled: !failed, ..Did::because(became, explain(job.action, verb, reply)) }
}

/// The server's words, with what can be done about them.
pub(crate) fn explain(action: &Action, verb: &str, reply: &Reply) -> Message {
    let words = reply.message();
    if let (500, Some(webhook)) = (reply.status, reply.webhook()) {
        let down = Message::from(Cause::WebhookDown { webhook, said: words, of: None });
        return down.and(Remedy::Webhook.into());
    }
    let what = if action.key.group.is_empty() {
        action.key.resource.clone()
    } else {
        format!("{}.{}", action.key.resource, action.key.group)
    };
    let rights = rules::escalation(&action.key.kind_key(), &action.key.name, &words);
    let remedy = match reply.status {
        401 => Some(Remedy::LogIn),
        403 | 404 if rights.is_some() => rights.map(Remedy::Escalation),
        403 if words.contains("is forbidden: User") => Some(Remedy::Rights { verb: verb.to_owned(), what }),
        403 if reply.is_over_quota() => Some(Remedy::QuotaRoom),
        422 if words.contains("immutable") || words.contains("updates to statefulset spec") => Some(Remedy::Recreate),
        404 => Some(Remedy::NotHere { what, version: action.version.clone() }),
        _ => None,
    };
    match remedy {
        Some(remedy) => Message::about(&format!("{words}: "), remedy.into()),
        None => words.into(),
    }
}

pub(super) fn not_owned(why: Message) -> Message {
    // A command of kubectl's, which is not ours to spell otherwise.
    let what = "its field owners could not be set again, so `kubectl apply --server-side` may meet a conflict: ";
    Message::about(what, why)
}
