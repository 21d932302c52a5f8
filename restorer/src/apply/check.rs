//! Asks the server what it would say to each action, without anything being done.
//!
//! **Invariants.** (1) Every write carries `dryRun=All`: a delete in its body, the others in their query. (2) What cannot be asked is told as such, never as allowed.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use hindcast_journal::{Parts, fold::ObjectKey};
use http::Method;

use super::{
    Settings,
    conflict::meta,
    request::{self, Ask, Link, Reply},
    write::{body, delete_options, explain},
};
use crate::{
    kinds::{crds::definition, namespaces::home},
    message::Message,
    plan::{Action, Bodies, Prepared, Verb, quoted::Quoted},
    rules,
};

/// What the server says to an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// It would be done.
    Fine,
    /// It would be refused, in the server's words.
    Refused(Message),
    /// It would be refused as things stand; the rest of the plan may change that, and then it is tried again.
    NotYet(String),
    /// It cannot be asked, and why.
    Unknown(String),
}

/// Asks about every action of a plan, several at once.
pub(crate) async fn check(
    prepared: &Prepared,
    client: &kube::Client,
    parts: &Parts,
    settings: &Settings,
) -> BTreeMap<ObjectKey, Check> {
    let link = Link::new(client, parts.clone(), settings, None);
    let link = &link;
    let asked = prepared.plan.actions.iter().map(|action| async move {
        let said = match prepared.bodies.get(&action.key) {
            Some(bodies) => one(link, prepared, action, bodies).await,
            None => Check::Unknown("the plan holds no body for it".to_owned()),
        };
        (action.key.clone(), said)
    });
    stream::iter(asked).buffer_unordered(settings.most.max(1)).collect().await
}

async fn one(link: &Link<'_>, prepared: &Prepared, action: &Action, bodies: &Bodies) -> Check {
    let Some((ask, verb)) = question(action, bodies) else {
        return Check::Unknown("the plan holds no body for it".to_owned());
    };
    if let Some(why) = depends(prepared, action, bodies) {
        return Check::Unknown(why);
    }
    let said = match link.send(&ask).await {
        Ok(reply) if reply.is_success() => return Check::Fine,
        Ok(reply) if reply.is_unserved() && defines(prepared, action) => {
            Check::Unknown("the definition of its kind is changed first".to_owned())
        }
        Ok(reply) => held(prepared, action, bodies, &reply).unwrap_or_else(|| judge(action, verb, &reply)),
        Err(lost) => Check::Unknown(format!("the API server did not answer in time: {}", lost.why)),
    };
    // A server names the values that it refuses.
    let quoted = Quoted::of(&action.key, bodies, &prepared.around.rules);
    match said {
        Check::Fine => Check::Fine,
        Check::Refused(why) => Check::Refused(quoted.out_of(link.named(why).await)),
        Check::NotYet(why) => Check::NotYet(quoted.taken_out(&why)),
        Check::Unknown(why) => Check::Unknown(quoted.taken_out(&why)),
    }
}

fn question(action: &Action, bodies: &Bodies) -> Option<(Ask, &'static str)> {
    let own = request::object(&action.key, &action.version);
    let manners = request::manners(true);
    let live = bodies.before.as_ref().map(|b| (meta(&b.value, "uid"), meta(&b.value, "resourceVersion")));
    Some(match action.verb {
        Verb::Create => {
            let body = body(action, bodies.target.as_ref()?, None)?;
            let path = request::collection(&action.key, &action.version);
            (Ask::write(Method::POST, format!("{path}{manners}"), &body), "create")
        }
        Verb::Update => {
            let body = body(action, bodies.target.as_ref()?, live)?;
            (Ask::write(Method::PUT, format!("{own}{manners}"), &body), "update")
        }
        // The create that follows cannot be asked about while the object stands.
        Verb::Recreate | Verb::Delete => {
            let (uid, rv) = live?;
            let body = delete_options(uid, rv, action.propagation, true);
            (Ask::write(Method::DELETE, own, &body), "delete")
        }
    })
}

/// What has to be done first for the question to make sense.
fn depends(prepared: &Prepared, action: &Action, bodies: &Bodies) -> Option<String> {
    let creates = |key: &ObjectKey| prepared.plan.actions.iter().any(|a| a.verb == Verb::Create && a.key == *key);
    let namespace = &action.key.namespace;
    if !namespace.is_empty() && creates(&home(namespace)) {
        return Some(format!("namespace {namespace} is created first"));
    }
    let definition = definition(&action.key.group, &action.key.resource);
    if creates(&definition) {
        return Some(format!("its definition {} is created first", definition.name));
    }
    if action.verb == Verb::Create && action.live.is_some() {
        return Some("the one that is there is still being deleted".to_owned());
    }
    (!bodies.owners.is_empty() && action.verb != Verb::Delete).then(|| "its owner is created first".to_owned())
}

/// Whether the plan writes the definition of an object's kind.
fn defines(prepared: &Prepared, action: &Action) -> bool {
    let definition = definition(&action.key.group, &action.key.resource);
    prepared.plan.actions.iter().any(|a| a.verb != Verb::Delete && a.key == definition)
}

/// What stands in the way now and may be gone once the rest is done: a port, an address, a quota's room.
fn held(prepared: &Prepared, action: &Action, bodies: &Bodies, reply: &Reply) -> Option<Check> {
    let words = reply.message();
    match reply.status {
        422 | 500 if reply.status == 422 || reply.is_port_taken() => {
            let mut target = bodies.target.clone()?;
            rules::without_taken(&action.key.kind_key(), &mut target, &words)?;
            Some(Check::NotYet(format!("{words}; it is tried again when the rest is done, in the end without it")))
        }
        403 if reply.is_over_quota() && prepared.plan.makes_room(&action.key.namespace) => {
            Some(Check::NotYet(format!("{words}; it is tried again when the rest is done")))
        }
        _ => None,
    }
}

/// What a refusal means.
fn judge(action: &Action, verb: &str, reply: &Reply) -> Check {
    let words = reply.message();
    match reply.status {
        // Webhooks that do more than answer cannot be tried out.
        400 if words.contains("does not support dry run") => Check::Unknown(words),
        // The object is written to all the time: the write itself reads it again.
        409 if reply.reason() == "Conflict" => Check::Fine,
        // It is gone already.
        404 if action.verb == Verb::Delete => Check::Fine,
        _ => Check::Refused(explain(action, verb, reply)),
    }
}
