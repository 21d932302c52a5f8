//! `Journal`: where the past of the cluster is kept, sealed with which key, of which kinds and for how long.
//!
//! Not here: what a field means to `hindcast run`; it reads each as the flag of the same sense ([`crate::journals`]).

#![expect(clippy::duplicated_attributes, reason = "each column is one of its own")]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;

/// Where the past of the cluster is kept, sealed with which key, of which kinds and for how long.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hindcast.dev",
    version = "v1alpha1",
    kind = "Journal",
    plural = "journals",
    category = "hindcast",
    namespaced,
    status = "JournalStatus",
    derive = "PartialEq",
    doc = "The settings of a `hindcast run` that is started with --settings-from [NAMESPACE/]NAME. Retention is taken up at once; for the \
           rest it writes what it has and begins anew. What cannot be meant changes nothing, and stands in the status. Deleting this object \
           deletes nothing of the journal, and a process that runs goes on.",
    printcolumn(name = "Store", type_ = "string", json_path = ".spec.store.url"),
    printcolumn(name = "Window", type_ = "date", json_path = ".status.window.from"),
    printcolumn(name = "Committed", type_ = "date", json_path = ".status.committed.time"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Applied",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Applied\")].reason",
        priority = 1
    ),
    printcolumn(name = "Retention", type_ = "string", json_path = ".status.retention", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.secretValues) && self.secretValues == 'Clear' && has(self.filters) && has(self.filters.seal) && size(self.filters.seal) > 0)")
        .message("secretValues: Clear seals nothing: leave it out, or filters.seal")
)]
pub struct JournalSpec {
    /// Where it is kept.
    pub store: JournalStore,
    /// The keys that seal the values of Secrets; without any they are not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<JournalKey>,
    /// How the values of Secrets are kept.
    #[serde(default)]
    pub secret_values: SecretValues,
    /// What is protected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Filters>,
    /// How long the past is kept; for ever without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<JournalRetention>,
    /// How it is shown that nothing is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<JournalProof>,
    /// What is kept beside the merged files of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compaction: Option<Compaction>,
    /// How long the oldest unwritten change may wait before it is sent to the store, as in 500ms; 1s if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub linger: Option<String>,
}

/// Where a journal is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.options) && 'profile' in self.options && has(self.credentials))")
        .message("it is said twice as whom the store is asked: leave options.profile out, or credentials"),
    validation = Rule::new("!(has(self.options) && 'caCert' in self.options && has(self.caCert))")
        .message("the store's authority is said twice: leave options.caCert out, or caCert"),
    validation = Rule::new("!(self.url.contains('?') && has(self.options) && size(self.options) > 0)")
        .message("options are said twice: behind ? of the url, and as options")
)]
pub struct JournalStore {
    /// As --journal takes it: s3://bucket/prefix, az://container/prefix, gs://bucket/prefix, file:///path.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
    /// Options of that store, as they stand behind ? in its URL: region, s3Url, s3ForcePathStyle and the like. No place for secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub options: BTreeMap<String, String>,
    /// The authority that signed the store's certificate, PEM, beside those that the system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub ca_cert: Option<String>,
    /// As whom the store is asked; without it as the process finds it out: environment, files, workload identity, the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<StoreCredentials>,
}

/// As whom a store is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreCredentials {
    /// A Secret of this namespace, whose keys are called as the variables are. Of s3 AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, of
    /// temporary ones, AWS_SESSION_TOKEN; of az AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or others that begin so; of gs
    /// credentials.json, the file of a service account's key or of a workload identity federation.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9][-a-z0-9.]*$"))]
    pub secret_name: String,
}

/// The keys that seal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JournalKey {
    /// Which Secret holds the key file.
    pub secret_ref: SecretKey,
}

/// A key of a Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// The Secret, of this namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9][-a-z0-9.]*$"))]
    pub name: String,
    /// Which of its keys holds the file that `hindcast key init` made.
    #[serde(default = "hindcast_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn hindcast_key() -> String {
    "hindcast.key".to_owned()
}

/// How the values of Secrets are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecretValues {
    /// Sealed with the key; not at all without one.
    #[default]
    Sealed,
    /// In clear: who reads the journal reads them.
    Clear,
}

/// What is protected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.only) && size(self.only) > 0 && (has(self.exclude) && size(self.exclude) > 0 || has(self.include) && size(self.include) > 0))")
        .message("only says which kinds there are, so exclude and include have nothing to say: leave them out, or only")
)]
pub struct Filters {
    /// Kinds that are not protected, beside events and leases: secrets, widgets.example.com.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub exclude: Vec<String>,
    /// Kinds that are left out unless asked for: events, leases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub include: Vec<String>,
    /// These kinds and no others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub only: Vec<String>,
    /// Fields that are sealed as the values of Secrets are: configmaps:/data/password, widgets.example.com:/spec/users/*/token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub seal: Vec<String>,
}

/// How long the past is kept: every change for the first time, then the state of each hour, day and month (UTC) for longer. Recovery
/// points keep their moments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JournalRetention {
    /// How long every change is kept, as in 7d.
    #[schemars(length(min = 1, max = 64))]
    pub all: String,
    /// How long the state of each hour is kept, as in 30d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub hourly: Option<String>,
    /// How long the state of each day is kept, as in 365d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub daily: Option<String>,
    /// How long the state of each month is kept, as in 1825d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub monthly: Option<String>,
    /// Whether what has expired is removed; false leaves that to whoever may delete, as where objects are locked.
    #[serde(default = "yes")]
    pub remove: bool,
}

/// How it is shown that nothing is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JournalProof {
    /// How often every kind's objects are compared with the cluster's own lists, as in 1h, or never; 1h if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub every: Option<String>,
    /// Whether the newest seal stands in the cluster too, which needs deploy/seal.yaml.
    pub seal_in_cluster: bool,
}

/// What is kept beside the merged files of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compaction {
    /// How long a segment is kept that a merged file of a day holds too, as in 24h, or forever; 24h if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub keep_raw: Option<String>,
    /// Whether merged files are kept as a Delta Lake table too, which SQL engines read.
    #[serde(default = "yes")]
    pub delta_table: bool,
}

fn yes() -> bool {
    true
}

/// How a journal stands, as the process that writes it last told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JournalStatus {
    /// The uid of the cluster whose journal it is, which is also the name of its folder in the store.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_id: String,
    /// Where it is written to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub store: String,
    /// How long the past is kept now, as --retention takes it; "everything" if nothing expires.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub retention: String,
    /// How far it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub committed: Option<Committed>,
    /// The moments that can be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// When segments were last merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_merge: Option<String>,
    /// When it was last looked what had expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_expiry: Option<String>,
    /// When every kind was last compared with the cluster's own lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_proof: Option<String>,
    /// The conditions: Ready, whether the cluster is protected; Applied, whether what the spec says is what is done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// How far a journal is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Committed {
    /// The position of the newest row.
    pub position: i64,
    /// Every write before this moment is in the journal. While nothing but this status changes in the cluster it is not told anew.
    #[schemars(extend("format" = "date-time"))]
    pub time: String,
}

/// The moments that can be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// The first of them.
    #[schemars(extend("format" = "date-time"))]
    pub from: String,
    /// From when on every moment can be, where retention has thinned out what is before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub whole_from: Option<String>,
    /// How many cuts are kept of the time before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_cuts: Option<i64>,
}
