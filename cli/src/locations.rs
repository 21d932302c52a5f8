//! The clouds whose disks are snapshotted by their own APIs: which, where, and as whom.
//!
//! **Words**: a *location* is what `--volume-location` says: `aws:region=eu-west-1`, `azure:subscription=…,resource-group=…`,
//! `gcp:project=…`.
//!
//! **Invariant.** No credential stands in a location: they are found as every program of that cloud finds them, by environment,
//! files, workload identity or the machine.

use std::{collections::BTreeMap, sync::Arc};

use hindcast_journal::Parts;
use hindcast_snapshotter::driver::VolumeDriver;

use crate::failure::{Failure, Result};

#[cfg(test)]
mod tests;

/// Of each cloud: its name, what may be said of it, and what has to be.
const CLOUDS: [(&str, &[&str], &[&str]); 3] = [
    ("aws", &["region", "endpoint", "profile"], &[]),
    ("azure", &["subscription", "resource-group", "endpoint", "authority"], &["subscription", "resource-group"]),
    ("gcp", &["project", "endpoint"], &["project"]),
];

/// Where the snapshots of a cloud's disks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    cloud: &'static str,
    settings: BTreeMap<String, String>,
}

impl Location {
    /// What a text says.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |reason: String, hint: String| Failure::new(format!("--volume-location {text}"), reason).hint(hint);
        let (cloud, said) = text.split_once(':').unwrap_or((text, ""));
        let known = || CLOUDS.map(|(cloud, ..)| cloud).join(", ");
        let Some((cloud, may, must)) = CLOUDS.into_iter().find(|(name, ..)| *name == cloud) else {
            return Err(wrong(format!("there is no driver {cloud:?}"), format!("there are {}", known())));
        };
        let mut settings = BTreeMap::new();
        for setting in said.split(',').filter(|setting| !setting.is_empty()) {
            let Some((key, value)) = setting.split_once('=') else {
                return Err(wrong(format!("{setting:?} is not KEY=VALUE"), format!("it may say {}", may.join(", "))));
            };
            if !may.contains(&key) {
                return Err(wrong(format!("{cloud} has no {key:?}"), format!("it may say {}", may.join(", "))));
            }
            settings.insert(key.to_owned(), value.to_owned());
        }
        if let Some(lacks) = must.iter().find(|key| settings.get(**key).is_none_or(String::is_empty)) {
            return Err(wrong(format!("it says no {lacks}"), format!("as in {cloud}:{lacks}=…")));
        }
        Ok(Self { cloud, settings })
    }

    #[cfg_attr(not(any(feature = "aws", feature = "azure", feature = "gcp")), expect(dead_code))]
    fn get(&self, key: &str) -> Option<String> {
        self.settings.get(key).filter(|value| !value.is_empty()).cloned()
    }
}

/// Whether what is said of locations can be meant.
pub(crate) fn check(texts: &[String]) -> Result<()> {
    texts.iter().try_for_each(|text| Location::parse(text).map(|_| ()))
}

/// The drivers of those that can be had now; of the others it is told.
pub(crate) async fn reachable(texts: &[String], parts: &Parts) -> Vec<Arc<dyn VolumeDriver>> {
    let mut all = Vec::with_capacity(texts.len());
    for text in texts {
        match drivers(std::slice::from_ref(text), parts, true).await {
            Ok(drivers) => all.extend(drivers),
            Err(failure) => tracing::error!(%failure, "volumes of {text} cannot be taken by this process"),
        }
    }
    all
}

/// The drivers of some locations. `earlier` for whoever takes up what another process began.
pub(crate) async fn drivers(texts: &[String], parts: &Parts, earlier: bool) -> Result<Vec<Arc<dyn VolumeDriver>>> {
    let mut drivers = Vec::with_capacity(texts.len());
    for text in texts {
        drivers.push(open(&Location::parse(text)?, parts, earlier).await?);
    }
    Ok(drivers)
}

#[cfg_attr(
    not(any(feature = "aws", feature = "azure", feature = "gcp")),
    expect(unused_variables, clippy::unused_async)
)]
async fn open(location: &Location, parts: &Parts, earlier: bool) -> Result<Arc<dyn VolumeDriver>> {
    #[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
    let limits = hindcast_snapshotter::cloud::Limits::default();
    match location.cloud {
        #[cfg(feature = "aws")]
        "aws" => {
            use hindcast_snapshotter::cloud::aws::{Credentials, Ebs, Settings};
            let credentials = location.get("profile").map_or(Credentials::Found, Credentials::Profile);
            let region = location.get("region").unwrap_or_default();
            let settings = Settings { region, endpoint: location.get("endpoint"), credentials, earlier };
            Ok(Arc::new(Ebs::open(settings, limits, parts.clone()).await?))
        }
        #[cfg(feature = "azure")]
        "azure" => {
            use hindcast_snapshotter::cloud::azure::{Credentials, ManagedDisks, Settings};
            let settings = Settings {
                subscription: location.get("subscription").unwrap_or_default(),
                resource_group: location.get("resource-group").unwrap_or_default(),
                endpoint: location.get("endpoint"),
                authority: location.get("authority"),
                credentials: Credentials::found(|name| std::env::var_os(name)?.into_string().ok()),
            };
            Ok(Arc::new(ManagedDisks::open(settings, limits, parts.clone())?))
        }
        #[cfg(feature = "gcp")]
        "gcp" => {
            use hindcast_snapshotter::cloud::gcp::{Credentials, PersistentDisks, Settings};
            let project = location.get("project").unwrap_or_default();
            let settings = Settings { project, endpoint: location.get("endpoint"), credentials: Credentials::Found };
            Ok(Arc::new(PersistentDisks::open(settings, limits, parts.clone()).await?))
        }
        cloud => Err(Failure::new(format!("--volume-location {cloud}"), "is not in this build")
            .hint(format!("use a release, or build with `--features {cloud}`"))),
    }
}
