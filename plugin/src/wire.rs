//! The messages of `proto/hindcast/plugin/v1/plugin.proto` and of gRPC's health, and the names of the calls.
//!
//! They are written as the protocol's compiler would write them, so that no build needs one.
//!
//! **Invariant.** Each message has the fields of the definition, by number, name and type, and so have those of the sample
//! plugin (`wire/tests.rs`).

use std::collections::BTreeMap;

use prost::{Message, Oneof};

/// The versions of the protocol that are spoken here, the newest first.
pub(crate) const VERSIONS: [u32; 1] = [1];

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Method(pub(crate) &'static str);

impl Method {
    pub(crate) const HANDSHAKE: Self = Self("/hindcast.plugin.v1.Plugin/Handshake");
    pub(crate) const HEALTH: Self = Self("/grpc.health.v1.Health/Check");
    pub(crate) const TAKES: Self = Self("/hindcast.plugin.v1.VolumeDriver/Takes");
    pub(crate) const CREATE: Self = Self("/hindcast.plugin.v1.VolumeDriver/Create");
    pub(crate) const LOOK: Self = Self("/hindcast.plugin.v1.VolumeDriver/Look");
    pub(crate) const LIST: Self = Self("/hindcast.plugin.v1.VolumeDriver/List");
    pub(crate) const DELETE: Self = Self("/hindcast.plugin.v1.VolumeDriver/Delete");
    pub(crate) const MAKE_DISK: Self = Self("/hindcast.plugin.v1.VolumeDriver/MakeDisk");
    pub(crate) const LOOK_DISK: Self = Self("/hindcast.plugin.v1.VolumeDriver/LookDisk");
    pub(crate) const REMOVE_DISK: Self = Self("/hindcast.plugin.v1.VolumeDriver/RemoveDisk");
    pub(crate) const TRANSFORM: Self = Self("/hindcast.plugin.v1.ItemTransform/Transform");

    /// The most bytes that an answer has: for what is told with the definition, and a thousand things at once.
    pub(crate) fn largest(self) -> usize {
        match self {
            Self::HANDSHAKE | Self::HEALTH => 64 << 10,
            Self::LIST => 2 << 20,
            Self::TRANSFORM => 32 << 20,
            _ => 1 << 20,
        }
    }

    /// Its name without its service.
    pub(crate) fn name(self) -> &'static str {
        self.0.rsplit('/').next().unwrap_or(self.0)
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HandshakeRequest {
    #[prost(uint32, repeated, tag = "1")]
    pub(crate) versions: Vec<u32>,
    #[prost(string, tag = "2")]
    pub(crate) hindcast_version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HandshakeResponse {
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
    #[prost(uint32, repeated, tag = "2")]
    pub(crate) versions: Vec<u32>,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(string, tag = "4")]
    pub(crate) plugin_version: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) volume_driver: Option<VolumeDriverCapability>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) transforms: Vec<TransformCapability>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct VolumeDriverCapability {
    #[prost(string, repeated, tag = "1")]
    pub(crate) drivers: Vec<String>,
    #[prost(bool, tag = "2")]
    pub(crate) disks: bool,
    #[prost(uint64, tag = "3")]
    pub(crate) settle_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TransformCapability {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) kinds: Vec<Kind>,
    #[prost(bool, tag = "3")]
    pub(crate) sealed_values: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Kind {
    #[prost(string, tag = "1")]
    pub(crate) group: String,
    #[prost(string, tag = "2")]
    pub(crate) kind: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Failure {
    #[prost(uint32, tag = "1")]
    pub(crate) code: u32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(string, tag = "3")]
    pub(crate) hint: String,
    #[prost(uint64, tag = "4")]
    pub(crate) retry_after_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Volume {
    #[prost(string, tag = "1")]
    pub(crate) namespace: String,
    #[prost(string, tag = "2")]
    pub(crate) claim: String,
    #[prost(string, tag = "3")]
    pub(crate) claim_uid: String,
    #[prost(string, tag = "4")]
    pub(crate) name: String,
    #[prost(string, tag = "5")]
    pub(crate) driver: String,
    #[prost(string, tag = "6")]
    pub(crate) handle: String,
    #[prost(string, tag = "7")]
    pub(crate) class: String,
    #[prost(uint64, tag = "8")]
    pub(crate) capacity: u64,
    #[prost(string, tag = "9")]
    pub(crate) mode: String,
    #[prost(string, tag = "10")]
    pub(crate) fs_type: String,
    #[prost(string, repeated, tag = "11")]
    pub(crate) access_modes: Vec<String>,
    #[prost(btree_map = "string, message", tag = "12")]
    pub(crate) topology: BTreeMap<String, Texts>,
    #[prost(btree_map = "string, string", tag = "13")]
    pub(crate) attributes: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "14")]
    pub(crate) labels: BTreeMap<String, String>,
    #[prost(string, repeated, tag = "15")]
    pub(crate) pods: Vec<String>,
    #[prost(string, tag = "16")]
    pub(crate) reclaim: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub(crate) texts: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Tag {
    #[prost(string, tag = "1")]
    pub(crate) cluster: String,
    #[prost(string, tag = "2")]
    pub(crate) point: String,
    #[prost(string, tag = "3")]
    pub(crate) id: String,
    #[prost(uint32, tag = "4")]
    pub(crate) index: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Order {
    #[prost(message, optional, tag = "1")]
    pub(crate) tag: Option<Tag>,
    #[prost(message, optional, tag = "2")]
    pub(crate) volume: Option<Volume>,
    #[prost(btree_map = "string, string", tag = "3")]
    pub(crate) tags: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Taken {
    #[prost(message, optional, tag = "1")]
    pub(crate) tag: Option<Tag>,
    #[prost(string, tag = "2")]
    pub(crate) handle: String,
    #[prost(uint64, tag = "3")]
    pub(crate) size: u64,
    #[prost(int64, optional, tag = "4")]
    pub(crate) time: Option<i64>,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(crate) details: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TakesRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) volumes: Vec<Volume>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TakesResponse {
    #[prost(string, repeated, tag = "1")]
    pub(crate) reasons: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CreateRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) orders: Vec<Order>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CreateResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) outcomes: Vec<CreateOutcome>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CreateOutcome {
    #[prost(oneof = "Created", tags = "1, 2")]
    pub(crate) outcome: Option<Created>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Created {
    #[prost(message, tag = "1")]
    Taken(Taken),
    #[prost(message, tag = "2")]
    Failure(Failure),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LookRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) taken: Option<Taken>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LookResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) taken: Option<Taken>,
    #[prost(message, optional, tag = "2")]
    pub(crate) standing: Option<Standing>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Standing {
    #[prost(oneof = "Stands", tags = "1, 2, 3, 4, 5")]
    pub(crate) standing: Option<Stands>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Stands {
    #[prost(message, tag = "1")]
    Asked(Asked),
    #[prost(message, tag = "2")]
    Cut(Cut),
    #[prost(message, tag = "3")]
    Ready(Ready),
    #[prost(message, tag = "4")]
    Failed(Failed),
    #[prost(message, tag = "5")]
    Gone(Gone),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Asked {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Cut {
    #[prost(uint32, optional, tag = "1")]
    pub(crate) percent: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Ready {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Failed {
    #[prost(string, tag = "1")]
    pub(crate) reason: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Gone {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListRequest {
    #[prost(string, tag = "1")]
    pub(crate) cluster: String,
    #[prost(string, tag = "2")]
    pub(crate) id: String,
    #[prost(uint32, tag = "3")]
    pub(crate) page_size: u32,
    #[prost(string, tag = "4")]
    pub(crate) page_token: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) taken: Vec<Taken>,
    #[prost(string, tag = "2")]
    pub(crate) next_page_token: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DeleteRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) taken: Option<Taken>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DeleteResponse {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MakeDiskRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) taken: Option<Taken>,
    #[prost(string, tag = "2")]
    pub(crate) token: String,
    #[prost(string, tag = "3")]
    pub(crate) zone: String,
    #[prost(uint64, tag = "4")]
    pub(crate) capacity: u64,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(crate) parameters: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "6")]
    pub(crate) tags: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MakeDiskResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) disk: Option<Disk>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Disk {
    #[prost(string, tag = "1")]
    pub(crate) handle: String,
    #[prost(string, tag = "2")]
    pub(crate) zone: String,
    #[prost(uint64, tag = "3")]
    pub(crate) capacity: u64,
    #[prost(bool, tag = "4")]
    pub(crate) ready: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LookDiskRequest {
    #[prost(string, tag = "1")]
    pub(crate) handle: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LookDiskResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) disk: Option<Disk>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RemoveDiskRequest {
    #[prost(string, tag = "1")]
    pub(crate) handle: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RemoveDiskResponse {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TransformRequest {
    #[prost(string, tag = "1")]
    pub(crate) transform: String,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(crate) parameters: BTreeMap<String, String>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) items: Vec<Item>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Item {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) json: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TransformResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) outcomes: Vec<ItemOutcome>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ItemOutcome {
    #[prost(oneof = "Transformed", tags = "1, 2, 3, 4, 5")]
    pub(crate) outcome: Option<Transformed>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Transformed {
    #[prost(message, tag = "1")]
    Unchanged(Unchanged),
    #[prost(bytes = "vec", tag = "2")]
    Patch(Vec<u8>),
    #[prost(bytes = "vec", tag = "3")]
    Replaced(Vec<u8>),
    #[prost(message, tag = "4")]
    Dropped(Dropped),
    #[prost(message, tag = "5")]
    Failure(Failure),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Unchanged {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Dropped {
    #[prost(string, tag = "1")]
    pub(crate) reason: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    pub(crate) service: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    pub(crate) status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

#[cfg(test)]
mod tests;
