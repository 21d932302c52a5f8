//! Writes over HTTP, as a restore sends them: create, replace, merge patch, and delete.
//!
//! **Invariants.** (1) A write that names a uid or a revision is for that version of that object alone; any other is a
//! conflict. (2) What the server owns of an object (identity, generation, status) is not the client's to write; who
//! sets `managedFields` says who owns what, and is not added to them. Not here: dry runs, server-side apply, admission,
//! owners and their garbage collection: nothing in a simulated cluster has any. Start at [`answer`].

use http::Method;

use super::{
    Server,
    serve::{Ask, Refusal, one},
    state::{self, Key},
};
use crate::sim::json::{Json, obj};

/// What the server sets of an object's metadata, whatever a client says.
const OWN: [&str; 5] = ["name", "namespace", "uid", "creationTimestamp", "generation"];

/// Does what is asked; status and body.
pub(super) fn answer(server: &Server, method: &Method, ask: &Ask, body: &[u8]) -> Result<(u16, Json), Refusal> {
    if !ask.param("dryRun").is_empty() {
        return Err(invalid("dry runs are not simulated"));
    }
    let body = std::str::from_utf8(body).ok().and_then(Json::parse).ok_or_else(|| invalid("the body is no JSON"))?;
    match *method {
        Method::POST => create(server, ask, body),
        Method::PUT => change(server, ask, &body, |object| replace(object, &body)),
        Method::PATCH => change(server, ask, &body, |object| {
            merge(object, &body);
            object.at("metadata").remove("resourceVersion");
            // One empty entry takes all of them away: an empty list is taken for "not given".
            if let Json::Arr(entries) = object.at("metadata").at("managedFields") {
                entries.retain(|entry| *entry != obj([]));
            }
        }),
        Method::DELETE => delete(server, ask, &body),
        _ => Err(Refusal::new(405, "MethodNotAllowed", format!("{method} is not simulated"))),
    }
}

fn invalid(why: &str) -> Refusal {
    Refusal::new(400, "BadRequest", why.to_owned())
}

fn create(server: &Server, ask: &Ask, mut object: Json) -> Result<(u16, Json), Refusal> {
    let name = object.get("metadata").and_then(|m| m.get("name")).and_then(Json::text);
    let name = name.ok_or_else(|| invalid("an object needs a name"))?.to_owned();
    for given in ["apiVersion", "kind", "status"] {
        object.remove(given);
    }
    for own in OWN.into_iter().chain(["resourceVersion", "managedFields"]) {
        object.at("metadata").remove(own);
    }
    let ask = Ask { name, ..ask.clone() };
    let done = server.create_as(ask.param("fieldManager"), &ask.kind, &ask.namespace, &ask.name, object);
    done.map_err(|refused| why(refused, &ask, "already exists"))?;
    Ok((201, server.look(|state| one(state, &ask))?))
}

fn change(server: &Server, ask: &Ask, body: &Json, change: impl FnOnce(&mut Json)) -> Result<(u16, Json), Refusal> {
    let metadata = body.get("metadata");
    let named = |field: &str| metadata.and_then(|m| m.get(field)).and_then(Json::text).map(str::to_owned);
    condition(server, ask, named("uid"), named("resourceVersion"))?;
    let by = (ask.param("fieldManager"), "");
    let done = server.update(&ask.kind, &ask.namespace, &ask.name, by, change);
    done.map_err(|refused| why(refused, ask, "not found"))?;
    Ok((200, server.look(|state| one(state, ask))?))
}

fn delete(server: &Server, ask: &Ask, options: &Json) -> Result<(u16, Json), Refusal> {
    let conditions = options.get("preconditions");
    let named = |field: &str| conditions.and_then(|c| c.get(field)).and_then(Json::text).map(str::to_owned);
    condition(server, ask, named("uid"), named("resourceVersion"))?;
    server.delete(&ask.kind, &ask.namespace, &ask.name).map_err(|refused| why(refused, ask, "not found"))?;
    let done = obj([("kind", "Status".into()), ("apiVersion", "v1".into()), ("status", "Success".into())]);
    Ok((200, done))
}

/// Whether the object is the one, in the version, that the request is for.
fn condition(server: &Server, ask: &Ask, uid: Option<String>, rv: Option<String>) -> Result<(), Refusal> {
    let key: Key = (ask.namespace.clone(), ask.name.clone());
    let stands = server.look(|state| {
        let event = state.kinds.get(&ask.kind).and_then(|ks| ks.living(&key));
        event.map(|event| (event.uid.clone(), event.rv.to_string()))
    });
    let (is_uid, is_rv) = stands.ok_or_else(|| Refusal::absent(ask))?;
    if uid.is_some_and(|uid| uid != is_uid) || rv.is_some_and(|rv| rv != is_rv) {
        let said = format!("Operation cannot be fulfilled on {} {:?}: it has been modified", ask.kind, ask.name);
        return Err(Refusal::new(409, "Conflict", said));
    }
    Ok(())
}

fn why(refused: state::Refused, ask: &Ask, said: &str) -> Refusal {
    match refused {
        state::Refused::Object if said == "not found" => Refusal::absent(ask),
        state::Refused::Object => Refusal::new(409, "AlreadyExists", format!("{} {:?} {said}", ask.kind, ask.name)),
        state::Refused::NoKind => {
            Refusal::new(404, "NotFound", "the server could not find the requested resource".to_owned())
        }
    }
}

/// The object as it is sent, but for what is the server's.
fn replace(object: &mut Json, sent: &Json) {
    let before = std::mem::replace(object, sent.clone());
    for given in ["apiVersion", "kind", "status"] {
        object.remove(given);
    }
    if let Some(status) = before.get("status") {
        object.set("status", status.clone());
    }
    object.at("metadata").remove("resourceVersion");
    for own in OWN.into_iter().chain(["managedFields"]) {
        match before.get("metadata").and_then(|m| m.get(own)) {
            Some(value) => object.at("metadata").set(own, value.clone()),
            None => drop(object.at("metadata").remove(own)),
        }
    }
}

/// RFC 7386.
fn merge(object: &mut Json, patch: &Json) {
    let Json::Obj(fields) = patch else {
        *object = patch.clone();
        return;
    };
    for (name, value) in fields {
        match value {
            Json::Null => drop(object.remove(name)),
            Json::Obj(_) => merge(object.at(name), value),
            _ => object.set(name, value.clone()),
        }
    }
}
