//! `VolumeLocation`: where the snapshots of a cloud's disks are, and as whom that cloud is asked.

#![expect(clippy::duplicated_attributes, reason = "each column is one of its own")]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;

/// Where the snapshots of a cloud's disks are, and as whom that cloud is asked.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hindcast.dev",
    version = "v1alpha1",
    kind = "VolumeLocation",
    plural = "volumelocations",
    category = "hindcast",
    namespaced,
    status = "VolumeLocationStatus",
    derive = "PartialEq",
    doc = "Where the snapshots of a cloud's disks are: while it stands, recovery points take them by that cloud's own API. One of each \
           provider counts, the oldest. Points keep their snapshots when it goes, which then nobody here can delete.",
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.provider"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.provider == 'aws') == has(self.aws) && (self.provider == 'azure') == has(self.azure) && (self.provider == 'gcp') == has(self.gcp)")
        .message("say exactly the member of its provider, if need be an empty one: aws: {}"),
    validation = Rule::new("!(has(self.credentials) && has(self.aws) && has(self.aws.profile) && self.aws.profile != '')")
        .message("it is said twice as whom the cloud is asked: leave aws.profile out, or credentials")
)]
pub struct VolumeLocationSpec {
    /// Whose disks they are.
    pub provider: Provider,
    /// Of aws: which region, and how it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<Aws>,
    /// Of azure: which resource group, and how it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<Azure>,
    /// Of gcp: which project, and how it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcp: Option<Gcp>,
    /// As whom the cloud is asked; without it as every program of that cloud finds it out: environment, files, workload identity, the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
}

/// Whose disks they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Amazon EBS.
    #[default]
    Aws,
    /// Azure managed disks.
    Azure,
    /// Persistent disks of Google Compute Engine.
    Gcp,
}

/// Where Amazon EBS is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Aws {
    /// The region; as every program of Amazon's finds it if it is not said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// Another address than the region's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
    /// A profile of the shared files of the process.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile: String,
}

/// Where Azure's snapshots are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Azure {
    /// The subscription.
    #[schemars(length(min = 1))]
    pub subscription: String,
    /// The resource group, which is there.
    #[schemars(length(min = 1))]
    pub resource_group: String,
    /// Another address than that of Azure's public cloud.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
    /// Where tokens are given, if not by Azure's public cloud.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub authority: String,
}

/// Where Google's snapshots are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gcp {
    /// The project.
    #[schemars(length(min = 1))]
    pub project: String,
    /// Another address than Google's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
}

/// As whom a cloud is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// A Secret of this namespace. Of aws it holds AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, of temporary ones, AWS_SESSION_TOKEN;
    /// of azure AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET; of gcp credentials.json, the file of a service account's key
    /// or of a workload identity federation.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9][-a-z0-9.]*$"))]
    pub secret_name: String,
}

impl Provider {
    /// Its name, which is that of its driver too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
        }
    }
}

impl VolumeLocationSpec {
    /// What is said of its provider, each by the name that it has wherever a location is said in one text.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let said: Vec<(&str, &String)> = match self.provider {
            Provider::Aws => self.aws.iter().flat_map(Aws::said).collect(),
            Provider::Azure => self.azure.iter().flat_map(Azure::said).collect(),
            Provider::Gcp => self.gcp.iter().flat_map(Gcp::said).collect(),
        };
        let said = said.into_iter().filter(|(_, value)| !value.is_empty());
        said.map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }
}

impl Aws {
    fn said(&self) -> [(&'static str, &String); 3] {
        [("region", &self.region), ("endpoint", &self.endpoint), ("profile", &self.profile)]
    }
}

impl Azure {
    fn said(&self) -> [(&'static str, &String); 4] {
        let Self { subscription, resource_group, endpoint, authority } = self;
        [
            ("subscription", subscription),
            ("resource-group", resource_group),
            ("endpoint", endpoint),
            ("authority", authority),
        ]
    }
}

impl Gcp {
    fn said(&self) -> [(&'static str, &String); 2] {
        [("project", &self.project), ("endpoint", &self.endpoint)]
    }
}

/// How a location stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeLocationStatus {
    /// The conditions: Ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
