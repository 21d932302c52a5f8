//! One change, as `hindcast log -o json` prints it on a line.

use hindcast_journal::{
    Row,
    exact::{self, Value},
    row::{Body, Op},
};
use hindcast_restorer::Event;
use serde::Serialize;

use super::API_VERSION;
use crate::{
    moment::rfc3339,
    redact::{self, Hide},
};

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ObjectName {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) resource: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl ObjectName {
    /// The name of a row's object.
    pub(crate) fn of(row: &Row) -> Self {
        Self {
            group: row.group.clone(),
            version: row.version.clone(),
            resource: row.resource.clone(),
            kind: row.kind.clone(),
            namespace: row.namespace.clone(),
            name: row.name.clone(),
            uid: row.uid.clone(),
        }
    }
}

/// A change; Secret values in it are hidden.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    api_version: &'static str,
    kind: &'static str,
    /// The position.
    pub(crate) pos: u64,
    /// The revision, and where it counts.
    pub(crate) rev: u64,
    pub(crate) domain: String,
    pub(crate) incarnation: u32,
    /// Not committed before.
    pub(crate) time_from: String,
    /// Committed by; this is the time that `log` shows.
    pub(crate) time: String,
    /// `add`, `modify`, `delete`, `reread` or `unreadable`.
    pub(crate) op: String,
    /// `watch`, `list`, `healed` or `healed-later`.
    pub(crate) source: String,
    pub(crate) object: ObjectName,
    /// The field manager of the write, and its operation; empty where that is not known.
    pub(crate) manager: String,
    pub(crate) manager_operation: String,
    pub(crate) subresource: String,
    /// The changed fields as JSON pointers.
    pub(crate) paths: Vec<String>,
    /// The JSON patch on the version before (RFC 6902).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) patch: Option<serde_json::Value>,
    /// T of the state just before.
    pub(crate) before: String,
    /// The position of the write of a restore that this one completes: it gives the fields back to their owners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) completes: Option<u64>,
    /// Whether it marks the object for deletion.
    #[serde(skip)]
    pub(crate) is_deletion_mark: bool,
    /// The patch as exact values, for people.
    #[serde(skip)]
    pub(crate) operations: Vec<Value>,
    /// Where each of them is, with list elements named, for people; empty where that is not known.
    #[serde(skip)]
    pub(crate) places: Vec<String>,
    /// What stood there before, where a text did and that is known, for people.
    #[serde(skip)]
    pub(crate) stood: Vec<Option<Value>>,
    /// The time in microseconds, for people.
    #[serde(skip)]
    pub(crate) micros: i64,
}

impl Change {
    /// Whether a change is one that nobody asked for: of the status only, or by a controller.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_status_only() || (self.op != "unreadable" && self.is_by_controller())
    }

    /// Whether it may stand in one line with others of its object: what came, went or began to go never does.
    pub(crate) fn may_be_folded(&self) -> bool {
        let stays = self.op == Op::Modify.as_str() || self.op == Op::Reread.as_str();
        stays && !self.is_deletion_mark && self.is_quiet()
    }

    /// Whether its field manager writes on behalf of other objects.
    pub(crate) fn is_by_controller(&self) -> bool {
        is_controller(&self.manager)
    }

    /// A row about an object.
    pub(crate) fn new(row: &Row, hide: Hide<'_>) -> Self {
        let patch = match &row.body {
            Body::Patch(bytes) => Some(redact::bytes(row, bytes, true, hide)),
            _ => None,
        };
        let operations = patch.as_ref().and_then(Value::as_array).unwrap_or_default().to_vec();
        let place = |operation: &Value| operation.get("path").and_then(Value::as_str).map(str::to_owned);
        Self {
            api_version: API_VERSION,
            kind: "Change",
            pos: row.pos,
            rev: row.rv,
            domain: row.domain.clone(),
            incarnation: row.incarnation,
            time_from: rfc3339(row.time_lo),
            time: rfc3339(row.time_hi),
            op: row.op.as_str().to_owned(),
            source: row.source.as_str().to_owned(),
            object: ObjectName::of(row),
            manager: row.manager.clone(),
            manager_operation: row.manager_op.clone(),
            subresource: row.subresource.clone(),
            paths: operations.iter().filter_map(place).collect(),
            patch: patch.map(|patch| patch.to_serde()),
            before: format!("before:pos:{}", row.pos),
            completes: None,
            is_deletion_mark: row.op == Op::Modify && marks_deletion(row, &operations),
            operations,
            places: Vec::new(),
            stood: Vec::new(),
            micros: row.time_hi,
        }
    }

    /// A change of the log, with the places of its operations as they are named.
    pub(crate) fn of(event: &Event, hide: Hide<'_>) -> Self {
        let mut change = Self::new(&event.row, hide);
        change.completes = event.completes;
        if event.places.len() == change.operations.len() {
            (change.places, change.stood) = (event.places.clone(), event.stood.clone());
        }
        change
    }

    /// The operations, each with its place as it is told and with what stood there.
    pub(crate) fn told(&self) -> impl Iterator<Item = (&Value, &str, Option<&Value>)> {
        self.operations.iter().enumerate().filter_map(|(at, operation)| {
            let own = operation.get("path").and_then(Value::as_str)?;
            let stood = self.stood.get(at).and_then(Option::as_ref);
            Some((operation, self.places.get(at).map_or(own, String::as_str), stood))
        })
    }

    /// Whether nothing but the status was changed.
    pub(crate) fn is_status_only(&self) -> bool {
        let aside = |path: &String| path == "/status" || path.starts_with("/status/") || path == "/metadata/generation";
        self.op == Op::Modify.as_str()
            && (self.subresource == "status" || (!self.paths.is_empty() && self.paths.iter().all(aside)))
    }
}

/// Whether a change says when its object is to go. Of one that is kept whole that is not known, so each version that says it
/// counts.
fn marks_deletion(row: &Row, operations: &[Value]) -> bool {
    let path = |operation: &Value| operation.get("path").and_then(Value::as_str).map(str::to_owned);
    let marks = |path: String| path.starts_with("/metadata/deletion");
    let whole = || match &row.body {
        Body::Object(bytes) => {
            exact::parse(bytes).ok().is_some_and(|o| o.pointer("/metadata/deletionTimestamp").is_some())
        }
        _ => false,
    };
    operations.iter().filter_map(path).any(marks) || whole()
}

/// Field managers that write on behalf of other objects.
fn is_controller(manager: &str) -> bool {
    const NAMES: [&str; 8] = [
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kube-apiserver",
        "cloud-controller-manager",
        "cluster-autoscaler",
        "vpa-recommender",
    ];
    NAMES.contains(&manager)
        || ["-controller", "-controller-manager", "-operator"].iter().any(|end| manager.ends_with(end))
}
