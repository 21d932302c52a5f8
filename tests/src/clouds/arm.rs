//! Azure Resource Manager, as much as snapshots and managed disks need, strict.
//!
//! Written from Microsoft's published reference: "Snapshots" and "Disks" of the compute REST API, version 2024-03-02 (create or
//! update, get, delete, list by resource group); "Track asynchronous Azure operations" (201 and 202, `Azure-AsyncOperation`,
//! `Location`, `Retry-After`); "Use tags" (what a tag's name may not hold); "Throttling Resource Manager requests" (429);
//! and, for tokens, "OAuth 2.0 client credentials flow" of the Microsoft identity platform.
//!
//! Strict: another api-version, verb or parameter, an unknown field of a body, a body without its content type, a wrong token, a
//! name or tag against the rules, a source in another location, and an operation asked for before its `Retry-After` is over
//! are errors. A field that is `null` counts as not sent, as it does in Azure.

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
    serve::{Cloud, Reply, answer},
};

/// The subscription, the resource group and the location that there are.
pub const SUBSCRIPTION: &str = "0a000000-0000-4000-8000-000000000001";
/// The resource group.
pub const GROUP: &str = "hindcast";
/// The location of the group and of every disk.
pub const LOCATION: &str = "westeurope";
/// The application that may ask, in its tenant.
pub const CLIENT: &str = "0a000000-0000-4000-8000-00000000000c";
/// Its tenant.
pub const TENANT: &str = "0a000000-0000-4000-8000-00000000000d";
/// Its secret.
pub const SECRET: &str = "a secret of the testbed";
/// The token of a service account that it trusts.
pub const ASSERTION: &str = "a token of the testbed's service account";

const TOKEN: &str = "eyJ.of-the-testbed";
const VERSION: &str = "2024-03-02";
/// How many snapshots a page of a list holds.
const PAGE: usize = 5;
/// How long an operation goes on, and then a snapshot is copied.
const STEP: Duration = Duration::from_millis(40);

/// A subscription.
#[derive(Debug)]
pub struct ArmServer(Cloud<State>);

#[derive(Debug, Default)]
struct State {
    /// By their ids in lower case, with since when they are there.
    resources: BTreeMap<String, (Value, Instant)>,
    /// By number: since when, and when it was asked for last.
    operations: BTreeMap<u64, (Instant, Instant)>,
    /// The seconds of every `Retry-After` of an operation.
    pace: Option<u64>,
}

/// Status, headers and body of an answer, or status, code and message of an error.
type Answered = Result<(u16, Vec<(&'static str, String)>, Value), (u16, &'static str, String)>;

impl ArmServer {
    /// A subscription without disks.
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

    /// Every operation wants not to be asked for so many seconds.
    pub fn pace(&self, seconds: u64) {
        self.0.state().pace = Some(seconds);
    }

    /// A disk of so many GiB in a zone; its id.
    pub fn add_disk(&self, name: &str, size: u64, zone: &str) -> String {
        let id =
            format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/disks/{name}");
        let disk = json!({
            "id": id, "name": name, "type": "Microsoft.Compute/disks", "location": LOCATION, "zones": [zone],
            "sku": { "name": "Premium_LRS", "tier": "Premium" }, "tags": {},
            "properties": { "creationData": { "createOption": "Empty" }, "diskSizeGB": size, "provisioningState": "Succeeded" },
        });
        self.0.state().resources.insert(id.to_lowercase(), (disk, long_ago()));
        id
    }

    /// A snapshot that somebody else made; its id.
    pub fn foreign(&self, name: &str) -> String {
        let id = format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/snapshots/{name}"
        );
        let snapshot = json!({
            "id": id, "name": name, "location": LOCATION, "tags": { "team": "other" },
            "properties": { "creationData": { "createOption": "Copy" }, "diskSizeGB": 8, "provisioningState": "Succeeded" },
        });
        self.0.state().resources.insert(id.to_lowercase(), (snapshot, long_ago()));
        id
    }

    /// Takes a disk away.
    pub fn lose(&self, id: &str) {
        self.0.state().resources.remove(&id.to_lowercase());
    }

    /// How many snapshots bear this tag.
    pub fn count(&self, tag: &str, value: &str) -> usize {
        let state = self.0.state();
        let of =
            |(id, (made, _)): &(&String, &(Value, Instant))| id.contains("/snapshots/") && made["tags"][tag] == value;
        state.resources.iter().filter(of).count()
    }

    /// Whether there is a resource of this id.
    pub fn has(&self, id: &str) -> bool {
        self.0.state().resources.contains_key(&id.to_lowercase())
    }

    /// The disks that were made from a snapshot.
    pub fn disks_of(&self, snapshot: &str) -> Vec<Value> {
        let state = self.0.state();
        let from =
            |made: &Value| made["properties"]["creationData"]["sourceResourceId"].as_str().map(str::to_lowercase);
        let of = |(id, (made, _)): &(&String, &(Value, Instant))| {
            id.contains("/disks/") && from(made) == Some(snapshot.to_lowercase())
        };
        state.resources.iter().filter(of).map(|(_, (made, _))| made.clone()).collect()
    }
}

fn long_ago() -> Instant {
    Instant::now().checked_sub(Duration::from_mins(1)).unwrap_or_else(Instant::now)
}

fn refused(status: u16, code: &str, message: &str, after: Option<u64>) -> Reply {
    let body = json!({ "error": { "code": code, "message": message } });
    let mut refusal = answer(status, "application/json; charset=utf-8", body.to_string());
    if let Some(after) = after {
        refusal.headers_mut().insert("retry-after", after.into());
    }
    Reply::Answer(refusal)
}

fn serve(state: &mut State, faults: &Faults, request: &Request<Bytes>) -> Reply {
    let (path, method) = (request.uri().path(), request.method().as_str());
    if path.ends_with("/oauth2/v2.0/token") || path.starts_with("/metadata/") {
        return token(request);
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return refused(401, "InvalidAuthenticationToken", "The access token is invalid.", None);
    }
    let lower = path.to_lowercase();
    let parts: Vec<&str> = lower.split('/').skip(1).collect();
    let op = match (method, parts.as_slice()) {
        ("PUT", ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.compute", "snapshots", _]) => {
            Op::Create
        }
        ("GET", ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.compute", "snapshots", _]) => {
            Op::Look
        }
        ("GET", ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.compute", "snapshots"]) => Op::List,
        ("DELETE", ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.compute", "snapshots", _]) => {
            Op::Delete
        }
        ("PUT", ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.compute", "disks", _]) => Op::Make,
        ("GET", ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.compute", "disks", _]) => Op::Disk,
        ("DELETE", ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.compute", "disks", _]) => {
            Op::Remove
        }
        ("GET", ["subscriptions", _, "providers", "microsoft.compute", "locations", _, "diskoperations", _]) => {
            Op::Wait
        }
        _ => return refused(404, "InvalidResourceType", &format!("{method} {path} is not served"), None),
    };
    let fault = faults.strike(op);
    match fault {
        Some(Fault::Throttled(after)) => return refused(429, "TooManyRequests", "The request was throttled.", after),
        Some(Fault::Broken) => {
            return refused(500, "InternalExecutionError", "An internal execution error occurred.", None);
        }
        Some(Fault::Unknown) => return refused(401, "ExpiredAuthenticationToken", "The access token expired.", None),
        Some(Fault::Forbidden) => return refused(403, "AuthorizationFailed", "The client is not authorized.", None),
        Some(Fault::Quota) => return refused(409, "SnapshotCountExceeded", "The snapshot count is exceeded.", None),
        Some(Fault::Cut) => return Reply::Cut,
        Some(Fault::Lost) | None => {}
    }
    let query: BTreeMap<String, String> =
        form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
    let host = header("host").unwrap_or_default();
    let typed = header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    let answered = checked(op, &parts, &query, typed, request.body())
        .and_then(|body| act(state, faults, op, path, &query, host, body));
    match (fault, answered) {
        (Some(Fault::Lost), _) => Reply::Cut,
        (_, Ok((status, headers, body))) => {
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let mut answer = answer(status, "application/json; charset=utf-8", body);
            for (name, value) in headers {
                answer.headers_mut().insert(name, value.parse().expect("it is made here"));
            }
            Reply::Answer(answer)
        }
        (_, Err((status, code, message))) => refused(status, code, &message, None),
    }
}

/// Gives a token to who is known.
fn token(request: &Request<Bytes>) -> Reply {
    let form = |text: &[u8]| form_urlencoded::parse(text).into_owned().collect::<BTreeMap<String, String>>();
    let is =
        |form: &BTreeMap<String, String>, name: &str, value: &str| form.get(name).is_some_and(|given| given == value);
    let given = match request.method().as_str() {
        "POST" => {
            let form = form(request.body());
            let whole = request.uri().path() == format!("/{TENANT}/oauth2/v2.0/token")
                && is(&form, "client_id", CLIENT)
                && is(&form, "grant_type", "client_credentials")
                && form.get("scope").is_some_and(|scope| scope.ends_with("/.default"));
            let secret = form.len() == 4 && is(&form, "client_secret", SECRET);
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            let assertion =
                form.len() == 5 && is(&form, "client_assertion_type", kind) && is(&form, "client_assertion", ASSERTION);
            whole && (secret || assertion)
        }
        "GET" => {
            let form = form(request.uri().query().unwrap_or_default().as_bytes());
            request.uri().path() == "/metadata/identity/oauth2/token"
                && request.headers().get("metadata").is_some_and(|value| value == "true")
                && is(&form, "api-version", "2018-02-01")
                && form.contains_key("resource")
                && form.get("client_id").is_none_or(|id| id == CLIENT)
        }
        _ => false,
    };
    // The machine's endpoint says numbers as text.
    let ends = if request.method() == "GET" { json!("3599") } else { json!(3599) };
    let (status, body) = match given {
        true => (200, json!({ "token_type": "Bearer", "expires_in": ends, "access_token": TOKEN })),
        false => (
            401,
            json!({ "error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided." }),
        ),
    };
    Reply::Answer(answer(status, "application/json; charset=utf-8", body.to_string()))
}

fn wrong(code: &'static str, message: impl Into<String>) -> (u16, &'static str, String) {
    (400, code, message.into())
}

/// The members of an object that are not among these, by their path.
fn unknown(value: &Value, path: &str, known: &dyn Fn(&str) -> bool) -> Option<String> {
    let members = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    for (name, value) in members {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if path.starts_with("tags.") {
            continue;
        }
        if !known(&path) {
            return Some(path);
        }
        if let Some(unknown) = unknown(value, &path, known) {
            return Some(unknown);
        }
    }
    None
}

/// What holds for every request, and the body that only a PUT has.
fn checked(
    op: Op,
    parts: &[&str],
    query: &BTreeMap<String, String>,
    typed: bool,
    body: &[u8],
) -> Result<Value, (u16, &'static str, String)> {
    let Some(version) = query.get("api-version") else {
        return Err(wrong("MissingApiVersionParameter", "The api-version query parameter is required."));
    };
    if version != VERSION {
        return Err(wrong("NoRegisteredProviderFound", format!("No provider for the api-version {version}.")));
    }
    let own: &[&str] = if op == Op::List { &["api-version", "$skiptoken"] } else { &["api-version"] };
    if let Some(other) = query.keys().find(|name| !own.contains(&name.as_str())) {
        return Err(wrong("InvalidParameter", format!("the parameter {other} is not known")));
    }
    if parts[1] != SUBSCRIPTION {
        return Err((404, "SubscriptionNotFound", format!("The subscription '{}' could not be found.", parts[1])));
    }
    if op != Op::Wait && parts[3] != GROUP {
        return Err((404, "ResourceGroupNotFound", format!("Resource group '{}' could not be found.", parts[3])));
    }
    if !matches!(op, Op::Create | Op::Make) {
        return if body.is_empty() {
            Ok(Value::Null)
        } else {
            Err(wrong("InvalidRequestContent", "a body where none belongs"))
        };
    }
    if !typed {
        return Err((415, "UnsupportedMediaType", "The content media type must be application/json.".into()));
    }
    let value: Value =
        serde_json::from_slice(body).map_err(|error| wrong("InvalidRequestContent", error.to_string()))?;
    let common = [
        "location",
        "tags",
        "sku",
        "sku.name",
        "properties",
        "properties.creationData",
        "properties.creationData.createOption",
        "properties.creationData.sourceResourceId",
        "properties.diskSizeGB",
        "properties.encryption",
        "properties.encryption.diskEncryptionSetId",
        "properties.encryption.type",
        "properties.networkAccessPolicy",
    ];
    let only: &[&str] = match op {
        Op::Create => &["properties.incremental"],
        _ => &[
            "zones",
            "properties.diskIOPSReadWrite",
            "properties.diskMBpsReadWrite",
            "properties.maxShares",
            "properties.tier",
        ],
    };
    if let Some(path) = unknown(&value, "", &|path| common.contains(&path) || only.contains(&path)) {
        return Err(wrong("InvalidRequestContent", format!("Could not find member '{path}' on object of type.")));
    }
    let name = parts.last().copied().unwrap_or_default();
    if name.len() > 80 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err(wrong("InvalidResourceName", format!("the name {name} is against the rules")));
    }
    let tags = value["tags"].as_object().cloned().unwrap_or_default();
    let fits = |(name, value): (&String, &Value)| {
        name.len() <= 512
            && !name.contains(['<', '>', '%', '&', '\\', '?', '/'])
            && value.as_str().is_some_and(|value| value.len() <= 256)
    };
    if tags.len() > 50 || !tags.iter().all(fits) {
        return Err(wrong("InvalidTagNameCharacters", format!("tags against the rules: {tags:?}")));
    }
    if value["location"] != LOCATION {
        return Err(wrong("InvalidParameter", format!("the source is in {LOCATION}, not in {}", value["location"])));
    }
    if value["properties"]["creationData"]["createOption"] != "Copy" {
        return Err(wrong("InvalidParameter", "Required parameter 'creationData.createOption' is Copy here."));
    }
    Ok(value)
}

fn act(
    state: &mut State,
    faults: &Faults,
    op: Op,
    path: &str,
    query: &BTreeMap<String, String>,
    host: &str,
    body: Value,
) -> Answered {
    let key = path.to_lowercase();
    let name = path.rsplit('/').next().unwrap_or_default();
    let missing = |path: &str| (404, "ResourceNotFound", format!("The Resource '{path}' was not found."));
    match op {
        Op::Create | Op::Make => {
            let source = body["properties"]["creationData"]["sourceResourceId"].as_str().unwrap_or_default();
            let (from, kind) = if op == Op::Create { ("/disks/", "snapshots") } else { ("/snapshots/", "disks") };
            let Some(origin) = state.shown(&source.to_lowercase()).filter(|_| source.contains(from)) else {
                return Err(missing(source));
            };
            let held = &origin["properties"];
            if held["provisioningState"] != "Succeeded"
                || held["completionPercent"].as_f64().is_some_and(|done| done < 100.0)
            {
                return Err((409, "SnapshotNotReady", format!("{source} is not ready")));
            }
            if body["properties"]["diskSizeGB"].as_u64().unwrap_or(u64::MAX) < held["diskSizeGB"].as_u64().unwrap_or(0)
            {
                return Err(wrong("InvalidParameter", "a disk cannot be smaller than its snapshot"));
            }
            if let Some((there, _)) = state.resources.get(&key) {
                // The same again changes nothing, and an update may change tags.
                let mut there = there.clone();
                there["tags"] = body["tags"].clone();
                if let Some((held, _)) = state.resources.get_mut(&key) {
                    *held = there.clone();
                }
                return Ok((200, Vec::new(), there));
            }
            let mut made = body.clone();
            made["id"] = path.into();
            made["name"] = name.into();
            made["type"] = format!("Microsoft.Compute/{kind}").into();
            made["properties"]["timeCreated"] = jiff::Timestamp::now().to_string().into();
            if op == Op::Create {
                made["properties"]["diskSizeGB"] = held["diskSizeGB"].clone();
            }
            state.resources.insert(key.clone(), (made, Instant::now()));
            let shown = state.shown(&key).unwrap_or_default();
            Ok((202, state.begin(host), shown))
        }
        Op::Look | Op::Disk => match state.shown(&key) {
            Some(shown) => Ok((200, Vec::new(), shown)),
            None => Err(missing(path)),
        },
        Op::Delete | Op::Remove => match state.shown(&key) {
            None => Ok((204, Vec::new(), Value::Null)),
            Some(shown) if shown["properties"]["provisioningState"] == "Updating" => {
                Err((409, "AnotherOperationInProgress", format!("Another operation on {path} is in progress")))
            }
            Some(_) => {
                state.resources.remove(&key);
                Ok((202, state.begin(host), Value::Null))
            }
        },
        Op::List => {
            let from: usize = match query.get("$skiptoken") {
                None => 0,
                Some(token) => token.parse().map_err(|_| wrong("InvalidParameter", "no $skiptoken of ours"))?,
            };
            let prefix = format!("{key}/");
            let ids =
                state.resources.iter().filter(|(id, (_, at))| id.starts_with(&prefix) && at.elapsed() >= faults.late());
            let shown: Vec<Value> = ids.filter_map(|(id, _)| state.shown(id)).collect();
            let value: Vec<Value> = shown.iter().skip(from).take(PAGE).cloned().collect();
            let mut page = json!({ "value": value });
            if from + PAGE < shown.len() {
                let link = format!("http://{host}{path}?api-version={VERSION}&$skiptoken={}", from + PAGE);
                page["nextLink"] = link.into();
            }
            Ok((200, Vec::new(), page))
        }
        Op::Wait => {
            let pace = state.pace;
            let number = name.parse().ok();
            let Some((begun, asked)) = number.and_then(|number: u64| state.operations.get_mut(&number)) else {
                return Err(missing(path));
            };
            if pace.is_some_and(|pace| asked.elapsed() < Duration::from_secs(pace)) {
                return Err((
                    400,
                    "PolledTooEarly",
                    "the operation was asked for before its Retry-After was over".into(),
                ));
            }
            *asked = Instant::now();
            let status = if begun.elapsed() < STEP { "InProgress" } else { "Succeeded" };
            let after = pace.map(|pace| ("retry-after", pace.to_string()));
            Ok((200, after.into_iter().collect(), json!({ "name": name, "status": status })))
        }
    }
}

impl State {
    /// A resource as it stands by now.
    fn shown(&self, key: &str) -> Option<Value> {
        let (made, at) = self.resources.get(key)?;
        let (mut shown, age) = (made.clone(), at.elapsed());
        shown["properties"]["provisioningState"] = if age < STEP { "Updating" } else { "Succeeded" }.into();
        if key.contains("/snapshots/") {
            shown["properties"]["completionPercent"] = if age < 2 * STEP { 50.0 } else { 100.0 }.into();
        }
        Some(shown)
    }

    /// The headers of an answer to what goes on.
    fn begin(&mut self, host: &str) -> Vec<(&'static str, String)> {
        let number = self.operations.len() as u64 + 1;
        self.operations.insert(number, (Instant::now(), Instant::now()));
        let of = "providers/Microsoft.Compute/locations";
        let url = format!(
            "http://{host}/subscriptions/{SUBSCRIPTION}/{of}/{LOCATION}/diskOperations/{number}?api-version={VERSION}"
        );
        let mut headers = vec![("azure-asyncoperation", url.clone()), ("location", url)];
        headers.extend(self.pace.map(|pace| ("retry-after", pace.to_string())));
        headers
    }
}
