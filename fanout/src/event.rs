//! A row as a `CloudEvent` 1.0.
//!
//! | attribute | is |
//! |---|---|
//! | `id` | the cluster and the position: the same row has the same id for ever |
//! | `source` | `//hindcast.dev/clusters/` and the cluster |
//! | `type` | `dev.hindcast.change.add` (`modify`, `delete`, `reread`, `unreadable`); of the journal's own facts `dev.hindcast.coverage.begin`, `coverage.end`, `gap`, `frontier`, `discovery`, `seal`, `expiry`, `mark` |
//! | `subject` | `deployments.apps/shop/web`: kind, namespace, name; a fact about a kind has only the first |
//! | `time` | the upper bound of the write's moment; `timelo` is the lower one |
//! | `position`, `sequence` | the position, in digits, and in twenty digits so that text sorts as numbers do |
//! | `partitionkey` | the key: the cluster and the subject |
//! | `rv`, `domain`, `incarnation` | the revision, whose counter it is of, and which life of that |
//! | `op`, `origin` | what the row says, and how it came to be known |
//! | `uid`, `manager` | of the object; who wrote, as far as that is known |
//! | `dataref` | only of a pointer: what to ask the journal for |
//!
//! The data are JSON: all of that again by its full name, with `patch` (RFC 6902, on the version `baseResourceVersion`;
//! it never touches the resourceVersion, which is `resourceVersion` after it), `object` or `fact`.
//!
//! **Invariants.** (1) Names of attributes are lower-case letters and digits, values are texts that are not empty and
//! hold no control character [`attribute`]. Numbers are texts, since `CloudEvents` integers have 32 bits. (2) Numbers
//! inside of an object stay the tokens they were: bodies are copied, never parsed into floats. (3) Two different objects
//! never have one key: a name holds no slash.

use bytes::Bytes;
use hindcast_journal::{
    Position, Row,
    exact::{self, Value},
    parts::Micros,
    row::{Body, Op},
    seal::Rules,
    segment::hex,
};

use crate::hide;

/// What every source begins with.
const SOURCE: &str = "//hindcast.dev/clusters/";

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Unique and stable.
    pub id: String,
    /// Whose it is.
    pub source: String,
    /// What it says.
    pub type_: &'static str,
    /// What it is about; empty for what is about the whole journal.
    pub subject: String,
    /// When, as RFC 3339; empty if the row has no moment.
    pub time: String,
    /// The other attributes, in order.
    pub extensions: Vec<(&'static str, String)>,
    /// The data, as JSON.
    pub data: Bytes,
    /// What it is ordered by: events of one key stay in order.
    pub key: String,
    /// The kind as a topic may be named by: `deployments.apps`; empty for what is about the whole journal.
    pub kind: String,
    /// The position of the row.
    pub position: Position,
}

impl Event {
    /// The event of a row of this cluster's journal, without the values that these rules treat as secret.
    pub fn of(cluster: &str, row: &Row, rules: &Rules) -> Self {
        let body = match &row.body {
            Body::None => None,
            Body::Patch(bytes) => Some(("patch", hide::body(row, bytes, true, rules))),
            Body::Object(bytes) if row.op.is_object() => Some(("object", hide::body(row, bytes, false, rules))),
            Body::Object(bytes) => Some(("fact", bytes.clone())),
        };
        let told = body.as_ref().map(|(name, bytes)| (*name, Told::Whole(bytes)));
        Self::made(cluster, row, rules, told)
    }

    /// The same without its body, for a target that takes none so large.
    pub fn pointer(cluster: &str, row: &Row, rules: &Rules) -> Self {
        let bytes = match &row.body {
            Body::None => 0,
            Body::Patch(bytes) | Body::Object(bytes) => bytes.len(),
        };
        let mut event = Self::made(cluster, row, rules, Some(("omittedBytes", Told::Omitted(bytes))));
        event.extensions.push(("dataref", format!("urn:hindcast:{cluster}:pos:{}", row.pos)));
        event
    }

    fn made(cluster: &str, row: &Row, rules: &Rules, body: Option<(&'static str, Told<'_>)>) -> Self {
        let kind = kind_of(row);
        let subject = subject(row, &kind);
        let key = format!("{cluster}/{subject}");
        let mut extensions = Vec::with_capacity(12);
        let mut add = |name: &'static str, value: &str| {
            if !value.is_empty() {
                extensions.push((name, attribute(value)));
            }
        };
        add("position", &row.pos.to_string());
        add("sequence", &format!("{:020}", row.pos));
        add("partitionkey", &key);
        add("rv", &row.rv.to_string());
        add("domain", &row.domain);
        add("incarnation", &row.incarnation.to_string());
        add("op", row.op.as_str());
        add("origin", row.source.as_str());
        add("timelo", &rfc3339(row.time_lo));
        add("uid", &row.uid);
        add("manager", &row.manager);
        Self {
            id: attribute(&format!("{cluster}/{}", row.pos)),
            source: attribute(&format!("{SOURCE}{cluster}")),
            type_: type_of(row.op),
            subject: attribute(&subject),
            time: rfc3339(row.time_hi),
            extensions,
            data: data(cluster, row, hide::guesses(row, rules), body),
            key,
            kind,
            position: row.pos,
        }
    }

    /// The value of an attribute that is not one of the specification's own.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// What the data say of the body.
enum Told<'a> {
    Whole(&'a [u8]),
    Omitted(usize),
}

/// `deployments.apps`, as kubectl names a kind.
fn kind_of(row: &Row) -> String {
    match (row.resource.as_str(), row.group.as_str()) {
        (resource, "") => resource.to_owned(),
        (resource, group) => format!("{resource}.{group}"),
    }
}

fn subject(row: &Row, kind: &str) -> String {
    match row.op.is_object() {
        true => format!("{kind}/{}/{}", row.namespace, row.name),
        false => kind.to_owned(),
    }
}

fn type_of(op: Op) -> &'static str {
    match op {
        Op::Add => "dev.hindcast.change.add",
        Op::Modify => "dev.hindcast.change.modify",
        Op::Delete => "dev.hindcast.change.delete",
        Op::Reread => "dev.hindcast.change.reread",
        Op::Unreadable => "dev.hindcast.change.unreadable",
        Op::CoverBegin => "dev.hindcast.coverage.begin",
        Op::CoverEnd => "dev.hindcast.coverage.end",
        Op::Gap => "dev.hindcast.gap",
        Op::Frontier => "dev.hindcast.frontier",
        Op::Discovery => "dev.hindcast.discovery",
        Op::Seal => "dev.hindcast.seal",
        Op::Expiry => "dev.hindcast.expiry",
        Op::Mark => "dev.hindcast.mark",
    }
}

/// Empty for a moment that no calendar has.
fn rfc3339(time: Micros) -> String {
    jiff::Timestamp::from_microsecond(time).map_or_else(|_| String::new(), |time| format!("{time:.6}"))
}

/// A text as an attribute may be: characters that none may hold are percent-encoded. So is `%`, or two texts could read
/// alike.
fn attribute(text: &str) -> String {
    let barred = |c: char| {
        let code = u32::from(c);
        c.is_control() || c == '%' || (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
    };
    if !text.contains(barred) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match barred(c) {
            true => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}"))),
            false => out.push(c),
        }
    }
    out
}

/// The data of an event; `guesses` says that its hashes would give secret values away.
fn data(cluster: &str, row: &Row, guesses: bool, body: Option<(&'static str, Told<'_>)>) -> Bytes {
    let room = match &body {
        Some((_, Told::Whole(bytes))) => bytes.len(),
        _ => 0,
    };
    let mut out = Object::new(768 + room);
    out.text("cluster", cluster);
    out.text("position", &row.pos.to_string());
    out.text("op", row.op.as_str());
    out.text("source", row.source.as_str());
    out.text("domain", &row.domain);
    out.text("incarnation", &row.incarnation.to_string());
    out.text("group", &row.group);
    out.text("version", &row.version);
    out.text("resource", &row.resource);
    out.text("subresource", &row.subresource);
    out.text("kind", &row.kind);
    out.text("namespace", &row.namespace);
    out.text("name", &row.name);
    out.text("uid", &row.uid);
    out.text("resourceVersion", &row.rv.to_string());
    out.text("baseResourceVersion", &row.base_rv.map_or_else(String::new, |rv| rv.to_string()));
    if !guesses {
        out.text("stateHash", &row.state_hash.map_or_else(String::new, |hash| hex(&hash)));
        out.text("baseHash", &row.base_hash.map_or_else(String::new, |hash| hex(&hash)));
    }
    out.text("hashKey", &row.hash_key);
    out.text("manager", &row.manager);
    out.text("managerOperation", &row.manager_op);
    out.text("timeLow", &rfc3339(row.time_lo));
    out.text("timeHigh", &rfc3339(row.time_hi));
    match body {
        Some((name, Told::Whole(bytes))) => out.raw(name, bytes),
        Some((name, Told::Omitted(bytes))) => out.raw(name, bytes.to_string().as_bytes()),
        None => {}
    }
    out.end()
}

/// A JSON object that is written member by member, in this order.
pub(crate) struct Object(Vec<u8>);

impl Object {
    pub(crate) fn new(room: usize) -> Self {
        let mut out = Vec::with_capacity(room);
        out.push(b'{');
        Self(out)
    }

    /// A text; none where it is empty.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.name(name);
            exact::write_canonical(&Value::from(value), &mut self.0);
        }
    }

    /// What is JSON already.
    pub(crate) fn raw(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.0.extend_from_slice(value);
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        exact::write_canonical(&Value::from(name), &mut self.0);
        self.0.push(b':');
    }

    pub(crate) fn end(mut self) -> Bytes {
        self.0.push(b'}');
        self.0.into()
    }
}
