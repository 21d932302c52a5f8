//! Requests: their way through faults to an answer, and the answers but for watches and writes.
//!
//! **Invariants.** (1) All pages of a list are of one revision. (2) `Exact` answers from etcd whatever the caches say,
//! refuses what is compacted and what is not yet. (3) A consistent list brings the kind's cache up to date, as the
//! real one waits for. (4) Items of built-in kinds lack `apiVersion` and `kind` in lists, as on a real server; lists
//! of custom resources have `metadata` last.

use std::{collections::BTreeMap, io, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use hindcast_journal::parts::Micros;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use super::{
    Server, discovery,
    state::{Event, KindState, State, Trouble, http_date},
    watch, write,
};
use crate::sim::{
    faults::Fault,
    json::{Json, obj},
    world::Process,
};

/// The bytes of an answer.
pub(super) type Body = StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, io::Error>> + Send>>>;

/// What is asked of a kind.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    /// `group/resource`.
    pub(super) kind: String,
    /// The version asked for.
    pub(super) version: String,
    /// The namespace, empty for all.
    pub(super) namespace: String,
    /// The name, empty for all.
    pub(super) name: String,
    /// The query.
    pub(super) query: BTreeMap<String, String>,
    /// Whether only metadata is wanted.
    pub(super) partial: bool,
}

impl Ask {
    pub(super) fn param(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    pub(super) fn matches(&self, event: &Event) -> bool {
        let (namespace, name) = &event.key;
        (self.namespace.is_empty() || self.namespace == *namespace) && (self.name.is_empty() || self.name == *name)
    }
}

/// A refusal as a `Status`.
#[derive(Debug)]
pub(super) struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
    /// The object that is not there.
    absent: Option<String>,
}

impl Refusal {
    pub(super) fn new(code: u16, reason: &'static str, message: String) -> Self {
        Self { code, reason, message, absent: None }
    }

    /// There is no such object, which is told apart from a path that is not served by its name.
    pub(super) fn absent(ask: &Ask) -> Self {
        let message = format!("{} {:?} not found", ask.kind, ask.name);
        Self { absent: Some(ask.name.clone()), ..Self::new(404, "NotFound", message) }
    }

    pub(super) fn status(&self) -> Json {
        let mut status = obj([
            ("kind", "Status".into()),
            ("apiVersion", "v1".into()),
            ("metadata", obj([])),
            ("status", "Failure".into()),
            ("message", self.message.as_str().into()),
            ("reason", self.reason.into()),
            ("code", u64::from(self.code).into()),
        ]);
        if let Some(name) = &self.absent {
            status.set("details", obj([("name", name.as_str().into())]));
        }
        status
    }
}

/// Answers one request of a process.
pub(super) async fn answer(
    server: Server,
    process: Arc<Process>,
    request: Request<kube::client::Body>,
) -> Result<Response<Body>, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let request = Request::from_parts(head, body);
    process.step().await;
    let out = through(&server, &process, &request).await;
    process.running().await;
    out
}

async fn through(
    server: &Server,
    process: &Arc<Process>,
    request: &Request<Bytes>,
) -> Result<Response<Body>, io::Error> {
    let world = server.world();
    if process.is_partitioned() {
        process.reachable().await;
        return Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection reset"));
    }
    world.dawdle(1, 12).await;
    let boot = server.0.boot.get();
    if boot.is_none() || world.fires(Fault::ApiRefused) {
        return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused"));
    }
    if world.fires(Fault::ApiHang) {
        world.sleep(Duration::from_secs(90)).await;
        return Err(io::Error::new(io::ErrorKind::TimedOut, "connection timed out"));
    }
    if world.fires(Fault::ApiSlow) {
        world.dawdle(1000, 8000).await;
    }
    if world.fires(Fault::ApiTooMany) {
        let mut busy = refused(server.clock(), &Refusal::new(429, "TooManyRequests", "please try again later".into()));
        busy.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
        return Ok(busy);
    }
    if world.fires(Fault::ApiInternal) {
        return Ok(refused(server.clock(), &Refusal::new(500, "InternalError", "etcdserver: leader changed".into())));
    }
    let path = request.uri().path().to_owned();
    world.note(format_args!("{} asks {}", process.name, request.uri()));
    Ok(match path.trim_end_matches('/') {
        "/version" => json(
            server.clock(),
            200,
            &obj([("major", "1".into()), ("minor", "36".into()), ("gitVersion", "v1.36.3".into())]),
        ),
        "/api" => json(server.clock(), 200, &server.look(|state| discovery::document(state, true, world.now()))),
        "/apis" => json(server.clock(), 200, &server.look(|state| discovery::document(state, false, world.now()))),
        path => match ask(path, request) {
            Some(ask) if request.method() != http::Method::GET => written(server, &ask, request),
            Some(ask) => of_kind(server, process, ask).await,
            None => refused(server.clock(), &Refusal::new(404, "NotFound", format!("no such path: {path}"))),
        },
    })
}

/// What a path below `/api` or `/apis` asks.
fn ask(path: &str, request: &Request<Bytes>) -> Option<Ask> {
    let mut parts = path.trim_start_matches('/').split('/').peekable();
    let group = match parts.next()? {
        "api" => "",
        "apis" => parts.next()?,
        _ => return None,
    };
    let version = parts.next()?.to_owned();
    let mut rest: Vec<&str> = parts.collect();
    let mut namespace = String::new();
    if let ["namespaces", within, _, ..] = rest.as_slice() {
        (*within).clone_into(&mut namespace);
        rest.drain(..2);
    }
    let query = request.uri().query().unwrap_or("");
    let query: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let mut name = (*rest.get(1).unwrap_or(&"")).to_owned();
    for selector in query.get("fieldSelector").map_or("", String::as_str).split(',') {
        match selector.trim_start_matches('=').split_once('=') {
            Some(("metadata.name", value)) => value.trim_start_matches('=').clone_into(&mut name),
            Some(("metadata.namespace", value)) => value.trim_start_matches('=').clone_into(&mut namespace),
            _ => {}
        }
    }
    let accept = request.headers().get(http::header::ACCEPT).and_then(|v| v.to_str().ok());
    let partial = accept.is_some_and(|accept| accept.contains("as=PartialObjectMetadata"));
    Some(Ask { kind: format!("{group}/{}", rest.first()?), version, namespace, name, query, partial })
}

/// Answers a write.
fn written(server: &Server, ask: &Ask, request: &Request<Bytes>) -> Response<Body> {
    let (at, now) = (server.world().now(), server.clock());
    let allowed = server.look(|state| allowed(state, ask, at));
    match allowed.and_then(|()| write::answer(server, request.method(), ask, request.body())) {
        Ok((code, body)) => json(now, code, &body),
        Err(refusal) => refused(now, &refusal),
    }
}

/// Answers what is asked of a kind.
async fn of_kind(server: &Server, process: &Arc<Process>, ask: Ask) -> Response<Body> {
    let at = server.world().now();
    let now = server.clock();
    if let Err(refusal) = server.look(|state| allowed(state, &ask, at)) {
        return refused(now, &refusal);
    }
    match server.look(|state| state.kinds.get(&ask.kind).and_then(|ks| ks.trouble)) {
        None | Some(Trouble::Silent | Trouble::Mute) => {}
        Some(Trouble::Hangs) => server.world().sleep(Duration::from_mins(2)).await,
        Some(Trouble::Busy) => {
            return refused(now, &Refusal::new(429, "TooManyRequests", "storage is (re)initializing".into()));
        }
        Some(Trouble::Fails | Trouble::Refuses) => {
            let said = format!("conversion webhook for {} failed: connection refused", ask.kind);
            return refused(now, &Refusal::new(500, "InternalError", said));
        }
    }
    if matches!(ask.param("watch"), "true" | "1") {
        return match watch::open(server, process, ask) {
            Ok(body) => respond(now, 200, body),
            Err(refusal) => refused(now, &refusal),
        };
    }
    if !ask.name.is_empty() && !ask.query.contains_key("fieldSelector") {
        return match server.look(|state| one(state, &ask)) {
            Ok(object) => json(now, 200, &object),
            Err(refusal) => refused(now, &refusal),
        };
    }
    match server.change(|state, _| list(state, &ask)) {
        Ok(list) => json(now, 200, &list),
        Err(refusal) => {
            if refusal.reason == "Timeout" {
                server.world().sleep(Duration::from_secs(3)).await;
            }
            refused(now, &refusal)
        }
    }
}

fn allowed(state: &State, ask: &Ask, now: Micros) -> Result<(), Refusal> {
    let served = state
        .kinds
        .get(&ask.kind)
        .filter(|ks| ks.served && ks.answers_at <= now && ks.kind.served.contains(&ask.version));
    match served {
        None => Err(Refusal::new(404, "NotFound", "the server could not find the requested resource".into())),
        Some(ks) if ks.forbidden => {
            Err(Refusal::new(403, "Forbidden", format!("{} is forbidden: User \"hindcast\" cannot list it", ask.kind)))
        }
        Some(_) => Ok(()),
    }
}

pub(super) fn one(state: &State, ask: &Ask) -> Result<Json, Refusal> {
    let ks = state.kinds.get(&ask.kind);
    let found = ks.and_then(|ks| Some((ks, ks.living(&(ask.namespace.clone(), ask.name.clone()))?)));
    let (ks, event) = found.ok_or_else(|| Refusal::absent(ask))?;
    Ok(whole(ks, event, ask))
}

/// An object with its `apiVersion` and `kind`.
pub(super) fn whole(ks: &KindState, event: &Event, ask: &Ask) -> Json {
    let object = KindState::read(event, ks.schema());
    if ask.partial {
        let metadata = object.get("metadata").cloned().unwrap_or(Json::Null);
        return obj([
            ("kind", "PartialObjectMetadata".into()),
            ("apiVersion", "meta.k8s.io/v1".into()),
            ("metadata", metadata),
        ]);
    }
    let mut out =
        obj([("kind", ks.kind.kind.as_str().into()), ("apiVersion", ks.kind.api_version(&ask.version).into())]);
    if let (Json::Obj(out), Json::Obj(fields)) = (&mut out, object) {
        out.extend(fields);
    }
    out
}

/// A list: consistent, exact, or the next page of one.
fn list(state: &mut State, ask: &Ask) -> Result<Json, Refusal> {
    let ks = state.kinds.get(&ask.kind).expect("the caller checked that it is served");
    let domain = state.domains.get(ks.kind.domain).expect("every kind's domain exists");
    let (revision, compacted) = (domain.revision, domain.compacted);
    let expired = |what: &str| Refusal::new(410, "Expired", format!("{what}: the resource version is too old"));
    let (at, after) = match (ask.param("continue"), ask.param("resourceVersionMatch")) {
        ("", "Exact") => {
            let at = ask.param("resourceVersion").parse().unwrap_or(0);
            (at, None)
        }
        ("", _) => (revision, None),
        (token, _) => match token.split_once(' ').and_then(|(at, after)| Some((at.parse().ok()?, after))) {
            Some((at, after)) => (at, after.split_once('/')),
            None => return Err(Refusal::new(400, "BadRequest", "continue key is not valid".into())),
        },
    };
    if at > revision {
        return Err(Refusal::new(504, "Timeout", format!("Too large resource version: {at}, current: {revision}")));
    }
    if at < compacted {
        return Err(expired("The provided continue parameter or revision has expired"));
    }
    let limit = ask.param("limit").parse().ok().filter(|&n: &usize| n > 0).unwrap_or(usize::MAX);
    let all = ks.at(at);
    let mut chosen = all
        .into_values()
        .filter(|event| ask.matches(event))
        .filter(|event| after.is_none_or(|(ns, name)| (event.key.0.as_str(), event.key.1.as_str()) > (ns, name)));
    let page: Vec<&Event> = chosen.by_ref().take(limit).collect();
    let remaining = chosen.count();
    let mut metadata = obj([("resourceVersion", at.to_string().into())]);
    if let (Some(last), true) = (page.last(), remaining > 0) {
        metadata.set("continue", format!("{at} {}/{}", last.key.0, last.key.1));
        metadata.set("remainingItemCount", remaining as u64);
    }
    let items = page.into_iter().map(|event| {
        let mut item = whole(ks, event, ask);
        if !ks.kind.custom && !ask.partial {
            item.remove("kind");
            item.remove("apiVersion");
        }
        item
    });
    let items = Json::Arr(items.collect());
    let (kind, version) = if ask.partial {
        ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned())
    } else {
        (format!("{}List", ks.kind.kind), ks.kind.api_version(&ask.version))
    };
    let out = if ks.kind.custom {
        obj([("apiVersion", version.into()), ("items", items), ("kind", kind.into()), ("metadata", metadata)])
    } else {
        obj([("kind", kind.into()), ("apiVersion", version.into()), ("metadata", metadata), ("items", items)])
    };
    if at == revision
        && ask.param("resourceVersionMatch") != "Exact"
        && let Some(ks) = state.kinds.get_mut(&ask.kind)
    {
        ks.progress = at;
    }
    Ok(out)
}

/// An object's bytes. Lists must keep the order of their fields, so they are written unsalted.
pub(super) fn bytes(value: &Json) -> Bytes {
    let mut out = String::new();
    value.wire(0, &mut out);
    Bytes::from(out)
}

fn json(now: Micros, code: u16, value: &Json) -> Response<Body> {
    respond(now, code, Box::pin(stream::once(std::future::ready(Ok(bytes(value))))))
}

fn refused(now: Micros, refusal: &Refusal) -> Response<Body> {
    json(now, refusal.code, &refusal.status())
}

fn respond(
    now: Micros,
    code: u16,
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes, io::Error>> + Send>>,
) -> Response<Body> {
    let frames: Pin<Box<dyn Stream<Item = _> + Send>> = Box::pin(chunks.map(|chunk| chunk.map(Frame::data)));
    Response::builder()
        .status(code)
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(http::header::DATE, http_date(now))
        .body(StreamBody::new(frames))
        .expect("the parts of an answer are valid")
}
