//! Asks the server what it would say to each action, without anything being done.
//!
//! **Invariants.** (1) Every write carries `dryRun=All`: a delete in its body, the others in their query. (2) What cannot be asked is told as such, never as allowed.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use hindcast_journal::{Parts, fold::ObjectKey};
use http::Method;

use super::{
    Settings,
    conflict::{Ground, meta},
    rehearsal::{self, Rehearsed},
    request::{self, Ask, Link, Lost, Reply},
    write::{body, delete_options, explain},
};
use crate::{
    full::Full,
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
    /// It would be done, but the server would not keep these fields as they are sent.
    NotKept(Vec<String>),
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
    let (link, writes) = (&link, &Writes::of(prepared));
    let asked = prepared.plan.actions.iter().map(|action| async move {
        let said = match prepared.bodies.get(&action.key) {
            Some(bodies) => one(link, (prepared, writes), action, bodies).await,
            None => Check::Unknown("the plan holds no body for it".to_owned()),
        };
        (action.key.clone(), said)
    });
    stream::iter(asked).buffer_unordered(settings.most.max(1)).collect().await
}

/// What a plan writes, found by its key.
struct Writes<'p>(BTreeMap<&'p ObjectKey, Verb>);

impl<'p> Writes<'p> {
    fn of(prepared: &'p Prepared) -> Self {
        Self(prepared.plan.actions.iter().map(|action| (&action.key, action.verb)).collect())
    }

    /// Whether an object is created, also where it is deleted for that.
    fn creates(&self, key: &ObjectKey) -> bool {
        matches!(self.0.get(key), Some(Verb::Create | Verb::Recreate))
    }

    /// Whether an object is as the plan wants it once the plan is done.
    fn puts_back(&self, key: &ObjectKey) -> bool {
        self.0.get(key).is_some_and(|verb| *verb != Verb::Delete)
    }
}

async fn one(link: &Link<'_>, (prepared, writes): (&Prepared, &Writes<'_>), action: &Action, bodies: &Bodies) -> Check {
    let Some((ask, verb)) = question(action, bodies) else {
        return Check::Unknown("the plan holds no body for it".to_owned());
    };
    if let Some(why) = depends(writes, action, bodies) {
        return Check::Unknown(why);
    }
    let said = match link.send(&ask).await {
        Ok(reply) if reply.is_success() && action.verb == Verb::Recreate => anew(link, prepared, action, bodies).await,
        Ok(reply) if reply.is_success() => return stored(prepared, action, bodies, &reply),
        Ok(reply) => held(prepared, action, bodies, &reply).unwrap_or_else(|| judge(writes, action, verb, &reply)),
        Err(lost) => unanswered(&lost),
    };
    // A server names the values that it refuses.
    let quoted = Quoted::of(&action.key, bodies, &prepared.around.rules);
    match said {
        said @ (Check::Fine | Check::NotKept(_)) => said,
        Check::Refused(why) => Check::Refused(quoted.out_of(link.named(why).await)),
        Check::NotYet(why) => Check::NotYet(quoted.taken_out(&why)),
        Check::Unknown(why) => Check::Unknown(quoted.taken_out(&why)),
    }
}

/// Whether it could be created once it is deleted.
async fn anew(link: &Link<'_>, prepared: &Prepared, action: &Action, bodies: &Bodies) -> Check {
    let random = link.parts.random.next_u64();
    let question = bodies.target.as_ref().and_then(|target| rehearsal::question(action, target, random));
    let Some(question) = question else { return Check::Unknown(rehearsal::SINGULAR.to_owned()) };
    let reply = match link.send(&question.ask).await {
        Ok(reply) => reply,
        Err(lost) => return unanswered(&lost),
    };
    match rehearsal::judge(action, &question, &reply) {
        Rehearsed::Fine => Check::Fine,
        Rehearsed::Unknown(why) => Check::Unknown(why),
        // What it holds itself is free when it is gone.
        Rehearsed::Refused(why) => held(prepared, action, bodies, &reply).map_or(Check::Refused(why), |_| Check::Fine),
    }
}

fn unanswered(lost: &Lost) -> Check {
    Check::Unknown(format!("the API server did not answer in time: {}", lost.why))
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
        // The create that follows is asked about under another name.
        Verb::Recreate | Verb::Delete => {
            let (uid, rv) = live?;
            let body = delete_options(uid, Some(rv), action.propagation, true);
            (Ask::write(Method::DELETE, own, &body), "delete")
        }
    })
}

/// Whether the server would store what was sent. What it adds is nobody's loss.
fn stored(prepared: &Prepared, action: &Action, bodies: &Bodies, reply: &Reply) -> Check {
    let (Some(target), false) = (&bodies.target, matches!(action.verb, Verb::Delete | Verb::Recreate)) else {
        return Check::Fine;
    };
    let Ok(answer) = reply.object() else { return Check::Fine };
    let sent = Full { value: target.clone(), managed: bodies.managed.clone() };
    let (around, redact) = (&prepared.around, bodies.redact.as_slice());
    let ground = Ground { key: &action.key, around, parts: &[], redact, hmac: None };
    let changed = ground.differences(&sent, &answer, None);
    let lost: Vec<String> = changed.into_iter().filter(|change| change.from.is_some()).map(|c| c.path).collect();
    if lost.is_empty() { Check::Fine } else { Check::NotKept(lost) }
}

/// What has to be done first for the question to make sense.
fn depends(writes: &Writes<'_>, action: &Action, bodies: &Bodies) -> Option<String> {
    let namespace = &action.key.namespace;
    if !namespace.is_empty() && writes.creates(&home(namespace)) {
        return Some(format!("namespace {namespace} is created first"));
    }
    let definition = definition(&action.key.group, &action.key.resource);
    if writes.creates(&definition) {
        return Some(format!("checked once its definition {} is there", definition.name));
    }
    if action.verb == Verb::Create && action.live.is_some() {
        return Some("the one that is there is still being deleted".to_owned());
    }
    (!bodies.owners.is_empty() && action.verb != Verb::Delete).then(|| "its owner is created first".to_owned())
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

/// Whether the plan changes the definition of an object's kind, which takes by then what it does not take now.
fn redefined(writes: &Writes<'_>, action: &Action) -> Option<String> {
    let definition = definition(&action.key.group, &action.key.resource);
    writes.puts_back(&definition).then(|| format!("checked once its definition {} is put back", definition.name))
}

/// What a refusal means.
fn judge(writes: &Writes<'_>, action: &Action, verb: &str, reply: &Reply) -> Check {
    let words = reply.message();
    match reply.status {
        _ if reply.has_no_dry_run() => Check::Unknown(words),
        // The object is written to all the time: the write itself reads it again.
        409 if reply.reason() == "Conflict" => Check::Fine,
        // It is gone already.
        404 if action.verb == Verb::Delete => Check::Fine,
        400 | 404 | 422 if let Some(why) = redefined(writes, action) => Check::NotYet(why),
        _ => Check::Refused(explain(action, verb, reply)),
    }
}
