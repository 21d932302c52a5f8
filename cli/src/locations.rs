//! The clouds whose disks are snapshotted by their own APIs: which, where, and as whom.
//!
//! **Words**: a *location* is what `--volume-location` says (`aws:region=eu-west-1`, `azure:subscription=…,resource-group=…`,
//! `gcp:project=…`), or an object of the kind `VolumeLocation`: both are read by [`Location::of`].
//!
//! **Invariants.** (1) No credential stands in a location: they are found as every program of that cloud finds them, by environment,
//! files, workload identity or the machine, or an object names a Secret that has them. (2) No error tells what a Secret holds
//! [`proper`]. (3) What reaches the libraries of a cloud can stand in a request, whoever said it: they take some of it for granted.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use hindcast_journal::{Error, Parts};
use hindcast_operator::{Keys, Opener, Place};
use hindcast_snapshotter::{cloud::Hidden, driver::VolumeDriver};
use url::Url;

use crate::failure::{Failure, Result};

#[cfg(test)]
mod tests;

/// A cloud, and what may be said of it.
#[derive(Debug, PartialEq, Eq)]
struct Cloud {
    name: &'static str,
    /// Settings that it may have.
    may: &'static [&'static str],
    /// Those that it must have.
    must: &'static [&'static str],
    /// What a Secret holds for it.
    secret: Keys,
    /// Whether this build has its driver.
    here: bool,
}

static CLOUDS: [Cloud; 3] = [
    Cloud {
        name: "aws",
        may: &["region", "endpoint", "profile"],
        must: &[],
        secret: Keys { must: &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], may: &["AWS_SESSION_TOKEN"] },
        here: cfg!(feature = "aws"),
    },
    Cloud {
        name: "azure",
        may: &["subscription", "resource-group", "endpoint", "authority"],
        must: &["subscription", "resource-group"],
        secret: Keys { must: &["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"], may: &[] },
        here: cfg!(feature = "azure"),
    },
    Cloud {
        name: "gcp",
        may: &["project", "endpoint"],
        must: &["project"],
        secret: Keys { must: &[FILE], may: &[] },
        here: cfg!(feature = "gcp"),
    },
];

/// The key of a Secret that holds a whole file of credentials.
const FILE: &str = "credentials.json";

/// Where the snapshots of a cloud's disks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    cloud: &'static Cloud,
    settings: BTreeMap<String, String>,
    /// What a Secret holds, if one is named.
    secret: Option<BTreeMap<String, Hidden>>,
}

/// Why what is said of a location cannot be meant, and what could be.
#[derive(Debug)]
struct Wrong {
    reason: String,
    hint: String,
}

impl Location {
    /// What a text says.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (cloud, said) = text.split_once(':').unwrap_or((text, ""));
        let parsed = cloud_of(cloud).and_then(|cloud| {
            let mut settings = BTreeMap::new();
            for setting in said.split(',').filter(|setting| !setting.is_empty()) {
                let (key, value) = setting
                    .split_once('=')
                    .ok_or_else(|| Wrong { reason: format!("{setting:?} is not KEY=VALUE"), hint: may(cloud) })?;
                settings.insert(key.to_owned(), value.to_owned());
            }
            Self::of(cloud, settings)
        });
        parsed.map_err(|Wrong { reason, hint }| Failure::new(format!("--volume-location {text}"), reason).hint(hint))
    }

    /// A location with these settings, if they can be meant.
    fn of(cloud: &'static Cloud, settings: BTreeMap<String, String>) -> Result<Self, Wrong> {
        for (key, value) in &settings {
            if !cloud.may.contains(&&**key) {
                return Err(Wrong { reason: format!("{} has no {key:?}", cloud.name), hint: may(cloud) });
            }
            check_value(key, value)?;
        }
        if let Some(lacks) = cloud.must.iter().find(|key| settings.get(**key).is_none_or(String::is_empty)) {
            return Err(Wrong {
                reason: format!("it says no {lacks}"),
                hint: format!("as in {}:{lacks}=…", cloud.name),
            });
        }
        Ok(Self { cloud, settings, secret: None })
    }

    /// What an object says.
    fn of_object(place: &Place) -> Result<Self, Error> {
        let what = || format!("the location of {}", place.provider);
        let wrong = |wrong: Wrong| Error::invalid(what(), wrong.reason).with_hint(wrong.hint);
        let cloud = cloud_of(place.provider).map_err(wrong)?;
        let mut location = Self::of(cloud, place.settings.clone()).map_err(wrong)?;
        // Whoever may write an object is not thereby one whom Hindcast's own credentials are for.
        if let (None, Some(where_to)) =
            (&place.credentials, ["endpoint", "authority"].into_iter().find(|key| location.get(key).is_some()))
        {
            let reason = format!(
                "says its {where_to} and no Secret: Hindcast's own credentials go to the cloud's own address alone"
            );
            return Err(Error::invalid(what(), reason)
                .with_hint("name a Secret, or say it by --volume-location of `hindcast run`"));
        }
        if let Some(secret) = &place.credentials {
            if location.get("profile").is_some() {
                let reason = "says twice as whom the cloud is asked: by a profile, and by a Secret";
                return Err(Error::invalid(what(), reason).with_hint("leave one of them out"));
            }
            if let Some(key) = secret.iter().find_map(|(key, value)| (!proper(key, value)).then_some(key)) {
                let reason = format!("what the Secret holds as {key} has characters that no credential has");
                return Err(Error::invalid(what(), reason).with_hint("write it again, without quotes or line ends"));
            }
        }
        location.secret.clone_from(&place.credentials);
        Ok(location)
    }

    fn get(&self, key: &str) -> Option<String> {
        self.settings.get(key).filter(|value| !value.is_empty()).cloned()
    }

    #[cfg_attr(not(any(feature = "aws", feature = "azure", feature = "gcp")), expect(dead_code))]
    fn held(&self, key: &str) -> Option<Hidden> {
        self.secret.as_ref()?.get(key).cloned()
    }
}

fn cloud_of(name: &str) -> Result<&'static Cloud, Wrong> {
    CLOUDS.iter().find(|cloud| cloud.name == name).ok_or_else(|| Wrong {
        reason: format!("there is no driver {name:?}"),
        hint: format!("there are {}", CLOUDS.each_ref().map(|cloud| cloud.name).join(", ")),
    })
}

fn may(cloud: &Cloud) -> String {
    format!("it may say {}", cloud.may.join(", "))
}

/// Whether a setting can stand where the libraries put it: in addresses and headers.
fn check_value(key: &str, value: &str) -> Result<(), Wrong> {
    let wrong = |hint: &str| Err(Wrong { reason: format!("{key} {value:?} is none"), hint: hint.to_owned() });
    match key {
        _ if value.is_empty() => Ok(()),
        "endpoint" | "authority" => {
            match Url::parse(value).is_ok_and(|url| ["http", "https"].contains(&url.scheme())) {
                true => Ok(()),
                false => wrong("give an address, as in https://HOST"),
            }
        }
        // Names that people choose.
        "profile" if !value.contains(char::is_control) => Ok(()),
        "profile" => wrong("give the name of a profile"),
        _ if value.chars().all(|c| c.is_ascii_graphic() || c.is_alphanumeric()) => Ok(()),
        _ => wrong("give it as the cloud shows it, without spaces"),
    }
}

/// Whether a value of a Secret can stand in a request.
fn proper(key: &str, value: &Hidden) -> bool {
    key == FILE || value.reveal().chars().all(|c| c.is_ascii_graphic())
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

/// Opens the drivers that objects ask for, beside those of the command line.
pub(crate) struct Clouds {
    /// What the command line says.
    pub(crate) said: Vec<String>,
    /// The clock and the randomness.
    pub(crate) parts: Parts,
}

#[async_trait]
impl Opener for Clouds {
    fn told(&self, provider: &str) -> Option<String> {
        let of_it = |text: &&String| text.split(':').next() == Some(provider);
        // The text stays out: a status is read by more people than a command line.
        self.said.iter().find(of_it).map(|_| format!("the one of --volume-location {provider}:… of `hindcast run`"))
    }

    fn keys(&self, provider: &str) -> Option<Keys> {
        cloud_of(provider).ok().filter(|cloud| cloud.here).map(|cloud| cloud.secret)
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn VolumeDriver>, Error> {
        open(&Location::of_object(place)?, &self.parts, true).await
    }
}

#[cfg_attr(
    not(any(feature = "aws", feature = "azure", feature = "gcp")),
    expect(unused_variables, clippy::unused_async)
)]
async fn open(location: &Location, parts: &Parts, earlier: bool) -> Result<Arc<dyn VolumeDriver>, Error> {
    #[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
    let limits = hindcast_snapshotter::cloud::Limits::default();
    match location.cloud.name {
        #[cfg(feature = "aws")]
        "aws" => {
            use hindcast_snapshotter::cloud::aws::{Credentials, Ebs, Settings};
            let credentials = match (location.held("AWS_ACCESS_KEY_ID"), location.held("AWS_SECRET_ACCESS_KEY")) {
                (Some(id), Some(secret)) => {
                    let session = location.held("AWS_SESSION_TOKEN");
                    Credentials::Key { id: id.reveal().to_owned(), secret, session }
                }
                _ => location.get("profile").map_or(Credentials::Found, Credentials::Profile),
            };
            let region = location.get("region").unwrap_or_default();
            let settings = Settings { region, endpoint: location.get("endpoint"), credentials, earlier };
            Ok(Arc::new(Ebs::open(settings, limits, parts.clone()).await?))
        }
        #[cfg(feature = "azure")]
        "azure" => {
            use hindcast_snapshotter::cloud::azure::{Credentials, ManagedDisks, Settings};
            let held = |name: &str| location.held(name).map(|value| value.reveal().to_owned());
            let settings = Settings {
                subscription: location.get("subscription").unwrap_or_default(),
                resource_group: location.get("resource-group").unwrap_or_default(),
                endpoint: location.get("endpoint"),
                authority: location.get("authority"),
                // A Secret's keys are called as the variables are, and nothing is added to them.
                credentials: match location.secret {
                    Some(_) => Credentials::found(held),
                    None => Credentials::found(|name| std::env::var_os(name)?.into_string().ok()),
                },
            };
            Ok(Arc::new(ManagedDisks::open(settings, limits, parts.clone())?))
        }
        #[cfg(feature = "gcp")]
        "gcp" => {
            use hindcast_snapshotter::cloud::gcp::{Credentials, PersistentDisks, Settings};
            let project = location.get("project").unwrap_or_default();
            let credentials = location.held(FILE).map_or(Credentials::Found, Credentials::File);
            let settings = Settings { project, endpoint: location.get("endpoint"), credentials };
            Ok(Arc::new(PersistentDisks::open(settings, limits, parts.clone()).await?))
        }
        cloud => Err(Error::invalid(format!("the driver of {cloud}"), "is not in this build")
            .with_hint(format!("use a release, or build with `--features {cloud}`"))),
    }
}
