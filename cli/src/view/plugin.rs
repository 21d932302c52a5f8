//! A plugin, as `plugin check` tells of it.

use hindcast_plugin::{Capabilities, Kind};
use serde::Serialize;

use super::API_VERSION;

/// A plugin.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plugin {
    api_version: &'static str,
    kind: &'static str,
    /// Where it listens.
    pub(crate) address: String,
    /// Its name.
    pub(crate) name: String,
    /// Its own version.
    pub(crate) version: String,
    /// The version of the protocol that is spoken with it.
    pub(crate) protocol: u32,
    /// `serving`, `not serving` or `unknown`.
    pub(crate) health: String,
    /// Whose volumes it takes.
    pub(crate) drivers: Vec<String>,
    /// Whether it makes disks from its snapshots.
    pub(crate) disks: bool,
    /// What it changes.
    pub(crate) transforms: Vec<PluginTransform>,
}

/// A transform of a plugin.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PluginTransform {
    /// Its name.
    pub(crate) name: String,
    /// The kinds it is given.
    pub(crate) kinds: Vec<String>,
    /// Whether it is given sealed values.
    pub(crate) sealed_values: bool,
}

impl Plugin {
    /// One that was met.
    pub(crate) fn new(address: &str, met: &Capabilities, health: &str) -> Self {
        let transforms = met.transforms.iter().map(|transform| PluginTransform {
            name: transform.name.clone(),
            kinds: transform.kinds.iter().map(Kind::to_string).collect(),
            sealed_values: transform.sealed_values,
        });
        Self {
            api_version: API_VERSION,
            kind: "Plugin",
            address: address.to_owned(),
            name: met.name.clone(),
            version: met.plugin_version.clone(),
            protocol: met.protocol,
            health: health.to_owned(),
            drivers: met.volumes.iter().flat_map(|volumes| volumes.drivers.clone()).collect(),
            disks: met.volumes.as_ref().is_some_and(|volumes| volumes.disks),
            transforms: transforms.collect(),
        }
    }

    /// Whether it says that it can work.
    pub(crate) fn works(&self) -> bool {
        self.health == "serving"
    }
}
