//! Google Compute Engine, as much as snapshots and disks need, strict.
//!
//! Written from Google's published reference: the resources `snapshots`, `disks`, `regionDisks`, `globalOperations`,
//! `zoneOperations` and `regionOperations` of the Compute Engine API v1, "Handling API responses" (operations, errors),
//! "Labeling resources" (what labels may hold), and, for the token, `sts.googleapis.com` v1 `token` (RFC 8693).
//!
//! Strict: an unknown path, verb, parameter or field of a body is an error, as are a 64-bit number that is no string, a name or
//! label against the rules, a `requestId` that is no UUID, a filter outside the documented grammar, and a wrong token. A
//! `requestId` that came before is answered with its operation. An operation goes from `PENDING` over `RUNNING` to `DONE`
//! as it is asked for; a snapshot from `CREATING` over `UPLOADING` to `READY` in its time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    faults::{Fault, Faults, Op},
    rules::{label, name, uuid},
    serve::{Cloud, Reply, answer},
};

/// The token that the front takes, which it gives for [`SUBJECT`].
const TOKEN: &str = "ya29.of-the-testbed";
/// The token of a workload that may have a token of Google's.
pub const SUBJECT: &str = "the token of a service account of the testbed";
/// The audience that it is exchanged for.
const AUDIENCE: &str = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k";
/// How long a snapshot is being created, and then uploaded.
const STEP: Duration = Duration::from_millis(40);

/// A project of Compute Engine.
#[derive(Debug)]
pub struct Gce(Cloud<State>);

#[derive(Debug, Default)]
struct State {
    snapshots: BTreeMap<String, (Value, Instant)>,
    /// By their path from `projects/` on.
    disks: BTreeMap<String, Value>,
    /// By their scope and name, with how often each was asked for, and since when it runs.
    operations: BTreeMap<String, (Value, u32, Instant)>,
    /// The operation of each `requestId`.
    requests: BTreeMap<String, String>,
    number: u64,
}

/// An answer that is no error, or status, reason and message of one.
type Answered = Result<Value, (u16, &'static str, String)>;

impl Gce {
    /// A project without disks.
    pub async fn start() -> Result<Self> {
        Cloud::start(serve).await.map(Self)
    }

    /// What strikes.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// The credentials file of a workload whose token is in this file.
    pub fn federation(&self, token_file: &str) -> String {
        let file = json!({
            "type": "external_account",
            "audience": AUDIENCE,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{}/v1/token", self.url()),
            "credential_source": { "file": token_file },
        });
        file.to_string()
    }

    /// A disk of so many GiB at this path: `projects/P/zones/Z/disks/D`, or in a region.
    pub fn add_disk(&self, path: &str, size: u64) {
        let name = path.rsplit('/').next().unwrap_or_default();
        let disk = json!({ "kind": "compute#disk", "name": name, "sizeGb": size.to_string(), "status": "READY", "labels": {} });
        self.0.state().disks.insert(path.to_owned(), disk);
    }

    /// Takes a disk away.
    pub fn lose(&self, path: &str) {
        self.0.state().disks.remove(path);
    }

    /// A snapshot that somebody else made.
    pub fn foreign(&self) -> String {
        let mut state = self.0.state();
        state.number += 1;
        let name = format!("foreign-{}", state.number);
        let made = json!({ "kind": "compute#snapshot", "name": name, "labels": {"team": "other"}, "diskSizeGb": "8" });
        state.snapshots.insert(name.clone(), (made, Instant::now()));
        name
    }

    /// How many snapshots bear this label.
    pub fn count(&self, label: &str, value: &str) -> usize {
        let state = self.0.state();
        state.snapshots.values().filter(|(made, _)| made["labels"][label] == value).count()
    }

    /// Whether there is a snapshot of this name.
    pub fn has(&self, snapshot: &str) -> bool {
        self.0.state().snapshots.contains_key(snapshot)
    }

    /// The disks that were made from a snapshot.
    pub fn disks_of(&self, snapshot: &str) -> Vec<Value> {
        let from = format!("/global/snapshots/{snapshot}");
        let state = self.0.state();
        let of = |disk: &&Value| disk["sourceSnapshot"].as_str().is_some_and(|source| source.ends_with(&from));
        state.disks.values().filter(of).cloned().collect()
    }
}

fn serve(state: &mut State, faults: &Faults, request: &Request<Bytes>) -> Reply {
    let path = request.uri().path();
    let method = request.method().as_str();
    if path == "/v1/token" {
        return token(method, request.body());
    }
    let bearer = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    if bearer != Some(&format!("Bearer {TOKEN}")) {
        return refused(401, "authError", "Invalid Credentials", None);
    }
    let Some(parts) = path.strip_prefix("/compute/v1/projects/").map(|path| path.split('/').collect::<Vec<_>>()) else {
        return refused(404, "notFound", "no such path", None);
    };
    let op = match (method, parts.as_slice()) {
        ("POST", [_, "global", "snapshots"]) => Op::Create,
        ("GET", [_, "global", "snapshots"]) => Op::List,
        ("GET", [_, "global", "snapshots", _]) => Op::Look,
        ("DELETE", [_, "global", "snapshots", _]) => Op::Delete,
        ("GET", [_, "global", "operations", _] | [_, "zones" | "regions", _, "operations", _]) => Op::Wait,
        ("POST", [_, "zones" | "regions", _, "disks"]) => Op::Make,
        ("GET", [_, "zones" | "regions", _, "disks", _]) => Op::Disk,
        ("DELETE", [_, "zones" | "regions", _, "disks", _]) => Op::Remove,
        _ => return refused(404, "notFound", &format!("{method} {path} is not served"), None),
    };
    let fault = faults.strike(op);
    match fault {
        Some(Fault::Throttled(None)) => return refused(403, "rateLimitExceeded", "Rate Limit Exceeded", None),
        Some(Fault::Throttled(after)) => return refused(429, "rateLimitExceeded", "Too many requests", after),
        Some(Fault::Broken) => return refused(503, "backendError", "Backend Error", None),
        Some(Fault::Unknown) => return refused(401, "authError", "Invalid Credentials", None),
        Some(Fault::Forbidden) => return refused(403, "forbidden", "Required permission is missing", None),
        Some(Fault::Quota) => return refused(403, "quotaExceeded", "Quota 'SNAPSHOTS' exceeded.", None),
        Some(Fault::Cut) => return Reply::Cut,
        Some(Fault::Lost) | None => {}
    }
    let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
    let answered = body_of(op, request.body()).and_then(|body| act(state, faults, op, &parts, &query, body));
    match (fault, answered) {
        (Some(Fault::Lost), _) => Reply::Cut,
        (_, Ok(value)) => Reply::Answer(answer(200, "application/json; charset=UTF-8", value.to_string())),
        (_, Err((status, reason, message))) => refused(status, reason, &message, None),
    }
}

fn refused(status: u16, reason: &str, message: &str, after: Option<u64>) -> Reply {
    let body = json!({ "error": {
        "code": status, "message": message,
        "errors": [{ "message": message, "domain": "global", "reason": reason }],
    }});
    let mut refusal = answer(status, "application/json; charset=UTF-8", body.to_string());
    if let Some(after) = after {
        refusal.headers_mut().insert("retry-after", after.into());
    }
    Reply::Answer(refusal)
}

/// Exchanges a workload's token.
fn token(method: &str, body: &[u8]) -> Reply {
    let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
    let is = |name: &str, value: &str| form.get(name).is_some_and(|given| given == value);
    let known =
        ["grant_type", "audience", "scope", "requested_token_type", "subject_token", "subject_token_type", "options"];
    let right = method == "POST"
        && form.keys().all(|name| known.contains(&name.as_str()))
        && is("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
        && is("requested_token_type", "urn:ietf:params:oauth:token-type:access_token")
        && is("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")
        && is("audience", AUDIENCE)
        && is("subject_token", SUBJECT)
        && form.get("scope").is_some_and(|scope| scope.starts_with("https://www.googleapis.com/auth/"));
    let (status, body) = match right {
        true => (
            200,
            json!({
                "access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600,
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            }),
        ),
        false => (400, json!({ "error": "invalid_grant", "error_description": "the token is not to be exchanged" })),
    };
    Reply::Answer(answer(status, "application/json", body.to_string()))
}

fn invalid(message: impl Into<String>) -> (u16, &'static str, String) {
    (400, "invalid", message.into())
}

fn missing(path: &str) -> (u16, &'static str, String) {
    (404, "notFound", format!("The resource '{path}' was not found"))
}

/// The body, which only what is made has.
fn body_of(op: Op, body: &[u8]) -> Result<Value, (u16, &'static str, String)> {
    let known: &[&str] = match op {
        Op::Create => &[
            "name",
            "description",
            "labels",
            "sourceDisk",
            "snapshotType",
            "storageLocations",
            "guestFlush",
            "locationHint",
        ],
        Op::Make => &[
            "name",
            "description",
            "labels",
            "sizeGb",
            "sourceSnapshot",
            "type",
            "replicaZones",
            "provisionedIops",
            "provisionedThroughput",
            "diskEncryptionKey",
            "physicalBlockSizeBytes",
            "accessMode",
        ],
        _ if body.is_empty() => return Ok(Value::Null),
        _ => return Err(invalid("a body where none belongs")),
    };
    let value: Value = serde_json::from_slice(body).map_err(|error| invalid(format!("no JSON: {error}")))?;
    let object = value.as_object().ok_or_else(|| invalid("no object"))?;
    if let Some(unknown) = object.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(invalid(format!("Invalid JSON payload received. Unknown name \"{unknown}\": Cannot find field.")));
    }
    if !object.get("name").and_then(Value::as_str).is_some_and(name) {
        return Err(invalid(format!("Invalid value for field 'resource.name': '{}'.", value["name"])));
    }
    for number in ["sizeGb", "provisionedIops", "provisionedThroughput"] {
        let fits =
            object.get(number).is_none_or(|given| given.as_str().is_some_and(|text| text.parse::<i64>().is_ok()));
        if !fits {
            return Err(invalid(format!("{number} is a 64-bit number, which is a string in JSON")));
        }
    }
    let labels = object.get("labels").and_then(Value::as_object);
    let wrong = labels.into_iter().flatten().find(|(key, text)| !label(key, text.as_str()));
    match wrong {
        Some((key, text)) => Err(invalid(format!("the label {key} = {text} is against the rules"))),
        None => Ok(value),
    }
}

type Query = BTreeMap<String, String>;

fn act(state: &mut State, faults: &Faults, op: Op, parts: &[&str], query: &Query, body: Value) -> Answered {
    let own: &[&str] = match op {
        Op::Create | Op::Delete | Op::Make | Op::Remove => &["requestId"],
        Op::List => &["filter", "maxResults", "pageToken", "orderBy", "returnPartialSuccess"],
        Op::Look | Op::Wait | Op::Disk => &[],
    };
    for (name, value) in query {
        let system = match name.as_str() {
            "alt" | "$alt" => value == "json",
            "$apiVersion" => value.len() == 10 && value.bytes().all(|b| b.is_ascii_digit() || b == b'-'),
            "prettyPrint" => true,
            _ => own.contains(&name.as_str()),
        };
        if !system {
            return Err(invalid(format!("Unknown parameter {name}={value}")));
        }
    }
    let request = query.get("requestId");
    if let Some(id) = request {
        if !uuid(id) {
            return Err(invalid(format!("Invalid value for field 'requestId': '{id}'. It must be a valid UUID.")));
        }
        if let Some(operation) = state.requests.get(id) {
            return Ok(state.operations[operation].0.clone());
        }
    }
    let scope = parts[..parts.len().saturating_sub(if matches!(op, Op::Create | Op::List | Op::Make) { 1 } else { 2 })]
        .join("/");
    let last = parts.last().copied().unwrap_or_default();
    let project = parts[0];
    match op {
        Op::Create => {
            let source = body["sourceDisk"].as_str().unwrap_or_default().to_owned();
            let source = source.find("projects/").map_or(source.as_str(), |at| &source[at..]).to_owned();
            let Some(disk) = state.disks.get(&source) else {
                return Err(missing(&source));
            };
            let name = body["name"].as_str().unwrap_or_default().to_owned();
            if state.snapshots.contains_key(&name) {
                let path = format!("projects/{project}/global/snapshots/{name}");
                return Err((409, "alreadyExists", format!("The resource '{path}' already exists")));
            }
            let mut made = body;
            made["kind"] = "compute#snapshot".into();
            made["sourceDisk"] = format!("https://www.googleapis.com/compute/v1/{source}").into();
            made["diskSizeGb"] = disk["sizeGb"].clone();
            made["creationTimestamp"] = now();
            state.snapshots.insert(name.clone(), (made, Instant::now()));
            Ok(state.begin(&scope, "createSnapshot", &name, request))
        }
        Op::Look => state.snapshot(last).ok_or_else(|| missing(&format!("projects/{project}/global/snapshots/{last}"))),
        Op::List => list(state, faults, query),
        Op::Delete => match state.snapshot(last) {
            None => Err(missing(&format!("projects/{project}/global/snapshots/{last}"))),
            Some(made) if made["status"] == "CREATING" => {
                Err((400, "resourceNotReady", format!("The resource '{last}' is not ready")))
            }
            Some(_) => {
                state.snapshots.remove(last);
                Ok(state.begin(&scope, "delete", last, request))
            }
        },
        Op::Wait => {
            let key = format!("{scope}/{last}");
            let Some((operation, asked, begun)) = state.operations.get_mut(&key) else {
                return Err(missing(&key));
            };
            *asked += 1;
            let (status, progress) = if *asked > 1 || begun.elapsed() > STEP { ("DONE", 100) } else { ("RUNNING", 50) };
            operation["status"] = status.into();
            operation["progress"] = progress.into();
            Ok(operation.clone())
        }
        Op::Make => make(state, parts, &scope, body, request),
        Op::Disk => {
            let path = format!("projects/{}", parts.join("/"));
            state.disks.get(&path).cloned().ok_or_else(|| missing(&path))
        }
        Op::Remove => {
            let path = format!("projects/{}", parts.join("/"));
            state.disks.remove(&path).ok_or_else(|| missing(&path))?;
            Ok(state.begin(&scope, "delete", last, request))
        }
    }
}

fn make(state: &mut State, parts: &[&str], scope: &str, body: Value, request: Option<&String>) -> Answered {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let path = format!("projects/{}/{}", parts.join("/"), text("name"));
    let source = text("sourceSnapshot");
    let snapshot = source.rsplit('/').next().unwrap_or_default();
    let wanted = format!("projects/{}/global/snapshots/{snapshot}", parts[0]);
    let Some(from) = state.snapshot(snapshot).filter(|_| source.ends_with(&wanted)) else {
        return Err(missing(&source));
    };
    if from["status"] != "READY" {
        return Err((400, "resourceNotReady", format!("The resource '{source}' is not ready")));
    }
    if state.disks.contains_key(&path) {
        return Err((409, "alreadyExists", format!("The resource '{path}' already exists")));
    }
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    if number(&body["sizeGb"]) < number(&from["diskSizeGb"]) {
        return Err(invalid("Requested disk size cannot be smaller than the snapshot size"));
    }
    let kind = format!("projects/{}/diskTypes/", parts[..parts.len() - 1].join("/"));
    if body.get("type").is_some_and(|given| !given.as_str().is_some_and(|given| given.contains(&kind))) {
        return Err(invalid(format!("Invalid value for field 'resource.type': '{}'", body["type"])));
    }
    let zones = body["replicaZones"].as_array().map_or(0, Vec::len);
    if (parts[1] == "regions") != (zones == 2) {
        return Err(invalid("a regional disk has two replicaZones, a zonal one none"));
    }
    let mut made = body;
    made["kind"] = "compute#disk".into();
    made["status"] = "READY".into();
    let name = text_of(&made, "name");
    state.disks.insert(path, made);
    Ok(state.begin(scope, "insert", &name, request))
}

fn text_of(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

impl State {
    /// A snapshot as it stands by now.
    fn snapshot(&self, name: &str) -> Option<Value> {
        let (made, at) = self.snapshots.get(name)?;
        let mut made = made.clone();
        let age = at.elapsed();
        let status = if age < STEP {
            "CREATING"
        } else if age < 2 * STEP {
            "UPLOADING"
        } else {
            "READY"
        };
        made["status"] = status.into();
        Some(made)
    }

    /// An operation that was begun.
    fn begin(&mut self, scope: &str, kind: &str, target: &str, request: Option<&String>) -> Value {
        self.number += 1;
        let name = format!("operation-{}", self.number);
        let operation = json!({
            "kind": "compute#operation", "id": self.number.to_string(), "name": name, "operationType": kind,
            "targetLink": format!("https://www.googleapis.com/compute/v1/projects/{scope}/{target}"),
            "status": "PENDING", "progress": 0, "insertTime": now(),
        });
        let key = format!("{scope}/{name}");
        if let Some(id) = request {
            self.requests.insert(id.clone(), key.clone());
        }
        self.operations.insert(key, (operation.clone(), 0, Instant::now()));
        operation
    }
}

fn now() -> Value {
    jiff::Timestamp::now().to_string().into()
}

/// A page of what bears the labels of the filter.
fn list(state: &State, faults: &Faults, query: &Query) -> Answered {
    let mut wanted = Vec::new();
    let mut rest = query.get("filter").map_or("", String::as_str).trim();
    while !rest.is_empty() {
        let wrong = || invalid(format!("Invalid value for field 'filter': '{rest}'"));
        let (term, after) = rest.strip_prefix("(labels.").and_then(|term| term.split_once(')')).ok_or_else(wrong)?;
        let (name, value) = term.split_once(" = ").ok_or_else(wrong)?;
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).ok_or_else(wrong)?;
        wanted.push((name, value));
        rest = after.trim_start();
    }
    let most = match query.get("maxResults") {
        None => 500,
        Some(text) => {
            text.parse().ok().filter(|most| *most <= 500).ok_or_else(|| invalid("maxResults is at most 500"))?
        }
    };
    let from: usize = match query.get("pageToken") {
        None => 0,
        Some(text) => {
            text.strip_prefix("page-").and_then(|n| n.parse().ok()).ok_or_else(|| invalid("no pageToken of ours"))?
        }
    };
    let shown = state.snapshots.iter().filter(|(_, (made, at))| {
        at.elapsed() >= faults.late() && wanted.iter().all(|(name, value)| made["labels"][name] == *value)
    });
    let shown: Vec<Value> = shown.filter_map(|(name, _)| state.snapshot(name)).collect();
    let items: Vec<Value> = shown.iter().skip(from).take(most).cloned().collect();
    let mut page = json!({ "kind": "compute#snapshotList", "items": items });
    if from + most < shown.len() {
        page["nextPageToken"] = format!("page-{}", from + most).into();
    }
    Ok(page)
}
